// Whole functions: inputs, states, checks, fused bodies, and a small network trained with derivatives written by hand.
#include "ir/error.h"
#include "ir/interpreter.h"
#include "ir/text.h"

#include <cmath>
#include <gtest/gtest.h>

namespace nnc {
namespace {

Tensor f32s(Shape shape, const std::vector<double> &values) {
  Tensor result(Type{DType::f32, std::move(shape)});
  for (size_t i = 0; i < values.size(); ++i)
    result.set(static_cast<int64_t>(i), values[i]);
  return result;
}

std::string error_of(const Function &function, const std::vector<Tensor> &inputs) {
  try {
    interpret(function, inputs, {});
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

TEST(Interpreter, InputsStatesChecksAndFusedBodies) {
  const Module module = parse_module(R"(module "a.nn"
state "v" : f32[2] carried
state "w" : f32[2] param
func step(%x: f32[2] input, %limit: f32 input, %w: f32[2] state "w")
    -> (check %ok "too large", y = %y, %w.next -> %w, twice = %y, three = %c) {
  %y, %unused = fused(%a = %x, %b = %w) : f32[2], f32[2] {
    %0 = mul(%a, %b) : f32[2]
    %1 = add(%0, 1) : f32[2]
    %2 = neg(%1) : f32[2]
    yield %1, %2
  }
  %w.next = sub(%w, 0.5) : f32[2]
  %total = sum(%y, axes=[0]) : f32
  %ok = lt(%total, %limit) : bool
  %c = constant(3) : i64[2]
}
)",
                                     "a.nnir");
  const Function &step = module.functions[0];
  const std::vector<Tensor> states = {f32s({2}, {0, 0}), f32s({2}, {10, 20})};
  const RunResult run = interpret(step, std::vector<Tensor>{f32s({2}, {1, 2}), f32s({}, {100})}, states);
  EXPECT_EQ(run.failed_check, "");
  ASSERT_EQ(run.outputs.size(), 3u);
  EXPECT_EQ(run.outputs[0].first, "y");
  EXPECT_TRUE(same_bits(run.outputs[0].second, f32s({2}, {11, 41})));
  EXPECT_TRUE(same_bits(run.outputs[1].second, f32s({2}, {11, 41})));
  EXPECT_FALSE(run.outputs[2].second.splat);
  ASSERT_EQ(run.states.size(), 1u);
  EXPECT_EQ(run.states[0].first, 1);
  EXPECT_TRUE(same_bits(run.states[0].second, f32s({2}, {9.5, 19.5})));

  const RunResult failed = interpret(step, std::vector<Tensor>{f32s({2}, {1, 2}), f32s({}, {52})}, states);
  EXPECT_EQ(failed.failed_check, "too large");
  EXPECT_TRUE(failed.outputs.empty() && failed.states.empty());
}

TEST(Interpreter, Errors) {
  const Module module = parse_module(R"(module "a.nn"
func f(%x: f32 input) -> (d = %d) {
  %d = grad(%x, %x) : f32
}
)",
                                     "a.nnir");
  EXPECT_EQ(error_of(module.functions[0], {}), "`f`: `x` is missing");
  EXPECT_EQ(error_of(module.functions[0], {f32s({1}, {0})}), "`f`: `x` must be f32, not f32[1]");
  EXPECT_EQ(error_of(module.functions[0], {f32s({}, {0})}),
            "`grad` stands for derivatives that are not derived yet: it cannot be run");
}

// Two layers learn exclusive or; the derivatives are written by hand.
TEST(Interpreter, TrainsASmallNetwork) {
  const Module module = parse_module(R"(module "xor.nn"
state "w1" : f32[2,8] param
state "b1" : f32[8] param
state "w2" : f32[8] param
func train_step(%x: f32[4,2] input, %t: f32[4] input, %w1: f32[2,8] state "w1", %b1: f32[8] state "b1", %w2: f32[8] state "w2")
    -> (loss = %loss, %w1.next -> %w1, %b1.next -> %b1, %w2.next -> %w2) {
  %z = dot(%x, %w1, "bi,ih->bh") : f32[4,8]
  %b = broadcast(%b1, axes=[1]) : f32[4,8]
  %a = add(%z, %b) : f32[4,8]
  %h = tanh(%a) : f32[4,8]
  %y = dot(%h, %w2, "bh,h->b") : f32[4]
  %e = sub(%y, %t) : f32[4]
  %loss = dot(%e, %e, "b,b->") : f32
  %d.w2 = dot(%e, %h, "b,bh->h") : f32[8]
  %d.h = dot(%e, %w2, "b,h->bh") : f32[4,8]
  %hh = mul(%h, %h) : f32[4,8]
  %slope = sub(1, %hh) : f32[4,8]
  %d.a = mul(%d.h, %slope) : f32[4,8]
  %d.w1 = dot(%x, %d.a, "bi,bh->ih") : f32[2,8]
  %d.b1 = sum(%d.a, axes=[0]) : f32[8]
  %s1 = mul(%d.w1, 0.1) : f32[2,8]
  %s2 = mul(%d.b1, 0.1) : f32[8]
  %s3 = mul(%d.w2, 0.1) : f32[8]
  %w1.next = sub(%w1, %s1) : f32[2,8]
  %b1.next = sub(%b1, %s2) : f32[8]
  %w2.next = sub(%w2, %s3) : f32[8]
}
)",
                                     "xor.nnir");
  std::vector<Tensor> states;
  for (const State &state : module.states) {
    Tensor tensor(state.type);
    for (int64_t i = 0; i < state.type.elements(); ++i)
      tensor.set(i, std::sin(1.7 * static_cast<double>(i + 1) + static_cast<double>(states.size())));
    states.push_back(tensor);
  }
  const std::vector<Tensor> inputs = {f32s({4, 2}, {0, 0, 0, 1, 1, 0, 1, 1}), f32s({4}, {0, 1, 1, 0})};
  double loss = 0;
  for (int step = 0; step < 400; ++step) {
    RunResult run = interpret(module.functions[0], inputs, states);
    loss = run.outputs[0].second.get(0);
    for (auto &[index, value] : run.states)
      states[index] = std::move(value);
  }
  EXPECT_LT(loss, 1e-3);
}

} // namespace
} // namespace nnc
