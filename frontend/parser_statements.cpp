// Blocks and statements.
#include "frontend/foreign.h"
#include "frontend/names.h"
#include "frontend/parsing.h"
#include "frontend/standard_library.h"

#include <cctype>
#include <utility>

namespace nnc {

ast::Block Parser::block() {
  if (is(Tok::line_end) && token_after().kind == Tok::open_brace) {
    take();
    diagnostics_.error(here(), "`{` stands on the line of what it belongs to");
  }
  if (is(Tok::colon))
    fail(here(), "a body stands in braces: write `{` instead of `:`");
  Level level(*this, here());
  Span open = expect(Tok::open_brace, "`{`");
  ast::Block block;
  while (!is(Tok::close_brace) && !is(Tok::end) && !at_top_declaration() && diagnostics_.error_count() < Diagnostics::max_kept) {
    if (take_if(Tok::line_end))
      continue;
    try {
      if (starts_declaration(token().kind))
        nested_declaration();
      else
        block.statements.push_back(statement());
    } catch (SyntaxError) {
      skip_statement();
    }
  }
  if (!take_if(Tok::close_brace) && !std::exchange(nesting_told_, true))
    diagnostics_.error(open, "`{` is never closed");
  block.span = since(open);
  return block;
}

// Reads it all the same: there may be more to say about it.
void Parser::nested_declaration() {
  diagnostics_.error(here(), is(Tok::kw_const) ? std::string("`const` stands at file level: in a body write `x = …`")
                                               : fmt::format("`{}` stands at file level, not in a body", text()));
  item();
}

ast::Stmt Parser::statement() {
  ast::Stmt statement;
  Span first = here();
  if (is_word() && (token_after().kind == Tok::assign || token_after().kind == Tok::colon_assign)) {
    take(); // or skip_statement would stop before it
    fail(first, fmt::format("`{}` is a word of the language: call the value something else", first.text()));
  }
  switch (token().kind) {
  case Tok::kw_param:
  case Tok::kw_state:
    statement.node = decl();
    break;
  case Tok::name:
    statement.node = assignment();
    break;
  case Tok::kw_for:
  case Tok::kw_scan:
    statement.node = loop({});
    break;
  case Tok::kw_yield:
    statement.node = yield();
    break;
  case Tok::kw_if:
    statement.node = conditional();
    break;
  case Tok::kw_require:
    statement.node = require();
    break;
  case Tok::kw_update:
    statement.node = update();
    break;
  case Tok::kw_return:
    statement.node = return_statement();
    break;
  case Tok::kw_else:
    fail(here(), "`else` without an `if` before it");
  case Tok::slash_slash:
    fail(here(), "a comment starts with `#`");
  case Tok::open_paren:
    fail(here(), "a statement does not start with `(`: names to the left of `=` stand without parentheses");
  case Tok::number:
  case Tok::string:
  case Tok::open_bracket:
    fail(here(), "an expression alone is no statement: name its value, `y = …`");
  default:
    if (is(Tok::dot) || (token().kind >= Tok::power && token().kind <= Tok::gt))
      fail(here(), fmt::format("a line goes on only inside brackets or after an operator: put `{}` at the end of the line before",
                               text()));
    fail_expected("a statement");
  }
  statement.span = since(first);
  expect_statement_end();
  return statement;
}

ast::Stmt::Node Parser::assignment() {
  ast::Assign assign;
  listed([&] { assign.targets.push_back(target()); });
  if (!is(Tok::assign) && !is(Tok::colon_assign))
    fail_assignment(assign.targets.back());
  assign.to_state = is(Tok::colon_assign);
  assign.op_span = take();
  if (is(Tok::kw_for) || is(Tok::kw_scan)) {
    if (assign.to_state)
      diagnostics_.error(assign.op_span, "the result of a loop is named with `=`");
    return loop(std::move(assign.targets));
  }
  listed([&] { assign.values.push_back(expression()); });
  return assign;
}

void Parser::fail_assignment(const ast::Target &target) {
  std::string_view word = target.name.text;
  if (is(Tok::invalid))
    throw SyntaxError();
  if (is(Tok::assign_op)) {
    std::string_view op = text().substr(0, text().size() - 1);
    fail(here(), fmt::format("there is no `{}`: write `{} = {} {} …`, or for state `{} := {} {} …`", text(), word, word, op, word,
                             word, op));
  }
  if (std::string_view hint = hint_for_word(word); !hint.empty())
    fail(target.name.span, std::string(hint));
  if (is(Tok::dot) && target.subscripts.empty())
    member(target.name.span, make(target.name.span, ast::Ref{target.name.text})); // says what to write instead
  if (is(Tok::lt) && token_after().kind == Tok::minus)
    fail(here(), "write `=` instead of `<-`");
  if (is(Tok::plus) && token_after().kind == Tok::plus)
    fail_expected("`=`");
  if (is(Tok::colon))
    fail(here(), fmt::format("only parameters, `param` and `state` are declared with a type: write `{} = …`", word));
  const auto is_optimizer = [&](const LibraryFile &file) {
    return file.text.find(fmt::format("\noptimizer {}(", word)) != std::string_view::npos;
  };
  if (is(Tok::open_paren) && (declares(Tok::kw_optimizer, word) || std::ranges::any_of(standard_library(), is_optimizer)))
    fail(target.span, fmt::format("`{}` is an optimizer: write `update {}(…)`", word, word));
  std::string call = is(Tok::open_paren) ? fmt::format("{}(…)", word) : "…";
  fail(target.span, fmt::format("an expression alone is no statement: name its value, `y = {}`", call));
}

ast::Target Parser::target() {
  ast::Target target;
  if (is(Tok::name) && token_after().kind == Tok::name && !token_after().first)
    fail(here(), hint_for_word(text()).empty()
                     ? fmt::format("no word stands before a name: write `{} = …`", span(token_after()).text())
                     : std::string(hint_for_word(text())));
  target.name = new_name("a name");
  if (is(Tok::open_bracket))
    target.subscripts = subscripts();
  target.span = since(target.name.span);
  return target;
}

ast::Loop Parser::loop(std::vector<ast::Target> targets) {
  ast::Loop loop;
  loop.kind = is(Tok::kw_for) ? ast::Loop::Kind::unrolled : ast::Loop::Kind::scan;
  loop.targets = std::move(targets);
  loop.word = take();
  bool sound = header([&] {
    if (is(Tok::open_paren))
      fail(here(), fmt::format("names stand without parentheses: `{} a, b in …`", loop.word.text()));
    listed([&] { loop.names.push_back(new_name("a name")); });
    expect(Tok::kw_in, "`in`");
    loop.sequence = expression();
    if (is(Tok::comma) && span(token_after()).text() == "axis") {
      take();
      const Span word = take();
      if (loop.kind == ast::Loop::Kind::unrolled)
        fail(word, "`for` goes through a list; along an axis of a tensor goes `scan`");
      expect(Tok::assign, "`=`");
      loop.axis = expression();
    }
    expect_block_next();
  });
  loop.body = block();
  if (!sound)
    throw SyntaxError();
  return loop;
}

ast::Yield Parser::yield() {
  ast::Yield yield;
  Span word = take();
  if (at_statement_end())
    fail(word, "`yield` needs a value");
  listed([&] { yield.values.push_back(expression()); });
  return yield;
}

ast::If Parser::conditional() {
  ast::If conditional;
  bool sound = true;
  while (!conditional.otherwise) {
    ast::If::Branch branch;
    sound &= header([&] {
      take();
      branch.condition = expression();
      expect_block_next();
    });
    branch.body = block();
    conditional.branches.push_back(std::move(branch));
    if (is(Tok::line_end) && token_after().kind == Tok::kw_else) {
      take();
      diagnostics_.error(here(), "`else` stands on the line of the `}` before it");
    }
    if (is(Tok::name) && text() == "elif")
      fail(here(), std::string(hint_for_word("elif")));
    if (!take_if(Tok::kw_else))
      break;
    if (!is(Tok::kw_if))
      conditional.otherwise = block();
  }
  if (!sound)
    throw SyntaxError();
  return conditional;
}

ast::Require Parser::require() {
  ast::Require require;
  take();
  require.condition = expression();
  if (at_statement_end())
    fail(here(), "`require` needs a message: `require cond, \"message\"`");
  expect(Tok::comma, "`,` and a message");
  require.message_span = expect(Tok::string, "a message in quotes");
  require.message = message(require.message_span);
  return require;
}

// Names in braces are taken apart here, where their places are known. `{{` and `}}` are braces.
std::vector<ast::Require::Part> Parser::message(const Span &literal) {
  std::vector<ast::Require::Part> parts;
  std::string_view text = source_.text();
  uint32_t end = literal.end - 1, from = literal.begin + 1;
  std::string plain;
  auto at = [&](uint32_t begin, uint32_t end) { return Span{&source_, begin, end}; };
  auto flush = [&](uint32_t upto) { plain += unescape(text.substr(from, upto - from)); };
  for (uint32_t i = from; i < end; ++i) {
    char c = text[i];
    if (c != '{' && c != '}')
      continue;
    flush(i);
    from = i + 1;
    if (text[i + 1] == c) { // the closing quote stands at `end`
      plain += c;
      from = ++i + 1;
      continue;
    }
    size_t close = text.find('}', i);
    std::string_view name = c == '{' && close < end ? text.substr(i + 1, close - i - 1) : "";
    bool is_name = !name.empty() && !(name[0] >= '0' && name[0] <= '9');
    for (char part : name)
      is_name = is_name && (part == '_' || std::isalnum(static_cast<unsigned char>(part)));
    if (!is_name)
      fail(at(i, i + 1), fmt::format("in a message, braces stand around one name; write `{}{}` for a brace", c, c));
    if (!plain.empty())
      parts.push_back({std::exchange(plain, ""), std::nullopt});
    parts.push_back({"", ast::Name{std::string(name), at(i + 1, static_cast<uint32_t>(close))}});
    i = static_cast<uint32_t>(close);
    from = i + 1;
  }
  flush(end);
  if (!plain.empty())
    parts.push_back({std::move(plain), std::nullopt});
  return parts;
}

ast::Update Parser::update() {
  ast::Update update;
  take();
  update.optimizer = name("the name of an optimizer");
  update.args = args();
  return update;
}

ast::Return Parser::return_statement() {
  ast::Return result{take(), {}};
  if (at_statement_end())
    fail(result.word, "`return` needs a value: leave it out where nothing is returned");
  listed([&] { result.values.push_back(arg()); });
  return result;
}

} // namespace nnc
