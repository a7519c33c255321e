// Parameters and state: paths, sharing, initial values, assignment, updates, and lists of parameters.
#include "frontend/instances.h"
#include "tests/unit/lowering_test.h"

#include <cmath>

namespace nnc {
namespace {

using Strings = std::vector<std::string>;

Strings paths_of(const std::string &text) {
  Strings paths;
  for (const State &state : compiled(text).states)
    paths.push_back(state.path);
  return paths;
}

TEST(LoweringStates, PathsStartAtTheNetAndNumberTheCalls) {
  EXPECT_EQ(paths_of("fn block(x: f32[N, D]) = dense(dense(x, D) as up, D, bias = false)\n"
                     "net n(x: f32[N, 4]) {\n"
                     "  for i in 0..2 { x = block(x) }\n"
                     "  for i in 0..2 { for j in 0..2 { x = dense(x, 4, bias = false) as deep } }\n"
                     "  for units in [3, 2] { x = dense(x, units, bias = false) }\n"
                     "  return block(x) as head\n"
                     "}\n"
                     "entry go(x: f32[1, 4]) { return n(x) }\n"),
            (Strings{"n/block_0/up/w", "n/block_0/up/b", "n/block_0/dense_0/w", "n/block_1/up/w", "n/block_1/up/b",
                     "n/block_1/dense_0/w", "n/deep_0_0/w", "n/deep_0_1/w", "n/deep_1_0/w", "n/deep_1_1/w", "n/dense_0/w",
                     "n/dense_1/w", "n/head/up/w", "n/head/up/b", "n/head/dense_0/w"}));
}

TEST(LoweringStates, ANetIsOneNetworkAndAFnAPattern) {
  // Two calls of a net share, also from another entry, and inside another net; two calls of a fn do not.
  EXPECT_EQ(paths_of("fn f(x: f32[N, 4]) = dense(x, 4, bias = false)\n"
                     "net a(x: f32[N, 4]) = f(f(x))\nnet b(x: f32[N, 4]) = a(x) + f(x)\n"
                     "entry one(x: f32[1, 4]) { return y = a(x) + a(x) }\nentry two(x: f32[2, 4]) { return y = b(a(x)) }\n"),
            (Strings{"a/f_0/dense_0/w", "a/f_1/dense_0/w", "b/f_0/dense_0/w"}));
}

TEST(LoweringStates, BranchesDoNotRenumberCalls) {
  // The first call of f owns something only in training; the second is f_1 in both entries.
  const std::string text = "fn f(x, on: bool) {\n  if on { state s: f32 = 0; s := s + 1 }\n  return x\n}\n"
                           "net n(x: f32[N], on: bool) = f(f(x, on), true)\n"
                           "entry a(x: f32[2]) { return y = n(x, false) }\nentry b(x: f32[2]) { return y = n(x, true) }\n";
  EXPECT_EQ(paths_of(text), (Strings{"n/f_1/s", "n/f_0/s"}));
}

TEST(LoweringStates, FileLevelDeclarations) {
  Interpreted session(
      runnable("param w: f32[2] = [3, 4]\nstate count = 0\nstate seen: i32[2] = 7\n"
               "entry go(x: f32[2]) {\n  count := count + 1\n  seen[0] := seen[1] - 1\n  return y = w * x, n = count\n}\n"));
  EXPECT_EQ(session.paths(), (Strings{"count", "seen", "w"})); // as they are reached
  EXPECT_FALSE(session.module.states[0].trained);
  EXPECT_TRUE(session.module.states[2].trained);
  expect_near(session.call("go", {f32s({2}, {1, 10})}).at("y"), {3, 40});
  expect_near(session.call("go", {f32s({2}, {1, 10})}).at("n"), {2});
  expect_near(session.state("seen"), {6, 7});
}

TEST(LoweringStates, EntriesTakeWhatTheyReadAndWrite) {
  const Module module = compiled(
      "state a: f32 = 1\nstate b: f32 = 2\n"
      "entry reads(x: f32) { return y = x + a }\nentry writes(x: f32) { b := x }\nentry neither(x: f32) { return y = x }\n");
  const auto args = [&](const char *entry) { return module.find(entry)->args; };
  EXPECT_EQ(args("reads"), 2);
  EXPECT_EQ(args("writes"), 2);
  EXPECT_EQ(args("neither"), 1);
  EXPECT_EQ(module.find("writes")->function_results[0].state, 1);
}

TEST(LoweringStates, AssignmentActsAtOnceAndOldValuesStay) {
  Interpreted session(
      runnable("state s: f32[3] = zeros()\nfn bump() {\n  s := s + 1\n  return s\n}\n"
               "entry go() {\n  old = s\n  a = bump()\n  s[1:] := 10 * s[1:]\n  b, c = s, old\n  return a, b, c\n}\n"));
  auto results = session.call("go");
  expect_near(results.at("a"), {1, 1, 1});
  expect_near(results.at("b"), {1, 10, 10});
  expect_near(results.at("c"), {0, 0, 0});
  expect_near(session.call("go").at("b"), {2, 110, 110});
}

TEST(LoweringStates, AFailedCheckChangesNothing) {
  Interpreted session(runnable("state s: f32 = 5\nentry go(x: f32[2]) {\n  s := sum(x)\n  require x > 0, \"not positive\"\n}\n"));
  session.call("go", {f32s({2}, {1, -1})});
  EXPECT_EQ(session.failed, "not positive");
  expect_near(session.state("s"), {5});
  session.call("go", {f32s({2}, {1, 2})});
  EXPECT_EQ(session.failed, "");
  expect_near(session.state("s"), {3});
}

TEST(LoweringStates, InitialisersSeeTheDeclaredShape) {
  Interpreted session(runnable(
      "param a: f64[2, 3] = constant(0.5)\nparam b: f32[400, 600] = glorot_uniform()\nparam c: f32[400, 600] = he_normal()\n"
      "param d: f32[400, 600] = 1 + normal(std = 0.5)\nparam e: f32[100000] = uniform(low = 2, high = 3)\n"
      "param f: f32[400, 600] = glorot_normal()\nparam g: f32[400, 600] = he_uniform()\nparam h: f32[50, 80, 60] = "
      "glorot_uniform()\n"
      "state k = f64(3)\nparam l = zeros_like(c)\n"
      "entry go() { return a = a, b = b, c = c, d = d, e = e, f = f, g = g, h = h, k = k, l = l }\n"));
  struct Row {
    const char *path;
    double mean, deviation, low, high;
  };
  const double glorot = std::sqrt(6.0 / 1000), he = std::sqrt(6.0 / 400), inf = 1e9;
  const double deep = std::sqrt(6.0 / (50 * 140)); // the leading 50 counts in both fans
  for (const Row &row : std::vector<Row>{{"b", 0, glorot / std::sqrt(3), -glorot, glorot},
                                         {"c", 0, std::sqrt(2.0 / 400), -inf, inf},
                                         {"d", 1, 0.5, -inf, inf},
                                         {"e", 2.5, 1 / std::sqrt(12), 2, 3},
                                         {"f", 0, std::sqrt(2.0 / 1000), -inf, inf},
                                         {"g", 0, he / std::sqrt(3), -he, he},
                                         {"h", 0, deep / std::sqrt(3), -deep, deep}}) {
    SCOPED_TRACE(row.path);
    const std::vector<double> values = numbers(session.state(row.path));
    double sum = 0, squares = 0, fourth = 0;
    for (double v : values) {
      EXPECT_GE(v, row.low);
      EXPECT_LE(v, row.high);
      sum += v;
      squares += (v - row.mean) * (v - row.mean);
      fourth += std::pow(v - row.mean, 4);
    }
    const double n = static_cast<double>(values.size()), variance = squares / n;
    EXPECT_NEAR(sum / n, row.mean, 5 * row.deviation / std::sqrt(n)); // five standard errors
    EXPECT_NEAR(std::sqrt(variance) / row.deviation, 1, 0.01);
    EXPECT_NEAR(fourth / n / (variance * variance), row.high == inf ? 3.0 : 1.8, 0.1); // kurtosis: normal 3, uniform 9/5
  }
  EXPECT_EQ(type_text(session.state("a").type), "f64[2,3]");
  EXPECT_EQ(type_text(session.state("k").type), "f64");
  EXPECT_EQ(type_text(session.state("l").type), "f32[400,600]");
}

TEST(LoweringStates, StartsDependOnSeedAndPathAlone) {
  const auto start = [](const std::string &body, int64_t seed) {
    Interpreted session(runnable("net n(x: f32[N, 8]) {\n" + body + "\n}\nentry go(x: f32[1, 8]) { return n(x) }\n"), seed);
    return numbers(session.state("n/last/w"));
  };
  const std::vector<double> first = start("return dense(x, 4) as last", 1);
  EXPECT_EQ(first, start("x = dense(x, 8)\nreturn dense(x, 4) as last", 1));
  EXPECT_NE(first, start("return dense(x, 4) as last", 2));
  Interpreted two(runnable("net n(x: f32[N, 8]) = dense(dense(x, 8), 8)\nentry go(x: f32[1, 8]) { return n(x) }\n"));
  EXPECT_NE(numbers(two.state("n/dense_0/w")), numbers(two.state("n/dense_1/w")));
  EXPECT_EQ(numbers(two.state("n/dense_0/b")), std::vector<double>(8, 0));
}

TEST(LoweringStates, AStateCanStartFromAParameter) {
  Interpreted session(runnable("param w: f32[3] = normal()\nstate average = w\nentry go() { return a = average, b = w }\n"));
  EXPECT_EQ(numbers(session.state("average")), numbers(session.state("w")));
}

TEST(LoweringStates, ListsOfParameters) {
  const std::string nets = "net a(x: f32[N, 2]) {\n  for i in 0..11 { x = dense(x, 2) as layer }\n  return x\n}\n"
                           "net b(x: f32[N, 2]) = dense(x, 2)\n";
  const auto count = [&](const std::string &list) {
    Interpreted session(runnable(nets + "entry go(x: f32[1, 2]) {\n  loss = sum(b(x) + stop_gradient(a(x)))\n  return n = len(" +
                                 list + ")\n}\n"));
    return session.call("go", {f32s({1, 2}, {1, 1})}).at("n").get(0);
  };
  EXPECT_EQ(count("params(a)"), 22);
  EXPECT_EQ(count("params(b)"), 2);
  EXPECT_EQ(count("params(a, b)"), 24);
  EXPECT_EQ(count("params(b, \"**/b\")"), 13);
  EXPECT_EQ(count("params(b, \"a/*/b\")"), 13);
  EXPECT_EQ(count("params(\"a/layer_*/w\")"), 11);
  EXPECT_EQ(count("params(\"a/layer_1*/*\")"), 4);
  EXPECT_EQ(count("params(\"a/layer_1**\")"), 4);
  EXPECT_EQ(count("params(\"a/\" + \"layer_\" + 7 + \"/*\")"), 2);
  EXPECT_EQ(count("params(a) + params(b)"), 24);
  EXPECT_EQ(count("params(loss)"), 2); // nothing through stop_gradient
  // Path order counts numbers as numbers.
  Interpreted session(runnable(
      nets + "entry go(x: f32[1, 2]) {\n  y = a(x)\n  ps = params(\"a/*/b\")\n  third = ps[2]\n  third := 7\n  return y\n}\n"));
  session.call("go", {f32s({1, 2}, {1, 1})});
  expect_near(session.state("a/layer_2/b"), {7, 7});
}

TEST(LoweringStates, PatternsOfPaths) {
  const auto matches = [](const std::string &pattern, const std::string &path) { return path_matches(pattern, path); };
  for (const char *pattern : {"a/bc/d", "a/*/d", "a/b*/d", "a/*c/d", "*/*/*", "*/bc/*", "**", "a/**", "**/d", "a**d", "**/*",
                              "*/**", "**b*/**", "a/*b*c*/d", "**/bc/**", "***", "**a**/**c**/**d**"})
    EXPECT_TRUE(matches(pattern, "a/bc/d")) << pattern;
  for (const char *pattern :
       {"", "a", "*", "a/*", "*/d", "a/bc", "a/bc/d/*", "a/*/*/d", "*b*/d", "**/x", "a/**/bc/**/d", "**/bc"})
    EXPECT_FALSE(matches(pattern, "a/bc/d")) << pattern;
  EXPECT_TRUE(matches("**ab", "aab"));
  EXPECT_TRUE(matches("**/x*y/z", "x/xy/z/xay/z")); // the first place that fits is not the one that does
  EXPECT_TRUE(matches("*", ""));
  EXPECT_FALSE(matches("*a", ""));
}

TEST(LoweringStates, ListsOfThemNameResults) {
  Interpreted session(runnable("param s: f32 = 3\nnet n(x: f32[N, 2]) = dense(x, 1)\n"
                               "entry go(x: f32[1, 2], y: f32) {\n  loss = sum(n(x)) * s * y\n"
                               "  return loss, ps = params(loss), g = grad(loss, params(loss)), mixed = grad(loss, [s, y]),\n"
                               "         twice = [s, s], one = grad(loss, s)\n}\n"));
  std::vector<std::string> names;
  for (const auto &[name, _] : session.call("go", {f32s({1, 2}, {1, 2}), f32s({}, {2})}))
    names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"g_n_dense_0_b", "g_n_dense_0_w", "g_s", "loss", "mixed_0", "mixed_1", "one",
                                             "ps_n_dense_0_b", "ps_n_dense_0_w", "ps_s", "twice_0", "twice_1"}));
  const auto results = session.call("go", {f32s({1, 2}, {1, 2}), f32s({}, {2})});
  expect_near(results.at("g_n_dense_0_w"), {6, 12});
  expect_near(results.at("g_n_dense_0_b"), {6});
  expect_near(results.at("ps_s"), {3});
}

