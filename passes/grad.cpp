// grad: every request for derivatives becomes code that computes them, in reverse mode.
//
//   %y = tanh(%a) : f32[8] @2:7                  %y = tanh(%a) : f32[8] @2:7
//   %l = sum(%y, axes=[0]) : f32 @3:7            %l = sum(%y, axes=[0]) : f32 @3:7
//   %g = grad(%l, %a) : f32[8] @4:7              %0 = constant(1) : f32 @3:7'
//                                          =>    %d.y = broadcast(%0, axes=[]) : f32[8] @3:7'
//                                                %1 = mul(%y, %y) : f32[8] @2:7'
//                                                %2 = sub(1, %1) : f32[8] @2:7'
//                                                %g = mul(%d.y, %2) : f32[8] @2:7'
//
// A request is expanded where it stands, on nodes that are expanded already, so derivatives of derivatives need nothing special;
// the walk itself is in grad_request.cpp. An x that y does not depend on gets zeros. What turns out equal, zero or unneeded is
// for simplify, cse and dce.
#include "passes/grad_request.h"
#include "passes/passes.h"
#include "passes/rewriter.h"

#include <algorithm>

namespace nnc {

bool grad(Function &function, PassContext &context) {
  if (std::ranges::none_of(function.nodes, [](const Node &node) { return node.op == Op::grad; }))
    return false;
  DerivativeNames names(function);
  Rewriter rewriter(function);
  for (int i = 0; i < rewriter.size(); ++i) {
    Node node = rewriter.take(i);
    if (node.op != Op::grad) {
      rewriter.keep(i, std::move(node));
      continue;
    }
    const Value y = node.operands[0];
    const std::vector<Value> xs(node.operands.begin() + 1, node.operands.end());
    Request request(rewriter.build, names, context.module, xs, y.node + 1);
    if (request.influenced(y)) {
      rewriter.build.loc = request.derived(y);
      request.seed(y, rewriter.build.constant(derivative_type(rewriter.build.type(y)), 1));
    }
    std::vector<Value> results = request.expand();
    for (int k = 0; k < static_cast<int>(results.size()); ++k) {
      rewriter.build.loc = request.derived(xs[k]);
      if (!results[k])
        results[k] = rewriter.build.like(xs[k], 0);
      results[k] = rewriter.build.cast(results[k], rewriter.build.type(xs[k]).dtype);
      rewriter.replace({i, k}, results[k]);
      if (!node.names[k].empty() && request.may_name(results[k]))
        rewriter.build.set_name(results[k], node.names[k]);
    }
  }
  rewriter.finish();
  return true;
}

} // namespace nnc
