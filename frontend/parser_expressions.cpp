// Expressions: precedence climbing over the binary operators, then unary operators, `**`, calls and atoms.
#include "frontend/foreign.h"
#include "frontend/parsing.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace nnc {

using ast::BinaryOp;
using ast::ExprPtr;
using ast::UnaryOp;

namespace {

// Loose to tight. `**` and the signs bind tighter and are parsed by their own functions.
enum Precedence { level_or, level_and, level_not, level_compare, level_range, level_sum, level_product };

struct Infix {
  Tok sign;
  BinaryOp op;
  int level;
};
constexpr Infix infixes[] = {
    {Tok::kw_or, BinaryOp::logical_or, level_or}, {Tok::kw_and, BinaryOp::logical_and, level_and},
    {Tok::eq, BinaryOp::eq, level_compare},       {Tok::ne, BinaryOp::ne, level_compare},
    {Tok::lt, BinaryOp::lt, level_compare},       {Tok::le, BinaryOp::le, level_compare},
    {Tok::gt, BinaryOp::gt, level_compare},       {Tok::ge, BinaryOp::ge, level_compare},
    {Tok::range, BinaryOp::range, level_range},   {Tok::plus, BinaryOp::add, level_sum},
    {Tok::minus, BinaryOp::sub, level_sum},       {Tok::star, BinaryOp::mul, level_product},
    {Tok::slash, BinaryOp::div, level_product},   {Tok::slash_slash, BinaryOp::floor_div, level_product},
    {Tok::percent, BinaryOp::rem, level_product}, {Tok::at, BinaryOp::matmul, level_product},
};

const Infix *infix(Tok sign) {
  auto found = std::find_if(std::begin(infixes), std::end(infixes), [&](const Infix &row) { return row.sign == sign; });
  return found == std::end(infixes) ? nullptr : found;
}

struct DepthBelow {
  int of(const ExprPtr &e) const { return e ? e->depth : 0; }
  int operator()(const ast::List &list) const { return most(list.items); }
  int operator()(const ast::Unary &unary) const { return of(unary.operand); }
  int operator()(const ast::Binary &binary) const { return std::max(of(binary.left), of(binary.links.back().right)); }
  int operator()(const ast::Call &call) const {
    int depth = of(call.callee);
    for (const ast::Arg &arg : call.args)
      depth = std::max(depth, of(arg.value));
    return depth;
  }
  int operator()(const ast::Index &index) const {
    int depth = of(index.base);
    for (const ast::Subscript &s : index.subscripts)
      depth = std::max({depth, of(s.index), of(s.start), of(s.stop), of(s.step)});
    return depth;
  }
  int operator()(const ast::Transpose &transpose) const { return of(transpose.base); }
  template <typename Leaf> int operator()(const Leaf &) const { return 0; }

  int most(const std::vector<ExprPtr> &list) const {
    int depth = 0;
    for (const ExprPtr &e : list)
      depth = std::max(depth, of(e));
    return depth;
  }
};

} // namespace

ExprPtr Parser::make(const Span &first, ast::Expr::Node node) {
  auto expr = std::make_unique<ast::Expr>();
  expr->span = since(first);
  expr->depth = 1 + std::visit(DepthBelow(), node);
  expr->node = std::move(node);
  if (expr->depth > ast::max_depth)
    fail_too_deep(last());
  return expr;
}

ExprPtr Parser::joined(const Span &first, ExprPtr left, ast::Binary::Link link) {
  ast::Binary binary{std::move(left), {}};
  binary.links.push_back(std::move(link));
  return make(first, std::move(binary));
}

void Parser::extend(ast::Expr &chain, ast::Binary::Link link) {
  chain.span = since(chain.span);
  chain.depth = std::max(chain.depth, 1 + link.right->depth);
  std::get<ast::Binary>(chain.node).links.push_back(std::move(link));
  if (chain.depth > ast::max_depth)
    fail_too_deep(last());
}

// An expression of operators that bind at least as tight as `loosest`.
ExprPtr Parser::binary(int loosest) {
  ExprPtr left;
  if (is(Tok::kw_not)) {
    if (loosest > level_not)
      fail(here(), "`not` binds looser than the operator before it: put it in parentheses");
    Level level(*this, here());
    Span op = take();
    ExprPtr operand = binary(level_not);
    left = make(op, ast::Unary{UnaryOp::logical_not, op, std::move(operand)});
  } else {
    left = unary();
  }
  for (int chained = -1;;) { // the level of the operators in `left`, where it has no parentheses
    const Infix *row = infix(token().kind);
    if (!row || row->level < loosest)
      return left;
    Span op = take(), first = left->span;
    ExprPtr right = binary(row->level + 1);
    if (row->level == std::exchange(chained, row->level))
      extend(*left, {row->op, op, std::move(right)});
    else
      left = joined(first, std::move(left), {row->op, op, std::move(right)});
    const Infix *next = infix(token().kind);
    if (next && next->level == row->level && row->level == level_compare)
      fail(here(), "comparisons do not chain: write `a < b and b < c`");
    if (next && next->level == row->level && row->level == level_range)
      fail(here(), "`..` does not chain");
  }
}

