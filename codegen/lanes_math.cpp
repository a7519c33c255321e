// Arithmetic of Lanes: what the target has as instructions where it has them, written out where it has not. Results are the
// same either way for fma, floor, round, maximum and minimum (one exception at fma_by_parts); `mad` is the operation that may
// differ between targets, and only between targets.

#include "codegen/lane_value.h"

#include <llvm/IR/Constants.h>
#include <llvm/IR/IntrinsicInst.h>
#include <llvm/IR/PatternMatch.h>

namespace nnc {

using llvm::Value;

namespace {

// The sum of two f64 rounded to odd: where it is inexact, the neighbour whose last bit is 1. Rounding that once more, to at
// least two bits fewer, gives what rounding the exact sum would (Boldo and Melquiond, "Emulation of FMA and correctly rounded
// sums", 2008).
LaneValue sum_to_odd(LaneValue x, LaneValue y) {
  const auto [sum, error] = two_sum(x, y);
  LaneValue bits = sum.bits(), zero = bits.integer(0), one = bits.integer(1), nothing = error.number(0);
  LaneValue inexact = (error < nothing) | (nothing < error); // not where it is NaN
  LaneValue even = (bits & one) == zero;
  LaneValue outward = (error < nothing) == (bits < zero); // the exact sum is farther from zero
  return select(inexact & even, bits + select(outward, one, bits.integer(-1)), bits).from_bits();
}

// Dekker's product, then a sum of three with one rounding to odd. Exact while neither the product nor its low part leaves the
// normal range: for |x|, |y| in 2^-450 … 2^450 and |z| below 2^1000. Outside the result is x * y + z rounded twice: the
// documented exception of targets without fma.
LaneValue fma_by_parts(LaneValue x, LaneValue y, LaneValue z) {
  const auto [high, low] = two_product_by_halves(x, y);
  const TwoSum middle = two_sum(z, low), head = two_sum(high, middle.sum);
  LaneValue exact = head.sum + sum_to_odd(head.error, middle.error);
  auto moderate = [](LaneValue a) { return (a.number(0x1p-450) < abs(a)) & (abs(a) < a.number(0x1p450)); };
  return select(moderate(x) & moderate(y) & (abs(z) < z.number(0x1p1000)), exact, high + z);
}

const llvm::APInt *constant_integer(const Value *value) {
  const llvm::APInt *number = nullptr;
  return llvm::PatternMatch::match(value, llvm::PatternMatch::m_APInt(number)) ? number : nullptr;
}

} // namespace

Value *Lanes::add(Value *x, Value *y) const {
  match(x, y);
  return is_float(dtype_of(x)) ? b.CreateFAdd(x, y) : b.CreateAdd(x, y);
}

Value *Lanes::sub(Value *x, Value *y) const {
  match(x, y);
  return is_float(dtype_of(x)) ? b.CreateFSub(x, y) : b.CreateSub(x, y);
}

Value *Lanes::mul(Value *x, Value *y) const {
  match(x, y);
  return is_float(dtype_of(x)) ? b.CreateFMul(x, y) : b.CreateMul(x, y);
}

Value *Lanes::neg(Value *x) const { return is_float(dtype_of(x)) ? b.CreateFNeg(x) : b.CreateNeg(x); }

Value *Lanes::abs(Value *x) const {
  const DType dtype = dtype_of(x);
  if (is_float(dtype))
    return b.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x);
  if (dtype == DType::u8)
    return x;
  return b.CreateBinaryIntrinsic(llvm::Intrinsic::abs, x, b.getFalse()); // the lowest stays: it wraps
}

Value *Lanes::sqrt(Value *x) const { return b.CreateUnaryIntrinsic(llvm::Intrinsic::sqrt, x); }

// Fused multiply-add

Value *Lanes::fma(Value *x, Value *y, Value *z) const {
  match(x, y);
  match(x, z);
  match(y, z);
  if (machine.has_fma)
    return b.CreateIntrinsic(llvm::Intrinsic::fma, {x->getType()}, {x, y, z});
  if (dtype_of(x) == DType::f64)
    return fma_by_parts({*this, x}, {*this, y}, {*this, z}).value;
  // The product of two f32 is exact in f64.
  LaneValue product(*this, mul(convert(x, DType::f64), convert(y, DType::f64)));
  return convert(sum_to_odd(product, product.with(convert(z, DType::f64))).value, DType::f32);
}

Value *Lanes::mad(Value *x, Value *y, Value *z) const { return machine.has_fma ? fma(x, y, z) : add(mul(x, y), z); }

// Rounding

// |x| + 2^23 (f64: 2^52) leaves no room for a fraction, so the addition rounds, to even.
Value *Lanes::round(Value *x) const {
  if (machine.has_rounding)
    return b.CreateUnaryIntrinsic(llvm::Intrinsic::roundeven, x);
  Value *magnitude = abs(x), *whole = same(x, dtype_of(x) == DType::f32 ? 0x1p23 : 0x1p52);
  Value *rounded = sub(add(magnitude, whole), whole);
  rounded = b.CreateBinaryIntrinsic(llvm::Intrinsic::copysign, rounded, x); // -0.3 gives -0
  return select(less(magnitude, whole), rounded, x);
}

Value *Lanes::floor(Value *x) const {
  if (machine.has_rounding)
    return b.CreateUnaryIntrinsic(llvm::Intrinsic::floor, x);
  Value *rounded = round(x);
  return select(less(x, rounded), sub(rounded, same(x, 1)), rounded);
}

// Maximum and minimum

