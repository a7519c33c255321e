// The interpreter's rows against numbers known from elsewhere: tables, NumPy, the Philox authors' test vectors.
#include "ir/error.h"
#include "ir/eval.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <tuple>

namespace nnc {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t i32_min = std::numeric_limits<int32_t>::min(), i64_min = std::numeric_limits<int64_t>::min();

Tensor tensor(DType dtype, Shape shape, const std::vector<double> &values) {
  Tensor result(Type{dtype, std::move(shape)});
  for (size_t i = 0; i < values.size(); ++i)
    result.set(static_cast<int64_t>(i), values[i]);
  return result;
}
Tensor f32s(Shape shape, const std::vector<double> &values) { return tensor(DType::f32, std::move(shape), values); }
Tensor i64s(const std::vector<int64_t> &values) {
  Tensor result(Type{DType::i64, {static_cast<int64_t>(values.size())}});
  for (size_t i = 0; i < values.size(); ++i)
    result.set_int(static_cast<int64_t>(i), values[i]);
  return result;
}
// 0, 1, 2, …
Tensor counted(DType dtype, Shape shape) {
  Tensor result(Type{dtype, std::move(shape)});
  for (int64_t i = 0; i < result.type.elements(); ++i)
    result.set_int(i, i);
  return result;
}

// Runs the op. Given splats as well as expanded operands it must give the same.
Tensor apply(Op op, const std::vector<Tensor> &operands, const Attrs &attrs = {}) {
  std::vector<Type> types;
  std::vector<const Tensor *> pointers, expanded_pointers;
  std::vector<Tensor> dense;
  dense.reserve(operands.size());
  for (const Tensor &operand : operands) {
    types.push_back(operand.type);
    pointers.push_back(&operand);
    dense.push_back(expanded(operand));
    expanded_pointers.push_back(&dense.back());
  }
  const Type type = infer_type(op, types, attrs);
  const Tensor result = eval(op, pointers, attrs, type);
  EXPECT_EQ(type_text(result.type), type_text(type));
  EXPECT_TRUE(same_bits(result, eval(op, expanded_pointers, attrs, type))) << op_info(op).name;
  return result;
}

std::vector<double> values(const Tensor &tensor) {
  std::vector<double> result;
  for (int64_t i = 0; i < tensor.type.elements(); ++i)
    result.push_back(tensor.get(i));
  return result;
}
std::vector<int64_t> ints(const Tensor &tensor) {
  std::vector<int64_t> result;
  for (int64_t i = 0; i < tensor.type.elements(); ++i)
    result.push_back(tensor.get_int(i));
  return result;
}

// A function of one number, in f64.
double of(Op op, double a) { return apply(op, {tensor(DType::f64, {1}, {a})}).get(0); }
double of(Op op, double a, double b) { return apply(op, {tensor(DType::f64, {1}, {a}), tensor(DType::f64, {1}, {b})}).get(0); }
int64_t of_ints(Op op, DType dtype, int64_t a, int64_t b) {
  Tensor x(Type{dtype, {1}}), y = x;
  x.set_int(0, a);
  y.set_int(0, b);
  return apply(op, {x, y}).get_int(0);
}

TEST(Eval, IntegersWrapAndDivideByZero) {
  EXPECT_EQ(of_ints(Op::add, DType::u8, 200, 100), 44);
  EXPECT_EQ(of_ints(Op::sub, DType::u8, 1, 2), 255);
  EXPECT_EQ(of_ints(Op::mul, DType::i32, 1 << 16, 1 << 15), i32_min);
  EXPECT_EQ(of_ints(Op::mul, DType::i64, i64_min, -1), i64_min);
  EXPECT_EQ(of_ints(Op::div, DType::i32, -7, 2), -4);
  EXPECT_EQ(of_ints(Op::div, DType::i32, 7, -2), -4);
  EXPECT_EQ(of_ints(Op::div, DType::i32, -6, 2), -3);
  EXPECT_EQ(of_ints(Op::div, DType::i32, 7, 0), 0);
  EXPECT_EQ(of_ints(Op::div, DType::i32, i32_min, -1), i32_min);
  EXPECT_EQ(of_ints(Op::div, DType::i64, i64_min, -1), i64_min);
  EXPECT_EQ(of_ints(Op::rem, DType::i32, -7, 3), 2);
  EXPECT_EQ(of_ints(Op::rem, DType::i32, 7, -3), -2);
  EXPECT_EQ(of_ints(Op::rem, DType::i32, 7, 0), 0);
  EXPECT_EQ(of_ints(Op::rem, DType::i64, i64_min, -1), 0);
  EXPECT_EQ(apply(Op::neg, {i64s({i64_min})}).get_int(0), i64_min);
  EXPECT_EQ(ints(apply(Op::abs, {i64s({-5, 5, i64_min})})), (std::vector<int64_t>{5, 5, i64_min}));
}

TEST(Eval, FloatsRoundOnce) {
  EXPECT_EQ(apply(Op::add, {f32s({1}, {1}), f32s({1}, {std::ldexp(1, -24)})}).get(0), 1); // a tie, to even
  EXPECT_EQ(apply(Op::div, {f32s({1}, {1}), f32s({1}, {3})}).get(0), static_cast<double>(1.0f / 3.0f));
  // (1 + e)(1 - e) - 1 = -e^2, which a rounded product loses.
  const double e = std::ldexp(1, -20);
  EXPECT_EQ(apply(Op::muladd, {f32s({1}, {1 + e}), f32s({1}, {1 - e}), f32s({1}, {-1})}).get(0), -e * e);
  // 1 + 2^-23 + 2^-24 - 2^-70 lies just below a tie of f32; rounded to double first it would be the tie, and go up.
  const double ulp = std::ldexp(1, -23), scale = std::ldexp(1, -12);
  EXPECT_EQ(apply(Op::muladd, {f32s({1}, {scale * (1 + ulp)}), f32s({1}, {scale * (1 - ulp)}), f32s({1}, {1 + ulp})}).get(0),
            1 + ulp);
  EXPECT_EQ(of(Op::rem, -7.5, 2), 0.5);
  EXPECT_EQ(of(Op::rem, 7.5, -2), -0.5);
  EXPECT_EQ(of(Op::div, 1, 0), infinity);
}

// Arithmetic takes denormals as 0 and gives 0 for them, with their sign; what moves numbers leaves them.
TEST(Eval, DenormalsAreFlushedByArithmeticAlone) {
  const double tiny = std::ldexp(1, -140), small = std::ldexp(1, -126);
  const auto of_f32 = [](Op op, const std::vector<double> &numbers, Denormals denormals) {
    std::vector<Tensor> operands;
    std::vector<const Tensor *> pointers;
    for (double number : numbers)
      operands.push_back(f32s({}, {number}));
    for (const Tensor &operand : operands)
      pointers.push_back(&operand);
    return eval(op, pointers, {}, {DType::f32, {}}, denormals).get(0);
  };
  for (const auto &[op, numbers, kept] :
       std::vector<std::tuple<Op, std::vector<double>, double>>{{Op::mul, {small, -0.5}, -small / 2},
                                                                {Op::add, {-tiny, -0.0}, -tiny},
                                                                {Op::mul, {-tiny, std::ldexp(1, 100)}, -std::ldexp(1, -40)}}) {
    EXPECT_EQ(of_f32(op, numbers, Denormals::keep), kept);
    EXPECT_EQ(of_f32(op, numbers, Denormals::flush), 0);
    EXPECT_TRUE(std::signbit(of_f32(op, numbers, Denormals::flush)));
  }
  EXPECT_EQ(of_f32(Op::log, {tiny}, Denormals::flush), -infinity);
  EXPECT_EQ(of_f32(Op::neg, {tiny}, Denormals::flush), -tiny);
  EXPECT_EQ(of_f32(Op::abs, {-tiny}, Denormals::flush), tiny);
  EXPECT_EQ(of_f32(Op::mul, {small, 1}, Denormals::flush), small);
}

TEST(Eval, KnownValuesOfFunctions) {
  // Abramowitz and Stegun, tables 4.4, 4.6, 4.15, 7.1.
  EXPECT_NEAR(of(Op::exp, 1), 2.718281828459045, 1e-15);
  EXPECT_NEAR(of(Op::log, 10), 2.302585092994046, 1e-15);
  EXPECT_NEAR(of(Op::tanh, 0.5), 0.462117157260010, 1e-15);
  EXPECT_NEAR(of(Op::erf, 0.5), 0.520499877813047, 1e-15);
  EXPECT_NEAR(of(Op::erf, -1), -0.842700792949715, 1e-15);
  EXPECT_NEAR(of(Op::sin, 1), 0.841470984807897, 1e-15);
  EXPECT_NEAR(of(Op::cos, 1), 0.540302305868140, 1e-15);
  EXPECT_NEAR(of(Op::expm1, 1e-10), 1.00000000005e-10, 1e-25);
  EXPECT_NEAR(of(Op::log1p, 1e-10), 9.9999999995e-11, 1e-25);
  EXPECT_NEAR(of(Op::atan, 1), 0.785398163397448, 1e-15);
  EXPECT_NEAR(of(Op::sigmoid, -16), 1.12535162055095e-7, 1e-21);
  EXPECT_NEAR(of(Op::sigmoid, -800), 0, 0);
  EXPECT_NEAR(of(Op::normal_cdf, 1), 0.841344746068543, 1e-15);
  EXPECT_NEAR(of(Op::normal_cdf, -30) * 1e198, 4.90671392714819, 1e-12);
  EXPECT_EQ(of(Op::sqrt, 2), 1.4142135623730951);
  EXPECT_EQ(of(Op::exp, -infinity), 0);
  EXPECT_EQ(of(Op::log, 0), -infinity);
  EXPECT_TRUE(std::isnan(of(Op::log, -1)));
  EXPECT_TRUE(std::isnan(of(Op::sqrt, -1)));
  EXPECT_EQ(of(Op::tanh, -infinity), -1);
  EXPECT_EQ(values(apply(Op::round, {f32s({5}, {0.5, 1.5, 2.5, -0.6, -2.5})})), (std::vector<double>{0, 2, 2, -1, -2}));
  EXPECT_EQ(values(apply(Op::floor, {f32s({3}, {0.5, -0.5, -2})})), (std::vector<double>{0, -1, -2}));
  EXPECT_EQ(values(apply(Op::abs, {f32s({2}, {-0.5, infinity})})), (std::vector<double>{0.5, infinity}));
}

TEST(Eval, ComparisonsAndNaN) {
  for (Op op : {Op::maximum, Op::minimum}) {
    EXPECT_TRUE(std::isnan(of(op, nan, 1)));
    EXPECT_TRUE(std::isnan(of(op, 1, nan)));
  }
  EXPECT_EQ(of(Op::maximum, -1, 2), 2);
  EXPECT_EQ(of(Op::minimum, -1, 2), -1);
  EXPECT_EQ(of_ints(Op::maximum, DType::u8, 200, 100), 200);
  const Tensor a = f32s({4}, {1, 2, nan, -0.0}), b = f32s({4}, {1, 3, nan, 0});
  EXPECT_EQ(ints(apply(Op::eq, {a, b})), (std::vector<int64_t>{1, 0, 0, 1}));
  EXPECT_EQ(ints(apply(Op::lt, {a, b})), (std::vector<int64_t>{0, 1, 0, 0}));
  const Tensor p = tensor(DType::boolean, {4}, {0, 0, 1, 1}), q = tensor(DType::boolean, {4}, {0, 1, 0, 1});
  EXPECT_EQ(ints(apply(Op::eq, {p, q})), (std::vector<int64_t>{1, 0, 0, 1}));
  EXPECT_EQ(ints(apply(Op::logical_and, {p, q})), (std::vector<int64_t>{0, 0, 0, 1}));
  EXPECT_EQ(ints(apply(Op::logical_or, {p, q})), (std::vector<int64_t>{0, 1, 1, 1}));
  EXPECT_EQ(ints(apply(Op::logical_not, {p})), (std::vector<int64_t>{1, 1, 0, 0}));
  EXPECT_EQ(values(apply(Op::select, {p, f32s({4}, {1, 2, 3, 4}), Tensor::filled({DType::f32, {4}}, 9)})),
            (std::vector<double>{9, 9, 3, 4}));
  EXPECT_EQ(ints(apply(Op::select, {p, q, p})), (std::vector<int64_t>{0, 0, 0, 1}));
  EXPECT_EQ(values(apply(Op::stop_gradient, {b})).front(), 1);
}

TEST(Eval, CastsTruncateAndSaturate) {
  const auto cast = [](const Tensor &a, DType dtype) { return apply(Op::cast, {a}, {.dtype = dtype}); };
  const Tensor floats = f32s({6}, {-1.9, 255.9, 1e10, -1e10, nan, 0.5});
  EXPECT_EQ(ints(cast(floats, DType::u8)), (std::vector<int64_t>{0, 255, 255, 0, 0, 0}));
  EXPECT_EQ(ints(cast(floats, DType::i32)), (std::vector<int64_t>{-1, 255, -i32_min - 1, i32_min, 0, 0}));
  EXPECT_EQ(ints(cast(floats, DType::boolean)), (std::vector<int64_t>{1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(ints(cast(i64s({-1, 300, i64_min}), DType::u8)), (std::vector<int64_t>{0, 255, 0}));
  EXPECT_EQ(ints(cast(i64s({i64_min, 7}), DType::i32)), (std::vector<int64_t>{i32_min, 7}));
  EXPECT_EQ(ints(cast(i64s({0, 256}), DType::boolean)), (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(values(cast(tensor(DType::boolean, {2}, {0, 1}), DType::f32)), (std::vector<double>{0, 1}));
  EXPECT_EQ(values(cast(tensor(DType::f64, {1}, {0.1}), DType::f32)), (std::vector<double>{0.1f}));
  const int64_t above_tie = (int64_t{1} << 53) + (int64_t{1} << 29) + 1;
  EXPECT_EQ(values(cast(i64s({above_tie}), DType::f32)), (std::vector<double>{static_cast<float>(above_tie)}));
}

// The vectors of kat_vectors in the authors' Random123.
TEST(Eval, PhiloxTestVectors) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox_4x32_10({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox_4x32_10({ones, ones, ones, ones}, {ones, ones}), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox_4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Eval, PhiloxElements) {
  const auto draw = [](int64_t key, int64_t index) { return apply(Op::philox, {i64s({key}), i64s({index})}).get_int(0); };
  // The four words of block 0 lie 16 elements apart; element 64 is in block 16.
  EXPECT_EQ(draw(0, 0), 0x6627e8);
  EXPECT_EQ(draw(0, 16), 0xe169c5);
  EXPECT_EQ(draw(0, 32), 0xbc57ac);
  EXPECT_EQ(draw(0, 48), 0x9b00db);
  // Block 2^38 + 16 + 3, word 1.
  const int64_t key = 0x299f31d0a4093822, far = (int64_t{1} << 40) + 64 + 16 + 3;
  EXPECT_EQ(draw(key, 64), philox_4x32_10({16, 0, 0, 0}, {0xa4093822, 0x299f31d0})[0] >> 8);
  EXPECT_EQ(draw(key, far), philox_4x32_10({19, 64, 0, 0}, {0xa4093822, 0x299f31d0})[1] >> 8);
  // 24 uniform bits: the mean of n draws is 2^23 within a few 2^24 / sqrt(12 n).
  const int64_t n = 4096;
  Tensor keys = Tensor::filled_int({DType::i64, {n}}, 42);
  const Tensor draws = apply(Op::philox, {keys, counted(DType::i64, {n})});
  double mean = 0;
  for (int64_t i = 0; i < n; ++i)
    mean += draws.get(i) / static_cast<double>(n);
  EXPECT_NEAR(mean, std::ldexp(1, 23), 4 * std::ldexp(1, 24) / std::sqrt(12.0 * n));
}

TEST(Eval, Views) {
  const Tensor a = counted(DType::f32, {2, 3});
  EXPECT_EQ(values(apply(Op::broadcast, {counted(DType::f32, {2})}, {.axes = {0}, .shape = {2, 3}})),
            (std::vector<double>{0, 0, 0, 1, 1, 1}));
  EXPECT_EQ(values(apply(Op::broadcast, {counted(DType::f32, {3})}, {.axes = {1}, .shape = {2, 3}})),
            (std::vector<double>{0, 1, 2, 0, 1, 2}));
  EXPECT_EQ(values(apply(Op::transpose, {a}, {.axes = {1, 0}})), (std::vector<double>{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(values(apply(Op::transpose, {counted(DType::u8, {2, 1, 3})}, {.axes = {2, 0, 1}})),
            (std::vector<double>{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(values(apply(Op::reshape, {a}, {.shape = {3, 2}})), (std::vector<double>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(values(apply(Op::slice, {counted(DType::i64, {3, 4})}, {.shape = {2, 2}, .start = {2, 0}, .stride = {-1, 3}})),
            (std::vector<double>{8, 11, 4, 7}));
  EXPECT_EQ(
      values(apply(Op::pad, {counted(DType::f32, {2, 2}), f32s({}, {9})}, {.shape = {2, 4}, .start = {1, 0}, .stride = {-1, 3}})),
      (std::vector<double>{2, 9, 9, 3, 0, 9, 9, 1}));
  EXPECT_EQ(values(apply(Op::concat, {a, Tensor::filled({DType::f32, {2, 1}}, 7), a}, {.axis = 1})),
            (std::vector<double>{0, 1, 2, 7, 0, 1, 2, 3, 4, 5, 7, 3, 4, 5}));
  EXPECT_EQ(ints(apply(Op::iota, {}, {.shape = {2, 3}, .axis = 0, .dtype = DType::i64})),
            (std::vector<int64_t>{0, 0, 0, 1, 1, 1}));
  EXPECT_EQ(ints(apply(Op::iota, {}, {.shape = {2, 3}, .axis = 1, .dtype = DType::i32})),
            (std::vector<int64_t>{0, 1, 2, 0, 1, 2}));
  // Splats stay small.
  EXPECT_TRUE(apply(Op::broadcast, {Tensor::filled({DType::f32, {}}, 1)}, {.shape = {100}}).splat);
}

TEST(Eval, Windows) {
  const Tensor x = f32s({6}, {1, 2, 3, 4, 5, 6});
  // Windows of 2, 2 apart, their elements 2 apart: [1 3] [3 5], and no room for [5 7].
  const Attrs attrs{.axes = {0}, .shape = {2, 2}, .stride = {2}, .dilation = {2}};
  const Tensor w = apply(Op::window, {x}, attrs);
  EXPECT_EQ(values(w), (std::vector<double>{1, 3, 3, 5}));
  EXPECT_EQ(values(apply(Op::unwindow, {w}, {.axes = {0}, .shape = {6}, .stride = {2}, .dilation = {2}})),
            (std::vector<double>{1, 0, 6, 0, 5, 0}));
  const Tensor image = f32s({3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  EXPECT_EQ(values(apply(Op::window, {image}, {.axes = {0, 1}, .shape = {2, 2, 2, 2}, .stride = {1, 1}, .dilation = {1, 1}})),
            (std::vector<double>{1, 2, 4, 5, 2, 3, 5, 6, 4, 5, 7, 8, 5, 6, 8, 9}));
}

TEST(Eval, GatherAndScatter) {
  const Tensor x = f32s({3, 2}, {1, 2, 3, 4, 5, 6});
  Tensor index(Type{DType::i32, {4}});
  for (const auto &[i, place] : {std::pair{0, 2}, {1, 0}, {2, 9}, {3, -1}}) // beyond the ends are the ends
    index.set_int(i, place);
  const Tensor rows = apply(Op::gather, {x, index}, {.axis = 0});
  EXPECT_EQ(values(rows), (std::vector<double>{5, 6, 1, 2, 5, 6, 1, 2}));
  EXPECT_EQ(values(apply(Op::scatter_add, {rows, index}, {.shape = {3, 2}, .axis = 0})),
            (std::vector<double>{2, 4, 0, 0, 10, 12}));
  Tensor one(Type{DType::i32, {}});
  one.set_int(0, 1);
  EXPECT_EQ(values(apply(Op::gather, {x, one}, {.axis = 1})), (std::vector<double>{2, 4, 6}));
}

TEST(Eval, Argsort) {
  const Tensor x = f32s({2, 4}, {3, nan, 1, 3, -0.0, 0, -infinity, nan});
  EXPECT_EQ(ints(apply(Op::argsort, {x}, {.axis = 1})), (std::vector<int64_t>{2, 0, 3, 1, 2, 0, 1, 3}));
  EXPECT_EQ(ints(apply(Op::argsort, {x}, {.axis = 0})), (std::vector<int64_t>{1, 1, 1, 0, 0, 0, 0, 1}));
}

TEST(Eval, Reductions) {
  const Tensor a = counted(DType::f32, {2, 3, 2});
  EXPECT_EQ(values(apply(Op::sum, {a}, {.axes = {1}})), (std::vector<double>{6, 9, 24, 27}));
  EXPECT_EQ(values(apply(Op::sum, {a}, {.axes = {0, 2}})), (std::vector<double>{14, 22, 30}));
  EXPECT_EQ(values(apply(Op::sum, {Tensor::filled({DType::f32, {4, 5}}, 0.5)}, {.axes = {0, 1}})), (std::vector<double>{10}));
  EXPECT_EQ(ints(apply(Op::sum, {tensor(DType::u8, {2}, {200, 100})}, {.axes = {0}})), (std::vector<int64_t>{44}));
  EXPECT_EQ(values(apply(Op::prod, {f32s({3}, {2, 3, 4})}, {.axes = {0}})), (std::vector<double>{24}));
  EXPECT_EQ(values(apply(Op::max, {f32s({2, 2}, {1, -5, -3, -4})}, {.axes = {1}})), (std::vector<double>{1, -3}));
  EXPECT_EQ(values(apply(Op::min, {f32s({2, 2}, {1, -5, -3, -4})}, {.axes = {0}})), (std::vector<double>{-3, -5}));
  for (const std::vector<double> &with_nan : {std::vector<double>{nan, 1}, std::vector<double>{1, nan}}) {
    EXPECT_TRUE(std::isnan(apply(Op::max, {f32s({2}, with_nan)}, {.axes = {0}}).get(0)));
    EXPECT_TRUE(std::isnan(apply(Op::min, {f32s({2}, with_nan)}, {.axes = {0}}).get(0)));
  }
  EXPECT_EQ(ints(apply(Op::argmax, {f32s({4, 3}, {1, 3, 3, nan, 9, nan, 1, nan, 2, -infinity, -infinity, -1})}, {.axes = {1}})),
            (std::vector<int64_t>{1, 0, 1, 2}));
  EXPECT_EQ(ints(apply(Op::argmax, {tensor(DType::u8, {2, 2}, {1, 255, 2, 0})}, {.axes = {0}})), (std::vector<int64_t>{1, 0}));
  // Far from zero, where the mean of squares less the square of the mean has no digits left.
  EXPECT_EQ(values(apply(Op::variance, {tensor(DType::f64, {4}, {1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16})}, {.axes = {0}})),
            (std::vector<double>{22.5}));
}

TEST(Eval, EmptyReductions) {
  const auto over_nothing = [](Op op, DType dtype) { return apply(op, {Tensor(Type{dtype, {2, 0}})}, {.axes = {1}}).get(1); };
  EXPECT_EQ(over_nothing(Op::sum, DType::f32), 0);
  EXPECT_EQ(over_nothing(Op::prod, DType::f32), 1);
  EXPECT_EQ(over_nothing(Op::max, DType::f32), -infinity);
  EXPECT_EQ(over_nothing(Op::min, DType::f32), infinity);
  EXPECT_EQ(over_nothing(Op::max, DType::i32), static_cast<double>(i32_min));
  EXPECT_EQ(over_nothing(Op::min, DType::u8), 255);
  EXPECT_TRUE(std::isnan(over_nothing(Op::variance, DType::f32)));
  EXPECT_EQ(apply(Op::sum, {Tensor(Type{DType::f32, {0, 2}})}, {.axes = {1}}).type.elements(), 0);
}

TEST(Eval, Dot) {
  const Tensor a = counted(DType::f32, {2, 3}), b = counted(DType::f32, {3, 2});
  EXPECT_EQ(values(apply(Op::dot, {a, b}, {.labels = "bi,io->bo"})), (std::vector<double>{10, 13, 28, 40}));
  EXPECT_EQ(values(apply(Op::dot, {a, b}, {.labels = "bi,io->ob"})), (std::vector<double>{10, 28, 13, 40}));
  EXPECT_EQ(values(apply(Op::dot, {a, a}, {.labels = "bi,oi->bo"})), (std::vector<double>{5, 14, 14, 50}));
  EXPECT_EQ(values(apply(Op::dot, {a, a}, {.labels = "bi,bi->"})), (std::vector<double>{55}));
  EXPECT_EQ(values(apply(Op::dot, {a, a}, {.labels = "bi,bi->b"})), (std::vector<double>{5, 50}));
  EXPECT_EQ(values(apply(Op::dot, {counted(DType::f32, {2}), counted(DType::f32, {3})}, {.labels = "a,b->ba"})),
            (std::vector<double>{0, 0, 0, 1, 0, 2}));
  EXPECT_EQ(values(apply(Op::dot, {Tensor::filled({DType::f32, {2, 3}}, 2), b}, {.labels = "bi,io->bo"})),
            (std::vector<double>{12, 18, 12, 18}));
  EXPECT_EQ(values(apply(Op::dot, {Tensor(Type{DType::f32, {2, 0}}), Tensor(Type{DType::f32, {0, 1}})}, {.labels = "bi,io->bo"})),
            (std::vector<double>{0, 0}));
  EXPECT_EQ(ints(apply(Op::dot, {tensor(DType::u8, {2}, {16, 1}), tensor(DType::u8, {2}, {16, 5})}, {.labels = "i,i->"})),
            (std::vector<int64_t>{5}));
  // Batched attention scores, as numpy.einsum("nqhd,nkhd->nhqk") of arange gives them.
  const Tensor q = counted(DType::f32, {1, 2, 2, 2}), k = counted(DType::f32, {1, 3, 2, 2});
  EXPECT_EQ(values(apply(Op::dot, {q, k}, {.labels = "nqhd,nkhd->nhqk"})),
            (std::vector<double>{1, 5, 9, 5, 41, 77, 13, 33, 53, 33, 85, 137}));
}

TEST(Eval, RefusesWhatDoesNotFit) {
  const Tensor a = counted(DType::f32, {2}), b = counted(DType::f32, {3});
  const Tensor *const both[] = {&a, &b};
  EXPECT_THROW(eval(Op::add, both, {}, a.type), Error);
  EXPECT_THROW(eval(Op::neg, {both, 1}, {}, b.type), Error);
}

} // namespace
} // namespace nnc
