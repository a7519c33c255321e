// Gradients against differences. A request grad(y, x) says what y is a function of: all that lies between x and y, everything
// else held. So the entry runs once, and then only what lies between runs again, with another tensor in x's place. What a
// stop_gradient gives is held too. Requests inside are expanded first: y may be made of derivatives itself.
//
// A test goes along a direction v, of length 1 in the space of x's elements: <dy/dx, v> against differences of y(x + t v).
//   (y(h) - y(-h)) / 2h           at h = 1e-4, in units of the largest |x|; error h^2 y'''/6
//   (4 D(h/2) - D(h)) / 3         Richardson: error of order h^4, where y bends strongly
//   then h = 1e-5, h = 1e-6       where a kink lies close to x
// The first that agrees settles it, unless y has no derivative there (relu at 0, a tie of max): the two one-sided differences
// disagree at 1e-6 as much as at 1e-5. Such a kink is counted and proves nothing.
//
// That the comparison sees errors is part of every check: the gradient that was found right is made wrong by 1 %, and must then
// be found wrong.
#include "tools/gradcheck.h"

#include "ir/builder.h"
#include "ir/error.h"
#include "ir/interpreter.h"
#include "ir/text.h"
#include "passes/passes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>

namespace nnc {

namespace {

constexpr int directions = 3;
constexpr double first_step = 1e-4, second_step = 1e-5, last_step = 1e-6;
constexpr double rounding =
    64 * std::numeric_limits<double>::epsilon(); // of y, relative; sums of many terms have more than one ulp

using Values = std::map<Value, Tensor>;

// y as a function of x, near a point: a function of its own, whose inputs are x and what is held.
class Between {
public:
  Between(const Function &function, Value y, Value x) {
    const std::vector<Node> &nodes = function.nodes;
    const int end = std::max(x.node, y.node) + 1;
    std::vector<bool> after(end), before(end), inside(end);
    after[x.node] = before[y.node] = true;
    for (int n = x.node + 1; n <= y.node; ++n)
      after[n] =
          nodes[n].op != Op::stop_gradient && std::ranges::any_of(nodes[n].operands, [&](Value v) { return after[v.node]; });
    for (int n = y.node; n > x.node; --n)
      if ((inside[n] = before[n] && after[n]))
        for (Value v : nodes[n].operands)
          before[v.node] = true;

    std::map<Value, Value> here; // values of the entry as values of the part
    Builder build(part_);
    const auto input = [&](Value v) {
      if (inside[v.node] || here.contains(v))
        return;
      here[v] = build.arg(function.type(v), "");
      part_.arg_info.emplace_back();
      held_.push_back(v);
    };
    input(x);
    for (int n = x.node + 1; n <= y.node; ++n)
      if (inside[n])
        std::ranges::for_each(nodes[n].operands, input);
    input(y);
    for (int n = x.node + 1; n <= y.node; ++n) {
      if (!inside[n])
        continue;
      Node node = nodes[n];
      for (Value &operand : node.operands)
        operand = here.at(operand);
      const int place = static_cast<int>(part_.nodes.size());
      for (int k = 0; k < static_cast<int>(node.types.size()); ++k)
        here[{n, k}] = {place, k};
      part_.nodes.push_back(std::move(node));
    }
    part_.function_results.push_back({Result::Kind::output, "y", here.at(y), -1, {}});
  }

  const std::vector<Value> &held() const { return held_; } // x first

  void hold(const Values &values) {
    for (Value v : held_)
      inputs_.push_back(values.at(v));
  }
  void release() { inputs_.clear(); }
  double operator()(Tensor x) {
    std::swap(inputs_[0], x);
    const RunResult result = interpret(part_, inputs_, {});
    std::swap(inputs_[0], x);
    return result.outputs[0].second.get(0);
  }

private:
  Function part_;
  std::vector<Value> held_;
  std::vector<Tensor> inputs_;
};

// y along a line through the point, evaluated where it is asked for.
class Line {
public:
  Line(Between &y, double here, const Tensor &x, std::vector<double> direction, double unit)
      : y_(y), x_(x), direction_(std::move(direction)), unit_(unit), known_{{0, here}} {}

