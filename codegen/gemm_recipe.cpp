// Recipe gemm: C[m,n] = sum over k of A[m,k] * B[k,n], a tile of accumulators at a time, with the rest of the kernel computed
// on the finished tile. Vectors run along n. The tile (rows x vectors) is chosen so that it fills the registers and divides the
// shape evenly; each of B's panels (all k, the tile's columns) is used by all row tiles before the next, and is copied together
// first where it would be read too often from strided memory or lies transposed. A is read in place, an element at a time for
// all lanes. The whole summed axis is one loop, so the order of summation is that of k on every target and in every grain.
#include "codegen/recipes.h"

#include <algorithm>
#include <cmath>

namespace nnc {

namespace {

struct Tile {
  int64_t rows = 1, vectors = 1; // of accumulators
  int64_t row_tiles = 1, panels = 1;
  int64_t larger = 1; // the first row tiles have `rows` rows, the others one less
};

// Cycles for one step of k over the whole matrix: two FMAs and two loads a cycle, FMAs take four cycles to finish.
double tile_cost(const Tile &tile) {
  double fma = static_cast<double>(tile.rows * tile.vectors) / 2, loads = static_cast<double>(tile.rows + tile.vectors) / 2;
  double cycles = std::max({fma, loads, 4.0}) * static_cast<double>(tile.row_tiles * tile.panels);
  return cycles * (tile.larger == tile.row_tiles ? 1 : 1.02); // two sizes of tile are two copies of the code
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

class GemmRecipe {
public:
  explicit GemmRecipe(const KernelFrame &frame)
      : frame_(frame), kernel_(frame.kernel), b_(frame.b), lanes_(frame.lanes), dot_(kernel_.nodes[kernel_.dot]),
        a_(dot_.operands[0]), b_node_(dot_.operands[1]), m_axis_(kernel_.dot_axes.m[0]), n_axis_(kernel_.dot_axes.n[0]),
        k_axis_(kernel_.dot_axes.k[0]), m_(kernel_.axes[m_axis_].size), n_(kernel_.axes[n_axis_].size),
        k_(kernel_.axes[k_axis_].size), width_(lanes_.width().getFixedValue()) {
    // Rows of A a multiple of 1 kB apart fall into few sets of the first cache: a tile must not ask for more lines than it has.
    int64_t row_bytes = kernel_.nodes[a_].access.strides[m_axis_] * dtype_size(dot_.dtype);
    tile_ = choose_tile(m_, (n_ + width_ - 1) / width_, lanes_.target().vector_registers, row_bytes % 1024 == 0 ? 9 : m_);
    panel_columns_ = tile_.vectors * width_;
    ragged_ = n_ % panel_columns_ != 0;
    const Access &b = kernel_.nodes[b_node_].access;
    transposed_ = b.strides[n_axis_] != 1;
    bool strided_often = m_ >= 64 && b.strides[k_axis_] != panel_columns_;
    packs_ = transposed_ || strided_often || (ragged_ && !lanes_.target().has_mask_registers);
    tile_memory_ = frame_.scratch; // a dot has no row homes
    panel_memory_ = b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), frame_.scratch, tile_bytes);
    int work = 0;
    for (const KernelNode &node : kernel_.nodes)
      work += is_elementwise(node.op) || node.partial;
    epilogue_in_registers_ =
        work <= 3 && std::none_of(kernel_.nodes.begin(), kernel_.nodes.end(), [](const KernelNode &n) { return n.partial; });
  }

  void emit() {
    frame_.clear_partials();
    Cursor top(frame_);
    top.settle(0);
    batch_loops(top, 0);
  }

private:
  static constexpr int64_t tile_bytes = 16 * 1024; // as shape_kernel counts it

