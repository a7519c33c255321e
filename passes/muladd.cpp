// muladd: a product that only feeds a sum rounds once with it.
//
//   %p = mul(%a, %b) : f32[8]              =>    %s = muladd(%a, %b, %c) : f32[8]
//   %s = add(%p, %c) : f32[8]
//
// What is contracted depends on the function alone, never on how it is cut into kernels: a muladd is one op with one meaning
// wherever it is computed, so a value that two kernels compute has the same bits in both. The rule: floats; the product has no
// other reader; of two products that are added the first is taken; a - b c only where c is a number, which takes the sign.
// Error: one rounding less, which may also let a product overflow unnoticed where the sum fits again.
#include "passes/passes.h"
#include "passes/rewriter.h"

namespace nnc {

namespace {

bool is_splat(const Node &node) { return node.op == Op::constant && node.data->splat; }

Tensor negated(Tensor number) {
  number.set(0, -number.get(0));
  return number;
}

// Makes `node`, an add or sub, a muladd of operand k and the other, if the rule allows.
bool contract(Node &node, int k, bool read_once, PassContext &context, Builder &build) {
  const Node product = build.region().node(node.operands[k]);
  if (product.op != Op::mul || !read_once)
    return false;
  std::vector<Value> operands = {product.operands[0], product.operands[1], node.operands[1 - k]};
  if (node.op == Op::sub) { // a b - c = a b + (-c), c - a b = a (-b) + c
    Value &signed_number = operands[k == 0 ? 2 : 1];
    if (!is_splat(build.region().node(signed_number)) || !context.allow("muladd", node.name()))
      return false;
    build.loc = node.loc;
    signed_number = build.constant(negated(*build.region().node(signed_number).data));
  } else if (!context.allow("muladd", node.name())) {
    return false;
  }
  node.op = Op::muladd;
  node.operands = std::move(operands);
  return true;
}

} // namespace

bool muladd(Function &function, PassContext &context) {
  const std::vector<int> uses = count_uses(function);
  Rewriter rewriter(function);
  bool changed = false;
  for (int i = 0; i < rewriter.size(); ++i) {
    const std::vector<Value> old_operands = rewriter.old(i).operands;
    Node node = rewriter.take(i);
    for (int k = 0; k < 2 && (node.op == Op::add || node.op == Op::sub) && is_float(node.type().dtype); ++k)
      changed |= contract(node, k, uses[old_operands[k].node] == 1, context, rewriter.build);
    rewriter.keep(i, std::move(node));
  }
  rewriter.finish();
  return changed;
}

} // namespace nnc
