// Every op of the table keeps its meaning with one axis more in front, if not in the same way: an elementwise op needs its
// operands to have it all, a dot gets a label. What has none are loops and derivatives, a pad with a fill and a gather from a
// tensor that differ from step to step, and what would be too large.
#include "passes/batch.h"

#include <algorithm>
#include <cassert>

namespace nnc {

namespace {

constexpr size_t most_axes = 31;                 // of a value that is to get one more
constexpr int64_t most_bytes = int64_t{1} << 28; // of a value for all steps: a loop may be there to need less memory

Shape prefixed(int64_t first, const Shape &rest) {
  Shape result = {first};
  result.insert(result.end(), rest.begin(), rest.end());
  return result;
}

Shape shifted(Shape axes) {
  for (int64_t &axis : axes)
    ++axis;
  return axes;
}

} // namespace

void Batch::know(Value v, Value outside, bool steps) {
  known_[v] = {outside, steps};
  kinds_.clear();
}

void Batch::forget(Value v) {
  known_.erase(v);
  kinds_.clear();
}

Batch::Kind Batch::kind(Value v) {
  if (const auto found = known_.find(v); found != known_.end())
    return found->second.steps ? Kind::steps : Kind::same;
  const auto found = kinds_.find(v);
  return found != kinds_.end() ? found->second : kinds_[v] = kind_of(body_.node(v));
}

Batch::Kind Batch::kind_of(const Node &node) {
  if (node.op == Op::constant)
    return Kind::same;
  if (family(node.op) == Family::structure || node.type().shape.size() > most_axes)
    return Kind::unknown;
  std::vector<Kind> kinds;
  for (Value operand : node.operands) {
    kinds.push_back(kind(operand));
    if (kinds.back() == Kind::unknown || body_.type(operand).shape.size() > most_axes)
      return Kind::unknown;
  }
  if (std::ranges::find(kinds, Kind::steps) == kinds.end())
    return Kind::same;
  const bool second = kinds.size() > 1 && kinds[1] == Kind::steps;
  if ((node.op == Op::pad && second) || (node.op == Op::gather && second && kinds[0] == Kind::steps) ||
      (node.op == Op::scatter_add && second) || node.type().bytes() > most_bytes / steps_)
    return Kind::unknown;
  return Kind::steps;
}

Batch::All Batch::make(Value v) {
  if (const auto found = known_.find(v); found != known_.end()) {
    assert(found->second.value && "not there yet");
    return found->second;
  }
  const Node &node = body_.node(v);
  std::vector<All> operands;
  for (Value operand : node.operands)
    operands.push_back(make(operand));
  out_.loc = node.loc;
  const All all = built(node, operands);
  known_[v] = all;
  return all;
}

Value Batch::make_steps(Value v) { return with_steps(make(v)); }

Value Batch::with_steps(const All &all) {
  if (all.steps)
    return all.value;
  const Node &node = out_.region().node(all.value);
  const Shape shape = out_.shape(all.value), longer = prefixed(steps_, shape);
  if (node.op == Op::constant && node.data->splat) {
    Tensor number = *node.data;
    number.type.shape = longer;
    return out_.constant(std::move(number));
  }
  Shape axes;
  for (size_t i = 0; i < shape.size(); ++i)
    axes.push_back(static_cast<int64_t>(i) + 1);
  return out_.broadcast(all.value, longer, axes);
}

Batch::All Batch::built(const Node &node, const std::vector<All> &operands) {
  std::vector<Value> values;
  bool steps = false;
  for (const All &operand : operands) {
    values.push_back(operand.value);
    steps |= operand.steps;
  }
  if (node.op == Op::constant)
    return {out_.constant(*node.data), false};
  Attrs attrs = node.attrs;
  if (!steps)
    return {out_.op(node.op, std::move(values), std::move(attrs)), false};

  const auto all_with_steps = [&] {
    for (size_t k = 0; k < operands.size(); ++k)
      values[k] = with_steps(operands[k]);
  };
  Shape order; // axes of the result, where they are not in place
  switch (node.op) {
  case Op::broadcast:
  case Op::transpose:
    attrs.axes = prefixed(0, shifted(attrs.axes));
    break;
  case Op::slice:
  case Op::pad:
    attrs.start = prefixed(0, attrs.start);
    attrs.stride = prefixed(1, attrs.stride);
    break;
  case Op::concat:
    all_with_steps();
    ++attrs.axis;
    break;
  case Op::window:
  case Op::unwindow:
    attrs.axes = shifted(attrs.axes);
    break;
  case Op::gather:
    if (operands[0].steps) {
      ++attrs.axis;
    } else if (attrs.axis > 0) { // the steps stand where the axis was
      order = {attrs.axis};
      for (int64_t i = 0; i <= node.type().rank(); ++i)
        if (i != attrs.axis)
          order.push_back(i);
    }
    break;
  case Op::scatter_add:
  case Op::argsort:
    ++attrs.axis;
    break;
  case Op::dot: {
    const DotLabels labels = parse_dot_labels(attrs.labels);
    char step = 'a';
    while (attrs.labels.find(step) != attrs.labels.npos)
      ++step;
    const auto label = [&](size_t k, const std::string &own) { return operands[k].steps ? step + own : own; };
    attrs.labels = label(0, labels.lhs) + "," + label(1, labels.rhs) + "->" + step + labels.result;
    break;
  }
  default:
    if (is_reduce(node.op))
      attrs.axes = shifted(attrs.axes);
    else if (is_elementwise(node.op))
      all_with_steps();
  }
  const std::vector<AttrKey> &keys = op_info(node.op).attrs;
  if (std::ranges::find(keys, AttrKey::shape) != keys.end())
    attrs.shape = prefixed(steps_, attrs.shape);
  const Value value = out_.op(node.op, std::move(values), std::move(attrs));
  return {order.empty() ? value : out_.transpose(value, order), true};
}

} // namespace nnc
