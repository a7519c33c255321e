// `use`: what a file sees of another, and what can go wrong between files.
#include "tests/unit/lowering_test.h"

namespace nnc {
namespace {

TEST(LoweringUse, NamesComeWithWhatTheyNeedThemselves) {
  const Texts files = {{"lib/nets.nn", "use twice from \"more/math.nn\"\n"
                                       "const width = 3\n"
                                       "fn hidden(x) = twice(x) + width\n"
                                       "net mlp(x: f32[N, 2]) = dense(hidden(x), width, init = ones)\n"
                                       "state seen: i32 = zeros()\n"
                                       "entry unused(x: f32) { return y = unknown(x) }\n"},
                       {"lib/more/math.nn", "const factor = 2\nfn twice(x) = factor * x\nfn relu(x: T) -> T = -x\n"}};
  Interpreted model(runnable("use mlp, width, seen from \"lib/nets.nn\"\n"
                             "use relu from \"./lib/../lib/more/math.nn\"\n" // the same file, read once
                             "const factor = 100\n"
                             "fn hidden(x) = 0 * x\n"
                             "entry go(x: f32[1, 2]) {\n  seen := seen + 1\n"
                             "  return y = mlp(x), w = width * factor * ones([1]), r = relu(x), s = softplus(x)\n}\n",
                             {}, files));
  const auto results = model.call("go", {f32s({1, 2}, {1, 2})});
  EXPECT_EQ(numbers(results.at("y")), (std::vector<double>{12, 12, 12})); // 2 + 3 + 4 + 3
  EXPECT_EQ(numbers(results.at("w")), std::vector<double>{300});
  EXPECT_EQ(numbers(results.at("r")), (std::vector<double>{-1, -2}));
  EXPECT_EQ(model.paths(), (std::vector<std::string>{"seen", "mlp/dense_0/w", "mlp/dense_0/b"}));
  ASSERT_EQ(model.module.functions.size(), 2u); // `go` and `init`
}

TEST(LoweringUse, OnlyTheModelsConstsCanBeSet) {
  const Texts files = {{"a.nn", "const n = 3\nfn f(x) = n * x\n"}};
  const std::string text = "use f, n from \"a.nn\"\nconst m = 2\nentry go(x: f32) { return y = m * n * f(x) }\n";
  Interpreted model(runnable(text, {{"m", "5"}}, files));
  EXPECT_EQ(model.call("go", {f32s({}, {1})}).at("y").get(0), 45);
  try {
    errors_of(text, {{"n", "5"}}, files);
    FAIL();
  } catch (const Error &error) {
    EXPECT_STREQ(error.what(), "m.nn: `const n` is one of a.nn; only those of the model can be set");
  }
}

void expect_error(const std::string &text, const Texts &files, const std::string &message) {
  const std::string errors = errors_of(text, {}, files);
  EXPECT_NE(errors.find(message), std::string::npos) << errors;
  EXPECT_EQ(errors.find("unknown"), std::string::npos) << errors; // what is missing is said once
}

TEST(LoweringUse, Errors) {
  const std::string entry = "entry go(x: f32[3]) { return y = f(x) }\n";
  expect_error("use f from \"b.nn\"\n" + entry, {}, "m.nn:1:12: error: b.nn: there is no such file");
  expect_error("use f from \"b.nn\"\n" + entry, {{"b.nn", "fn g(x) = x\n"}}, "m.nn:1:5: error: b.nn declares no `f`");
  expect_error("use relu_6 from \"b.nn\"\nentry go(x: f32) { return y = relu_6(x) }\n", {{"b.nn", "fn relu6(x) = x\n"}},
               "m.nn:1:5: error: b.nn declares no `relu_6` (did you mean `relu6`?)");
  expect_error("use f from \"b.nn\"\n" + entry, {{"b.nn", "entry f(x: f32) { return y = x }\n"}},
               "m.nn:1:5: error: `f` is an entry of b.nn: it is called from outside only");
  expect_error("use f from \"b.nn\"\nfn f(x) = x\n" + entry, {{"b.nn", "fn f(x) = x\n"}},
               "m.nn:1:5: error: `f` is declared twice");
  expect_error("use f from \"b.nn\"\n" + entry,
               {{"b.nn", "use g from \"c.nn\"\nfn f(x) = g(x)\n"}, {"c.nn", "use f from \"b.nn\"\nfn g(x) = x\n"}},
               "c.nn:1:12: error: files that use each other in a circle: b.nn uses c.nn uses b.nn");
  expect_error("use f from \"m.nn\"\n" + entry, {}, "m.nn:1:12: error: files that use each other in a circle: m.nn uses m.nn");
  expect_error("use f from \"b.nn\"\n" + entry, {{"b.nn", "fn f(x) = x +\n"}}, "b.nn:1:13: error: expected an expression");
  // An error in a used file stands there, with the call that led to it.
  const std::string errors =
      errors_of("use f from \"b.nn\"\n" + entry, {}, {{"b.nn", "fn f(x: f32[N]) {\n  return x @ ones([4])\n}\n"}});
  EXPECT_NE(errors.find("b.nn:2:12: error: inner sizes differ"), std::string::npos) << errors;
  EXPECT_NE(errors.find("m.nn:2:34: note: in `f`, called here"), std::string::npos) << errors;
  // Nothing is shared by accident.
  expect_error("use f from \"b.nn\"\nnet n(x: f32[3]) = dense(x, 1)\nentry go(x: f32[3]) { return y = f(x) + n(x) }\n",
               {{"b.nn", "net n(x: f32[3]) = dense(x, 1)\nfn f(x) = n(x)\n"}},
               "m.nn:3:41: error: two nets are called `n`, and the paths of both would begin with it");
  expect_error("use f from \"b.nn\"\nstate s: f32 = ones()\nentry go(x: f32[3]) { return y = f(x) + s }\n",
               {{"b.nn", "state s: f32 = zeros()\nfn f(x) = x + s\n"}}, "m.nn:2:1: error: `s` is declared in two files");
}

} // namespace
} // namespace nnc
