// Where a size comes from: followed from a value backwards through the operations that pass the axis on, to the declaration
// of an argument or to the operation that made the size.
#include "frontend/emit.h"

#include <algorithm>
#include <fmt/format.h>

namespace nnc {

namespace {

// The operand and axis that axis `axis` of a node's result repeats, or node -1.
struct AxisOf {
  Value value;
  int64_t axis = 0;
};

AxisOf operand_axis(const Draft &draft, const Node &node, int64_t axis) {
  const auto operand = [&](size_t i, int64_t its_axis) { return AxisOf{node.operands[i], its_axis}; };
  const auto position = [](const Shape &list, int64_t value) {
    auto found = std::find(list.begin(), list.end(), value);
    return found == list.end() ? int64_t{-1} : found - list.begin();
  };
  switch (node.op) {
  case Op::broadcast: {
    const int64_t from = position(node.attrs.axes, axis);
    return from < 0 ? AxisOf{} : operand(0, from);
  }
  case Op::transpose:
    return operand(0, node.attrs.axes[axis]);
  case Op::dot: {
    const DotLabels labels = parse_dot_labels(node.attrs.labels);
    const size_t left = labels.lhs.find(labels.result[axis]);
    return left != labels.lhs.npos ? operand(0, static_cast<int64_t>(left))
                                   : operand(1, static_cast<int64_t>(labels.rhs.find(labels.result[axis])));
  }
  case Op::reshape: { // an axis stays itself if the sizes before it multiply to the same
    const Shape &from = draft.type(node.operands[0]).shape, &to = node.type().shape;
    const int64_t before = element_count(Shape(to.begin(), to.begin() + axis));
    for (size_t i = 0; i < from.size(); ++i)
      if (from[i] == to[axis] && element_count(Shape(from.begin(), from.begin() + static_cast<int64_t>(i))) == before)
        return operand(0, static_cast<int64_t>(i));
    return {};
  }
  case Op::slice:
    return draft.type(node.operands[0]).shape[axis] == node.type().shape[axis] ? operand(0, axis) : AxisOf{};
  default:
    break;
  }
  if (is_reduce(node.op)) {
    for (int64_t i = 0, left = axis; i < draft.type(node.operands[0]).rank(); ++i)
      if (position(node.attrs.axes, i) < 0 && left-- == 0)
        return operand(0, i);
  }
  if (is_elementwise(node.op))
    for (size_t i = 0; i < node.operands.size(); ++i) { // constants and repeated operands took their size from the others
      const Op made_by = draft.node(node.operands[i]).op;
      if (made_by != Op::constant && made_by != Op::broadcast)
        return operand(i, axis);
    }
  return node.operands.empty() || !is_elementwise(node.op) ? AxisOf{} : operand(0, axis);
}

} // namespace

void Emit::note_size(Diagnostic &diagnostic, const TensorRef &tensor, int64_t axis) const {
  if (!draft || tensor.home != draft)
    return;
  const int64_t size = tensor.type.shape[axis];
  AxisOf at{tensor.value, axis};
  while (true) {
    const AxisOf before = operand_axis(*draft, draft->node(at.value), at.axis);
    if (!before.value)
      break;
    at = before;
  }
  if (const Span *declared = draft->declared(at.value)) {
    if (*declared)
      diagnostic.note(*declared, fmt::format("{} comes from `{}`", size, declared->text()));
  } else if (const Span span = trace.span(draft->node(at.value).loc); span && span.source == diagnostic.span.source) {
    if (span.place().line != diagnostic.span.place().line)
      diagnostic.note(span, fmt::format("{} comes from here", size));
  }
}

void Emit::note_sizes(Diagnostic &diagnostic, const TensorRef &tensor, const Shape &expected) const {
  const Shape &shape = tensor.type.shape;
  for (size_t i = 0; i < expected.size() && shape.size() == expected.size(); ++i)
    if (shape[i] != expected[i])
      note_size(diagnostic, tensor, static_cast<int64_t>(i));
}

} // namespace nnc
