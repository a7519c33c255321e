// The one place where LLVM's passes run. What we emit is already the code we want, so a pass pipeline buys nothing: SROA and
// EarlyCSE (measured: 1 ms a kernel where O2 takes 40, for equally fast code), then code generation at the level that
// create_machine sets. Glue needs neither: on entries the fast code generator takes a quarter of the time, and its code costs a
// call 2 ns more and a step 0.6.
//
// Each unit has its own LLVMContext and so can be compiled on any thread; nothing of one reaches another, which is what makes
// the bytes independent of the number of threads. A TargetMachine belongs to one thread at a time; each thread keeps its own.
#include "codegen/object.h"

#include "codegen/debug_info.h"
#include "codegen/llvm_compat.h"
#include "ir/error.h"

#include <algorithm>
#include <fmt/format.h>
#include <llvm/Analysis/CGSCCPassManager.h>
#include <llvm/Analysis/LoopAnalysisManager.h>
#include <llvm/CodeGen/AsmPrinter.h>
#include <llvm/CodeGen/DebugHandlerBase.h>
#include <llvm/CodeGen/MachineModuleInfo.h>
#include <llvm/CodeGen/Passes.h>
#include <llvm/CodeGen/TargetPassConfig.h>
#include <llvm/IR/DiagnosticInfo.h>
#include <llvm/IR/DiagnosticPrinter.h>
#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Module.h>
#include <llvm/IR/Verifier.h>
#include <llvm/MC/MCStreamer.h>
#include <llvm/Object/ELFObjectFile.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/SmallVectorMemoryBuffer.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/Transforms/Scalar/EarlyCSE.h>
#include <llvm/Transforms/Scalar/SROA.h>

#include <atomic>
#include <exception>
#include <map>
#include <thread>

namespace nnc {
namespace {

#ifdef NNC_CHECKS
constexpr bool checked = true;
#else
constexpr bool checked = false;
#endif

void verify(const llvm::Module &module, const std::string &name, const char *when) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (checked && llvm::verifyModule(module, &stream))
    throw Error(fmt::format("internal error: invalid LLVM IR in `{}` {}: {}", name, when, text));
}

void optimise(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);

  llvm::FunctionPassManager passes;
  passes.addPass(llvm::SROAPass(llvm::SROAOptions::PreserveCFG));
  passes.addPass(llvm::EarlyCSEPass());
  for (llvm::Function &function : module)
    if (!function.isDeclaration())
      passes.run(function, functions);
}

// addPassesToEmitFile with lines_of_calls. The same passes, so the code is the same.
bool add_passes_with_lines(llvm::TargetMachine &machine, llvm::legacy::PassManager &passes, llvm::raw_pwrite_stream &stream,
                           llvm::CodeGenFileType type) {
  auto &code = static_cast<compat::CodeGenMachine &>(machine);
  auto *info = new llvm::MachineModuleInfoWrapperPass(&code);
  llvm::TargetPassConfig *config = code.createPassConfig(passes);
  config->setDisableVerify(!checked);
  passes.add(config);
  passes.add(info);
  if (config->addISelPasses())
    return false;
  config->addMachinePasses();
  config->setInitialized();
  auto streamer = code.createMCStreamer(stream, nullptr, type, info->getMMI().getContext());
  if (!streamer)
    throw Error("internal error: " + llvm::toString(streamer.takeError()));
  auto *printer = static_cast<llvm::AsmPrinter *>(machine.getTarget().createAsmPrinter(machine, std::move(*streamer)));
  printer->addDebugHandler(lines_of_calls(*printer));
  passes.add(printer);
  passes.add(llvm::createFreeMachineFunctionPass());
  return true;
}

