// Random functions of six inputs in f64, with requests for derivatives; values are kept near 1 by tanh and sin, so that rounding
// stays far below any tolerance.
#pragma once

#include "ir/builder.h"
#include "ir/interpreter.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace nnc {

class RandomGraph {
public:
  explicit RandomGraph(unsigned seed, int64_t m = 2, int64_t n = 3) : random_(seed), m_(m), n_(n), build_(function_) {}

  Module make() {
    function_.name = "f";
    for (const Shape &shape : {Shape{m_, n_}, Shape{n_, m_}, Shape{m_, n_}, Shape{n_}, Shape{m_}, Shape{}}) {
      function_.arg_info.emplace_back();
      pool_.push_back(build_.arg({DType::f64, shape}, "x" + std::to_string(pool_.size())));
    }
    const std::vector<Value> xs = pool_;
    for (int i = 0; i < 25; ++i)
      pool_.push_back(step());
    Value loss = total(pick());
    for (int i = 0; i < 3; ++i)
      loss = build_.add(loss, total(pick()));
    const std::vector<Value> ds = build_.grad(loss, xs);
    output("loss", loss);
    for (size_t k = 0; k < ds.size(); ++k)
      output("d" + std::to_string(k), ds[k]);
    const std::vector<Value> second = build_.grad(total(ds[0]), {xs[0], xs[3]});
    output("dd0", second[0]);
    output("dd3", second[1]);
    Module module;
    module.functions.push_back(std::move(function_));
    return module;
  }

private:
  int below(int n) { return static_cast<int>(random_() % n); }
  Value pick() { return pool_[below(2) ? below(pool_.size()) : pool_.size() - 1 - below(std::min<int>(pool_.size(), 5))]; }
  Value number(Value like) {
    static const double numbers[] = {0, 1, -1, 2, 0.5, -3, 0.7};
    return build_.like(like, numbers[below(std::size(numbers))]);
  }

  // A value of the shape: one that there is, or one made to fit.
  Value fit(const Shape &shape) {
    for (int i = 0; i < 8; ++i)
      if (const Value v = pick(); build_.shape(v) == shape)
        return v;
    const Value v = pick();
    if (!build_.shape(v).empty() && below(2) && broadcast_shapes(build_.shape(v), shape) == shape)
      return build_.broadcast_to(v, shape);
    return build_.broadcast(total(v), shape, {});
  }

  Value total(Value v) {
    Shape axes(build_.shape(v).size());
    std::iota(axes.begin(), axes.end(), 0);
    return build_.sum(v, axes);
  }

  void output(const std::string &name, Value v) {
    function_.function_results.push_back({.kind = Result::Kind::output, .name = name, .value = v, .loc = {}});
  }

  // A loop along the first axis, either way round, that stacks something else than it carries.
  Value loop(Value a) {
    const Shape shape = build_.shape(a);
    const bool sliced = !shape.empty();
    const Type entry{DType::f64, Shape(shape.begin() + sliced, shape.end())};
    std::vector<Value> operands = {fit(entry.shape), fit(entry.shape)};
    Region body;
    Builder inside(body);
    const Value carry = inside.arg(entry, "c");
    Value x;
    if (sliced) {
      x = inside.arg(entry, "x");
      operands.insert(operands.begin() + 1, a);
    }
    const Value same = inside.arg(entry, "s");
    const Value next = inside.op(Op::tanh, {inside.add(inside.mul(carry, same), sliced ? x : carry)});
    body.results = {next, inside.mul(inside.op(Op::sin, {carry}), next)};
    const ScanInfo info{.steps = sliced ? shape[0] : 3, .carries = 1, .slices = sliced, .reverse = below(2) == 1};
    return {build_.scan(info, operands, std::move(body)).node, below(2)};
  }

