// Interval arithmetic over a few ops up the operands, with the two facts that softmax and its like rest on: what its own maximum
// was taken from is at most 0, and a sum of exponentials of that is at least 1.
#include "passes/bounds.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace nnc {

namespace {

constexpr int deepest = 10; // of the ops that are looked through
constexpr double unbounded = std::numeric_limits<double>::infinity();

Value without_marks(const Region &region, Value v) {
  while (region.node(v).op == Op::stop_gradient)
    v = region.node(v).operands[0];
  return v;
}

// The axes that are longer than 1, of those that f picks.
template <typename F> Shape long_axes(const Shape &shape, F f) {
  Shape axes;
  for (int64_t axis = 0; axis < static_cast<int64_t>(shape.size()); ++axis)
    if (shape[axis] != 1 && f(axis))
      axes.push_back(axis);
  return axes;
}

bool contains(const Shape &axes, int64_t axis) { return std::ranges::find(axes, axis) != axes.end(); }

// The reduced axes if `v` is max(a) (or min) repeated along those very axes; else none.
Shape own_extremum(const Region &region, Value a, Value v, Op op) {
  const Node *node = &region.node(without_marks(region, v));
  if (node->op != Op::broadcast)
    return {};
  const Shape to = node->attrs.axes;
  Value inner = without_marks(region, node->operands[0]);
  const Shape from = region.type(inner).shape;
  Shape repeated_to;
  for (size_t i = 0; i < to.size(); ++i)
    if (from[i] != 1)
      repeated_to.push_back(to[i]);
  while (region.node(inner).op == Op::reshape) // axes of size 1 go or come
    inner = without_marks(region, region.node(inner).operands[0]);
  const Node &reduced = region.node(inner);
  if (reduced.op != op || without_marks(region, reduced.operands[0]) != without_marks(region, a))
    return {};
  const Shape &shape = region.type(a).shape, &axes = reduced.attrs.axes;
  const auto is_long = [](int64_t size) { return size != 1; };
  if (std::ranges::count_if(from, is_long) != std::ranges::count_if(region.type(inner).shape, is_long))
    return {};
  return long_axes(shape, [&](int64_t axis) { return !contains(axes, axis); }) == repeated_to ? axes : Shape{};
}

// The axes along which exp(a - max(a)) is 1 somewhere; none where v is no such thing.
Shape axes_of_one(const Region &region, Value v) {
  const Node &exp = region.node(v);
  if (exp.op != Op::exp)
    return {};
  const Node &difference = region.node(exp.operands[0]);
  return difference.op == Op::sub ? own_extremum(region, difference.operands[0], difference.operands[1], Op::max) : Shape{};
}

double product(double a, double b) { return a == 0 || b == 0 ? 0 : a * b; } // of bounds: 0 times any number

} // namespace

Bounds product(Bounds a, Bounds b) {
  const auto [low, high] =
      std::minmax({product(a.low, b.low), product(a.low, b.high), product(a.high, b.low), product(a.high, b.high)});
  return {low, high};
}

Bounds quotient(Bounds a, Bounds b) { return b.low > 0 || b.high < 0 ? product(a, {1 / b.high, 1 / b.low}) : Bounds{}; }

namespace {

Bounds united(Bounds a, Bounds b) { return {std::min(a.low, b.low), std::max(a.high, b.high)}; }

class Walk {
public:
  explicit Walk(const Region &region) : region(region) {}

  Bounds of(Value v, int depth) {
    Bounds result = depth > deepest ? Bounds{} : within(v, region.node(v), depth);
    if (std::isnan(result.low) || std::isnan(result.high))
      return {};
    return result;
  }

private:
  const Region &region;

  // Of a branch of a select, which is taken where a < b, or where not.
  Bounds branch(Value v, Value condition, bool taken, int depth) {
    Bounds result = of(v, depth);
    const Node &less = region.node(condition);
    if (less.op != Op::lt || !is_float(region.type(less.operands[0]).dtype))
      return result;
    const Value small = less.operands[taken ? 0 : 1], large = less.operands[taken ? 1 : 0];
    const bool negated = region.node(v).op == Op::neg;
    const Value plain = negated ? region.node(v).operands[0] : v;
    if (plain == large) {
      const double least = of(small, depth).low;
      negated ? result.high = std::min(result.high, -least) : result.low = std::max(result.low, least);
    } else if (plain == small) {
      const double most = of(large, depth).high;
      negated ? result.low = std::max(result.low, -most) : result.high = std::min(result.high, most);
    }
    return result;
  }

