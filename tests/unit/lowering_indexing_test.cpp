// Indexing with what is known at run time, and the library on top: values, checks, messages, derivatives.
#include "tests/unit/lowering_test.h"

#include <algorithm>

namespace nnc {
namespace {

Tensor i32s(Shape shape, const std::vector<double> &values) { return tensor(DType::i32, std::move(shape), values); }

std::map<std::string, Tensor> run(const std::string &text, const std::vector<Tensor> &inputs) {
  return Interpreted(runnable(text)).call("go", inputs);
}

const Tensor table = f32s({3, 2}, {1, 2, 3, 4, 5, 6});

TEST(LoweringIndexing, AxesOfTheIndexTakeThePlaceOfTheAxis) {
  const auto y = run(
      "entry go(t: f32[3, 2], i: i32[2, 2], k: u8, cube: f32[2, 3, 2]) {\n"
      "  return rows = t[i], column = t[:, k], row = t[k], part = cube[1, i], ends = cube[:, i[0], 0], both = t[k, k]\n}",
      {table, i32s({2, 2}, {2, 0, 1, 1}), tensor(DType::u8, {}, {1}), f32s({2, 3, 2}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})});
  EXPECT_EQ(y.at("rows").type.shape, (Shape{2, 2, 2}));
  expect_near(y.at("rows"), {5, 6, 1, 2, 3, 4, 3, 4});
  expect_near(y.at("column"), {2, 4, 6});
  expect_near(y.at("row"), {3, 4});
  expect_near(y.at("part"), {10, 11, 6, 7, 8, 9, 8, 9});
  expect_near(y.at("ends"), {4, 0, 10, 6});
  expect_near(y.at("both"), {4});
}

TEST(LoweringIndexing, KnownPlacesAreCheckedWhenCompiling) {
  const Module module = compiled("const first = 1\nentry go(t: f32[3, 2]) {\n"
                                 "  return y = t[first + arange(2)] + t[[-1, 0]], z = t[i64(arange(3))]\n}");
  for (const Result &result : module.functions[0].function_results)
    EXPECT_NE(result.kind, Result::Kind::check);
  expect_near(Interpreted(module).call("go", {table}).at("y"), {8, 10, 6, 8});
}

TEST(LoweringIndexing, PlacesThatWereFoundNeedNoCheck) {
  const auto checks = [](const std::string &line) {
    const Module module = compiled("entry go(t: f32[3, 2], x: f32[5, 3]) {\n  return y = " + line + "\n}");
    return std::ranges::count(module.functions[0].function_results, Result::Kind::check, &Result::kind);
  };
  EXPECT_EQ(checks("t[argmax(x, axis = 1)]"), 0);
  EXPECT_EQ(checks("t[argsort(x)[:, ::-1]]"), 0);
  EXPECT_EQ(checks("t[argmax(x, axis = 0)]"), 1);
  EXPECT_EQ(checks("t[argmax(x, axis = 1) + 1]"), 1);
}

// The loop's results are the carry, which is shorter than the table or has no axis at all, and the stack that is searched.
TEST(LoweringIndexing, PlacesFoundInAStackOfALoop) {
  const auto text = [](const std::string &carry) {
    return "entry go(t: f32[3], x: f32[2, 5]) {\n  s = zeros(" + carry +
           ")\n  ys = scan u in x { s = s + 1; yield u }\n  return y = t[argmax(ys, axis = 1)], s\n}";
  };
  for (const char *carry : {"[]", "[2, 2]"}) {
    Interpreted model(runnable(text(carry)));
    expect_near(model.call("go", {f32s({3}, {7, 8, 9}), f32s({2, 5}, {0, 1, 2, 1, 0, 3, 1, 2, 1, 0})}).at("y"), {9, 7});
    model.call("go", {f32s({3}, {7, 8, 9}), f32s({2, 5}, {0, 1, 2, 3, 0, 3, 1, 2, 1, 0})});
    EXPECT_EQ(model.failed, "index outside 0..3 of axis 0 of `t`, f32[3]");
  }
}

TEST(LoweringIndexing, RunTimePlacesAreCheckedBeforeAnythingIsWritten) {
  Interpreted model(
      runnable("state s: f32[3, 2] = zeros()\nentry go(v: f32[2], i: i32) {\n  s[i] := v\n  return y = s[i] + 1\n}\n"
               "entry read(i: i64[2], j: u8) { return y = s[i, 0], z = s[0, j] }"));
  expect_near(model.call("go", {f32s({2}, {5, 6}), i32s({}, {1})}).at("y"), {6, 7});
  const Tensor written = model.state("s");
  expect_near(written, {0, 0, 5, 6, 0, 0});
  for (double bad : {-1.0, 3.0}) {
    model.call("go", {f32s({2}, {7, 8}), i32s({}, {bad})});
    EXPECT_EQ(model.failed, "index outside 0..3 of axis 0 of `s`, f32[3,2]");
    EXPECT_TRUE(same_bits(model.state("s"), written));
  }
  expect_near(model.call("read", {tensor(DType::i64, {2}, {1, 2}), tensor(DType::u8, {}, {1})}).at("y"), {5, 0});
  model.call("read", {tensor(DType::i64, {2}, {4294967297.0, 2}), tensor(DType::u8, {}, {1})}); // 2^32 + 1 is not 1
  EXPECT_EQ(model.failed, "index outside 0..3 of axis 0 of `s`, f32[3,2]");
  model.call("read", {tensor(DType::i64, {2}, {1, 2}), tensor(DType::u8, {}, {2})});
  EXPECT_EQ(model.failed, "index outside 0..2 of axis 1 of `s`, f32[3,2]");
}

TEST(LoweringIndexing, ReplacesAtARunTimePosition) {
  const auto y = run("entry go(x: f32[3, 4], i: i32, v: f32[3]) {\n  a = x; a[:, i] = v\n  b = x; b[i, 1:3] = 9\n"
                     "  c = x; c[-1, i] = 5\n  d = x; d[i, i] = v[0]\n  return a, b, c, d\n}",
                     {f32s({3, 4}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}), i32s({}, {2}), f32s({3}, {-1, -2, -3})});
  expect_near(y.at("a"), {0, 1, -1, 3, 4, 5, -2, 7, 8, 9, -3, 11});
  expect_near(y.at("b"), {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 11});
  expect_near(y.at("c"), {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 5, 11});
  expect_near(y.at("d"), {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -1, 11});
}

