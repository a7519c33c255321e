// Runs an entry of a plan step by step on byte buffers. Trusts the plan (verify_plan checks it).
#include "ir/plan_interpreter.h"

#include "ir/error.h"

#include <algorithm>
#include <cstring>

namespace nnc {

namespace {

constexpr std::byte poison{0xFF};

bool overlap(const Ref &a, const Ref &b) {
  return a.space == b.space && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
}

// No step after `step` touches the ref.
bool is_last_use(const PlanEntry &entry, size_t step, const Ref &ref) {
  for (size_t later = step + 1; later < entry.steps.size(); ++later)
    for (const Ref &other : entry.steps[later].args)
      if (overlap(ref, other))
        return false;
  return true;
}

} // namespace

int run_entry(const Plan &plan, const PlanEntry &entry, std::span<const std::byte *const> inputs,
              std::span<std::byte *const> outputs, std::byte *state) {
  std::vector<std::byte> workspace(entry.workspace_bytes, poison);
  const auto address = [&](const Ref &ref) -> std::byte * {
    switch (ref.space) {
    case Ref::Space::input: // only read: verify_plan
      return const_cast<std::byte *>(inputs[ref.index]) + ref.offset;
    case Ref::Space::output:
      return outputs[ref.index] + ref.offset;
    case Ref::Space::state:
      return state + ref.offset;
    case Ref::Space::workspace:
      return workspace.data() + ref.offset;
    case Ref::Space::constant:
      return const_cast<std::byte *>(plan.constants.data()) + ref.offset;
    }
    return nullptr;
  };
  for (size_t s = 0; s < entry.steps.size(); ++s) {
    const Step &step = entry.steps[s];
    if (step.kernel >= 0) {
      std::vector<std::byte *> pointers;
      for (const Ref &ref : step.args)
        pointers.push_back(address(ref));
      run_kernel(plan.kernels[step.kernel], pointers);
    } else if (*address(step.args[0]) == std::byte{0}) {
      return step.check;
    }
    for (const Ref &ref : step.args)
      if (ref.space == Ref::Space::workspace && is_last_use(entry, s, ref))
        std::memset(address(ref), static_cast<int>(poison), ref.bytes);
  }
  return -1;
}

RunResult interpret(const Plan &plan, const PlanEntry &entry, std::span<const Tensor> inputs, std::span<const Tensor> states) {
  std::vector<Tensor> given;
  for (const Tensor &input : inputs)
    given.push_back(expanded(input));
  std::vector<const std::byte *> in;
  for (const Tensor &input : given)
    in.push_back(input.bytes.data());
  RunResult result;
  std::vector<std::byte *> out;
  for (const PlanValue &value : entry.outputs) {
    result.outputs.emplace_back(value.name, Tensor(value.type));
    std::ranges::fill(result.outputs.back().second.bytes, poison);
  }
  for (auto &[name, tensor] : result.outputs)
    out.push_back(tensor.bytes.data());
  std::vector<std::byte> block(plan.state_bytes, poison);
  for (size_t i = 0; i < plan.states.size(); ++i) {
    const Tensor tensor = expanded(states[i]);
    std::ranges::copy(tensor.bytes, block.begin() + plan.states[i].offset);
  }
  if (const int failed = run_entry(plan, entry, in, out, block.data()); failed >= 0)
    return {{}, {}, entry.checks[failed].message};
  if (entry.writes_state)
    for (size_t i = 0; i < plan.states.size(); ++i) {
      Tensor tensor(plan.states[i].state.type);
      std::copy_n(block.begin() + plan.states[i].offset, tensor.bytes.size(), tensor.bytes.begin());
      result.states.emplace_back(static_cast<int>(i), std::move(tensor));
    }
  return result;
}

} // namespace nnc
