// Text of others (sources, names of files) as a terminal may show it.
#pragma once

#include <string>
#include <string_view>

namespace nnc {

// A control character, a mark that turns the writing direction, or a stray byte: what a terminal would obey or not show.
bool is_unprintable(std::string_view character);

// The text with what is unprintable written as `\x1b`. Line ends and tabs stay.
std::string printable(std::string_view text);

} // namespace nnc
