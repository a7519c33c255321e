// How a product is cut: the tile of accumulators, the panels of B and blocks of A, and which of them are copied. Numbers alone.
#pragma once

#include "codegen/target.h"
#include "ir/kernel.h"

namespace nnc {

struct Tile {
  int64_t rows = 1, vectors = 1; // of accumulators
  int64_t row_tiles = 1;
  int64_t panels = 1; // of the widest vectors there may be
  int64_t larger = 1; // the first row tiles have `rows` rows, the others one less
};

struct GemmShape {
  // Lanes of a vector, at least and at most.
  GemmShape(const Kernel &kernel, const Target &target, int64_t least_lanes, int64_t most_lanes);

  const Kernel &kernel;
  int a, b;               // nodes
  DType a_dtype, b_dtype; // in memory; what is copied together has the dtype of the dot
  int m_axis, n_axis, k_axis;
  int64_t m, n, k; // of the innermost of their kind
  std::vector<int> outer_m, outer_k;
  Tile tile;
  GemmBlocking blocking;
  size_t part_axes = 0;      // so many of outer_k are parts
  bool copies_a = false;     // in blocks
  int64_t block_tiles = 1;   // row tiles of one
  bool packs = false;        // copies panels of B
  int64_t copied_panels = 1; // at a time
  bool ragged = false;       // the last panel has lanes that are no columns
  // B, where its panels are copied when the kernel is compiled, and their columns.
  const Tensor *constant = nullptr;
  int64_t constant_columns = 0;
  bool epilogue_in_registers = false;
  bool defers = false; // the epilogue of a tile runs between pieces of the next tile's product

  int64_t size(int axis) const { return kernel.axes[axis].size; }
  // Lines of a packed panel from one index of outer_k[level] to the next.
  int64_t packed_lines(size_t level) const;
  // Of a panel of all k, as packed_constant has them one after another.
  int64_t constant_lines() const { return outer_k.empty() ? k : packed_lines(0) * size(outer_k[0]); }
  // B's panels in the dtype of the dot, each [outer_k…][k][constant_columns]; columns beyond the edge are 0.
  Tensor packed_constant() const;
};

} // namespace nnc
