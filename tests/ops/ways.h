// A sample (a function with what it is called on) through the whole compiler in several ways, each held against the interpreter.
#pragma once

#include "passes/passes.h"
#include "tests/ops/reference.h"

namespace nnc {

struct Sample {
  Module module; // the first function is run; it may ask for derivatives
  std::vector<Tensor> inputs, states;
};

// From IR text, with random inputs and states: floats in [-2, 2], integers in 0..11.
Sample sample_of_text(const std::string &text);
Tensor random_tensor(const Type &type, uint64_t seed);

struct Way {
  std::string name;
  PassOptions passes;
  std::string cpu; // as make_target takes it; empty: the Plan interpreter only
};

// The default passes, fusion of the function as it is written, and fusion without merges.
Way whole_pipeline(const std::string &cpu);
Way fusion_alone(const std::string &cpu);
Way without_merges(const std::string &cpu);

Reference reference_of(const Sample &sample);

// "" or what is wrong: the plan breaks a rule, the Plan interpreter or the code gives something else than the interpreter, or the
// code gives other bits with other threads or another placement of its operands.
std::string problem_in(const Sample &sample, const Reference &reference, const Way &way);
std::string problem_in(const Sample &sample, const Way &way);

// The functions of a module of IR text (without its first line), in every way on every processor.
std::string problem_in_text(const std::string &text);

} // namespace nnc
