// Calls the parts of the compiler in order. What each part does is its own affair; here is only which comes after which, and
// what the flags change about that.
#include "tools/pipeline.h"

#include "codegen/hash.h"
#include "frontend/frontend.h"
#include "frontend/parser.h"
#include "ir/error.h"
#include "ir/text.h"
#include "passes/form.h"
#include "passes/freeze.h"
#include "passes/guard.h"
#include "passes/plan.h"
#include "passes/split.h"
#include "runtime/file.h"
#include "runtime/tensor_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <thread>

namespace nnc {

namespace {

bool is_module_text(const std::string &file) { return file.ends_with(".nnir"); }

bool is_fused(const Region &region) {
  return std::ranges::any_of(
      region.nodes, [](const Node &node) { return node.op == Op::fused || (node.op == Op::scan && is_fused(*node.body)); });
}

std::string commented(const std::string &text) {
  std::string result;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    result += "#   " + text.substr(begin, end - begin) + "\n";
    begin = end + 1;
  }
  return result;
}

// Leaves `init` and these; everything where one of them does not exist, which is for the caller to find out.
void keep_entries(Module &module, const std::vector<std::string> &keep) {
  if (std::ranges::all_of(keep, [&](const std::string &name) { return module.find(name) != nullptr; }))
    std::erase_if(module.functions, [&](const Function &function) {
      return function.name != "init" && std::ranges::find(keep, function.name) == keep.end();
    });
}

// --entry: an error where one of them does not exist.
void choose_entries(SourceModule &source, const std::vector<std::string> &entries) {
  std::vector<std::string> all;
  for (const Function &function : source.module.functions)
    if (function.name != "init")
      all.push_back(function.name);
  for (const std::string &name : entries)
    if (std::ranges::find(all, name) == all.end())
      throw Error(fmt::format("--entry={}: {} has no entry of this name; there are `{}`", name, source.module.files[0],
                              fmt::join(all, "`, `")));
  keep_entries(source.module, entries);
}

SourceModule read_as_written(const std::string &file, const BuildOptions &options) {
  const std::string text = read_file(file);
  if (is_module_text(file)) {
    if (!options.set.empty())
      throw Error(fmt::format("{}: --set is for consts of a .nn file; here they are numbers already", file));
    return {parse_module(text, file), sha256(text), {}};
  }
  const Source source(file, text);
  Diagnostics diagnostics;
  UsedFiles used{read_file, {}};
  std::optional<Module> module = compile_source(source, SourceOptions{options.set, &used}, diagnostics);
  diagnostics.throw_if_errors();
  if (const std::string warnings = diagnostics.text(); options.warn && !warnings.empty())
    fmt::print(stderr, "{}\n", warnings);
  std::string all = text;
  std::vector<std::string> files;
  for (const Source &other : used.sources) {
    all += sha256(other.text());
    files.push_back(other.name());
  }
  return {std::move(*module), sha256(all), std::move(files)};
}

// The file's bytes become part of the artefact's, and so of what it is made from.
void freeze_state(SourceModule &source, const BuildOptions &options) {
  std::map<std::string, Tensor> values;
  for (NamedTensor &given : read_safetensors(options.freeze).tensors) {
    Tensor tensor;
    tensor.type = {*dtype_from_name(given.tensor.dtype), given.tensor.shape};
    tensor.bytes = std::move(given.tensor.bytes);
    values[given.name] = std::move(tensor);
  }
  const std::vector<std::string> dropped = freeze(source.module, values, options.freeze, options.passes.checks);
  if (options.warn && !dropped.empty())
    fmt::print(stderr, "{}: note: left out, since they change parameters: `{}`\n", source.module.files[0],
               fmt::join(dropped, "`, `"));
  source.hash = sha256(source.hash + sha256(read_file(options.freeze)));
  source.files.push_back(options.freeze);
}

} // namespace

bool is_source_file(const std::string &file) { return file.ends_with(".nn") || is_module_text(file); }

SourceModule read_source(const std::string &file, const BuildOptions &options) {
  SourceModule source = read_as_written(file, options);
  if (options.edit)
    options.edit(source.module);
  for (const std::string &entry : options.split)
    split_entry(source.module, entry);
  if (!options.freeze.empty())
    freeze_state(source, options);
  if (!options.entries.empty())
    choose_entries(source, options.entries);
  return source;
}

