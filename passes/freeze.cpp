// An entry that changes a parameter would find a constant in its place, so it goes; running statistics and moments, which only
// such entries write, become constants with the parameters. What the entries that stay carry from call to call is still state,
// and `init` still fills it.
#include "passes/freeze.h"

#include "ir/error.h"
#include "passes/float_class.h"
#include "passes/rewriter.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace nnc {

namespace {

bool writes(const Function &function, int state) {
  return std::ranges::any_of(function.function_results,
                             [&](const Result &result) { return result.kind == Result::Kind::state && result.state == state; });
}

bool is_init(const Function &function) { return function.name == "init"; }

Tensor value_of(const State &state, const std::map<std::string, Tensor> &values, const std::string &file) {
  const auto at = values.find(state.path);
  if (at == values.end())
    throw Error(fmt::format("{}: no tensor `{}` ({}), which is to be frozen", file, state.path, type_text(state.type)));
  if (at->second.type != state.type)
    throw Error(
        fmt::format("{}: `{}` is {}, in the model {}", file, state.path, type_text(at->second.type), type_text(state.type)));
  return at->second;
}

// Puts constants where the function reads frozen states, and counts the others anew.
void rewrite(Function &function, const std::vector<int> &number, const std::vector<std::shared_ptr<const Tensor>> &frozen) {
  std::erase_if(function.function_results,
                [&](const Result &result) { return result.kind == Result::Kind::state && number[result.state] < 0; });
  std::vector<Arg> arg_info;
  Rewriter rewriter(function);
  for (int i = 0; i < rewriter.size(); ++i) {
    const int state = i < function.args ? function.arg_info[i].state : -1;
    if (state < 0 || number[state] >= 0) {
      rewriter.keep(i);
      if (i < function.args)
        arg_info.push_back({state < 0 ? -1 : number[state]});
    }
    if (i + 1 == function.args)
      for (int a = 0; a < function.args; ++a)
        if (const int of = function.arg_info[a].state; of >= 0 && number[of] < 0) {
          Node constant = rewriter.take(a);
          constant.op = Op::constant;
          constant.data = frozen[of];
          rewriter.keep(a, std::move(constant));
        }
  }
  rewriter.finish();
  function.arg_info = std::move(arg_info);
  for (Result &result : function.function_results)
    if (result.kind == Result::Kind::state)
      result.state = number[result.state];
}

} // namespace

std::vector<std::string> freeze(Module &module, const std::map<std::string, Tensor> &values, const std::string &file,
                                const Checks &checks) {
  std::vector<std::string> dropped;
  std::erase_if(module.functions, [&](const Function &function) {
    bool trains = false;
    for (size_t s = 0; s < module.states.size(); ++s)
      trains = trains || (module.states[s].trained && writes(function, static_cast<int>(s)));
    if (!trains || is_init(function))
      return false;
    dropped.push_back(function.name);
    return true;
  });
  if (std::ranges::all_of(module.functions, is_init))
    throw Error(fmt::format("{}: nothing is left to freeze: every entry changes parameters", module.files[0]));

  std::vector<int> number; // of each state among those that stay; -1: frozen
  std::vector<std::shared_ptr<const Tensor>> frozen;
  std::vector<State> stay;
  for (size_t s = 0; s < module.states.size(); ++s) {
    const bool written = std::ranges::any_of(
        module.functions, [&](const Function &function) { return !is_init(function) && writes(function, static_cast<int>(s)); });
    const bool read = std::ranges::any_of(module.functions, [&](const Function &function) {
      return !is_init(function) &&
             std::ranges::any_of(function.arg_info, [&](const Arg &arg) { return arg.state == static_cast<int>(s); });
    });
    number.push_back(written ? static_cast<int>(stay.size()) : -1);
    if (written)
      stay.push_back(module.states[s]);
    frozen.push_back(nullptr);
    if (written || !read)
      continue;
    const State &state = module.states[s];
    frozen[s] = std::make_shared<const Tensor>(value_of(state, values, file));
    // Carried state may start as infinity, such as the least loss so far.
    if (const int is = checks.nan ? float_class(*frozen[s]) : 0; is > (state.trained ? 0 : 1))
      throw Error(fmt::format("{}: state `{}` holds {}", file, state.path, is == 2 ? "NaN" : "infinity"));
  }
  for (Function &function : module.functions)
    rewrite(function, number, frozen);
  module.states = std::move(stay);
  if (module.states.empty())
    std::erase_if(module.functions, is_init);
  return dropped;
}

} // namespace nnc