  const KernelFrame &frame_;
  const Kernel &kernel_;
  llvm::IRBuilder<> &b_;
  const Lanes &lanes_;
  const KernelNode &dot_;
  int a_, b_node_, m_axis_, n_axis_, k_axis_;
  int64_t m_, n_, k_, width_;
  Tile tile_;
  int64_t panel_columns_ = 0;
  bool ragged_ = false, transposed_ = false, packs_ = false, epilogue_in_registers_ = false;
  llvm::Value *tile_memory_, *panel_memory_;

  using Values = std::vector<llvm::Value *>;

  void batch_loops(const Cursor &outer, int axis) {
    if (axis == m_axis_ || axis == n_axis_) {
      panels(outer);
      return;
    }
    auto [from, to] = axis == kernel_.grain_axis
                          ? frame_.grain_range(1)
                          : std::pair<llvm::Value *, llvm::Value *>(b_.getInt64(0), b_.getInt64(kernel_.axes[axis].size));
    frame_.loop(from, to, 1, [&](llvm::Value *index) {
      Cursor cursor = outer;
      cursor.enter(axis, index);
      cursor.settle(0);
      batch_loops(cursor, axis + 1);
    });
  }

  // The part of `count` tiles along `axis` that this grain does.
  std::pair<llvm::Value *, llvm::Value *> tiles(int axis, int64_t count) const {
    if (kernel_.grains == 1 || axis != kernel_.grain_axis)
      return {b_.getInt64(0), b_.getInt64(count)};
    auto bound = [&](llvm::Value *grain) {
      return b_.CreateUDiv(b_.CreateMul(grain, b_.getInt64(count)), b_.getInt64(kernel_.grains));
    };
    return {bound(frame_.grain), bound(b_.CreateAdd(frame_.grain, b_.getInt64(1)))};
  }

  void panels(const Cursor &outer) {
    auto [from, to] = tiles(n_axis_, tile_.panels);
    frame_.loop(from, to, 1, [&](llvm::Value *panel) {
      llvm::Value *column = b_.CreateMul(panel, b_.getInt64(panel_columns_));
      Values masks(tile_.vectors, nullptr);
      if (ragged_)
        for (int64_t j = 0; j < tile_.vectors; ++j)
          masks[j] = lanes_.predicate(b_.CreateAdd(column, b_.getInt64(j * width_)), b_.getInt64(n_));
      if (packs_)
        pack(outer, column, masks);
      row_tiles(outer, column, masks);
    });
  }

  void row_tiles(const Cursor &outer, llvm::Value *column, const Values &masks) {
    auto [from, to] = tiles(m_axis_, tile_.row_tiles);
    llvm::Value *larger = b_.getInt64(tile_.larger);
    auto clamp = [&](llvm::Value *value, bool low) {
      return low ? b_.CreateSelect(b_.CreateICmpSLT(value, larger), value, larger)
                 : b_.CreateSelect(b_.CreateICmpSGT(value, larger), value, larger);
    };
    frame_.loop(from, clamp(to, true), 1, [&](llvm::Value *tile) {
      emit_tile(outer, b_.CreateMul(tile, b_.getInt64(tile_.rows)), column, masks, tile_.rows);
    });
    if (tile_.larger < tile_.row_tiles)
      frame_.loop(clamp(from, false), to, 1, [&](llvm::Value *tile) {
        llvm::Value *row = b_.CreateAdd(b_.CreateMul(tile, b_.getInt64(tile_.rows - 1)), larger);
        emit_tile(outer, row, column, masks, tile_.rows - 1);
      });
  }

  llvm::Value *element(llvm::Value *base, llvm::Value *offset) const { return lanes_.element_pointer(dot_.dtype, base, offset); }
  llvm::Value *at_stride(llvm::Value *base, llvm::Value *index, int64_t stride) const {
    return stride == 0 ? base : element(base, b_.CreateMul(index, b_.getInt64(stride)));
  }

