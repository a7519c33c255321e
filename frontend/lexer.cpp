// Text to tokens.
//
// A line end becomes a token only where it ends a statement: not inside brackets and not after an operator, `,`, `=` or
// `->`. Blocks never stand inside brackets, so counting brackets is enough; and where a brace, or a word that only a
// statement starts with, comes first on a line inside brackets, a bracket was left open: the lexer takes all as closed
// there and the parser, which knows where it opened, says so. Characters with an obvious meaning in other languages
// (`&`, `'…'`) are reported and read as what they mean, so that one slip gives one error.
#include "frontend/lexer.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <unordered_map>
#include <utility>

namespace nnc {

namespace {

const std::unordered_map<std::string_view, Tok> words = {
#define WORD(id, text) {text, Tok::id},
#include "frontend/tokens.def"
};
constexpr std::pair<std::string_view, Tok> signs[] = {
#define SIGN(id, text) {text, Tok::id},
#include "frontend/tokens.def"
};
// What other languages write, and what is read in its place.
struct Foreign {
  std::string_view text;
  Tok kind;
  std::string_view message;
};
constexpr Foreign foreign[] = {
    {"&&", Tok::kw_and, "write `and` instead of `&&`"},
    {"&", Tok::kw_and, "there is no operator `&`: write `and`, also between tensors"},
    {"||", Tok::kw_or, "write `or` instead of `||`"},
    {"|", Tok::kw_or, "there is no operator `|`: write `or`, also between tensors"},
    {"!", Tok::kw_not, "write `not` instead of `!`"},
    {"~", Tok::kw_not, "there is no operator `~`: write `not`, also before a tensor"},
    {"^", Tok::power, "there is no operator `^`: a power is `x ** 2`"},
    {"?", Tok::invalid, "there is no `?`: write `where(c, a, b)`, or an `if` block for what is known when compiling"},
    {"\\", Tok::invalid, "unexpected `\\`: a line goes on inside brackets and after an operator"},
    {"−", Tok::minus, "this minus sign is not the ASCII one: write `-`"},
    {"×", Tok::star, "write `*` instead of `×`"},
    {"·", Tok::star, "write `*` instead of `·`"},
    {"“", Tok::invalid, "strings stand in straight quotes: \"…\""},
    {"”", Tok::invalid, "strings stand in straight quotes: \"…\""},
};

constexpr size_t max_name = 255;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name_part(char c) { return is_name_start(c) || is_digit(c); }

// A line that ends in one of these goes on: operators, `,`, `=` and `->`.
bool goes_on(Tok kind) {
  return (kind >= Tok::range && kind <= Tok::comma && kind != Tok::dot && kind != Tok::colon) || kind == Tok::kw_and ||
         kind == Tok::kw_or || kind == Tok::kw_not;
}

class Lexer {
public:
  Lexer(const Source &source, Diagnostics &diagnostics) : source_(source), text_(source.text()), diagnostics_(diagnostics) {}

  Tokens run() {
    if (is_text())
      while (at_ < text_.size() && diagnostics_.error_count() < Diagnostics::max_kept)
        step();
    push(Tok::end, text_.size(), text_.size());
    return std::move(out_);
  }

private:
  const Source &source_;
  std::string_view text_;
  Diagnostics &diagnostics_;
  Tokens out_;
  size_t at_ = 0;
  bool first_ = true; // no token on this line yet
  size_t open_ = 0;   // brackets

  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  Tok previous() const { return out_.tokens.empty() ? Tok::line_end : out_.tokens.back().kind; }
  void push(Tok kind, size_t begin, size_t end) {
    out_.tokens.push_back({kind, first_, static_cast<uint32_t>(begin), static_cast<uint32_t>(end)});
    first_ = false;
  }
  Span span(size_t begin, size_t end) const { return {&source_, static_cast<uint32_t>(begin), static_cast<uint32_t>(end)}; }

  bool is_text() {
    if (text_.size() > Source::max_size) {
      diagnostics_.error(span(0, 0), "the file is larger than 1 GB");
      return false;
    }
    for (size_t i = 0; i < text_.size();) {
      size_t size = character_size(text_, i);
      if (size == 0 || text_[i] == '\0') {
        diagnostics_.error(span(i, i + 1),
                           fmt::format("byte 0x{:02x}: this file is not UTF-8 text", static_cast<unsigned char>(text_[i])));
        return false;
      }
      i += size;
    }
    return true;
  }

