// The op table as data: one OpInfo a row of ops.def, after the structural ops. Also names of ops and attributes.
#include "ir/op.h"

#include <unordered_map>

namespace nnc {

namespace {

const std::vector<OpInfo> &table() {
  static const std::vector<OpInfo> rows = {
      {"arg", Family::structure, 0, 0, {}, "an argument of a function or of a fused body"},
      {"constant", Family::structure, 0, 0, {}, "data"},
      {"fused", Family::structure, -1, 0, {}, "nodes that became one kernel"},
      {"grad", Family::structure, -1, 0, {}, "the derivatives of the scalar a by each of the other operands, to be derived"},
      {"scan", Family::structure, -1, 0, {}, "a loop whose body runs once a step"},
#define NONE
#define A(key) AttrKey::key,
#define OP(name, family, operands, weight, attributes, doc) {#name, Family::family, operands, weight, {attributes}, doc},
#include "ir/ops.def"
#undef A
#undef NONE
  };
  return rows;
}

} // namespace

std::string_view attr_name(AttrKey key) {
  static constexpr std::string_view names[] = {"axes", "shape", "start", "stride", "dilation", "axis", "dtype", "labels"};
  return names[static_cast<int>(key)];
}

const OpInfo &op_info(Op op) { return table()[static_cast<size_t>(op)]; }

std::span<const Op> all_ops() {
  static constexpr Op ops[] = {
#define OP(name, ...) Op::name,
#include "ir/ops.def"
  };
  return ops;
}

std::optional<Op> op_from_name(std::string_view name) {
  static const auto by_name = [] {
    std::unordered_map<std::string_view, Op> map;
    for (Op op : all_ops())
      map.emplace(op_info(op).name, op);
    return map;
  }();
  auto found = by_name.find(name);
  return found == by_name.end() ? std::nullopt : std::optional(found->second);
}

} // namespace nnc
