// Tokens of the IR's text: ASCII but for what stands in strings and comments. Any bytes are taken; the first that make no
// token are an Error with their place. Blank lines and comments separate; line ends mean nothing else.
#include "ir/text_lexer.h"

#include "ir/error.h"

#include <algorithm>
#include <fmt/format.h>

namespace nnc {

namespace {
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' || is_digit(c); }

int hex_digit(char c) {
  if (is_digit(c))
    return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
} // namespace

void TextLexer::fail(const TextToken &at, const std::string &text) const {
  throw Error(fmt::format("{}:{}:{}: error: {}", file_, at.line, at.column, text));
}

void TextLexer::skip_blanks_and_comments() {
  comment_.clear();
  bool comment = false, line_empty = line_start_ == at_;
  for (; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    if (c == '\n') {
      if (line_empty) { // a blank line parts a comment from what follows
        comment_.clear();
        comment = false;
      }
      ++line_;
      line_start_ = at_ + 1;
      line_empty = true;
    } else if (c == '#') {
      const size_t end = std::min(text_.find('\n', at_), text_.size());
      if (line_empty) {
        std::string_view line = text_.substr(at_ + 1, end - at_ - 1);
        if (line.substr(0, 1) == " ")
          line.remove_prefix(1);
        comment_ += comment ? "\n" : "";
        comment_ += line;
        comment = true;
      }
      line_empty = false;
      at_ = end - 1;
    } else if (c != ' ' && c != '\t' && c != '\r') {
      return;
    }
  }
}

void TextLexer::take(TextToken::Kind kind, size_t begin, size_t end, size_t after) {
  token_.kind = kind;
  token_.text = text_.substr(begin, end - begin);
  at_ = after;
}

size_t TextLexer::while_in(size_t at, bool (*belongs)(char)) const {
  while (at < text_.size() && belongs(text_[at]))
    ++at;
  return at;
}

void TextLexer::read_number() {
  const auto at = [this](size_t i) { return i < text_.size() ? text_[i] : '\0'; };
  size_t end = at_ + (text_[at_] == '-');
  if (text_.substr(end, 3) == "inf") {
    end += 3;
  } else {
    end = while_in(end, is_digit);
    if (at(end) == '.' && is_digit(at(end + 1)))
      end = while_in(end + 1, is_digit);
    if (at(end) == 'e') {
      const size_t sign = at(end + 1) == '-' || at(end + 1) == '+';
      if (is_digit(at(end + 1 + sign)))
        end = while_in(end + 1 + sign, is_digit);
    }
  }
  take(TextToken::Kind::number, at_, end, end);
}

void TextLexer::read_string() {
  size_t end = at_ + 1;
  while (end < text_.size() && text_[end] != '"' && text_[end] != '\n')
    end += text_[end] == '\\' ? 2 : 1;
  if (end >= text_.size() || text_[end] != '"')
    fail(token_, "the string is not closed: `\"` is missing on this line");
  take(TextToken::Kind::string, at_ + 1, end, end + 1);
}

TextToken TextLexer::next() {
  const TextToken current = token_;
  skip_blanks_and_comments();
  token_ = {};
  token_.line = line_;
  token_.column = static_cast<int>(at_ - line_start_) + 1;
  if (at_ >= text_.size())
    return current;
  const char c = text_[at_];
  const char after = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
  if (c == '%') {
    const size_t end = while_in(at_ + 1, is_word);
    take(TextToken::Kind::value, at_ + 1, end, end);
  } else if (is_digit(c) || (c == '-' && (is_digit(after) || after == 'i'))) {
    read_number();
  } else if (is_word(c) && c != '.') {
    const size_t end = while_in(at_, is_word);
    take(TextToken::Kind::name, at_, end, end);
  } else if (c == '"') {
    read_string();
  } else if (c == '-' && after == '>') {
    take(TextToken::Kind::mark, at_, at_ + 2, at_ + 2);
  } else if (std::string_view("()[]{}=,:@'/").find(c) != std::string_view::npos) {
    take(TextToken::Kind::mark, at_, at_ + 1, at_ + 1);
  } else if (c > ' ' && c < 0x7f) {
    fail(token_, fmt::format("unexpected `{}`", c));
  } else {
    fail(token_, fmt::format("unexpected byte 0x{:02x}", static_cast<unsigned char>(c)));
  }
  return current;
}

std::string TextLexer::unescaped(const TextToken &string) const {
  std::string result;
  const std::string_view text = string.text;
  for (size_t i = 0; i < text.size(); ++i) {
    const char escape = i + 1 < text.size() ? text[i + 1] : '\0';
    if (text[i] != '\\') {
      result += text[i];
    } else if (escape == '"' || escape == '\\') {
      result += escape;
      i += 1;
    } else if (escape == 'n') {
      result += '\n';
      i += 1;
    } else if (escape == 'x' && i + 3 < text.size() && hex_digit(text[i + 2]) >= 0 && hex_digit(text[i + 3]) >= 0) {
      result += static_cast<char>(hex_digit(text[i + 2]) * 16 + hex_digit(text[i + 3]));
      i += 3;
    } else {
      fail(string, "unknown escape: a string knows `\\\"`, `\\\\`, `\\n` and `\\x` with two digits");
    }
  }
  return result;
}

} // namespace nnc