  void step() {
    char c = peek();
    if (c == '\n')
      line_end();
    else if (c == ' ' || c == '\t' || (c == '\r' && peek(1) == '\n'))
      ++at_;
    else if (c == '#')
      comment();
    else if (text_.substr(at_).starts_with("/*") || text_.substr(at_).starts_with("\"\"\"") ||
             text_.substr(at_).starts_with("'''"))
      foreign_comment();
    else if (is_name_start(c))
      word();
    else if (is_digit(c) || (c == '.' && is_digit(peek(1))))
      number();
    else if (c == '"' || c == '\'')
      string();
    else
      sign();
  }

  void end_statement(size_t begin, size_t end) {
    if (previous() != Tok::line_end)
      push(Tok::line_end, begin, end);
  }

  void line_end() {
    if (open_ == 0 && !goes_on(previous()))
      end_statement(at_, at_ + 1);
    ++at_;
    first_ = true;
  }

  void comment() {
    size_t begin = at_;
    at_ = std::min(text_.find('\n', at_), text_.size());
    size_t end = at_ > begin && text_[at_ - 1] == '\r' ? at_ - 1 : at_;
    out_.comments.push_back({span(begin, end), first_});
  }

  // Up to its end, or to that of the file.
  void foreign_comment() {
    size_t begin = at_;
    std::string_view open = text_.substr(at_, peek() == '/' ? 2 : 3);
    diagnostics_.error(span(begin, begin + open.size()),
                       fmt::format("there is no `{}`: each line of a comment starts with `#`", open));
    size_t close = text_.find(peek() == '/' ? "*/" : open, at_ + open.size());
    at_ = close == std::string_view::npos ? text_.size() : close + open.size();
  }

  void word() {
    size_t begin = at_;
    while (is_name_part(peek()))
      ++at_;
    if (at_ - begin == 1 && (peek() == '"' || peek() == '\'')) {
      diagnostics_.error(span(begin, at_), "no letter stands before a string; `require` puts in the values of names in braces");
      return;
    }
    if (at_ - begin > max_name) {
      diagnostics_.error(span(begin, at_),
                         fmt::format("a name of {} characters: at most {} are possible", at_ - begin, max_name));
      push(Tok::invalid, begin, at_);
      return;
    }
    auto found = words.find(text_.substr(begin, at_ - begin));
    Tok kind = found == words.end() ? Tok::name : found->second;
    // `: fn` over a line end is a kind in a signature.
    if (first_ && open_ > 0 && (starts_declaration(kind) || starts_statement(kind)) && previous() != Tok::colon)
      close_all();
    push(kind, begin, at_);
  }

  void close_all() {
    open_ = 0;
    bool first = std::exchange(first_, false);
    end_statement(at_, at_);
    first_ = first;
  }

  void digits() {
    while (is_digit(peek()) || (peek() == '_' && is_digit(peek(1)) && is_digit(text_[at_ - 1])))
      ++at_;
  }

  void number() {
    size_t begin = at_;
    std::string_view wrong;
    if (peek() != '.')
      digits();
    if (peek() == '.' && peek(1) != '.') {
      ++at_;
      if (is_digit(peek()))
        digits();
      else
        wrong = "`{}` ends in a point: write `{}0`";
    }
    if (peek() == 'e' || peek() == 'E') {
      size_t sign = peek(1) == '+' || peek(1) == '-';
      if (is_digit(peek(1 + sign))) {
        at_ += 1 + sign;
        digits();
      }
    }
    if (wrong.empty() && (is_name_part(peek()) || (peek() == '.' && is_digit(peek(1))))) {
      while (is_name_part(peek()) || (peek() == '.' && is_digit(peek(1))))
        ++at_;
      wrong = "`{}` is neither a number nor a name";
    }
    if (!wrong.empty()) {
      std::string_view number = text_.substr(begin, std::min<size_t>(at_ - begin, 40));
      diagnostics_.error(span(begin, at_), fmt::format(fmt::runtime(wrong), number, number));
    }
    push(wrong.empty() ? Tok::number : Tok::invalid, begin, at_);
  }

