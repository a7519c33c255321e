// The verifier: what every module must satisfy between passes.
#pragma once

#include "ir/function.h"

namespace nnc {

// Types follow the op table, operands come before users, names are unique, args and results fit the states, fused bodies are
// sound. Returns "" or the first violation, naming function and value. A violation is a defect of the compiler (or of a
// hand-written .nnir), never of a .nn file.
std::string verify(const Module &module);
std::string verify(const Module &module, const Function &function); // one function alone

} // namespace nnc
