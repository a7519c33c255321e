// bf16, f16 and i8 in the language: what they meet in, what may be done with them and what is refused, what parameters of them
// start with, and derivatives through them.
#include "tests/unit/lowering_test.h"

#include <gmock/gmock.h>

namespace nnc {
namespace {

using testing::HasSubstr;

// a: f32[2,3] = 1 … 6, b: f32[3] = 10 20 30, i: i32[4] = -7 -1 0 7, u: u8[3] = 0 200 255, p: bool[3], s: f32 = 2.
std::string program(const std::string &expression) {
  return "entry go(a: f32[2, 3], b: f32[3], i: i32[4], u: u8[3], p: bool[3], s: f32) { return y = " + expression + " }\n";
}

struct Row {
  const char *expression, *type;
  std::vector<double> expected;
};

TEST(LoweringStorage, Values) {
  const std::vector<Row> rows = {
      {"bf16(b)", "bf16[3]", {10, 20, 30}},
      {"f32(bf16(s / 3))", "f32", {0.66796875}},
      {"bf16(b) + a", "f32[2,3]", {11, 22, 33, 14, 25, 36}}, // the wider wins
      {"f16(b) * bf16(b)", "f32[3]", {100, 400, 900}},
      {"f64(b) - f16(b)", "f64[3]", {0, 0, 0}},
      {"i8(i) + u[:1]", "i32[4]", {-7, -1, 0, 7}},
      {"i8(i) // i64(2)", "i64[4]", {-4, -1, 0, 3}},
      {"concat([bf16(b), f16(b)])", "f32[6]", {10, 20, 30, 10, 20, 30}},
      {"concat([i8(i), [1]])", "i8[5]", {-7, -1, 0, 7, 1}},
      {"bf16(a) @ bf16(b)", "f32[2]", {140, 320}},
      {"a @ f16(b)", "f32[2]", {140, 320}},
      {"i8(i) @ i8(i)", "i32", {99}},
      {"einsum(\"ij,j->i\", f16(a), b)", "f32[2]", {140, 320}},
      {"einsum(\"ij->i\", f16(a))", "f32[2]", {6, 15}},
      {"sum(i8(i))", "i32", {-1}}, // as of all small integers
      {"as_float(f16(b))", "f32[3]", {10, 20, 30}},
      {"where(p, bf16(b), 0)", "bf16[3]", {10, 0, 30}},
      {"bf16(a).T[1:]", "bf16[2,2]", {2, 5, 3, 6}},
      {"pad(i8(i), 1, 5)", "i8[6]", {5, -7, -1, 0, 7, 5}},
      {"f16(a)[i[3:] - 7]", "f16[1,3]", {1, 2, 3}},
      {"b[i8(i[:2] + 8)]", "f32[2]", {20, 20}},
      {"i8(i * 30)", "i8[4]", {-128, -30, 0, 127}},
      {"f16(1e6)", "f16", {INFINITY}},
      {"bf16([0.1, 2])", "bf16[2]", {0.10009765625, 2}},
  };
  for (const Row &row : rows) {
    SCOPED_TRACE(row.expression);
    try {
      const bool place = std::string(row.expression).find("b[i8") == 0;
      Interpreted session(runnable(program(row.expression)));
      auto results = session.call(
          "go", {f32s({2, 3}, {1, 2, 3, 4, 5, 6}), f32s({3}, {10, 20, 30}),
                 tensor(DType::i32, {4}, place ? std::vector<double>{-7, -7, 0, 7} : std::vector<double>{-7, -1, 0, 7}),
                 tensor(DType::u8, {3}, {0, 200, 255}), tensor(DType::boolean, {3}, {1, 0, 1}), f32s({}, {2})});
      const Tensor result = results.at("y");
      EXPECT_EQ(type_text(result.type), row.type);
      for (size_t k = 0; k < row.expected.size(); ++k)
        EXPECT_EQ(result.get(static_cast<int64_t>(k)), row.expected[k]) << k;
    } catch (const std::exception &error) {
      ADD_FAILURE() << error.what();
    }
  }
}

TEST(LoweringStorage, ArithmeticIsRefused) {
  const std::vector<std::pair<const char *, const char *>> rows = {
      {"bf16(a) + bf16(a)", "error: `+` of bf16[2,3] and bf16[2,3]: bf16 is for storage and `@`; write f32(bf16(a))"},
      {"bf16(a) * 2", "`*` of bf16[2,3]: bf16 is for storage and `@`; write f32(bf16(a))"},
      {"1 / f16(a)", "`/` of f16[2,3]: f16 is for storage and `@`; write f32(f16(a))"},
      {"i8(i) // 2", "`//` of i8[4]: i8 is for storage and `@`; write i32(i8(i))"},
      {"f16(a) ** 2", "`**` of f16[2,3]: f16 is for storage and `@`"},
      {"i8(i) < 3", "`<` of i8[4]: i8 is for storage and `@`; write i32(i8(i))"},
      {"i8(i) == 1000", "`==` of i8[4]"},
      {"-f16(a)", "`-` of f16[2,3]: f16 is for storage and `@`; write f32(f16(a))"},
      {"exp(f16(a))", "`exp` of f16[2,3]: f16 is for storage and `@`; write f32(f16(a))"},
      {"floor(i8(i))", "`floor` of i8[4]"},
      {"maximum(bf16(a), 0)", "`maximum` of bf16[2,3]"},
      {"relu(bf16(a))", "`maximum` of bf16[2,3]: bf16 is for storage and `@`; write f32(x)"},
      {"sum(bf16(a))", "`sum` of bf16[2,3]"},
      {"mean(bf16(a))", "`sum` of bf16[2,3]"},
      {"max(i8(i))", "`max` of i8[4]"},
      {"var(f16(a))", "`var` of f16[2,3]"},
      {"argmax(i8(i), axis = 0)", "`argmax` of i8[4]"},
      {"argsort(bf16(b))", "`argsort` of bf16[3]"},
      {"scatter_add(bf16(b), [0, 0, 1], 2)", "`scatter_add` of bf16[3]"},
      {"unwindow(bf16(a), [0], [4])", "`unwindow` of bf16[2,3]"},
      {"bf16(a) + i[:3]", "; write f32(i[:3])"},
      {"concat([f16(b), [70000]])", "70000 does not fit into f16"},
      {"concat([i8(i), [128]])", "128 does not fit into i8"},
  };
  for (const auto &[expression, message] : rows)
    EXPECT_THAT(errors_of(program(expression)), HasSubstr(message)) << expression;
  EXPECT_THAT(errors_of("param w: i8[3] = zeros()\nentry go() { return w }\n"),
              HasSubstr("`param w` is i8[3]: only floats can be trained; declare a `state`"));
  EXPECT_THAT(errors_of("state w: f16[3] = 70000\nentry go() { return w }\n"), HasSubstr("70000 does not fit into f16"));
  // What computes in the dtype that it is given.
  EXPECT_THAT(errors_of("param w: f16[3] = normal(dtype = f16)\nentry go() { return w }\n"), HasSubstr("f16 is for storage"));
}

// An initialiser computes in f32; the result is narrowed.
TEST(LoweringStorage, Starts) {
  Interpreted narrow(runnable("param w: bf16[40, 30] = he_normal()\nstate b: f16[3] = 0.1\nstate q: i8[2] = [1, -2]\n"
                              "state z: bf16[3] = f32([1, 2, 3]) / 3\nentry go() { return w, b, q, z }\n"));
  Interpreted wide(runnable("param w: f32[40, 30] = he_normal()\nentry go() { return w }\n"));
  const Tensor &w = narrow.state("w"), &exact = wide.state("w");
  ASSERT_EQ(type_text(w.type), "bf16[40,30]");
  for (int64_t i = 0; i < w.type.elements(); ++i)
    ASSERT_EQ(w.get(i), Tensor::filled({DType::bf16, {}}, exact.get(i)).get(0));
  EXPECT_EQ(narrow.state("b").get(2), 0.0999755859375);
  EXPECT_EQ(narrow.state("q").get_int(1), -2);
  EXPECT_EQ(narrow.state("z").get(0), 0.333984375);
}

// A cast passes a derivative on as it is; only what leaves has the dtype of the x.
TEST(LoweringStorage, Derivatives) {
  Interpreted session(runnable("entry go(x: f32[3], w: bf16[3]) {\n"
                               "  l = sum((f16(x) @ w) ** 2)\n"
                               "  return l, dx = grad(l, x), dw = grad(l, w), h = grad(sum(f32(bf16(x)) ** 2), x)\n"
                               "}\n"));
  auto results = session.call("go", {f32s({3}, {0.5, 2, 3}), tensor(DType::bf16, {3}, {1, 0.25, -0.5})});
  EXPECT_EQ(results.at("l").get(0), 0.25); // -0.5 squared
  expect_near(results.at("dx"), {-1, -0.25, 0.5}, 0);
  expect_near(results.at("dw"), {-0.5, -2, -3}, 0);
  EXPECT_EQ(type_text(results.at("dw").type), "bf16[3]");
  expect_near(results.at("h"), {1, 4, 6}, 0);
}

// Through views, twice, and by a value that nothing depends on. Contributions are added in f32 and rounded once: 1 + 2^-8 is 1.
TEST(LoweringStorage, DerivativesAreWideOnTheWay) {
  Interpreted session(runnable("entry go(w: bf16[2], v: f16[2]) {\n"
                               "  small = f32(w) * 2 ** -8 + reshape(f32(reshape(w, [2, 1])) * 2 ** -8, [2])\n"
                               "  l = sum(f32(w) + small + f32(broadcast_to(w[:1], [2])))\n"
                               "  return g = grad(l, w), n = grad(l, v)\n"
                               "}\n"));
  auto results = session.call("go", {tensor(DType::bf16, {2}, {1, 2}), tensor(DType::f16, {2}, {1, 2})});
  expect_near(results.at("g"), {3, 1 + 0x1p-7}, 0); // 3 + 2^-7 is a tie
  expect_near(results.at("n"), {0, 0}, 0);
  EXPECT_EQ(type_text(results.at("n").type), "f16[2]");
}

// A carry of bf16: its derivative is one of f32.
TEST(LoweringStorage, DerivativesThroughLoops) {
  Interpreted session(runnable("entry go(x: f32[3, 2], w: bf16[2]) {\n"
                               "  h = bf16(zeros([2]))\n"
                               "  hs = scan t in x {\n"
                               "    h = bf16(f32(h) / 2 + t * f32(w))\n"
                               "    yield f16(f32(h))\n"
                               "  }\n"
                               "  return h, gw = grad(sum(f32(h)), w), gx = grad(sum(f32(hs)), x)\n"
                               "}\n"));
  auto results = session.call("go", {f32s({3, 2}, {4, 8, 2, 4, 1, 3}), tensor(DType::bf16, {2}, {1, 0.5})});
  expect_near(results.at("h"), {3, 3.5}, 0);
  expect_near(results.at("gw"), {3, 7}, 0);
  expect_near(results.at("gx"), {1.75, 0.875, 1.5, 0.75, 1, 0.5}, 0);
}

TEST(LoweringStorage, Updates) {
  const std::string net = "param w: bf16[2] = ones()\n"
                          "optimizer mastered(p: P[...], g, lr) {\n"
                          "  state master = f32(p)\n"
                          "  master := master - lr * f32(g)\n"
                          "  p := P(master)\n"
                          "}\n";
  Interpreted session(runnable(net + "entry go(x: f32[2]) { update mastered(x @ w, lr = 0.0009765625) }\n"));
  for (int step = 0; step < 4; ++step) // 2^-10 is less than half the distance from 1 down to the next bf16
    session.call("go", {f32s({2}, {1, 2})});
  expect_near(session.state("w/mastered/master"), {1 - 0x1p-8, 1 - 0x1p-7}, 0);
  expect_near(session.state("w"), {1 - 0x1p-8, 1 - 0x1p-7}, 0);
  // Gradients that were added up in f32 are as good.
  EXPECT_EQ(errors_of(net + "entry go(x: f32[2]) { update mastered([w], [f32(grad(x @ w, w)) * 2], lr = 0.1) }\n"), "");
  EXPECT_THAT(errors_of(net + "entry go(x: f32[2]) { update mastered([w], [f64(grad(x @ w, w))], lr = 0.1) }\n"),
              HasSubstr("the gradient of `w`, which is bf16[2], is f64[2]"));
  EXPECT_THAT(errors_of("param w: bf16[2] = ones()\nentry go(x: f32[2]) { update sgd(x @ w) }\n"),
              HasSubstr("bf16 is for storage and `@`"));
}

} // namespace
} // namespace nnc
