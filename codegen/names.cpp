// C identifiers for a model, its entries and their parameters. Any text may come in: a file name with spaces, a result called
// `class`. What is no letter or digit becomes `_`; a name already taken, or reserved, gets a trailing `_`.
#include "codegen/names.h"

#include <fmt/format.h>

#include <iterator>
#include <set>
#include <sstream>
#include <string_view>

namespace nnc {
namespace {

// Keywords of C and C++, macros with small letters of compilers and of the headers that hosts include, names from the header's
// own declarations. Only parameters can meet them: all other names begin with the model's.
constexpr const char *reserved_parameters =
    "alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t char8_t class co_await "
    "co_return co_yield compl concept const const_cast consteval constexpr constinit continue decltype default delete do "
    "double dynamic_cast else enum explicit export extern false float for friend goto if inline int long mutable namespace "
    "new noexcept not not_eq nullptr operator or or_eq private protected public register reinterpret_cast requires restrict "
    "return short signed sizeof static static_assert static_cast struct switch template this thread_local throw true try "
    "typedef typeid typename typeof typeof_unqual union unsigned using virtual void volatile wchar_t while xor xor_eq linux "
    "unix i386 complex imaginary errno int8_t uint8_t uint16_t int32_t int64_t nnc_context context state workspace";

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string identifier(std::string_view text, std::string_view prefix_if_needed) {
  std::string name;
  for (char c : text)
    name += is_letter(c) || is_digit(c) ? c : '_';
  if (name.empty() || !is_letter(name[0])) // a leading `_` belongs to the compiler
    name = std::string(prefix_if_needed) + name;
  return name;
}

// Macros are written in capitals (NULL, M_PI; <complex.h> has I, too). A parameter's name is nobody's but the reader's.
std::string parameter(std::string_view text, std::string_view prefix_if_needed) {
  std::string name = identifier(text, prefix_if_needed);
  if (name == "I" || (name.size() > 1 && name == upper(name)))
    name += '_';
  return name;
}

std::string unique(std::string name, std::set<std::string> &taken) {
  while (!taken.insert(name).second)
    name += '_';
  return name;
}

} // namespace

std::string ArtefactNames::internal(const std::string &what) const { return fmt::format("{}.{}", model, what); }

namespace {
std::string of_variant(const ArtefactNames &names, std::string name, size_t variant) {
  return names.variants.size() > 1 ? name + "." + names.variants[variant] : name;
}
} // namespace

std::string ArtefactNames::kernel(size_t index, size_t variant) const {
  return of_variant(*this, fmt::format("{}.k{}", model, index), variant);
}
std::string ArtefactNames::task(size_t index, size_t variant) const {
  return of_variant(*this, fmt::format("{}.task{}", model, index), variant);
}

std::string upper(std::string name) {
  for (char &c : name)
    c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return name;
}

std::string file_name(const std::string &path) {
  return path.substr(path.find_last_of('/') + 1); // npos + 1 is 0
}

namespace {
bool is_abis(const std::string &name) { return name == "nnc" || name.starts_with("nnc_"); }
} // namespace

bool is_model_name(const std::string &name) { return identifier(name, "_") == name && !is_abis(name); }

std::string identity_symbol(const std::string &model, const std::string &identity) { return model + "_is_" + identity; }

ArtefactNames artefact_names(const Plan &plan, const std::string &model, const std::vector<std::string> &cpus) {
  ArtefactNames names;
  names.variants = cpus;
  const std::string file = file_name(plan.model);
  names.model = model.empty() ? identifier(file.substr(0, file.find_last_of('.')), "model_") : model;
  if (is_abis(names.model))
    names.model = "model_" + names.model;
  names.macro = upper(names.model);
  names.info = names.model + "_info";
  names.pick = names.model + "_pick";
  names.touch = names.model + "_touch";
  names.code_name = names.model + "_code_name";

  std::set<std::string> functions = {names.info, names.pick, names.touch, names.code_name}, macros;
  for (const PlanEntry &entry : plan.entries) {
    EntryNames e;
    std::string name = identifier(entry.name, "");
    e.function = unique(names.model + "_" + name, functions);
    e.macro = unique(upper(e.function), macros);
    std::istringstream reserved(reserved_parameters);
    std::set<std::string> parameters{std::istream_iterator<std::string>(reserved), {}};
    for (const PlanValue &input : entry.inputs)
      e.inputs.push_back(unique(parameter(input.name, "in_"), parameters));
    for (const PlanValue &output : entry.outputs)
      e.outputs.push_back(unique(parameter(output.name, "out_"), parameters));
    names.entries.push_back(std::move(e));
  }
  return names;
}

} // namespace nnc
