// SHA-256, which tells sources apart.
#pragma once

#include <string>
#include <string_view>

namespace nnc {

std::string sha256(std::string_view bytes); // hexadecimal

} // namespace nnc
