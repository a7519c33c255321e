// Tensors in files: NumPy's .npy, the IDX format of MNIST (also gzip-compressed), and .safetensors for weights.
// Every function throws FileError, whose text is `FILE: what is wrong, with both facts`.
#pragma once

#include "runtime/file.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace nnc {

// A tensor in the host's memory: row-major, elements in the host's byte order (little-endian on every target we have),
// bools as bytes 0 and 1. `dtype` is one of f32 f64 u8 i32 i64 bool bf16 f16
// i8; the elements of bf16 and f16 are their 16 bits.
struct HostTensor {
  std::string dtype;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;
};

// Bytes of one element; 0 for a dtype that files cannot hold.
size_t dtype_bytes(const std::string &dtype);

// "f32[128,784]"; a scalar is "f32".
std::string tensor_type_text(const HostTensor &tensor);

// Called with the dtype and the shape that a file has before memory is taken for its data; throws where they do not fit.
using Expect = std::function<void(const HostTensor &header)>;

HostTensor read_npy(const std::string &file, const Expect &expect = nullptr);
void write_npy(const std::string &file, const HostTensor &tensor);

// IDX, or IDX compressed with gzip: told apart by the content, not by the name.
HostTensor read_idx(const std::string &file, const Expect &expect = nullptr);

// .npy or IDX, told apart by the content.
HostTensor read_tensor(const std::string &file, const Expect &expect = nullptr);

struct NamedTensor {
  std::string name;
  HostTensor tensor;
};

struct SafeTensors {
  std::vector<NamedTensor> tensors; // read: in the order of their bytes in the file
  std::map<std::string, std::string> metadata;
};

SafeTensors read_safetensors(const std::string &file);
void write_safetensors(const std::string &file, const SafeTensors &content);

// For the readers: the bytes of a tensor of this shape, or an error where the number overflows, a size is above 2^63-1
// or there are more than 32 of them. `sizes` become `tensor.shape`.
uint64_t checked_bytes(const std::string &file, HostTensor &tensor, const std::vector<uint64_t> &sizes);

// For the readers: bools must be 0 or 1.
void check_bools(const std::string &file, const HostTensor &tensor);

} // namespace nnc
