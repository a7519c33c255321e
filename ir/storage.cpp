// Conversions of bf16, f16 and i8 element by element, written as their definitions say: what generated code is held against.
// f16 is found in double arithmetic, where all steps but the one rounding are exact.
#include "ir/storage.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace nnc {

namespace {

constexpr uint16_t f16_infinity = 0x7C00, bf16_quiet = 0x40, f16_quiet = 0x200;
constexpr int f16_fraction_bits = 10, f16_least_exponent = -14;

// Every element of `from` (one of a splat), as set() of the other dtype takes it.
template <typename Get, typename Set> Tensor converted(const Tensor &from, DType to, Get get, Set set) {
  const Type type{to, from.type.shape};
  Tensor result = from.splat ? Tensor::filled_int(type, 0) : Tensor(type);
  const int64_t count = from.splat ? 1 : type.elements();
  for (int64_t i = 0; i < count; ++i)
    (result.*set)(i, (from.*get)(i));
  return result;
}

} // namespace

uint16_t bf16_bits(float number) {
  const uint32_t bits = std::bit_cast<uint32_t>(number), half = 0x7FFF, odd = bits >> 16 & 1;
  if (std::isnan(number))
    return static_cast<uint16_t>(bits >> 16 | bf16_quiet);
  return static_cast<uint16_t>((bits + half + odd) >> 16);
}

float bf16_number(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

uint16_t f16_bits(float number) {
  const uint32_t bits = std::bit_cast<uint32_t>(number);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  if (std::isnan(number))
    return static_cast<uint16_t>(sign | f16_infinity | f16_quiet | (bits >> 13 & 0x3FF));
  const double magnitude = std::fabs(static_cast<double>(number));
  if (magnitude >= 65520) // halfway between the largest number and the power of two behind it
    return sign | f16_infinity;
  const int exponent = magnitude == 0 ? f16_least_exponent : std::max(std::ilogb(magnitude), f16_least_exponent);
  const auto units = static_cast<int>(std::nearbyint(std::ldexp(magnitude, f16_fraction_bits - exponent)));
  // The leading one of a normal number counts the exponent up by one; so does what rounds up to the next power of two.
  return static_cast<uint16_t>(sign + ((exponent - f16_least_exponent) << f16_fraction_bits) + units);
}

float f16_number(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16, fraction = bits & 0x3FF;
  const int exponent = bits >> f16_fraction_bits & 31;
  if (exponent == 31)
    return std::bit_cast<float>(sign | 0x7F800000u | fraction << 13);
  const double units = exponent == 0 ? fraction : fraction + 1024;
  const double magnitude = std::ldexp(units, std::max(exponent, 1) - 1 + f16_least_exponent - f16_fraction_bits);
  return static_cast<float>(sign ? -magnitude : magnitude);
}

Tensor to_wide(const Tensor &tensor) {
  const DType dtype = tensor.type.dtype;
  if (!is_storage_only(dtype))
    return tensor;
  return is_float(dtype) ? converted(tensor, wide_dtype(dtype), &Tensor::get, &Tensor::set)
                         : converted(tensor, wide_dtype(dtype), &Tensor::get_int, &Tensor::set_int);
}

Tensor to_storage(const Tensor &tensor, DType dtype) { return converted(tensor, dtype, &Tensor::get, &Tensor::set); }

} // namespace nnc
