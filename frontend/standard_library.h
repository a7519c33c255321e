// The standard library's sources, built into the compiler from frontend/std/*.nn.
#pragma once

#include <string_view>
#include <vector>

namespace nnc {

struct LibraryFile {
  std::string_view name, text;
};
const std::vector<LibraryFile> &standard_library(); // in order of name

} // namespace nnc
