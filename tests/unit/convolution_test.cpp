// Convolutions, pools and einsum as the language has them: against loops written from their definitions, against each other
// (a transposed convolution is the transpose of the convolution), their derivatives against differences in f64, after simplify
// too; and what is said where sizes do not fit.
#include "tests/unit/lowering_test.h"

#include <algorithm>
#include <fmt/format.h>
#include <functional>
#include <random>

namespace nnc {
namespace {

std::vector<double> wave(int64_t count, double step) {
  std::vector<double> values;
  for (int64_t i = 0; i < count; ++i)
    values.push_back(std::sin(1 + step * static_cast<double>(i * i % 101)));
  return values;
}

Tensor f64s(const Shape &shape, double step) { return tensor(DType::f64, shape, wave(element_count(shape), step)); }

Module with_passes(const std::string &text, std::vector<std::string> passes) {
  Module module = compiled(text);
  run_passes(module, {.passes = std::move(passes), .verify_each = true});
  return module;
}

RunResult run(const Function &f, const std::vector<Tensor> &inputs, const std::vector<Tensor> &states = {}) {
  return interpret(f, inputs, states);
}
Tensor first(const Function &f, const std::vector<Tensor> &inputs) { return run(f, inputs).outputs[0].second; }

// Of one axis: how it is padded and walked.
struct AxisCase {
  int64_t length, size, stride = 1, dilation = 1, before = 0, after = 0;

