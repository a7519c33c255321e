// The function around a kernel's body: parameters, lanes, and the choice of the recipe.
#include "codegen/kernel.h"

#include "codegen/debug_info.h"
#include "codegen/gemm_shape.h"
#include "codegen/recipes.h"

#include <algorithm>
#include <llvm/IR/Module.h>

namespace nnc {

namespace {

// Functions of floats that take tens of operations, one waiting for the other.
bool has_long_functions(const Kernel &kernel) {
  constexpr int long_weight = 8;
  return std::any_of(kernel.nodes.begin(), kernel.nodes.end(), [&](const KernelNode &node) {
    return is_elementwise(node.op) && is_float(node.dtype) && op_info(node.op).weight >= long_weight &&
           (node.depends >> kernel.vector_axis & 1);
  });
}

// Bytes of an element, as far as lanes go by it. What random bits are drawn from, a seed and counters, is no vector in memory:
// the seed is a number, and each of the two registers that one vector of counters takes waits less for the other.
int64_t lane_bytes(const KernelNode &node, int vector_axis) {
  const bool seed = node.op == Op::arg && !(node.depends >> vector_axis & 1);
  const bool counter = node.home != Home::row && (node.op == Op::iota || is_elementwise(node.op));
  return node.dtype == DType::i64 && (seed || counter) ? dtype_size(DType::i32) : dtype_size(wide_dtype(node.dtype));
}

// Lanes of a kernel: a register of its widest dtype that varies along the vector axis. Where long functions are computed two
// short registers: operation by operation two run side by side, and constants are loaded once for both.
llvm::ElementCount kernel_width(const Kernel &kernel, const Target &target) {
  if (kernel.vector_axis < 0)
    return llvm::ElementCount::getFixed(1);
  int64_t widest = 1;
  for (const KernelNode &node : kernel.nodes)
    if (node.op != Op::constant)
      widest = std::max(widest, lane_bytes(node, kernel.vector_axis));
  const int64_t bytes_of_most = target.scalable ? most_vector_bits / 8 : target.vector_bits / 8;
  int64_t bytes = target.vector_bits / 8, doubled = std::min(2 * bytes_of_most, vector_bytes) * bytes / bytes_of_most;
  if (kernel.recipe == Recipe::loop && has_long_functions(kernel) && kernel.axes[kernel.vector_axis].size >= 4 * doubled / widest)
    bytes = doubled;
  return llvm::ElementCount::get(static_cast<unsigned>(bytes / widest), target.scalable);
}

// Dots of few columns: as many accumulators as columns, and room for operands.
bool has_few_columns(const Kernel &kernel, const Target &target) {
  return kernel.recipe == Recipe::small_n &&
         kernel.axes[kernel.vector_axis].size <=
             std::max<int64_t>(kernel_width(kernel, target).getKnownMinValue(), target.vector_registers - 4);
}

} // namespace

bool holds_constant(const Kernel &kernel, size_t pointer, const Target &target) {
  if (!kernel.pointers[pointer].constant || target.scalable)
    return false;
  const int64_t lanes = kernel_width(kernel, target).getFixedValue();
  return GemmShape(kernel, target, lanes, lanes).constant;
}

void emit_kernel(const Kernel &kernel, const std::string &symbol, llvm::Module &module, const Target &target, DebugInfo *debug) {
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
  llvm::ElementCount width = kernel_width(kernel, target);
  const bool few_columns = has_few_columns(kernel, target);
  if (few_columns)
    width = llvm::ElementCount::getFixed(width.getKnownMinValue());
  Lanes lanes(b, target, width);
  KernelFrame frame(kernel, b, lanes, *function);
  if (debug) {
    const Loc place = kernel_place(kernel);
    debug->describe(*function, place, {{"nnc.kernel", std::string(recipe_name(kernel.recipe)) + "  " + kernel_summary(kernel)}});
    for (const KernelNode &node : kernel.nodes)
      frame.places.push_back(debug->place(*function, node.loc.line > 0 ? node.loc : place));
    b.SetCurrentDebugLocation(debug->place(*function, place));
  }
  if (kernel.recipe == Recipe::sort)
    emit_sort_recipe(frame);
  else if (few_columns)
    emit_small_n_recipe(frame);
  else if (kernel.recipe == Recipe::gemm || kernel.recipe == Recipe::small_n)
    emit_gemm_recipe(frame);
  else if (kernel.recipe == Recipe::gemv && sums_wait_in_slot(kernel))
    emit_gemv_recipe(frame);
  else
    emit_loop_recipe(frame);
  b.CreateRetVoid();
  llvm::IRBuilder<>(entry).CreateBr(body);
}

} // namespace nnc
