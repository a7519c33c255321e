// The IR as text. What is said once is not said twice: `shape` attributes are the result's type, and unnamed splat constants
// stand as literals where their type follows from the operands beside them (literal.h).
#include "ir/literal.h"
#include "ir/text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace nnc {

namespace {

constexpr size_t longest_header = 120; // columns; a longer one gets a line for every argument and result

using Texts = std::vector<std::vector<std::string>>;

bool is_splat(const Node &node) { return node.op == Op::constant && (node.data->splat || node.type().shape.empty()); }
bool could_be_literal(const Node &node) { return is_splat(node) && node.name().empty(); }

// Which nodes are constants all of whose uses can be literals.
std::vector<bool> inlined_constants(const Region &region, const std::vector<Value> &results) {
  std::vector<bool> inlined(region.nodes.size()), used(region.nodes.size());
  for (size_t i = 0; i < region.nodes.size(); ++i)
    inlined[i] = could_be_literal(region.nodes[i]);
  for (const Node &node : region.nodes) {
    std::vector<const Type *> types;
    for (Value operand : node.operands)
      types.push_back(could_be_literal(region.node(operand)) ? nullptr : &region.type(operand));
    for (size_t k = 0; k < node.operands.size(); ++k) {
      const int operand = node.operands[k].node;
      used[operand] = true;
      if (!types[k] && !literal_type(node.op, k, types, node.types))
        inlined[operand] = false;
    }
  }
  for (Value result : results)
    inlined[result.node] = false;
  for (size_t i = 0; i < inlined.size(); ++i)
    inlined[i] = inlined[i] && used[i];
  return inlined;
}

Texts texts_of(const Region &region, const std::vector<Value> &results) {
  const std::vector<bool> inlined = inlined_constants(region, results);
  Texts texts(region.nodes.size());
  int number = 0;
  for (size_t i = 0; i < region.nodes.size(); ++i) {
    if (inlined[i]) {
      texts[i] = {element_text(*region.nodes[i].data, 0)};
      continue;
    }
    for (const std::string &name : region.nodes[i].names)
      texts[i].push_back(name.empty() ? fmt::format("%{}", number++) : "%" + name);
  }
  return texts;
}

// " @9:10", or nothing.
std::string at(const Loc &loc) {
  const std::string text = loc_text(loc);
  return text.empty() ? "" : " @" + text;
}

std::string attr_text(const Attrs &attrs, AttrKey key) {
  const auto list = [&](const Shape &values) { return fmt::format("{}={}", attr_name(key), shape_text(values)); };
  switch (key) {
  case AttrKey::axes:
    return list(attrs.axes);
  case AttrKey::shape:
    return "";
  case AttrKey::start:
    return list(attrs.start);
  case AttrKey::stride:
    return list(attrs.stride);
  case AttrKey::dilation:
    return list(attrs.dilation);
  case AttrKey::axis:
    return fmt::format("axis={}", attrs.axis);
  case AttrKey::dtype:
    return std::string(dtype_name(attrs.dtype));
  case AttrKey::labels:
    return in_quotes(attrs.labels);
  }
  return "";
}

std::string constant_text(const Node &node) {
  if (is_splat(node))
    return element_text(*node.data, 0);
  std::string text;
  for (int64_t i = 0; i < node.type().elements(); ++i)
    text += (i == 0 ? "" : ", ") + element_text(*node.data, i);
  return "[" + text + "]";
}

class Printer {
public:
  std::string text;

  template <typename... Args> void put(fmt::format_string<Args...> format, Args &&...args) {
    fmt::format_to(std::back_inserter(text), format, std::forward<Args>(args)...);
  }

  void region(const Region &region, const Texts &texts, const std::string &indent) {
    for (size_t i = region.args; i < region.nodes.size(); ++i)
      if (texts[i][0][0] == '%')
        node(region.nodes[i], texts[i], texts, indent);
  }

  void function(const Function &function) {
    if (!function.doc.empty())
      for (size_t start = 0, end = 0; end != std::string::npos; start = end + 1) {
        end = function.doc.find('\n', start);
        const std::string line = function.doc.substr(start, end - start);
        put("#{}{}\n", line.empty() ? "" : " ", line);
      }
    const Texts texts = value_texts(function);
    std::vector<std::string> args, results;
    for (int i = 0; i < function.args; ++i)
      args.push_back(arg_text(function, i, texts));
    for (const Result &result : function.function_results)
      results.push_back(result_text(function, result, texts));
    const std::string tail = at(function.loc) + " {\n";
    const std::string line =
        fmt::format("func {}({}) -> ({}){}", function.name, fmt::join(args, ", "), fmt::join(results, ", "), tail);
    if (line.size() <= longest_header)
      text += line;
    else
      put("func {}({}) -> ({}){}", function.name, one_a_line(args), one_a_line(results), tail);
    region(function, texts, "  ");
    text += "}\n";
  }

  std::vector<std::string> state_paths;

private:
  static std::string one_a_line(const std::vector<std::string> &items) {
    return items.empty() ? "" : fmt::format("\n    {}\n", fmt::join(items, ",\n    "));
  }

  std::string arg_text(const Function &function, int i, const Texts &texts) const {
    const Node &node = function.nodes[i];
    const int state = function.arg_info[i].state;
    return fmt::format("{}: {} {}{}", texts[i][0], type_text(node.type()), state < 0 ? "input" : "state " + state_paths[state],
                       at(node.loc));
  }

