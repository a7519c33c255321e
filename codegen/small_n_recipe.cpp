// Recipe small_n: a product with few columns, C[m,n] = sum over k of A[m,k] * B[k,n] with n accumulators in the registers. A tile
// of accumulators along n would leave many lanes empty; here vectors run along k instead, one accumulator for each element of a
// few rows of C, and the lanes of a row's accumulators are summed into vectors of columns at the end, on which the rest of the
// kernel is computed. B must lie with k innermost; otherwise it is copied so once for every grain. It is small.
//
// Lanes are of a fixed width, since they are summed by shuffles: on SVE, too, those of NEON.
#include "codegen/recipes.h"
#include "codegen/transpose.h"

#include <algorithm>

namespace nnc {

namespace {

class SmallNRecipe {
public:
  explicit SmallNRecipe(const KernelFrame &frame)
      : frame_(frame), kernel_(frame.kernel), b_(frame.b), lanes_(frame.lanes), dot_(kernel_.nodes[kernel_.dot]),
        a_(dot_.operands[0]), b_node_(dot_.operands[1]), a_dtype_(kernel_.nodes[a_].dtype),
        b_dtype_(kernel_.nodes[b_node_].dtype), m_axis_(kernel_.dot_axes.m[0]), n_axis_(kernel_.dot_axes.n[0]),
        k_axis_(kernel_.dot_axes.k[0]), m_(kernel_.axes[m_axis_].size), n_(kernel_.axes[n_axis_].size),
        k_(kernel_.axes[k_axis_].size), width_(lanes_.width().getFixedValue()) {
    // Accumulators, a vector of A for each row, one of B.
    rows_ = std::clamp<int64_t>((lanes_.target().vector_registers - 2) / (n_ + 1), 1, m_);
    packs_ = kernel_.nodes[b_node_].access.strides[k_axis_] != 1 || b_dtype_ != dot_.dtype;
    column_step_ = packs_ ? (k_ + width_ - 1) / width_ * width_ : kernel_.nodes[b_node_].access.strides[n_axis_];
  }

  void emit() {
    auto [from, to] = frame_.range(kernel_.grain_axis);
    frame_.clear_partials(from, to);
    Cursor top(frame_);
    top.settle(0);
    for_places(frame_, top, 0, m_axis_, [&](const Cursor &place) { matrix(place); });
  }

private:
  const KernelFrame &frame_;
  const Kernel &kernel_;
  llvm::IRBuilder<> &b_;
  const Lanes &lanes_;
  const KernelNode &dot_;
  int a_, b_node_;
  DType a_dtype_, b_dtype_; // in memory; a copy of B has the dtype of the dot
  int m_axis_, n_axis_, k_axis_;
  int64_t m_, n_, k_, width_;
  int64_t rows_ = 1;        // of C at once
  int64_t column_step_ = 0; // from a column of B to the next, in elements
  bool packs_ = false;

  using Values = std::vector<llvm::Value *>;

  void matrix(const Cursor &outer) {
    llvm::Value *columns = outer.address(b_node_);
    if (packs_) {
      pack(columns);
      columns = frame_.scratch;
    }
    auto [from, to] = frame_.range(m_axis_);
    llvm::Value *whole = b_.CreateSub(to, b_.CreateURem(b_.CreateSub(to, from), b_.getInt64(rows_)));
    frame_.loop(from, whole, rows_, [&](llvm::Value *row) { rows(outer, row, rows_, columns); });
    if (rows_ > 1)
      frame_.loop(whole, to, 1, [&](llvm::Value *row) { rows(outer, row, 1, columns); });
  }

  llvm::Value *at(DType dtype, llvm::Value *base, llvm::Value *offset) const {
    return lanes_.element_pointer(dtype, base, offset);
  }
  llvm::Value *at(llvm::Value *base, llvm::Value *offset) const { return at(dot_.dtype, base, offset); }
  llvm::Value *at(llvm::Value *base, int64_t offset) const { return at(base, b_.getInt64(offset)); }

