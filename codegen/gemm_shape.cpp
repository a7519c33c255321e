#include "codegen/gemm_shape.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace nnc {

namespace {

// Cycles for one step of k over a tile: two FMAs and two loads a cycle. FMAs take four cycles to finish; a fifth is room for
// what comes late, without which a tile of eight accumulators never catches up.
double step_cost(int64_t rows, int64_t vectors) {
  double fma = static_cast<double>(rows * vectors) / 2, loads = static_cast<double>(rows + vectors) / 2;
  return std::max({fma, loads, 5.0});
}

// The same over the whole matrix.
double tile_cost(const Tile &tile) {
  double larger = static_cast<double>(tile.larger) * step_cost(tile.rows, tile.vectors);
  int64_t smaller_tiles = tile.row_tiles - tile.larger;
  if (smaller_tiles == 0)
    return larger * static_cast<double>(tile.panels);
  double smaller = static_cast<double>(smaller_tiles) * step_cost(tile.rows - 1, tile.vectors);
  return (larger + smaller) * static_cast<double>(tile.panels) * 1.02; // two sizes of tile are two copies of the code
}

Tile choose_tile(int64_t m, int64_t vectors, int64_t registers, int64_t most_rows) {
  Tile best;
  double best_cost = INFINITY;
  for (int64_t nv = 1; nv <= std::min<int64_t>(vectors, 4); ++nv)
    for (int64_t mr = 1; mr <= std::min({(registers - 1 - nv) / nv, m, most_rows}); ++mr) {
      Tile tile;
      tile.vectors = nv;
      tile.panels = (vectors + nv - 1) / nv;
      tile.row_tiles = (m + mr - 1) / mr;
      tile.rows = (m + tile.row_tiles - 1) / tile.row_tiles;
      tile.larger = tile.row_tiles - (tile.rows * tile.row_tiles - m);
      if (double cost = tile_cost(tile); cost <= best_cost) {
        best = tile;
        best_cost = cost;
      }
    }
  return best;
}

} // namespace

// Where lanes are scalable, the tile is chosen for the widest, so that no vectors of it are beyond the columns; it has as many
// accumulators at all widths.
GemmShape::GemmShape(const Kernel &kernel, const Target &target, int64_t least_lanes, int64_t most_lanes)
    : kernel(kernel), a(kernel.nodes[kernel.dot].operands[0]), b(kernel.nodes[kernel.dot].operands[1]),
      a_dtype(kernel.nodes[a].dtype), b_dtype(kernel.nodes[b].dtype), m_axis(kernel.dot_axes.m.back()),
      n_axis(kernel.dot_axes.n.back()), k_axis(kernel.dot_axes.k.back()), m(size(m_axis)), n(size(n_axis)), k(size(k_axis)),
      outer_m(kernel.dot_axes.m.begin(), kernel.dot_axes.m.end() - 1),
      outer_k(kernel.dot_axes.k.begin(), kernel.dot_axes.k.end() - 1), blocking(gemm_blocking(kernel)) {
  const DType dtype = kernel.nodes[kernel.dot].dtype;
  // Rows of A a multiple of 1 kB apart fall into few sets of the first cache: a tile must not ask for more lines than it has.
  const int64_t row_bytes = kernel.nodes[a].access.strides[m_axis] * dtype_size(a_dtype);
  tile = choose_tile(m, (n + most_lanes - 1) / most_lanes, target.vector_registers, row_bytes % 1024 == 0 ? 9 : m);
  const int64_t least_columns = tile.vectors * least_lanes, most_columns = tile.vectors * most_lanes; // of a panel
  ragged = n % most_columns != 0;
  copies_a = blocking.block_rows > 0;
  if (blocking.blocked && !copies_a) {
    part_axes = outer_k.size();
    for (int64_t inside = k; inside < blocking.k_part; inside *= size(outer_k[part_axes]))
      --part_axes;
  }
  // Blocks are whole row tiles, as even as can be; a grain of rows is cut for itself.
  const int64_t range = kernel.grain_axis == m_axis ? (tile.row_tiles + kernel.grains - 1) / kernel.grains : tile.row_tiles;
  const int64_t fitting = std::max<int64_t>(1, blocking.block_rows / tile.rows + 1); // the slot has room for one tile more
  const int64_t blocks = copies_a ? (range + fitting - 1) / fitting : 1;
  block_tiles = (range + blocks - 1) / blocks;
  int64_t around = 1; // how often the tiles of one line of rows are repeated
  for (int axis : outer_m)
    around *= size(axis);
  // A narrow panel is a line here and there, which the processor does not fetch ahead: it pays to copy it sooner.
  const Shape &strides = kernel.nodes[b].access.strides;
  const bool narrow = least_columns * dtype_size(dtype) <= 128;
  const bool often = around * m >= 64 || (narrow && around * tile.row_tiles >= 4);
  packs = copies_a || strides[n_axis] != 1 || b_dtype != dtype || (often && strides[k_axis] != most_columns) ||
          (ragged && !target.has_mask_registers);
  // The slot has room for panels of gemm_panel_step bytes. Where B lies transposed its columns are runs already.
  if (packs && !target.scalable)
    constant = kernel.pointers[kernel.nodes[b].access.pointer].constant.get();
  constant_columns = most_columns;
  if (packs && !constant && strides[n_axis] == 1)
    copied_panels = std::max<int64_t>(1, gemm_panel_step / (most_columns * dtype_size(dtype)));
  int work = 0;
  bool partial = false;
  for (const KernelNode &node : kernel.nodes) {
    work += is_pointwise(node.op) || node.partial;
    partial = partial || node.partial;
  }
  epilogue_in_registers = work <= 3 && !partial;
  defers = !epilogue_in_registers && !blocking.blocked && outer_k.empty() && k >= 8 * tile.rows;
}

int64_t GemmShape::packed_lines(size_t level) const {
  int64_t lines = k;
  for (size_t i = level + 1; i < outer_k.size(); ++i)
    lines *= size(outer_k[i]);
  return lines;
}

Tensor GemmShape::packed_constant() const {
  const Access &access = kernel.nodes[b].access;
  Tensor packed({kernel.nodes[kernel.dot].dtype, {tile.panels * constant_lines() * constant_columns}});
  int64_t to = 0;
  // The elements of a panel in order, `from` being the first of this index of the axes outside.
  std::function<void(size_t, int64_t, int64_t)> panel = [&](size_t level, int64_t from, int64_t columns) {
    const int axis = level < outer_k.size() ? outer_k[level] : k_axis;
    for (int64_t i = 0; i < size(axis); ++i, from += access.strides[axis]) {
      if (level < outer_k.size()) {
        panel(level + 1, from, columns);
        continue;
      }
      for (int64_t c = 0; c < columns; ++c)
        packed.set(to + c, constant->get(from + c * access.strides[n_axis]));
      to += constant_columns;
    }
  };
  for (int64_t column = 0; column < n; column += constant_columns)
    panel(0, access.offset + column * access.strides[n_axis], std::min(constant_columns, n - column));
  return packed;
}

} // namespace nnc
