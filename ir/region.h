// Cutting a part out of a region.
#pragma once

#include "ir/function.h"

namespace nnc {

// The part that computes `results` from `args`, any values of the region, which become the arguments in this order.
Region extract(const Region &from, const std::vector<Value> &args, const std::vector<Value> &results);

} // namespace nnc
