// An evaluation with noise. The scale of the noise of an op is what its rounding errors are proportional to: the result, but for
// sums the sum of magnitudes. Ops that are exact on their operands get none.
#include "tests/ops/reference.h"

#include "passes/passes.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <random>

namespace nnc {

namespace {

constexpr int runs = 8;
constexpr double noise_ulps = 3, times_measured = 6;

double epsilon(DType dtype) { return dtype == DType::f32 ? 0x1p-23 : 0x1p-52; }

Tensor magnitudes(const Tensor &tensor) {
  Tensor result = expanded(tensor);
  for (int64_t i = 0; i < result.type.elements(); ++i)
    result.set(i, std::fabs(result.get(i)));
  return result;
}

// How many numbers a sum or dot adds for one element.
int64_t terms(const Node &node, std::span<const Tensor *const> operands) {
  int64_t count = 1;
  const Shape &shape = operands[0]->type.shape;
  for (size_t i = 0; i < node.attrs.axes.size(); ++i)
    count *= node.op == Op::unwindow ? shape[node.type().rank() + i] : shape[node.attrs.axes[i]];
  if (node.op == Op::dot) {
    const DotLabels labels = parse_dot_labels(node.attrs.labels);
    for (char label : labels.summed)
      count *= operands[0]->type.shape[labels.lhs.find(label)];
  }
  return count;
}

// What the errors of this node are proportional to; empty: it makes none.
std::vector<double> noise_scale(const Node &node, std::span<const Tensor *const> operands, const Tensor &result) {
  const int64_t count = result.type.elements();
  std::vector<double> scale;
  const auto add_magnitudes = [&](const Tensor &tensor) {
    scale.resize(count, 0);
    const Tensor dense = expanded(tensor);
    for (int64_t i = 0; i < count; ++i)
      scale[i] += std::fabs(dense.get(i));
  };
  switch (node.op) {
  case Op::neg:
  case Op::abs:
  case Op::floor:
  case Op::round:
  case Op::maximum:
  case Op::minimum:
  case Op::select:
  case Op::stop_gradient:
  case Op::max:
  case Op::min:
    return {};
  case Op::sum:
  case Op::unwindow:
  case Op::dot: { // K * epsilon * the sum of magnitudes bounds the error; an eighth of it is rarely reached
    std::vector<Tensor> positive;
    for (const Tensor *operand : operands)
      positive.push_back(magnitudes(*operand));
    std::vector<const Tensor *> pointers;
    for (const Tensor &operand : positive)
      pointers.push_back(&operand);
    add_magnitudes(eval(node.op, pointers, node.attrs, result.type));
    for (double &s : scale)
      s *= 1 + static_cast<double>(terms(node, operands)) / 8;
    return scale;
  }
  case Op::gather:
    return {};
  case Op::scatter_add: {
    const Tensor positive = magnitudes(*operands[0]);
    const Tensor *pointers[] = {&positive, operands[1]};
    add_magnitudes(eval(node.op, pointers, node.attrs, result.type));
    for (double &s : scale)
      s *= 1 + static_cast<double>(operands[1]->type.elements()) / 8;
    return scale;
  }
  case Op::add:
  case Op::sub:
    add_magnitudes(*operands[0]);
    add_magnitudes(*operands[1]);
    return scale;
  case Op::muladd:
    add_magnitudes(*operands[2]);
    break;
  default:
    if (is_view(node.op))
      return {};
  }
  add_magnitudes(result);
  return scale;
}

class NoisyRun {
public:
  NoisyRun(const Function &function, std::span<const Tensor> inputs, std::span<const Tensor> states, uint64_t seed)
      : random_(seed) {
    std::vector<Tensor> args;
    for (const Arg &arg : function.arg_info)
      args.push_back(arg.state < 0 ? inputs[args.size()] : states[arg.state]); // inputs come first
    values_ = run(function, std::move(args));
  }

  const Tensor &operator[](Value value) const { return values_[value.node][value.index]; }

private:
  using Values = std::vector<std::vector<Tensor>>; // of each node's results
  Values values_;
  std::mt19937_64 random_;

  double between_minus_one_and_one() { return static_cast<double>(static_cast<int64_t>(random_())) * 0x1p-63; }

  Values run(const Region &region, std::vector<Tensor> args) {
    Values values;
    for (size_t n = 0; n < region.nodes.size(); ++n) {
      const Node &node = region.nodes[n];
      std::vector<const Tensor *> operands;
      for (Value operand : node.operands)
        operands.push_back(&values[operand.node][operand.index]);
      if (node.op == Op::arg)
        values.push_back({std::move(args[n])});
      else if (node.op == Op::scan)
        values.push_back(loop(node, operands));
      else
        values.push_back({value(node, operands)});
    }
    return values;
  }

  std::vector<Tensor> loop(const Node &node, const std::vector<const Tensor *> &operands) {
    const auto &[steps, carries, slices, reverse] = node.scan;
    std::vector<Tensor> args, results;
    for (const Tensor *operand : operands)
      args.push_back(expanded(*operand));
    const std::vector<Tensor> whole = args;
    for (const Type &type : node.types)
      results.emplace_back(type);
    for (int64_t k = 0; k < steps; ++k) {
      const int64_t step = reverse ? steps - 1 - k : k;
      for (int i = carries; i < carries + slices; ++i) {
        args[i] = Tensor(node.body->nodes[i].type());
        const auto bytes = static_cast<int64_t>(args[i].bytes.size());
        std::copy_n(whole[i].bytes.begin() + step * bytes, bytes, args[i].bytes.begin());
      }
      const Values values = run(*node.body, args);
      for (size_t r = 0; r < results.size(); ++r) {
        const Value from = node.body->results[r];
        const Tensor result = expanded(values[from.node][from.index]);
        if (static_cast<int>(r) < carries)
          args[r] = results[r] = result;
        else
          std::ranges::copy(result.bytes, results[r].bytes.begin() + step * static_cast<int64_t>(result.bytes.size()));
      }
    }
    return results;
  }

