// The functions that LLVM calls without being asked.
#pragma once

#include "codegen/target.h"

#include <string>
#include <string_view>

namespace nnc {

// Can emit_builtins define it? True for memcpy, memmove and memset.
bool is_builtin(std::string_view symbol);

// Defines all of them as hidden functions.
void emit_builtins(llvm::Module &module, const Target &target);

} // namespace nnc
