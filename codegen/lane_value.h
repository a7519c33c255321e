// LaneValue: a value with its lanes, so that formulas read as formulas. Internal to the arithmetic of lanes.
#pragma once

#include "codegen/lanes.h"

#include <initializer_list>

namespace nnc {

struct LaneValue {
  const Lanes *lanes;
  llvm::Value *value;

  LaneValue(const Lanes &l, llvm::Value *v) : lanes(&l), value(v) {}
  LaneValue with(llvm::Value *other) const { return {*lanes, other}; }
  LaneValue number(double x) const { return with(lanes->same(value, x)); } // a constant of this dtype
  bool is_f32() const { return Lanes::dtype_of(value) == DType::f32; }
  LaneValue bits() const { return with(lanes->to_bits(value)); }
  LaneValue from_bits() const { return with(lanes->from_bits(value)); }
  // The constant whose bits these are, in the integer dtype of a float's bits.
  LaneValue integer(int64_t x) const { return with(lanes->integer(Lanes::dtype_of(value), x)); }
};

inline LaneValue operator+(LaneValue x, LaneValue y) { return x.with(x.lanes->add(x.value, y.value)); }
inline LaneValue operator-(LaneValue x, LaneValue y) { return x.with(x.lanes->sub(x.value, y.value)); }
inline LaneValue operator*(LaneValue x, LaneValue y) { return x.with(x.lanes->mul(x.value, y.value)); }
inline LaneValue operator/(LaneValue x, LaneValue y) { return x.with(x.lanes->divide(x.value, y.value)); }
inline LaneValue operator-(LaneValue x) { return x.with(x.lanes->neg(x.value)); }
inline LaneValue operator+(LaneValue x, double y) { return x + x.number(y); }
inline LaneValue operator-(LaneValue x, double y) { return x - x.number(y); }
inline LaneValue operator*(LaneValue x, double y) { return x * x.number(y); }
inline LaneValue operator&(LaneValue x, LaneValue y) { return x.with(x.lanes->bit_and(x.value, y.value)); }
inline LaneValue operator|(LaneValue x, LaneValue y) { return x.with(x.lanes->bit_or(x.value, y.value)); }
inline LaneValue operator^(LaneValue x, LaneValue y) { return x.with(x.lanes->bit_xor(x.value, y.value)); }
inline LaneValue operator<<(LaneValue x, unsigned n) { return x.with(x.lanes->shift_left(x.value, n)); }
inline LaneValue operator>>(LaneValue x, unsigned n) { return x.with(x.lanes->shift_right(x.value, n)); } // logical
inline LaneValue operator<(LaneValue x, LaneValue y) { return x.with(x.lanes->less(x.value, y.value)); }
inline LaneValue operator==(LaneValue x, LaneValue y) { return x.with(x.lanes->equal(x.value, y.value)); }

inline LaneValue select(LaneValue condition, LaneValue x, LaneValue y) {
  return x.with(x.lanes->select(condition.value, x.value, y.value));
}
inline LaneValue abs(LaneValue x) { return x.with(x.lanes->abs(x.value)); }
// x * y + z, fused where the target has it.
inline LaneValue mad(LaneValue x, LaneValue y, LaneValue z) { return x.with(x.lanes->mad(x.value, y.value, z.value)); }
inline LaneValue mad(LaneValue x, double y, LaneValue z) { return mad(x, x.number(y), z); }
inline LaneValue mad(LaneValue x, LaneValue y, double z) { return mad(x, y, x.number(z)); }

inline LaneValue floor(LaneValue x) { return x.with(x.lanes->floor(x.value)); }
inline LaneValue is_nan(LaneValue x) { return x.with(x.lanes->is_nan(x.value)); }
inline LaneValue operator!(LaneValue x) { return x.with(x.lanes->bit_not(x.value)); }

// The clamps keep NaN.
inline LaneValue at_most(LaneValue x, double bound) { return select(x.number(bound) < x, x.number(bound), x); }
inline LaneValue at_least(LaneValue x, double bound) { return select(x < x.number(bound), x.number(bound), x); }

// c0 + x * (c1 + x * (c2 + …)), by Horner's rule.
inline LaneValue polynomial(LaneValue x, std::initializer_list<double> coefficients) {
  const double *c = coefficients.end();
  LaneValue sum = x.number(*--c);
  while (c != coefficients.begin())
    sum = mad(sum, x, *--c);
  return sum;
}

// x + y = sum + error exactly (Knuth's TwoSum); the error is NaN where the sum is not finite.
struct TwoSum {
  LaneValue sum;
  LaneValue error;
};

inline TwoSum two_sum(LaneValue x, LaneValue y) {
  LaneValue sum = x + y, part = sum - x;
  return {sum, (x - (sum - part)) + (y - part)};
}

// x = high + low with half the digits each (Veltkamp); exact while x times 2^13 (f64: 2^27) does not overflow.
struct Halves {
  LaneValue high;
  LaneValue low;
};

inline Halves split(LaneValue x) {
  LaneValue scaled = x * (x.is_f32() ? 0x1p12 + 1 : 0x1p27 + 1), high = scaled - (scaled - x);
  return {high, x - high};
}

// x * y = product + error exactly, while neither the product nor the error leaves the normal range: by fma where the target has
// it, else by halves (Dekker).
struct TwoProduct {
  LaneValue product;
  LaneValue error;
};

inline TwoProduct two_product_by_halves(LaneValue x, LaneValue y) {
  LaneValue product = x * y;
  const Halves p = split(x), q = split(y);
  return {product, p.high * q.high - product + p.high * q.low + p.low * q.high + p.low * q.low};
}

inline TwoProduct two_product(LaneValue x, LaneValue y) {
  if (!x.lanes->target().has_fma)
    return two_product_by_halves(x, y);
  LaneValue product = x * y;
  return {product, mad(x, y, -product)};
}

inline LaneValue sign_bit(LaneValue x) { return x.bits() & x.bits().integer(x.is_f32() ? INT32_MIN : INT64_MIN); }

// A magnitude with the sign of `sign` put on.
inline LaneValue with_sign(LaneValue magnitude, LaneValue sign) { return (magnitude.bits() | sign_bit(sign)).from_bits(); }

} // namespace nnc
