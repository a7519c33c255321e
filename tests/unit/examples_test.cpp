// The examples through the whole compiler: every entry gives the same bits from the JIT, from the library and on any number of
// threads, and what the interpreter gives up to rounding.
#include "codegen/jit.h"
#include "frontend/frontend.h"
#include "ir/interpreter.h"
#include "passes/passes.h"
#include "passes/plan.h"
#include "runtime/model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

namespace nnc {
namespace {

struct Compiled {
  Module source; // as written, derivatives derived: what the interpreter runs
  Plan plan;
  Artefact artefact;
};

Compiled compile_example(const std::string &name, const Target &target = make_target()) {
  const std::string file = std::string(NNC_SOURCE_DIR) + "/examples/" + name + ".nn";
  Source source(file, read_file(file));
  Diagnostics diagnostics;
  std::optional<Module> module = compile_source(source, {}, diagnostics);
  if (!module)
    throw std::runtime_error(diagnostics.text());
  Compiled compiled;
  compiled.source = *module;
  PassOptions derive;
  derive.passes = {"grad"};
  run_passes(compiled.source, derive);
  run_passes(*module);
  compiled.plan = make_plan(*module, file);
  compiled.artefact = compile_plan(compiled.plan, target);
  return compiled;
}

// Numbers that suit any input: labels stay below 10, floats in [-1, 1).
Tensor some_tensor(const Type &type, uint64_t seed) {
  Tensor tensor(type);
  for (int64_t i = 0; i < type.elements(); i++) {
    seed = seed * 6364136223846793005 + 1442695040888963407;
    if (is_float(type.dtype))
      tensor.set(i, static_cast<double>(seed >> 33) / (1u << 30) - 1);
    else
      tensor.set_int(i, static_cast<int64_t>(seed >> 33) % (is_bool(type.dtype) ? 2 : 10));
  }
  return tensor;
}

// A model and the state that its calls have left so far.
class Host {
public:
  Host(Model model, ThreadPool *pool) : session(std::move(model), pool) {}

  std::vector<Tensor> call(const PlanEntry &entry, const std::vector<Tensor> &inputs) {
    std::vector<Tensor> outputs;
    std::vector<const void *> in;
    std::vector<void *> out;
    for (const Tensor &input : inputs)
      in.push_back(input.bytes.data());
    for (const PlanValue &value : entry.outputs)
      outputs.emplace_back(value.type);
    for (Tensor &output : outputs)
      out.push_back(output.bytes.data());
    session.call(*session.model().find_entry(entry.name), in, out);
    return outputs;
  }

  std::string state() const { return {reinterpret_cast<const char *>(session.state()), session.model().info().state_bytes}; }

  Tensor state(const PlanState &state) const {
    Tensor tensor(state.state.type);
    std::memcpy(tensor.bytes.data(), session.state() + state.offset, tensor.bytes.size());
    return tensor;
  }

private:
  Session session;
};

void expect_near(const Tensor &actual, const Tensor &expected, const std::string &what) {
  for (int64_t i = 0; i < actual.type.elements(); i++) {
    const double a = is_float(actual.type.dtype) ? actual.get(i) : static_cast<double>(actual.get_int(i));
    const double e = is_float(actual.type.dtype) ? expected.get(i) : static_cast<double>(expected.get_int(i));
    ASSERT_NEAR(a, e, 1e-4 * std::max(1.0, std::fabs(e))) << what << " element " << i;
  }
}

void run_everywhere(const std::string &name, const char *cpu) {
  SCOPED_TRACE(cpu);
  const Compiled c = compile_example(name, make_target(cpu));
  const LoadedCode code = load_jit(c.artefact);
  const std::string file = testing::TempDir() + "nnc-example-" + name + ".so";
  write_file(file, shared_library(c.artefact));
  ThreadPool two(2), five(5);
  Host runs[] = {Host(Model(code.info, code.code), nullptr), Host(Model::load(file), nullptr), Host(Model::load(file), &two),
                 Host(Model(code.info, code.code), &five)};
  std::filesystem::remove(file);
  std::vector<Tensor> states; // the interpreter's
  for (const PlanState &state : c.plan.states)
    states.emplace_back(state.state.type);

  // init is last in the plan, and first to be called.
  uint64_t seed = 1;
  for (size_t step = 0; step < 3 * c.plan.entries.size(); step++) {
    const PlanEntry &entry = c.plan.entries[step == 0 ? c.plan.entries.size() - 1 : (step - 1) % (c.plan.entries.size() - 1)];
    std::vector<Tensor> inputs;
    for (const PlanValue &input : entry.inputs)
      inputs.push_back(some_tensor(input.type, seed++));
    const std::vector<Tensor> outputs = runs[0].call(entry, inputs);
    for (size_t r = 1; r < std::size(runs); r++) {
      const std::vector<Tensor> others = runs[r].call(entry, inputs);
      for (size_t i = 0; i < outputs.size(); i++)
        EXPECT_TRUE(same_bits(outputs[i], others[i])) << entry.name << " " << entry.outputs[i].name << " run " << r;
      EXPECT_EQ(runs[r].state() == runs[0].state(), true) << entry.name << " run " << r;
    }

    const RunResult expected = interpret(*c.source.find(entry.name), inputs, states);
    ASSERT_EQ(expected.failed_check, "");
    for (size_t i = 0; i < outputs.size(); i++)
      expect_near(outputs[i], expected.outputs[i].second, entry.name + " " + entry.outputs[i].name);
    for (const auto &[index, value] : expected.states) {
      states[index] = value;
      expect_near(runs[0].state(c.plan.states[index]), value, entry.name + " " + c.plan.states[index].state.path);
    }
  }
}

class Example : public testing::TestWithParam<const char *> {};

// Processors that this machine can stand in for: with masks and without, with fma and without.
std::vector<const char *> cpus_here() {
#ifdef __x86_64__
  return {"native", "x86-64-v3", "generic"};
#else
  return {"native", "generic"};
#endif
}

TEST_P(Example, RunsAlikeEverywhere) {
  for (const char *cpu : cpus_here())
    run_everywhere(GetParam(), cpu);
}

// compile_plan throws where a target lacks an instruction and LLVM would call a library instead.
TEST_P(Example, NeedsNoLibraryOnAnyTarget) {
  for (const char *cpu : {"generic", "x86-64-v2", "x86-64-v3", "x86-64-v4"})
    EXPECT_NO_THROW(compile_example(GetParam(), make_target(cpu, "x86_64-linux-gnu"))) << cpu;
  EXPECT_NO_THROW(compile_example(GetParam(), make_target("generic", "aarch64-linux-gnu")));
}

INSTANTIATE_TEST_SUITE_P(All, Example, testing::Values("xor", "regression", "mnist"),
                         [](const auto &info) { return std::string(info.param); });

} // namespace
} // namespace nnc
