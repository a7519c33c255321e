// pow as vector code, one internal function of the module for a dtype and width: |x|^y = e^(y log |x|), then what IEEE 754 says
// of signs, zeros, infinities and NaN. What is wrong with the logarithm counts y log |x| times in the result, up to 700 times. So
// f32 is computed in f64, and the logarithm of an f64 is a sum of two. Coefficients: as in vector_math.cpp.

#include "codegen/vector_math.h"

#include "codegen/vector_parts.h"

#include <array>
#include <limits>

namespace nnc {

using llvm::Value;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double beyond = 0x1p65; // larger exponents give what this one gives: 0, 1 or infinity

// a = 2^e m with m in 1 … 2, for f64 that are positive, finite and not denormal.
struct Parts {
  LaneValue e, m;
};

Parts parts(LaneValue a) {
  LaneValue bits = a.bits();
  LaneValue e = ((bits >> 52) | bits.integer(0x4330000000000000)).from_bits() - (0x1p52 + 1023);
  LaneValue m = ((bits & bits.integer((int64_t{1} << 52) - 1)) | bits.integer(0x3FF0000000000000)).from_bits();
  return {e, m};
}

// With rounding to spare, all in f64. c is 1 or 2, where m / c is in sqrt(1/2) … sqrt(2); with s = (m - c) / (m + c),
// log(m / c) = 2 atanh(s) = 2 s + s z q(z), z = s^2; 2^-37.6 of the result.
LaneValue pow_of_f32(LaneValue a, LaneValue y) {
  const auto [e_of_1, m] = parts(a);
  LaneValue upper = m.number(0x1.6a09e667f3bcdp+0) < m; // sqrt(2)
  LaneValue c = select(upper, m.number(2), m.number(1)), e = select(upper, e_of_1 + 1, e_of_1);
  LaneValue s = (m - c) / (m + c), z = s * s;
  LaneValue q = polynomial(z, {0x1.555554fd414fbp-1, 0x1.999a7b3b97aa7p-2, 0x1.2438a872a0a32p-2, 0x1.e2fdd2e1f0e36p-3});
  LaneValue log = mad(e, 0x1.62e42fefa39efp-1, mad(s * z, q, s + s));

  LaneValue x = at_most(at_least(y * log, -200), 200); // to 0 and infinity beyond
  LaneValue shifted = mad(x, 0x1.71547652b82fep+0, x.number(0x1.8p52 + 1023)), n = shifted - (0x1.8p52 + 1023);
  LaneValue r = mad(n, -0x1.62e42fefa39efp-1, x);
  LaneValue e_r = polynomial(r, {0x1.0000000263683p+0, 0x1.0000009c7a13fp+0, 0x1.fffffaaba0833p-2, 0x1.555409d2eb50cp-3,
                                 0x1.55589bbb62cd8p-5, 0x1.126d65d30492dp-7, 0x1.6ab94682ee25ap-10}); // 2^-29
  return e_r * (shifted.bits() << 52).from_bits();
}

// high + low, with high = x + y rounded, where the exponent of x is that of y at least, or x is 0.
TwoSum sum_of_ordered(LaneValue x, LaneValue y) {
  LaneValue sum = x + y;
  return {sum, y - (sum - x)};
}

// log a as a sum of two, right to 2^-66 of it. c is 1, 3/2 or 2, so that m / c is within sqrt(2/3) … sqrt(3/2): then z / 3 is
// below 2^-8, and so many digits fewer are needed of the series than of 2 s; of its terms behind the first, 15 fewer, which f64
// has.
TwoSum log_of_f64(LaneValue a) {
  LaneValue denormal = a < a.number(0x1p-1022);
  auto [e, m] = parts(select(denormal, a * 0x1p54, a));
  e = select(denormal, e - 54, e);
  LaneValue above_1 = m.number(0x1.3988e1409212ep+0) < m, above_3_2 = m.number(0x1.bb67ae8584caap+0) < m; // sqrt(3/2), sqrt(3)
  auto by_interval = [&](double one, double three_halves, double two) {
    return select(above_3_2, m.number(two), select(above_1, m.number(three_halves), m.number(one)));
  };
  e = e + by_interval(0, 0, 1);
  // e ln 2 + log c, the first part exact: log(3/2) in two parts as ln 2 is.
  const FloatFormat format = float_format(a);
  LaneValue base_high = mad(e, format.ln2_high, by_interval(0, 0x1.9f323eccp-2, 0));
  LaneValue base_low = mad(e, format.ln2_low, by_interval(0, -0x1.9ed03525ca264p-40, 0));

  LaneValue c = by_interval(1, 1.5, 2), f = m - c; // exact
  const TwoSum d = sum_of_ordered(c, m);
  LaneValue s = f / d.sum;
  const TwoProduct back = two_product(s, d.sum);
  LaneValue s_low = (f - back.product - back.error - s * d.error) / d.sum;

  // 2 atanh(s) = 2 s + s z w, w = 2/3 + z q(z); 2^-71.3 of the result.
  const TwoProduct square = two_product(s, s);
  LaneValue z = square.product, z_low = mad(s + s, s_low, square.error);
  LaneValue q = z * polynomial(z, {0x1.9999999999959p-2, 0x1.24924924a72bfp-2, 0x1.c71c71768eab6p-3, 0x1.745d6376f72a8p-3,
                                   0x1.3aedc22cf81d8p-3, 0x1.1a97953c4be13p-3});
  const TwoSum w = sum_of_ordered(z.number(0x1.5555555555555p-1), q);
  LaneValue w_low = w.error + 0x1.5555555555555p-55;
  const TwoProduct zw = two_product(z, w.sum);
  LaneValue zw_low = mad(z, w_low, mad(z_low, w.sum, zw.error));
  const TwoProduct t = two_product(s, zw.product);
  LaneValue t_low = mad(s, zw_low, mad(s_low, zw.product, t.error));

  const TwoSum first = sum_of_ordered(base_high, s + s), second = sum_of_ordered(first.sum, t.product);
  return sum_of_ordered(second.sum, first.error + second.error + (base_low + (s_low + s_low) + t_low));
}

LaneValue pow_of_f64(LaneValue a, LaneValue y) {
  const TwoSum log = log_of_f64(a);
  const TwoProduct x = two_product(y, log.sum);
  LaneValue low = mad(y, log.error, x.error);
  // Beyond the range of exp no digit of the rest matters, and it might be anything.
  return exp_of_sum(x.product, select(abs(x.product) < x.product.number(0x1p11), low, low.number(0)));
}

LaneValue pow(LaneValue x, LaneValue y) {
  const Lanes &l = *x.lanes;
  auto convert = [&](LaneValue v, DType to) { return v.with(l.convert(v.value, to)); };
  LaneValue a = abs(x), zero = x.number(0), infinite = x.number(infinity);
  LaneValue bounded = at_most(at_least(y, -beyond), beyond);
  LaneValue result =
      x.is_f32() ? convert(pow_of_f32(convert(a, DType::f64), convert(bounded, DType::f64)), DType::f32) : pow_of_f64(a, bounded);
  // log 0 and log infinity were numbers.
  LaneValue rises = (a == zero) == (y < zero);
  result = select((a == zero) | (a == infinite), select(rises, infinite, zero), result);
  // The sign of a power of -|x|. What has no bits behind the point is whole, and even from 2^24 (f64: 2^53) on.
  LaneValue half = y * 0.5, whole = floor(y) == y, odd = whole & !(floor(half) == half), sign = sign_bit(x);
  result = (result.bits() ^ select(odd, sign, sign.integer(0))).from_bits();
  result = select((x < zero) & (a < infinite) & !whole, x.number(not_a_number), result);
  result = select(is_nan(x) | is_nan(y), x + y, result);
  return select((y == zero) | (x == x.number(1)), x.number(1), result);
}

} // namespace

Value *emit_pow(const Lanes &lanes, Value *x, Value *y) {
  const std::array<Value *, 2> operands = {x, y};
  return call_formula(lanes, "pow", operands, [](auto v) { return pow(v[0], v[1]); });
}

} // namespace nnc
