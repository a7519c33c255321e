// cse: a value computed twice is computed once, at its first place.
//
//   %e = exp(%s) : f32[8] @8:7                   %e = exp(%s) : f32[8] @8:7
//   %z = sum(%e, axes=[0]) : f32                 %z = sum(%e, axes=[0]) : f32
//   %0 = broadcast(%z, axes=[]) : f32[8]   =>    %0 = broadcast(%z, axes=[]) : f32[8]
//   %1 = exp(%s) : f32[8] @8:7'                  %y = div(%e, %0) : f32[8]
//   %y = div(%1, %0) : f32[8]
//
// Ops are pure, so equal operands give equal bits. One sweep is enough: operands are merged before their users are looked at.
// The value that stays keeps its name and place, and takes over the other's name if it has none.
#include "passes/passes.h"
#include "passes/rewriter.h"
#include "passes/value_table.h"

namespace nnc {

bool cse(Function &function, PassContext &context) {
  Rewriter rewriter(function);
  ValueTable table(rewriter.build.region());
  bool changed = false;
  for (int i = 0; i < rewriter.size(); ++i) {
    Node node = rewriter.take(i);
    const Value first = table.find(node);
    if (first && context.allow("cse", node.name())) {
      rewriter.replace({i, 0}, first);
      offer_name(rewriter.build, first, node.name());
      changed = true;
    } else {
      table.insert(rewriter.keep(i, std::move(node)));
    }
  }
  rewriter.finish();
  return changed;
}

} // namespace nnc
