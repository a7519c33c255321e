// Tokens of the IR's text.
#pragma once

#include <string>
#include <string_view>

namespace nnc {

struct TextToken {
  enum class Kind {
    end,
    value,  // %name; text is without the %
    name,   // a word, dots included
    number, // digits, fraction, exponent; -inf too
    string, // text is between the quotes, escapes as written
    mark,   // "->" or one other character
  };
  Kind kind = Kind::end;
  std::string_view text;
  int line = 1, column = 1;

  bool is(std::string_view mark) const { return kind == Kind::mark && text == mark; }
  bool is_name(std::string_view name) const { return kind == Kind::name && text == name; }
};

class TextLexer {
public:
  TextLexer(std::string_view text, std::string file) : text_(text), file_(std::move(file)) { next(); }

  const TextToken &peek() const { return token_; }
  TextToken next(); // gives the current token and reads another
  // The comment lines right above the current token, without their "# ".
  const std::string &comment() const { return comment_; }

  [[noreturn]] void fail(const TextToken &at, const std::string &text) const;
  std::string unescaped(const TextToken &string) const;

private:
  void skip_blanks_and_comments();
  size_t while_in(size_t at, bool (*belongs)(char)) const;
  void read_number();
  void read_string();
  void take(TextToken::Kind kind, size_t begin, size_t end, size_t after);

  std::string_view text_;
  std::string file_;
  size_t at_ = 0, line_start_ = 0;
  int line_ = 1;
  TextToken token_;
  std::string comment_;
};

} // namespace nnc