TEST(LoweringIndexing, Segments) {
  const auto y =
      run("entry go(x: f32[4, 2], s: i32[4]) {\n  return total = segment_sum(x, s, 3), mean = segment_mean(x, s, 3)\n}",
          {f32s({4, 2}, {1, 2, 3, 4, 5, 6, 7, 8}), i32s({4}, {2, 0, 2, 2})});
  expect_near(y.at("total"), {3, 4, 0, 0, 13, 16});
  expect_near(y.at("mean"), {3, 4, 0, 0, 13.0 / 3, 16.0 / 3});
}

TEST(LoweringIndexing, SortsAndPicks) {
  const double nan = std::nan("");
  const auto y =
      run("entry go(x: f32[2, 4], b: u8[4], i: i32[2, 2]) {\n  best, places = top_k(x, 2)\n  most, where_most = top_k(b, 3)\n"
          "  return up = sort(x), across = sort(x, axis = 0), down = argsort(x, descending = true), best, places, most, "
          "where_most, picked = take_along(x, i)\n}",
          {f32s({2, 4}, {3, nan, 1, 3, 0, -2, 9, 4}), tensor(DType::u8, {4}, {0, 255, 7, 255}), i32s({2, 2}, {3, 0, 1, 1})});
  expect_near(y.at("up"), {1, 3, 3, nan, -2, 0, 4, 9});
  expect_near(y.at("across"), {0, -2, 1, 3, 3, nan, 9, 4});
  expect_near(y.at("down"), {0, 3, 2, 1, 2, 3, 0, 1});
  expect_near(y.at("best"), {3, 3, 9, 4});
  expect_near(y.at("places"), {0, 3, 2, 3});
  expect_near(y.at("most"), {255, 255, 7});
  expect_near(y.at("where_most"), {1, 3, 2});
  expect_near(y.at("picked"), {3, 3, -2, -2});
}

