// Error: what is said to the user. Thrown inside the compiler, caught at its borders (the driver, the C++ host header).
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace nnc {

// A failure caused by input: a model, a data file, a flag. `what()` is the finished text, without a trailing newline:
// `file:line:col: error: …` where there is a place, else the file's name and what is wrong.
struct Error : std::runtime_error {
  explicit Error(std::string text) : std::runtime_error(std::move(text)) {}
};

} // namespace nnc
