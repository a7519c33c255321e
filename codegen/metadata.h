// What an artefact says of itself: nnc_model_info and all it points to, as constants.
#pragma once

#include "codegen/names.h"

#include <llvm/IR/Module.h>

#include <span>
#include <string>

namespace nnc {

struct ArtefactFacts {
  std::string source_hash; // SHA-256 of the source, hexadecimal
  std::string compiler;    // "nnc 0.1.0"
  std::string triple;
  std::string cpu;
};

// Defines the constant nnc_model_info and the exported function `names.info` that returns its address. `calls`: the generic
// function of each entry.
void emit_metadata(llvm::Module &module, const Plan &plan, const ArtefactNames &names, const ArtefactFacts &facts,
                   std::span<llvm::Function *const> calls);

} // namespace nnc
