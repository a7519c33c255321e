// `use`: what a file sees of another.
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
}

} // namespace
} // namespace nnc
