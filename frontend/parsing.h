// Parser: recursive descent over the tokens of one file. Internal to the parser_*.cpp files; see parser.h.
#pragma once

#include "frontend/lexer.h"
#include "frontend/parser.h"

#include <algorithm>
#include <fmt/format.h>

namespace nnc {

// Thrown after an error was reported, caught where parsing can go on: at the next statement or declaration.
struct SyntaxError {};

class Parser {
public:
  Parser(const Source &source, Diagnostics &diagnostics)
      : source_(source), diagnostics_(diagnostics), lexed_(lex(source, diagnostics)) {}

  ast::File file();

private:
  const Source &source_;
  Diagnostics &diagnostics_;
  Tokens lexed_;
  size_t at_ = 0;
  int levels_ = 0;            // blocks and expressions around the current place
  bool nesting_told_ = false; // that the current declaration has an open `{` or is nested too deep was said

  // ---- tokens
  const Token &token() const { return lexed_.tokens[at_]; }
  const Token &token_after() const { return lexed_.tokens[std::min(at_ + 1, lexed_.tokens.size() - 1)]; }
  bool is(Tok kind) const { return token().kind == kind; }
  Span span(const Token &t) const { return {&source_, t.begin, t.end}; }
  Span here() const { return span(token()); }
  Span last() const { return span(lexed_.tokens[at_ ? at_ - 1 : 0]); } // the token just taken
  Span since(const Span &first) const { return join(first, last()); }
  std::string_view text() const { return here().text(); }
  bool at_statement_end() const { return is(Tok::line_end) || is(Tok::end) || is(Tok::close_brace); }
  bool at_top_declaration() const; // a declaration's word at the very begin of a line
  Span take();                     // the current token; moves on
  bool take_if(Tok kind);
  Span expect(Tok kind, std::string_view what);
  std::string found() const; // "`x`", "the end of the line", …

  // ---- errors and recovery
  [[noreturn]] void fail(const Span &at, std::string message);
  // "expected …, found …", or what the found token tells about the mistake; `open`: the bracket it is about.
  [[noreturn]] void fail_expected(std::string_view what, const Span &open = {});
  [[noreturn]] void fail_unclosed(const Span &open, Tok close);
  [[noreturn]] void fail_too_deep(const Span &at);
  void expect_statement_end();
  void skip_statement();
  void skip_to_declaration();
  bool skip_to_block();
  void expect_block_next();                                                                     // but takes nothing
  bool is_word() const { return token().kind >= Tok::kw_use && token().kind <= Tok::kw_false; } // of the language
  bool declares(Tok kind, std::string_view name) const;                                         // does this file?

  // Parses what stands before a block. After an error there it moves on to the block, if there is one, so that this is
  // read too, and returns false: the caller then throws after the block.
  template <typename F> bool header(F parse) {
    try {
      parse();
      return true;
    } catch (SyntaxError) {
      if (!skip_to_block())
        throw;
      return false;
    }
  }
  // Items between commas up to `close`; a comma may trail. `open` is the bracket just taken.
  template <typename F> void bracketed(const Span &open, Tok close, F item) {
    while (!is(close)) {
      item();
      if (!take_if(Tok::comma) && !is(close))
        fail_unclosed(open, close);
    }
    take();
  }
  // One or more items between commas.
  template <typename F> void listed(F item) {
    do
      item();
    while (take_if(Tok::comma));
  }
  // Counts a level of nesting for as long as it lives.
  struct Level {
    Parser &parser;
    Level(Parser &parser, const Span &at) : parser(parser) {
      if (parser.levels_ >= ast::max_depth)
        parser.fail_too_deep(at);
      ++parser.levels_;
    }
    ~Level() { --parser.levels_; }
  };

  // ---- declarations (parser.cpp)
  ast::Item item();
  ast::Use use();
  ast::Const constant();
  ast::Decl decl();
  ast::Func func();
  ast::Parameter parameter();
  ast::TypeExpr type();
  ast::Name name(std::string_view what);     // any
  ast::Name new_name(std::string_view what); // one that may be given to a value: no dtype
  std::string doc(const Token &first) const;

  // ---- statements (parser_statements.cpp)
  ast::Block block();
  ast::Stmt statement();
  void nested_declaration();
  ast::Stmt::Node assignment();
  [[noreturn]] void fail_assignment(const ast::Target &target);
  ast::Target target();
  ast::Loop loop(std::vector<ast::Target> targets);
  ast::Yield yield();
  ast::If conditional();
  ast::Require require();
  std::vector<ast::Require::Part> message(const Span &literal);
  ast::Update update();
  ast::Return return_statement();

  // ---- expressions (parser_expressions.cpp)
  ast::ExprPtr expression() { return binary(0); }
  ast::ExprPtr binary(int loosest);
  ast::ExprPtr unary();
  ast::ExprPtr postfix();
  ast::ExprPtr member(const Span &first, ast::ExprPtr base);
  [[noreturn]] void fail_member(const Span &first, const ast::Expr &base, const ast::Name &member);
  ast::ExprPtr atom();
  ast::ExprPtr number();
  ast::ExprPtr reference();
  ast::ExprPtr parenthesized();
  ast::ExprPtr sized(); // `...` or an expression: an item of a list or a type
  ast::Arg arg();
  std::vector<ast::Arg> args();
  std::vector<ast::Subscript> subscripts();
  ast::Subscript subscript();
  ast::ExprPtr make(const Span &first, ast::Expr::Node node); // from `first` to the token just taken
  ast::ExprPtr joined(const Span &first, ast::ExprPtr left, ast::Binary::Link link);
  void extend(ast::Expr &chain, ast::Binary::Link link);
};

// What to write instead of a word of another language that starts a line; "" if there is nothing to say.
std::string_view hint_for_word(std::string_view word);

} // namespace nnc
