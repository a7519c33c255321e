// The syntax tree of a .nn file: what was written, nothing more. Names are not looked up, nothing is checked beyond the
// grammar; a file may be lowered many times (a function once for each call), so the tree is never changed after parsing.
// Node names are those of the grammar in docs/language.md.
#pragma once

#include "frontend/diagnostics.h"

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace nnc::ast {

// No expression is deeper than this, nested lists included, and no block stands in more than this many others: the parser
// refuses what is, so recursion over a tree is safe. What operators join from left to right is one level, however long.
inline constexpr int max_depth = 500;

struct Name {
  std::string text;
  Span span;
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

// ---- expressions

struct Number {
  double value = 0;
  std::optional<int64_t> integer; // if written without a point or an exponent
};
struct String {
  std::string text; // escapes replaced
};
struct Bool {
  bool value = false;
};
struct Ref { // a name or a dtype; Expr::span is its place
  std::string name;
};
struct Ellipsis {}; // only as an item of a List or a size of a TypeExpr
struct List {
  std::vector<ExprPtr> items;
};

enum class UnaryOp : uint8_t { plus, minus, logical_not };
struct Unary {
  UnaryOp op;
  Span op_span;
  ExprPtr operand;
};

// In order of precedence, tight to loose.
enum class BinaryOp : uint8_t {
  pow,
  mul,
  div,
  floor_div,
  rem,
  matmul,
  add,
  sub,
  range,
  eq,
  ne,
  lt,
  le,
  gt,
  ge,
  logical_and,
  logical_or
};
struct Binary { // left op right op right …, operators of one precedence; from left to right
  struct Link {
    BinaryOp op;
    Span op_span;
    ExprPtr right;
  };
  ExprPtr left;
  std::vector<Link> links; // at least one
};

struct Arg { // of a call, `update` or `return`
  std::optional<Name> name;
  ExprPtr value;
  Span span; // with its name
};
struct Call {
  ExprPtr callee;
  std::vector<Arg> args;
  std::optional<Name> as; // f(x) as name
};

struct Subscript {
  enum class Kind : uint8_t { ellipsis, index, slice };
  Kind kind = Kind::index;
  Span span;
  ExprPtr index;             // index
  ExprPtr start, stop, step; // slice; each may be null
};
struct Index {
  ExprPtr base;
  std::vector<Subscript> subscripts; // at least one
};
struct Transpose { // x.T
  ExprPtr base;
};

struct Expr {
  using Node = std::variant<Number, String, Bool, Ref, Ellipsis, List, Unary, Binary, Call, Index, Transpose>;

  Span span; // with the parentheses around it
  Node node;
  int parens = 0; // pairs around it
  int depth = 1;  // levels of the tree below and including this

  template <typename T> const T *as() const { return std::get_if<T>(&node); }
};

// ---- types and signatures

struct TypeExpr {
  Span span;
  Name dtype;            // "f32", …, or a name bound by the call ("T")
  bool brackets = false; // `f32[]` against `f32`; sizes is empty for both
  std::vector<ExprPtr> sizes;
};

enum class Kind : uint8_t { integer, boolean, string, function, shape, list }; // int bool str fn shape list

struct Parameter { // of a signature: at most one of type and kind
  Span span;
  Name name;
  std::optional<TypeExpr> type;
  std::optional<Kind> kind; // `bool` without brackets is a kind, `bool[]` a type
  ExprPtr default_value;    // may be null
};

// ---- statements

struct Stmt;
struct Block {
  Span span; // with the braces
  std::vector<Stmt> statements;
};

struct Decl {
  enum class Kind : uint8_t { param, state };
  Kind kind = Kind::param;
  Span head; // `param w: f32[784,512]`: without the initialiser
  Name name;
  std::optional<TypeExpr> type;
  ExprPtr initialiser;
  std::string doc;
};

struct Target {
  Span span;
  Name name;
  std::vector<Subscript> subscripts; // empty: the name alone
};
struct Assign { // targets and values may differ in number; the checker unpacks lists
  std::vector<Target> targets;
  bool to_state = false; // `:=`
  Span op_span;
  std::vector<ExprPtr> values;
};

struct Loop {
  enum class Kind : uint8_t { unrolled, scan }; // `for`, `scan`
  Kind kind = Kind::unrolled;
  std::vector<Target> targets; // of the yields; may be empty
  Span word;                   // the word `for` or `scan`
  std::vector<Name> names;     // at least one
  ExprPtr sequence;
  ExprPtr axis; // of a `scan`; may be null
  Block body;
};
struct Yield {
  std::vector<ExprPtr> values;
};

struct If {
  struct Branch {
    ExprPtr condition;
    Block body;
  };
  std::vector<Branch> branches; // if, else if, …
  std::optional<Block> otherwise;
};

struct Require {
  // The message in parts: "{groups} groups": the name `groups`, then " groups". `{{` and `}}` are braces.
  struct Part {
    std::string text;         // where there is no name
    std::optional<Name> name; // in braces
  };
  ExprPtr condition;
  Span message_span;
  std::vector<Part> message;
};

struct Update {
  Name optimizer;
  std::vector<Arg> args;
};
struct Return {
  Span word;               // `return`; the `=` of `fn f(x) = …`
  std::vector<Arg> values; // at least one
};

struct Stmt {
  using Node = std::variant<Decl, Assign, Loop, Yield, If, Require, Update, Return>;

  Span span;
  Node node;

  template <typename T> const T *as() const { return std::get_if<T>(&node); }
};

// ---- files

struct Use {
  std::vector<Name> names;
  std::string path; // as written, not resolved
  Span path_span;
};
struct Const {
  Name name;
  ExprPtr value;
  std::string doc;
};
struct Func {
  enum class Kind : uint8_t { fn, net, optimizer, entry };
  Kind kind = Kind::fn;
  Span head; // from `fn` to the end of the signature
  Name name;
  std::vector<Parameter> parameters;
  std::vector<TypeExpr> results; // empty: not written
  Block body;                    // `fn f(x) = e` has the body { return e }
  bool equation = false;         // … and was written that way
  std::string doc;
};

struct Item {
  using Node = std::variant<Use, Const, Decl, Func>;

  Span span;
  Node node;

  template <typename T> const T *as() const { return std::get_if<T>(&node); }
};

// Comments stand beside the tree in order of place; a formatter prints those before a node's begin before the node, and one
// with `alone` unset behind the statement it follows. `doc` fields repeat the text of comment lines right above.
struct Comment {
  Span span;          // from `#` to the end of the line
  bool alone = false; // nothing before it on its line
};

struct File {
  const Source *source = nullptr;
  std::vector<Item> items;
  std::vector<Comment> comments;
};

// The tree as text, a node a line, with positions: what --emit=ast prints.
std::string ast_text(const File &file);

// Names as the language writes them: "param", "scan", "//", "entry", "int".
std::string_view spelling(UnaryOp op);
std::string_view spelling(BinaryOp op);
std::string_view spelling(Kind kind);
std::string_view spelling(Decl::Kind kind);
std::string_view spelling(Loop::Kind kind);
std::string_view spelling(Func::Kind kind);

} // namespace nnc::ast
