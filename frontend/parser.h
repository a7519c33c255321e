// Text to syntax tree.
#pragma once

#include "frontend/ast.h"

namespace nnc {

// Parses a file by the whole grammar of docs/language.md. Never throws on bad text: what is wrong goes to `diagnostics`,
// with all errors of the file in one run, and the statements and declarations concerned are left out of the tree; so
// it is worth checking further only when `diagnostics` has no errors. A file without declarations is an error.
// Time and memory are linear in the text, and recursion is bounded by ast::max_depth.
ast::File parse(const Source &source, Diagnostics &diagnostics);

} // namespace nnc