Value *Lanes::extremum(Value *x, Value *y, bool larger) const {
  match(x, y);
  const DType dtype = dtype_of(x);
  if (is_bool(dtype))
    return larger ? b.CreateOr(x, y) : b.CreateAnd(x, y);
  if (dtype == DType::u8)
    return b.CreateBinaryIntrinsic(larger ? llvm::Intrinsic::umax : llvm::Intrinsic::umin, x, y);
  if (is_integer(dtype))
    return b.CreateBinaryIntrinsic(larger ? llvm::Intrinsic::smax : llvm::Intrinsic::smin, x, y);
  if (machine.has_ieee_max)
    return b.CreateBinaryIntrinsic(larger ? llvm::Intrinsic::maximum : llvm::Intrinsic::minimum, x, y);

  // Elsewhere by compare and select, which x86 has as one instruction: the second where one is NaN or both are equal.
  auto select_extremum = [&](Value *p, Value *q) { return select(larger ? less(q, p) : less(p, q), p, q); };
  const llvm::APFloat *number = nullptr;
  if (llvm::PatternMatch::match(x, llvm::PatternMatch::m_APFloat(number)))
    std::swap(x, y);
  if (llvm::PatternMatch::match(y, llvm::PatternMatch::m_APFloat(number)) && !number->isNaN() &&
      (larger || !number->isNegZero())) {
    Value *result = select_extremum(y, x);
    return larger && number->isPosZero() ? add(result, y) : result; // -0 loses to +0: the sum of both is +0
  }
  // Both orders, and the `or` of their bits: equal ones are the same, zeros of either sign give -0, and anything beside a NaN
  // is a NaN.
  if (!larger)
    return from_bits(bit_or(to_bits(select_extremum(x, y)), to_bits(select_extremum(y, x))));
  return neg(minimum(neg(x), neg(y)));
}

Value *Lanes::maximum(Value *x, Value *y) const { return extremum(x, y, true); }
Value *Lanes::minimum(Value *x, Value *y) const { return extremum(x, y, false); }

// Division

// Truncated quotient without traps: the caller has excluded 0 and lowest / -1. Vectors of integers have no division on most
// processors. u8 goes through f32 and i32 through f64: a quotient that is not whole is at least 1 / |y| away from the next whole
// number, relative to it 1 / |x|, far above the rounding error, so truncation is right. i64 is left to LLVM, lane by lane.
static Value *truncated_quotient(const Lanes &l, Value *x, Value *y) {
  llvm::IRBuilder<> &b = l.builder();
  const DType dtype = Lanes::dtype_of(x);
  if (dtype == DType::i64 || constant_integer(y)) // by a constant: LLVM multiplies
    return dtype == DType::u8 ? b.CreateUDiv(x, y) : b.CreateSDiv(x, y);
  const DType wide = dtype == DType::u8 ? DType::f32 : DType::f64;
  Value *quotient = b.CreateFDiv(l.convert(x, wide), l.convert(y, wide));
  return dtype == DType::u8 ? b.CreateFPToUI(quotient, x->getType()) : b.CreateFPToSI(quotient, x->getType());
}

std::pair<Value *, Value *> Lanes::floored(Value *x, Value *y) const {
  const DType dtype = dtype_of(x);
  const llvm::APInt *constant = constant_integer(y);
  const bool is_signed = dtype != DType::u8;
  if (constant && constant->isPowerOf2() && (!is_signed || constant->isStrictlyPositive())) {
    const unsigned bits = constant->logBase2();
    return {is_signed ? shift_right_arithmetic(x, bits) : shift_right(x, bits),
            bit_and(x, integer(dtype, (int64_t{1} << bits) - 1))};
  }
  if (is_signed) { // lowest / -1 would trap; dividing by 1 gives the wrapped result
    Value *lowest = integer(dtype, dtype == DType::i32 ? INT32_MIN : INT64_MIN);
    y = select(bit_and(equal(x, lowest), equal(y, integer(dtype, -1))), integer(dtype, 1), y);
  }
  Value *quotient = truncated_quotient(*this, x, y);
  Value *rest = sub(x, mul(quotient, y));
  if (!is_signed)
    return {quotient, rest};
  Value *zero = integer(dtype, 0);
  Value *wrong_side = bit_and(not_equal(rest, zero), less(bit_xor(rest, y), zero));
  return {select(wrong_side, sub(quotient, integer(dtype, 1)), quotient), select(wrong_side, add(rest, y), rest)};
}

Value *Lanes::divide(Value *x, Value *y) const {
  match(x, y);
  if (is_float(dtype_of(x)))
    return b.CreateFDiv(x, y);
  Value *zero = integer(dtype_of(x), 0), *none = equal(y, zero);
  return select(none, zero, floored(x, select(none, integer(dtype_of(x), 1), y)).first);
}

// Floats: x - floor(x / y) * y, where product and difference round once, so exact while |x / y| is below 2^24 (f64: 2^53);
// beyond, the quotient has lost its last digits. The division may round up to a whole number: the rest is then on the wrong side
// of 0 and one y short. A quotient of 0 is taken out for infinite y.
Value *Lanes::remainder(Value *x, Value *y) const {
  match(x, y);
  if (is_float(dtype_of(x))) {
    Value *nothing = same(x, 0), *quotient = floor(divide(x, y));
    Value *rest = select(equal(quotient, nothing), add(x, nothing), fma(neg(quotient), y, x)); // never -0
    Value *wrong_side = bit_or(bit_and(less(rest, nothing), less(nothing, y)), bit_and(less(nothing, rest), less(y, nothing)));
    return select(wrong_side, add(rest, y), rest);
  }
  Value *zero = integer(dtype_of(x), 0), *none = equal(y, zero);
  return select(none, zero, floored(x, select(none, integer(dtype_of(x), 1), y)).second);
}

} // namespace nnc
