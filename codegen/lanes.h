// Lanes: vector code without the vector. A Lanes is a number of lanes over an llvm::IRBuilder; its operations take and give
// llvm::Values that are either vectors of that many lanes or scalars. A scalar is "uniform": the same in every lane. Operations
// on uniform operands alone stay uniform, otherwise uniform operands are splatted. With width 1 everything is scalar.
//
// The element type of a value tells its dtype: float, double, i8 (u8), i32, i64, i1 (bool; in memory a byte, 0 or 1). Of the
// dtypes for storage only (bf16, f16, i8) there are no values but in memory: a load widens, a store narrows, and in between they
// are numbers of their wide dtype (f32, i32) that the narrow one can hold.
// One value, one bit pattern: every operation computes each lane by itself, in the same way at every width and place, without
// fast-math flags. Only what is named reduce* looks across lanes.
//
// A width may be scalable: a multiple of vscale, which only the running processor knows. Then least_lanes is what every
// processor has, most_lanes what none exceeds, and lane_count the number there is.
#pragma once

#include "codegen/target.h"
#include "ir/op.h"

#include <llvm/IR/IRBuilder.h>

namespace nnc {

struct ArgmaxPair {
  llvm::Value *value; // the largest so far
  llvm::Value *index; // where, i32
};

class Lanes {
public:
  using Value = llvm::Value;

  // The builder and the target must outlive the Lanes. `width` is a power of two, or 1.
  Lanes(llvm::IRBuilder<> &builder, const Target &target, llvm::ElementCount width);
  Lanes(llvm::IRBuilder<> &builder, const Target &target, unsigned width);

  llvm::IRBuilder<> &builder() const { return b; }
  const Target &target() const { return machine; }
  llvm::ElementCount width() const { return count; }
  Lanes with_width(unsigned width) const { return {b, machine, width}; }
  bool is_scalar() const { return count.isScalar(); }
  bool is_scalable() const { return count.isScalable(); }
  int64_t least_lanes() const { return count.getKnownMinValue(); }
  int64_t most_lanes() const { return is_scalable() ? least_lanes() * (most_vector_bits / machine.vector_bits) : least_lanes(); }
  // Lanes of `vectors` vectors, i64: a constant where the width is fixed.
  Value *lane_count(int64_t vectors = 1) const;

  // Types.
  llvm::Type *element_type(DType dtype) const; // bool: i1; for storage only: that of the wide dtype
  llvm::Type *memory_type(DType dtype) const;  // bool: i8; bf16 and f16: i16
  llvm::Type *lanes_type(DType dtype) const;   // a vector; at width 1 the element itself
  llvm::Type *lanes_type(llvm::Type *element) const;
  static DType dtype_of(const Value *value);
  static bool is_uniform(const Value *value) { return !value->getType()->isVectorTy(); }

  // Constants; all uniform. `number` is rounded to floats, truncated to integers.
  llvm::Constant *constant(DType dtype, double number) const;
  llvm::Constant *integer(DType dtype, int64_t number) const; // integers, floats (rounded) and bool
  llvm::Constant *index(int64_t number) const { return b.getInt64(number); }
  llvm::Constant *same(const Value *like, double number) const; // of the dtype of `like`

  // Lanes from scalars.
  Value *splat(Value *value) const;              // a vector from either
  Value *iota(DType dtype) const;                // 0, 1, 2, … i32 or i64
  Value *iota(Value *start) const;               // start, start + 1, …; start is a scalar i32 or i64
  Value *predicate(Value *at, Value *end) const; // lane l is true if at + l < end; i64 scalars, end - at below 2^31
  Value *extract(Value *value, unsigned lane) const;

  // Memory. `pointer` is that of lane 0; only the alignment of one element is assumed. Lanes outside `mask` are not touched
  // and load 0; a null mask is all lanes. Strides are in elements, constant; 0 loads one element for all lanes. `dtype` is that
  // of the memory; what is stored is of it, or, where it is for storage only, a number of its wide dtype that it can hold.
  Value *load(DType dtype, Value *pointer, Value *mask = nullptr) const;
  void store(DType dtype, Value *value, Value *pointer, Value *mask = nullptr) const;
  Value *load_strided(DType dtype, Value *pointer, int64_t stride, Value *mask = nullptr) const;
  void store_strided(DType dtype, Value *value, Value *pointer, int64_t stride, Value *mask = nullptr) const; // stride not 0
  Value *gather(DType dtype, Value *base, Value *offsets, Value *mask = nullptr) const;              // offsets in elements
  void scatter(DType dtype, Value *value, Value *base, Value *offsets, Value *mask = nullptr) const; // distinct offsets
  Value *load_uniform(DType dtype, Value *pointer) const;                                            // one element, uniform
  Value *element_pointer(DType dtype, Value *base, Value *offset) const;
  Value *vector_pointer(DType dtype, Value *base, int64_t vectors) const; // so many vectors on
  void prefetch(Value *pointer) const; // asks for a line that will be read; any address will do

