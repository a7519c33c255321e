// make_plan: from fused functions to steps and byte offsets.
#pragma once

#include "ir/plan.h"

namespace nnc {

// `module` as the fuse pass leaves it; `model` is the file's name. Throws Error where a tensor is too large to address.
Plan make_plan(const Module &module, const std::string &model);

} // namespace nnc