TEST(LoweringIndexing, RunningSumsAndProducts) {
  const auto y =
      run("entry go(x: f32[2, 5], n: i32[3]) {\n"
          "  return sums = cumsum(x, axis = 1), down = cumsum(x), products = cumprod(x, axis = -1), counts = cumsum(n)\n}",
          {f32s({2, 5}, {1, 2, 3, 4, 5, -1, 0, 2, 7, 1}), i32s({3}, {4, 5, 6})});
  expect_near(y.at("sums"), {1, 3, 6, 10, 15, -1, -1, 1, 8, 9});
  expect_near(y.at("down"), {1, 2, 3, 4, 5, 0, 2, 5, 11, 6});
  expect_near(y.at("products"), {1, 2, 6, 24, 120, -1, 0, 0, 0, 0});
  expect_near(y.at("counts"), {4, 9, 15});
}

// Every element moved a little, in double.
TEST(LoweringIndexing, DerivativesAreThoseOfDifferences) {
  const std::string function =
      "fn f(x: f64[5, 3], i: i32[4, 2], s: i32[5]) {\n"
      "  e = tanh(x[i]); t = segment_sum(x * x, s, 4); m = segment_mean(x, s, 4)\n"
      "  return sum(e * e) + sum(t ** 2) + sum(cumprod(x, axis = 0) * sort(x, axis = 1)) + sum(m[s] * x)\n}\n";
  Interpreted model(runnable(function + "entry go(x: f64[5, 3], i: i32[4, 2], s: i32[5]) {\n  y = f(x, i, s)\n"
                                        "  return y, d = grad(y, x)\n}"));
  std::vector<double> x;
  for (int k = 0; k < 15; ++k)
    x.push_back(std::sin(1.0 + 2.7 * k) + 0.2 * k);
  const Tensor i = i32s({4, 2}, {0, 3, 3, 1, 4, 4, 4, 0}), s = i32s({5}, {3, 0, 0, 3, 1});
  const auto value = [&](const std::vector<double> &at) {
    return model.call("go", {tensor(DType::f64, {5, 3}, at), i, s}).at("y").get(0);
  };
  const Tensor d = model.call("go", {tensor(DType::f64, {5, 3}, x), i, s}).at("d");
  for (size_t k = 0; k < x.size(); ++k) {
    std::vector<double> low = x, high = x;
    const double h = 1e-5;
    low[k] -= h;
    high[k] += h;
    const double difference = (value(high) - value(low)) / (2 * h);
    EXPECT_NEAR(d.get(static_cast<int64_t>(k)), difference, 1e-6 * std::max(1.0, std::abs(difference))) << k;
  }
}

TEST(LoweringIndexing, EmbeddingsLearn) {
  Interpreted model(
      runnable("net table(t: i32[N]) = embedding(t, 4, 3)\n"
               "entry go(t: i32[3], y: f32[3, 3]) {\n  loss = mse(table(t), y)\n  update sgd(loss, lr = 1)\n  return loss\n}"));
  const Tensor before = model.state("table/embedding_0/table");
  model.call("go", {i32s({3}, {2, 0, 2}), f32s({3, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 1})});
  const Tensor after = model.state("table/embedding_0/table");
  for (int64_t k = 0; k < 12; ++k) { // d/dw of the mean of 9 squares: 2/9 (w - 1) a use
    const double uses = k / 3 == 2 ? 2 : k / 3 == 0 ? 1 : 0;
    EXPECT_NEAR(after.get(k), before.get(k) - uses * 2 / 9 * (before.get(k) - 1), 1e-6) << k;
  }
  model.call("go", {i32s({3}, {2, 4, 2}), f32s({3, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 1})});
  EXPECT_EQ(model.failed, "token outside 0..4");
  EXPECT_TRUE(same_bits(model.state("table/embedding_0/table"), after));
}

} // namespace
} // namespace nnc
