// How a product is cut: the tile of accumulators, the panels of B and blocks of A, and which of them are copied. Numbers alone.
#pragma once

#include "codegen/target.h"
#include "ir/kernel.h"

namespace nnc {

struct Tile {
  int64_t rows = 1, vectors = 1; // of accumulators
  int64_t row_tiles = 1, panels = 1;
  int64_t larger = 1; // the first row tiles have `rows` rows, the others one less
};

struct GemmShape {
  // `width`: lanes of a vector.
  GemmShape(const Kernel &kernel, const Target &target, int64_t width);

  const Kernel &kernel;
  int a, b;               // nodes
  DType a_dtype, b_dtype; // in memory; what is copied together has the dtype of the dot
  int m_axis, n_axis, k_axis;
  int64_t m, n, k; // of the innermost of their kind
  std::vector<int> outer_m, outer_k;
  Tile tile;
  GemmBlocking blocking;
  int64_t panel_columns = 0;
  size_t part_axes = 0;             // so many of outer_k are parts
  bool copies_a = false;            // in blocks
  int64_t block_tiles = 1;          // row tiles of one
  bool packs = false;               // copies panels of B
  const Tensor *constant = nullptr; // B, where its panels are copied when the kernel is compiled
  int64_t copied_panels = 1;        // at a time
  bool ragged = false;              // the last panel has lanes that are no columns
  bool epilogue_in_registers = false;
  bool defers = false; // the epilogue of a tile runs between pieces of the next tile's product

  int64_t size(int axis) const { return kernel.axes[axis].size; }
  // In elements: from one index of outer_k[level] in a packed panel to the next; a copied panel.
  int64_t packed_step(size_t level) const;
  int64_t copied_panel_size() const { return panel_columns * blocking.k_part; }
  // A panel of all k, as packed_constant has them one after another.
  int64_t constant_panel_size() const { return outer_k.empty() ? panel_columns * k : packed_step(0) * size(outer_k[0]); }
  // B's panels in the dtype of the dot, each [outer_k…][k][panel_columns]; columns beyond the edge are 0.
  Tensor packed_constant() const;
};

} // namespace nnc
