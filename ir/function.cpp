// Looking up functions of a module, and types that follow from bodies.
#include "ir/function.h"

#include "ir/error.h"

#include <fmt/format.h>

namespace nnc {

const Function *Module::find(std::string_view name) const {
  for (const Function &function : functions)
    if (function.name == name)
      return &function;
  return nullptr;
}

size_t Node::only() const {
  if (types.size() != 1)
    throw Error(fmt::format("internal error: one result is asked of `{}`, which has {}", op_info(op).name, types.size()));
  return 0;
}

Type result_type(const Node &node, const Region &body, size_t i) {
  Type type = body.type(body.results[i]);
  if (node.op == Op::scan && i >= static_cast<size_t>(node.scan.carries))
    type.shape.insert(type.shape.begin(), node.scan.steps);
  return type;
}

} // namespace nnc
