// Files, declarations, signatures and types; tokens, errors and recovery.
//
// Recursive descent with one token of look-ahead, and one more for `name =`. A syntax error is reported where it is met and
// thrown up to the statement or declaration around it, which skips to its end and goes on. What is only out of place (a `{`
// on the next line) is reported without skipping. A declaration's word at the begin of a line ends all open blocks: a lost
// `}` costs one error, not one for each line below.
#include "frontend/foreign.h"
#include "frontend/parsing.h"

#include <algorithm>
#include <array>
#include <utility>

namespace nnc {

// ---- Tokens

bool Parser::at_top_declaration() const {
  return starts_declaration(token().kind) && (token().begin == 0 || source_.text()[token().begin - 1] == '\n');
}

Span Parser::take() {
  Span span = here();
  if (!is(Tok::end))
    ++at_;
  return span;
}

bool Parser::take_if(Tok kind) {
  if (!is(kind))
    return false;
  take();
  return true;
}

Span Parser::expect(Tok kind, std::string_view what) {
  if (!is(kind))
    fail_expected(what);
  return take();
}

std::string Parser::found() const {
  if (is(Tok::end))
    return "the end of the file";
  if (is(Tok::line_end) && text() != ";")
    return "the end of the line";
  if (is(Tok::string))
    return "a string";
  if (is_word())
    return fmt::format("`{}`, a word of the language", text());
  return fmt::format("`{}`{}", text().substr(0, 40), text().size() > 40 ? " …" : "");
}

// ---- Errors and recovery

void Parser::fail(const Span &at, std::string message) {
  diagnostics_.error(at, std::move(message));
  throw SyntaxError();
}

void Parser::fail_expected(std::string_view what, const Span &open) {
  if (is(Tok::invalid))
    throw SyntaxError(); // the lexer has said why
  if (is(Tok::kw_if))
    fail(here(), "there is no conditional expression: write `where(c, a, b)`, or an `if` block for what is known when compiling");
  if (is(Tok::kw_for))
    fail(here(), "there are no comprehensions: write `y = for x in xs { yield … }`");
  if (is(Tok::kw_fn))
    fail(here(), "there are no functions without a name: declare a `fn` at file level and pass its name");
  if (is(Tok::kw_as))
    fail(here(), "`as` names a call: it stands right behind the `)`");
  if (is(Tok::name) && (text() == "is" || text() == "isnot"))
    fail(here(), "there is no `is`: to compare, write `==`");
  if (is(Tok::plus) && token_after().kind == Tok::plus)
    fail(here(), "there is no `++`: write `x = x + 1`");
  if (is(Tok::gt) && last().text() == "=" && last().end == here().begin)
    fail(join(last(), here()), "write `=` instead of `=>`");
  std::string message = fmt::format("expected {}, found {}", what, found());
  if (is(Tok::assign) && what != "`(`")
    message += ": to compare, write `==`";
  Diagnostic &error = diagnostics_.error(here(), message);
  if (open)
    error.operand(open);
  throw SyntaxError();
}

void Parser::fail_unclosed(const Span &open, Tok close) {
  if (is(Tok::end) || is(Tok::open_brace) || is(Tok::close_brace) || is(Tok::line_end))
    fail(open, fmt::format("`{}` is never closed", open.text()));
  fail_expected(close == Tok::close_paren ? "`,` or `)`" : "`,` or `]`", open);
}

void Parser::fail_too_deep(const Span &at) {
  if (!std::exchange(nesting_told_, true))
    diagnostics_.error(at, fmt::format("nested more than {} levels deep: name parts of it", ast::max_depth));
  throw SyntaxError();
}

void Parser::expect_statement_end() {
  if (!at_statement_end() && !at_top_declaration()) {
    for (size_t i = at_; i > 0 && !lexed_.tokens[i].first; --i)
      if (lexed_.tokens[i - 1].kind == Tok::slash_slash)
        fail(span(lexed_.tokens[i - 1]), "`//` divides, and a comment starts with `#`");
    fail_expected("the end of the line");
  }
  take_if(Tok::line_end);
}

// To behind the end of a line at the depth of braces we are at, or before what must be the next statement.
void Parser::skip_statement() {
  for (int depth = 0; !is(Tok::end) && !at_top_declaration(); take()) {
    if (depth == 0 && (is(Tok::close_brace) || (token().first && starts_statement(token().kind))))
      return;
    if (depth == 0 && take_if(Tok::line_end))
      return;
    depth += is(Tok::open_brace) - is(Tok::close_brace);
  }
}

void Parser::skip_to_declaration() {
  for (int depth = 0; !is(Tok::end) && !at_top_declaration(); take()) {
    Tok kind = token().kind;
    if (depth == 0 && token().first && (starts_declaration(kind) || kind == Tok::kw_param || kind == Tok::kw_state))
      return;
    depth = std::max(0, depth + is(Tok::open_brace) - is(Tok::close_brace));
  }
}

// To a `{` before the end of the line.
bool Parser::skip_to_block() {
  while (!at_statement_end() && !is(Tok::open_brace))
    take();
  // The lexer closes brackets that are open before a `{` with a line end.
  if (is(Tok::line_end) && here().begin == here().end && token_after().kind == Tok::open_brace)
    take();
  return is(Tok::open_brace);
}

void Parser::expect_block_next() {
  if (!is(Tok::open_brace) && !is(Tok::line_end) && !is(Tok::colon)) // block() knows what to say about the last two
    fail_expected(last().text() == ")" ? "`{`" : "`{` and a body");
}

bool Parser::declares(Tok kind, std::string_view name) const {
  for (size_t i = 0; i + 1 < lexed_.tokens.size(); ++i)
    if (lexed_.tokens[i].kind == kind && span(lexed_.tokens[i + 1]).text() == name)
      return true;
  return false;
}

std::string_view hint_for_word(std::string_view word) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 41> hints = {{
      {"print", "nothing is printed: an entry returns what is to be seen"},
      {"while", "there is no `while`: `for` and `scan` run over lists, tensors and `a..b`"},
      {"elif", "write `else if`"},
      {"def", "a function is `fn name(x) { … }`, a network `net name(x) { … }`"},
      {"func", "write `fn`"},
      {"function", "write `fn`"},
      {"class", "a network is `net name(x) { … }`"},
      {"struct", "there are no structures: a network is `net name(x) { … }`"},
      {"model", "a network is `net name(x) { … }`"},
      {"import", "write `use name from \"file.nn\"`"},
      {"from", "write `use name from \"file.nn\"`"},
      {"include", "write `use name from \"file.nn\"`"},
      {"let", "no word stands before a new name: write `x = …`"},
      {"var", "no word stands before a new name: write `x = …`"},
      {"val", "no word stands before a new name: write `x = …`"},
      {"assert", "write `require cond, \"message\"`"},
      {"raise", "write `require cond, \"message\"`"},
      {"pass", "a block may be empty: leave out `pass`"},
      {"break", "there is no `break`: a loop runs to its end"},
      {"continue", "there is no `continue`: put the rest in an `if` block"},
      {"del", "there is no `del`: memory is planned by the compiler"},
      {"parameter", "write `param`"},
      {"fun", "write `fn`"},
      {"proc", "write `fn`"},
      {"void", "write `fn`"},
      {"try", "there are no exceptions: `require cond, \"message\"` refuses what is wrong"},
      {"except", "there are no exceptions: `require cond, \"message\"` refuses what is wrong"},
      {"with", "there is no `with`: write what stands in it"},
      {"global", "there is no `global`: a `param` or `state` of the file is known in all functions"},
      {"nonlocal", "there is no `nonlocal`: a `param` or `state` of the file is known in all functions"},
      {"auto", "no word stands before a new name: write `x = …`"},
      {"mut", "no word stands before a new name: write `x = …`"},
      {"switch", "there is no `switch`: write `if … else if …`"},
      {"match", "there is no `match`: write `if … else if …`"},
      {"do", "there is no `do`: `for` and `scan` run over lists, tensors and `a..b`"},
      {"foreach", "write `for x in xs { … }`"},
      {"async", "leave out `async`"},
      {"pub", "leave out `pub`: `use` finds every function"},
      {"public", "leave out `public`: `use` finds every function"},
      {"export", "leave out `export`: `use` finds every function, and entries are called from outside"},
      {"static", "leave out `static`"},
  }};
  for (auto [foreign, hint] : hints)
    if (foreign == word)
      return hint;
  return "";
}

