// Datasets: columns that fit together, orders that repeat, and batches that hold the right examples.

#include "runtime/dataset.h"
#include "tests/paths.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>

namespace nnc {
namespace {

// `examples` rows of `width` numbers; number j of row i is 1000 * i + j.
DataColumn column(const std::string &name, int64_t examples, int64_t width) {
  HostTensor tensor{"i32", {examples, width}, std::vector<std::byte>(examples * width * 4)};
  auto *numbers = reinterpret_cast<int32_t *>(tensor.bytes.data());
  for (int64_t i = 0; i < examples * width; ++i)
    numbers[i] = static_cast<int32_t>(1000 * (i / width) + i % width);
  return {name, name + ".npy", tensor};
}

std::string error_of(std::vector<DataColumn> columns) {
  try {
    Dataset data(std::move(columns));
  } catch (const FileError &error) {
    return error.what();
  }
  return "";
}

TEST(Dataset, ColumnsMustFit) {
  EXPECT_EQ(error_of({column("x", 5, 3), column("label", 5, 1)}), "");
  EXPECT_EQ(error_of({column("x", 5, 3), column("label", 4, 1)}), "label.npy: `label` has 4 examples, but `x` has 5 (x.npy)");
  EXPECT_EQ(error_of({column("x", 0, 3)}), "x.npy: holds no examples: it is i32[0,3]");
  EXPECT_EQ(error_of({{"x", "x.npy", {"f32", {}, std::vector<std::byte>(4)}}}),
            "x.npy: holds a single f32, but `x` needs one entry for each example");
}

TEST(Dataset, ShuffledOrderIsAPermutationOfSeedAndEpoch) {
  for (int64_t examples : {1, 2, 10, 60000}) {
    std::vector<int64_t> order = shuffled_order(examples, 1, 0);
    EXPECT_EQ(order, shuffled_order(examples, 1, 0));
    std::sort(order.begin(), order.end());
    EXPECT_EQ(order, file_order(examples));
  }
  EXPECT_NE(shuffled_order(100, 1, 0), shuffled_order(100, 1, 1));
  EXPECT_NE(shuffled_order(100, 1, 0), shuffled_order(100, 2, 0));
  EXPECT_NE(shuffled_order(100, 0, 1), shuffled_order(100, 1, 0));
  // Pinned: a run must repeat on every machine and in every later version.
  EXPECT_EQ(shuffled_order(10, 7, 3), (std::vector<int64_t>{9, 1, 8, 7, 5, 0, 3, 6, 4, 2}));
}

TEST(Dataset, EveryOrderIsEquallyLikely) {
  std::map<std::vector<int64_t>, int> counts;
  for (uint64_t epoch = 0; epoch < 6000; ++epoch)
    ++counts[shuffled_order(3, 5, epoch)];
  ASSERT_EQ(counts.size(), 6u);
  for (const auto &[order, count] : counts)
    EXPECT_NEAR(count, 1000, 150); // five standard deviations
}

TEST(Dataset, BatchesGatherRows) {
  for (int64_t width : {1, 3, 196, 2000}) {
    Dataset data({column("x", 23, width), column("label", 23, 1)});
    std::vector<int64_t> order = shuffled_order(23, 1, 0);
    Batches batches(data, order, 10);
    const void *first_place = batches.column(0);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(first_place) % 64, 0u);
    std::vector<int64_t> seen, counts;
    while (batches.next()) {
      EXPECT_EQ(batches.column(0), first_place);
      EXPECT_EQ(batches.partial(), batches.count() != 10);
      counts.push_back(batches.count());
      auto *x = static_cast<const int32_t *>(batches.column(0)), *label = static_cast<const int32_t *>(batches.column(1));
      for (int64_t i = 0; i < batches.count(); ++i) {
        seen.push_back(label[i] / 1000);
        for (int64_t j = 0; j < width; ++j)
          ASSERT_EQ(x[i * width + j], label[i] + j);
      }
    }
    EXPECT_EQ(seen, order);
    EXPECT_EQ(counts, (std::vector<int64_t>{10, 10, 3}));
    EXPECT_FALSE(batches.next());
  }
}

TEST(Dataset, HoldsTheBundledDigits) {
  const std::string folder = source_dir() + "/data/mnist-subset/";
  for (auto [set, examples] : {std::pair("train", 10000), std::pair("t10k", 2000)}) {
    std::string images = folder + set + "-images-idx3-ubyte.gz", labels = folder + set + "-labels-idx1-ubyte.gz";
    Dataset data({{"x", images, read_tensor(images)}, {"label", labels, read_tensor(labels)}});
    EXPECT_EQ(data.examples(), examples);
    EXPECT_EQ(data.example_bytes(0), 784u);
    std::vector<int> count(10, 0);
    for (std::byte label : data.columns()[1].tensor.bytes)
      ++count.at(static_cast<size_t>(label));
    for (int of_digit : count)
      EXPECT_NEAR(of_digit, examples / 10, examples / 40);
  }
}

} // namespace
} // namespace nnc
