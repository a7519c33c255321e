// The IR from its text (grammar in docs/ir.md). One pass with one token of look-ahead; nodes are typed by infer_type as they
// are read, so a wrong one is reported where it stands. What a single node cannot show (states, results, call paths) is left
// to the verifier, whose findings are reported at the function. Bodies of loops nest, to a depth that the stack holds.
#include "ir/error.h"
#include "ir/literal.h"
#include "ir/text.h"
#include "ir/text_reader.h"
#include "ir/verify.h"

#include <algorithm>
#include <fmt/format.h>
#include <unordered_map>

namespace nnc {

namespace {

// Where the names of one region lead, and the constants that its literals became.
struct Scope {
  Region &region;
  std::unordered_map<std::string_view, Value> values = {};
  std::unordered_map<std::string, Value> literals = {}; // by type and text
};

// What stands between a node's parentheses, before its type is known.
struct Inside {
  std::vector<TextToken> operands; // values and literals
  Attrs attrs;
  std::vector<AttrKey> given;
};

class Parser : TextReader {
public:
  using TextReader::TextReader;

  Module parse() {
    const Token first = lexer_.peek();
    expect_name("module");
    module_.files[0] = string();
    std::vector<Token> places; // of the functions
    while (lexer_.peek().kind != Kind::end) {
      const std::string doc = lexer_.comment();
      const Token keyword = expect(Kind::name, "`file`, `state`, `func` or `path`");
      if (keyword.text == "file") {
        parse_file();
      } else if (keyword.text == "state") {
        parse_state();
      } else if (keyword.text == "path") {
        parse_path();
      } else if (keyword.text == "func") {
        places.push_back(lexer_.peek());
        parse_function(doc);
      } else {
        lexer_.fail(keyword, fmt::format("unknown section `{}`", keyword.text));
      }
    }
    if (const std::string violation = verify(module_); !violation.empty()) {
      for (size_t i = 0; i < places.size(); ++i)
        if (!verify(module_, module_.functions[i]).empty())
          lexer_.fail(places[i], violation);
      lexer_.fail(first, violation);
    }
    return std::move(module_);
  }

private:
  // Sections.

  // Numbers of files and paths are for the reader: they count up.
  void expect_next(std::string_view what, size_t number) {
    const Token token = lexer_.peek();
    if (count() != static_cast<int>(number))
      lexer_.fail(token, fmt::format("{} {} comes next, not {}", what, number, token.text));
  }

  void parse_file() {
    expect_next("file", module_.files.size());
    module_.files.push_back(string());
  }

  void parse_path() {
    expect_next("path", module_.paths.size());
    expect("=");
    std::vector<Call> calls;
    list([&] {
      const Token name = expect(Kind::name, "a function");
      if (!lexer_.peek().is("@"))
        expected("`@`");
      calls.push_back({std::string(name.text), place()});
    });
    module_.paths.push_back(std::move(calls));
  }

  void parse_state() {
    const Token token = lexer_.peek();
    State state;
    state.path = string();
    expect(":");
    state.type = type();
    const Token kind = expect(Kind::name, "`param` or `carried`");
    state.trained = kind.text == "param";
    if (!state.trained && kind.text != "carried")
      lexer_.fail(kind, fmt::format("expected `param` or `carried`, found `{}`", kind.text));
    if (!states_.emplace(state.path, static_cast<int>(module_.states.size())).second)
      lexer_.fail(token, fmt::format("two states are called `{}`", state.path));
    module_.states.push_back(std::move(state));
  }

  void parse_function(const std::string &doc) {
    Function function;
    function.doc = doc;
    function.name = expect(Kind::name, "a name").text;
    Scope scope{function};
    expect("(");
    list_until(")", [&] { parse_arg(function, scope); });
    expect("->");
    expect("(");
    std::vector<std::pair<Token, Token>> results; // the value and, of a state, its argument; defined further down
    list_until(")", [&] { parse_result(function, results); });
    function.loc = place();
    expect("{");
    while (!accept("}"))
      parse_node(scope, false);

    for (size_t i = 0; i < results.size(); ++i) {
      Result &result = function.function_results[i];
      result.value = find(scope, results[i].first);
      if (result.kind != Result::Kind::state)
        continue;
      const Value arg = find(scope, results[i].second);
      result.state = arg.node < function.args ? function.arg_info[arg.node].state : -1;
      if (result.state < 0)
        lexer_.fail(results[i].second, fmt::format("`%{}` is no state", results[i].second.text));
    }
    module_.functions.push_back(std::move(function));
  }