  int64_t places() const { return (length + before + after - (size - 1) * dilation - 1) / stride + 1; }
  // The element that window `o` has at `r`, or -1 in the frame.
  int64_t at(int64_t o, int64_t r) const {
    const int64_t i = o * stride + r * dilation - before;
    return i < length ? i : -1;
  }
};

// y[n, p, q, k] = sum of x[n, i, j, c] w[r, s, c, k] over the channels of k's group.
std::vector<double> convolved(const Tensor &x, const Tensor &w, const AxisCase &h, const AxisCase &v, int64_t groups) {
  const int64_t n = x.type.shape[0], channels = x.type.shape[3], units = w.type.shape[3], each = channels / groups;
  std::vector<double> result;
  for (int64_t b = 0; b < n; ++b)
    for (int64_t p = 0; p < h.places(); ++p)
      for (int64_t q = 0; q < v.places(); ++q)
        for (int64_t k = 0; k < units; ++k) {
          double sum = 0;
          for (int64_t r = 0; r < h.size; ++r)
            for (int64_t s = 0; s < v.size; ++s)
              for (int64_t c = 0; c < each; ++c)
                if (const int64_t i = h.at(p, r), j = v.at(q, s); i >= 0 && j >= 0)
                  sum += x.get(((b * h.length + i) * v.length + j) * channels + k / (units / groups) * each + c) *
                         w.get(((r * v.size + s) * each + c) * units + k);
          result.push_back(sum);
        }
  return result;
}

struct ConvolutionCase {
  std::string arguments;
  AxisCase h, v;
  int64_t channels = 2, units = 3, groups = 1;
};

const std::vector<ConvolutionCase> convolutions = {
    {"", {5, 3, 1, 1, 1, 1}, {6, 3, 1, 1, 1, 1}},
    {"padding = \"valid\"", {5, 3}, {6, 2}},
    {"stride = 2", {5, 3, 2, 1, 1, 1}, {6, 3, 2, 1, 0, 1}}, // the odd one comes last
    {"stride = [3, 1], padding = 1", {7, 2, 3, 1, 1, 1}, {4, 3, 1, 1, 1, 1}},
    {"padding = [[2, 0], 1], dilation = [2, 1]", {5, 3, 1, 2, 2, 0}, {4, 2, 1, 1, 1, 1}},
    {"padding = [0, [0, 3]], stride = 2, dilation = 3", {8, 3, 2, 3}, {5, 2, 2, 3, 0, 3}},
    {"padding = \"valid\"", {4, 4}, {3, 3}}, // as large as the image
    {"stride = 3", {5, 1, 3}, {7, 1, 3}, 3, 4},
    {"stride = 2, padding = \"valid\"", {7, 2, 2}, {6, 2, 2}}, // apart, and a rest
    {"groups = 2", {4, 3, 1, 1, 1, 1}, {3, 2, 1, 1, 0, 1}, 4, 6, 2},
    {"groups = 3, stride = 2", {4, 3, 2, 1, 0, 1}, {5, 3, 2, 1, 1, 1}, 3, 3, 3},
};

std::string text_of(const ConvolutionCase &c, const std::string &body) {
  return fmt::format("entry go(x: f64[2, {}, {}, {}], w: f64[{}, {}, {}, {}]) {{ {} }}\n", c.h.length, c.v.length, c.channels,
                     c.h.size, c.v.size, c.channels / c.groups, c.units, body);
}

TEST(Convolution, IsItsDefinition) {
  for (const ConvolutionCase &c : convolutions) {
    SCOPED_TRACE(c.arguments);
    const Tensor x = f64s({2, c.h.length, c.v.length, c.channels}, 0.37);
    const Tensor w = f64s({c.h.size, c.v.size, c.channels / c.groups, c.units}, 0.71);
    const std::string text = text_of(c, "return y = convolve(x, w" + (c.arguments.empty() ? "" : ", " + c.arguments) + ")");
    for (const std::vector<std::string> &passes : {std::vector<std::string>{"grad"}, {"grad", "simplify"}}) {
      const Module module = with_passes(text, passes);
      const Tensor y = first(*module.find("go"), {x, w});
      EXPECT_EQ(y.type.shape, (Shape{2, c.h.places(), c.v.places(), c.units}));
      expect_near(y, convolved(x, w, c.h, c.v, c.groups), 1e-12);
    }
  }
}

// Checks the results "d" of an entry against differences of its result "f" by input k.
void expect_derivative(const Function &f, std::vector<Tensor> inputs, size_t k) {
  const auto value_of = [&](const std::string &name) {
    for (const auto &[result, value] : interpret(f, inputs, {}).outputs)
      if (result == name)
        return value;
    throw Error("no result " + name);
  };
  const Tensor d = value_of("d");
  ASSERT_EQ(d.type, inputs[k].type);
  for (int64_t i = 0; i < d.type.elements(); ++i) {
    const double at = inputs[k].get(i), step = 1e-4;
    inputs[k].set(i, at + step);
    const double above = value_of("f").get(0);
    inputs[k].set(i, at - step);
    const double below = value_of("f").get(0);
    inputs[k].set(i, at);
    EXPECT_NEAR(d.get(i), (above - below) / (2 * step), 1e-6 * std::max(1.0, std::abs(d.get(i)))) << "element " << i;
  }
}

// By x and by w, as grad gives them, and as simplify and unwindow leave them.
TEST(Convolution, DerivativesAgreeWithDifferences) {
  for (const ConvolutionCase &c : convolutions) {
    SCOPED_TRACE(c.arguments);
    const std::vector<Tensor> inputs = {f64s({2, c.h.length, c.v.length, c.channels}, 0.37),
                                        f64s({c.h.size, c.v.size, c.channels / c.groups, c.units}, 0.71)};
    for (size_t k : {0, 1}) {
      const std::string text = text_of(c, fmt::format("y = convolve(x, w{}{})\nf = sum(y * y * y)\nreturn f, d = grad(f, {})",
                                                      c.arguments.empty() ? "" : ", ", c.arguments, k == 0 ? "x" : "w"));
      for (const std::vector<std::string> &passes :
           {std::vector<std::string>{"grad", "unwindow"}, {"grad", "simplify", "cse", "unwindow", "simplify"}})
        expect_derivative(*with_passes(text, passes).find("go"), inputs, k);
    }
  }
}

TEST(Convolution, SecondDerivatives) {
  const std::string text = "entry go(x: f64[1, 4, 4, 2], w: f64[3, 3, 2, 2]) {\n"
                           "  y = tanh(convolve(x, w, stride = 2))\n"
                           "  slope = grad(sum(y * y), x)\n"
                           "  f = sum(slope * slope)\n"
                           "  return f, d = grad(f, w)\n"
                           "}\n";
  for (const std::vector<std::string> &passes :
       {std::vector<std::string>{"grad", "unwindow"}, {"grad", "simplify", "cse", "unwindow", "simplify"}})
    expect_derivative(*with_passes(text, passes).find("go"), {f64s({1, 4, 4, 2}, 0.3), f64s({3, 3, 2, 2}, 0.7)}, 1);
}

TEST(Convolution, ItsDerivativeIsAConvolution) {
  const std::string text = "entry go(x: f32[2, 8, 8, 4], w: f32[3, 3, 4, 5]) {\n"
                           "  y = convolve(x, w)\n"
                           "  return d = grad(sum(y * y), x)\n"
                           "}\n";
  Module module = with_passes(text, {"grad", "cse", "simplify"});
  for (const Node &node : module.find("go")->nodes)
    EXPECT_NE(node.op, Op::unwindow);
  EXPECT_NE(print(module).find("f32[2,8,8,5,3,3]"), std::string::npos) << print(module); // windows over the frame, cut to size
}

// <conv(x), y> = <x, conv_transpose(y)>, for every way to pad.
TEST(Convolution, TransposedIsTheTranspose) {
  const std::string net =
      "net down(x: f64[N, H, W, C]) = conv2d(x, 3, [3, 2], stride = 2, padding = \"{0}\", bias = false) as layer\n"
      "net up(x: f64[N, H, W, C]) = conv2d_transpose(x, 2, [3, 2], stride = 2, padding = \"{0}\", bias = false) as "
      "layer\n"
      "entry go(x: f64[1, {1}, {2}, 2], y: f64[1, 3, 4, 3]) {{ return a = down(x), b = up(y) }}\n";
  for (const auto &[padding, h, w] : {std::tuple{"same", 6, 8}, {"valid", 7, 8}}) {
    const Module module = with_passes(fmt::format(fmt::runtime(net), padding, h, w), {"grad"});
    std::vector<Tensor> states;
    for (const State &state : module.states) {
      EXPECT_EQ(state.type.shape.size(), 4u);
      states.push_back(f64s(state.type.shape, 0.7));
    }
    // down's weights are [3,2,2,3], up's [3,2,3,2]: the same numbers with the last two axes exchanged.
    const Tensor down = states[0].type.shape[2] == 2 ? states[0] : states[1];
    for (Tensor &up : states)
      if (up.type.shape[2] == 3)
        for (int64_t rs = 0; rs < 6; ++rs)
          for (int64_t c = 0; c < 2; ++c)
            for (int64_t k = 0; k < 3; ++k)
              up.set((rs * 3 + k) * 2 + c, down.get((rs * 2 + c) * 3 + k));
    const Tensor x = f64s({1, h, w, 2}, 0.3), y = f64s({1, 3, 4, 3}, 0.9);
    const RunResult results = run(*module.find("go"), {x, y}, states);
    const Tensor &a = results.outputs[0].second, &b = results.outputs[1].second;
    ASSERT_EQ(a.type, y.type);
    ASSERT_EQ(b.type, x.type);
    double left = 0, right = 0;
    for (int64_t i = 0; i < y.type.elements(); ++i)
      left += a.get(i) * y.get(i);
    for (int64_t i = 0; i < x.type.elements(); ++i)
      right += b.get(i) * x.get(i);
    EXPECT_NEAR(left, right, 1e-12);
  }
}

// Sums of windows that no rule takes apart: written out they are what the interpreter says.
TEST(Convolution, SumsOfWindowsAreWrittenOut) {
  const std::string head = "module \"m.nn\"\nfunc f(%x: f64[2,3,4,3,2] input) -> (y = %y) {\n  %y = unwindow(%x, axes=[0,2], ";
  for (const std::string attributes :
       {"stride=[1,1], dilation=[1,1]) : f64[4,3,5]", "stride=[2,1], dilation=[1,3]) : f64[5,3,7]",
        "stride=[1,3], dilation=[2,2]) : f64[9,3,14]", "stride=[4,2], dilation=[1,1]) : f64[8,3,9]"}) {
    SCOPED_TRACE(attributes);
    Module module = parse_module(head + attributes + "\n}\n", "t.nnir");
    const Tensor x = f64s({2, 3, 4, 3, 2}, 0.4);
    const Tensor expected = first(module.functions[0], {x});
    run_passes(module, {.passes = {"unwindow"}, .verify_each = true});
    for (const Node &node : module.functions[0].nodes)
      EXPECT_NE(node.op, Op::unwindow);
    expect_near(first(module.functions[0], {x}), numbers(expected), 1e-14);
  }
}

TEST(Pool, IsItsDefinition) {
  const Tensor x = f64s({2, 5, 7, 3}, 0.37);
  for (const auto &[arguments, h, v] : {std::tuple<std::string, AxisCase, AxisCase>{"2", {5, 2, 2}, {7, 2, 2}},
                                        {"3, stride = 2, padding = \"same\"", {5, 3, 2, 1, 1, 1}, {7, 3, 2, 1, 1, 1}},
                                        {"[2, 3], stride = 1", {5, 2, 1}, {7, 3, 1}},
                                        {"2, padding = [[1, 0], 0]", {5, 2, 2, 1, 1, 0}, {7, 2, 2}}}) {
    SCOPED_TRACE(arguments);
    std::vector<double> largest, means;
    for (int64_t b = 0; b < 2; ++b)
      for (int64_t p = 0; p < h.places(); ++p)
        for (int64_t q = 0; q < v.places(); ++q)
          for (int64_t c = 0; c < 3; ++c) {
            double most = -INFINITY, sum = 0, count = 0;
            for (int64_t r = 0; r < h.size; ++r)
              for (int64_t s = 0; s < v.size; ++s)
                if (const int64_t i = h.at(p, r), j = v.at(q, s); i >= 0 && j >= 0) {
                  const double value = x.get(((b * 5 + i) * 7 + j) * 3 + c);
                  most = std::max(most, value);
                  sum += value;
                  ++count;
                }
            largest.push_back(most);
            means.push_back(sum / count);
          }
    const Module module = with_passes(
        fmt::format("entry go(x: f64[2, 5, 7, 3]) {{ return a = max_pool(x, {0}), b = avg_pool(x, {0}) }}\n", arguments),
        {"grad"});
    const RunResult results = run(*module.find("go"), {x});
    expect_near(results.outputs[0].second, largest, 1e-12);
    expect_near(results.outputs[1].second, means, 1e-12);
  }
}

TEST(Pool, DerivativesAgreeWithDifferences) {
  for (const std::string pool :
       {"max_pool(x, 2)", "max_pool(x, 3, stride = 2, padding = \"same\")", "avg_pool(x, [2, 3], stride = 1)",
        "avg_pool(x, 2, padding = \"same\")", "global_max_pool(x)", "global_avg_pool(x)"}) {
    SCOPED_TRACE(pool);
    const std::string text =
        "entry go(x: f64[1, 5, 5, 2]) {\n y = " + pool + "\n f = sum(y * y * y)\n return f, d = grad(f, x)\n}\n";
    Tensor x(Type{DType::f64, {1, 5, 5, 2}}); // no two alike
    for (int64_t i = 0; i < 50; ++i)
      x.set(i, static_cast<double>(i * 17 % 50) / 25 - 1);
    for (const std::vector<std::string> &passes :
         {std::vector<std::string>{"grad", "unwindow"}, {"grad", "simplify", "cse", "unwindow", "simplify"}})
      expect_derivative(*with_passes(text, passes).find("go"), {x}, 0);
  }
}

TEST(Einsum, IsTheSumOfProducts) {
  const Tensor a = f64s({2, 3}, 0.3), b = f64s({3, 4}, 0.5), c = f64s({2, 4}, 0.7), m = f64s({3, 3}, 0.9);
  const auto A = [&](int64_t i, int64_t j) { return a.get(i * 3 + j); };
  const auto B = [&](int64_t i, int64_t j) { return b.get(i * 4 + j); };
  const auto C = [&](int64_t i, int64_t j) { return c.get(i * 4 + j); };
  const auto M = [&](int64_t i, int64_t j) { return m.get(i * 3 + j); };
  // result[index of `sizes`] = sum over `summed` of f(index, s)
  const auto expected = [](std::vector<int64_t> sizes, int64_t summed,
                           const std::function<double(int64_t, int64_t, int64_t)> &f) {
    std::vector<double> values;
    for (int64_t i = 0; i < sizes[0]; ++i)
      for (int64_t j = 0; j < sizes[1]; ++j) {
        double sum = 0;
        for (int64_t s = 0; s < summed; ++s)
          sum += f(i, j, s);
        values.push_back(sum);
      }
    return values;
  };
  const std::vector<std::pair<std::string, std::vector<double>>> rows = {
      {"\"ij,jk->ik\", a, b", expected({2, 4}, 3, [&](auto i, auto k, auto j) { return A(i, j) * B(j, k); })},
      {"\"ij, jk -> ki\", a, b", expected({4, 2}, 3, [&](auto k, auto i, auto j) { return A(i, j) * B(j, k); })},
      {"\"ij->ji\", a", expected({3, 2}, 1, [&](auto j, auto i, auto) { return A(i, j); })},
      {"\"ij->j\", a", expected({1, 3}, 2, [&](auto, auto j, auto i) { return A(i, j); })},
      {"\"ij->\", a", expected({1, 1}, 6, [&](auto, auto, auto s) { return A(s / 3, s % 3); })},
      {"\"ij,ij->ij\", a, a", expected({2, 3}, 1, [&](auto i, auto j, auto) { return A(i, j) * A(i, j); })},
      {"\"ij,kl->ik\", a, b", // j and l stand alone: summed first
       expected({2, 3}, 12, [&](auto i, auto k, auto s) { return A(i, s / 4) * B(k, s % 4); })},
      {"\"ij,jk,ik->ij\", a, b, c", expected({2, 3}, 4, [&](auto i, auto j, auto k) { return A(i, j) * B(j, k) * C(i, k); })},
      {"\"ii->i\", m", expected({1, 3}, 1, [&](auto, auto i, auto) { return M(i, i); })},
      {"\"ii,ij->j\", m, m", expected({1, 3}, 3, [&](auto, auto j, auto i) { return M(i, i) * M(i, j); })},
      {"\"...j,jk->...k\", a, b", expected({2, 4}, 3, [&](auto i, auto k, auto j) { return A(i, j) * B(j, k); })},
      {"\"...,...->...\", a, m[:1]", expected({2, 3}, 1, [&](auto i, auto j, auto) { return A(i, j) * M(0, j); })},
      {"\"j...->...j\", a", expected({3, 2}, 1, [&](auto j, auto i, auto) { return A(i, j); })},
  };
  for (const auto &[arguments, values] : rows) {
    SCOPED_TRACE(arguments);
    const Module module = with_passes("entry go(a: f64[2, 3], b: f64[3, 4], c: f64[2, 4], m: f64[3, 3]) { return y = einsum(" +
                                          arguments + "), used = sum(a) + sum(b) + sum(c) + sum(m) }\n",
                                      {"grad"});
    expect_near(first(*module.find("go"), {a, b, c, m}), values, 1e-12);
  }
}

} // namespace
} // namespace nnc
