// What comes of a call of an entry, how two of them are compared, and which files are run: shared by the tests that run whole
// models in several ways.
#pragma once

#include "tools/engine.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace nnc {

using Buffers = std::vector<std::vector<std::byte>>;

struct Outcome {
  int32_t code = NNC_OK;
  std::string said; // where it is not NNC_OK
  Buffers outputs;
  std::vector<std::byte> state; // after the call
};

Outcome call(Engine &engine, const std::string &name, const Buffers &given);

// Up to rounding beside the largest element, states (`trained`) to ten times of it: Adam's step is the quotient of two tiny
// numbers. Where a value hangs on the sign of another, rounding is not all there is: one element in 10,000 may be off by a
// hundred times as much.
void expect_near(const Engine &engine, const std::string &entry, const Outcome &actual, const Outcome &expected);

// `init` first, then the others in their order, twice: again with the state that the first round left.
std::vector<std::string> calls_of(const Model &model);

// Many layers with batch_norm over two images: an activation that rounds to the other side of 0, as happens where sums are
// taken in another order, moves every gradient by more than rounding, and Adam, which divides by their size, makes whole steps
// of that. In f32 such models agree with the interpreters in what they predict, not in how they train.
bool is_deep(const std::string &file);

// Figures for --set. Whole batches of images and texts would keep the interpreters busy for minutes.
std::vector<std::pair<std::string, std::string>> smaller(const std::string &file);

std::vector<std::string> files_in(const std::vector<std::string> &folders); // .nn, of the tree
std::string test_name(const testing::TestParamInfo<std::string> &info);

} // namespace nnc
