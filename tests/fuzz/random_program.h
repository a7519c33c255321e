// Programs from a number that every compiler must take: loops in loops with carries, slices and stacks that may or may not be
// needed, and derivatives of what comes out of them, to second order. In f64 and tame, so that values can be compared.
#pragma once

#include "tests/fuzz/mutate.h"

namespace nnc {

std::string random_program(Numbers &random);

} // namespace nnc
