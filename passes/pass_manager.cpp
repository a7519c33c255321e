// The table of passes, the default pipeline, and running it with the flags of PassOptions.
// A pass sees one function, or the body of a loop as one; dumps, checks and times are of the whole module, so a pass runs on
// every function before the next pass starts. What a pass does and may assume stands at the head of its own file.
#include "passes/passes.h"

#include "ir/error.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "passes/loop.h"
#include "passes/repro.h"
#include "passes/simplify.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <fmt/ranges.h>
#include <fstream>
#include <iostream>

namespace nnc {

namespace {

constexpr Pass passes[] = {
    {"grad", grad, false, "replace every request for derivatives by reverse-mode code"},
    {"simplify", simplify, true, "apply the rules of algebra until none fits, and fold constants"},
    {"fold", fold, true, "compute what depends on constants only"},
    {"expand", expand, false, "write out the ops that no kernel computes: variance"},
    {"unwindow", unwindow, false, "write out the sums of windows that no rule took apart"},
    {"cse", cse, true, "compute equal values once, at the first place"},
    {"muladd", muladd, true, "let a product that only feeds a sum round once with it"},
    {"dce", dce, true, "drop what no result needs"},
    {"hoist", hoist, true, "compute for all steps of a loop at once what no step waits for"},
    {"sink", sink, true, "move views and numbers that a loop reads into its body"},
    {"fuse", fuse, false, "group what runs together into kernels"},
    {"check", check, false, "add what --check asks for: the first NaN or infinity, places beyond an end", true},
};

// Equal values are merged before simplify, so that a rule that asks whether a value has one reader sees the truth, and after it,
// because rules make values equal; a second round then takes what that opened up. What rules left of `unwindow` is written out
// between the rounds, and loops are cut there, when their bodies are simple: what comes out of them is simplified with the rest.
// Products join sums last: no rule has to know muladd. What has lost its readers goes before the groups form.
constexpr std::string_view pipeline[] = {"grad",  "expand",   "cse", "simplify", "cse", "unwindow", "dce",
                                         "hoist", "simplify", "cse", "muladd",   "dce", "sink",     "fuse"};

const Pass &find_pass(std::string_view name) {
  for (const Pass &pass : passes)
    if (pass.name == name)
      return pass;
  std::vector<std::string_view> names;
  for (const Pass &pass : passes)
    names.push_back(pass.name);
  throw Error(fmt::format("there is no pass `{}`; there are {}", name, fmt::join(names, ", ")));
}

void check_names(const PassOptions &options) {
  for (const std::string &name : options.passes)
    find_pass(name);
  if (!options.dump.empty() && options.dump != "changed" && options.dump != "all")
    find_pass(options.dump);
  const std::vector<SimplifyRule> rules = simplify_rules();
  for (const std::string &name : options.disable) {
    if (std::ranges::any_of(rules, [&](const SimplifyRule &rule) { return rule.name == name; }))
      continue;
    if (!find_pass(name).optional)
      throw Error(fmt::format("the pass `{}` cannot be disabled: nothing runs without it", name));
  }
}

class Runner {
public:
  Runner(Module &module, const PassOptions &options)
      : module_(module), options_(options), log_(options.log ? *options.log : std::cerr), context_(module, options),
        repro_(options.repro_dir) {}

  void run(std::span<const Pass> pipeline) {
    if (keeps_text())
      keep_text();
    for (const Pass &pass : pipeline)
      run(pass);
    if (options_.bisect >= 0)
      fmt::print(log_, "bisect: {} changes made{}{}\n", context_.changes(), context_.changes() ? ", the last: " : "",
                 context_.last_change());
  }

private:
  bool keeps_text() const { return options_.verify_each || repro_.on(); }

  void keep_text() {
    text_ = print(module_);
    nodes_ = 0;
    for (const Function &function : module_.functions)
      nodes_ += count_nodes(function);
  }

  static size_t count_nodes(const Region &region) {
    size_t count = region.nodes.size();
    for (const Node &node : region.nodes)
      if (node.op == Op::scan)
        count += count_nodes(*node.body);
    return count;
  }

  // Bodies of loops first, each as a function of its own.
  bool run(const Pass &pass, Function &function) {
    bool changed = false;
    for (Node &node : function.nodes)
      if (node.op == Op::scan && !pass.with_loops)
        if (Function body = body_function(node); run(pass, body)) {
          node.body = function_body(std::move(body));
          changed = true;
        }
    if (!pass.optional || context_.allow(pass.name, function.name))
      changed |= pass.run(function, context_);
    return changed;
  }