TEST(LoweringStates, ParametersCanBeListedBeforeTheNetIsCalled) {
  // Even where only a later entry calls it.
  Interpreted session(runnable("net n(x: f32[N, 2]) = dense(x, 2)\n"
                               "entry decay() {\n  for p in params(n) { p := 0.5 * p }\n}\n"
                               "entry go(x: f32[1, 2]) {\n  update momentum(sum(n(x)))\n}\n"
                               "entry reset() {\n  for v in states(\"**/momentum/v\") { v := 1 }\n}\n"));
  const std::vector<double> before = numbers(session.state("n/dense_0/w"));
  session.call("decay");
  std::vector<double> half;
  for (double v : before)
    half.push_back(v / 2);
  expect_near(session.state("n/dense_0/w"), half);
  session.call("reset");
  expect_near(session.state("n/dense_0/b/momentum/v"), {1, 1});
}

TEST(LoweringStates, StatesMadeByAListedUpdateCanBeListed) { // the list is known in the second pass, its states in the third
  Interpreted session(runnable("net n(x: f32[N, 2]) = dense(x, 2)\n"
                               "entry go(x: f32[1, 2]) {\n  ps = params(n)\n  update momentum(ps, grad(sum(n(x)), ps))\n}\n"
                               "entry reset() {\n  for v in states(\"**/momentum/v\") { v := 1 }\n}\n"));
  session.call("reset");
  expect_near(session.state("n/dense_0/b/momentum/v"), {1, 1});
}

