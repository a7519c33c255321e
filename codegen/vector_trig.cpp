// sin and cos as vector code. Each is one internal function of the module for a dtype and width, called from the row: it
// branches to the reduction of huge arguments, which is long and almost never runs.
//
// x = n pi/2 + r, |r| <= pi/4 (a little more where n was rounded wrongly). Up to 2^20 n * pi/2 is subtracted in parts, above
// (Payne and Hanek) x is multiplied with the 192 bits of 2/pi that matter, as integers. Both are right for every finite input;
// infinities give NaN. f32 is reduced in f64, where one part and a rest suffice. Coefficients: as in vector_math.cpp.

#include "codegen/vector_math.h"

#include "codegen/vector_parts.h"

#include <llvm/IR/Constants.h>
#include <llvm/IR/Function.h>
#include <llvm/IR/MDBuilder.h>
#include <llvm/IR/Module.h>

#include <array>
#include <limits>

namespace nnc {

using llvm::Value;

namespace {

constexpr double huge = 0x1p20; // from here on by Payne and Hanek

// r = high + low, and the quadrant n modulo 4 in the low bits of an i64.
struct Reduced {
  LaneValue high;
  LaneValue low;
  LaneValue quadrant;
};

// pi/2 in parts of 33 bits, whose products with n < 2^20 are exact; every difference keeps its error. 152 bits in all leave
// 2^-39 of r in the worst case, where x is 2^-60 away from a multiple of pi/2.
Reduced reduce_small(LaneValue a, bool to_f32) {
  LaneValue shifted = mad(a, 0x1.45f306dc9c883p-1, a.number(0x1.8p52)), n = shifted - 0x1.8p52;
  LaneValue quadrant = shifted.bits();
  LaneValue rest = a - n * 0x1.921fb544p+0; // exact
  if (to_f32)
    return {rest - n * 0x1.0b4611a626331p-34, a.number(0), quadrant};
  const TwoSum second = two_sum(rest, n * -0x1.0b4611a6p-34), third = two_sum(second.sum, n * -0x1.3198a2ep-69);
  return {third.sum, third.error + second.error - n * 0x1.b839a252049c1p-104, quadrant};
}

// The binary digits of 2/pi after the point, behind 64 zeros; each entry holds a word of 32 bits and the next one.
llvm::Constant *two_over_pi_words(llvm::Module &module) {
  constexpr std::array<uint32_t, 42> words = {0,          0,          0xA2F9836E, 0x4E441529, 0xFC2757D1, 0xF534DDC0, 0xDB629599,
                                              0x3C439041, 0xFE5163AB, 0xDEBBC561, 0xB7246E3A, 0x424DD2E0, 0x06492EEA, 0x09D1921C,
                                              0xFE1DEB1C, 0xB129A73E, 0xE88235F5, 0x2EBB4484, 0xE99C7026, 0xB45F7E41, 0x3991D639,
                                              0x835339F4, 0x9C845F8B, 0xBDF9283B, 0x1FF897FF, 0xDE05980F, 0xEF2F118B, 0x5A0A6D1F,
                                              0x6D367ECF, 0x27CB09B7, 0x4F463F66, 0x9E5FEA2D, 0x7527BAC7, 0xEBE5F17B, 0x3D0739F7,
                                              0x8A5292EA, 0x6BFB5FB1, 0x1F8D5D08, 0x56033046, 0xFC7B6BAB, 0xF0CFBC20, 0x9AF4361D};
  constexpr const char *name = "nnc.two_over_pi";
  if (llvm::GlobalVariable *known = module.getNamedGlobal(name))
    return known;
  std::array<uint64_t, words.size() - 1> pairs;
  for (size_t i = 0; i < pairs.size(); ++i)
    pairs[i] = uint64_t{words[i]} << 32 | words[i + 1];
  llvm::Constant *data = llvm::ConstantDataArray::get(module.getContext(), pairs);
  return new llvm::GlobalVariable(module, data->getType(), true, llvm::GlobalValue::InternalLinkage, data, name);
}

// a = M 2^E with a whole M of 53 bits. Digit i of 2/pi contributes M 2^(E - i) quadrants: those up to E - 2 add multiples of
// 4 and are left out; the 192 from E - 1 on leave an error below 2^-137 quadrants. No f64 is closer than 2^-62 to a
// multiple of pi/2, so 75 bits of r are right. `a` must be above `huge`: else the table would be left.
Reduced reduce_huge(LaneValue a) {
  const Lanes &l = *a.lanes;
  llvm::IRBuilder<> &b = l.builder();
  LaneValue bits = a.bits();
  LaneValue low_word = bits.integer(0xFFFFFFFF);
  LaneValue mantissa = (bits & bits.integer((int64_t{1} << 52) - 1)) | bits.integer(int64_t{1} << 52);
  // Infinity and NaN have the largest exponent; what is read for them stays inside the table, and is not used.
  LaneValue first = (bits >> 52) - bits.integer(1075 + 1 + 1) + bits.integer(64); // digits are numbered from 1, words from 0
  LaneValue word = first >> 5, offset = first & bits.integer(31);

  llvm::Constant *table = two_over_pi_words(*b.GetInsertBlock()->getModule());
  std::array<LaneValue, 6> digits{bits, bits, bits, bits, bits, bits}; // least significant first, 32 bits each
  for (int i = 0; i < 6; ++i) {
    LaneValue pair = a.with(l.gather(DType::i64, table, (word + bits.integer(5 - i)).value));
    digits[i] = a.with(b.CreateShl(pair.value, offset.value)) >> 32;
  }
  // The product modulo 2^192, by 32-bit digits; no partial sum exceeds 64 bits.
  std::array<LaneValue, 6> product = digits;
  const std::array<LaneValue, 2> factor{mantissa & low_word, mantissa >> 32};
  LaneValue carry = bits.integer(0);
  for (int i = 0; i < 6; ++i) {
    LaneValue sum = factor[0] * digits[i] + carry;
    product[i] = sum & low_word;
    carry = sum >> 32;
  }
  carry = bits.integer(0);
  for (int i = 1; i < 6; ++i) {
    LaneValue sum = factor[1] * digits[i - 1] + product[i] + carry;
    product[i] = sum & low_word;
    carry = sum >> 32;
  }

  // Two bits of quadrants, then the fraction; read as a signed number it is that to the nearest quadrant, which rounds n.
  auto pair = [&](int i) { return (product[i] << 32 | product[i - 1]) << 2 | product[i - 2] >> 30; };
  LaneValue upper = pair(5), lower = pair(3);
  LaneValue quadrant = (product[5] >> 30) + (upper >> 63);
  auto to_float = [&](LaneValue word, double scale) { return word.with(l.convert(word.value, DType::f64)) * scale; };
  LaneValue signed_high = a.with(l.shift_right_arithmetic(upper.value, 32));
  const TwoSum f = two_sum(to_float(signed_high, 0x1p-32), to_float(upper & low_word, 0x1p-64));
  const TwoSum g = two_sum(f.sum, to_float(lower >> 32, 0x1p-96));
  LaneValue low = f.error + g.error + to_float(lower & low_word, 0x1p-128);
  // Times pi/2, in two parts as well.
  constexpr double high_factor = 0x1.921fb54442d18p+0, low_factor = 0x1.1a62633145c07p-54;
  LaneValue high = g.sum * high_factor;
  LaneValue error = a.with(l.fma(g.sum.value, a.number(high_factor).value, (-high).value));
  return {high, error + g.sum * low_factor + low * high_factor, quadrant};
}

// sin r and cos r for |r| <= pi/4, r = high + low. In f32 the low part is nothing.
LaneValue sin_near_zero(LaneValue high, LaneValue low) {
  LaneValue square = high * high;
  if (high.is_f32())
    return mad(high * square, polynomial(square, {-0x1.555546p-3, 0x1.110778p-7, -0x1.9953fep-13}), high); // 2^-27.9
  LaneValue p = polynomial(square, {-0x1.5555555555548p-3, 0x1.111111110f73p-7, -0x1.a01a019be9212p-13, 0x1.71de35552aaacp-19,
                                    -0x1.ae5e4b830f1e6p-26, 0x1.5d8b553fcddb2p-33}); // 2^-57.9
  return high + mad(high * square, p, low * (high.number(1) - square * 0.5));
}

LaneValue cos_near_zero(LaneValue high, LaneValue low) {
  LaneValue square = high * high, one = high.number(1);
  if (high.is_f32()) // 2^-33.1
    return mad(square * square, polynomial(square, {0x1.55554ap-5, -0x1.6c0c1ap-10, 0x1.99e0eep-16}), mad(square, -0.5, one));
  LaneValue p = polynomial(square, {0x1.555555555554cp-5, -0x1.6c16c16c1521dp-10, 0x1.a01a019cbf0d1p-16, -0x1.27e4f81264e37p-22,
                                    0x1.1ee9f110372a4p-29, -0x1.8fb109d8e3f2ep-37}); // 2^-64.2
  LaneValue half = square * 0.5, rounded = one - half;
  return rounded + ((one - rounded - half) + mad(square * square, p, -(high * low)));
}

Reduced reduce(LaneValue a, bool to_f32) {
  const Lanes &l = *a.lanes;
  llvm::IRBuilder<> &b = l.builder();
  const Reduced small = reduce_small(a, to_f32);
  LaneValue is_huge = a.number(huge) < a;
  Value *any = l.is_scalar() ? is_huge.value : b.CreateOrReduce(is_huge.value);

  llvm::BasicBlock *from = b.GetInsertBlock();
  llvm::Function *function = from->getParent();
  llvm::BasicBlock *rare = llvm::BasicBlock::Create(b.getContext(), "huge", function);
  llvm::BasicBlock *join = llvm::BasicBlock::Create(b.getContext(), "reduced", function);
  b.CreateCondBr(any, rare, join, llvm::MDBuilder(b.getContext()).createUnlikelyBranchWeights());
  b.SetInsertPoint(rare);
  const Reduced large = reduce_huge(select(is_huge, a, a.number(2 * huge)));
  // Each lane takes the way its own argument asks for, whatever its neighbours are.
  const Reduced mixed = {select(is_huge, large.high, small.high), select(is_huge, large.low, small.low),
                         select(is_huge, large.quadrant, small.quadrant)};
  rare = b.GetInsertBlock();
  b.CreateBr(join);
  b.SetInsertPoint(join);
  auto merge = [&](LaneValue usual, LaneValue other) {
    llvm::PHINode *phi = b.CreatePHI(other.value->getType(), 2);
    phi->addIncoming(l.splat(usual.value), from);
    phi->addIncoming(other.value, rare);
    return usual.with(phi);
  };
  return {merge(small.high, mixed.high), merge(small.low, mixed.low), merge(small.quadrant, mixed.quadrant)};
}

// sin x is sin of |x| with the sign of x; cos x is sin of one quadrant more.
LaneValue sin_or_cos(LaneValue x, bool cosine) {
  const Lanes &l = *x.lanes;
  const bool f32 = x.is_f32();
  const DType word = f32 ? DType::i32 : DType::i64;
  LaneValue magnitude = abs(x);
  const Reduced reduced = reduce(x.with(l.convert(magnitude.value, DType::f64)), f32);
  LaneValue high = x.with(l.convert(reduced.high.value, Lanes::dtype_of(x.value)));
  LaneValue low = f32 ? x.number(0) : reduced.low;
  LaneValue quadrant = x.with(l.resize(reduced.quadrant.value, word));
  if (cosine)
    quadrant = quadrant + quadrant.integer(1);

  LaneValue even = (quadrant & quadrant.integer(1)) == quadrant.integer(0);
  LaneValue result = select(even, sin_near_zero(high, low), cos_near_zero(high, low));
  LaneValue flip = (quadrant & quadrant.integer(2)) << (f32 ? 30 : 62);
  if (!cosine)
    flip = flip ^ sign_bit(x);
  result = (result.bits() ^ flip).from_bits();
  const double infinity = std::numeric_limits<double>::infinity();
  return select(magnitude < x.number(infinity), result, x - x); // NaN for infinities
}

} // namespace

Value *emit_sin(const Lanes &lanes, Value *x) {
  return call_formula(lanes, "sin", {&x, 1}, [](auto x) { return sin_or_cos(x[0], false); });
}
Value *emit_cos(const Lanes &lanes, Value *x) {
  return call_formula(lanes, "cos", {&x, 1}, [](auto x) { return sin_or_cos(x[0], true); });
}

} // namespace nnc
