#include "tests/unit/hand_made.h"

#include <algorithm>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <functional>

namespace nnc::hand_made {
namespace {

using llvm::Value;

// Builds a kernel: one function, loops, loads and stores.
class Body {
public:
  Body(const Kernel &kernel, const std::string &symbol, llvm::Module &module, const Target &target)
      : b(module.getContext()), pointers(kernel.pointers.size()) {
    std::vector<llvm::Type *> parameters(pointers + 1, b.getPtrTy());
    parameters.push_back(b.getInt64Ty());
    function = llvm::Function::Create(llvm::FunctionType::get(b.getVoidTy(), parameters, false),
                                      llvm::GlobalValue::ExternalLinkage, symbol, module);
    function->setVisibility(llvm::GlobalValue::HiddenVisibility);
    set_function_attributes(*function, target);
    b.SetInsertPoint(llvm::BasicBlock::Create(b.getContext(), "", function));
  }

  llvm::IRBuilder<> b;
  llvm::Function *function;

  Value *pointer(int i) { return function->getArg(i); }
  Value *scratch() { return function->getArg(pointers); }
  Value *grain() { return function->getArg(pointers + 1); }
  Value *load(llvm::Type *type, int p, Value *at) { return b.CreateLoad(type, b.CreateGEP(type, pointer(p), at)); }
  void store(Value *value, int p, Value *at) { b.CreateStore(value, b.CreateGEP(value->getType(), pointer(p), at)); }
  Value *zero() { return b.getInt64(0); }

