// What becomes of denormal floats, which most processors compute with a hundred times slower than with others: one question,
// asked of an interpreter, of what folds constants, and of the code that is made.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

namespace nnc {

// flush: arithmetic of f32 and f64 takes a denormal operand as 0, and gives 0 for a denormal result, with its sign. What only
// moves numbers, or changes their sign, does neither.
enum class Denormals : uint8_t { flush, keep };

// A number that is kept in dtype T.
template <typename T> double flushed(double number) {
  return std::fabs(number) < std::numeric_limits<T>::min() ? std::copysign(0.0, number) : number;
}

} // namespace nnc
