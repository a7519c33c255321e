// Writes the header as a person would who wants another person to use the model: sizes as macros, one documented function an
// entry. Names come from names.cpp, sizes from the plan as entry.cpp lays the workspace out. Text from the source (comments,
// names, messages) stands in C comments only, made harmless.
#include "codegen/header.h"

#include "codegen/entry.h"
#include "runtime/abi.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

namespace nnc {
namespace {

// Text that cannot end a comment, nor seem to begin another (a warning).
std::string in_comment(const std::string &text) {
  std::string safe;
  for (char c : text) {
    if (!safe.empty() && ((safe.back() == '*' && c == '/') || (safe.back() == '/' && c == '*')))
      safe += ' ';
    safe += c == '\n' || static_cast<unsigned char>(c) >= ' ' ? c : ' ';
  }
  return safe;
}

// The text with a ` * ` before each line but the first.
std::string comment_lines(const std::string &text) {
  std::string lines;
  for (char c : in_comment(text))
    lines += c == '\n' ? std::string("\n * ") : std::string(1, c);
  return lines;
}

const char *c_type(DType dtype) {
  switch (dtype) {
  case DType::f32:
    return "float";
  case DType::f64:
    return "double";
  case DType::u8:
    return "uint8_t";
  case DType::i32:
    return "int32_t";
  case DType::i64:
    return "int64_t";
  case DType::boolean:
    return "uint8_t";
  case DType::bf16:
  case DType::f16:
    return "uint16_t";
  case DType::i8:
    return "int8_t";
  }
  return nullptr; // unreachable: all dtypes are above
}

class HeaderWriter {
public:
  HeaderWriter(const Plan &plan, const HeaderOptions &options)
      : plan(plan), options(options), names(artefact_names(plan, options.name)) {}

  std::string write() {
    opening();
    text += abi_header()[0].text;
    line("\n#ifdef __cplusplus\nextern \"C\" {{\n#endif\n");
    define(names.macro + "_ALIGNMENT", std::to_string(buffer_alignment));
    define(names.macro + "_STATE_BYTES", fmt::format("UINT64_C({})", plan.state_bytes));
    line("\n/* What the model says of itself: its entries, their tensors, the tensors of the state, the target. */");
    line("const nnc_model_info *{}(void);", names.info);
    line("\n/* Which of nnc_model_info.variants calls with this context run, an index; or a negated code. */");
    line("int32_t {}(nnc_context *context);", names.pick);
    line("\n/* To be called when the host has written the state itself, before the next call that reads it. */");
    line("int32_t {}(nnc_context *context, void *state);", names.touch);
    line("\n/* \"NNC_SHORT_WORKSPACE\", of what a function returned. */");
    line("const char *{}(int32_t code);", names.code_name);
    for (size_t i = 0; i < plan.entries.size(); i++)
      entry(plan.entries[i], names.entries[i]);
    identity();
    line("\n#ifdef __cplusplus\n}}\n#endif");
    closing();
    return std::move(text);
  }

private:
  const Plan &plan;
  const HeaderOptions &options;
  const ArtefactNames names;
  std::string text;
  std::set<std::string> macros;

  template <typename... Args> void line(fmt::format_string<Args...> format, Args &&...args) {
    text += fmt::format(format, std::forward<Args>(args)...) + "\n";
  }

  void opening() {
    line("/* The C interface of {}, made by nnc {}. For C99 and C++.", in_comment(file_name(plan.model)), NNC_VERSION);
    line(" *");
    line(" * 1. Zero an nnc_context and set its struct_size. One thread at a time may use it.");
    line(" * 2. Allocate {0}_STATE_BYTES for the state, and a workspace of the largest ..._WORKSPACE_BYTES(threads) among",
         names.macro);
    line(" *    the functions you call, both aligned to {}_ALIGNMENT.", names.macro);
    line(" * 3. Fill the state: call the function that initialises it, or copy tensors to the offsets that {}() lists.",
         names.info);
    line(" * 4. Call the others. Arrays are row-major and without gaps; what is written overlaps nothing else. bf16 and f16 are");
    line(" *    handed over as their 16 bits.");
    line(" *");
    line(" * A function returns NNC_OK, or a code that says what is wrong; then it has written nothing. */");
    const std::string value = options.identity.empty() ? "" : " 0x" + options.identity;
    line("#ifndef NNC_MODEL_{0}_H\n#define NNC_MODEL_{0}_H{1}\n", names.macro, value);
  }

  // A linker takes the first archive that has `xor_predict`, whichever model it is of. This symbol only one of them has, and when
  // it brings the second to the program, all other names of the two clash.
  void identity() {
    if (options.identity.empty() || !options.is_linked)
      return;
    const std::string symbol = identity_symbol(names.model, options.identity);
    line("\n/* So that no program is linked with another model of this name. */");
    line("#ifdef __GNUC__\nextern const unsigned char {0};", symbol);
    line("static const unsigned char *const {0}_used __attribute__((used)) = &{0};\n#endif", symbol);
  }

  void closing() {
    if (!options.identity.empty())
      line("#elif NNC_MODEL_{0}_H != 0x{1}\n#error \"two models of the name {2}: give one of them another with nnc --name\"",
           names.macro, options.identity, names.model);
    line("#endif");
  }

  // Names of entries and tensors are joined, so that two macros can come out equal: the later one gets a trailing `_`.
  void define(std::string name, const std::string &value, const char *parameters = "") {
    while (!macros.insert(name).second)
      name += '_';
    line("#define {}{} {}", name, parameters, value);
  }

  void entry(const PlanEntry &entry, const EntryNames &entry_names) {
    std::string comment = entry.doc.empty() ? "`" + entry.name + "`" : entry.doc;
    comment += entry.writes_state ? "\nWrites the state." : plan.state_bytes ? "\nOnly reads the state." : "";
    for (size_t i = 0; i < entry.checks.size(); i++)
      comment += fmt::format("\nNNC_CHECK + {}: {}", i, entry.checks[i].message);
    line("\n/* {} */", comment_lines(comment));

    const WorkspaceLayout layout = workspace_layout(entry);
    define(entry_names.macro + "_WORKSPACE_BYTES",
           fmt::format("(UINT64_C({}) + UINT64_C({}) * ((threads) > 1 ? (threads) : 1))", layout.fixed_bytes, layout.slot_bytes),
           "(threads)");
    std::vector<std::string> parameters;
    auto parameter = [&](const char *qualifier, const std::string &name, const Type &type) {
      define(entry_names.macro + "_" + upper(name) + "_COUNT", std::to_string(type.elements()));
      parameters.push_back(fmt::format("{}{} *{} /* {} */", qualifier, c_type(type.dtype), name, type_text(type)));
    };
    for (size_t i = 0; i < entry.inputs.size(); i++)
      parameter("const ", entry_names.inputs[i], entry.inputs[i].type);
    for (size_t i = 0; i < entry.outputs.size(); i++)
      parameter("", entry_names.outputs[i], entry.outputs[i].type);
    const std::string head = fmt::format("int32_t {}(", entry_names.function);
    const std::string indent = ",\n" + std::string(head.size(), ' ');
    line("{}nnc_context *context, void *state, void *workspace{}{});", head, parameters.empty() ? "" : indent,
         fmt::join(parameters, indent));
  }
};

} // namespace

std::string c_header(const Plan &plan, const HeaderOptions &options) { return HeaderWriter(plan, options).write(); }

} // namespace nnc
