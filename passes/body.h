// Bodies of fused nodes, and which values have memory.
#pragma once

#include "ir/function.h"

#include <span>

namespace nnc {

// fused, pad, concat and scan nodes: each writes its results to memory.
bool stands_alone(const Node &node);

std::string title(const Node &node); // for messages: "`%h` (dot)", "`dot`" where the first result has no name

// The value in memory (or computed) below the views.
Value stored_base(const Region &region, Value value);

// iota and splat constants: made where they are read.
bool is_free(const Node &node);

// A fused node that computes `members` (ascending) and yields `roots`. Its operands are values of `from`, none a view.
Node fused_node(const Region &from, std::span<const int> members, std::span<const Value> roots);

// A fused node that stores `value`, a view or a free value, in memory of its own.
Node copy_node(const Region &from, Value value);

} // namespace nnc
