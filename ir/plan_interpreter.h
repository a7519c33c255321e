// The Plan interpreter: runs kernels and plans on real memory with `eval`, so that order, storage, aliasing and homes are held
// against the reference interpreter without any generated code.
#pragma once

#include "ir/interpreter.h"
#include "ir/plan.h"

namespace nnc {

// One call of a kernel; `pointers` as in Kernel::pointers. Grains run from the last to the first (code runs them in any order).
void run_kernel(const Kernel &kernel, std::span<std::byte *const> pointers, Denormals denormals = Denormals::flush);

// One entry, as a C host calls it, on a workspace of its own. Every byte of the workspace is 0xFF (NaN) before it is written
// and after its last use. Returns -1, or the index of the check that failed.
int run_entry(const Plan &plan, const PlanEntry &entry, std::span<const std::byte *const> inputs,
              std::span<std::byte *const> outputs, std::byte *state, Denormals denormals = Denormals::flush);

// The same on tensors, with the same result as `interpret` gives for the function the entry was made from; `states` holds every
// state of the plan, and so does the result if the entry writes state.
RunResult interpret(const Plan &plan, const PlanEntry &entry, std::span<const Tensor> inputs, std::span<const Tensor> states,
                    Denormals denormals = Denormals::flush);

} // namespace nnc