// Signs and `**`: -x ** 2 is -(x ** 2), and the exponent may have a sign.
ExprPtr Parser::unary() {
  Level level(*this, here());
  Span first = here();
  if (is(Tok::minus) || is(Tok::plus)) {
    UnaryOp op = is(Tok::minus) ? UnaryOp::minus : UnaryOp::plus;
    take();
    ExprPtr operand = unary();
    return make(first, ast::Unary{op, first, std::move(operand)});
  }
  ExprPtr base = postfix();
  if (!is(Tok::power))
    return base;
  Span op = take();
  ExprPtr exponent = unary();
  return joined(first, std::move(base), {BinaryOp::pow, op, std::move(exponent)});
}

ExprPtr Parser::postfix() {
  Span first = here();
  ExprPtr base = atom();
  for (;;) {
    if (is(Tok::open_paren)) {
      ast::Call call{std::move(base), args(), std::nullopt};
      if (take_if(Tok::kw_as))
        call.as = new_name("the name of the call");
      base = make(first, std::move(call));
    } else if (is(Tok::open_bracket)) {
      ast::Index index{std::move(base), subscripts()};
      base = make(first, std::move(index));
    } else if (is(Tok::dot)) {
      base = member(first, std::move(base));
    } else {
      return base;
    }
  }
}

ExprPtr Parser::member(const Span &first, ExprPtr base) {
  take();
  ast::Name member = name("`T`");
  if (member.text == "T" && !is(Tok::open_paren))
    return make(first, ast::Transpose{std::move(base)});
  if (const auto *package = base->as<ast::Ref>(); package && is_package(package->name)) {
    while (is(Tok::dot) && token_after().kind == Tok::name) { // torch.nn.functional.relu
      take();
      member = name("a name");
    }
    const std::string_view instead = dtype_instead_of(member.text).empty() ? instead_of(member.text) : "";
    const std::string_view dtype = dtype_instead_of(member.text);
    fail(join(first, member.span),
         !instead.empty() ? fmt::format("there is no `{}`: {}", join(first, member.span).text(), instead)
                          : fmt::format("functions stand without the name of a package: write `{}{}`",
                                        dtype.empty() ? std::string_view(member.text) : dtype, is(Tok::open_paren) ? "(…)" : ""));
  }
  fail_member(first, *base, member);
}

// A field or a method, of which there are none.
void Parser::fail_member(const Span &first, const ast::Expr &base, const ast::Name &member) {
  std::string_view what = base.span.text();
  if (what.size() > 20 || what.find('\n') != std::string_view::npos)
    what = "x";
  if (what == "self")
    fail(join(first, member.span),
         fmt::format("there is no `self`: a `param` is called by its name in its net, `{}`", member.text));
  if (base.as<ast::Ref>() && declares(Tok::kw_net, what) && plain_word(member.text) != "parameters")
    fail(member.span,
         fmt::format("a net has no fields: params(\"{}/{}\") lists what is called so in it, and params({}) all its parameters",
                     what, member.text, what));
  if (plain_word(member.text) == "astype" || member.text == "to" || member.text == "type") {
    std::string_view dtype;
    for (size_t i = at_ + 1; i < lexed_.tokens.size() && dtype.empty() && lexed_.tokens[i].kind != Tok::close_paren; ++i) {
      const std::string_view word = span(lexed_.tokens[i]).text();
      static constexpr std::string_view own[] = {"f32", "f64", "bf16", "f16", "i8", "u8", "i32", "i64", "bool"};
      dtype = std::find(std::begin(own), std::end(own), word) != std::end(own) ? word : dtype_instead_of(word);
    }
    if (!dtype.empty())
      fail(member.span, fmt::format("there are no methods: write `{}({})`", dtype, what));
  }
  const std::string_view thing = is(Tok::open_paren) ? "there are no methods" : "a value has no fields but `.T`";
  if (const std::string_view dtype = dtype_instead_of(member.text); !dtype.empty())
    fail(member.span, fmt::format("{}: write `{}({})`", thing, dtype, what));
  if (const std::string_view instead = instead_of(member.text); !instead.empty())
    fail(member.span, fmt::format("{}: {}", thing, instead));
  if (is(Tok::open_paren))
    fail(member.span,
         fmt::format("{}: write `{}({}{})`", thing, member.text, what, token_after().kind == Tok::close_paren ? "" : ", …"));
  fail(member.span, fmt::format("{}: functions stand before it, as in `{}({})`", thing, member.text, what));
}

