// What mutants are given to. Each says what is wrong with what the compiler or a reader made of one: "" where it was taken, or
// refused as it should be.
#pragma once

#include "tests/fuzz/corpus.h"
#include "tests/fuzz/mutate.h"

namespace nnc {

// As a .nn file, or as a .nnir: through the frontend, the passes and planning; some are verified after each pass, formatted, run
// by the Plan interpreter or compiled.
std::string problem_in_program(const std::string &text, Numbers &random);
std::string problem_in_module(const std::string &text, Numbers &random);

// A program that must compile: what comes out of every way through the compiler is what the interpreter gives, and the gradients
// are differences.
std::string problem_in_right_program(const std::string &text, Numbers &random);

// As a file of this name's kind: by every reader that could get it, and as data and weights of a small model.
std::string problem_in_file(DataFile::Kind kind, const std::string &bytes);

} // namespace nnc
