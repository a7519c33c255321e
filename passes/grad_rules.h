// The derivatives of the op table's rows; the pass `grad` walks, a row says what happens at its op.
#pragma once

#include "ir/builder.h"

namespace nnc {

// What a rule sees: the node to go back through, and the derivative of y by its result.
struct Backward {
  Builder &b; // appends after the node
  std::vector<Value> operands;
  Attrs attrs;
  Value result;
  Value d; // of y by `result`, of its derivative_type

  Value operand(int k) const { return operands[k]; }
  const Shape &shape(int k) const { return b.shape(operands[k]); }
};

// The derivative of y by operand k as far as it goes through this node, of the operand's derivative_type. Asked only for floats
// on which an x has influence. Must build differentiable ops only, so that derivatives nest, and nothing that loses a NaN.
using GradFunction = Value (*)(const Backward &g, int k);

enum class Flow : uint8_t {
  rule,    // through the function
  nothing, // the result does not vary with any operand, or counts as if it did not (floor)
  refused, // it does, but there is no rule: an error where it is on the way
};

struct GradRow {
  Flow flow;
  GradFunction apply = nullptr;

  constexpr GradRow(GradFunction function) : flow(Flow::rule), apply(function) {}
  constexpr GradRow(Flow flow) : flow(flow) {}
};

const GradRow &grad_row(Op op);

} // namespace nnc
