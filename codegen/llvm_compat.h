// The one place for LLVM APIs that differ between LLVM 19 and later. Other files call these names only.
#pragma once

#include <llvm/Config/llvm-config.h>
#if LLVM_VERSION_MAJOR >= 20
#include <llvm/CodeGen/CodeGenTargetMachineImpl.h>
#endif
#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/Module.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/TargetParser/Triple.h>

#include <string>

namespace nnc::compat {

// Intrinsic::getDeclaration became getOrInsertDeclaration in 20.
inline llvm::Function *intrinsic(llvm::Module *module, llvm::Intrinsic::ID id, llvm::ArrayRef<llvm::Type *> types) {
#if LLVM_VERSION_MAJOR >= 20
  return llvm::Intrinsic::getOrInsertDeclaration(module, id, types);
#else
  return llvm::Intrinsic::getDeclaration(module, id, types);
#endif
}

// Triples became objects in 21 (modules) and 22 (the registry).
inline void set_triple(llvm::Module &module, const std::string &triple) {
#if LLVM_VERSION_MAJOR >= 21
  module.setTargetTriple(llvm::Triple(triple));
#else
  module.setTargetTriple(triple);
#endif
}

inline const llvm::Target *lookup_target(const std::string &triple, std::string &message) {
#if LLVM_VERSION_MAJOR >= 22
  return llvm::TargetRegistry::lookupTarget(llvm::Triple(triple), message);
#else
  return llvm::TargetRegistry::lookupTarget(triple, message);
#endif
}

inline llvm::TargetMachine *create_target_machine(const llvm::Target &target, const std::string &triple, const std::string &cpu,
                                                  const std::string &features, const llvm::TargetOptions &options,
                                                  llvm::CodeGenOptLevel level) {
#if LLVM_VERSION_MAJOR >= 21
  return target.createTargetMachine(llvm::Triple(triple), cpu, features, options, llvm::Reloc::PIC_, llvm::CodeModel::Small,
                                    level);
#else
  return target.createTargetMachine(triple, cpu, features, options, llvm::Reloc::PIC_, llvm::CodeModel::Small, level);
#endif
}

// What every machine that generates code is; it changed its name in 20.
#if LLVM_VERSION_MAJOR >= 20
using CodeGenMachine = llvm::CodeGenTargetMachineImpl;
#else
using CodeGenMachine = llvm::LLVMTargetMachine;
#endif

} // namespace nnc::compat
