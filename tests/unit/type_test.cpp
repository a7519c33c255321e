// Types, tensors and names of ops: sizes that overflow, and what storing a number does to it.
#include "ir/error.h"
#include "ir/op.h"
#include "ir/tensor.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

namespace nnc {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

TEST(Type, TextAndSizes) {
  const Type type{DType::i32, {128, 784}};
  EXPECT_EQ(type_text(type), "i32[128,784]");
  EXPECT_EQ(type_text({DType::boolean, {}}), "bool");
  EXPECT_EQ(type.bytes(), 128 * 784 * 4);
  EXPECT_EQ(contiguous_strides({2, 3, 4}), (Shape{12, 4, 1}));
  for (int i = 0; i < dtype_count; ++i)
    EXPECT_EQ(dtype_from_name(dtype_name(static_cast<DType>(i))), static_cast<DType>(i));
  EXPECT_EQ(dtype_from_name("f3"), std::nullopt);
}

TEST(Type, ImpossibleSizesAreErrors) {
  EXPECT_THROW(checked_type(DType::f32, {1000000, 1000000, 1000000}), Error);
  EXPECT_THROW(checked_type(DType::u8, {std::numeric_limits<int64_t>::max(), 2}), Error);
  EXPECT_THROW(checked_type(DType::u8, {0, std::numeric_limits<int64_t>::max()}), Error);
  EXPECT_THROW(checked_type(DType::u8, {-1}), Error);
  EXPECT_THROW(checked_type(DType::u8, Shape(33, 1)), Error);
  EXPECT_EQ(checked_type(DType::u8, {int64_t{1} << 47}).bytes(), int64_t{1} << 47);
}

TEST(Tensor, StoringRoundsAndSaturates) {
  Tensor f(Type{DType::f32, {2}});
  f.set(0, 0.1);
  EXPECT_EQ(f.get(0), static_cast<double>(0.1f));
  f.set(1, 1e99);
  EXPECT_EQ(f.get(1), infinity);
  // 2^53 + 2^29 + 1 lies just above the middle of two floats; by way of double it would be the middle and round down.
  f.set_int(0, (int64_t{1} << 53) + (int64_t{1} << 29) + 1);
  EXPECT_EQ(f.get(0), std::ldexp(1, 53) + std::ldexp(1, 30));

  const auto kept = [](DType dtype, double value) { return Tensor::filled({dtype, {}}, value).get_int(0); };
  EXPECT_EQ(kept(DType::u8, -0.9), 0);
  EXPECT_EQ(kept(DType::u8, -1), 0);
  EXPECT_EQ(kept(DType::u8, 255.9), 255);
  EXPECT_EQ(kept(DType::u8, infinity), 255);
  EXPECT_EQ(kept(DType::i32, -2.9), -2);
  EXPECT_EQ(kept(DType::i32, -1e10), std::numeric_limits<int32_t>::min());
  EXPECT_EQ(kept(DType::i32, NAN), 0);
  EXPECT_EQ(kept(DType::i64, 9.3e18), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(kept(DType::i64, -infinity), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(kept(DType::boolean, 0.1), 1);
  EXPECT_EQ(Tensor::filled_int({DType::u8, {}}, 257).get_int(0), 1);
  EXPECT_EQ(Tensor::filled_int({DType::i32, {}}, int64_t{1} << 31).get_int(0), std::numeric_limits<int32_t>::min());
}

TEST(Tensor, ElementText) {
  const auto text = [](DType dtype, double value) { return element_text(Tensor::filled({dtype, {}}, value), 0); };
  EXPECT_EQ(text(DType::f32, 0.1), "0.1");
  EXPECT_EQ(text(DType::f64, 0.1f), "0.10000000149011612");
  EXPECT_EQ(text(DType::f32, -0.0), "-0");
  EXPECT_EQ(text(DType::f32, -infinity), "-inf");
  EXPECT_EQ(text(DType::f64, -NAN), "nan");
  EXPECT_EQ(text(DType::boolean, 1), "true");
  EXPECT_EQ(text(DType::i64, -7), "-7");
}

TEST(Tensor, SplatsEqualTheirExpansion) {
  const Tensor splat = Tensor::filled({DType::i32, {3}}, 7), dense = expanded(splat);
  EXPECT_FALSE(dense.splat);
  EXPECT_EQ(dense.get_int(2), 7);
  EXPECT_TRUE(same_bits(splat, dense));
  Tensor other = dense;
  other.set_int(1, 8);
  EXPECT_FALSE(same_bits(splat, other));
  EXPECT_FALSE(same_bits(splat, Tensor::filled({DType::i32, {4}}, 7)));
  EXPECT_FALSE(same_bits(Tensor::filled({DType::f32, {}}, 0), Tensor::filled({DType::f32, {}}, -0.0)));
}

TEST(Op, NamesLeadBack) {
  for (Op op : all_ops()) {
    EXPECT_EQ(op_from_name(op_info(op).name), op);
    EXPECT_NE(family(op), Family::structure);
    EXPECT_FALSE(op_info(op).doc.empty());
  }
  EXPECT_EQ(op_info(Op::dot).name, "dot");
  EXPECT_EQ(op_from_name("fused"), std::nullopt);
}

} // namespace
} // namespace nnc
