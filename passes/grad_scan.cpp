// The derivative of a scan: a scan that runs the other way round.
//
//   %h, %s = scan(steps=T, carry %h = %h0, slice %x = %xs, %w = %w0) { … yield %h1, %s }
// =>
//   the same with more stacks: the carries at the start of every step, and the results of the ops in `is_kept`;
//   %dh0, %dw, %dxs = scan(steps=T, reverse, carry %dh = %d.h, carry %acc = 0, slice %ds = %d.s, slice %h = …, slice %x = %xs,
//                          %w = %w0) { what else of a step is needed, again; the step backwards; yield …, %acc + …, … }
//
// A step backwards is what a Request makes of the body, seeded with the derivatives by what the body yields. Carries go through
// it against the direction of the loop; by an invariant every step adds its part.
#include "passes/grad_request.h"
#include "passes/loop.h"

#include <algorithm>
#include <cassert>

namespace nnc {

namespace {

// Stacked by the loop rather than computed again by the loop backwards: what costs more than to be stored.
bool is_kept(Op op) {
  return op == Op::dot || op == Op::scan || op == Op::argsort || op == Op::scatter_add || op == Op::unwindow;
}

class ScanDerivative {
public:
  ScanDerivative(Builder &build, const Module &module, int at, const std::vector<Value> &d_results,
                 const std::vector<bool> &influenced)
      : build_(build), module_(module), at_(at), node_(build.region().nodes[at]), info_(node_.scan), d_results_(d_results),
        influenced_(influenced), count_(static_cast<int>(node_.body->nodes.size())) {}

  std::vector<Value> run() {
    find_varying();
    for (int i = 0; i < info_.carries; ++i)
      if (varies_[i] && d_results_[i])
        carried_.push_back(i);
    while (!derive_step())
      ;
    if (std::ranges::none_of(d_args_, [](Value d) { return bool(d); }))
      return std::vector<Value>(node_.operands.size()); // what has a derivative does not depend on what varies
    choose_arguments();
    keep_stacks();
    return emit();
  }

private:
  bool is_carry(int arg) const { return arg < info_.carries; }
  bool is_slice(int arg) const { return arg >= info_.carries && arg < info_.carries + info_.slices; }

  // Arguments that vary with an x: in the first step, or in a later one by way of a carry.
  void find_varying() {
    for (int i = 0; i < node_.body->args; ++i)
      varies_.push_back(influenced_[i]);
    for (bool changed = true; changed;) {
      changed = false;
      const std::vector<bool> nodes = influenced_nodes(*node_.body, varying(), count_);
      for (int i = 0; i < info_.carries; ++i)
        if (!varies_[i] && is_float(node_.types[i].dtype) && nodes[node_.body->results[i].node])
          varies_[i] = changed = true;
    }
  }

  std::vector<Value> varying() const {
    std::vector<Value> args;
    for (int i = 0; i < static_cast<int>(varies_.size()); ++i)
      if (varies_[i])
        args.push_back({i, 0});
    return args;
  }

  // An argument of the step backwards, for now behind the nodes of the body.
  Value argument(Type type, const std::string &name) {
    Node node;
    node.types = {std::move(type)};
    node.names = {""};
    node.loc = build_.loc;
    step_.nodes.push_back(std::move(node));
    const Value value{static_cast<int>(step_.nodes.size()) - 1, 0};
    Builder(step_).set_name(value, name.empty() ? "" : "d." + name);
    return value;
  }

  // Derives one step for the carries in carried_. False: one more turned out to have a derivative.
  bool derive_step() {
    step_ = *node_.body;
    seeds_.clear();
    stack_seeds_.clear();
    const std::vector<Value> &results = node_.body->results;
    for (int i : carried_)
      seeds_.push_back(argument(derivative_type(node_.types[i]), step_.nodes[i].name()));
    for (size_t r = info_.carries; r < results.size(); ++r)
      if (d_results_[r])
        stack_seeds_.emplace_back(static_cast<int>(r), argument(derivative_type(step_.type(results[r])),
                                                                step_.node(results[r]).names[results[r].index]));
    Builder build(step_);
    build.loc = build_.loc;
    DerivativeNames names(step_);
    Request request(build, names, module_, varying(), count_);
    for (size_t k = 0; k < carried_.size(); ++k)
      request.seed(results[carried_[k]], seeds_[k]);
    for (auto [r, seed] : stack_seeds_)
      request.seed(results[r], seed);
    const std::vector<Value> found = request.expand();
    d_args_.assign(varies_.size(), {});
    const std::vector<Value> args = varying();
    for (size_t k = 0; k < args.size(); ++k)
      d_args_[args[k].node] = found[k];
    const size_t before = carried_.size();
    for (int i = 0; i < info_.carries; ++i)
      if (d_args_[i] && std::ranges::find(carried_, i) == carried_.end())
        carried_.push_back(i);
    return carried_.size() == before;
  }