std::string read_tree(const std::string &file) {
  if (is_module_text(file))
    throw Error(fmt::format("{}: only a .nn file has a syntax tree", file));
  const Source source(file, read_file(file));
  Diagnostics diagnostics;
  const ast::File tree = parse(source, diagnostics);
  diagnostics.throw_if_errors();
  return ast::ast_text(tree);
}

void run_pipeline(Module &module, PipelineEnd end, const PassOptions &options) {
  PassOptions chosen = options;
  if (chosen.passes.empty() && std::ranges::any_of(module.functions, is_fused)) { // a dump of what comes out of here, or partly
    chosen.passes = {"grad", "expand", "unwindow", "fuse"};
    if (options.checks.any())
      chosen.passes.insert(chosen.passes.end(), {"check", "fuse"});
  }
  if (chosen.passes.empty() && end == PipelineEnd::grad)
    for (std::string_view pass : default_pipeline())
      if (pass != "fuse")
        chosen.passes.emplace_back(pass);
  run_passes(module, chosen);
}

std::string fused_text(const Module &module, const std::vector<std::string> &refusals) {
  std::string text = print(module);
  for (const Function &function : module.functions)
    for (const Node &node : function.nodes)
      if (node.op == Op::fused) {
        const Formed formed = form_body(*node.body);
        std::string names;
        for (const std::string &name : node.names)
          names += (names.empty() ? "%" : ", %") + name;
        text += fmt::format("\n# {}: {}\n{}", function.name, names,
                            commented(formed.kernel ? kernel_text(*formed.kernel) : formed.refusal + "\n"));
      }
  for (const std::string &refusal : refusals)
    text += fmt::format("{}# not merged: {}\n", &refusal == refusals.data() ? "\n" : "", refusal);
  return text;
}

Plan plan_module(const Module &module, const PassOptions &options) {
  Plan plan = make_plan(module, module.files[0]);
  if (options.verify_each)
    if (const std::string wrong = verify_plan(plan); !wrong.empty())
      throw Error(fmt::format("internal error: the plan of {}: {}", module.files[0], wrong));
  return plan;
}

std::vector<Target> code_targets(const BuildOptions &options, const std::string &cpus) {
  std::vector<Target> targets = make_targets(cpus, options.target);
  for (Target &target : targets)
    target.denormals = options.passes.denormals;
  return targets;
}

ArtefactOptions code_options(const SourceModule &source, const BuildOptions &options) {
  ArtefactOptions code;
  code.source_hash = source.hash;
  code.name = options.name;
  code.debug_info = options.debug_info || options.perf;
  code.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  std::vector<std::string> flags;
  for (const auto &[name, value] : options.set)
    flags.push_back(fmt::format("--set {}={}", name, value));
  for (const std::string &entry : options.split)
    flags.push_back("--split " + entry);
  if (!options.freeze.empty())
    flags.push_back("--freeze");
  for (const std::string &entry : options.entries)
    flags.push_back("--entry " + entry);
  if (options.passes.checks.nan)
    flags.push_back("--check=nan");
  if (options.passes.checks.bounds)
    flags.push_back("--check=bounds");
  if (options.passes.denormals == Denormals::keep)
    flags.push_back("--denormals=keep");
  code.flags = fmt::format("{}", fmt::join(flags, " "));
  return code;
}

Build build_model(const std::string &file, const BuildOptions &options, const std::vector<std::string> &keep) {
  const auto start = std::chrono::steady_clock::now();
  SourceModule source = read_source(file, options);
  if (!keep.empty())
    keep_entries(source.module, keep);
  run_pipeline(source.module, PipelineEnd::fused, options.passes);
  Build build;
  build.plan = plan_module(source.module, options.passes);
  if (options.passes.checks.bounds)
    add_guards(build.plan);
  build.artefact = compile_plan(build.plan, code_targets(options, options.cpu), code_options(source, options));
  build.files = std::move(source.files);
  build.milliseconds = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return build;
}

} // namespace nnc
