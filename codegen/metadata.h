// What an artefact says of itself: nnc_model_info and all it points to, as constants.
#pragma once

#include "codegen/names.h"

#include <llvm/IR/Module.h>

#include <string>
#include <vector>

namespace nnc {

// The kernels compiled for one processor.
struct Variant {
  std::string cpu;
  uint64_t isa; // required_isa of it
};

struct ArtefactFacts {
  std::string source_hash; // SHA-256 of the source, hexadecimal
  std::string compiler;    // "nnc 0.1.0"
  std::string triple;
  std::string cpu;
  std::string options;
  std::string identity; // see ArtefactOptions
  std::vector<Variant> variants;
};

// The functions of the artefact that the metadata points to.
struct InfoFunctions {
  std::vector<llvm::Function *> calls; // the generic function of each entry
  llvm::Function *pick, *touch, *code_name;
};

// Defines the constant nnc_model_info and the exported function `names.info` that returns its address.
void emit_metadata(llvm::Module &module, const Plan &plan, const ArtefactNames &names, const ArtefactFacts &facts,
                   const InfoFunctions &functions);

// const char *code_name(int32_t code)
llvm::Function *emit_code_name(llvm::Module &module, const std::string &symbol);

} // namespace nnc
