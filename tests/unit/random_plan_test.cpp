// Random functions through fusion, planning and code: the Plan interpreter and the JIT compute what the reference interpreter
// does, with three of the inputs as state that the function overwrites.
#include "codegen/jit.h"
#include "ir/plan_interpreter.h"
#include "ir/text.h"
#include "passes/passes.h"
#include "passes/plan.h"
#include "runtime/model.h"
#include "tests/unit/random_graph.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>

namespace nnc {
namespace {

constexpr int inputs = 3; // of the six arguments; the others are states

// Each state takes over a value of its type from anywhere in the function, if there is one.
Module with_states(Module module, unsigned seed) {
  std::mt19937 random(seed);
  Function &function = module.functions[0];
  const int args = function.args, nodes = static_cast<int>(function.nodes.size());
  for (int a = inputs; a < args; ++a) {
    const int state = static_cast<int>(module.states.size());
    module.states.push_back({"s" + std::to_string(a), function.nodes[a].type(), false});
    function.arg_info[a].state = state;
    std::vector<Value> fitting;
    for (int i = 0; i < nodes; ++i)
      for (int r = 0; r < static_cast<int>(function.nodes[i].types.size()); ++r)
        if (function.nodes[i].types[r] == function.nodes[a].type())
          fitting.push_back({i, r});
    function.function_results.push_back(
        {.kind = Result::Kind::state, .name = "", .value = fitting[random() % fitting.size()], .state = state, .loc = {}});
  }
  return module;
}

struct Case {
  Plan plan;
  std::vector<Tensor> given; // inputs, then states
  RunResult expected;

  std::span<const Tensor> in() const { return {given.data(), inputs}; }
  std::span<const Tensor> states() const { return std::span(given).subspan(inputs); }
};

Case make_case(unsigned seed, int64_t m, int64_t n) {
  Module plain = with_states(RandomGraph(seed, m, n).make(), seed), module = plain;
  PassOptions derive, all;
  derive.passes = {"grad"};
  all.verify_each = true;
  run_passes(plain, derive);
  run_passes(module, all);
  Case c{make_plan(module, "random.nn"), random_inputs(plain.functions[0], seed), {}};
  c.expected = interpret(plain.functions[0], c.in(), c.states());
  return c;
}

void run_plan(const Case &c) {
  ASSERT_EQ(verify_plan(c.plan), "") << plan_text(c.plan);
  ASSERT_LT(distance(c.expected, interpret(c.plan, c.plan.entries[0], c.in(), c.states())), 1e-8) << plan_text(c.plan);
}

void run_code(const Case &c, ThreadPool *pool) {
  const LoadedCode code = load_jit(compile_plan(c.plan, make_target()));
  Session session(Model(code.info, code.code), pool);
  RunResult actual;
  std::vector<const void *> in;
  std::vector<void *> out;
  for (const Tensor &tensor : c.in())
    in.push_back(tensor.bytes.data());
  for (const PlanValue &value : c.plan.entries[0].outputs)
    actual.outputs.emplace_back(value.name, Tensor(value.type));
  for (auto &[name, tensor] : actual.outputs)
    out.push_back(tensor.bytes.data());
  for (size_t s = 0; s < c.plan.states.size(); ++s)
    std::memcpy(session.state() + c.plan.states[s].offset, c.states()[s].bytes.data(), c.states()[s].bytes.size());
  session.call(session.model().entries()[0], in, out);
  for (size_t s = 0; s < c.plan.states.size(); ++s) {
    actual.states.emplace_back(static_cast<int>(s), Tensor(c.plan.states[s].state.type));
    std::vector<std::byte> &bytes = actual.states.back().second.bytes;
    std::memcpy(bytes.data(), session.state() + c.plan.states[s].offset, bytes.size());
  }
  ASSERT_LT(distance(c.expected, actual), 1e-8) << plan_text(c.plan);
}

// Of both dtypes, and of what is for storage, by instructions and without: as the interpreters have it, to the last bit.
TEST(Plan, FlushesDenormalsUnlessTheyAreKept) {
  Module module = parse_module(R"(module "d.nn"
func f(%x: f32[16] input, %w: f64[16] input, %h: f16[16] input) -> (a = %a, b = %b, c = %c, d = %d, e = %e, g = %g) {
  %a = mul(%x, 0.5) : f32[16]
  %b = mul(%w, 0.5) : f64[16]
  %c = neg(%x) : f32[16]
  %d = cast(%h, f32) : f32[16]
  %half = mul(%d, 0.5) : f32[16]
  %e = cast(%half, f16) : f16[16]
  %g = sum(%x, axes=[0]) : f32
}
)",
                               "d.nnir");
  run_passes(module);
  const Plan plan = make_plan(module, "d.nn");
  std::vector<Tensor> given{Tensor({DType::f32, {16}}), Tensor({DType::f64, {16}}), Tensor({DType::f16, {16}})};
  for (int i = 0; i < 16; ++i) {
    const double sign = i % 2 ? -1 : 1;
    given[0].set(i, sign * std::ldexp(1.0, -130 + i));
    given[1].set(i, sign * std::ldexp(1.0, -1030 + i));
    given[2].set(i, sign * std::ldexp(1.0, -24 + i));
  }
  for (const char *cpu : {"generic", "native"})
    for (Denormals denormals : {Denormals::flush, Denormals::keep}) {
      const RunResult expected = interpret(plan, plan.entries[0], given, {}, denormals);
      Target target = make_target(cpu);
      target.denormals = denormals;
      const LoadedCode code = load_jit(compile_plan(plan, target));
      Session session(Model(code.info, code.code), nullptr);
      std::vector<const void *> in;
      for (const Tensor &tensor : given)
        in.push_back(tensor.bytes.data());
      std::vector<Tensor> results;
      std::vector<void *> out;
      results.reserve(plan.entries[0].outputs.size());
      for (const PlanValue &value : plan.entries[0].outputs)
        out.push_back(results.emplace_back(value.type).bytes.data());
      session.call(session.model().entries()[0], in, out);
      for (size_t i = 0; i < results.size(); ++i)
        EXPECT_TRUE(same_bits(results[i], expected.outputs[i].second)) << cpu << " " << plan.entries[0].outputs[i].name;
      EXPECT_EQ(results[0].get(2) != 0, denormals == Denormals::keep);
      EXPECT_EQ(results[1].get(2) != 0, denormals == Denormals::keep);
      EXPECT_NE(results[2].get(2), 0);
      EXPECT_NE(results[3].get(1), 0);
    }
}

TEST(RandomPlan, KeepsTheMeaning) {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    ASSERT_NO_FATAL_FAILURE(run_plan(make_case(seed, 2, 3)));
  }
}

TEST(RandomPlan, KeepsTheMeaningInGrains) {
  for (unsigned seed = 301; seed <= 310; ++seed) {
    SCOPED_TRACE(seed);
    ASSERT_NO_FATAL_FAILURE(run_plan(make_case(seed, 300, 70)));
  }
}

TEST(RandomPlan, CodeKeepsTheMeaning) {
  ThreadPool three(3);
  for (unsigned seed = 401; seed <= 415; ++seed) {
    SCOPED_TRACE(seed);
    const Case c = make_case(seed, seed % 3 == 0 ? 170 : 5, seed % 2 == 0 ? 90 : 17);
    ASSERT_NO_FATAL_FAILURE(run_code(c, nullptr));
    ASSERT_NO_FATAL_FAILURE(run_code(c, &three));
  }
}

} // namespace
} // namespace nnc
