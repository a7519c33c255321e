// Random draws in entries: what they are distributed like, what they depend on, and what they do not.
#include "tests/unit/lowering_test.h"

#include <algorithm>

namespace nnc {
namespace {

constexpr int64_t count = 100'000;
const double deviation = 1 / std::sqrt(static_cast<double>(count)); // of the mean of numbers with variance 1

double mean(const std::vector<double> &x, double power = 1) {
  double sum = 0;
  for (double v : x)
    sum += std::pow(v, power);
  return sum / static_cast<double>(x.size());
}

double correlation(const std::vector<double> &a, const std::vector<double> &b) {
  double sum = 0;
  const double ma = mean(a), mb = mean(b);
  for (size_t i = 0; i < a.size(); ++i)
    sum += (a[i] - ma) * (b[i] - mb);
  return sum / static_cast<double>(a.size()) / std::sqrt((mean(a, 2) - ma * ma) * (mean(b, 2) - mb * mb));
}

TEST(LoweringRandom, DrawsAreDistributedAsTheySay) {
  Interpreted model(runnable("entry go() {\n"
                             "  return u = uniform([100000], -1, 3), n = normal([100000], 2, 0.5), b = bernoulli(0.3, [100000])\n"
                             "}\n"));
  auto drawn = model.call("go");
  const std::vector<double> u = numbers(drawn.at("u")), b = numbers(drawn.at("b"));
  std::vector<double> n = numbers(drawn.at("n"));
  EXPECT_NEAR(mean(u), 1, 4 * deviation * 4 / std::sqrt(12));
  EXPECT_NEAR(mean(u, 2) - mean(u) * mean(u), 16.0 / 12, 0.02);
  EXPECT_NEAR(*std::min_element(u.begin(), u.end()), -1, 1e-3);
  EXPECT_NEAR(*std::max_element(u.begin(), u.end()), 3, 1e-3);
  EXPECT_NEAR(mean(b), 0.3, 4 * deviation * std::sqrt(0.3 * 0.7));
  for (double &v : n)
    v = (v - 2) / 0.5;
  EXPECT_NEAR(mean(n), 0, 4 * deviation);
  EXPECT_NEAR(mean(n, 2), 1, 4 * deviation * std::sqrt(2));
  EXPECT_NEAR(mean(n, 3), 0, 4 * deviation * std::sqrt(15));
  EXPECT_NEAR(mean(n, 4), 3, 4 * deviation * std::sqrt(96));
  EXPECT_EQ(model.state("random/count").get_int(0), 1); // once a call, whatever the draws
  EXPECT_EQ(model.state("random/seed").get_int(0), 1);
}

TEST(LoweringRandom, ACertainBoolIsCertain) {
  Interpreted model(runnable("entry go(p: f32[3, 1]) { return b = bernoulli(p, [3, 100]), c = bernoulli(1, [9]) }\n"));
  const auto drawn = model.call("go", {f32s({3, 1}, {0, 1, 0.5})});
  const std::vector<double> b = numbers(drawn.at("b"));
  EXPECT_EQ(std::count(b.begin(), b.begin() + 100, 1), 0);
  EXPECT_EQ(std::count(b.begin() + 100, b.begin() + 200, 1), 100);
  EXPECT_NEAR(std::count(b.begin() + 200, b.end(), 1), 50, 20);
  EXPECT_EQ(numbers(drawn.at("c")), std::vector<double>(9, 1));
}

TEST(LoweringRandom, PlacesAndCallsAndSeedsDiffer) {
  const std::string text =
      "fn noise() = normal([20000])\n"
      "fn twice() { return noise(), noise() }\n"
      "net n() = noise()\n"
      "entry go() {\n"
      "  many = for i in 0..2 { yield noise() }\n"
      "  return a = normal([20000]), b = normal([20000]), c = noise(), d = noise(), e = n(), f = n(), many, t = twice()\n"
      "}\n";
  Interpreted model(runnable(text)), other(runnable(text), 2);
  std::vector<std::vector<double>> streams;
  for (Interpreted *from : {&model, &model, &other})
    for (const auto &[name, values] : from->call("go"))
      streams.push_back(numbers(values));
  ASSERT_EQ(streams.size(), 3 * 10u);
  for (size_t i = 0; i < streams.size(); ++i)
    for (size_t k = 0; k < i; ++k)
      EXPECT_NEAR(correlation(streams[i], streams[k]), 0, 5 / std::sqrt(20000.0)) << i << " and " << k;
  streams[0].pop_back();
  streams[1] = numbers(model.call("go").at("a"));
  std::vector<double> next(streams[1].begin() + 1, streams[1].end()), before(streams[1].begin(), streams[1].end() - 1);
  EXPECT_NEAR(correlation(next, before), 0, 5 / std::sqrt(20000.0));
}

const std::string drawing = "fn noisy(x: f32[8]) = x + normal([8])\n"
                            "net n(x: f32[8]) = dropout(noisy(x), 0.5)\n"
                            "entry go(x: f32[8]) { return y = n(x, training = true), z = uniform([8]) }\n";
const Tensor zeros = f32s({8}, std::vector<double>(8, 0));

TEST(LoweringRandom, OtherEntriesAndOtherDrawsChangeNothing) {
  Interpreted model(runnable(drawing));
  Interpreted more(runnable("state s: f32[8] = normal()\n"
                            "entry first(x: f32[8]) { s := n(x) + uniform([8])\n return s }\n" +
                            drawing + "fn other() = normal([8], seed = 3)\nentry last() { return y = other() + s }\n"));
  for (int i = 0; i < 3; ++i) {
    const auto a = model.call("go", {zeros}), b = more.call("go", {zeros});
    EXPECT_TRUE(same_bits(a.at("y"), b.at("y")));
    EXPECT_TRUE(same_bits(a.at("z"), b.at("z")));
    more.call("last"); // draws without counting
  }
  EXPECT_EQ(model.state("random/count").get_int(0), 3);
  EXPECT_EQ(more.state("random/count").get_int(0), 3);
}

TEST(LoweringRandom, AParameterMadeByTheWayCountsAsNoDraw) { // it is made in the first entry that meets it only
  const std::string net = "net n() {\n  param w: f32[8] = normal()\n  return w * 0 + normal([8])\n}\n";
  Interpreted alone(runnable(net + "entry go() { return y = n() }\n"));
  Interpreted second(runnable(net + "entry first() { return y = n() }\nentry go() { return y = n() }\n"));
  EXPECT_TRUE(same_bits(alone.call("go").at("y"), second.call("go").at("y")));
}

TEST(LoweringRandom, SavedStatesContinueTheStream) {
  Interpreted model(runnable(drawing), 7), again(runnable(drawing), 8);
  model.call("go", {zeros});
  again.states = model.states;
  const auto a = model.call("go", {zeros}), b = again.call("go", {zeros});
  EXPECT_TRUE(same_bits(a.at("y"), b.at("y")));
  EXPECT_FALSE(same_bits(model.call("go", {zeros}).at("y"), a.at("y")));
}

TEST(LoweringRandom, ASeedReplacesSeedAndCount) {
  const std::string text = "entry go(seed: i64, small: u8) {\n"
                           "  return a = normal([50], seed = 5), b = normal([50], seed = 5), c = uniform([50], seed = seed),\n"
                           "    d = uniform([50], seed = small)\n}\n";
  Interpreted model(runnable(text), 1), other(runnable(text), 2);
  EXPECT_TRUE(model.states.empty());
  const auto with = [&](Interpreted &m, int64_t seed) {
    return m.call("go", {Tensor::filled_int(Type{DType::i64, {}}, seed), tensor(DType::u8, {}, {3})});
  };
  const auto a = with(model, 9), b = with(model, 9), c = with(other, 10);
  for (const char *name : {"a", "b", "c", "d"})
    EXPECT_TRUE(same_bits(a.at(name), b.at(name))) << name;
  EXPECT_FALSE(same_bits(a.at("a"), a.at("b"))); // two places
  EXPECT_TRUE(same_bits(a.at("a"), c.at("a")));
  EXPECT_FALSE(same_bits(a.at("c"), c.at("c")));
}

TEST(LoweringRandom, DropoutDropsInTrainingOnly) {
  Interpreted model(runnable("net n(x: f32[100000]) { param w: f32 = ones()\n return dropout(w * x, 0.2) }\n"
                             "entry predict(x: f32[100000]) { return y = n(x) }\n"
                             "entry train(x: f32[100000]) {\n"
                             "  y = n(x)\n  update sgd(mean(y), lr = 0)\n  return y, slope = grad(sum(y), x)\n}\n"));
  const std::vector<double> ones(count, 1);
  const Tensor x = f32s({count}, ones);
  EXPECT_EQ(numbers(model.call("predict", {x}).at("y")), ones);
  EXPECT_EQ(model.state("random/count").get_int(0), 0);
  const auto trained = model.call("train", {x});
  const std::vector<double> y = numbers(trained.at("y"));
  EXPECT_EQ(std::count(y.begin(), y.end(), 0) + std::count(y.begin(), y.end(), 1.25), count);
  EXPECT_NEAR(mean(y), 1, 4 * deviation * 0.5);
  EXPECT_EQ(numbers(trained.at("slope")), y); // a draw is a constant to grad
}

TEST(LoweringRandom, DropoutAtARateOfZeroDrawsNothing) {
  for (const char *rate : {"0", "0.0", "off"}) {
    const Module module = runnable("const off = 0\nnet n(x: f32[8]) = dropout(x, " + std::string(rate) +
                                   ")\nentry go(x: f32[8]) { return y = n(x, training = true) }\n");
    EXPECT_TRUE(module.states.empty()) << rate;
  }
  Interpreted model(runnable("net n(x: f32[8], rate: f32) = dropout(x, rate)\n" // known in the call only
                             "entry go(x: f32[8], rate: f32) { return y = n(x, rate, training = true) }\n"));
  EXPECT_EQ(numbers(model.call("go", {zeros, f32s({}, {0})}).at("y")), numbers(zeros));
}

// Who asks for gradients of parameters without an `update` probably wants the code for training.
TEST(LoweringRandom, GradientsOutsideOfTrainingAreWarnedOf) {
  const auto warnings = [](const std::string &entry) {
    const Source source("m.nn", "net n(x: f32[8]) { param w: f32[8] = ones()\n return dropout(w * x, 0.5) }\n" + entry);
    Diagnostics diagnostics;
    EXPECT_TRUE(compile_source(source, {}, diagnostics).has_value()) << diagnostics.text();
    return diagnostics.text();
  };
  const std::string rest = "\n ps = params(loss)\n gs = grad(loss, ps)\n return gs\n}\n";
  EXPECT_NE(warnings("entry go(x: f32[8]) { loss = sum(n(x))" + rest)
                .find("5:7: warning: gradients of parameters, but `training` is false"),
            std::string::npos);
  EXPECT_EQ(warnings("entry go(x: f32[8]) { loss = sum(n(x, training = true))" + rest), "");
  EXPECT_EQ(warnings("entry go(x: f32[8]) { loss = sum(n(x, training = false))" + rest), "");
  EXPECT_EQ(warnings("entry go(x: f32[8]) { return slope = grad(sum(n(x)), x) }\n"), "");
}

} // namespace
} // namespace nnc
