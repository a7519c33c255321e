// Tokens, line ends, number forms, and what is no token.
#include "frontend/lexer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace nnc {
namespace {

// The tokens as text with a blank between them; a line end is `|`, what was refused `?`.
std::string tokens(const std::string &text) {
  Source source("t.nn", text);
  Diagnostics diagnostics;
  std::string out;
  for (const Token &token : lex(source, diagnostics).tokens) {
    if (token.kind == Tok::end)
      break;
    std::string_view spelled = source.text().substr(token.begin, token.end - token.begin);
    out += out.empty() ? "" : " ";
    out += token.kind == Tok::line_end ? "|" : token.kind == Tok::invalid ? "?" : std::string(spelled);
  }
  return out;
}

std::string errors(const std::string &text) {
  Source source("t.nn", text);
  Diagnostics diagnostics;
  lex(source, diagnostics);
  std::string out;
  for (const Diagnostic &d : diagnostics.all())
    out += fmt::format("{}{}:{} {}", out.empty() ? "" : "\n", d.span.place().line, d.span.place().column, d.message);
  return out;
}

Tok kind(const std::string &text) {
  Source source("t.nn", text);
  Diagnostics diagnostics;
  return lex(source, diagnostics).tokens[0].kind;
}

TEST(Lexer, ReadsTheLongestSign) {
  EXPECT_EQ(tokens("a**b*c//d/e"), "a ** b * c // d / e");
  EXPECT_EQ(tokens("a:=b=c==d!=e<=f<g->h"), "a := b = c == d != e <= f < g -> h");
  EXPECT_EQ(tokens("x[..., 1..n, ::2]"), "x [ ... , 1 .. n , : : 2 ]");
  EXPECT_EQ(tokens("x += 1"), "x += 1");
  EXPECT_EQ(kind("+= 1"), Tok::assign_op);
  EXPECT_EQ(kind("**= 1"), Tok::assign_op);
  EXPECT_EQ(tokens("f(x=-1)"), "f ( x = - 1 )");
}

TEST(Lexer, ReadsWordsOnlyWhole) {
  EXPECT_EQ(kind("for"), Tok::kw_for);
  EXPECT_EQ(kind("format"), Tok::name);
  EXPECT_EQ(kind("_in"), Tok::name);
  EXPECT_EQ(kind("or_"), Tok::name);
  EXPECT_EQ(kind("from"), Tok::name) << "`from` and the kinds are names elsewhere";
}

TEST(Lexer, RefusesEndlessNames) {
  EXPECT_EQ(kind(std::string(255, 'q')), Tok::name);
  EXPECT_EQ(tokens("a " + std::string(256, 'q') + " b"), "a ? b");
  EXPECT_EQ(errors("a " + std::string(256, 'q') + " b"), "1:3 a name of 256 characters: at most 255 are possible");
}

TEST(Lexer, ReadsNumbers) {
  for (const char *number : {"3", "1_000", "0.5", ".5", "1e-7", "2.5E+3", "1e5", "007"}) {
    EXPECT_EQ(tokens(number), number);
    EXPECT_EQ(kind(number), Tok::number) << number;
    EXPECT_EQ(errors(number), "") << number;
  }
  EXPECT_EQ(tokens("0..3"), "0 .. 3");
  EXPECT_EQ(tokens("0...5"), "0 ... 5");
  EXPECT_EQ(tokens("0.5..1.5"), "0.5 .. 1.5");
  EXPECT_EQ(errors("1."), "1:1 `1.` ends in a point: write `1.0`");
  EXPECT_EQ(errors("[1., 2]"), "1:2 `1.` ends in a point: write `1.0`");
  EXPECT_EQ(errors("5x"), "1:1 `5x` is neither a number nor a name");
  EXPECT_EQ(errors("0x1F"), "1:1 `0x1F` is neither a number nor a name");
  EXPECT_EQ(errors("1__0"), "1:1 `1__0` is neither a number nor a name");
  EXPECT_EQ(errors("1_"), "1:1 `1_` is neither a number nor a name");
  EXPECT_EQ(errors("1e"), "1:1 `1e` is neither a number nor a name");
  EXPECT_EQ(errors("1.2.3"), "1:1 `1.2.3` is neither a number nor a name");
}

TEST(Lexer, EndsStatementsAtLineEnds) {
  EXPECT_EQ(tokens("a\nb"), "a | b");
  EXPECT_EQ(tokens("a; b;\n\n;c"), "a | b | c");
  EXPECT_EQ(tokens("a\r\nb\r\n"), "a | b |");
  EXPECT_EQ(tokens("a # why\nb"), "a | b");
  for (const char *sign : {"+", "-", "*", "/", "//", "%", "**", "@", "..", "==", "<", "and", "or", "not", ",", "=", ":=", "->"})
    EXPECT_EQ(tokens(fmt::format("a {}\nb", sign)), fmt::format("a {} b", sign));
  for (const char *sign : {")", "]", "}", ":", "in"})
    EXPECT_EQ(tokens(fmt::format("a {}\nb", sign)), fmt::format("a {} | b", sign));
  EXPECT_EQ(tokens("f(a\n, b\n)\nc"), "f ( a , b ) | c");
  EXPECT_EQ(errors("f(a; b)"), "1:4 `;` ends a statement: inside brackets write `,`");
}

TEST(Lexer, TakesBracketsAsClosedWhereAStatementStarts) {
  EXPECT_EQ(tokens("y = f(a\nreturn y\nz"), "y = f ( a | return y | z");
  EXPECT_EQ(tokens("y = [a }\nz\nb"), "y = [ a | } | z | b");
  EXPECT_EQ(tokens("net f(act:\nfn)\na"), "net f ( act : fn ) | a");
}

TEST(Lexer, ReadsStrings) {
  EXPECT_EQ(tokens(R"(f("a # b", "\"\\\n"))"), R"(f ( "a # b" , "\"\\\n" ))");
  EXPECT_EQ(unescape(R"(a\"b\\c\nd\te)"), "a\"b\\c\nd\te");
  EXPECT_EQ(errors("x = \"abc\ny"), "1:5 the string is not closed: `\"` is missing on this line");
  EXPECT_EQ(errors("x = \"abc\\"), "1:9 unknown escape: a string knows `\\\"`, `\\\\`, `\\n` and `\\t`\n"
                                   "1:5 the string is not closed: `\"` is missing on this line");
  EXPECT_EQ(errors(R"("\q")"), "1:2 unknown escape: a string knows `\\\"`, `\\\\`, `\\n` and `\\t`");
  EXPECT_EQ(errors("'abc'"), "1:1 strings stand in double quotes: \"…\"");
}

TEST(Lexer, ReadsForeignSignsAsWhatTheyMean) { EXPECT_EQ(kind("& b"), Tok::kw_and); }

TEST(Lexer, RefusesWhatIsNoText) {
  EXPECT_EQ(errors(std::string("x\0y", 3)), "1:2 byte 0x00: this file is not UTF-8 text");
  EXPECT_EQ(errors("# caf\xe9\n$ $"), "1:6 byte 0xe9: this file is not UTF-8 text");
  EXPECT_EQ(tokens("x = \xff"), "");
  EXPECT_EQ(errors("# café 模型 🙂\n"), "");
}

TEST(Lexer, KeepsComments) {
  Source source("t.nn", "# one\n  # two\r\nx = 1 # three\n");
  Diagnostics diagnostics;
  std::vector<ast::Comment> comments = lex(source, diagnostics).comments;
  ASSERT_EQ(comments.size(), 3u);
  EXPECT_EQ(comments[0].span.text(), "# one");
  EXPECT_EQ(comments[1].span.text(), "# two");
  EXPECT_EQ(comments[2].span.text(), "# three");
  EXPECT_TRUE(comments[1].alone);
  EXPECT_FALSE(comments[2].alone);
}

} // namespace
} // namespace nnc
