// The function around a kernel's body: parameters, lanes, and the choice of the recipe.
#include "codegen/kernel.h"

#include "codegen/recipes.h"

#include <algorithm>
#include <llvm/IR/Module.h>

namespace nnc {

namespace {

// Lanes of a kernel: a register of its widest dtype that varies along the vector axis.
unsigned kernel_width(const Kernel &kernel, const Target &target) {
  if (kernel.vector_axis < 0)
    return 1;
  int64_t widest = 1;
  for (const KernelNode &node : kernel.nodes)
    if (node.op != Op::constant)
      widest = std::max(widest, dtype_size(node.dtype));
  return static_cast<unsigned>(target.vector_bits / 8 / widest);
}

} // namespace

void emit_kernel(const Kernel &kernel, const std::string &symbol, llvm::Module &module, const Target &target) {
  llvm::LLVMContext &context = module.getContext();
  llvm::Type *pointer = llvm::PointerType::get(context, 0);
  std::vector<llvm::Type *> parameters(kernel.pointers.size() + 1, pointer);
  parameters.push_back(llvm::Type::getInt64Ty(context));
  auto *type = llvm::FunctionType::get(llvm::Type::getVoidTy(context), parameters, false);
  auto *function = llvm::Function::Create(type, llvm::GlobalValue::ExternalLinkage, symbol, module);
  function->setVisibility(llvm::GlobalValue::HiddenVisibility);
  set_function_attributes(*function, target);
  for (size_t p = 0; p <= kernel.pointers.size(); ++p) {
    function->addParamAttr(p, llvm::Attribute::NoAlias);
    if (p < kernel.pointers.size() && !kernel.pointers[p].written)
      function->addParamAttr(p, llvm::Attribute::ReadOnly);
  }
  llvm::BasicBlock *entry = llvm::BasicBlock::Create(context, "entry", function);
  llvm::BasicBlock *body = llvm::BasicBlock::Create(context, "body", function);
  llvm::IRBuilder<> b(body);
  Lanes lanes(b, target, kernel_width(kernel, target));
  KernelFrame frame(kernel, b, lanes, *function);
  bool few_columns = kernel.recipe == Recipe::small_n &&
                     kernel.axes[kernel.vector_axis].size <= static_cast<int64_t>(lanes.width().getFixedValue());
  if (kernel.recipe == Recipe::sort)
    emit_sort_recipe(frame);
  else if (few_columns)
    emit_small_n_recipe(frame);
  else if (kernel.recipe == Recipe::gemm || kernel.recipe == Recipe::small_n)
    emit_gemm_recipe(frame);
  else
    emit_loop_recipe(frame);
  b.CreateRetVoid();
  llvm::IRBuilder<>(entry).CreateBr(body);
}

} // namespace nnc
