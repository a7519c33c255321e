// What the artefact itself must ask of the processor and set in it, without an operating system's help: which instructions it
// has, and how it rounds.
#pragma once

#include "codegen/target.h"

#include <llvm/IR/IRBuilder.h>

#include <cstdint>
#include <string>

namespace nnc {

// nnc_context::isa: bit 63 says that the word is filled, bits 57 to 62 how many features whoever filled it knew; the others are
// features, numbered in processor.cpp for all artefacts of an architecture alike, so that one context serves several.
inline constexpr uint64_t isa_detected = uint64_t(1) << 63;
inline constexpr int most_features = 57;

// What code compiled by `machine` asks of that word: that it is filled, and has the features that the code may use.
uint64_t required_isa(const llvm::TargetMachine &machine);

// The word without features, as the artefact fills it. A smaller one is of another artefact that knew fewer: it says nothing of
// the rest.
uint64_t detected_isa(const llvm::Module &module);

// Defines the internal function `i64 symbol()` that finds out the word.
llvm::Function *emit_isa_detection(llvm::Module &module, const std::string &symbol);

// Saves the floating-point mode and sets the one that kernels are compiled for: round to nearest, no traps, denormals as
// they were asked for.
llvm::Value *emit_enter_float_mode(llvm::IRBuilder<> &b, Denormals denormals);
void emit_leave_float_mode(llvm::IRBuilder<> &b, llvm::Value *saved);

} // namespace nnc
