// A .nn file laid out as the project lays out its own.
#pragma once

#include "frontend/diagnostics.h"

#include <string>

namespace nnc {

// The text in the one form: what it means is unchanged, and so is a text that is in that form already. Breaks inside brackets
// and after operators, single blank lines, comments, blocks on one line and columns of `=` stay as the author chose them.
// If the text has syntax errors, they go to `diagnostics` and the result is empty.
std::string formatted(const Source &source, Diagnostics &diagnostics);

} // namespace nnc
