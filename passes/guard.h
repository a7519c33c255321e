// Guards: what --check=bounds adds to a plan, so that code finds out when it would touch memory that is not its own.
#pragma once

#include "ir/plan.h"

namespace nnc {

// Gives every kernel its guards (ir/guard.h), sets them at the start of every entry, and looks at them behind every call. The
// kernels are then for guard_kernel; interpreters do not run such a plan. What a guard finds is found too late for the
// promise that an entry that fails has written nothing.
void add_guards(Plan &plan);

} // namespace nnc
