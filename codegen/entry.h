// The functions a host calls: one LLVM module with every entry of a plan, what they share, and the metadata.
#pragma once

#include "codegen/metadata.h"
#include "codegen/target.h"

namespace nnc {

class DebugInfo;

// The workspace of an entry: the plan's buffers, then one scratch slot for each thread, all 64-byte aligned.
struct WorkspaceLayout {
  int64_t fixed_bytes;
  int64_t slot_bytes;
};
WorkspaceLayout workspace_layout(const PlanEntry &entry);

// Fills `module`, which is prepared for the least processor of the target's architecture (`base`): it must run far enough on
// any to find out what it runs on. The kernels are declared under `names.kernel(index, variant)`. With `debug`, calls have the
// place of their step.
void emit_entries(llvm::Module &module, const Plan &plan, const ArtefactNames &names, const ArtefactFacts &facts,
                  const Target &base, DebugInfo *debug = nullptr);

} // namespace nnc
