// The standard library's functions against their formulas, worked out in double, and their derivatives against differences.
#include "tests/unit/lowering_test.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace nnc {
namespace {

const std::vector<double> points = {-30, -3, -1.5, -0.2, 0.1, 0.7, 2.5, 30};

TEST(LoweringLibrary, ActivationsAndTheirDerivatives) {
  struct Row {
    const char *call;
    std::function<double(double)> formula;
  };
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  const std::vector<Row> rows = {
      {"relu(x)", [](double x) { return x > 0 ? x : 0; }},
      {"leaky_relu(x)", [](double x) { return x > 0 ? x : 0.01 * x; }},
      {"leaky_relu(x, 0.3)", [](double x) { return x > 0 ? x : 0.3 * x; }},
      {"sigmoid(x)", sigmoid},
      {"tanh(x)", [](double x) { return std::tanh(x); }},
      {"gelu(x)", [](double x) { return x * 0.5 * (1 + std::erf(x / std::sqrt(2.0))); }},
      {"silu(x)", [&](double x) { return x * sigmoid(x); }},
      {"softplus(x)", [](double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }},
      {"elu(x, 0.5)", [](double x) { return x > 0 ? x : 0.5 * std::expm1(x); }},
      {"hard_sigmoid(0.9 * x)", [](double x) { return std::min(std::max(0.15 * x + 0.5, 0.0), 1.0); }},
      {"step(x)", [](double x) { return x > 0 ? 1 : 0; }},
      {"clip(x, -1, 1)", [](double x) { return std::min(std::max(x, -1.0), 1.0); }},
      {"bce_with_logits(x, 0.25)", [&](double x) { return std::log1p(std::exp(-std::abs(x))) + std::max(x, 0.0) - 0.25 * x; }},
      {"huber(x, 0.5)",
       [](double x) {
         double d = std::abs(x - 0.5);
         return d < 1 ? d * d / 2 : d - 0.5;
       }},
  };
  for (const Row &row : rows) {
    SCOPED_TRACE(row.call);
    const std::string call = row.call;
    Interpreted session(runnable("fn f(x: T) -> T = " + call + "\nentry go(x: f64[8]) { return y = f(x), dy = grad(f)(x) }\n"));
    const auto results = session.call("go", {tensor(DType::f64, {8}, points)});
    std::vector<double> expected, slopes;
    for (double x : points) {
      expected.push_back(row.formula(x));
      slopes.push_back((row.formula(x + 1e-5) - row.formula(x - 1e-5)) / 2e-5);
    }
    expect_near(results.at("y"), expected, 1e-12);
    expect_near(results.at("dy"), slopes, 1e-6);
  }
}

TEST(LoweringLibrary, SoftmaxOverAnAxis) {
  Interpreted session(runnable("entry go(x: f32[2, 3]) {\n"
                               "  return last = softmax(x), first = softmax(x, axis = 0), logs = log_softmax(x)\n}\n"));
  const std::vector<double> x = {1, 2, 500, -3, 0, 1}; // 500: exp would overflow
  const auto results = session.call("go", {f32s({2, 3}, x)});
  const auto row = [&](int at, int stride, int n, int i) {
    double total = 0;
    for (int k = 0; k < n; ++k)
      total += std::exp(x[at + k * stride] - x[at + i * stride]);
    return 1 / total;
  };
  std::vector<double> last, first, logs;
  for (int i = 0; i < 6; ++i) {
    last.push_back(row(i / 3 * 3, 1, 3, i % 3));
    first.push_back(row(i % 3, 3, 2, i / 3));
    const int top = i / 3 * 3 + 2;
    double total = 0;
    for (int k = 0; k < 3; ++k)
      total += std::exp(x[i / 3 * 3 + k] - x[top]);
    logs.push_back(x[i] - x[top] - std::log(total));
  }
  expect_near(results.at("last"), last);
  expect_near(results.at("first"), first);
  expect_near(results.at("logs"), logs);
}

TEST(LoweringLibrary, CrossEntropyAndItsDerivative) {
  Interpreted session(runnable("entry go(x: f32[3, 4], label: u8[3]) {\n"
                               "  each = cross_entropy(x, label)\n"
                               "  return each, d = grad(sum(each), x), smooth = cross_entropy(x, label, smoothing = 0.1)\n}\n"));
  const std::vector<double> x = {1, 2, 3, 4, 0, 0, 0, 0, 1000, -1000, 3, 2};
  const std::vector<double> label = {2, 0, 1};
  const auto results = session.call("go", {f32s({3, 4}, x), tensor(DType::u8, {3}, label)});
  EXPECT_EQ(session.failed, "");
  std::vector<double> each, d, smooth;
  for (int n = 0; n < 3; ++n) {
    const double top = *std::max_element(x.begin() + 4 * n, x.begin() + 4 * n + 4);
    double total = 0, mean = 0;
    for (int c = 0; c < 4; ++c) {
      total += std::exp(x[4 * n + c] - top);
      mean += (x[4 * n + c] - top) / 4;
    }
    const double picked = x[4 * n + static_cast<int>(label[n])] - top;
    each.push_back(std::log(total) - picked);
    smooth.push_back(std::log(total) - 0.9 * picked - 0.1 * mean);
    for (int c = 0; c < 4; ++c)
      d.push_back(std::exp(x[4 * n + c] - top) / total - (c == label[n]));
  }
  expect_near(results.at("each"), each);
  expect_near(results.at("smooth"), smooth);
  expect_near(results.at("d"), d);

  const auto none = session.call("go", {f32s({3, 4}, x), tensor(DType::u8, {3}, {2, 4, 1})});
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(session.failed, "label outside 0..4");
}

TEST(LoweringLibrary, AByteNeedsNoCheckAgainstWhatItCannotBe) {
  const Module module = compiled("entry go(x: f32[3, 256], label: u8[3]) { return cross_entropy(x, label) }\n"
                                 "entry signed(x: f32[3, 256], label: i32[3]) { return cross_entropy(x, label) }\n");
  const auto checks = [&](const char *entry) {
    int count = 0;
    for (const Result &result : module.find(entry)->function_results)
      count += result.kind == Result::Kind::check;
    return count;
  };
  EXPECT_EQ(checks("go"), 0);
  EXPECT_EQ(checks("signed"), 1);
}

TEST(LoweringLibrary, OtherLosses) {
  Interpreted session(runnable("entry go(a: f32[2, 2], b: f32[2, 2]) {\n"
                               "  return e = mse(a, b), f = mae(a, b), g = sum_of_squares(a - b), h = kl(a, log(b))\n}\n"));
  const auto results = session.call("go", {f32s({2, 2}, {0.5, 0.5, 0, 1}), f32s({2, 2}, {0.25, 0.75, 0.5, 0.5})});
  const double squares = 2 * 0.0625 + 2 * 0.25;
  expect_near(results.at("e"), {squares / 4});
  expect_near(results.at("f"), {(2 * 0.25 + 2 * 0.5) / 4});
  expect_near(results.at("g"), {squares});
  expect_near(results.at("h"), {0.5 * std::log(2) + 0.5 * std::log(0.5 / 0.75), std::log(2)});
}

TEST(LoweringLibrary, Normalisation) {
  Interpreted session(runnable("net n(x: f32[N, 3]) = layer_norm(x)\n"
                               "net m(x: f32[N, 3]) = batch_norm(x)\n"
                               "entry layer(x: f32[2, 3]) { return y = n(x) }\n"
                               "entry batch(x: f32[2, 3]) { return y = m(x) }\n"
                               "entry train(x: f32[2, 3]) { return y = m(x, training = true) }\n"));
  const Tensor x = f32s({2, 3}, {1, 2, 3, 5, 8, 2});
  const auto normal = [](double x, double mean, double variance) { return (x - mean) / std::sqrt(variance + 1e-5); };
  expect_near(session.call("layer", {x}).at("y"),
              {normal(1, 2, 2 / 3.0), 0, normal(3, 2, 2 / 3.0), 0, normal(8, 5, 6), normal(2, 5, 6)});
  expect_near(session.call("batch", {x}).at("y"), {1, 2, 3, 5, 8, 2}, 2e-5); // running mean 0 and variance 1
  const std::vector<double> means = {3, 5, 2.5}, variances = {4, 9, 0.25};
  std::vector<double> expected;
  for (int i = 0; i < 6; ++i)
    expected.push_back(normal(x.get(i), means[i % 3], variances[i % 3]));
  expect_near(session.call("train", {x}).at("y"), expected);
  expect_near(session.state("m/batch_norm_0/mean"), {0.3, 0.5, 0.25});
  expect_near(session.state("m/batch_norm_0/var"), {0.9 + 0.4, 0.9 + 0.9, 0.9 + 0.025});
}

// Three steps of each optimiser on p = 1, with gradient p (loss p ** 2 / 2), against its formula in double.
TEST(LoweringLibrary, Optimizers) {
  using Step = std::function<void(double &p, double *s, int t)>;
  const std::vector<std::pair<std::string, Step>> rows = {
      {"sgd(loss, lr = 0.1)", [](double &p, double *, int) { p -= 0.1 * p; }},
      {"momentum(loss, lr = 0.1)",
       [](double &p, double *s, int) {
         s[0] = 0.9 * s[0] + p;
         p -= 0.1 * s[0];
       }},
      {"momentum(loss, lr = 0.1, nesterov = true)",
       [](double &p, double *s, int) {
         const double g = p;
         s[0] = 0.9 * s[0] + g;
         p -= 0.1 * (g + 0.9 * s[0]);
       }},
      {"rmsprop(loss, lr = 0.1)",
       [](double &p, double *s, int) {
         const double g = p;
         s[0] = 0.9 * s[0] + 0.1 * g * g;
         p -= 0.1 * g / (std::sqrt(s[0]) + 1e-7);
       }},
      {"adam(loss, lr = 0.1)",
       [](double &p, double *s, int t) {
         const double g = p;
         s[0] = 0.9 * s[0] + 0.1 * g;
         s[1] = 0.999 * s[1] + 0.001 * g * g;
         p -= 0.1 * (s[0] / (1 - std::pow(0.9, t))) / (std::sqrt(s[1] / (1 - std::pow(0.999, t))) + 1e-8);
       }},
      {"adamw(loss, lr = 0.1, decay = 0.5)",
       [](double &p, double *s, int t) {
         const double g = p;
         s[0] = 0.9 * s[0] + 0.1 * g;
         s[1] = 0.999 * s[1] + 0.001 * g * g;
         p -= 0.1 * ((s[0] / (1 - std::pow(0.9, t))) / (std::sqrt(s[1] / (1 - std::pow(0.999, t))) + 1e-8) + 0.5 * p);
       }},
  };
  for (const auto &[call, step] : rows) {
    SCOPED_TRACE(call);
    Interpreted session(
        runnable("param p: f32[2] = ones()\nentry go() {\n  loss = 0.5 * sum(p ** 2)\n  update " + call + "\n}\n"));
    double p = 1, s[2] = {0, 0};
    for (int t = 1; t <= 3; ++t) {
      session.call("go");
      step(p, s, t);
      expect_near(session.state("p"), {p, p});
    }
  }
}

TEST(LoweringLibrary, ClippingByNorm) {
  Interpreted session(runnable("entry go(a: f32[2], b: f32[1]) {\n"
                               "  gs, norm = clip_by_global_norm([a, b], 1)\n  return gs, norm\n}\n"));
  auto results = session.call("go", {f32s({2}, {2, 3}), f32s({1}, {6})});
  expect_near(results.at("norm"), {7});
  expect_near(results.at("gs_0"), {2 / 7.0, 3 / 7.0});
  expect_near(results.at("gs_1"), {6 / 7.0});
  results = session.call("go", {f32s({2}, {0.1, 0.2}), f32s({1}, {0.2})});
  expect_near(results.at("gs_0"), {0.1, 0.2});
}

} // namespace
} // namespace nnc
