// `nnc inspect MODEL.so`: what the metadata of a compiled model says, for people and as JSON for programs.
#include "frontend/printable.h"
#include "ir/error.h"
#include "tools/command_line.h"
#include "tools/engine.h"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace nnc {

namespace {

using Json = nlohmann::ordered_json;

const HelpPage page = {"  nnc inspect MODEL.so [--json]\n",
                       "Prints what a compiled model offers: entries, state, sizes, variants, and what it was made from.",
                       "  nnc inspect mnist.so\n  nnc inspect mnist.so --json\n"};

std::string list(InfoList<nnc_tensor_info> tensors) {
  std::string text;
  for (const nnc_tensor_info &tensor : tensors)
    text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", tensor.name, tensor_text(tensor));
  return text;
}

Json tensor_json(const nnc_tensor_info &tensor) {
  return {{"name", tensor.name},
          {"dtype", dtype_text(tensor.dtype)},
          {"shape", std::vector<int64_t>(tensor.shape, tensor.shape + tensor.rank)},
          {"bytes", tensor.bytes}};
}

Json tensors_json(InfoList<nnc_tensor_info> tensors) {
  Json list = Json::array();
  for (const nnc_tensor_info &tensor : tensors)
    list.push_back(tensor_json(tensor));
  return list;
}

Json entry_json(const nnc_entry_info &entry) {
  return {{"name", entry.name},
          {"function", entry.function},
          {"doc", entry.doc},
          {"writes_state", entry.writes_state != 0},
          {"inputs", tensors_json(inputs(entry))},
          {"outputs", tensors_json(outputs(entry))},
          {"checks", std::vector<std::string>(entry.checks, entry.checks + entry.check_count)},
          {"workspace_bytes", entry.workspace_bytes},
          {"slot_bytes", entry.slot_bytes}};
}

Json model_json(const Model &model) {
  const nnc_variant_info *picked = model.picked();
  const nnc_model_info &info = model.info();
  Json variants = Json::array(), entries = Json::array(), states = Json::array();
  for (const nnc_variant_info &variant : model.variants())
    variants.push_back({{"cpu", variant.cpu}, {"isa", fmt::format("{:#x}", variant.isa)}});
  for (const nnc_entry_info &entry : model.entries())
    entries.push_back(entry_json(entry));
  for (const nnc_tensor_info &state : model.states()) {
    Json json = tensor_json(state);
    json["offset"] = state.offset;
    json["trained"] = state.trained != 0;
    states.push_back(std::move(json));
  }
  return {{"model", info.model},
          {"source_sha256", info.source_hash},
          {"compiler", info.compiler},
          {"options", info.options},
          {"abi_version", info.abi_version},
          {"target", info.target},
          {"cpu", info.cpu},
          {"variants", variants},
          {"picked", picked ? Json(picked->cpu) : Json()},
          {"entries", entries},
          {"states", states},
          {"state_bytes", info.state_bytes},
          {"alignment", info.alignment}};
}

void print_model(const Model &model) {
  const nnc_variant_info *picked = model.picked();
  const nnc_model_info &info = model.info();
  fmt::print("model      {}\nsource     sha256 {}\ncompiler   {}\ntarget     {}, {}\npicked     {}\noptions    {}\nABI        "
             "version {}\n",
             info.model, info.source_hash, info.compiler, info.target, info.cpu,
             picked ? fmt::format("{} on this processor", picked->cpu) : "none: this processor lacks instructions of all",
             *info.options ? info.options : "none", info.abi_version);
  for (const nnc_entry_info &entry : model.entries()) {
    fmt::print("\nentry {}({}) -> ({}){}\n", entry.name, list(inputs(entry)), list(outputs(entry)),
               entry.writes_state ? ", changes state" : "");
    for (std::string_view doc = entry.doc; !doc.empty();) {
      const size_t end = std::min(doc.find('\n'), doc.size());
      fmt::print("  # {}\n", printable(doc.substr(0, end)));
      doc.remove_prefix(std::min(end + 1, doc.size()));
    }
    fmt::print("  workspace {} bytes + {} a thread\n", entry.workspace_bytes, entry.slot_bytes);
    for (uint32_t i = 0; i < entry.check_count; ++i)
      fmt::print("  check: {}\n", printable(entry.checks[i]));
  }
  fmt::print("\nstate {} bytes\n", info.state_bytes);
  for (const nnc_tensor_info &state : model.states())
    fmt::print("  {:<10} {:<40} {}{}\n", fmt::format("@{}", state.offset), state.name, tensor_text(state),
               state.trained ? " trained" : "");
}

} // namespace

int inspect_command(int argc, const char *const *argv) {
  Words words({"MODEL.so"});
  cl::opt<bool> json("json", cl::desc("JSON instead of lines"), cl::cat(general_options()));
  if (!parse_command_line(argc, argv, page))
    return 0;
  const std::string file = words.get()[0];
  if (is_source_file(file))
    throw Error(fmt::format("{}: inspect reads a compiled model; `nnc {} --emit=plan` shows this one", file, file));
  const Model model = Model::load(file);
  if (json)
    fmt::print("{}\n", model_json(model).dump(2));
  else
    print_model(model);
  return 0;
}

} // namespace nnc