TEST(LoweringStates, UpdatesInBothForms) {
  const std::string head = "param w: f32[2] = [1, 2]\nparam v: f32[2] = [3, 4]\n";
  Interpreted sugar(
      runnable(head + "entry go(lr: f32) {\n  loss = sum(w * w) + sum(v)\n  update sgd(loss, lr = lr)\n  return loss\n}\n"));
  Interpreted written(
      runnable(head + "entry go(lr: f32) {\n  loss = sum(w * w) + sum(v)\n  ps = params(loss)\n"
                      "  gs = for g in grad(loss, ps) { yield 1 * g }\n  update sgd(ps, gs, lr = lr)\n  return loss\n}\n"));
  for (Interpreted *session : {&sugar, &written}) {
    expect_near(session->call("go", {f32s({}, {0.25})}).at("loss"), {5 + 7}); // the loss before the step
    expect_near(session->state("w"), {0.5, 1});
    expect_near(session->state("v"), {2.75, 3.75});
  }
  Interpreted frozen(
      runnable(head + "entry go() {\n  loss = sum(w * w) + sum(v)\n  update sgd(w, grad(loss, w), lr = 0.25)\n}\n"));
  frozen.call("go");
  expect_near(frozen.state("w"), {0.5, 1});
  expect_near(frozen.state("v"), {3, 4});
}

