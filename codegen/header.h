// The C header that goes with an artefact.
#pragma once

#include "ir/plan.h"

#include <string_view>

namespace nnc {

// Needs no other file of ours: the declarations of runtime/abi.h are in it. For C99 and C++.
std::string c_header(const Plan &plan);

struct EmbeddedHeader {
  std::string_view name, text;
};
const std::vector<EmbeddedHeader> &abi_header(); // runtime/abi.h, built into the compiler

} // namespace nnc
