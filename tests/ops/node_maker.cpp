// Choosing operands, and making values fit where a type is wanted.
#include "tests/ops/node_maker.h"

#include "ir/error.h"
#include "ir/interpreter.h"

#include <algorithm>
#include <cmath>

namespace nnc {

bool is_tame(const Tensor &tensor) {
  constexpr double largest = 1000;
  if (is_float(tensor.type.dtype))
    for (int64_t i = 0, n = tensor.splat ? 1 : tensor.type.elements(); i < n; ++i)
      if (!(std::fabs(tensor.get(i)) <= largest))
        return false;
  return true;
}

Value NodeMaker::note(Value v, Tensor value) {
  values_.push_back(v);
  tensors_[v] = std::move(value);
  return v;
}

Value NodeMaker::argument(const Type &type, const std::string &name, Tensor value) {
  return note(builder_.arg(type, name), std::move(value));
}

Shape NodeMaker::some_shape() {
  for (;;) {
    Shape result;
    static const std::vector<int> ranks = {0, 1, 1, 2, 2, 2, 3, 4};
    for (int r = one_of(ranks); r > 0; --r)
      result.push_back(one_of(sizes_.sizes));
    if (element_count(result) <= sizes_.most_elements)
      return result;
  }
}

Tensor NodeMaker::some_tensor(const Type &type) {
  Tensor tensor(type);
  for (int64_t i = 0; i < type.elements(); ++i)
    if (is_float(type.dtype))
      tensor.set(i, static_cast<double>(below(4001) - 2000) / 1000);
    else
      tensor.set_int(i, below(is_bool(type.dtype) ? 2 : 12));
  return tensor;
}

// Adds the node if it can be, and its value is tame.
Value NodeMaker::apply(Op op, std::vector<Value> operands, Attrs attrs) {
  std::vector<Type> types;
  std::vector<const Tensor *> values;
  for (Value operand : operands) {
    if (!operand)
      return {};
    types.push_back(builder_.type(operand));
    values.push_back(&tensors_.at(operand));
  }
  Type type;
  try {
    type = infer_type(op, types, attrs);
  } catch (const Error &) {
    return {};
  }
  if (type.elements() > sizes_.most_elements || type.rank() > 5)
    return {};
  Tensor tensor = eval(op, values, attrs, type);
  if (!is_tame(tensor))
    return {};
  return note(builder_.op(op, std::move(operands), std::move(attrs)), std::move(tensor));
}

Value NodeMaker::constant(Type type, double value) {
  Tensor tensor = is_float(type.dtype) ? Tensor::filled(type, value) : Tensor::filled_int(type, static_cast<int64_t>(value));
  return note(builder_.constant(tensor), tensor);
}

Value NodeMaker::some_number(const Type &type) {
  static const std::vector<double> numbers = {0.5, 2, -1, 0.1, 1, 0, 3};
  return constant(type, one_of(numbers));
}

Value NodeMaker::data(const Type &type) {
  const Tensor tensor = some_tensor(type);
  return note(builder_.constant(tensor), tensor);
}

// Any value so far, rather a recent one.
Value NodeMaker::some_value() {
  const auto count = static_cast<int64_t>(values_.size());
  return values_[chance(60) ? count - 1 - below(std::min<int64_t>(count, 8)) : below(count)];
}

Value NodeMaker::some_float() {
  return some_value_where([&](Value v) { return is_float(dtype(v)); });
}

// Nothing computed goes to bf16 or f16: where it lies halfway between two of their numbers, rounding tells nothing.
Value NodeMaker::cast(Value v, DType to) {
  if (!v || dtype(v) == to)
    return v;
  const Op op = region_.nodes[v.node].op;
  const bool exact = (op == Op::arg && loops_ == 0) || op == Op::constant || !is_float(dtype(v));
  return is_storage_only(to) && is_float(to) && !exact ? Value{} : apply(Op::cast, {v}, {.dtype = to});
}

// `v` made to have this type, by views and a cast.
Value NodeMaker::fitted(Value v, const Type &type) {
  v = cast(v, type.dtype);
  if (!v || shape(v) == type.shape)
    return v;
  if (Shape sorted = shape(v), wanted = type.shape; sorted.size() == wanted.size()) { // another order of the same axes
    std::sort(sorted.begin(), sorted.end());
    std::sort(wanted.begin(), wanted.end());
    if (sorted == wanted) {
      Shape axes;
      for (int64_t size : type.shape)
        for (int64_t i = 0; i < rank(v); ++i)
          if (shape(v)[i] == size && std::find(axes.begin(), axes.end(), i) == axes.end()) {
            axes.push_back(i);
            break;
          }
      return apply(Op::transpose, {v}, {.axes = axes});
    }
  }
  if (element_count(shape(v)) == type.elements() && chance(70))
    return apply(Op::reshape, {v}, {.shape = type.shape});
  // A part of each axis, or padding; then new axes in front.
  while (v && rank(v) > static_cast<int>(type.shape.size()))
    v = reduced(v, {below(rank(v))});
  if (!v)
    return {};
  const size_t missing = type.shape.size() - shape(v).size();
  Shape axes, part(shape(v).size()), start(part.size(), 0), stride(part.size(), 1), padded(part.size());
  for (size_t i = 0; i < part.size(); ++i) {
    axes.push_back(static_cast<int64_t>(missing + i));
    part[i] = std::min(shape(v)[i], type.shape[missing + i]);
    padded[i] = type.shape[missing + i];
    if (shape(v)[i] > part[i] && chance(50)) {
      start[i] = shape(v)[i] - 1;
      stride[i] = -1;
    }
  }
  if (part != shape(v))
    v = apply(Op::slice, {v}, {.shape = part, .start = start, .stride = stride});
  if (v && padded != part)
    v = apply(Op::pad, {v, some_number({type.dtype, {}})},
              {.shape = padded, .start = Shape(part.size(), 0), .stride = Shape(part.size(), 1)});
  if (v && missing > 0)
    v = apply(Op::broadcast, {v}, {.axes = axes, .shape = type.shape});
  return v;
}

// A value of this type: one that has it, or something made to fit.
Value NodeMaker::operand_like(const Type &type) {
  if (chance(50))
    if (Value v = some_value_where([&](Value v) { return builder_.type(v) == type; }))
      return v;
  if (chance(15))
    return some_number(type);
  if (chance(5) && type.elements() <= 200)
    return data(type);
  Value v = fitted(some_value(), type);
  return v ? v : some_number(type);
}

Value NodeMaker::reduced(Value v, Shape axes) {
  static const std::vector<Op> ops = {Op::sum, Op::max, Op::min, Op::max, Op::sum};
  return is_bool(dtype(v)) ? Value{} : apply(one_of(ops), {v}, {.axes = std::move(axes)});
}

Shape NodeMaker::some_axes(Value v) {
  Shape axes;
  for (int64_t i = 0; i < rank(v); ++i)
    if (chance(50))
      axes.push_back(i);
  if (axes.empty() && rank(v) > 0)
    axes.push_back(below(rank(v)));
  return axes;
}

Value NodeMaker::back(Value v, const Shape &to, const Shape &reduced_axes) {
  if (!v)
    return {};
  Shape kept;
  for (int64_t i = 0; i < static_cast<int64_t>(to.size()); ++i)
    if (std::find(reduced_axes.begin(), reduced_axes.end(), i) == reduced_axes.end())
      kept.push_back(i);
  return apply(Op::broadcast, {v}, {.axes = kept, .shape = to});
}

} // namespace nnc
