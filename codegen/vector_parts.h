// What elementary functions share. Internal to the vector code.
#pragma once

#include "codegen/lane_value.h"

#include <functional>
#include <span>
#include <string_view>

namespace nnc {

// The layout of a float format, and ln 2 in two parts: n * ln2_high is exact for every exponent n.
struct FloatFormat {
  int mantissa_bits;
  int bias;
  double ln2_high, ln2_low;
};

FloatFormat float_format(LaneValue x);

// e^(high + low), where low is the rest of a rounded high.
LaneValue exp_of_sum(LaneValue high, LaneValue low);

// What is too long to be inlined is one internal function of the module for a dtype and width, made when it is first asked for.
// Operands that are all uniform give a call on scalars.
using FormulaBody = std::function<LaneValue(std::span<const LaneValue>)>;
llvm::Value *call_formula(const Lanes &lanes, std::string_view name, std::span<llvm::Value *const> operands,
                          const FormulaBody &body);

} // namespace nnc
