// Derivatives against central differences of the interpreter, in f64: every op of the table, first and second order; then what
// a request means at the edges: ties, zeros, nesting, several x, nothing to derive, no rule.
#include "ir/builder.h"
#include "ir/error.h"
#include "ir/interpreter.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "passes/grad_rules.h"
#include "passes/passes.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <map>
#include <numeric>
#include <random>

namespace nnc {
namespace {

struct Range {
  double low = 0.5, high = 2;
};

// One way to use an op: types and ranges of its operands.
struct Case {
  std::vector<Type> operands;
  Attrs attrs = {};
  std::vector<Range> ranges = {}; // one an operand; the last holds for the others
};

Type f64(Shape shape) { return {DType::f64, std::move(shape)}; }

const std::multimap<Op, Case> &cases() {
  static const Type m = f64({2, 3});
  static const Case unary{{m}}, binary{{m, m}}, reduce0{{m}, {.axes = {0}}}, reduce1{{m}, {.axes = {1}}},
      reduce_all{{f64({2, 3, 2})}, {.axes = {0, 2}}};
  static const std::multimap<Op, Case> table = {
      {Op::add, binary},
      {Op::sub, binary},
      {Op::mul, binary},
      {Op::div, binary},
      {Op::rem, {{m, m}, {}, {{2.6, 2.9}, {1.0, 1.25}}}}, // floor(a / b) = 2 throughout
      {Op::muladd, {{m, m, m}}},
      {Op::neg, unary},
      {Op::abs, {{m}, {}, {{-2, 2}}}},
      {Op::floor, {{m}, {}, {{0.1, 0.9}}}},
      {Op::round, {{m}, {}, {{0.6, 1.4}}}},
      {Op::pow, binary},
      {Op::exp, unary},
      {Op::expm1, {{m}, {}, {{-2, 2}}}},
      {Op::log, unary},
      {Op::log1p, {{m}, {}, {{-0.5, 2}}}},
      {Op::sin, unary},
      {Op::cos, unary},
      {Op::atan, {{m}, {}, {{-3, 3}}}},
      {Op::tanh, unary},
      {Op::erf, {{m}, {}, {{-1.5, 1.5}}}},
      {Op::sigmoid, {{m}, {}, {{-3, 3}}}},
      {Op::normal_cdf, {{m}, {}, {{-2, 2}}}},
      {Op::sqrt, unary},
      {Op::maximum, binary},
      {Op::minimum, binary},
      {Op::eq, binary},
      {Op::lt, binary},
      {Op::logical_and, {{{DType::boolean, {2}}, {DType::boolean, {2}}}}},
      {Op::logical_or, {{{DType::boolean, {2}}, {DType::boolean, {2}}}}},
      {Op::logical_not, {{{DType::boolean, {2}}}}},
      {Op::select, {{{DType::boolean, {2, 3}}, m, m}}},
      {Op::cast, {{m}, {.dtype = DType::f64}}},
      {Op::cast, {{m}, {.dtype = DType::i32}, {{0.1, 0.9}}}},
      {Op::philox, {{{DType::i64, {2}}, {DType::i64, {2}}}}},
      {Op::stop_gradient, unary},
      {Op::broadcast, {{f64({3})}, {.axes = {1}, .shape = {2, 3, 2}}}},
      {Op::broadcast, {{f64({})}, {.axes = {}, .shape = {2}}}},
      {Op::transpose, {{f64({2, 3, 4})}, {.axes = {2, 0, 1}}}},
      {Op::reshape, {{m}, {.shape = {3, 2}}}},
      {Op::slice, {{f64({5, 3})}, {.shape = {2, 2}, .start = {4, 1}, .stride = {-3, 1}}}},
      {Op::pad, {{m, f64({})}, {.shape = {6, 4}, .start = {4, 1}, .stride = {-3, 1}}}},
      {Op::concat, {{m, f64({2, 1}), m}, {.axis = 1}}},
      {Op::iota, {{}, {.shape = {3}, .axis = 0, .dtype = DType::i32}}},
      {Op::window, {{f64({2, 7, 3})}, {.axes = {1}, .shape = {2, 3, 3, 2}, .stride = {2}, .dilation = {2}}}},
      {Op::window, {{f64({5, 6})}, {.axes = {0, 1}, .shape = {3, 2, 3, 2}, .stride = {1, 3}, .dilation = {1, 1}}}},
      {Op::unwindow, {{f64({2, 3, 3, 2})}, {.axes = {1}, .shape = {2, 8, 3}, .stride = {2}, .dilation = {2}}}},
      {Op::gather, {{f64({2, 3, 2}), {DType::i32, {4}}}, {.axis = 1}}},
      {Op::gather, {{f64({3}), {DType::i32, {2, 2}}}, {.axis = 0}}},
      {Op::gather, {{f64({3, 2}), {DType::i32, {}}}, {.axis = 0}}},
      {Op::scatter_add, {{f64({2, 4, 2}), {DType::i32, {4}}}, {.shape = {2, 3, 2}, .axis = 1}}},
      {Op::argsort, {{f64({2, 3})}, {.axis = 1}}},
      {Op::sum, reduce0},
      {Op::sum, reduce_all},
      {Op::prod, reduce1},
      {Op::prod, reduce_all},
      {Op::prod, {{f64({5})}, {.axes = {0}}}},
      {Op::max, reduce1},
      {Op::max, reduce_all},
      {Op::min, reduce0},
      {Op::argmax, reduce1},
      {Op::variance, reduce1},
      {Op::variance, reduce_all},
      {Op::dot, {{m, f64({3, 4})}, {.labels = "bi,io->bo"}}},
      {Op::dot, {{f64({2, 3}), f64({3, 2})}, {.labels = "ik,kb->bi"}}},
      {Op::dot, {{f64({2, 3, 2}), f64({2, 3, 2})}, {.labels = "gik,gok->ogi"}}},
      {Op::dot, {{f64({2, 3}), f64({3, 2})}, {.labels = "ij,ji->"}}},
      {Op::dot, {{f64({2}), f64({3})}, {.labels = "i,j->ij"}}},
  };
  return table;
}

// Distinct numbers, evenly spaced within the range and shuffled: no two come close enough to be a kink of maximum.
Tensor sample(const Type &type, Range range, std::mt19937 &random) {
  Tensor tensor(type);
  const int64_t n = type.elements();
  std::vector<int64_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  // Numbers of different tensors fall between each other: an irrational share of a step.
  const double shift = std::uniform_real_distribution<>(0.3, 0.7)(random);
  for (int64_t i = 0; i < n; ++i)
    if (is_float(type.dtype))
      tensor.set(i, range.low + (range.high - range.low) * (order[i] + shift) / n);
    else
      tensor.set_int(i, order[i] % 2);
  return tensor;
}

Value total(Builder &b, Value v) {
  Shape axes(b.shape(v).size());
  std::iota(axes.begin(), axes.end(), 0);
  return b.sum(v, axes);
}

// f(x1, …, w, v1, …) -> (y, d1, …): y = sum(sin(op(x…)) * w), the d its derivatives by the float x. For order 2 y is
// sum(d1 * v1 + …) of those, and the d are the derivatives of that. Without the sine the second derivatives of linear ops would
// all be 0, and nothing would go through the ops that their rules build.
struct Subject {
  Module module;
  std::vector<Tensor> inputs;
  std::vector<int> xs; // which inputs are derived by
};

Subject subject(Op op, const Case &c, int order, std::mt19937 &random) {
  Subject s;
  s.module.functions.emplace_back();
  Function &f = s.module.functions[0];
  f.name = "f";
  Builder b(f);
  std::vector<Value> operands, xs, vs;
  const auto input = [&](const Type &type, Range range) {
    f.arg_info.emplace_back();
    s.inputs.push_back(sample(type, range, random));
    return b.arg(type, "x" + std::to_string(s.inputs.size()));
  };
  for (size_t k = 0; k < c.operands.size(); ++k) {
    const Range range = c.ranges.empty() ? Range{} : c.ranges[std::min(k, c.ranges.size() - 1)];
    operands.push_back(input(c.operands[k], range));
    if (is_float(c.operands[k].dtype)) {
      s.xs.push_back(k);
      xs.push_back(operands.back());
    }
  }
  const Type result = infer_type(op, c.operands, c.attrs);
  const Value w = input(f64(result.shape), {-1, 1.5});
  for (Value x : xs)
    vs.push_back(input(b.type(x), {-1, 1.7}));
  const Value y = b.op(Op::sin, {b.cast(b.op(op, operands, c.attrs, "y"), DType::f64)});
  Value loss = total(b, b.mul(y, w));
  std::vector<Value> ds = xs.empty() ? std::vector<Value>{} : b.grad(loss, xs);
  if (order == 2 && !xs.empty()) {
    loss = total(b, b.mul(ds[0], vs[0]));
    for (size_t k = 1; k < ds.size(); ++k)
      loss = b.add(loss, total(b, b.mul(ds[k], vs[k])));
    ds = b.grad(loss, xs);
  }
  const auto output = [&](const std::string &name, Value v) {
    f.function_results.push_back({.kind = Result::Kind::output, .name = name, .value = v, .loc = {}});
  };
  output("loss", loss);
  for (size_t k = 0; k < ds.size(); ++k)
    output("d" + std::to_string(k), ds[k]);
  return s;
}

void expand(Module &module) { run_passes(module, {.passes = {"grad"}, .verify_each = true}); }

std::vector<Tensor> outputs(const Module &module, const std::vector<Tensor> &inputs) {
  std::vector<Tensor> result;
  for (auto &[name, tensor] : interpret(module.functions[0], inputs, {}).outputs)
    result.push_back(tensor);
  return result;
}

// The largest distance between derivative and difference, relative to the larger of the derivative and 1.
double error_of(const Subject &s) {
  constexpr double h = 1e-5;
  double worst = 0;
  const std::vector<Tensor> at = outputs(s.module, s.inputs);
  for (size_t k = 0; k < s.xs.size(); ++k)
    for (int64_t i = 0; i < s.inputs[s.xs[k]].type.elements(); ++i) {
      std::vector<Tensor> left = s.inputs, right = s.inputs;
      left[s.xs[k]].set(i, left[s.xs[k]].get(i) - h);
      right[s.xs[k]].set(i, right[s.xs[k]].get(i) + h);
      const double difference = (outputs(s.module, right)[0].get(0) - outputs(s.module, left)[0].get(0)) / (2 * h);
      const double derivative = at[k + 1].get(i);
      const double error = std::abs(difference - derivative) / std::max(1.0, std::abs(derivative));
      worst = std::isnan(error) ? INFINITY : std::max(worst, error);
    }
  return worst;
}

constexpr double tolerance = 1e-7;

TEST(Grad, EveryOpAgainstDifferences) {
  std::mt19937 random(1);
  for (Op op : all_ops()) {
    ASSERT_TRUE(cases().count(op)) << "no case for " << op_info(op).name;
    bool bends = grad_row(op).flow == Flow::nothing; // some second derivative is not 0
    for (auto [it, end] = cases().equal_range(op); it != end; ++it)
      for (int order : {1, 2}) {
        Subject s = subject(op, it->second, order, random);
        expand(s.module);
        if (op == Op::stop_gradient) {
          const std::vector<Tensor> results = outputs(s.module, s.inputs);
          EXPECT_TRUE(same_bits(results[1], Tensor(results[1].type)));
          continue;
        }
        EXPECT_LT(error_of(s), tolerance) << "order " << order << "\n" << print(s.module);
        const std::vector<Tensor> results = outputs(s.module, s.inputs);
        for (size_t k = 1; order == 2 && k < results.size(); ++k)
          for (int64_t i = 0; i < results[k].type.elements(); ++i)
            bends |= std::abs(results[k].get(i)) > 1e-3;
      }
    EXPECT_TRUE(bends) << op_info(op).name;
  }
}

// The check above sees a wrong derivative: one number in the derivative of tanh is off by a thousandth.
TEST(Grad, AWrongDerivativeIsFlagged) {
  std::mt19937 random(2);
  Subject s = subject(Op::tanh, {{f64({3})}}, 1, random);
  expand(s.module);
  ASSERT_LT(error_of(s), tolerance);
  int changed = 0;
  for (Node &node : s.module.functions[0].nodes)
    if (node.op == Op::constant && node.type().shape == Shape{3}) {
      node.data = std::make_shared<Tensor>(Tensor::filled(node.type(), node.data->get(0) * 1.001));
      ++changed;
    }
  ASSERT_EQ(changed, 1);
  EXPECT_GT(error_of(s), 1e-4);
}

// 0 ** 1.5 and 0 ** 2 are flat, and no 0 meets an infinity on the way; below 0, whole exponents have a slope by the base.
TEST(Grad, PowersOfZeroAndBelow) {
  Module module = parse_module(R"(module "m.nn"
func f(%x: f64[5] input, %y: f64[5] input) -> (dx = %dx, dy = %dy) {
  %p = pow(%x, %y) : f64[5]
  %s = sum(%p, axes=[0]) : f64
  %dx, %dy = grad(%s, %x, %y) : f64[5], f64[5]
})",
                               "t.nnir");
  expand(module);
  Tensor x(f64({5})), y(f64({5}));
  const double bases[] = {0, 0, 0, -2, 2}, exponents[] = {1.5, 2, 0, 3, -1}, by_base[] = {0, 0, 0, 12, -0.25};
  for (int i = 0; i < 5; ++i) {
    x.set(i, bases[i]);
    y.set(i, exponents[i]);
  }
  const std::vector<Tensor> slopes = outputs(module, {x, y});
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(slopes[0].get(i), by_base[i]) << i;
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(slopes[1].get(i), 0) << i;
  EXPECT_NEAR(slopes[1].get(4), 0.5 * std::log(2), 1e-15);
}

// The text of `f` after the pass, given its body and result.
std::string expanded(const std::string &function) {
  Module module = parse_module("module \"m.nn\"\n" + function, "t.nnir");
  expand(module);
  EXPECT_EQ(verify(module), "");
  return print(module).substr(std::string("module \"m.nn\"\n\n").size());
}

std::vector<double> values(const std::string &function, const std::vector<std::vector<double>> &inputs) {
  Module module = parse_module("module \"m.nn\"\n" + function, "t.nnir");
  expand(module);
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < inputs.size(); ++i) {
    tensors.emplace_back(module.functions[0].nodes[i].type());
    for (size_t k = 0; k < inputs[i].size(); ++k)
      tensors.back().set(k, inputs[i][k]);
  }
  std::vector<double> result;
  for (const Tensor &tensor : outputs(module, tensors))
    for (int64_t i = 0; i < tensor.type.elements(); ++i)
      result.push_back(tensor.get(i));
  return result;
}

