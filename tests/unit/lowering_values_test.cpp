// Operators, dtypes, broadcasting, indexing and reductions: each expression against numbers worked out here.
#include "tests/unit/lowering_test.h"

#include <cmath>

namespace nnc {
namespace {

// a: f32[2,3] = 1 … 6, b: f32[3] = 10 20 30, i: i32[4] = -7 -1 0 7, u: u8[3] = 0 200 255, p: bool[3], s: f32 = 2.
std::string program(const std::string &expression) {
  return "entry go(a: f32[2, 3], b: f32[3], i: i32[4], u: u8[3], p: bool[3], s: f32) { return y = " + expression + " }\n";
}

Tensor value(const std::string &expression) {
  Interpreted session(runnable(program(expression)));
  return session
      .call("go", {f32s({2, 3}, {1, 2, 3, 4, 5, 6}), f32s({3}, {10, 20, 30}), tensor(DType::i32, {4}, {-7, -1, 0, 7}),
                   tensor(DType::u8, {3}, {0, 200, 255}), tensor(DType::boolean, {3}, {1, 0, 1}), f32s({}, {2})})
      .at("y");
}

struct Row {
  const char *expression, *type;
  std::vector<double> expected;
};

void check(const std::vector<Row> &rows) {
  for (const Row &row : rows) {
    SCOPED_TRACE(row.expression);
    try {
      const Tensor result = value(row.expression);
      EXPECT_EQ(type_text(result.type), row.type);
      expect_near(result, row.expected);
    } catch (const Error &error) {
      ADD_FAILURE() << error.what();
    }
  }
}

const double nan = std::nan("");

TEST(LoweringValues, ChainsOfAnyLength) {
  std::string sum = "s";
  for (int i = 0; i < 10'000; ++i)
    sum += " + s - 1";
  check({{sum.c_str(), "f32", {10'002}}, {"100 - 20 - b * 2 / 4 // 1", "f32[3]", {75, 70, 65}}});
}

TEST(LoweringValues, ArithmeticAndBroadcasting) {
  check({
      {"a + b", "f32[2,3]", {11, 22, 33, 14, 25, 36}},
      {"a - 1", "f32[2,3]", {0, 1, 2, 3, 4, 5}},
      {"60 / b", "f32[3]", {6, 3, 2}},
      {"a * reshape(s, [1, 1])", "f32[2,3]", {2, 4, 6, 8, 10, 12}},
      {"reshape(b, [3, 1]) + [1, 2]", "f32[3,2]", {11, 12, 21, 22, 31, 32}},
      {"-b", "f32[3]", {-10, -20, -30}},
      {"b // 7", "f32[3]", {1, 2, 4}},
      {"b % 7", "f32[3]", {3, 6, 2}},
      {"i // 2", "i32[4]", {-4, -1, 0, 3}},
      {"i % 3", "i32[4]", {2, 2, 0, 1}},
      {"i // 0", "i32[4]", {0, 0, 0, 0}},
      {"u + u", "u8[3]", {0, 144, 254}},
      {"u + i[:3]", "i32[3]", {-7, 199, 255}},
      {"b ** 2", "f32[3]", {100, 400, 900}},
      {"b ** 5", "f32[3]", {1e5, 3.2e6, 2.43e7}},
      {"b ** 0", "f32[3]", {1, 1, 1}},
      {"b ** -1", "f32[3]", {0.1, 0.05, 1 / 30.0}},
      {"b ** 0.5", "f32[3]", {std::sqrt(10), std::sqrt(20), std::sqrt(30)}},
      {"b ** -0.5", "f32[3]", {1 / std::sqrt(10), 1 / std::sqrt(20), 1 / std::sqrt(30)}},
      {"b ** 1.5", "f32[3]", {std::pow(10, 1.5), std::pow(20, 1.5), std::pow(30, 1.5)}},
      {"0.5 ** s", "f32", {0.25}},
      {"b ** s", "f32[3]", {100, 400, 900}},
      {"i ** 3", "i32[4]", {-343, -1, 0, 343}},
      {"-s ** 2", "f32", {-4}},
      {"7 // 2 + 2 ** -1 + 7 % -4 + 0 * s", "f32", {3 + 0.5 - 1}},
      {"[[1, 2, 3]] * a", "f32[2,3]", {1, 4, 9, 4, 10, 18}},
  });
}

TEST(LoweringValues, ComparisonsAndLogic) {
  check({
      {"b < 20", "bool[3]", {1, 0, 0}},
      {"b <= 20", "bool[3]", {1, 1, 0}},
      {"b > 20", "bool[3]", {0, 0, 1}},
      {"b >= 20", "bool[3]", {0, 1, 1}},
      {"b == 20", "bool[3]", {0, 1, 0}},
      {"b != 20", "bool[3]", {1, 0, 1}},
      {"20 < b", "bool[3]", {0, 0, 1}},
      {"i <= -1", "bool[4]", {1, 1, 0, 0}},
      {"i >= 0", "bool[4]", {0, 0, 1, 1}},
      // every comparison with NaN is false, but `!=`
      {"log(-b) < b", "bool[3]", {0, 0, 0}},
      {"log(-b) <= b", "bool[3]", {0, 0, 0}},
      {"log(-b) >= b", "bool[3]", {0, 0, 0}},
      {"log(-b) != b", "bool[3]", {1, 1, 1}},
      {"log(-b) == log(-b)", "bool[3]", {0, 0, 0}},
      // what the range of a u8 decides
      {"u >= 0", "bool[3]", {1, 1, 1}},
      {"u < 1000", "bool[3]", {1, 1, 1}},
      {"300 <= u", "bool[3]", {0, 0, 0}},
      {"u == -1", "bool[3]", {0, 0, 0}},
      {"u != 256", "bool[3]", {1, 1, 1}},
      {"u <= 200", "bool[3]", {1, 1, 0}},
      {"255 > u", "bool[3]", {1, 1, 0}},
      {"not p", "bool[3]", {0, 1, 0}},
      {"p and b > 10", "bool[3]", {0, 0, 1}},
      {"p or b > 10", "bool[3]", {1, 1, 1}},
      {"p and u >= 0", "bool[3]", {1, 0, 1}},
      {"p or u >= 0", "bool[3]", {1, 1, 1}},
      {"true and p", "bool[3]", {1, 0, 1}},
      {"p == true", "bool[3]", {1, 0, 1}},
      {"where(p, b, -1)", "f32[3]", {10, -1, 30}},
      {"where(p, a, b)", "f32[2,3]", {1, 20, 3, 4, 20, 6}},
      {"where(p, 1, 0)", "f32[3]", {1, 0, 1}},
      {"where(true, 0, b)", "f32[3]", {0, 0, 0}},
      {"where(s > 1, b, 0)", "f32[3]", {10, 20, 30}},
      {"where(2 > 1, 5, 6) * s", "f32", {10}},
  });
}

TEST(LoweringValues, CastsAndElementwiseFunctions) {
  check({
      {"f32(u)", "f32[3]", {0, 200, 255}},
      {"u8(b * 10)", "u8[3]", {100, 200, 255}},
      {"i32(-1.5 * s)", "i32", {-3}},
      {"i32(log(-b))", "i32[3]", {0, 0, 0}},
      {"bool(i)", "bool[4]", {1, 1, 0, 1}},
      {"i64(p)", "i64[3]", {1, 0, 1}},
      {"f64(a)[0]", "f64[3]", {1, 2, 3}},
      {"f32(0.1) + s", "f32", {2.1}},
      {"i32([1, 2])", "i32[2]", {1, 2}},
      {"i32(2.7)", "i32", {2}},
      {"as_float(i)", "f32[4]", {-7, -1, 0, 7}},
      {"exp(log(b))", "f32[3]", {10, 20, 30}},
      {"sin(s) ** 2 + cos(s) ** 2", "f32", {1}},
      {"tanh(s) + erf(s)", "f32", {std::tanh(2) + std::erf(2)}},
      {"floor(b / 7) + round(b / 20)", "f32[3]", {1 + 0, 2 + 1, 4 + 2}},
      {"abs(i)", "i32[4]", {7, 1, 0, 7}},
      {"abs(u)", "u8[3]", {0, 200, 255}},
      {"maximum(b, 15) + minimum(b, 25)", "f32[3]", {25, 40, 55}},
      {"maximum(log(-s), 0)", "f32", {nan}},
      {"sqrt(16) * s", "f32", {8}},
      {"sign(i)", "i32[4]", {-1, -1, 0, 1}},
      {"clip(b, 15, 25)", "f32[3]", {15, 20, 25}},
      {"rsqrt(s + 2)", "f32", {0.5}},
      {"step(b - 20)", "f32[3]", {0, 0, 1}},
      {"step(1) * s", "f32", {2}},
      {"stop_gradient(s)", "f32", {2}},
  });
}

TEST(LoweringValues, Indexing) {
  check({
      {"a[0]", "f32[3]", {1, 2, 3}},
      {"a[-1]", "f32[3]", {4, 5, 6}},
      {"a[1, 2]", "f32", {6}},
      {"a[:, 1]", "f32[2]", {2, 5}},
      {"a[..., 0]", "f32[2]", {1, 4}},
      {"a[...]", "f32[2,3]", {1, 2, 3, 4, 5, 6}},
      {"a[:, 1:]", "f32[2,2]", {2, 3, 5, 6}},
      {"a[:, :-1]", "f32[2,2]", {1, 2, 4, 5}},
      {"a[:, ::2]", "f32[2,2]", {1, 3, 4, 6}},
      {"a[::-1]", "f32[2,3]", {4, 5, 6, 1, 2, 3}},
      {"a[:, 5:0:-2]", "f32[2,1]", {3, 6}},
      {"a[:, ::-2]", "f32[2,2]", {3, 1, 6, 4}},
      {"a[0, 1:100]", "f32[2]", {2, 3}},
      {"a.T", "f32[3,2]", {1, 4, 2, 5, 3, 6}},
      {"b.T", "f32[3]", {10, 20, 30}},
      {"[10, 20, 30][1] * s", "f32", {40}},
      {"f32([10, 20, 30, 40][1:-1])", "f32[2]", {20, 30}},
      {"f32([1, 2, 3][::-1])", "f32[3]", {3, 2, 1}},
      {"f32(shape(a)) + 0 * s", "f32[2]", {2, 3}},
      {"(rank(a) + size(a) * 10 + size(a, 1) * 100 + len([7, 8]) * 1000) * s", "f32", {2 * 2362}},
  });
}

TEST(LoweringValues, PartsReplaced) {
  const std::string head = "entry go(a: f32[3, 4]) {\n b = a\n ";
  const Tensor a = f32s({3, 4}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  const std::vector<std::pair<std::string, std::vector<double>>> rows = {
      {"b[1:3, ::2] = -1", {0, 1, 2, 3, -1, 5, -1, 7, -1, 9, -1, 11}},
      {"b[0] = a[-1]", {8, 9, 10, 11, 4, 5, 6, 7, 8, 9, 10, 11}},
      {"b[:, 1] = [7, 8, 9]", {0, 7, 2, 3, 4, 8, 6, 7, 8, 9, 10, 11}},
      {"b[0, ::-1] = [1, 2, 3, 4]", {4, 3, 2, 1, 4, 5, 6, 7, 8, 9, 10, 11}},
      {"b[..., -1] = 0", {0, 1, 2, 0, 4, 5, 6, 0, 8, 9, 10, 0}},
      {"b[2, 3] = sum(a)", {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 66}},
      {"b[:] = 1", std::vector<double>(12, 1)},
  };
  for (const auto &[statement, expected] : rows) {
    SCOPED_TRACE(statement);
    Interpreted session(runnable(head + statement + "\n return b, c = a + 0\n}\n"));
    const auto results = session.call("go", {a});
    expect_near(results.at("b"), expected);
    expect_near(results.at("c"), numbers(a)); // a copy was changed, not a
  }
}

TEST(LoweringValues, Reductions) {
  check({
      {"sum(a)", "f32", {21}},
      {"sum(a, axis = 0)", "f32[3]", {5, 7, 9}},
      {"sum(a, axis = -1)", "f32[2]", {6, 15}},
      {"sum(a, axis = [0, 1])", "f32", {21}},
      {"sum(a, 1, keepdims = true)", "f32[2,1]", {6, 15}},
      {"sum(a, keepdims = true)", "f32[1,1]", {21}},
      {"sum(p)", "i32", {2}},
      {"sum(u)", "i32", {455}},
      {"prod(a, axis = 1)", "f32[2]", {6, 120}},
      {"max(a, axis = 0)", "f32[3]", {4, 5, 6}},
      {"min(i)", "i32", {-7}},
      {"max(u)", "u8", {255}},
      {"mean(a)", "f32", {3.5}},
      {"mean(a, axis = 1)", "f32[2]", {2, 5}},
      {"mean(p)", "f32", {2 / 3.0}},
      {"mean(i)", "f32", {-0.25}},
      {"mean(s)", "f32", {2}},
      {"var(a, axis = 1)", "f32[2]", {2 / 3.0, 2 / 3.0}},
      {"var(a)", "f32", {35 / 12.0}},
      {"var(a, ddof = 1)", "f32", {3.5}},
      {"var(a, axis = 1, keepdims = true, ddof = 2)", "f32[2,1]", {2, 2}},
      {"std(a, axis = 0, ddof = 1)", "f32[3]", {std::sqrt(4.5), std::sqrt(4.5), std::sqrt(4.5)}},
      {"var(s)", "f32", {0}},
      {"std(a, axis = 0)", "f32[3]", {1.5, 1.5, 1.5}},
      {"std(a, axis = 0, keepdims = true)", "f32[1,3]", {1.5, 1.5, 1.5}},
      {"argmax(a, axis = 1)", "i32[2]", {2, 2}},
      {"argmin(b, axis = 0)", "i32", {0}},
      {"argmin(i, axis = 0)", "i32", {0}},
      {"argmin(u, 0)", "i32", {0}},
      {"argmax(a * 0, axis = 0, keepdims = true)", "i32[1,3]", {0, 0, 0}},
      {"all(p)", "bool", {0}},
      {"any(p)", "bool", {1}},
      {"all(a > 2, axis = 0)", "bool[3]", {0, 0, 1}},
      {"any(a > 4, axis = 1, keepdims = true)", "bool[2,1]", {0, 1}},
      {"logsumexp(a, axis = 1)",
       "f32[2]",
       {3 + std::log(1 + std::exp(-1) + std::exp(-2)), 6 + std::log(1 + std::exp(-1) + std::exp(-2))}},
      {"logsumexp(b * 100)", "f32", {3000}},
      {"sum(sum(a, 1, keepdims = true), 1)", "f32[2]", {6, 15}},
  });
}

TEST(LoweringValues, ShapesAndArrays) {
  check({
      {"reshape(a, [3, 2])", "f32[3,2]", {1, 2, 3, 4, 5, 6}},
      {"reshape(a, [-1])", "f32[6]", {1, 2, 3, 4, 5, 6}},
      {"reshape(a, [1, -1, 2])", "f32[1,3,2]", {1, 2, 3, 4, 5, 6}},
      {"transpose(a)", "f32[3,2]", {1, 4, 2, 5, 3, 6}},
      {"transpose(a, [1, 0])", "f32[3,2]", {1, 4, 2, 5, 3, 6}},
      {"swapaxes(a, 0, -1)", "f32[3,2]", {1, 4, 2, 5, 3, 6}},
      {"swapaxes(a, 1, 1)", "f32[2,3]", {1, 2, 3, 4, 5, 6}},
      {"expand_dims(b, 0)", "f32[1,3]", {10, 20, 30}},
      {"expand_dims(b, -1)", "f32[3,1]", {10, 20, 30}},
      {"broadcast_to(s, [2, 2])", "f32[2,2]", {2, 2, 2, 2}},
      {"concat([b, a[0]])", "f32[6]", {10, 20, 30, 1, 2, 3}},
      {"concat([a, a], axis = 1)", "f32[2,6]", {1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6}},
      {"stack([b, a[0]])", "f32[2,3]", {10, 20, 30, 1, 2, 3}},
      {"stack([b, a[0]], axis = -1)", "f32[3,2]", {10, 1, 20, 2, 30, 3}},
      {"split(a, 3, axis = 1)[1]", "f32[2,1]", {2, 5}},
      {"slice(b, 0, 2, 2, -2)", "f32[2]", {30, 10}},
      {"flip(a, axis = 1)", "f32[2,3]", {3, 2, 1, 6, 5, 4}},
      {"arange(3)", "i32[3]", {0, 1, 2}},
      {"arange(3) == reshape(i32(u), [3, 1])", "bool[3,3]", {1, 0, 0, 0, 0, 0, 0, 0, 0}},
      {"one_hot(i32(b) // 10 - 1, 3)", "f32[3,3]", {1, 0, 0, 0, 1, 0, 0, 0, 1}},
      {"linspace(0, 1, 5) + 0 * s", "f32[5]", {0, 0.25, 0.5, 0.75, 1}},
      {"zeros([2]) + ones([2]) + constant(3, [2]) + s", "f32[2]", {6, 6}},
      {"zeros_like(a[0]) + ones_like(b)", "f32[3]", {1, 1, 1}},
      {"zeros([2], i32)", "i32[2]", {0, 0}},
  });
}

// Whole numbers of 64 bits, which no double holds.
TEST(LoweringValues, WholeNumbersAreExact) {
  Interpreted model(runnable("const top = 9223372036854775807\n"
                             "entry go(x: i64[2], y: i32[8], z: u8[3]) {\n"
                             "  require top == 2 ** 62 + (2 ** 62 - 1) and top - 1 < top, \"{top}\"\n"
                             "  require (2 ** 53 + 1) % 2 == 1 and -(2 ** 53 + 1) // 2 == -4503599627370497, \"floored\"\n"
                             "  require (2 ** 53 + 2) / 2 == 2 ** 52 + 1 and 7 / 2 == 3.5 and 2 ** -1 == 0.5, \"divided\"\n"
                             "  return a = x + 9007199254740993, b = i64([9007199254740993, -top - 1]), c = i64(top) + x,\n"
                             "    d = x < 9223372036854775806, m = mean(y), n = mean(z), p = mean(x), q = cumsum(z)\n}\n"));
  Tensor x(Type{DType::i64, {2}});
  x.set_int(0, 0);
  x.set_int(1, INT64_MAX - 1);
  const auto results =
      model.call("go", {x, Tensor::filled_int(Type{DType::i32, {8}}, 1 << 30), tensor(DType::u8, {3}, {200, 255, 250})});
  const auto at = [&](const char *name, int64_t i) { return expanded(results.at(name)).get_int(i); };
  EXPECT_EQ(at("a", 0), 9007199254740993);
  EXPECT_EQ(at("b", 0), 9007199254740993);
  EXPECT_EQ(at("b", 1), INT64_MIN);
  EXPECT_EQ(at("c", 0), INT64_MAX);
  EXPECT_EQ(numbers(results.at("d")), (std::vector<double>{1, 0}));
  EXPECT_EQ(numbers(results.at("m")), (std::vector<double>{1 << 30}));
  EXPECT_EQ(numbers(results.at("n")), (std::vector<double>{235}));
  EXPECT_EQ(numbers(results.at("p")), (std::vector<double>{0x1p62}));
  EXPECT_EQ(numbers(results.at("q")), (std::vector<double>{200, 455, 705}));
}

// A loop of no step leaves what it would carry.
TEST(LoweringValues, ListsAndStringsAreJoined) {
  check({
      {"f32([1, 2] + [3] + [])", "f32[3]", {1, 2, 3}},
      {"concat([b] + [b + 1])", "f32[6]", {10, 20, 30, 11, 21, 31}},
      {"[1, 2] + b[:2]", "f32[2]", {11, 22}}, // a list of numbers that meets a tensor is one
      {"zeros([2] + shape(b))", "f32[2,3]", {0, 0, 0, 0, 0, 0}},
      {"einsum(\"ij,j\" + \"->i\", a, b)", "f32[2]", {140, 320}},
      {"where(\"x\" + 1 == \"x1\" and 2 + \"\" == \"2\" and \"a\" + 0.5 == \"a0.5\", s, 0)", "f32", {2}},
  });
}

TEST(LoweringValues, InfinityAndNoNumber) {
  const double inf = HUGE_VAL;
  check({
      {"s * inf", "f32", {inf}},
      {"maximum(b, -inf)", "f32[3]", {10, 20, 30}},
      {"f64(s) - inf", "f64", {-inf}},
      {"f16([inf, -inf, 1])", "f16[3]", {inf, -inf, 1}},
      {"max(where(p, b, -inf))", "f32", {30}},
      {"f32([nan, maximum(nan, 1), minimum(1, nan), inf - inf, nan / 3])", "f32[5]", {nan, nan, nan, nan, nan}},
      {"where(nan == nan or not (nan != nan) or nan < 1, 1, s)", "f32", {2}},
      {"b < inf", "bool[3]", {1, 1, 1}},
      {"ceil(a / 4)", "f32[2,3]", {1, 1, 1, 1, 2, 2}},
      {"ceil(f32([-1.5, 2, -0.5, inf]))", "f32[4]", {-1, 2, 0, inf}},
      {"ceil(i)", "i32[4]", {-7, -1, 0, 7}},
      {"zeros([ceil(7 / 2)])", "f32[4]", {0, 0, 0, 0}},
  });
}

TEST(LoweringValues, DtypesAsConstants) {
  const std::string text = "const real = f32; const T = f32; const kinds = [i32, u8]\n"
                           "param w: real[2] = ones()\nfn half(x: real[N]) -> real[N] { return x / real(2) }\n"
                           "fn of(x: T[N]) -> T[N] = x * 0 + T(1) / 3\n" // the call binds T
                           "fn scalar(x: real) -> real = x + 1\n"
                           "entry go(x: real[2], y: f64[1]) {\n"
                           "  n = for k in kinds { yield k(3) }\n"
                           "  z = zeros([1], T)\n"
                           "  if real == f64 { z = z + 1 }\n"
                           "  return a = scalar(half(x) + w), b = of(y), n, z\n}\n";
  const auto types = [&](const Settings &set) {
    std::string result;
    const Module module = compiled(text, set);
    for (const Result &made : module.functions[0].function_results)
      result += type_text(module.functions[0].type(made.value)) + " ";
    return result + type_text(module.states[0].type);
  };
  EXPECT_EQ(types({}), "f32[2] f64[1] i32 u8 f32[1] f32[2]");
  EXPECT_EQ(types({{"real", "f64"}, {"T", "f64"}}), "f64[2] f64[1] i32 u8 f64[1] f64[2]");
}

TEST(LoweringValues, NoStep) {
  Interpreted model(runnable("entry go(x: f32[2]) {\n"
                             "  y = x\n  scan i in 0..0 { y = y + f32(i) }\n  for i in 0..0 { y = y + i }\n  return y\n}\n"));
  expect_near(model.call("go", {f32s({2}, {1, 2})}).at("y"), {1, 2});
}

TEST(LoweringValues, MatrixProducts) {
  check({
      {"a @ b", "f32[2]", {140, 320}},
      {"b @ b", "f32", {1400}},
      {"a @ a.T", "f32[2,2]", {14, 32, 32, 77}},
      {"a[0] @ a.T", "f32[2]", {14, 32}},
      {"reshape(a, [2, 1, 3]) @ b", "f32[2,1]", {140, 320}},
      {"reshape(a, [2, 1, 3]) @ reshape(b, [1, 3, 1])", "f32[2,1,1]", {140, 320}},
      {"reshape(a, [2, 1, 3]) @ reshape(a, [2, 3, 1])", "f32[2,1,1]", {14, 77}},
      {"reshape(a, [2, 1, 3]) @ reshape(b, [3, 1])", "f32[2,1,1]", {140, 320}},
      {"a @ reshape(a, [2, 3, 1])", "f32[2,2,1]", {14, 32, 32, 77}},
      {"a @ [1, 0, 0]", "f32[2]", {1, 4}},
      {"i @ i", "i32", {99}},
  });
}

} // namespace
} // namespace nnc
