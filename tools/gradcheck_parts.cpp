// Cutting functions out of an entry, before and behind the pass `grad`. Values are those of the entry's function, which stays as
// it is.
#include "tools/gradcheck_parts.h"

#include "ir/builder.h"
#include "ir/region.h"
#include "passes/rewriter.h"
#include "tools/gradcheck.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace nnc {

FirstSteps add_first_steps(Function &function) {
  FirstSteps steps;
  for (int n = 0; n < static_cast<int>(function.nodes.size()); ++n) {
    const Node loop = function.nodes[n];
    if (loop.op != Op::scan || !has_gradients(*loop.body))
      continue;
    Builder build(function);
    const int64_t first = loop.scan.reverse ? loop.scan.steps - 1 : 0;
    std::vector<int> place; // of each node of the body
    for (int i = 0; i < static_cast<int>(loop.body->nodes.size()); ++i) {
      Node node = loop.body->nodes[i];
      if (node.op == Op::arg) {
        const Value operand = loop.operands[i];
        Value value = operand;
        if (i >= loop.scan.carries && i < loop.scan.carries + loop.scan.slices) {
          Shape start(build.shape(operand).size(), 0), stride(start.size(), 1), one = build.shape(operand);
          start[0] = first;
          one[0] = 1;
          value = build.reshape(build.slice(operand, start, one, stride), node.type().shape);
        }
        value = build.op(Op::stop_gradient, {value}, {}, node.name());
        steps.sources[value.node] = operand;
        steps.names[value] = node.name();
        place.push_back(value.node);
        continue;
      }
      for (Value &operand : node.operands)
        operand.node = place[operand.node];
      const std::vector<std::string> names = std::exchange(node.names, std::vector<std::string>(node.names.size()));
      place.push_back(static_cast<int>(function.nodes.size()));
      function.nodes.push_back(std::move(node));
      for (int k = 0; k < static_cast<int>(names.size()); ++k)
        build.set_name({place.back(), k}, steps.names[{place.back(), k}] = names[k]);
    }
  }
  return steps;
}

namespace {

// The branch that `node` takes at the point, of its operands; none if it has no others.
Value branch(Builder &build, const Node &node) {
  const auto held = [&](Value v) { return build.op(Op::stop_gradient, {v}); };
  const auto operand = [&](size_t k) { return node.operands[k]; };
  switch (node.op) {
  case Op::maximum:
    return build.select(held(build.lt(operand(1), operand(0))), operand(0), operand(1));
  case Op::minimum:
    return build.select(held(build.lt(operand(0), operand(1))), operand(0), operand(1));
  case Op::abs:
    return build.select(held(build.lt(operand(0), build.like(operand(0), 0))), build.neg(operand(0)), operand(0));
  case Op::max:
  case Op::min: { // the mean of all that are equal
    const Value x = operand(0);
    const Shape &axes = node.attrs.axes;
    const Value extreme = build.broadcast_back(build.reduce(node.op, x, axes), build.shape(x), axes);
    const Value is_extreme = held(build.eq(x, extreme));
    const Value count = held(build.sum(build.cast(is_extreme, build.type(x).dtype), axes));
    return build.div(build.sum(build.select(is_extreme, x, build.like(x, 0)), axes), count);
  }
  default:
    return {};
  }
}

} // namespace

void follow_branches(Function &function) {
  Rewriter rewriter(function);
  for (int i = 0; i < rewriter.size(); ++i) {
    Node node = rewriter.take(i);
    rewriter.build.loc = node.loc;
    if (node.types.size() > 1) {
      rewriter.keep(i, std::move(node));
      continue;
    }
    const bool is_arg = node.op == Op::arg, is_float_node = is_float(node.type().dtype);
    const bool jumps = node.op == Op::floor || node.op == Op::round || (!is_arg && !is_float_node);
    if (const Value v = is_float_node ? branch(rewriter.build, node) : Value{}) {
      rewriter.replace({i, 0}, v);
      continue;
    }
    const Value kept = rewriter.keep(i, std::move(node));
    if (jumps)
      rewriter.replace({i, 0}, rewriter.build.op(Op::stop_gradient, {kept}));
  }
  rewriter.finish();
}

namespace {

bool has_stops(const Region &region) {
  return std::ranges::any_of(
      region.nodes, [](const Node &node) { return node.op == Op::stop_gradient || (node.body && has_stops(*node.body)); });
}

// The region with a second loop behind each that has a stop_gradient; `now` says where old values are. The first loop also gives
// what those gave at each step, and the second reads it there, one slice a stop_gradient.
class HeldLoops {
public:
  explicit HeldLoops(const Region &old) : old_(old) {}

  Region run() {
    for (const Node &node : old_.nodes) {
      first_.push_back(static_cast<int>(region_.nodes.size()));
      Node kept = node;
      for (Value &operand : kept.operands)
        operand = now(operand);
      if (kept.op == Op::scan && has_stops(*kept.body))
        add_loops(std::move(kept));
      else
        region_.nodes.push_back(std::move(kept));
    }
    region_.args = old_.args;
    for (Value result : old_.results)
      region_.results.push_back(now(result));
    return std::move(region_);
  }