  void parse_arg(Function &function, Scope &scope) {
    const Token name = expect(Kind::value, "an argument");
    expect(":");
    add_arg(scope, name, type());
    Arg arg;
    const Token kind = expect(Kind::name, "`input` or `state`");
    if (kind.text == "state") {
      const Token path = lexer_.peek();
      const auto found = states_.find(string());
      if (found == states_.end())
        lexer_.fail(path, fmt::format("unknown state `{}`", path.text));
      arg.state = found->second;
    } else if (kind.text != "input") {
      lexer_.fail(kind, fmt::format("expected `input` or `state`, found `{}`", kind.text));
    }
    function.nodes.back().loc = place();
    function.arg_info.push_back(arg);
  }

  void add_arg(Scope &scope, const Token &name, Type type) {
    Node node;
    node.types = {std::move(type)};
    add(scope, std::move(node), {name});
    scope.region.args = static_cast<int>(scope.region.nodes.size());
  }

  void parse_result(Function &function, std::vector<std::pair<Token, Token>> &values) {
    Result result;
    Token value, arg;
    if (lexer_.peek().kind == Kind::value) {
      result.kind = Result::Kind::state;
      value = lexer_.next();
      expect("->");
      arg = expect(Kind::value, "the state's argument");
    } else {
      const Token name = expect(Kind::name, "a result");
      if (name.text == "check" && lexer_.peek().kind == Kind::value) {
        result.kind = Result::Kind::check;
        value = lexer_.next();
        result.name = string();
      } else {
        result.name = name.text;
        expect("=");
        value = expect(Kind::value, "a value");
      }
    }
    result.loc = place();
    function.function_results.push_back(std::move(result));
    values.emplace_back(value, arg);
  }

  // Nodes.

  Value find(const Scope &scope, const Token &token) {
    const auto found = scope.values.find(token.text);
    if (found == scope.values.end())
      lexer_.fail(token, fmt::format("unknown value `%{}`", token.text));
    return found->second;
  }

  // Names beyond those given are empty.
  Value add(Scope &scope, Node node, const std::vector<Token> &names) {
    const int at = static_cast<int>(scope.region.nodes.size());
    for (size_t i = 0; i < names.size(); ++i) {
      const std::string_view name = names[i].text;
      const bool is_number = !name.empty() && name.find_first_not_of("0123456789") == name.npos;
      if (!is_number && !is_value_name(name))
        lexer_.fail(names[i], fmt::format("`%{}` is no name for a value", name));
      if (!scope.values.emplace(name, Value{at, static_cast<int>(i)}).second)
        lexer_.fail(names[i], fmt::format("`%{}` is named twice", name));
      node.names.emplace_back(is_number ? "" : name);
    }
    node.names.resize(node.types.size());
    scope.region.nodes.push_back(std::move(node));
    return {at, 0};
  }

  // What may stand in a region: a fused body holds neither another nor a loop.
  void parse_node(Scope &scope, bool in_fused) {
    std::vector<Token> names;
    list([&] { names.push_back(expect(Kind::value, "a value")); });
    expect("=");
    const Token name = expect(Kind::name, "an op");
    if (name.text == "fused") {
      if (in_fused)
        lexer_.fail(name, "a fused body holds no further fused node");
      return parse_fused(scope, names);
    }
    if (name.text == "scan") {
      if (in_fused)
        lexer_.fail(name, "a fused body holds no scan");
      if (depth_ == deepest)
        lexer_.fail(name, fmt::format("more than {} loops in one another", deepest));
      ++depth_;
      parse_scan(scope, names);
      --depth_;
      return;
    }
    if (name.text == "grad")
      return parse_grad(scope, names);
    if (names.size() != 1)
      lexer_.fail(names[1], fmt::format("`{}` has one result, not {}", name.text, names.size()));
    if (name.text == "constant")
      return parse_constant(scope, names);

    const std::optional<Op> op = op_from_name(name.text);
    if (!op)
      lexer_.fail(name, fmt::format("unknown op `{}`", name.text));
    Inside inside = parse_inside(*op);
    expect(":");
    const Token type_place = lexer_.peek();
    Node node;
    node.op = *op;
    node.types = {type()};
    node.loc = place();
    node.attrs = std::move(inside.attrs);
    const std::vector<AttrKey> &attrs = op_info(*op).attrs;
    if (std::find(attrs.begin(), attrs.end(), AttrKey::shape) != attrs.end())
      node.attrs.shape = node.type().shape;
    for (AttrKey key : attrs)
      if (key != AttrKey::shape && std::find(inside.given.begin(), inside.given.end(), key) == inside.given.end())
        lexer_.fail(name, fmt::format("`{}` needs its {}", name.text, attr_name(key)));

    resolve(scope, node, inside.operands);
    std::vector<Type> types;
    for (Value operand : node.operands)
      types.push_back(scope.region.type(operand));
    Type inferred;
    try {
      inferred = infer_type(*op, types, node.attrs);
    } catch (const Error &error) {
      lexer_.fail(name, error.what());
    }
    if (inferred != node.type())
      lexer_.fail(type_place, fmt::format("`{}` gives {} here, not {}", name.text, type_text(inferred), type_text(node.type())));
    add(scope, std::move(node), names);
  }

