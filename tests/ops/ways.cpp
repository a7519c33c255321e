// Everything that can go wrong becomes a line of text, so that a test can shrink what fails.
#include "tests/ops/ways.h"

#include "ir/text.h"
#include "tests/ops/engines.h"

#include <fmt/format.h>

#include <random>
#include <sstream>

namespace nnc {

namespace {

void check(const Sample &sample, const Reference &reference, const Way &way) {
  const auto require = [](const std::string &what, const std::string &problem) {
    if (!problem.empty())
      throw std::runtime_error(what + ": " + problem);
  };
  const Plan plan = plan_of(sample.module, way.passes);
  require("Plan interpreter", difference(reference, interpret(plan, plan.entries[0], sample.inputs, sample.states)));
  if (way.cpu.empty())
    return;
  const LoadedCode code = load_jit(compile_plan(plan, make_target(way.cpu)));
  const RunResult alone = run_code(code, plan, 0, sample.inputs, sample.states);
  require("code", difference(reference, alone));
  for (const HostOptions &host : {HostOptions{Placement::at_start, 1}, HostOptions{Placement::misaligned, 2},
                                  HostOptions{Placement::at_end, 3}, HostOptions{Placement::at_start, 64}})
    require(fmt::format("other bits with {} threads", host.threads),
            bit_difference(alone, run_code(code, plan, 0, sample.inputs, sample.states, host)));
}

} // namespace

Tensor random_tensor(const Type &type, uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto below = [&](uint64_t n) { return static_cast<int64_t>(random() % n); };
  Tensor tensor(type);
  for (int64_t i = 0; i < type.elements(); ++i)
    if (is_float(type.dtype))
      tensor.set(i, static_cast<double>(below(4001) - 2000) / 1000);
    else
      tensor.set_int(i, below(is_bool(type.dtype) ? 2 : 12));
  return tensor;
}

Sample sample_of_text(const std::string &text) {
  Sample sample;
  sample.module = parse_module(text, "test.nnir");
  const Function &function = sample.module.functions[0];
  for (int a = 0; a < function.args; ++a)
    if (function.arg_info[a].state < 0)
      sample.inputs.push_back(random_tensor(function.nodes[a].type(), a));
  for (const State &state : sample.module.states)
    sample.states.push_back(random_tensor(state.type, 100 + sample.states.size()));
  return sample;
}

Way whole_pipeline(const std::string &cpu) { return {"whole pipeline", {}, cpu}; }

Way fusion_alone(const std::string &cpu) {
  Way way{"fusion alone", {}, cpu};
  way.passes.passes = {"grad", "expand", "unwindow", "dce", "fuse"};
  return way;
}

Way without_merges(const std::string &cpu) {
  static std::ostringstream silence; // bisect reports what it did
  Way way{"without merges", {}, cpu};
  way.passes.bisect = 0;
  way.passes.log = &silence;
  return way;
}

Reference reference_of(const Sample &sample) {
  Module derived = sample.module;
  PassOptions only_grad;
  only_grad.passes = {"grad"};
  run_passes(derived, only_grad);
  return make_reference(derived, derived.functions[0], sample.inputs, sample.states);
}

std::string problem_in(const Sample &sample, const Reference &reference, const Way &way) {
  try {
    check(sample, reference, way);
    return "";
  } catch (const std::exception &error) {
    return way.name + " " + way.cpu + ": " + error.what();
  }
}

std::string problem_in_text(const std::string &text) {
  const Sample sample = sample_of_text("module \"t.nn\"\n" + text);
  const Reference reference = reference_of(sample);
  set_current_case("died in:\n" + text);
  for (const std::string &cpu : runnable_cpus())
    for (const Way &way : {whole_pipeline(cpu), fusion_alone(cpu), without_merges(cpu)})
      if (std::string problem = problem_in(sample, reference, way); !problem.empty())
        return problem + "\n" + text;
  return "";
}

std::string problem_in(const Sample &sample, const Way &way) {
  try {
    return problem_in(sample, reference_of(sample), way);
  } catch (const std::exception &error) {
    return error.what();
  }
}

} // namespace nnc
