// Recipe gemm: C[m,n] = sum over k of A[m,k] * B[k,n], a tile of accumulators at a time, with the rest of the kernel computed
// on the finished tile. Vectors run along n, scalable ones too; how many columns a panel has and how many panels there are is
// then known at run time only. The tile (rows x vectors) is chosen so that it fills the registers and divides the shape evenly;
// each of B's panels (all k, the tile's columns) is used by all row tiles before the next, and is copied together first where it
// would be read too often from strided memory or lies transposed: when the kernel is compiled, if B is a constant. A is read in
// place, an element at a time for all lanes. Where A does not fit into the second cache, a block of it (some row tiles, part of
// k) is copied together too and used by all panels; sums then wait in memory between the parts of k. Either way the order of
// summation is that of k, on every target and in every grain. An epilogue that is more than a few operations runs row by row
// between pieces of the next tile's product, so that its divisions and loads from memory hide behind multiplications.
//
// Convolutions have several axes of rows and of sums. All rows but the tile's are loops between the panel and its tiles; the
// summed axes are loops in one another that keep the accumulators in registers. Where all of the sum is too much for the caches,
// its outer axes are the parts between which sums wait.
#include "codegen/gemm_shape.h"
#include "codegen/recipes.h"
#include "codegen/transpose.h"

#include <algorithm>

namespace nnc {

namespace {

class GemmRecipe {
public:
  explicit GemmRecipe(const KernelFrame &frame)
      : frame_(frame), kernel_(frame.kernel), b_(frame.b), lanes_(frame.lanes), dot_(kernel_.nodes[kernel_.dot]),
        square_(fixed_lanes(lanes_)), shape_(kernel_, lanes_.target(), lanes_.least_lanes(), lanes_.most_lanes()) {
    panel_columns_ = lanes_.lane_count(shape_.tile.vectors);
    panels_ = b_.CreateUDiv(b_.CreateAdd(b_.getInt64(shape_.n - 1), panel_columns_), panel_columns_);
    auto memory = [&](int64_t offset) { return b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), frame_.scratch, offset); };
    tile_memory_ = frame_.scratch; // a dot has no row homes
    panel_memory_ = memory(shape_.blocking.panel);
    block_memory_ = memory(shape_.blocking.block);
    sums_memory_ = memory(shape_.blocking.sums);
    if (shape_.constant)
      constant_memory_ = frame_.constant(shape_.packed_constant());
    if (shape_.defers)
      deferred_ = frame_.variable(b_.getInt64Ty(), "deferred");
  }

  void emit() {
    clear_partials();
    Cursor top(frame_);
    top.settle(0);
    for_places(frame_, top, 0, kernel_.dot_axes.m.front(), [&](const Cursor &place) { blocks(place); });
  }

private:
  const KernelFrame &frame_;
  const Kernel &kernel_;
  llvm::IRBuilder<> &b_;
  const Lanes &lanes_;
  const KernelNode &dot_;
  const Lanes square_; // for transpositions
  GemmShape shape_;
  llvm::Value *panel_columns_, *panels_; // i64
  llvm::Value *deferred_ = nullptr;      // variable: first row of the tile whose epilogue is still to run, -1: none
  llvm::Value *tile_memory_, *panel_memory_, *block_memory_, *sums_memory_;
  llvm::Value *constant_memory_ = nullptr;

  using Values = std::vector<llvm::Value *>;

  void clear_partials() {
    if (kernel_.grain_axis == shape_.n_axis) {
      auto [from, to] = tiles(shape_.n_axis, panels_);
      auto column = [&](llvm::Value *panel) { return smaller(first_column(panel), b_.getInt64(shape_.n)); };
      frame_.clear_partials(column(from), column(to));
    } else if (kernel_.grain_axis == shape_.m_axis) {
      auto [from, to] = tiles(shape_.m_axis, b_.getInt64(shape_.tile.row_tiles));
      frame_.clear_partials(first_row(from), first_row(to));
    } else {
      auto [from, to] = frame_.range(kernel_.grain_axis);
      frame_.clear_partials(from, to);
    }
  }

