// The command line of nnc: LLVM's option parser, with our own pages and messages.
#pragma once

#include "tools/pipeline.h"

#include <llvm/Support/CommandLine.h>

#include <string>
#include <utility>
#include <vector>

namespace nnc {

namespace cl = llvm::cl;

// What `--help` says around the list of options.
struct HelpPage {
  std::string usage;    // "nnc run MODEL ENTRY [options]", a line a form
  std::string overview; // what the command is for
  std::string examples; // lines of a shell
};

// Empties LLVM's table of options. To be called first, since its own options have names that ours have too.
void forget_options();

// Reads the options that exist at this moment, and no others. argv[0] is the command itself.
// Throws Error for anything that is not understood. Returns false after printing the page for --help.
bool parse_command_line(int argc, const char *const *argv, const HelpPage &page);

// "x=images.npy" -> ("x", "images.npy"). `flag` is for the message.
std::pair<std::string, std::string> assignment(const std::string &text, const std::string &flag);

// All that a flag was given; no name twice.
Assignments assignments(const cl::list<std::string> &list, const std::string &flag);

// The number that a flag was given. Throws Error where it is not a whole number from `least` to `most`.
int64_t whole_number(const std::string &text, const std::string &flag, int64_t least, int64_t most);

// The groups of the page.
cl::OptionCategory &general_options();
cl::OptionCategory &compile_options();
cl::OptionCategory &debug_options();

// --set, of every command that takes a .nn.
struct SetFlags {
  cl::list<std::string> set{"set", cl::desc("give the const NAME another value"), cl::value_desc("NAME=VALUE"),
                            cl::cat(compile_options())};

  std::vector<std::pair<std::string, std::string>> values() const;
};

// How a model becomes code.
struct BuildFlags : SetFlags {
  cl::opt<std::string> cpu{"cpu",
                           cl::desc("processors to compile for, separated by commas: native (this one; the default where "
                                    "nothing is written to a file), generic, or names such as x86-64-v3 or znver4; of several, "
                                    "a call runs the best that the machine can"),
                           cl::value_desc("NAME,..."), cl::cat(compile_options())};
  cl::opt<bool> debug_info{"g", cl::desc("debug information: gdb and perf see the lines and functions of the model"),
                           cl::cat(compile_options())};
  cl::list<std::string> split_entries{"split", cl::desc("add ENTRY_gradients and ENTRY_update, which together are this entry"),
                                      cl::value_desc("ENTRY"), cl::cat(compile_options())};
  cl::list<std::string> check{"check",
                              cl::desc("find mistakes while it runs: nan stops at the first NaN or infinity, bounds at a place "
                                       "or address beyond an end"),
                              cl::value_desc("nan,bounds"), cl::cat(compile_options())};
  cl::opt<std::string> denormals{"denormals",
                                 cl::desc("flush: arithmetic takes denormal floats as 0 and gives 0 for them (the default, since "
                                          "processors are slow with them); keep: as IEEE 754 has it"),
                                 cl::value_desc("flush|keep"), cl::cat(compile_options())};
  cl::opt<std::string> passes{"passes", cl::desc("run these passes instead of the usual ones"), cl::value_desc("A,B,..."),
                              cl::cat(debug_options())};
  cl::list<std::string> disable{"disable", cl::desc("leave out this pass or rule"), cl::value_desc("NAME"),
                                cl::cat(debug_options())};
  cl::opt<std::string> dump{"dump", cl::desc("print the module after passes: changed, all, or the name of one"),
                            cl::value_desc("WHICH"), cl::cat(debug_options())};
  cl::opt<std::string> dump_dir{"dump-dir", cl::desc("a .nnir file for each dump instead of standard error"),
                                cl::value_desc("DIR"), cl::cat(debug_options())};
  cl::opt<bool> time{"time", cl::desc("say how long each pass took"), cl::cat(debug_options())};
  cl::opt<bool> verify_each{"verify-each", cl::desc("check the module after every pass, and the plan"), cl::cat(debug_options()),
                            cl::init(verify_each_by_default)};
  cl::opt<std::string> bisect{"bisect", cl::desc("make only the first N optional changes"), cl::value_desc("N"),
                              cl::cat(debug_options())};
  cl::opt<std::string> repro{"repro", cl::desc("when a pass fails, write a .nnir there whose first line runs it again"),
                             cl::value_desc("DIR"), cl::cat(debug_options())};

  BuildOptions options() const;
};

// How what was compiled runs.
struct RunFlags : BuildFlags {
  cl::opt<std::string> threads_text{"threads", cl::desc("threads that run it (1); the results do not depend on them"),
                                    cl::value_desc("N"), cl::init("1"), cl::cat(general_options())};
  cl::opt<std::string> seed_text{"seed", cl::desc("seed of `init`, and of the order of training examples (0)"),
                                 cl::value_desc("N"), cl::init("0"), cl::cat(general_options())};
  cl::opt<std::string> weights{"weights", cl::desc("start from this .safetensors file"), cl::value_desc("FILE"),
                               cl::cat(general_options())};
  cl::opt<bool> skip_mismatch{"skip-mismatch", cl::desc("load what fits of the weights, by name and shape, and say what did not"),
                              cl::cat(general_options())};
  cl::opt<std::string> engine{"engine",
                              cl::desc("what runs it: jit (the default), interp (the reference interpreter), plan (the "
                                       "interpreter of plans), so (through a shared library)"),
                              cl::value_desc("ENGINE"), cl::cat(general_options())};
  cl::opt<std::string> variant{"variant",
                               cl::desc("run this variant of the kernels, one of those that --cpu named (the best that "
                                        "the processor can)"),
                               cl::value_desc("CPU"), cl::cat(general_options())};
  cl::opt<bool> perf{"perf", cl::desc("write down code and lines for Linux' perf: /tmp/perf-PID.map, and a jitdump"),
                     cl::cat(compile_options())};

  unsigned threads() const { return static_cast<unsigned>(whole_number(threads_text, "threads", 1, 1024)); }
  int64_t seed() const { return whole_number(seed_text, "seed", INT64_MIN, INT64_MAX); }
  BuildOptions options() const;
};

// MODEL, or MODEL ENTRY: the words of a command line that are no options. Names in brackets, at the end, may be left out.
class Words {
public:
  explicit Words(std::vector<const char *> names) : names_(std::move(names)) {}
  // The words by position; throws Error where there are fewer or more than names.
  std::vector<std::string> get() const;

private:
  std::vector<const char *> names_;
  cl::list<std::string> words_{cl::Positional};
};

// The commands. They return the exit code, and throw Error.
int compile_command(int argc, const char *const *argv);
int run_command(int argc, const char *const *argv);
int train_command(int argc, const char *const *argv);
int bench_command(int argc, const char *const *argv);
int inspect_command(int argc, const char *const *argv);
int summary_command(int argc, const char *const *argv);
int objdump_command(int argc, const char *const *argv);
int gradcheck_command(int argc, const char *const *argv);
int fmt_command(int argc, const char *const *argv);
int docs_command(int argc, const char *const *argv);
int plot_command(int argc, const char *const *argv);

} // namespace nnc
