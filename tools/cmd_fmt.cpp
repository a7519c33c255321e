// `nnc fmt FILE.nn…`: lays files out in place, or says which are not laid out. A file with syntax errors stays as it is; the
// others are done all the same.
#include "frontend/format.h"
#include "ir/error.h"
#include "runtime/file.h"
#include "tools/command_line.h"

#include <fmt/format.h>

#include <iostream>
#include <iterator>

namespace nnc {

namespace {

const HelpPage page = {"  nnc fmt FILE.nn… [--check]\n"
                       "  nnc fmt -                             from standard input to standard output\n",
                       "Lays out the text of .nn files in place: indentation, spaces, at most one blank line. Comments, line "
                       "breaks inside brackets\n"
                       "and what the text means stay as they are.",
                       R"(  nnc fmt model.nn
  nnc fmt --check examples/*.nn         names the files that would change; exit code 1 if there are any
)"};

std::string laid_out(const std::string &name, const std::string &text) {
  const Source source(name, text);
  Diagnostics diagnostics;
  std::string result = formatted(source, diagnostics);
  diagnostics.throw_if_errors();
  return result;
}

} // namespace

int fmt_command(int argc, const char *const *argv) {
  cl::list<std::string> file_list(cl::Positional);
  cl::opt<bool> check("check", cl::desc("change nothing, and name the files that would change"), cl::cat(general_options()));
  if (!parse_command_line(argc, argv, page))
    return 0;
  const std::vector<std::string> files(file_list.begin(), file_list.end());
  if (files.empty())
    throw Error("FILE.nn is missing (see `nnc fmt --help`)");
  std::string errors;
  bool differs = false;
  for (const std::string &file : files) {
    try {
      if (file != "-" && !file.ends_with(".nn"))
        throw Error(fmt::format("{}: only .nn files are laid out", file));
      const std::string text = file == "-" ? std::string(std::istreambuf_iterator<char>(std::cin), {}) : read_file(file);
      const std::string result = laid_out(file == "-" ? "<stdin>" : file, text);
      differs |= result != text;
      if (check && result != text)
        fmt::print("{}\n", file);
      else if (!check && file == "-")
        fmt::print("{}", result);
      else if (!check && result != text)
        write_file(file, result);
    } catch (const std::runtime_error &error) { // of this file
      errors += (errors.empty() ? "" : "\n") + std::string(error.what());
    }
  }
  if (!errors.empty())
    throw Error(errors);
  return check && differs ? 1 : 0;
}

} // namespace nnc
