// Reading lists, numbers, types, places and literals of the IR's text. Whatever does not fit is an Error at its token.
#include "ir/text_reader.h"

#include "ir/error.h"

#include <charconv>
#include <cmath>
#include <fmt/format.h>

namespace nnc {

TextToken TextReader::expect(Kind kind, std::string_view what) {
  if (lexer_.peek().kind != kind)
    expected(what);
  return lexer_.next();
}

void TextReader::expect(std::string_view mark) {
  if (!accept(mark))
    expected(fmt::format("`{}`", mark));
}

void TextReader::expect_name(std::string_view name) {
  if (!lexer_.peek().is_name(name))
    expected(fmt::format("`{}`", name));
  lexer_.next();
}

bool TextReader::accept(std::string_view mark) {
  if (!lexer_.peek().is(mark))
    return false;
  lexer_.next();
  return true;
}

void TextReader::expected(std::string_view what) {
  const Token &token = lexer_.peek();
  const std::string found = token.kind == Kind::end ? "the end" : fmt::format("`{}`", token.text);
  lexer_.fail(token, fmt::format("expected {}, found {}", what, found));
}

std::string TextReader::string() { return lexer_.unescaped(expect(Kind::string, "a string")); }

int64_t TextReader::whole(int64_t least, int64_t largest) {
  const Token token = expect(Kind::number, "a whole number");
  const int64_t value = number<int64_t>(token, DType::i64);
  if (value < least || value > largest)
    lexer_.fail(token, fmt::format("`{}` is not in {}..{}", token.text, least, largest));
  return value;
}

Shape TextReader::whole_list() {
  Shape list;
  expect("[");
  list_until("]", [&] { list.push_back(whole()); });
  return list;
}

Type TextReader::type() {
  const Token token = expect(Kind::name, "a type");
  const std::optional<DType> dtype = dtype_from_name(token.text);
  if (!dtype)
    lexer_.fail(token, fmt::format("unknown dtype `{}`", token.text));
  Shape shape = lexer_.peek().is("[") ? whole_list() : Shape{};
  try {
    return checked_type(*dtype, std::move(shape));
  } catch (const Error &error) {
    lexer_.fail(token, error.what());
  }
}

std::vector<Type> TextReader::types() {
  std::vector<Type> types;
  list([&] { types.push_back(type()); });
  return types;
}

Loc TextReader::place() {
  Loc loc;
  if (!accept("@"))
    return loc;
  loc.line = count();
  expect(":");
  loc.column = count();
  if (accept(":")) {
    loc.file = loc.line;
    loc.line = loc.column;
    loc.column = count();
  }
  while (accept("'"))
    ++loc.order;
  if (accept("/"))
    loc.path = count();
  return loc;
}

bool TextReader::is_literal(const Token &token) {
  return token.kind == Kind::number || token.is_name("inf") || token.is_name("nan") || token.is_name("true") ||
         token.is_name("false");
}

TextToken TextReader::literal() {
  if (!is_literal(lexer_.peek()))
    expected("a number");
  return lexer_.next();
}

template <typename T> T TextReader::number(const Token &token, DType dtype) {
  T value{};
  const char *end = token.text.data() + token.text.size();
  const auto [parsed, error] = std::from_chars(token.text.data(), end, value);
  if (error != std::errc() || parsed != end)
    lexer_.fail(token, fmt::format("`{}` is no {}", token.text, dtype_name(dtype)));
  return value;
}

void TextReader::store(Tensor &tensor, int64_t i, const Token &token) {
  const DType dtype = tensor.type.dtype;
  const bool is_word = token.is_name("true") || token.is_name("false");
  bool fits = is_word == is_bool(dtype);
  if (fits && is_float(dtype)) {
    const double value = dtype == DType::f64 ? number<double>(token, dtype) : number<float>(token, dtype);
    tensor.set(i, value);
    fits = std::isinf(tensor.get(i)) == std::isinf(value);
  } else if (fits) {
    const int64_t value = is_word ? token.is_name("true") : number<int64_t>(token, dtype);
    tensor.set_int(i, value);
    fits = tensor.get_int(i) == value;
  }
  if (!fits)
    lexer_.fail(token, fmt::format("`{}` is no {}", token.text, dtype_name(dtype)));
}

} // namespace nnc
