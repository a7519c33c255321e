// Composition of views into one affine map. Every view but pad and concat only renames, repeats, steps over or regroups axes,
// so a chain of them is an offset and a stride an axis; a reshape of strided memory may not be, and then the caller stores the
// value first. Values computed in the same kernel can be renamed and repeated, but not shifted or regrouped: the kernel has
// one point at a time.
#include "passes/access.h"

#include <fmt/format.h>

namespace nnc {

namespace {

// Matches runs of axes of equal element count in the two shapes, axes of size 1 left out, and calls
// group(first, last, new_first, new_last) for each pair of runs. A run is as short as possible.
bool match_axes(const Shape &shape, const Shape &new_shape,
                const std::function<bool(std::vector<int>, std::vector<int>)> &group) {
  size_t i = 0, j = 0;
  while (true) {
    while (i < shape.size() && shape[i] == 1)
      ++i;
    while (j < new_shape.size() && new_shape[j] == 1)
      ++j;
    if (i == shape.size() || j == new_shape.size())
      return i == shape.size() && j == new_shape.size();
    std::vector<int> old_run{static_cast<int>(i)}, new_run{static_cast<int>(j)};
    int64_t old_count = shape[i++], new_count = new_shape[j++];
    while (old_count != new_count) {
      bool grow_old = old_count < new_count;
      size_t &at = grow_old ? i : j;
      const Shape &from = grow_old ? shape : new_shape;
      if (at == from.size())
        return false;
      if (from[at] != 1)
        (grow_old ? old_run : new_run).push_back(static_cast<int>(at));
      (grow_old ? old_count : new_count) *= from[at++];
    }
    if (!group(std::move(old_run), std::move(new_run)))
      return false;
  }
}

ElementSource blocked(std::string reason) {
  ElementSource source;
  source.kind = ElementSource::Kind::blocked;
  source.reason = std::move(reason);
  return source;
}

ElementSource reshaped(ElementSource source, const Shape &shape, const Shape &new_shape) {
  if (source.kind == ElementSource::Kind::member) {
    std::vector<int> dims(new_shape.size(), -1);
    bool renamed = match_axes(shape, new_shape, [&](std::vector<int> from, std::vector<int> to) {
      if (from.size() != 1 || to.size() != 1)
        return false;
      dims[to[0]] = source.dims[from[0]];
      return true;
    });
    if (!renamed)
      return blocked(fmt::format("reshape {} to {} regroups axes inside the kernel", shape_text(shape), shape_text(new_shape)));
    source.dims = std::move(dims);
    return source;
  }
  std::optional<Shape> strides = reshape_strides(shape, source.strides, new_shape);
  if (!strides)
    return blocked(fmt::format("reshape {} to {} of strided memory", shape_text(shape), shape_text(new_shape)));
  source.strides = std::move(*strides);
  return source;
}

// Axis i of the result is axis from[i] of the operand, or repeats where from[i] is -1.
ElementSource renamed(ElementSource source, const std::vector<int> &from) {
  ElementSource result = source;
  result.strides.assign(from.size(), 0);
  result.dims.assign(from.size(), -1);
  for (size_t i = 0; i < from.size(); ++i)
    if (from[i] >= 0) {
      if (source.kind == ElementSource::Kind::member)
        result.dims[i] = source.dims[from[i]];
      else
        result.strides[i] = source.strides[from[i]];
    }
  return result;
}

} // namespace

std::optional<Shape> reshape_strides(const Shape &shape, const Shape &strides, const Shape &new_shape) {
  Shape result(new_shape.size(), 0);
  bool fits = match_axes(shape, new_shape, [&](std::vector<int> from, std::vector<int> to) {
    for (size_t i = 0; i + 1 < from.size(); ++i)
      if (strides[from[i]] != strides[from[i + 1]] * shape[from[i + 1]])
        return false;
    int64_t stride = strides[from.back()];
    for (size_t i = to.size(); i-- > 0; stride *= new_shape[to[i]])
      result[to[i]] = stride;
    return true;
  });
  return fits ? std::optional(result) : std::nullopt;
}

ElementSource resolve(const Region &region, Value value, const std::function<bool(int)> &is_member) {
  const Node &node = region.node(value);
  const Shape &shape = region.type(value).shape;
  ElementSource source;
  source.value = value;
  if (is_member(value.node)) {
    source.kind = ElementSource::Kind::member;
    for (size_t i = 0; i < shape.size(); ++i)
      source.dims.push_back(static_cast<int>(i));
    return source;
  }
  if (node.op == Op::constant && node.data->splat) {
    source.kind = ElementSource::Kind::constant;
    source.strides.assign(shape.size(), 0);
    return source;
  }
  if (node.op == Op::iota) {
    source.kind = ElementSource::Kind::index;
    source.strides.assign(shape.size(), 0);
    source.strides[node.attrs.axis] = 1;
    return source;
  }
  if (!is_view(node.op) || node.op == Op::pad || node.op == Op::concat) {
    source.strides = contiguous_strides(shape);
    return source;
  }

  Value operand = node.operands[0];
  const Shape &operand_shape = region.type(operand).shape;
  source = resolve(region, operand, is_member);
  if (source.kind == ElementSource::Kind::blocked)
    return source;
  std::vector<int> from(shape.size(), -1);
  switch (node.op) {
  case Op::broadcast:
    for (size_t i = 0; i < node.attrs.axes.size(); ++i)
      from[node.attrs.axes[i]] = static_cast<int>(i);
    return renamed(std::move(source), from);
  case Op::transpose:
    for (size_t i = 0; i < shape.size(); ++i)
      from[i] = static_cast<int>(node.attrs.axes[i]);
    return renamed(std::move(source), from);
  case Op::reshape:
    return reshaped(std::move(source), operand_shape, shape);
  case Op::window: {
    if (source.kind == ElementSource::Kind::member)
      return blocked("windows of a value computed in the kernel");
    Shape strides = source.strides;
    for (size_t i = 0; i < node.attrs.axes.size(); ++i) {
      const int64_t own = source.strides[node.attrs.axes[i]];
      strides[node.attrs.axes[i]] = own * node.attrs.stride[i];
      strides.push_back(own * node.attrs.dilation[i]);
    }
    source.strides = std::move(strides);
    return source;
  }
  case Op::slice:
    if (source.kind == ElementSource::Kind::member)
      return blocked("a slice of a value computed in the kernel");
    for (size_t i = 0; i < shape.size(); ++i) {
      source.offset += node.attrs.start[i] * source.strides[i];
      source.strides[i] *= node.attrs.stride[i];
    }
    return source;
  default:
    return blocked(fmt::format("{} is no affine view", op_info(node.op).name));
  }
}

std::optional<Entries> entries_of(const Region &region, Value value) {
  const ElementSource source = resolve(region, value, [](int) { return false; });
  if (source.kind != ElementSource::Kind::buffer)
    return std::nullopt;
  const Shape &shape = region.type(value).shape;
  int64_t next = 1;
  for (size_t i = shape.size(); i-- > 1; next *= shape[i])
    if (shape[i] > 1 && source.strides[i] != next)
      return std::nullopt;
  return Entries{source.value, source.offset, shape[0] > 1 ? source.strides[0] : 0};
}

} // namespace nnc
