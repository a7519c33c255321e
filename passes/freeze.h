// Turning parameters into constants, for programs that only predict.
#pragma once

#include "passes/passes.h"

#include <map>
#include <string>

namespace nnc {

// Drops the entries that change a parameter, and makes constants of all state that those left do not write. `values`: by path;
// what becomes a constant must be there with its type, and hold numbers where --check=nan wants to know, else Error; `file`
// is where they come from. Returns the names of what was dropped.
std::vector<std::string> freeze(Module &module, const std::map<std::string, Tensor> &values, const std::string &file,
                                const Checks &checks);

} // namespace nnc
