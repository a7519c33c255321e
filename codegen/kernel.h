// The body of a kernel as LLVM IR.
#pragma once

#include "codegen/target.h"
#include "ir/kernel.h"

#include <string>

namespace nnc {

class DebugInfo;

// Defines in `module` (prepared by prepare_module) the hidden function
//   void symbol(ptr p0, …, ptr pN-1, ptr scratch, i64 grain)
// with one parameter for each of Kernel::pointers, in order: the first byte of the buffer behind it. `scratch` is a slot of
// Kernel::scratch_bytes, 64-byte aligned, of undefined content; `grain` is in 0..Kernel::grains. All grains together, in any
// order and on any threads, are one call of the kernel. The function calls nothing.
// With `debug`, every instruction has its place in the source.
void emit_kernel(const Kernel &kernel, const std::string &symbol, llvm::Module &module, const Target &target,
                 DebugInfo *debug = nullptr);

// Puts the guards of a plan that has them (ir/guard.h) into the function that is such a kernel's.
void guard_kernel(llvm::Function &function, const Kernel &kernel);

// Whether the kernel holds the content of this pointer itself, packed, and does not read it through the pointer.
bool holds_constant(const Kernel &kernel, size_t pointer, const Target &target);

} // namespace nnc
