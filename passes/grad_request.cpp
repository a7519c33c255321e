// The walk of a request backwards from y. Only nodes that an x has influence on and that have influence on y are visited. Where
// several contributions meet they are added. What happens at an op is its row's affair (grad_rules.cpp), at a loop that of
// grad_scan.cpp.
#include "passes/grad_request.h"

#include "ir/error.h"
#include "passes/grad_rules.h"

#include <algorithm>
#include <fmt/format.h>

namespace nnc {

namespace {
constexpr size_t most_nodes_with_derivatives = 500'000; // in one function
}

DerivativeNames::DerivativeNames(const Region &region) {
  for (const Node &node : region.nodes)
    used_.insert(node.names.begin(), node.names.end());
}

std::string DerivativeNames::derivative_of(const std::string &name) {
  std::string result = "d." + name;
  for (int suffix = 1; !used_.insert(result).second; ++suffix)
    result = fmt::format("d.{}.{}", name, suffix);
  return result;
}

std::vector<bool> influenced_nodes(const Region &region, const std::vector<Value> &xs, int count) {
  std::vector<bool> influenced(count);
  for (Value x : xs)
    if (x.node < count && is_float(region.type(x).dtype))
      influenced[x.node] = true;
  for (int n = 0; n < count; ++n) {
    const Node &node = region.nodes[n];
    const bool has_float = std::ranges::any_of(node.types, [](const Type &type) { return is_float(type.dtype); });
    if (grad_row(node.op).flow != Flow::nothing && has_float)
      influenced[n] = influenced[n] || std::ranges::any_of(node.operands, [&](Value v) { return influenced[v.node]; });
  }
  return influenced;
}

Request::Request(Builder &build, DerivativeNames &names, const Module &module, std::vector<Value> xs, int count)
    : build_(build), names_(names), module_(module), xs_(std::move(xs)), count_(count),
      first_new_(static_cast<int>(build.region().nodes.size())), influenced_(influenced_nodes(build.region(), xs_, count)) {}

void Request::seed(Value v, Value d) {
  if (influenced(v))
    contribute(v, d, {});
}

std::vector<Value> Request::expand() {
  for (int n = count_ - 1; n >= 0; --n) {
    if (region().nodes.size() > most_nodes_with_derivatives)
      throw Error(fmt::format("{}error: with the derivatives of this there are more than {} operations; each level of `grad` "
                              "multiplies them",
                              place({n, 0}), most_nodes_with_derivatives));
    if (region().nodes[n].op == Op::scan)
      visit_scan(n);
    else
      for (auto it = d_.lower_bound({n, 0}); it != d_.end() && it->first.node == n; ++it)
        visit(it->first, it->second);
  }
  std::vector<Value> results;
  for (Value x : xs_) {
    const auto found = d_.find(x);
    results.push_back(found != d_.end() ? found->second : Value{});
  }
  return results;
}

// All users of `v` are behind us: `d` is its whole derivative. Hands it on to the operands.
void Request::visit(Value v, Value d) {
  name(v, d);
  const Op op = region().node(v).op;
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

// The same for all results of a loop at once.
void Request::visit_scan(int n) {
  std::vector<Value> d_results(region().nodes[n].types.size());
  bool any = false;
  for (int k = 0; k < static_cast<int>(d_results.size()); ++k)
    if (const auto found = d_.find({n, k}); found != d_.end()) {
      name({n, k}, d_results[k] = found->second);
      any = true;
    }
  const std::vector<Value> operands = region().nodes[n].operands;
  std::vector<bool> influenced;
  for (Value operand : operands)
    influenced.push_back(influenced_[operand.node] && is_float_value(operand));
  if (!any || std::ranges::find(influenced, true) == influenced.end())
    return;
  build_.loc = derived({n, 0});
  const std::vector<Value> parts = scan_derivatives(build_, module_, n, d_results, influenced);
  for (size_t k = 0; k < operands.size(); ++k)
    if (parts[k])
      contribute(operands[k], parts[k], {n, 0});
}

void Request::name(Value v, Value d) {
  if (const std::string &own = region().node(v).names[v.index];
      !own.empty() && may_name(d) && region().node(d).names[d.index].empty())
    build_.set_name(d, names_.derivative_of(own));
}

void Request::contribute(Value to, Value part, Value from) {
  const auto [it, first] = d_.try_emplace(to, part);
  if (first) {
    if (from)
      reached_from_[to] = from;
  } else {
    build_.loc = derived(region().node(to).loc.line || !from ? to : from); // an input has no place
    it->second = build_.add(it->second, part);
  }
}

Loc Request::derived(Value v) const {
  Loc loc = region().node(v).loc;
  ++loc.order;
  return loc;
}

std::string Request::place(Value v) const {
  const Loc &loc = region().node(v).loc;
  return loc.line ? fmt::format("{}:{}:{}: ", module_.files[loc.file], loc.line, loc.column) : "";
}

std::string Request::title(Value v) const {
  const Node &node = region().node(v);
  const std::string &name = node.names[v.index];
  return fmt::format("`{}`", name.empty() ? std::string(op_info(node.op).name) : name);
}

void Request::refuse(Value v, Value operand) const {
  std::string way = title(v);
  for (auto it = reached_from_.find(v); it != reached_from_.end(); it = reached_from_.find(it->second))
    way = fmt::format("{} -> {}", way, title(it->second));
  throw Error(fmt::format("{}error: `{}` has no derivative; it is on the way {} -> {}", place(v),
                          op_info(region().node(v).op).name, title(operand), way));
}

} // namespace nnc
