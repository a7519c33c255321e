// bf16, f16 and i8: conversions against the compiler's own f16 and against the definition of rounding to nearest even, in the
// interpreter and in the vector code of every processor this machine can stand in for; and what ops take them.
#include "ir/interpreter.h"
#include "ir/storage.h"
#include "tests/lane_kernel.h"

#include <gtest/gtest.h>
#include <limits>

#include <bit>
#include <cmath>
#include <cstring>

namespace nnc {
namespace {

constexpr int patterns = 1 << 16;
constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();

float number_of(DType dtype, uint16_t bits) { return dtype == DType::bf16 ? bf16_number(bits) : f16_number(bits); }
uint16_t bits_of(DType dtype, float number) { return dtype == DType::bf16 ? bf16_bits(number) : f16_bits(number); }

bool is_nan_pattern(DType dtype, uint16_t bits) {
  const int infinite = dtype == DType::bf16 ? 0x7F80 : 0x7C00;
  return (bits & 0x7FFF) > infinite;
}

// Every number the dtype has, the f32 halfway to the next one, and the neighbours of both; and every 65,537th f32, NaNs among
// them.
std::vector<float> telling_numbers(DType dtype) {
  std::vector<float> numbers;
  for (int i = 0; i < patterns; ++i) {
    const auto bits = static_cast<uint16_t>(i), next = static_cast<uint16_t>(i + 1);
    const float here = number_of(dtype, bits);
    if (is_nan_pattern(dtype, bits))
      continue;
    double beyond = number_of(dtype, next);
    if (std::isinf(beyond)) // as if there were one more
      beyond = std::copysign(dtype == DType::bf16 ? 0x1p128 : 0x1p16, beyond);
    const auto halfway = static_cast<float>((static_cast<double>(here) + beyond) / 2); // has one digit more than the dtype
    for (float x : {here, halfway})
      numbers.insert(numbers.end(), {x, std::nextafterf(x, infinity), std::nextafterf(x, -infinity)});
  }
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 65537)
    numbers.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  for (float x : {infinity, -infinity, nan, std::bit_cast<float>(0x7F800001), std::bit_cast<float>(0xFF800001)})
    numbers.push_back(x);
  return numbers;
}

// By definition: of the two numbers around x the nearer, of two as near the one whose last bit is 0. Patterns of one sign are in
// the order of their numbers.
uint16_t nearest(DType dtype, float x) {
  const uint16_t sign = std::signbit(x) ? 0x8000 : 0, infinite = dtype == DType::bf16 ? 0x7F80 : 0x7C00;
  const double wanted = std::fabs(static_cast<double>(x)), end = dtype == DType::bf16 ? 0x1p128 : 0x1p16;
  uint16_t low = 0, high = infinite;
  const auto value = [&](uint16_t bits) { return bits == infinite ? end : number_of(dtype, bits); };
  while (high - low > 1)
    (value(static_cast<uint16_t>((low + high) / 2)) <= wanted ? low : high) = static_cast<uint16_t>((low + high) / 2);
  const double below = wanted - value(low), above = value(high) - wanted;
  return sign | (below < above || (below == above && low % 2 == 0) ? low : high);
}

TEST(Storage, EveryF16IsTheCompilers) {
  for (int i = 0; i < patterns; ++i) {
    const auto bits = static_cast<uint16_t>(i);
    const auto expected = static_cast<float>(std::bit_cast<_Float16>(bits));
    if (is_nan_pattern(DType::f16, bits))
      ASSERT_TRUE(std::isnan(f16_number(bits))) << i;
    else
      ASSERT_EQ(std::bit_cast<uint32_t>(f16_number(bits)), std::bit_cast<uint32_t>(expected)) << i;
  }
  for (float x : telling_numbers(DType::f16)) {
    if (std::isnan(x))
      continue;
    ASSERT_EQ(f16_bits(x), std::bit_cast<uint16_t>(static_cast<_Float16>(x))) << x;
  }
}

TEST(Storage, EveryBf16IsTheUpperHalfOfAnF32) {
  for (int i = 0; i < patterns; ++i)
    ASSERT_EQ(std::bit_cast<uint32_t>(bf16_number(static_cast<uint16_t>(i))), static_cast<uint32_t>(i) << 16);
}

TEST(Storage, RoundsToNearestEven) {
  for (DType dtype : {DType::bf16, DType::f16})
    for (float x : telling_numbers(dtype)) {
      const uint16_t bits = bits_of(dtype, x);
      if (std::isnan(x)) {
        ASSERT_TRUE(is_nan_pattern(dtype, bits) && std::signbit(number_of(dtype, bits)) == std::signbit(x)) << x;
      } else if (!std::isinf(x)) {
        ASSERT_EQ(bits, nearest(dtype, x)) << dtype_name(dtype) << " of " << x;
      }
    }
  EXPECT_EQ(bf16_bits(1 + 0x1p-8f), 0x3F80); // ties: down to 1, up to the second number above it
  EXPECT_EQ(bf16_bits(1 + 3 * 0x1p-8f), 0x3F82);
  EXPECT_EQ(f16_bits(65519), 0x7BFF);
  EXPECT_EQ(f16_bits(65520), 0x7C00);
  EXPECT_EQ(f16_bits(-infinity), 0xFC00);
  EXPECT_EQ(f16_bits(0x1p-25f), 0);
  EXPECT_EQ(f16_bits(-0x1.8p-25f), 0x8001);
}

// What a vector kernel makes of f32 numbers, in bits; NaNs too.
TEST(Storage, VectorCodeRoundsTheSame) {
  for (const Target &target : runnable_targets())
    for (unsigned width : {1, 8, 16})
      for (DType dtype : {DType::bf16, DType::f16}) {
        const std::vector<float> numbers = telling_numbers(dtype);
        std::vector<uint16_t> out(numbers.size(), 0xABCD);
        const LaneKernel kernel(target, width, {DType::f32}, dtype, lane_code(Op::cast, dtype));
        kernel(static_cast<int64_t>(numbers.size()), out.data(), numbers.data());
        for (size_t i = 0; i < numbers.size(); ++i)
          ASSERT_EQ(out[i], bits_of(dtype, numbers[i])) << dtype_name(dtype) << " of " << numbers[i] << " on " << target.name;
      }
}

TEST(Storage, VectorCodeWidensAndMovesEveryPattern) {
  std::vector<uint16_t> all(patterns);
  for (int i = 0; i < patterns; ++i)
    all[i] = static_cast<uint16_t>(i);
  for (const Target &target : runnable_targets())
    for (unsigned width : {1, 8, 16})
      for (DType dtype : {DType::bf16, DType::f16}) {
        std::vector<float> wide(patterns, -1);
        LaneKernel(target, width, {dtype}, DType::f32, lane_code(Op::cast, DType::f32))(patterns, wide.data(), all.data());
        std::vector<uint16_t> moved(patterns, 0xABCD);
        LaneKernel(target, width, {dtype}, dtype, lane_code(Op::stop_gradient, dtype))(patterns, moved.data(), all.data());
        for (int i = 0; i < patterns; ++i) {
          if (is_nan_pattern(dtype, all[i])) {
            ASSERT_TRUE(std::isnan(wide[i]) && is_nan_pattern(dtype, moved[i]))
                << dtype_name(dtype) << " " << i << " on " << target.name;
            continue;
          }
          ASSERT_EQ(std::bit_cast<uint32_t>(wide[i]), std::bit_cast<uint32_t>(number_of(dtype, all[i])))
              << dtype_name(dtype) << " " << i << " on " << target.name;
          ASSERT_EQ(moved[i], all[i]) << dtype_name(dtype) << " on " << target.name;
        }
      }
}

Tensor cast(const Tensor &tensor, DType to) {
  const Tensor *const operand = &tensor;
  return eval(Op::cast, {&operand, 1}, {.dtype = to}, {to, tensor.type.shape});
}

// A cast to bf16 or f16 is one to f32, rounded once more, from wherever it comes: 1 + 2^-8 + 2^-40 is a tie in f32.
TEST(Storage, CastsGoByWayOfTheWideDtype) {
  EXPECT_EQ(cast(Tensor::filled({DType::f64, {}}, 1 + 0x1p-8 + 0x1p-40), DType::bf16).get(0), 1);
  EXPECT_EQ(cast(Tensor::filled_int({DType::i64, {}}, (int64_t{1} << 40) + (int64_t{1} << 32) + 1), DType::bf16).get(0), 0x1p40);
  EXPECT_EQ(cast(Tensor::filled_int({DType::i32, {}}, 70000), DType::f16).get(0), infinity);
  EXPECT_EQ(cast(Tensor::filled({DType::f32, {}}, 200), DType::i8).get_int(0), 127);
  EXPECT_EQ(cast(Tensor::filled({DType::f32, {}}, -1000.5), DType::i8).get_int(0), -128);
  EXPECT_EQ(cast(Tensor::filled({DType::f32, {}}, -3.9), DType::i8).get_int(0), -3);
  EXPECT_EQ(cast(Tensor::filled({DType::f32, {}}, nan), DType::i8).get_int(0), 0);
  EXPECT_EQ(cast(Tensor::filled_int({DType::i64, {}}, int64_t{1} << 40), DType::i8).get_int(0), 127);
  EXPECT_EQ(cast(Tensor::filled_int({DType::i8, {}}, -5), DType::u8).get_int(0), 0);
  EXPECT_EQ(cast(Tensor::filled({DType::f16, {}}, 0.1), DType::bf16).get(0), 0x1.9ap-4);
  EXPECT_EQ(cast(Tensor::filled({DType::bf16, {}}, -0.0), DType::boolean).get_int(0), 0);
  EXPECT_EQ(cast(Tensor::filled_int({DType::boolean, {}}, 1), DType::bf16).get(0), 1);
}

TEST(Storage, TensorsHoldThem) {
  for (DType dtype : {DType::bf16, DType::f16}) {
    Tensor tensor(Type{dtype, {4}});
    tensor.set(0, 0.1);
    tensor.set(1, nan);
    tensor.set(2, -infinity);
    tensor.set_int(3, 3);
    EXPECT_EQ(tensor.bytes.size(), 8u);
    EXPECT_EQ(element_text(tensor, 0), dtype == DType::bf16 ? "0.100097656" : "0.099975586");
    EXPECT_EQ(element_text(tensor, 1), "nan");
    EXPECT_EQ(element_text(tensor, 2), "-inf");
    EXPECT_EQ(element_text(tensor, 3), "3");
    EXPECT_EQ(tensor.get_int(3), 3);
    EXPECT_TRUE(same_bits(to_storage(to_wide(tensor), dtype), tensor));
  }
  Tensor small(Type{DType::i8, {3}});
  small.set(0, -200);
  small.set_int(1, 255); // wraps, as integers do
  small.set(2, 77.9);
  EXPECT_EQ(element_text(small, 0) + element_text(small, 1) + element_text(small, 2), "-128-177");
  EXPECT_EQ(to_wide(small).type, (Type{DType::i32, {3}}));
  EXPECT_EQ(to_wide(small).get_int(1), -1);
}

std::string refusal(Op op, std::vector<Type> types, const Attrs &attrs = {}) {
  try {
    return type_text(infer_type(op, types, attrs));
  } catch (const std::runtime_error &error) {
    return error.what();
  }
}

TEST(Storage, OpsThatMoveOrMultiplyTakeThem) {
  const Type a{DType::bf16, {2, 3}}, b{DType::f16, {3, 4}}, f{DType::f32, {3, 4}}, i{DType::i8, {2, 3}}, n{DType::i32, {3, 4}};
  EXPECT_EQ(refusal(Op::dot, {a, b}, {.labels = "mk,kn->mn"}), "f32[2,4]");
  EXPECT_EQ(refusal(Op::dot, {a, f}, {.labels = "mk,kn->mn"}), "f32[2,4]");
  EXPECT_EQ(refusal(Op::dot, {i, n}, {.labels = "mk,kn->mn"}), "i32[2,4]");
  EXPECT_EQ(refusal(Op::dot, {i, f}, {.labels = "mk,kn->mn"}), "dot: dtypes differ: i8 and f32");
  EXPECT_EQ(refusal(Op::transpose, {a}, {.axes = {1, 0}}), "bf16[3,2]");
  EXPECT_EQ(refusal(Op::select, {{DType::boolean, {2, 3}}, i, i}), "i8[2,3]");
  EXPECT_EQ(refusal(Op::gather, {a, {DType::i32, {5}}}, {.axis = 0}), "bf16[5,3]");
  EXPECT_EQ(refusal(Op::add, {a, a}), "add: bf16 is for storage only: cast it to f32");
  EXPECT_EQ(refusal(Op::sum, {i}, {.axes = {0}}), "sum: i8 is for storage only: cast it to i32");
  EXPECT_EQ(refusal(Op::eq, {b, b}), "eq: f16 is for storage only: cast it to f32");
}

} // namespace
} // namespace nnc
