// The four engines. Compiled code runs in a runtime Session; the interpreters keep a state block of the same layout and a
// description of the model made here.
#include "tools/engine.h"

#include "codegen/jit.h"
#include "frontend/printable.h"
#include "ir/error.h"
#include "ir/plan_interpreter.h"
#include "tools/description.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <map>

#include <unistd.h>

namespace nnc {

namespace {

class CompiledEngine : public Engine {
public:
  CompiledEngine(Model model, ThreadPool *pool, const std::string &variant) : session_(std::move(model), pool) {
    if (!variant.empty())
      session_.use_variant(variant);
  }

  const Model &model() const override { return session_.model(); }
  std::byte *state() const override { return session_.state(); }
  void call(const nnc_entry_info &entry, std::span<const void *const> inputs, std::span<void *const> outputs) override {
    session_.call(entry, inputs, outputs);
  }
  void touch() override { session_.touch(); }

private:
  Session session_;
};

class Interpreter : public Engine {
public:
  explicit Interpreter(const Plan &plan)
      : description_(plan), model_(description_.info()),
        state_(static_cast<uint64_t>(plan.state_bytes), "the parameters and state of " + plan.model) {}

  const Model &model() const override { return model_; }
  std::byte *state() const override { return state_.data(); }
  void call(const nnc_entry_info &entry, std::span<const void *const> inputs, std::span<void *const> outputs) override {
    const size_t index = &entry - model_.info().entries;
    if (const int failed = run(index, inputs, outputs); failed >= 0)
      throw CallError(NNC_CHECK + failed, fmt::format("{}: {}", entry.name, entry.checks[failed]));
  }

protected:
  // Returns the check that failed, or -1.
  virtual int run(size_t entry, std::span<const void *const> inputs, std::span<void *const> outputs) = 0;

private:
  Description description_;
  Model model_;
  AlignedBlock state_;
};

class PlanEngine : public Interpreter {
public:
  PlanEngine(Plan plan, Denormals denormals) : Interpreter(plan), plan_(std::move(plan)), denormals_(denormals) {}

protected:
  int run(size_t entry, std::span<const void *const> inputs, std::span<void *const> outputs) override {
    std::vector<const std::byte *> in;
    for (const void *input : inputs)
      in.push_back(static_cast<const std::byte *>(input));
    std::vector<std::byte *> out;
    for (void *output : outputs)
      out.push_back(static_cast<std::byte *>(output));
    return run_entry(plan_, plan_.entries[entry], in, out, state(), denormals_);
  }

private:
  Plan plan_;
  Denormals denormals_;
};

// What a plan of the module would say of its entries and state, without kernels and steps.
Plan signature(const Module &module) {
  Plan plan;
  plan.model = module.files[0];
  for (const State &state : module.states) {
    plan.states.push_back({state, plan.state_bytes});
    plan.state_bytes += aligned(state.type.bytes());
  }
  for (const Function &function : module.functions) {
    PlanEntry &entry = plan.entries.emplace_back();
    entry.name = function.name;
    entry.doc = function.doc;
    for (int a = 0; a < function.args; ++a)
      if (function.arg_info[a].state < 0)
        entry.inputs.push_back({function.nodes[a].name(), function.nodes[a].type()});
    for (const Result &result : function.function_results) {
      if (result.kind == Result::Kind::output)
        entry.outputs.push_back({result.name, function.type(result.value)});
      if (result.kind == Result::Kind::check)
        entry.checks.push_back({result.name, result.loc});
      entry.writes_state |= result.kind == Result::Kind::state;
    }
  }
  return plan;
}

class ReferenceEngine : public Interpreter {
public:
  ReferenceEngine(Module module, Plan plan, Denormals denormals)
      : Interpreter(plan), module_(std::move(module)), plan_(std::move(plan)), denormals_(denormals) {}

protected:
  int run(size_t entry, std::span<const void *const> inputs, std::span<void *const> outputs) override {
    const Function &function = module_.functions[entry];
    std::vector<Tensor> in, states;
    for (int a = 0; a < function.args; ++a)
      if (function.arg_info[a].state < 0)
        in.push_back(tensor(function.nodes[a].type(), inputs[in.size()]));
    for (const PlanState &place : plan_.states)
      states.push_back(tensor(place.state.type, state() + place.offset));
    const RunResult result = interpret(function, in, states, denormals_);
    if (!result.failed_check.empty())
      return check_index(plan_.entries[entry], result.failed_check);
    for (size_t i = 0; i < outputs.size(); ++i)
      store(result.outputs[i].second, outputs[i]);
    for (const auto &[index, value] : result.states)
      store(value, state() + plan_.states[index].offset);
    return -1;
  }

private:
  Module module_;
  Plan plan_; // its signature
  Denormals denormals_;