TEST(Grad, NamesPlacesAndTheResultOfTheOp) {
  EXPECT_EQ(expanded(R"(
func f(%x: f32[2] input) -> (g = %g) {
  %h = tanh(%x) : f32[2] @2:3
  %l = sum(%h, axes=[0]) : f32 @4:5
  %g = grad(%l, %x) : f32[2] @6:1
}
)"),
            R"(func f(%x: f32[2] input) -> (g = %g) {
  %h = tanh(%x) : f32[2] @2:3
  %l = sum(%h, axes=[0]) : f32 @4:5
  %0 = constant(1) : f32 @4:5'
  %d.h = broadcast(%0, axes=[]) : f32[2] @4:5'
  %1 = mul(%h, %h) : f32[2] @2:3'
  %2 = sub(1, %1) : f32[2] @2:3'
  %g = mul(%d.h, %2) : f32[2] @2:3'
}
)");
}

// By code for sum(select(c, f(x), 0)) where no c is true: 0, and so by the derivative's derivative; also where f is a norm at 0.
TEST(Grad, WhatArrivesAsZeroLeavesAsZero) {
  for (const char *op : {"sqrt(%x)", "log(%x)", "div(1, %x)", "div(%x, %x)", "exp(%x)", "rem(1, %x)"})
    for (const double x : {-2.0, -1.0, 0.0, 1e-320, 1e300}) {
      const std::vector<double> found = values(std::string(R"(
func f(%x: f64 input, %c: bool input) -> (g = %g, gg = %gg) {
  %y = )") + op + R"( : f64
  %z = select(%c, %y, 0) : f64
  %g = grad(%z, %x) : f64
  %gg = grad(%g, %x) : f64
}
)",
                                               {{x}, {0}});
      EXPECT_EQ(found, (std::vector<double>{0, 0})) << op << " at " << x;
    }
  EXPECT_EQ(values(R"(
func f(%x: f64[3] input) -> (g = %g) {
  %s = mul(%x, %x) : f64[3]
  %l = sum(%s, axes=[0]) : f64
  %n = sqrt(%l) : f64
  %g = grad(%n, %x) : f64[3]
}
)",
                   {{0, 0, 0}}),
            (std::vector<double>{0, 0, 0}));
}

