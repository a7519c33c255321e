// Lanes: types, constants, memory, comparisons and bits, conversions. Arithmetic is in lanes_math.cpp, reductions in
// lanes_reduce.cpp, bf16 and f16 in lanes_storage.cpp. Everything is plain IR: no call to a library, on any target. 64-bit
// pointers are assumed, offsets are i64.
//
// What needs to know the number of lanes (shuffles) is written in another way for scalable ones, or is left to recipes that use
// fixed lanes on every target.

#include "codegen/lanes.h"

#include "codegen/llvm_compat.h"

#include <algorithm>
#include <llvm/ADT/SmallVector.h>
#include <llvm/IR/Constants.h>

#include <cmath>
#include <numeric>

namespace nnc {

using llvm::Align;
using llvm::Constant;
using llvm::Value;

Lanes::Lanes(llvm::IRBuilder<> &builder, const Target &target, llvm::ElementCount width)
    : b(builder), machine(target), count(width) {}

Lanes::Lanes(llvm::IRBuilder<> &builder, const Target &target, unsigned width)
    : Lanes(builder, target, llvm::ElementCount::getFixed(width)) {}

// Types

llvm::Type *Lanes::element_type(DType dtype) const {
  switch (wide_dtype(dtype)) {
  case DType::f32:
    return b.getFloatTy();
  case DType::f64:
    return b.getDoubleTy();
  case DType::u8:
    return b.getInt8Ty();
  case DType::i32:
    return b.getInt32Ty();
  case DType::i64:
    return b.getInt64Ty();
  case DType::boolean:
    return b.getInt1Ty();
  default:
    llvm_unreachable("dtype");
  }
}

llvm::Type *Lanes::memory_type(DType dtype) const {
  return is_bool(dtype) || is_storage_only(dtype) ? b.getIntNTy(static_cast<unsigned>(8 * dtype_size(dtype)))
                                                  : element_type(dtype);
}

llvm::Type *Lanes::lanes_type(llvm::Type *element) const { return is_scalar() ? element : llvm::VectorType::get(element, count); }

llvm::Type *Lanes::lanes_type(DType dtype) const { return lanes_type(element_type(dtype)); }

DType Lanes::dtype_of(const Value *value) {
  const llvm::Type *type = value->getType()->getScalarType();
  if (type->isFloatTy())
    return DType::f32;
  if (type->isDoubleTy())
    return DType::f64;
  switch (type->getIntegerBitWidth()) {
  case 1:
    return DType::boolean;
  case 8:
    return DType::u8;
  case 32:
    return DType::i32;
  case 64:
    return DType::i64;
  }
  llvm_unreachable("no dtype has this type");
}

Value *Lanes::lane_count(int64_t vectors) const {
  llvm::ConstantInt *least = b.getInt64(vectors * least_lanes());
  return is_scalable() ? b.CreateVScale(least) : least;
}

// Constants and splats

Constant *Lanes::constant(DType dtype, double number) const {
  llvm::Type *type = element_type(dtype);
  if (is_float(dtype))
    return llvm::ConstantFP::get(type, number);
  return llvm::ConstantInt::get(type, static_cast<uint64_t>(static_cast<int64_t>(number)), true);
}

Constant *Lanes::integer(DType dtype, int64_t number) const {
  if (wide_dtype(dtype) == DType::f32) // once from 64 bits to 24: by way of double would round twice
    return llvm::ConstantFP::get(b.getContext(), llvm::APFloat(static_cast<float>(number)));
  if (dtype == DType::f64)
    return llvm::ConstantFP::get(b.getContext(), llvm::APFloat(static_cast<double>(number)));
  return llvm::ConstantInt::get(element_type(dtype), is_bool(dtype) ? number != 0 : static_cast<uint64_t>(number), true);
}

Constant *Lanes::same(const Value *like, double number) const { return constant(dtype_of(like), number); }

Value *Lanes::splat(Value *value) const { return is_scalar() || !is_uniform(value) ? value : b.CreateVectorSplat(count, value); }

void Lanes::match(Value *&x, Value *&y) const {
  if (is_uniform(x) != is_uniform(y)) {
    x = splat(x);
    y = splat(y);
  }
}

Value *Lanes::iota(DType dtype) const {
  llvm::Type *type = lanes_type(dtype);
  return is_scalar() ? Constant::getNullValue(type) : b.CreateStepVector(type);
}

Value *Lanes::iota(Value *start) const { return add(start, iota(dtype_of(start))); }

Value *Lanes::predicate(Value *at, Value *end) const {
  if (is_scalar())
    return b.CreateICmpSLT(at, end);
  if (count.isScalable())
    return b.CreateIntrinsic(llvm::Intrinsic::get_active_lane_mask, {lanes_type(b.getInt1Ty()), b.getInt64Ty()}, {at, end});
  Value *left = b.CreateTrunc(b.CreateSub(end, at), b.getInt32Ty());
  return less(iota(DType::i32), left);
}

Value *Lanes::extract(Value *value, unsigned lane) const {
  return is_uniform(value) ? value : b.CreateExtractElement(value, b.getInt64(lane));
}

// Memory

Value *Lanes::element_pointer(DType dtype, Value *base, Value *offset) const {
  return b.CreateGEP(memory_type(dtype), base, offset);
}

// Scaled by the type, not by lane_count: so it stays an offset that a load or store takes for nothing.
Value *Lanes::vector_pointer(DType dtype, Value *base, int64_t vectors) const {
  return is_scalable() ? b.CreateGEP(lanes_type(memory_type(dtype)), base, index(vectors))
                       : element_pointer(dtype, base, index(vectors * least_lanes()));
}

void Lanes::prefetch(Value *pointer) const {
  constexpr int read = 0, into_all_caches = 3, data = 1;
  b.CreateIntrinsic(llvm::Intrinsic::prefetch, {pointer->getType()},
                    {pointer, b.getInt32(read), b.getInt32(into_all_caches), b.getInt32(data)});
}

llvm::Type *Lanes::like(Value *x, llvm::Type *element) const { return is_uniform(x) ? element : lanes_type(element); }

llvm::Type *Lanes::like(Value *x, DType dtype) const { return like(x, element_type(dtype)); }

// Any byte but 0 is true, since files and hosts write what they like; we write 0 and 1.
Value *Lanes::from_memory(DType dtype, Value *loaded) const {
  switch (dtype) {
  case DType::boolean:
    return b.CreateICmpNE(loaded, Constant::getNullValue(loaded->getType()));
  case DType::i8:
    return b.CreateSExt(loaded, like(loaded, dtype));
  case DType::bf16: // nothing is shifted out: said, so that a value that is stored as it was loaded is only moved
    return from_bits(b.CreateShl(b.CreateZExt(loaded, like(loaded, DType::i32)), 16, "", true));
  case DType::f16:
    return f16_from_memory(loaded);
  default:
    return loaded;
  }
}

Value *Lanes::to_memory(DType dtype, Value *value) const {
  value = splat(value);
  switch (dtype) {
  case DType::boolean:
    return b.CreateZExt(value, lanes_type(b.getInt8Ty()));
  case DType::i8:
    return b.CreateTrunc(value, lanes_type(b.getInt8Ty()));
  case DType::bf16:
    return b.CreateTrunc(shift_right(to_bits(value), 16), lanes_type(b.getInt16Ty()));
  case DType::f16:
    return f16_to_memory(value);
  default:
    return value;
  }
}

// The masked intrinsics want vectors; width 1 uses vectors of one.
llvm::Type *Lanes::masked_type(llvm::Type *element) const { return llvm::VectorType::get(element, count); }

Value *Lanes::masked_operand(Value *value) const {
  return value->getType()->isVectorTy() ? value : b.CreateVectorSplat(count, value);
}

Value *Lanes::from_masked(Value *vector) const { return is_scalar() ? b.CreateExtractElement(vector, uint64_t{0}) : vector; }

static Align element_align(DType dtype) { return Align(static_cast<uint64_t>(dtype_size(dtype))); }

Value *Lanes::load(DType dtype, Value *pointer, Value *mask) const {
  llvm::Type *element = memory_type(dtype);
  if (!mask)
    return from_memory(dtype, b.CreateAlignedLoad(lanes_type(element), pointer, element_align(dtype)));
  llvm::Type *type = masked_type(element);
  Value *loaded = b.CreateMaskedLoad(type, pointer, element_align(dtype), masked_operand(mask), Constant::getNullValue(type));
  return from_memory(dtype, from_masked(loaded));
}

void Lanes::store(DType dtype, Value *value, Value *pointer, Value *mask) const {
  value = to_memory(dtype, value);
  if (mask)
    b.CreateMaskedStore(masked_operand(value), pointer, element_align(dtype), masked_operand(mask));
  else
    b.CreateAlignedStore(value, pointer, element_align(dtype));
}

Value *Lanes::load_uniform(DType dtype, Value *pointer) const {
  return from_memory(dtype, b.CreateAlignedLoad(memory_type(dtype), pointer, element_align(dtype)));
}

// Element i * stride of |stride| vectors that cover the span exactly: the last one starts early enough to end at the last
// element, so nothing outside the span is read.
Value *Lanes::load_interleaved(DType dtype, Value *pointer, int64_t stride) const {
  const int64_t lanes = count.getFixedValue(), step = std::abs(stride), span = (lanes - 1) * step + 1;
  if (stride < 0)
    pointer = element_pointer(dtype, pointer, index(1 - span));
  llvm::Type *type = lanes_type(memory_type(dtype));
  Value *gathered = nullptr;
  for (int64_t k = 0; k < step; ++k) {
    const int64_t start = std::min(k * lanes, span - lanes), covered = k * lanes;
    Value *part = b.CreateAlignedLoad(type, element_pointer(dtype, pointer, index(start)), element_align(dtype));
    llvm::SmallVector<int> shuffle; // lanes below `lanes` come from `gathered`, the others from `part`
    for (int64_t lane = 0; lane < lanes; ++lane) {
      const int64_t at = (stride < 0 ? lanes - 1 - lane : lane) * step;
      shuffle.push_back(static_cast<int>(at < covered ? lane : at < start + lanes ? lanes + at - start : -1));
    }
    gathered = b.CreateShuffleVector(gathered ? gathered : part, part, shuffle);
  }
  return from_memory(dtype, gathered);
}

// Scalable gathers take offsets of 32 bits, in half the registers.
Value *Lanes::stride_offsets(int64_t stride) const {
  const DType dtype = is_scalable() && std::abs(stride) <= INT32_MAX / most_lanes() ? DType::i32 : DType::i64;
  return mul(iota(dtype), integer(dtype, stride));
}

Value *Lanes::load_strided(DType dtype, Value *pointer, int64_t stride, Value *mask) const {
  if (stride == 0)
    return load_uniform(dtype, pointer);
  if (stride == 1 || is_scalar())
    return load(dtype, pointer, mask);
  if (!mask && std::abs(stride) <= 4 && !is_scalable())
    return load_interleaved(dtype, pointer, stride);
  return gather(dtype, pointer, stride_offsets(stride), mask);
}

void Lanes::store_strided(DType dtype, Value *value, Value *pointer, int64_t stride, Value *mask) const {
  if (stride == 1 || is_scalar())
    return store(dtype, value, pointer, mask);
  scatter(dtype, value, pointer, stride_offsets(stride), mask);
}

Value *Lanes::gather(DType dtype, Value *base, Value *offsets, Value *mask) const {
  if (is_scalar())
    return load(dtype, element_pointer(dtype, base, offsets), mask);
  if (is_uniform(offsets) && !mask)
    return load_uniform(dtype, element_pointer(dtype, base, offsets));
  llvm::Type *type = masked_type(memory_type(dtype));
  Value *pointers = element_pointer(dtype, base, splat(offsets));
  Value *loaded = b.CreateMaskedGather(type, pointers, element_align(dtype), mask ? masked_operand(mask) : nullptr,
                                       Constant::getNullValue(type));
  return from_memory(dtype, loaded);
}

void Lanes::scatter(DType dtype, Value *value, Value *base, Value *offsets, Value *mask) const {
  Value *pointers = element_pointer(dtype, base, splat(offsets));
  if (is_scalar())
    return store(dtype, value, pointers, mask);
  b.CreateMaskedScatter(to_memory(dtype, value), pointers, element_align(dtype), mask ? masked_operand(mask) : nullptr);
}

// Comparisons and bits

Value *Lanes::equal(Value *x, Value *y) const {
  match(x, y);
  return is_float(dtype_of(x)) ? b.CreateFCmpOEQ(x, y) : b.CreateICmpEQ(x, y);
}

Value *Lanes::not_equal(Value *x, Value *y) const {
  match(x, y);
  return is_float(dtype_of(x)) ? b.CreateFCmpUNE(x, y) : b.CreateICmpNE(x, y);
}

Value *Lanes::less(Value *x, Value *y) const {
  match(x, y);
  switch (dtype_of(x)) {
  case DType::f32:
  case DType::f64:
    return b.CreateFCmpOLT(x, y);
  case DType::u8:
  case DType::boolean:
    return b.CreateICmpULT(x, y);
  default:
    return b.CreateICmpSLT(x, y);
  }
}

Value *Lanes::is_nan(Value *x) const { return b.CreateFCmpUNO(x, Constant::getNullValue(x->getType())); }

Value *Lanes::select(Value *condition, Value *x, Value *y) const {
  match(x, y);
  if (!is_uniform(condition)) {
    x = splat(x);
    y = splat(y);
  }
  return b.CreateSelect(condition, x, y);
}

Value *Lanes::bit_and(Value *x, Value *y) const {
  match(x, y);
  return b.CreateAnd(x, y);
}

Value *Lanes::bit_or(Value *x, Value *y) const {
  match(x, y);
  return b.CreateOr(x, y);
}

Value *Lanes::bit_xor(Value *x, Value *y) const {
  match(x, y);
  return b.CreateXor(x, y);
}

Value *Lanes::bit_not(Value *x) const { return b.CreateNot(x); }
Value *Lanes::shift_left(Value *x, unsigned bits) const { return b.CreateShl(x, bits); }
Value *Lanes::shift_right(Value *x, unsigned bits) const { return b.CreateLShr(x, bits); }
Value *Lanes::shift_right_arithmetic(Value *x, unsigned bits) const { return b.CreateAShr(x, bits); }

Value *Lanes::to_bits(Value *x) const {
  llvm::Type *element = element_type(dtype_of(x) == DType::f32 ? DType::i32 : DType::i64);
  return b.CreateBitCast(x, is_uniform(x) ? element : lanes_type(element));
}

Value *Lanes::from_bits(Value *x) const {
  llvm::Type *element = element_type(dtype_of(x) == DType::i32 ? DType::f32 : DType::f64);
  return b.CreateBitCast(x, is_uniform(x) ? element : lanes_type(element));
}

// Conversions

// The lowest and highest number of an integer dtype.
static std::pair<int64_t, int64_t> integer_range(DType dtype) {
  switch (dtype) {
  case DType::u8:
    return {0, 255};
  case DType::i8:
    return {INT8_MIN, INT8_MAX};
  case DType::i32:
    return {INT32_MIN, INT32_MAX};
  default:
    return {INT64_MIN, INT64_MAX};
  }
}

// What fptosi gives outside the range is poison in IR and differs between processors; it is frozen and selected away. (Clamping
// floats first would be shorter for u8, but a select that drops NaN becomes fmaxnm on AArch64, which keeps signalling NaN.)
Value *Lanes::float_to_integer(Value *x, DType to) const {
  if (to == DType::u8)
    return convert(float_to_integer(x, DType::i32), to);
  const auto [lowest, highest] = integer_range(to);
  const double bound = -static_cast<double>(lowest); // highest + 1, a power of two
  Value *truncated = b.CreateFreeze(b.CreateFPToSI(x, like(x, to)));
  Value *result = select(less(x, same(x, bound)), truncated, integer(to, highest));
  result = select(less(x, same(x, -bound)), integer(to, lowest), result);
  return select(is_nan(x), integer(to, 0), result);
}

Value *Lanes::resize(Value *x, DType to) const {
  const bool is_unsigned = dtype_of(x) == DType::u8 || dtype_of(x) == DType::boolean;
  return is_unsigned ? b.CreateZExtOrTrunc(x, like(x, to)) : b.CreateSExtOrTrunc(x, like(x, to));
}

Value *Lanes::narrowed(Value *x, DType to) const {
  if (is_float(to))
    return rounded(x, to);
  const auto [lowest, highest] = integer_range(to);
  return minimum(maximum(x, integer(to, lowest)), integer(to, highest));
}

Value *Lanes::convert(Value *x, DType to) const {
  if (is_storage_only(to))
    return narrowed(convert(x, wide_dtype(to)), to);
  const DType from = dtype_of(x);
  if (from == to)
    return x;
  if (is_bool(to))
    return not_equal(x, same(x, 0));
  if (is_bool(from))
    return is_float(to) ? select(x, constant(to, 1), constant(to, 0)) : resize(x, to);
  if (is_float(from) && is_float(to))
    return b.CreateFPCast(x, like(x, to));
  if (is_float(from))
    return float_to_integer(x, to);
  if (is_float(to))
    return from == DType::u8 ? b.CreateUIToFP(x, like(x, to)) : b.CreateSIToFP(x, like(x, to));
  const auto [lowest, highest] = integer_range(to);
  if (dtype_size(to) < dtype_size(from)) {
    x = maximum(x, integer(from, lowest));
    x = minimum(x, integer(from, highest));
  }
  return resize(x, to);
}

} // namespace nnc
