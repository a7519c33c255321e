// Simplify rules for reductions: what does not vary along the reduced axes leaves the sum, so the derivatives of normalisations
// take as few sweeps over memory as a person would write.
// Refused, because it cancels: sum(x - r) = sum(x) - n r, where the mean leaves what it is the mean of.
#include "passes/simplify.h"

#include <algorithm>
#include <numeric>

namespace nnc {

namespace {

bool contains(const Shape &axes, int64_t axis) { return std::ranges::find(axes, axis) != axes.end(); }
bool is_one_of(Op op, std::initializer_list<Op> ops) { return std::ranges::find(ops, op) != ops.end(); }

int64_t product(const Shape &shape, const Shape &axes) {
  int64_t n = 1;
  for (int64_t axis : axes)
    n *= shape[axis];
  return n;
}

// The axes of a value of this rank that `axes` leaves.
Shape others(const Shape &axes, int64_t rank) {
  Shape kept;
  for (int64_t axis = 0; axis < rank; ++axis)
    if (!contains(axes, axis))
      kept.push_back(axis);
  return kept;
}

// Where the axes of a value lie once `reduced` are gone.
Shape after(const Shape &axes, const Shape &reduced) {
  Shape result;
  for (int64_t axis : axes)
    result.push_back(axis - std::ranges::count_if(reduced, [&](int64_t gone) { return gone < axis; }));
  return result;
}

// A reduction over axes of size 1 = reshape(x)
Value reduce_units(Simplifier &s, const Node &node) {
  const Value x = node.operands[0];
  return product(s.shape(x), node.attrs.axes) == 1 ? s.build.reshape(x, node.type().shape) : Value{};
}

// sum(sum(x)) = sum(x), and so on
Value reduce_reduce(Simplifier &s, const Node &node) {
  const Value x = node.operands[0];
  if (!s.is(x, node.op) || !s.single_use(x))
    return {};
  Shape axes = s.attrs(x).axes;
  const Shape kept = others(axes, s.build.type(s.operand(x)).rank());
  for (int64_t axis : node.attrs.axes)
    axes.push_back(kept[axis]);
  return s.build.reduce(node.op, s.operand(x), axes);
}

// sum(transpose(x)) = transpose(sum(x))
Value reduce_transpose(Simplifier &s, const Node &node) {
  const Value x = node.operands[0];
  if (!s.is(x, Op::transpose))
    return {};
  const Shape order = s.attrs(x).axes;
  Shape axes, kept; // of x's operand
  for (int64_t axis = 0; axis < static_cast<int64_t>(order.size()); ++axis)
    (contains(node.attrs.axes, axis) ? axes : kept).push_back(order[axis]);
  return s.build.transpose(s.build.reduce(node.op, s.operand(x), axes), after(kept, axes));
}

// sum(reshape(x)) = reshape(sum(x)), where all is summed, or the reshape only adds or drops axes of size 1
Value reduce_reshape(Simplifier &s, const Node &node) {
  const Value x = node.operands[0];
  if (!s.is(x, Op::reshape))
    return {};
  const Value inner = s.operand(x);
  const Shape from = s.shape(inner), to = s.shape(x);
  Shape axes;
  if (node.attrs.axes.size() == to.size()) {
    axes.resize(from.size());
    std::iota(axes.begin(), axes.end(), 0);
  } else {
    Shape from_axes, to_axes; // those that are no units
    for (size_t axis = 0; axis < from.size(); ++axis)
      if (from[axis] != 1)
        from_axes.push_back(axis);
    for (size_t axis = 0; axis < to.size(); ++axis)
      if (to[axis] != 1)
        to_axes.push_back(axis);
    if (from_axes.size() != to_axes.size())
      return {};
    for (size_t k = 0; k < from_axes.size(); ++k) {
      if (from[from_axes[k]] != to[to_axes[k]])
        return {};
      if (contains(node.attrs.axes, to_axes[k]))
        axes.push_back(from_axes[k]);
    }
  }
  if (axes.empty()) // only units are reduced: reduce_units
    return {};
  return s.build.reshape(s.build.reduce(node.op, inner, axes), node.type().shape);
}

// sum(broadcast(x)) = n sum(x), max(broadcast(x)) = max(x), along the axes of the repetition
Value reduce_repeated(Simplifier &s, const Node &node) {
  const Value x = node.operands[0];
  const std::optional<Repeated> part = s.repeated(x);
  if (!part)
    return {};
  Shape along, inner_axes, kept; // reduced axes that only repeat; axes of inner that are reduced; axes of x that stay and vary
  for (int64_t axis : node.attrs.axes)
    if (!contains(part->axes, axis))
      along.push_back(axis);
  const int64_t n = product(s.shape(x), along);
  if (along.empty() || n == 0)
    return {};
  for (size_t i = 0; i < part->axes.size(); ++i)
    if (contains(node.attrs.axes, part->axes[i]))
      inner_axes.push_back(i);
    else
      kept.push_back(part->axes[i]);
  const auto times = [&](Value v) {
    const Type type = s.build.type(v);
    return s.build.mul(v, is_float(type.dtype) ? s.build.constant(type, n) : s.build.constant_int(type, n));
  };
  Value row = s.is_splat(x) ? s.splat_like(x, node.type().shape) : s.build.reduce(node.op, part->inner, inner_axes);
  if (node.op == Op::sum)
    row = times(row);
  return s.is_splat(x) ? row : s.build.broadcast(row, node.type().shape, after(kept, node.attrs.axes));
}

// sum(-x) = -sum(x)
Value sum_neg(Simplifier &s, const Node &node) {
  const Value x = node.operands[0];
  return s.is(x, Op::neg) && s.single_use(x) ? s.build.neg(s.build.sum(s.operand(x), node.attrs.axes)) : Value{};
}

} // namespace

bool is_moderate(Bounds known, DType dtype) {
  const double limit = dtype == DType::f64 ? 0x1p960 : 0x1p100;
  return known.low >= -limit && known.high <= limit;
}

bool may_leave_sum(const Simplifier &s, Op op, Value factor, Bounds x, double terms) {
  if (is_moderate(product(x, {-terms, terms}), s.dtype(factor)))
    return true;
  const Bounds known = bounds(s.build.region(), factor), size = op == Op::div ? quotient({1, 1}, known) : known;
  const double least = s.is_splat(factor) ? 1 : 0x1p-16;
  return size.low >= least || size.high <= -least;
}

namespace {

// A product or quotient of which one factor does not vary along `axes`.
struct RowScaled {
  Value x;
  Repeated row;
  Op op; // x op row
};

std::optional<RowScaled> row_scaled(Simplifier &s, Value v, const Shape &axes) {
  if (!(s.is(v, Op::mul) || s.is(v, Op::div)) || !is_float(s.dtype(v)))
    return std::nullopt;
  const Op op = s.is(v, Op::mul) ? Op::mul : Op::div;
  for (int k = 1; k >= (op == Op::mul ? 0 : 1); --k) {
    const std::optional<Repeated> row = s.repeated(s.operand(v, k));
    if (row && std::ranges::none_of(axes, [&](int64_t axis) { return contains(row->axes, axis); }))
      return RowScaled{s.operand(v, 1 - k), *row, op};
  }
  return std::nullopt;
}

Value scaled_sum(Simplifier &s, const RowScaled &part, const Shape &axes) {
  const Value total = s.build.sum(part.x, axes);
  return s.build.op(part.op, {total, s.repeat(part.row, s.shape(total), after(part.row.axes, axes))});
}

bool may_leave(Simplifier &s, const RowScaled &part, const Node &sum) {
  const double terms = static_cast<double>(s.elements(sum.operands[0])) / static_cast<double>(sum.type().elements());
  return may_leave_sum(s, part.op, part.row.inner, bounds(s.build.region(), part.x), terms);
}

// sum(x * r) = sum(x) * r, sum(x / r) = sum(x) / r, where r does not vary along the summed axes
Value sum_scaled(Simplifier &s, const Node &node) {
  const Value x = node.operands[0];
  const std::optional<RowScaled> part = row_scaled(s, x, node.attrs.axes);
  if (!part || !(s.single_use(x) || s.depth(part->row.inner) > s.depth(part->x)) || !may_leave(s, *part, node))
    return {};
  return scaled_sum(s, *part, node.attrs.axes);
}

// sum(a + x * r) = sum(a) + sum(x) * r, where r is known later than a and x: the sums need not wait for it
Value sum_of_sum(Simplifier &s, const Node &node) {
  const Value total = node.operands[0];
  if (!(s.is(total, Op::add) || s.is(total, Op::sub)) || !is_float(s.dtype(total)))
    return {};
  const Shape axes = node.attrs.axes;
  std::optional<RowScaled> parts[2];
  int depth = 0; // of what is summed then
  for (int k = 0; k < 2; ++k) {
    parts[k] = row_scaled(s, s.operand(total, k), axes);
    if (parts[k] && !may_leave(s, *parts[k], node))
      return {};
    depth = std::max(depth, s.depth(parts[k] ? parts[k]->x : s.operand(total, k)));
  }
  if (depth >= s.depth(total))
    return {};
  const Op op = s.is(total, Op::add) ? Op::add : Op::sub;
  Value sums[2];
  for (int k = 0; k < 2; ++k)
    sums[k] = parts[k] ? scaled_sum(s, *parts[k], axes) : s.build.sum(s.operand(total, k), axes);
  return s.build.op(op, {sums[0], sums[1]});
}

// sum(pad(x, 0)) = sum(x), along all axes that are padded
Value sum_pad(Simplifier &s, const Node &node) {
  const Value x = node.operands[0];
  if (!s.is(x, Op::pad) || s.splat(s.operand(x, 1)) != 0.0)
    return {};
  const Shape inner = s.shape(s.operand(x)), outer = s.shape(x);
  for (size_t axis = 0; axis < outer.size(); ++axis)
    if (!contains(node.attrs.axes, axis) && (inner[axis] != outer[axis] || s.attrs(x).stride[axis] != 1))
      return {};
  return s.build.sum(s.operand(x), node.attrs.axes);
}

} // namespace

std::vector<SimplifyRule> reduction_rules() {
  std::vector<SimplifyRule> rules = {
      {"sum_neg", Op::sum, sum_neg, "sum(-x) = -sum(x)", zero_sign},
      {"sum_pad", Op::sum, sum_pad, "sum(pad(x, 0)) = sum(x)", zero_sign},
      {"sum_scaled", Op::sum, sum_scaled, "sum(x * r) = sum(x) * r, r constant along the sum and not small", factored},
      {"sum_of_sum", Op::sum, sum_of_sum, "sum(a + x * r) = sum(a) + sum(x) * r, r known later than a and x, and not small",
       factored},
  };
  for (Op op : all_ops()) {
    if (!is_reduce(op))
      continue;
    const bool adds = is_one_of(op, {Op::sum, Op::prod, Op::variance});
    if (is_one_of(op, {Op::sum, Op::prod, Op::max, Op::min})) {
      rules.push_back({"reduce_units", op, reduce_units, "a reduction over axes of size 1 is a reshape", zero_sign});
      rules.push_back({"reduce_reduce", op, reduce_reduce, "sum(sum(x)) = sum(x); prod, max, min too", adds ? order : exact});
    }
    if (is_one_of(op, {Op::sum, Op::max, Op::min}))
      rules.push_back({"reduce_repeated", op, reduce_repeated, "sum(broadcast(x)) = n * sum(x), max(broadcast(x)) = max(x)",
                       adds ? order : exact});
    rules.push_back({"reduce_transpose", op, reduce_transpose, "sum(transpose(x)) = transpose(sum(x)); all reductions",
                     adds ? order : exact});
    if (op != Op::argmax)
      rules.push_back(
          {"reduce_reshape", op, reduce_reshape, "sum(reshape(x)) = reshape(sum(x)), for axes of size 1", adds ? order : exact});
  }
  return rules;
}

} // namespace nnc
