// The cut goes through the results of requests for gradients. A state whose next value depends on a gradient belongs to the
// update, and with it every state that the update reads, which would see it changed otherwise. All else is computed with the
// gradients. What the update needs of the rest, such as a learning rate from a step counter, it computes again; `dce` drops
// what either has too much.
#include "passes/split.h"

#include "ir/error.h"
#include "ir/region.h"
#include "passes/loop.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>

namespace nnc {

namespace {

std::string place(const Module &module, const Loc &loc) {
  const std::string &file = module.files[loc.file];
  return loc.line ? fmt::format("{}:{}:{}: error: ", file, loc.line, loc.column) : file + ": error: ";
}

// Results of requests that something else than another request reads: what is differentiated once more is no gradient of a step.
std::vector<Value> gradients_of(const Function &entry) {
  std::set<Value> read;
  for (const Node &node : entry.nodes)
    read.insert(node.operands.begin(), node.operands.end());
  for (const Result &result : entry.function_results)
    read.insert(result.value);
  std::vector<bool> feeds_request(entry.nodes.size());
  std::vector<Value> gradients;
  for (int i = static_cast<int>(entry.nodes.size()) - 1; i >= 0; --i) {
    const Node &node = entry.nodes[i];
    if (node.op == Op::grad && !feeds_request[i])
      for (int k = 0; k < static_cast<int>(node.types.size()); ++k)
        if (read.contains({i, k}))
          gradients.push_back({i, k});
    if (node.op == Op::grad || feeds_request[i])
      for (Value operand : node.operands)
        feeds_request[operand.node] = true;
  }
  std::ranges::sort(gradients);
  return gradients;
}

// What a gradient is called: after the parameter it is by, `d_mlp_dense_0_w`.
std::string gradient_name(const Module &module, const Function &entry, Value gradient) {
  const Value x = entry.node(gradient).operands[static_cast<size_t>(gradient.index) + 1]; // operand 0 is what is derived
  const int state = x.node < entry.args ? entry.arg_info[x.node].state : -1;
  std::string name = state >= 0 ? module.states[state].path : entry.node(x).names[x.index];
  if (name.empty())
    name = std::to_string(gradient.node);
  std::ranges::replace_if(name, [](char c) { return c == '/' || c == '.'; }, '_');
  return "d_" + name;
}

bool requests_gradient(const Node &node) {
  return node.op == Op::grad || (node.op == Op::scan && std::ranges::any_of(node.body->nodes, requests_gradient));
}

Function part(const Function &entry, const std::string &suffix, const std::string &doc) {
  Function function;
  function.name = entry.name + suffix;
  function.doc = doc;
  function.loc = entry.loc;
  return function;
}

class Split {
public:
  Split(const Module &module, const Function &entry) : module_(module), entry_(entry), gradients_(gradients_of(entry)) {
    if (gradients_.empty())
      throw Error(
          fmt::format("{}`{}` cannot be split: it asks for no gradient outside of loops", place(module, entry.loc), entry.name));
    std::set<std::string> names;
    for (const Result &result : entry.function_results)
      names.insert(result.name);
    for (int a = 0; a < entry.args; ++a)
      names.insert(entry.nodes[a].name());
    for (Value gradient : gradients_) {
      std::string name = gradient_name(module, entry, gradient);
      while (!names.insert(name).second)
        name += '_';
      names_.push_back(name);
    }
    find_updated();
  }

  Function gradients() const {
    Function function =
        part(entry_, "_gradients", "What `" + entry_.name + "` computes, and its gradients, for `" + entry_.name + "_update`.");
    static_cast<Region &>(function) = entry_;
    function.arg_info = entry_.arg_info;
    for (const Result &result : entry_.function_results)
      if (result.kind != Result::Kind::state || !updated_.contains(result.state))
        function.function_results.push_back(result);
    for (size_t i = 0; i < gradients_.size(); ++i)
      function.function_results.push_back({Result::Kind::output, names_[i], gradients_[i], -1, entry_.node(gradients_[i]).loc});
    return function;
  }