  void string() {
    size_t begin = at_++;
    char quote = text_[begin];
    while (peek() != quote) {
      if (at_ >= text_.size() || peek() == '\n') {
        if (text_[at_ - 1] == '\r')
          --at_;
        diagnostics_.error(span(begin, begin + 1), fmt::format("the string is not closed: `{}` is missing on this line", quote));
        push(Tok::invalid, begin, at_);
        return;
      }
      if (peek() == '\\') {
        if (peek(1) != '"' && peek(1) != '\\' && peek(1) != 'n' && peek(1) != 't')
          diagnostics_.error(span(at_, at_ + 1), "unknown escape: a string knows `\\\"`, `\\\\`, `\\n` and `\\t`");
        else
          ++at_;
      }
      ++at_;
    }
    ++at_;
    if (quote == '\'')
      diagnostics_.error(span(begin, at_), "strings stand in double quotes: \"…\"");
    push(Tok::string, begin, at_);
  }

  void sign() {
    std::string_view rest = text_.substr(at_);
    if (rest[0] == ';') {
      semicolon();
      return;
    }
    for (auto [text, kind] : signs)
      if (rest.starts_with(text)) {
        count_brackets(kind);
        bool arithmetic = kind >= Tok::power && kind <= Tok::minus && kind != Tok::arrow;
        size_t size = text.size();
        if (arithmetic && peek(size) == '=' && peek(size + 1) != '=') {
          kind = Tok::assign_op;
          ++size;
        }
        push(kind, at_, at_ + size);
        at_ += size;
        return;
      }
    for (const Foreign &known : foreign)
      if (rest.starts_with(known.text)) {
        diagnostics_.error(span(at_, at_ + known.text.size()), std::string(known.message));
        push(known.kind, at_, at_ + known.text.size());
        at_ += known.text.size();
        return;
      }
    unexpected();
  }

  void semicolon() {
    if (open_ > 0) {
      diagnostics_.error(span(at_, at_ + 1), "`;` ends a statement: inside brackets write `,`");
      push(Tok::comma, at_, at_ + 1);
    } else {
      end_statement(at_, at_ + 1);
    }
    ++at_;
  }

  void count_brackets(Tok kind) {
    if (kind == Tok::open_paren || kind == Tok::open_bracket)
      ++open_;
    else if ((kind == Tok::close_paren || kind == Tok::close_bracket) && open_ > 0)
      --open_;
    else if ((kind == Tok::open_brace || kind == Tok::close_brace) && open_ > 0)
      close_all();
  }

  void unexpected() {
    size_t begin = at_;
    at_ += character_size(text_, at_);
    unsigned char c = text_[begin];
    if (c >= 0x80 || c == '$')
      diagnostics_.error(span(begin, at_),
                         fmt::format("unexpected `{}`: names are made of the letters a-z and A-Z, digits and `_`",
                                     text_.substr(begin, at_ - begin)));
    else if (c < 0x20 || c == 0x7f)
      diagnostics_.error(span(begin, at_), fmt::format("unexpected control character 0x{:02x}", c));
    else
      diagnostics_.error(span(begin, at_), fmt::format("unexpected `{}`", static_cast<char>(c)));
    push(Tok::invalid, begin, at_);
  }
};

} // namespace

bool starts_declaration(Tok kind) { return kind >= Tok::kw_use && kind <= Tok::kw_entry; }

bool starts_statement(Tok kind) {
  return (kind >= Tok::kw_param && kind <= Tok::kw_scan) || kind == Tok::kw_yield || kind == Tok::kw_if ||
         (kind >= Tok::kw_require && kind <= Tok::kw_return);
}

std::string unescape(std::string_view inside) {
  std::string out;
  for (size_t i = 0; i < inside.size(); ++i) {
    char c = inside[i];
    if (c == '\\' && i + 1 < inside.size()) {
      c = inside[++i];
      c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
    }
    out += c;
  }
  return out;
}

Tokens lex(const Source &source, Diagnostics &diagnostics) { return Lexer(source, diagnostics).run(); }

} // namespace nnc
