// Classes of floats. What is known without running costs nothing: constants, and everything that is no float. bf16 and f16 are
// looked at as f32, which holds all their numbers.
#include "passes/float_class.h"

#include <algorithm>
#include <cmath>

namespace nnc {

namespace {

Shape all_axes(const Shape &shape) {
  Shape axes;
  for (size_t i = 0; i < shape.size(); ++i)
    axes.push_back(static_cast<int64_t>(i));
  return axes;
}

} // namespace

int float_class(const Tensor &tensor) {
  int largest = 0;
  if (is_float(tensor.type.dtype))
    for (int64_t i = 0, count = tensor.splat ? 1 : tensor.type.elements(); i < count; ++i) {
      const double number = tensor.get(i);
      largest = std::max(largest, std::isnan(number) ? 2 : std::isinf(number) ? 1 : 0);
    }
  return largest;
}

Value FloatClasses::larger(Value a, Value b) { return !a ? b : !b || a == b ? a : build_.op(Op::maximum, {a, b}); }

Value FloatClasses::of_elements(Value v) {
  const auto [at, added] = elements_.try_emplace(v);
  return added ? at->second = made_of_elements(v) : at->second;
}

Value FloatClasses::of_whole(Value v) {
  const auto [at, added] = whole_.try_emplace(v);
  return added ? at->second = made_of_whole(v) : at->second;
}

Value FloatClasses::made_of_elements(Value v) {
  const Type type = build_.type(v);
  const Node &node = build_.region().node(v);
  if (!is_float(type.dtype))
    return {};
  if (node.op == Op::constant && (node.data->splat || float_class(*node.data) == 0)) {
    const int known = float_class(*node.data);
    return known == 0 ? Value{} : build_.constant_int({DType::i32, type.shape}, known);
  }
  const Value x = build_.cast(v, wide_dtype(type.dtype));
  const auto number = [&](int64_t n) { return build_.constant_int({DType::i32, type.shape}, n); };
  const Value is_finite = build_.lt(build_.op(Op::abs, {x}), build_.like(x, INFINITY));
  return build_.select(is_finite, number(0), build_.select(build_.eq(x, x), number(1), number(2)));
}

Value FloatClasses::made_of_whole(Value v) {
  const Node node = build_.region().node(v);
  Value largest;
  switch (node.op) {
  case Op::constant:
    return float_class(*node.data) == 0 ? Value{} : build_.constant_int({DType::i32, {}}, float_class(*node.data));
  case Op::broadcast:
  case Op::transpose:
  case Op::reshape:
  case Op::slice:
  case Op::window:
  case Op::gather:
    return of_whole(node.operands[0]);
  case Op::pad:
  case Op::concat:
    for (Value operand : node.operands)
      largest = larger(largest, of_whole(operand));
    return largest;
  default:
    if (const Value classes = of_elements(v))
      return build_.reduce(Op::max, classes, all_axes(build_.shape(v)));
    return {};
  }
}

} // namespace nnc
