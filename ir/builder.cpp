// Builder: appending nodes, names, and the few conveniences that take more than one node.
#include "ir/builder.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <fmt/format.h>
#include <numeric>

namespace nnc {

Value Builder::append(Node node, const std::string &name) {
  node.loc = loc;
  node.names.assign(node.types.size(), "");
  region_.nodes.push_back(std::move(node));
  const Value value{static_cast<int>(region_.nodes.size()) - 1, 0};
  set_name(value, name);
  return value;
}

Value Builder::arg(Type type, const std::string &name) {
  assert(region_.args == static_cast<int>(region_.nodes.size()));
  ++region_.args;
  Node node;
  node.types = {std::move(type)};
  return append(std::move(node), name);
}

Value Builder::constant(Tensor data, const std::string &name) {
  Node node;
  node.op = Op::constant;
  node.types = {data.type};
  node.data = std::make_shared<const Tensor>(std::move(data));
  return append(std::move(node), name);
}

Value Builder::constant(Type type, double value) { return constant(Tensor::filled(std::move(type), value)); }
Value Builder::constant_int(Type type, int64_t value) { return constant(Tensor::filled_int(std::move(type), value)); }

Value Builder::op(Op op, std::vector<Value> operands, Attrs attrs, const std::string &name) {
  std::vector<Type> types;
  for (Value operand : operands)
    types.push_back(type(operand));
  Node node;
  node.op = op;
  node.types = {infer_type(op, types, attrs)};
  node.operands = std::move(operands);
  node.attrs = std::move(attrs);
  return append(std::move(node), name);
}

Value Builder::fused(std::vector<Value> operands, Region body) {
  Node node;
  node.op = Op::fused;
  for (Value result : body.results)
    node.types.push_back(body.type(result));
  node.operands = std::move(operands);
  node.body = std::make_shared<const Region>(std::move(body));
  return append(std::move(node), "");
}

Value Builder::scan(const ScanInfo &info, std::vector<Value> operands, Region body) {
  Node node;
  node.op = Op::scan;
  node.scan = info;
  for (size_t i = 0; i < body.results.size(); ++i)
    node.types.push_back(result_type(node, body, i));
  node.operands = std::move(operands);
  node.body = std::make_shared<const Region>(std::move(body));
  return append(std::move(node), "");
}

Value Builder::cast(Value a, DType dtype) {
  if (type(a).dtype == dtype)
    return a;
  return op(Op::cast, {a}, {.dtype = dtype});
}

Value Builder::broadcast(Value a, Shape shape, Shape axes) {
  if (this->shape(a) == shape) // the axes can only be the identity then: they increase
    return a;
  return op(Op::broadcast, {a}, {.axes = std::move(axes), .shape = std::move(shape)});
}

Value Builder::transpose(Value a, Shape axes) {
  Shape identity(shape(a).size());
  std::iota(identity.begin(), identity.end(), 0);
  if (axes == identity)
    return a;
  return op(Op::transpose, {a}, {.axes = std::move(axes)});
}

Value Builder::reshape(Value a, Shape shape) {
  if (this->shape(a) == shape)
    return a;
  return op(Op::reshape, {a}, {.shape = std::move(shape)});
}

Value Builder::slice(Value a, Shape start, Shape shape, Shape stride) {
  const auto is_one = [](int64_t step) { return step == 1; };
  if (this->shape(a) == shape && std::all_of(stride.begin(), stride.end(), is_one))
    return a;
  return op(Op::slice, {a}, {.shape = std::move(shape), .start = std::move(start), .stride = std::move(stride)});
}

Value Builder::pad(Value a, Value fill, Shape start, Shape shape, Shape stride) {
  const auto is_one = [](int64_t step) { return step == 1; };
  if (this->shape(a) == shape && std::all_of(stride.begin(), stride.end(), is_one))
    return a;
  return op(Op::pad, {a, fill}, {.shape = std::move(shape), .start = std::move(start), .stride = std::move(stride)});
}

Value Builder::concat(std::vector<Value> parts, int64_t axis) {
  if (parts.size() == 1)
    return parts[0];
  return op(Op::concat, std::move(parts), {.axis = axis});
}

Value Builder::window(Value a, Shape axes, const Shape &sizes, Shape stride, Shape dilation) {
  Shape result = shape(a);
  for (size_t i = 0; i < axes.size(); ++i) {
    int64_t &size = result[axes[i]];
    size = (size - (sizes[i] - 1) * dilation[i] - 1) / stride[i] + 1;
  }
  result.insert(result.end(), sizes.begin(), sizes.end());
  return op(Op::window, {a},
            {.axes = std::move(axes), .shape = std::move(result), .stride = std::move(stride), .dilation = std::move(dilation)});
}

Value Builder::unwindow(Value windows, Shape axes, Shape shape, Shape stride, Shape dilation) {
  return op(Op::unwindow, {windows},
            {.axes = std::move(axes), .shape = std::move(shape), .stride = std::move(stride), .dilation = std::move(dilation)});
}

Value Builder::gather(Value a, Value index, int64_t axis) { return op(Op::gather, {a, index}, {.axis = axis}); }

Value Builder::scatter_add(Value updates, Value index, int64_t axis, Shape shape) {
  return op(Op::scatter_add, {updates, index}, {.shape = std::move(shape), .axis = axis});
}

Value Builder::argsort(Value a, int64_t axis) { return op(Op::argsort, {a}, {.axis = axis}); }

Value Builder::iota(DType dtype, Shape shape, int64_t axis) {
  return op(Op::iota, {}, {.shape = std::move(shape), .axis = axis, .dtype = dtype});
}

Value Builder::broadcast_to(Value a, const Shape &shape) {
  const Shape from = this->shape(a);
  if (from == shape)
    return a;
  const int64_t shift = static_cast<int64_t>(shape.size()) - static_cast<int64_t>(from.size());
  Shape kept, axes; // the axes of `a` that do not repeat, and where they go
  bool fits = shift >= 0;
  for (int64_t i = 0; fits && i < static_cast<int64_t>(from.size()); ++i) {
    if (from[i] == shape[shift + i]) {
      kept.push_back(from[i]);
      axes.push_back(shift + i);
    } else {
      fits = from[i] == 1;
    }
  }
  assert(fits && "it does not broadcast to this shape");
  return broadcast(reshape(a, std::move(kept)), shape, std::move(axes));
}

// By the squares that the binary digits of n choose; where n is negative, of 1 / x, for x ** 2 may be denormal where x ** -2 is
// not.
Value Builder::power(Value x, int64_t n) {
  Value result, square = n < 0 ? div(like(x, 1), x) : x;
  for (int64_t rest = std::abs(n); rest > 0; rest /= 2) {
    if (rest % 2)
      result = result ? mul(result, square) : square;
    if (rest > 1)
      square = mul(square, square);
  }
  return result ? result : like(x, 1);
}

Value Builder::reduce(Op op, Value a, Shape axes) {
  assert(is_reduce(op));
  if (axes.empty() && op != Op::argmax && op != Op::variance)
    return a;
  std::sort(axes.begin(), axes.end());
  return this->op(op, {a}, {.axes = std::move(axes)});
}

Value Builder::broadcast_back(Value reduced, const Shape &shape, const Shape &axes) {
  Shape kept;
  for (int64_t i = 0; i < static_cast<int64_t>(shape.size()); ++i)
    if (std::find(axes.begin(), axes.end(), i) == axes.end())
      kept.push_back(i);
  return broadcast(reduced, shape, std::move(kept));
}

Value Builder::dot(Value a, Value b, std::string labels) { return op(Op::dot, {a, b}, {.labels = std::move(labels)}); }

std::vector<Value> Builder::grad(Value y, const std::vector<Value> &xs) {
  assert(is_float(type(y).dtype) && shape(y).empty() && "derivatives are of scalars");
  Node node;
  node.op = Op::grad;
  node.operands = {y};
  std::vector<Value> results;
  for (Value x : xs) {
    node.operands.push_back(x);
    node.types.push_back(type(x));
    results.push_back({static_cast<int>(region_.nodes.size()), static_cast<int>(results.size())});
  }
  append(std::move(node), "");
  return results;
}

void Builder::set_name(Value v, const std::string &name) {
  std::string &own = region_.nodes[v.node].names[v.index];
  if (own == name)
    return;
  for (; scanned_ < region_.nodes.size(); ++scanned_)
    for (const std::string &used : region_.nodes[scanned_].names)
      next_suffix_.try_emplace(used, 1);
  own = name;
  if (name.empty() || next_suffix_.try_emplace(name, 1).second)
    return;
  // "h.1" taken gives "h.2", not "h.1.1".
  const size_t dot = name.find_last_not_of("0123456789");
  const bool has_suffix = dot != name.npos && dot > 0 && dot + 1 < name.size() && name[dot] == '.';
  const std::string base = has_suffix ? name.substr(0, dot) : name;
  int &suffix = next_suffix_.try_emplace(base, 1).first->second;
  do
    own = fmt::format("{}.{}", base, suffix++);
  while (!next_suffix_.try_emplace(own, 1).second);
}

std::optional<Shape> broadcast_shapes(const Shape &a, const Shape &b) {
  const Shape &longer = a.size() >= b.size() ? a : b, &shorter = a.size() >= b.size() ? b : a;
  Shape shape = longer;
  const size_t shift = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i) {
    int64_t &size = shape[shift + i];
    if (size == 1)
      size = shorter[i];
    else if (shorter[i] != 1 && shorter[i] != size)
      return std::nullopt;
  }
  return shape;
}

} // namespace nnc
