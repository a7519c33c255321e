// ValueTable: hash and equality of nodes. The operands of a commutative op count in any order.
#include "passes/value_table.h"

#include <algorithm>
#include <functional>
#include <string_view>

namespace nnc {

bool is_commutative(Op op) {
  return op == Op::add || op == Op::mul || op == Op::muladd || op == Op::eq || op == Op::logical_and || op == Op::logical_or;
}

namespace {

bool is_shared(const Node &node) { return node.op == Op::constant || family(node.op) != Family::structure; }

void mix(size_t &hash, size_t value) { hash = (hash ^ value) * 0x9e3779b97f4a7c15ull + (hash >> 29); }

void mix(size_t &hash, const Shape &shape) {
  mix(hash, shape.size());
  for (int64_t size : shape)
    mix(hash, size);
}

size_t hash_of(Value v) { return static_cast<size_t>(v.node) * 31 + v.index; }

size_t hash_of(const Node &node) {
  size_t hash = static_cast<size_t>(node.op);
  mix(hash, static_cast<size_t>(node.type().dtype));
  mix(hash, node.type().shape);
  size_t next = 0;
  if (is_commutative(node.op)) { // the first two in any order
    mix(hash, hash_of(node.operands[0]) + hash_of(node.operands[1]));
    next = 2;
  }
  for (; next < node.operands.size(); ++next)
    mix(hash, hash_of(node.operands[next]));
  const auto &[axes, shape, start, stride, dilation, axis, dtype, labels] = node.attrs;
  for (const Shape *attr : {&axes, &shape, &start, &stride, &dilation})
    mix(hash, *attr);
  mix(hash, axis);
  mix(hash, static_cast<size_t>(dtype));
  mix(hash, std::hash<std::string>()(labels));
  if (node.data) { // a splat and the same data written out are equal: so only what both have in common
    const std::string_view bytes(node.data->data<char>(), node.data->bytes.size());
    mix(hash, std::hash<std::string_view>()(bytes.substr(0, dtype_size(node.type().dtype))));
  }
  return hash;
}

bool equal(const Node &a, const Node &b) {
  if (a.op != b.op || a.types != b.types || !(a.attrs == b.attrs))
    return false;
  if (a.data && a.data != b.data && !same_bits(*a.data, *b.data))
    return false;
  if (a.operands == b.operands)
    return true;
  if (!is_commutative(a.op) || a.operands[0] != b.operands[1] || a.operands[1] != b.operands[0])
    return false;
  return std::equal(a.operands.begin() + 2, a.operands.end(), b.operands.begin() + 2);
}

} // namespace

Value ValueTable::find(const Node &node) const {
  if (is_shared(node))
    for (auto [it, end] = nodes_.equal_range(hash_of(node)); it != end; ++it)
      if (equal(node, region_.nodes[it->second]))
        return {it->second, 0};
  return {};
}

void ValueTable::insert(Value v) {
  if (is_shared(region_.node(v)))
    nodes_.emplace(hash_of(region_.node(v)), v.node);
}

} // namespace nnc