// The compilers of one thread: a TargetMachine for each target it meets, with and without optimisation.
class Worker {
public:
  std::string generate(const CodeUnit &unit, CodeForm form) {
    llvm::LLVMContext context;
    std::string diagnostics;
    context.setDiagnosticHandlerCallBack(
        [](const llvm::DiagnosticInfo *info, void *to) {
          if (info->getSeverity() != llvm::DS_Error)
            return;
          llvm::raw_string_ostream stream(*static_cast<std::string *>(to));
          llvm::DiagnosticPrinterRawOStream printer(stream);
          info->print(printer);
        },
        &diagnostics);
    llvm::Module module(unit.name, context);
    llvm::TargetMachine &machine = machine_for(unit);
    prepare_module(module, *unit.target, machine);
    unit.emit(module);
    verify(module, unit.name, "as emitted");

    std::string text;
    if (form != CodeForm::llvm && !unit.glue) {
      optimise(module, machine);
      verify(module, unit.name, "after optimisation");
    }
    if (form == CodeForm::llvm || form == CodeForm::llvm_opt) {
      llvm::raw_string_ostream stream(text);
      module.print(stream, nullptr);
    } else {
      llvm::SmallVector<char, 0> bytes;
      llvm::raw_svector_ostream stream(bytes);
      llvm::legacy::PassManager passes;
      auto type = form == CodeForm::assembly ? llvm::CodeGenFileType::AssemblyFile : llvm::CodeGenFileType::ObjectFile;
      const bool made = module.debug_compile_units().empty()
                            ? !machine.addPassesToEmitFile(passes, stream, nullptr, type, /*DisableVerify=*/!checked)
                            : add_passes_with_lines(machine, passes, stream, type);
      if (!made)
        throw Error(fmt::format("internal error: LLVM cannot emit code for `{}`", unit.target->triple));
      passes.run(module);
      text.assign(bytes.begin(), bytes.end());
    }
    if (!diagnostics.empty())
      throw Error(fmt::format("internal error: LLVM refuses `{}`: {}", unit.name, diagnostics));
    return text;
  }

private:
  std::map<std::pair<const Target *, bool>, std::unique_ptr<llvm::TargetMachine>> machines;

  llvm::TargetMachine &machine_for(const CodeUnit &unit) {
    std::unique_ptr<llvm::TargetMachine> &machine = machines[{unit.target, unit.glue}];
    if (!machine) {
      machine = create_machine(*unit.target);
      if (unit.glue)
        machine->setOptLevel(llvm::CodeGenOptLevel::None);
    }
    return *machine;
  }
};

} // namespace

std::vector<std::string> generate_code(std::span<const CodeUnit> units, CodeForm form, int threads) {
  std::vector<std::string> results(units.size());
  std::vector<std::exception_ptr> failures(units.size());
  std::atomic<size_t> next = 0;
  auto work = [&] {
    Worker worker;
    for (size_t i; (i = next++) < units.size();) {
      try {
        results[i] = worker.generate(units[i], form);
      } catch (...) {
        failures[i] = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> others;
    for (size_t i = 1; i < std::min<size_t>(threads, units.size()); i++)
      others.emplace_back(work);
    work();
  }
  for (const std::exception_ptr &failure : failures)
    if (failure)
      std::rethrow_exception(failure);
  return results;
}

std::vector<std::string> undefined_symbols(const std::string &object) {
  llvm::MemoryBufferRef buffer(object, "object");
  auto file = llvm::cantFail(llvm::object::ObjectFile::createELFObjectFile(buffer));
  std::vector<std::string> names;
  for (const llvm::object::SymbolRef &symbol : file->symbols()) {
    auto flags = llvm::cantFail(symbol.getFlags());
    // The null symbol counts as format specific; the linker makes the table of addresses itself.
    if (!(flags & llvm::object::SymbolRef::SF_Undefined) || (flags & llvm::object::SymbolRef::SF_FormatSpecific))
      continue;
    std::string name = llvm::cantFail(symbol.getName()).str();
    if (name != "_GLOBAL_OFFSET_TABLE_")
      names.push_back(name);
  }
  return names;
}

} // namespace nnc
