// Reading, writing and printing the elements of a Tensor.
// Writing is where a value meets its dtype: floats round to nearest even, integers wrap (set_int) or truncate and saturate
// (set, the meaning of `cast`). All NaNs are one: their sign and payload have no text.
#include "ir/tensor.h"

#include "ir/error.h"
#include "ir/storage.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <limits>
#include <new>
#include <stdexcept>

namespace nnc {

namespace {

template <typename T> T read(const Tensor &tensor, int64_t i) {
  T value;
  std::memcpy(&value, tensor.bytes.data() + (tensor.splat ? 0 : i) * sizeof(T), sizeof(T));
  return value;
}

template <typename T> void write(Tensor &tensor, int64_t i, T value) {
  std::memcpy(tensor.bytes.data() + i * sizeof(T), &value, sizeof(T));
}

std::vector<std::byte> allocate(int64_t bytes) {
  try {
    return std::vector<std::byte>(bytes);
  } catch (const std::bad_alloc &) {
  } catch (const std::length_error &) {
  }
  throw Error(fmt::format("out of memory: a tensor of {} bytes", bytes));
}

Tensor one_element(Type type) {
  Tensor tensor;
  tensor.splat = true;
  tensor.bytes.resize(dtype_size(type.dtype));
  tensor.type = std::move(type);
  return tensor;
}

template <typename T> T saturated_to(double value) {
  return static_cast<T>(saturated(value, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
}

} // namespace

Tensor::Tensor(Type type) : type(std::move(type)), bytes(allocate(this->type.bytes())) {}

Tensor Tensor::filled(Type type, double value) {
  Tensor tensor = one_element(std::move(type));
  tensor.set(0, value);
  return tensor;
}

Tensor Tensor::filled_int(Type type, int64_t value) {
  Tensor tensor = one_element(std::move(type));
  tensor.set_int(0, value);
  return tensor;
}

double Tensor::get(int64_t i) const {
  switch (type.dtype) {
  case DType::f32:
    return read<float>(*this, i);
  case DType::f64:
    return read<double>(*this, i);
  case DType::bf16:
    return bf16_number(read<uint16_t>(*this, i));
  case DType::f16:
    return f16_number(read<uint16_t>(*this, i));
  default:
    return static_cast<double>(get_int(i));
  }
}

void Tensor::set(int64_t i, double value) {
  switch (type.dtype) {
  case DType::f32:
    return write(*this, i, static_cast<float>(value));
  case DType::f64:
    return write(*this, i, value);
  case DType::bf16:
    return write(*this, i, bf16_bits(static_cast<float>(value)));
  case DType::f16:
    return write(*this, i, f16_bits(static_cast<float>(value)));
  case DType::u8:
    return write(*this, i, saturated_to<uint8_t>(value));
  case DType::i8:
    return write(*this, i, saturated_to<int8_t>(value));
  case DType::i32:
    return write(*this, i, saturated_to<int32_t>(value));
  case DType::i64:
    return write(*this, i, saturated_to<int64_t>(value));
  case DType::boolean:
    return write(*this, i, static_cast<uint8_t>(value != 0));
  }
}

int64_t Tensor::get_int(int64_t i) const {
  switch (type.dtype) {
  case DType::u8:
    return read<uint8_t>(*this, i);
  case DType::i8:
    return read<int8_t>(*this, i);
  case DType::i32:
    return read<int32_t>(*this, i);
  case DType::i64:
    return read<int64_t>(*this, i);
  case DType::boolean:
    return read<uint8_t>(*this, i) != 0;
  default:
    return saturated_to<int64_t>(get(i));
  }
}

void Tensor::set_int(int64_t i, int64_t value) {
  switch (type.dtype) {
  case DType::f32: // straight to float: by way of double it would round twice
    return write(*this, i, static_cast<float>(value));
  case DType::f64:
    return write(*this, i, static_cast<double>(value));
  case DType::bf16:
    return write(*this, i, bf16_bits(static_cast<float>(value)));
  case DType::f16:
    return write(*this, i, f16_bits(static_cast<float>(value)));
  case DType::u8:
    return write(*this, i, static_cast<uint8_t>(value));
  case DType::i8:
    return write(*this, i, static_cast<int8_t>(value));
  case DType::i32:
    return write(*this, i, static_cast<int32_t>(value));
  case DType::i64:
    return write(*this, i, value);
  case DType::boolean:
    return write(*this, i, static_cast<uint8_t>(value != 0));
  }
}

int64_t saturated(double value, int64_t least, int64_t largest) {
  if (std::isnan(value))
    return 0;
  // Bounds are exact in double but for the largest i64, which rounds up to 2^63: hence >=.
  if (value <= static_cast<double>(least))
    return least;
  if (value >= static_cast<double>(largest))
    return largest;
  return static_cast<int64_t>(value);
}

Tensor expanded(const Tensor &tensor) {
  if (!tensor.splat)
    return tensor;
  Tensor result(tensor.type);
  const size_t size = tensor.bytes.size();
  for (size_t at = 0; at < result.bytes.size(); at += size)
    std::memcpy(result.bytes.data() + at, tensor.bytes.data(), size);
  return result;
}

std::string element_text(const Tensor &tensor, int64_t i) {
  const DType dtype = tensor.type.dtype;
  if (is_bool(dtype))
    return tensor.get_int(i) ? "true" : "false";
  if (is_integer(dtype))
    return fmt::format("{}", tensor.get_int(i));
  const double value = tensor.get(i);
  if (std::isnan(value))
    return "nan";
  return dtype == DType::f64 ? fmt::format("{}", value) : fmt::format("{}", static_cast<float>(value));
}

bool same_bits(const Tensor &a, const Tensor &b) {
  if (a.type != b.type)
    return false;
  if (a.splat == b.splat)
    return a.bytes == b.bytes;
  const Tensor &splat = a.splat ? a : b, &dense = a.splat ? b : a;
  const size_t size = splat.bytes.size();
  for (size_t at = 0; at < dense.bytes.size(); at += size)
    if (std::memcmp(dense.bytes.data() + at, splat.bytes.data(), size) != 0)
      return false;
  return true;
}

} // namespace nnc