  Function update() const {
    Function function = part(entry_, "_update", "The changes that `" + entry_.name + "` makes, by these gradients.");
    std::vector<Value> values;
    std::vector<Result> results;
    for (const Result &result : entry_.function_results)
      if (result.kind == Result::Kind::state && updated_.contains(result.state)) {
        values.push_back(result.value);
        results.push_back(result);
      }
    const std::vector<bool> live = reached_without_requests(values);
    std::vector<Value> args = gradients_;
    function.arg_info.assign(args.size(), {});
    for (bool states : {false, true})
      for (int a = 0; a < entry_.args; ++a)
        if (const int state = entry_.arg_info[a].state; live[a] && (state >= 0) == states) {
          args.push_back({a, 0});
          function.arg_info.push_back({state});
        }
    static_cast<Region &>(function) = extract(entry_, args, values);
    for (size_t i = 0; i < gradients_.size(); ++i)
      function.nodes[i].names = {names_[i]};
    for (size_t i = 0; i < results.size(); ++i)
      results[i].value = function.results[i];
    function.results.clear();
    function.function_results = std::move(results);
    return function;
  }

private:
  const Module &module_;
  const Function &entry_;
  const std::vector<Value> gradients_;
  std::vector<std::string> names_;
  std::set<int> updated_; // states that the update writes

  std::vector<bool> reached_without_requests(const std::vector<Value> &values) const {
    return reached(entry_, values,
                   [&](int i) { return std::ranges::any_of(gradients_, [&](Value gradient) { return gradient.node == i; }); });
  }

  void find_updated() {
    // By a gradient that comes out in between, and by one that does not.
    std::vector<bool> changed(entry_.nodes.size()), within(entry_.nodes.size());
    for (Value gradient : gradients_)
      changed[gradient.node] = true;
    for (size_t i = 0; i < entry_.nodes.size(); ++i) {
      const Node &node = entry_.nodes[i];
      if (changed[i])
        continue;
      const auto any = [&](const std::vector<bool> &of) {
        return std::ranges::any_of(node.operands, [&](Value v) { return of[v.node]; });
      };
      changed[i] = any(changed);
      within[i] = requests_gradient(node) || any(within);
    }
    for (const Result &result : entry_.function_results)
      if (result.kind == Result::Kind::state && within[result.value.node])
        throw Error(
            fmt::format("{}`{}` cannot be split: `{}` is changed by a gradient of a loop, or by one that another depends on",
                        place(module_, entry_.loc), entry_.name, module_.states[result.state].path));
    std::vector<Value> values; // next values that the update computes
    for (bool more = true; more;) {
      const std::vector<bool> live = reached_without_requests(values);
      more = false;
      for (const Result &result : entry_.function_results) {
        if (result.kind != Result::Kind::state || updated_.contains(result.state))
          continue;
        bool read = false;
        for (int a = 0; a < entry_.args; ++a)
          read = read || (live[a] && entry_.arg_info[a].state == result.state);
        if (changed[result.value.node] || read) {
          updated_.insert(result.state);
          values.push_back(result.value);
          more = true;
        }
      }
    }
    if (values.empty())
      throw Error(
          fmt::format("{}`{}` cannot be split: it changes nothing by its gradients", place(module_, entry_.loc), entry_.name));
  }
};

} // namespace

void split_entry(Module &module, const std::string &name) {
  const auto at = std::ranges::find(module.functions, name, &Function::name);
  if (at == module.functions.end())
    throw Error(fmt::format("{}: there is no entry `{}` to split", module.files[0], name));
  const Split split(module, *at);
  Function gradients = split.gradients(), update = split.update();
  for (const Function *function : {&gradients, &update})
    if (module.find(function->name))
      throw Error(
          fmt::format("{}`{}` cannot be split: there is an entry `{}` already", place(module, at->loc), name, function->name));
  module.functions.insert(module.functions.insert(at + 1, std::move(update)), std::move(gradients));
}

} // namespace nnc