ExprPtr Parser::atom() {
  Span first = here();
  switch (token().kind) {
  case Tok::number:
    return number();
  case Tok::name:
    return reference();
  case Tok::string:
    take();
    return make(first, ast::String{unescape(first.text().substr(1, first.text().size() - 2))});
  case Tok::kw_true:
  case Tok::kw_false:
    take();
    return make(first, ast::Bool{first.text() == "true"});
  case Tok::open_paren:
    return parenthesized();
  case Tok::open_bracket: {
    ast::List list;
    take();
    bracketed(first, Tok::close_bracket, [&] { list.items.push_back(sized()); });
    return make(first, std::move(list));
  }
  case Tok::open_brace:
    if (last().text() == "if" || last().text() == "in")
      fail_expected("an expression");
    fail(first, "there are no dictionaries and sets: a list is `[a, b]`");
  case Tok::star:
  case Tok::power:
    fail(first, fmt::format("arguments are not unpacked: pass the list itself, without `{}`", first.text()));
  default:
    if (at_ > 0 && !is(Tok::invalid) && (token().first || is(Tok::end)))
      fail(last(), fmt::format("expected an expression behind `{}`", last().text()));
    fail_expected("an expression");
  }
}

ExprPtr Parser::number() {
  Span at = take();
  std::string digits(at.text());
  std::erase(digits, '_');
  const char *begin = digits.data(), *end = begin + digits.size();
  auto refuse = [&](std::string_view why) {
    diagnostics_.error(at, fmt::format("`{}`{} {}", at.text().substr(0, 40), at.text().size() > 40 ? " …" : "", why));
  };
  ast::Number number;
  if (digits.find_first_of(".eE") == std::string::npos) {
    int64_t integer = 0;
    if (std::from_chars(begin, end, integer).ec == std::errc::result_out_of_range)
      refuse("does not fit 64 bits; with a point or an exponent it would be a float");
    number.integer = integer;
  }
  if (std::from_chars(begin, end, number.value).ec == std::errc::result_out_of_range && !number.integer)
    refuse("is out of the range of f64");
  return make(at, number);
}

ExprPtr Parser::reference() {
  Span at = take();
  if (at.text() == "lambda" && (is(Tok::name) || is(Tok::colon)))
    fail(at, "there are no lambdas: declare a `fn` at file level and pass its name");
  if (at.text() == "None")
    fail(at, "there is no `None`: leave out an argument that has a default; a new axis is made with `expand_dims(x, axis)`, and "
             "sizes are numbers");
  if (at.text() == "True" || at.text() == "False") {
    diagnostics_.error(at, at.text() == "True" ? "write `true`" : "write `false`");
    return make(at, ast::Bool{at.text() == "True"});
  }
  return make(at, ast::Ref{std::string(at.text())});
}

ExprPtr Parser::parenthesized() {
  Span open = take();
  ExprPtr inner = expression();
  if (is(Tok::comma))
    fail(here(), "there are no tuples: a list is `[a, b]`; several values to return or assign stand without parentheses");
  if (!is(Tok::close_paren))
    fail_unclosed(open, Tok::close_paren);
  take();
  inner->span = since(open);
  ++inner->parens;
  return inner;
}

ExprPtr Parser::sized() {
  Span at = here();
  return take_if(Tok::ellipsis) ? make(at, ast::Ellipsis{}) : expression();
}

ast::Arg Parser::arg() {
  ast::Arg arg;
  Span first = here();
  if (is(Tok::name) && token_after().kind == Tok::assign) {
    arg.name = new_name("a name");
    take();
  }
  arg.value = expression();
  arg.span = since(first);
  return arg;
}

std::vector<ast::Arg> Parser::args() {
  std::vector<ast::Arg> args;
  Span open = expect(Tok::open_paren, "`(`");
  bracketed(open, Tok::close_paren, [&] { args.push_back(arg()); });
  return args;
}

std::vector<ast::Subscript> Parser::subscripts() {
  std::vector<ast::Subscript> subscripts;
  Span open = take();
  if (is(Tok::close_bracket))
    fail_expected("an index");
  bracketed(open, Tok::close_bracket, [&] { subscripts.push_back(subscript()); });
  return subscripts;
}

ast::Subscript Parser::subscript() {
  using Kind = ast::Subscript::Kind;
  ast::Subscript subscript;
  Span first = here();
  auto bound = [&]() -> ExprPtr { return is(Tok::colon) || is(Tok::comma) || is(Tok::close_bracket) ? nullptr : expression(); };
  if (take_if(Tok::ellipsis)) {
    subscript.kind = Kind::ellipsis;
  } else {
    ExprPtr start = is(Tok::colon) ? nullptr : expression();
    if (take_if(Tok::colon)) {
      subscript.kind = Kind::slice;
      subscript.start = std::move(start);
      subscript.stop = bound();
      if (take_if(Tok::colon))
        subscript.step = bound();
    } else {
      subscript.index = std::move(start);
    }
  }
  subscript.span = since(first);
  return subscript;
}

} // namespace nnc
