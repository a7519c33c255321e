// DType and Type: what a tensor is made of and how large it is. Layout is no part of a type.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nnc {

enum class DType : uint8_t { f32, f64, u8, i32, i64, boolean, bf16, f16, i8 };
inline constexpr int dtype_count = 9;

std::string_view dtype_name(DType dtype); // "f32", …; boolean is "bool"
std::optional<DType> dtype_from_name(std::string_view name);
int64_t dtype_size(DType dtype); // bytes of one element in memory; bool is one byte, 0 or 1
constexpr bool is_bool(DType d) { return d == DType::boolean; }
constexpr bool is_float(DType d) { return d == DType::f32 || d == DType::f64 || d == DType::bf16 || d == DType::f16; }
constexpr bool is_integer(DType d) { return !is_float(d) && !is_bool(d); }

// bf16, f16 and i8 are for storage: views, gather, dot and casts take them, no arithmetic does. What is computed with is the
// dtype that holds all their numbers exactly; of every other dtype it is that dtype itself.
constexpr DType wide_dtype(DType d) { return d == DType::bf16 || d == DType::f16 ? DType::f32 : d == DType::i8 ? DType::i32 : d; }
constexpr bool is_storage_only(DType d) { return wide_dtype(d) != d; }

using Shape = std::vector<int64_t>;

// Number of elements. Shapes in a module are checked on construction (`checked_type`) so that this cannot overflow.
int64_t element_count(const Shape &shape);
std::string shape_text(const Shape &shape); // "[128,784]"; "[]" for a scalar

// Row-major strides in elements: the last axis has stride 1.
Shape contiguous_strides(const Shape &shape);

struct Type {
  DType dtype = DType::f32;
  Shape shape;

  bool operator==(const Type &) const = default;
  int rank() const { return static_cast<int>(shape.size()); }
  int64_t elements() const { return element_count(shape); }
  int64_t bytes() const { return elements() * dtype_size(dtype); }
};

std::string type_text(const Type &type); // "f32[128,784]"; "f32" for a scalar

// Throws Error when a size is below 0, there are more than 32 axes, or the tensor would need more than 2^47 bytes.
Type checked_type(DType dtype, Shape shape);

} // namespace nnc
