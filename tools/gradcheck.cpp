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
// Where thousands of kinks lie so close that the smallest step still crosses some, as in deep networks, nothing agrees; then
// the branches that are taken at the point are followed instead (follow_branches), which have the same derivative and no kinks.
//
// That the comparison sees errors is part of every check: the gradient that was found right is made wrong by 1 %, and must then
// be found wrong.
#include "tools/gradcheck.h"

#include "ir/text.h"
#include "passes/passes.h"
#include "tools/compiled.h"
#include "tools/gradcheck_parts.h"

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

using Curve = std::function<double(Tensor x)>;

// y along a line through the point, evaluated where it is asked for.
class Line {
public:
  Line(const Curve &y, double here, const Tensor &x, std::vector<double> direction, double unit)
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

  const Curve &y_;
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

void check(GradientCheck &result, const Curve &function, const Tensor &y, const Tensor &at, const Tensor &analytic,
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
  result.all_zero = squares == 0;
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
    result.differs |= judged.verdict == Verdict::wrong;
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
  // Where the derivative is as good as 0, 1 % of it cannot be seen; there it is moved by what can. So it is where y is 0, too.
  const double moved = control_derivative + std::max({0.01 * std::abs(control_derivative), 10 * control->noise(last_step), 1e-9});
  if (judge(*control, moved, typical).verdict != Verdict::wrong)
    result.failure = fmt::format("the control failed: {:.6g} instead of {:.6g} was not noticed, so nothing is proved", moved,
                                 control_derivative);
}

std::string place_text(const Module &module, const Loc &loc) {
  return loc.line ? fmt::format("{}:{}:{}", module.files[loc.file], loc.line, loc.column) : "";
}

void derive(Module &module) {
  PassOptions options;
  options.passes = {"grad"};
  run_passes(module, options);
}

// Where y, x and dy/dx of each check are results of the entry, behind its own.
struct Requests {
  size_t own_results = 0;
  std::vector<GradientCheck> checks;
};

Requests add_requests(const Module &module, Function &function, const FirstSteps &steps) {
  const std::vector<std::vector<std::string>> texts = value_texts(function);
  const auto title = [&](Value v) {
    const auto own = steps.names.find(v);
    const std::string text = own != steps.names.end() && !own->second.empty() ? "%" + own->second : texts[v.node][v.index];
    while (steps.sources.contains(v.node))
      v = steps.sources.at(v.node);
    const int state = function.node(v).op == Op::arg ? function.arg_info[v.node].state : -1;
    return state >= 0 ? module.states[state].path : text.starts_with('%') && !std::isdigit(text[1]) ? text.substr(1) : text;
  };
  Requests requests{function.function_results.size(), {}};
  for (int n = 0; n < static_cast<int>(function.nodes.size()); ++n) {
    const Node &node = function.nodes[n];
    if (node.op != Op::grad)
      continue;
    const Value y = node.operands[0];
    for (int k = 1; k < static_cast<int>(node.operands.size()); ++k) {
      const Value x = node.operands[k];
      if (!is_float(function.type(x).dtype))
        continue; // zeros, by definition
      GradientCheck &check = requests.checks.emplace_back();
      check.y = title(y);
      check.x = title(x);
      const Loc &loc = function.node(x).loc;
      check.place = place_text(module, loc.line ? loc : node.loc);
      check.type = function.type(x);
      for (Value v : {y, x, Value{n, k - 1}}) // the pass maps results to the new nodes
        function.function_results.push_back(
            {Result::Kind::output, fmt::format("check_{}", function.function_results.size()), v, -1, {}});
    }
  }
  return requests;
}

// Checks those that have no verdict yet. `derived` has one function, behind the pass.
void run_checks(Module derived, Requests &requests, const std::vector<bool> &chosen, std::span<const Tensor> inputs,
                std::span<const Tensor> states, const GradcheckOptions &options) {
  Function &function = derived.functions[0];
  const std::vector<Result> results = std::move(function.function_results);
  const auto value = [&](size_t check, size_t which) { return results[requests.own_results + 3 * check + which].value; };
  std::vector<Between> betweens;
  std::vector<size_t> between_of(chosen.size());
  std::map<Value, Tensor> values;
  for (size_t i = 0; i < chosen.size(); ++i) {
    if (!chosen[i])
      continue;
    for (size_t which : {0, 1, 2})
      values[value(i, which)];
    const auto taken = std::ranges::find_if(betweens, [&](Between &between) { return between.take(value(i, 0), value(i, 1)); });
    between_of[i] = taken - betweens.begin();
    if (taken == betweens.end())
      betweens.emplace_back(function, value(i, 0), value(i, 1));
  }
  // What is compared, and what is held, are the only results of one run.
  Module compared = derived;
  for (size_t b = 0; b < betweens.size(); ++b) {
    compared.functions.push_back(betweens[b].part(fmt::format("between_{}", b)));
    for (Value v : betweens[b].held())
      values[v];
  }
  std::vector<Result> &wanted = compared.functions[0].function_results;
  wanted.clear();
  std::ranges::copy_if(results, std::back_inserter(wanted),
                       [](const Result &result) { return result.kind == Result::Kind::check; });
  for (const auto &[v, unset] : values)
    wanted.push_back({Result::Kind::output, fmt::format("v{}", wanted.size()), v, -1, {}});
  Compiled code(std::move(compared));
  RunResult run = code.run(0, inputs, states);
  if (!run.failed_check.empty())
    throw CheckFailed(run.failed_check);
  for (auto output = run.outputs.begin(); auto &[v, tensor] : values)
    tensor = std::move((output++)->second);
  for (size_t b = 0; b < betweens.size(); ++b) {
    std::vector<Tensor> held;
    for (Value v : betweens[b].held())
      held.push_back(values.at(v));
    for (size_t i = 0; i < chosen.size(); ++i) {
      if (!chosen[i] || between_of[i] != b)
        continue;
      const Curve y = [&](Tensor x) {
        Tensor &input = held[betweens[b].place(value(i, 1))];
        std::swap(input, x);
        const RunResult moved = code.run(1 + b, held, {});
        std::swap(input, x);
        return moved.outputs[0].second.get(0);
      };
      check(requests.checks[i], y, values.at(value(i, 0)), values.at(value(i, 1)), values.at(value(i, 2)), options);
    }
  }
}

} // namespace

