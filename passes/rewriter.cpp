// Rewriter: the map from old values to new ones, and putting the new region in place of the old.
// Assumes a function that passed the verifier. What becomes of a node is for the pass to decide.
#include "passes/rewriter.h"

#include <cassert>

namespace nnc {

Rewriter::Rewriter(Function &function) : function_(function), old_(std::move(function.nodes)), build(region_) {
  first_.reserve(old_.size());
  int values = 0;
  for (const Node &node : old_) {
    first_.push_back(values);
    values += static_cast<int>(node.types.size());
  }
  map_.resize(values);
  region_.nodes.reserve(old_.size());
}

Node Rewriter::take(int i) {
  Node node = std::move(old_[i]);
  for (Value &operand : node.operands) {
    operand = (*this)[operand];
    assert(operand && "an operand was left out");
  }
  return node;
}

Value Rewriter::keep(int i, Node node) {
  const int id = static_cast<int>(region_.nodes.size());
  if (node.op == Op::arg) {
    assert(region_.args == id && "args come first");
    ++region_.args;
  }
  for (int k = 0; k < static_cast<int>(node.types.size()); ++k)
    replace({i, k}, {id, k});
  region_.nodes.push_back(std::move(node));
  return {id, 0};
}

void Rewriter::finish() {
  std::vector<Arg> arg_info;
  for (int i = 0; i < function_.args; ++i)
    if ((*this)[{i, 0}])
      arg_info.push_back(function_.arg_info[i]);
  function_.arg_info = std::move(arg_info);
  for (Result &result : function_.function_results)
    result.value = (*this)[result.value];
  function_.nodes = std::move(region_.nodes);
  function_.args = region_.args;
}

void offer_name(Builder &build, Value v, const std::string &name) {
  const Node &node = build.region().node(v);
  if (node.op != Op::constant && node.names[v.index].empty())
    build.set_name(v, name);
}

std::vector<int> count_uses(const Function &function) {
  std::vector<int> uses(function.nodes.size());
  for (const Node &node : function.nodes)
    for (Value operand : node.operands)
      ++uses[operand.node];
  for (const Result &result : function.function_results)
    ++uses[result.value.node];
  return uses;
}

} // namespace nnc
