// Names, sizes and text of element types and tensor types.
#include "ir/type.h"

#include "ir/error.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace nnc {

namespace {
struct DTypeRow {
  std::string_view name;
  int64_t size;
};
constexpr std::array<DTypeRow, dtype_count> rows = {
    {{"f32", 4}, {"f64", 8}, {"u8", 1}, {"i32", 4}, {"i64", 8}, {"bool", 1}, {"bf16", 2}, {"f16", 2}, {"i8", 1}}};
// What a process can address on the machines we know, and far from any overflow in sums and products of sizes.
constexpr int64_t largest_tensor_bytes = int64_t{1} << 47;
constexpr size_t largest_rank = 32; // kernels keep sets of axes in 64 bits
} // namespace

std::string_view dtype_name(DType dtype) { return rows[static_cast<int>(dtype)].name; }

std::optional<DType> dtype_from_name(std::string_view name) {
  for (int i = 0; i < dtype_count; ++i)
    if (rows[i].name == name)
      return static_cast<DType>(i);
  return std::nullopt;
}

int64_t dtype_size(DType dtype) { return rows[static_cast<int>(dtype)].size; }

int64_t element_count(const Shape &shape) {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

std::string shape_text(const Shape &shape) { return fmt::format("[{}]", fmt::join(shape, ",")); }

Shape contiguous_strides(const Shape &shape) {
  Shape strides(shape.size());
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0; stride *= shape[i])
    strides[i] = stride;
  return strides;
}

std::string type_text(const Type &type) {
  return std::string(dtype_name(type.dtype)) + (type.shape.empty() ? "" : shape_text(type.shape));
}

Type checked_type(DType dtype, Shape shape) {
  if (shape.size() > largest_rank)
    throw Error(fmt::format("{} axes, at most {} are possible", shape.size(), largest_rank));
  __int128 bytes = dtype_size(dtype);
  for (int64_t size : shape) {
    if (size < 0)
      throw Error(fmt::format("size {} in {} is negative", size, shape_text(shape)));
    bytes *= std::max<int64_t>(size, 1); // beside a size of 0 too, so that no product of sizes or strides overflows
    if (bytes > largest_tensor_bytes)
      throw Error(fmt::format("{}{} needs more than 2^47 bytes", dtype_name(dtype), shape_text(shape)));
  }
  return Type{dtype, std::move(shape)};
}

} // namespace nnc