  // Arithmetic, on floats or integers by the operands' type; both operands of one dtype.
  Value *add(Value *x, Value *y) const;
  Value *sub(Value *x, Value *y) const;
  Value *mul(Value *x, Value *y) const;
  Value *divide(Value *x, Value *y) const;    // floats; integers: floored, 0 where y is 0, never traps
  Value *remainder(Value *x, Value *y) const; // x - floor(x / y) * y
  Value *neg(Value *x) const;
  Value *abs(Value *x) const;
  Value *fma(Value *x, Value *y, Value *z) const; // x * y + z rounded once, on every target
  Value *mad(Value *x, Value *y, Value *z) const; // the fast one: fma where the target has it, else mul and add
  Value *floor(Value *x) const;
  Value *round(Value *x) const; // ties to even
  Value *sqrt(Value *x) const;
  // NaN if either is NaN; -0 is below +0 (IEEE 754-2019 maximum and minimum), so both commute. For bool: or, and.
  Value *maximum(Value *x, Value *y) const;
  Value *minimum(Value *x, Value *y) const;

  // Comparisons give i1; ordered, so false on NaN (except not_equal). u8 compares unsigned.
  Value *equal(Value *x, Value *y) const;
  Value *not_equal(Value *x, Value *y) const; // unordered: true on NaN
  Value *less(Value *x, Value *y) const;
  Value *is_nan(Value *x) const;
  Value *select(Value *condition, Value *x, Value *y) const;

  // Bits.
  Value *bit_and(Value *x, Value *y) const;
  Value *bit_or(Value *x, Value *y) const;
  Value *bit_xor(Value *x, Value *y) const;
  Value *bit_not(Value *x) const;
  Value *shift_left(Value *x, unsigned bits) const;
  Value *shift_right(Value *x, unsigned bits) const;            // logical
  Value *shift_right_arithmetic(Value *x, unsigned bits) const; // copies the sign
  Value *to_bits(Value *x) const;                               // f32 -> i32, f64 -> i64
  Value *from_bits(Value *x) const;                             // i32 -> f32, i64 -> f64

  // Conversion as the op `cast` defines it: to integers truncates, saturates, NaN gives 0; to bool is x != 0.
  // Integers saturate too when they do not fit. To a dtype for storage only: by way of its wide dtype, in which the result stays.
  Value *convert(Value *x, DType to) const;

  Value *resize(Value *x, DType to) const; // integers and bool: extends or cuts off

  // Reductions: `op` is sum, prod, max or min of the table. Lanes outside `mask` count as `neutral`.
  llvm::Constant *neutral(Op op, DType dtype) const;
  Value *combine(Op op, Value *x, Value *y) const;
  Value *mask_neutral(Op op, Value *x, Value *mask) const;
  Value *reduce(Op op, Value *x) const; // across lanes, in an order that depends on their number alone: a scalar
  // argmax: the first largest; NaN is larger than everything, the first NaN wins.
  ArgmaxPair argmax_neutral(DType dtype) const;
  ArgmaxPair argmax_combine(ArgmaxPair x, ArgmaxPair y) const;
  ArgmaxPair argmax_mask(ArgmaxPair x, Value *mask) const;
  ArgmaxPair argmax_reduce(ArgmaxPair x) const;

private:
  llvm::IRBuilder<> &b;
  const Target &machine;
  llvm::ElementCount count;

  void match(Value *&x, Value *&y) const;        // splats one of them if only the other is a vector
  llvm::Type *like(Value *x, DType dtype) const; // of this dtype, a vector if x is one
  llvm::Type *like(Value *x, llvm::Type *element) const;
  Value *from_memory(DType dtype, Value *loaded) const;
  Value *to_memory(DType dtype, Value *value) const;
  llvm::Type *masked_type(llvm::Type *element) const; // a vector even at width 1
  Value *masked_operand(Value *value) const;
  Value *from_masked(Value *vector) const;
  Value *reduce_scalable(Op op, Value *x) const;
  Value *fold_in_memory(Op op, Value *x) const;
  Value *load_interleaved(DType dtype, Value *pointer, int64_t stride) const;
  Value *stride_offsets(int64_t stride) const;
  Value *float_to_integer(Value *x, DType to) const;
  Value *narrowed(Value *x, DType to) const; // the number of the storage dtype that is nearest to one of its wide dtype
  Value *rounded(Value *x, DType to) const;  // the same for bf16 and f16
  Value *f16_from_memory(Value *bits) const;
  Value *f16_to_memory(Value *x) const;
  Value *extremum(Value *x, Value *y, bool larger) const;
  // Floored quotient and remainder; y must not be 0.
  std::pair<Value *, Value *> floored(Value *x, Value *y) const;
};

} // namespace nnc
