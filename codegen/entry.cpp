// Entries: argument checks, the floating-point mode, then the plan's steps. A kernel with one grain is called directly. One
// with more goes through a task function, which a shared `dispatch` hands to the host's `run`, or calls itself with all grains
// as one slice; so there is one way to run a kernel, and its result cannot depend on threads. Where the kernels are there for
// several processors, an entry has the steps once for each, and branches to those of the variant that `pick` says.
//
// All addresses are a base plus a constant, and in loops a multiple of the trips: an argument of the entry, the state, the
// workspace, the constants. Kernels come
// from elsewhere (kernel.h); nothing here computes on tensors.
#include "codegen/entry.h"

#include "codegen/debug_info.h"
#include "codegen/llvm_compat.h"
#include "codegen/processor.h"
#include "runtime/abi.h"

#include <llvm/IR/IRBuilder.h>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <set>

namespace nnc {
namespace {

using llvm::BasicBlock;
using llvm::Value;

// sizeof(nnc_context) in version 1 of the C interface: what a host has at least. A context larger than ours comes from a later
// version; one beyond the largest was never initialised.
constexpr uint64_t least_context = 48, largest_context = 4096;
static_assert(sizeof(nnc_context) == least_context, "what is appended may only be read where struct_size says it is there");

// What a task needs, on the stack of the entry. The fields of one step after another are written into the same frame.
struct Frame {
  enum Field : unsigned { slices, slots, slot_bytes, arguments };
};

class EntryModule {
public:
  EntryModule(llvm::Module &module, const Plan &plan, const ArtefactNames &names, const std::vector<Variant> &variants,
              Denormals denormals, DebugInfo *debug)
      : module(module), plan(plan), names(names), variants(variants), denormals(denormals), debug(debug), b(module.getContext()),
        i32(b.getInt32Ty()), i64(b.getInt64Ty()), ptr(b.getPtrTy()) {
    context_type = llvm::StructType::get(module.getContext(), {i32, i32, ptr, ptr, i64, i64, i32, i32});
    assert(module.getDataLayout().getTypeAllocSize(context_type) == sizeof(nnc_context));
    size_t most = 0;
    for (const Kernel &kernel : plan.kernels)
      most = std::max(most, kernel.pointers.size());
    frame_type = llvm::StructType::get(module.getContext(), {i64, ptr, i64, llvm::ArrayType::get(ptr, most)});
    kernels.assign(variants.size(), std::vector<llvm::Function *>(plan.kernels.size()));
    tasks = kernels;
    if (!plan.constants.empty())
      emit_constants();
    emit_pick();
    emit_dispatch();
  }

  llvm::Function *emit_entry(const PlanEntry &entry, const EntryNames &entry_names);
  llvm::Function *emit_call(const PlanEntry &entry, llvm::Function *typed);
  llvm::Function *emit_touch();
  llvm::Function *pick = nullptr;

private:
  llvm::Module &module;
  const Plan &plan;
  const ArtefactNames &names;
  const std::vector<Variant> &variants;
  Denormals denormals;
  DebugInfo *const debug;
  llvm::IRBuilder<> b;
  llvm::Type *i32, *i64, *ptr;
  llvm::StructType *context_type, *frame_type;
  std::vector<std::vector<llvm::Function *>> kernels, tasks; // by variant; made when first used
  llvm::GlobalVariable *constants = nullptr;
  llvm::Function *dispatch = nullptr;

  void emit_constants();
  void emit_pick();
  void emit_dispatch();
  llvm::Function *task(int kernel, size_t variant);
  struct Body; // of an entry
  void emit_steps(Body &body, size_t begin, size_t end);
  void emit_loop(Body &body, size_t step);
  Value *address(const Body &body, const Ref &ref);
  Value *check_arguments(const PlanEntry &entry, llvm::Function *function, BasicBlock *refuse, llvm::PHINode *code);
  Value *picked(Value *context, BasicBlock *refuse, llvm::PHINode *code);