  std::string result_text(const Function &function, const Result &result, const Texts &texts) const {
    const std::string &value = texts[result.value.node][result.value.index];
    switch (result.kind) {
    case Result::Kind::output:
      return fmt::format("{} = {}{}", result.name, value, at(result.loc));
    case Result::Kind::state:
      for (int i = 0; i < function.args; ++i)
        if (function.arg_info[i].state == result.state)
          return fmt::format("{} -> {}{}", value, texts[i][0], at(result.loc));
      return fmt::format("{} -> ?", value); // the verifier refuses this
    case Result::Kind::check:
      return fmt::format("check {} {}{}", value, in_quotes(result.name), at(result.loc));
    }
    return "";
  }

  void node(const Node &node, const std::vector<std::string> &names, const Texts &texts, const std::string &indent) {
    std::vector<std::string> inside, types;
    const Texts body_texts = node.body ? value_texts(*node.body) : Texts();
    if (node.op == Op::scan)
      inside.push_back(fmt::format("steps={}", node.scan.steps));
    if (node.scan.reverse)
      inside.push_back("reverse");
    for (size_t k = 0; k < node.operands.size(); ++k) {
      const std::string &operand = texts[node.operands[k].node][node.operands[k].index];
      const int slice = static_cast<int>(k) - node.scan.carries; // 0 and up: a slice, from `slices` on an invariant
      const std::string_view role = slice < 0 ? "carry " : slice < node.scan.slices ? "slice " : "";
      inside.push_back(node.body ? fmt::format("{}{} = {}", role, body_texts[k][0], operand) : operand);
    }
    for (AttrKey key : op_info(node.op).attrs)
      if (std::string attr = attr_text(node.attrs, key); !attr.empty())
        inside.push_back(std::move(attr));
    if (node.op == Op::constant)
      inside.push_back(constant_text(node));
    for (const Type &type : node.types)
      types.push_back(type_text(type));
    put("{}{} = {}({}) : {}{}", indent, fmt::join(names, ", "), op_info(node.op).name, fmt::join(inside, ", "),
        fmt::join(types, ", "), at(node.loc));
    if (node.body) {
      text += " {\n";
      region(*node.body, body_texts, indent + "  ");
      std::vector<std::string> yielded;
      for (Value result : node.body->results)
        yielded.push_back(body_texts[result.node][result.index]);
      put("{}  yield {}\n{}}}", indent, fmt::join(yielded, ", "), indent);
    }
    text += '\n';
  }
};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

Printer printer_for(const Module &module) {
  Printer printer;
  for (const State &state : module.states)
    printer.state_paths.push_back(in_quotes(state.path));
  return printer;
}

} // namespace

std::vector<std::vector<std::string>> value_texts(const Function &function) {
  std::vector<Value> results;
  for (const Result &result : function.function_results)
    results.push_back(result.value);
  return texts_of(function, results);
}

std::vector<std::vector<std::string>> value_texts(const Region &body) { return texts_of(body, body.results); }

std::string loc_text(const Loc &loc) {
  if (loc.line == 0)
    return "";
  return fmt::format("{}{}:{}{}{}", loc.file == 0 ? "" : fmt::format("{}:", loc.file), loc.line, loc.column,
                     std::string(loc.order, '\''), loc.path == 0 ? "" : fmt::format("/{}", loc.path));
}

std::string in_quotes(std::string_view text) {
  std::string result = "\"";
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      result += {'\\', c};
    else if (c == '\n')
      result += "\\n";
    else if (byte < 0x20 || byte == 0x7f)
      result += fmt::format("\\x{:02x}", byte);
    else
      result += c;
  }
  return result + '"';
}

bool is_value_name(std::string_view name) {
  for (char c : name)
    if (!is_letter(c) && !is_digit(c) && c != '.')
      return false;
  return !name.empty() && is_letter(name[0]);
}

bool is_identifier(std::string_view name) { return is_value_name(name) && name.find('.') == name.npos; }

std::string print(const Module &module, const Function &function) {
  Printer printer = printer_for(module);
  printer.function(function);
  return std::move(printer.text);
}

std::string print(const Module &module) {
  Printer printer = printer_for(module);
  printer.put("module {}\n", in_quotes(module.files[0]));
  for (size_t i = 1; i < module.files.size(); ++i)
    printer.put("file {} {}\n", i, in_quotes(module.files[i]));
  if (!module.states.empty())
    printer.text += '\n';
  for (size_t i = 0; i < module.states.size(); ++i)
    printer.put("state {} : {} {}\n", printer.state_paths[i], type_text(module.states[i].type),
                module.states[i].trained ? "param" : "carried");
  for (const Function &function : module.functions) {
    printer.text += '\n';
    printer.function(function);
  }
  if (module.paths.size() > 1)
    printer.text += '\n';
  for (size_t i = 1; i < module.paths.size(); ++i) {
    std::vector<std::string> calls;
    for (const Call &call : module.paths[i])
      calls.push_back(call.function + "@" + loc_text(call.at));
    printer.put("path {} = {}\n", i, fmt::join(calls, ", "));
  }
  return std::move(printer.text);
}

} // namespace nnc
