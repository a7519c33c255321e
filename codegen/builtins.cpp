// memcpy, memmove and memset for artefacts, which have no libc. Code generation may replace a copy of constant size by a call;
// our kernels avoid what leads to it, so these are plain: eight bytes at a time forwards, bytes backwards.
#include "codegen/builtins.h"

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <algorithm>
#include <functional>

namespace nnc {
namespace {

using llvm::Value;

constexpr std::string_view builtins[] = {"memcpy", "memmove", "memset"};

class Builtins {
public:
  explicit Builtins(llvm::Module &module) : module(module), b(module.getContext()) {}

  // memcpy is memmove. A forward copy in chunks is right for overlapping blocks too where `to` is below `from`: a store only
  // touches bytes already read.
  void copy(std::string_view name) {
    llvm::Function *function = begin(name, b.getPtrTy());
    Value *to = function->getArg(0), *from = function->getArg(1), *size = function->getArg(2);
    auto move = [&](llvm::Type *type, Value *at) {
      b.CreateAlignedStore(b.CreateAlignedLoad(type, byte(from, at), llvm::Align(1)), byte(to, at), llvm::Align(1));
    };
    auto *forwards = llvm::BasicBlock::Create(b.getContext(), "forwards", function);
    auto *backwards = llvm::BasicBlock::Create(b.getContext(), "backwards", function);
    // Unsigned, to - from >= size says: `to` is below `from`, or beyond the block.
    Value *distance = b.CreateSub(b.CreatePtrToInt(to, b.getInt64Ty()), b.CreatePtrToInt(from, b.getInt64Ty()));
    b.CreateCondBr(b.CreateICmpUGE(distance, size), forwards, backwards);

    b.SetInsertPoint(forwards);
    Value *chunks = b.CreateAnd(size, ~uint64_t(7));
    loop(b.getInt64(0), chunks, 8, [&](Value *at) { move(b.getInt64Ty(), at); });
    loop(chunks, size, 1, [&](Value *at) { move(b.getInt8Ty(), at); });
    b.CreateRet(to);

    b.SetInsertPoint(backwards);
    Value *last = b.CreateSub(size, b.getInt64(1));
    loop(b.getInt64(0), size, 1, [&](Value *at) { move(b.getInt8Ty(), b.CreateSub(last, at)); });
    b.CreateRet(to);
  }

  void set() {
    llvm::Function *function = begin("memset", b.getInt32Ty());
    Value *to = function->getArg(0), *size = function->getArg(2);
    Value *value = b.CreateTrunc(function->getArg(1), b.getInt8Ty());
    Value *eight = b.CreateMul(b.CreateZExt(value, b.getInt64Ty()), b.getInt64(0x0101010101010101));
    Value *chunks = b.CreateAnd(size, ~uint64_t(7));
    loop(b.getInt64(0), chunks, 8, [&](Value *at) { b.CreateAlignedStore(eight, byte(to, at), llvm::Align(1)); });
    loop(chunks, size, 1, [&](Value *at) { b.CreateAlignedStore(value, byte(to, at), llvm::Align(1)); });
    b.CreateRet(to);
  }

private:
  llvm::Module &module;
  llvm::IRBuilder<> b;

  llvm::Function *begin(std::string_view name, llvm::Type *second) {
    auto *type = llvm::FunctionType::get(b.getPtrTy(), {b.getPtrTy(), second, b.getInt64Ty()}, false);
    auto *function = llvm::Function::Create(type, llvm::GlobalValue::ExternalLinkage, llvm::StringRef(name), module);
    function->setVisibility(llvm::GlobalValue::HiddenVisibility);
    b.SetInsertPoint(llvm::BasicBlock::Create(b.getContext(), "", function));
    return function;
  }

  Value *byte(Value *pointer, Value *at) { return b.CreateGEP(b.getInt8Ty(), pointer, at); }

  // body(at) for at = begin, begin + step, … below end; `end - begin` is a multiple of step.
  void loop(Value *begin, Value *end, int64_t step, const std::function<void(Value *)> &body) {
    llvm::BasicBlock *before = b.GetInsertBlock();
    auto *head = llvm::BasicBlock::Create(b.getContext(), "", before->getParent());
    auto *inside = llvm::BasicBlock::Create(b.getContext(), "", before->getParent());
    auto *after = llvm::BasicBlock::Create(b.getContext(), "", before->getParent());
    b.CreateBr(head);
    b.SetInsertPoint(head);
    llvm::PHINode *at = b.CreatePHI(b.getInt64Ty(), 2);
    at->addIncoming(begin, before);
    b.CreateCondBr(b.CreateICmpNE(at, end), inside, after);
    b.SetInsertPoint(inside);
    body(at);
    at->addIncoming(b.CreateAdd(at, b.getInt64(step)), b.GetInsertBlock());
    b.CreateBr(head);
    b.SetInsertPoint(after);
  }
};

} // namespace

bool is_builtin(std::string_view symbol) { return std::ranges::find(builtins, symbol) != std::end(builtins); }

void emit_builtins(llvm::Module &module, const Target &target) {
  Builtins functions(module);
  functions.copy("memcpy");
  functions.copy("memmove");
  functions.set();
  for (llvm::Function &function : module)
    set_function_attributes(function, target);
}

} // namespace nnc
