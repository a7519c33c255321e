// Rewriter: builds a function anew. Ids are indices, so a pass does not patch nodes: it walks the old ones in order, decides
// for each whether it is kept, replaced or left out, and the rewriter keeps the map from old values to new ones.
#pragma once

#include "ir/builder.h"

namespace nnc {

class Rewriter {
public:
  explicit Rewriter(Function &function);
  Rewriter(const Rewriter &) = delete;
  Rewriter &operator=(const Rewriter &) = delete;

  int size() const { return static_cast<int>(old_.size()); }
  const Node &old(int i) const { return old_[i]; }
  // The new value of an old one; none if it was left out.
  Value operator[](Value old) const { return map_[first_[old.node] + old.index]; }

  // Moves old node i out, its operands mapped into the new region.
  Node take(int i);
  // Appends a node that `take` gave, unchanged or not; names, place and types stay. An arg must come as it was.
  Value keep(int i, Node node);
  Value keep(int i) { return keep(i, take(i)); }
  // Users of `old` shall read `by`.
  void replace(Value old, Value by) { map_[first_[old.node] + old.index] = by; }

  // Gives the function its new nodes, results, and those args that were kept.
  void finish();

private:
  Function &function_;
  std::vector<Node> old_;
  std::vector<int> first_; // of the results of old node i, in map_
  std::vector<Value> map_;
  Region region_;

public:
  Builder build; // into the new region
};

// Names `v`, which took the place of a value of that name, unless it has one: then it was there before, perhaps as an argument. A
// constant stays without one, so that it prints as a literal.
void offer_name(Builder &build, Value v, const std::string &name);

// How often each node is read: by operands, and by results of the function.
std::vector<int> count_uses(const Function &function);

} // namespace nnc
