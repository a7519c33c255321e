// The body of a fused node is a copy of its members with the views, splats and iotas between them; everything else they read
// becomes an argument.
#include "passes/body.h"

#include "ir/builder.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>

namespace nnc {

bool stands_alone(const Node &node) {
  return node.op == Op::fused || node.op == Op::pad || node.op == Op::concat || node.op == Op::scan;
}

std::string title(const Node &node) {
  const std::string_view op = op_info(node.op).name;
  return node.label().empty() ? fmt::format("`{}`", op) : fmt::format("`%{}` ({})", node.label(), op);
}

Value stored_base(const Region &region, Value value) {
  for (const Node *node = &region.node(value); is_view(node->op) && !stands_alone(*node) && node->op != Op::iota;
       node = &region.node(value))
    value = node->operands[0];
  return value;
}

bool is_free(const Node &node) { return node.op == Op::iota || (node.op == Op::constant && node.data->splat); }

namespace {

class BodyBuilder {
public:
  BodyBuilder(const Region &from, std::span<const int> members) : from_(from), members_(members), builder_(body_) {}

  // Arguments come first, so they are collected before any node is copied.
  void note_argument(Value value) {
    Value source = stored_base(from_, value);
    if (is_free(from_.node(source)) || std::binary_search(members_.begin(), members_.end(), source.node) ||
        values_.contains(source))
      return;
    const Node &node = from_.node(source);
    values_[source] = builder_.arg(node.types[source.index], node.names[source.index]);
    arguments.push_back(source);
  }

  Value copy(Value value) {
    if (auto at = values_.find(value); at != values_.end())
      return at->second;
    const Node &node = from_.node(value);
    std::vector<Value> operands;
    for (Value operand : node.operands)
      operands.push_back(copy(operand));
    builder_.loc = node.loc;
    Value result = node.op == Op::constant ? builder_.constant(*node.data, node.name())
                                           : builder_.op(node.op, std::move(operands), node.attrs, node.name());
    return values_[value] = result;
  }

  std::shared_ptr<const Region> finish(std::span<const Value> roots) {
    for (Value root : roots)
      body_.results.push_back(copy(root));
    return std::make_shared<Region>(std::move(body_));
  }

  std::vector<Value> arguments;

private:
  const Region &from_;
  std::span<const int> members_;
  Region body_;
  Builder builder_;
  std::map<Value, Value> values_;
};

} // namespace

Node fused_node(const Region &from, std::span<const int> members, std::span<const Value> roots) {
  BodyBuilder body(from, members);
  for (int member : members)
    for (Value operand : from.nodes[member].operands)
      body.note_argument(operand);
  for (Value root : roots)
    body.note_argument(root);
  for (int member : members)
    body.copy({member, 0});
  Node node;
  node.op = Op::fused;
  node.body = body.finish(roots);
  node.operands = std::move(body.arguments);
  for (Value root : roots) {
    node.types.push_back(from.type(root));
    node.names.push_back(from.node(root).names[root.index]);
  }
  node.loc = from.node(roots.back()).loc;
  return node;
}

Node copy_node(const Region &from, Value value) {
  Node node = fused_node(from, {}, {&value, 1});
  node.names = {""};
  return node;
}

} // namespace nnc
