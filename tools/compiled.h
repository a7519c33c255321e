// A module compiled into this process, called with Tensors as one calls the interpreter.
#pragma once

#include "ir/interpreter.h"
#include "ir/plan.h"
#include "runtime/model.h"

namespace nnc {

class Compiled {
public:
  // Through the whole pipeline. Throws Error for a mistake in the model.
  explicit Compiled(Module module);

  // Function `index` of the module. `inputs` and `states` as in interpret.
  RunResult run(size_t index, std::span<const Tensor> inputs, std::span<const Tensor> states);

private:
  std::vector<PlanState> states_;
  std::vector<PlanEntry> entries_;
  Session session_;

  explicit Compiled(const Plan &plan);
};

} // namespace nnc
