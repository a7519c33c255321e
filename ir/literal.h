// Where the text writes a constant as a plain literal; one rule for the printer and the parser.
#pragma once

#include "ir/function.h"

namespace nnc {

// The type of a literal at operand k, or nullopt if none may stand there. `types[j]` is null where operand j is (or could be)
// a literal itself. Operands of elementwise ops share one type, so any other one gives it; the branches of select have the
// type of its result; the fill of pad is a scalar. One operand at least thus is a reference.
inline std::optional<Type> literal_type(Op op, size_t k, const std::vector<const Type *> &types,
                                        const std::vector<Type> &results) {
  if (op == Op::select)
    return k == 0 ? std::nullopt : std::optional(results.front());
  if (op == Op::pad)
    return k == 0 || !types[0] ? std::nullopt : std::optional(Type{types[0]->dtype, {}});
  if (!is_elementwise(op) || op == Op::cast)
    return std::nullopt;
  for (const Type *type : types)
    if (type)
      return *type;
  return std::nullopt;
}

} // namespace nnc
