// Looking up functions of a module.
#include "ir/function.h"

namespace nnc {

const Function *Module::find(std::string_view name) const {
  for (const Function &function : functions)
    if (function.name == name)
      return &function;
  return nullptr;
}

} // namespace nnc
