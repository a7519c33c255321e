// unwindow: what sums windows, from what kernels compute: of one frame around the windows, as many slices as a window has
// elements, added.
//
//   %y = unwindow(%w, axes=[0], stride=[1])    %p = pad(%w, 0, start=[1,0])  : f32[6,2]
//                                        =>    %a = slice(%p, start=[1,0])   : f32[5,1]
//                                              %b = slice(%p, start=[0,1])   : f32[5,1]
//                                              %y = add(reshape(%a), reshape(%b)) : f32[5]
//
// A place i is the sum of w[o, r] with o * stride + r * dilation = i. In the frame, the windows lie `stride` apart and
// (size - 1) * dilation behind its start, so that element r of all of them is one slice, from (size - 1 - r) * dilation on.
// After simplify, whose rules know better for windows that lie apart or were multiplied.
#include "passes/passes.h"
#include "passes/rewriter.h"

namespace nnc {

namespace {

Value summed_windows(Builder &build, Value windows, const Attrs &attrs) {
  const Shape whole = attrs.shape;
  const size_t rank = whole.size();
  Shape frame = build.shape(windows), start(frame.size()), stride(frame.size(), 1);
  const Shape sizes(frame.begin() + rank, frame.end());
  for (size_t i = 0; i < sizes.size(); ++i) {
    const int64_t axis = attrs.axes[i];
    start[axis] = (sizes[i] - 1) * attrs.dilation[i];
    frame[axis] = whole[axis] + start[axis];
    stride[axis] = attrs.stride[i];
  }
  const Value zero = build.constant({build.type(windows).dtype, {}}, 0);
  const Value framed = build.pad(windows, zero, start, frame, stride);
  Shape part = whole, at(sizes.size(), 0);
  part.resize(frame.size(), 1);
  Value sum;
  for (int64_t left = element_count(sizes); left > 0; --left) {
    Shape from(frame.size());
    for (size_t i = 0; i < sizes.size(); ++i) {
      from[attrs.axes[i]] = (sizes[i] - 1 - at[i]) * attrs.dilation[i];
      from[rank + i] = at[i];
    }
    const Value one = build.reshape(build.slice(framed, from, part, Shape(frame.size(), 1)), whole);
    sum = sum ? build.add(sum, one) : one;
    for (size_t i = sizes.size(); i-- > 0 && ++at[i] == sizes[i];)
      at[i] = 0;
  }
  return sum;
}

} // namespace

bool unwindow(Function &function, PassContext &) {
  Rewriter rewriter(function);
  bool changed = false;
  for (int i = 0; i < rewriter.size(); ++i) {
    Node node = rewriter.take(i);
    if (node.op != Op::unwindow) {
      rewriter.keep(i, std::move(node));
      continue;
    }
    changed = true;
    rewriter.build.loc = node.loc;
    Attrs attrs = node.attrs;
    attrs.shape = node.type().shape;
    const Value value = summed_windows(rewriter.build, node.operands[0], attrs);
    offer_name(rewriter.build, value, node.name());
    rewriter.replace({i, 0}, value);
  }
  rewriter.finish();
  return changed;
}

} // namespace nnc
