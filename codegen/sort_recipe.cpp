// Recipe sort: argsort of one row after another. A row becomes pairs of a key and a place, each pair one integer with the key in
// the upper half: then one comparison orders keys and, among equal ones, places, so the result is stable and there are no ties.
// Pairs are merged bottom-up between two buffers in the scratch slot; a merge has no branches but those of its loop. Keys of
// floats are their bits turned so that integers compare as the numbers do: -0 is 0, and every NaN is one key above infinity.
#include "codegen/recipes.h"

#include <bit>

namespace nnc {

namespace {

class SortRecipe {
public:
  explicit SortRecipe(const KernelFrame &frame)
      : frame_(frame), kernel_(frame.kernel), b_(frame.b), lanes_(frame.lanes), root_(kernel_.roots[0]),
        sorted_(kernel_.nodes[root_.node]), axis_(kernel_.rows), size_(kernel_.axes[axis_].size),
        key_dtype_(kernel_.nodes[sorted_.operands[0]].dtype), pair_bytes_(sort_pair_bytes(key_dtype_)),
        pair_type_(b_.getIntNTy(8 * pair_bytes_)) {}

  void emit() {
    Cursor top(frame_);
    top.settle(0);
    for_places(frame_, top, 0, kernel_.rows, [&](const Cursor &place) { row(place); });
  }

private:
  const KernelFrame &frame_;
  const Kernel &kernel_;
  llvm::IRBuilder<> &b_;
  const Lanes &lanes_; // of width 1
  const KernelRoot &root_;
  const KernelNode &sorted_;
  int axis_;
  int64_t size_;
  DType key_dtype_;
  int64_t pair_bytes_;
  llvm::Type *pair_type_;

  void row(const Cursor &outer) {
    // One pair more in each buffer: a merge looks at the pair behind its runs before it knows that it does not want it.
    llvm::Value *first = frame_.scratch, *second = pair_pointer(first, b_.getInt64(size_ + 1));
    frame_.loop(b_.getInt64(0), b_.getInt64(size_), 1, [&](llvm::Value *i) {
      Cursor place = outer;
      place.enter(axis_, i);
      store(pair(place.value(sorted_.operands[0]), i), first, i);
    });
    const int passes = std::bit_width(static_cast<uint64_t>(size_ - 1));
    llvm::Value *from = variable(first), *to = variable(second);
    frame_.loop(b_.getInt64(0), b_.getInt64(passes), 1, [&](llvm::Value *pass) {
      llvm::Value *source = get(from), *target = get(to);
      merge_runs(source, target, b_.CreateShl(b_.getInt64(1), pass));
      b_.CreateStore(target, from);
      b_.CreateStore(source, to);
    });
    llvm::Value *result = get(from);
    frame_.loop(b_.getInt64(0), b_.getInt64(size_), 1, [&](llvm::Value *i) {
      Cursor place = outer;
      place.enter(axis_, i);
      place.set(root_.node, b_.CreateTrunc(load(result, i), b_.getInt32Ty()));
      place.store_root(root_);
    });
  }

  // Runs of `length` that lie side by side become runs of twice that.
  void merge_runs(llvm::Value *source, llvm::Value *target, llvm::Value *length) {
    llvm::Value *size = b_.getInt64(size_), *twice = b_.CreateShl(length, 1);
    llvm::Value *count = b_.CreateUDiv(b_.CreateAdd(size, b_.CreateSub(twice, b_.getInt64(1))), twice);
    frame_.loop(b_.getInt64(0), count, 1, [&](llvm::Value *run) {
      llvm::Value *begin = b_.CreateMul(run, twice);
      llvm::Value *middle = smaller(b_.CreateAdd(begin, length), size), *end = smaller(b_.CreateAdd(begin, twice), size);
      llvm::Value *left = variable(begin), *right = variable(middle);
      frame_.loop(begin, end, 1, [&](llvm::Value *k) {
        llvm::Value *i = get(left), *j = get(right);
        llvm::Value *x = load(source, i), *y = load(source, j);
        llvm::Value *x_first = b_.CreateOr(b_.CreateICmpSGE(j, end), b_.CreateICmpSLT(x, y));
        llvm::Value *take = b_.CreateZExt(b_.CreateAnd(b_.CreateICmpSLT(i, middle), x_first), b_.getInt64Ty());
        store(b_.CreateSelect(b_.CreateTrunc(take, b_.getInt1Ty()), x, y), target, k);
        b_.CreateStore(b_.CreateAdd(i, take), left);
        b_.CreateStore(b_.CreateAdd(j, b_.CreateSub(b_.getInt64(1), take)), right);
      });
    });
  }

  llvm::Value *pair(llvm::Value *key, llvm::Value *place) const {
    const unsigned half = 4 * pair_bytes_;
    llvm::Value *upper = b_.CreateShl(b_.CreateSExt(ordered(key), pair_type_), half);
    return b_.CreateOr(upper, b_.CreateZExtOrTrunc(place, pair_type_));
  }

  // An integer of half a pair's width that orders as the key does.
  llvm::Value *ordered(llvm::Value *key) const {
    const DType half = pair_bytes_ == 8 ? DType::i32 : DType::i64;
    if (!is_float(key_dtype_))
      return lanes_.resize(key, half);
    key = lanes_.select(lanes_.equal(key, lanes_.same(key, 0)), lanes_.same(key, 0), key);
    const int64_t largest = half == DType::i32 ? INT32_MAX : INT64_MAX;
    llvm::Value *bits = lanes_.to_bits(key);
    llvm::Value *sign = lanes_.shift_right_arithmetic(bits, half == DType::i32 ? 31 : 63);
    bits = lanes_.bit_xor(bits, lanes_.bit_and(sign, lanes_.integer(half, largest)));
    return lanes_.select(lanes_.is_nan(key), lanes_.integer(half, largest), bits);
  }

  llvm::Value *smaller(llvm::Value *x, llvm::Value *y) const { return b_.CreateSelect(b_.CreateICmpSLT(x, y), x, y); }

  llvm::Value *pair_pointer(llvm::Value *base, llvm::Value *i) const { return b_.CreateGEP(pair_type_, base, i); }
  llvm::Value *load(llvm::Value *base, llvm::Value *i) const {
    return b_.CreateAlignedLoad(pair_type_, pair_pointer(base, i), llvm::Align(8));
  }
  void store(llvm::Value *pair, llvm::Value *base, llvm::Value *i) const {
    b_.CreateAlignedStore(pair, pair_pointer(base, i), llvm::Align(8));
  }

  llvm::Value *variable(llvm::Value *value) const {
    llvm::Value *made = frame_.variable(value->getType(), "sort");
    b_.CreateStore(value, made);
    return made;
  }
  llvm::Value *get(llvm::Value *variable) const {
    return b_.CreateLoad(llvm::cast<llvm::AllocaInst>(variable)->getAllocatedType(), variable);
  }
};

} // namespace

void emit_sort_recipe(const KernelFrame &frame) { SortRecipe(frame).emit(); }

} // namespace nnc
