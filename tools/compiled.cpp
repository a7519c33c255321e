// Passes, plan, code and a session behind one call. The tensors are the caller's; only states are copied, into the session's
// block and out of it again.
#include "tools/compiled.h"

#include "codegen/jit.h"
#include "tools/pipeline.h"

#include <cstring>

namespace nnc {

namespace {

Plan planned(Module module) {
  run_pipeline(module, PipelineEnd::fused, {});
  return plan_module(module, {});
}

Model loaded(Plan plan) {
  LoadedCode code = load_jit(compile_plan(plan, make_target(), code_options({}, {})));
  return Model(code.info, std::move(code.code));
}

} // namespace

Compiled::Compiled(Module module) : Compiled(planned(std::move(module))) {}

Compiled::Compiled(const Plan &plan) : states_(plan.states), entries_(plan.entries), session_(loaded(plan)) {}

RunResult Compiled::run(size_t index, std::span<const Tensor> inputs, std::span<const Tensor> states) {
  const PlanEntry &entry = entries_[index];
  std::vector<Tensor> whole; // what is stored as one number
  whole.reserve(inputs.size());
  std::vector<const void *> in;
  for (const Tensor &input : inputs)
    in.push_back(input.splat ? whole.emplace_back(expanded(input)).bytes.data() : input.bytes.data());
  for (size_t i = 0; i < states.size(); ++i) {
    const Tensor state = expanded(states[i]);
    std::memcpy(session_.state() + states_[i].offset, state.bytes.data(), state.bytes.size());
  }
  RunResult result;
  std::vector<void *> out;
  for (const PlanValue &output : entry.outputs)
    result.outputs.emplace_back(output.name, Tensor(output.type));
  for (auto &[name, tensor] : result.outputs)
    out.push_back(tensor.bytes.data());
  try {
    session_.call(session_.model().entries()[index], in, out);
  } catch (const CallError &error) {
    if (error.code < NNC_CHECK)
      throw;
    RunResult failed;
    failed.failed_check = entry.checks[error.code - NNC_CHECK].message;
    return failed;
  }
  for (size_t i = 0; entry.writes_state && i < states_.size(); ++i) {
    Tensor state(states_[i].state.type);
    std::memcpy(state.bytes.data(), session_.state() + states_[i].offset, state.bytes.size());
    result.states.emplace_back(static_cast<int>(i), std::move(state));
  }
  return result;
}

} // namespace nnc
