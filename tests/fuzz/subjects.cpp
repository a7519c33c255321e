// Refused is what ends in an Error that has a place in the text, and in a FileError that has the file's name; everything else
// that is thrown is a mistake of the compiler.
#include "tests/fuzz/subjects.h"

#include "codegen/compile.h"
#include "frontend/format.h"
#include "frontend/frontend.h"
#include "frontend/parser.h"
#include "ir/error.h"
#include "ir/plan_interpreter.h"
#include "ir/text.h"
#include "passes/plan.h"
#include "runtime/dataset.h"
#include "runtime/weights.h"
#include "tests/ops/ways.h"
#include "tools/description.h"
#include "tools/gradcheck.h"
#include "tools/host_tensor.h"
#include "tools/pipeline.h"

#include <algorithm>
#include <cctype>
#include <fmt/format.h>
#include <optional>

#include <sys/mman.h>
#include <unistd.h>

namespace nnc {

namespace {

constexpr double most_flop = 1e6;       // of an entry that is run
constexpr int64_t most_bytes = 1 << 20; // of what it is run on
constexpr double most_trips = 1000;     // of loops that are verified and run

std::string first_lines(const std::string &text) { return text.substr(0, 1500); }

// "m.nn:3:4: …"
bool has_place(std::string_view text) {
  const size_t colon = text.find(':');
  return colon != text.npos && colon + 1 < text.size() && std::isdigit(static_cast<unsigned char>(text[colon + 1]));
}

// The tree without places, and without blanks behind comments, which have no meaning.
std::string tree(const ast::File &file) {
  std::string result;
  const std::string whole = ast::ast_text(file);
  for (std::string_view text = whole; !text.empty();) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    line = line.substr(0, std::min(line.rfind(" @"), line.size()));
    if (line.ends_with('"')) {
      line.remove_suffix(1);
      line = line.substr(0, line.find_last_not_of(" \t") + 1);
    }
    result.append(line) += '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

struct Parsed {
  Source source;
  Diagnostics diagnostics = {};
  ast::File file;
  explicit Parsed(const std::string &text) : source("m.nn", text), file(parse(source, diagnostics)) {}
};

std::string problem_in_format(const std::string &text) {
  const Parsed given(text);
  if (given.diagnostics.has_errors())
    return "";
  Diagnostics none;
  const std::string once = formatted(given.source, none);
  const Parsed laid_out(once);
  if (laid_out.diagnostics.has_errors())
    return "laid out, it does not parse:\n" + first_lines(laid_out.diagnostics.text());
  if (tree(laid_out.file) != tree(given.file))
    return "laid out, it is another program:\n" + first_lines(once);
  if (formatted(laid_out.source, none) != once)
    return "laid out twice, it changes again:\n" + first_lines(once);
  return "";
}

double trips(const PlanEntry &entry) {
  double product = 1;
  for (const Step &step : entry.steps)
    product *= step.trips ? static_cast<double>(step.trips) : 1;
  return product;
}

void run(const Plan &plan, const PlanEntry &entry, Numbers &random) {
  int64_t bytes = plan.state_bytes + entry.workspace_bytes;
  for (const std::vector<PlanValue> *values : {&entry.inputs, &entry.outputs})
    for (const PlanValue &value : *values)
      bytes += value.type.bytes();
  if (entry.flop > most_flop || bytes > most_bytes)
    return;
  const auto tensor = [&](const Type &type) {
    Tensor result(type);
    for (int64_t i = 0; i < type.elements(); ++i)
      if (is_float(type.dtype))
        result.set(i, static_cast<double>(random.below(4001)) / 1000 - 2);
      else
        result.set_int(i, static_cast<int64_t>(random.below(2)));
    return result;
  };
  std::vector<Tensor> inputs, states;
  for (const PlanValue &input : entry.inputs)
    inputs.push_back(tensor(input.type));
  for (const PlanState &state : plan.states)
    states.push_back(tensor(state.state.type));
  interpret(plan, entry, inputs, states);
}

std::string problem_in(Module module, Numbers &random) {
  PassOptions options;
  options.verify_each = random.chance(25);
  options.checks = {.nan = random.chance(5), .bounds = random.chance(5)};
  run_pipeline(module, PipelineEnd::fused, options);
  const Plan plan = make_plan(module, "m.nn");
  bool short_loops = true;
  for (const PlanEntry &entry : plan.entries)
    short_loops = short_loops && trips(entry) <= most_trips;
  if (short_loops) {
    if (const std::string wrong = verify_plan(plan); !wrong.empty())
      return "the plan: " + wrong;
    if (random.chance(10))
      for (const PlanEntry &entry : plan.entries)
        run(plan, entry, random);
  }
  if (random.chance(1) && random.chance(50)) {
    static const Target target = make_target("generic");
    compile_plan(plan, target);
  }
  return "";
}

// What an Error says is the user's mistake?
std::string problem_in_message(const std::string &text) {
  if (text.find("internal error") != text.npos)
    return first_lines(text);
  return has_place(text) ? "" : "an error without a place: " + first_lines(text);
}

// A file that is only here.
class MemoryFile {
public:
  explicit MemoryFile(const std::string &bytes) : descriptor_(memfd_create("nnc-fuzz", 0)) {
    for (size_t done = 0; done < bytes.size();) {
      const ssize_t count = write(descriptor_, bytes.data() + done, bytes.size() - done);
      if (count <= 0)
        break;
      done += static_cast<size_t>(count);
    }
  }
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile &) = delete;
  MemoryFile &operator=(const MemoryFile &) = delete;
  std::string name() const { return fmt::format("/proc/self/fd/{}", descriptor_); }

private:
  int descriptor_;
};

// A model that takes f32[2,3] and has the parameters of the corpus.
const Plan &small_model() {
  static const Plan plan = [] {
    const Source source("m.nn", "state net__f32: f32[2, 3] = zeros()\nparam w0: f32 = 0\nparam w1: f32[2] = zeros()\n"
                                "entry f(x: f32[2, 3]) { return y = x * w0 + sum(w1) + net__f32 }\n");
    Diagnostics diagnostics;
    Module module = compile_source(source, {}, diagnostics).value();
    run_pipeline(module, PipelineEnd::fused, {});
    return make_plan(module, "m.nn");
  }();
  return plan;
}

} // namespace

std::string problem_in_program(const std::string &text, Numbers &random) {
  try {
    if (random.chance(25))
      if (std::string problem = problem_in_format(text); !problem.empty())
        return problem;
    const Source source("m.nn", text);
    UsedFiles used{[](const std::string &name) -> std::string { throw Error(name + ": cannot open"); }, {}};
    Diagnostics diagnostics;
    std::optional<Module> module = compile_source(source, {{}, &used}, diagnostics);
    if (module.has_value() == diagnostics.has_errors())
      return "a module and errors, or neither";
    if (!module)
      return problem_in_message(diagnostics.text());
    return problem_in(std::move(*module), random);
  } catch (const Error &error) {
    return problem_in_message(error.what());
  }
}

std::string problem_in_module(const std::string &text, Numbers &random) {
  std::optional<Module> module;
  try {
    module = parse_module(text, "m.nnir");
  } catch (const Error &error) {
    return problem_in_message(error.what());
  }
  try {
    const std::string printed = print(*module);
    if (print(parse_module(printed, "m.nnir")) != printed)
      return "its text does not read back to the same";
  } catch (const Error &error) {
    return std::string("its text does not read back: ") + error.what();
  }
  try {
    return problem_in(std::move(*module), random);
  } catch (const Error &error) { // what planning refuses has no place
    const std::string what = error.what();
    return what.find("internal error") != what.npos ? first_lines(what) : "";
  }
}

std::string problem_in_right_program(const std::string &text, Numbers &random) {
  Sample sample;
  try {
    const Source source("m.nn", text);
    Diagnostics diagnostics;
    std::optional<Module> module = compile_source(source, {}, diagnostics);
    if (!module)
      return "refused: " + first_lines(diagnostics.text());
    sample.module = std::move(*module);
  } catch (const Error &error) {
    return first_lines(error.what());
  }
  const Function &function = sample.module.functions[0];
  for (int a = 0; a < function.args; ++a)
    if (function.arg_info[a].state < 0)
      sample.inputs.push_back(random_tensor(function.nodes[a].type(), random.below(1000)));
  for (const State &state : sample.module.states)
    sample.states.push_back(random_tensor(state.type, random.below(1000)));
  Way way = random.chance(70) ? whole_pipeline("") : random.chance(50) ? fusion_alone("") : without_merges("");
  way.passes.verify_each = true;
  if (random.chance(10))
    way.cpu = "generic";
  std::string problem = problem_in(sample, way);
  // Differences do not know what is held constant or jumps, and prove nothing where all are 0.
  if (problem.empty() && random.chance(25) && text.find("stop_gradient") == text.npos && text.find("floor") == text.npos)
    for (const GradientCheck &check : check_gradients(sample.module, "f", sample.inputs, sample.states))
      if (check.differs && check.kinks == 0 && !check.on_branch)
        problem = fmt::format("the derivative by {}: {}", check.x, check.failure);
  return problem;
}

std::string problem_in_file(DataFile::Kind kind, const std::string &bytes) {
  const MemoryFile file(bytes);
  const std::string name = file.name();
  static const Description description(small_model());
  const Model model(description.info());
  const nnc_tensor_info &x = model.entries()[0].inputs[0];
  std::string problem;
  const auto refusable = [&](const auto &read) {
    try {
      read();
    } catch (const FileError &error) {
      if (!std::string_view(error.what()).starts_with(name + ": "))
        problem = std::string("an error without the file's name: ") + error.what();
    }
  };
  if (kind == DataFile::Kind::safetensors) {
    refusable([&] { read_safetensors(name); });
    refusable([&] {
      std::vector<std::byte> state(model.info().state_bytes);
      load_weights(model, state.data(), name);
    });
    return problem;
  }
  refusable([&] { kind == DataFile::Kind::npy ? read_npy(name) : read_idx(name); });
  refusable([&] { read_fitted(name, x); });
  refusable([&] {
    const Dataset data({{"x", name, read_fitted(name, x, true)}});
    Batches batches(data, shuffled_order(data.examples(), 1, 1), 2);
    batches.next();
  });
  return problem;
}

} // namespace nnc
