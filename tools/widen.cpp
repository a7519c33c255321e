// Types, dtypes of casts, and constants, in loops too. Assumes a program that has no kernels yet, whose shapes they would know.
#include "tools/widen.h"

#include "ir/error.h"

#include <fmt/format.h>

#include <algorithm>

namespace nnc {

Tensor widened(const Tensor &tensor) {
  if (!is_float(tensor.type.dtype))
    return tensor;
  const Type type{DType::f64, tensor.type.shape};
  if (tensor.splat)
    return Tensor::filled(type, tensor.get(0));
  Tensor result(type);
  for (int64_t i = 0; i < type.elements(); ++i)
    result.set(i, tensor.get(i));
  return result;
}

namespace {

void widen_type(Type &type) { type.dtype = is_float(type.dtype) ? DType::f64 : type.dtype; }

void widen_nodes(const Module &module, const std::string &name, Region &region) {
  for (Node &node : region.nodes) {
    if (node.op == Op::fused)
      throw Error(
          fmt::format("{}: `{}` has kernels already: gradients are checked on the program as written", module.files[0], name));
    for (Type &type : node.types)
      widen_type(type);
    if (std::ranges::find(op_info(node.op).attrs, AttrKey::dtype) != op_info(node.op).attrs.end() && is_float(node.attrs.dtype))
      node.attrs.dtype = DType::f64;
    if (node.data)
      node.data = std::make_shared<const Tensor>(widened(*node.data));
    if (node.body) {
      Region body = *node.body;
      widen_nodes(module, name, body);
      node.body = std::make_shared<const Region>(std::move(body));
    }
  }
}

} // namespace

void widen(Module &module) {
  for (State &state : module.states)
    widen_type(state.type);
  for (Function &function : module.functions)
    widen_nodes(module, function.name, function);
}

} // namespace nnc
