// Machine code and where it comes from, read back from a library.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nnc {

// A level of the chain of calls in the source.
struct SourceLine {
  std::string file, function; // function: with primes in derived code
  int line = 0;

  bool operator==(const SourceLine &) const = default;
};

struct Instruction {
  uint64_t address = 0;
  std::string text;               // "vaddps\t%zmm0, %zmm1, %zmm2"
  std::vector<SourceLine> source; // outermost first; of code without a place, empty
};

struct KernelCode {
  std::string symbol, summary; // "mnist.k3"; recipe and what it computes
  std::vector<Instruction> instructions;
};

// The kernels that an entry calls, in the order of the first calls. `library`: the bytes of a shared library; `file`: its name,
// for messages. Throws Error where it was made without debug information, and where there is no such entry.
std::vector<KernelCode> disassemble(const std::string &library, const std::string &file, const std::string &entry);

} // namespace nnc
