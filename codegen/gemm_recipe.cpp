// Recipe gemm: C[m,n] = sum over k of A[m,k] * B[k,n], a tile of accumulators at a time, with the rest of the kernel computed
// on the finished tile. Vectors run along n. The tile (rows x vectors) is chosen so that it fills the registers and divides the
// shape evenly; each of B's panels (all k, the tile's columns) is used by all row tiles before the next, and is copied together
// first where it would be read too often from strided memory or lies transposed. A is read in place, an element at a time for
// all lanes. Where A does not fit into the second cache, a block of it (some row tiles, part of k) is copied together too and
// used by all panels; sums then wait in memory between the parts of k. Either way the order of summation is that of k, on
// every target and in every grain. An epilogue that is more than a few operations runs row by row between pieces of the next
// tile's product, so that its divisions and loads from memory hide behind multiplications.
//
// Convolutions have several axes of rows and of sums. All rows but the tile's are loops between the panel and its tiles; the
// summed axes are loops in one another that keep the accumulators in registers. Where all of the sum is too much for the caches,
// its outer axes are the parts between which sums wait.
#include "codegen/recipes.h"
#include "codegen/transpose.h"

#include <algorithm>
#include <cmath>

namespace nnc {

namespace {

struct Tile {
  int64_t rows = 1, vectors = 1; // of accumulators
  int64_t row_tiles = 1, panels = 1;
  int64_t larger = 1; // the first row tiles have `rows` rows, the others one less
};

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

class GemmRecipe {
public:
  explicit GemmRecipe(const KernelFrame &frame)
      : frame_(frame), kernel_(frame.kernel), b_(frame.b), lanes_(frame.lanes), dot_(kernel_.nodes[kernel_.dot]),
        a_(dot_.operands[0]), b_node_(dot_.operands[1]), a_dtype_(kernel_.nodes[a_].dtype),
        b_dtype_(kernel_.nodes[b_node_].dtype), m_axis_(kernel_.dot_axes.m.back()), n_axis_(kernel_.dot_axes.n.back()),
        k_axis_(kernel_.dot_axes.k.back()), m_(kernel_.axes[m_axis_].size), n_(kernel_.axes[n_axis_].size),
        k_(kernel_.axes[k_axis_].size), width_(lanes_.width().getFixedValue()),
        outer_m_(kernel_.dot_axes.m.begin(), kernel_.dot_axes.m.end() - 1),
        outer_k_(kernel_.dot_axes.k.begin(), kernel_.dot_axes.k.end() - 1) {
    // Rows of A a multiple of 1 kB apart fall into few sets of the first cache: a tile must not ask for more lines than it has.
    int64_t row_bytes = kernel_.nodes[a_].access.strides[m_axis_] * dtype_size(a_dtype_);
    tile_ = choose_tile(m_, (n_ + width_ - 1) / width_, lanes_.target().vector_registers, row_bytes % 1024 == 0 ? 9 : m_);
    panel_columns_ = tile_.vectors * width_;
    ragged_ = n_ % panel_columns_ != 0;
    blocking_ = gemm_blocking(kernel_);
    copies_a_ = blocking_.block_rows > 0;
    part_axes_ = outer_k_.size();
    for (int64_t inside = k_; blocking_.blocked && !copies_a_ && inside < blocking_.k_part; inside *= size(outer_k_[part_axes_]))
      --part_axes_;
    if (!blocking_.blocked || copies_a_)
      part_axes_ = 0;
    // Blocks are whole row tiles, as even as can be; a grain of rows is cut for itself.
    int64_t range = kernel_.grain_axis == m_axis_ ? (tile_.row_tiles + kernel_.grains - 1) / kernel_.grains : tile_.row_tiles;
    int64_t fitting = std::max<int64_t>(1, blocking_.block_rows / tile_.rows + 1); // the slot has room for one tile more
    int64_t blocks = copies_a_ ? (range + fitting - 1) / fitting : 1;
    block_tiles_ = (range + blocks - 1) / blocks;
    const Access &b = kernel_.nodes[b_node_].access;
    int64_t around = 1; // how often the tiles of one line of rows are repeated
    for (int axis : outer_m_)
      around *= size(axis);
    // A narrow panel is a line here and there, which the processor does not fetch ahead: it pays to copy it sooner.
    bool narrow = panel_columns_ * dtype_size(dot_.dtype) <= 128;
    bool often = around * m_ >= 64 || (narrow && around * tile_.row_tiles >= 4);
    packs_ = copies_a_ || b.strides[n_axis_] != 1 || b_dtype_ != dot_.dtype || (often && b.strides[k_axis_] != panel_columns_) ||
             (ragged_ && !lanes_.target().has_mask_registers);
    // The slot has room for panels of gemm_panel_step bytes. Where B lies transposed its columns are runs already.
    if (packs_ && b.strides[n_axis_] == 1)
      copied_panels_ = std::max<int64_t>(1, gemm_panel_step / (panel_columns_ * dtype_size(dot_.dtype)));
    auto memory = [&](int64_t offset) { return b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), frame_.scratch, offset); };
    tile_memory_ = frame_.scratch; // a dot has no row homes
    panel_memory_ = memory(blocking_.panel);
    block_memory_ = memory(blocking_.block);
    sums_memory_ = memory(blocking_.sums);
    int work = 0;
    for (const KernelNode &node : kernel_.nodes)
      work += is_pointwise(node.op) || node.partial;
    epilogue_in_registers_ =
        work <= 3 && std::none_of(kernel_.nodes.begin(), kernel_.nodes.end(), [](const KernelNode &n) { return n.partial; });
    defers_ = !epilogue_in_registers_ && !blocking_.blocked && outer_k_.empty() && k_ >= 8 * tile_.rows;
    if (defers_)
      deferred_ = frame_.variable(b_.getInt64Ty(), "deferred");
  }

