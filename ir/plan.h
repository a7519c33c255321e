// Plan: what an artefact does, byte by byte. Kernels, and for every entry the steps that call them with addresses.
#pragma once

#include "ir/kernel.h"

namespace nnc {

// Where a pointer of a step points. `index` is the input or output of the entry; byte `offset` counts from its start, from the
// start of the state block, of the workspace, or of the artefact's constants. In loops it moves on by strides[l] bytes with every
// trip of the l-th loop around the step, outermost first; strides that are left out are 0.
struct Ref {
  enum class Space : uint8_t { input, output, state, workspace, constant };
  Space space = Space::workspace;
  int index = 0;
  int64_t offset = 0;
  int64_t bytes = 0;
  std::vector<int64_t> strides = {};

  bool operator==(const Ref &) const = default;
};

// A call of a kernel, a check, or a loop, whose steps follow it.
struct Step {
  int kernel = -1;       // call: index into Plan::kernels; -1: a check or loop
  std::vector<Ref> args; // call: one a pointer of the kernel. check: the bool that must be true
  int check = -1;        // check: index into PlanEntry::checks
  int64_t trips = 0;     // loop: how often the steps inside run; at least 1
  int inside = 0;        // loop: how many steps after this one belong to it, those of loops in it among them
  std::string note;      // names of the args in their order, without %, separated by blanks; for the text
  Loc loc;
};

struct PlanValue {
  std::string name;
  Type type;
};

struct PlanCheck {
  std::string message;
  Loc loc;
};

struct PlanEntry {
  std::string name, doc;
  std::vector<PlanValue> inputs, outputs;
  std::vector<PlanCheck> checks; // the entry fails with code NNC_CHECK + index where one does not hold, having written nothing
  std::vector<Step> steps;
  bool writes_state = false;
  int64_t workspace_bytes = 0; // without the threads' scratch slots
  int64_t slot_bytes = 0;      // scratch of one thread: the largest of its kernels'
  double flop = 0, bytes = 0;
  Loc loc;
};

struct PlanState {
  State state;
  int64_t offset = 0; // bytes from the start of the state block
};

struct Plan {
  std::string model; // file name
  std::vector<std::string> files;
  std::vector<std::vector<Call>> paths;
  std::vector<Kernel> kernels;
  std::vector<PlanEntry> entries; // in source order, `init` last
  std::vector<PlanState> states;
  int64_t state_bytes = 0;
  std::vector<std::byte> constants;     // 64-byte aligned pieces
  std::vector<int64_t> constant_starts; // of each piece
};

// Alignment in bytes of the state block, the workspace, and of every buffer in them.
inline constexpr int64_t buffer_alignment = 64;
constexpr int64_t aligned(int64_t bytes) { return (bytes + buffer_alignment - 1) / buffer_alignment * buffer_alignment; }

std::string plan_text(const Plan &plan);

// What every plan must satisfy (addresses, order, aliasing, the tables of its kernels). Returns "" or the first violation, which
// is a defect of the compiler.
std::string verify_plan(const Plan &plan);

} // namespace nnc
