// Whole functions: arguments, random nodes, derivatives, and results of all kinds.
#include "tests/ops/random_graph.h"

#include "ir/error.h"
#include "tests/ops/node_maker.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

namespace nnc {

namespace {

AxisSizes choose_sizes(RandomSource &random, bool many) {
  static const Shape small = {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 20, 31, 32, 33, 64, 65, 100};
  static const Shape large = {64, 100, 128, 129, 200, 257, 300, 512, 700};
  AxisSizes axes{{}, many ? 200'000 : 4096};
  for (int i = 0; i < 3; ++i)
    axes.sizes.push_back(random.one_of(many ? large : small));
  if (random.chance(40))
    axes.sizes.push_back(random.one_of(small));
  return axes;
}

class GraphMaker : NodeMaker {
public:
  GraphMaker(RandomSource &random, const AxisSizes &axes, Sample &graph, const GraphSize &size)
      : NodeMaker(random, axes, graph.module.functions[0], 0), size_(size), graph_(graph), function_(graph.module.functions[0]) {}

  void make() {
    add_arguments();
    for (int tries = 0; static_cast<int>(function_.nodes.size()) < function_.args + size_.nodes && tries < 8 * size_.nodes;
         ++tries)
      add_something();
    add_derivatives();
    add_state_results();
    add_outputs();
    add_checks();
  }

private:
  const GraphSize &size_;
  Sample &graph_;
  Function &function_;

  void add_arguments() {
    static const std::vector<DType> dtypes = {DType::f32, DType::f32, DType::f32, DType::f32,    DType::f32,
                                              DType::f64, DType::i32, DType::u8,  DType::boolean};
    static const std::vector<DType> for_storage = {DType::bf16, DType::f16, DType::i8, DType::f32};
    const auto add = [&](const Type &type, int state) {
      (state < 0 ? graph_.inputs : graph_.states).push_back(some_tensor(type));
      argument(type, (state < 0 ? "x" : "s") + std::to_string(state < 0 ? function_.args : state),
               state < 0 ? graph_.inputs.back() : graph_.states.back());
      function_.arg_info.push_back({state});
    };
    for (int64_t n = 1 + below(4); n > 0; --n)
      add({n == 1 ? DType::f32 : one_of(size_.storage ? for_storage : dtypes), some_shape()}, -1);
    const std::vector<Shape> shapes = {some_shape(), some_shape()}; // few, so that states can take each other's place
    for (int s = 0, n = static_cast<int>(below(5)); s < n; ++s) {
      const Type type{DType::f32, one_of(shapes)};
      graph_.module.states.push_back({"s" + std::to_string(s), type, true});
      add(type, s);
    }
  }

  // next - rate * derivative, for some states.
  std::vector<std::pair<int, Value>> derivatives_; // state, derivative
  void add_derivatives() {
    if (graph_.states.empty() || size_.nodes > 25 || !chance(40))
      return;
    Value y = some_value_where([&](Value v) { return is_float(dtype(v)); });
    if (!y)
      return;
    Shape axes(rank(y));
    std::iota(axes.begin(), axes.end(), 0);
    if (rank(y) > 0)
      y = apply(Op::sum, {y}, {.axes = axes});
    std::vector<Value> variables;
    for (int a = 0; a < function_.args; ++a)
      if (function_.arg_info[a].state >= 0)
        variables.push_back({a, 0});
    if (!y || variables.empty())
      return;
    try {
      const std::vector<Value> results = builder_.grad(y, variables);
      for (size_t i = 0; i < results.size(); ++i)
        derivatives_.emplace_back(function_.arg_info[variables[i].node].state, results[i]);
    } catch (const Error &) {
    }
  }

  Value state_argument(int state) const {
    for (int a = 0; a < function_.args; ++a)
      if (function_.arg_info[a].state == state)
        return {a, 0};
    return {};
  }

  void add_state_results() {
    // From here on values are not evaluated when there are derivatives; only tame combinations are made of those.
    for (size_t s = 0; s < graph_.states.size(); ++s) {
      const Value own = state_argument(static_cast<int>(s));
      const Type type = builder_.type(own);
      Value next;
      for (const auto &[state, derivative] : derivatives_)
        if (state == static_cast<int>(s))
          next = builder_.sub(own, builder_.mul(derivative, builder_.like(derivative, 0.125)));
      if (!next && !derivatives_.empty())
        continue;
      if (!next)
        switch (below(7)) {
        case 0:
          continue; // only read
        case 1:
          next = some_value_where([&](Value v) { return builder_.type(v) == type && function_.nodes[v.node].op == Op::arg; });
          break;
        case 2:
          next = apply(Op::sub, {own, apply(Op::mul, {operand_like(type), some_number(type)})});
          break;
        case 3:
          next = view_of_itself(own);
          break;
        case 4:
          next = state_argument(static_cast<int>(below(static_cast<int64_t>(graph_.states.size()))));
          break;
        default:
          next = operand_like(type);
        }
      if (!next || builder_.type(next) != type)
        continue;
      function_.function_results.push_back({Result::Kind::state, "", next, static_cast<int>(s), {}});
      if (derivatives_.empty() && chance(30)) // the old value is read after the new one is known
        apply(Op::sub, {next, own});
    }
  }

  Value view_of_itself(Value own) {
    const Shape full = shape(own);
    if (full.empty())
      return own;
    if (full.size() == 2 && full[0] == full[1] && chance(50))
      return apply(Op::transpose, {own}, {.axes = {1, 0}});
    const int64_t axis = below(static_cast<int64_t>(full.size())), size = full[axis];
    Shape start(full.size(), 0), stride(full.size(), 1);
    if (size < 2 || chance(40)) {
      start[axis] = size - 1;
      stride[axis] = -1;
      return apply(Op::slice, {own}, {.shape = full, .start = start, .stride = stride});
    }
    const int64_t cut = 1 + below(size - 1); // [cut..] and [..cut]: turned, or shifted with padding
    Shape upper = full, lower = full, from(full.size(), 0), to(full.size(), 0);
    upper[axis] = size - cut;
    lower[axis] = cut;
    from[axis] = cut;
    const Value tail = apply(Op::slice, {own}, {.shape = upper, .start = from, .stride = stride});
    if (chance(50))
      return apply(Op::concat, {tail, apply(Op::slice, {own}, {.shape = lower, .start = start, .stride = stride})},
                   {.axis = axis});
    to[axis] = chance(50) ? cut : 0;
    return apply(Op::pad, {tail, some_number({dtype(own), {}})}, {.shape = full, .start = to, .stride = stride});
  }

  void add_outputs() {
    std::set<Value> read;
    for (const Node &node : function_.nodes)
      read.insert(node.operands.begin(), node.operands.end());
    std::vector<Value> outputs;
    for (size_t i = values_.size() - 1; i >= static_cast<size_t>(function_.args) && outputs.size() < 6; --i)
      if (!read.contains(values_[i]) && chance(80))
        outputs.push_back(values_[i]);
    for (int64_t n = 1 + below(2); n > 0; --n)
      outputs.push_back(some_value());
    for (Value value : outputs)
      function_.function_results.insert(
          function_.function_results.begin() + below(static_cast<int64_t>(function_.function_results.size()) + 1),
          {Result::Kind::output, "y" + std::to_string(function_.function_results.size()), value, -1, {}});
  }

  void add_checks() {
    for (int64_t n = derivatives_.empty() ? below(3) : 0; n > 0; --n) {
      const Value x = some_value_where([&](Value v) { return !is_bool(dtype(v)); });
      if (!x)
        return;
      Shape axes(rank(x));
      std::iota(axes.begin(), axes.end(), 0);
      const Value most = rank(x) == 0 ? x : apply(Op::max, {x}, {.axes = axes});
      if (!most)
        return;
      // Far from a tie: the bound is well above or well below the value.
      const double value = is_float(dtype(most)) ? tensors_.at(most).get(0) : static_cast<double>(tensors_.at(most).get_int(0));
      const Value holds = apply(Op::lt, {most, constant(builder_.type(most), std::floor(value) + (chance(8) ? -5 : 5))});
      if (holds)
        function_.function_results.push_back(
            {Result::Kind::check, "check " + std::to_string(function_.function_results.size()), holds, -1, {}});
    }
  }
};

} // namespace

Sample random_graph(uint64_t seed, const GraphSize &size) {
  RandomSource random(seed);
  const AxisSizes axes = choose_sizes(random, size.large);
  Sample graph;
  graph.module.functions.emplace_back();
  graph.module.functions[0].name = "f";
  GraphMaker(random, axes, graph, size).make();
  return graph;
}

} // namespace nnc
