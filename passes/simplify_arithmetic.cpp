// Simplify rules for sums, products and quotients, elementwise. Signs move towards the results, where they meet
// others, reach a sum (which lets them out) or an epilogue that takes them for nothing. Constant factors move when they meet one.
// Refused, because a NaN or infinity would be lost: x * 0 = 0, x - x = 0, x / x = 1.
#include "passes/simplify.h"

#include <cmath>
#include <functional>

namespace nnc {

namespace {

bool floats(const Node &node) { return is_float(node.type().dtype); }

// c + x = x + c, c * x = x * c
Value constant_right(Simplifier &s, const Node &node) {
  const Value a = node.operands[0], b = node.operands[1];
  return s.is_splat(a) && !s.is_splat(b) ? s.build.op(node.op, {b, a}) : Value{};
}

// x + 0 = x; for x = -0 and the constant +0 the sum is +0
Value add_zero(Simplifier &s, const Node &node) { return s.splat(node.operands[1]) == 0.0 ? node.operands[0] : Value{}; }
Value sub_zero(Simplifier &s, const Node &node) { return s.splat(node.operands[1]) == 0.0 ? node.operands[0] : Value{}; }

// x * 1 = x / 1 = x
Value times_one(Simplifier &s, const Node &node) { return s.splat(node.operands[1]) == 1.0 ? node.operands[0] : Value{}; }

// x * -1 = x / -1 = -x
Value times_minus_one(Simplifier &s, const Node &node) {
  return s.splat(node.operands[1]) == -1.0 ? s.build.neg(node.operands[0]) : Value{};
}

// x + x = x * 2
Value add_same(Simplifier &s, const Node &node) {
  const Value x = node.operands[0];
  return x == node.operands[1] ? s.build.mul(x, s.build.like(x, 2)) : Value{};
}

// 0 - x = -x; for x = 0 the difference is +0
Value zero_sub(Simplifier &s, const Node &node) {
  return s.splat(node.operands[0]) == 0.0 ? s.build.neg(node.operands[1]) : Value{};
}

// -(-x) = x, -(a - b) = b - a, -(x * c) = x * -c, -(x / c) = x / -c, -(c / x) = -c / x
Value neg_of(Simplifier &s, const Node &node) {
  const Value x = node.operands[0];
  if (s.is(x, Op::neg))
    return s.operand(x);
  if (!s.single_use(x))
    return {};
  if (s.is(x, Op::sub))
    return s.build.sub(s.operand(x, 1), s.operand(x, 0));
  if (s.is(x, Op::mul) || (s.is(x, Op::div) && is_float(s.dtype(x)))) {
    const Op op = s.is(x, Op::mul) ? Op::mul : Op::div;
    const Value a = s.operand(x, 0), b = s.operand(x, 1);
    if (s.is_splat(b))
      return s.build.op(op, {a, s.build.neg(b)});
    if (s.is_splat(a))
      return s.build.op(op, {s.build.neg(a), b});
  }
  return {};
}

// a + -b = a - b, -a + b = b - a, a + broadcast(-b) = a - broadcast(b)
Value add_neg(Simplifier &s, const Node &node) {
  for (int k : {1, 0})
    if (s.is(node.operands[k], Op::neg))
      return s.build.sub(node.operands[1 - k], s.operand(node.operands[k]));
  for (int k : {1, 0})
    if (const Value v = node.operands[k]; s.is(v, Op::broadcast) && s.is(s.operand(v), Op::neg) && s.single_use(v)) {
      const Attrs attrs = s.attrs(v);
      return s.build.sub(node.operands[1 - k], s.build.broadcast(s.operand(s.operand(v)), attrs.shape, attrs.axes));
    }
  return {};
}

// a - -b = a + b, -a - b = -(a + b)
Value sub_neg(Simplifier &s, const Node &node) {
  const Value a = node.operands[0], b = node.operands[1];
  if (s.is(b, Op::neg))
    return s.build.add(a, s.operand(b));
  if (s.is(a, Op::neg) && s.single_use(a))
    return s.build.neg(s.build.add(s.operand(a), b));
  return {};
}

// -a * -b = a * b, -a * c = a * -c, -a * b = -(a * b); the same for /
Value product_neg(Simplifier &s, const Node &node) {
  if (node.op == Op::div && !floats(node)) // floored
    return {};
  const Value a = node.operands[0], b = node.operands[1];
  const bool neg_a = s.is(a, Op::neg), neg_b = s.is(b, Op::neg);
  if (neg_a && neg_b)
    return s.build.op(node.op, {s.operand(a), s.operand(b)});
  if (neg_a && s.is_splat(b))
    return s.build.op(node.op, {s.operand(a), s.build.neg(b)});
  if (neg_b && s.is_splat(a))
    return s.build.op(node.op, {s.build.neg(a), s.operand(b)});
  if (neg_a && s.single_use(a))
    return s.build.neg(s.build.op(node.op, {s.operand(a), b}));
  if (neg_b && s.single_use(b))
    return s.build.neg(s.build.op(node.op, {a, s.operand(b)}));
  return {};
}

// Not 0, infinite, NaN, or so small that bits are missing: a factor that loses nothing by meeting another.
bool is_normal(DType dtype, double c) { return dtype == DType::f32 ? std::isnormal(static_cast<float>(c)) : std::isnormal(c); }

// x / c = x * (1 / c) for a power of two
Value div_by_power(Simplifier &s, const Node &node) {
  const std::optional<double> c = s.splat(node.operands[1]);
  int exponent;
  if (!c || !floats(node) || std::abs(std::frexp(*c, &exponent)) != 0.5 || !is_normal(node.type().dtype, 1 / *c))
    return {};
  return s.build.mul(node.operands[0], s.build.like(node.operands[1], 1 / *c));
}

// x * c, x / c or c / x as (x or its reciprocal) times a number.
struct Scaled {
  Value x;
  double factor;
  bool divided, over; // x / divisor; factor / x
};

std::optional<Scaled> scaled(Simplifier &s, Op op, Value a, Value b) {
  if (!is_float(s.dtype(a)))
    return std::nullopt;
  if (const std::optional<double> c = s.splat(b); c && is_normal(s.dtype(b), *c))
    return Scaled{a, *c, op == Op::div, false};
  if (const std::optional<double> c = s.splat(a); c && op == Op::div && is_normal(s.dtype(a), *c))
    return Scaled{b, *c, false, true};
  return std::nullopt;
}

// (x * c) * d = x * cd, (x * c) / d = x * (c/d), (x / c) * d = x * (d/c), (x / c) / d = x / cd, (c / x) * d = cd / x,
// (c / x) / d = (c/d) / x, d / (x * c) = (d/c) / x
Value merge_scales(Simplifier &s, const Node &node) {
  const std::optional<Scaled> outer = scaled(s, node.op, node.operands[0], node.operands[1]);
  if (!outer || !s.single_use(outer->x) || !(s.is(outer->x, Op::mul) || s.is(outer->x, Op::div)))
    return {};
  const Op inner_op = s.is(outer->x, Op::mul) ? Op::mul : Op::div;
  const std::optional<Scaled> inner = scaled(s, inner_op, s.operand(outer->x, 0), s.operand(outer->x, 1));
  if (!inner || s.is_splat(inner->x))
    return {};
  double c = 0;
  Op op = Op::mul;
  if (outer->over) {
    if (inner->divided || inner->over)
      return {};
    c = outer->factor / inner->factor;
    op = Op::div;
  } else if (inner->divided && outer->divided) {
    c = inner->factor * outer->factor;
    op = Op::div;
  } else {
    c = inner->divided   ? outer->factor / inner->factor
        : outer->divided ? inner->factor / outer->factor
                         : inner->factor * outer->factor;
    op = inner->over ? Op::div : Op::mul;
  }
  if (!is_normal(node.type().dtype, c))
    return {};
  const Value number = s.build.constant(node.type(), c);
  return inner->over || outer->over ? s.build.div(number, inner->x) : s.build.op(op, {inner->x, number});
}

// A product or quotient that is written anew without a factor: nobody else reads it, and it is not too far down.
bool is_open(Simplifier &s, Value v, int depth) {
  constexpr int deepest = 6;
  return depth <= deepest && (s.is(v, Op::mul) || s.is(v, Op::div)) && s.single_use(v);
}

// The factors of an open product, from the top down, until one is `found`. A dividend has factors, but is none itself.
bool any_factor(Simplifier &s, Value v, const std::function<bool(Value)> &found, int depth = 0) {
  if (!is_open(s, v, depth))
    return depth > 0 && found(v);
  const Value a = s.operand(v, 0), b = s.operand(v, 1);
  if (s.is(v, Op::div))
    return is_open(s, a, depth + 1) && any_factor(s, a, found, depth + 1);
  return any_factor(s, a, found, depth + 1) || any_factor(s, b, found, depth + 1);
}

// The same product without `factor`, which is one of those.
Value without_factor(Simplifier &s, Value v, Value factor, int depth = 0) {
  const Value a = s.operand(v, 0), b = s.operand(v, 1);
  if (s.is(v, Op::div))
    return s.build.div(without_factor(s, a, factor, depth + 1), b);
  if (a == factor || b == factor)
    return a == factor ? b : a;
  const bool in_a = any_factor(s, a, [&](Value x) { return x == factor; }, depth + 1);
  return in_a ? s.build.mul(without_factor(s, a, factor, depth + 1), b) : s.build.mul(a, without_factor(s, b, factor, depth + 1));
}

// Between which numbers that lies.
Bounds bounds_without(Simplifier &s, Value v, Value factor, int depth = 0) {
  const Value a = s.operand(v, 0), b = s.operand(v, 1);
  const auto known = [&](Value x) { return bounds(s.build.region(), x); };
  if (s.is(v, Op::div))
    return quotient(bounds_without(s, a, factor, depth + 1), known(b));
  if (a == factor || b == factor)
    return known(a == factor ? b : a);
  const bool in_a = any_factor(s, a, [&](Value x) { return x == factor; }, depth + 1);
  return in_a ? product(bounds_without(s, a, factor, depth + 1), known(b))
              : product(known(a), bounds_without(s, b, factor, depth + 1));
}

// x * y + x * z = x * (y + z), however deep in the products x is, where y or z is known to be moderate; the same for -. What is
// left is often known earlier: of the derivative of gelu, it is all but the one factor that comes from behind.
Value common_factor(Simplifier &s, const Node &node) {
  const Value a = node.operands[0], b = node.operands[1];
  if (!floats(node) || a == b)
    return {};
  Value common;
  const auto is_common = [&](Value x) {
    if (s.is_splat(x) || !any_factor(s, b, [&](Value y) { return y == x; }))
      return false;
    common = x;
    return true;
  };
  if (!any_factor(s, a, is_common))
    return {};
  const DType dtype = node.type().dtype;
  if (!is_moderate(bounds_without(s, a, common), dtype) && !is_moderate(bounds_without(s, b, common), dtype))
    return {}; // y + z may overflow
  return s.build.mul(common, s.build.op(node.op, {without_factor(s, a, common), without_factor(s, b, common)}));
}

// x ** n by multiplications. Many of them round too often for f32, but not in f64, which no power leaves that f32 can hold.
Value known_power(Simplifier &s, const Node &node) {
  constexpr double most_factors = 64;
  const Value x = node.operands[0];
  const std::optional<double> n = s.splat(node.operands[1]);
  if (!n || *n != std::floor(*n) || std::abs(*n) > most_factors)
    return {};
  const auto whole = static_cast<int64_t>(*n);
  if (is_short_power(whole))
    return s.build.power(x, whole);
  if (node.type().dtype != DType::f32)
    return {};
  return s.build.cast(s.build.power(s.build.cast(x, DType::f64), whole), DType::f32);
}

// c ** x by way of f64, where the product with log(c) has digits to spare. Not for 1, whose powers are 1 at infinity, too.
Value power_of_known(Simplifier &s, const Node &node) {
  const std::optional<double> c = s.splat(node.operands[0]);
  if (!c || !(*c > 0) || *c == 1 || std::isinf(*c) || node.type().dtype != DType::f32)
    return {};
  const Value x = s.build.cast(node.operands[1], DType::f64);
  return s.build.cast(s.build.op(Op::exp, {s.build.mul(x, s.build.like(x, std::log(*c)))}), DType::f32);
}

} // namespace

std::vector<SimplifyRule> arithmetic_rules() {
  return {
      {"constant_right", Op::add, constant_right, "c + x = x + c", exact},
      {"constant_right", Op::mul, constant_right, "c * x = x * c", exact},
      {"add_zero", Op::add, add_zero, "x + 0 = x", zero_sign},
      {"sub_zero", Op::sub, sub_zero, "x - 0 = x", zero_sign},
      {"zero_sub", Op::sub, zero_sub, "0 - x = -x", zero_sign},
      {"times_one", Op::mul, times_one, "x * 1 = x", exact},
      {"times_one", Op::div, times_one, "x / 1 = x", exact},
      {"times_minus_one", Op::mul, times_minus_one, "x * -1 = -x", exact},
      {"times_minus_one", Op::div, times_minus_one, "x / -1 = -x", exact},
      {"add_same", Op::add, add_same, "x + x = x * 2", exact},
      {"neg_of", Op::neg, neg_of, "-(-x) = x, -(a - b) = b - a, -(x * c) = x * -c", zero_sign},
      {"add_neg", Op::add, add_neg, "a + -b = a - b", exact},
      {"sub_neg", Op::sub, sub_neg, "a - -b = a + b, -a - b = -(a + b)", zero_sign},
      {"product_neg", Op::mul, product_neg, "-a * b = -(a * b), -a * -b = a * b", exact},
      {"product_neg", Op::div, product_neg, "-a / b = -(a / b), -a / -b = a / b", exact},
      {"div_by_power", Op::div, div_by_power, "x / c = x * (1/c), c a power of two", exact},
      {"merge_scales", Op::mul, merge_scales, "(x * c) * d = x * cd, (x / c) * d = x * (d/c), (c / x) * d = cd / x", two_ulp},
      {"merge_scales", Op::div, merge_scales, "(x * c) / d = x * (c/d), (x / c) / d = x / cd, d / (x * c) = (d/c) / x", two_ulp},
      {"known_power", Op::pow, known_power, "x ** n = x * x * … for whole n from -2 to 4, in f32 by way of f64 to 64", two_ulp},
      {"power_of_known", Op::pow, power_of_known, "c ** x = exp(x * log(c)) in f64, for f32", two_ulp},
      {"common_factor", Op::add, common_factor, "x * y + x * z = x * (y + z), y or z bounded", factored},
      {"common_factor", Op::sub, common_factor, "x * y - x * z = x * (y - z), y or z bounded", factored},
  };
}

} // namespace nnc