// No guard stands where the slope is finite: of a softmax, of what is divided by a root with an epsilon.
TEST(Grad, GuardsOnlyWhatMayBeInfinite) {
  const auto guards = [](const std::string &text) { return text.find("select") != text.npos; };
  EXPECT_FALSE(guards(expanded(R"(
func f(%x: f32[4,8] input) -> (g = %g) {
  %m = max(%x, axes=[1]) : f32[4]
  %fixed = stop_gradient(%m) : f32[4]
  %b = broadcast(%fixed, axes=[0]) : f32[4,8]
  %z = sub(%x, %b) : f32[4,8]
  %e = exp(%z) : f32[4,8]
  %s = sum(%e, axes=[1]) : f32[4]
  %r = div(1, %s) : f32[4]
  %k = log(%s) : f32[4]
  %n = mul(%r, %k) : f32[4]
  %l = sum(%n, axes=[0]) : f32
  %g = grad(%l, %x) : f32[4,8]
}
)")));
  EXPECT_FALSE(guards(expanded(R"(
func f(%x: f32[8] input) -> (g = %g) {
  %s = mul(%x, %x) : f32[8]
  %v = add(%s, 1e-05) : f32[8]
  %r = sqrt(%v) : f32[8]
  %y = div(%x, %r) : f32[8]
  %l = sum(%y, axes=[0]) : f32
  %g = grad(%l, %x) : f32[8]
}
)")));
  EXPECT_TRUE(guards(expanded(R"(
func f(%x: f32[4,4] input) -> (g = %g) {
  %m = max(%x, axes=[1]) : f32[4]
  %fixed = stop_gradient(%m) : f32[4]
  %b = broadcast(%fixed, axes=[1]) : f32[4,4]
  %z = sub(%x, %b) : f32[4,4]
  %e = exp(%z) : f32[4,4]
  %l = sum(%e, axes=[0, 1]) : f32
  %g = grad(%l, %x) : f32[4,4]
}
)"))) << "the maximum of another axis";
}

// Where both are equal, the second operand of maximum and minimum has the derivative; so relu, maximum(x, 0), has 0 at 0.
TEST(Grad, TiesOfMaximumGoToTheSecond) {
  const std::string function = R"(
func f(%a: f64[3] input, %b: f64[3] input) -> (da = %da, db = %db) {
  %m = OP(%a, %b) : f64[3]
  %l = sum(%m, axes=[0]) : f64
  %da, %db = grad(%l, %a, %b) : f64[3], f64[3]
}
)";
  const auto with = [&](const std::string &op) { return std::string(function).replace(function.find("OP"), 2, op); };
  EXPECT_EQ(values(with("maximum"), {{1, 2, 3}, {2, 2, 2}}), (std::vector<double>{0, 0, 1, 1, 1, 0}));
  EXPECT_EQ(values(with("minimum"), {{1, 2, 3}, {2, 2, 2}}), (std::vector<double>{1, 0, 0, 0, 1, 1}));
}

TEST(Grad, TiesOfMaxShare) {
  EXPECT_EQ(values(R"(
func f(%a: f64[4] input) -> (da = %da) {
  %m = max(%a, axes=[0]) : f64
  %da = grad(%m, %a) : f64[4]
}
)",
                   {{3, 1, 3, 2}}),
            (std::vector<double>{0.5, 0, 0.5, 0}));
}

TEST(Grad, AbsHasNoSlopeAtZero) {
  EXPECT_EQ(values(R"(
func f(%a: f64[3] input) -> (da = %da) {
  %m = abs(%a) : f64[3]
  %l = sum(%m, axes=[0]) : f64
  %da = grad(%l, %a) : f64[3]
}
)",
                   {{-2, 0, 5}}),
            (std::vector<double>{-1, 0, 1}));
}

// The second derivative too: d/dx0 of x0 x1 x2 is x1 x2, and d/dx2 of that is x1.
TEST(Grad, ProductsWithZerosAreExact) {
  EXPECT_EQ(values(R"(
func f(%a: f64[3] input) -> (da = %da, dda = %dda) {
  %p = prod(%a, axes=[0]) : f64
  %da = grad(%p, %a) : f64[3]
  %first = slice(%da, start=[0], stride=[1]) : f64[1]
  %l = sum(%first, axes=[0]) : f64
  %dda = grad(%l, %a) : f64[3]
}
)",
                   {{0, 3, 0}}),
            (std::vector<double>{0, 0, 0, 0, 0, 3}));
}

TEST(Grad, ByWhatIsUsedTwiceOrOnTheWay) {
  // y = x^2 + x^2 z, z = 3 x: by x 2 x + 9 x^2, by z x^2
  EXPECT_EQ(values(R"(
func f(%x: f64 input) -> (dx = %dx, dz = %dz, dy = %dy) {
  %z = mul(3, %x) : f64
  %s = mul(%x, %x) : f64
  %t = mul(%s, %z) : f64
  %y = add(%s, %t) : f64
  %dx, %dz, %dy = grad(%y, %x, %z, %y) : f64, f64, f64
}
)",
                   {{2}}),
            (std::vector<double>{40, 4, 1}));
}

TEST(Grad, ZerosWhereNothingDepends) {
  EXPECT_EQ(expanded(R"(
func f(%x: f32[2] input, %n: i32[2] input, %y: f32 input) -> (a = %a, b = %b, c = %c) {
  %z = exp(%y) : f32
  %f = cast(%n, f32) : f32[2]
  %s = sum(%f, axes=[0]) : f32
  %l = mul(%s, %y) : f32
  %a, %b, %c = grad(%l, %x, %n, %z) : f32[2], i32[2], f32
}
)"),
            R"(func f(%x: f32[2] input, %n: i32[2] input, %y: f32 input) -> (a = %0, b = %1, c = %2) {
  %z = exp(%y) : f32
  %f = cast(%n, f32) : f32[2]
  %s = sum(%f, axes=[0]) : f32
  %l = mul(%s, %y) : f32
  %0 = constant(0) : f32[2]
  %1 = constant(0) : i32[2]
  %2 = constant(0) : f32
}
)");
}

