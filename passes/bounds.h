// Between which numbers the elements of a value lie, as far as its ops tell: so that a derivative need not guard against a
// divisor of 0 that cannot be, nor an exponential that cannot overflow.
#pragma once

#include "ir/function.h"

#include <limits>

namespace nnc {

struct Bounds {
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
};

Bounds product(Bounds a, Bounds b);
Bounds quotient(Bounds a, Bounds b); // unbounded where b may be 0

// Of numbers: NaN, and what overflows on the way, is not thought of.
Bounds bounds(const Region &region, Value value);

} // namespace nnc
