// The small parts that the IR's text is made of, read from tokens: lists, numbers, types, places, literals.
#pragma once

#include "ir/function.h"
#include "ir/text_lexer.h"

#include <limits>

namespace nnc {

class TextReader {
public:
  TextReader(std::string_view text, const std::string &file) : lexer_(text, file) {}

protected:
  using Token = TextToken;
  using Kind = TextToken::Kind;

  // Take what must come, or fail with "expected …, found …".
  Token expect(Kind kind, std::string_view what);
  void expect(std::string_view mark);
  void expect_name(std::string_view name);
  bool accept(std::string_view mark);
  [[noreturn]] void expected(std::string_view what);

  // item {"," item}
  template <typename Item> void list(Item item) {
    do
      item();
    while (accept(","));
  }
  // [item {"," item}] closing
  template <typename Item> void list_until(std::string_view closing, Item item) {
    if (accept(closing))
      return;
    list(item);
    expect(closing);
  }

  std::string string();
  int64_t whole(int64_t least = std::numeric_limits<int64_t>::min(), int64_t largest = std::numeric_limits<int64_t>::max());
  int count() { return static_cast<int>(whole(0, std::numeric_limits<int>::max())); }
  Shape whole_list();
  Type type();
  std::vector<Type> types();
  Loc place(); // Loc() where there is none

  static bool is_literal(const Token &token);
  Token literal();
  // Writes the literal as element i.
  void store(Tensor &tensor, int64_t i, const Token &token);

  TextLexer lexer_;

private:
  template <typename T> T number(const Token &token, DType dtype);
};

} // namespace nnc
