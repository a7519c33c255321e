// Runs an entry of a plan step by step on byte buffers. Trusts the plan (verify_plan checks it).
#include "ir/plan_interpreter.h"

#include "ir/error.h"

#include <algorithm>
#include <map>

namespace nnc {

namespace {

constexpr std::byte poison{0xFF};

// All bytes that a ref reaches in all trips of the loops around it.
struct Extent {
  Ref::Space space;
  int64_t begin, end;
};

class Runner {
public:
  Runner(const Plan &plan, const PlanEntry &entry, std::span<const std::byte *const> inputs, std::span<std::byte *const> outputs,
         std::byte *state, Denormals denormals)
      : plan(plan), entry(entry), inputs(inputs), outputs(outputs), state(state), denormals(denormals),
        workspace(entry.workspace_bytes, poison) {
    for (size_t s = 0; s < entry.steps.size(); ++s)
      for (const Ref &ref : entry.steps[s].args)
        extents[&ref] = extent(s, ref);
  }

  // The check that failed, or -1.
  int run(size_t begin, size_t end) {
    for (size_t s = begin; s < end; ++s) {
      const Step &step = entry.steps[s];
      if (step.trips > 0) {
        loops.push_back({s, s + 1, s + 1 + step.inside, step.trips});
        trips.push_back(0);
        for (; trips.back() < step.trips; ++trips.back())
          if (const int failed = run(s + 1, s + 1 + step.inside); failed >= 0)
            return failed;
        loops.pop_back();
        trips.pop_back();
        for (size_t inner = s + 1; inner <= s + step.inside; ++inner)
          for (const Ref &ref : entry.steps[inner].args)
            poison_dead(s + step.inside, ref);
        s += step.inside;
        continue;
      }
      if (step.kernel >= 0) {
        std::vector<std::byte *> pointers;
        for (const Ref &ref : step.args)
          pointers.push_back(address(ref));
        run_kernel(plan.kernels[step.kernel], pointers, denormals);
      } else if (*address(step.args[0]) == std::byte{0}) {
        return step.check;
      }
      for (const Ref &ref : step.args)
        poison_dead(s, ref);
    }
    return -1;
  }

private:
  struct Loop {
    size_t step, begin, end; // the step, and those inside
    int64_t trips;
  };

  const Plan &plan;
  const PlanEntry &entry;
  std::span<const std::byte *const> inputs;
  std::span<std::byte *const> outputs;
  std::byte *state;
  Denormals denormals;
  std::vector<std::byte> workspace;
  std::vector<Loop> loops; // that are running
  std::vector<int64_t> trips;
  std::map<const Ref *, Extent> extents; // of the args of all steps

  std::byte *address(const Ref &ref) {
    int64_t offset = ref.offset;
    for (size_t loop = 0; loop < ref.strides.size(); ++loop)
      offset += trips[loop] * ref.strides[loop];
    switch (ref.space) {
    case Ref::Space::input: // only read: verify_plan
      return const_cast<std::byte *>(inputs[ref.index]) + offset;
    case Ref::Space::output:
      return outputs[ref.index] + offset;
    case Ref::Space::state:
      return state + offset;
    case Ref::Space::workspace:
      return workspace.data() + offset;
    case Ref::Space::constant:
      return const_cast<std::byte *>(plan.constants.data()) + offset;
    }
    return nullptr;
  }

  // Of a ref in step `step`.
  Extent extent(size_t step, const Ref &ref) const {
    Extent extent{ref.space, ref.offset, ref.offset + ref.bytes};
    for (size_t s = 0, loop = 0; s < step && loop < ref.strides.size(); ++s)
      if (const int64_t count = entry.steps[s].trips; count > 0) {
        if (step > s + entry.steps[s].inside) {
          s += entry.steps[s].inside;
          continue;
        }
        const int64_t way = (count - 1) * ref.strides[loop++];
        (way < 0 ? extent.begin : extent.end) += way;
      }
    return extent;
  }

  // Fills with poison what is not needed after step s: touched by no later step, nor, while a loop around s goes on, by an
  // earlier one of the loop before that has written all of it again.
  void poison_dead(size_t s, const Ref &ref) {
    if (ref.space != Ref::Space::workspace)
      return;
    for (size_t l = 0; l < std::min(loops.size(), ref.strides.size()); ++l)
      if (ref.strides[l] != 0)
        return; // part of what the loop makes: it is looked at when the loop has ended
    const Extent own = extents.at(&ref);
    const auto fill = [&] { std::fill(workspace.begin() + own.begin, workspace.begin() + own.end, poison); };
    size_t from = s + 1;
    for (size_t l = loops.size(); l-- > 0;) {
      const Loop &loop = loops[l];
      if (touches(from, loop.end, own))
        return;
      if (trips[l] + 1 < loop.trips)
        switch (first_touch(loop.begin, s + 1, own)) {
        case Touch::read:
          return;
        case Touch::written:
          return fill();
        case Touch::none:
          break;
        }
      from = loop.end;
    }
    if (!touches(from, entry.steps.size(), own))
      fill();
  }

  enum class Touch { none, read, written };

  bool touches(size_t begin, size_t end, const Extent &own) const { return first_touch(begin, end, own) != Touch::none; }

  Touch first_touch(size_t begin, size_t end, const Extent &own) const {
    for (size_t s = begin; s < end; ++s) {
      Touch found = Touch::none;
      for (size_t a = 0; a < entry.steps[s].args.size(); ++a) {
        const Ref &ref = entry.steps[s].args[a];
        const Extent &other = extents.at(&ref);
        if (other.space != own.space || other.begin >= own.end || own.begin >= other.end)
          continue;
        const KernelPointer *pointer = entry.steps[s].kernel < 0 ? nullptr : &plan.kernels[entry.steps[s].kernel].pointers[a];
        const bool all_new = pointer && !pointer->read && ref.strides.empty() && other.begin <= own.begin && own.end <= other.end;
        if (!all_new)
          return Touch::read;
        found = Touch::written;
      }
      if (found == Touch::written)
        return found;
    }
    return Touch::none;
  }
};

} // namespace

int run_entry(const Plan &plan, const PlanEntry &entry, std::span<const std::byte *const> inputs,
              std::span<std::byte *const> outputs, std::byte *state, Denormals denormals) {
  return Runner(plan, entry, inputs, outputs, state, denormals).run(0, entry.steps.size());
}

RunResult interpret(const Plan &plan, const PlanEntry &entry, std::span<const Tensor> inputs, std::span<const Tensor> states,
                    Denormals denormals) {
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
  if (const int failed = run_entry(plan, entry, in, out, block.data(), denormals); failed >= 0)
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
