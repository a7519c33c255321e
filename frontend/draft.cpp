// A function while it is being lowered: arguments as they come up, states as they change, and the tidy function at the end.
// Values are numbered by the order they were built in; only `finish` renumbers.
#include "frontend/draft.h"
#include "ir/region.h"

#include "ir/eval.h"

#include <algorithm>
#include <set>

namespace nnc {

Value Draft::argument(const Type &type, const Span &declared) {
  Node node;
  node.types = {type};
  node.names = {""};
  function_.nodes.push_back(std::move(node));
  const Value value{size() - 1, 0};
  declared_[value] = declared;
  return value;
}

Value Draft::input(const Type &type, const std::string &name, const Span &declared) {
  inputs_.push_back(argument(type, declared));
  names_[inputs_.back()] = name;
  return inputs_.back();
}

Value Draft::state(int index, const State &state, const Span &declared) {
  auto found = current_.find(index);
  if (found != current_.end())
    return found->second;
  const Value value = argument(state.type, declared);
  arguments_[index] = current_[index] = value;
  versions_[value] = index;
  return value;
}

void Draft::set_state(int index, Value value, const Loc &loc) {
  current_[index] = written_[index] = value;
  written_at_[index] = loc;
  versions_.try_emplace(value, index); // `a := b` leaves b's value b's
}

bool Draft::is_current(int index, Value value) const {
  auto found = current_.find(index);
  return found != current_.end() && found->second == value;
}

int Draft::state_of(Value value) const {
  auto found = versions_.find(value);
  return found == versions_.end() ? -1 : found->second;
}

std::optional<Value> Draft::imported(const TensorRef &tensor) {
  if (tensor.home == this)
    return tensor.value;
  const std::optional<Value> there = outer_ ? outer_->imported(tensor) : std::nullopt;
  if (!there)
    return std::nullopt;
  if (tensor.state < 0 || !outer_->is_current(tensor.state, *there) || written_.count(tensor.state))
    return import(*there);
  imported_states_.insert(tensor.state);
  const Span *declared = outer_->declared(*there);
  return state(tensor.state, {.path = "", .type = tensor.type}, declared ? *declared : Span());
}

Value Draft::import(Value outer) {
  const auto [found, is_new] = imports_.try_emplace(outer);
  if (!is_new)
    return found->second;
  const Node &node = outer_->node(outer);
  if (node.op == Op::constant && node.data->splat)
    return found->second = b.constant(*node.data);
  const Span *declared = outer_->declared(outer);
  found->second = argument(node.types[outer.index], declared ? *declared : Span());
  if (const auto name = outer_->names_.find(outer); name != outer_->names_.end())
    names_[found->second] = name->second;
  return found->second;
}

Value Draft::carry(Value first, const std::string &name) {
  const Span *declared = outer_->declared(first);
  carries_.emplace_back(argument(outer_->b.type(first), declared ? *declared : Span()), first);
  names_[carries_.back().first] = name;
  return carries_.back().first;
}

Value Draft::slice(Value stack) {
  Type type = outer_->b.type(stack);
  type.shape.erase(type.shape.begin());
  slices_.emplace_back(argument(type, {}), stack);
  return slices_.back().first;
}

Value Draft::step() {
  if (step_)
    return step_;
  step_ = slice(outer_->b.iota(DType::i64, {steps_}, 0));
  if (outer_->is_body()) {
    const Value rounds = import(outer_->step());
    step_ = b.add(b.mul(rounds, b.constant_int({DType::i64, {}}, steps_)), step_);
  }
  return step_;
}

int Draft::stale_state() const {
  for (int state : imported_states_)
    if (written_.count(state))
      return state;
  return -1;
}

std::vector<Value> Draft::finish_loop(std::vector<Value> next, const std::vector<Value> &stacks, const std::vector<State> &states,
                                      const Loc &loc) {
  Builder &outer = outer_->b;
  outer.loc = loc;
  std::vector<Value> args, operands, results = std::move(next);
  const auto pass = [&](Value arg, Value operand) {
    args.push_back(arg);
    operands.push_back(operand);
  };
  for (auto [arg, first] : carries_)
    pass(arg, first);
  for (auto [index, value] : written_) {
    if (!arguments_.count(index))
      arguments_[index] = argument(states[index].type, {});
    pass(arguments_[index], outer_->state(index, states[index], {}));
    results.push_back(value);
  }
  ScanInfo info{.steps = steps_, .carries = static_cast<int>(args.size()), .slices = static_cast<int>(slices_.size())};
  for (auto [arg, stack] : slices_)
    pass(arg, stack);
  for (auto [value, arg] : imports_)
    if (is_argument(arg))
      pass(arg, value);
  for (auto [index, arg] : arguments_)
    if (!written_.count(index))
      pass(arg, outer_->state(index, states[index], {}));
  results.insert(results.end(), stacks.begin(), stacks.end());
  for (const Result &check : checks_)
    results.push_back(check.value);
  if (results.empty())
    return {};
  for (const auto &[value, text] : names_)
    b.set_name(value, text);
  const Value loop = outer.scan(info, std::move(operands), extract(function_, args, results));

  std::vector<Value> given;
  int at = 0;
  const auto take = [&] { return Value{loop.node, at++}; };
  for (size_t i = 0; i < carries_.size(); ++i)
    given.push_back(take());
  for (auto [index, value] : written_)
    outer_->set_state(index, take(), written_at_[index]);
  for (size_t i = 0; i < stacks.size(); ++i)
    given.push_back(take());
  for (const Result &check : checks_) {
    const Value least = outer.reduce(Op::min, outer.cast(take(), DType::i32), {0});
    outer_->check(outer.eq(least, outer.like(least, 1)), check.name, check.loc);
  }
  return given;
}

void Draft::output(const std::string &name, Value value, const Loc &loc) {
  outputs_.push_back({.kind = Result::Kind::output, .name = name, .value = value, .loc = loc});
}

void Draft::check(Value holds, const std::string &message, const Loc &loc) {
  checks_.push_back({.kind = Result::Kind::check, .name = message, .value = holds, .loc = loc});
}

const Span *Draft::declared(Value value) const {
  auto found = declared_.find(value);
  return found == declared_.end() ? nullptr : &found->second;
}

std::optional<double> Draft::splat(Value value) const {
  const Node &node = this->node(value);
  if (node.op != Op::constant || !node.data->splat)
    return std::nullopt;
  return node.data->get(0);
}

std::optional<Tensor> Draft::known(Value value) const {
  constexpr size_t most_nodes = 100;
  constexpr int64_t most_elements = 1 << 16;
  std::set<int> needed;
  std::vector<int> open = {value.node};
  while (!open.empty()) {
    const int at = open.back();
    open.pop_back();
    const Node &node = function_.nodes[at];
    if (!needed.insert(at).second)
      continue;
    if ((family(node.op) == Family::structure && node.op != Op::constant) || node.type().elements() > most_elements ||
        needed.size() > most_nodes)
      return std::nullopt;
    for (Value operand : node.operands)
      open.push_back(operand.node);
  }
  std::map<int, Tensor> tensors;
  for (int at : needed) {
    const Node &node = function_.nodes[at];
    std::vector<const Tensor *> operands;
    for (Value operand : node.operands)
      operands.push_back(&tensors.at(operand.node));
    tensors[at] = node.op == Op::constant ? *node.data : eval(node.op, operands, node.attrs, node.type());
  }
  return expanded(tensors.at(value.node));
}

Function Draft::finish(const std::string &name, const std::string &doc, const Loc &loc, const std::vector<State> &states,
                       const std::vector<std::string> &state_names) {
  std::vector<Result> results = outputs_;
  for (const auto &[index, value] : written_) {
    auto own = arguments_.find(index);
    if (own != arguments_.end() && own->second == value)
      continue; // assigned to itself
    results.push_back({.kind = Result::Kind::state, .name = "", .value = value, .state = index, .loc = written_at_[index]});
    if (own == arguments_.end())
      arguments_[index] = argument(states[index].type, {});
    if (!names_.count(value))
      names_[value] = state_names[index] + ".next";
  }
  results.insert(results.end(), checks_.begin(), checks_.end());

  std::vector<bool> live(size());
  for (const Result &result : results)
    live[result.value.node] = true;
  for (int i = size(); i-- > 0;)
    if (live[i])
      for (Value operand : function_.nodes[i].operands)
        live[operand.node] = true;

  Function finished;
  std::vector<int> moved(size(), -1);
  const auto move = [&](int node) {
    moved[node] = static_cast<int>(finished.nodes.size());
    finished.nodes.push_back(function_.nodes[node]);
  };
  for (Value input : inputs_) {
    move(input.node);
    finished.arg_info.push_back({});
  }
  for (const auto &[index, value] : arguments_)
    if (live[value.node] || written_.count(index)) {
      move(value.node);
      names_[value] = state_names[index];
      finished.arg_info.push_back({.state = index});
    }
  finished.args = static_cast<int>(finished.nodes.size());
  for (int i = 0; i < size(); ++i)
    if (live[i] && moved[i] < 0) {
      move(i);
      for (Value &operand : finished.nodes.back().operands)
        operand.node = moved[operand.node];
    }
  for (Result &result : results)
    result.value.node = moved[result.value.node];

  std::map<Value, std::string> named;
  for (const auto &[value, text] : names_)
    if (moved[value.node] >= 0)
      named[{moved[value.node], value.index}] = text;
  Builder names(finished);
  for (const auto &[value, text] : named)
    names.set_name(value, text);
  for (int i = 0; i < static_cast<int>(finished.nodes.size()); ++i) // the derivative by `w` is `d.w`
    for (int k = 0; finished.nodes[i].op == Op::grad && k + 1 < static_cast<int>(finished.nodes[i].operands.size()); ++k) {
      const Value x = finished.nodes[i].operands[k + 1];
      if (const std::string &of = finished.nodes[x.node].names[x.index]; finished.nodes[i].names[k].empty() && !of.empty())
        names.set_name({i, k}, "d." + of);
    }

  finished.name = name;
  finished.doc = doc;
  finished.loc = loc;
  finished.function_results = std::move(results);
  return finished;
}

} // namespace nnc