  // Copies the panel's columns together: [k][columns of the panel], zeros beyond the edge.
  void pack(const Cursor &outer, llvm::Value *column, const Values &masks) {
    const Access &access = kernel_.nodes[b_node_].access;
    llvm::Value *base = at_stride(outer.address(b_node_), column, access.strides[n_axis_]);
    int64_t along_k = access.strides[k_axis_], along_n = access.strides[n_axis_];
    int64_t done = 0;
    if (transposed_ && along_k == 1 && !lanes_.is_scalar()) {
      done = k_ / width_ * width_;
      frame_.loop(b_.getInt64(0), b_.getInt64(done), width_, [&](llvm::Value *k) {
        for (int64_t j = 0; j < tile_.vectors; ++j)
          transpose_block(element(base, k), along_n, b_.CreateAdd(column, b_.getInt64(j * width_)), j,
                          element(panel_memory_, b_.CreateMul(k, b_.getInt64(panel_columns_))));
      });
    }
    frame_.loop(b_.getInt64(done), b_.getInt64(k_), 1, [&](llvm::Value *k) {
      llvm::Value *from = at_stride(base, k, along_k), *to = element(panel_memory_, b_.CreateMul(k, b_.getInt64(panel_columns_)));
      for (int64_t j = 0; j < tile_.vectors; ++j) {
        llvm::Value *part = element(from, b_.getInt64(j * width_ * along_n));
        llvm::Value *loaded =
            along_n == 1 ? lanes_.load(dot_.dtype, part, masks[j]) : lanes_.load_strided(dot_.dtype, part, along_n, masks[j]);
        lanes_.store(loaded, element(to, b_.getInt64(j * width_)));
      }
    });
  }

  // A square of width x width elements: rows along k in memory (row c is column c of the panel), stored with k as rows.
  // Columns beyond the edge read the last column again; their values are never stored.
  void transpose_block(llvm::Value *base, int64_t along_n, llvm::Value *column, int64_t vector, llvm::Value *to) {
    Values rows;
    for (int64_t c = 0; c < width_; ++c) {
      llvm::Value *offset = b_.getInt64(vector * width_ + c);
      if (ragged_) {
        llvm::Value *last = b_.CreateSub(b_.getInt64(n_ - 1), b_.CreateSub(column, b_.getInt64(vector * width_)));
        offset = b_.CreateSelect(b_.CreateICmpSLT(offset, last), offset, last);
      }
      rows.push_back(lanes_.load(dot_.dtype, at_stride(base, offset, along_n)));
    }
    // Swap off-diagonal blocks of halving size: width 16 takes four rounds of 16 shuffles.
    for (int64_t half = width_ / 2; half > 0; half /= 2) {
      llvm::SmallVector<int, 64> low, high;
      for (int64_t lane = 0; lane < width_; ++lane) {
        bool second = lane & half;
        low.push_back(static_cast<int>(second ? width_ + lane - half : lane));
        high.push_back(static_cast<int>(second ? width_ + lane : lane + half));
      }
      for (int64_t r = 0; r < width_; ++r)
        if (!(r & half)) {
          llvm::Value *x = rows[r], *y = rows[r + half];
          rows[r] = b_.CreateShuffleVector(x, y, low);
          rows[r + half] = b_.CreateShuffleVector(x, y, high);
        }
    }
    for (int64_t r = 0; r < width_; ++r)
      lanes_.store(rows[r], element(to, b_.getInt64(r * panel_columns_ + vector * width_)));
  }

