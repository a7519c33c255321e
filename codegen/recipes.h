// The recipes: how the body of a kernel is emitted into an open function. One file each.
#pragma once

#include "codegen/cursor.h"

namespace nnc {

void emit_loop_recipe(const KernelFrame &frame); // loop, and gemv where sums_wait_in_slot is false
void emit_gemv_recipe(const KernelFrame &frame);
void emit_gemm_recipe(const KernelFrame &frame);
void emit_small_n_recipe(const KernelFrame &frame); // the columns must fit in the registers
void emit_sort_recipe(const KernelFrame &frame);

} // namespace nnc
