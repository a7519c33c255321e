// exp, log, tanh, erf and their kin as inline vector code. Sine and cosine are in vector_trig.cpp, powers in vector_pow.cpp.
//
// Every function holds for all inputs: NaN gives NaN, infinities and zeros (with their sign) what analysis says, denormal inputs
// and results are kept. Clamps are compare-and-select, which keeps NaN. Nothing depends on a target having fma: `mad` only makes
// it faster and a little more accurate; the leading parts of split constants have so few bits that their products are exact.
//
// All coefficients are minimax fits computed for this file with Remez exchange in 60-digit arithmetic, then rounded; where
// f32 coefficients mattered, the neighbours of the rounded ones were searched for the smallest error. The interval and the
// error of the fit alone stand at each; measured errors with all roundings (ULP, f32 over all inputs) are in docs/kernels.md.

#include "codegen/vector_math.h"

#include "codegen/vector_parts.h"

#include <limits>
#include <optional>

namespace nnc {

using llvm::Value;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

constexpr double log2_e = 0x1.71547652b82fep+0;

// x = n ln 2 + r with whole n and |r| <= ln 2 / 2. Adding 1.5 * 2^mantissa_bits rounds to a whole number, which then stands in
// the low bits: they are n + 2 bias.
struct Reduced {
  LaneValue n, r, bits;
};

// Of the sum of x and `low`, which is a rest of x or nothing.
Reduced reduce(LaneValue x, std::optional<LaneValue> low) {
  const FloatFormat format = float_format(x);
  const double shift = 1.5 * static_cast<double>(int64_t{1} << format.mantissa_bits) + 2 * format.bias;
  LaneValue shifted = mad(x, log2_e, x.number(shift)), n = shifted - shift;
  LaneValue r = mad(n, -format.ln2_high, x);
  return {n, low ? r + mad(n, -format.ln2_low, *low) : mad(n, -format.ln2_low, r), shifted.bits()};
}

// y 2^n, where 2^n may be beyond the largest number or denormal while the result is not, so it is applied in two factors: one
// half of the bits of n is the biased exponent of the one factor, the rest of the other. Only the last product rounds.
LaneValue scaled(LaneValue y, LaneValue n_bits) {
  const FloatFormat format = float_format(y);
  LaneValue half = n_bits >> 1, rest = n_bits - half;
  auto power = [&](LaneValue exponent) { return (exponent << format.mantissa_bits).from_bits(); };
  return y * power(half) * power(rest);
}

// e^(x + low) = 2^n e^r.
LaneValue exp(LaneValue x, std::optional<LaneValue> low = {}) {
  const bool f32 = x.is_f32();
  x = at_most(at_least(x, f32 ? -104 : -746), f32 ? 89 : 710); // to 0 and infinity beyond
  const auto [n, r, bits] = reduce(x, low);
  LaneValue e_r = f32 ? polynomial(r, {1, 1, 0.5, 0x1.555466p-3, 0x1.5552fep-5, 0x1.1257dcp-7, 0x1.6ff02ap-10}) // 2^-27.8
                      : polynomial(r, {1, 1, 0x1.000000000000ap-1, 0x1.55555555554f9p-3, 0x1.555555555083fp-5,
                                       0x1.1111111127d1p-7, 0x1.6c16c184388eap-10, 0x1.a01a012a0e024p-13, 0x1.a01999e2b7996p-16,
                                       0x1.71df25b66c101p-19, 0x1.28ad9b3ef2749p-22, 0x1.ad7f393e88573p-26}); // 2^-56.3
  return scaled(e_r, bits);
}

// e^x - 1 = 2^n (e^r - 1 + (1 - 2^-n)): nothing cancels, for the bracket is exact while it matters, and 0 where n is. The sign
// is that of x, which only -0 has to be told.
LaneValue expm1(LaneValue x) {
  const bool f32 = x.is_f32();
  const FloatFormat format = float_format(x);
  const auto [n, r, bits] = reduce(at_most(at_least(x, f32 ? -18 : -38), f32 ? 89 : 710), {}); // to -1 and infinity beyond
  // e^r - 1 = r + r^2 q(r); error of the result 2^-28.7 and 2^-61.7.
  LaneValue q = f32 ? polynomial(r, {0.5, 0x1.555554p-3, 0x1.5554bp-5, 0x1.11118ap-7, 0x1.6d723ep-10, 0x1.a032c6p-13})
                    : polynomial(r, {0.5, 0x1.5555555555559p-3, 0x1.555555555553ep-5, 0x1.111111110f6c5p-7, 0x1.6c16c16c1f0e9p-10,
                                     0x1.a01a01afdd851p-13, 0x1.a01a017baf37bp-16, 0x1.71ddf863cb8bep-19, 0x1.27e5364510532p-22,
                                     0x1.af5ea836f2352p-26, 0x1.1ee8870946e59p-29});
  LaneValue inverse = ((bits.integer(3 * format.bias) - bits) << format.mantissa_bits).from_bits(); // 2^-n
  inverse = select(n < n.number(64), inverse, n.number(0));
  LaneValue result = scaled(mad(r * r, q, r) + (n.number(1) - inverse), bits);
  return (result.bits() | sign_bit(x)).from_bits();
}

// x = 2^e m with m in sqrt(1/2) … sqrt(2), f = m - 1: log x = e ln 2 + log(1 + f). A rest is added to x, which then is no
// denormal.
LaneValue log(LaneValue x, std::optional<LaneValue> rest_of_x = {}) {
  const bool f32 = x.is_f32();
  const FloatFormat format = float_format(x);
  const double least_normal = f32 ? 0x1p-126 : 0x1p-1022, whole = f32 ? 0x1p23 : 0x1p52;
  LaneValue denormal = x < x.number(least_normal);
  LaneValue bits = (rest_of_x ? x : select(denormal, x * whole, x)).bits();
  const int64_t sqrt_half = f32 ? 0x3F3504F3 : 0x3FE6A09E667F3BCD; // bits of sqrt(1/2)
  // The exponent stays biased, so positive; in the low bits of `whole` it becomes a float.
  const int64_t one = int64_t{format.bias} << format.mantissa_bits;
  LaneValue exponent = (bits + bits.integer(one - sqrt_half)) >> format.mantissa_bits;
  LaneValue m = (bits - (exponent << format.mantissa_bits) + bits.integer(one)).from_bits();
  LaneValue bias = x.number(whole + format.bias);
  if (!rest_of_x)
    bias = select(denormal, bias + format.mantissa_bits, bias);
  LaneValue e = (exponent | bits.integer(f32 ? 0x4B000000 : 0x4330000000000000)).from_bits() - bias;
  LaneValue f = m - 1;
  if (rest_of_x) { // times 2^-e; for large x, where that may be no number, the rest is nothing beside the result
    LaneValue power = ((bits.integer(2 * format.bias) - exponent) << format.mantissa_bits).from_bits();
    f = mad(*rest_of_x, select(x < x.number(0x1p10), power, x.number(0)), f);
  }
  LaneValue square = f * f, result = x;
  if (f32) {
    // log(1 + f) = f - f^2/2 + f^3 p(f), -0.293 <= f <= 0.4143; 2^-27.3 of the result.
    LaneValue p = polynomial(f, {0x1.555554p-2, -0x1.00022ap-2, 0x1.99a03cp-3, -0x1.547178p-3, 0x1.22d46ap-3, -0x1.0d8738p-3,
                                 0x1.05889ep-3, -0x1.39229cp-4});
    LaneValue rest = mad(e, format.ln2_low, square * mad(f, p, -0.5));
    result = mad(e, format.ln2_high, f + rest);
  } else {
    // With s = f / (2 + f): log(1 + f) = 2 atanh(s) = f - f^2/2 + s (f^2/2 + z q(z)), z = s^2; 2^-58.9 of the result.
    LaneValue s = f / (f + 2), z = s * s, half_square = square * 0.5;
    LaneValue q = polynomial(z, {0x1.5555555555592p-1, 0x1.999999997fd7ap-2, 0x1.24924941f4e05p-2, 0x1.c71c520615dep-3,
                                 0x1.74663fa07a01fp-3, 0x1.39a1a70c4652ap-3, 0x1.2f0634596ccffp-3});
    LaneValue rest = half_square - mad(s, mad(z, q, half_square), e * format.ln2_low);
    result = mad(e, format.ln2_high, f - rest);
  }
  result = select(x < x.number(infinity), result, x); // infinity, NaN
  LaneValue outside = select(x == x.number(0), x.number(-infinity), x.number(not_a_number));
  return select(x.number(0) < x, result, outside);
}

// The logarithm of the rounded sum, with what the rounding took away.
LaneValue log1p(LaneValue x) {
  const auto [sum, error] = two_sum(x, x.number(1));
  LaneValue result = log(sum, error);
  return (result.bits() | sign_bit(x)).from_bits(); // for -0
}

// The angle of a = |x| is that of (a - 1) / (a + 1) and pi/4, above tan(3 pi / 8) that of -1 / a and pi/2: never more than pi/8
// beyond. One division for all.
LaneValue atan(LaneValue x) {
  const bool f32 = x.is_f32();
  LaneValue a = abs(x), one = x.number(1);
  LaneValue middle = a.number(0x1.a8279ap-2) < a, large = a.number(0x1.3504f4p+1) < a; // tan(pi / 8), tan(3 pi / 8)
  LaneValue t = select(large, -one, select(middle, a - 1, a)) / select(large, a, select(middle, a + 1, one));
  LaneValue y = t * t;
  // atan t = t + t y p(y), |t| <= tan(pi / 8); error of the result 2^-30.4 and 2^-59.4.
  LaneValue p = f32 ? polynomial(y, {-0x1.55554ap-2, 0x1.999188p-3, -0x1.23b3f8p-3, 0x1.b1dap-4, -0x1.f18cdep-5})
                    : polynomial(y, {-0x1.555555555553cp-2, 0x1.9999999995695p-3, -0x1.24924922a23d1p-3, 0x1.c71c70e1c6d1fp-4,
                                     -0x1.745cf861e6bc5p-4, 0x1.3b111099c4b4cp-4, -0x1.10eb574ffc429p-4, 0x1.df09c262e4110p-5,
                                     -0x1.9cb9ac1a660b1p-5, 0x1.3795964b7040cp-5, -0x1.24dd2c7d59b45p-6});
  const double half_pi = f32 ? 0x1.921fb6p+0 : 0x1.921fb54442d18p+0, rest = f32 ? -0x1.777a5cp-25 : 0x1.1a62633145c07p-54;
  auto base = [&](double part) { return select(large, x.number(part), select(middle, x.number(part / 2), x.number(0))); };
  return with_sign(base(half_pi) + (t + mad(t * y, p, base(rest))), x);
}

// With e = exp(-|x|), which never overflows: 1 / (1 + e), below 0 e / (1 + e).
LaneValue sigmoid(LaneValue x) {
  LaneValue e = exp(-abs(x)), one = x.number(1);
  return select(x < x.number(0), e, one) / (e + one);
}

// Far below 0 the result is exp(-a^2 / 2) g(a) with a = |x|, above it is 1 less that. a^2 needs all its digits: what an error of
// it is, that of the result is, relatively. g, the ratio of Mills over sqrt(2 pi), falls from 1/2 like 1 / (a + 2), and so slowly
// beside it that it is a polynomial of t = (a - k) / (a + k), which runs from -1 to less than 1.
LaneValue normal_cdf(LaneValue x) {
  const bool f32 = x.is_f32();
  const double k = f32 ? 3.5 : 5;
  LaneValue a = at_most(abs(x), f32 ? 14.4 : 38.6); // 0 beyond
  const auto [square, error] = two_product(a, a);
  LaneValue t = (a - k) / (a + k);
  // g(a) (a + 2): 2^-27.9 and 2^-56.8.
  LaneValue p =
      f32 ? polynomial(t, {0x1.2b77ccp-1, -0x1.23b05p-2, 0x1.035d0ap-3, -0x1.82886ep-6, -0x1.6ecc9cp-7, 0x1.2107c6p-7,
                           -0x1.200382p-10, -0x1.0ed8a8p-10, 0x1.e56c2ap-13, 0x1.1e93dp-13})
          : polynomial(t, {0x1.13adc51e2e8c6p-1,   -0x1.e14cd6649823dp-3, 0x1.2d4255c5aa9c9p-3,   -0x1.2254aa73edd00p-4,
                           0x1.5f81e538375a3p-6,   0x1.2667773e717b0p-10, -0x1.94f32b8e6202ap-8,  0x1.0f86a0d1ad695p-8,
                           -0x1.7dd182df3f826p-10, 0x1.29f073f8ea665p-13, 0x1.ff506343bc45ep-14,  -0x1.b9a1c6901afedp-15,
                           -0x1.b48018ad908bcp-19, 0x1.056a64157a681p-17, -0x1.8f5161ebeb73fp-21, -0x1.1e236d9c5c620p-20,
                           0x1.b0efebaab9eddp-23,  0x1.5527a52a0777ep-23, -0x1.1b29c87ec404ap-25, -0x1.b9b8777ff59d0p-26,
                           0x1.435201eb9d64fp-29,  0x1.beda1897edf52p-29, 0x1.e98b4aebede9ep-32});
  // 1 / (a + 2) is r (1 + rest), and e^rest is 1 + rest: exp takes it for nothing.
  const TwoSum sum = two_sum(a, a.number(2));
  LaneValue r = a.number(1) / sum.sum;
  const TwoProduct back = two_product(r, sum.sum);
  LaneValue rest = a.number(1) - back.product - back.error - r * sum.error;
  LaneValue tail = exp(square * -0.5, mad(error, -0.5, rest)) * (p * r);
  return select(x < x.number(0), tail, x.number(1) - tail);
}

// Odd rational functions a p(a^2) / q(a^2) that end in 1 for a >= top.
LaneValue tanh_f32(LaneValue x) {
  // 0 <= a <= 9.02: 2^-27.4. All terms that matter are positive, so nothing cancels.
  LaneValue a = at_most(abs(x), 9.02), y = a * a;
  LaneValue p = polynomial(y, {1, 0x1.182a24p-3, 0x1.fb077p-9, 0x1.d5e2d4p-16, 0x1.06b8e6p-25, -0x1.ad5e36p-37});
  LaneValue q = polynomial(y, {1, 0x1.e16a66p-2, 0x1.be654ap-6, 0x1.9cfeaap-12, 0x1.5992dep-20});
  return with_sign(at_most(a * p / q, 1), x);
}

// Up to 0.55 an odd polynomial, above 1 - 2 / (e^2a + 1), where what is wrong with the quotient counts less than in the result.
LaneValue tanh_f64(LaneValue x) {
  LaneValue a = at_most(abs(x), 20), y = a * a;
  // tanh a = a + a y p(y), 0 <= a <= 0.55: 2^-59.6 of the result.
  LaneValue p = polynomial(y, {-0x1.555555555554fp-2, 0x1.1111111110788p-3, -0x1.ba1ba1b97c378p-5, 0x1.664f485922ff9p-6,
                               -0x1.226e2f0a424eap-7, 0x1.d6d299ee7b706p-9, -0x1.7d8fbdc091babp-10, 0x1.3482f56da9c8ap-11,
                               -0x1.e96839c5a82f9p-13, 0x1.5d5e2f0a6edd1p-14, -0x1.46d8fd4bf954fp-16});
  LaneValue far = a.number(1) - a.number(2) / (exp(a * 2) + 1);
  return with_sign(select(a < a.number(0.55), mad(a * y, p, a), far), x);
}

// Up to 1 an odd polynomial, above 1 - erfc, where the error of erfc counts less the smaller it is.
// a + a p, where a may be next to 0 and p is not: rounded once more without fma, for a p would be flushed while the sum is
// normal.
LaneValue and_part_of_itself(LaneValue a, LaneValue p) {
  return a.lanes->target().has_fma ? mad(a, p, a) : a * (p + a.number(1));
}

LaneValue erf_f32(LaneValue x) {
  LaneValue a = at_most(abs(x), 4), y = a * a;
  // erf a = a + a p(a^2), 0 <= a <= 1: 2^-29.4 of the result.
  LaneValue p = polynomial(
      y, {0x1.06eba8p-3, -0x1.81273ep-2, 0x1.ce2ce6p-4, -0x1.b7f71ap-6, 0x1.53f224p-8, -0x1.a3515ep-11, 0x1.4771fep-14});
  // erfc a = q(a)^-8, 1 <= a <= 4: 2^-29.2.
  LaneValue q = polynomial(a, {0x1.0067aap+0, 0x1.0e74a2p-3, 0x1.c99a4ep-4, -0x1.b0978cp-8, 0x1.f55e52p-6, -0x1.c88682p-7,
                               0x1.7405p-8, -0x1.241032p-10, 0x1.ff0c3p-14});
  q = q * q;
  q = q * q;
  LaneValue far = a.number(1) - a.number(1) / (q * q);
  return with_sign(select(a < a.number(1), and_part_of_itself(a, p), far), x);
}

// As in f32, but with log erfc as the polynomial.
LaneValue erf_f64(LaneValue x) {
  LaneValue a = at_most(abs(x), 6), y = a * a;
  // erf a = a + a p(a^2), 0 <= a <= 1: 2^-56.3 of the result.
  LaneValue p = polynomial(y, {0x1.06eba8214db69p-3, -0x1.812746b0379e6p-2, 0x1.ce2f21a042b2p-4, -0x1.b82ce3128498dp-6,
                               0x1.565bcd0db0062p-8, -0x1.c02db3d8e5a5p-11, 0x1.f9a321a03ac89p-14, -0x1.f4d1df27a6b38p-17,
                               0x1.b9def0b441ff2p-20, -0x1.5f1d2ec985317p-23, 0x1.f7a3ba0a1a78ap-27, -0x1.3869a94a830fp-30,
                               0x1.0576a4742731cp-34});
  // log erfc a, 1 <= a <= 6, weighted with erfc a: 2^-58.6.
  LaneValue q = polynomial(a, {-0x1.8b95591dacedap-23, -0x1.20dd556cd1e84p+0, -0x1.45f43249ecaccp-1, -0x1.a4d9afa896636p-4,
                               0x1.388eb9bd31566p-6, 0x1.27e0236e8164dp-12, -0x1.d03869cfba789p-10, 0x1.510032bf4cc4bp-11,
                               -0x1.8130b3171c6a6p-15, -0x1.24a3cb54098b4p-14, 0x1.77a1765a49e05p-15, -0x1.138e9ac1ee25cp-16,
                               0x1.20bdeea537cffp-18, -0x1.c5d9d1a711638p-21, 0x1.0c2171fe3039dp-23, -0x1.d0bae13e7620fp-27,
                               0x1.17a297937292ep-30, -0x1.a2143523f6987p-35, 0x1.248d3bd907e09p-40});
  return with_sign(select(a < a.number(1), and_part_of_itself(a, p), a.number(1) - exp(q)), x);
}

} // namespace

