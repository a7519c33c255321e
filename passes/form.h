// form_kernel: from a set of nodes to a kernel table, or the reason why there is none. The only judge of what may run together:
// fuse asks it before every merge, and planning asks it again for the bodies that fuse made.
#pragma once

#include "ir/kernel.h"

#include <span>

namespace nnc {

struct Formed {
  std::optional<Kernel> kernel;
  std::string refusal; // why not, as `--emit=fused` lists it
};

// `members` are the nodes computed in the kernel, ascending; views, splat constants and iotas between them belong to whoever
// reads them and are not members. `roots` are the values that leave: members, or views of anything (then a copy).
// The kernel's pointers name values of `region`; each root has a pointer of its own, after those that are read.
Formed form_kernel(const Region &region, std::span<const int> members, std::span<const Value> roots);

// The kernel of a fused node's body: every node that computes is a member, the body's results are the roots.
Formed form_body(const Region &body);
Kernel kernel_of(const Node &fused); // throws Error where it is none

// A kernel that writes `value` (a view of memory, or a splat) to offset + sum of strides[i] * index[i] of a pointer.
Kernel copy_kernel(const Region &region, Value value, int64_t offset, const Shape &strides);

// Second half of form_kernel, for a table whose axes, nodes and roots are there: merges axes, chooses the recipe and the vector
// axis, homes, grains, and counts work.
void shape_kernel(Kernel &kernel);

// What fusion may not exceed.
inline constexpr size_t most_pointers = 16;
inline constexpr size_t most_nodes = 96;
inline constexpr int most_stages = 30;
inline constexpr int64_t most_row_bytes = 32 * 1024;           // row homes of one kernel
inline constexpr int64_t most_compensation_bytes = 256 * 1024; // of its sums over rows

} // namespace nnc
