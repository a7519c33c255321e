// Loops: their text and rules, their meaning against the same program unrolled, derivatives against differences, and what the
// passes make of them.
#include "passes/plan.h"

#include "ir/plan.h"
#include "ir/plan_interpreter.h"
#include "tests/unit/lowering_test.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nnc {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string recurrence = R"(module "m.nn"

func f(%xs: f64[3,4,2] input, %h0: f64[4,2] input, %w: f64[2,2] input) -> (last = %h, all = %ys, loss = %l, d = %d.w) {
  %h, %ys = scan(steps=3, carry %h = %h0, slice %x = %xs, %w = %w) : f64[4,2], f64[3,4,2] @3:5 {
    %a = dot(%h, %w, "bi,io->bo") : f64[4,2] @4:7
    %0 = add(%a, %x) : f64[4,2]
    %y = tanh(%0) : f64[4,2]
    yield %y, %y
  }
  %q = mul(%ys, %ys) : f64[3,4,2]
  %l = sum(%q, axes=[0,1,2]) : f64
  %d.w = grad(%l, %w) : f64[2,2]
}
)";

TEST(Scan, TextReadsBack) {
  const Module module = parse_module(recurrence, "m.nnir");
  EXPECT_EQ(print(module), recurrence);
  const Node &scan = module.functions[0].nodes[3];
  EXPECT_EQ(scan.scan, (ScanInfo{.steps = 3, .carries = 1, .slices = 1}));
  EXPECT_EQ(scan.body->results.size(), 2u);
}

