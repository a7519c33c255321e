// What the formats share: element sizes, the overflow-checked size of a shape, and telling .npy and IDX apart.

#include "runtime/tensor_file.h"

#include <algorithm>
#include <bit>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <limits>

namespace nnc {

static_assert(std::endian::native == std::endian::little, "tensor files hold little-endian elements, read as they are");

size_t dtype_bytes(const std::string &dtype) {
  if (dtype == "u8" || dtype == "i8" || dtype == "bool")
    return 1;
  if (dtype == "bf16" || dtype == "f16")
    return 2;
  if (dtype == "f32" || dtype == "i32")
    return 4;
  if (dtype == "f64" || dtype == "i64")
    return 8;
  return 0;
}

std::string tensor_type_text(const HostTensor &tensor) {
  return tensor.shape.empty() ? tensor.dtype : fmt::format("{}[{}]", tensor.dtype, fmt::join(tensor.shape, ","));
}

uint64_t checked_bytes(const std::string &file, HostTensor &tensor, const std::vector<uint64_t> &sizes) {
  if (sizes.size() > 32)
    throw FileError(file, fmt::format("the shape has {} dimensions, at most 32 are supported", sizes.size()));
  constexpr uint64_t limit = std::numeric_limits<int64_t>::max();
  uint64_t bytes = dtype_bytes(tensor.dtype);
  // A zero size makes the tensor empty, but the product of the others must still be a number we can compute with.
  for (uint64_t size : sizes) {
    if (size > limit || bytes > limit / std::max<uint64_t>(size, 1))
      throw FileError(file, fmt::format("the shape [{}] of {} overflows 64 bits", fmt::join(sizes, ","), tensor.dtype));
    bytes *= std::max<uint64_t>(size, 1);
  }
  tensor.shape.assign(sizes.begin(), sizes.end());
  return std::find(sizes.begin(), sizes.end(), 0) == sizes.end() ? bytes : 0;
}

void check_bools(const std::string &file, const HostTensor &tensor) {
  if (tensor.dtype != "bool")
    return;
  for (size_t i = 0; i < tensor.bytes.size(); ++i)
    if (tensor.bytes[i] > std::byte{1})
      throw FileError(file,
                      fmt::format("element {} of a bool tensor is {}, must be 0 or 1", i, static_cast<int>(tensor.bytes[i])));
}

HostTensor read_tensor(const std::string &name, const Expect &expect) {
  InputFile file(name);
  std::string start = file.peek(2);
  if (start.starts_with('\x93'))
    return read_npy(name, expect);
  if (start == std::string(2, '\0') || start == "\x1f\x8b")
    return read_idx(name, expect);
  file.fail(start.empty() ? "is empty" : "is neither .npy nor IDX, nor gzip-compressed IDX");
}

} // namespace nnc
