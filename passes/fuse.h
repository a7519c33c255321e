// fuse: one `fused` node a kernel. See fuse.cpp.
#pragma once

#include "ir/function.h"

namespace nnc {

// Afterwards the function holds arguments, constants, views, pad, concat and fused nodes only. `refusals`, where given,
// receives a line for every merge that was refused, with the reason.
void fuse_function(Function &function, std::vector<std::string> *refusals = nullptr);

} // namespace nnc
