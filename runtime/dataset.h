// Dataset: examples for training, as named tensors whose first dimension counts them, and the batches of an epoch.
#pragma once

#include "runtime/tensor_file.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace nnc {

// One input of an entry for all examples, and the file it came from.
struct DataColumn {
  std::string name; // of the entry's input
  std::string file;
  HostTensor tensor;
};

class Dataset {
public:
  // FileError if a tensor is a scalar or empty, or the columns differ in their first dimension.
  explicit Dataset(std::vector<DataColumn> columns);

  int64_t examples() const { return examples_; }
  const std::vector<DataColumn> &columns() const { return columns_; }
  size_t example_bytes(size_t column) const { return example_bytes_.at(column); }

  // Copies these examples of a column to `to`, one after the other.
  void gather(size_t column, std::span<const int64_t> examples, void *to) const;

private:
  std::vector<DataColumn> columns_;
  std::vector<size_t> example_bytes_;
  int64_t examples_ = 0;
};

// All numbers below `examples`, in an order that depends on seed and epoch alone: the same on every machine.
std::vector<int64_t> shuffled_order(int64_t examples, uint64_t seed, uint64_t epoch);
// 0, 1, 2, …
std::vector<int64_t> file_order(int64_t examples);

// The examples of an order in batches of equal size; only the last may be smaller.
class Batches {
public:
  Batches(const Dataset &data, std::vector<int64_t> order, int64_t batch);

  // Gathers the next batch; false after the last.
  bool next();

  int64_t count() const { return count_; } // examples in this batch, at most `batch`
  bool partial() const { return count_ < batch_; }
  // `batch` examples of this column, 64-byte aligned, at the same place in every batch; those from `count` on are of an
  // earlier batch, or zero.
  const void *column(size_t i) const { return buffers_.at(i).data(); }

private:
  // 64-byte units: std::vector aligns to its element.
  struct alignas(64) Line {
    std::byte bytes[64];
  };

  const Dataset &data_;
  std::vector<int64_t> order_;
  int64_t batch_;
  int64_t position_ = 0;
  int64_t count_ = 0;
  std::vector<std::vector<Line>> buffers_;
};

} // namespace nnc
