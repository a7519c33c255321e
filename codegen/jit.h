// Running an artefact inside this process, without a file.
#pragma once

#include "codegen/compile.h"
#include "runtime/abi.h"

#include <memory>

namespace nnc {

// `code` keeps what `info` points to; it may be shared, and goes with its last owner.
struct LoadedCode {
  const nnc_model_info *info = nullptr;
  std::shared_ptr<void> code;
};

// Loads the very objects that a library would be linked from. The artefact itself is no longer needed afterwards. Code with debug
// information is registered with a debugger that watches this process; with `perf`, it is written down for Linux' profiler
// (docs/driver.md, "Profile"). Throws Error where it was compiled for another architecture.
LoadedCode load_jit(const Artefact &artefact, bool perf = false);

} // namespace nnc
