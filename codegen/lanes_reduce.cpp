// Reductions across lanes. The tree is fixed: the upper half is folded onto the lower half until one lane is left, so the order
// of additions depends on the width alone. So it does in the instructions that reduce scalable vectors, in pairs (Arm ARM, shared
// function Reduce). Neutral elements stand in for lanes that are masked off.

#include "codegen/lanes.h"

#include <llvm/ADT/SmallVector.h>
#include <llvm/IR/Constants.h>
#include <llvm/IR/Function.h>

#include <limits>
#include <numeric>

namespace nnc {

using llvm::Constant;
using llvm::Value;

Constant *Lanes::neutral(Op op, DType dtype) const {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  switch (op) {
  case Op::sum:
    return integer(dtype, 0);
  case Op::prod:
    return integer(dtype, 1);
  case Op::max:
  case Op::min:
    break;
  default:
    llvm_unreachable("no reduction");
  }
  const bool largest = op == Op::min;
  switch (dtype) {
  case DType::f32:
  case DType::f64:
    return constant(dtype, largest ? infinity : -infinity);
  case DType::u8:
    return integer(dtype, largest ? 255 : 0);
  case DType::i32:
    return integer(dtype, largest ? INT32_MAX : INT32_MIN);
  case DType::i64:
    return integer(dtype, largest ? INT64_MAX : INT64_MIN);
  case DType::boolean:
    return integer(dtype, largest);
  default:
    llvm_unreachable("no dtype of a value");
  }
}

Value *Lanes::combine(Op op, Value *x, Value *y) const {
  switch (op) {
  case Op::sum:
    return add(x, y);
  case Op::prod:
    return mul(x, y);
  case Op::max:
    return maximum(x, y);
  case Op::min:
    return minimum(x, y);
  default:
    llvm_unreachable("no reduction");
  }
}

Value *Lanes::mask_neutral(Op op, Value *x, Value *mask) const { return mask ? select(mask, x, neutral(op, dtype_of(x))) : x; }

// `half` lanes of x, from lane `first`.
static Value *lanes_from(llvm::IRBuilder<> &b, Value *x, unsigned first, unsigned half) {
  llvm::SmallVector<int> lanes(half);
  std::iota(lanes.begin(), lanes.end(), static_cast<int>(first));
  return half == 1 ? b.CreateExtractElement(x, uint64_t{first}) : b.CreateShuffleVector(x, lanes);
}

// A product of scalable lanes, which no instruction has: as lanes of the largest width, neutral where there are none.
Value *Lanes::fold_in_memory(Op op, Value *x) const {
  const DType dtype = dtype_of(x);
  const Lanes all = with_width(static_cast<unsigned>(most_lanes()));
  llvm::BasicBlock &entry = b.GetInsertBlock()->getParent()->getEntryBlock();
  Value *memory =
      llvm::IRBuilder<>(&entry, entry.getFirstInsertionPt()).CreateAlloca(all.lanes_type(memory_type(dtype)), nullptr, "lanes");
  all.store(dtype, all.splat(neutral(op, dtype)), memory);
  store(dtype, x, memory);
  return all.reduce(op, all.load(dtype, memory));
}

// Of scalable lanes, by the instructions for it.
Value *Lanes::reduce_scalable(Op op, Value *x) const {
  const DType dtype = dtype_of(x);
  const bool least = op == Op::min;
  if (op == Op::prod)
    return fold_in_memory(op, x);
  if (is_bool(dtype))
    return least ? b.CreateAndReduce(x) : b.CreateOrReduce(x);
  if (op == Op::sum && is_float(dtype)) {
    auto *sum = llvm::cast<llvm::Instruction>(b.CreateFAddReduce(same(x, -0.0), x));
    sum->setHasAllowReassoc(true); // else lane after lane
    return sum;
  }
  if (op == Op::sum)
    return b.CreateAddReduce(x);
  if (is_float(dtype))
    return least ? b.CreateFPMinimumReduce(x) : b.CreateFPMaximumReduce(x);
  const bool is_signed = dtype != DType::u8;
  return least ? b.CreateIntMinReduce(x, is_signed) : b.CreateIntMaxReduce(x, is_signed);
}

Value *Lanes::reduce(Op op, Value *x) const {
  x = splat(x);
  if (is_scalable())
    return reduce_scalable(op, x);
  for (unsigned half = count.getFixedValue() / 2; half > 0; half /= 2) {
    const Lanes narrower = with_width(half);
    x = narrower.combine(op, lanes_from(b, x, 0, half), lanes_from(b, x, half, half));
  }
  return x;
}

// Index INT32_MAX loses every tie, against lanes of -inf too.
ArgmaxPair Lanes::argmax_neutral(DType dtype) const { return {neutral(Op::max, dtype), integer(DType::i32, INT32_MAX)}; }

ArgmaxPair Lanes::argmax_combine(ArgmaxPair x, ArgmaxPair y) const {
  match(x.value, y.value);
  Value *wins = less(x.value, y.value), *tie = equal(x.value, y.value);
  if (is_float(dtype_of(x.value))) {
    Value *x_nan = is_nan(x.value), *y_nan = is_nan(y.value);
    wins = bit_or(wins, bit_and(y_nan, bit_not(x_nan)));
    tie = bit_or(tie, bit_and(x_nan, y_nan));
  }
  wins = bit_or(wins, bit_and(tie, less(y.index, x.index)));
  return {select(wins, y.value, x.value), select(wins, y.index, x.index)};
}

ArgmaxPair Lanes::argmax_mask(ArgmaxPair x, Value *mask) const {
  if (!mask)
    return x;
  const ArgmaxPair none = argmax_neutral(dtype_of(x.value));
  return {select(mask, x.value, none.value), select(mask, x.index, none.index)};
}

ArgmaxPair Lanes::argmax_reduce(ArgmaxPair x) const {
  x = {splat(x.value), splat(x.index)};
  if (is_scalable()) { // the largest, then the first place where it is; a NaN is the largest
    Value *largest = reduce(Op::max, x.value), *holds = equal(x.value, largest);
    if (is_float(dtype_of(x.value)))
      holds = bit_or(holds, is_nan(x.value));
    return {largest, reduce(Op::min, mask_neutral(Op::min, x.index, holds))};
  }
  for (unsigned half = count.getFixedValue() / 2; half > 0; half /= 2)
    x = with_width(half).argmax_combine({lanes_from(b, x.value, 0, half), lanes_from(b, x.index, 0, half)},
                                        {lanes_from(b, x.value, half, half), lanes_from(b, x.index, half, half)});
  return x;
}

} // namespace nnc
