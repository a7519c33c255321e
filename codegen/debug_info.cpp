// Places of the source as LLVM's metadata. DWARF 4, which every debugger of the last ten years reads. File names are those the
// plan has and there is no folder of compilation, so equal command lines give equal bytes in any folder. Which code has which
// place is the business of those who emit it.
#include "codegen/debug_info.h"

#include <llvm/CodeGen/AsmPrinter.h>
#include <llvm/CodeGen/DebugHandlerBase.h>
#include <llvm/CodeGen/MachineInstr.h>
#include <llvm/IR/DebugInfoMetadata.h>
#include <llvm/IR/Module.h>
#include <llvm/MC/MCStreamer.h>

#include <algorithm>

namespace nnc {
namespace {

// Outermost first; of an instruction without a place, none.
std::vector<const llvm::DILocation *> chain(const llvm::DILocation *location) {
  std::vector<const llvm::DILocation *> levels;
  for (; location; location = location->getInlinedAt())
    levels.push_back(location);
  std::ranges::reverse(levels);
  return levels;
}

// Without `Asm` the base class does nothing.
class LinesOfCalls : public llvm::DebugHandlerBase {
public:
  explicit LinesOfCalls(llvm::AsmPrinter &printer) : DebugHandlerBase(&printer), printer_(printer) { Asm = nullptr; }

  void beginModule(llvm::Module *) override {}
  void endModule() override {}
  void skippedNonDebugFunction() override { last_.clear(); }
  void beginFunctionImpl(const llvm::MachineFunction *) override {}
  void endFunctionImpl(const llvm::MachineFunction *) override {}
  void endInstruction() override {}

  void beginInstruction(const llvm::MachineInstr *instruction) override {
    const llvm::DILocation *location = instruction->getDebugLoc();
    // The conditions under which LLVM writes a line.
    if (!location || location->getLine() == 0 || instruction->isMetaInstruction() ||
        instruction->getFlag(llvm::MachineInstr::FrameSetup))
      return;
    std::vector<const llvm::DILocation *> levels = chain(location);
    const size_t calls = levels.size() - 1;
    size_t same = 0;
    while (same < std::min(calls, last_.size()) && levels[same] == last_[same])
      ++same;
    for (size_t i = same; i < calls; ++i)
      write(*levels[i]);
    last_ = std::move(levels);
  }

private:
  llvm::AsmPrinter &printer_;
  std::vector<const llvm::DILocation *> last_;

  void write(const llvm::DILocation &location) {
    llvm::MCStreamer &out = *printer_.OutStreamer;
    const unsigned file = llvm::cantFail(out.tryEmitDwarfFileDirective(0, location.getDirectory(), location.getFilename()));
    out.emitDwarfLocDirective(file, location.getLine(), location.getColumn(), /*is_stmt=*/1, 0, 0, location.getFilename());
  }
};

} // namespace

DebugInfo::DebugInfo(llvm::Module &module, const Plan &plan) : plan_(plan), builder_(module) {
  module.addModuleFlag(llvm::Module::Warning, "Debug Info Version", llvm::DEBUG_METADATA_VERSION);
  module.addModuleFlag(llvm::Module::Max, "Dwarf Version", 4);
  for (const std::string &file : plan.files)
    files_.push_back(builder_.createFile(file, ""));
  builder_.createCompileUnit(llvm::dwarf::DW_LANG_C99, files_[0], "nnc " NNC_VERSION, /*isOptimized=*/true, "", 0);
}

llvm::DISubprogram *DebugInfo::inlined(const std::string &function, int order, int file) {
  const std::string name = function + std::string(order, '\'');
  llvm::DISubprogram *&made = functions_[{name, file}];
  if (!made)
    made = builder_.createFunction(files_[file], name, "", files_[file], 0, builder_.createSubroutineType(nullptr), 0,
                                   llvm::DINode::FlagZero,
                                   llvm::DISubprogram::SPFlagDefinition | llvm::DISubprogram::SPFlagLocalToUnit);
  return made;
}

llvm::DIScope *DebugInfo::in_file(llvm::DIScope *scope, int file) {
  return scope->getFile() == files_[file] ? scope : builder_.createLexicalBlockFile(scope, files_[file]);
}

void DebugInfo::describe(llvm::Function &function, const Loc &loc, const Notes &notes) {
  llvm::LLVMContext &context = function.getContext();
  std::vector<llvm::Metadata *> pairs;
  for (const auto &[name, text] : notes)
    pairs.push_back(llvm::MDNode::get(context, {llvm::MDString::get(context, name), llvm::MDString::get(context, text)}));
  const std::vector<Call> &path = plan_.paths[loc.path];
  const Loc &outermost = path.empty() ? loc : path.front().at;
  auto flags = llvm::DISubprogram::SPFlagDefinition | llvm::DISubprogram::SPFlagOptimized;
  if (!function.hasExternalLinkage())
    flags |= llvm::DISubprogram::SPFlagLocalToUnit;
  llvm::DIFile *file = files_[outermost.file];
  function.setSubprogram(builder_.createFunction(file, function.getName(), "", file, outermost.line,
                                                 builder_.createSubroutineType(nullptr), outermost.line, llvm::DINode::FlagZero,
                                                 flags, nullptr, nullptr, nullptr, builder_.getOrCreateArray(pairs)));
}

llvm::DebugLoc DebugInfo::place(const llvm::Function &function, const Loc &loc) {
  llvm::LLVMContext &context = function.getContext();
  llvm::DISubprogram *whole = function.getSubprogram();
  if (loc.line == 0)
    return llvm::DILocation::get(context, whole->getLine(), 0, whole);
  llvm::DIScope *scope = whole;
  llvm::DILocation *at = nullptr;
  const std::vector<Call> &path = plan_.paths[loc.path];
  for (size_t i = 0; i < path.size(); ++i) {
    const Call &call = path[i];
    at = llvm::DILocation::get(context, call.at.line, call.at.column, in_file(scope, call.at.file), at);
    scope = inlined(call.function, loc.order, i + 1 < path.size() ? path[i + 1].at.file : loc.file);
  }
  return llvm::DILocation::get(context, loc.line, loc.column, in_file(scope, loc.file), at);
}

Loc kernel_place(const Kernel &kernel) {
  if (kernel.dot >= 0 && kernel.nodes[kernel.dot].loc.line > 0)
    return kernel.nodes[kernel.dot].loc;
  for (const KernelRoot &root : kernel.roots)
    if (kernel.nodes[root.node].loc.line > 0)
      return kernel.nodes[root.node].loc;
  for (const KernelNode &node : kernel.nodes)
    if (node.loc.line > 0)
      return node.loc;
  return {};
}

std::string kernel_label(const Plan &plan, const Kernel &kernel, const std::string &symbol) {
  const Loc loc = kernel_place(kernel);
  if (loc.line == 0)
    return symbol;
  const std::vector<Call> &path = plan.paths[loc.path];
  return symbol + " " + (path.empty() ? "line " + std::to_string(loc.line) : path.back().function) + std::string(loc.order, '\'');
}

std::unique_ptr<llvm::DebugHandlerBase> lines_of_calls(llvm::AsmPrinter &printer) {
  return std::make_unique<LinesOfCalls>(printer);
}

} // namespace nnc
