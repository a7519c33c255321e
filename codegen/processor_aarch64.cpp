// Detection of the instruction set on AArch64: the identification registers, which Linux lets every program read (it takes the
// trap and answers; so does qemu-user), and how long the vectors of SVE are. Assumes Linux 4.11 or later; features that no
// register tells are taken on trust.
//
// Sources: Arm ARM, D19.2, ID_AA64PFR0_EL1 and its neighbours; Linux, Documentation/arch/arm64/cpu-feature-registers.rst.
#include "codegen/processor_aarch64.h"

#include "codegen/feature_table.h"
#include "codegen/processor.h"

#include <llvm/IR/InlineAsm.h>
#include <llvm/IR/Module.h>

#include <algorithm>
#include <string>

namespace nnc {
namespace {

using llvm::BasicBlock;
using llvm::Value;

// `fitting_vectors` is our own: 1 where there is SVE and its vectors are as long as code for them can be.
enum Register { pfr0, zfr0, isar0, isar1, isar2, fitting_vectors, register_count };

// By number, since assemblers know the names with the extension only. In the order of Register.
constexpr const char *register_names[] = {"S3_0_C0_C4_0", "S3_0_C0_C4_4", "S3_0_C0_C6_0", "S3_0_C0_C6_1", "S3_0_C0_C6_2"};
static_assert(std::size(register_names) == fitting_vectors);

struct Feature {
  const char *name; // LLVM's
  Register reg;
  int shift; // of the field of four bits
  int least; // what it is where the feature is there, or more
};

// The features that LLVM's code generator uses unasked, and those our recipes may ask for. The bit in the word is the index:
// append only.
constexpr Feature features[] = {
    {"sve", pfr0, 32, 1},        {"sve", fitting_vectors, 0, 1}, {"sve2", zfr0, 0, 1},
    {"sve2p1", zfr0, 0, 2},      {"fullfp16", pfr0, 16, 1}, // 15 is no floating point at all, for which no code is made
    {"dotprod", isar0, 44, 1},   {"i8mm", isar1, 52, 1},         {"sha3", isar0, 32, 1},
    {"complxnum", isar1, 16, 1}, {"mops", isar2, 16, 1},         {"cssc", isar2, 52, 1},
};
static_assert(std::size(features) <= most_features);

Value *emit_read(llvm::IRBuilder<> &b, const std::string &instruction, const char *constraints) {
  auto *assembly = llvm::InlineAsm::get(llvm::FunctionType::get(b.getInt64Ty(), false), instruction, constraints,
                                        /*hasSideEffects=*/true);
  return b.CreateCall(assembly, {});
}

// Whether vectors are of 128, 256 or 512 bits; asked only where there are any. `rdvl x0, #1` gives their bytes; it is written
// as a number, since this code is assembled for processors without SVE.
Value *emit_fitting_vectors(llvm::IRBuilder<> &b, Value *has_sve) {
  llvm::Function *function = b.GetInsertBlock()->getParent();
  BasicBlock *before = b.GetInsertBlock();
  auto *read = BasicBlock::Create(b.getContext(), "sve", function), *done = BasicBlock::Create(b.getContext(), "", function);
  b.CreateCondBr(has_sve, read, done);
  b.SetInsertPoint(read);
  Value *bytes = emit_read(b, ".inst 0x04bf5020", "={x0}");
  Value *power_of_two = b.CreateICmpEQ(b.CreateAnd(bytes, b.CreateSub(bytes, b.getInt64(1))), b.getInt64(0));
  Value *fits = b.CreateAnd(power_of_two, b.CreateICmpULE(bytes, b.getInt64(most_vector_bits / 8)));
  b.CreateBr(done);
  b.SetInsertPoint(done);
  llvm::PHINode *result = b.CreatePHI(b.getInt1Ty(), 2);
  result->addIncoming(b.getFalse(), before);
  result->addIncoming(fits, read);
  return result;
}

Value *field_at_least(llvm::IRBuilder<> &b, Value *word, Value *shift, Value *least) {
  return b.CreateICmpUGE(b.CreateAnd(b.CreateLShr(word, shift), b.getInt64(15)), least);
}

} // namespace

const size_t aarch64_feature_count = std::size(features);

uint64_t required_aarch64_isa(const llvm::MCSubtargetInfo &machine) {
  uint64_t word = 0;
  for (size_t i = 0; i < std::size(features); i++)
    if (machine.checkFeatures(std::string("+") + features[i].name))
      word |= uint64_t(1) << i;
  return word;
}

Value *emit_aarch64_word(llvm::IRBuilder<> &b) {
  llvm::Type *i64 = b.getInt64Ty();
  auto *registers_type = llvm::ArrayType::get(i64, register_count);
  Value *registers = b.CreateAlloca(registers_type);
  auto keep = [&](Value *value, unsigned reg) {
    b.CreateStore(value, b.CreateConstInBoundsGEP2_32(registers_type, registers, 0, reg));
    return value;
  };
  std::vector<Value *> read;
  for (unsigned reg = 0; reg < fitting_vectors; reg++)
    read.push_back(keep(emit_read(b, std::string("mrs $0, ") + register_names[reg], "=r"), reg));
  const Feature &sve = features[0];
  Value *has_sve = field_at_least(b, read[sve.reg], b.getInt64(sve.shift), b.getInt64(sve.least));
  keep(b.CreateZExt(emit_fitting_vectors(b, has_sve), i64), fitting_vectors);

  std::vector<llvm::Constant *> rows;
  auto *row_type = llvm::StructType::get(i64, i64, i64);
  for (const Feature &f : features)
    rows.push_back(llvm::ConstantStruct::get(row_type, b.getInt64(f.reg), b.getInt64(f.shift), b.getInt64(f.least)));
  return emit_feature_word(b, row_type, rows, [&](const RowField &field) {
    Value *value = b.CreateLoad(i64, b.CreateInBoundsGEP(registers_type, registers, {b.getInt64(0), field(0)}));
    return field_at_least(b, value, field(1), field(2));
  });
}

} // namespace nnc
