// The interpreter's views. All of them are one thing: copying between two strided walks over the same shape.
#include "ir/eval.h"

#include <algorithm>

namespace nnc {

Shape element_strides(const Tensor &tensor) {
  return tensor.splat ? Shape(tensor.type.rank(), 0) : contiguous_strides(tensor.type.shape);
}

namespace {

// A tensor's elements met on a walk over some shape.
struct Walk {
  int64_t offset = 0;
  Shape strides; // one an axis of the shape walked
};

template <typename T>
void copy_axes(T *to, const Shape &to_strides, const T *from, const Shape &from_strides, const Shape &shape, size_t axis) {
  if (axis == shape.size()) {
    *to = *from;
    return;
  }
  const int64_t to_stride = to_strides[axis], from_stride = from_strides[axis];
  for (int64_t i = 0; i < shape[axis]; ++i) {
    if (axis + 1 == shape.size())
      to[i * to_stride] = from[i * from_stride];
    else
      copy_axes(to + i * to_stride, to_strides, from + i * from_stride, from_strides, shape, axis + 1);
  }
}

void copy(Tensor &to, const Walk &to_walk, const Tensor &from, const Walk &from_walk, const Shape &shape) {
  if (element_count(shape) == 0) // the offsets may lie outside then
    return;
  const auto run = [&](auto t) {
    using T = decltype(t);
    copy_axes(to.data<T>() + to_walk.offset, to_walk.strides, from.data<T>() + from_walk.offset, from_walk.strides, shape, 0);
  };
  switch (dtype_size(to.type.dtype)) {
  case 1:
    return run(uint8_t());
  case 2:
    return run(uint16_t());
  case 4:
    return run(uint32_t());
  default:
    return run(uint64_t());
  }
}

// A result that reads one operand along `walk`.
Tensor gathered(const EvalCall &call, const Walk &walk) {
  Tensor result(call.type);
  copy(result, {0, contiguous_strides(call.type.shape)}, *call.in[0], walk, call.type.shape);
  return result;
}

Tensor splat_of(const Tensor &element, const Type &type) {
  Tensor result;
  result.type = type;
  result.splat = true;
  result.bytes = element.bytes;
  return result;
}

// The walk start + i * stride on a tensor whose own strides are given.
Walk strided(const Shape &own, const Attrs &attrs) {
  Walk walk{0, own};
  for (size_t i = 0; i < own.size(); ++i) {
    walk.offset += attrs.start[i] * own[i];
    walk.strides[i] *= attrs.stride[i];
  }
  return walk;
}

} // namespace

Tensor eval_broadcast(const EvalCall &call) {
  if (call.in[0]->splat)
    return splat_of(*call.in[0], call.type);
  const Shape own = element_strides(*call.in[0]);
  Walk walk{0, Shape(call.type.rank(), 0)};
  for (size_t i = 0; i < own.size(); ++i)
    walk.strides[call.attrs.axes[i]] = own[i];
  return gathered(call, walk);
}

Tensor eval_transpose(const EvalCall &call) {
  if (call.in[0]->splat)
    return splat_of(*call.in[0], call.type);
  const Shape own = element_strides(*call.in[0]);
  Walk walk;
  for (int64_t axis : call.attrs.axes)
    walk.strides.push_back(own[axis]);
  return gathered(call, walk);
}

Tensor eval_reshape(const EvalCall &call) {
  Tensor result = *call.in[0];
  result.type = call.type;
  return result;
}

Tensor eval_slice(const EvalCall &call) {
  if (call.in[0]->splat)
    return splat_of(*call.in[0], call.type);
  return gathered(call, strided(element_strides(*call.in[0]), call.attrs));
}

Tensor eval_pad(const EvalCall &call) {
  const Tensor &part = *call.in[0];
  Tensor result = expanded(splat_of(*call.in[1], call.type));
  copy(result, strided(contiguous_strides(call.type.shape), call.attrs), part, {0, element_strides(part)}, part.type.shape);
  return result;
}

Tensor eval_concat(const EvalCall &call) {
  Tensor result(call.type);
  Walk walk{0, contiguous_strides(call.type.shape)};
  const int64_t axis = call.attrs.axis;
  for (const Tensor *part : call.in) {
    copy(result, walk, *part, {0, element_strides(*part)}, part->type.shape);
    walk.offset += part->type.shape[axis] * walk.strides[axis];
  }
  return result;
}

Tensor eval_iota(const EvalCall &call) {
  const int64_t axis = call.attrs.axis, size = call.type.shape[axis];
  Tensor line(Type{call.type.dtype, {size}});
  for (int64_t i = 0; i < size; ++i)
    line.set_int(i, i);
  const Tensor *const operand = &line;
  Walk walk{0, Shape(call.type.rank(), 0)};
  walk.strides[axis] = 1;
  return gathered({call.op, {&operand, 1}, call.attrs, call.type, call.denormals}, walk);
}

} // namespace nnc
