// The verifier. Everything other parts take for granted about a module is checked here, from the outside in: tables of the
// module, then each function's arguments, nodes and results. What a node's operands must be is infer_type's business.
#include "ir/verify.h"

#include "ir/error.h"
#include "ir/text.h"

#include <fmt/format.h>
#include <unordered_set>

namespace nnc {

namespace {

struct Violation {
  std::string text;
};

template <typename... Args> void require(bool holds, fmt::format_string<Args...> text, Args &&...args) {
  if (!holds)
    throw Violation{fmt::format(text, std::forward<Args>(args)...)};
}

void verify_type(const Type &type) {
  try {
    checked_type(type.dtype, type.shape);
  } catch (const Error &error) {
    throw Violation{error.what()};
  }
}

void verify_loc(const Module &module, const Loc &loc) {
  require(loc.file >= 0 && loc.file < static_cast<int>(module.files.size()), "file {} is not in the module", loc.file);
  require(loc.path >= 0 && loc.path < static_cast<int>(module.paths.size()), "path {} is not in the module", loc.path);
  require(loc.line >= 0 && loc.column >= 0 && loc.order >= 0, "a place is negative");
}

void verify_tables(const Module &module) {
  require(!module.files.empty(), "the module has no file");
  require(!module.paths.empty() && module.paths[0].empty(), "path 0 must be empty");
  for (const auto &path : module.paths)
    for (const Call &call : path) {
      require(is_value_name(call.function), "`{}` in a path is no name", call.function);
      verify_loc(module, call.at);
      require(call.at.line > 0, "a call of `{}` has no place", call.function);
    }
  std::unordered_set<std::string> paths, functions;
  for (const State &state : module.states) {
    require(paths.insert(state.path).second, "two states are called `{}`", state.path);
    verify_type(state.type);
  }
  for (const Function &function : module.functions) {
    require(is_identifier(function.name), "`{}` is no name for a function", function.name);
    require(functions.insert(function.name).second, "two functions are called `{}`", function.name);
  }
}

void verify_operands(const Region &region, const Node &node, int at) {
  for (Value v : node.operands)
    require(v.node >= 0 && v.node < at && v.index >= 0 && v.index < static_cast<int>(region.nodes[v.node].types.size()),
            "an operand is not defined before it");
}

void verify_attrs(const Node &node) {
  Attrs used; // what is left of the attributes when the op's own are taken over
  for (AttrKey key : op_info(node.op).attrs) {
    switch (key) {
    case AttrKey::axes:
      used.axes = node.attrs.axes;
      break;
    case AttrKey::shape:
      used.shape = node.attrs.shape;
      break;
    case AttrKey::start:
      used.start = node.attrs.start;
      break;
    case AttrKey::stride:
      used.stride = node.attrs.stride;
      break;
    case AttrKey::dilation:
      used.dilation = node.attrs.dilation;
      break;
    case AttrKey::axis:
      used.axis = node.attrs.axis;
      break;
    case AttrKey::dtype:
      used.dtype = node.attrs.dtype;
      break;
    case AttrKey::labels:
      used.labels = node.attrs.labels;
      break;
    }
  }
  require(used == node.attrs, "it has attributes that `{}` does not use", op_info(node.op).name);
}

void verify_constant(const Node &node) {
  require(node.data->type == node.type(), "its data are {}, its type is {}", type_text(node.data->type), type_text(node.type()));
  const int64_t bytes = node.data->splat ? dtype_size(node.type().dtype) : node.type().bytes();
  require(static_cast<int64_t>(node.data->bytes.size()) == bytes, "its data have {} bytes, not {}", node.data->bytes.size(),
          bytes);
}

void verify_nodes(const Module &module, const Region &region, bool in_fused);

void verify_results_of_body(const Region &body, const Node &node) {
  require(!body.results.empty() && body.results.size() == node.types.size(), "it has {} results and its body {}",
          node.types.size(), body.results.size());
  for (size_t i = 0; i < body.results.size(); ++i) {
    const Value v = body.results[i];
    require(v.node >= 0 && v.node < static_cast<int>(body.nodes.size()) && v.index >= 0 &&
                v.index < static_cast<int>(body.nodes[v.node].types.size()),
            "its body yields an undefined value");
    const Type type = result_type(node, body, i);
    require(type == node.types[i], "result {} is {}, the body gives {}", i + 1, type_text(node.types[i]), type_text(type));
  }
}

void verify_fused(const Module &module, const Region &region, const Node &node) {
  const Region &body = *node.body;
  verify_nodes(module, body, true);
  require(body.args == static_cast<int>(node.operands.size()), "it has {} operands and its body {} arguments",
          node.operands.size(), body.args);
  for (int i = 0; i < body.args; ++i) {
    require(body.nodes[i].type() == region.type(node.operands[i]), "operand {} is {}, the body's argument {}", i + 1,
            type_text(region.type(node.operands[i])), type_text(body.nodes[i].type()));
    for (int k = 0; k < i; ++k) // a kernel may assume that what it writes is read through no other pointer
      require(node.operands[k] != node.operands[i], "operands {} and {} are the same value", k + 1, i + 1);
  }
  verify_results_of_body(body, node);
}

void verify_scan(const Module &module, const Region &region, const Node &node) {
  const Region &body = *node.body;
  verify_nodes(module, body, false);
  const auto &[steps, carries, slices, reverse] = node.scan;
  require(steps >= 1, "it has {} steps", steps);
  require(carries >= 0 && slices >= 0 && carries + slices <= body.args, "{} carries and {} slices of {} arguments", carries,
          slices, body.args);
  require(body.args == static_cast<int>(node.operands.size()), "it has {} operands and its body {} arguments",
          node.operands.size(), body.args);
  for (int i = 0; i < body.args; ++i) {
    Type type = body.nodes[i].type();
    if (i >= carries && i < carries + slices)
      type.shape.insert(type.shape.begin(), steps);
    require(type == region.type(node.operands[i]), "operand {} is {}, the body's argument takes {}", i + 1,
            type_text(region.type(node.operands[i])), type_text(type));
  }
  verify_results_of_body(body, node);
  require(carries <= static_cast<int>(node.types.size()), "it has {} carries and {} results", carries, node.types.size());
  for (int i = 0; i < carries; ++i)
    require(node.types[i] == body.nodes[i].type(), "carry {} starts as {} and ends as {}", i + 1, type_text(body.nodes[i].type()),
            type_text(node.types[i]));
}

void verify_grad(const Region &region, const Node &node) {
  require(node.operands.size() >= 2 && node.types.size() == node.operands.size() - 1, "it has {} operands and {} results",
          node.operands.size(), node.types.size());
  const Type &type = region.type(node.operands[0]);
  require(is_float(type.dtype) && type.shape.empty(), "operand 1 must be a scalar float, not {}", type_text(type));
  for (size_t i = 0; i < node.types.size(); ++i)
    require(node.types[i] == region.type(node.operands[i + 1]), "result {} is {}, operand {} is {}", i + 1,
            type_text(node.types[i]), i + 2, type_text(region.type(node.operands[i + 1])));
}

void verify_node(const Module &module, const Region &region, int at, bool in_fused) {
  const Node &node = region.nodes[at];
  const bool has_body = node.op == Op::fused || node.op == Op::scan;
  require(has_body || node.op == Op::grad || node.types.size() == 1, "it has {} results", node.types.size());
  require((node.op == Op::arg) == (at < region.args), "arguments must be the first nodes, and no others");
  for (const Type &type : node.types)
    verify_type(type);
  verify_loc(module, node.loc);
  verify_attrs(node);
  verify_operands(region, node, at);
  require((node.op == Op::constant) == (node.data != nullptr), "data belong to constants only");
  require(has_body == (node.body != nullptr), "a body belongs to fused nodes and scans only");
  require(node.op == Op::scan || node.scan == ScanInfo(), "steps belong to scans only");
  switch (node.op) {
  case Op::arg:
    return require(node.operands.empty(), "an argument has no operands");
  case Op::constant:
    require(node.operands.empty(), "a constant has no operands");
    return verify_constant(node);
  case Op::fused:
    require(!in_fused, "a fused body holds no further fused node");
    return verify_fused(module, region, node);
  case Op::scan:
    require(!in_fused, "a fused body holds no scan");
    return verify_scan(module, region, node);
  case Op::grad:
    require(!in_fused, "a fused body holds no grad");
    return verify_grad(region, node);
  default:
    std::vector<Type> types;
    for (Value operand : node.operands)
      types.push_back(region.type(operand));
    Type expected;
    try {
      expected = infer_type(node.op, types, node.attrs);
    } catch (const Error &error) {
      throw Violation{error.what()};
    }
    require(expected == node.type(), "its type is {}, `{}` gives {}", type_text(node.type()), op_info(node.op).name,
            type_text(expected));
  }
}

void verify_nodes(const Module &module, const Region &region, bool in_fused) {
  require(region.args >= 0 && region.args <= static_cast<int>(region.nodes.size()), "there are fewer nodes than arguments");
  std::unordered_set<std::string> names;
  for (size_t i = 0; i < region.nodes.size(); ++i) {
    const Node &node = region.nodes[i];
    require(node.names.size() == node.types.size() && !node.names.empty(), "node {}: {} names for {} results", i,
            node.names.size(), node.types.size());
    for (const std::string &name : node.names) {
      require(name.empty() || is_value_name(name), "`{}` is no name for a value", name);
      require(name.empty() || names.insert(name).second, "two values are called `%{}`", name);
    }
    try {
      verify_node(module, region, static_cast<int>(i), in_fused);
    } catch (Violation &violation) {
      const std::string name = node.label().empty() ? fmt::format("node {}", i) : "%" + node.label();
      throw Violation{fmt::format("`{}` ({}): {}", name, op_info(node.op).name, violation.text)};
    }
  }
}

void verify_args(const Module &module, const Function &function) {
  require(static_cast<int>(function.arg_info.size()) == function.args, "{} arguments are described, there are {}",
          function.arg_info.size(), function.args);
  const int states = static_cast<int>(module.states.size());
  std::unordered_set<int> seen;
  for (int i = 0; i < function.args; ++i) {
    const Node &node = function.nodes[i];
    const int state = function.arg_info[i].state;
    if (state < 0) {
      require(seen.empty(), "inputs come before states");
      require(is_identifier(node.name()), "`{}` is no name for an input", node.name());
      continue;
    }
    require(state < states, "state {} is not in the module", state);
    require(seen.insert(state).second, "state `{}` is passed twice", module.states[state].path);
    require(node.type() == module.states[state].type, "state `{}` is {}, its argument {}", module.states[state].path,
            type_text(module.states[state].type), type_text(node.type()));
  }
}

void verify_results(const Module &module, const Function &function) {
  std::unordered_set<std::string> names;
  std::unordered_set<int> passed, written;
  for (int i = 0; i < function.args; ++i)
    if (function.arg_info[i].state < 0)
      names.insert(function.nodes[i].name());
    else
      passed.insert(function.arg_info[i].state);

  require(function.results.empty(), "a function's results are its function_results");
  for (const Result &result : function.function_results) {
    const Value v = result.value;
    require(v.node >= 0 && v.node < static_cast<int>(function.nodes.size()) && v.index >= 0 &&
                v.index < static_cast<int>(function.nodes[v.node].types.size()),
            "result `{}` is not defined", result.name);
    verify_loc(module, result.loc);
    require((result.kind == Result::Kind::state) == (result.state >= 0), "a state belongs to state results only");
    const Type &type = function.type(v);
    switch (result.kind) {
    case Result::Kind::output:
      require(is_identifier(result.name), "`{}` is no name for a result", result.name);
      require(names.insert(result.name).second, "two inputs or results are called `{}`", result.name);
      break;
    case Result::Kind::state:
      require(passed.count(result.state) == 1, "state {} is written and no argument", result.state);
      require(written.insert(result.state).second, "state `{}` is written twice", module.states[result.state].path);
      require(type == module.states[result.state].type, "state `{}` is {}, its next value {}", module.states[result.state].path,
              type_text(module.states[result.state].type), type_text(type));
      break;
    case Result::Kind::check:
      require(type == Type{DType::boolean, {}}, "a check must be a scalar bool, not {}", type_text(type));
      break;
    }
  }
}

// "" or the violation `run` throws, after `prefix`.
template <typename Run> std::string violation_of(const std::string &prefix, Run run) {
  try {
    run();
  } catch (const Violation &violation) {
    return prefix + violation.text;
  }
  return "";
}

} // namespace

std::string verify(const Module &module, const Function &function) {
  return violation_of(fmt::format("`{}`: ", function.name), [&] {
    verify_loc(module, function.loc);
    verify_nodes(module, function, false);
    verify_args(module, function);
    verify_results(module, function);
  });
}

std::string verify(const Module &module) {
  std::string violation = violation_of("", [&] { verify_tables(module); });
  for (size_t i = 0; violation.empty() && i < module.functions.size(); ++i)
    violation = verify(module, module.functions[i]);
  return violation;
}

} // namespace nnc
