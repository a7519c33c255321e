// nnc: compiles, runs, trains and measures models. This file picks the command and turns what goes wrong into a message and
// exit code 1; each command is in cmd_*.cpp.
#include "codegen/fatal.h"
#include "frontend/printable.h"
#include "ir/error.h"
#include "tools/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <map>
#include <new>
#include <string_view>

using namespace nnc;

namespace {

// Is it meant as a command: neither an option nor the name of a file?
bool is_bare_word(std::string_view word) { return !word.starts_with('-') && word.find_first_of("./") == word.npos; }

// Places and files come first in what Error says: "mlp.nn:7:14: error: …", "x.npy: …".
void say(const std::string &text) {
  fmt::print(stderr, "{}{}\n", text.find(": error: ") == std::string::npos ? "nnc: error: " : "", printable(text));
}

} // namespace

int main(int argc, char **argv) {
  using Command = int (*)(int, const char *const *);
  const std::map<std::string, Command> commands = {
      {"run", run_command},         {"train", train_command},         {"bench", bench_command},
      {"inspect", inspect_command}, {"gradcheck", gradcheck_command}, {"fmt", fmt_command},
      {"docs", docs_command},       {"plot", plot_command},           {"objdump", objdump_command},
      {"summary", summary_command},
  };
  try {
    report_fatal_errors();
    std::signal(SIGXFSZ, SIG_IGN); // a file above `ulimit -f` is an error like any other
    forget_options();
    const auto command = argc > 1 ? commands.find(argv[1]) : commands.end();
    if (argc > 1 && command == commands.end() && is_bare_word(argv[1])) {
      std::string names;
      for (const auto &[name, run] : commands)
        names += (names.empty() ? "`" : "`, `") + name;
      throw Error(fmt::format("there is no command `{}`; there are {}`, and without one FILE.nn is compiled (see `nnc --help`)",
                              argv[1], names));
    }
    const int code = command == commands.end() ? compile_command(argc, argv) : command->second(argc - 1, argv + 1);
    if (std::fflush(stdout) != 0)
      throw Error("standard output: cannot be written");
    return code;
  } catch (const std::bad_alloc &) {
    const auto file = std::find_if(argv + 1, argv + argc, [](const char *word) { return !is_bare_word(word) && *word != '-'; });
    say(file == argv + argc ? "out of memory" : fmt::format("{}: out of memory", *file));
  } catch (const std::exception &error) {
    say(error.what());
  }
  return 1;
}