bool has_gradients(const Region &region) {
  return std::ranges::any_of(region.nodes,
                             [](const Node &node) { return node.op == Op::grad || (node.body && has_gradients(*node.body)); });
}

std::vector<GradientCheck> check_gradients(const Module &module, const std::string &name, std::span<const Tensor> inputs,
                                           std::span<const Tensor> states, const GradcheckOptions &options) {
  Module derived = module;
  std::erase_if(derived.functions, [&](const Function &function) { return function.name != name; });
  const FirstSteps steps = add_first_steps(derived.functions.at(0));
  Requests requests = add_requests(derived, derived.functions[0], steps);
  (options.derive ? options.derive : derive)(derived);
  hold_in_loops(derived.functions[0]);
  const std::vector<GradientCheck> unchecked = requests.checks;
  run_checks(derived, requests, std::vector<bool>(unchecked.size(), true), inputs, states, options);

  std::vector<bool> again;
  for (const GradientCheck &check : requests.checks)
    again.push_back(check.differs);
  if (std::ranges::find(again, true) == again.end())
    return requests.checks;
  Requests branches{requests.own_results, unchecked};
  follow_branches(derived.functions[0]);
  run_checks(std::move(derived), branches, again, inputs, states, options);
  for (size_t i = 0; i < again.size(); ++i)
    if (again[i] && branches.checks[i].failure.empty()) {
      requests.checks[i] = branches.checks[i];
      requests.checks[i].on_branch = true;
    }
  return requests.checks;
}

} // namespace nnc
