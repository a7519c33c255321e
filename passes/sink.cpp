// sink: views and numbers that a loop reads in every step move into its body.
//
//   %t = transpose(%w, axes=[1,0])                    scan(…, %v = %w) {
//   scan(…, %v = %t) { …                        =>      %0 = transpose(%v, axes=[1,0]) …
//
// In the body they cost nothing; outside, the loop would need them stored. A chain of views that is no affine map of memory is
// left outside, where it is stored once. Outer loops first, so that a view sinks to where it is read.
#include "ir/builder.h"
#include "passes/access.h"
#include "passes/body.h"
#include "passes/loop.h"
#include "passes/passes.h"

#include <map>

namespace nnc {

namespace {

bool can_sink(const Region &region, Value operand) {
  const Value base = stored_base(region, operand);
  if (is_free(region.node(base)))
    return true;
  return base != operand && resolve(region, operand, [](int) { return false; }).kind == ElementSource::Kind::buffer;
}

class Sinker {
public:
  Sinker(const Region &region, Node &node) : region_(region), node_(node), build_(body_) {}

  void run() {
    const Region &old = *node_.body;
    const int first_invariant = node_.scan.carries + node_.scan.slices;
    std::vector<Value> moved, operands(node_.operands.begin(), node_.operands.begin() + first_invariant);
    for (int i = 0; i < first_invariant; ++i)
      build_.arg(old.nodes[i].type(), old.nodes[i].name());
    for (int i = first_invariant; i < old.args; ++i) {
      const Value operand = node_.operands[i], base = can_sink(region_, operand) ? stored_base(region_, operand) : operand;
      if (is_free(region_.node(base)) || values_.contains(base))
        continue;
      values_[base] = build_.arg(region_.type(base), old.nodes[i].name());
      operands.push_back(base);
    }
    std::map<Value, Value> inside;
    for (int i = 0; i < old.args; ++i)
      inside[{i, 0}] = i < first_invariant ? Value{i, 0} : copy(node_.operands[i]);
    for (int i = old.args; i < static_cast<int>(old.nodes.size()); ++i) {
      Node node = old.nodes[i];
      for (Value &operand : node.operands)
        operand = inside.at(operand);
      for (int k = 0; k < static_cast<int>(node.types.size()); ++k)
        inside[{i, k}] = {static_cast<int>(body_.nodes.size()), k};
      body_.nodes.push_back(std::move(node));
    }
    for (Value result : old.results)
      body_.results.push_back(inside.at(result));
    node_.operands = std::move(operands);
    node_.body = std::make_shared<const Region>(std::move(body_));
  }

private:
  Value copy(Value value) {
    if (const auto found = values_.find(value); found != values_.end())
      return found->second;
    const Node &node = region_.node(value);
    std::vector<Value> operands;
    for (Value operand : node.operands)
      operands.push_back(copy(operand));
    build_.loc = node.loc;
    return values_[value] = node.op == Op::constant ? build_.constant(*node.data) : build_.op(node.op, operands, node.attrs);
  }

  const Region &region_;
  Node &node_;
  Region body_;
  Builder build_;
  std::map<Value, Value> values_; // of the region: what they are in the body
};

bool sink_into(Region &region) {
  bool changed = false;
  for (Node &node : region.nodes) {
    if (node.op != Op::scan)
      continue;
    bool any = false;
    for (size_t k = node.scan.carries + node.scan.slices; k < node.operands.size(); ++k)
      any |= can_sink(region, node.operands[k]);
    if (any)
      Sinker(region, node).run();
    Region body = *node.body;
    if (sink_into(body)) {
      node.body = std::make_shared<const Region>(std::move(body));
      any = true;
    }
    changed |= any;
  }
  return changed;
}

} // namespace

bool sink(Function &function, PassContext &) { return sink_into(function); }

} // namespace nnc
