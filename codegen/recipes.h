// The recipes: how the body of a kernel is emitted into an open function. One file each.
#pragma once

#include "codegen/cursor.h"

namespace nnc {

void emit_loop_recipe(const KernelFrame &frame); // loop and gemv
void emit_gemm_recipe(const KernelFrame &frame);

} // namespace nnc
