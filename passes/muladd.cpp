// muladd: a product that only feeds a sum rounds once with it.
//
//   %p = mul(%a, %b)  : f32[8]                 %s = muladd(%a, %b, %c)  : f32[8]
//   %s = add(%p, %c)  : f32[8]           =>
//
// What is contracted depends on the function alone, never on how it is cut into kernels: a muladd is one op with one meaning
// wherever it is computed, so a value that two kernels compute has the same bits in both. The rule: floats; the product has no
// other user; of two products that are added the first is taken. a - b c has no form here: codegen would need a negated operand.
// Error: one rounding less, which may also let a product overflow unnoticed where the sum fits again.
#include "passes/passes.h"
#include "passes/rewriter.h"

namespace nnc {

bool muladd(Function &function, PassContext &context) {
  const std::vector<int> uses = count_uses(function);
  Rewriter rewriter(function);
  bool changed = false;
  for (int i = 0; i < rewriter.size(); ++i) {
    const std::vector<Value> operands = rewriter.old(i).operands;
    Node node = rewriter.take(i);
    for (int k = 0; k < 2 && node.op == Op::add && is_float(node.type().dtype); ++k) {
      const Node &product = rewriter.build.region().node(node.operands[k]);
      if (product.op != Op::mul || uses[operands[k].node] != 1 || !context.allow("muladd", node.name()))
        continue;
      node.operands = {product.operands[0], product.operands[1], node.operands[1 - k]};
      node.op = Op::muladd;
      changed = true;
    }
    rewriter.keep(i, std::move(node));
  }
  rewriter.finish();
  return changed;
}

} // namespace nnc
