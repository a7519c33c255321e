// The loops of a kernel: which axes of its values run together, and which are rows and which inner axes.
#pragma once

#include "ir/kernel.h"
#include "passes/access.h"

#include <span>
#include <string>
#include <vector>

namespace nnc {

// Thrown where nodes cannot be one kernel: the reason, as `--emit=fused` lists it.
struct Refused {
  std::string reason;
};

inline constexpr int no_axis = -1; // of an axis of size 1

// A value as a member or root reads it: where it comes from, and for each of its axes that of the kernel.
struct Use {
  ElementSource source;
  std::vector<int> dims;
};

struct KernelAxes {
  std::vector<Axis> axes; // the rows, then the inner axes
  int rows = 0;
  std::vector<std::vector<Use>> uses;    // of each member, an operand each
  std::vector<Use> root_uses;            // of each root
  std::vector<std::vector<int>> reduced; // of each member: the axes that it sums away or orders, ascending
  std::vector<bool> used_inside;         // of each member: by another member
};

// Members and roots as form_kernel has them. Throws Refused.
KernelAxes find_axes(const Region &region, std::span<const int> members, std::span<const Value> roots);

// The place of a node among the members; -1: it is none.
int member_index(std::span<const int> members, int node);

} // namespace nnc
