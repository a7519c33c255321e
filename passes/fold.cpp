// fold: what depends on constants only is computed now.
//
//   %0 = constant(2) : f32[4,4]                  %0 = constant(2) : f32[4,4]
//   %1 = sqrt(%0) : f32[4,4]               =>    %1 = constant(1.4142135) : f32[4,4]
//   %2 = neg(%1) : f32[4,4]                      %2 = constant(-1.4142135) : f32[4,4]
//
// By the interpreter's eval, so floats are rounded as everywhere. A result has at most 64 elements, as what stands in the text,
// or is a splat; a broadcast stays one unless its operand is a splat, and an iota stays one: as index maps they cost nothing.
#include "ir/interpreter.h"
#include "passes/passes.h"
#include "passes/rewriter.h"
#include "passes/simplify.h"

#include <algorithm>

namespace nnc {

namespace {

constexpr int64_t most_elements = 64;           // of a result that is no splat
constexpr int64_t most_work = int64_t{1} << 16; // elements read to compute one

bool same_number(const Tensor &a, const Tensor &b) { return a.type.dtype == b.type.dtype && a.bytes == b.bytes; }

// The splat that an op gives on splats alone, from one element of each.
std::optional<Tensor> folded_splat(const Node &node, std::span<const Tensor *const> operands, Denormals denormals) {
  if (operands.empty() || !std::ranges::all_of(operands, [](const Tensor *t) { return t->splat; }))
    return std::nullopt;
  Tensor number;
  if (is_elementwise(node.op)) {
    std::vector<Tensor> scalars;
    std::vector<const Tensor *> pointers;
    for (const Tensor *operand : operands)
      scalars.push_back(*operand);
    for (Tensor &scalar : scalars) {
      scalar.type.shape = {};
      pointers.push_back(&scalar);
    }
    number = eval(node.op, pointers, node.attrs, {node.type().dtype, {}}, denormals);
  } else if (is_view(node.op) && std::ranges::all_of(operands, [&](const Tensor *t) { return same_number(*t, *operands[0]); })) {
    number = *operands[0];
  } else {
    return std::nullopt;
  }
  number.splat = true;
  number.type = node.type();
  return number;
}

} // namespace

std::optional<Tensor> folded(const Region &region, const Node &node, Denormals denormals) {
  if (family(node.op) == Family::structure || node.op == Op::iota)
    return std::nullopt;
  std::vector<const Tensor *> operands;
  int64_t work = node.type().elements();
  for (Value operand : node.operands) {
    if (region.node(operand).op != Op::constant)
      return std::nullopt;
    operands.push_back(region.node(operand).data.get());
    work += operands.back()->type.elements();
  }
  if (std::optional<Tensor> splat = folded_splat(node, operands, denormals))
    return splat;
  if (node.op == Op::broadcast || node.type().elements() > most_elements || work > most_work)
    return std::nullopt;
  Tensor result = eval(node.op, operands, node.attrs, node.type(), denormals);
  if (result.type.elements() == 1)
    result.splat = true;
  return result;
}

bool fold(Function &function, PassContext &context) {
  Rewriter rewriter(function);
  bool changed = false;
  for (int i = 0; i < rewriter.size(); ++i) {
    Node node = rewriter.take(i);
    std::optional<Tensor> result = folded(rewriter.build.region(), node, context.denormals());
    if (result && context.allow("fold", node.name())) {
      rewriter.build.loc = node.loc;
      rewriter.replace({i, 0}, rewriter.build.constant(std::move(*result)));
      changed = true;
    } else {
      rewriter.keep(i, std::move(node));
    }
  }
  rewriter.finish();
  return changed;
}

} // namespace nnc