  Value now(Value old) const { return {first_[old.node], old.index}; }

private:
  const Region &old_;
  Region region_;
  std::vector<int> first_; // where each old node is

  void add_loops(Node loop) {
    Region body = HeldLoops(*loop.body).run();
    std::vector<int> stops;
    for (int i = 0; i < static_cast<int>(body.nodes.size()); ++i)
      if (body.nodes[i].op == Op::stop_gradient)
        stops.push_back(i);

    Node first = loop;
    Region recording = body;
    first.names.assign(loop.types.size() + stops.size(), "");
    for (int stop : stops) {
      recording.results.push_back({stop, 0});
      Type stack = body.nodes[stop].type();
      stack.shape.insert(stack.shape.begin(), loop.scan.steps);
      first.types.push_back(stack);
    }
    first.body = std::make_shared<const Region>(std::move(recording));
    const int at = static_cast<int>(region_.nodes.size());
    region_.nodes.push_back(first);

    // The new arguments stand behind the slices, and all that is behind them moves.
    const int place = loop.scan.carries + loop.scan.slices, count = static_cast<int>(stops.size());
    const auto moved = [&](Value v) { return Value{v.node + (v.node < place ? 0 : count), v.index}; };
    Region reading;
    reading.args = body.args + count;
    for (int i = 0; i < place; ++i)
      reading.nodes.push_back(body.nodes[i]);
    for (int k = 0; k < count; ++k) {
      Node arg;
      arg.types = body.nodes[stops[k]].types;
      arg.names = {""};
      reading.nodes.push_back(std::move(arg));

      Node held;
      held.op = Op::stop_gradient;
      held.operands = {{at, static_cast<int>(loop.types.size()) + k}};
      held.types = {first.types[loop.types.size() + k]};
      held.names = {""};
      loop.operands.insert(loop.operands.begin() + place + k, Value{static_cast<int>(region_.nodes.size()), 0});
      region_.nodes.push_back(std::move(held));
    }
    for (int i = place; i < static_cast<int>(body.nodes.size()); ++i) {
      Node node = body.nodes[i];
      for (Value &operand : node.operands)
        operand = moved(operand);
      if (const auto stop = std::ranges::find(stops, i); stop != stops.end())
        node.operands = {{place + static_cast<int>(stop - stops.begin()), 0}};
      reading.nodes.push_back(std::move(node));
    }
    for (Value result : body.results)
      reading.results.push_back(moved(result));
    loop.scan.slices += count;
    loop.body = std::make_shared<const Region>(std::move(reading));
    first_.back() = static_cast<int>(region_.nodes.size());
    region_.nodes.push_back(std::move(loop));
  }
};

} // namespace

void hold_in_loops(Function &function) {
  HeldLoops held(function);
  Region region = held.run();
  for (Result &result : function.function_results)
    result.value = held.now(result.value);
  static_cast<Region &>(function) = std::move(region);
}

namespace {

// The nodes that move when one of `xs` does.
std::vector<bool> moved_by(const Function &function, const std::vector<Value> &xs) {
  std::vector<bool> moved(function.nodes.size());
  for (Value x : xs)
    moved[x.node] = true;
  for (size_t n = 0; n < moved.size(); ++n)
    if (function.nodes[n].op != Op::stop_gradient)
      moved[n] = moved[n] || std::ranges::any_of(function.nodes[n].operands, [&](Value v) { return moved[v.node]; });
  return moved;
}

} // namespace

bool Between::take(Value y, Value x) {
  if (y != y_ || moved_by(*function_, xs_)[x.node])
    return false;
  const std::vector<bool> moved = moved_by(*function_, {x});
  if (std::ranges::any_of(xs_, [&](Value other) { return moved[other.node]; }))
    return false;
  xs_.push_back(x);
  return true;
}

Function Between::part(const std::string &name) {
  held_ = xs_;
  std::vector<bool> computed = moved_by(*function_, xs_), live(function_->nodes.size());
  for (Value x : xs_)
    computed[x.node] = false;
  const auto need = [&](Value v) {
    live[v.node] = true;
    if (!computed[v.node] && function_->node(v).op != Op::constant && std::ranges::find(held_, v) == held_.end())
      held_.push_back(v);
  };
  need(y_);
  for (int n = y_.node; n >= 0; --n)
    if (live[n] && computed[n])
      std::ranges::for_each(function_->nodes[n].operands, need);
  Function part;
  static_cast<Region &>(part) = extract(*function_, held_, {y_});
  for (Node &node : part.nodes)
    node.names.assign(node.names.size(), "");
  for (int a = 0; a < part.args; ++a)
    part.nodes[a].names = {fmt::format("v{}", a)};
  part.arg_info.resize(part.args);
  part.name = name;
  part.function_results.push_back({Result::Kind::output, "y", part.results[0], -1, {}});
  part.results.clear();
  return part;
}

size_t Between::place(Value x) const { return std::ranges::find(xs_, x) - xs_.begin(); }

} // namespace nnc