  void emit_tile(const Cursor &outer, llvm::Value *row, llvm::Value *column, const Values &masks, int64_t rows) {
    std::vector<Values> sums = multiply(outer, row, column, masks, rows);
    if (epilogue_in_registers_) {
      std::vector<Cursor> places;
      for (int64_t i = 0; i < rows; ++i) {
        Cursor of_row = outer;
        of_row.enter(m_axis_, b_.CreateAdd(row, b_.getInt64(i)));
        of_row.settle(0);
        for (int64_t j = 0; j < tile_.vectors; ++j) {
          places.push_back(of_row);
          finish(places.back(), column, j, masks, sums[i][j]);
        }
      }
      for (Cursor &place : places)
        for (const KernelRoot &root : kernel_.roots)
          place.store_root(root);
      return;
    }
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < tile_.vectors; ++j)
        lanes_.store(sums[i][j], element(tile_memory_, b_.getInt64(i * panel_columns_ + j * width_)));
    frame_.loop(b_.getInt64(0), b_.getInt64(rows), 1, [&](llvm::Value *i) {
      Cursor of_row = outer;
      of_row.enter(m_axis_, b_.CreateAdd(row, i));
      of_row.settle(0);
      llvm::Value *line = element(tile_memory_, b_.CreateMul(i, b_.getInt64(panel_columns_)));
      for (int64_t j = 0; j < tile_.vectors; ++j) {
        Cursor place = of_row;
        finish(place, column, j, masks, lanes_.load(dot_.dtype, element(line, b_.getInt64(j * width_))));
        for (const KernelRoot &root : kernel_.roots)
          place.store_root(root);
      }
    });
  }

  // Everything that follows from one vector of finished sums.
  void finish(Cursor &place, llvm::Value *column, int64_t vector, const Values &masks, llvm::Value *sum) {
    place.mask = masks[vector];
    place.enter(n_axis_, b_.CreateAdd(column, b_.getInt64(vector * width_)));
    place.set(kernel_.dot, sum);
    for (const KernelRoot &root : kernel_.roots) {
      const KernelNode &node = kernel_.nodes[root.node];
      place.value(node.partial ? node.operands[0] : root.node);
    }
  }

  std::vector<Values> multiply(const Cursor &outer, llvm::Value *row, llvm::Value *column, const Values &masks, int64_t rows) {
    const Access &a = kernel_.nodes[a_].access, &b = kernel_.nodes[b_node_].access;
    llvm::Value *a_base = at_stride(outer.address(a_), row, a.strides[m_axis_]);
    llvm::Value *b_base = packs_ ? panel_memory_ : at_stride(outer.address(b_node_), column, b.strides[n_axis_]);
    int64_t b_step = packs_ ? panel_columns_ : b.strides[k_axis_];
    std::vector<Values> variables(rows);
    llvm::Value *zero = lanes_.splat(lanes_.constant(dot_.dtype, 0));
    for (Values &of_row : variables)
      for (int64_t j = 0; j < tile_.vectors; ++j) {
        of_row.push_back(frame_.variable(zero->getType(), "acc"));
        b_.CreateStore(zero, of_row.back());
      }
    frame_.loop(b_.getInt64(0), b_.getInt64(k_), 1, [&](llvm::Value *k) {
      llvm::Value *b_row = at_stride(b_base, k, b_step);
      Values columns;
      for (int64_t j = 0; j < tile_.vectors; ++j)
        columns.push_back(lanes_.load(dot_.dtype, element(b_row, b_.getInt64(j * width_)), packs_ ? nullptr : masks[j]));
      llvm::Value *a_column = at_stride(a_base, k, a.strides[k_axis_]);
      for (int64_t i = 0; i < rows; ++i) {
        llvm::Value *splat =
            lanes_.splat(lanes_.load_uniform(dot_.dtype, element(a_column, b_.getInt64(i * a.strides[m_axis_]))));
        for (int64_t j = 0; j < tile_.vectors; ++j) {
          llvm::Value *sum = b_.CreateLoad(zero->getType(), variables[i][j]);
          b_.CreateStore(lanes_.mad(splat, columns[j], sum), variables[i][j]);
        }
      }
    });
    for (Values &of_row : variables)
      for (llvm::Value *&variable : of_row)
        variable = b_.CreateLoad(zero->getType(), variable);
    return variables;
  }
};

} // namespace

void emit_gemm_recipe(const KernelFrame &frame) { GemmRecipe(frame).emit(); }

} // namespace nnc
