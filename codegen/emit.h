// The vector code of every elementwise op: `emit`, the meaning that runs; ir/eval.cpp holds the independent one.
#pragma once

#include "codegen/lanes.h"

#include <span>

namespace nnc {

// One op on lanes. The operands may be vectors or uniform; the result is uniform if all are. `operand_dtype` is that of the
// first operand of the op's own kind (select: of b and c; philox: i64), `result_dtype` that of the result.
llvm::Value *emit_elementwise(const Lanes &lanes, Op op, std::span<llvm::Value *const> operands, const Attrs &attrs,
                              DType operand_dtype, DType result_dtype);

} // namespace nnc
