// hoist: every op computed for all steps at once is what the loop computed step by step, sums over steps too. And plans with
// loops that break a rule are refused.
#include "passes/plan.h"

#include "ir/interpreter.h"
#include "ir/plan.h"
#include "ir/text.h"
#include "passes/passes.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace nnc {
namespace {

using testing::HasSubstr;

Tensor data(const Type &type, int seed) {
  Tensor tensor(type);
  for (int64_t i = 0; i < type.elements(); ++i)
    if (is_float(type.dtype))
      tensor.set(i, std::sin(1.0 + 1.7 * static_cast<double>(i) + seed));
    else
      tensor.set_int(i, (7 * i + seed) % 4);
  return tensor;
}

std::vector<Tensor> inputs_of(const Function &function) {
  std::vector<Tensor> inputs;
  for (int a = 0; a < function.args; ++a)
    inputs.push_back(data(function.nodes[a].type(), a));
  return inputs;
}

int loops_in(const Function &function) {
  return static_cast<int>(std::ranges::count_if(function.nodes, [](const Node &node) { return node.op == Op::scan; }));
}

void expect_same(const Module &module, const Module &hoisted) {
  const Function &before = module.functions[0], &after = hoisted.functions[0];
  const std::vector<Tensor> inputs = inputs_of(before);
  const RunResult expected = interpret(before, inputs, {}), actual = interpret(after, inputs, {});
  for (size_t r = 0; r < expected.outputs.size(); ++r) {
    const Tensor &e = expected.outputs[r].second, &a = actual.outputs[r].second;
    ASSERT_EQ(e.type, a.type);
    for (int64_t i = 0; i < e.type.elements(); ++i)
      EXPECT_NEAR(a.get(i), e.get(i), 1e-12) << print(hoisted);
  }
}

Module hoisted(Module module) {
  PassOptions options;
  options.passes = {"hoist"};
  options.verify_each = true;
  run_passes(module, options);
  return module;
}

TEST(Hoist, EveryOpForAllStepsAtOnce) {
  // %x, %r, %k, %u differ from step to step, %w, %j, %m do not.
  const std::pair<const char *, const char *> cases[] = {
      {"f64[3,3]", "add(%x, %w)"},
      {"f64[3,3]", "muladd(%w, 2, %x)"},
      {"f64[3,3]", "sub(1, %x)"},
      {"f64[2,3]", "broadcast(%r, axes=[1])"},
      {"f64[3,3]", "transpose(%x, axes=[1,0])"},
      {"f64[9]", "reshape(%x)"},
      {"f64[2,2]", "slice(%x, start=[2,0], stride=[-1,2])"},
      {"f64[7,4]", "pad(%x, 7, start=[1,0], stride=[2,1])"},
      {"f64[3,6]", "concat(%x, %w, axis=1)"},
      {"f64[6,3]", "concat(%w, %x, axis=0)"},
      {"f64[2,3,2]", "window(%x, axes=[0], stride=[1], dilation=[1])"},
      {"f64[3,3]", "unwindow(%u, axes=[0], stride=[1], dilation=[1])"},
      {"f64[3]", "sum(%x, axes=[1])"},
      {"i32[3]", "argmax(%x, axes=[0])"},
      {"f64", "variance(%x, axes=[0,1])"},
      {"f64[3,2]", "gather(%x, %j, axis=1)"},
      {"f64[3,2]", "gather(%w, %k, axis=1)"},
      {"f64[2,3]", "gather(%w, %k, axis=0)"},
      {"f64[4,3]", "scatter_add(%x, %m, axis=0)"},
      {"i32[3,3]", "argsort(%x, axis=1)"},
      {"f64[3,3]", "dot(%x, %w, \"io,ok->ik\")"},
      {"f64[3,3]", "dot(%w, %x, \"ao,ob->ba\")"},
      {"f64[3]", "dot(%x, %x, \"io,io->i\")"},
      {"f64", "dot(%r, %r, \"i,i->\")"},
      {"f64[3,3]", "dot(%w, %w, \"io,ok->ik\")"},
      {"i32[3]", "cast(%r, i32)"},
  };
  for (const auto &[type, op] : cases)
    for (const char *reverse : {"", " reverse,"}) {
      SCOPED_TRACE(op);
      const std::string text = fmt::format(R"(module "m.nn"

func f(%xs: f64[4,3,3] input, %rs: f64[4,3] input, %ks: i32[4,2] input, %us: f64[4,2,3,2] input, %w: f64[3,3] input, %j: i32[2] input, %m: i32[3] input) -> (y = %ys) {{
  %ys = scan(steps=4,{} slice %x = %xs, slice %r = %rs, slice %k = %ks, slice %u = %us, %w = %w, %j = %j, %m = %m) : {} {{
    %y = {} : {}
    yield %y
  }}
}}
)",
                                           reverse,
                                           std::string_view(type).find('[') == std::string_view::npos
                                               ? fmt::format("{}[4]", type)
                                               : std::string(type).insert(std::string_view(type).find('[') + 1, "4,"),
                                           op, type);
      const Module module = parse_module(text, "m.nnir"), after = hoisted(module);
      EXPECT_EQ(loops_in(after.functions[0]), 0);
      expect_same(module, after);
    }
}

