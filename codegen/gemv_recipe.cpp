// Recipe gemv where a row of the matrix is longer than the registers: y[n] = sum over k of x[k] * B[k,n]. B is all that is read
// from far, so it is read as it lies: a few whole rows side by side, each one run of memory that the processor fetches ahead,
// while the sums wait in the scratch slot, in the first cache. The order of summation is that of k, as in the loop recipe. What
// follows from the sums is computed on them in the end.
#include "codegen/recipes.h"

namespace nnc {

namespace {

constexpr int64_t rows_at_once = 4; // of B: so many additions for each load and store of a sum

class GemvRecipe {
public:
  explicit GemvRecipe(const KernelFrame &frame)
      : frame_(frame), kernel_(frame.kernel), b_(frame.b), lanes_(frame.lanes), dot_(kernel_.nodes[kernel_.dot]),
        n_axis_(kernel_.vector_axis), k_axis_(kernel_.rows), k_(kernel_.axes[k_axis_].size) {}

  void emit() {
    auto [from, to] = frame_.range(kernel_.grain_axis, kernel_.grain_axis == n_axis_ ? gemv_unit : 1);
    frame_.clear_partials(from, to);
    Cursor top(frame_);
    top.settle(0);
    for_places(frame_, top, 0, n_axis_, [&](const Cursor &place) { row(place); });
  }

private:
  const KernelFrame &frame_;
  const Kernel &kernel_;
  llvm::IRBuilder<> &b_;
  const Lanes &lanes_;
  const KernelNode &dot_;
  int n_axis_, k_axis_;
  int64_t k_;

  // As many columns at a time as sums wait.
  void row(const Cursor &outer) {
    auto [from, to] = frame_.range(n_axis_, gemv_unit);
    llvm::Value *end = to;
    frame_.loop(from, end, gemv_sums, [&](llvm::Value *first) {
      llvm::Value *next = b_.CreateAdd(first, b_.getInt64(gemv_sums));
      columns(outer, first, b_.CreateSelect(b_.CreateICmpSLT(next, end), next, end));
    });
  }

  // body(first column, its sums in the slot, mask) for every vector of the columns [from, to).
  void vectors(llvm::Value *from, llvm::Value *to,
               const std::function<void(llvm::Value *, llvm::Value *, llvm::Value *)> &body) const {
    auto at = [&](llvm::Value *column, llvm::Value *mask) {
      body(column, lanes_.element_pointer(dot_.dtype, frame_.scratch, b_.CreateSub(column, from)), mask);
    };
    llvm::Value *whole = frame_.whole_vectors(from, to, 1, [&](llvm::Value *column) { at(column, nullptr); });
    frame_.when(b_.CreateICmpSLT(whole, to), [&] { at(whole, lanes_.predicate(whole, to)); });
  }

  void columns(const Cursor &outer, llvm::Value *from, llvm::Value *to) {
    llvm::Value *zero = lanes_.splat(lanes_.constant(dot_.dtype, 0));
    vectors(from, to, [&](llvm::Value *, llvm::Value *sums, llvm::Value *) { lanes_.store(dot_.dtype, zero, sums); });
    const int64_t whole = k_ / rows_at_once * rows_at_once;
    frame_.loop(b_.getInt64(0), b_.getInt64(whole), rows_at_once,
                [&](llvm::Value *k) { add_rows(outer, k, rows_at_once, from, to); });
    frame_.loop(b_.getInt64(whole), b_.getInt64(k_), 1, [&](llvm::Value *k) { add_rows(outer, k, 1, from, to); });
    vectors(from, to, [&](llvm::Value *column, llvm::Value *sums, llvm::Value *mask) {
      Cursor place = outer;
      place.mask = mask;
      place.enter(n_axis_, column);
      place.set(kernel_.dot, lanes_.load(dot_.dtype, sums));
      place.settle_roots();
      place.store_roots();
    });
  }

  void add_rows(const Cursor &outer, llvm::Value *k, int64_t count, llvm::Value *from, llvm::Value *to) {
    std::vector<Cursor> rows;
    for (int64_t i = 0; i < count; ++i) {
      rows.push_back(outer);
      rows.back().enter(k_axis_, b_.CreateAdd(k, b_.getInt64(i)));
      rows.back().settle(0);
      for (int operand : dot_.operands)
        if (!(kernel_.nodes[operand].depends >> n_axis_ & 1))
          rows.back().value(operand); // once for all columns
    }
    vectors(from, to, [&](llvm::Value *column, llvm::Value *sums, llvm::Value *mask) {
      llvm::Value *sum = lanes_.load(dot_.dtype, sums);
      for (const Cursor &row : rows) {
        Cursor place = row;
        place.mask = mask;
        place.enter(n_axis_, column);
        sum = lanes_.mad(lanes_.splat(place.value(dot_.operands[0])), lanes_.splat(place.value(dot_.operands[1])), sum);
      }
      lanes_.store(dot_.dtype, sum, sums);
    });
  }
};

} // namespace

void emit_gemv_recipe(const KernelFrame &frame) { GemvRecipe(frame).emit(); }

} // namespace nnc
