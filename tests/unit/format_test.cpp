// The layout of .nn files. Laws, on every .nn of the tree and on random changes of them: laid out twice is laid out once, and
// the tree stays the same. Then the rules, one by one; and the library and the examples are in that form.
#include "frontend/format.h"
#include "frontend/lexer.h"
#include "frontend/parser.h"
#include "tests/paths.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <random>
#include <regex>

namespace nnc {
namespace {

std::string laid_out(const std::string &text) {
  const Source source("m.nn", text);
  Diagnostics diagnostics;
  std::string result = formatted(source, diagnostics);
  EXPECT_EQ(diagnostics.text(), "") << text;
  return result;
}

// The tree without places; comments without the blanks behind them, which have no meaning.
std::string tree(const std::string &text) {
  const Source source("m.nn", text);
  Diagnostics diagnostics;
  const ast::File file = parse(source, diagnostics);
  EXPECT_EQ(diagnostics.text(), "") << text;
  const std::string written = std::regex_replace(ast::ast_text(file), std::regex(" @\\d+:\\d+\n"), "\n");
  return std::regex_replace(written, std::regex("[ \t]+\"\n"), "\"\n");
}

void expect_laws(const std::string &text) {
  const std::string once = laid_out(text);
  EXPECT_EQ(laid_out(once), once) << text;
  EXPECT_EQ(tree(once), tree(text)) << text;
}

std::vector<std::filesystem::path> sources(const std::vector<std::string> &folders) {
  std::vector<std::filesystem::path> files;
  for (const std::string &folder : folders)
    for (const auto &entry : std::filesystem::recursive_directory_iterator(source_dir() + "/" + folder))
      if (entry.path().extension() == ".nn")
        files.push_back(entry.path());
  std::ranges::sort(files);
  EXPECT_FALSE(files.empty());
  return files;
}

std::string read(const std::filesystem::path &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool is_sound(const std::string &text) {
  const Source source("m.nn", text);
  Diagnostics diagnostics;
  parse(source, diagnostics);
  return !diagnostics.has_errors();
}

// The tokens again with other blanks, line ends and comments between them, wherever the parser still reads it.
std::string shaken(const std::string &text, std::mt19937 &random) {
  const Source source("m.nn", text);
  Diagnostics diagnostics;
  const std::vector<Token> tokens = lex(source, diagnostics).tokens;
  std::string result;
  int open = 0;
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    const Token &token = tokens[i];
    const std::string word = token.kind == Tok::line_end ? "" : text.substr(token.begin, token.end - token.begin);
    result += word;
    open += (token.kind == Tok::open_paren || token.kind == Tok::open_bracket) -
            (token.kind == Tok::close_paren || token.kind == Tok::close_bracket);
    const int choice = static_cast<int>(random() % 100);
    const bool may_break = open > 0 || token.kind == Tok::comma || token.kind == Tok::plus || token.kind == Tok::assign;
    const Tok next = tokens[i + 1].kind;
    if (token.kind == Tok::line_end)
      result += choice < 10 && next != Tok::close_brace && next != Tok::line_end ? "; "
                : choice < 20                                                    ? " # behind \n"
                : choice < 30                                                    ? "\n\n\n# alone\n\n"
                : choice < 40                                                    ? "\n# above\n"
                                                                                 : "\n";
    else if (may_break && choice < 8)
      result += choice < 2 ? " # inside\n" : choice < 4 ? "\n\n  # alone inside\n" : "\n";
    else
      result += std::string(1 + (choice > 70) + (choice > 90), ' ');
  }
  return result + "\n";
}

TEST(format, laws_hold_on_every_source) {
  for (const std::filesystem::path &path : sources({"examples", "frontend/std", "tests"})) {
    if (path.parent_path().filename() == "errors")
      continue; // wrong on purpose
    SCOPED_TRACE(path);
    expect_laws(read(path));
  }
}

TEST(format, laws_hold_on_shaken_sources) {
  std::mt19937 random(7);
  int sound = 0;
  for (const std::filesystem::path &path : sources({"examples", "frontend/std", "tests/programs"}))
    for (int round = 0; round < 4; ++round) {
      const std::string text = shaken(read(path), random);
      SCOPED_TRACE(path);
      if (!is_sound(text))
        continue;
      ++sound;
      expect_laws(text);
    }
  EXPECT_GT(sound, 60);
}

TEST(format, library_and_examples_are_laid_out) {
  for (const std::filesystem::path &path : sources({"examples", "frontend/std"}))
    EXPECT_EQ(laid_out(read(path)), read(path)) << path << ": run nnc fmt";
}

TEST(format, spaces) {
  EXPECT_EQ(laid_out("fn f( x:T[ ...,D ],n :int=- 1 )->T=x [ 1 : 3,: , :: -2,i+1 : ]**-2*( - x )@g(x) . T\n"),
            "fn f(x: T[..., D], n: int = -1) -> T = x[1:3, :, ::-2, i + 1:] ** -2 * (-x) @ g(x).T\n");
  EXPECT_EQ(laid_out("entry f(x:f32){for i in 0 .. n-1{require not(i==2)and x<-1,\"a {n}\"}\nreturn-x,  a=[1,2 ],b=f(x)as g}\n"),
            "entry f(x: f32) {\n  for i in 0..n - 1 { require not (i == 2) and x < -1, \"a {n}\" }\n"
            "  return -x, a = [1, 2], b = f(x) as g\n}\n");
  EXPECT_EQ(laid_out("fn f(x) = 7 . T @ 7.5 .T @ x . T\n"), "fn f(x) = 7 .T @ 7.5 .T @ x.T\n"); // `7.` is no number
  EXPECT_EQ(laid_out("fn f(x) = 0 .. .5\n"), "fn f(x) = 0.. .5\n");                             // not an ellipsis
}

TEST(format, blocks) {
  EXPECT_EQ(laid_out("fn f(x) {\n\n\n  if a {b=1} else {b=2}\n   if a { b = 1\n } else { b = 2 }\n for i in x { }\n\n}\n"),
            "fn f(x) {\n  if a { b = 1 } else { b = 2 }\n  if a {\n    b = 1\n  } else { b = 2 }\n  for i in x {}\n}\n");
  EXPECT_EQ(laid_out("fn f(x) { a = 1; return a }\nfn g(x) { return x; }\n"),
            "fn f(x) {\n  a = 1\n  return a\n}\nfn g(x) { return x }\n");
}

TEST(format, declarations_may_share_a_line) {
  EXPECT_EQ(laid_out("const a = 1;const b = 2 ; fn f(x) = x\n"), "const a = 1; const b = 2\nfn f(x) = x\n");
  const std::string wide = "const " + std::string(80, 'a') + " = 1";
  EXPECT_EQ(laid_out(wide + "; const b = 123456789\n"), wide + "\nconst b = 123456789\n");
}

TEST(format, comments_and_blank_lines) {
  EXPECT_EQ(laid_out("\n\n# head\n\n\n\n# doc\nconst a=1# one\nconst bcd = 2     # two\n\n\nfn f(x) {# opens\n"
                     "# first\n\n a = x   \n\n\n      # last \n}\n# end"),
            "# head\n\n# doc\nconst a = 1    # one\nconst bcd = 2  # two\n\nfn f(x) {  # opens\n  # first\n\n  a = x\n\n"
            "  # last\n}\n# end\n");
}

TEST(format, lines_that_go_on) {
  EXPECT_EQ(
      laid_out(
          "fn f(x,\ny) =\nx +\ny\nentry g(\nx: f32, # one\n# two\ny: f32[\n2]\n) {\nreturn a = x,\nb = f(y,\n\n(x +\ny))\n}\n"),
      "fn f(x,\n     y) =\n  x +\n  y\nentry g(\n  x: f32,  # one\n  # two\n  y: f32[\n    2]\n) {\n  return a = x,\n"
      "         b = f(y,\n               (x +\n                y))\n}\n");
}

TEST(format, columns_of_equals_signs) {
  EXPECT_EQ(laid_out("fn f(x) {\n  a   = 1\n  bcd = 2\n  e = 3\n  return a\n}\n"),
            "fn f(x) {\n  a   = 1\n  bcd = 2\n  e = 3\n  return a\n}\n");
  // A column that fits no longer moves; blanks that make no column go.
  EXPECT_EQ(laid_out("fn f(x) {\n  a    = 1\n  b,c  = 2\n  d  = 3\n  ef = 4\n\n  g   = 5\n  return a\n}\n"),
            "fn f(x) {\n  a    = 1\n  b, c = 2\n  d  = 3\n  ef = 4\n\n  g = 5\n  return a\n}\n");
}

TEST(format, line_ends_and_marks) {
  EXPECT_EQ(laid_out("\xef\xbb\xbf"
                     "const a = 1\r\nconst b = 2\r\n"),
            "const a = 1\nconst b = 2\n");
}

TEST(format, a_file_with_errors_gives_none) {
  const Source source("m.nn", "const a = \nfn f(\n");
  Diagnostics diagnostics;
  EXPECT_EQ(formatted(source, diagnostics), "");
  EXPECT_TRUE(diagnostics.has_errors());
}

} // namespace
} // namespace nnc