// ---- Files and declarations

ast::File Parser::file() {
  ast::File file;
  file.source = &source_;
  while (!is(Tok::end) && diagnostics_.error_count() < Diagnostics::max_kept) {
    if (take_if(Tok::line_end))
      continue;
    nesting_told_ = false;
    try {
      file.items.push_back(item());
    } catch (SyntaxError) {
      skip_to_declaration();
    }
  }
  if (file.items.empty() && !diagnostics_.has_errors())
    diagnostics_.error({&source_, 0, 0}, "there are no declarations in this file");
  file.comments = std::move(lexed_.comments);
  return file;
}

ast::Item Parser::item() {
  Token first = token();
  ast::Item item;
  switch (first.kind) {
  case Tok::kw_use:
    item.node = use();
    break;
  case Tok::kw_const:
    item.node = constant();
    break;
  case Tok::kw_param:
  case Tok::kw_state:
    item.node = decl();
    break;
  case Tok::kw_fn:
  case Tok::kw_net:
  case Tok::kw_optimizer:
  case Tok::kw_entry:
    item.node = func();
    break;
  case Tok::close_brace: {
    Span brace = take();
    fail(brace, "`}` without a `{`");
  }
  case Tok::invalid:
    throw SyntaxError();
  default: {
    Span at = take(); // so that there is always progress
    if (first.kind == Tok::slash_slash || (first.kind == Tok::minus && is(Tok::minus)))
      fail(at, "a comment starts with `#`");
    if (first.kind == Tok::at)
      fail(at, "there are no decorators: every function is compiled");
    if (std::string_view hint = hint_for_word(at.text()); first.kind == Tok::name && !hint.empty() && !is(Tok::assign))
      fail(at, std::string(hint));
    if (first.kind == Tok::name && is(Tok::assign))
      fail(at, fmt::format("only declarations stand at file level: write `const {} = …`", at.text()));
    if (starts_statement(first.kind) || first.kind == Tok::kw_for || first.kind == Tok::kw_scan)
      fail(at, fmt::format("`{}` stands in the body of a net, fn, optimizer or entry", at.text()));
    --at_;
    fail_expected("a declaration (use, const, param, state, net, fn, optimizer or entry)");
  }
  }
  item.span = since(span(first));
  expect_statement_end();
  return item;
}

