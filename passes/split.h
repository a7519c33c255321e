// Cutting a training step in two, so that a host can do something with the gradients in between.
#pragma once

#include "ir/function.h"

namespace nnc {

// Adds to the module, behind the entry `name`, two entries that one after the other do what it does:
//   name_gradients(inputs) -> (results, gradients)   writes only state that no gradient changes
//   name_update(gradients, inputs it needs)          writes the rest: parameters, moments
// The module is as written: derivatives are still requests. Throws Error where there is no such entry, where it asks for no
// gradient, or only in a loop, and where one gradient depends on an update by another.
void split_entry(Module &module, const std::string &name);

} // namespace nnc
