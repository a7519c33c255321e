// Escapes what a terminal would obey.
#include "frontend/printable.h"

#include "frontend/diagnostics.h"

#include <algorithm>
#include <fmt/format.h>

namespace nnc {

bool is_unprintable(std::string_view character) {
  const unsigned char first = character[0];
  if (first < 0x20 || first == 0x7f || (character.size() == 1 && first >= 0x80))
    return true;
  return (character.size() == 2 && character < "\xc2\xa0") ||                                         // U+0080–9F
         (character >= "\xe2\x80\x8b" && character <= "\xe2\x80\x8f") ||                              // U+200B–200F
         (character >= "\xe2\x80\xa8" && character <= "\xe2\x80\xae") ||                              // U+2028–202E
         (character >= "\xe2\x81\xa0" && character <= "\xe2\x81\xaf") || character == "\xef\xbb\xbf"; // U+2060–206F
}

std::string printable(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const std::string_view character = text.substr(i, std::max<size_t>(1, character_size(text, i)));
    i += character.size();
    if (character == "\n" || character == "\t" || !is_unprintable(character))
      out += character;
    else
      for (const char byte : character)
        out += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  }
  return out;
}

} // namespace nnc
