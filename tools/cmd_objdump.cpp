// `nnc objdump MODEL ENTRY`: the machine code of the kernels that an entry calls, below the lines it comes from. A source is
// compiled in memory; either way what is printed is read from the bytes of a library.
#include "codegen/disassemble.h"
#include "frontend/standard_library.h"
#include "ir/error.h"
#include "runtime/file.h"
#include "tools/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <map>

namespace nnc {

namespace {

const HelpPage page = {
    "  nnc objdump MODEL ENTRY [options]\n",
    "Prints the machine code of the kernels that an entry calls, below the lines of the source that it comes from. MODEL is a\n"
    ".nn, or a .so made with -g. Names with primes (dense') are derived code.",
    R"(  nnc objdump examples/mnist.nn train_step
  nnc objdump examples/mnist.nn predict --target=aarch64-linux-gnu
  nnc examples/mnist.nn -g -o mnist.so && nnc objdump mnist.so predict
)"};

// The lines of sources, read when first asked for. What cannot be read has none: a library may be far from its source.
class Sources {
public:
  std::string line(const std::string &file, int number) {
    const auto [entry, is_new] = files_.try_emplace(file);
    if (is_new)
      entry->second = read(file);
    const std::vector<std::string> &lines = entry->second;
    if (number < 1 || number > static_cast<int>(lines.size()))
      return "";
    const std::string &text = lines[number - 1];
    return text.substr(std::min(text.find_first_not_of(" \t"), text.size()));
  }

private:
  std::map<std::string, std::vector<std::string>> files_;

  static std::vector<std::string> read(const std::string &file) {
    std::string text;
    for (const auto &known : standard_library())
      if (file == "std/" + std::string(known.name))
        text = known.text;
    try {
      if (text.empty())
        text = read_file(file);
    } catch (const std::exception &) {
      return {};
    }
    std::vector<std::string> lines;
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      lines.push_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
    return lines;
  }
};

void print(const KernelCode &kernel, Sources &sources) {
  fmt::print("{}  {}\n", kernel.symbol, kernel.summary);
  std::vector<SourceLine> before;
  for (const Instruction &instruction : kernel.instructions) {
    const std::vector<SourceLine> &levels = instruction.source;
    if (!levels.empty() && levels != before) {
      size_t same = 0; // levels that were said last; the innermost is said in any case
      while (same + 1 < levels.size() && same < before.size() && levels[same] == before[same])
        ++same;
      for (size_t i = same; i < levels.size(); ++i)
        fmt::print("{}{:<24} {:<20} {}\n", std::string(2 + 2 * i, ' '), fmt::format("{}:{}", levels[i].file, levels[i].line),
                   levels[i].function, sources.line(levels[i].file, levels[i].line));
      before = levels;
    }
    const size_t tab = std::min(instruction.text.find('\t'), instruction.text.size());
    fmt::print("{:>16x}:  {:<14} {}\n", instruction.address, instruction.text.substr(0, tab),
               instruction.text.substr(std::min(tab + 1, instruction.text.size())));
  }
}

} // namespace

int objdump_command(int argc, const char *const *argv) {
  Words words({"MODEL", "ENTRY"});
  cl::opt<std::string> triple("target", cl::desc("compile for another machine, such as aarch64-linux-gnu"),
                              cl::value_desc("TRIPLE"), cl::cat(compile_options()));
  BuildFlags flags;
  if (!parse_command_line(argc, argv, page))
    return 0;
  const std::vector<std::string> names = words.get();
  const std::string &file = names[0], &entry = names[1];
  std::string library;
  if (is_source_file(file)) {
    BuildOptions options = flags.options();
    options.debug_info = true;
    options.target = triple;
    library = shared_library(build_model(file, options, {entry}).artefact);
  } else {
    library = read_file(file);
  }
  Sources sources;
  const std::vector<KernelCode> kernels = disassemble(library, file, entry);
  for (const KernelCode &kernel : kernels) {
    fmt::print("{}", &kernel == kernels.data() ? "" : "\n");
    print(kernel, sources);
  }
  return 0;
}

} // namespace nnc