std::string text_error(std::string text, const std::string &from, const std::string &to) {
  text.replace(text.find(from), from.size(), to);
  try {
    parse_module(text, "m.nnir");
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

TEST(Scan, BadTextIsRefused) {
  EXPECT_THAT(text_error(recurrence, "steps=3", "steps=4"),
              HasSubstr("a slice has 4 steps along its first axis, not f64[3,4,2]"));
  EXPECT_THAT(text_error(recurrence, "carry %h = %h0, slice %x = %xs", "slice %x = %xs, carry %h = %h0"),
              HasSubstr("carries come first"));
  EXPECT_THAT(text_error(recurrence, ": f64[4,2], f64[3,4,2] @3:5", ": f64[4,2], f64[4,2] @3:5"),
              HasSubstr("the body yields f64[3,4,2] here"));
  EXPECT_THAT(text_error(recurrence, "yield %y, %y", "yield %x"), HasSubstr("2 names, 2 types and 1 yielded values"));
  EXPECT_THAT(text_error(recurrence, "steps=3", "steps=0"), HasSubstr("error"));
}

TEST(Scan, BrokenLoopsAreFound) {
  const auto violation = [&](auto change) {
    Module module = parse_module(recurrence, "m.nnir");
    change(module.functions[0].nodes[3]);
    return verify(module);
  };
  EXPECT_THAT(violation([](Node &node) { node.scan.carries = 2; }), HasSubstr("operand 2 is f64[3,4,2]"));
  EXPECT_THAT(violation([](Node &node) { node.scan.steps = 0; }), HasSubstr("it has 0 steps"));
  EXPECT_THAT(violation([](Node &node) { node.body = nullptr; }), HasSubstr("a body belongs to"));
  EXPECT_THAT(violation([](Node &node) {
                Region body = *node.body;
                std::swap(body.results[0], body.results[1]);
                body.results[0] = {1, 0}; // %x: the right type, but then
                body.results.pop_back();
                node.body = std::make_shared<const Region>(body);
              }),
              HasSubstr("results"));
}

// The same text with `scan` and with `for`, whose results must agree.
struct Pair {
  std::string name, head, scan, loop, tail;
  std::vector<Type> inputs;
};

Type f64(Shape shape) { return {DType::f64, std::move(shape)}; }

std::vector<Pair> pairs() {
  const std::string rnn = "h = tanh(x @ w + h @ w)\n";
  return {
      {"slices, a carry, an invariant",
       "entry f(xs: f64[4, 2, 3], h0: f64[2, 3], w: f64[3, 3]) {\nh = h0\n",
       "hs = scan x in xs {\n" + rnn + "yield h }\n",
       "hs = for i in 0..4 { x = xs[i]\n" + rnn + "yield h }\nhs = stack(hs)\n",
       "y = sum(hs ** 3) + sum(h)\n",
       {f64({4, 2, 3}), f64({2, 3}), f64({3, 3})}},
      {"the last carry only",
       "entry f(xs: f64[4, 2, 3], h0: f64[2, 3], w: f64[3, 3]) {\nh = h0\n",
       "scan x in xs {\n" + rnn + "}\n",
       "for i in 0..4 { x = xs[i]\n" + rnn + "}\n",
       "y = sum(h ** 3)\n",
       {f64({4, 2, 3}), f64({2, 3}), f64({3, 3})}},
      {"no carry",
       "entry f(xs: f64[4, 2, 3], h0: f64[2, 3], w: f64[3, 3]) {\n",
       "ys = scan x in xs { yield exp(x @ w) * h0 }\n",
       "ys = for i in 0..4 { yield exp(xs[i] @ w) * h0 }\nys = stack(ys)\n",
       "y = sum(ys ** 2)\n",
       {f64({4, 2, 3}), f64({2, 3}), f64({3, 3})}},
      {"backwards",
       "entry f(xs: f64[4, 2, 3], h0: f64[2, 3], w: f64[3, 3]) {\nh = h0\n",
       "hs = scan x in xs[::-1] {\n" + rnn + "yield h }\nhs = hs[::-1]\n",
       "hs = for i in 0..4 { x = xs[3 - i]\n" + rnn + "yield h }\nhs = stack(hs)[::-1]\n",
       "y = sum(hs[1:3] ** 2)\n",
       {f64({4, 2, 3}), f64({2, 3}), f64({3, 3})}},
      {"along another axis",
       "entry f(xs: f64[4, 2, 3], h0: f64[2, 3], w: f64[3, 3]) {\nh = h0[0] + zeros([4, 3], f64)\n",
       "hs, rs = scan x, i in zip(xs, 0..2), axis = 1 { h = tanh(x @ w + h0[i] + h)\nyield h[1:], sum(h, axis = 0) }\n",
       "hs, rs = for i in 0..2 { h = tanh(xs[:, i] @ w + h0[i] + h)\nyield h[1:], sum(h, axis = 0) }\n"
       "hs, rs = stack(hs, axis = 1), stack(rs, axis = 1)\n",
       "y = sum(hs[1:, 1] * hs[0]) + sum(rs[1:] ** 3) + sum(h)\n",
       {f64({4, 2, 3}), f64({2, 3}), f64({3, 3})}},
      {"a loop in a loop",
       "entry f(xs: f64[4, 2, 3], h0: f64[2, 3], w: f64[3, 3]) {\nh = h0\n",
       "hs = scan x in xs { g = h[0]\ngs = scan r in x { g = tanh(g @ w + r)\nyield sum(g) }\nh = h * g\nyield gs }\n",
       "hs = for i in 0..4 { g = h[0]\ngs = for k in 0..2 { g = tanh(g @ w + xs[i, k])\nyield sum(g) }\nh = h * g\nyield "
       "stack(gs) "
       "}\nhs = stack(hs)\n",
       "y = sum(hs ** 2) + sum(h)\n",
       {f64({4, 2, 3}), f64({2, 3}), f64({3, 3})}},
      {"cells with parts of a dot",
       "entry f(xs: f64[4, 2, 3], h0: f64[2, 3], w: f64[6, 3]) {\nh = h0\n",
       "hs = scan x in xs { h = tanh(concat([x, h], axis = 1) @ w)\nyield h }\n",
       "hs = for i in 0..4 { h = tanh(concat([xs[i], h], axis = 1) @ w)\nyield h }\nhs = stack(hs)\n",
       "y = sum(hs ** 2) + sum(h)\n",
       {f64({4, 2, 3}), f64({2, 3}), f64({6, 3})}},
      {"a derivative in the loop",
       "entry f(xs: f64[4, 2, 3], h0: f64[2, 3], w: f64[3, 3]) {\nh = h0\n",
       "scan x in xs { h = h - 0.1 * grad(sum(tanh(h @ w - x) ** 2), h) }\n",
       "for i in 0..4 { h = h - 0.1 * grad(sum(tanh(h @ w - xs[i]) ** 2), h) }\n",
       "y = sum(h ** 2)\n",
       {f64({4, 2, 3}), f64({2, 3}), f64({3, 3})}},
      {"sums of dots",
       "entry f(xs: f64[4, 2, 3], h0: f64[2, 3], w: f64[3, 3]) {\na, b = zeros([3, 3], f64), zeros([3], f64)\n",
       "scan x in xs { a = a + x.T @ (x @ w) + h0.T @ x\nb = b + sum(x * h0, axis = 0) }\n",
       "for i in 0..4 { x = xs[i]\na = a + x.T @ (x @ w) + h0.T @ x\nb = b + sum(x * h0, axis = 0) }\n",
       "y = sum(a ** 2) + sum(b ** 2)\n",
       {f64({4, 2, 3}), f64({2, 3}), f64({3, 3})}},
      {"a stack that cannot be had after the loop, and one that can",
       "entry f(xs: f64[4, 2, 3], h0: f64[2, 3], w: f64[3, 3]) {\nh = h0\n",
       "ys, zs = scan x, k in zip(xs, i32([0, 1, 1, 0])) { h = tanh(h + x)\nyield (h @ w)[k], h @ w }\n",
       "ys, zs = for i in 0..4 { h = tanh(h + xs[i])\nyield (h @ w)[[0, 1, 1, 0][i]], h @ w }\nys, zs = stack(ys), stack(zs)\n",
       "y = sum(ys ** 2) + sum(zs ** 3)\n",
       {f64({4, 2, 3}), f64({2, 3}), f64({3, 3})}},
      {"a carry that the result does not need",
       "entry f(xs: f64[4, 2, 3], h0: f64[2, 3], w: f64[3, 3]) {\nc = w * 2\n",
       "ys = scan i in 0..4 { c = 0.5 * c\nyield f64(i) }\n",
       "ys = for i in 0..4 { c = 0.5 * c\nyield f64(i) }\nys = stack(ys)\n",
       "y = sum(ys) * sum(xs ** 2) + sum(h0 ** 3)\n",
       {f64({4, 2, 3}), f64({2, 3}), f64({3, 3})}},
      {"a carry that forgets what it was",
       "entry f(xs: f64[4, 2, 3], h0: f64[2, 3], w: f64[3, 3]) {\nc = w * 2\n",
       "ys = scan i in 0..4 { y = c * f64(i)\nc = ones([3, 3], f64) * f64(i)\nyield y }\n",
       "ys = for i in 0..4 { y = c * f64(i)\nc = ones([3, 3], f64) * f64(i)\nyield y }\nys = stack(ys)\n",
       "y = sum(ys[1:]) + sum(c) * sum(xs ** 2) + sum(h0 ** 3)\n",
       {f64({4, 2, 3}), f64({2, 3}), f64({3, 3})}},
      {"slices that the result does not need",
       "entry f(xs: f64[4, 2, 3], h0: f64[2, 3], w: f64[3, 3]) {\nc = 1 + zeros([3], f64)\n",
       "scan x in xs { c = c * 2 }\n",
       "for i in 0..4 { c = c * 2 }\n",
       "y = sum(c) * sum(h0 ** 2) + sum(w ** 3)\n",
       {f64({4, 2, 3}), f64({2, 3}), f64({3, 3})}},
      {"one of two slices",
       "entry f(xs: f64[4, 2, 3], h0: f64[2, 3], w: f64[3, 3]) {\nc = 1 + zeros([2, 3], f64)\n",
       "scan x, z in zip(sin(h0 + zeros([4, 2, 3], f64)), xs) { c = tanh(c @ w + x) }\n",
       "for i in 0..4 { c = tanh(c @ w + sin(h0)) }\n",
       "y = sum(c ** 2)\n",
       {f64({4, 2, 3}), f64({2, 3}), f64({3, 3})}},
  };
}

std::vector<Tensor> data(const std::vector<Type> &types) {
  std::vector<Tensor> tensors;
  for (const Type &type : types) {
    tensors.emplace_back(type);
    for (int64_t i = 0; i < type.elements(); ++i)
      tensors.back().set(i, 0.6 * std::sin(1.0 + 0.7 * static_cast<double>(i) + static_cast<double>(tensors.size())));
  }
  return tensors;
}

const std::string first = "g = grad(y, [xs, h0, w])\n", of_the_first = "v = sum(g[0] ** 2) + sum(g[1] * cos(h0)) + sum(g[2])\n",
                  derivatives = first + of_the_first + "return y, g, second = grad(v, [xs, h0, w])\n}\n";

std::map<std::string, Tensor> results_of(const std::string &text, const std::vector<Tensor> &inputs, bool whole_pipeline) {
  Module module = compiled(text);
  PassOptions options;
  if (!whole_pipeline) {
    options.passes = {"grad"};
    run_passes(module, options);
    return Interpreted(std::move(module)).call("f", inputs);
  }
  run_passes(module, options);
  const Plan plan = make_plan(module, "m.nn");
  EXPECT_EQ(verify_plan(plan), "");
  const RunResult run = interpret(plan, plan.entries[0], inputs, {});
  return {run.outputs.begin(), run.outputs.end()};
}

TEST(Scan, IsTheUnrolledLoopToSecondOrder) {
  for (const Pair &pair : pairs()) {
    SCOPED_TRACE(pair.name);
    const std::vector<Tensor> inputs = data(pair.inputs);
    const auto expected = results_of(pair.head + pair.loop + pair.tail + derivatives, inputs, false);
    ASSERT_EQ(expected.size(), 7u);
    for (bool whole : {false, true}) {
      SCOPED_TRACE(whole ? "planned" : "as written");
      const auto actual = results_of(pair.head + pair.scan + pair.tail + derivatives, inputs, whole);
      for (const auto &[name, tensor] : expected) {
        SCOPED_TRACE(name);
        expect_near(actual.at(name), numbers(tensor), 1e-9);
      }
    }
  }
}

TEST(Scan, DerivativesAreDifferences) {
  for (const Pair &pair : pairs()) {
    SCOPED_TRACE(pair.name);
    const std::string text = pair.head + pair.scan + pair.tail;
    for (const std::string &end :
         {first + "return y, g\n}\n", first + of_the_first + "return y = v, g = grad(v, [xs, h0, w])\n}\n"}) {
      Interpreted model(runnable(text + end));
      std::vector<Tensor> inputs = data(pair.inputs);
      const auto results = model.call("f", inputs);
      for (size_t k = 0; k < inputs.size(); ++k)
        for (int64_t i = 0; i < inputs[k].type.elements(); ++i) {
          const double at = inputs[k].get(i), step = 1e-5;
          double values[2];
          for (int side = 0; side < 2; ++side) {
            inputs[k].set(i, at + (side == 0 ? step : -step));
            values[side] = model.call("f", inputs).at("y").get(0);
          }
          inputs[k].set(i, at);
          const double difference = (values[0] - values[1]) / (2 * step);
          EXPECT_NEAR(results.at("g_" + std::to_string(k)).get(i), difference, 1e-7 * std::max(1.0, std::abs(difference)));
        }
    }
  }
}

TEST(Scan, StateIsCarried) {
  Interpreted model(
      runnable("state s: f32[2] = ones()\nstate n: i32 = zeros()\n"
               "entry f(xs: f32[3, 2]) {\nys = scan x in xs { s := 0.5 * s + x\nn := n + 1\nyield sum(s) }\nreturn ys\n}\n"));
  expect_near(model.call("f", {f32s({3, 2}, {1, 2, 3, 4, 5, 6})}).at("ys"), {4, 9, 15.5});
  expect_near(model.state("s"), {7.375 - 0.5, 9.125 - 0.5});
  EXPECT_EQ(model.state("n").get_int(0), 3);
}

TEST(Scan, ChecksOfAllStepsComeFirst) {
  Interpreted model(runnable("state n: i32 = zeros()\nentry f(xs: f32[3]) {\nscan x in xs { require x > 0, \"not above 0\"\n"
                             "n := n + 1 }\n}\n"));
  model.call("f", {f32s({3}, {1, 2, -1})});
  EXPECT_EQ(model.failed, "not above 0");
  EXPECT_EQ(model.state("n").get_int(0), 0);
  model.call("f", {f32s({3}, {1, 2, 1})});
  EXPECT_EQ(model.state("n").get_int(0), 3);
}

TEST(Scan, ACallInTheBodyIsOneInstance) {
  const Module module = compiled("net m(xs: f32[S, 2]) {\nh = zeros([3])\nscan x in xs { h = tanh(dense(concat([x, h]), 3)) }\n"
                                 "return dense(h, 1)\n}\nentry f(xs: f32[4, 2]) { return y = m(xs) }\n");
  ASSERT_EQ(module.states.size(), 4u);
  EXPECT_EQ(module.states[0].path, "m/dense_0/w");
  EXPECT_EQ(module.states[2].path, "m/dense_1/w");
}

std::string error_in(const std::string &body) {
  return errors_of("state s: f32 = zeros()\nentry f(xs: f32[3, 2], n: i32) {\n" + body + "\n}\n");
}

TEST(Scan, MistakesAreNamed) {
  EXPECT_THAT(
      error_in("h = zeros([2])\nscan x in xs { h = concat([h, x]) }\nreturn h"),
      HasSubstr("m.nn:4:16: error: `h` is f32[2] before the loop and f32[4] after a step: what is carried keeps its type"));
  EXPECT_THAT(error_in("t = 0\nscan x in xs { t = t + sum(x) }\nreturn t"),
              HasSubstr("`t` is the number 0 before the loop and f32 after a step: what is carried is a tensor; start from one"));
  EXPECT_THAT(error_in("h = zeros([2])\nscan x in xs { h = i32(h) }\nreturn h"), HasSubstr("f32[2] before the loop and i32[2]"));
  EXPECT_THAT(error_in("ys = scan x in xs { z = x }\nreturn ys"),
              HasSubstr("m.nn:3:1: error: every step yields once; this one yields 0"));
  EXPECT_THAT(error_in("ys = scan x in xs { yield x\nyield x }\nreturn ys"), HasSubstr("this one yields 2 times"));
  EXPECT_THAT(error_in("scan x in n { z = x }\nreturn n"), HasSubstr("along the first axis of a tensor, and i32 has none"));
  EXPECT_THAT(error_in("scan x, i in zip(xs, 0..4) { z = x }\nreturn n"), HasSubstr("3 steps of `xs` and 4 of `0..4`"));
  EXPECT_THAT(error_in("scan x in xs { return x }"), HasSubstr("no `return` inside"));
  EXPECT_THAT(error_in("ys = scan x in xs { z = x * 2\nyield z }\nreturn z"), HasSubstr("unknown name `z`"));
  EXPECT_THAT(error_in("l = sum(xs)\nscan x in xs { g = grad(l, x) }"), HasSubstr("was computed before the step began"));
  EXPECT_THAT(error_in("old = s\nscan x in xs { s := s + sum(x) * old }"),
              HasSubstr("`s` was read before the loop and is assigned in it"));
}

// A function after some passes.
Function after(const std::string &text, std::vector<std::string> passes) {
  Module module = parse_module(text, "m.nnir");
  PassOptions options;
  options.passes = std::move(passes);
  run_passes(module, options);
  return module.functions[0];
}

int count(const Region &region, Op op) {
  return static_cast<int>(std::ranges::count_if(region.nodes, [&](const Node &node) { return node.op == op; }));
}
std::vector<const Node *> loops(const Region &region) {
  std::vector<const Node *> found;
  for (const Node &node : region.nodes)
    if (node.op == Op::scan)
      found.push_back(&node);
  return found;
}

TEST(Scan, DerivativesAddStacksToTheLoop) {
  const Function function = after(recurrence, {"grad"});
  const auto found = loops(function);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0]->types.size(), 4u); // and the carry before each step, and the dot
  EXPECT_FALSE(found[0]->scan.reverse);
  EXPECT_TRUE(found[1]->scan.reverse);
  EXPECT_EQ(found[1]->scan.carries, 2); // by the carry and by %w
}

