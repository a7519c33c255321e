// What of the processor's instruction set is asked for on AArch64.
#pragma once

#include <llvm/IR/IRBuilder.h>
#include <llvm/MC/MCSubtargetInfo.h>

#include <cstddef>
#include <cstdint>

namespace nnc {

// The features of nnc_context::isa alone.
extern const size_t aarch64_feature_count;
uint64_t required_aarch64_isa(const llvm::MCSubtargetInfo &machine);
llvm::Value *emit_aarch64_word(llvm::IRBuilder<> &b);

} // namespace nnc
