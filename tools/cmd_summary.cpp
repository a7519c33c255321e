// `nnc summary MODEL [ENTRY]`: the layers of a model as a table: what each gives, its parameters and its work; and what each
// entry needs.
//
// A row is a call: of a function in a net, or in the entry where no net is around it. The IR keeps for every node the chain of
// calls it came from, so the table is read off the program as written, before any pass. FLOPs count 2 for every product that a
// sum takes up and 1 for each element of other arithmetic; casts, views and gathers count nothing.
#include "ir/error.h"
#include "ir/plan.h"
#include "tools/command_line.h"
#include "tools/engine.h"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <set>

namespace nnc {

namespace {

using Json = nlohmann::ordered_json;

const HelpPage page = {
    "  nnc summary MODEL [ENTRY] [--set NAME=VALUE] [--json]\n",
    "Prints the layers of a model (.nn or .nnir) with what they give, their parameters and their work, and the memory of each\n"
    "entry. The layers are those of ENTRY; without it, of the first that changes no state. Of a compiled .so: parameters and "
    "memory.",
    "  nnc summary examples/mnist.nn\n  nnc summary examples/mnist.nn train_step --set batch=32\n  nnc summary mnist.so "
    "--json\n"};

// "407,050"
std::string counted(double number) {
  std::string digits = fmt::format("{:.0f}", number);
  for (ptrdiff_t at = std::ssize(digits) - 3; at > 0; at -= 3)
    digits.insert(static_cast<size_t>(at), ",");
  return digits;
}

double flops_of(const Region &region);

double flops_of(const Node &node, const Region &in) {
  switch (family(node.op)) {
  case Family::structure:
    return node.op == Op::scan    ? static_cast<double>(node.scan.steps) * flops_of(*node.body)
           : node.op == Op::fused ? flops_of(*node.body)
                                  : 0;
  case Family::elementwise:
    return node.op == Op::cast || op_info(node.op).weight == 0 ? 0 : static_cast<double>(node.type().elements());
  case Family::reduce:
    return static_cast<double>(in.type(node.operands[0]).elements());
  case Family::indexed:
    return node.op == Op::unwindow || node.op == Op::scatter_add ? static_cast<double>(in.type(node.operands[0]).elements()) : 0;
  case Family::contract: {
    const DotLabels labels = parse_dot_labels(node.attrs.labels);
    double products = static_cast<double>(node.type().elements());
    for (const char label : labels.summed)
      products *= static_cast<double>(in.type(node.operands[0]).shape[labels.lhs.find(label)]);
    return 2 * products;
  }
  case Family::view:
    return 0;
  }
  return 0;
}

double flops_of(const Region &region) {
  double sum = 0;
  for (const Node &node : region.nodes)
    sum += flops_of(node, region);
  return sum;
}

struct Row {
  std::string layer, function; // "mlp/dense_0", "dense"
  Type output;
  int64_t parameters = 0;
  double flops = 0;
};

class Layers {
public:
  Layers(const Module &module, const Function &entry) : module_(module), entry_(entry) {
    for (const State &state : module.states)
      if (const size_t slash = state.path.find('/'); slash != std::string::npos)
        nets_.insert(state.path.substr(0, slash));
    for (const Node &node : entry.nodes) {
      if (node.op == Op::grad) // what follows is the training
        break;
      add(node);
    }
    std::erase_if(rows_, [](const Row &row) { return row.parameters == 0 && row.flops == 0; });
  }
  const std::vector<Row> &rows() const { return rows_; }

private:
  const Module &module_;
  const Function &entry_;
  std::set<std::string> nets_;
  std::set<int> counted_; // states, each in the first row that reads it
  std::vector<Row> rows_;
  std::vector<Call> calls_; // of the last row
  std::string owner_;       // the part of a path that names its instance

  // "mlp/dense_0" of "mlp/dense_0/w"; "w" of the file's own.
  static std::string owner_of(const std::string &path) {
    const size_t first = path.find('/'), second = first == path.npos ? first : path.find('/', first + 1);
    return path.substr(0, second == path.npos ? first : second);
  }

