// Squares of vectors turned about their diagonal. Fixed widths only: shuffles with constant masks. On targets with scalable
// vectors such squares are of `fixed_lanes`.
#pragma once

#include "codegen/lanes.h"

#include <llvm/ADT/SmallVector.h>

#include <utility>
#include <vector>

namespace nnc {

inline Lanes fixed_lanes(const Lanes &lanes) { return lanes.with_width(static_cast<unsigned>(lanes.least_lanes())); }

// The masks that exchange the off-diagonal blocks of `half` lanes of two lines that are `half` apart.
inline std::pair<llvm::SmallVector<int, 64>, llvm::SmallVector<int, 64>> exchange_masks(int64_t width, int64_t half) {
  std::pair<llvm::SmallVector<int, 64>, llvm::SmallVector<int, 64>> masks;
  for (int64_t lane = 0; lane < width; ++lane) {
    bool second = lane & half;
    masks.first.push_back(static_cast<int>(second ? width + lane - half : lane));
    masks.second.push_back(static_cast<int>(second ? width + lane : lane + half));
  }
  return masks;
}

// `lines` are as many vectors as a vector has lanes: lane c of line r becomes lane r of line c. Exchanges blocks of halving
// size, so width 16 takes four rounds of 16 shuffles.
inline void transpose(llvm::IRBuilder<> &b, std::vector<llvm::Value *> &lines) {
  int64_t width = static_cast<int64_t>(lines.size());
  for (int64_t half = width / 2; half > 0; half /= 2) {
    auto [low, high] = exchange_masks(width, half);
    for (int64_t r = 0; r < width; ++r)
      if (!(r & half)) {
        llvm::Value *x = lines[r], *y = lines[r + half];
        lines[r] = b.CreateShuffleVector(x, y, low);
        lines[r + half] = b.CreateShuffleVector(x, y, high);
      }
  }
}

} // namespace nnc
