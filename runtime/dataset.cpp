// Shuffling and gathering for the training loop. The generator and the shuffle are our own, because those of the C++
// library differ between implementations, and a run must repeat bit for bit everywhere.

#include "runtime/dataset.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <numeric>
#include <utility>

namespace nnc {
namespace {

// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
class Random {
public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  // Uniform below `bound`: the 2^64 mod bound smallest numbers are drawn again, so that each remainder is equally likely.
  uint64_t below(uint64_t bound) {
    uint64_t unfair = -bound % bound;
    uint64_t draw = next();
    while (draw < unfair)
      draw = next();
    return draw % bound;
  }

private:
  uint64_t state_;
};

} // namespace

Dataset::Dataset(std::vector<DataColumn> columns) : columns_(std::move(columns)) {
  for (const DataColumn &column : columns_) {
    const HostTensor &tensor = column.tensor;
    if (tensor.shape.empty())
      throw FileError(column.file,
                      fmt::format("holds a single {}, but `{}` needs one entry for each example", tensor.dtype, column.name));
    const DataColumn &first = columns_.front();
    examples_ = first.tensor.shape[0];
    if (examples_ == 0)
      throw FileError(first.file, fmt::format("holds no examples: it is {}", tensor_type_text(first.tensor)));
    if (tensor.shape[0] != examples_)
      throw FileError(column.file, fmt::format("`{}` has {} examples, but `{}` has {} ({})", column.name, tensor.shape[0],
                                               first.name, examples_, first.file));
    example_bytes_.push_back(tensor.bytes.size() / examples_);
  }
}

void Dataset::gather(size_t column, std::span<const int64_t> examples, void *to) const {
  const std::byte *from = columns_[column].tensor.bytes.data();
  size_t bytes = example_bytes_[column];
  auto *out = static_cast<std::byte *>(to);
  // In a shuffled order each example is a miss of every cache; asking for it a few examples ahead hides most of the wait.
  // Long examples need no help: the hardware sees their pattern.
  size_t ahead = bytes <= 4096 ? 8 : examples.size();
  for (size_t i = 0; i < examples.size(); ++i, out += bytes) {
    if (i + ahead < examples.size())
      for (size_t line = 0; line < bytes; line += 64)
        __builtin_prefetch(from + examples[i + ahead] * bytes + line);
    std::memcpy(out, from + examples[i] * bytes, bytes);
  }
}

std::vector<int64_t> file_order(int64_t examples) {
  std::vector<int64_t> order(examples);
  std::iota(order.begin(), order.end(), 0);
  return order;
}

std::vector<int64_t> shuffled_order(int64_t examples, uint64_t seed, uint64_t epoch) {
  std::vector<int64_t> order = file_order(examples);
  // The epoch's generator starts from a draw, not from seed + epoch: epoch 1 of seed 0 is not epoch 0 of seed 1.
  Random random(Random(seed).next() + epoch);
  for (int64_t i = examples - 1; i > 0; --i)
    std::swap(order[i], order[random.below(i + 1)]);
  return order;
}

Batches::Batches(const Dataset &data, std::vector<int64_t> order, int64_t batch)
    : data_(data), order_(std::move(order)), batch_(batch) {
  for (size_t column = 0; column < data.columns().size(); ++column)
    buffers_.emplace_back((data.example_bytes(column) * batch + sizeof(Line) - 1) / sizeof(Line));
}

bool Batches::next() {
  position_ += count_;
  count_ = std::min<int64_t>(batch_, order_.size() - position_);
  std::span<const int64_t> examples(order_.data() + position_, count_);
  for (size_t column = 0; column < buffers_.size(); ++column)
    data_.gather(column, examples, buffers_[column].data());
  return count_ > 0;
}

} // namespace nnc