TEST(Hoist, StaysInTheLoop) { // a tensor and the places both differ from step to step, or a fill does
  for (const char *op : {"gather(%x, %k, axis=1)", "scatter_add(%y, %k, axis=1)", "pad(%y, %c, start=[0,0], stride=[1,1])"}) {
    SCOPED_TRACE(op);
    const std::string text = fmt::format(R"(module "m.nn"

func f(%xs: f64[4,3,3] input, %ys: f64[4,3,2] input, %ks: i32[4,2] input, %cs: f64[4] input) -> (y = %zs) {{
  %zs = scan(steps=4, slice %x = %xs, slice %y = %ys, slice %k = %ks, slice %c = %cs) : f64[4,3,2] {{
    %z = {} : f64[3,2]
    yield %z
  }}
}}
)",
                                         op);
    const Module module = parse_module(text, "m.nnir"), after = hoisted(module);
    EXPECT_EQ(loops_in(after.functions[0]), 1);
    expect_same(module, after);
  }
}

TEST(Hoist, WhatIsTooLargeForAllStepsStaysInTheLoop) {
  const Module module = parse_module(R"(module "m.nn"

func f(%rs: f64[4,3000] input) -> (y = %ys) {
  %ys = scan(steps=4, slice %r = %rs) : f64[4,6000] {
    %0 = broadcast(%r, axes=[1]) : f64[6000,3000]
    %y = sum(%0, axes=[1]) : f64[6000]
    yield %y
  }
}
)",
                                     "m.nnir");
  EXPECT_EQ(loops_in(hoisted(module).functions[0]), 1);
}

TEST(Hoist, SumsOverAllSteps) {
  for (const char *term : {"dot(%x, %y, \"bi,bo->io\")", "dot(%x, %w, \"bi,bo->io\")", "dot(%w, %w, \"bi,bo->io\")",
                           "dot(%x, %h, \"bi,bo->io\")", "sum(%q, axes=[0])", "sum(%e, axes=[1])"}) {
    SCOPED_TRACE(term);
    for (const char *first : {"%a0", "%zero"}) {
      const std::string text = fmt::format(R"(module "m.nn"

func f(%xs: f64[4,3,3] input, %qs: f64[4,2,3,3] input, %h0: f64[3,3] input, %a0: f64[3,3] input, %w: f64[3,3] input) -> (y = %a, h = %h) {{
  %zero = constant(0) : f64[3,3]
  %a, %h = scan(steps=4, reverse, carry %acc = {}, carry %h = %h0, slice %x = %xs, slice %q = %qs, %w = %w) : f64[3,3], f64[3,3] {{
    %y = tanh(%x) : f64[3,3]
    %e = broadcast(%h, axes=[0,2]) : f64[3,2,3]
    %1 = mul(%h, %y) : f64[3,3]
    %f = {} : f64[3,3]
    %next = add(%f, %acc) : f64[3,3]
    yield %next, %1
  }}
}}
)",
                                           first, term);
      const Module module = parse_module(text, "m.nnir"), after = hoisted(module);
      for (const Node &node : after.functions[0].nodes)
        if (node.op == Op::scan) {
          EXPECT_EQ(node.scan.carries, 1);
        }
      expect_same(module, after);
    }
  }
}

Plan loop_plan() {
  Module module = parse_module(R"(module "m.nn"

func f(%xs: f32[4,8] input, %h0: f32[8] input) -> (last = %h, all = %hs) {
  %h, %hs = scan(steps=4, carry %h = %h0, slice %x = %xs) : f32[8], f32[4,8] {
    %0 = mul(%h, %x) : f32[8]
    %n = tanh(%0) : f32[8]
    yield %n, %n
  }
}
)",
                               "m.nnir");
  run_passes(module);
  return make_plan(module, "m.nn");
}

TEST(Hoist, PlansWithBrokenLoopsAreRefused) {
  const auto violation = [](auto change) {
    Plan plan = loop_plan();
    EXPECT_EQ(verify_plan(plan), "");
    std::vector<Step> &steps = plan.entries[0].steps;
    const auto loop = std::ranges::find_if(steps, [](const Step &step) { return step.trips > 0; });
    EXPECT_NE(loop, steps.end());
    change(*loop, *(loop + 1), plan);
    return verify_plan(plan);
  };
  const auto strided = [](Step &step) -> Ref & {
    return *std::ranges::find_if(step.args, [](const Ref &ref) { return !ref.strides.empty(); });
  };
  EXPECT_THAT(violation([](Step &loop, Step &, Plan &) { loop.inside = 9; }), HasSubstr("a loop of 4 trips and 9 steps"));
  EXPECT_THAT(violation([](Step &loop, Step &, Plan &) { loop.trips = 5; }), HasSubstr("lie outside a block"));
  EXPECT_THAT(violation([](Step &loop, Step &, Plan &) { loop.trips = 3; }), HasSubstr("output `all` is not written"));
  EXPECT_THAT(violation([&](Step &, Step &inner, Plan &) { strided(inner).strides.push_back(4); }),
              HasSubstr("2 strides in 1 loops"));
  EXPECT_THAT(violation([&](Step &, Step &inner, Plan &) { strided(inner).strides[0] += 1; }), testing::Not(""));
}

} // namespace
} // namespace nnc
