// `nnc gradcheck MODEL [ENTRY]`: every gradient of an entry against differences, in double, by compiled code.
#include "ir/error.h"
#include "runtime/abi.h"
#include "tools/command_line.h"
#include "tools/compiled.h"
#include "tools/engine.h"
#include "tools/gradcheck.h"
#include "tools/host_tensor.h"
#include "tools/widen.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>

namespace nnc {

namespace {

const HelpPage page = {
    "  nnc gradcheck MODEL [ENTRY] [--in NAME=FILE …] [options]\n",
    "Checks every gradient that an entry asks for (without ENTRY: that any entry asks for) against "
    "differences of the value that\n"
    "is derived, in double, at the parameters that `init` or a file gives and at random inputs: floats in -1..1, "
    "small whole\n"
    "numbers. Exit code 1 where one is wrong, or where all are 0, which proves little.",
    R"(  nnc gradcheck examples/mnist.nn --set batch=8
  nnc gradcheck examples/xor.nn train_step --in lr=0.1 --seed 7
)"};

nnc_tensor_info described(const std::string &name, const Type &type) {
  nnc_tensor_info info{};
  info.dtype = static_cast<uint32_t>(type.dtype); // numbered alike: description.cpp asserts it
  info.name = name.c_str();
  info.rank = type.shape.size();
  info.shape = type.shape.data();
  info.bytes = static_cast<uint64_t>(type.bytes());
  return info;
}

Tensor given(const std::string &text, const std::string &name, const Type &type) {
  HostTensor host = input_value(text, described(name, type));
  Tensor tensor(type);
  tensor.bytes = std::move(host.bytes);
  return widened(tensor);
}

Tensor drawn(const Type &type, int64_t bound, std::mt19937_64 &random) {
  Tensor tensor = widened(Tensor(type));
  for (int64_t i = 0; i < type.elements(); ++i)
    if (is_float(type.dtype))
      tensor.set(i, std::uniform_real_distribution<>(-1, 1)(random));
    else
      tensor.set_int(i, static_cast<int64_t>(random() % static_cast<uint64_t>(is_bool(type.dtype) ? 2 : bound)));
  return tensor;
}

std::vector<Tensor> inputs_of(const Function &entry, const std::map<std::string, std::string> &texts, int64_t seed,
                              int64_t bound) {
  std::mt19937_64 random(static_cast<uint64_t>(seed));
  std::vector<Tensor> inputs;
  for (int a = 0; a < entry.args; ++a) {
    const Node &node = entry.nodes[a];
    if (entry.arg_info[a].state >= 0)
      continue;
    const auto text = texts.find(node.name());
    inputs.push_back(text == texts.end() ? drawn(node.type(), bound, random) : given(text->second, node.name(), node.type()));
  }
  return inputs;
}

// Labels and indices have an upper end that only the entry's checks know, so they are drawn lower until those hold.
std::vector<GradientCheck> check_entry(const Module &written, const Module &module, const std::string &name,
                                       const std::map<std::string, std::string> &texts, std::span<const Tensor> states,
                                       const GradcheckOptions &options) {
  for (const int64_t bound : {10, 2, 1}) {
    try {
      return check_gradients(module, name, inputs_of(*written.find(name), texts, options.seed, bound), states, options);
    } catch (const CheckFailed &failed) {
      if (bound == 1)
        throw Error(fmt::format("`{}` with random inputs: {}: give those it takes with --in", name, failed.what()));
    }
  }
  return {};
}

// As `init` and the weights of a file make them, in the dtypes of the program.
std::vector<Tensor> states_of(const std::string &file, const BuildOptions &build, int64_t seed, const std::string &weights) {
  const std::unique_ptr<Engine> engine = open_engine(EngineKind::interp, file, build, nullptr);
  start_state(*engine, seed, weights);
  std::vector<Tensor> states;
  for (const nnc_tensor_info &info : engine->model().states()) {
    Tensor tensor(Type{static_cast<DType>(info.dtype), Shape(info.shape, info.shape + info.rank)});
    std::copy_n(engine->state() + info.offset, info.bytes, tensor.bytes.data());
    states.push_back(widened(tensor));
  }
  return states;
}

std::string counted(int64_t count, std::string_view what) { return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s"); }

std::string tests_text(const GradientCheck &check) {
  return counted(check.directions, "direction") + (check.elements ? ", " + counted(check.elements, "element") : "") +
         (check.kinks ? ", " + counted(check.kinks, "kink") : "") + (check.on_branch ? ", on one branch" : "") +
         (check.all_zero ? ", all 0 here" : "");
}

void print_entry(const std::string &name, const std::vector<GradientCheck> &checks) {
  fmt::print("{}\n", name);
  size_t widths[3] = {};
  for (const GradientCheck &check : checks) {
    widths[0] = std::max(widths[0], fmt::format("d {} / d {}", check.y, check.x).size());
    widths[1] = std::max(widths[1], shape_text(check.type.shape).size());
    widths[2] = std::max(widths[2], tests_text(check).size());
  }
  for (const GradientCheck &check : checks) {
    fmt::print("  {:<{}}  {:<{}}  {:<{}}  {:7.1e}  {}\n", fmt::format("d {} / d {}", check.y, check.x), widths[0],
               shape_text(check.type.shape), widths[1], tests_text(check), widths[2], check.worst, check.place);
    if (!check.failure.empty())
      fmt::print("    wrong: {}\n", check.failure);
  }
}

} // namespace

int gradcheck_command(int argc, const char *const *argv) {
  Words words({"MODEL", "[ENTRY]"});
  cl::list<std::string> in("in", cl::desc("value of an input: a file, or a number"), cl::value_desc("NAME=FILE"),
                           cl::cat(general_options()));
  cl::opt<std::string> seed_text("seed", cl::desc("seed of `init`, of the inputs and of the directions (0)"), cl::value_desc("N"),
                                 cl::init("0"), cl::cat(general_options()));
  cl::opt<std::string> elements_text("elements", cl::desc("tensors up to this size are also checked element by element (64)"),
                                     cl::value_desc("N"), cl::init("64"), cl::cat(general_options()));
  cl::opt<std::string> weights("weights", cl::desc("the parameters of this .safetensors file instead of those of `init`"),
                               cl::value_desc("FILE"), cl::cat(general_options()));
  SetFlags flags;
  if (!parse_command_line(argc, argv, page))
    return 0;
  const std::vector<std::string> names = words.get();
  GradcheckOptions options;
  options.seed = whole_number(seed_text, "seed", INT64_MIN, INT64_MAX);
  options.elements = whole_number(elements_text, "elements", 0, INT64_MAX);
  std::map<std::string, std::string> texts;
  for (const std::string &text : in)
    if (!texts.insert(assignment(text, "in")).second)
      throw Error(fmt::format("--in {}: `{}` is given twice", text, assignment(text, "in").first));
  if (!is_source_file(names[0]))
    throw Error(fmt::format("{}: gradients are checked on the program: the name of a model ends in .nn or .nnir", names[0]));

  BuildOptions build;
  build.set = flags.values();
  const Module written = read_source(names[0], build).module;
  std::vector<std::string> entries, all;
  for (const Function &function : written.functions) {
    if (function.name == "init")
      continue;
    all.push_back(function.name);
    if (names.size() > 1 ? function.name == names[1] : has_gradients(function))
      entries.push_back(function.name);
  }
  if (names.size() > 1 && entries.empty())
    throw Error(fmt::format("{}: there is no entry `{}`; there are `{}`", names[0], names[1], fmt::join(all, "`, `")));
  if (entries.empty() || !has_gradients(*written.find(entries[0])))
    throw Error(names.size() > 1 ? fmt::format("{}: `{}` asks for no gradient", names[0], names[1])
                                 : fmt::format("{}: no entry asks for a gradient", names[0]));
  for (const auto &[name, value] : texts) {
    const bool known = std::ranges::any_of(entries, [&](const std::string &entry) {
      const Function &function = *written.find(entry);
      for (int a = 0; a < function.args; ++a)
        if (function.arg_info[a].state < 0 && function.nodes[a].name() == name)
          return true;
      return false;
    });
    if (!known)
      throw Error(fmt::format("--in {}={}: `{}` has no input `{}`", name, value, fmt::join(entries, "`, `"), name));
  }

  Module module = written;
  widen(module);
  std::vector<Tensor> states;
  for (const State &state : module.states)
    states.emplace_back(state.type);
  if (!weights.empty()) {
    states = states_of(names[0], build, options.seed, weights);
  } else if (const Function *init = module.find("init")) {
    Module only = module;
    only.functions = {*init};
    for (auto &[index, value] :
         Compiled(std::move(only)).run(0, std::vector{Tensor::filled_int({DType::i64, {}}, options.seed)}, states).states)
      states[index] = std::move(value);
  }

  int gradients = 0, wrong = 0, zeros = 0, kinks = 0, tests = 0;
  double worst = 0;
  for (const std::string &name : entries) {
    const std::vector<GradientCheck> checks = check_entry(written, module, name, texts, states, options);
    print_entry(name, checks);
    for (const GradientCheck &check : checks) {
      ++gradients;
      wrong += !check.failure.empty();
      zeros += check.all_zero;
      kinks += check.kinks;
      tests += check.tests();
      worst = std::max(worst, check.worst);
    }
  }
  fmt::print("{} checked, worst relative error {:.1e}{}\n", counted(gradients, "gradient"), worst,
             kinks ? fmt::format(", {} of {} tests at a kink", kinks, tests) : "");
  if (wrong)
    throw Error(fmt::format("{}: {} of {} wrong or not proved", names[0], wrong, counted(gradients, "gradient")));
  if (zeros == gradients)
    throw Error(fmt::format("{}: every gradient is 0 here, which proves little: give other parameters with --weights", names[0]));
  if (kinks > largest_kink_share * tests)
    throw Error(
        fmt::format("{}: {} of {} tests met a kink, where there is no derivative: try another --seed", names[0], kinks, tests));
  return 0;
}

} // namespace nnc
