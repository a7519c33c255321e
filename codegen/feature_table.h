// The part of detection that all architectures share.
#pragma once

#include <llvm/IR/IRBuilder.h>

#include <functional>
#include <vector>

namespace nnc {

// Emits a loop over `rows`, constants of type `row_type`, and returns an i64 in which bit i says what `present` (an i1) is for
// row i; it reads the row by `field(index)`. A loop rather than a line of code for each feature: this is compiled into every
// artefact.
using RowField = std::function<llvm::Value *(unsigned index)>;
llvm::Value *emit_feature_word(llvm::IRBuilder<> &b, llvm::StructType *row_type, const std::vector<llvm::Constant *> &rows,
                               const std::function<llvm::Value *(const RowField &field)> &present);

} // namespace nnc
