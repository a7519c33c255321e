// Cutting a part out of a region. Names and places stay; an argument has those of the value in whose place it stands.
#include "ir/region.h"

#include <algorithm>
#include <cassert>
#include <map>

namespace nnc {

Region extract(const Region &from, const std::vector<Value> &args, const std::vector<Value> &results) {
  Region region;
  std::map<Value, Value> moved;
  for (Value value : args) {
    const Node &source = from.node(value);
    moved[value] = {region.args++, 0};
    Node arg;
    arg.types = {source.types[value.index]};
    arg.names = {source.names[value.index]};
    arg.loc = source.loc;
    region.nodes.push_back(std::move(arg));
  }
  std::vector<bool> live(from.nodes.size());
  const auto need = [&](Value value) {
    if (!moved.contains(value))
      live[value.node] = true;
  };
  std::ranges::for_each(results, need);
  for (int i = static_cast<int>(from.nodes.size()) - 1; i >= 0; --i)
    if (live[i])
      std::ranges::for_each(from.nodes[i].operands, need);
  for (int i = 0; i < static_cast<int>(from.nodes.size()); ++i) {
    if (!live[i])
      continue;
    assert(from.nodes[i].op != Op::arg && "an argument was left out");
    Node node = from.nodes[i];
    for (Value &operand : node.operands)
      operand = moved.at(operand);
    for (int k = 0; k < static_cast<int>(node.types.size()); ++k)
      if (!moved.try_emplace({i, k}, Value{static_cast<int>(region.nodes.size()), k}).second)
        node.names[k] = ""; // the argument in its place has the name
    region.nodes.push_back(std::move(node));
  }
  for (Value result : results)
    region.results.push_back(moved.at(result));
  return region;
}

} // namespace nnc
