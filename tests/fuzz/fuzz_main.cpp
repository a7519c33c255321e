// fuzz: mutants by number. `fuzz programs 0 1000000` runs a million of them and says which crash, hang, take too much memory or
// end in an error that is no user's; `fuzz programs 4711 1 --print` shows one. `random` are no mutants, but programs that must
// compile and give what the interpreter gives.
#include "tests/fuzz/limits.h"
#include "tests/fuzz/random_program.h"
#include "tests/fuzz/subjects.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <set>
#include <span>

namespace {

using namespace nnc;

constexpr const char *usage = "fuzz programs|modules|files|random FIRST COUNT [--out=FOLDER] [--most=PROBLEMS] [--print]\n";

struct Mutants {
  std::function<std::string(uint64_t)> make;
  CaseFunction run;
};

uint64_t seed_of(uint64_t kind, uint64_t index) { return (index + 1) * 0x9e3779b97f4a7c15ull ^ kind << 56; }

Mutants text_mutants(uint64_t kind, const std::vector<std::string> &texts, int typed,
                     std::string (*problem)(const std::string &, Numbers &)) {
  const TextMutator mutator(texts, typed);
  return {[=](uint64_t i) {
            Numbers random(seed_of(kind, i));
            return mutator.mutant(random);
          },
          [=](uint64_t i) {
            Numbers random(seed_of(kind, i));
            const std::string text = mutator.mutant(random);
            return problem(text, random);
          }};
}

// A header is text as well, and compressed files are also changed before they are compressed.
Mutants file_mutants() {
  const std::vector<DataFile> files = data_files();
  std::vector<std::string> texts;
  for (const DataFile &file : files)
    texts.push_back(file.bytes);
  const auto make = [files, mutator = TextMutator(texts, 0)](uint64_t i, DataFile::Kind &kind) {
    Numbers random(seed_of(3, i));
    const DataFile &file = random.one_of(files);
    kind = file.kind;
    std::string bytes = file.bytes;
    const bool is_idx = kind == DataFile::Kind::idx, pack_first = is_idx && random.chance(30);
    if (pack_first)
      bytes = gzip(bytes);
    do
      if (!is_idx && random.chance(50)) {
        std::vector<Piece> pieces = pieces_of(bytes);
        mutator.change(pieces, random);
        bytes = joined(pieces);
      } else {
        change_bytes(bytes, random);
      }
    while (random.chance(45));
    return is_idx && !pack_first && random.chance(30) ? gzip(bytes) : bytes;
  };
  return {[=](uint64_t i) {
            DataFile::Kind kind;
            return make(i, kind);
          },
          [=](uint64_t i) {
            DataFile::Kind kind;
            const std::string bytes = make(i, kind);
            return problem_in_file(kind, bytes);
          }};
}

Mutants random_programs() {
  return {[](uint64_t i) {
            Numbers random(seed_of(4, i));
            return random_program(random);
          },
          [](uint64_t i) {
            Numbers random(seed_of(4, i));
            const std::string text = random_program(random);
            return problem_in_right_program(text, random);
          }};
}

int run(const std::string &what, uint64_t first, uint64_t count, const std::string &out, uint64_t most, bool print) {
  const Mutants mutants = what == "programs"  ? text_mutants(1, program_texts(), 0, problem_in_program)
                          : what == "modules" ? text_mutants(2, module_texts(), 80, problem_in_module)
                          : what == "files"   ? file_mutants()
                                              : random_programs();
  if (print) {
    for (uint64_t i = first; i < first + count; ++i)
      fmt::print("{}\n", mutants.make(i));
    return 0;
  }
  const auto start = std::chrono::steady_clock::now();
  uint64_t problems = 0;
  run_cases(first, count, {}, mutants.run, [&](uint64_t i, const std::string &said) {
    fmt::print("---- {} {}: {}\n", what, i, said);
    std::fflush(stdout);
    if (!out.empty())
      std::ofstream(fmt::format("{}/{}-{}", out, what, i), std::ios::binary) << mutants.make(i);
    return ++problems < most;
  });
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  fmt::print("{}: {} problems in {} mutants from {}, {:.1f} s\n", what, problems, count, first, elapsed.count());
  return problems ? 1 : 0;
}

} // namespace

int main(int argc, char **argv) {
  std::string out;
  uint64_t most = 20;
  bool print = false;
  std::vector<std::string> words;
  for (const std::string word : std::span(argv + 1, argv + argc))
    if (word.starts_with("--out="))
      out = word.substr(6);
    else if (word.starts_with("--most="))
      most = std::strtoull(word.c_str() + 7, nullptr, 10);
    else if (word == "--print")
      print = true;
    else
      words.push_back(word);
  if (words.size() != 3 || !std::set<std::string>{"programs", "modules", "files", "random"}.contains(words[0])) {
    fmt::print(stderr, "{}", usage);
    return 2;
  }
  return run(words[0], std::strtoull(words[1].c_str(), nullptr, 10), std::strtoull(words[2].c_str(), nullptr, 10), out, most,
             print);
}
