// expand: ops that no kernel computes, from those that kernels do.
//
//   %v = variance(%x, axes=[1]) : f32[4]       %s = sum(%x, axes=[1])    : f32[4]
//                                              %m = div(%s, 8)           : f32[4]
//                                        =>    %b = broadcast(%m, axes=[0]) : f32[4,8]
//                                              %c = sub(%x, %b)          : f32[4,8]
//                                              %q = mul(%c, %c)          : f32[4,8]
//                                              %t = sum(%q, axes=[1])    : f32[4]
//                                              %v = div(%t, 8)           : f32[4]
//
// variance: the mean of the squared distance from the mean, in two sweeps over a row, which loses no digits where the mean is
// large. A mean that the program computes as well is shared afterwards by cse.
#include "passes/passes.h"
#include "passes/rewriter.h"

namespace nnc {

namespace {

Value mean(Builder &build, Value x, const Shape &axes) {
  int64_t count = 1;
  for (int64_t axis : axes)
    count *= build.shape(x)[axis];
  Value sum = build.sum(x, axes);
  return build.div(sum, build.like(sum, static_cast<double>(count)));
}

Value variance(Builder &build, Value x, const Shape &axes) {
  Value centred = build.sub(x, build.broadcast_back(mean(build, x, axes), build.shape(x), axes));
  return mean(build, build.mul(centred, centred), axes);
}

} // namespace

bool expand(Function &function, PassContext &) {
  Rewriter rewriter(function);
  bool changed = false;
  for (int i = 0; i < rewriter.size(); ++i) {
    Node node = rewriter.take(i);
    if (node.op != Op::variance) {
      rewriter.keep(i, std::move(node));
      continue;
    }
    changed = true;
    rewriter.build.loc = node.loc;
    Value value = variance(rewriter.build, node.operands[0], node.attrs.axes);
    offer_name(rewriter.build, value, node.name());
    rewriter.replace({i, 0}, value);
  }
  rewriter.finish();
  return changed;
}

} // namespace nnc
