// From source text to a Module: parse, then evaluate what is compile-time and lower the entries to the tensor IR.
#pragma once

#include "frontend/diagnostics.h"
#include "ir/function.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace nnc {

struct SourceOptions {
  std::vector<std::pair<std::string, std::string>> set; // values for `const`s: name, and a number, true or false
};

// The program as written: entries in source order and `init`. Derivatives are requests (Op::grad) that the pass `grad`
// expands. nullopt when `diagnostics` has errors. Throws Error for a `set` that fits no `const`.
std::optional<Module> compile_source(const Source &source, const SourceOptions &options, Diagnostics &diagnostics);

} // namespace nnc
