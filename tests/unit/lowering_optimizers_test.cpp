// The library's optimizers and schedules against their published formulas, in double over several steps.
#include "tests/unit/lowering_test.h"

#include <algorithm>
#include <functional>

namespace nnc {
namespace {

// One number's state: what an optimizer keeps, and the step number from 1.
struct Memory {
  double a = 0, b = 0;
  int t = 0;
};
using Rule = std::function<double(double p, double g, Memory &memory)>; // the next p

TEST(LoweringOptimizers, FollowTheirFormulas) {
  const auto adam = [](double p, double g, Memory &m, double lr, double decay) {
    m.a = 0.9 * m.a + 0.1 * g;
    m.b = 0.999 * m.b + 0.001 * g * g;
    const double mean = m.a / (1 - std::pow(0.9, m.t)), square = m.b / (1 - std::pow(0.999, m.t));
    return p - lr * decay * p - lr * mean / (std::sqrt(square) + 1e-8);
  };
  const auto rolling = [](double g, Memory &m) { return m.a = 0.9 * m.a + g; };
  const std::vector<std::pair<std::string, Rule>> rules = {
      {"sgd(w, g, lr = 0.1)", [](double p, double g, Memory &) { return p - 0.1 * g; }},
      {"momentum(w, g)", [&](double p, double g, Memory &m) { return p - 0.01 * rolling(g, m); }},
      {"momentum(w, g, nesterov = true)", [&](double p, double g, Memory &m) { return p - 0.01 * (g + 0.9 * rolling(g, m)); }},
      {"nesterov(w, g)", [&](double p, double g, Memory &m) { return p - 0.01 * (g + 0.9 * rolling(g, m)); }},
      {"adagrad(w, g)",
       [](double p, double g, Memory &m) {
         m.a += g * g;
         return p - 0.01 * g / (std::sqrt(m.a) + 1e-10);
       }},
      {"rmsprop(w, g)",
       [](double p, double g, Memory &m) {
         m.a = 0.9 * m.a + 0.1 * g * g;
         return p - 0.001 * g / (std::sqrt(m.a) + 1e-7);
       }},
      {"adam(w, g)", [&](double p, double g, Memory &m) { return adam(p, g, m, 0.001, 0); }},
      {"adamw(w, g, decay = 0.1)", [&](double p, double g, Memory &m) { return adam(p, g, m, 0.001, 0.1); }},
      {"lion(w, g, lr = 0.01, decay = 0.5)",
       [](double p, double g, Memory &m) {
         const double c = 0.9 * m.a + 0.1 * g;
         m.a = 0.99 * m.a + 0.01 * g;
         return p - 0.01 * ((c > 0) - (c < 0) + 0.5 * p);
       }},
      {"sgd([w], weight_decay([g], [w], 0.25), lr = 0.1)", [](double p, double g, Memory &) { return p - 0.1 * (g + 0.25 * p); }},
  };
  for (const auto &[call, rule] : rules) {
    SCOPED_TRACE(call);
    Interpreted model(runnable("param w: f64[3] = ones()\nentry go(g: f64[3]) { update " + call + " }\n"));
    std::vector<double> p = {1, 1, 1};
    std::vector<Memory> memory(3);
    for (int step = 0; step < 6; ++step) {
      const std::vector<double> g = {std::sin(step + 1.0), step == 2 ? 3.0 : 0.0, -0.5 * step};
      for (size_t i = 0; i < 3; ++i) {
        ++memory[i].t;
        p[i] = rule(p[i], g[i], memory[i]);
      }
      model.call("go", {tensor(DType::f64, {3}, g)});
      expect_near(model.state("w"), p, 1e-14);
    }
  }
}

TEST(LoweringOptimizers, Schedules) {
  Interpreted model(
      runnable("entry go(t: i32) {\n"
               "  return a = step_rate(t, 0.5, 10), b = exponential_rate(t, 0.5, 0.9),\n"
               "    c = cosine_rate(t, 0.5, 100, last = 0.1), d = cosine_rate(t, 0.5, steps = 100, warmup = 20)\n}\n"));
  const auto wave = [](double part) { return 0.5 * (1 + std::cos(3.14159265358979 * std::min(1.0, part))); };
  for (int t : {0, 5, 9, 10, 19, 20, 60, 99, 100, 500}) {
    SCOPED_TRACE(t);
    const auto rates = model.call("go", {Tensor::filled_int(Type{DType::i32, {}}, t)});
    expect_near(rates.at("a"), {0.5 * std::pow(0.1, t / 10)}, 1e-6);
    expect_near(rates.at("b"), {0.5 * std::pow(0.9, t)}, 1e-6);
    expect_near(rates.at("c"), {0.1 + 0.4 * wave(t / 100.0)}, 1e-6);
    expect_near(rates.at("d"), {t < 20 ? 0.5 * (t + 1) / 20 : 0.5 * wave((t - 20) / 80.0)}, 1e-6);
  }
}

// Rates are as exact as what they meet.
TEST(LoweringOptimizers, SchedulesInDouble) {
  Interpreted model(
      runnable("entry go(t: i32, x: f64[1]) {\n"
               "  return a = x + step_rate(t, 0.5, 10), b = x + exponential_rate(t, 0.5, 0.9),\n"
               "    c = x + cosine_rate(t, 0.5, 100, last = 0.1), d = x + cosine_rate(t, 0.5, steps = 100, warmup = 3)\n}\n"));
  const auto wave = [](double part) { return 0.5 * (1 + std::cos(3.141592653589793 * std::min(1.0, part))); };
  for (int t : {0, 1, 19, 20, 60, 100}) {
    SCOPED_TRACE(t);
    const auto rates = model.call("go", {Tensor::filled_int(Type{DType::i32, {}}, t), Tensor::filled(Type{DType::f64, {1}}, 0)});
    expect_near(rates.at("a"), {0.5 * std::pow(0.1, t / 10)}, 1e-15);
    expect_near(rates.at("b"), {0.5 * std::pow(0.9, t)}, 1e-15);
    expect_near(rates.at("c"), {0.1 + 0.4 * wave(t / 100.0)}, 1e-15);
    expect_near(rates.at("d"), {t < 3 ? 0.5 * (t + 1) / 3 : 0.5 * wave((t - 3) / 97.0)}, 1e-15);
  }
}

// In f32, where 1 - 0.999 ** t has to keep its digits.
TEST(LoweringOptimizers, FirstStepsOfAdam) {
  Interpreted model(runnable("param w: f32[1] = zeros()\nentry go(g: f32[1]) { update adam(params(w), [g]) }\n"));
  double p = 0, m = 0, v = 0;
  for (int t = 1; t <= 5; ++t) {
    const double g = static_cast<float>(std::sin(t));
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    p -= 0.001 * m / (1 - std::pow(0.9, t)) / (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8);
    model.call("go", {f32s({1}, {g})});
    expect_near(model.state("w"), {p}, 1e-6 * std::abs(p));
  }
}

// Gradients of small batches, added up, are those of the batch they make.
TEST(LoweringOptimizers, AccumulatedGradientsAreThoseOfTheWhole) {
  Interpreted model(runnable("net n(x: f32[N, 3]) = dense(x, 1)\n"
                             "entry parts(x: f32[4, 2, 3]) {\n"
                             "  ps = params(n)\n"
                             "  total = for p in ps { yield zeros_like(p) }\n"
                             "  for i in 0..4 {\n"
                             "    total = for t, g in zip(total, grad(mean(n(x[i]) ** 2) / 4, ps)) { yield t + g }\n"
                             "  }\n"
                             "  return b = total[0], w = total[1]\n}\n"
                             "entry whole(x: f32[8, 3]) {\n"
                             "  gs = grad(mean(n(x) ** 2), params(n))\n  return b = gs[0], w = gs[1]\n}\n"));
  std::vector<double> x;
  for (int i = 0; i < 24; ++i)
    x.push_back(std::sin(i * 0.7));
  const auto parts = model.call("parts", {f32s({4, 2, 3}, x)}), whole = model.call("whole", {f32s({8, 3}, x)});
  expect_near(parts.at("w"), numbers(whole.at("w")));
  expect_near(parts.at("b"), numbers(whole.at("b")));
}

} // namespace
} // namespace nnc
