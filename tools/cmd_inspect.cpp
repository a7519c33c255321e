// `nnc inspect MODEL.so`: what the metadata of a compiled model says.
#include "ir/error.h"
#include "tools/command_line.h"
#include "tools/engine.h"

#include <fmt/format.h>

namespace nnc {

namespace {

const HelpPage page = {"  nnc inspect MODEL.so\n",
                       "Prints what a compiled model offers: entries, state, sizes, and what it was made from.",
                       "  nnc inspect mnist.so\n"};

std::string list(InfoList<nnc_tensor_info> tensors) {
  std::string text;
  for (const nnc_tensor_info &tensor : tensors)
    text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", tensor.name, tensor_text(tensor));
  return text;
}

} // namespace

int inspect_command(int argc, const char *const *argv) {
  Words words({"MODEL.so"});
  if (!parse_command_line(argc, argv, page))
    return 0;
  const std::string file = words.get()[0];
  if (is_source_file(file))
    throw Error(fmt::format("{}: inspect reads a compiled model; `nnc {} --emit=plan` shows this one", file, file));
  const Model model = Model::load(file);
  const nnc_model_info &info = model.info();
  fmt::print("model      {}\nsource     sha256 {}\ncompiler   {}\ntarget     {}, {}\nABI        version {}\n", info.model,
             info.source_hash, info.compiler, info.target, info.cpu, info.abi_version);
  for (const nnc_entry_info &entry : model.entries()) {
    fmt::print("\nentry {}({}) -> ({}){}\n", entry.name, list(inputs(entry)), list(outputs(entry)),
               entry.writes_state ? ", changes state" : "");
    for (std::string_view doc = entry.doc; !doc.empty();) {
      const size_t end = std::min(doc.find('\n'), doc.size());
      fmt::print("  # {}\n", doc.substr(0, end));
      doc.remove_prefix(std::min(end + 1, doc.size()));
    }
    fmt::print("  workspace {} bytes + {} a thread\n", entry.workspace_bytes, entry.slot_bytes);
    for (uint32_t i = 0; i < entry.check_count; ++i)
      fmt::print("  check: {}\n", entry.checks[i]);
  }
  fmt::print("\nstate {} bytes\n", info.state_bytes);
  for (const nnc_tensor_info &state : model.states())
    fmt::print("  {:<10} {:<40} {}{}\n", fmt::format("@{}", state.offset), state.name, tensor_text(state),
               state.trained ? " trained" : "");
  return 0;
}

} // namespace nnc