  void emit() {
    clear_partials();
    Cursor top(frame_);
    top.settle(0);
    batch_loops(top, 0);
  }

private:
  const KernelFrame &frame_;
  const Kernel &kernel_;
  llvm::IRBuilder<> &b_;
  const Lanes &lanes_;
  const KernelNode &dot_;
  int a_, b_node_;
  DType a_dtype_, b_dtype_; // in memory; what is copied together has the dtype of the dot
  int m_axis_, n_axis_, k_axis_;
  int64_t m_, n_, k_, width_; // of the innermost of their kind
  std::vector<int> outer_m_, outer_k_;
  size_t part_axes_ = 0; // so many of outer_k_ are parts
  bool copies_a_ = false;
  Tile tile_;
  GemmBlocking blocking_;
  int64_t panel_columns_ = 0, block_tiles_ = 1;
  int64_t copied_panels_ = 1; // at a time
  bool ragged_ = false, packs_ = false, epilogue_in_registers_ = false;
  bool defers_ = false;
  llvm::Value *deferred_ = nullptr; // variable: first row of the tile whose epilogue is still to run, -1: none
  llvm::Value *tile_memory_, *panel_memory_, *block_memory_, *sums_memory_;

  using Values = std::vector<llvm::Value *>;

  int64_t size(int axis) const { return kernel_.axes[axis].size; }

  void clear_partials() {
    if (kernel_.grain_axis == n_axis_) {
      auto [from, to] = tiles(n_axis_, tile_.panels);
      auto column = [&](llvm::Value *panel) {
        return smaller(b_.CreateMul(panel, b_.getInt64(panel_columns_)), b_.getInt64(n_));
      };
      frame_.clear_partials(column(from), column(to));
    } else if (kernel_.grain_axis == m_axis_) {
      auto [from, to] = tiles(m_axis_, tile_.row_tiles);
      frame_.clear_partials(first_row(from), first_row(to));
    } else {
      auto [from, to] = frame_.grain_range(1);
      frame_.clear_partials(from, to);
    }
  }

  void batch_loops(const Cursor &outer, int axis) {
    if (axis == kernel_.dot_axes.m.front()) {
      blocks(outer);
      return;
    }
    auto [from, to] = range(axis);
    frame_.loop(from, to, 1, [&](llvm::Value *index) {
      Cursor cursor = outer;
      cursor.enter(axis, index);
      cursor.settle(0);
      batch_loops(cursor, axis + 1);
    });
  }