FloatFormat float_format(LaneValue x) {
  if (x.is_f32())
    return {23, 127, 0x1.62e4p-1, 0x1.7f7d1cp-20};
  return {52, 1023, 0x1.62e42fefa4p-1, -0x1.8432a1b0e2634p-43};
}

LaneValue exp_of_sum(LaneValue high, LaneValue low) { return exp(high, low); }

Value *emit_exp(const Lanes &lanes, Value *x) { return exp({lanes, x}).value; }
Value *emit_expm1(const Lanes &lanes, Value *x) { return expm1({lanes, x}).value; }
Value *emit_log(const Lanes &lanes, Value *x) { return log({lanes, x}).value; }
Value *emit_log1p(const Lanes &lanes, Value *x) { return log1p({lanes, x}).value; }
Value *emit_atan(const Lanes &lanes, Value *x) { return atan({lanes, x}).value; }
Value *emit_sigmoid(const Lanes &lanes, Value *x) { return sigmoid({lanes, x}).value; }
Value *emit_normal_cdf(const Lanes &lanes, Value *x) { return normal_cdf({lanes, x}).value; }

Value *emit_tanh(const Lanes &lanes, Value *x) {
  const LaneValue a(lanes, x);
  return (a.is_f32() ? tanh_f32(a) : tanh_f64(a)).value;
}

Value *emit_erf(const Lanes &lanes, Value *x) {
  const LaneValue a(lanes, x);
  return (a.is_f32() ? erf_f32(a) : erf_f64(a)).value;
}

} // namespace nnc