TEST(LoweringStates, SeveralUpdatesInACallFollowEachOther) {
  Interpreted session(runnable("param w: f32 = 1\nentry go() {\n  for i in 0..3 { update sgd(0.5 * w * w, lr = 0.5) }\n}\n"));
  session.call("go");
  expect_near(session.state("w"), {0.125});
}

TEST(LoweringStates, OptimisersOfTheModelAndTheirStates) {
  Interpreted session(runnable(
      "optimizer mine(p, g, lr = 1) {\n  state old = p\n  state n = 0\n  n := n + 1\n  p := p - lr * g\n  p := p + 0 * old\n}\n"
      "param w: f32[2] = [1, 2]\nentry go() {\n  update mine(sum(w), lr = 0.5)\n}\n"));
  EXPECT_EQ(session.paths(), (Strings{"w", "w/mine/old", "w/mine/n"}));
  expect_near(session.state("w/mine/old"), {1, 2});
  session.call("go");
  expect_near(session.state("w"), {0.5, 1.5});
  expect_near(session.state("w/mine/n"), {1});
}

TEST(LoweringStates, ADerivativeCanGoThroughAnUpdate) {
  // w1 = w - 0.5 * w = w / 2, and d(w1 ** 2)/dw = w / 2.
  Interpreted session(runnable("param w: f32 = 3\nentry go() {\n  before = w\n  update sgd(0.5 * w * w, lr = 0.5)\n  return d = "
                               "grad(w * w, before)\n}\n"));
  expect_near(session.call("go").at("d"), {1.5});
}

} // namespace
} // namespace nnc
