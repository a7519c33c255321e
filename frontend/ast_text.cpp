// The syntax tree as text: a node a line, two spaces deeper than what it belongs to, with the place of its first character
// (of an operator and of `=`: of the sign). What has a name says it on its line.
#include "frontend/ast.h"

#include <fmt/format.h>

namespace nnc::ast {

std::string_view spelling(UnaryOp op) {
  static constexpr std::string_view texts[] = {"+", "-", "not"};
  return texts[static_cast<int>(op)];
}
std::string_view spelling(BinaryOp op) {
  static constexpr std::string_view texts[] = {"**", "*",  "/", "//", "%", "@",  "+",   "-", "..",
                                               "==", "!=", "<", "<=", ">", ">=", "and", "or"};
  return texts[static_cast<int>(op)];
}
std::string_view spelling(Kind kind) {
  static constexpr std::string_view texts[] = {"int", "bool", "str", "fn", "shape", "list"};
  return texts[static_cast<int>(kind)];
}
std::string_view spelling(Decl::Kind kind) { return kind == Decl::Kind::param ? "param" : "state"; }
std::string_view spelling(Loop::Kind kind) { return kind == Loop::Kind::unrolled ? "for" : "scan"; }
std::string_view spelling(Func::Kind kind) {
  static constexpr std::string_view texts[] = {"fn", "net", "optimizer", "entry"};
  return texts[static_cast<int>(kind)];
}

namespace {

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\')
      out += '\\';
    if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else
      out += c;
  }
  return out + "\"";
}

class Writer {
public:
  std::string out;

  void file(const File &file) {
    for (const Item &item : file.items)
      std::visit([&](const auto &node) { this->node(item.span, node); }, item.node);
    for (const Comment &comment : file.comments)
      line(comment.span, "comment {}{}", comment.alone ? "" : "behind ", in_quotes(comment.span.text()));
  }

private:
  int depth_ = 0;

  template <typename... Args> void line(const Span &span, fmt::format_string<Args...> format, Args &&...args) {
    Place place = span.place();
    out.append(2 * depth_, ' ');
    fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
    fmt::format_to(std::back_inserter(out), " @{}:{}\n", place.line, place.column);
  }
  template <typename F> void within(F write) {
    ++depth_;
    write();
    --depth_;
  }
  // A heading without a place, and what belongs to it.
  template <typename F> void part(std::string_view heading, F write) {
    out.append(2 * depth_, ' ');
    out.append(heading).append("\n");
    within(write);
  }
  void doc(const std::string &text) {
    if (!text.empty())
      part("doc " + in_quotes(text), [] {});
  }

  // ---- declarations
  void node(const Span &span, const Use &use) {
    line(span, "use from {}", in_quotes(use.path));
    within([&] { names(use.names); });
  }
  void node(const Span &span, const Const &constant) {
    line(span, "const {}", constant.name.text);
    within([&] {
      doc(constant.doc);
      expr(constant.value);
    });
  }
  void node(const Span &span, const Decl &decl) {
    line(span, "{} {}", spelling(decl.kind), decl.name.text);
    within([&] {
      doc(decl.doc);
      if (decl.type)
        type(*decl.type);
      expr(decl.initialiser);
    });
  }
  void node(const Span &span, const Func &func) {
    line(span, "{} {}", spelling(func.kind), func.name.text);
    within([&] {
      doc(func.doc);
      for (const Parameter &parameter : func.parameters) {
        line(parameter.span, "parameter {}{}{}", parameter.name.text, parameter.kind ? ": " : "",
             parameter.kind ? spelling(*parameter.kind) : "");
        within([&] {
          if (parameter.type)
            type(*parameter.type);
          if (parameter.default_value)
            part("default", [&] { expr(parameter.default_value); });
        });
      }
      for (const TypeExpr &result : func.results)
        part("result", [&] { type(result); });
      block(func.equation ? "equation" : "body", func.body);
    });
  }
  void type(const TypeExpr &type) {
    line(type.span, "type {}{}", type.dtype.text, type.brackets ? "[]" : "");
    within([&] { exprs(type.sizes); });
  }
  void names(const std::vector<Name> &names) {
    for (const Name &name : names)
      line(name.span, "name {}", name.text);
  }