  Tensor value(const Node &node, const std::vector<const Tensor *> &operands) {
    if (node.op == Op::constant)
      return *node.data;
    Tensor result = eval(node.op, operands, node.attrs, node.type());
    if (!is_float(node.type().dtype))
      return result;
    const std::vector<double> scale = noise_scale(node, operands, result);
    if (scale.empty())
      return result;
    result = expanded(result);
    const double amount = noise_ulps * epsilon(node.type().dtype);
    for (size_t i = 0; i < scale.size(); ++i) // of no fixed size: equal amounts cancel too often
      result.set(static_cast<int64_t>(i), result.get(i) + amount * between_minus_one_and_one() * scale[i]);
    return result;
  }
};

double number(const Tensor &tensor, int64_t i) {
  return is_float(tensor.type.dtype) ? tensor.get(i) : static_cast<double>(tensor.get_int(i));
}

std::string difference(const Tensor &expected, const std::vector<double> &slack, const Tensor &actual, const std::string &what) {
  if (expected.type != actual.type)
    return what + " has another type";
  for (int64_t i = 0; i < expected.type.elements(); ++i) {
    const double e = number(expected, i), a = number(actual, i);
    if (std::isinf(slack[i]) || (std::isnan(e) && std::isnan(a)) || e == a)
      continue;
    if (!(std::fabs(e - a) <= slack[i]))
      return fmt::format("{}[{}] of {} is {}, not {} +- {}", what, i, type_text(expected.type), a, e, slack[i]);
  }
  return "";
}

} // namespace

Reference make_reference(const Module &module, const Function &function, std::span<const Tensor> inputs,
                         std::span<const Tensor> states) {
  Reference reference;
  reference.result = interpret(function, inputs, states);
  if (!reference.result.failed_check.empty())
    return reference;
  std::vector<std::pair<int, Tensor>> after;
  for (size_t s = 0; s < states.size(); ++s)
    after.emplace_back(static_cast<int>(s), expanded(states[s]));
  for (auto &[index, tensor] : reference.result.states)
    after[index].second = std::move(tensor);
  reference.result.states = std::move(after);

  // Variance as kernels compute it: its errors are not proportional to its result.
  Module expanded_module = module;
  expanded_module.functions = {function};
  PassOptions expand;
  expand.passes = {"expand"};
  run_passes(expanded_module, expand);
  const Function &noisy_function = expanded_module.functions[0];

  const auto note = [](std::vector<double> &slack, const Tensor &expected, const Tensor *noisy) {
    slack.resize(expected.type.elements(), 0);
    for (int64_t i = 0; i < expected.type.elements() && noisy; ++i) {
      const double moved = std::fabs(number(*noisy, i) - number(expected, i));
      slack[i] = std::isfinite(moved) ? std::max(slack[i], moved) : INFINITY;
    }
  };
  reference.slack.resize(reference.result.outputs.size() + states.size());
  for (int run = 0; run < runs; ++run) {
    const NoisyRun noisy(noisy_function, inputs, states, run);
    size_t output = 0;
    for (const Result &result : noisy_function.function_results) {
      const Tensor moved = result.kind == Result::Kind::check ? Tensor() : expanded(noisy[result.value]);
      if (result.kind == Result::Kind::output) {
        note(reference.slack[output], reference.result.outputs[output].second, &moved);
        ++output;
      } else if (result.kind == Result::Kind::state) {
        note(reference.slack[reference.result.outputs.size() + result.state], reference.result.states[result.state].second,
             &moved);
      }
    }
  }
  for (size_t s = 0; s < states.size(); ++s)
    note(reference.slack[reference.result.outputs.size() + s], reference.result.states[s].second, nullptr);
  const auto widen = [](std::vector<double> &slack, const Tensor &expected) {
    for (size_t i = 0; i < slack.size(); ++i)
      if (is_float(expected.type.dtype)) {
        const double smallest = expected.type.dtype == DType::f32 ? 0x1p-149 : 0x1p-1074;
        slack[i] = slack[i] == 0 ? 0 : times_measured * slack[i] + smallest;
      }
  };
  for (size_t i = 0; i < reference.result.outputs.size(); ++i)
    widen(reference.slack[i], reference.result.outputs[i].second);
  for (size_t s = 0; s < states.size(); ++s)
    widen(reference.slack[reference.result.outputs.size() + s], reference.result.states[s].second);
  return reference;
}

std::string difference(const Reference &reference, const RunResult &actual) {
  const RunResult &expected = reference.result;
  if (actual.failed_check != expected.failed_check)
    return fmt::format("fails check `{}`, not `{}`", actual.failed_check, expected.failed_check);
  if (!expected.failed_check.empty())
    return "";
  for (size_t i = 0; i < expected.outputs.size(); ++i)
    if (std::string found = difference(expected.outputs[i].second, reference.slack[i], actual.outputs[i].second,
                                       "output " + expected.outputs[i].first);
        !found.empty())
      return found;
  for (size_t s = 0; s < actual.states.size(); ++s)
    if (std::string found = difference(expected.states[s].second, reference.slack[expected.outputs.size() + s],
                                       actual.states[s].second, fmt::format("state {}", s));
        !found.empty())
      return found;
  return "";
}

} // namespace nnc