  static Tensor tensor(const Type &type, const void *from) {
    Tensor result(type);
    std::memcpy(result.bytes.data(), from, result.bytes.size());
    return result;
  }
  static void store(const Tensor &value, void *to) {
    const Tensor whole = expanded(value);
    std::memcpy(to, whole.bytes.data(), whole.bytes.size());
  }
  static int check_index(const PlanEntry &entry, const std::string &message) {
    return static_cast<int>(std::ranges::find(entry.checks, message, &PlanCheck::message) - entry.checks.begin());
  }
};

// Linked, written, loaded and unlinked: a loaded library needs its file no more.
Model load_as_library(const Artefact &artefact) {
  std::string path = (std::filesystem::temp_directory_path() / "nnc-XXXXXX.so").string();
  const int file = mkstemps(path.data(), 3);
  if (file < 0)
    throw Error(fmt::format("{}: cannot be made: {}", path, std::strerror(errno)));
  close(file);
  struct Remove {
    const std::string &path;
    ~Remove() { unlink(path.c_str()); }
  } remove{path};
  write_file(path, shared_library(artefact));
  return Model::load(path);
}

std::unique_ptr<Engine> with_files(std::unique_ptr<Engine> engine, std::vector<std::string> files) {
  engine->files = std::move(files);
  return engine;
}

std::unique_ptr<Engine> make_engine(EngineKind kind, const std::string &file, const BuildOptions &options, ThreadPool *pool,
                                    const std::vector<std::string> &keep) {
  if (!is_source_file(file))
    return std::make_unique<CompiledEngine>(Model::load(file), pool, options.variant);
  if (kind == EngineKind::interp) {
    SourceModule source = read_source(file, options);
    PassOptions passes = options.passes;
    if (passes.passes.empty() &&
        passes.checks.any()) { // the program that compiled code runs, so that it goes wrong at the same op
      passes.passes.assign(default_pipeline().begin(), default_pipeline().end());
      passes.passes.emplace_back("check");
    } else if (passes.passes.empty()) {
      passes.passes = {"grad"};
    }
    run_pipeline(source.module, PipelineEnd::grad, passes);
    Plan plan = signature(source.module);
    return with_files(std::make_unique<ReferenceEngine>(std::move(source.module), std::move(plan), passes.denormals),
                      std::move(source.files));
  }
  if (kind == EngineKind::plan) {
    SourceModule source = read_source(file, options);
    run_pipeline(source.module, PipelineEnd::fused, options.passes);
    return with_files(std::make_unique<PlanEngine>(plan_module(source.module, options.passes), options.passes.denormals),
                      std::move(source.files));
  }
  Build build = build_model(file, options, keep);
  const auto model = [&] {
    if (kind == EngineKind::so)
      return load_as_library(build.artefact);
    LoadedCode loaded = load_jit(build.artefact, options.perf);
    return Model(loaded.info, std::move(loaded.code));
  };
  return with_files(std::make_unique<CompiledEngine>(model(), pool, options.variant), std::move(build.files));
}

} // namespace

EngineKind engine_kind(const std::string &name, const std::string &file) {
  const bool source = is_source_file(file);
  const std::map<std::string, EngineKind> kinds = {{"", source ? EngineKind::jit : EngineKind::so},
                                                   {"jit", EngineKind::jit},
                                                   {"so", EngineKind::so},
                                                   {"plan", EngineKind::plan},
                                                   {"interp", EngineKind::interp}};
  const auto kind = kinds.find(name);
  if (kind == kinds.end())
    throw Error(fmt::format("--engine={}: there are jit, interp, plan, so", name));
  if (!source && kind->second != EngineKind::so)
    throw Error(fmt::format("{}: a compiled model cannot run with --engine={}; that needs the .nn", file, name));
  return kind->second;
}

std::unique_ptr<Engine> open_engine(EngineKind kind, const std::string &file, const BuildOptions &options, ThreadPool *pool,
                                    const std::vector<std::string> &keep) {
  if (options.perf && kind != EngineKind::jit)
    throw Error(
        fmt::format("{}: --perf is for code that lies in no file (--engine=jit); in a library made with -g perf finds lines by "
                    "itself",
                    file));
  if (!options.variant.empty() && (kind == EngineKind::interp || kind == EngineKind::plan))
    throw Error(fmt::format("--variant={}: an interpreter has no variants; a .so has, and --engine=jit", options.variant));
  const auto start = std::chrono::steady_clock::now();
  std::unique_ptr<Engine> engine = make_engine(kind, file, options, pool, keep);
  if (is_source_file(file))
    engine->compile_milliseconds = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return engine;
}

std::unique_ptr<ThreadPool> make_pool(unsigned threads) {
  return threads > 1 ? std::make_unique<ThreadPool>(static_cast<int>(threads)) : nullptr;
}

const nnc_entry_info &entry_of(const Engine &engine, std::string_view name) {
  if (const nnc_entry_info *entry = engine.model().find_entry(name))
    return *entry;
  std::string names;
  for (const nnc_entry_info &entry : engine.model().entries())
    names += fmt::format("{}`{}`", names.empty() ? "" : ", ", entry.name);
  throw Error(fmt::format("{}: there is no entry `{}`; there are {}", engine.model().info().model, name, names));
}

void check_input_names(const Assignments &given, const std::string &flag, std::initializer_list<const nnc_entry_info *> entries) {
  for (const auto &[name, value] : given) {
    bool known = false;
    std::string list;
    for (const nnc_entry_info *entry : entries)
      for (const nnc_tensor_info &input : inputs(*entry)) {
        known = known || name == input.name;
        list += fmt::format("{}`{}`", list.empty() ? "" : ", ", input.name);
      }
    if (!known)
      throw Error(fmt::format("--{} {}={}: there is no input `{}`; there are {}", flag, name, value, name, list));
  }
}

Metadata start_state(Engine &engine, int64_t seed, const std::string &weights, bool skip_mismatch) {
  if (const nnc_entry_info *init = engine.model().find_entry("init")) {
    const void *input = &seed;
    engine.call(*init, {&input, init->input_count}, {});
  }
  if (weights.empty())
    return {};
  const LoadedWeights loaded = load_weights(engine, weights, skip_mismatch);
  if (!skip_mismatch) {
    std::vector<std::string> unknown;
    for (const LoadedWeights::Left &left : loaded.left)
      unknown.push_back(left.name);
    if (!unknown.empty())
      fmt::print(stderr, "{}\n",
                 printable(fmt::format("{}: note: not in the model, so not loaded: `{}`", weights, fmt::join(unknown, "`, `"))));
    return loaded.metadata;
  }
  fmt::print(stderr, "{}: {} tensor{} loaded{}\n", weights, loaded.tensors, loaded.tensors == 1 ? "" : "s",
             loaded.left.empty() ? "" : ", and not:");
  size_t name_width = 0, type_width = 0;
  for (const LoadedWeights::Left &left : loaded.left) {
    name_width = std::max(name_width, left.name.size());
    type_width = std::max(type_width, left.file.size());
  }
  for (const LoadedWeights::Left &left : loaded.left)
    fmt::print(stderr, "  {:<{}}  {:<{}}  {}\n", printable(left.name), name_width, left.file, type_width,
               left.model.empty()  ? "not in the model"
               : left.file.empty() ? "not in the file: " + left.model + " as init made it"
                                   : "in the model " + left.model);
  return loaded.left.empty() ? loaded.metadata : Metadata{};
}

void save_weights(const Engine &engine, const std::string &file, Metadata metadata) {
  save_weights(engine.model(), engine.state(), file, std::move(metadata));
}

LoadedWeights load_weights(Engine &engine, const std::string &file, bool skip_mismatch) {
  LoadedWeights loaded = load_weights(engine.model(), engine.state(), file, skip_mismatch);
  engine.touch();
  return loaded;
}

} // namespace nnc
