// From LLVM modules to text or object files, several at once.
#pragma once

#include "codegen/target.h"

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace nnc {

// What becomes one LLVM module: a kernel, or the entries. `emit` fills a prepared module in a context of its own.
struct CodeUnit {
  std::string name;
  const Target *target;
  std::function<void(llvm::Module &)> emit;
  bool glue = false; // calls and little else: compiled without passes, by LLVM's fast code generator
};

enum class CodeForm {
  llvm,     // as emitted
  llvm_opt, // after our passes over LLVM's IR
  assembly,
  object, // the bytes of an ELF file
};

// One result a unit, in order. The units are spread over `threads` threads; the results do not depend on how many. The first
// unit that fails gives the exception.
std::vector<std::string> generate_code(std::span<const CodeUnit> units, CodeForm form, int threads);

// The symbols an object file needs and does not define.
std::vector<std::string> undefined_symbols(const std::string &object);

} // namespace nnc