  double along(const Tensor &gradient) const {
    double sum = 0;
    for (size_t i = 0; i < direction_.size(); ++i)
      sum += gradient.get(static_cast<int64_t>(i)) * direction_[i];
    return sum;
  }
  double step(double h) const { return h * unit_; }
  double central(double h) { return (at(h) - at(-h)) / (2 * step(h)); }
  double richardson(double h) { return (4 * central(h / 2) - central(h)) / 3; }
  // How far the two one-sided differences are apart.
  double gap(double h) { return std::abs((at(h) - at(0)) - (at(0) - at(-h))) / step(h); }
  // What rounding of y can do to a difference.
  double noise(double h) { return rounding * std::max({std::abs(at(h)), std::abs(at(-h)), std::abs(at(0))}) / step(h); }

private:
  double at(double h) {
    const auto found = known_.find(h);
    if (found != known_.end())
      return found->second;
    Tensor x = expanded(x_);
    for (size_t i = 0; i < direction_.size(); ++i)
      if (direction_[i] != 0)
        x.set(static_cast<int64_t>(i), x.get(static_cast<int64_t>(i)) + step(h) * direction_[i]);
    return known_[h] = y_(std::move(x));
  }

  Between &y_;
  const Tensor &x_;
  std::vector<double> direction_;
  double unit_;
  std::map<double, double> known_;
};

enum class Verdict : uint8_t { right, kink, wrong };

struct Judged {
  Verdict verdict = Verdict::right;
  double error = 0;   // relative
  double numeric = 0; // what the differences say
};

// `derivative` along the line; `typical` is the size of the gradient's elements, below which a derivative counts as small.
Judged judge(Line &line, double derivative, double typical) {
  Judged best{Verdict::wrong, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()};
  const auto agrees = [&](double numeric, double noise) {
    const double scale = std::max({std::abs(derivative), std::abs(numeric), typical, noise / largest_gradient_error});
    const double error = derivative == numeric ? 0 : std::abs(derivative - numeric) / scale; // both may be 0
    if (error < best.error || std::isnan(best.numeric))
      best = {Verdict::wrong, error, numeric};
    return error <= largest_gradient_error;
  };
  const auto gapes = [&](double h, double least) { return line.gap(h) > std::max(10 * line.noise(h), least * typical); };
  const bool right = agrees(line.central(first_step), line.noise(first_step)) ||
                     agrees(line.richardson(first_step), 4 * line.noise(first_step)) ||
                     agrees(line.central(second_step), line.noise(second_step)) ||
                     agrees(line.central(last_step), line.noise(last_step));
  // Differences across a kink can agree by symmetry, as those of |x| at 0 do; a gap at the first step calls for a look.
  if ((!right || gapes(first_step, 0.01)) && gapes(last_step, 1e-4) && line.gap(last_step) > 0.5 * line.gap(second_step))
    best.verdict = Verdict::kink;
  else if (right)
    best.verdict = Verdict::right;
  return best;
}

std::vector<double> random_direction(size_t size, std::mt19937_64 &random) {
  std::normal_distribution<double> bell;
  std::vector<double> direction(size);
  double squares = 0;
  for (double &d : direction) {
    d = bell(random);
    squares += d * d;
  }
  for (double &d : direction)
    d /= std::sqrt(squares);
  return direction;
}

bool is_finite(const Tensor &tensor) {
  for (int64_t i = 0; i < (tensor.splat ? 1 : tensor.type.elements()); ++i)
    if (!std::isfinite(tensor.get(i)))
      return false;
  return true;
}

void check(GradientCheck &result, Between &function, const Tensor &y, const Tensor &at, const Tensor &analytic,
           const GradcheckOptions &options) {
  if (!is_finite(y)) {
    result.failure = fmt::format("`{}` is {} here: give other inputs", result.y, element_text(y, 0));
    return;
  }
  if (!is_finite(analytic)) {
    result.failure = "the gradient is not finite, though the value is";
    return;
  }
  const size_t size = static_cast<size_t>(at.type.elements());
  double largest = 1, squares = 0;
  for (size_t i = 0; i < size; ++i) {
    largest = std::max(largest, std::abs(at.get(static_cast<int64_t>(i))));
    squares += std::pow(analytic.get(static_cast<int64_t>(i)), 2);
  }
  const double typical = std::sqrt(squares / static_cast<double>(std::max<size_t>(size, 1)));
  std::mt19937_64 random(static_cast<uint64_t>(options.seed));
  std::optional<Line> control; // the right one with the largest derivative
  double control_derivative = 0;
  const auto test = [&](std::vector<double> direction, const std::string &where) {
    Line line(function, y.get(0), at, std::move(direction), largest);
    const double derivative = line.along(analytic);
    const Judged judged = judge(line, derivative, typical);
    if (judged.verdict == Verdict::kink) {
      ++result.kinks;
      return;
    }
    result.worst = std::max(result.worst, judged.error);
    if (judged.verdict == Verdict::wrong && result.failure.empty())
      result.failure = fmt::format("{} it is {:.6g}, but the differences say {:.6g}", where, derivative, judged.numeric);
    if (judged.verdict == Verdict::right && (!control || std::abs(derivative) > std::abs(control_derivative))) {
      control.emplace(line);
      control_derivative = derivative;
    }
  };
  for (; result.directions < (size == 0 ? 0 : directions); ++result.directions)
    test(random_direction(size, random), fmt::format("along direction {}", result.directions + 1));
  if (static_cast<int64_t>(size) <= options.elements)
    for (size_t i = 0; i < size; ++i, ++result.elements) {
      std::vector<double> direction(size);
      direction[i] = 1;
      test(std::move(direction), fmt::format("at element {}", i));
    }
  if (size == 0 || !result.failure.empty())
    return;
  if (!control) {
    result.failure = "there is a kink along every direction: give other inputs or another seed";
    return;
  }
  // Where the derivative is as good as 0, 1 % of it cannot be seen; there it is moved by what can.
  const double moved = control_derivative + std::max(0.01 * std::abs(control_derivative), 10 * control->noise(last_step));
  if (judge(*control, moved, typical).verdict != Verdict::wrong)
    result.failure = fmt::format("the control failed: {:.6g} instead of {:.6g} was not noticed, so nothing is proved", moved,
                                 control_derivative);
}

std::string place_text(const Module &module, const Loc &loc) {
  return loc.line ? fmt::format("{}:{}:{}", module.files[loc.file], loc.line, loc.column) : "";
}

std::string title(const Module &module, const Function &function, Value v, const std::string &text) {
  const int state = function.node(v).op == Op::arg ? function.arg_info[v.node].state : -1;
  return state >= 0 ? module.states[state].path : text.starts_with('%') && !std::isdigit(text[1]) ? text.substr(1) : text;
}

void derive(Module &module) {
  PassOptions options;
  options.passes = {"grad"};
  run_passes(module, options);
}

} // namespace

Tensor widened(const Tensor &tensor) {
  if (!is_float(tensor.type.dtype))
    return tensor;
  const Type type{DType::f64, tensor.type.shape};
  if (tensor.splat)
    return Tensor::filled(type, tensor.get(0));
  Tensor result(type);
  for (int64_t i = 0; i < type.elements(); ++i)
    result.set(i, tensor.get(i));
  return result;
}

namespace {

void widen_type(Type &type) { type.dtype = is_float(type.dtype) ? DType::f64 : type.dtype; }

void widen_nodes(const Module &module, const std::string &name, Region &region) {
  for (Node &node : region.nodes) {
    if (node.op == Op::fused)
      throw Error(
          fmt::format("{}: `{}` has kernels already: gradients are checked on the program as written", module.files[0], name));
    for (Type &type : node.types)
      widen_type(type);
    if (std::ranges::find(op_info(node.op).attrs, AttrKey::dtype) != op_info(node.op).attrs.end() && is_float(node.attrs.dtype))
      node.attrs.dtype = DType::f64;
    if (node.data)
      node.data = std::make_shared<const Tensor>(widened(*node.data));
    if (node.body) {
      Region body = *node.body;
      widen_nodes(module, name, body);
      node.body = std::make_shared<const Region>(std::move(body));
    }
  }
}

} // namespace

void widen(Module &module) {
  for (State &state : module.states)
    widen_type(state.type);
  for (Function &function : module.functions)
    widen_nodes(module, function.name, function);
}

bool has_gradients(const Function &function) {
  return std::ranges::any_of(function.nodes, [](const Node &node) { return node.op == Op::grad; });
}

std::vector<GradientCheck> check_gradients(const Module &module, const std::string &name, std::span<const Tensor> inputs,
                                           std::span<const Tensor> states, const GradcheckOptions &options) {
  Module derived = module;
  std::erase_if(derived.functions, [&](const Function &function) { return function.name != name; });
  Function &function = derived.functions.at(0);
  const std::vector<std::vector<std::string>> texts = value_texts(function);
  const size_t own_results = function.function_results.size();
  std::vector<GradientCheck> checks;
  // The pass maps results to the new nodes: so y, x and dy/dx of each gradient become three of them.
  for (int n = 0; n < static_cast<int>(function.nodes.size()); ++n) {
    const Node &node = function.nodes[n];
    if (node.op != Op::grad)
      continue;
    const Value y = node.operands[0];
    for (int k = 1; k < static_cast<int>(node.operands.size()); ++k) {
      const Value x = node.operands[k];
      if (!is_float(function.type(x).dtype))
        continue; // zeros, by definition
      GradientCheck &check = checks.emplace_back();
      check.y = title(derived, function, y, texts[y.node][y.index]);
      check.x = title(derived, function, x, texts[x.node][x.index]);
      const Loc &loc = function.node(x).loc;
      check.place = place_text(derived, loc.line ? loc : node.loc);
      check.type = function.type(x);
      for (Value v : {y, x, Value{n, k - 1}})
        function.function_results.push_back(
            {Result::Kind::output, fmt::format("check_{}", function.function_results.size()), v, -1, {}});
    }
  }
  (options.derive ? options.derive : derive)(derived);
  // What is compared, and what is held, are the only results of one run.
  const std::vector<Result> results = std::move(function.function_results);
  std::vector<Between> betweens;
  Values values;
  for (size_t i = 0; i < checks.size(); ++i) {
    const auto value = [&](size_t which) { return results[own_results + 3 * i + which].value; };
    betweens.emplace_back(function, value(0), value(1));
    for (Value v : betweens.back().held())
      values[v];
    for (size_t which : {0, 1, 2})
      values[value(which)];
  }
  function.function_results.clear();
  std::ranges::copy_if(results, std::back_inserter(function.function_results),
                       [](const Result &result) { return result.kind == Result::Kind::check; });
  for (const auto &[v, unset] : values)
    function.function_results.push_back({Result::Kind::output, "", v, -1, {}});
  RunResult run = interpret(function, inputs, states);
  if (!run.failed_check.empty())
    throw CheckFailed(run.failed_check);
  for (auto output = run.outputs.begin(); auto &[v, tensor] : values)
    tensor = std::move((output++)->second);
  for (size_t i = 0; i < checks.size(); ++i) {
    const auto value = [&](size_t which) -> const Tensor & { return values.at(results[own_results + 3 * i + which].value); };
    betweens[i].hold(values);
    check(checks[i], betweens[i], value(0), value(1), value(2), options);
    betweens[i].release();
  }
  return checks;
}

} // namespace nnc