  // Of an axis around the tiles.
  std::pair<llvm::Value *, llvm::Value *> range(int axis) const {
    if (axis == kernel_.grain_axis)
      return frame_.grain_range(1);
    return {b_.getInt64(0), b_.getInt64(size(axis))};
  }

  // body(place) at every index of the rows that are not the tile's.
  void outer_rows(const Cursor &outer, size_t level, const std::function<void(const Cursor &)> &body) {
    if (level == outer_m_.size()) {
      body(outer);
      return;
    }
    auto [from, to] = range(outer_m_[level]);
    frame_.loop(from, to, 1, [&](llvm::Value *index) {
      Cursor place = outer;
      place.enter(outer_m_[level], index);
      place.settle(0);
      outer_rows(place, level + 1, body);
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

  // What of the summed axis, and which row tiles, are being worked on.
  struct Part {
    llvm::Value *k_from, *k_to;
    llvm::Value *tile_from, *tile_to;
    llvm::Value *first, *last; // i1: of the parts of k; nullptr where there is only one
  };

  void blocks(const Cursor &outer) {
    auto [from, to] = tiles(m_axis_, tile_.row_tiles);
    if (!copies_a_) {
      parts(outer, 0, {b_.getInt64(0), b_.getInt64(k_), from, to, nullptr, nullptr});
      return;
    }
    llvm::Value *end = to;
    frame_.loop(from, end, block_tiles_, [&](llvm::Value *tile_from) {
      llvm::Value *tile_to = smaller(b_.CreateAdd(tile_from, b_.getInt64(block_tiles_)), end);
      frame_.loop(b_.getInt64(0), b_.getInt64(k_), blocking_.k_part, [&](llvm::Value *k_from) {
        llvm::Value *k_to = smaller(b_.CreateAdd(k_from, b_.getInt64(blocking_.k_part)), b_.getInt64(k_));
        Part part{k_from, k_to, tile_from, tile_to, nullptr, nullptr};
        if (blocking_.k_part < k_) {
          part.first = b_.CreateICmpEQ(k_from, b_.getInt64(0));
          part.last = b_.CreateICmpEQ(k_to, b_.getInt64(k_));
        }
        pack_block(outer, part);
        panels(outer, part);
      });
    });
  }

  // The panels for every index of the summed axes that are parts.
  void parts(const Cursor &outer, size_t level, const Part &part) {
    if (level == part_axes_) {
      panels(outer, part);
      return;
    }
    const int64_t count = size(outer_k_[level]);
    frame_.loop(b_.getInt64(0), b_.getInt64(count), 1, [&](llvm::Value *index) {
      Cursor place = outer;
      place.enter(outer_k_[level], index);
      Part inside = part;
      auto both = [&](llvm::Value *so_far, llvm::Value *here) { return so_far ? b_.CreateAnd(so_far, here) : here; };
      inside.first = both(part.first, b_.CreateICmpEQ(index, b_.getInt64(0)));
      inside.last = both(part.last, b_.CreateICmpEQ(index, b_.getInt64(count - 1)));
      parts(place, level + 1, inside);
    });
  }

  llvm::Value *smaller(llvm::Value *x, llvm::Value *y) const { return b_.CreateSelect(b_.CreateICmpSLT(x, y), x, y); }
  llvm::Value *larger(llvm::Value *x, llvm::Value *y) const { return b_.CreateSelect(b_.CreateICmpSGT(x, y), x, y); }

  void panels(const Cursor &outer, const Part &part) {
    auto [from, to] = tiles(n_axis_, tile_.panels);
    llvm::Value *end = to;
    frame_.loop(from, end, copied_panels_, [&](llvm::Value *first) {
      llvm::Value *next = smaller(b_.CreateAdd(first, b_.getInt64(copied_panels_)), end);
      if (packs_)
        pack_panels(outer, part, first, next);
      frame_.loop(first, next, 1, [&](llvm::Value *panel) { tiles_of_panel(outer, part, panel, b_.CreateSub(panel, first)); });
    });
  }

  // `copy`: the number of its copy, where panels are copied.
  void tiles_of_panel(const Cursor &outer, const Part &part, llvm::Value *panel, llvm::Value *copy) {
    llvm::Value *column = first_column(panel);
    const Values masks = panel_masks(column);
    llvm::Value *copied = copied_panel(copy);
    outer_rows(outer, 0, [&](const Cursor &place) {
      if (defers_)
        b_.CreateStore(b_.getInt64(-1), deferred_);
      row_tiles(
          part,
          [&](llvm::Value *tile, llvm::Value *row, int64_t rows) {
            emit_tile(place, part, tile, row, column, copied, masks, rows);
          },
          [&](int64_t rows) { finish_deferred(place, column, masks, rows); });
    });
  }

  llvm::Value *first_column(llvm::Value *panel) const { return b_.CreateMul(panel, b_.getInt64(panel_columns_)); }

  // nullptr where all lanes are columns.
  Values panel_masks(llvm::Value *column) const {
    Values masks(tile_.vectors, nullptr);
    if (ragged_)
      for (int64_t j = 0; j < tile_.vectors; ++j)
        masks[j] = lanes_.predicate(b_.CreateAdd(column, b_.getInt64(j * width_)), b_.getInt64(n_));
    return masks;
  }

  // The larger row tiles come first.
  llvm::Value *first_row(llvm::Value *tile) const {
    return b_.CreateAdd(b_.CreateMul(tile, b_.getInt64(tile_.rows - 1)), smaller(tile, b_.getInt64(tile_.larger)));
  }

  // body(number, first row, rows) for the row tiles of a part; after(rows) when those of a size are done.
  void row_tiles(
      const Part &part, const std::function<void(llvm::Value *, llvm::Value *, int64_t)> &body,
      const std::function<void(int64_t)> &after = [](int64_t) {}) {
    llvm::Value *change = b_.getInt64(tile_.larger);
    frame_.loop(part.tile_from, smaller(part.tile_to, change), 1,
                [&](llvm::Value *tile) { body(tile, first_row(tile), tile_.rows); });
    after(tile_.rows);
    if (tile_.larger == tile_.row_tiles)
      return;
    frame_.loop(larger(part.tile_from, change), part.tile_to, 1,
                [&](llvm::Value *tile) { body(tile, first_row(tile), tile_.rows - 1); });
    after(tile_.rows - 1);
  }

  llvm::Value *element(DType dtype, llvm::Value *base, llvm::Value *offset) const {
    return lanes_.element_pointer(dtype, base, offset);
  }
  llvm::Value *at_stride(DType dtype, llvm::Value *base, llvm::Value *index, int64_t stride) const {
    return stride == 0 ? base : element(dtype, base, b_.CreateMul(index, b_.getInt64(stride)));
  }
  // Of what has the dtype of the dot.
  llvm::Value *element(llvm::Value *base, llvm::Value *offset) const { return element(dot_.dtype, base, offset); }
  llvm::Value *element(llvm::Value *base, llvm::Value *offset, int64_t more) const {
    return element(element(base, offset), b_.getInt64(more));
  }
  llvm::Value *at_stride(llvm::Value *base, llvm::Value *index, int64_t stride) const {
    return at_stride(dot_.dtype, base, index, stride);
  }
  void store(llvm::Value *value, llvm::Value *pointer) const { lanes_.store(dot_.dtype, value, pointer); }

  // Copies the columns of panels together: for each [k][columns of the panel], zeros beyond the edge. Several panels at a time,
  // so that memory is read in longer runs; what is left of a row one by one.
  void pack_panels(const Cursor &outer, const Part &part, llvm::Value *first, llvm::Value *next) {
    const Access &access = kernel_.nodes[b_node_].access;
    auto pack = [&](llvm::Value *panel, int64_t count) {
      llvm::Value *base = at_stride(b_dtype_, outer.address(b_node_), first_column(panel), access.strides[n_axis_]);
      std::vector<Values> masks;
      for (int64_t p = 0; p < count; ++p)
        masks.push_back(panel_masks(first_column(b_.CreateAdd(panel, b_.getInt64(p)))));
      pack_lines(part_axes_, at_stride(b_dtype_, base, part.k_from, access.strides[k_axis_]),
                 copied_panel(b_.CreateSub(panel, first)), part, first_column(panel), masks);
    };
    llvm::Value *full = b_.CreateICmpEQ(b_.CreateSub(next, first), b_.getInt64(copied_panels_));
    frame_.when(full, [&] { pack(first, copied_panels_); });
    if (copied_panels_ > 1)
      frame_.when(b_.CreateNot(full), [&] { frame_.loop(first, next, 1, [&](llvm::Value *panel) { pack(panel, 1); }); });
  }

  // Of the panel with this number among those copied at a time.
  llvm::Value *copied_panel(llvm::Value *number) const { return at_stride(panel_memory_, number, copied_panel_size()); }
  int64_t copied_panel_size() const { return panel_columns_ * blocking_.k_part; }

  // From one index of outer_k_[level] in the packed panel to the next, in elements.
  int64_t packed_step(size_t level) const {
    int64_t step = panel_columns_ * k_;
    for (size_t i = level + 1; i < outer_k_.size(); ++i)
      step *= size(outer_k_[i]);
    return step;
  }

  void pack_lines(size_t level, llvm::Value *base, llvm::Value *panel, const Part &part, llvm::Value *column,
                  const std::vector<Values> &masks) {
    const Access &access = kernel_.nodes[b_node_].access;
    if (level < outer_k_.size()) {
      frame_.loop(b_.getInt64(0), b_.getInt64(size(outer_k_[level])), 1, [&](llvm::Value *k) {
        pack_lines(level + 1, at_stride(b_dtype_, base, k, access.strides[outer_k_[level]]),
                   at_stride(panel, k, packed_step(level)), part, column, masks);
      });
      return;
    }
    int64_t along_k = access.strides[k_axis_], along_n = access.strides[n_axis_];
    llvm::Value *count = b_.CreateSub(part.k_to, part.k_from), *done = b_.getInt64(0);
    if (along_k == 1 && along_n != 1) {
      done = b_.CreateSub(count, b_.CreateURem(count, b_.getInt64(width_)));
      frame_.loop(b_.getInt64(0), done, width_, [&](llvm::Value *k) {
        for (int64_t j = 0; j < tile_.vectors; ++j) {
          // Columns beyond the edge are the last one again; what comes of them is never stored.
          Values lines;
          for (int64_t c = 0; c < width_; ++c) {
            llvm::Value *at = b_.getInt64(j * width_ + c);
            if (ragged_)
              at = smaller(at, b_.CreateSub(b_.getInt64(n_ - 1), column));
            lines.push_back(lanes_.load(b_dtype_, at_stride(b_dtype_, element(b_dtype_, base, k), at, along_n)));
          }
          transpose(b_, lines);
          for (int64_t r = 0; r < width_; ++r)
            store(lines[r],
                  element(panel, b_.CreateMul(b_.CreateAdd(k, b_.getInt64(r)), b_.getInt64(panel_columns_)), j * width_));
        }
      });
    }
    frame_.loop(done, count, 1, [&](llvm::Value *k) {
      llvm::Value *from = at_stride(b_dtype_, base, k, along_k),
                  *to = element(panel, b_.CreateMul(k, b_.getInt64(panel_columns_)));
      for (size_t p = 0; p < masks.size(); ++p)
        for (int64_t j = 0; j < tile_.vectors; ++j) {
          const int64_t number = static_cast<int64_t>(p);
          llvm::Value *line = element(b_dtype_, from, b_.getInt64((number * panel_columns_ + j * width_) * along_n));
          store(lanes_.splat(lanes_.load_strided(b_dtype_, line, along_n, masks[p][j])),
                element(to, b_.getInt64(number * copied_panel_size() + j * width_)));
        }
    });
  }

  // Copies the part's rows of A together: a tile after the other, in each [k][rows of a tile].
  void pack_block(const Cursor &outer, const Part &part) {
    const Access &access = kernel_.nodes[a_].access;
    int64_t along_k = access.strides[k_axis_], along_m = access.strides[m_axis_];
    llvm::Value *count = b_.CreateSub(part.k_to, part.k_from);
    row_tiles(part, [&](llvm::Value *tile, llvm::Value *row, int64_t rows) {
      llvm::Value *base = first_of_a(outer, part, row);
      llvm::Value *to = block_tile(part, tile), *done = b_.getInt64(0);
      if (along_k == 1 && rows <= width_) {
        // Whole vectors are stored; what is beyond the tile's rows is overwritten by the next step of k.
        done = b_.CreateSub(count, b_.CreateURem(count, b_.getInt64(width_)));
        frame_.loop(b_.getInt64(0), done, width_, [&](llvm::Value *k) {
          Values lines;
          for (int64_t r = 0; r < width_; ++r)
            lines.push_back(r < rows ? lanes_.load(a_dtype_, of_a(base, k, 1, r * along_m)) : lines[0]);
          transpose(b_, lines);
          for (int64_t r = 0; r < width_; ++r)
            store(lines[r], element(to, b_.CreateMul(b_.CreateAdd(k, b_.getInt64(r)), b_.getInt64(tile_.rows))));
        });
      }
      frame_.loop(done, count, 1, [&](llvm::Value *k) {
        for (int64_t r = 0; r < rows; ++r) {
          llvm::Value *one = lanes_.load_uniform(a_dtype_, of_a(base, k, along_k, r * along_m));
          lanes_.with_width(1).store(dot_.dtype, one, element(to, b_.CreateMul(k, b_.getInt64(tile_.rows)), r));
        }
      });
    });
  }

  // Of A where it lies: the first element of a part of k in a row, and the one so many steps and elements on.
  llvm::Value *first_of_a(const Cursor &outer, const Part &part, llvm::Value *row) const {
    const Access &access = kernel_.nodes[a_].access;
    return at_stride(a_dtype_, at_stride(a_dtype_, outer.address(a_), row, access.strides[m_axis_]), part.k_from,
                     access.strides[k_axis_]);
  }
  llvm::Value *of_a(llvm::Value *base, llvm::Value *steps, int64_t step, int64_t more) const {
    return element(a_dtype_, at_stride(a_dtype_, base, steps, step), b_.getInt64(more));
  }

  llvm::Value *block_tile(const Part &part, llvm::Value *tile) const {
    return element(block_memory_, b_.CreateMul(b_.CreateSub(tile, part.tile_from), b_.getInt64(blocking_.k_part * tile_.rows)));
  }

  void emit_tile(const Cursor &outer, const Part &part, llvm::Value *tile, llvm::Value *row, llvm::Value *column,
                 llvm::Value *copied, const Values &masks, int64_t rows) {
    prefetch(outer, part, row, column, rows);
    std::vector<Values> sums = multiply(outer, part, tile, row, column, copied, masks, rows);
    if (defers_) {
      store_sums(tile_memory_, sums);
      b_.CreateStore(row, deferred_);
      return;
    }
    if (!part.last) {
      finish_tile(outer, row, column, masks, sums);
      return;
    }
    frame_.when(part.last, [&] { finish_tile(outer, row, column, masks, sums); });
    frame_.when(b_.CreateNot(part.last), [&] { store_sums(sum_tile(outer, part, tile, column), sums); });
  }

  // What the epilogue reads lies in rows far apart; it is asked for before the product, which hides the wait.
  void prefetch(const Cursor &outer, const Part &part, llvm::Value *row, llvm::Value *column, int64_t rows) const {
    std::vector<int> read;
    for (size_t n = 0; n < kernel_.nodes.size(); ++n) {
      const KernelNode &node = kernel_.nodes[n];
      int index = static_cast<int>(n);
      if (node.op == Op::arg && index != a_ && index != b_node_ && node.access.strides[m_axis_] != 0 &&
          node.access.strides[n_axis_] == 1)
        read.push_back(index);
    }
    auto ask = [&] {
      for (int64_t i = 0; i < rows; ++i) {
        Cursor place = outer;
        place.enter(m_axis_, b_.CreateAdd(row, b_.getInt64(i)));
        place.enter(n_axis_, column);
        for (int index : read)
          for (int64_t byte = 0; byte < panel_columns_ * dtype_size(kernel_.nodes[index].dtype); byte += cache_line)
            lanes_.prefetch(b_.CreateConstGEP1_64(b_.getInt8Ty(), place.address(index), byte));
      }
    };
    if (read.empty())
      return;
    if (part.last)
      frame_.when(part.last, ask);
    else
      ask();
  }

  // Memory for the sums of a tile between parts of k.
  llvm::Value *sum_tile(const Cursor &outer, const Part &part, llvm::Value *tile, llvm::Value *column) const {
    llvm::Value *number = tile;
    if (copies_a_)
      number = b_.CreateSub(tile, part.tile_from);
    int64_t tiles = tile_.row_tiles;
    for (size_t i = outer_m_.size(); i-- > 0; tiles *= size(outer_m_[i]))
      number = b_.CreateAdd(number, b_.CreateMul(outer.index(outer_m_[i]), b_.getInt64(tiles)));
    llvm::Value *line = b_.CreateMul(number, b_.getInt64(tile_.panels * panel_columns_));
    return element(sums_memory_, b_.CreateMul(b_.CreateAdd(line, column), b_.getInt64(tile_.rows)));
  }

  void store_sums(llvm::Value *to, const std::vector<Values> &sums) const {
    for (size_t i = 0; i < sums.size(); ++i)
      for (int64_t j = 0; j < tile_.vectors; ++j)
        store(sums[i][j], element(to, b_.getInt64(static_cast<int64_t>(i) * panel_columns_ + j * width_)));
  }

  void finish_tile(const Cursor &outer, llvm::Value *row, llvm::Value *column, const Values &masks,
                   const std::vector<Values> &sums) {
    int64_t rows = static_cast<int64_t>(sums.size());
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
        place.store_roots();
      return;
    }
    store_sums(tile_memory_, sums);
    frame_.loop(b_.getInt64(0), b_.getInt64(rows), 1, [&](llvm::Value *i) { finish_row(outer, row, i, column, masks); });
  }

  // The epilogue of row i of the tile whose sums are in memory.
  void finish_row(const Cursor &outer, llvm::Value *row, llvm::Value *i, llvm::Value *column, const Values &masks) {
    Cursor of_row = outer;
    of_row.enter(m_axis_, b_.CreateAdd(row, i));
    of_row.settle(0);
    llvm::Value *line = element(tile_memory_, b_.CreateMul(i, b_.getInt64(panel_columns_)));
    for (int64_t j = 0; j < tile_.vectors; ++j) {
      Cursor place = of_row;
      finish(place, column, j, masks, lanes_.load(dot_.dtype, element(line, b_.getInt64(j * width_))));
      place.store_roots();
    }
  }

  void finish_deferred_row(const Cursor &outer, llvm::Value *i, llvm::Value *column, const Values &masks) {
    llvm::Value *row = b_.CreateLoad(b_.getInt64Ty(), deferred_);
    frame_.when(b_.CreateICmpSGE(row, b_.getInt64(0)), [&] { finish_row(outer, row, i, column, masks); });
  }

  void finish_deferred(const Cursor &outer, llvm::Value *column, const Values &masks, int64_t rows) {
    if (!defers_)
      return;
    frame_.loop(b_.getInt64(0), b_.getInt64(rows), 1, [&](llvm::Value *i) { finish_deferred_row(outer, i, column, masks); });
    b_.CreateStore(b_.getInt64(-1), deferred_);
  }

  // Everything that follows from one vector of finished sums.
  void finish(Cursor &place, llvm::Value *column, int64_t vector, const Values &masks, llvm::Value *sum) {
    place.mask = masks[vector];
    place.enter(n_axis_, b_.CreateAdd(column, b_.getInt64(vector * width_)));
    place.set(kernel_.dot, sum);
    place.settle_roots();
  }

  // A loop over a summed axis, and the steps of A and B along it.
  struct SumLoop {
    int64_t size, a, b;
  };

  // Inside the last loop; one with it where the steps allow.
  static void add_loop(std::vector<SumLoop> &loops, SumLoop loop) {
    if (!loops.empty() && loops.back().a == loop.a * loop.size && loops.back().b == loop.b * loop.size)
      loops.back() = {loops.back().size * loop.size, loop.a, loop.b};
    else
      loops.push_back(loop);
  }

  void sum_loops(const std::vector<SumLoop> &loops, size_t level, llvm::Value *a, llvm::Value *b,
                 const std::function<void(llvm::Value *, llvm::Value *)> &body) {
    if (level == loops.size()) {
      body(a, b);
      return;
    }
    const SumLoop &loop = loops[level];
    frame_.loop(b_.getInt64(0), b_.getInt64(loop.size), 1,
                [&](llvm::Value *k) { // A is where it lies: it has one summed axis if copied
                  sum_loops(loops, level + 1, at_stride(a_dtype_, a, k, loop.a), at_stride(b, k, loop.b), body);
                });
  }

  std::vector<Values> multiply(const Cursor &outer, const Part &part, llvm::Value *tile, llvm::Value *row, llvm::Value *column,
                               llvm::Value *copied, const Values &masks, int64_t rows) {
    const Access &a = kernel_.nodes[a_].access, &b = kernel_.nodes[b_node_].access;
    const DType a_dtype = copies_a_ ? dot_.dtype : a_dtype_; // B that is widened is always packed
    llvm::Value *a_base = copies_a_ ? block_tile(part, tile) : first_of_a(outer, part, row);
    int64_t a_step = copies_a_ ? tile_.rows : a.strides[k_axis_];
    int64_t a_row = copies_a_ ? 1 : a.strides[m_axis_];
    llvm::Value *b_base = packs_ ? copied : at_stride(outer.address(b_node_), column, b.strides[n_axis_]);
    int64_t b_step = packs_ ? panel_columns_ : b.strides[k_axis_];
    std::vector<Values> variables(rows);
    llvm::Value *zero = lanes_.splat(lanes_.constant(dot_.dtype, 0));
    for (Values &of_row : variables)
      for (int64_t j = 0; j < tile_.vectors; ++j) {
        of_row.push_back(frame_.variable(zero->getType(), "acc"));
        b_.CreateStore(zero, of_row.back());
      }
    if (part.first)
      frame_.when(b_.CreateNot(part.first), [&] {
        llvm::Value *from = sum_tile(outer, part, tile, column);
        for (int64_t i = 0; i < rows; ++i)
          for (int64_t j = 0; j < tile_.vectors; ++j)
            b_.CreateStore(lanes_.load(dot_.dtype, element(from, b_.getInt64(i * panel_columns_ + j * width_))), variables[i][j]);
      });
    auto accumulate = [&](llvm::Value *a_column, llvm::Value *b_row) {
      Values columns;
      for (int64_t j = 0; j < tile_.vectors; ++j)
        columns.push_back(lanes_.load(dot_.dtype, element(b_row, b_.getInt64(j * width_)), packs_ ? nullptr : masks[j]));
      for (int64_t i = 0; i < rows; ++i) {
        llvm::Value *from = element(a_dtype, a_column, b_.getInt64(i * a_row));
        llvm::Value *splat = lanes_.splat(lanes_.load_uniform(a_dtype, from));
        for (int64_t j = 0; j < tile_.vectors; ++j) {
          llvm::Value *sum = b_.CreateLoad(zero->getType(), variables[i][j]);
          b_.CreateStore(lanes_.mad(splat, columns[j], sum), variables[i][j]);
        }
      }
    };
    auto step = [&](llvm::Value *k) { accumulate(at_stride(a_dtype, a_base, k, a_step), at_stride(b_base, k, b_step)); };
    llvm::Value *count = b_.CreateSub(part.k_to, part.k_from);
    if (part_axes_ < outer_k_.size()) {
      std::vector<SumLoop> loops;
      for (size_t i = part_axes_; i < outer_k_.size(); ++i)
        add_loop(loops, {size(outer_k_[i]), a.strides[outer_k_[i]], packs_ ? packed_step(i) : b.strides[outer_k_[i]]});
      add_loop(loops, {k_, a_step, b_step});
      sum_loops(loops, 0, a_base, b_base, accumulate);
    } else if (defers_) {
      auto bound = [&](llvm::Value *i) { return b_.CreateUDiv(b_.CreateMul(i, count), b_.getInt64(rows)); };
      frame_.loop(b_.getInt64(0), b_.getInt64(rows), 1, [&](llvm::Value *i) {
        frame_.loop(bound(i), bound(b_.CreateAdd(i, b_.getInt64(1))), 1, step);
        finish_deferred_row(outer, i, column, masks);
      });
    } else {
      frame_.loop(b_.getInt64(0), count, 1, step);
    }
    for (Values &of_row : variables)
      for (llvm::Value *&variable : of_row)
        variable = b_.CreateLoad(zero->getType(), variable);
    return variables;
  }
};

} // namespace

void emit_gemm_recipe(const KernelFrame &frame) { GemmRecipe(frame).emit(); }

} // namespace nnc