  llvm::Function *create(llvm::Type *result, std::vector<llvm::Type *> parameters, const std::string &name,
                         llvm::GlobalValue::LinkageTypes linkage) {
    auto *function = llvm::Function::Create(llvm::FunctionType::get(result, parameters, false), linkage, name, module);
    b.SetInsertPoint(BasicBlock::Create(b.getContext(), "entry", function));
    b.SetCurrentDebugLocation({}); // of the function before
    return function;
  }

  llvm::Function *kernel(int index, size_t variant) {
    llvm::Function *&function = kernels[variant][index];
    if (!function) {
      std::vector<llvm::Type *> parameters(plan.kernels[index].pointers.size() + 1, ptr);
      parameters.push_back(i64);
      function = llvm::Function::Create(llvm::FunctionType::get(b.getVoidTy(), parameters, false),
                                        llvm::GlobalValue::ExternalLinkage, names.kernel(index, variant), module);
      function->setVisibility(llvm::GlobalValue::HiddenVisibility);
    }
    return function;
  }

  void set_place(const llvm::Function &function, const Loc &loc) {
    if (debug)
      b.SetCurrentDebugLocation(debug->place(function, loc));
  }
  // The symbols of the kernels that it calls, in the order of the first calls; of one variant after the other.
  std::string kernels_of(const PlanEntry &entry) const {
    std::string list;
    for (size_t v = 0; v < variants.size(); ++v) {
      std::set<int> seen;
      for (const Step &step : entry.steps)
        if (step.kernel >= 0 && seen.insert(step.kernel).second)
          list += (list.empty() ? "" : " ") + names.kernel(step.kernel, v);
    }
    return list;
  }

  Value *byte_offset(Value *pointer, int64_t bytes) {
    return bytes ? b.CreateConstGEP1_64(b.getInt8Ty(), pointer, bytes) : pointer;
  }
  Value *context_field(Value *context, unsigned field) { return b.CreateStructGEP(context_type, context, field); }
  Value *load_context(Value *context, unsigned field) {
    return b.CreateLoad(context_type->getElementType(field), context_field(context, field));
  }
  Value *frame_argument(Value *frame, unsigned index) {
    return b.CreateConstInBoundsGEP2_32(frame_type->getElementType(Frame::arguments),
                                        b.CreateStructGEP(frame_type, frame, Frame::arguments), 0, index);
  }
  Value *load_frame(Value *frame, Frame::Field field) {
    return b.CreateLoad(frame_type->getElementType(field), b.CreateStructGEP(frame_type, frame, field));
  }

