// Random functions, with requests for derivatives: what the passes make of them computes the same as the plain expansion of the
// derivatives, and so do the kernels that fuse forms and the plan that is made of them.
#include "ir/plan_interpreter.h"
#include "ir/text.h"
#include "passes/passes.h"
#include "passes/plan.h"
#include "tests/unit/random_graph.h"

#include <gtest/gtest.h>

namespace nnc {
namespace {

// The pipeline without fuse.
std::vector<std::string> unfused() {
  std::vector<std::string> passes;
  for (std::string_view name : default_pipeline())
    if (name != "fuse")
      passes.emplace_back(name);
  return passes;
}

TEST(RandomGraph, ThePipelineKeepsTheMeaning) {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    Module expanded = RandomGraph(seed).make(), optimised = expanded;
    run_passes(expanded, {.passes = {"grad"}, .verify_each = true});
    run_passes(optimised, {.passes = unfused(), .verify_each = true});
    Module fused = optimised;
    run_passes(fused, {.passes = {"fuse"}, .verify_each = true});
    const Plan plan = make_plan(fused, "random");
    ASSERT_EQ(verify_plan(plan), "");

    const std::vector<Tensor> inputs = random_inputs(expanded.functions[0], seed);
    const RunResult want = interpret(expanded.functions[0], inputs, {}), have = interpret(optimised.functions[0], inputs, {});
    ASSERT_LT(distance(want, have), 1e-8);
    ASSERT_EQ(distance(have, interpret(fused.functions[0], inputs, {})), 0);
    ASSERT_LT(distance(have, interpret(plan, plan.entries[0], inputs, {})), 1e-8);
  }
}

// The first, say, half of all changes is as good as all: what --bisect relies on.
TEST(RandomGraph, AnyNumberOfChangesKeepsTheMeaning) {
  std::ostream nowhere(nullptr);
  for (unsigned seed = 1001; seed <= 1020; ++seed) {
    Module plain = RandomGraph(seed).make();
    for (int64_t bisect : {0, 1, 3, 10, 30, 60, 100}) {
      Module module = plain;
      run_passes(module, {.passes = unfused(), .verify_each = true, .bisect = bisect, .log = &nowhere});
      Module expanded = plain;
      run_passes(expanded, {.passes = {"grad"}});
      const std::vector<Tensor> inputs = random_inputs(plain.functions[0], seed);
      ASSERT_LT(distance(interpret(expanded.functions[0], inputs, {}), interpret(module.functions[0], inputs, {})), 1e-8)
          << "seed " << seed << " bisect " << bisect;
    }
  }
}

} // namespace
} // namespace nnc