  // That of the function, where the message names none.
  std::string with_place(const std::string &message, const Function &function) const {
    const Loc &loc = function.loc;
    return message.find("error: ") != message.npos || loc.line == 0
               ? message
               : fmt::format("{}:{}:{}: error: in `{}`: {}", module_.files[loc.file], loc.line, loc.column, function.name,
                             message);
  }

  void run(const Pass &pass) {
    ++runs_;
    if (pass.optional && context_.disabled(pass.name))
      return;
    repro_.arm(std::string(pass.name), text_);
    const auto start = std::chrono::steady_clock::now();
    bool changed = false;
    const Function *current = nullptr;
    try {
      for (Function &function : module_.functions) {
        current = &function;
        changed |= run(pass, function);
      }
    } catch (const Error &error) { // what the pass, or the builder that it uses, has to say to the user
      throw Error(with_place(error.what(), *current) + repro_.write());
    } catch (const std::exception &error) {
      throw Error(fmt::format("internal error: pass `{}`: {}{}", pass.name, error.what(), repro_.write()));
    }
    const std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - start;
    if (options_.time)
      fmt::print(log_, "{:>8.2f} ms  {}{}\n", elapsed.count(), pass.name, changed ? "" : " (no change)");
    if (keeps_text())
      check(pass, changed);
    if (options_.dump == "all" || options_.dump == pass.name || (options_.dump == "changed" && changed))
      dump(pass);
  }

  // Types and uses, the round trip through text, and whether the pass told the truth about its changes.
  void check(const Pass &pass, bool changed) {
    const std::string text_before = std::move(text_);
    const size_t nodes_before = nodes_;
    keep_text();
    if (!options_.verify_each)
      return;
    std::string wrong = verify(module_);
    if (wrong.empty() && changed != (text_ != text_before || nodes_ != nodes_before))
      wrong = changed ? "says it changed the module and did not" : "changed the module and does not say so";
    if (wrong.empty()) {
      try {
        if (print(parse_module(text_, "round trip")) != text_)
          wrong = "the text of the module does not read back to the same text";
      } catch (const Error &error) {
        wrong = fmt::format("the text of the module does not read back: {}", error.what());
      }
    }
    if (!wrong.empty())
      throw Error(fmt::format("internal error: pass `{}`: {}{}", pass.name, wrong, repro_.write()));
  }

  void dump(const Pass &pass) {
    if (options_.dump_dir.empty()) {
      fmt::print(log_, "# after {}\n{}", pass.name, print(module_));
      return;
    }
    std::error_code error;
    std::filesystem::create_directories(options_.dump_dir, error);
    const std::string path = fmt::format("{}/{:02}-{}.nnir", options_.dump_dir, runs_, pass.name);
    std::ofstream file(path);
    file << print(module_);
    if (!file.flush())
      throw Error(fmt::format("{}: cannot be written", path));
  }

  Module &module_;
  const PassOptions &options_;
  std::ostream &log_;
  PassContext context_;
  Repro repro_;
  std::string text_; // of the module after the last pass, where it is kept
  size_t nodes_ = 0; // and its nodes: two constants written as literals may become one, which the text does not show
  int runs_ = 0;
};

} // namespace

bool PassContext::disabled(std::string_view name) const {
  return std::ranges::find(options_.disable, name) != options_.disable.end();
}

bool PassContext::allow(std::string_view what, std::string_view where) {
  if (exhausted())
    return false;
  ++changes_;
  if (options_.bisect >= 0)
    last_change_ = fmt::format("{} at {}", what, where);
  return true;
}

std::span<const Pass> all_passes() { return passes; }
std::span<const std::string_view> default_pipeline() { return pipeline; }

void run_passes(Module &module, const PassOptions &options) {
  check_names(options);
  std::vector<Pass> chosen;
  if (options.passes.empty())
    for (std::string_view name : pipeline)
      chosen.push_back(find_pass(name));
  else
    for (const std::string &name : options.passes)
      chosen.push_back(find_pass(name));
  if (options.passes.empty() && options.checks.any()) // behind kernels that are formed: those of a build without checks
    for (std::string_view name : {"check", "fuse"})
      chosen.push_back(find_pass(name));
  run_pipeline(module, chosen, options);
}

void run_pipeline(Module &module, std::span<const Pass> pipeline, const PassOptions &options) {
  Runner(module, options).run(pipeline);
}

} // namespace nnc
