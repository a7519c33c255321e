// Reference: what the interpreter gives for a function, and how far another correct evaluation may be from it.
//
// A bound on the error of a whole graph cannot be written down, but it can be measured: the function is evaluated again with
// every rounding replaced by a random one several times as large. Where that moves an element, so may summing in another order,
// rounding a product once with its sum, or the rules of simplify; what it does not move has to come out exactly.
#pragma once

#include "ir/interpreter.h"

#include <string>
#include <vector>

namespace nnc {

struct Reference {
  RunResult result;                       // states: all of the module, after the call
  std::vector<std::vector<double>> slack; // of each output, then of each state: by element, infinite where nothing is certain
};

// `function` has no requests for derivatives.
Reference make_reference(const Module &module, const Function &function, std::span<const Tensor> inputs,
                         std::span<const Tensor> states);

// "" or the first element of `actual` that is further from the reference than its slack. `actual` may leave out states if it
// has none at all.
std::string difference(const Reference &reference, const RunResult &actual);

} // namespace nnc