// Only what lies between x and y is visited: nothing is built for %w, though y depends on it.
TEST(Grad, OnlyTheWayIsVisited) {
  const std::string text = expanded(R"(
func f(%x: f32 input, %w: f32 input) -> (g = %g) {
  %c = exp(%w) : f32
  %y = mul(%x, %c) : f32
  %g = grad(%y, %x) : f32
}
)");
  EXPECT_NE(text.find("%g = mul(1, %c)"), text.npos) << text;
  EXPECT_EQ(text.find("%d."), text.npos) << text;
}

// x^4 by x, four times: 24.
TEST(Grad, Nests) {
  EXPECT_EQ(values(R"(
func f(%x: f64 input) -> (a = %a, b = %b, c = %c, d = %d) {
  %s = mul(%x, %x) : f64
  %y = mul(%s, %s) : f64
  %a = grad(%y, %x) : f64
  %b = grad(%a, %x) : f64
  %c = grad(%b, %x) : f64
  %d = grad(%c, %x) : f64
}
)",
                   {{1.5}}),
            (std::vector<double>{13.5, 27, 36, 24}));
}

TEST(Grad, NamesStayUnique) {
  const std::string text = expanded(R"(
func f(%x: f32 input) -> (a = %0, b = %1, c = %d.s.1) {
  %d.s = exp(%x) : f32
  %s = mul(%x, %x) : f32
  %y = mul(%s, %s) : f32
  %0 = grad(%y, %x) : f32
  %1 = grad(%y, %x) : f32
  %d.s.1 = exp(%d.s) : f32
}
)");
  EXPECT_NE(text.find("%d.s.1 = exp(%d.s)"), text.npos) << text;
  EXPECT_NE(text.find("%d.s.2 ="), text.npos) << text;
  EXPECT_NE(text.find("%d.s.3 ="), text.npos) << text;
}

