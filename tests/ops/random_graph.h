// Random well-typed functions whose values are tame: each node is evaluated as it is added, and dropped where it is not finite.
#pragma once

#include "tests/ops/ways.h"

namespace nnc {

struct GraphSize {
  int nodes = 30;
  bool large = false;   // axes of hundreds, so that kernels are cut into grains
  bool storage = false; // inputs of bf16, f16 and i8
};

// Elementwise work, views of everything, reductions over any axes, normalisations, dots, masks, loops; several outputs; states
// with next values from themselves, from each other and from views; checks, of which some fail.
Sample random_graph(uint64_t seed, const GraphSize &size);

} // namespace nnc
