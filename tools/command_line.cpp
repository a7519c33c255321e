// What the commands share of the command line. Options are local objects of the command that runs, so a flag of one command is
// unknown to the others. LLVM's own flags are taken out of its table first: they share names with ours, and a misspelt flag is
// never one of them by chance. Ours are taken out when they are read, because LLD sets all that it finds back to defaults.
#include "tools/command_line.h"

#include "ir/error.h"

#include <fmt/format.h>
#include <llvm/Support/CommandLine.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace nnc {

namespace {

constexpr size_t page_width = 100, option_column = 26;

std::vector<cl::OptionCategory *> categories() { return {&general_options(), &compile_options(), &debug_options()}; }

std::string wrapped(const std::string &text, size_t column) {
  std::string result;
  size_t at = column;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    if (at > column && at + 1 + end - begin > page_width) {
      result += "\n" + std::string(column, ' ');
      at = column;
    } else if (at > column) {
      result += " ";
      ++at;
    }
    result += text.substr(begin, end - begin);
    at += end - begin;
    begin = end + 1;
  }
  return result;
}

std::string option_lines(const cl::Option &option) {
  std::string name = (option.ArgStr.size() == 1 ? "-" : "--") + option.ArgStr.str();
  if (!option.ValueStr.empty()) // a blank where the value has a sign = of its own
    name += (option.ArgStr.size() == 1 || option.ValueStr.contains('=') ? " " : "=") + option.ValueStr.str();
  std::string line = "  " + name;
  line +=
      line.size() + 2 > option_column ? "\n" + std::string(option_column, ' ') : std::string(option_column - line.size(), ' ');
  return line + wrapped(option.HelpStr.str(), option_column) + "\n";
}

std::string page_text(const HelpPage &page) {
  std::string text = page.overview + "\n\nusage:\n" + page.usage;
  for (cl::OptionCategory *category : categories()) {
    std::vector<const cl::Option *> options;
    for (const auto &entry : cl::getRegisteredOptions())
      if (llvm::is_contained(entry.second->Categories, category))
        options.push_back(entry.second);
    if (options.empty())
      continue;
    std::ranges::sort(options, {}, [](const cl::Option *o) { return std::pair(o->ArgStr.size() != 1, o->ArgStr); });
    text += fmt::format("\n{}:\n", category->getName().str());
    for (const cl::Option *option : options)
      text += option_lines(*option);
  }
  return text + "\nexamples:\n" + page.examples;
}

// LLVM's sentences as ours: lower case, no full stop, names in backticks, one line.
std::string as_message(std::string text) {
  std::string message;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line.starts_with("nnc: "))
      line.erase(0, 5);
    line = line.substr(0, line.find(".  Try:"));
    std::ranges::replace(line, '\'', '`');
    while (!line.empty() && (line.back() == '!' || line.back() == '.' || line.back() == ' '))
      line.pop_back();
    const bool is_far_fetched = line.starts_with("Did you mean `-") && !line.starts_with("Did you mean `--");
    if (line.empty() || is_far_fetched)
      continue;
    line[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(line[0])));
    message += (message.empty() ? "" : "; ") + line;
  }
  return message;
}

std::vector<std::string> split(const std::string &text) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin)
      parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

} // namespace

cl::OptionCategory &general_options() {
  static cl::OptionCategory category("options");
  return category;
}

cl::OptionCategory &compile_options() {
  static cl::OptionCategory category("options for compiling");
  return category;
}

cl::OptionCategory &debug_options() {
  static cl::OptionCategory category("options to look inside the compiler");
  return category;
}

void forget_options() {
  std::vector<cl::Option *> options;
  for (const auto &entry : cl::getRegisteredOptions())
    options.push_back(entry.second);
  for (cl::Option *option : options)
    option->removeArgument();
}

bool parse_command_line(int argc, const char *const *argv, const HelpPage &page) {
  std::vector<const char *> words{"nnc"};
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--help" || word == "-h" || word == "-help") {
      fmt::print("{}", page_text(page));
      return false;
    }
    words.push_back(argv[i]);
  }
  std::string said;
  llvm::raw_string_ostream stream(said);
  if (!cl::ParseCommandLineOptions(static_cast<int>(words.size()), words.data(), "", &stream))
    throw Error((stream.str().empty() ? "cannot go on with that" : as_message(stream.str())) + " (see `nnc --help`)");
  forget_options();
  return true;
}

std::pair<std::string, std::string> assignment(const std::string &text, const std::string &flag) {
  const size_t sign = text.find('=');
  if (sign == std::string::npos || sign == 0)
    throw Error(fmt::format("--{} {}: it takes NAME=VALUE", flag, text));
  return {text.substr(0, sign), text.substr(sign + 1)};
}

Assignments assignments(const cl::list<std::string> &list, const std::string &flag) {
  Assignments result;
  for (const std::string &text : list) {
    const auto [name, value] = assignment(text, flag);
    if (!result.emplace(name, value).second)
      throw Error(fmt::format("--{} {}: `{}` is given twice", flag, text, name));
  }
  return result;
}

int64_t whole_number(const std::string &text, const std::string &flag, int64_t least, int64_t most) {
  int64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc{} || end != text.data() + text.size() || number < least || number > most)
    throw Error(fmt::format("--{}={}: it takes a whole number{}{}", flag, text,
                            least == INT64_MIN ? "" : fmt::format(" from {}", least),
                            most == INT64_MAX ? "" : fmt::format(" to {}", most)));
  return number;
}

std::vector<std::string> Words::get() const {
  if (words_.size() < names_.size() && *names_[words_.size()] != '[')
    throw Error(fmt::format("{} is missing (see `nnc --help`)", names_[words_.size()]));
  if (words_.size() > names_.size())
    throw Error(fmt::format("one word too many: `{}` (see `nnc --help`)", words_[names_.size()]));
  return {words_.begin(), words_.end()};
}

std::vector<std::pair<std::string, std::string>> SetFlags::values() const {
  std::vector<std::pair<std::string, std::string>> result;
  for (const std::string &text : set)
    result.push_back(assignment(text, "set"));
  return result;
}

BuildOptions BuildFlags::options() const {
  BuildOptions result;
  result.set = values();
  result.cpu = cpu;
  result.debug_info = debug_info;
  result.split.assign(split_entries.begin(), split_entries.end());
  for (const std::string &names : check)
    for (const std::string &name : split(names)) {
      if (name != "nan" && name != "bounds")
        throw Error(fmt::format("--check={}: there are nan, bounds", name));
      (name == "nan" ? result.passes.checks.nan : result.passes.checks.bounds) = true;
    }
  if (!denormals.empty() && denormals != "flush" && denormals != "keep")
    throw Error(fmt::format("--denormals={}: there are flush, keep", denormals.getValue()));
  result.passes.denormals = denormals == "keep" ? Denormals::keep : Denormals::flush;
  result.passes.passes = split(passes);
  for (const std::string &names : disable)
    for (std::string &name : split(names))
      result.passes.disable.push_back(std::move(name));
  result.passes.dump = dump;
  result.passes.dump_dir = dump_dir;
  result.passes.time = time;
  result.passes.verify_each = verify_each;
  if (!bisect.empty())
    result.passes.bisect = whole_number(bisect, "bisect", 0, INT64_MAX);
  result.passes.repro_dir = repro;
  return result;
}

BuildOptions RunFlags::options() const {
  if (skip_mismatch && weights.empty())
    throw Error("--skip-mismatch is about --weights FILE");
  BuildOptions result = BuildFlags::options();
  result.variant = variant;
  result.perf = perf;
  return result;
}

} // namespace nnc