TEST(Grad, NoRuleIsAnErrorWithTheWay) {
  try {
    expanded(R"(
func f(%x: f32[2] input) -> (g = %g) {
  %h = exp(%x) : f32[2] @1:1
  %k = fused(%a = %h) : f32[2] @7:3 {
    %b = neg(%a) : f32[2]
    yield %b
  }
  %1 = exp(%k) : f32[2] @2:1
  %loss = sum(%1, axes=[0]) : f32 @3:1
  %g = grad(%loss, %x) : f32[2] @4:1
}
)");
    FAIL();
  } catch (const Error &error) {
    EXPECT_STREQ(error.what(), "m.nn:7:3: error: `fused` has no derivative; it is on the way `h` -> `k` -> `exp` -> `loss`");
  }
}

// Off the way it does not matter.
TEST(Grad, NoRuleIsNoErrorElsewhere) {
  EXPECT_EQ(values(R"(
func f(%x: f64[2] input) -> (g = %g) {
  %k = fused(%a = %x) : f64[2] {
    %b = neg(%a) : f64[2]
    yield %b
  }
  %c = stop_gradient(%k) : f64[2]
  %p = mul(%x, %c) : f64[2]
  %l = sum(%p, axes=[0]) : f64
  %g = grad(%l, %x) : f64[2]
}
)",
                   {{1, 2}}),
            (std::vector<double>{-1, -2}));
}

} // namespace
} // namespace nnc
