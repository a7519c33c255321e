// Simplify rules for views: two maps become one, a repetition moves behind the arithmetic that it multiplies, and what a
// derivative cut up and filled with zeros is put together again. All but the last are exact: no number is touched.
#include "passes/simplify.h"

#include <algorithm>
#include <numeric>

namespace nnc {

namespace {

bool all_one(const Shape &values) {
  return std::ranges::all_of(values, [](int64_t v) { return v == 1; });
}

// A view that changes nothing, as rules may leave it: broadcast and reshape to the own shape, and so on.
Value idle_view(Simplifier &s, const Node &node) {
  const Value x = node.operands[0];
  const Attrs &attrs = node.attrs;
  Shape identity(attrs.axes.size());
  std::iota(identity.begin(), identity.end(), 0);
  const bool idle = node.op == Op::concat      ? node.operands.size() == 1
                    : node.op == Op::transpose ? attrs.axes == identity
                                               : s.shape(x) == node.type().shape && all_one(attrs.stride);
  return idle ? x : Value{};
}

// broadcast(broadcast(x)) = broadcast(x)
Value broadcast_broadcast(Simplifier &s, const Node &node) {
  const Value x = node.operands[0];
  if (!s.is(x, Op::broadcast))
    return {};
  Shape axes = s.attrs(x).axes;
  for (int64_t &axis : axes)
    axis = node.attrs.axes[axis];
  return s.build.broadcast(s.operand(x), node.type().shape, axes);
}

// reshape(reshape(x)) = reshape(x)
Value reshape_reshape(Simplifier &s, const Node &node) {
  const Value x = node.operands[0];
  return s.is(x, Op::reshape) ? s.build.reshape(s.operand(x), node.type().shape) : Value{};
}

// transpose(transpose(x)) = transpose(x)
Value transpose_transpose(Simplifier &s, const Node &node) {
  const Value x = node.operands[0];
  if (!s.is(x, Op::transpose))
    return {};
  Shape axes = node.attrs.axes;
  for (int64_t &axis : axes)
    axis = s.attrs(x).axes[axis];
  return s.build.transpose(s.operand(x), axes);
}

// Where each axis of `from` lies in `to`, if the two differ in axes of size 1 only and `from` has none.
std::optional<Shape> without_units(const Shape &from, const Shape &to) {
  Shape axes;
  for (int64_t axis = 0; axis < static_cast<int64_t>(to.size()); ++axis)
    if (to[axis] != 1) {
      if (axes.size() == from.size() || from[axes.size()] != to[axis])
        return std::nullopt;
      axes.push_back(axis);
    }
  return axes.size() == from.size() ? std::optional(axes) : std::nullopt;
}

// broadcast(reshape(x)) = broadcast(x), where the reshape only adds axes of size 1
Value broadcast_reshape(Simplifier &s, const Node &node) {
  const Value x = node.operands[0];
  if (!s.is(x, Op::reshape))
    return {};
  std::optional<Shape> axes = without_units(s.shape(s.operand(x)), s.shape(x));
  if (!axes)
    return {};
  for (int64_t &axis : *axes)
    axis = node.attrs.axes[axis];
  return s.build.broadcast(s.operand(x), node.type().shape, *axes);
}

// reshape(broadcast(x)) = broadcast(x), where the reshape only adds or drops axes of size 1
Value reshape_broadcast(Simplifier &s, const Node &node) {
  const Value x = node.operands[0];
  if (!s.is(x, Op::broadcast))
    return {};
  const Shape inner = s.shape(s.operand(x)), middle = s.shape(x), outer = node.type().shape;
  if (std::ranges::count(inner, 1))
    return {};
  Shape squeezed, axes;
  std::ranges::copy_if(middle, std::back_inserter(squeezed), [](int64_t size) { return size != 1; });
  const std::optional<Shape> place = without_units(squeezed, outer);
  if (!place)
    return {};
  for (int64_t axis : s.attrs(x).axes)
    axes.push_back((*place)[std::count_if(middle.begin(), middle.begin() + axis, [](int64_t size) { return size != 1; })]);
  return s.build.broadcast(s.operand(x), outer, axes);
}

// transpose(broadcast(x)) = broadcast(transpose(x))
Value transpose_broadcast(Simplifier &s, const Node &node) {
  const Value x = node.operands[0];
  if (!s.is(x, Op::broadcast))
    return {};
  const Shape inner_axes = s.attrs(x).axes;
  Shape axes, order; // where x's axes lie in the result, and which of them comes first
  for (int64_t axis = 0; axis < node.type().rank(); ++axis)
    if (const auto at = std::ranges::find(inner_axes, node.attrs.axes[axis]); at != inner_axes.end()) {
      axes.push_back(axis);
      order.push_back(at - inner_axes.begin());
    }
  return s.build.broadcast(s.build.transpose(s.operand(x), order), node.type().shape, axes);
}

// f(broadcast(x), broadcast(y)) = broadcast(f(x, y)) for elementwise f, where one operand varies along all axes that any does
Value repeat_after(Simplifier &s, const Node &node) {
  std::vector<Repeated> parts;
  for (Value operand : node.operands) {
    const std::optional<Repeated> part = s.repeated(operand);
    if (!part)
      return {};
    parts.push_back(*part);
  }
  // Of the broadcasts, not of the numbers.
  const auto width = [&](const Repeated &part) { return s.is_splat(part.inner) ? -1 : static_cast<int>(part.axes.size()); };
  const Repeated widest = *std::ranges::max_element(parts, {}, width);
  if (width(widest) < 0)
    return {};
  for (const Repeated &part : parts)
    if (!std::ranges::includes(widest.axes, part.axes))
      return {};
  const Shape shape = s.shape(widest.inner);
  std::vector<Value> operands;
  for (const Repeated &part : parts) {
    Shape axes;
    for (int64_t axis : part.axes)
      axes.push_back(std::ranges::find(widest.axes, axis) - widest.axes.begin());
    operands.push_back(s.repeat(part, shape, axes));
  }
  return s.build.broadcast(s.build.op(node.op, operands, node.attrs), node.type().shape, widest.axes);
}

// f(reshape(x), reshape(y)) = reshape(f(x, y)) for elementwise f; numbers have any shape
Value reshape_after(Simplifier &s, const Node &node) {
  std::optional<Shape> shape;
  for (Value operand : node.operands) {
    if (s.is_splat(operand))
      continue;
    if (!s.is(operand, Op::reshape) || (shape && *shape != s.shape(s.operand(operand))))
      return {};
    shape = s.shape(s.operand(operand));
  }
  if (!shape)
    return {};
  std::vector<Value> operands;
  for (Value operand : node.operands)
    operands.push_back(s.is_splat(operand) ? s.splat_like(operand, *shape) : s.operand(operand));
  return s.build.reshape(s.build.op(node.op, operands, node.attrs), node.type().shape);
}

// f(transpose(x), broadcast(y)) = transpose(f(x, broadcast(y))) for elementwise f; all transposed alike, and y in the order of x
Value transpose_after(Simplifier &s, const Node &node) {
  std::optional<Shape> axes;
  for (Value operand : node.operands) {
    if (s.is_splat(operand) || s.is(operand, Op::broadcast))
      continue;
    if (!s.is(operand, Op::transpose) || (axes && *axes != s.attrs(operand).axes))
      return {};
    axes = s.attrs(operand).axes;
  }
  if (!axes)
    return {};
  Shape back(axes->size()), shape(axes->size());
  for (size_t i = 0; i < back.size(); ++i) {
    back[(*axes)[i]] = i;
    shape[(*axes)[i]] = node.type().shape[i];
  }
  std::vector<Value> operands;
  for (Value operand : node.operands)
    operands.push_back(s.is_splat(operand)            ? s.splat_like(operand, shape)
                       : s.is(operand, Op::transpose) ? s.operand(operand)
                                                      : s.build.transpose(operand, back));
  return s.build.transpose(s.build.op(node.op, operands, node.attrs), *axes);
}

// slice(slice(x)) = slice(x)
Value slice_slice(Simplifier &s, const Node &node) {
  const Value x = node.operands[0];
  if (!s.is(x, Op::slice))
    return {};
  const Attrs inner = s.attrs(x);
  Shape start = node.attrs.start, stride = node.attrs.stride;
  for (size_t i = 0; i < start.size(); ++i) {
    start[i] = inner.start[i] + start[i] * inner.stride[i];
    stride[i] *= inner.stride[i];
  }
  return s.build.slice(s.operand(x), start, node.type().shape, stride);
}

// slice(broadcast(x)) = broadcast(slice(x))
Value slice_broadcast(Simplifier &s, const Node &node) {
  const Value x = node.operands[0];
  if (!s.is(x, Op::broadcast))
    return {};
  const Shape axes = s.attrs(x).axes;
  Shape start, shape, stride;
  for (int64_t axis : axes) {
    start.push_back(node.attrs.start[axis]);
    shape.push_back(node.type().shape[axis]);
    stride.push_back(node.attrs.stride[axis]);
  }
  return s.build.broadcast(s.build.slice(s.operand(x), start, shape, stride), node.type().shape, axes);
}

// slice(pad(x)) = x, where it takes out what was put in, or slice(x), where that lies in one piece
Value slice_pad(Simplifier &s, const Node &node) {
  const Value padded = node.operands[0];
  if (!s.is(padded, Op::pad))
    return {};
  const Value x = s.operand(padded);
  const Attrs pad = s.attrs(padded);
  const Shape inside = s.shape(x);
  if (node.attrs.start == pad.start && node.attrs.stride == pad.stride && node.type().shape == inside)
    return x;
  Shape start = node.attrs.start;
  for (size_t i = 0; i < start.size(); ++i) {
    start[i] -= pad.start[i];
    const int64_t last = start[i] + (node.type().shape[i] - 1) * node.attrs.stride[i];
    if (pad.stride[i] != 1 || std::min(start[i], last) < 0 || std::max(start[i], last) >= inside[i])
      return {};
  }
  return s.build.slice(x, start, node.type().shape, node.attrs.stride);
}

// slice(concat(x, y)) = slice(y), where it takes from one part only
Value slice_concat(Simplifier &s, const Node &node) {
  const Value whole = node.operands[0];
  if (!s.is(whole, Op::concat))
    return {};
  const int64_t axis = s.attrs(whole).axis;
  const int64_t first = node.attrs.start[axis], last = first + (node.type().shape[axis] - 1) * node.attrs.stride[axis];
  int64_t begin = 0;
  for (int k = 0; k < s.operands(whole); ++k) {
    const Value part = s.operand(whole, k);
    const int64_t end = begin + s.shape(part)[axis];
    if (std::min(first, last) >= begin && std::max(first, last) < end) {
      Shape start = node.attrs.start;
      start[axis] -= begin;
      return s.build.slice(part, start, node.type().shape, node.attrs.stride);
    }
    begin = end;
  }
  return {};
}

// concat(x, concat(y, z)) = concat(x, y, z)
Value concat_concat(Simplifier &s, const Node &node) {
  std::vector<Value> parts;
  for (Value part : node.operands)
    if (s.is(part, Op::concat) && s.attrs(part).axis == node.attrs.axis && s.single_use(part))
      for (int k = 0; k < s.operands(part); ++k)
        parts.push_back(s.operand(part, k));
    else
      parts.push_back(part);
  return parts == node.operands ? Value{} : s.build.concat(parts, node.attrs.axis);
}

// concat(x[a:b], x[b:c]) = x[a:c]
Value concat_slices(Simplifier &s, const Node &node) {
  const int64_t axis = node.attrs.axis;
  std::vector<Value> parts;
  Shape start; // of the run of neighbours that ends with the last part
  const auto next = [&](Value part) {
    if (parts.empty() || !s.is(part, Op::slice) || !s.is(parts.back(), Op::slice) || s.operand(part) != s.operand(parts.back()))
      return false;
    const Attrs left = s.attrs(parts.back()), right = s.attrs(part);
    Shape expected = left.start;
    expected[axis] += s.shape(parts.back())[axis];
    return left.stride == right.stride && left.stride[axis] == 1 && right.start == expected;
  };
  for (size_t k = 0; k < node.operands.size(); ++k) {
    const Value part = node.operands[k];
    if (!next(part)) {
      parts.push_back(part);
      continue;
    }
    Shape shape = s.shape(parts.back());
    shape[axis] += s.shape(part)[axis];
    const Attrs left = s.attrs(parts.back());
    parts.back() = s.build.op(Op::slice, {s.operand(part)}, {.shape = shape, .start = left.start, .stride = left.stride});
  }
  return parts.size() == node.operands.size() ? Value{} : s.build.concat(parts, axis);
}

// pad(x, 0) + pad(y, 0) = pad(concat(x, y), 0), where x and y come to lie side by side: the derivatives of a split
Value add_pads(Simplifier &s, const Node &node) {
  Value left = node.operands[0], right = node.operands[1];
  for (Value v : node.operands)
    if (!s.is(v, Op::pad) || s.splat(s.operand(v, 1)) != 0.0 || !all_one(s.attrs(v).stride) || !s.single_use(v))
      return {};
  int64_t axis = -1;
  for (int64_t i = 0; i < node.type().rank(); ++i)
    if (s.attrs(left).start[i] != s.attrs(right).start[i]) {
      if (axis >= 0)
        return {};
      axis = i;
    }
  if (axis < 0)
    return {};
  if (s.attrs(left).start[axis] > s.attrs(right).start[axis])
    std::swap(left, right);
  const Value x = s.operand(left), y = s.operand(right);
  Shape expected = s.shape(x);
  expected[axis] = s.shape(y)[axis];
  if (s.attrs(left).start[axis] + s.shape(x)[axis] != s.attrs(right).start[axis] || s.shape(y) != expected)
    return {};
  const Attrs pad = s.attrs(left);
  const Value fill = s.operand(left, 1);
  return s.build.pad(s.build.concat({x, y}, axis), fill, pad.start, node.type().shape, pad.stride);
}

} // namespace

std::vector<SimplifyRule> view_rules() {
  std::vector<SimplifyRule> rules = {
      {"broadcast_broadcast", Op::broadcast, broadcast_broadcast, "broadcast(broadcast(x)) = broadcast(x)", exact},
      {"broadcast_reshape", Op::broadcast, broadcast_reshape, "broadcast(reshape(x)) = broadcast(x), for added axes of size 1",
       exact},
      {"reshape_reshape", Op::reshape, reshape_reshape, "reshape(reshape(x)) = reshape(x)", exact},
      {"reshape_broadcast", Op::reshape, reshape_broadcast, "reshape(broadcast(x)) = broadcast(x), for axes of size 1", exact},
      {"transpose_transpose", Op::transpose, transpose_transpose, "transpose(transpose(x)) = transpose(x)", exact},
      {"transpose_broadcast", Op::transpose, transpose_broadcast, "transpose(broadcast(x)) = broadcast(transpose(x))", exact},
      {"slice_slice", Op::slice, slice_slice, "x[a:b][c:d] = x[a + c:a + d]", exact},
      {"slice_broadcast", Op::slice, slice_broadcast, "slice(broadcast(x)) = broadcast(slice(x))", exact},
      {"slice_pad", Op::slice, slice_pad, "slice(pad(x)) = slice(x), where it reads no fill", exact},
      {"slice_concat", Op::slice, slice_concat, "slice(concat(x, y)) = slice(y), where it reads no x", exact},
      {"concat_concat", Op::concat, concat_concat, "concat(x, concat(y, z)) = concat(x, y, z)", exact},
      {"concat_slices", Op::concat, concat_slices, "concat(x[a:b], x[b:c]) = x[a:c]", exact},
      {"add_pads", Op::add, add_pads, "pad(x, 0) + pad(y, 0) = pad(concat(x, y), 0), side by side", zero_sign},
  };
  for (Op op : all_ops()) {
    if (is_view(op) && op != Op::iota)
      rules.insert(rules.begin(), {"idle_view", op, idle_view, "a view that changes nothing is its operand", exact});
    if (is_elementwise(op) && op_info(op).operands > 0) {
      rules.push_back({"repeat_after", op, repeat_after, "f(broadcast(x)) = broadcast(f(x)), f elementwise", exact});
      rules.push_back({"reshape_after", op, reshape_after, "f(reshape(x)) = reshape(f(x)), f elementwise", exact});
      rules.push_back({"transpose_after", op, transpose_after, "f(transpose(x)) = transpose(f(x)), f elementwise", exact});
    }
  }
  return rules;
}

} // namespace nnc