  // Leaves for `target` with `result` in its phi where `condition` holds; goes on in a new block where it does not.
  void leave_if(Value *condition, int32_t result, BasicBlock *target, llvm::PHINode *code) {
    leave_if(condition, b.getInt32(result), target, code);
  }
  void leave_if(Value *condition, Value *result, BasicBlock *target, llvm::PHINode *code) {
    code->addIncoming(result, b.GetInsertBlock());
    auto *next = BasicBlock::Create(b.getContext(), "", b.GetInsertBlock()->getParent());
    b.CreateCondBr(condition, target, next);
    b.SetInsertPoint(next);
  }
};

// Field numbers of nnc_context.
enum ContextField : unsigned {
  context_size,
  context_threads,
  context_pool,
  context_run,
  context_workspace,
  context_isa,
  context_variant,
};

void EntryModule::emit_constants() {
  llvm::StringRef bytes(reinterpret_cast<const char *>(plan.constants.data()), plan.constants.size());
  auto *data = llvm::ConstantDataArray::getString(module.getContext(), bytes, /*AddNull=*/false);
  constants = new llvm::GlobalVariable(module, data->getType(), /*isConstant=*/true, llvm::GlobalValue::InternalLinkage, data,
                                       names.internal("constants"));
  constants->setAlignment(llvm::Align(buffer_alignment));
}

// void dispatch(context, task, frame, grains): all grains of a kernel, over the host's threads where it has given them.
void EntryModule::emit_dispatch() {
  dispatch = create(b.getVoidTy(), {ptr, ptr, ptr, i64}, names.internal("dispatch"), llvm::GlobalValue::InternalLinkage);
  Value *context = dispatch->getArg(0), *task = dispatch->getArg(1), *frame = dispatch->getArg(2), *grains = dispatch->getArg(3);
  auto *parallel = BasicBlock::Create(b.getContext(), "parallel", dispatch);
  auto *alone = BasicBlock::Create(b.getContext(), "alone", dispatch);
  auto *task_type = llvm::FunctionType::get(b.getVoidTy(), {ptr, i64}, false);
  auto *run_type = llvm::FunctionType::get(b.getVoidTy(), {ptr, ptr, ptr, i64}, false);

  Value *run = load_context(context, context_run);
  Value *threads = b.CreateZExt(load_context(context, context_threads), i64);
  Value *slices = b.CreateSelect(b.CreateICmpULT(threads, grains), threads, grains);
  b.CreateCondBr(b.CreateAnd(b.CreateIsNotNull(run), b.CreateICmpUGT(slices, b.getInt64(1))), parallel, alone);

  b.SetInsertPoint(parallel);
  b.CreateStore(slices, b.CreateStructGEP(frame_type, frame, Frame::slices));
  b.CreateCall(run_type, run, {load_context(context, context_pool), task, frame, slices});
  b.CreateRetVoid();

  b.SetInsertPoint(alone);
  b.CreateStore(b.getInt64(1), b.CreateStructGEP(frame_type, frame, Frame::slices));
  b.CreateCall(task_type, task, {frame, b.getInt64(0)});
  b.CreateRetVoid();
}

// void task(frame, slice): the grains [slice * G / slices, (slice + 1) * G / slices) of a kernel, in slot `slice`.
llvm::Function *EntryModule::task(int index, size_t variant) {
  if (tasks[variant][index])
    return tasks[variant][index];
  llvm::IRBuilderBase::InsertPointGuard guard(b);
  const Kernel &k = plan.kernels[index];
  llvm::Function *function = create(b.getVoidTy(), {ptr, i64}, names.task(index, variant), llvm::GlobalValue::InternalLinkage);
  Value *frame = function->getArg(0), *slice = function->getArg(1), *grains = b.getInt64(k.grains);
  Value *mode = emit_enter_float_mode(b, denormals);
  Value *slices = load_frame(frame, Frame::slices);
  Value *first = b.CreateUDiv(b.CreateMul(slice, grains), slices);
  Value *end = b.CreateUDiv(b.CreateMul(b.CreateAdd(slice, b.getInt64(1)), grains), slices);
  std::vector<Value *> arguments;
  for (unsigned i = 0; i < k.pointers.size(); i++)
    arguments.push_back(b.CreateLoad(ptr, frame_argument(frame, i)));
  arguments.push_back(
      b.CreateGEP(b.getInt8Ty(), load_frame(frame, Frame::slots), b.CreateMul(slice, load_frame(frame, Frame::slot_bytes))));

  // slices <= grains, so no slice is empty.
  BasicBlock *before = b.GetInsertBlock();
  auto *loop = BasicBlock::Create(b.getContext(), "loop", function);
  auto *done = BasicBlock::Create(b.getContext(), "done", function);
  b.CreateBr(loop);
  b.SetInsertPoint(loop);
  llvm::PHINode *grain = b.CreatePHI(i64, 2);
  arguments.push_back(grain);
  b.CreateCall(kernel(index, variant), arguments);
  Value *next = b.CreateAdd(grain, b.getInt64(1));
  grain->addIncoming(first, before);
  grain->addIncoming(next, loop);
  b.CreateCondBr(b.CreateICmpULT(next, end), loop, done);
  b.SetInsertPoint(done);
  emit_leave_float_mode(b, mode);
  b.CreateRetVoid();
  return tasks[variant][index] = function;
}

// int32_t pick(nnc_context *): which variant runs, or a negated code. Writes nothing but the context's isa.
void EntryModule::emit_pick() {
  llvm::Function *detect = emit_isa_detection(module, names.internal("isa"));
  pick = create(i32, {ptr}, names.pick, llvm::GlobalValue::ExternalLinkage);
  Value *context = pick->getArg(0);
  auto *refuse = BasicBlock::Create(b.getContext(), "refuse", pick);
  auto *code = llvm::PHINode::Create(i32, 4, "", refuse);
  leave_if(b.CreateIsNull(context), -NNC_BAD_CONTEXT, refuse, code);
  Value *beyond = b.CreateSub(b.CreateZExt(load_context(context, context_size), i64), b.getInt64(least_context));
  leave_if(b.CreateICmpUGT(beyond, b.getInt64(largest_context - least_context)), -NNC_BAD_CONTEXT, refuse, code);
  Value *asked = load_context(context, context_variant);
  leave_if(b.CreateICmpUGT(asked, b.getInt32(static_cast<uint32_t>(variants.size()))), -NNC_BAD_VARIANT, refuse, code);

  BasicBlock *before = b.GetInsertBlock();
  auto *unknown = BasicBlock::Create(b.getContext(), "unknown", pick);
  auto *known = BasicBlock::Create(b.getContext(), "known", pick);
  Value *cached = load_context(context, context_isa);
  b.CreateCondBr(b.CreateICmpULT(cached, b.getInt64(detected_isa(module))), unknown, known);
  b.SetInsertPoint(unknown);
  Value *detected = b.CreateCall(detect);
  b.CreateStore(detected, context_field(context, context_isa));
  b.CreateBr(known);
  b.SetInsertPoint(known);
  llvm::PHINode *isa = b.CreatePHI(i64, 2);
  isa->addIncoming(cached, before);
  isa->addIncoming(detected, unknown);
  Value *best = b.getInt32(-NNC_UNSUPPORTED_CPU), *any = b.CreateIsNull(asked);
  for (uint32_t v = 0; v < variants.size(); ++v) {
    Value *fits = b.CreateICmpEQ(b.CreateAnd(isa, variants[v].isa), b.getInt64(variants[v].isa));
    Value *wanted = b.CreateOr(any, b.CreateICmpEQ(asked, b.getInt32(v + 1)));
    best = b.CreateSelect(b.CreateAnd(fits, wanted), b.getInt32(v), best);
  }
  b.CreateRet(best);
  b.SetInsertPoint(refuse);
  b.CreateRet(code);
}

// The variant; refuses what `pick` refuses.
Value *EntryModule::picked(Value *context, BasicBlock *refuse, llvm::PHINode *code) {
  Value *variant = b.CreateCall(pick, {context});
  leave_if(b.CreateICmpSLT(variant, b.getInt32(0)), b.CreateNeg(variant), refuse, code);
  return variant;
}

// Refuses what could not be run, before anything is written. Each kind of mistake is one branch: null pointers and low address
// bits are gathered with `or`.
Value *EntryModule::check_arguments(const PlanEntry &entry, llvm::Function *function, BasicBlock *refuse, llvm::PHINode *code) {
  Value *context = function->getArg(0), *state = function->getArg(1), *workspace = function->getArg(2);
  const WorkspaceLayout layout = workspace_layout(entry);
  Value *null = b.getFalse(), *low_bits = b.getInt64(0);
  auto look_at = [&](Value *pointer, int64_t bytes, int64_t alignment) {
    if (bytes == 0)
      return;
    null = b.CreateOr(null, b.CreateIsNull(pointer));
    low_bits = b.CreateOr(low_bits, b.CreateAnd(b.CreatePtrToInt(pointer, i64), alignment - 1));
  };
  look_at(state, plan.state_bytes, buffer_alignment);
  look_at(workspace, layout.fixed_bytes + layout.slot_bytes, buffer_alignment);
  auto *pointer = function->arg_begin() + 3;
  for (const auto *values : {&entry.inputs, &entry.outputs})
    for (const PlanValue &value : *values)
      look_at(pointer++, value.type.bytes(), dtype_size(value.type.dtype));
  leave_if(null, NNC_NULL_POINTER, refuse, code);
  leave_if(b.CreateIsNotNull(low_bits), NNC_MISALIGNED, refuse, code);

  Value *threads = b.CreateZExt(load_context(context, context_threads), i64);
  threads = b.CreateSelect(b.CreateIsNull(threads), b.getInt64(1), threads);
  Value *needed = b.CreateAdd(b.CreateMul(threads, b.getInt64(layout.slot_bytes)), b.getInt64(layout.fixed_bytes));
  Value *given = load_context(context, context_workspace);
  leave_if(b.CreateAnd(b.CreateIsNotNull(given), b.CreateICmpULT(given, needed)), NNC_SHORT_WORKSPACE, refuse, code);
  return byte_offset(workspace, layout.fixed_bytes); // the slots
}

struct EntryModule::Body {
  const PlanEntry &entry;
  llvm::Function *function;
  Value *frame, *slots;
  BasicBlock *leave;
  llvm::PHINode *code; // with which it leaves
  size_t variant = 0;
  std::vector<Value *> trips{}; // of the loops around the step: how many are done
};

Value *EntryModule::address(const Body &body, const Ref &ref) {
  Value *base = nullptr;
  switch (ref.space) {
  case Ref::Space::input:
    base = body.function->getArg(3 + ref.index);
    break;
  case Ref::Space::output:
    base = body.function->getArg(3 + body.entry.inputs.size() + ref.index);
    break;
  case Ref::Space::state:
    base = body.function->getArg(1);
    break;
  case Ref::Space::workspace:
    base = body.function->getArg(2);
    break;
  case Ref::Space::constant:
    base = constants;
    break;
  }
  base = byte_offset(base, ref.offset);
  for (size_t loop = 0; loop < ref.strides.size(); ++loop)
    if (ref.strides[loop] != 0)
      base = b.CreateGEP(b.getInt8Ty(), base, b.CreateMul(body.trips[loop], b.getInt64(ref.strides[loop])));
  return base;
}

void EntryModule::emit_loop(Body &body, size_t index) {
  const Step &step = body.entry.steps[index];
  BasicBlock *before = b.GetInsertBlock();
  auto *loop = BasicBlock::Create(b.getContext(), "trips", body.function);
  auto *done = BasicBlock::Create(b.getContext(), "done", body.function);
  b.CreateBr(loop);
  b.SetInsertPoint(loop);
  llvm::PHINode *trip = b.CreatePHI(i64, 2);
  trip->addIncoming(b.getInt64(0), before);
  body.trips.push_back(trip);
  emit_steps(body, index + 1, index + 1 + step.inside);
  body.trips.pop_back();
  Value *next = b.CreateAdd(trip, b.getInt64(1));
  trip->addIncoming(next, b.GetInsertBlock());
  b.CreateCondBr(b.CreateICmpULT(next, b.getInt64(step.trips)), loop, done);
  b.SetInsertPoint(done);
}

void EntryModule::emit_steps(Body &body, size_t begin, size_t end) {
  for (size_t s = begin; s < end; ++s) {
    const Step &step = body.entry.steps[s];
    set_place(*body.function, step.loc);
    if (step.trips > 0) {
      emit_loop(body, s);
      s += step.inside;
      continue;
    }
    if (step.kernel < 0) {
      Value *holds = b.CreateLoad(b.getInt8Ty(), address(body, step.args[0]));
      leave_if(b.CreateICmpEQ(holds, b.getInt8(0)), NNC_CHECK + step.check, body.leave, body.code);
      continue;
    }
    const Kernel &k = plan.kernels[step.kernel];
    assert(step.args.size() == k.pointers.size() && k.scratch_bytes <= body.entry.slot_bytes);
    bool writes = false; // a step whose results are all empty does nothing
    for (size_t i = 0; i < step.args.size(); i++)
      writes |= k.pointers[i].written && step.args[i].bytes > 0;
    if (!writes)
      continue;
    std::vector<Value *> arguments;
    for (const Ref &ref : step.args)
      arguments.push_back(address(body, ref));
    if (k.grains == 1) {
      arguments.push_back(body.slots);
      arguments.push_back(b.getInt64(0));
      b.CreateCall(kernel(step.kernel, body.variant), arguments);
    } else {
      for (unsigned i = 0; i < arguments.size(); i++)
        b.CreateStore(arguments[i], frame_argument(body.frame, i));
      b.CreateCall(dispatch, {body.function->getArg(0), task(step.kernel, body.variant), body.frame, b.getInt64(k.grains)});
    }
  }
}

// int32_t function(nnc_context *, void *state, void *workspace, const T *in0, …, T *out0, …)
llvm::Function *EntryModule::emit_entry(const PlanEntry &entry, const EntryNames &entry_names) {
  std::vector<llvm::Type *> parameters(3 + entry.inputs.size() + entry.outputs.size(), ptr);
  llvm::Function *function = create(i32, parameters, entry_names.function, llvm::GlobalValue::ExternalLinkage);
  for (unsigned i = 0; i < function->arg_size(); i++)
    function->getArg(i)->setName(i == 0                        ? "context"
                                 : i == 1                      ? "state"
                                 : i == 2                      ? "workspace"
                                 : i < 3 + entry.inputs.size() ? entry_names.inputs[i - 3]
                                                               : entry_names.outputs[i - 3 - entry.inputs.size()]);
  // Two ways out: before the floating-point mode is set, and after.
  auto *refuse = BasicBlock::Create(b.getContext(), "refuse", function);
  auto *leave = BasicBlock::Create(b.getContext(), "leave", function);
  auto *refusal = llvm::PHINode::Create(i32, 8, "", refuse), *result = llvm::PHINode::Create(i32, 2, "", leave);
  if (debug)
    debug->describe(*function, entry.loc, {{"nnc.entry", entry.name}, {"nnc.kernels", kernels_of(entry)}});
  set_place(*function, entry.loc);
  Value *frame = b.CreateAlloca(frame_type);
  Value *variant = picked(function->getArg(0), refuse, refusal);
  Value *slots = check_arguments(entry, function, refuse, refusal);

  Value *mode = emit_enter_float_mode(b, denormals);
  b.CreateStore(slots, b.CreateStructGEP(frame_type, frame, Frame::slots));
  b.CreateStore(b.getInt64(workspace_layout(entry).slot_bytes), b.CreateStructGEP(frame_type, frame, Frame::slot_bytes));
  Body body{entry, function, frame, slots, leave, result};
  std::vector<BasicBlock *> starts = {b.GetInsertBlock()};
  for (size_t v = 1; v < variants.size(); ++v)
    starts.push_back(BasicBlock::Create(b.getContext(), names.variants[v], function));
  if (variants.size() > 1) {
    auto *first = BasicBlock::Create(b.getContext(), names.variants[0], function);
    llvm::SwitchInst *choice = b.CreateSwitch(variant, first, static_cast<unsigned>(variants.size()) - 1);
    for (uint32_t v = 1; v < variants.size(); ++v)
      choice->addCase(b.getInt32(v), starts[v]);
    starts[0] = first;
  }
  for (; body.variant < variants.size(); ++body.variant) {
    b.SetInsertPoint(starts[body.variant]);
    emit_steps(body, 0, entry.steps.size());
    set_place(*function, entry.loc);
    result->addIncoming(b.getInt32(NNC_OK), b.GetInsertBlock());
    b.CreateBr(leave);
  }

  b.SetInsertPoint(leave);
  emit_leave_float_mode(b, mode);
  b.CreateRet(result);
  b.SetInsertPoint(refuse);
  b.CreateRet(refusal);
  return function;
}

// int32_t call(nnc_context *, void *state, void *workspace, const void *const *inputs, void *const *outputs)
llvm::Function *EntryModule::emit_call(const PlanEntry &entry, llvm::Function *typed) {
  llvm::Function *function =
      create(i32, {ptr, ptr, ptr, ptr, ptr}, typed->getName().str() + ".call", llvm::GlobalValue::InternalLinkage);
  auto *refuse = BasicBlock::Create(b.getContext(), "refuse", function);
  auto *code = llvm::PHINode::Create(i32, 3, "", refuse);
  Value *inputs = function->getArg(3), *outputs = function->getArg(4);
  picked(function->getArg(0), refuse, code); // which comes before null pointers
  if (!entry.inputs.empty())
    leave_if(b.CreateIsNull(inputs), NNC_NULL_POINTER, refuse, code);
  if (!entry.outputs.empty())
    leave_if(b.CreateIsNull(outputs), NNC_NULL_POINTER, refuse, code);
  std::vector<Value *> arguments = {function->getArg(0), function->getArg(1), function->getArg(2)};
  for (size_t i = 0; i < entry.inputs.size(); i++)
    arguments.push_back(b.CreateLoad(ptr, b.CreateConstGEP1_64(ptr, inputs, i)));
  for (size_t i = 0; i < entry.outputs.size(); i++)
    arguments.push_back(b.CreateLoad(ptr, b.CreateConstGEP1_64(ptr, outputs, i)));
  b.CreateRet(b.CreateCall(typed, arguments));
  b.SetInsertPoint(refuse);
  b.CreateRet(code);
  return function;
}

// int32_t touch(nnc_context *, void *state). No artefact keeps anything beside the tensors of the state yet, so this refuses what
// an entry would, and has nothing to do.
llvm::Function *EntryModule::emit_touch() {
  llvm::Function *function = create(i32, {ptr, ptr}, names.touch, llvm::GlobalValue::ExternalLinkage);
  auto *refuse = BasicBlock::Create(b.getContext(), "refuse", function);
  auto *code = llvm::PHINode::Create(i32, 3, "", refuse);
  picked(function->getArg(0), refuse, code);
  if (plan.state_bytes > 0) {
    Value *state = function->getArg(1);
    leave_if(b.CreateIsNull(state), NNC_NULL_POINTER, refuse, code);
    leave_if(b.CreateIsNotNull(b.CreateAnd(b.CreatePtrToInt(state, i64), buffer_alignment - 1)), NNC_MISALIGNED, refuse, code);
  }
  b.CreateRet(b.getInt32(NNC_OK));
  b.SetInsertPoint(refuse);
  b.CreateRet(code);
  return function;
}

} // namespace

WorkspaceLayout workspace_layout(const PlanEntry &entry) { return {aligned(entry.workspace_bytes), aligned(entry.slot_bytes)}; }

void emit_entries(llvm::Module &module, const Plan &plan, const ArtefactNames &names, const ArtefactFacts &facts,
                  const Target &base, DebugInfo *debug) {
  EntryModule entries(module, plan, names, facts.variants, base.denormals, debug);
  InfoFunctions functions = {{}, entries.pick, entries.emit_touch(), emit_code_name(module, names.code_name)};
  for (size_t i = 0; i < plan.entries.size(); i++)
    functions.calls.push_back(entries.emit_call(plan.entries[i], entries.emit_entry(plan.entries[i], names.entries[i])));
  emit_metadata(module, plan, names, facts, functions);
  for (llvm::Function &function : module)
    if (!function.isDeclaration())
      set_function_attributes(function, base);
}

} // namespace nnc
