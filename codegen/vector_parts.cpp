// Functions of the module that rows of vector code call.
#include "codegen/vector_parts.h"

#include <fmt/format.h>
#include <llvm/IR/Function.h>
#include <llvm/IR/Module.h>

#include <algorithm>
#include <string>
#include <vector>

namespace nnc {

using llvm::Value;

Value *call_formula(const Lanes &lanes, std::string_view name, std::span<Value *const> operands, const FormulaBody &body) {
  llvm::IRBuilder<> &caller = lanes.builder();
  llvm::Module &module = *caller.GetInsertBlock()->getModule();
  const bool uniform = std::ranges::all_of(operands, [](Value *x) { return Lanes::is_uniform(x); });
  const Lanes as_needed = uniform ? lanes.with_width(1) : lanes;
  std::vector<Value *> arguments;
  for (Value *x : operands)
    arguments.push_back(as_needed.splat(x));
  const DType dtype = Lanes::dtype_of(operands[0]);
  llvm::Type *type = as_needed.lanes_type(dtype);
  const std::string symbol = fmt::format("nnc.{}.{}x{}{}", name, dtype_name(dtype),
                                         as_needed.width().isScalable() ? "vscale_" : "", as_needed.width().getKnownMinValue());
  llvm::Function *function = module.getFunction(symbol);
  if (!function) {
    const std::vector<llvm::Type *> types(operands.size(), type);
    function =
        llvm::Function::Create(llvm::FunctionType::get(type, types, false), llvm::Function::InternalLinkage, symbol, module);
    set_function_attributes(*function, lanes.target());
    function->addFnAttr(llvm::Attribute::NoInline);
    llvm::IRBuilder<> builder(llvm::BasicBlock::Create(module.getContext(), "entry", function));
    const Lanes inside(builder, lanes.target(), as_needed.width());
    std::vector<LaneValue> values;
    for (llvm::Argument &argument : function->args())
      values.emplace_back(inside, &argument);
    builder.CreateRet(body(values).value);
  }
  return caller.CreateCall(function, arguments);
}

} // namespace nnc
