// One row an op of ops.def: grad_<name>, a function that builds the derivative, or Flow::nothing, or Flow::refused. A row of
// ops.def without one here does not compile.
//
// In the maths, y is the op's result and d the derivative of the final scalar by it. Rules use y rather than the operands where
// they can: y is at hand, and the operand is often needed by nobody else (softmax, relu and sqrt then keep one tensor less).
// What a rule builds twice for two operands is merged by cse; what is not asked for is not built.
#include "passes/grad_rules.h"

#include "passes/bounds.h"

#include <algorithm>
#include <numbers>
#include <numeric>

namespace nnc {

namespace {

bool contains(const Shape &axes, int64_t axis) { return std::find(axes.begin(), axes.end(), axis) != axes.end(); }

Value zero(const Backward &g, Value like) { return g.b.like(like, 0); }

// A slope that may be infinite or NaN: what comes as 0 leaves as 0, and does not become NaN by 0 * inf. A branch of `where` that
// is not taken has no part in the derivative then. Where the slope is known to be finite, as of most divisors, nothing stands in
// the way of simplify.
Value held_at_zero(const Backward &g, Value derivative) {
  const Value none = zero(g, g.d);
  return g.b.select(g.b.eq(g.d, none), none, derivative);
}

bool nonzero(const Backward &g, Value v) {
  const Bounds known = bounds(g.b.region(), v);
  return known.low > 0 || known.high < 0;
}

// d / b
Value quotient(const Backward &g, Value b) {
  const Value result = g.b.div(g.d, b);
  return nonzero(g, b) ? result : held_at_zero(g, result);
}

// Elementwise.

Value grad_add(const Backward &g, int) { return g.d; }
Value grad_sub(const Backward &g, int k) { return k == 0 ? g.d : g.b.neg(g.d); }
Value grad_mul(const Backward &g, int k) { return g.b.mul(g.d, g.operand(1 - k)); }
Value grad_neg(const Backward &g, int) { return g.b.neg(g.d); }

// da = d / b; db = -d a / b^2, by way of the result where b is not 0. Where it may be, neither factor of a product may be
// infinite or NaN when d is 0: that would be a NaN of the second derivative.
Value grad_div(const Backward &g, int k) {
  const Value a = g.operand(0), b = g.operand(1), da = quotient(g, b);
  if (k == 0)
    return da;
  return nonzero(g, b) ? g.b.neg(g.b.mul(da, g.result)) : held_at_zero(g, g.b.neg(g.b.div(g.b.mul(da, a), b)));
}

// a - floor(a / b) b, where floor carries nothing
Value grad_rem(const Backward &g, int k) {
  if (k == 0)
    return g.d;
  const Value quotient = g.b.op(Op::floor, {g.b.div(g.operand(0), g.operand(1))});
  const Value db = g.b.neg(g.b.mul(g.d, quotient));
  return nonzero(g, g.operand(1)) ? db : held_at_zero(g, db);
}

Value grad_muladd(const Backward &g, int k) { return k == 2 ? g.d : g.b.mul(g.d, g.operand(1 - k)); }

// d sign(a), 0 at 0; a NaN takes the branch of the positive, so it does not hide d
Value grad_abs(const Backward &g, int) {
  const Value a = g.operand(0), none = zero(g, a);
  return g.b.select(g.b.eq(a, none), none, g.b.select(g.b.lt(a, none), g.b.neg(g.d), g.d));
}

// da = d b a^(b-1); db = d y log a, where log 0 counts as 0 unless b is below 0: 0^b stays 0 (or 1) when b moves.
// No factor may be infinite or NaN beside a 0, so a product is only taken where what it multiplies is not 0.
Value grad_pow(const Backward &g, int k) {
  const Value a = g.operand(0), b = g.operand(1), none = zero(g, a);
  if (k == 0) {
    const Value slope = g.b.mul(b, g.b.op(Op::pow, {a, g.b.sub(b, g.b.like(b, 1))}));
    return g.b.select(g.b.op(Op::logical_or, {g.b.eq(g.d, none), g.b.eq(b, none)}), none, g.b.mul(g.d, slope));
  }
  const Value constant = g.b.op(Op::logical_and, {g.b.eq(a, none), g.b.op(Op::logical_not, {g.b.lt(b, none)})});
  const Value slope = g.b.mul(g.result, g.b.op(Op::log, {g.b.select(constant, g.b.like(a, 1), a)}));
  return g.b.select(g.b.eq(g.d, none), none, g.b.mul(g.d, slope));
}

// d y, where y is finite unless the operand is beyond its logarithm
Value grad_exp(const Backward &g, int) {
  const double finite_below = g.b.type(g.result).dtype == DType::f64 ? 709 : 88;
  const Value result = g.b.mul(g.d, g.result);
  return bounds(g.b.region(), g.operand(0)).high <= finite_below ? result : held_at_zero(g, result);
}

Value grad_log(const Backward &g, int) { return quotient(g, g.operand(0)); }

// d exp(a), not d (y + 1): for a far below 0 that would be lost in the rounding of y
Value grad_expm1(const Backward &g, int) { return held_at_zero(g, g.b.mul(g.d, g.b.op(Op::exp, {g.operand(0)}))); }
Value grad_log1p(const Backward &g, int) { return quotient(g, g.b.add(g.operand(0), g.b.like(g.d, 1))); }
Value grad_sin(const Backward &g, int) { return g.b.mul(g.d, g.b.op(Op::cos, {g.operand(0)})); }
Value grad_cos(const Backward &g, int) { return g.b.neg(g.b.mul(g.d, g.b.op(Op::sin, {g.operand(0)}))); }

// d / (1 + a^2)
Value grad_atan(const Backward &g, int) {
  const Value a = g.operand(0);
  return g.b.div(g.d, g.b.add(g.b.mul(a, a), g.b.like(a, 1)));
}

// d (1 - y^2)
Value grad_tanh(const Backward &g, int) { return g.b.mul(g.d, g.b.sub(g.b.like(g.result, 1), g.b.mul(g.result, g.result))); }

// d 2/sqrt(pi) exp(-a^2)
Value grad_erf(const Backward &g, int) {
  const Value a = g.operand(0);
  const Value bell = g.b.op(Op::exp, {g.b.neg(g.b.mul(a, a))});
  return g.b.mul(g.d, g.b.mul(bell, g.b.like(a, 2 * std::numbers::inv_sqrtpi)));
}

// d y (1 - y)
Value grad_sigmoid(const Backward &g, int) { return g.b.mul(g.d, g.b.mul(g.result, g.b.sub(g.b.like(g.result, 1), g.result))); }

// d 1/sqrt(2 pi) exp(-a^2 / 2)
Value grad_normal_cdf(const Backward &g, int) {
  const Value a = g.operand(0);
  const Value bell = g.b.op(Op::exp, {g.b.mul(g.b.mul(a, a), g.b.like(a, -0.5))});
  return g.b.mul(g.d, g.b.mul(bell, g.b.like(a, std::numbers::inv_sqrtpi / std::numbers::sqrt2)));
}

// d / (2 y), 0 at 0
Value grad_sqrt(const Backward &g, int) {
  const Value slope = g.b.div(g.b.mul(g.d, g.b.like(g.d, 0.5)), g.result), none = zero(g, g.d);
  if (nonzero(g, g.operand(0)))
    return slope;
  return g.b.select(g.b.op(Op::logical_or, {g.b.eq(g.result, none), g.b.eq(g.d, none)}), none, slope);
}

// The first operand has the derivative where it is strictly larger, the second where it is at least as large: a tie goes to the
// second. So relu, maximum(x, 0), has derivative 0 at 0, and its mask is 0 < y, from the result.
Value grad_maximum(const Backward &g, int k) {
  const Value first = g.b.lt(g.operand(1), g.result), none = zero(g, g.d);
  return k == 0 ? g.b.select(first, g.d, none) : g.b.select(first, none, g.d);
}

Value grad_minimum(const Backward &g, int k) {
  const Value first = g.b.lt(g.result, g.operand(1)), none = zero(g, g.d);
  return k == 0 ? g.b.select(first, g.d, none) : g.b.select(first, none, g.d);
}

Value grad_select(const Backward &g, int k) {
  const Value none = zero(g, g.d);
  return k == 1 ? g.b.select(g.operand(0), g.d, none) : g.b.select(g.operand(0), none, g.d);
}

// Where one side is for storage only, its derivatives are wide: between f32 and bf16 nothing is left to do.
Value grad_cast(const Backward &g, int) { return g.b.cast(g.d, wide_dtype(g.b.type(g.operand(0)).dtype)); }

// Steps, integers and bools do not vary with their operands.
constexpr Flow grad_floor = Flow::nothing, grad_round = Flow::nothing, grad_eq = Flow::nothing, grad_lt = Flow::nothing,
               grad_logical_and = Flow::nothing, grad_logical_or = Flow::nothing, grad_logical_not = Flow::nothing,
               grad_philox = Flow::nothing, grad_stop_gradient = Flow::nothing;

// Views: each is linear, its rule the transposed map.

Value grad_broadcast(const Backward &g, int) {
  Shape repeated;
  for (int64_t axis = 0; axis < g.b.type(g.d).rank(); ++axis)
    if (!contains(g.attrs.axes, axis))
      repeated.push_back(axis);
  return g.b.sum(g.d, repeated);
}

Value grad_transpose(const Backward &g, int) {
  Shape inverse(g.attrs.axes.size());
  for (size_t i = 0; i < inverse.size(); ++i)
    inverse[g.attrs.axes[i]] = i;
  return g.b.transpose(g.d, inverse);
}

Value grad_reshape(const Backward &g, int) { return g.b.reshape(g.d, g.shape(0)); }

Value grad_slice(const Backward &g, int) {
  const Value fill = g.b.constant({g.b.type(g.d).dtype, {}}, 0);
  return g.b.pad(g.d, fill, g.attrs.start, g.shape(0), g.attrs.stride);
}

// The fill has the derivatives of every place it fills. Those are picked, not got by subtracting: no cancellation.
Value grad_pad(const Backward &g, int k) {
  if (k == 0)
    return g.b.slice(g.d, g.attrs.start, g.shape(0), g.attrs.stride);
  const Value inside = g.b.constant({DType::boolean, g.shape(0)}, false), outside = g.b.constant({DType::boolean, {}}, true);
  const Value filled = g.b.pad(inside, outside, g.attrs.start, g.b.shape(g.d), g.attrs.stride);
  Shape all(g.b.shape(g.d).size());
  std::iota(all.begin(), all.end(), 0);
  return g.b.sum(g.b.select(filled, g.d, zero(g, g.d)), all);
}

Value grad_concat(const Backward &g, int k) {
  Shape start(g.shape(k).size());
  for (int before = 0; before < k; ++before)
    start[g.attrs.axis] += g.shape(before)[g.attrs.axis];
  return g.b.slice(g.d, start, g.shape(k), Shape(start.size(), 1));
}

Value grad_window(const Backward &g, int) {
  return g.b.unwindow(g.d, g.attrs.axes, g.shape(0), g.attrs.stride, g.attrs.dilation);
}

constexpr Flow grad_iota = Flow::nothing;

// Indexed: each is linear in its first operand, its rule the transposed map.

Value grad_unwindow(const Backward &g, int) {
  const size_t rank = g.attrs.shape.size();
  const Shape &windows = g.shape(0);
  const Shape sizes(windows.begin() + rank, windows.end());
  // Where the last windows leave a rest, there may be room for one more: those that are not read have no part in it.
  Shape used = g.attrs.shape;
  for (size_t i = 0; i < g.attrs.axes.size(); ++i) {
    const int64_t axis = g.attrs.axes[i];
    used[axis] = (windows[axis] - 1) * g.attrs.stride[i] + (sizes[i] - 1) * g.attrs.dilation[i] + 1;
  }
  const Value read = g.b.slice(g.d, Shape(rank), used, Shape(rank, 1));
  return g.b.window(read, g.attrs.axes, sizes, g.attrs.stride, g.attrs.dilation);
}

Value grad_gather(const Backward &g, int) { return g.b.scatter_add(g.d, g.operand(1), g.attrs.axis, g.shape(0)); }
Value grad_scatter_add(const Backward &g, int) { return g.b.gather(g.d, g.operand(1), g.attrs.axis); }
constexpr Flow grad_argsort = Flow::nothing;

// Reductions. `back` repeats a row's value along the reduced axes.

Value back(const Backward &g, Value row) { return g.b.broadcast_back(row, g.shape(0), g.attrs.axes); }

Value grad_sum(const Backward &g, int) { return back(g, g.d); }

// Every largest element has an equal share: of n, d / n.
Value grad_max(const Backward &g, int) {
  const Value a = g.operand(0), chosen = g.b.eq(a, back(g, g.result));
  const Value n = g.b.sum(g.b.cast(chosen, g.b.type(a).dtype), g.attrs.axes);
  return g.b.select(chosen, back(g, g.b.div(g.d, n)), zero(g, a));
}

constexpr GradFunction grad_min = grad_max;
constexpr Flow grad_argmax = Flow::nothing;

// The product of all others, for every element, times d. d y / a would fail at zeros, so: a binary tree of products upwards,
// and downwards each node's "all others" is its parent's times its sibling. 4 log2 n ops, exact at zeros, and differentiable
// as often as one likes, being made of products and views.
Value grad_prod(const Backward &g, int) {
  const Shape &shape = g.shape(0);
  Shape kept, order, reduced_first; // axes: kept ones first, then the reduced ones
  int64_t n = 1;
  for (int64_t axis = 0; axis < static_cast<int64_t>(shape.size()); ++axis)
    if (!contains(g.attrs.axes, axis)) {
      kept.push_back(shape[axis]);
      order.push_back(axis);
    }
  for (int64_t axis : g.attrs.axes) {
    order.push_back(axis);
    n *= shape[axis];
  }
  if (n == 0)
    return {};
  const auto with = [&](std::initializer_list<int64_t> last) {
    Shape result = kept;
    result.insert(result.end(), last);
    return result;
  };
  const Shape origin = Shape(kept.size() + 1), ones = Shape(kept.size() + 1, 1);
  int64_t m = 1;
  while (m < n)
    m *= 2;

  const Value sorted = g.b.transpose(g.operand(0), order);
  const Shape sorted_shape = g.b.shape(sorted);
  const Value one = g.b.constant({g.b.type(g.d).dtype, {}}, 1);
  std::vector<Value> pairs; // of each level, [.., size / 2, 2]
  Value level = g.b.pad(g.b.reshape(sorted, with({n})), one, origin, with({m}), ones);
  for (int64_t size = m; size > 1; size /= 2) {
    Shape odd = origin, stride = ones;
    odd.back() = 1;
    stride.back() = 2;
    pairs.push_back(g.b.reshape(level, with({size / 2, 2})));
    level = g.b.mul(g.b.slice(level, origin, with({size / 2}), stride), g.b.slice(level, odd, with({size / 2}), stride));
  }
  Value others = g.b.reshape(g.d, with({1}));
  Shape to_pairs(kept.size() + 1);
  std::iota(to_pairs.begin(), to_pairs.end(), 0);
  for (int64_t size = 2; size <= m; size *= 2) {
    Shape start(kept.size() + 2), stride(kept.size() + 2, 1);
    start.back() = 1;
    stride.back() = -1;
    const Value siblings = g.b.slice(pairs.back(), start, with({size / 2, 2}), stride);
    pairs.pop_back();
    others = g.b.reshape(g.b.mul(g.b.broadcast(others, with({size / 2, 2}), to_pairs), siblings), with({size}));
  }
  others = g.b.reshape(g.b.slice(others, origin, with({n}), ones), sorted_shape);
  Shape inverse(order.size());
  for (size_t i = 0; i < order.size(); ++i)
    inverse[order[i]] = i;
  return g.b.transpose(others, inverse);
}

// d 2/n (a - mean)
Value grad_variance(const Backward &g, int) {
  const Value a = g.operand(0);
  int64_t n = 1;
  for (int64_t axis : g.attrs.axes)
    n *= g.shape(0)[axis];
  const Value total = g.b.sum(a, g.attrs.axes);
  const Value mean = g.b.div(total, g.b.like(total, n));
  return g.b.mul(g.b.sub(a, back(g, mean)), back(g, g.b.mul(g.d, g.b.like(g.d, 2.0 / n))));
}

// Contraction: every label of an operand stands in the other or in the result, so the derivative is a dot again.
Value grad_dot(const Backward &g, int k) {
  const DotLabels labels = parse_dot_labels(g.attrs.labels);
  return k == 0 ? g.b.dot(g.d, g.operand(1), labels.result + "," + labels.rhs + "->" + labels.lhs)
                : g.b.dot(g.operand(0), g.d, labels.lhs + "," + labels.result + "->" + labels.rhs);
}

} // namespace

const GradRow &grad_row(Op op) {
  static constexpr GradRow rows[] = {
      Flow::nothing, Flow::nothing, Flow::refused, Flow::refused, Flow::refused, // arg, constant, fused, grad, scan
#define OP(name, ...) grad_##name,
#include "ir/ops.def"
  };
  return rows[static_cast<size_t>(op)];
}

} // namespace nnc
