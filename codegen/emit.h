// The vector code of every elementwise op: `emit`, the meaning that runs; ir/eval.cpp holds the independent one.
#pragma once

#include "codegen/lanes.h"

#include <span>

namespace nnc {

// One op on lanes. Values carry their dtypes (Lanes::dtype_of); only `cast` needs to be told its result's. The operands may be
// vectors or uniform; the result is uniform if all are.
llvm::Value *emit_elementwise(const Lanes &lanes, Op op, std::span<llvm::Value *const> operands, DType result_dtype);

} // namespace nnc
