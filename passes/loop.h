// Bodies of scans: taken out as functions for passes, and cut anew.
#pragma once

#include "ir/region.h"

namespace nnc {

bool has_scan(const Region &region);

// The body of a scan as a function: arguments are inputs, what it yields are outputs. `carries_as_states`: carry i is state i
// of the function, and its next value that state's.
Function body_function(const Node &scan, bool carries_as_states = false);
// The other way round, after a pass: arguments must have stayed.
std::shared_ptr<const Region> function_body(Function function);

// What `values` are computed from, by node; not looked for beyond nodes where `stops` says so.
template <typename Stops> std::vector<bool> reached(const Region &region, const std::vector<Value> &values, Stops stops) {
  std::vector<bool> live(region.nodes.size());
  for (Value value : values)
    live[value.node] = true;
  for (int i = static_cast<int>(region.nodes.size()) - 1; i >= 0; --i)
    if (live[i] && !stops(i))
      for (Value operand : region.nodes[i].operands)
        live[operand.node] = true;
  return live;
}
inline std::vector<bool> reached(const Region &region, const std::vector<Value> &values) {
  return reached(region, values, [](int) { return false; });
}

// A scan cut down to the results that are `wanted`. A carry that no step changes is an invariant.
struct NarrowScan {
  Node node;               // without results if none is left
  std::vector<int> result; // of the old results: where it is now, -1: gone, -2: operand i of the old node
};
NarrowScan narrowed(const Node &scan, const std::vector<bool> &wanted);

} // namespace nnc
