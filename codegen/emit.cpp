// One row of vector code for each elementwise op, bound to ops.def: an op without a row here does not compile. Rows see lane
// operations only, never the vector length or the target. The elementary functions are in vector_math.h.

#include "codegen/emit.h"

#include "codegen/vector_math.h"

#include <array>

namespace nnc {

using llvm::Value;

namespace {

// What a row gets: the lanes, the operands, and the dtype of the result (which only `cast` needs).
struct Call {
  const Lanes &l;
  std::span<Value *const> operands;
  DType result;

  Value *operator[](size_t i) const { return operands[i]; }
};

// The counter (block, 0) enciphered under `key`: Philox 4x32 with 10 rounds (Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", 2011). Four words of 32 bits, each kept in an i64, whose products are then single multiplications.
std::array<Value *, 4> philox_block(const Lanes &l, Value *key, Value *block) {
  Value *low_half = l.integer(DType::i64, 0xFFFFFFFF), *zero = l.integer(DType::i64, 0);
  auto low = [&](Value *x) { return l.bit_and(x, low_half); };
  auto high = [&](Value *x) { return l.shift_right(x, 32); };
  std::array<Value *, 4> c = {low(block), high(block), zero, zero};
  Value *k0 = low(key), *k1 = high(key);
  for (int round = 0; round < 10; ++round) {
    Value *p0 = l.mul(c[0], l.integer(DType::i64, 0xD2511F53)), *p1 = l.mul(c[2], l.integer(DType::i64, 0xCD9E8D57));
    c = {l.bit_xor(l.bit_xor(high(p1), c[1]), k0), low(p1), l.bit_xor(l.bit_xor(high(p0), c[3]), k1), low(p0)};
    k0 = low(l.add(k0, l.integer(DType::i64, 0x9E3779B9))); // golden ratio
    k1 = low(l.add(k1, l.integer(DType::i64, 0xBB67AE85))); // sqrt(3) - 1
  }
  return c;
}

namespace row {

Value *add(const Call &c) { return c.l.add(c[0], c[1]); }
Value *sub(const Call &c) { return c.l.sub(c[0], c[1]); }
Value *mul(const Call &c) { return c.l.mul(c[0], c[1]); }
Value *div(const Call &c) { return c.l.divide(c[0], c[1]); }
Value *rem(const Call &c) { return c.l.remainder(c[0], c[1]); }
Value *muladd(const Call &c) { return c.l.fma(c[0], c[1], c[2]); }
Value *neg(const Call &c) { return c.l.neg(c[0]); }
Value *abs(const Call &c) { return c.l.abs(c[0]); }
Value *floor(const Call &c) { return c.l.floor(c[0]); }
Value *round(const Call &c) { return c.l.round(c[0]); }
Value *pow(const Call &c) { return emit_pow(c.l, c[0], c[1]); }
Value *exp(const Call &c) { return emit_exp(c.l, c[0]); }
Value *expm1(const Call &c) { return emit_expm1(c.l, c[0]); }
Value *log(const Call &c) { return emit_log(c.l, c[0]); }
Value *log1p(const Call &c) { return emit_log1p(c.l, c[0]); }
Value *sin(const Call &c) { return emit_sin(c.l, c[0]); }
Value *cos(const Call &c) { return emit_cos(c.l, c[0]); }
Value *atan(const Call &c) { return emit_atan(c.l, c[0]); }
Value *tanh(const Call &c) { return emit_tanh(c.l, c[0]); }
Value *erf(const Call &c) { return emit_erf(c.l, c[0]); }
Value *sigmoid(const Call &c) { return emit_sigmoid(c.l, c[0]); }
Value *normal_cdf(const Call &c) { return emit_normal_cdf(c.l, c[0]); }
Value *sqrt(const Call &c) { return c.l.sqrt(c[0]); }
Value *maximum(const Call &c) { return c.l.maximum(c[0], c[1]); }
Value *minimum(const Call &c) { return c.l.minimum(c[0], c[1]); }
Value *eq(const Call &c) { return c.l.equal(c[0], c[1]); }
Value *lt(const Call &c) { return c.l.less(c[0], c[1]); }
Value *logical_and(const Call &c) { return c.l.bit_and(c[0], c[1]); }
Value *logical_or(const Call &c) { return c.l.bit_or(c[0], c[1]); }
Value *logical_not(const Call &c) { return c.l.bit_not(c[0]); }
Value *select(const Call &c) { return c.l.select(c[0], c[1], c[2]); }
Value *cast(const Call &c) { return c.l.convert(c[0], c.result); }
Value *stop_gradient(const Call &c) { return c[0]; }

// Element i is word (i / 16) % 4 of block (i / 64) * 16 + i % 16: 16 lanes side by side want the same word of 16 blocks in
// a row. Its upper 24 bits are the result.
Value *philox(const Call &c) {
  const Lanes &l = c.l;
  Value *at = c[1];
  auto bits = [&](int64_t mask) { return l.integer(DType::i64, mask); };
  Value *block = l.bit_or(l.shift_left(l.shift_right(at, 6), 4), l.bit_and(at, bits(15)));
  const std::array<Value *, 4> words = philox_block(l, c[0], block);
  Value *odd = l.not_equal(l.bit_and(at, bits(16)), bits(0)), *upper = l.not_equal(l.bit_and(at, bits(32)), bits(0));
  Value *word = l.select(upper, l.select(odd, words[3], words[2]), l.select(odd, words[1], words[0]));
  return l.resize(l.shift_right(word, 8), DType::i32);
}

} // namespace row

} // namespace

Value *emit_elementwise(const Lanes &lanes, Op op, std::span<Value *const> operands, DType result_dtype) {
  const Call call{lanes, operands, result_dtype};
  switch (op) {
#define NNC_EMIT_elementwise(name)                                                                                               \
  case Op::name:                                                                                                                 \
    return row::name(call);
#define NNC_EMIT_view(name)
#define NNC_EMIT_reduce(name)
#define NNC_EMIT_indexed(name)
#define NNC_EMIT_contract(name)
#define NNC_EMIT_structure(name)
#define OP(name, family, ...) NNC_EMIT_##family(name)
#include "ir/ops.def"
  default:
    break;
  }
  llvm_unreachable("not an elementwise op");
}

} // namespace nnc