  // Copies B with k innermost, a column after the other, zeros up to a whole vector.
  void pack(llvm::Value *base) {
    const Access &access = kernel_.nodes[b_node_].access;
    int64_t along_k = access.strides[k_axis_], along_n = access.strides[n_axis_];
    int64_t whole = k_ / width_ * width_;
    auto square = [&](llvm::Value *k, int64_t count, int64_t column) {
      llvm::Value *mask = columns_mask(column);
      Values lines;
      for (int64_t r = 0; r < width_; ++r) {
        llvm::Value *line = at(b_dtype_, at(b_dtype_, base, b_.getInt64(column * along_n)),
                               b_.CreateMul(b_.CreateAdd(k, b_.getInt64(r)), b_.getInt64(along_k)));
        lines.push_back(lanes_.splat(r < count
                                         ? lanes_.load_strided(b_dtype_, line, along_n, mask) // one number where B repeats it
                                         : lanes_.constant(dot_.dtype, 0)));
      }
      transpose(b_, lines);
      for (int64_t n = column; n < std::min(n_, column + width_); ++n)
        lanes_.store(dot_.dtype, lines[n - column], at(at(frame_.scratch, n * column_step_), k));
    };
    auto block = [&](llvm::Value *k, int64_t count) {
      for (int64_t column = 0; column < n_; column += width_)
        square(k, count, column);
    };
    frame_.loop(b_.getInt64(0), b_.getInt64(whole), width_, [&](llvm::Value *k) { block(k, width_); });
    if (whole < k_)
      block(b_.getInt64(whole), k_ - whole);
  }

  void rows(const Cursor &outer, llvm::Value *row, int64_t count, llvm::Value *columns) {
    const Access &a = kernel_.nodes[a_].access;
    llvm::Value *base = at(a_dtype_, outer.address(a_), b_.CreateMul(row, b_.getInt64(a.strides[m_axis_])));
    llvm::Value *zero = lanes_.splat(lanes_.constant(dot_.dtype, 0));
    std::vector<Values> sums(count);
    for (Values &of_row : sums)
      for (int64_t n = 0; n < n_; ++n) {
        of_row.push_back(frame_.variable(zero->getType(), "acc"));
        b_.CreateStore(zero, of_row.back());
      }
    auto step = [&](llvm::Value *k, llvm::Value *mask) {
      Values left;
      for (int64_t i = 0; i < count; ++i)
        left.push_back(lanes_.load(a_dtype_, at(a_dtype_, at(a_dtype_, base, b_.getInt64(i * a.strides[m_axis_])), k), mask));
      for (int64_t n = 0; n < n_; ++n) {
        llvm::Value *right = lanes_.load(dot_.dtype, at(at(columns, n * column_step_), k), packs_ ? nullptr : mask);
        for (int64_t i = 0; i < count; ++i) {
          llvm::Value *sum = b_.CreateLoad(zero->getType(), sums[i][n]);
          b_.CreateStore(lanes_.mad(left[i], right, sum), sums[i][n]);
        }
      }
    };
    int64_t whole = k_ / width_ * width_;
    frame_.loop(b_.getInt64(0), b_.getInt64(whole), width_, [&](llvm::Value *k) { step(k, nullptr); });
    if (whole < k_)
      step(b_.getInt64(whole), lanes_.predicate(b_.getInt64(whole), b_.getInt64(k_)));
    for (int64_t i = 0; i < count; ++i) {
      Values finished;
      for (int64_t column = 0; column < n_; column += width_) {
        Values lines;
        for (int64_t n = column; n < std::min(n_, column + width_); ++n)
          lines.push_back(b_.CreateLoad(zero->getType(), sums[i][n]));
        lines.resize(width_, zero);
        finished.push_back(sum_lanes(lines));
      }
      finish(outer, b_.CreateAdd(row, b_.getInt64(i)), finished);
    }
  }

  // Lane n of the result is the sum of the lanes of lines[n]: a transposition that adds on the way.
  llvm::Value *sum_lanes(Values lines) const {
    for (int64_t half = width_ / 2; half > 0; half /= 2) {
      auto [low, high] = exchange_masks(width_, half);
      for (int64_t r = 0; r < half; ++r)
        lines[r] = lanes_.add(b_.CreateShuffleVector(lines[r], lines[r + half], low),
                              b_.CreateShuffleVector(lines[r], lines[r + half], high));
    }
    return lines[0];
  }

  // Of the vector that begins at a column; nullptr: all its lanes are columns.
  llvm::Value *columns_mask(int64_t column) const {
    return n_ - column >= width_ ? nullptr : lanes_.predicate(b_.getInt64(column), b_.getInt64(n_));
  }

  // sums: of the row, a vector of columns after the other.
  void finish(const Cursor &outer, llvm::Value *row, const Values &sums) {
    Cursor of_row = outer;
    of_row.enter(m_axis_, row);
    of_row.settle(0);
    std::vector<Cursor> places;
    for (size_t i = 0; i < sums.size(); ++i) {
      const int64_t column = static_cast<int64_t>(i) * width_;
      Cursor &place = places.emplace_back(of_row);
      place.mask = columns_mask(column);
      place.enter(n_axis_, b_.getInt64(column));
      place.set(kernel_.dot, sums[i]);
      place.settle_roots();
    }
    for (Cursor &place : places)
      place.store_roots();
  }
};

} // namespace

void emit_small_n_recipe(const KernelFrame &frame) { SmallNRecipe(frame).emit(); }

} // namespace nnc
