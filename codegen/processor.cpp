// Detection of the instruction set, on x86-64 with cpuid and xgetbv written as inline assembly (for AArch64 see
// processor_aarch64.cpp), and the floating-point mode. The artefact may call no library, so this is emitted into it; and it must
// run on any processor of the architecture, so the functions it stands in are compiled for the least one.
//
// Sources: Intel SDM volume 2A, CPUID, and volume 1, 13.3 (XCR0) and 10.2.3 (MXCSR); Arm ARM, FPCR.
#include "codegen/processor.h"

#include "codegen/feature_table.h"
#include "codegen/llvm_compat.h"
#include "codegen/processor_aarch64.h"
#include "ir/error.h"

#include <llvm/IR/InlineAsm.h>
#include <llvm/IR/IntrinsicsAArch64.h>
#include <llvm/IR/IntrinsicsX86.h>
#include <llvm/MC/MCSubtargetInfo.h>

namespace nnc {
namespace {

using llvm::BasicBlock;
using llvm::Value;

enum Leaf { leaf_1, leaf_7_0, leaf_7_1, leaf_ext_1, leaf_count };
enum Register { eax, ebx, ecx, edx };
enum State { no_state, ymm, zmm, tile, egpr, state_count }; // registers the operating system must save

// XCR0 bits of each State.
constexpr uint64_t xcr0_bits[state_count] = {0, 0x6, 0xe6, 0x60000, 0x80000};

struct Feature {
  const char *name; // LLVM's
  Leaf leaf;
  Register reg;
  int bit;
  State state;
};

// The features that LLVM's code generator uses unasked, and those our recipes may ask for. The bit in the word is the index:
// append only.
constexpr Feature features[] = {
    {"sse3", leaf_1, ecx, 0, no_state},
    {"ssse3", leaf_1, ecx, 9, no_state},
    {"sse4.1", leaf_1, ecx, 19, no_state},
    {"sse4.2", leaf_1, ecx, 20, no_state},
    {"popcnt", leaf_1, ecx, 23, no_state},
    {"movbe", leaf_1, ecx, 22, no_state},
    {"cx16", leaf_1, ecx, 13, no_state},
    {"lzcnt", leaf_ext_1, ecx, 5, no_state},
    {"bmi", leaf_7_0, ebx, 3, no_state},
    {"bmi2", leaf_7_0, ebx, 8, no_state},
    {"avx", leaf_1, ecx, 28, ymm},
    {"f16c", leaf_1, ecx, 29, ymm},
    {"fma", leaf_1, ecx, 12, ymm},
    {"avx2", leaf_7_0, ebx, 5, ymm},
    {"avx512f", leaf_7_0, ebx, 16, zmm},
    {"avx512dq", leaf_7_0, ebx, 17, zmm},
    {"avx512cd", leaf_7_0, ebx, 28, zmm},
    {"avx512bw", leaf_7_0, ebx, 30, zmm},
    {"avx512vl", leaf_7_0, ebx, 31, zmm},
    {"avx512ifma", leaf_7_0, ebx, 21, zmm},
    {"avx512vbmi", leaf_7_0, ecx, 1, zmm},
    {"avx512vbmi2", leaf_7_0, ecx, 6, zmm},
    {"avx512vnni", leaf_7_0, ecx, 11, zmm},
    {"avx512bitalg", leaf_7_0, ecx, 12, zmm},
    {"avx512vpopcntdq", leaf_7_0, ecx, 14, zmm},
    {"avx512vp2intersect", leaf_7_0, edx, 8, zmm},
    {"avx512fp16", leaf_7_0, edx, 23, zmm},
    {"avx512bf16", leaf_7_1, eax, 5, zmm},
    {"gfni", leaf_7_0, ecx, 8, no_state},
    {"vaes", leaf_7_0, ecx, 9, ymm},
    {"vpclmulqdq", leaf_7_0, ecx, 10, ymm},
    {"avxvnni", leaf_7_1, eax, 4, ymm},
    {"avxifma", leaf_7_1, eax, 23, ymm},
    {"avxvnniint8", leaf_7_1, edx, 4, ymm},
    {"avxneconvert", leaf_7_1, edx, 5, ymm},
    {"avxvnniint16", leaf_7_1, edx, 10, ymm},
    {"amx-bf16", leaf_7_0, edx, 22, tile},
    {"amx-tile", leaf_7_0, edx, 24, tile},
    {"amx-int8", leaf_7_0, edx, 25, tile},
    {"amx-fp16", leaf_7_1, eax, 21, tile},
    {"egpr", leaf_7_1, edx, 21, egpr},
    {"fma4", leaf_ext_1, ecx, 16, ymm},
    {"xop", leaf_ext_1, ecx, 11, ymm},
    {"tbm", leaf_ext_1, ecx, 21, no_state},
    {"sse4a", leaf_ext_1, ecx, 6, no_state},
};
static_assert(std::size(features) <= most_features);

struct Registers {
  Value *value[4];
};

Registers emit_cpuid(llvm::IRBuilder<> &b, uint32_t leaf, uint32_t subleaf) {
  llvm::Type *i32 = b.getInt32Ty();
  auto *result = llvm::StructType::get(i32, i32, i32, i32);
  auto *assembly = llvm::InlineAsm::get(llvm::FunctionType::get(result, {i32, i32}, false), "cpuid",
                                        "={ax},={bx},={cx},={dx},0,2,~{dirflag},~{fpsr},~{flags}", /*hasSideEffects=*/true);
  Value *all = b.CreateCall(assembly, {b.getInt32(leaf), b.getInt32(subleaf)});
  Registers registers;
  for (unsigned i = 0; i < 4; i++)
    registers.value[i] = b.CreateExtractValue(all, i);
  return registers;
}

// A leaf beyond the last answers with nonsense: where `valid` is false all its bits count as 0.
Registers keep_if(llvm::IRBuilder<> &b, Value *valid, Registers registers) {
  for (Value *&value : registers.value)
    value = b.CreateSelect(valid, value, b.getInt32(0));
  return registers;
}

// XCR0, or 0 where the operating system has not enabled xgetbv, which would be an illegal instruction.
Value *emit_xcr0(llvm::IRBuilder<> &b, Value *leaf_1_ecx) {
  llvm::Function *function = b.GetInsertBlock()->getParent();
  auto *read = BasicBlock::Create(b.getContext(), "xgetbv", function);
  auto *done = BasicBlock::Create(b.getContext(), "no_xgetbv", function);
  BasicBlock *before = b.GetInsertBlock();
  b.CreateCondBr(b.CreateTrunc(b.CreateLShr(leaf_1_ecx, 27), b.getInt1Ty()), read, done);

  b.SetInsertPoint(read);
  llvm::Type *i32 = b.getInt32Ty();
  auto *assembly = llvm::InlineAsm::get(llvm::FunctionType::get(llvm::StructType::get(i32, i32), {i32}, false), "xgetbv",
                                        "={ax},={dx},{cx},~{dirflag},~{fpsr},~{flags}", /*hasSideEffects=*/true);
  Value *low = b.CreateZExt(b.CreateExtractValue(b.CreateCall(assembly, {b.getInt32(0)}), 0), b.getInt64Ty());
  b.CreateBr(done);

  b.SetInsertPoint(done);
  llvm::PHINode *xcr0 = b.CreatePHI(b.getInt64Ty(), 2);
  xcr0->addIncoming(b.getInt64(0), before);
  xcr0->addIncoming(low, read);
  return xcr0;
}

Value *emit_x86_word(llvm::IRBuilder<> &b) {
  Registers leaf_0 = emit_cpuid(b, 0, 0);
  Registers leaves[leaf_count];
  leaves[leaf_1] = emit_cpuid(b, 1, 0);
  Value *has_7 = b.CreateICmpUGE(leaf_0.value[eax], b.getInt32(7));
  leaves[leaf_7_0] = keep_if(b, has_7, emit_cpuid(b, 7, 0));
  Value *has_7_1 = b.CreateICmpUGE(leaves[leaf_7_0].value[eax], b.getInt32(1)); // eax: the last subleaf
  leaves[leaf_7_1] = keep_if(b, has_7_1, emit_cpuid(b, 7, 1));
  leaves[leaf_ext_1] = emit_cpuid(b, 0x80000001, 0); // every 64-bit processor has it

  Value *xcr0 = emit_xcr0(b, leaves[leaf_1].value[ecx]);

  auto *registers_type = llvm::ArrayType::get(b.getInt32Ty(), 4 * leaf_count);
  Value *registers = b.CreateAlloca(registers_type);
  for (unsigned leaf = 0; leaf < leaf_count; leaf++)
    for (unsigned r = 0; r < 4; r++)
      b.CreateStore(leaves[leaf].value[r], b.CreateConstInBoundsGEP2_32(registers_type, registers, 0, 4 * leaf + r));
  std::vector<llvm::Constant *> rows;
  auto *row_type = llvm::StructType::get(b.getInt32Ty(), b.getInt32Ty(), b.getInt64Ty());
  for (const Feature &f : features)
    rows.push_back(
        llvm::ConstantStruct::get(row_type, b.getInt32(4 * f.leaf + f.reg), b.getInt32(f.bit), b.getInt64(xcr0_bits[f.state])));
  return emit_feature_word(b, row_type, rows, [&](const RowField &field) {
    Value *bits = b.CreateLoad(b.getInt32Ty(), b.CreateInBoundsGEP(registers_type, registers, {b.getInt64(0), field(0)}));
    Value *present = b.CreateTrunc(b.CreateLShr(bits, field(1)), b.getInt1Ty());
    Value *needed = field(2), *usable = b.CreateICmpEQ(b.CreateAnd(xcr0, needed), needed);
    return b.CreateAnd(present, usable);
  });
}

llvm::Triple::ArchType arch(const llvm::Module &module) { return llvm::Triple(module.getTargetTriple()).getArch(); }

// All exceptions masked, round to nearest; and results (FTZ), operands (DAZ), or both (FZ) are 0 where they are denormal.
constexpr uint32_t default_mxcsr = 0x1f80, flush_mxcsr = 0x8040;
constexpr uint64_t default_fpcr = 0, flush_fpcr = uint64_t(1) << 24;

} // namespace

uint64_t required_isa(const llvm::TargetMachine &machine) {
  uint64_t word = isa_detected;
  if (machine.getTargetTriple().getArch() == llvm::Triple::aarch64)
    return word | required_aarch64_isa(*machine.getMCSubtargetInfo());
  if (machine.getTargetTriple().getArch() == llvm::Triple::x86_64)
    for (size_t i = 0; i < std::size(features); i++)
      if (machine.getMCSubtargetInfo()->checkFeatures(std::string("+") + features[i].name))
        word |= uint64_t(1) << i;
  return word;
}

uint64_t detected_isa(const llvm::Module &module) {
  const size_t known = arch(module) == llvm::Triple::x86_64 ? std::size(features) : aarch64_feature_count;
  return isa_detected | uint64_t(known) << most_features;
}

llvm::Function *emit_isa_detection(llvm::Module &module, const std::string &symbol) {
  llvm::IRBuilder<> b(module.getContext());
  auto *type = llvm::FunctionType::get(b.getInt64Ty(), false);
  auto *function = llvm::Function::Create(type, llvm::GlobalValue::InternalLinkage, symbol, module);
  b.SetInsertPoint(BasicBlock::Create(b.getContext(), "", function));
  Value *word = arch(module) == llvm::Triple::x86_64 ? emit_x86_word(b) : emit_aarch64_word(b);
  b.CreateRet(b.CreateOr(word, b.getInt64(detected_isa(module))));
  return function;
}

llvm::Value *emit_enter_float_mode(llvm::IRBuilder<> &b, Denormals denormals) {
  const bool flush = denormals == Denormals::flush;
  llvm::Module &module = *b.GetInsertBlock()->getModule();
  switch (arch(module)) {
  case llvm::Triple::x86_64: {
    BasicBlock &first = b.GetInsertBlock()->getParent()->getEntryBlock(); // where allocas cost nothing
    llvm::IRBuilder<> at(&first, first.begin());
    Value *saved = at.CreateAlloca(b.getInt32Ty()), *wanted = at.CreateAlloca(b.getInt32Ty());
    b.CreateCall(compat::intrinsic(&module, llvm::Intrinsic::x86_sse_stmxcsr, {}), {saved});
    b.CreateStore(b.getInt32(default_mxcsr | (flush ? flush_mxcsr : 0)), wanted);
    b.CreateCall(compat::intrinsic(&module, llvm::Intrinsic::x86_sse_ldmxcsr, {}), {wanted});
    return saved;
  }
  case llvm::Triple::aarch64: {
    Value *saved = b.CreateCall(compat::intrinsic(&module, llvm::Intrinsic::aarch64_get_fpcr, {}), {});
    b.CreateCall(compat::intrinsic(&module, llvm::Intrinsic::aarch64_set_fpcr, {}),
                 {b.getInt64(default_fpcr | (flush ? flush_fpcr : 0))});
    return saved;
  }
  default:
    throw Error("no floating-point mode is known for the target `" + std::string(module.getTargetTriple()) + "`");
  }
}

void emit_leave_float_mode(llvm::IRBuilder<> &b, llvm::Value *saved) {
  llvm::Module &module = *b.GetInsertBlock()->getModule();
  if (arch(module) == llvm::Triple::x86_64)
    b.CreateCall(compat::intrinsic(&module, llvm::Intrinsic::x86_sse_ldmxcsr, {}), {saved});
  else
    b.CreateCall(compat::intrinsic(&module, llvm::Intrinsic::aarch64_set_fpcr, {}), {saved});
}

} // namespace nnc
