// Reductions over axes: sum, prod, max, min, argmax and variance, as NumPy has them.
#include "frontend/emit.h"

#include <algorithm>
#include <fmt/format.h>

namespace nnc {

Shape Emit::axes_of(const TensorRef &tensor, const Operand &axis) {
  const int64_t rank = tensor.type.rank();
  Shape axes = whole_numbers(axis, "an axis");
  for (int64_t &a : axes) {
    if (a < -rank || a >= rank)
      trace.fail(axis.span, rank == 0 ? fmt::format("axis {} of {}, a scalar", a, type_text(tensor.type))
                                      : fmt::format("axis {} is outside 0..{} of {}", a, rank, type_text(tensor.type)));
    a = a < 0 ? a + rank : a;
  }
  std::sort(axes.begin(), axes.end());
  if (auto twice = std::adjacent_find(axes.begin(), axes.end()); twice != axes.end())
    trace.fail(axis.span, fmt::format("axis {} stands twice", *twice));
  return axes;
}

TensorRef Emit::reduce(Op op, const Operand &operand, const Shape &axes, bool keepdims, const Span &at) {
  TensorRef x = tensor(operand);
  const DType dtype = x.type.dtype;
  Builder &b = this->at(at);
  const bool counts = op == Op::sum || op == Op::prod;
  if (counts && (is_bool(dtype) || (is_integer(dtype) && dtype_size(dtype) == 1)))
    x = ref(b.cast(x.value, DType::i32)); // room for the sum
  else
    need_arithmetic(op == Op::variance ? "var" : op_info(op).name, {operand}, at);
  if (is_bool(x.type.dtype))
    trace.fail(at, fmt::format("`{}` of bools; `any` and `all` are for them", op_info(op).name));
  else if (op == Op::variance && !is_float(dtype))
    trace.fail(at, fmt::format("`var` of {}; write f32(…)", type_text(x.type)));

  if (op == Op::argmax)
    need_places(x.type, axes[0], at);
  const Shape &shape = x.type.shape;
  Shape kept, reduced;
  bool trivial = op != Op::argmax && op != Op::variance; // one element each: the reduction is a reshape
  for (int64_t i = 0; i < x.type.rank(); ++i) {
    const bool gone = std::find(axes.begin(), axes.end(), i) != axes.end();
    trivial = trivial && (!gone || shape[i] == 1);
    if (!gone)
      reduced.push_back(shape[i]);
    if (!gone || keepdims)
      kept.push_back(gone ? 1 : shape[i]);
  }
  const Value result = trivial ? b.reshape(x.value, reduced) : b.reduce(op, x.value, axes);
  return ref(b.reshape(result, kept));
}

// All elements hold if the smallest of them, as 0 and 1, is 1.
void Emit::check(const TensorRef &holds, const std::string &message, const Span &at) {
  Builder &b = this->at(at);
  Value all = holds.value;
  if (holds.type.rank() > 0) {
    Shape axes;
    for (int64_t i = 0; i < holds.type.rank(); ++i)
      axes.push_back(i);
    const Value least = b.reduce(Op::min, b.cast(all, DType::i32), axes);
    all = b.eq(least, b.like(least, 1));
  }
  draft->check(all, message, trace.loc(at));
}

} // namespace nnc
