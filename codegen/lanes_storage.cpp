// Lanes: bf16 and f16, as they are converted to f32 and back. Where a target has instructions for f16 they are used, through
// fpext and fptrunc; elsewhere those two would be calls of a library, so the bits are computed. All ways give the same bits.
// No step makes or reads a denormal, so that they hold where those are flushed too.

#include "codegen/lane_value.h"

#include <cmath>

namespace nnc {

using llvm::Value;

namespace {

constexpr int64_t f32_infinity = 0x7F800000, f16_infinity = 0x7C00;
constexpr double f16_beyond = 65536; // the power of two behind the largest f16
constexpr int f16_dropped = 13;      // bits of the fraction that f16 lacks

// The bits of an f32 rounded to nearest even where `dropped` bits at the end are cut off. A fraction that overflows counts the
// exponent up, to infinity from the largest.
LaneValue cut_off(LaneValue bits, unsigned dropped) {
  const LaneValue odd = (bits >> dropped) & bits.integer(1), half = bits.integer((int64_t{1} << (dropped - 1)) - 1);
  return (bits + half + odd) & bits.integer(-(int64_t{1} << dropped));
}

// NaN made quiet: what is cut off must not be all that told it from infinity.
LaneValue or_quiet_nan(LaneValue bits, LaneValue x) {
  return select(x.with(x.lanes->is_nan(x.value)), x.bits() | x.bits().integer(0x400000), bits).from_bits();
}

LaneValue rounded_to_bf16(LaneValue x) { return or_quiet_nan(cut_off(x.bits(), 16), x); }

// Below 2^-14 an f16 is a multiple of 2^-24, which is the last place of an f32 in 0.5..1: the sum rounds.
LaneValue rounded_to_f16(LaneValue x) {
  const LaneValue magnitude = abs(x), infinity = x.number(INFINITY);
  LaneValue result = cut_off(magnitude.bits(), f16_dropped).from_bits();
  result = select(magnitude < x.number(0x1p-14), (magnitude + 0.5) - 0.5, result);
  result = select(result < x.number(f16_beyond), result, infinity);
  return or_quiet_nan(with_sign(result, x).bits(), x);
}

constexpr int64_t bias_difference = (127 - 15) << 23, least_normal = (127 - 14) << 23; // of f16, as bits of an f32

// Exponent and fraction go to their place in an f32, whose bias is larger. A denormal f16 has the fraction of 2^-14 (1 +
// fraction).
LaneValue f32_from_f16(LaneValue bits) {
  const LaneValue magnitude = (bits & bits.integer(0x7FFF)) << f16_dropped, sign = (bits & bits.integer(0x8000)) << 16;
  const LaneValue is_finite = magnitude < bits.integer(f16_infinity << f16_dropped);
  const LaneValue denormal = (magnitude + bits.integer(least_normal)).from_bits() - 0x1p-14;
  const LaneValue number =
      select(magnitude < bits.integer(int64_t{1} << 23), denormal.bits(), magnitude + bits.integer(bias_difference));
  return (select(is_finite, number, magnitude | bits.integer(f32_infinity)) | sign).from_bits();
}

// Of a number that f16 can hold. A denormal is a multiple of 2^-24, the last place of an f32 in 0.5..1.
LaneValue f16_from_f32(LaneValue x) {
  const LaneValue bits = x.bits(), magnitude = bits & bits.integer(INT32_MAX), sign = (bits >> 16) & bits.integer(0x8000);
  const LaneValue is_finite = magnitude < bits.integer(f32_infinity);
  const LaneValue denormal = (magnitude.from_bits() + 0.5).bits() - bits.integer(int64_t{126} << 23);
  const LaneValue number =
      select(magnitude < bits.integer(least_normal), denormal, (magnitude - bits.integer(bias_difference)) >> f16_dropped);
  const LaneValue fraction = (magnitude >> f16_dropped) & bits.integer(0x3FF);
  return select(is_finite, number, fraction | bits.integer(f16_infinity)) | sign;
}

} // namespace

Value *Lanes::rounded(Value *x, DType to) const {
  if (to == DType::bf16)
    return rounded_to_bf16({*this, x}).value;
  if (machine.has_f16)
    return b.CreateFPExt(b.CreateFPTrunc(x, like(x, b.getHalfTy())), x->getType());
  return rounded_to_f16({*this, x}).value;
}

Value *Lanes::f16_from_memory(Value *loaded) const {
  if (machine.has_f16)
    return b.CreateFPExt(b.CreateBitCast(loaded, like(loaded, b.getHalfTy())), like(loaded, DType::f32));
  return f32_from_f16({*this, b.CreateZExt(loaded, like(loaded, DType::i32))}).value;
}

Value *Lanes::f16_to_memory(Value *x) const {
  if (machine.has_f16)
    return b.CreateBitCast(b.CreateFPTrunc(x, like(x, b.getHalfTy())), like(x, b.getInt16Ty()));
  return b.CreateTrunc(f16_from_f32({*this, x}).value, like(x, b.getInt16Ty()));
}

} // namespace nnc
