// LaneKernel: one loop around a piece of lane code, compiled by the JIT: for (i < n) out[i] = emit(a[i], b[i], …), full vectors
// and a masked tail. For tests and benchmarks of codegen/lanes.h and codegen/emit.h.
#pragma once

#include "codegen/emit.h"
#include "codegen/llvm_compat.h"
#include "codegen/processor.h"

#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Object/ObjectFile.h>
#include <llvm/Support/SmallVectorMemoryBuffer.h>

#include <functional>
#include <stdexcept>

namespace nnc {

// From the operands' lanes to the result's.
using LaneCode = std::function<llvm::Value *(const Lanes &, std::span<llvm::Value *const>)>;

inline LaneCode lane_code(Op op, DType result) {
  return [=](const Lanes &l, std::span<llvm::Value *const> operands) { return emit_elementwise(l, op, operands, result); };
}

// Which of these the machine runs: the names are ordered by what they need.
inline std::vector<Target> runnable_targets() {
  const Target host = make_target("native");
  std::vector<Target> targets = {host, make_target("generic")};
  if (host.triple.starts_with("x86_64")) {
    if (host.vector_bits >= 256)
      targets.push_back(make_target("x86-64-v3"));
    if (host.vector_bits >= 512)
      targets.push_back(make_target("x86-64-v4"));
  }
  return targets;
}

// The object file of `void kernel(i64 n, ptr out, ptr a, ptr b, …)`.
inline std::unique_ptr<llvm::MemoryBuffer> lane_object(const Target &target, unsigned width, const std::vector<DType> &operands,
                                                       DType result, const LaneCode &code) {
  llvm::LLVMContext context;
  llvm::Module module("lanes", context);
  const std::unique_ptr<llvm::TargetMachine> machine = create_machine(target);
  prepare_module(module, target, *machine);
  llvm::IRBuilder<> b(context);
  std::vector<llvm::Type *> arguments(operands.size() + 2, b.getPtrTy());
  arguments[0] = b.getInt64Ty();
  llvm::Function *kernel = llvm::Function::Create(llvm::FunctionType::get(b.getVoidTy(), arguments, false),
                                                  llvm::Function::ExternalLinkage, "kernel", module);
  set_function_attributes(*kernel, target);
  for (unsigned i = 1; i < arguments.size(); ++i)
    kernel->addParamAttr(i, llvm::Attribute::NoAlias);

  const Lanes lanes(b, target, width);
  llvm::Value *n = kernel->getArg(0), *step = b.getInt64(width);
  auto body = [&](llvm::Value *at, bool masked) {
    llvm::Value *mask = masked ? lanes.predicate(at, n) : nullptr;
    std::vector<llvm::Value *> values;
    for (size_t i = 0; i < operands.size(); ++i)
      values.push_back(lanes.load(operands[i], lanes.element_pointer(operands[i], kernel->getArg(i + 2), at), mask));
    lanes.store(result, code(lanes, values), lanes.element_pointer(result, kernel->getArg(1), at), mask);
  };
  auto block = [&](const char *name) { return llvm::BasicBlock::Create(context, name, kernel); };
  llvm::BasicBlock *entry = block("entry"), *head = block("head"), *loop = block("loop"), *rest = block("rest");
  llvm::BasicBlock *tail = block("tail"), *done = block("done");
  b.SetInsertPoint(entry);
  llvm::Value *mode = emit_enter_float_mode(b, target.denormals);
  b.CreateBr(head);
  b.SetInsertPoint(head);
  llvm::PHINode *at = b.CreatePHI(b.getInt64Ty(), 2);
  at->addIncoming(b.getInt64(0), entry);
  llvm::Value *next = b.CreateAdd(at, step);
  b.CreateCondBr(b.CreateICmpSLE(next, n), loop, rest);
  b.SetInsertPoint(loop);
  body(at, false);
  at->addIncoming(next, b.GetInsertBlock());
  b.CreateBr(head);
  b.SetInsertPoint(rest);
  b.CreateCondBr(b.CreateICmpSLT(at, n), tail, done);
  b.SetInsertPoint(tail);
  body(at, true);
  b.CreateBr(done);
  b.SetInsertPoint(done);
  emit_leave_float_mode(b, mode);
  b.CreateRetVoid();
  if (llvm::verifyModule(module, &llvm::errs()))
    throw std::logic_error("the kernel is no valid IR");

  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, stream, nullptr, llvm::CodeGenFileType::ObjectFile))
    throw std::logic_error("the target emits no objects");
  passes.run(module);
  return std::make_unique<llvm::SmallVectorMemoryBuffer>(std::move(bytes), "lanes.o", false);
}

class LaneKernel {
public:
  LaneKernel(const Target &target, unsigned width, const std::vector<DType> &operands, DType result, const LaneCode &code) {
    jit = llvm::cantFail(llvm::orc::LLJITBuilder().create());
    llvm::cantFail(jit->addObjectFile(lane_object(target, width, operands, result, code)));
    address = llvm::cantFail(jit->lookup("kernel"));
  }

  void operator()(int64_t n, void *out, const void *a) const {
    address.toPtr<void (*)(int64_t, void *, const void *)>()(n, out, a);
  }
  void operator()(int64_t n, void *out, const void *a, const void *b) const {
    address.toPtr<void (*)(int64_t, void *, const void *, const void *)>()(n, out, a, b);
  }
  void operator()(int64_t n, void *out, const void *a, const void *b, const void *c) const {
    address.toPtr<void (*)(int64_t, void *, const void *, const void *, const void *)>()(n, out, a, b, c);
  }

private:
  std::unique_ptr<llvm::orc::LLJIT> jit;
  llvm::orc::ExecutorAddr address;
};

} // namespace nnc