  void add(const Node &node) {
    if (node.op == Op::arg || node.op == Op::constant)
      return;
    const std::vector<Call> &chain = module_.paths[node.loc.path];
    const bool in_net = !chain.empty() && nets_.contains(chain[0].function);
    std::vector<Call> calls(chain.begin(), chain.begin() + std::min<ptrdiff_t>(std::ssize(chain), in_net ? 2 : 1));
    const bool own = calls.size() < (in_net ? 2u : 1u); // the net's, or the entry's, own arithmetic
    std::vector<int> read;
    std::string owner;
    for (const Value operand : node.operands)
      if (operand.node < entry_.args && entry_.arg_info[operand.node].state >= 0)
        if (const int state = entry_.arg_info[operand.node].state; module_.states[state].trained) {
          read.push_back(state);
          owner = owner_of(module_.states[state].path);
        }
    const bool other_instance = !owner.empty() && !owner_.empty() && owner != owner_;
    if (rows_.empty() || calls != calls_ || other_instance || own) {
      const std::string_view op = node.op == Op::scan ? "scan" : op_info(node.op).name;
      rows_.push_back({in_net ? calls[0].function : "", own ? std::string(op) : calls.back().function, {}, 0, 0});
      calls_ = calls;
      owner_ = "";
    }
    Row &row = rows_.back();
    if (!owner.empty()) {
      owner_ = owner;
      row.layer = owner;
    }
    for (const int state : read)
      if (counted_.insert(state).second)
        row.parameters += module_.states[state].type.elements();
    row.output = node.types.back(); // of a scan: what it stacked
    row.flops += flops_of(node, entry_);
  }
};

struct EntryNeeds {
  std::string name;
  std::optional<double> flops;
  uint64_t inputs = 0, outputs = 0, workspace = 0, slot = 0;
  bool writes_state = false;
};

struct Summary {
  std::string entry; // of which the rows are
  std::vector<Row> rows;
  int64_t parameters = 0, parameter_bytes = 0, state_bytes = 0; // all that are trained; all that is kept
  std::vector<std::pair<std::string, Type>> trained;
  std::vector<EntryNeeds> entries;
};

void add_state(Summary &summary, const std::string &path, const Type &type, bool trained) {
  if (!trained)
    return;
  summary.trained.emplace_back(path, type);
  summary.parameters += type.elements();
  summary.parameter_bytes += type.bytes();
}

Summary of_source(const std::string &file, const std::string &entry, const BuildOptions &options) {
  Summary summary;
  Module module = read_source(file, options).module;
  const Function *shown = module.find(entry);
  if (!entry.empty() && !shown)
    throw Error(fmt::format("{}: there is no entry `{}`", file, entry));
  const auto changes_state = [](const Function &function) {
    return std::ranges::any_of(function.function_results, [](const Result &r) { return r.kind == Result::Kind::state; });
  };
  for (const Function &function : module.functions)
    if (!shown && function.name != "init" && !changes_state(function))
      shown = &function;
  if (!shown && !module.functions.empty())
    shown = &module.functions[0];
  if (shown) {
    summary.entry = shown->name;
    summary.rows = Layers(module, *shown).rows();
  }
  for (const State &state : module.states)
    add_state(summary, state.path, state.type, state.trained);

  run_pipeline(module, PipelineEnd::grad, options.passes);
  std::map<std::string, double> flops;
  for (const Function &function : module.functions)
    flops[function.name] = flops_of(function);
  run_pipeline(module, PipelineEnd::fused, options.passes);
  const Plan plan = plan_module(module, options.passes);
  summary.state_bytes = plan.state_bytes;
  const auto bytes = [](const std::vector<PlanValue> &values) {
    uint64_t sum = 0;
    for (const PlanValue &value : values)
      sum += static_cast<uint64_t>(value.type.bytes());
    return sum;
  };
  for (const PlanEntry &e : plan.entries)
    if (e.name != "init")
      summary.entries.push_back({e.name, flops[e.name], bytes(e.inputs), bytes(e.outputs),
                                 static_cast<uint64_t>(e.workspace_bytes), static_cast<uint64_t>(e.slot_bytes), e.writes_state});
  return summary;
}

Summary of_library(const std::string &file, const std::string &entry) {
  if (!entry.empty())
    throw Error(fmt::format("{}: a compiled model does not keep its layers: leave out `{}`, or name the .nn file", file, entry));
  Summary summary;
  const Model model = Model::load(file);
  for (const nnc_tensor_info &state : model.states())
    add_state(summary, state.name, {static_cast<DType>(state.dtype), {state.shape, state.shape + state.rank}}, state.trained);
  summary.state_bytes = static_cast<int64_t>(model.info().state_bytes);
  for (const nnc_entry_info &e : model.entries()) {
    EntryNeeds needs{e.name, std::nullopt, 0, 0, e.workspace_bytes, e.slot_bytes, e.writes_state != 0};
    for (const nnc_tensor_info &input : inputs(e))
      needs.inputs += input.bytes;
    for (const nnc_tensor_info &output : outputs(e))
      needs.outputs += output.bytes;
    if (needs.name != "init")
      summary.entries.push_back(std::move(needs));
  }
  return summary;
}

// Columns as wide as what stands in them: the first `left` to the left, the others to the right.
void print_table(const std::vector<std::vector<std::string>> &rows, size_t left) {
  std::vector<size_t> widths(rows[0].size());
  for (const auto &row : rows)
    for (size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], row[i].size());
  for (const auto &row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i)
      line += i < left ? fmt::format("  {:<{}}", row[i], widths[i]) : fmt::format("  {:>{}}", row[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
  }
}

void print_summary(const std::string &file, const Summary &summary) {
  double flops = 0;
  int64_t parameters = 0;
  std::vector<std::vector<std::string>> table;
  if (!summary.rows.empty()) {
    fmt::print("{}, layers of `{}`\n\n", file, summary.entry);
    table = {{"layer", "function", "output", "parameters", "FLOPs"}};
    for (const Row &row : summary.rows) {
      table.push_back(
          {row.layer, row.function, type_text(row.output), counted(static_cast<double>(row.parameters)), counted(row.flops)});
      flops += row.flops;
      parameters += row.parameters;
    }
    table.push_back({"total", "", "", counted(static_cast<double>(parameters)), counted(flops)});
    print_table(table, 3);
  } else {
    fmt::print("{}\n\n", file);
    table = {{"parameter", "type", "elements"}};
    for (const auto &[path, type] : summary.trained)
      table.push_back({path, type_text(type), counted(static_cast<double>(type.elements()))});
    table.push_back({"total", "", counted(static_cast<double>(summary.parameters))});
    print_table(table, 2);
  }
  fmt::print("\n  {} parameters in {} bytes; {} bytes of state with what is kept beside them\n\n",
             counted(static_cast<double>(summary.parameters)), counted(static_cast<double>(summary.parameter_bytes)),
             counted(static_cast<double>(summary.state_bytes)));
  table = {{"entry", "FLOPs", "input bytes", "output bytes", "workspace bytes", "a thread more", "changes state"}};
  for (const EntryNeeds &needs : summary.entries)
    table.push_back({needs.name, needs.flops ? counted(*needs.flops) : "", counted(static_cast<double>(needs.inputs)),
                     counted(static_cast<double>(needs.outputs)), counted(static_cast<double>(needs.workspace)),
                     counted(static_cast<double>(needs.slot)), needs.writes_state ? "yes" : "no"});
  print_table(table, 1);
}

Json json_of(const std::string &file, const Summary &summary) {
  Json layers = Json::array(), trained = Json::array(), entries = Json::array();
  for (const Row &row : summary.rows)
    layers.push_back({{"layer", row.layer},
                      {"function", row.function},
                      {"dtype", dtype_name(row.output.dtype)},
                      {"shape", row.output.shape},
                      {"parameters", row.parameters},
                      {"flops", row.flops}});
  for (const auto &[path, type] : summary.trained)
    trained.push_back({{"name", path}, {"dtype", dtype_name(type.dtype)}, {"shape", type.shape}});
  for (const EntryNeeds &needs : summary.entries)
    entries.push_back({{"name", needs.name},
                       {"flops", needs.flops ? Json(*needs.flops) : Json()},
                       {"input_bytes", needs.inputs},
                       {"output_bytes", needs.outputs},
                       {"workspace_bytes", needs.workspace},
                       {"slot_bytes", needs.slot},
                       {"writes_state", needs.writes_state}});
  return {{"model", file},
          {"entry", summary.entry},
          {"layers", layers},
          {"parameters", summary.parameters},
          {"parameter_bytes", summary.parameter_bytes},
          {"state_bytes", summary.state_bytes},
          {"trained", trained},
          {"entries", entries}};
}

} // namespace

int summary_command(int argc, const char *const *argv) {
  Words words({"MODEL", "[ENTRY]"});
  cl::opt<bool> json("json", cl::desc("JSON instead of tables"), cl::cat(general_options()));
  SetFlags flags;
  if (!parse_command_line(argc, argv, page))
    return 0;
  const std::vector<std::string> names = words.get();
  const std::string entry = names.size() > 1 ? names[1] : "";
  BuildOptions options;
  options.set = flags.values();
  if (!is_source_file(names[0]) && !options.set.empty())
    throw Error(fmt::format("{}: --set is for consts of a .nn file; this is compiled", names[0]));
  const Summary summary = is_source_file(names[0]) ? of_source(names[0], entry, options) : of_library(names[0], entry);
  if (json)
    fmt::print("{}\n", json_of(names[0], summary).dump(2));
  else
    print_summary(names[0], summary);
  return 0;
}

} // namespace nnc
