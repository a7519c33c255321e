// Functions, what the call binds, compile-time control, derivatives as written, and the module that comes out.
#include "tests/unit/lowering_test.h"

#include <cmath>

namespace nnc {
namespace {

Tensor result_of(const std::string &text, const std::vector<Tensor> &inputs, const std::string &name = "y") {
  Interpreted session(runnable(text));
  return session.call("go", inputs).at(name);
}

const Tensor x23 = f32s({2, 3}, {1, 2, 3, 4, 5, 6});

TEST(LoweringFunctions, SizesAndDtypesAreBoundByTheCall) {
  expect_near(result_of("fn f(x: T[N, D], w: T[D], k: int = D) -> T[N] = x @ w + T(N * 10 + k)\n"
                        "entry go(x: f32[2, 3]) { return y = f(x, ones([3])) }\n",
                        {x23}),
              {29, 38});
  expect_near(result_of("fn f(x: f32[..., D], y: f32[...]) = reshape(x, [..., 1, D]) * D + reshape(y, [..., 1, 1])\n"
                        "entry go(x: f32[2, 3]) { return y = reshape(f(x, [10, 20]), [-1]) }\n",
                        {x23}),
              {13, 16, 19, 32, 35, 38});
  expect_near(result_of("const n = 3\nfn f(x: f32[n, 2 * n], m: int, y: f32[m]) = sum(x) * m + sum(y)\n"
                        "entry go(x: f32[3, 6]) { return y = f(x, m = 2, y = [1, 2]) }\n",
                        {f32s({3, 6}, std::vector<double>(18, 1))}),
              {39});
  EXPECT_EQ(
      result_of("fn f(x: T[N]) -> T[N] = 2 * x\nentry go(x: f64[2]) { return y = f(x) }\n", {tensor(DType::f64, {2}, {1, 2})})
          .type.dtype,
      DType::f64);
}

TEST(LoweringFunctions, ArgumentsOfEveryKind) {
  expect_near(result_of("fn twice(f: fn, x) = f(f(x))\nfn add(x, by = 1) = x + by\n"
                        "fn choose(x, mode: str, flip: bool, sizes: list) {\n"
                        "  if mode == \"double\" and not flip { x = 2 * x } else if mode == \"none\" { x = 0 } else { x = -x }\n"
                        "  return x * sizes[-1]\n}\n"
                        "entry go(x: f32[2, 3]) {\n"
                        "  return y = twice(add, choose(x, \"double\", false, [1, 10])), z = choose(x, flip = true, sizes = [1], "
                        "mode = \"\")\n}\n",
                        {x23}),
              {22, 42, 62, 82, 102, 122});
}

TEST(LoweringFunctions, ATensorDoesNotHideAFunction) {
  expect_near(
      result_of("entry go(x: f32[2, 3]) {\n  mean = mean(x, axis = 1)\n  sum = sum(mean)\n  return y = sum + mean(mean)\n}\n",
                {x23}),
      {7 + 3.5});
}

TEST(LoweringFunctions, OwnNamesHideTheLibrarysButNotFromItself) {
  // `mse` goes on using the library's mean.
  expect_near(result_of("fn mean(x) = 1000 * sum(x)\nentry go(x: f32[2, 3]) { return y = mse(x, 0) + mean(x) }\n", {x23}),
              {91 / 6.0 + 21000});
}

TEST(LoweringFunctions, LoopsAndConditions) {
  expect_near(result_of("entry go(x: f32[2, 3]) {\n"
                        "  total = 0\n"
                        "  for i, w in zip(0..3, [1, 10, 100]) { total = total + w * x[:, i] }\n"
                        "  evens = for i in 0..6 { if i % 2 == 0 { yield i } }\n"
                        "  a, b = for i in 1..3 { yield i, 10 * i }\n"
                        "  for row in [[1, 2], [3, 4]] { for n in row { total = total + n } }\n"
                        "  return y = total + evens[2] + a[1] + b[1]\n}\n",
                        {x23}),
              {321 + 10 + 4 + 2 + 20, 654 + 10 + 4 + 2 + 20});
  expect_near(result_of("fn f(x, k: int) {\n  for i in 0..10 {\n    if i == k { return x * i }\n  }\n  return x\n}\n"
                        "entry go(x: f32[2, 3]) { return y = f(x, 4) + f(x, 40) }\n",
                        {x23}),
              {5, 10, 15, 20, 25, 30});
}

TEST(LoweringFunctions, Elementwise) {
  // Parameters are scalars, so tensors of any shapes broadcast; a number stays a number.
  const std::string f = "fn f(x: T, y: T, k = 2) -> T = x * k + y\n";
  expect_near(result_of(f + "entry go(x: f32[2, 3]) { return y = f(x[0], reshape(x[1, :2], [2, 1])) }\n", {x23}),
              {6, 8, 10, 7, 9, 11});
  expect_near(result_of(f + "entry go(x: f32[2, 3]) { return y = reshape(x, [3, f(1, -0)]) }\n", {x23}), {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(
      shape_text(result_of("fn f(x: T, y: T) -> T = x\nentry go(x: f32[2, 3]) { return y = f(x[0], x) }\n", {x23}).type.shape),
      "[2,3]");
  expect_near(result_of("fn one(x: f32) -> f32 = 1\nentry go(x: f32[2, 3]) { return y = one(x) }\n", {x23}), {1, 1, 1, 1, 1, 1});
}

TEST(LoweringFunctions, Constants) {
  const std::string text = "const n = 2\nconst on = false\nconst both = n * k\nconst k = 3\n"
                           "entry go(x: f32[n]) {\n  y = x * both\n  if on { y = -y }\n  return y\n}\n";
  expect_near(Interpreted(runnable(text)).call("go", {f32s({2}, {1, 2})}).at("y"), {6, 12});
  expect_near(Interpreted(runnable(text, {{"n", "3"}, {"on", "true"}})).call("go", {f32s({3}, {1, 2, 3})}).at("y"),
              {-9, -18, -27});
}

TEST(LoweringFunctions, Training) {
  const std::string text =
      "net n(x: f32[N]) {\n  param w: f32[] = 1\n  if training { x = 10 * x }\n  return x * w\n}\n"
      "entry plain(x: f32[2]) { return a = n(x), b = n(x, training = true) }\n"
      "entry train(x: f32[2]) {\n  a = n(x)\n  b = n(x, training = false)\n  update sgd(sum(a), lr = 0)\n  return a, b\n}\n";
  Interpreted session(runnable(text));
  auto plain = session.call("plain", {f32s({2}, {1, 2})}), train = session.call("train", {f32s({2}, {1, 2})});
  expect_near(plain.at("a"), {1, 2});
  expect_near(plain.at("b"), {10, 20});
  expect_near(train.at("a"), {10, 20});
  expect_near(train.at("b"), {1, 2});
}

TEST(LoweringFunctions, GradientsOfTrainingOutsideTrainingAreWarnedOf) {
  const std::string head = "net n(x: f32[N]) {\n  param w: f32[] = 1\n  if training { x = 2 * x }\n  return x * w\n}\n";
  const auto warnings = [&](const std::string &body) {
    const Source source("m.nn", head + "entry go(x: f32[2]) { " + body + " }\n");
    Diagnostics diagnostics;
    EXPECT_TRUE(compile_source(source, {}, diagnostics).has_value());
    return diagnostics.all().size();
  };
  EXPECT_EQ(warnings("l = sum(n(x)); return g = grad(l, params(l))"), 1u);
  EXPECT_EQ(warnings("l = sum(n(x, training = true)); return g = grad(l, x)"), 0u);
  EXPECT_EQ(warnings("l = sum(n(x)); return g = grad(l, x)"), 0u);
}

TEST(LoweringFunctions, Derivatives) {
  // By a value, by a list, nested, of a function, and zeros where nothing depends.
  const std::string f = "fn f(x: T) = x ** 3\nfn g(x: T, y: T) = x * y ** 2\nfn h(x: f32[N]) = sum(x ** 2)\n";
  const auto go = [&](const std::string &body) {
    return result_of(f + "entry go(x: f32[3], z: f32[3]) {\n" + body + "\n}\n", {f32s({3}, {1, 2, 3}), f32s({3}, {4, 5, 6})});
  };
  expect_near(go("return y = grad(sum(x ** 2), x)"), {2, 4, 6});
  expect_near(go("gs = grad(sum(x * z), [x, z]); return y = gs[0] - gs[1]"), {3, 3, 3});
  expect_near(go("return y = grad(sum(grad(sum(x ** 3), x)), x)"), {6, 12, 18});
  expect_near(go("return y = grad(f)(x)"), {3, 12, 27});
  expect_near(go("d = grad(f); return y = grad(d)(x)"), {6, 12, 18});
  expect_near(go("return y = grad(grad(grad(f)))(x)"), {6, 6, 6});
  expect_near(go("return y = grad(f)(2) + 0 * x"), {12, 12, 12});
  expect_near(go("return y = grad(sin)(x)"), {std::cos(1), std::cos(2), std::cos(3)});
  expect_near(go("return y = grad(h)(x)"), {2, 4, 6});
  expect_near(go("return y = grad(sum(x), z)"), {0, 0, 0});
  expect_near(go("return y = grad(3, x)"), {0, 0, 0});
  expect_near(go("return y = grad(sum(stop_gradient(x) * x), x)"), {1, 2, 3});
  // The derivative is by the parameter, not by whatever else was computed from the same tensor.
  expect_near(go("return y = grad(g)(x, x)"), {1, 4, 9});
  expect_near(go("return y = grad(g)(x[0], z)"), {16, 25, 36});
}

TEST(LoweringFunctions, ResultsAndTheirNames) {
  const Module module = compiled(
      "# Doubles,\n# and more.\nentry go(x: f32[2]) {\n  a = 2 * x\n  return a, b = x + 1, list = [x, [3]], n = 4, t = true\n}\n"
      "entry one(x: f32[2]) { return x + 1 }\nentry pair(x: f32[2]) { return split(x, 2) }\n");
  const auto names = [&](const char *entry) {
    std::string all;
    for (const Result &result : module.find(entry)->function_results)
      all += result.name + " ";
    return all;
  };
  EXPECT_EQ(names("go"), "a b list_0 list_1_0 n t ");
  EXPECT_EQ(names("one"), "result ");
  EXPECT_EQ(names("pair"), "result_0 result_1 ");
  EXPECT_EQ(module.find("go")->doc, "Doubles,\nand more.");
  ASSERT_EQ(module.functions.size(), 4u);
  EXPECT_EQ(module.functions[3].name, "init");
  EXPECT_EQ(module.functions[3].args, 1);
}

// The dump stands beside the source: names of variables, places, and the calls that lead into the library.
TEST(LoweringFunctions, TheDumpReadsBesideTheSource) {
  const std::string text = print(compiled("net mlp(x: f32[N, 4]) {\n"
                                          "  hidden = relu(dense(x, 3))\n"
                                          "  return hidden\n"
                                          "}\n"
                                          "entry go(x: f32[2, 4]) {\n"
                                          "  scale = 2\n"
                                          "  return y = scale * mlp(x)\n"
                                          "}\n"));
  EXPECT_EQ(text.substr(0, text.find("# Gives every")), R"(module "m.nn"
file 1 "std/layers.nn"
file 2 "std/initializers.nn"
file 3 "std/random.nn"
file 4 "std/activations.nn"

state "mlp/dense_0/w" : f32[4,3] param
state "mlp/dense_0/b" : f32[3] param

func go(
    %x: f32[2,4] input,
    %dense_0.w: f32[4,3] state "mlp/dense_0/w",
    %dense_0.b: f32[3] state "mlp/dense_0/b"
) -> (
    y = %y @7:14
) @5:1 {
  %0 = dot(%x, %dense_0.w, "bi,io->bo") : f32[2,3] @1:8:12/1
  %1 = broadcast(%dense_0.b, axes=[1]) : f32[2,3] @1:8:16/1
  %2 = add(%0, %1) : f32[2,3] @1:8:16/1
  %hidden = maximum(%2, 0) : f32[2,3] @4:4:22/2
  %y = mul(2, %hidden) : f32[2,3] @7:20
}

)");
}

} // namespace
} // namespace nnc
