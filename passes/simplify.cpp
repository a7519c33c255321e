// simplify: says the same with less, by a table of rules.
//
//   %0 = transpose(%w, axes=[1,0]) : f32[784,512]
//   %1 = mul(%x, 1) : f32[128,784]                           =>    %y = dot(%x, %w, "bi,oi->bo") : f32[128,512]
//   %y = dot(%1, %0, "bi,io->bo") : f32[128,512]
//
// Sweeps over the function, operands before users; at each node the rules of its op are tried in the table's order, and the
// first that fits replaces it. What a rule builds is looked at in the next sweep. Sweeps end when no rule fits: each rule makes
// the function smaller, moves a constant, a sign, a scale, a reshape or a repetition towards the results, or turns an operand
// back to front, which none turns again. A node that lost its users on the way is left out by the next sweep.
// The rules stand in simplify_*.cpp; the folding of constants (fold.cpp) goes with them. Requests for derivatives must be
// gone: rules do not keep what `grad` differentiates.
#include "passes/simplify.h"
#include "passes/passes.h"
#include "passes/rewriter.h"

#include <algorithm>
#include <array>
#include <cassert>

namespace nnc {

namespace {

constexpr int most_sweeps = 100; // a guard: rules that undo each other must not hang the compiler

using RulesByOp = std::array<std::vector<SimplifyRule>, 256>;

const RulesByOp &rules_by_op() {
  static const RulesByOp table = [] {
    RulesByOp result;
    for (const SimplifyRule &rule : simplify_rules())
      result[static_cast<size_t>(rule.op)].push_back(rule);
    return result;
  }();
  return table;
}

std::vector<int> live_uses(const Function &function) {
  std::vector<int> uses(function.nodes.size());
  for (const Result &result : function.function_results)
    ++uses[result.value.node];
  for (int i = static_cast<int>(function.nodes.size()) - 1; i >= 0; --i)
    if (uses[i] > 0)
      for (Value operand : function.nodes[i].operands)
        ++uses[operand.node];
  return uses;
}

// What takes the node's place, or none.
Value simplified(Simplifier &s, const Node &node, PassContext &context) {
  if (context.exhausted())
    return {};
  const std::string_view where = node.label().empty() ? op_info(node.op).name : std::string_view(node.label());
  if (!context.disabled("fold"))
    if (std::optional<Tensor> number = folded(s.build.region(), node, context.denormals())) {
      context.allow("fold", where);
      return s.build.constant(std::move(*number));
    }
  for (const SimplifyRule &rule : rules_by_op()[static_cast<size_t>(node.op)]) {
    if (context.disabled(rule.name))
      continue;
    if (const Value v = rule.apply(s, node)) {
      assert(s.build.type(v) == node.type() && "a rule changed a type");
      context.allow(rule.name, where);
      return v;
    }
  }
  return {};
}

bool sweep(Function &function, PassContext &context) {
  const std::vector<int> uses = live_uses(function);
  Rewriter rewriter(function);
  Simplifier s(rewriter.build);
  bool changed = false;
  for (int i = 0; i < rewriter.size(); ++i) {
    if (uses[i] == 0 && rewriter.old(i).op != Op::arg) {
      changed = true;
      continue;
    }
    Node node = rewriter.take(i);
    const int first_new = static_cast<int>(s.build.region().nodes.size());
    s.build.loc = node.loc;
    Value v = simplified(s, node, context);
    assert((v || first_new == static_cast<int>(s.build.region().nodes.size())) && "a rule built and gave nothing");
    if (!v) {
      v = rewriter.keep(i, std::move(node));
    } else {
      changed = true;
      rewriter.replace({i, 0}, v);
      for (int k = first_new; k < static_cast<int>(s.build.region().nodes.size()); ++k)
        s.learn({k, 0}, k == v.node ? 0 : 1);
      offer_name(s.build, v, node.name());
    }
    s.learn(v, uses[i]);
  }
  rewriter.finish();
  return changed;
}

} // namespace

std::vector<SimplifyRule> simplify_rules() {
  std::vector<SimplifyRule> rules;
  for (const std::vector<SimplifyRule> &part :
       {arithmetic_rules(), choice_rules(), view_rules(), window_rules(), reduction_rules(), dot_rules()})
    rules.insert(rules.end(), part.begin(), part.end());
  return rules;
}

bool simplify(Function &function, PassContext &context) {
  if (std::ranges::any_of(function.nodes, [](const Node &node) { return node.op == Op::grad; }))
    return false;
  bool changed = false;
  for (int i = 0; i < most_sweeps && sweep(function, context); ++i)
    changed = true;
  return changed;
}

std::optional<double> Simplifier::splat(Value v) const {
  const Node &node = build.region().node(v);
  if (node.op != Op::constant || !(node.data->splat || node.data->type.elements() == 1))
    return std::nullopt;
  return node.data->get(0);
}

std::optional<Repeated> Simplifier::repeated(Value v) const {
  const Node &node = build.region().node(v);
  if (node.op == Op::broadcast)
    return Repeated{node.operands[0], node.attrs.axes};
  if (is_splat(v))
    return Repeated{v, {}};
  return std::nullopt;
}

Value Simplifier::splat_like(Value splat, Shape shape) {
  Tensor number = *build.region().node(splat).data;
  number.splat = true;
  number.type.shape = std::move(shape);
  return build.constant(std::move(number));
}

Value Simplifier::repeat(const Repeated &part, Shape shape, Shape axes) {
  return is_splat(part.inner) ? splat_like(part.inner, std::move(shape))
                              : build.broadcast(part.inner, std::move(shape), std::move(axes));
}

Value Simplifier::find(Op op, std::vector<Value> operands, const Type &type) const {
  Node node;
  node.op = op;
  node.operands = std::move(operands);
  node.types = {type};
  return table_.find(node);
}

void Simplifier::learn(Value v, int uses) {
  if (v.node < static_cast<int>(uses_.size())) {
    uses_[v.node] += uses;
    return;
  }
  const Node &node = build.region().node(v);
  int depth = 0;
  for (Value operand : node.operands)
    depth = std::max(depth, depth_[operand.node]);
  depth_.push_back(depth + (is_reduce(node.op) || node.op == Op::dot));
  uses_.push_back(uses);
  table_.insert(v);
}

} // namespace nnc
