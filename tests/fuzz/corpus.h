// What is mutated: the programs of the tree, their modules as text, and small data files.
#pragma once

#include <string>
#include <vector>

namespace nnc {

// Programs of at most some thousand characters: examples, tests, and the cases of tests/golden/errors. Of a file with many
// entries each is a text of its own, with what is not an entry before it.
std::vector<std::string> program_texts();
// Those programs at three stages of the compiler, and what is wrong in tests/golden/errors.
std::vector<std::string> module_texts();

struct DataFile {
  enum class Kind : uint8_t { npy, idx, safetensors };
  Kind kind;
  std::string bytes; // not compressed
};
std::vector<DataFile> data_files();

std::string gzip(const std::string &bytes);

} // namespace nnc
