// Running functions node by node with `eval`. A value is freed after its last use; a fused node is its body, run in place, a
// scan its body once a step.
#include "ir/interpreter.h"

#include "ir/error.h"
#include "ir/eval.h"

#include <fmt/format.h>

namespace nnc {

Tensor eval(Op op, std::span<const Tensor *const> operands, const Attrs &attrs, const Type &result, Denormals denormals) {
  using Row = Tensor (*)(const EvalCall &);
  static constexpr Row rows[] = {
      nullptr, nullptr, nullptr, nullptr, nullptr, // arg, constant, fused, grad, scan, never alone
#define OP(name, ...) eval_##name,
#include "ir/ops.def"
  };
  std::vector<Type> types;
  for (const Tensor *operand : operands)
    types.push_back(operand->type);
  if (const Type inferred = infer_type(op, types, attrs); inferred != result)
    throw Error(fmt::format("{}: gives {}, not {}", op_info(op).name, type_text(inferred), type_text(result)));
  return rows[static_cast<size_t>(op)]({op, operands, attrs, result, denormals});
}

namespace {

using Shared = std::shared_ptr<const Tensor>;

std::vector<Shared> run_scan(const Node &node, std::vector<Shared> operands, Denormals denormals);

// The values of `wanted`, given the region's arguments.
std::vector<Shared> run(const Region &region, std::vector<Shared> args, const std::vector<Value> &wanted, Denormals denormals) {
  const size_t count = region.nodes.size();
  std::vector<size_t> last_use(count);
  for (size_t i = 0; i < count; ++i) {
    last_use[i] = i;
    for (Value operand : region.nodes[i].operands)
      last_use[operand.node] = i;
  }
  for (Value value : wanted)
    last_use[value.node] = count;

  std::vector<std::vector<Shared>> values(count); // of each node's results
  for (size_t i = 0; i < count; ++i) {
    const Node &node = region.nodes[i];
    std::vector<Shared> operands;
    for (Value operand : node.operands)
      operands.push_back(values[operand.node][operand.index]);
    switch (node.op) {
    case Op::arg:
      values[i] = {std::move(args[i])};
      break;
    case Op::constant:
      values[i] = {node.data};
      break;
    case Op::fused:
      values[i] = run(*node.body, std::move(operands), node.body->results, denormals);
      break;
    case Op::scan:
      values[i] = run_scan(node, std::move(operands), denormals);
      break;
    case Op::grad:
      throw Error("`grad` stands for derivatives that are not derived yet: it cannot be run");
    default:
      std::vector<const Tensor *> pointers;
      for (const Shared &operand : operands)
        pointers.push_back(operand.get());
      values[i] = {std::make_shared<const Tensor>(eval(node.op, pointers, node.attrs, node.type(), denormals))};
    }
    for (Value operand : node.operands)
      if (last_use[operand.node] == i)
        values[operand.node].clear();
    if (last_use[i] == i)
      values[i].clear();
  }
  std::vector<Shared> results;
  for (Value value : wanted)
    results.push_back(values[value.node][value.index]);
  return results;
}

std::vector<Shared> run_scan(const Node &node, std::vector<Shared> operands, Denormals denormals) {
  const auto &[steps, carries, slices, reverse] = node.scan;
  for (int i = carries; i < carries + slices; ++i)
    operands[i] = std::make_shared<const Tensor>(expanded(*operands[i]));
  std::vector<Tensor> stacks;
  for (size_t i = carries; i < node.types.size(); ++i)
    stacks.emplace_back(node.types[i]);
  for (int64_t k = 0; k < steps; ++k) {
    const int64_t step = reverse ? steps - 1 - k : k;
    std::vector<Shared> args = operands;
    for (int i = carries; i < carries + slices; ++i) {
      Tensor slice(node.body->nodes[i].type());
      std::ranges::copy_n(operands[i]->bytes.begin() + step * slice.type.bytes(), slice.type.bytes(), slice.bytes.begin());
      args[i] = std::make_shared<const Tensor>(std::move(slice));
    }
    const std::vector<Shared> results = run(*node.body, std::move(args), node.body->results, denormals);
    std::copy_n(results.begin(), carries, operands.begin());
    for (size_t i = 0; i < stacks.size(); ++i) {
      const Tensor entry = expanded(*results[carries + i]);
      std::ranges::copy(entry.bytes, stacks[i].bytes.begin() + step * entry.type.bytes());
    }
  }
  std::vector<Shared> results(operands.begin(), operands.begin() + carries);
  for (Tensor &stack : stacks)
    results.push_back(std::make_shared<const Tensor>(std::move(stack)));
  return results;
}

// The tensors are the caller's: shared without being owned.
Shared borrowed(const Tensor &tensor) { return Shared(Shared(), &tensor); }

} // namespace

RunResult interpret(const Function &function, std::span<const Tensor> inputs, std::span<const Tensor> states,
                    Denormals denormals) {
  std::vector<Shared> args;
  for (int i = 0; i < function.args; ++i) {
    const int state = function.arg_info[i].state;
    const std::span<const Tensor> from = state < 0 ? inputs : states;
    const size_t index = state < 0 ? i : state; // inputs come first
    const Node &node = function.nodes[i];
    if (index >= from.size())
      throw Error(fmt::format("`{}`: `{}` is missing", function.name, node.name()));
    if (from[index].type != node.type())
      throw Error(fmt::format("`{}`: `{}` must be {}, not {}", function.name, node.name(), type_text(node.type()),
                              type_text(from[index].type)));
    args.push_back(borrowed(from[index]));
  }
  std::vector<Value> wanted;
  for (const Result &result : function.function_results)
    wanted.push_back(result.value);
  const std::vector<Shared> values = run(function, std::move(args), wanted, denormals);

  RunResult finished;
  for (size_t i = 0; i < values.size(); ++i) {
    const Result &result = function.function_results[i];
    if (result.kind == Result::Kind::check && !values[i]->get_int(0)) {
      RunResult failed;
      failed.failed_check = result.name;
      return failed;
    }
    if (result.kind == Result::Kind::output)
      finished.outputs.emplace_back(result.name, expanded(*values[i]));
    else if (result.kind == Result::Kind::state)
      finished.states.emplace_back(result.state, expanded(*values[i]));
  }
  return finished;
}

} // namespace nnc
