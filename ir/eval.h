// What the rows of the interpreter share: how elements are read, computed with and stored. Internal to ir/eval_*.cpp.
#pragma once

#include "ir/interpreter.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

namespace nnc {

// One op on its operands, which fit: the types were checked.
struct EvalCall {
  Op op;
  std::span<const Tensor *const> in;
  const Attrs &attrs;
  const Type &type; // of the result
  Denormals denormals;
};

#define OP(name, ...) Tensor eval_##name(const EvalCall &call);
#include "ir/ops.def"

// A bool in memory.
struct BoolByte {
  uint8_t byte;
};

// What is computed with: double for floats, wrapping 64 bits for integers, bool for bools.
template <typename T>
using Wide =
    std::conditional_t<std::is_floating_point_v<T>, double, std::conditional_t<std::is_same_v<T, BoolByte>, bool, int64_t>>;

template <typename T> Wide<T> load(T value, Denormals denormals) {
  if constexpr (std::is_same_v<T, BoolByte>)
    return value.byte != 0;
  else if constexpr (std::is_floating_point_v<T>)
    return denormals == Denormals::flush ? flushed<T>(value) : value;
  else
    return value;
}

// Floats round to nearest even, integers wrap.
template <typename T, typename W> T stored(W value, Denormals denormals) {
  if constexpr (std::is_same_v<T, BoolByte>)
    return {static_cast<uint8_t>(value != 0)};
  else if constexpr (std::is_floating_point_v<T>)
    return denormals == Denormals::flush ? static_cast<T>(flushed<T>(static_cast<T>(value))) : static_cast<T>(value);
  else
    return static_cast<T>(value);
}

// Elements in row-major order, splats too.
template <typename T> class Elements {
public:
  Elements(const Tensor &tensor, Denormals denormals)
      : data_(tensor.data<T>()), step_(tensor.splat ? 0 : 1), denormals_(denormals) {}
  Wide<T> operator[](int64_t i) const { return load(data_[i * step_], denormals_); }

private:
  const T *data_;
  int64_t step_;
  Denormals denormals_;
};

// f(T()) for the element type T of the dtype, which is none for storage only: those are widened first.
template <typename F> decltype(auto) with_float(DType dtype, F f) { return dtype == DType::f32 ? f(float()) : f(double()); }

template <typename F> decltype(auto) with_number(DType dtype, F f) {
  switch (dtype) {
  case DType::u8:
    return f(uint8_t());
  case DType::i32:
    return f(int32_t());
  case DType::i64:
    return f(int64_t());
  default:
    return with_float(dtype, f);
  }
}

template <typename F> decltype(auto) with_any(DType dtype, F f) {
  return dtype == DType::boolean ? f(BoolByte()) : with_number(dtype, f);
}

// Arithmetic of the wide types: integers wrap.
inline double plus(double a, double b) { return a + b; }
inline double times(double a, double b) { return a * b; }
inline int64_t plus(int64_t a, int64_t b) { return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b)); }
inline int64_t times(int64_t a, int64_t b) { return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b)); }

// NaN if either is; -0 is below +0 (IEEE 754-2019 maximum and minimum).
inline double larger(double a, double b) { return a != a ? a : b != b || a < b || (a == b && std::signbit(a)) ? b : a; }
inline double smaller(double a, double b) { return a != a ? a : b != b || b < a || (a == b && std::signbit(b)) ? b : a; }
inline int64_t larger(int64_t a, int64_t b) { return std::max(a, b); }
inline int64_t smaller(int64_t a, int64_t b) { return std::min(a, b); }

// In elements; all 0 for a splat.
Shape element_strides(const Tensor &tensor);

// Philox 4x32 with 10 rounds: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
std::array<uint32_t, 4> philox_4x32_10(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

} // namespace nnc
