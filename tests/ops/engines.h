// What the tests of this folder share: from a module to its plan and code, running that code as the most hostile host would,
// and how far two results may differ.
#pragma once

#include "codegen/jit.h"
#include "ir/plan_interpreter.h"
#include "passes/passes.h"
#include "passes/plan.h"
#include "tests/ops/guarded_memory.h"

#include <string>
#include <vector>

namespace nnc {

// The processors that this machine can stand in for: masked vectors of 64 bytes, vectors of 32 with fma, of 16 without.
std::vector<std::string> runnable_cpus();

// The passes, the plan, which must satisfy verify_plan, and nothing else. Throws std::runtime_error with the violation.
Plan plan_of(Module module, const PassOptions &options = {});

struct HostOptions {
  Placement placement = Placement::at_end;
  uint32_t threads = 1; // above 1: tasks run last to first, each on a thread of its own, in flush-to-zero mode
};

// One call of an entry. Inputs may not be written, nor may a state by an entry that does not write it; the workspace is NaN.
// Results as the Plan interpreter gives them. Throws std::runtime_error where the call was refused, wrote beside its results, or
// wrote although a check failed.
RunResult run_code(const LoadedCode &code, const Plan &plan, size_t entry, std::span<const Tensor> inputs,
                   std::span<const Tensor> states, const HostOptions &options = {});

// Named in the message if the process dies by a stray access.
void set_current_case(const std::string &name);

// "" or the first place where the two differ in a bit.
std::string bit_difference(const RunResult &a, const RunResult &b);

} // namespace nnc