  // body(place) at every index of the rows that are not the tile's.
  void outer_rows(const Cursor &outer, size_t level, const std::function<void(const Cursor &)> &body) {
    if (level == shape_.outer_m.size()) {
      body(outer);
      return;
    }
    auto [from, to] = frame_.range(shape_.outer_m[level]);
    frame_.loop(from, to, 1, [&](llvm::Value *index) {
      Cursor place = outer;
      place.enter(shape_.outer_m[level], index);
      place.settle(0);
      outer_rows(place, level + 1, body);
    });
  }

  // The part of `count` tiles along `axis` that this grain does.
  std::pair<llvm::Value *, llvm::Value *> tiles(int axis, llvm::Value *count) const {
    if (kernel_.grains == 1 || axis != kernel_.grain_axis)
      return {b_.getInt64(0), count};
    auto bound = [&](llvm::Value *grain) { return b_.CreateUDiv(b_.CreateMul(grain, count), b_.getInt64(kernel_.grains)); };
    return {bound(frame_.grain), bound(b_.CreateAdd(frame_.grain, b_.getInt64(1)))};
  }

  // What of the summed axis, and which row tiles, are being worked on.
  struct Part {
    llvm::Value *k_from, *k_to;
    llvm::Value *tile_from, *tile_to;
    llvm::Value *first, *last; // i1: of the parts of k; nullptr where there is only one
  };

  void blocks(const Cursor &outer) {
    auto [from, to] = tiles(shape_.m_axis, b_.getInt64(shape_.tile.row_tiles));
    if (!shape_.copies_a) {
      parts(outer, 0, {b_.getInt64(0), b_.getInt64(shape_.k), from, to, nullptr, nullptr});
      return;
    }
    llvm::Value *end = to;
    frame_.loop(from, end, shape_.block_tiles, [&](llvm::Value *tile_from) {
      llvm::Value *tile_to = smaller(b_.CreateAdd(tile_from, b_.getInt64(shape_.block_tiles)), end);
      frame_.loop(b_.getInt64(0), b_.getInt64(shape_.k), shape_.blocking.k_part, [&](llvm::Value *k_from) {
        llvm::Value *k_to = smaller(b_.CreateAdd(k_from, b_.getInt64(shape_.blocking.k_part)), b_.getInt64(shape_.k));
        Part part{k_from, k_to, tile_from, tile_to, nullptr, nullptr};
        if (shape_.blocking.k_part < shape_.k) {
          part.first = b_.CreateICmpEQ(k_from, b_.getInt64(0));
          part.last = b_.CreateICmpEQ(k_to, b_.getInt64(shape_.k));
        }
        pack_block(outer, part);
        panels(outer, part);
      });
    });
  }