  void loop(Value *begin, Value *end, const std::function<void(Value *)> &inside) {
    llvm::BasicBlock *before = b.GetInsertBlock();
    auto *body = llvm::BasicBlock::Create(b.getContext(), "", function);
    auto *after = llvm::BasicBlock::Create(b.getContext(), "", function);
    b.CreateBr(body);
    b.SetInsertPoint(body);
    llvm::PHINode *i = b.CreatePHI(b.getInt64Ty(), 2);
    inside(i);
    Value *next = b.CreateAdd(i, b.getInt64(1));
    i->addIncoming(begin, before);
    i->addIncoming(next, body);
    b.CreateCondBr(b.CreateICmpULT(next, end), body, after);
    b.SetInsertPoint(after);
  }

private:
  size_t pointers;
};

} // namespace

void emit(const Kernel &kernel, const std::string &symbol, llvm::Module &module, const Target &target) {
  Body body(kernel, symbol, module, target);
  llvm::IRBuilder<> &b = body.b;
  llvm::Type *f32 = b.getFloatTy(), *i64 = b.getInt64Ty(), *u8 = b.getInt8Ty();
  const std::string &name = kernel.nodes[0].name;
  if (name == "label_below_10") { // (label, holds)
    body.store(b.CreateZExt(b.CreateICmpULT(body.load(u8, 0, body.zero()), b.getInt8(10)), u8), 1, body.zero());
  } else if (name == "multiply") { // (x, w, half, y)
    Value *part = b.getInt64(size / grains), *begin = b.CreateMul(body.grain(), part);
    Value *half = body.load(f32, 2, body.zero());
    body.loop(begin, b.CreateAdd(begin, part),
              [&](Value *i) { body.store(b.CreateFAdd(b.CreateFMul(body.load(f32, 0, i), body.load(f32, 1, i)), half), 3, i); });
  } else if (name == "slots") { // (slots): grain + 1 through all of the scratch slot, then its sum
    Value *words = b.getInt64(kernel.scratch_bytes / 8), *mark = b.CreateAdd(body.grain(), b.getInt64(1));
    body.loop(body.zero(), words, [&](Value *i) { b.CreateStore(mark, b.CreateGEP(i64, body.scratch(), i)); });
    body.store(body.zero(), 0, body.grain());
    body.loop(body.zero(), words, [&](Value *i) {
      Value *word = b.CreateLoad(i64, b.CreateGEP(i64, body.scratch(), i));
      body.store(b.CreateAdd(body.load(i64, 0, body.grain()), word), 0, body.grain());
    });
  } else if (name == "add") { // (w in place, x)
    body.loop(body.zero(), b.getInt64(size),
              [&](Value *i) { body.store(b.CreateFAdd(body.load(f32, 0, i), body.load(f32, 1, i)), 0, i); });
  } else if (name == "count") { // (count in place)
    body.store(b.CreateAdd(body.load(i64, 0, body.zero()), b.getInt64(1)), 0, body.zero());
  } else if (name == "fill" || name == "fill twice") { // (seed, w, count)
    const double factor = name == "fill" ? 0.25 : 0.5;
    Value *value = b.CreateFMul(b.CreateSIToFP(body.load(i64, 0, body.zero()), f32), llvm::ConstantFP::get(f32, factor));
    body.loop(body.zero(), b.getInt64(size), [&](Value *i) { body.store(value, 1, i); });
    body.store(body.zero(), 2, body.zero());
  } else if (name == "where") { // (addresses): where grain g had its scratch
    body.store(b.CreatePtrToInt(body.scratch(), i64), 0, body.grain());
  } else if (name == "memcpy") { // (from, to)
    b.CreateMemCpy(body.pointer(1), llvm::MaybeAlign(1), body.pointer(0), llvm::MaybeAlign(1), 65536);
  } else if (name == "fmaf") { // (x in place)
    auto fmaf = body.function->getParent()->getOrInsertFunction("fmaf", f32, f32, f32, f32);
    Value *x = body.load(f32, 0, body.zero());
    body.store(b.CreateCall(fmaf, {x, x, x}), 0, body.zero());
  }
  b.CreateRetVoid();
}

Kernel kernel(const std::string &name, std::vector<KernelPointer> pointers, int64_t grains, int64_t scratch_bytes) {
  Kernel kernel;
  kernel.pointers = std::move(pointers);
  kernel.nodes.resize(1);
  kernel.nodes[0].name = name;
  kernel.grains = grains;
  kernel.scratch_bytes = scratch_bytes;
  return kernel;
}

KernelPointer pointer(bool read, bool written) {
  KernelPointer pointer;
  pointer.read = read;
  pointer.written = written;
  return pointer;
}

Step call(int kernel, std::vector<Ref> args) {
  Step step;
  step.kernel = kernel;
  step.args = std::move(args);
  return step;
}

Step check(Ref holds, int index) {
  Step step;
  step.args = {holds};
  step.check = index;
  return step;
}

Plan plan(const std::string &model) {
  const KernelPointer reads = pointer(true, false), writes = pointer(false, true), both = pointer(true, true);
  using enum Ref::Space;
  auto ref = [](Ref::Space space, int index, int64_t offset, int64_t bytes) { return Ref{space, index, offset, bytes}; };
  const int64_t bytes = size * 4, scratch = 1 << 12;

  Plan plan;
  plan.model = model;
  plan.files = {model};
  plan.kernels = {kernel("label_below_10", {reads, writes}),
                  kernel("multiply", {reads, reads, reads, writes}, grains),
                  kernel("slots", {writes}, grains, scratch),
                  kernel("add", {both, reads}),
                  kernel("count", {both}),
                  kernel("fill", {reads, writes, writes})};
  const float half = 0.5;
  plan.constant_starts = {0};
  plan.constants.resize(64 + sizeof half);
  std::copy_n(reinterpret_cast<const std::byte *>(&half), sizeof half, plan.constants.begin() + 64);

  PlanEntry step;
  step.name = "step";
  step.doc = "Multiplies, then learns. /* Not a comment */\nSecond line.";
  step.inputs = {{"x", {DType::f32, {10, 100}}}, {"label", {DType::u8, {}}}};
  step.outputs = {{"y", {DType::f32, {size}}}, {"slots", {DType::i64, {grains}}}};
  step.checks = {{"label is not below 10", {}}};
  step.writes_state = true;
  step.workspace_bytes = 100; // no multiple of 64
  step.slot_bytes = scratch;
  step.steps = {call(0, {ref(input, 1, 0, 1), ref(workspace, 0, 64, 1)}),
                check(ref(workspace, 0, 64, 1), 0),
                call(1, {ref(input, 0, 0, bytes), ref(state, 0, 0, bytes), ref(constant, 0, 64, 4), ref(output, 0, 0, bytes)}),
                call(2, {ref(output, 1, 0, grains * 8)}),
                call(3, {ref(state, 0, 0, bytes), ref(input, 0, 0, bytes)}),
                call(4, {ref(state, 0, 4032, 8)})};

  PlanEntry init;
  init.name = "init";
  init.inputs = {{"seed", {DType::i64, {}}}};
  init.writes_state = true;
  init.steps = {call(5, {ref(input, 0, 0, 8), ref(state, 0, 0, bytes), ref(state, 0, 4032, 8)})};

  plan.entries = {step, init};
  plan.states = {{{"net/w", {DType::f32, {size}}, true}, 0}, {{"count", {DType::i64, {}}, false}, 4032}};
  plan.state_bytes = 4096;
  return plan;
}

ArtefactOptions options(int threads) { return {.source_hash = "abc123", .threads = threads, .emit = emit}; }

Artefact artefact(const std::string &model) { return compile_plan(plan(model), make_target(), options()); }

} // namespace nnc::hand_made