  Inside parse_inside(Op op) {
    Inside inside;
    expect("(");
    list_until(")", [&] {
      const Token token = lexer_.peek();
      if (token.kind == Kind::value || is_literal(token))
        return inside.operands.push_back(lexer_.next());
      const AttrKey key = attr_key(token);
      const std::vector<AttrKey> &attrs = op_info(op).attrs;
      if (key == AttrKey::shape || std::find(attrs.begin(), attrs.end(), key) == attrs.end())
        lexer_.fail(token, fmt::format("`{}` has no {} here", op_info(op).name, attr_name(key)));
      if (std::find(inside.given.begin(), inside.given.end(), key) != inside.given.end())
        lexer_.fail(token, fmt::format("{} is given twice", attr_name(key)));
      inside.given.push_back(key);
      parse_attr(key, inside.attrs);
    });
    return inside;
  }

  // "…" is labels, f32 is a dtype, the others are key=value.
  AttrKey attr_key(const Token &token) {
    if (token.kind == Kind::string)
      return AttrKey::labels;
    if (token.kind != Kind::name)
      expected("an operand or attribute");
    if (dtype_from_name(token.text))
      return AttrKey::dtype;
    for (AttrKey key : {AttrKey::axes, AttrKey::start, AttrKey::stride, AttrKey::dilation, AttrKey::axis})
      if (token.text == attr_name(key))
        return key;
    lexer_.fail(token, fmt::format("unknown attribute `{}`", token.text));
  }

  void parse_attr(AttrKey key, Attrs &attrs) {
    if (key == AttrKey::labels) {
      attrs.labels = string();
      return;
    }
    const Token token = lexer_.next();
    if (key == AttrKey::dtype) {
      attrs.dtype = *dtype_from_name(token.text);
      return;
    }
    expect("=");
    if (key == AttrKey::axis)
      attrs.axis = whole();
    else
      (key == AttrKey::axes       ? attrs.axes
       : key == AttrKey::start    ? attrs.start
       : key == AttrKey::dilation ? attrs.dilation
                                  : attrs.stride) = whole_list();
  }

  // Operands from tokens; literals become constants in front of the node.
  void resolve(Scope &scope, Node &node, const std::vector<Token> &operands) {
    std::vector<const Type *> types(operands.size());
    for (size_t k = 0; k < operands.size(); ++k) {
      node.operands.push_back(operands[k].kind == Kind::value ? find(scope, operands[k]) : Value{});
      if (node.operands[k])
        types[k] = &scope.region.type(node.operands[k]);
    }
    std::vector<std::optional<Type>> literal_types;
    for (size_t k = 0; k < operands.size(); ++k)
      literal_types.push_back(types[k] ? std::nullopt : literal_type(node.op, k, types, node.types));
    for (size_t k = 0; k < operands.size(); ++k) {
      if (node.operands[k])
        continue;
      if (!literal_types[k])
        lexer_.fail(operands[k], "the type of this literal does not follow from another operand");
      node.operands[k] = literal_value(scope, *literal_types[k], operands[k]);
    }
  }

  Value literal_value(Scope &scope, const Type &type, const Token &token) {
    const auto [found, is_new] = scope.literals.try_emplace(fmt::format("{} {}", type_text(type), token.text));
    if (is_new) {
      Tensor data = Tensor::filled(type, 0);
      store(data, 0, token);
      found->second = add_constant(scope, std::move(data), {}, {});
    }
    return found->second;
  }

  Value add_constant(Scope &scope, Tensor data, const Loc &loc, const std::vector<Token> &names) {
    Node node;
    node.op = Op::constant;
    node.types = {data.type};
    node.loc = loc;
    node.data = std::make_shared<const Tensor>(std::move(data));
    return add(scope, std::move(node), names);
  }

  void parse_constant(Scope &scope, const std::vector<Token> &names) {
    expect("(");
    const Token start = lexer_.peek();
    const bool splat = !accept("[");
    std::vector<Token> numbers;
    if (splat)
      numbers.push_back(literal());
    else
      list_until("]", [&] { numbers.push_back(literal()); });
    expect(")");
    expect(":");
    const Type type = this->type();
    const Loc loc = place();
    if (!splat && static_cast<int64_t>(numbers.size()) != type.elements())
      lexer_.fail(start, fmt::format("{} numbers for {} elements", numbers.size(), type.elements()));
    Tensor data = splat ? Tensor::filled(type, 0) : Tensor(type);
    for (size_t i = 0; i < numbers.size(); ++i)
      store(data, static_cast<int64_t>(i), numbers[i]);
    add_constant(scope, std::move(data), loc, names);
  }