  // The panels for every index of the summed axes that are parts.
  void parts(const Cursor &outer, size_t level, const Part &part) {
    if (level == shape_.part_axes) {
      panels(outer, part);
      return;
    }
    const int64_t count = shape_.size(shape_.outer_k[level]);
    frame_.loop(b_.getInt64(0), b_.getInt64(count), 1, [&](llvm::Value *index) {
      Cursor place = outer;
      place.enter(shape_.outer_k[level], index);
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
    auto [from, to] = tiles(shape_.n_axis, panels_);
    llvm::Value *end = to;
    frame_.loop(from, end, shape_.copied_panels, [&](llvm::Value *first) {
      llvm::Value *next = smaller(b_.CreateAdd(first, b_.getInt64(shape_.copied_panels)), end);
      if (shape_.packs && !shape_.constant)
        pack_panels(outer, part, first, next);
      frame_.loop(first, next, 1, [&](llvm::Value *panel) { tiles_of_panel(outer, part, panel, b_.CreateSub(panel, first)); });
    });
  }

  // `copy`: the number of its copy, where panels are copied.
  void tiles_of_panel(const Cursor &outer, const Part &part, llvm::Value *panel, llvm::Value *copy) {
    llvm::Value *column = first_column(panel);
    const Values masks = panel_masks(column);
    llvm::Value *copied = shape_.constant ? constant_panel(outer, part, panel) : copied_panel(copy);
    outer_rows(outer, 0, [&](const Cursor &place) {
      if (shape_.defers)
        b_.CreateStore(b_.getInt64(-1), deferred_);
      row_tiles(
          part,
          [&](llvm::Value *tile, llvm::Value *row, int64_t rows) {
            emit_tile(place, part, tile, row, column, copied, masks, rows);
          },
          [&](int64_t rows) { finish_deferred(place, column, masks, rows); });
    });
  }

  llvm::Value *first_column(llvm::Value *panel) const { return b_.CreateMul(panel, panel_columns_); }
  // Of vector j of a panel, from its first.
  llvm::Value *column_of(int64_t j) const { return j == 0 ? b_.getInt64(0) : lanes_.lane_count(j); }

  // nullptr where all lanes are columns.
  Values panel_masks(llvm::Value *column) const {
    Values masks(shape_.tile.vectors, nullptr);
    if (shape_.ragged)
      for (int64_t j = 0; j < shape_.tile.vectors; ++j)
        masks[j] = lanes_.predicate(b_.CreateAdd(column, column_of(j)), b_.getInt64(shape_.n));
    return masks;
  }

  // The larger row tiles come first.
  llvm::Value *first_row(llvm::Value *tile) const {
    return b_.CreateAdd(b_.CreateMul(tile, b_.getInt64(shape_.tile.rows - 1)), smaller(tile, b_.getInt64(shape_.tile.larger)));
  }

  // body(number, first row, rows) for the row tiles of a part; after(rows) when those of a size are done.
  void row_tiles(
      const Part &part, const std::function<void(llvm::Value *, llvm::Value *, int64_t)> &body,
      const std::function<void(int64_t)> &after = [](int64_t) {}) {
    llvm::Value *change = b_.getInt64(shape_.tile.larger);
    frame_.loop(part.tile_from, smaller(part.tile_to, change), 1,
                [&](llvm::Value *tile) { body(tile, first_row(tile), shape_.tile.rows); });
    after(shape_.tile.rows);
    if (shape_.tile.larger == shape_.tile.row_tiles)
      return;
    frame_.loop(larger(part.tile_from, change), part.tile_to, 1,
                [&](llvm::Value *tile) { body(tile, first_row(tile), shape_.tile.rows - 1); });
    after(shape_.tile.rows - 1);
  }

  llvm::Value *element(DType dtype, llvm::Value *base, llvm::Value *offset) const {
    return lanes_.element_pointer(dtype, base, offset);
  }
  llvm::Value *at_stride(DType dtype, llvm::Value *base, llvm::Value *index, llvm::Value *stride) const {
    return element(dtype, base, b_.CreateMul(index, stride));
  }
  llvm::Value *at_stride(DType dtype, llvm::Value *base, llvm::Value *index, int64_t stride) const {
    return stride == 0 ? base : at_stride(dtype, base, index, b_.getInt64(stride));
  }
  // Of what has the dtype of the dot.
  llvm::Value *element(llvm::Value *base, llvm::Value *offset) const { return element(dot_.dtype, base, offset); }
  llvm::Value *element(llvm::Value *base, llvm::Value *offset, int64_t more) const {
    return element(element(base, offset), b_.getInt64(more));
  }
  llvm::Value *at_stride(llvm::Value *base, llvm::Value *index, llvm::Value *stride) const {
    return at_stride(dot_.dtype, base, index, stride);
  }
  llvm::Value *vector(llvm::Value *base, int64_t j) const { return lanes_.vector_pointer(dot_.dtype, base, j); }
  // Line `line` of panels that lie line by line.
  llvm::Value *panel_line(llvm::Value *base, llvm::Value *line) const { return at_stride(base, line, panel_columns_); }
  void store(llvm::Value *value, llvm::Value *pointer) const { lanes_.store(dot_.dtype, value, pointer); }

  // Copies the columns of panels together: for each [k][columns of the panel], zeros beyond the edge. Several panels at a time,
  // so that memory is read in longer runs; what is left of a row one by one.
  void pack_panels(const Cursor &outer, const Part &part, llvm::Value *first, llvm::Value *next) {
    const Access &access = kernel_.nodes[shape_.b].access;
    auto pack = [&](llvm::Value *panel, int64_t count) {
      llvm::Value *base = at_stride(shape_.b_dtype, outer.address(shape_.b), first_column(panel), access.strides[shape_.n_axis]);
      std::vector<Values> masks;
      for (int64_t p = 0; p < count; ++p)
        masks.push_back(panel_masks(first_column(b_.CreateAdd(panel, b_.getInt64(p)))));
      pack_lines(shape_.part_axes, at_stride(shape_.b_dtype, base, part.k_from, access.strides[shape_.k_axis]),
                 copied_panel(b_.CreateSub(panel, first)), part, first_column(panel), masks);
    };
    llvm::Value *full = b_.CreateICmpEQ(b_.CreateSub(next, first), b_.getInt64(shape_.copied_panels));
    frame_.when(full, [&] { pack(first, shape_.copied_panels); });
    if (shape_.copied_panels > 1)
      frame_.when(b_.CreateNot(full), [&] { frame_.loop(first, next, 1, [&](llvm::Value *panel) { pack(panel, 1); }); });
  }

  // Of the panel with this number among those copied at a time.
  llvm::Value *copied_panel(llvm::Value *number) const {
    return panel_line(panel_memory_, b_.CreateMul(number, b_.getInt64(shape_.blocking.k_part)));
  }

  // The part of a panel that was copied when the kernel was compiled.
  llvm::Value *constant_panel(const Cursor &outer, const Part &part, llvm::Value *panel) const {
    llvm::Value *line = b_.CreateAdd(b_.CreateMul(panel, b_.getInt64(shape_.constant_lines())), part.k_from);
    for (size_t level = 0; level < shape_.part_axes; ++level)
      line = b_.CreateAdd(line, b_.CreateMul(outer.index(shape_.outer_k[level]), b_.getInt64(shape_.packed_lines(level))));
    return panel_line(constant_memory_, line);
  }

  void pack_lines(size_t level, llvm::Value *base, llvm::Value *panel, const Part &part, llvm::Value *column,
                  const std::vector<Values> &masks) {
    const Access &access = kernel_.nodes[shape_.b].access;
    if (level < shape_.outer_k.size()) {
      frame_.loop(b_.getInt64(0), b_.getInt64(shape_.size(shape_.outer_k[level])), 1, [&](llvm::Value *k) {
        pack_lines(level + 1, at_stride(shape_.b_dtype, base, k, access.strides[shape_.outer_k[level]]),
                   panel_line(panel, b_.CreateMul(k, b_.getInt64(shape_.packed_lines(level)))), part, column, masks);
      });
      return;
    }
    int64_t along_k = access.strides[shape_.k_axis], along_n = access.strides[shape_.n_axis];
    llvm::Value *count = b_.CreateSub(part.k_to, part.k_from), *done = b_.getInt64(0);
    if (along_k == 1 && along_n != 1) {
      const int64_t width = square_.least_lanes();
      done = b_.CreateSub(count, b_.CreateURem(count, b_.getInt64(width)));
      frame_.loop(b_.getInt64(0), done, width, [&](llvm::Value *k) {
        each_square([&](llvm::Value *first) {
          // Columns beyond the edge are the last one again; what comes of them is never stored.
          Values lines;
          for (int64_t c = 0; c < width; ++c) {
            llvm::Value *at = b_.CreateAdd(first, b_.getInt64(c));
            if (shape_.ragged)
              at = smaller(at, b_.CreateSub(b_.getInt64(shape_.n - 1), column));
            lines.push_back(
                square_.load(shape_.b_dtype, at_stride(shape_.b_dtype, element(shape_.b_dtype, base, k), at, along_n)));
          }
          transpose(b_, lines);
          for (int64_t r = 0; r < width; ++r)
            square_.store(dot_.dtype, lines[r], element(panel_line(panel, b_.CreateAdd(k, b_.getInt64(r))), first));
        });
      });
    }
    frame_.loop(done, count, 1, [&](llvm::Value *k) {
      llvm::Value *from = at_stride(shape_.b_dtype, base, k, along_k), *to = panel_line(panel, k);
      for (size_t p = 0; p < masks.size(); ++p)
        for (int64_t j = 0; j < shape_.tile.vectors; ++j) {
          llvm::Value *number = b_.getInt64(static_cast<int64_t>(p));
          llvm::Value *line = at_stride(shape_.b_dtype, from, b_.CreateAdd(first_column(number), column_of(j)), along_n);
          llvm::Value *copy = panel_line(to, b_.CreateMul(number, b_.getInt64(shape_.blocking.k_part)));
          store(lanes_.splat(lanes_.load_strided(shape_.b_dtype, line, along_n, masks[p][j])), vector(copy, j));
        }
    });
  }

  // body(first column) for the squares side by side in a panel: one after another where their number is known.
  void each_square(const std::function<void(llvm::Value *)> &body) const {
    if (lanes_.is_scalable())
      frame_.loop(b_.getInt64(0), panel_columns_, square_.least_lanes(), body);
    else
      for (int64_t j = 0; j < shape_.tile.vectors; ++j)
        body(column_of(j));
  }

  // Copies the part's rows of A together: a tile after the other, in each [k][rows of a tile].
  void pack_block(const Cursor &outer, const Part &part) {
    const Access &access = kernel_.nodes[shape_.a].access;
    int64_t along_k = access.strides[shape_.k_axis], along_m = access.strides[shape_.m_axis];
    llvm::Value *count = b_.CreateSub(part.k_to, part.k_from);
    row_tiles(part, [&](llvm::Value *tile, llvm::Value *row, int64_t rows) {
      llvm::Value *base = first_of_a(outer, part, row);
      llvm::Value *to = block_tile(part, tile), *done = b_.getInt64(0);
      const int64_t width = square_.least_lanes(), squares = (rows + width - 1) / width;
      if (along_k == 1 && squares * width <= std::max<int64_t>(width, lanes_.target().vector_registers / 2)) {
        // Whole vectors are stored; what is beyond the tile's rows is overwritten by the next step of k.
        done = b_.CreateSub(count, b_.CreateURem(count, b_.getInt64(width)));
        frame_.loop(b_.getInt64(0), done, width, [&](llvm::Value *k) {
          std::vector<Values> lines(squares);
          for (int64_t s = 0; s < squares; ++s) {
            for (int64_t r = s * width; r < (s + 1) * width; ++r)
              lines[s].push_back(r < rows ? square_.load(shape_.a_dtype, of_a(base, k, 1, r * along_m)) : lines[s][0]);
            transpose(b_, lines[s]);
          }
          for (int64_t r = 0; r < width; ++r)
            for (int64_t s = 0; s < squares; ++s)
              square_.store(dot_.dtype, lines[s][r],
                            element(to, b_.CreateMul(b_.CreateAdd(k, b_.getInt64(r)), b_.getInt64(shape_.tile.rows)), s * width));
        });
      }
      frame_.loop(done, count, 1, [&](llvm::Value *k) {
        for (int64_t r = 0; r < rows; ++r) {
          llvm::Value *one = lanes_.load_uniform(shape_.a_dtype, of_a(base, k, along_k, r * along_m));
          lanes_.with_width(1).store(dot_.dtype, one, element(to, b_.CreateMul(k, b_.getInt64(shape_.tile.rows)), r));
        }
      });
    });
  }

  // Of A where it lies: the first element of a part of k in a row, and the one so many steps and elements on.
  llvm::Value *first_of_a(const Cursor &outer, const Part &part, llvm::Value *row) const {
    const Access &access = kernel_.nodes[shape_.a].access;
    return at_stride(shape_.a_dtype, at_stride(shape_.a_dtype, outer.address(shape_.a), row, access.strides[shape_.m_axis]),
                     part.k_from, access.strides[shape_.k_axis]);
  }
  llvm::Value *of_a(llvm::Value *base, llvm::Value *steps, int64_t step, int64_t more) const {
    return element(shape_.a_dtype, at_stride(shape_.a_dtype, base, steps, step), b_.getInt64(more));
  }

  llvm::Value *block_tile(const Part &part, llvm::Value *tile) const {
    return element(block_memory_,
                   b_.CreateMul(b_.CreateSub(tile, part.tile_from), b_.getInt64(shape_.blocking.k_part * shape_.tile.rows)));
  }

  void emit_tile(const Cursor &outer, const Part &part, llvm::Value *tile, llvm::Value *row, llvm::Value *column,
                 llvm::Value *copied, const Values &masks, int64_t rows) {
    prefetch(outer, part, row, column, rows);
    std::vector<Values> sums = multiply(outer, part, tile, row, column, copied, masks, rows);
    if (shape_.defers) {
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
      if (node.op == Op::arg && index != shape_.a && index != shape_.b && node.access.strides[shape_.m_axis] != 0 &&
          node.access.strides[shape_.n_axis] == 1)
        read.push_back(index);
    }
    auto ask = [&] {
      for (int64_t i = 0; i < rows; ++i) {
        Cursor place = outer;
        place.enter(shape_.m_axis, b_.CreateAdd(row, b_.getInt64(i)));
        place.enter(shape_.n_axis, column);
        for (int index : read)
          for (int64_t byte = 0; byte < shape_.tile.vectors * lanes_.least_lanes() * dtype_size(kernel_.nodes[index].dtype);
               byte += cache_line)
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
    if (shape_.copies_a)
      number = b_.CreateSub(tile, part.tile_from);
    int64_t tiles = shape_.tile.row_tiles;
    for (size_t i = shape_.outer_m.size(); i-- > 0; tiles *= shape_.size(shape_.outer_m[i]))
      number = b_.CreateAdd(number, b_.CreateMul(outer.index(shape_.outer_m[i]), b_.getInt64(tiles)));
    llvm::Value *line = b_.CreateMul(number, first_column(panels_));
    return element(sums_memory_, b_.CreateMul(b_.CreateAdd(line, column), b_.getInt64(shape_.tile.rows)));
  }

  void store_sums(llvm::Value *to, const std::vector<Values> &sums) const {
    for (size_t i = 0; i < sums.size(); ++i)
      for (int64_t j = 0; j < shape_.tile.vectors; ++j)
        store(sums[i][j], vector(to, static_cast<int64_t>(i) * shape_.tile.vectors + j));
  }

  void finish_tile(const Cursor &outer, llvm::Value *row, llvm::Value *column, const Values &masks,
                   const std::vector<Values> &sums) {
    int64_t rows = static_cast<int64_t>(sums.size());
    if (shape_.epilogue_in_registers) {
      std::vector<Cursor> places;
      for (int64_t i = 0; i < rows; ++i) {
        Cursor of_row = outer;
        of_row.enter(shape_.m_axis, b_.CreateAdd(row, b_.getInt64(i)));
        of_row.settle(0);
        for (int64_t j = 0; j < shape_.tile.vectors; ++j) {
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
    of_row.enter(shape_.m_axis, b_.CreateAdd(row, i));
    of_row.settle(0);
    llvm::Value *line = panel_line(tile_memory_, i);
    for (int64_t j = 0; j < shape_.tile.vectors; ++j) {
      Cursor place = of_row;
      finish(place, column, j, masks, lanes_.load(dot_.dtype, vector(line, j)));
      place.store_roots();
    }
  }

  void finish_deferred_row(const Cursor &outer, llvm::Value *i, llvm::Value *column, const Values &masks) {
    llvm::Value *row = b_.CreateLoad(b_.getInt64Ty(), deferred_);
    frame_.when(b_.CreateICmpSGE(row, b_.getInt64(0)), [&] { finish_row(outer, row, i, column, masks); });
  }

  void finish_deferred(const Cursor &outer, llvm::Value *column, const Values &masks, int64_t rows) {
    if (!shape_.defers)
      return;
    frame_.loop(b_.getInt64(0), b_.getInt64(rows), 1, [&](llvm::Value *i) { finish_deferred_row(outer, i, column, masks); });
    b_.CreateStore(b_.getInt64(-1), deferred_);
  }

  // Everything that follows from one vector of finished sums.
  void finish(Cursor &place, llvm::Value *column, int64_t vector, const Values &masks, llvm::Value *sum) {
    place.mask = masks[vector];
    place.enter(shape_.n_axis, b_.CreateAdd(column, column_of(vector)));
    place.set(kernel_.dot, sum);
    place.settle_roots();
  }

  // A loop over a summed axis, and the steps of A and B along it: of B in lines where it is copied.
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
                  sum_loops(loops, level + 1, at_stride(shape_.a_dtype, a, k, loop.a),
                            b_at(b, b_.CreateMul(k, b_.getInt64(loop.b))), body);
                });
  }

  llvm::Value *b_at(llvm::Value *base, llvm::Value *steps) const {
    return shape_.packs ? panel_line(base, steps) : element(base, steps);
  }

  std::vector<Values> multiply(const Cursor &outer, const Part &part, llvm::Value *tile, llvm::Value *row, llvm::Value *column,
                               llvm::Value *copied, const Values &masks, int64_t rows) {
    const Access &a = kernel_.nodes[shape_.a].access, &b = kernel_.nodes[shape_.b].access;
    const DType a_dtype = shape_.copies_a ? dot_.dtype : shape_.a_dtype; // B that is widened is always packed
    llvm::Value *a_base = shape_.copies_a ? block_tile(part, tile) : first_of_a(outer, part, row);
    int64_t a_step = shape_.copies_a ? shape_.tile.rows : a.strides[shape_.k_axis];
    int64_t a_row = shape_.copies_a ? 1 : a.strides[shape_.m_axis];
    llvm::Value *b_base =
        shape_.packs ? copied : at_stride(outer.address(shape_.b), column, b_.getInt64(b.strides[shape_.n_axis]));
    int64_t b_step = shape_.packs ? 1 : b.strides[shape_.k_axis];
    std::vector<Values> variables(rows);
    llvm::Value *zero = lanes_.splat(lanes_.constant(dot_.dtype, 0));
    for (Values &of_row : variables)
      for (int64_t j = 0; j < shape_.tile.vectors; ++j) {
        of_row.push_back(frame_.variable(zero->getType(), "acc"));
        b_.CreateStore(zero, of_row.back());
      }
    if (part.first)
      frame_.when(b_.CreateNot(part.first), [&] {
        llvm::Value *from = sum_tile(outer, part, tile, column);
        for (int64_t i = 0; i < rows; ++i)
          for (int64_t j = 0; j < shape_.tile.vectors; ++j)
            b_.CreateStore(lanes_.load(dot_.dtype, vector(from, i * shape_.tile.vectors + j)), variables[i][j]);
      });
    auto accumulate = [&](llvm::Value *a_column, llvm::Value *b_row) {
      Values columns;
      for (int64_t j = 0; j < shape_.tile.vectors; ++j)
        columns.push_back(lanes_.load(dot_.dtype, vector(b_row, j), shape_.packs ? nullptr : masks[j]));
      for (int64_t i = 0; i < rows; ++i) {
        llvm::Value *from = element(a_dtype, a_column, b_.getInt64(i * a_row));
        llvm::Value *splat = lanes_.splat(lanes_.load_uniform(a_dtype, from));
        for (int64_t j = 0; j < shape_.tile.vectors; ++j) {
          llvm::Value *sum = b_.CreateLoad(zero->getType(), variables[i][j]);
          b_.CreateStore(lanes_.mad(splat, columns[j], sum), variables[i][j]);
        }
      }
    };
    auto step = [&](llvm::Value *k) {
      accumulate(at_stride(a_dtype, a_base, k, a_step), b_at(b_base, b_.CreateMul(k, b_.getInt64(b_step))));
    };
    llvm::Value *count = b_.CreateSub(part.k_to, part.k_from);
    if (shape_.part_axes < shape_.outer_k.size()) {
      std::vector<SumLoop> loops;
      for (size_t i = shape_.part_axes; i < shape_.outer_k.size(); ++i)
        add_loop(loops, {shape_.size(shape_.outer_k[i]), a.strides[shape_.outer_k[i]],
                         shape_.packs ? shape_.packed_lines(i) : b.strides[shape_.outer_k[i]]});
      add_loop(loops, {shape_.k, a_step, b_step});
      sum_loops(loops, 0, a_base, b_base, accumulate);
    } else if (shape_.defers) {
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
