// DWARF: which line and which function of the source a piece of machine code comes from.
#pragma once

#include "ir/plan.h"

#include <llvm/IR/DIBuilder.h>
#include <llvm/IR/DebugLoc.h>

#include <map>
#include <memory>
#include <string>
#include <tuple>

namespace llvm {
class AsmPrinter;
class DebugHandlerBase;
} // namespace llvm

namespace nnc {

// Of one LLVM module; to be finished when the module's functions are. A call of a .nn function becomes a function that was
// inlined, so a backtrace shows the chain of calls below the function of the artefact; derived code has primes behind the names.
class DebugInfo {
public:
  DebugInfo(llvm::Module &module, const Plan &plan);

  // A name and a text that go with a function, for `nnc objdump`.
  using Notes = std::vector<std::pair<std::string, std::string>>;
  // To be done before there are places in it.
  void describe(llvm::Function &function, const Loc &loc, const Notes &notes);
  // Of a place without a line: the function as a whole.
  llvm::DebugLoc place(const llvm::Function &function, const Loc &loc);

  void finish() { builder_.finalize(); }

private:
  const Plan &plan_;
  llvm::DIBuilder builder_;
  std::vector<llvm::DIFile *> files_;
  std::map<std::tuple<std::string, int>, llvm::DISubprogram *> functions_; // by name with primes, and file

  llvm::DISubprogram *inlined(const std::string &function, int order, int file);
  llvm::DIScope *in_file(llvm::DIScope *scope, int file);
};

// The place of the kernel as a whole: of its dot, or of what it leaves first.
Loc kernel_place(const Kernel &kernel);

// What people call a kernel: its symbol, and the .nn function that it comes from, with primes where it is derived: "mnist.k8
// dense'".
std::string kernel_label(const Plan &plan, const Kernel &kernel, const std::string &symbol);

// Writes, beside LLVM's own lines, those of the calls that lead to an instruction. LLVM writes only the innermost, and where a
// model is nothing but calls of library functions, no address would belong to its lines. They stand at the same address before
// the innermost, which stays the one that an address belongs to.
std::unique_ptr<llvm::DebugHandlerBase> lines_of_calls(llvm::AsmPrinter &printer);

} // namespace nnc
