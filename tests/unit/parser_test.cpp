// Trees, errors with their places, recovery, and input that is out to break the parser.
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
std::string body_errors(const std::string &statements) { return errors("fn f(x) {\n" + statements + "\n}\n"); }

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
  if (auto *binary = e.as<Binary>())
    return fmt::format("({} {} {})", spelling(binary->op), show(binary->left), show(binary->right));
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
  EXPECT_EQ(product.as<Binary>()->op_span.text(), "*");
  EXPECT_EQ(product.as<Binary>()->left->span.text(), "(b + c)");
  EXPECT_EQ(product.as<Binary>()->left->parens, 1);
  EXPECT_EQ(product.depth, 3);
}

TEST(Parser, LineEnds) {
  EXPECT_EQ(expression("a +\n b"), "(+ a b)");
  EXPECT_EQ(expression("f(a\n  + b\n)"), "(f (+ a b))");
  EXPECT_EQ(expression("\n  1"), "1");
  EXPECT_EQ(errors("fn f(x) -> f32,\n  f32 {\n y = x; return y,\n  x }"), "");
  EXPECT_EQ(body_errors("y = x\n+ z"),
            "3:1 a line goes on only inside brackets or after an operator: put `+` at the end of the line before");
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

// ---- errors

TEST(ParserErrors, DeclarationsAndSignatures) {
  EXPECT_EQ(errors(""), "1:1 there are no declarations in this file");
  EXPECT_EQ(errors("\n# only this\n"), "1:1 there are no declarations in this file");
  EXPECT_EQ(errors("x = 3"), "1:1 only declarations stand at file level: write `const x = …`");
  EXPECT_EQ(errors("for i in 0..3 { }"), "1:1 `for` stands in the body of a net, fn, optimizer or entry");
  EXPECT_EQ(errors("update adam(loss)"), "1:1 `update` stands in the body of a net, fn, optimizer or entry");
  EXPECT_EQ(errors("3"), "1:1 expected a declaration (use, const, param, state, net, fn, optimizer or entry), found `3`");
  EXPECT_EQ(errors("}\nconst a = 1"), "1:1 `}` without a `{`");
  EXPECT_EQ(errors("def f(x):\n  return x"), "1:1 a function is `fn name(x) { … }`, a network `net name(x) { … }`");
  EXPECT_EQ(errors("import f"), "1:1 write `use name from \"file.nn\"`");
  EXPECT_EQ(errors("use f"), "1:6 expected `from \"file.nn\"`, found the end of the file");
  EXPECT_EQ(errors("use f from lib"), "1:12 expected the file's name in quotes, found `lib`");
  EXPECT_EQ(errors("const a: int = 3"), "1:8 a const has no type: its value is known when compiling");
  EXPECT_EQ(errors("const for = 3"), "1:7 expected the constant's name, found `for`, a word of the language");
  EXPECT_EQ(errors("const f32 = 3"), "1:7 `f32` is a dtype and cannot be given to something else");
  EXPECT_EQ(errors("const a = 3 4"), "1:13 expected the end of the line, found `4`");
  EXPECT_EQ(errors("param w: f32[3]\n"), "1:1 `w` has no initialiser: write `= zeros()` or another");
  EXPECT_EQ(errors("state w := zeros()"), "1:9 an initialiser stands behind `=`: `:=` assigns to what is declared");
  EXPECT_EQ(errors("fn f(x, , y) = x"), "1:9 expected a parameter's name, found `,`");
  EXPECT_EQ(errors("fn f(x: 3) = x"), "1:9 expected a type, found `3`");
  EXPECT_EQ(errors("fn f(x: f32[2) = x"), "1:14 expected `,` or `]`, found `)`");
  EXPECT_EQ(errors("fn f(x: f32[2, 3] {\n return x\n}\n"), "1:5 `(` is never closed");
  EXPECT_EQ(errors("fn f(x) -> { return x }"), "1:12 expected a type, found `{`");
  EXPECT_EQ(errors("fn f(x) x"), "1:9 expected `{`, found `x`");
  EXPECT_EQ(errors("entry f(x: f32[2]) = x"), "1:20 an entry has its body in braces: `{ … }`");
  EXPECT_EQ(errors("fn f(x):\n  return x\n"), "1:8 a body stands in braces: write `{` instead of `:`");
  EXPECT_EQ(errors("fn f(x)\n{\n  return x\n}\n"), "2:1 `{` stands on the line of what it belongs to");
  EXPECT_EQ(errors("fn f(x) {\n  fn g(y) = y y\n  const a = 3\n  return x\n}\n"),
            "2:3 `fn` stands at file level, not in a body\n2:15 expected the end of the line, found `y`\n"
            "3:3 `const` stands at file level: in a body write `x = …`");
}

TEST(ParserErrors, Statements) {
  EXPECT_EQ(body_errors("x += 1"), "2:3 there is no `+=`: write `x = x + …`, or for state `x := x + …`");
  EXPECT_EQ(body_errors("x **= 2"), "2:3 there is no `**=`: write `x = x ** …`, or for state `x := x ** …`");
  EXPECT_EQ(body_errors("print(x)"), "2:1 nothing is printed: an entry returns what is to be seen");
  EXPECT_EQ(body_errors("while x < 3 { y = 1 }"), "2:1 there is no `while`: `for` and `scan` run over lists, tensors and `a..b`");
  EXPECT_EQ(body_errors("f(x)"), "2:1 an expression alone is no statement: name its value, `y = f(…)`");
  EXPECT_EQ(body_errors("x + 1"), "2:1 an expression alone is no statement: name its value, `y = …`");
  EXPECT_EQ(body_errors("\"doc\""), "2:1 an expression alone is no statement: name its value, `y = …`");
  EXPECT_EQ(body_errors("x.append(1)"), "2:1 an expression alone is no statement: name its value, `y = …`");
  EXPECT_EQ(body_errors("x: f32[3] = 4"), "2:2 only parameters, `param` and `state` are declared with a type: write `x = …`");
  EXPECT_EQ(body_errors("let y = 4"), "2:1 no word stands before a new name: write `x = …`");
  EXPECT_EQ(body_errors("print = 4\nlet = print"), "") << "words of other languages are good names";
  EXPECT_EQ(body_errors("(a, b) = f(x)"),
            "2:1 a statement does not start with `(`: names to the left of `=` stand without parentheses");
  EXPECT_EQ(body_errors("// why"), "2:1 a comment starts with `#`");
  EXPECT_EQ(body_errors("bool = true"), "2:1 `bool` is a dtype and cannot be given to something else");
  EXPECT_EQ(body_errors("y = "), "2:3 expected an expression behind `=`");
  EXPECT_EQ(body_errors("return"), "2:1 `return` needs a value: leave it out where nothing is returned");
  EXPECT_EQ(body_errors("yield"), "2:1 `yield` needs a value");
  EXPECT_EQ(body_errors("return (x, y)"),
            "2:10 there are no tuples: a list is `[a, b]`; several values to return or assign stand without parentheses");
  EXPECT_EQ(body_errors("if x = 3 { y = 1 }"), "2:6 expected `{`, found `=`: to compare, write `==`");
  EXPECT_EQ(body_errors("if x { y = 1 }\nelse { y = 2 }"), "3:1 `else` stands on the line of the `}` before it");
  EXPECT_EQ(body_errors("if x { y = 1 } elif z { y = 2 }"), "2:16 write `else if`");
  EXPECT_EQ(body_errors("else { y = 1 }"), "2:1 `else` without an `if` before it");
  EXPECT_EQ(body_errors("for (a, b) in x { }"), "2:5 names stand without parentheses: `for a, b in …`");
  EXPECT_EQ(body_errors("for i of x { }"), "2:7 expected `in`, found `of`");
  EXPECT_EQ(body_errors("y := for i in 0..3 { yield i }"), "2:3 the result of a loop is named with `=`");
  EXPECT_EQ(body_errors("require x > 3"), "2:14 `require` needs a message: `require cond, \"message\"`");
  EXPECT_EQ(body_errors("require x > 3, y"), "2:16 expected a message in quotes, found `y`");
  for (const char *braces : {"{b c}", "{", "{}", "{3}", "{b"})
    EXPECT_EQ(body_errors(fmt::format("require x, \"a {}\"", braces)),
              "2:15 in a message, braces stand around one name; write `{{` for a brace");
  EXPECT_EQ(body_errors("require x, \"a }\""), "2:15 in a message, braces stand around one name; write `}}` for a brace");
  EXPECT_EQ(body_errors("update adam = 3"), "2:13 expected `(`, found `=`: to compare, write `==`");
}

TEST(ParserErrors, Expressions) {
  EXPECT_EQ(body_errors("y = x.sum()"), "2:7 there are no methods: write `sum(x)`");
  EXPECT_EQ(body_errors("y = x.mean(1).max(2)"), "2:7 there are no methods: write `mean(x, …)`");
  EXPECT_EQ(body_errors("y = x.shape"), "2:7 a value has no fields but `.T`: functions stand before it, as in `shape(x)`");
  EXPECT_EQ(body_errors("y = None"),
            "2:5 there is no `None`: give a parameter a default that means nothing, and an axis with `reshape`");
  EXPECT_EQ(body_errors("y = x[:, None]"),
            "2:10 there is no `None`: give a parameter a default that means nothing, and an axis with `reshape`");
  EXPECT_EQ(body_errors("y = f(True, False)"), "2:7 write `true`\n2:13 write `false`");
  EXPECT_EQ(body_errors("y = (1, 2)"),
            "2:7 there are no tuples: a list is `[a, b]`; several values to return or assign stand without parentheses");
  EXPECT_EQ(body_errors("y = lambda a: a"), "2:5 there are no lambdas: declare a `fn` at file level and pass its name");
  EXPECT_EQ(body_errors("y = f(fn(a) = a)"),
            "2:7 there are no functions without a name: declare a `fn` at file level and pass its name");
  EXPECT_EQ(body_errors("y = a if c else b"), "2:7 there is no conditional expression: write `where(c, a, b)`, or an `if` block "
                                              "for what is known when compiling");
  EXPECT_EQ(body_errors("y = if c { a } else { b }"), "2:5 there is no conditional expression: write `where(c, a, b)`, or an "
                                                      "`if` block for what is known when compiling");
  EXPECT_EQ(body_errors("y = [f(x) for x in xs]"), "2:11 there are no comprehensions: write `y = for x in xs { yield … }`");
  EXPECT_EQ(body_errors("y = a & b"), "2:7 there is no operator `&`: write `and`, also between tensors");
  EXPECT_EQ(body_errors("y = a < b < c"), "2:11 comparisons do not chain: write `a < b and b < c`");
  EXPECT_EQ(body_errors("y = a == b != c"), "2:12 comparisons do not chain: write `a < b and b < c`");
  EXPECT_EQ(body_errors("y = 0..1..2"), "2:9 `..` does not chain");
  EXPECT_EQ(body_errors("y = a + not b"), "2:9 `not` binds looser than the operator before it: put it in parentheses");
  EXPECT_EQ(body_errors("y = x as z"), "2:7 `as` names a call: it stands right behind the `)`");
  EXPECT_EQ(body_errors("y = a b"), "2:7 expected the end of the line, found `b`");
  EXPECT_EQ(body_errors("y = a * / b"), "2:9 expected an expression, found `/`");
  EXPECT_EQ(body_errors("y = ()"), "2:6 expected an expression, found `)`");
  EXPECT_EQ(body_errors("y = f(...)"), "2:7 expected an expression, found `...`");
  EXPECT_EQ(body_errors("y = x[]"), "2:7 expected an index, found `]`");
  EXPECT_EQ(body_errors("y = x[1:2:3:4]"), "2:12 expected `,` or `]`, found `:`");
  EXPECT_EQ(body_errors("y = f(a b)"), "2:9 expected `,` or `)`, found `b`");
  EXPECT_EQ(body_errors("y = [1, 2; 3, 4]"), "2:10 `;` ends a statement: inside brackets write `,`");
  EXPECT_EQ(body_errors("y = f(a\nreturn y"), "2:6 `(` is never closed");
  EXPECT_EQ(body_errors("y = [1, 2"), "2:5 `[` is never closed");
  EXPECT_EQ(body_errors("y = 9223372036854775808"),
            "2:5 `9223372036854775808` does not fit 64 bits; with a point or an exponent it would be a float");
  EXPECT_EQ(body_errors("y = 1e999"), "2:5 `1e999` is out of the range of f64");
}

TEST(ParserErrors, ShowsTheOpenBracket) {
  Parsed parsed("const a = f(1,\n  2 3)\n");
  EXPECT_EQ(parsed.diagnostics.text(), "t.nn:2:5: error: expected `,` or `)`, found `3`\n"
                                       "  1 | const a = f(1,\n"
                                       "    |            ~\n"
                                       "  2 |   2 3)\n"
                                       "    |     ^");
}

TEST(ParserErrors, SeveralInOneRun) {
  EXPECT_EQ(errors("const a = \n"
                   "fn f(x, 3) {\n"
                   "  y = x +* 2\n"
                   "  if y < {\n"
                   "    z = (1\n"
                   "  }\n"
                   "  return\n"
                   "}\n"
                   "fn g(x) = x.sum()\n"
                   "entry e(x: f32[2]) { return y = x $ 2 }\n"
                   "const b = 5x\n"),
            "1:9 expected an expression behind `=`\n"
            "2:9 expected a parameter's name, found `3`\n"
            "3:10 expected an expression, found `*`\n"
            "4:10 expected an expression, found `{`\n"
            "5:9 `(` is never closed\n"
            "7:3 `return` needs a value: leave it out where nothing is returned\n"
            "9:13 there are no methods: write `sum(x)`\n"
            "10:35 unexpected `$`: names are made of the letters a-z and A-Z, digits and `_`\n"
            "11:11 `5x` is neither a number nor a name");
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
      "1" + repeat(" + 1", 100000),
      "x" + repeat(" and x", 100000),
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
  EXPECT_EQ(errors("fn f(x) = 1" + repeat(" + 1", 490)), "");
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
