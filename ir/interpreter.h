// The reference interpreter: every op in double (integers in wrapping 64 bits), rounded to its dtype after each op.
// Slow and plain on purpose: an independent meaning to hold the generated code against.
#pragma once

#include "ir/denormals.h"
#include "ir/function.h"

#include <map>
#include <span>

namespace nnc {

// One op on host tensors. Throws Error on operands that do not fit.
Tensor eval(Op op, std::span<const Tensor *const> operands, const Attrs &attrs, const Type &result,
            Denormals denormals = Denormals::flush);

struct RunResult {
  std::vector<std::pair<std::string, Tensor>> outputs;
  std::vector<std::pair<int, Tensor>> states; // the next values: (index into Module::states, value)
  std::string failed_check;                   // the message of the first failed check, or ""; then nothing else is set
};

// Runs one function. `inputs` are the entry's inputs in order; `states` holds every state of the module, by index.
RunResult interpret(const Function &function, std::span<const Tensor> inputs, std::span<const Tensor> states,
                    Denormals denormals = Denormals::flush);

} // namespace nnc