  Bounds within(Value v, const Node &node, int depth) {
    const auto operand = [&](int k) { return of(node.operands[k], depth + 1); };
    const auto rising = [&](double (*f)(double), double least) { // defined from `least` on
      const Bounds a = operand(0);
      return a.low >= least ? Bounds{f(a.low), f(a.high)} : Bounds{};
    };
    switch (node.op) {
    case Op::constant: {
      const Tensor &data = *node.data;
      if (!is_float(data.type.dtype) || data.type.elements() == 0)
        return {};
      Bounds result{unbounded, -unbounded};
      for (int64_t i = 0, count = data.splat ? 1 : data.type.elements(); i < count; ++i) {
        if (std::isnan(data.get(i)))
          return {};
        result = united(result, {data.get(i), data.get(i)});
      }
      return result;
    }
    case Op::broadcast:
    case Op::transpose:
    case Op::reshape:
    case Op::slice:
    case Op::window:
    case Op::gather:
    case Op::stop_gradient:
    case Op::max:
    case Op::min:
      return operand(0);
    case Op::pad:
      return united(operand(0), operand(1));
    case Op::concat: {
      Bounds result = operand(0);
      for (size_t k = 1; k < node.operands.size(); ++k)
        result = united(result, operand(static_cast<int>(k)));
      return result;
    }
    case Op::cast: {
      const DType from = region.type(node.operands[0]).dtype;
      return is_float(from) ? operand(0) : is_bool(from) ? Bounds{0, 1} : from == DType::u8 ? Bounds{0, 255} : Bounds{};
    }
    case Op::select:
      return united(branch(node.operands[1], node.operands[0], true, depth + 1),
                    branch(node.operands[2], node.operands[0], false, depth + 1));
    case Op::maximum:
    case Op::minimum: {
      const Bounds a = operand(0), b = operand(1);
      return node.op == Op::maximum ? Bounds{std::max(a.low, b.low), std::max(a.high, b.high)}
                                    : Bounds{std::min(a.low, b.low), std::min(a.high, b.high)};
    }
    case Op::add: {
      const Bounds a = operand(0), b = operand(1);
      return {a.low + b.low, a.high + b.high};
    }
    case Op::sub: {
      const Bounds a = operand(0), b = operand(1);
      Bounds result{a.low - b.high, a.high - b.low};
      if (!own_extremum(region, node.operands[0], node.operands[1], Op::max).empty())
        result.high = std::min(result.high, 0.0);
      if (!own_extremum(region, node.operands[0], node.operands[1], Op::min).empty())
        result.low = std::max(result.low, 0.0);
      return result;
    }
    case Op::mul: {
      Bounds result = product(operand(0), operand(1));
      if (node.operands[0] == node.operands[1])
        result.low = std::max(result.low, 0.0);
      return result;
    }
    case Op::muladd: {
      Bounds product = nnc::product(operand(0), operand(1));
      if (node.operands[0] == node.operands[1])
        product.low = std::max(product.low, 0.0);
      const Bounds c = operand(2);
      return {product.low + c.low, product.high + c.high};
    }
    case Op::div:
      return quotient(operand(0), operand(1));
    case Op::neg: {
      const Bounds a = operand(0);
      return {-a.high, -a.low};
    }
    case Op::abs: {
      const Bounds a = operand(0);
      return {std::max({a.low, -a.high, 0.0}), std::max(-a.low, a.high)};
    }
    case Op::floor:
      return rising(std::floor, -unbounded);
    case Op::round:
      return rising(std::nearbyint, -unbounded);
    case Op::exp: {
      const double least_normal = node.type().dtype == DType::f64 ? 0x1p-1022 : 0x1p-126;
      const Bounds a = rising(std::exp, -unbounded);
      return {a.low < least_normal ? 0 : a.low, a.high};
    }
    case Op::expm1:
      return rising(std::expm1, -unbounded);
    case Op::log:
      return rising(std::log, 0);
    case Op::log1p:
      return rising(std::log1p, -1);
    case Op::atan:
      return {-2, 2};
    case Op::sigmoid:
    case Op::normal_cdf:
      return {0, 1};
    case Op::sqrt:
      return rising(std::sqrt, 0);
    case Op::sin:
    case Op::cos:
    case Op::tanh:
    case Op::erf:
      return {-1, 1};
    case Op::sum: {
      const Bounds a = operand(0);
      double count = 1;
      for (int64_t axis : node.attrs.axes)
        count *= static_cast<double>(region.type(node.operands[0]).shape[axis]);
      Bounds result{product(count, a.low), product(count, a.high)};
      const Shape one = axes_of_one(region, node.operands[0]);
      if (!one.empty() && std::ranges::all_of(one, [&](int64_t axis) { return contains(node.attrs.axes, axis); }))
        result.low = std::max(result.low, 1.0);
      return result;
    }
    case Op::variance:
      return {0, unbounded};
    default: // nothing is known
      (void)v;
      return {};
    }
  }
};

} // namespace

Bounds bounds(const Region &region, Value value) { return Walk(region).of(value, 0); }

} // namespace nnc