TEST(Scan, WeightsAreDerivedAfterTheLoop) {
  const Function function = after(recurrence, {"grad", "cse", "simplify", "dce", "hoist"});
  const auto found = loops(function);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[1]->scan.carries, 1);
  EXPECT_EQ(count(*found[1]->body, Op::dot), 1);
  EXPECT_EQ(count(function, Op::dot), 1);
}

TEST(Scan, ProductsOfSlicesComeBeforeTheLoop) {
  const std::string text = R"(module "m.nn"

func f(%xs: f32[3,2,5] input, %h0: f32[2,4] input, %w: f32[9,4] input) -> (last = %h) {
  %h = scan(steps=3, carry %h = %h0, slice %x = %xs, %w = %w) : f32[2,4] {
    %c = concat(%x, %h, axis=1) : f32[2,9]
    %a = dot(%c, %w, "bi,io->bo") : f32[2,4]
    %y = tanh(%a) : f32[2,4]
    yield %y
  }
}
)";
  const Function function = after(text, {"hoist"});
  ASSERT_EQ(loops(function).size(), 1u);
  EXPECT_EQ(count(function, Op::dot), 1);
  EXPECT_EQ(count(*loops(function)[0]->body, Op::dot), 1);
  EXPECT_EQ(count(*loops(function)[0]->body, Op::concat), 0);
}

TEST(Scan, WhatNobodyReadsLeavesTheLoop) {
  const std::string text = R"(module "m.nn"

func f(%xs: f32[3,2] input, %h0: f32[2] input, %c: f32[2] input) -> (last = %h) {
  %h, %u, %k, %ys = scan(steps=3, carry %h = %h0, carry %u = %h0, carry %k = %c, slice %x = %xs, slice %z = %xs) : f32[2], f32[2], f32[2], f32[3,2] {
    %1 = add(%h, %x) : f32[2]
    %2 = mul(%1, %k) : f32[2]
    %3 = add(%u, %z) : f32[2]
    yield %2, %3, %k, %3
  }
}
)";
  const Function function = after(text, {"dce"});
  const Node &scan = *loops(function)[0];
  EXPECT_EQ(scan.scan, (ScanInfo{.steps = 3, .carries = 1, .slices = 1}));
  EXPECT_EQ(scan.operands.size(), 3u); // the constant carry became an invariant
  EXPECT_EQ(count(*scan.body, Op::add), 1);
}

} // namespace
} // namespace nnc