  // %gx, %gw = grad(%loss, %x, %w) : f32[2], f32[3]
  void parse_grad(Scope &scope, const std::vector<Token> &names) {
    Node node;
    node.op = Op::grad;
    expect("(");
    list_until(")", [&] { node.operands.push_back(find(scope, expect(Kind::value, "a value"))); });
    expect(":");
    const Token types_place = lexer_.peek();
    node.types = types();
    node.loc = place();
    if (names.size() != node.types.size())
      lexer_.fail(types_place, fmt::format("{} names and {} types", names.size(), node.types.size()));
    add(scope, std::move(node), names);
  }

  // %h, %a = fused(%x = %x0) : f32[2], f32[2] { nodes yield %0, %1 }
  void parse_fused(Scope &scope, const std::vector<Token> &names) {
    Node node;
    node.op = Op::fused;
    Region body;
    Scope inner{body};
    expect("(");
    list_until(")", [&] {
      const Token name = expect(Kind::value, "an argument of the body");
      expect("=");
      node.operands.push_back(find(scope, expect(Kind::value, "a value")));
      add_arg(inner, name, scope.region.type(node.operands.back()));
    });
    parse_body(scope, std::move(node), inner, names);
  }

  // %last, %all = scan(steps=8, reverse, carry %h = %h0, slice %x = %xs, %w = %w0) : f32[2], f32[8,2] { nodes yield %h1, %y }
  void parse_scan(Scope &scope, const std::vector<Token> &names) {
    Node node;
    node.op = Op::scan;
    Region body;
    Scope inner{body};
    expect("(");
    expect_name("steps");
    expect("=");
    node.scan.steps = whole(1);
    while (!accept(")")) {
      expect(",");
      const Token role = lexer_.peek();
      if (role.is_name("reverse") && node.operands.empty() && !node.scan.reverse) {
        node.scan.reverse = true;
        lexer_.next();
        continue;
      }
      const int given = static_cast<int>(node.operands.size());
      const bool is_carry = role.is_name("carry"), is_slice = role.is_name("slice");
      if (is_carry || is_slice)
        lexer_.next();
      if ((is_carry && given > node.scan.carries) || (is_slice && given > node.scan.carries + node.scan.slices))
        lexer_.fail(role, "carries come first, then slices, then what is the same in every step");
      node.scan.carries += is_carry;
      node.scan.slices += is_slice;
      const Token name = expect(Kind::value, "an argument of the body");
      expect("=");
      const Token operand = expect(Kind::value, "a value");
      node.operands.push_back(find(scope, operand));
      Type type = scope.region.type(node.operands.back());
      if (is_slice) {
        if (type.shape.empty() || type.shape[0] != node.scan.steps)
          lexer_.fail(operand,
                      fmt::format("a slice has {} steps along its first axis, not {}", node.scan.steps, type_text(type)));
        type.shape.erase(type.shape.begin());
      }
      add_arg(inner, name, std::move(type));
    }
    parse_body(scope, std::move(node), inner, names);
  }

  // What follows the parentheses of a node that has a body.
  void parse_body(Scope &scope, Node node, Scope &inner, const std::vector<Token> &names) {
    Region &body = inner.region;
    expect(":");
    const Token types_place = lexer_.peek();
    node.types = types();
    node.loc = place();
    expect("{");
    while (lexer_.peek().kind == Kind::value)
      parse_node(inner, node.op == Op::fused);
    expect_name("yield");
    list([&] { body.results.push_back(find(inner, expect(Kind::value, "a value"))); });
    expect("}");
    if (names.size() != node.types.size() || body.results.size() != node.types.size())
      lexer_.fail(types_place,
                  fmt::format("{} names, {} types and {} yielded values", names.size(), node.types.size(), body.results.size()));
    for (size_t i = 0; i < node.types.size(); ++i)
      if (const Type type = result_type(node, body, i); type != node.types[i])
        lexer_.fail(types_place, fmt::format("the body yields {} here, not {}", type_text(type), type_text(node.types[i])));
    node.body = std::make_shared<const Region>(std::move(body));
    add(scope, std::move(node), names);
  }

  static constexpr int deepest = 64;

  Module module_;
  std::unordered_map<std::string, int> states_; // by path
  int depth_ = 0;                               // loops around the node being read
};

} // namespace

Module parse_module(std::string_view text, const std::string &file) { return Parser(text, file).parse(); }

} // namespace nnc
