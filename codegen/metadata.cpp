// Builds the structs of runtime/abi.h field by field, in the order declared there; a struct whose size differs from the
// header's trips an assertion. The sizes that hosts reserve come from the plan, rounded as entry.cpp lays the workspace out.
#include "codegen/metadata.h"

#include "codegen/entry.h"
#include "runtime/abi.h"

#include <llvm/IR/IRBuilder.h>

#include <cassert>

namespace nnc {

// The C interface numbers dtypes as we do.
static_assert(static_cast<int>(DType::f32) == NNC_F32 && static_cast<int>(DType::f64) == NNC_F64 &&
              static_cast<int>(DType::u8) == NNC_U8 && static_cast<int>(DType::i32) == NNC_I32 &&
              static_cast<int>(DType::i64) == NNC_I64 && static_cast<int>(DType::boolean) == NNC_BOOL &&
              static_cast<int>(DType::bf16) == NNC_BF16 && static_cast<int>(DType::f16) == NNC_F16 &&
              static_cast<int>(DType::i8) == NNC_I8);

namespace {

class Metadata {
public:
  explicit Metadata(llvm::Module &module) : module(module), b(module.getContext()) {}

  llvm::Constant *u32(uint64_t value) { return b.getInt32(static_cast<uint32_t>(value)); }
  llvm::Constant *u64(uint64_t value) { return b.getInt64(value); }
  llvm::Constant *null() { return llvm::ConstantPointerNull::get(b.getPtrTy()); }

  llvm::Constant *global(llvm::Constant *value) {
    return new llvm::GlobalVariable(module, value->getType(), /*isConstant=*/true, llvm::GlobalValue::PrivateLinkage, value);
  }

  llvm::Constant *string(const std::string &text) {
    return global(llvm::ConstantDataArray::getString(module.getContext(), text));
  }

  // A struct whose first field is its size, which has to be `size`.
  llvm::Constant *record(size_t size, std::vector<llvm::Constant *> fields) {
    fields.insert(fields.begin(), u32(size));
    llvm::Constant *value = llvm::ConstantStruct::getAnon(fields);
    assert(module.getDataLayout().getTypeAllocSize(value->getType()) == size);
    return value;
  }

  llvm::Constant *array(const std::vector<llvm::Constant *> &elements) {
    if (elements.empty())
      return null();
    return global(llvm::ConstantArray::get(llvm::ArrayType::get(elements[0]->getType(), elements.size()), elements));
  }

  llvm::Constant *tensor(const std::string &name, const Type &type, int64_t offset = 0, bool trained = false) {
    std::vector<llvm::Constant *> shape;
    for (int64_t size : type.shape)
      shape.push_back(u64(size));
    return record(sizeof(nnc_tensor_info), {u32(static_cast<uint32_t>(type.dtype)), string(name), u64(type.shape.size()),
                                            array(shape), u64(type.bytes()), u64(offset), u32(trained), u32(0)});
  }

  llvm::Constant *tensors(const std::vector<PlanValue> &values) {
    std::vector<llvm::Constant *> elements;
    for (const PlanValue &value : values)
      elements.push_back(tensor(value.name, value.type));
    return array(elements);
  }

  llvm::Constant *entry(const PlanEntry &entry, const std::string &function, llvm::Function *call) {
    std::vector<llvm::Constant *> checks;
    for (const PlanCheck &check : entry.checks)
      checks.push_back(string(check.message));
    const WorkspaceLayout layout = workspace_layout(entry);
    return record(sizeof(nnc_entry_info),
                  {u32(entry.inputs.size()), string(entry.name), string(entry.doc), tensors(entry.inputs), tensors(entry.outputs),
                   u32(entry.outputs.size()), u32(entry.checks.size()), array(checks), u64(layout.fixed_bytes),
                   u64(layout.slot_bytes), u32(entry.writes_state), u32(0), call, string(function)});
  }

private:
  llvm::Module &module;
  llvm::IRBuilder<> b;
};

} // namespace

llvm::Function *emit_code_name(llvm::Module &module, const std::string &symbol) {
  Metadata m(module);
  llvm::Constant *names =
      m.array({m.string("NNC_OK"), m.string("NNC_BAD_CONTEXT"), m.string("NNC_NULL_POINTER"), m.string("NNC_MISALIGNED"),
               m.string("NNC_SHORT_WORKSPACE"), m.string("NNC_UNSUPPORTED_CPU"), m.string("NNC_BAD_VARIANT")});
  constexpr int count = NNC_BAD_VARIANT + 1;
  llvm::IRBuilder<> b(module.getContext());
  auto *function = llvm::Function::Create(llvm::FunctionType::get(b.getPtrTy(), {b.getInt32Ty()}, false),
                                          llvm::GlobalValue::ExternalLinkage, symbol, module);
  auto block = [&] { return llvm::BasicBlock::Create(b.getContext(), "", function); };
  llvm::BasicBlock *start = block(), *known = block(), *beyond = block();
  llvm::Value *code = function->getArg(0);
  b.SetInsertPoint(start);
  b.CreateCondBr(b.CreateICmpULT(code, b.getInt32(count)), known, beyond);
  b.SetInsertPoint(known);
  b.CreateRet(b.CreateLoad(b.getPtrTy(), b.CreateGEP(b.getPtrTy(), names, b.CreateZExt(code, b.getInt64Ty()))));
  b.SetInsertPoint(beyond);
  b.CreateRet(b.CreateSelect(b.CreateICmpSGE(code, b.getInt32(NNC_CHECK)), m.string("NNC_CHECK"), m.string("unknown")));
  return function;
}

void emit_metadata(llvm::Module &module, const Plan &plan, const ArtefactNames &names, const ArtefactFacts &facts,
                   const InfoFunctions &functions) {
  Metadata m(module);
  std::vector<llvm::Constant *> entries, states, variants;
  for (size_t i = 0; i < plan.entries.size(); i++)
    entries.push_back(m.entry(plan.entries[i], names.entries[i].function, functions.calls[i]));
  for (const Variant &variant : facts.variants)
    variants.push_back(m.record(sizeof(nnc_variant_info), {m.u32(0), m.string(variant.cpu), m.u64(variant.isa)}));
  for (const PlanState &s : plan.states)
    states.push_back(m.tensor(s.state.path, s.state.type, s.offset, s.state.trained));
  llvm::Constant *info = m.global(
      m.record(sizeof(nnc_model_info),
               {m.u32(NNC_ABI_VERSION), m.string(file_name(plan.model)), m.string(facts.source_hash), m.string(facts.compiler),
                m.string(facts.triple), m.string(facts.cpu), m.array(entries), m.u64(plan.entries.size()), m.array(states),
                m.u64(plan.states.size()), m.u64(plan.state_bytes), m.u64(buffer_alignment), m.array(variants),
                m.u64(variants.size()), functions.pick, functions.touch, functions.code_name, m.string(facts.options)}));

  llvm::IRBuilder<> b(module.getContext());
  auto *function = llvm::Function::Create(llvm::FunctionType::get(b.getPtrTy(), false), llvm::GlobalValue::ExternalLinkage,
                                          names.info, module);
  b.SetInsertPoint(llvm::BasicBlock::Create(b.getContext(), "", function));
  b.CreateRet(info);
  if (!facts.identity.empty()) {
    auto *symbol =
        llvm::cast<llvm::GlobalVariable>(module.getOrInsertGlobal(identity_symbol(names.model, facts.identity), b.getInt8Ty()));
    symbol->setInitializer(b.getInt8(1));
    symbol->setConstant(true);
  }
}

} // namespace nnc
