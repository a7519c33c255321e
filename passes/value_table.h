// ValueTable: finds a node that computes the same as another: same op, operands, attributes, type and data. Names and places
// do not count.
#pragma once

#include "ir/function.h"

#include <unordered_map>

namespace nnc {

// a op b and b op a have the same bits. Not maximum and minimum: which zero wins may depend on the order.
bool is_commutative(Op op);

class ValueTable {
public:
  explicit ValueTable(const Region &region) : region_(region) {}

  // An inserted node equal to `node`, or none. Structure (arg, fused, grad) is equal to nothing.
  Value find(const Node &node) const;
  void insert(Value v);

private:
  const Region &region_;
  std::unordered_multimap<size_t, int> nodes_; // by hash
};

} // namespace nnc