  // ---- statements
  void block(std::string_view heading, const Block &block) {
    part(heading, [&] {
      for (const Stmt &statement : block.statements)
        std::visit([&](const auto &node) { this->node(statement.span, node); }, statement.node);
    });
  }
  void targets(const std::vector<Target> &targets) {
    for (const Target &target : targets) {
      line(target.span, "target {}", target.name.text);
      within([&] { subscripts(target.subscripts); });
    }
  }
  void node(const Span &, const Assign &assign) {
    line(assign.op_span, "{}", assign.to_state ? ":=" : "=");
    within([&] {
      targets(assign.targets);
      exprs(assign.values);
    });
  }
  void node(const Span &, const Loop &loop) {
    line(loop.word, "{}", spelling(loop.kind));
    within([&] {
      targets(loop.targets);
      names(loop.names);
      part("in", [&] { expr(loop.sequence); });
      if (loop.axis)
        part("axis", [&] { expr(loop.axis); });
      block("body", loop.body);
    });
  }
  void node(const Span &span, const Yield &yield) {
    line(span, "yield");
    within([&] { exprs(yield.values); });
  }
  void node(const Span &span, const If &conditional) {
    line(span, "if");
    within([&] {
      for (const If::Branch &branch : conditional.branches) {
        expr(branch.condition);
        block("then", branch.body);
      }
      if (conditional.otherwise)
        block("else", *conditional.otherwise);
    });
  }
  void node(const Span &span, const Require &require) {
    line(span, "require");
    within([&] {
      expr(require.condition);
      for (const Require::Part &message : require.message)
        if (message.name)
          line(message.name->span, "name {}", message.name->text);
        else
          part("text " + in_quotes(message.text), [] {});
    });
  }
  void node(const Span &span, const Update &update) {
    line(span, "update {}", update.optimizer.text);
    within([&] { args(update.args); });
  }
  void node(const Span &, const Return &result) {
    line(result.word, "return");
    within([&] { args(result.values); });
  }

  // ---- expressions
  void expr(const ExprPtr &e) {
    std::visit([&](const auto &node) { this->node(*e, node); }, e->node);
  }
  void exprs(const std::vector<ExprPtr> &list) {
    for (const ExprPtr &e : list)
      expr(e);
  }
  void args(const std::vector<Arg> &args) {
    for (const Arg &arg : args)
      if (arg.name) {
        line(arg.span, "named {}", arg.name->text);
        within([&] { expr(arg.value); });
      } else {
        expr(arg.value);
      }
  }
  void subscripts(const std::vector<Subscript> &subscripts) {
    for (const Subscript &s : subscripts)
      switch (s.kind) {
      case Subscript::Kind::ellipsis:
        line(s.span, "...");
        break;
      case Subscript::Kind::index:
        line(s.span, "index");
        within([&] { expr(s.index); });
        break;
      case Subscript::Kind::slice:
        line(s.span, "slice");
        within([&] {
          bound("from", s.start);
          bound("to", s.stop);
          bound("step", s.step);
        });
      }
  }
  void bound(std::string_view heading, const ExprPtr &e) {
    if (e)
      part(heading, [&] { expr(e); });
  }

  void node(const Expr &e, const Number &number) {
    number.integer ? line(e.span, "number {}", *number.integer) : line(e.span, "float {}", number.value);
  }
  void node(const Expr &e, const String &string) { line(e.span, "string {}", in_quotes(string.text)); }
  void node(const Expr &e, const Bool &boolean) { line(e.span, "{}", boolean.value); }
  void node(const Expr &e, const Ref &ref) { line(e.span, "ref {}", ref.name); }
  void node(const Expr &e, const Ellipsis &) { line(e.span, "..."); }
  void node(const Expr &e, const List &list) {
    line(e.span, "list");
    within([&] { exprs(list.items); });
  }
  void node(const Expr &, const Unary &unary) {
    line(unary.op_span, "unary {}", spelling(unary.op));
    within([&] { expr(unary.operand); });
  }
  void node(const Expr &e, const Binary &binary) {
    const bool one = binary.links.size() == 1;
    one ? line(binary.links[0].op_span, "binary {}", spelling(binary.links[0].op)) : line(e.span, "chain");
    within([&] {
      expr(binary.left);
      for (const Binary::Link &link : binary.links) {
        if (!one)
          line(link.op_span, "{}", spelling(link.op));
        expr(link.right);
      }
    });
  }
  void node(const Expr &e, const Call &call) {
    line(e.span, "call{}{}", call.as ? " as " : "", call.as ? call.as->text : "");
    within([&] {
      expr(call.callee);
      args(call.args);
    });
  }
  void node(const Expr &e, const Index &index) {
    line(e.span, "subscript");
    within([&] {
      expr(index.base);
      subscripts(index.subscripts);
    });
  }
  void node(const Expr &e, const Transpose &transpose) {
    line(e.span, "transpose");
    within([&] { expr(transpose.base); });
  }
};

} // namespace

std::string ast_text(const File &file) {
  Writer writer;
  writer.file(file);
  return std::move(writer.out);
}

} // namespace nnc::ast
