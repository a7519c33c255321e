// From source text to a Module: parse, then evaluate what is compile-time and lower the entries to the tensor IR.
#pragma once

#include "frontend/diagnostics.h"
#include "ir/function.h"

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace nnc {

// How `use` reads other files, and those it has read. Diagnostics point into them: they must live as long.
struct UsedFiles {
  std::function<std::string(const std::string &name)> read; // throws what says why it cannot
  std::deque<Source> sources;                               // in the order they first come up
};

struct SourceOptions {
  std::vector<std::pair<std::string, std::string>> set; // values for `const`s: name, and a number, true or false
  UsedFiles *used = nullptr;                            // needed for a source that uses others
};

// The program as written: entries in source order and `init`. Derivatives are requests (Op::grad) that the pass `grad`
// expands. nullopt when `diagnostics` has errors. Throws Error for a `set` that fits no `const`.
std::optional<Module> compile_source(const Source &source, const SourceOptions &options, Diagnostics &diagnostics);

} // namespace nnc
