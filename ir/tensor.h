// Tensor: a value in the host's memory, row-major, in the dtype's own bits. Constants of the IR and all values of the
// interpreter are Tensors: storing a double into one rounds it to the dtype, which is what gives eval its meaning.
#pragma once

#include "ir/type.h"

#include <cstddef>
#include <vector>

namespace nnc {

struct Tensor {
  Type type;
  bool splat = false; // all elements are equal and only one is stored
  std::vector<std::byte> bytes;

  Tensor() = default;
  explicit Tensor(Type type);                         // zeros
  static Tensor filled(Type type, double value);      // a splat; for i64 values beyond 2^53 use filled_int
  static Tensor filled_int(Type type, int64_t value); // a splat

  // Element i in row-major order, of any dtype. `set` rounds to nearest even where the dtype is a float, truncates and
  // saturates (NaN gives 0) where it is an integer. `set_int` wraps to an integer's width, and rounds once to a float. To bf16
  // and f16 all goes by way of f32, as casts do.
  // A bool is value != 0. A splat has one element to write: 0.
  double get(int64_t i) const;
  void set(int64_t i, double value);
  int64_t get_int(int64_t i) const;
  void set_int(int64_t i, int64_t value);

  template <typename T> const T *data() const { return reinterpret_cast<const T *>(bytes.data()); }
  template <typename T> T *data() { return reinterpret_cast<T *>(bytes.data()); }
};

// Truncated to a whole number and kept within least..largest; 0 for NaN.
int64_t saturated(double value, int64_t least, int64_t largest);

// The same tensor with every element stored.
Tensor expanded(const Tensor &tensor);

// The number as text that reads back to the same bits: "0.1", "-inf", "nan" (any NaN), "3"; bools are "true" and "false".
std::string element_text(const Tensor &tensor, int64_t i);

bool same_bits(const Tensor &a, const Tensor &b);

} // namespace nnc
