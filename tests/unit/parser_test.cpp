// Trees, recovery, and input that is out to break the parser. What errors say is in tests/golden/errors.
#include "frontend/parser.h"
#include "tests/paths.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>

namespace nnc {
namespace {

using namespace ast;

struct Parsed {
  Source source;
  Diagnostics diagnostics;
  File file;

  explicit Parsed(std::string text) : source("t.nn", std::move(text)), file(parse(source, diagnostics)) {}
};

// "line:column message" of each error in order of place.
std::string errors(const std::string &text) {
  Parsed parsed(text);
  std::vector<const Diagnostic *> order;
  for (const Diagnostic &d : parsed.diagnostics.all())
    order.push_back(&d);
  std::stable_sort(order.begin(), order.end(), [](auto a, auto b) { return a->span.begin < b->span.begin; });
  std::string out;
  for (const Diagnostic *d : order)
    out += fmt::format("{}{}:{} {}", out.empty() ? "" : "\n", d->span.place().line, d->span.place().column, d->message);
  return out;
}

// ---- expressions as (op a b)

std::string show(const Expr &e);
std::string show(const ExprPtr &e) { return e ? show(*e) : "_"; }
std::string show(const std::vector<Arg> &args) {
  std::string out;
  for (const Arg &arg : args)
    out += " " + (arg.name ? arg.name->text + "=" : "") + show(arg.value);
  return out;
}
std::string show(const std::vector<Subscript> &subscripts) {
  std::string out;
  for (const Subscript &s : subscripts)
    out += " " + (s.kind == Subscript::Kind::ellipsis ? "..."
                  : s.kind == Subscript::Kind::index  ? show(s.index)
                                                      : show(s.start) + ":" + show(s.stop) + ":" + show(s.step));
  return out;
}
std::string show(const Expr &e) {
  if (auto *number = e.as<Number>())
    return number->integer ? fmt::format("{}", *number->integer) : fmt::format("{}f", number->value);
  if (auto *string = e.as<String>())
    return '"' + string->text + '"';
  if (auto *boolean = e.as<Bool>())
    return boolean->value ? "true" : "false";
  if (auto *ref = e.as<Ref>())
    return ref->name;
  if (e.as<Ellipsis>())
    return "...";
  if (auto *list = e.as<List>()) {
    std::string out = "[";
    for (const ExprPtr &item : list->items)
      out += (out.size() > 1 ? " " : "") + show(item);
    return out + "]";
  }
  if (auto *unary = e.as<Unary>())
    return fmt::format("({} {})", spelling(unary->op), show(unary->operand));
  if (auto *binary = e.as<Binary>()) {
    std::string text = show(binary->left);
    for (const Binary::Link &link : binary->links)
      text = fmt::format("({} {} {})", spelling(link.op), text, show(link.right));
    return text;
  }
  if (auto *call = e.as<Call>())
    return fmt::format("({}{}{})", show(call->callee), show(call->args), call->as ? " as " + call->as->text : "");
  if (auto *index = e.as<Index>())
    return fmt::format("(at {}{})", show(index->base), show(index->subscripts));
  return fmt::format("(T {})", show(e.as<Transpose>()->base));
}

std::string expression(const std::string &text) {
  Parsed parsed("const a = " + text + "\n");
  EXPECT_EQ(parsed.diagnostics.text(), "");
  return parsed.diagnostics.has_errors() ? "" : show(parsed.file.items.at(0).as<Const>()->value);
}

TEST(Parser, Precedence) {
  EXPECT_EQ(expression("-x ** 2"), "(- (** x 2))");
  EXPECT_EQ(expression("2 ** -1"), "(** 2 (- 1))");
  EXPECT_EQ(expression("a ** b ** c"), "(** a (** b c))");
  EXPECT_EQ(expression("a - b - c"), "(- (- a b) c)");
  EXPECT_EQ(expression("a - b * c"), "(- a (* b c))");
  EXPECT_EQ(expression("a * b / c // d % e @ f"), "(@ (% (// (/ (* a b) c) d) e) f)");
  EXPECT_EQ(expression("a * -b"), "(* a (- b))");
  EXPECT_EQ(expression("- + x.T"), "(- (+ (T x)))");
  EXPECT_EQ(expression("0..n - 1"), "(.. 0 (- n 1))");
  EXPECT_EQ(expression("0..n == xs"), "(== (.. 0 n) xs)");
  EXPECT_EQ(expression("a + 1 < b and not c == d or e"), "(or (and (< (+ a 1) b) (not (== c d))) e)");
  EXPECT_EQ(expression("not not a"), "(not (not a))");
  EXPECT_EQ(expression("a or b and c"), "(or a (and b c))");
  EXPECT_EQ(expression("(a + b) * c"), "(* (+ a b) c)");
  EXPECT_EQ(expression("-f(x)[0] ** 2"), "(- (** (at (f x) 0) 2))");
}

TEST(Parser, CallsSubscriptsLists) {
  EXPECT_EQ(expression("f(x, lr = 0.5,) as head"), "(f x lr=0.5f as head)");
  EXPECT_EQ(expression("grad(df)(x)"), "((grad df) x)");
  EXPECT_EQ(expression("f(x) as a + g(y) as b"), "(+ (f x as a) (g y as b))");
  EXPECT_EQ(expression("f32(x)"), "(f32 x)");
  EXPECT_EQ(expression("x[1, ..., :, 1:, :2, ::3, a:b:c, -1]"), "(at x 1 ... _:_:_ 1:_:_ _:2:_ _:_:3 a:b:c (- 1))");
  EXPECT_EQ(expression("[]"), "[]");
  EXPECT_EQ(expression("[[1, .5], [..., \"a\", true],]"), "[[1 0.5f] [... \"a\" true]]");
  EXPECT_EQ(expression("1_000 + 1e3 + 9223372036854775807"), "(+ (+ 1000 1000f) 9223372036854775807)");
}

TEST(Parser, SpansCoverParentheses) {
  Parsed parsed("const a = (b + c) * d\n");
  const Expr &product = *parsed.file.items.at(0).as<Const>()->value;
  EXPECT_EQ(product.span.text(), "(b + c) * d");
  EXPECT_EQ(product.as<Binary>()->links[0].op_span.text(), "*");
  EXPECT_EQ(product.as<Binary>()->left->span.text(), "(b + c)");
  EXPECT_EQ(product.as<Binary>()->left->parens, 1);
  EXPECT_EQ(product.depth, 3);
}

TEST(Parser, LineEnds) {
  EXPECT_EQ(expression("a +\n b"), "(+ a b)");
  EXPECT_EQ(expression("f(a\n  + b\n)"), "(f (+ a b))");
  EXPECT_EQ(expression("\n  1"), "1");
  EXPECT_EQ(errors("fn f(x) -> f32,\n  f32 {\n y = x; return y,\n  x }"), "");
  EXPECT_EQ(errors("fn f(x) {\n  print = 4\n  let = print\n}"), "") << "words of other languages are good names";
}

// A statement of each kind, a signature of each form, all comments.
TEST(Parser, TreeAsText) {
  Parsed parsed("# The layer.\n"
                "#\n"
                "# Used twice.\n"
                "fn f(x: T[..., N], act: fn = gelu, on: bool, live: bool[], rest) -> T[N], T {\n"
                "  # the weight\n"
                "  param w: T[2 * N] = zeros()   # behind\n"
                "  require N > 1, \"{N} is \\\"one\\\" {{}}\"\n"
                "  a, b[0, :] := x, w\n"
                "  ys = scan i, t in zip(a, b) { yield t }\n"
                "  if on { y = 1 } else if live { y = 2 } else { y = 3 }\n"
                "  update adam(ys, lr = 1e-3)\n"
                "  return y, last = (a)\n"
                "}\n"
                "\n"
                "# not a doc\n"
                "\n"
                "use a, b from \"lib.nn\"\n"
                "entry g() { for i in 0..3 { } }\n"
                "net h(x) = -x.T[1]\n");
  ASSERT_EQ(parsed.diagnostics.text(), "");
  EXPECT_EQ(ast_text(parsed.file), R"(fn f @4:1
  doc "The layer.\n\nUsed twice."
  parameter x @4:6
    type T[] @4:9
      ... @4:11
      ref N @4:16
  parameter act: fn @4:20
    default
      ref gelu @4:30
  parameter on: bool @4:36
  parameter live @4:46
    type bool[] @4:52
  parameter rest @4:60
  result
    type T[] @4:69
      ref N @4:71
  result
    type T @4:75
  body
    param w @6:3
      doc "the weight"
      type T[] @6:12
        binary * @6:16
          number 2 @6:14
          ref N @6:18
      call @6:23
        ref zeros @6:23
    require @7:3
      binary > @7:13
        ref N @7:11
        number 1 @7:15
      name N @7:20
      text " is \"one\" {}"
    := @8:14
      target a @8:3
      target b @8:6
        index @8:8
          number 0 @8:8
        slice @8:11
      ref x @8:17
      ref w @8:20
    scan @9:8
      target ys @9:3
      name i @9:13
      name t @9:16
      in
        call @9:21
          ref zip @9:21
          ref a @9:25
          ref b @9:28
      body
        yield @9:33
          ref t @9:39
    if @10:3
      ref on @10:6
      then
        = @10:13
          target y @10:11
          number 1 @10:15
      ref live @10:27
      then
        = @10:36
          target y @10:34
          number 2 @10:38
      else
        = @10:51
          target y @10:49
          number 3 @10:53
    update adam @11:3
      ref ys @11:15
      named lr @11:19
        float 0.001 @11:24
    return @12:3
      ref y @12:10
      named last @12:13
        ref a @12:20
use from "lib.nn" @17:1
  name a @17:5
  name b @17:8
entry g @18:1
  body
    for @18:13
      name i @18:17
      in
        binary .. @18:23
          number 0 @18:22
          number 3 @18:25
      body
net h @19:1
  parameter x @19:7
  equation
    return @19:10
      unary - @19:12
        subscript @19:13
          transpose @19:13
            ref x @19:13
          index @19:17
            number 1 @19:17
comment "# The layer." @1:1
comment "#" @2:1
comment "# Used twice." @3:1
comment "# the weight" @5:3
comment behind "# behind" @6:33
comment "# not a doc" @15:1
)");
}

TEST(Parser, ProgramsAndLibraryParse) {
  int files = 0;
  for (const char *folder : {"/tests/programs", "/frontend/std", "/examples"})
    for (const auto &entry : std::filesystem::directory_iterator(source_dir() + std::string(folder))) {
      if (entry.path().extension() != ".nn")
        continue;
      std::ifstream in(entry.path());
      Parsed parsed(std::string(std::istreambuf_iterator<char>(in), {}));
      EXPECT_EQ(parsed.diagnostics.text(), "") << entry.path();
      EXPECT_FALSE(ast_text(parsed.file).empty());
      ++files;
    }
  EXPECT_GT(files, 20);
}

TEST(Parser, LanguagePageParses) {
  std::ifstream in(source_dir() + "/docs/language.md");
  std::string page(std::istreambuf_iterator<char>(in), {});
  int programs = 0;
  for (size_t begin = 0; (begin = page.find("```nn\n", begin)) != std::string::npos; ++programs) {
    begin += 6;
    size_t end = page.find("```", begin);
    EXPECT_EQ(errors(page.substr(begin, end - begin)), "") << page.substr(begin, 80);
    begin = end + 3;
  }
  EXPECT_GT(programs, 3);
}

// ---- recovery

TEST(ParserRecovery, ALostBraceCostsOneError) {
  EXPECT_EQ(errors("fn f(x) {\n  if x {\n    y = 1\n  return y\n}\nfn g(x) {\n  y = = 2\n}\nfn h(x) = x\n"),
            "1:9 `{` is never closed\n7:7 expected an expression, found `=`: to compare, write `==`");
  EXPECT_EQ(errors("fn f(x) {\n  return x\n"), "1:9 `{` is never closed");
  EXPECT_EQ(errors("fn f(x) {\n  return x }\n}\nfn g(x) = x\n"), "3:1 `}` without a `{`");
}

TEST(ParserRecovery, DropsBadStatementsOnly) {
  Parsed parsed("fn f(x) {\n  a = 1\n  b = = { 2\n }\n  c = 3\n}\nfn g(3) { return 1 }\nfn h(x) = x\n");
  EXPECT_EQ(parsed.diagnostics.error_count(), 2u);
  ASSERT_EQ(parsed.file.items.size(), 2u);
  EXPECT_EQ(parsed.file.items[0].as<Func>()->body.statements.size(), 2u);
  EXPECT_EQ(parsed.file.items[1].as<Func>()->name.text, "h");
}

// ---- input that is out to break the parser

std::string repeat(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i)
    out += text;
  return out;
}

TEST(ParserRobustness, DepthIsBounded) {
  const std::string many[] = {
      repeat("(", 10000) + "x" + repeat(")", 10000),
      repeat("(", 10000),
      repeat("[", 10000) + repeat("]", 10000),
      repeat("-", 10000) + "x",
      repeat("not ", 10000) + "x",
      "x" + repeat(" ** x", 10000),
      "f" + repeat("(x)", 10000),
      "x" + repeat("[0]", 100000),
      "x" + repeat(".T", 100000),
      repeat("f(", 10000) + "x" + repeat(")", 10000),
  };
  for (const std::string &text : many) {
    std::string all = errors("fn f(x) = " + text + "\n");
    EXPECT_TRUE(all.ends_with(" nested more than 500 levels deep: name parts of it") && all.find('\n') == std::string::npos)
        << all;
  }
  EXPECT_EQ(errors("fn f(x) {\n" + repeat("if x {\n", 10000) + repeat("}\n", 10000) + "}\n"),
            "501:4 nested more than 500 levels deep: name parts of it");
  EXPECT_EQ(errors("fn f(x) {\n" + repeat("if x {\n", 10000)), "501:4 nested more than 500 levels deep: name parts of it");
}

TEST(ParserRobustness, DepthBelowTheBoundIsFine) {
  EXPECT_EQ(errors("fn f(x) = " + repeat("(", 490) + "x" + repeat(")", 490)), "");
  EXPECT_EQ(errors("fn f(x) = 1" + repeat(" + 1", 100'000)), "") << "a chain is no nesting";
  EXPECT_EQ(errors("fn f(x) = x" + repeat(" and x", 100'000)), "");
  EXPECT_EQ(errors("fn f(x) {\n" + repeat("if x {\n", 490) + repeat("}\n", 490) + "}\n"), "");
  EXPECT_EQ(errors("fn f(x) {\n if x { }" + repeat(" else if x { }", 20000) + "\n}\n"), "") << "alternatives are no nesting";
  EXPECT_EQ(errors("const a = [" + repeat("1, ", 100000) + "]\n"), "");
}

TEST(ParserRobustness, LongInput) {
  EXPECT_EQ(errors("const a = [" + repeat("1,", 1000000) + "$]\n").substr(0, 22), "1:2000012 unexpected `");
  EXPECT_EQ(errors("fn f(x) = " + std::string(10'000'000, 'a') + " b\n"),
            "1:11 a name of 10000000 characters: at most 255 are possible");
  EXPECT_EQ(errors("const a = \"" + std::string(10'000'000, 'a')), "1:11 the string is not closed: `\"` is missing on this line");
  for (const char *text :
       {"$", "$a", "}", ")", "+ 1\n", "fn\n", "fn f(x) {\n", "fn f(", "const a = (", "if ", ":", "\"", "'", "x = "}) {
    Parsed parsed(repeat(text, 300000));
    EXPECT_TRUE(parsed.diagnostics.has_errors()) << text;
    EXPECT_LT(parsed.diagnostics.text().size(), 20000u) << text;
  }
}

// Every file with every stretch of it cut out, and with bytes swapped, parses without a crash.
TEST(ParserRobustness, DamagedPrograms) {
  for (const auto &entry : std::filesystem::directory_iterator(source_dir() + "/tests/programs")) {
    std::ifstream in(entry.path());
    std::string text(std::istreambuf_iterator<char>(in), {});
    for (size_t i = 0; i + 1 < text.size(); i += 7) {
      std::string cut = text.substr(0, i) + text.substr(std::min(text.size(), i + 5));
      std::string end = text.substr(0, i);
      std::swap(text[i], text[text.size() - 1 - i]);
      for (const std::string &damaged : {cut, end, text}) {
        Parsed parsed(damaged);
        ast_text(parsed.file);
        parsed.diagnostics.text();
      }
    }
  }
}

} // namespace
} // namespace nnc
