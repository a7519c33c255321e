// Loops: a few carries, slices and values that stay the same, a body of random nodes, and some of their values stacked. That the
// first step is tame does not make the others so: the loop is run with every value of its body stacked, and dropped where one is
// not.
#include "tests/ops/node_maker.h"

#include "ir/interpreter.h"

#include <algorithm>

namespace nnc {

namespace {

// The region with every float in it among its results, those of loops in it too.
Region exposed(Region region) {
  for (int n = region.args; n < static_cast<int>(region.nodes.size()); ++n) {
    Node &node = region.nodes[n];
    if (node.body) {
      node.body = std::make_shared<const Region>(exposed(*node.body));
      for (size_t r = node.types.size(); r < node.body->results.size(); ++r) {
        node.types.push_back(result_type(node, *node.body, r));
        node.names.push_back("");
      }
    }
    for (int k = 0; k < static_cast<int>(node.types.size()); ++k)
      if (is_float(node.types[k].dtype))
        region.results.push_back({n, k});
  }
  return region;
}

// What the loop gives, and behind that every float of every step.
std::vector<Tensor> run_loop(const ScanInfo &info, const std::vector<Tensor> &operands, const Region &body) {
  Function function;
  Builder build(function);
  std::vector<Value> args;
  for (const Tensor &operand : operands)
    args.push_back(build.arg(operand.type, ""));
  function.arg_info.resize(operands.size());
  const Value loop = build.scan(info, args, exposed(body));
  for (int k = 0; k < static_cast<int>(function.node(loop).types.size()); ++k)
    function.function_results.push_back({Result::Kind::output, "", {loop.node, k}, -1, {}});
  std::vector<Tensor> results;
  for (auto &[name, tensor] : interpret(function, operands, {}).outputs)
    results.push_back(std::move(tensor));
  return results;
}

Tensor entry_of(const Tensor &slice, int64_t step, const Type &type) {
  const Tensor whole = expanded(slice);
  Tensor entry(type);
  std::copy_n(whole.bytes.begin() + step * type.bytes(), type.bytes(), entry.bytes.begin());
  return entry;
}

} // namespace

void NodeMaker::add_loop() {
  if (loops_ == 2)
    return;
  const int64_t most = sizes_.most_elements / 4; // of what a step takes in
  const auto is_small = [&](Value v) { return builder_.type(v).elements() <= most; };
  std::vector<Value> operands;
  const auto take = [&](Value v) {
    if (v)
      operands.push_back(v);
  };
  ScanInfo info{.steps = 1 + below(4), .reverse = chance(30)};
  const Value first_slice =
      chance(30) ? Value{} : some_value_where([&](Value v) { return rank(v) > 0 && shape(v)[0] <= 9 && is_small(v); });
  if (first_slice)
    info.steps = shape(first_slice)[0];
  for (int64_t n = first_slice ? below(3) : 1 + below(2); n > 0; --n)
    take(some_value_where(is_small));
  info.carries = static_cast<int>(operands.size());
  take(first_slice);
  if (chance(30))
    if (const Value like =
            some_value_where([&](Value v) { return rank(v) < 4 && info.steps * builder_.type(v).elements() <= most; })) {
      Type type = builder_.type(like);
      type.shape.insert(type.shape.begin(), info.steps);
      take(operand_like(type));
    }
  info.slices = static_cast<int>(operands.size()) - info.carries;
  for (int64_t n = below(3); n > 0; --n)
    take(some_value_where(is_small));
  if (info.carries + info.slices == 0)
    return;

  Region body;
  NodeMaker inside(random_, sizes_, body, loops_ + 1);
  std::vector<Tensor> given;
  for (int i = 0; i < static_cast<int>(operands.size()); ++i) {
    given.push_back(tensors_.at(operands[i]));
    Type type = given.back().type;
    const bool sliced = i >= info.carries && i < info.carries + info.slices;
    if (sliced)
      type.shape.erase(type.shape.begin());
    inside.argument(type, "a" + std::to_string(i),
                    sliced ? entry_of(given.back(), info.reverse ? info.steps - 1 : 0, type) : given.back());
  }
  for (int64_t n = 2 + below(6); n > 0; --n)
    inside.add_something();
  for (int i = 0; i < info.carries; ++i) {
    const Type type = builder_.type(operands[i]);
    Value next = inside.operand_like(type);
    if (is_float(type.dtype) && chance(60))
      next = inside.apply(Op::tanh, {next});
    body.results.push_back(next ? next : Value{i, 0});
  }
  for (int64_t n = info.carries ? below(3) : 1 + below(2); n > 0; --n)
    if (const Value v = inside.some_value(); info.steps * body.type(v).elements() <= sizes_.most_elements)
      body.results.push_back(v);
  if (body.results.empty())
    return;
  const std::vector<Tensor> results = run_loop(info, given, body);
  if (!std::ranges::all_of(results, is_tame))
    return;
  const int count = static_cast<int>(body.results.size());
  const Value loop = builder_.scan(info, operands, std::move(body));
  for (int k = 0; k < count; ++k)
    note({loop.node, k}, results[k]);
}

} // namespace nnc