ast::Use Parser::use() {
  ast::Use use;
  take();
  listed([&] { use.names.push_back(name("the name of what to use")); });
  if (!is(Tok::name) || text() != "from")
    fail_expected("`from \"file.nn\"`");
  take();
  use.path_span = expect(Tok::string, "the file's name in quotes");
  std::string_view quoted = use.path_span.text();
  use.path = unescape(quoted.substr(1, quoted.size() - 2));
  return use;
}

ast::Const Parser::constant() {
  ast::Const constant;
  constant.doc = doc(token());
  take();
  constant.name = new_name("the constant's name");
  if (is(Tok::colon))
    fail(here(), "a const has no type: its value is known when compiling");
  expect(Tok::assign, "`=`");
  constant.value = expression();
  return constant;
}

ast::Decl Parser::decl() {
  ast::Decl decl;
  decl.doc = doc(token());
  decl.kind = is(Tok::kw_param) ? ast::Decl::Kind::param : ast::Decl::Kind::state;
  Span word = take();
  decl.name = new_name(fmt::format("the name of the {}", word.text()));
  if (take_if(Tok::colon))
    decl.type = type();
  decl.head = since(word);
  if (at_statement_end())
    fail(decl.head, fmt::format("`{}` has no initialiser: write `= zeros()` or another", decl.name.text));
  if (is(Tok::colon_assign))
    fail(here(), "an initialiser stands behind `=`: `:=` assigns to what is declared");
  expect(Tok::assign, "`=` and an initialiser");
  decl.initialiser = expression();
  return decl;
}

ast::Func Parser::func() {
  ast::Func func;
  func.doc = doc(token());
  switch (token().kind) {
  case Tok::kw_net:
    func.kind = ast::Func::Kind::net;
    break;
  case Tok::kw_optimizer:
    func.kind = ast::Func::Kind::optimizer;
    break;
  case Tok::kw_entry:
    func.kind = ast::Func::Kind::entry;
    break;
  default:
    func.kind = ast::Func::Kind::fn;
  }
  Span word = take();
  bool sound = header([&] {
    func.name = new_name(fmt::format("the name of the {}", word.text()));
    Span open = expect(Tok::open_paren, "`(`");
    bracketed(open, Tok::close_paren, [&] { func.parameters.push_back(parameter()); });
    if (take_if(Tok::arrow))
      listed([&] { func.results.push_back(type()); });
    func.head = since(word);
    if (is(Tok::colon) && !token_after().first && token_after().kind == Tok::name)
      fail(here(), "the type of a result stands behind `->`");
    if (!func.results.empty() && !is(Tok::assign) && !is(Tok::open_brace) && !at_statement_end() && !is(Tok::colon))
      fail(here(),
           fmt::format("behind `->` stands the type of the result, and then a body: `= …` or `{{ … }}`; found {}", found()));
    if (!is(Tok::assign))
      expect_block_next();
  });
  if (!is(Tok::assign)) {
    func.body = block();
    if (!sound)
      throw SyntaxError();
    return func;
  }
  Span equals = take();
  if (func.kind == ast::Func::Kind::optimizer || func.kind == ast::Func::Kind::entry)
    fail(equals, fmt::format("an {} has its body in braces: `{{ … }}`", word.text()));
  Level level(*this, equals);
  ast::Return result{equals, {}};
  ast::ExprPtr value = expression();
  Span at = value->span;
  result.values.push_back({std::nullopt, std::move(value), at});
  func.equation = true;
  func.body.span = at;
  func.body.statements.push_back({at, std::move(result)});
  return func;
}

