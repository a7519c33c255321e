// The C header that goes with an artefact.
#pragma once

#include "ir/plan.h"

#include <string>
#include <string_view>

namespace nnc {

struct HeaderOptions {
  std::string name = {}, identity = {}; // as in ArtefactOptions
  // The header goes with an object or a static library, not with a shared one, which may be replaced by a later: who includes it
  // asks the linker for the very object.
  bool is_linked = false;
};

// Needs no other file of ours: the declarations of runtime/abi.h are in it. For C99 and C++.
std::string c_header(const Plan &plan, const HeaderOptions &options = {});

struct EmbeddedHeader {
  std::string_view name, text;
};
const std::vector<EmbeddedHeader> &abi_header(); // runtime/abi.h, built into the compiler

} // namespace nnc