  Value step() {
    const Value a = pick();
    const Shape shape = build_.shape(a);
    const int rank = static_cast<int>(shape.size());
    const Value b = below(4) ? fit(shape) : number(a);
    switch (below(21)) {
    case 0:
      return build_.add(a, b);
    case 1:
      return build_.sub(b, a);
    case 2:
      return build_.op(Op::tanh, {build_.mul(a, b)});
    case 3:
      return build_.mul(a, number(a));
    case 4:
      return build_.neg(a);
    case 5:
      return build_.op(Op::sin, {a});
    case 6:
      return build_.div(a, build_.add(build_.mul(b, b), build_.like(b, 0.5)));
    case 7:
      return build_.op(below(2) ? Op::maximum : Op::minimum, {a, b});
    case 8:
      return build_.select(build_.lt(a, b), a, build_.op(Op::sin, {b}));
    case 9:
      return build_.select(build_.lt(b, a), number(a), fit(shape));
    case 10:
      return build_.op(Op::exp, {build_.op(Op::tanh, {a})});
    case 11:
      return build_.op(Op::stop_gradient, {a});
    case 12:
      if (rank < 2)
        return build_.broadcast(a, rank ? Shape{2, shape[0]} : Shape{3}, rank ? Shape{1} : Shape{});
      return build_.transpose(a, {1, 0});
    case 13:
      if (rank < 2)
        return build_.div(a, build_.like(a, 4));
      return build_.reshape(a, {shape[1], shape[0]});
    case 14: {
      if (rank == 0)
        return build_.op(Op::sin, {a});
      const int axis = below(rank);
      const Value row = build_.reduce(below(3) ? Op::sum : Op::max, a, {axis});
      return below(2) ? row : build_.op(Op::tanh, {build_.broadcast_back(row, shape, {axis})});
    }
    case 15:
      return rank == 2 ? build_.op(Op::tanh, {build_.dot(a, fit({shape[1], 2}), "bi,io->bo")}) : build_.mul(a, a);
    case 16:
      return rank == 2 ? build_.op(Op::tanh, {build_.dot(a, fit(shape), "bi,bo->io")}) : build_.op(Op::abs, {a});
    case 17: { // cut in two and put together again
      if (rank == 0)
        return build_.neg(a);
      Shape first = shape, second = shape, start(rank), ones(rank, 1);
      first[0] = 1;
      second[0] -= 1;
      const Value p = build_.slice(a, start, first, ones);
      start[0] = 1;
      const Value q = build_.slice(a, start, second, ones);
      return build_.concat({build_.op(Op::sin, {p}), below(2) ? q : build_.neg(q)}, 0);
    }
    case 18:
      return loop(a);
    case 19: {
      if (rank == 0)
        return build_.mul(a, build_.like(a, 3));
      Shape start(rank, 1), larger = shape, ones(rank, 1);
      for (int64_t &size : larger)
        size += 2;
      const Value padded = build_.pad(a, number(total(a)), start, larger, ones);
      return build_.slice(build_.mul(padded, padded), below(2) ? start : Shape(rank), shape, ones);
    }
    default:
      return build_.op(Op::muladd, {a, b, fit(shape)});
    }
  }

  std::mt19937 random_;
  int64_t m_, n_;
  Function function_;
  Builder build_;
  std::vector<Value> pool_;
};

inline std::vector<Tensor> random_inputs(const Function &function, unsigned seed) {
  std::vector<Tensor> inputs;
  std::mt19937 random(seed);
  for (int i = 0; i < function.args; ++i) {
    inputs.emplace_back(function.nodes[i].type());
    for (int64_t k = 0; k < inputs[i].type.elements(); ++k)
      inputs[i].set(k, std::uniform_real_distribution<>(-1.5, 1.5)(random));
  }
  return inputs;
}

// How far apart two tensors are, relative to the largest number; what is not finite in the first is not looked at.
inline double distance(const Tensor &want, const Tensor &have) {
  double largest = 1, distance = 0;
  for (int64_t i = 0; i < want.type.elements(); ++i)
    if (std::isfinite(want.get(i)))
      largest = std::max(largest, std::abs(want.get(i)));
  for (int64_t i = 0; i < want.type.elements(); ++i)
    if (std::isfinite(want.get(i)))
      distance = std::max(distance, std::isnan(have.get(i)) ? INFINITY : std::abs(want.get(i) - have.get(i)) / largest);
  return distance;
}

// The largest distance of an output, or of a state that the first result has.
inline double distance(const RunResult &expected, const RunResult &actual) {
  double largest = 0;
  for (size_t k = 0; k < expected.outputs.size(); ++k)
    largest = std::max(largest, distance(expected.outputs[k].second, actual.outputs[k].second));
  for (const auto &[index, value] : expected.states)
    for (const auto &[other, have] : actual.states)
      if (index == other)
        largest = std::max(largest, distance(value, have));
  return largest;
}

} // namespace nnc
