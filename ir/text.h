// The IR as text, both ways. Law: print(parse(print(m))) == print(m).
#pragma once

#include "ir/function.h"

namespace nnc {

std::string print(const Module &module);
// Throws Error "file:line:col: error: …" on bad text; the module it returns has passed the verifier.
Module parse_module(std::string_view text, const std::string &file);

} // namespace nnc
