// Escapes what a terminal would obey.
#include "ir/printable.h"

#include <algorithm>
#include <fmt/format.h>

namespace nnc {

size_t character_size(std::string_view text, size_t at) {
  auto byte = [&](size_t i) -> unsigned { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0; };
  auto inner = [&](size_t i, unsigned low = 0x80, unsigned high = 0xbf) { return byte(i) >= low && byte(i) <= high; };
  unsigned first = byte(at);
  if (at >= text.size())
    return 0;
  if (first < 0x80)
    return 1;
  // The second byte's bounds exclude overlong forms, surrogates and what is above U+10FFFF (Unicode 15, table 3-7).
  if (first >= 0xc2 && first <= 0xdf)
    return inner(at + 1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef)
    return inner(at + 1, first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf) && inner(at + 2) ? 3 : 0;
  if (first >= 0xf0 && first <= 0xf4)
    return inner(at + 1, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf) && inner(at + 2) && inner(at + 3) ? 4 : 0;
  return 0;
}

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
