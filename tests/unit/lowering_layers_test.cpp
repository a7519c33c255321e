// Norms, attention, positions and the losses on probabilities, each against loops over plain numbers.
#include "tests/unit/lowering_test.h"

#include <algorithm>

namespace nnc {
namespace {

std::vector<double> wave(int64_t count, double step) {
  std::vector<double> values;
  for (int64_t i = 0; i < count; ++i)
    values.push_back(std::sin(1 + step * static_cast<double>(i)));
  return values;
}

TEST(LoweringLayers, NormsOfExamplesAndGroups) {
  Interpreted model(runnable("net rms(x: f32[N, D]) = rms_norm(x)\nnet group(x: f32[N, H, C]) = group_norm(x, 2)\n"
                             "entry go(x: f32[2, 5], y: f32[2, 3, 4]) { return a = rms(x), b = group(y) }\n"));
  const std::vector<double> x = wave(10, 0.8), y = wave(24, 0.3);
  const auto results = model.call("go", {f32s({2, 5}, x), f32s({2, 3, 4}, y)});
  std::vector<double> a, b(24);
  for (int n = 0; n < 2; ++n) {
    double square = 0;
    for (int d = 0; d < 5; ++d)
      square += x[5 * n + d] * x[5 * n + d] / 5;
    for (int d = 0; d < 5; ++d)
      a.push_back(x[5 * n + d] / std::sqrt(square + 1e-6));
    for (int g = 0; g < 2; ++g) { // channels 2 * g and 2 * g + 1
      double mean = 0, var = 0;
      const auto at = [&](int k) { return 12 * n + k / 2 * 4 + 2 * g + k % 2; };
      for (int k = 0; k < 6; ++k)
        mean += y[at(k)] / 6;
      for (int k = 0; k < 6; ++k)
        var += (y[at(k)] - mean) * (y[at(k)] - mean) / 6;
      for (int k = 0; k < 6; ++k)
        b[at(k)] = (y[at(k)] - mean) / std::sqrt(var + 1e-5);
    }
  }
  expect_near(results.at("a"), a);
  expect_near(results.at("b"), b);
}

TEST(LoweringLayers, AttentionLooksAtWhatTheMaskShows) {
  Interpreted model(
      runnable("entry go(q: f32[2, 3, 4], k: f32[2, 5, 4], v: f32[2, 5, 2], seen: bool[2, 1, 5]) {\n"
               "  return all = attention(q, k, v), some = attention(q, k, v, seen), own = attention(q, q, q, causal(3))\n}\n"));
  const std::vector<double> q = wave(24, 0.9), k = wave(40, 0.7), v = wave(20, 0.4), seen = {1, 0, 1, 1, 0, 0, 1, 0, 0, 0};
  const auto results =
      model.call("go", {f32s({2, 3, 4}, q), f32s({2, 5, 4}, k), f32s({2, 5, 2}, v), tensor(DType::boolean, {2, 1, 5}, seen)});
  const auto expected = [&](const std::vector<double> &k, const std::vector<double> &v, int keys, int width, auto visible) {
    std::vector<double> out;
    for (int n = 0; n < 2; ++n)
      for (int i = 0; i < 3; ++i) {
        std::vector<double> weight(keys);
        double total = 0;
        for (int j = 0; j < keys; ++j) {
          double product = 0;
          for (int d = 0; d < 4; ++d)
            product += q[(n * 3 + i) * 4 + d] * k[(n * keys + j) * 4 + d];
          total += weight[j] = visible(n, i, j) ? std::exp(product / 2) : 0;
        }
        for (int c = 0; c < width; ++c) {
          double sum = 0;
          for (int j = 0; j < keys; ++j)
            sum += weight[j] / total * v[(n * keys + j) * width + c];
          out.push_back(sum);
        }
      }
    return out;
  };
  expect_near(results.at("all"), expected(k, v, 5, 2, [](int, int, int) { return true; }));
  expect_near(results.at("some"), expected(k, v, 5, 2, [&](int n, int, int j) { return seen[n * 5 + j] != 0; }));
  expect_near(results.at("own"), expected(q, q, 3, 4, [](int, int i, int j) { return j <= i; }));
}

const char *transformer = "net encode(x: f32[N, S, D]) = transformer_encoder_block(x, 2, rate = 0)\n"
                          "net decode(x: f32[N, S, D], m: f32[N, M, D]) = transformer_decoder_block(x, m, 4)\n";

TEST(LoweringLayers, HeadsShareTheWidth) {
  Interpreted model(
      runnable("net m(x: f32[N, S, D]) = mha(x, 2)\n"
               "entry go(x: f32[1, 3, 4]) { return y = m(x), h = split_heads(x, 2), back = join_heads(split_heads(x, 2)) }\n"));
  const std::vector<double> x = wave(12, 0.9);
  const auto results = model.call("go", {f32s({1, 3, 4}, x)});
  expect_near(results.at("h"), {x[0], x[1], x[4], x[5], x[8], x[9], x[2], x[3], x[6], x[7], x[10], x[11]});
  expect_near(results.at("back"), x);
  const auto dense = [&](const std::vector<double> &x, const char *name) {
    const std::vector<double> w = numbers(model.state(std::string("m/mha_0/") + name + "/w"));
    std::vector<double> y(12);
    for (int i = 0; i < 3; ++i)
      for (int o = 0; o < 4; ++o)
        for (int d = 0; d < 4; ++d)
          y[4 * i + o] += x[4 * i + d] * w[4 * d + o];
    return y;
  };
  const std::vector<double> q = dense(x, "query"), k = dense(x, "key"), v = dense(x, "value");
  std::vector<double> joined(12);
  for (int head = 0; head < 2; ++head)
    for (int i = 0; i < 3; ++i) {
      double weight[3], total = 0;
      for (int j = 0; j < 3; ++j)
        total += weight[j] = std::exp(
            (q[4 * i + 2 * head] * k[4 * j + 2 * head] + q[4 * i + 2 * head + 1] * k[4 * j + 2 * head + 1]) / std::sqrt(2));
      for (int j = 0; j < 3; ++j)
        for (int c = 0; c < 2; ++c)
          joined[4 * i + 2 * head + c] += weight[j] / total * v[4 * j + 2 * head + c];
    }
  expect_near(results.at("y"), dense(joined, "out"));
}

// What a later place holds cannot reach an earlier one; what the memory holds reaches all.
TEST(LoweringLayers, ADecoderReadsFromLeftToRight) {
  Interpreted model(runnable(std::string(transformer) + "entry go(x: f32[1, 3, 8], m: f32[1, 2, 8]) {\n"
                                                        "  return y = decode(x, encode(m)) }\n"));
  std::vector<double> x = wave(24, 0.9), m = wave(16, 0.6);
  const auto run = [&] { return numbers(model.call("go", {f32s({1, 3, 8}, x), f32s({1, 2, 8}, m)}).at("y")); };
  const std::vector<double> before = run();
  x[16] += 1; // of the last place
  const std::vector<double> after = run();
  EXPECT_TRUE(std::equal(before.begin(), before.begin() + 16, after.begin()));
  EXPECT_NE(before[17], after[17]);
  m[0] += 1;
  const std::vector<double> other = run();
  EXPECT_NE(other[0], after[0]);
  EXPECT_NE(other[23], after[23]);
}

TEST(LoweringLayers, Positions) {
  Interpreted model(runnable("entry go(x: f32[1, 3, 4], y: f32[1, 1, 4], at: i32) {\n"
                             "  return p = sinusoidal(3, 4), r = rotary(x), one = rotary(y, start = at)\n}\n"));
  const std::vector<double> x = wave(12, 0.9), y = {x[8], x[9], x[10], x[11]};
  const auto results = model.call("go", {f32s({1, 3, 4}, x), f32s({1, 1, 4}, y), Tensor::filled_int(Type{DType::i32, {}}, 2)});
  std::vector<double> p, r(12);
  for (int s = 0; s < 3; ++s)
    for (int i = 0; i < 2; ++i) {
      const double angle = s / std::pow(10000, 2 * i / 4.0), a = x[4 * s + i], b = x[4 * s + 2 + i];
      p.push_back(std::sin(angle));
      p.push_back(std::cos(angle));
      r[4 * s + i] = a * std::cos(angle) - b * std::sin(angle);
      r[4 * s + 2 + i] = b * std::cos(angle) + a * std::sin(angle);
    }
  expect_near(results.at("p"), p);
  expect_near(results.at("r"), r);
  expect_near(results.at("one"), {r[8], r[9], r[10], r[11]});
}

// Beside f64 the tables of positions are exact.
TEST(LoweringLayers, PositionsInDouble) {
  Interpreted model(runnable("entry go(x: f64[400, 4]) {\n"
                             "  return p = x + sinusoidal(400, 4), r = rotary(x + 1), l = x[0] + linspace(0, 0.3, 4)\n}\n"));
  const auto results = model.call("go", {Tensor::filled(Type{DType::f64, {400, 4}}, 0)});
  std::vector<double> p, r(1600);
  for (int s = 0; s < 400; ++s)
    for (int i = 0; i < 2; ++i) {
      const double angle = s / std::pow(10000, 2 * i / 4.0);
      p.push_back(std::sin(angle));
      p.push_back(std::cos(angle));
      r[4 * s + i] = std::cos(angle) - std::sin(angle);
      r[4 * s + 2 + i] = std::cos(angle) + std::sin(angle);
    }
  expect_near(results.at("p"), p, 1e-12);
  expect_near(results.at("r"), r, 1e-12);
  const double step = 0.3 / 3; // as NumPy has it, bit for bit
  expect_near(results.at("l"), {0, step, 2 * step, 0.3}, 0);
}

TEST(LoweringLayers, LossesOnProbabilities) {
  Interpreted model(
      runnable("entry go(x: f32[2, 3], t: f32[2, 3], label: i32[2], p: f32[3], q: f32[3]) {\n"
               "  return soft = soft_cross_entropy(x, t), hard = soft_cross_entropy(x, one_hot(label, 3), smoothing = 0.2),\n"
               "    same = cross_entropy(x, label, smoothing = 0.2), b = bce(p, q), d = grad(bce)(p, q)\n}\n"));
  const std::vector<double> x = {1, 2, 500, -1, 0, 3}, t = {0.5, 0.25, 0.25, 0, 0, 1}, p = {0, 0.25, 1}, q = {1, 0.5, 1};
  const auto results =
      model.call("go", {f32s({2, 3}, x), f32s({2, 3}, t), tensor(DType::i32, {2}, {1, 2}), f32s({3}, p), f32s({3}, q)});
  std::vector<double> soft;
  for (int n = 0; n < 2; ++n) {
    double total = 0, sum = 0;
    const double top = *std::max_element(x.begin() + 3 * n, x.begin() + 3 * n + 3);
    for (int c = 0; c < 3; ++c)
      total += std::exp(x[3 * n + c] - top);
    for (int c = 0; c < 3; ++c)
      sum -= t[3 * n + c] * (x[3 * n + c] - top - std::log(total));
    soft.push_back(sum);
  }
  expect_near(results.at("soft"), soft);
  expect_near(results.at("hard"), numbers(results.at("same")));
  expect_near(results.at("b"), {-std::log(1e-7), -0.5 * std::log(0.25) - 0.5 * std::log(0.75), 0}, 1e-4);
  expect_near(results.at("d"), {0, -0.5 / 0.25 + 0.5 / 0.75, 0}, 1e-4);
}

} // namespace
} // namespace nnc