  // What the loop backwards yields, and which values of the body it takes as they were.
  void choose_arguments() {
    Builder build(step_);
    build.loc = build_.loc;
    for (int i : carried_)
      yields_.push_back(d_args_[i] ? d_args_[i] : build.constant(derivative_type(node_.types[i]), 0));
    for (int i = info_.carries + info_.slices; i < static_cast<int>(d_args_.size()); ++i)
      if (d_args_[i]) {
        sums_.push_back({i, argument(derivative_type(step_.nodes[i].type()), step_.nodes[i].name())});
        yields_.push_back(build.add(sums_.back().second, d_args_[i]));
      }
    for (int i = info_.carries; i < info_.carries + info_.slices; ++i)
      if (d_args_[i]) {
        sliced_.push_back(i);
        yields_.push_back(d_args_[i]);
      }
    const auto stops = [&](int n) { return n < count_ && is_kept(step_.nodes[n].op); };
    const std::vector<bool> live = reached(step_, yields_, stops);
    std::vector<bool> read(step_.nodes.size()); // by a live node that is computed, or yielded
    for (int n = 0; n < count_; ++n)
      if (live[n] && (step_.nodes[n].op == Op::arg || stops(n)))
        for (int k = 0; k < static_cast<int>(step_.nodes[n].types.size()); ++k)
          if (is_read({n, k}, live, stops))
            taken_.push_back({n, k});
  }

  template <typename Stops> bool is_read(Value v, const std::vector<bool> &live, Stops stops) const {
    if (std::ranges::find(yields_, v) != yields_.end())
      return true;
    for (int n = v.node + 1; n < static_cast<int>(step_.nodes.size()); ++n)
      if (live[n] && !stops(n) && std::ranges::find(step_.nodes[n].operands, v) != step_.nodes[n].operands.end())
        return true;
    return false;
  }

  // The loop itself stacks what was taken and is not at hand.
  void keep_stacks() {
    Region body = *node_.body;
    for (int n = 0; n < count_; ++n)
      body.nodes[n] = step_.nodes[n]; // loops in it may have got more stacks
    Node &node = build_.region().nodes[at_];
    for (Value v : taken_) {
      if (step_.node(v).op == Op::arg && !is_carry(v.node))
        continue;
      const auto at = std::find(body.results.begin() + info_.carries, body.results.end(), v);
      stack_of_[v] = static_cast<int>(at - body.results.begin());
      if (at != body.results.end())
        continue;
      body.results.push_back(v);
      node.types.push_back(result_type(node, body, body.results.size() - 1));
      node.names.push_back("");
    }
    node.body = std::make_shared<const Region>(std::move(body));
  }

  std::vector<Value> emit() {
    std::vector<Value> args, operands;
    const auto pass = [&](Value arg, Value operand) {
      args.push_back(arg);
      operands.push_back(operand);
    };
    ScanInfo info{.steps = info_.steps, .reverse = !info_.reverse};
    for (size_t k = 0; k < carried_.size(); ++k) {
      const Value d = d_results_[carried_[k]];
      pass(seeds_[k], d ? d : build_.constant(derivative_type(node_.types[carried_[k]]), 0));
    }
    for (auto [arg, sum] : sums_)
      pass(sum, build_.constant(derivative_type(build_.type(node_.operands[arg])), 0));
    info.carries = static_cast<int>(args.size());
    for (auto [r, seed] : stack_seeds_)
      pass(seed, d_results_[r]);
    for (Value v : taken_)
      if (stack_of_.contains(v))
        pass(v, {at_, stack_of_[v]});
      else if (is_slice(v.node))
        pass(v, node_.operands[v.node]);
    info.slices = static_cast<int>(args.size()) - info.carries;
    for (Value v : taken_)
      if (!stack_of_.contains(v) && !is_slice(v.node))
        pass(v, node_.operands[v.node]);
    const Value scan = build_.scan(info, std::move(operands), extract(step_, args, yields_));

    std::vector<Value> parts(node_.operands.size());
    int result = 0;
    const auto next = [&](int arg) {
      if (influenced_[arg])
        parts[arg] = {scan.node, result};
      ++result;
    };
    std::ranges::for_each(carried_, next);
    for (auto [arg, sum] : sums_)
      next(arg);
    std::ranges::for_each(sliced_, next);
    return parts;
  }

  Builder &build_;
  const Module &module_;
  const int at_;
  const Node node_; // as it was
  const ScanInfo info_;
  const std::vector<Value> &d_results_;
  const std::vector<bool> &influenced_; // by operand
  const int count_;                     // nodes of the body

  std::vector<bool> varies_;                       // by argument
  std::vector<int> carried_;                       // carries through which derivatives go
  Region step_;                                    // the body, then the step backwards
  std::vector<Value> seeds_, d_args_;              // derivatives by the next value of each in carried_; by each argument
  std::vector<std::pair<int, Value>> stack_seeds_; // result of the body, derivative by it
  std::vector<std::pair<int, Value>> sums_;        // invariant, the sum of its derivatives so far
  std::vector<int> sliced_;                        // slices that have a derivative
  std::vector<Value> yields_;                      // of the step backwards: carried_, sums_, sliced_
  std::vector<Value> taken_;                       // values of the body that it takes as they were
  std::map<Value, int> stack_of_;                  // those that the loop stacks: the result
};

} // namespace

std::vector<Value> scan_derivatives(Builder &build, const Module &module, int node, const std::vector<Value> &d_results,
                                    const std::vector<bool> &influenced) {
  return ScanDerivative(build, module, node, d_results, influenced).run();
}

} // namespace nnc
