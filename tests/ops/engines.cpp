// The host of a test: every tensor in a mapping of its own between guard pages, inputs read-only, the workspace full of NaN, and
// a pool that runs tasks in the worst order on threads in the wrong floating-point mode.
#include "tests/ops/engines.h"

#include "runtime/model.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <fmt/format.h>
#include <stdexcept>
#include <thread>
#include <unistd.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace nnc {

namespace {

char current_case[256];

void report_and_die(int signal) {
  (void)!write(STDERR_FILENO, current_case, std::strlen(current_case));
  (void)!write(STDERR_FILENO, "\n", 1);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void hostile_run(void *, void (*task)(void *, int64_t), void *arg, int64_t n) {
  for (int64_t i = n - 1; i >= 0; --i)
    std::thread([&] {
#ifdef __x86_64__
      _mm_setcsr(0x5f80); // denormals kept, rounding up
#endif
      task(arg, i);
    }).join();
}

GuardedBlock filled(const std::vector<std::byte> &bytes, int64_t alignment, Placement placement) {
  GuardedBlock block(static_cast<int64_t>(bytes.size()), alignment, placement);
  if (!bytes.empty())
    std::memcpy(block.data(), bytes.data(), bytes.size());
  return block;
}

// State and workspace are always aligned; they can only touch one of the guard pages.
Placement aligned(Placement placement) { return placement == Placement::misaligned ? Placement::at_start : placement; }

} // namespace

std::vector<std::string> runnable_cpus() {
  const Target host = make_target("native");
  std::vector<std::string> cpus;
  if (host.triple.starts_with("x86_64")) {
    if (host.vector_bits >= 512)
      cpus.push_back("x86-64-v4");
    if (host.vector_bits >= 256)
      cpus.push_back("x86-64-v3");
  } else {
    cpus.push_back("native");
  }
  cpus.push_back("generic");
  return cpus;
}

Plan plan_of(Module module, const PassOptions &options) {
  run_passes(module, options);
  Plan plan = make_plan(module, "test.nn");
  if (std::string problem = verify_plan(plan); !problem.empty())
    throw std::runtime_error(problem + "\n" + plan_text(plan));
  return plan;
}

RunResult run_code(const LoadedCode &code, const Plan &plan, size_t entry, std::span<const Tensor> inputs,
                   std::span<const Tensor> states, const HostOptions &options) {
  const PlanEntry &planned = plan.entries[entry];
  const nnc_entry_info &info = code.info->entries[entry];
  std::vector<GuardedBlock> in, out;
  std::vector<const void *> in_pointers;
  std::vector<void *> out_pointers;
  for (const Tensor &input : inputs) {
    in.push_back(filled(expanded(input).bytes, dtype_size(input.type.dtype), options.placement));
    in.back().make_read_only();
    in_pointers.push_back(in.back().data());
  }
  for (const PlanValue &output : planned.outputs) {
    out.push_back(
        filled(std::vector<std::byte>(output.type.bytes(), std::byte{0xA5}), dtype_size(output.type.dtype), options.placement));
    out_pointers.push_back(out.back().data());
  }
  std::vector<std::byte> state_bytes(plan.state_bytes, std::byte{0xA5});
  for (size_t i = 0; i < plan.states.size(); ++i) {
    const std::vector<std::byte> bytes = expanded(states[i]).bytes;
    std::copy(bytes.begin(), bytes.end(), state_bytes.begin() + plan.states[i].offset);
  }
  const std::vector<std::byte> poison(workspace_bytes(info, options.threads), std::byte{0xFF});
  GuardedBlock state = filled(state_bytes, buffer_alignment, aligned(options.placement));
  GuardedBlock workspace = filled(poison, buffer_alignment, aligned(options.placement));
  if (!planned.writes_state)
    state.make_read_only();

  nnc_context context = {};
  context.struct_size = sizeof context;
  context.threads = options.threads;
  context.run = options.threads > 1 ? hostile_run : nullptr;
  context.workspace_bytes = workspace.size();
  const int32_t result = info.call(&context, state.data(), workspace.data(), in_pointers.data(), out_pointers.data());
  if (result != NNC_OK && result < NNC_CHECK)
    throw std::runtime_error("refused: " + result_text(info, result));
  for (size_t i = 0; i < out.size(); ++i)
    if (!out[i].slack_is_untouched())
      throw std::runtime_error(fmt::format("wrote beside output `{}`", planned.outputs[i].name));
  if (!state.slack_is_untouched() || !workspace.slack_is_untouched())
    throw std::runtime_error("wrote beside the state or the workspace");

  RunResult run;
  if (result >= NNC_CHECK) {
    bool written = std::memcmp(state.data(), state_bytes.data(), state_bytes.size()) != 0;
    for (const GuardedBlock &block : out)
      written |= std::any_of(block.data(), block.data() + block.size(), [](std::byte byte) { return byte != std::byte{0xA5}; });
    if (written)
      throw std::runtime_error("wrote although a check failed");
    run.failed_check = planned.checks[result - NNC_CHECK].message;
    return run;
  }
  for (size_t i = 0; i < out.size(); ++i) {
    Tensor tensor(planned.outputs[i].type);
    std::copy_n(out[i].data(), tensor.bytes.size(), tensor.bytes.begin());
    run.outputs.emplace_back(planned.outputs[i].name, std::move(tensor));
  }
  if (planned.writes_state)
    for (size_t i = 0; i < plan.states.size(); ++i) {
      Tensor tensor(plan.states[i].state.type);
      std::copy_n(state.data() + plan.states[i].offset, tensor.bytes.size(), tensor.bytes.begin());
      run.states.emplace_back(static_cast<int>(i), std::move(tensor));
    }
  return run;
}

void set_current_case(const std::string &name) {
  static const bool installed = [] {
    for (int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT})
      std::signal(signal, report_and_die);
    return true;
  }();
  (void)installed;
  std::strncpy(current_case, name.c_str(), sizeof current_case - 1);
}

std::string bit_difference(const RunResult &a, const RunResult &b) {
  if (a.failed_check != b.failed_check || a.outputs.size() != b.outputs.size() || a.states.size() != b.states.size())
    return "not the same results at all";
  for (size_t i = 0; i < a.outputs.size(); ++i)
    if (!same_bits(a.outputs[i].second, b.outputs[i].second))
      return "output " + a.outputs[i].first;
  for (size_t i = 0; i < a.states.size(); ++i)
    if (!same_bits(a.states[i].second, b.states[i].second))
      return fmt::format("state {}", a.states[i].first);
  return "";
}

} // namespace nnc
