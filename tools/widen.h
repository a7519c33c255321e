// The program in double: what is checked there is the program, not the rounding of f32.
#pragma once

#include "ir/function.h"

namespace nnc {

// Every float type becomes f64, and so do casts to floats and the numbers of constants.
void widen(Module &module);
Tensor widened(const Tensor &tensor);

} // namespace nnc