ast::Parameter Parser::parameter() {
  static constexpr ast::Kind kinds[] = {ast::Kind::integer,  ast::Kind::boolean, ast::Kind::string,
                                        ast::Kind::function, ast::Kind::shape,   ast::Kind::list};
  ast::Parameter parameter;
  Span first = here();
  if (is(Tok::star) || is(Tok::power))
    fail(here(), fmt::format("a function takes the arguments that it names: of several make a list, without `{}`", text()));
  if (is(Tok::name) && (token_after().kind == Tok::name || token_after().kind == Tok::open_bracket))
    fail(here(), "a parameter's type stands behind its name: `x: f32[2]`");
  parameter.name = new_name("a parameter's name");
  if (take_if(Tok::colon)) {
    if (token_after().kind != Tok::open_bracket)
      for (ast::Kind kind : kinds)
        if (text() == spelling(kind))
          parameter.kind = kind;
    if (parameter.kind)
      take();
    else
      parameter.type = type();
  }
  if (take_if(Tok::assign))
    parameter.default_value = expression();
  parameter.span = since(first);
  return parameter;
}

ast::TypeExpr Parser::type() {
  ast::TypeExpr type;
  type.dtype = name("a type");
  if (is(Tok::open_bracket)) {
    Span open = take();
    type.brackets = true;
    bracketed(open, Tok::close_bracket, [&] { type.sizes.push_back(sized()); });
  } else if (is(Tok::open_paren)) {
    fail(here(), fmt::format("sizes stand in brackets: `{}[2, 3]`", type.dtype.text));
  }
  type.span = since(type.dtype.span);
  return type;
}

ast::Name Parser::name(std::string_view what) {
  if (is_word()) // before fail_expected takes it for what it starts
    fail(here(), fmt::format("expected {}, found {}", what, found()));
  Span at = expect(Tok::name, what);
  return {std::string(at.text()), at};
}

ast::Name Parser::new_name(std::string_view what) {
  ast::Name result = name(what);
  static constexpr std::string_view dtypes[] = {"f32", "f64", "bf16", "f16", "i8", "u8", "i32", "i64", "bool"};
  if (std::find(std::begin(dtypes), std::end(dtypes), result.text) != std::end(dtypes))
    fail(result.span, fmt::format("`{}` is a dtype and cannot be given to something else", result.text));
  return result;
}

// The comment lines right above, without `#` and one space.
std::string Parser::doc(const Token &first) const {
  auto right_above = [&](const ast::Comment &comment, uint32_t begin) {
    std::string_view between = source_.text().substr(comment.span.end, begin - comment.span.end);
    return comment.alone && std::count(between.begin(), between.end(), '\n') == 1 &&
           between.find_first_not_of(" \t\r\n") == std::string_view::npos;
  };
  const std::vector<ast::Comment> &comments = lexed_.comments;
  auto after = std::lower_bound(comments.begin(), comments.end(), first.begin,
                                [](const ast::Comment &comment, uint32_t begin) { return comment.span.begin < begin; });
  auto from = after;
  for (uint32_t begin = first.begin; from != comments.begin() && right_above(*(from - 1), begin); begin = from->span.begin)
    --from;
  std::string doc;
  for (auto comment = from; comment != after; ++comment) {
    std::string_view line = comment->span.text().substr(1);
    doc += (doc.empty() ? "" : "\n") + std::string(line.starts_with(' ') ? line.substr(1) : line);
  }
  return doc;
}

ast::File parse(const Source &source, Diagnostics &diagnostics) { return Parser(source, diagnostics).file(); }

} // namespace nnc
