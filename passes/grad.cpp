// grad: every request for derivatives becomes code that computes them, in reverse mode.
//
//   %y = tanh(%a) : f32[8] @2:7                  %y = tanh(%a) : f32[8] @2:7
//   %l = sum(%y, axes=[0]) : f32 @3:7            %l = sum(%y, axes=[0]) : f32 @3:7
//   %g = grad(%l, %a) : f32[8] @4:7              %0 = constant(1) : f32 @3:7'
//                                          =>    %d.y = broadcast(%0, axes=[]) : f32[8] @3:7'
//                                                %1 = mul(%y, %y) : f32[8] @2:7'
//                                                %2 = sub(1, %1) : f32[8] @2:7'
//                                                %g = mul(%d.y, %2) : f32[8] @2:7'
//
// Only nodes that an x has influence on and that have influence on y are visited, backwards from y. Where several contributions
// meet they are added; where there is none, nothing is added, and an x without any gets zeros. A request is expanded where it
// stands, on nodes that are expanded already, so derivatives of derivatives need nothing special.
// What happens at an op is its row's affair (grad_rules.cpp); what turns out equal, zero or unneeded is for simplify, cse and
// dce.
#include "passes/grad_rules.h"
#include "passes/passes.h"
#include "passes/rewriter.h"

#include "ir/error.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <unordered_set>

namespace nnc {

namespace {

// All names of the function, old and new: the derivative of `h` is `d.h`, or `d.h.1` if that is taken.
class Names {
public:
  explicit Names(const Function &function) {
    for (const Node &node : function.nodes)
      used_.insert(node.names.begin(), node.names.end());
  }

  std::string derivative_of(const std::string &name) {
    std::string result = "d." + name;
    for (int suffix = 1; !used_.insert(result).second; ++suffix)
      result = fmt::format("d.{}.{}", name, suffix);
    return result;
  }

private:
  std::unordered_set<std::string> used_;
};

// One request: y, the x, and the derivatives found so far.
class Request {
public:
  Request(Builder &build, Names &names, const Module &module, const Node &node)
      : build_(build), names_(names), module_(module), y_(node.operands[0]), xs_(node.operands.begin() + 1, node.operands.end()),
        first_new_(static_cast<int>(build.region().nodes.size())) {}

  // The derivative of y by each x.
  std::vector<Value> expand() {
    find_influence();
    if (influenced_[y_.node]) {
      build_.loc = derived(y_);
      d_[y_] = build_.like(y_, 1);
    }
    for (int n = y_.node; n >= 0; --n)
      for (auto it = d_.lower_bound({n, 0}); it != d_.end() && it->first.node == n; ++it)
        visit(it->first, it->second);

    std::vector<Value> results;
    for (Value x : xs_) {
      const auto found = d_.find(x);
      build_.loc = derived(x);
      results.push_back(found != d_.end() ? found->second : build_.like(x, 0));
    }
    return results;
  }

  // Built by this request, and not a constant, which has no name so that it prints as a literal.
  bool may_name(Value v) const { return v.node >= first_new_ && region().node(v).op != Op::constant; }

private:
  const Region &region() const { return build_.region(); }
  bool is_float_value(Value v) const { return is_float(build_.type(v).dtype); }

  // Marks the nodes up to y whose results vary with an x.
  void find_influence() {
    influenced_.resize(y_.node + 1);
    for (Value x : xs_)
      if (x.node <= y_.node && is_float_value(x))
        influenced_[x.node] = true;
    for (int n = 0; n <= y_.node; ++n) {
      const Node &node = region().nodes[n];
      if (grad_row(node.op).flow != Flow::nothing && is_float(node.type().dtype))
        influenced_[n] = influenced_[n] || std::ranges::any_of(node.operands, [&](Value v) { return influenced_[v.node]; });
    }
  }

  // All users of `v` are behind us: `d` is its whole derivative. Hands it on to the operands.
  void visit(Value v, Value d) {
    const Node &node = region().node(v);
    const Op op = node.op;
    if (const std::string &name = node.names[v.index]; !name.empty() && may_name(d) && region().node(d).name().empty())
      build_.set_name(d, names_.derivative_of(name));
    const Backward backward{build_, region().node(v).operands, region().node(v).attrs, v, d};
    for (int k = 0; k < static_cast<int>(backward.operands.size()); ++k) {
      const Value operand = backward.operands[k];
      if (!influenced_[operand.node] || !is_float_value(operand))
        continue;
      if (grad_row(op).flow == Flow::nothing)
        continue;
      if (grad_row(op).flow == Flow::refused)
        refuse(v, operand);
      build_.loc = derived(v);
      if (const Value part = grad_row(op).apply(backward, k))
        contribute(operand, part, v);
    }
  }

  void contribute(Value to, Value part, Value from) {
    const auto [it, first] = d_.try_emplace(to, part);
    if (first) {
      reached_from_[to] = from;
    } else {
      build_.loc = derived(region().node(to).loc.line ? to : from); // an input has no place
      it->second = build_.add(it->second, part);
    }
  }

  // The place of what is built for the derivative by `v`: its own, with a prime more.
  Loc derived(Value v) const {
    Loc loc = region().node(v).loc;
    ++loc.order;
    return loc;
  }

  std::string place(Value v) const {
    const Loc &loc = region().node(v).loc;
    return loc.line ? fmt::format("{}:{}:{}: ", module_.files[loc.file], loc.line, loc.column) : "";
  }

  std::string title(Value v) const {
    const Node &node = region().node(v);
    const std::string &name = node.names[v.index];
    return fmt::format("`{}`", name.empty() ? std::string(op_info(node.op).name) : name);
  }

  [[noreturn]] void refuse(Value v, Value operand) const {
    std::string way = title(v);
    for (auto it = reached_from_.find(v); it != reached_from_.end(); it = reached_from_.find(it->second))
      way = fmt::format("{} -> {}", way, title(it->second));
    throw Error(fmt::format("{}error: `{}` has no derivative; it is on the way {} -> {}", place(v),
                            op_info(region().node(v).op).name, title(operand), way));
  }

  Builder &build_;
  Names &names_;
  const Module &module_;
  const Value y_;
  const std::vector<Value> xs_;
  const int first_new_;
  std::vector<bool> influenced_;        // by node
  std::map<Value, Value> d_;            // derivatives of y by the values on the way
  std::map<Value, Value> reached_from_; // the user that contributed first
};

} // namespace

bool grad(Function &function, PassContext &context) {
  if (std::ranges::none_of(function.nodes, [](const Node &node) { return node.op == Op::grad; }))
    return false;
  Names names(function);
  Rewriter rewriter(function);
  for (int i = 0; i < rewriter.size(); ++i) {
    Node node = rewriter.take(i);
    if (node.op != Op::grad) {
      rewriter.keep(i, std::move(node));
      continue;
    }
    Request request(rewriter.build, names, context.module, node);
    const std::vector<Value> results = request.expand();
    for (int k = 0; k < static_cast<int>(results.size()); ++k) {
      rewriter.replace({i, k}, results[k]);
      if (!node.names[k].empty() && request.may_name(results[k]))
        rewriter.build.set_name(results[k], node.names[k]);
    }
  }
  rewriter.finish();
  return true;
}

} // namespace nnc
