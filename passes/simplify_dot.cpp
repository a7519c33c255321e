// Simplify rules for dot: labels take in what a view only renames, and what one operand repeats is not multiplied out.
#include "passes/simplify.h"

#include <algorithm>

namespace nnc {

namespace {

std::string text(const std::string &lhs, const std::string &rhs, const std::string &result) {
  return lhs + "," + rhs + "->" + result;
}

bool has(const std::string &labels, char label) { return labels.find(label) != labels.npos; }

// A dot's operands and labels; operand k and the other are treated alike.
struct Dot {
  Value operand[2];
  std::string labels[2], result;

  Dot(Value a, Value b, const std::string &all) : operand{a, b} {
    DotLabels parsed = parse_dot_labels(all);
    labels[0] = parsed.lhs;
    labels[1] = parsed.rhs;
    result = parsed.result;
  }
  explicit Dot(const Node &node) : Dot(node.operands[0], node.operands[1], node.attrs.labels) {}

  bool summed(char label) const { return !has(result, label); }
  Value build(Simplifier &s) const { return s.build.dot(operand[0], operand[1], text(labels[0], labels[1], result)); }
};

// dot(transpose(x), y, "oi,..") = dot(x, y, "io,..")
Value dot_transpose(Simplifier &s, const Node &node) {
  Dot dot(node);
  bool found = false;
  for (int k : {0, 1}) {
    const Value x = dot.operand[k];
    if (!s.is(x, Op::transpose))
      continue;
    const Shape axes = s.attrs(x).axes;
    const std::string before = dot.labels[k];
    for (size_t i = 0; i < axes.size(); ++i)
      dot.labels[k][axes[i]] = before[i];
    dot.operand[k] = s.operand(x);
    found = true;
  }
  return found ? dot.build(s) : Value{};
}

// transpose(dot(x, y, "..->bo")) = dot(x, y, "..->ob")
Value transpose_dot(Simplifier &s, const Node &node) {
  const Value x = node.operands[0];
  if (!s.is(x, Op::dot) || !s.single_use(x))
    return {};
  Dot dot(s.operand(x, 0), s.operand(x, 1), s.attrs(x).labels);
  const std::string before = dot.result;
  for (size_t i = 0; i < before.size(); ++i)
    dot.result[i] = before[node.attrs.axes[i]];
  return dot.build(s);
}

// dot(-x, y) = -dot(x, y)
Value dot_neg(Simplifier &s, const Node &node) {
  for (int k : {0, 1})
    if (const Value x = node.operands[k]; s.is(x, Op::neg) && s.single_use(x)) {
      Dot dot(node);
      dot.operand[k] = s.operand(x);
      return s.build.neg(dot.build(s));
    }
  return {};
}

// dot(x * r, y) = dot(x, y) * r, where r does not vary along the summed labels and the result is smaller than x
Value dot_scaled(Simplifier &s, const Node &node) {
  if (!is_float(node.type().dtype))
    return {};
  for (int k : {0, 1}) {
    const Value scaled = node.operands[k];
    if (!(s.is(scaled, Op::mul) || s.is(scaled, Op::div)) || !s.single_use(scaled) ||
        node.type().elements() >= s.elements(scaled))
      continue;
    const Op op = s.is(scaled, Op::mul) ? Op::mul : Op::div;
    for (int factor = 1; factor >= (op == Op::mul ? 0 : 1); --factor) {
      const std::optional<Repeated> row = s.repeated(s.operand(scaled, factor));
      Dot dot(node);
      if (!row || std::ranges::any_of(row->axes, [&](int64_t axis) { return dot.summed(dot.labels[k][axis]); }))
        continue;
      const Region &region = s.build.region();
      const Bounds rest = product(bounds(region, s.operand(scaled, 1 - factor)), bounds(region, node.operands[1 - k]));
      double terms = 1;
      for (size_t axis = 0; axis < dot.labels[k].size(); ++axis)
        if (dot.summed(dot.labels[k][axis]))
          terms *= static_cast<double>(s.shape(scaled)[axis]);
      if (!may_leave_sum(s, op, row->inner, rest, terms))
        continue;
      Shape axes;
      for (int64_t axis : row->axes)
        axes.push_back(dot.result.find(dot.labels[k][axis]));
      if (!std::ranges::is_sorted(axes))
        continue;
      dot.operand[k] = s.operand(scaled, 1 - factor);
      const Value result = dot.build(s);
      return s.build.op(op, {result, s.repeat(*row, s.shape(result), axes)});
    }
  }
  return {};
}

// `v` with labels, of those of a dot's result, as a value of the result's shape: transposed and repeated along the others.
Value spread(Simplifier &s, Value v, const std::string &labels, const std::string &result, const Shape &shape) {
  if (s.is_splat(v))
    return s.splat_like(v, shape);
  Shape order, axes;
  for (size_t axis = 0; axis < result.size(); ++axis)
    if (const size_t at = labels.find(result[axis]); at != labels.npos) {
      order.push_back(at);
      axes.push_back(axis);
    }
  return s.build.broadcast(s.build.transpose(v, order), shape, axes);
}

// dot(cast(x), y) = dot(x, y), where the cast does what dot does by itself
Value dot_widened(Simplifier &s, const Node &node) {
  Dot dot(node);
  bool found = false;
  for (int k : {0, 1})
    if (const Value x = dot.operand[k]; s.is(x, Op::cast))
      if (const DType from = s.dtype(s.operand(x)); is_storage_only(from) && wide_dtype(from) == s.dtype(x)) {
        dot.operand[k] = s.operand(x);
        found = true;
      }
  return found ? dot.build(s) : Value{};
}

// An operand of dot for arithmetic.
Value widened(Simplifier &s, Value v) { return s.build.cast(v, wide_dtype(s.dtype(v))); }

// dot(x, y) without a summed label = x * y
Value dot_without_sum(Simplifier &s, const Node &node) {
  Dot dot(node);
  Value factors[2];
  for (int k : {0, 1})
    for (size_t axis = 0; axis < dot.labels[k].size(); ++axis)
      if (dot.summed(dot.labels[k][axis]) && s.shape(dot.operand[k])[axis] != 1)
        return {};
  for (int k : {0, 1}) {
    std::string labels;
    Shape shape;
    for (size_t axis = 0; axis < dot.labels[k].size(); ++axis)
      if (!dot.summed(dot.labels[k][axis])) {
        labels += dot.labels[k][axis];
        shape.push_back(s.shape(dot.operand[k])[axis]);
      }
    const Value x = s.is_splat(dot.operand[k]) ? s.splat_like(dot.operand[k], shape) : s.build.reshape(dot.operand[k], shape);
    factors[k] = widened(s, spread(s, x, labels, dot.result, node.type().shape));
  }
  return s.build.mul(factors[0], factors[1]);
}

// dot(broadcast(x), y) = broadcast(dot(x, y)); along summed labels, y is summed first
Value dot_repeated(Simplifier &s, const Node &node) {
  const Dot dot(node);
  for (int k : {0, 1}) {
    const std::optional<Repeated> part = s.repeated(dot.operand[k]);
    const std::string all = dot.labels[k];
    if (!part || part->axes.size() == all.size())
      continue;
    std::string labels; // along which the operand varies
    for (int64_t axis : part->axes)
      labels += all[axis];
    Shape summed, shape;
    std::string other_labels, result;
    for (size_t axis = 0; axis < dot.labels[1 - k].size(); ++axis) {
      const char label = dot.labels[1 - k][axis];
      if (has(all, label) && !has(labels, label) && dot.summed(label))
        summed.push_back(axis);
      else
        other_labels += label;
    }
    for (size_t axis = 0; axis < dot.result.size(); ++axis)
      if (const char label = dot.result[axis]; has(labels, label) || has(other_labels, label)) {
        result += label;
        shape.push_back(node.type().shape[axis]);
      }
    const Value other = s.build.sum(widened(s, dot.operand[1 - k]), summed);
    Value v;
    if (labels.empty()) {
      const Value number = widened(s, s.is_splat(part->inner) ? s.splat_like(part->inner, {}) : part->inner);
      v = s.build.mul(spread(s, other, other_labels, result, shape), s.build.broadcast(number, shape, {}));
    } else {
      Dot smaller = dot;
      smaller.operand[k] = part->inner;
      smaller.operand[1 - k] = other;
      smaller.labels[k] = labels;
      smaller.labels[1 - k] = other_labels;
      smaller.result = result;
      v = smaller.build(s);
    }
    return spread(s, v, result, dot.result, node.type().shape);
  }
  return {};
}

} // namespace

std::vector<SimplifyRule> dot_rules() {
  return {
      {"dot_transpose", Op::dot, dot_transpose, "dot(transpose(x), y) = dot(x, y) with other labels", order},
      {"dot_widened", Op::dot, dot_widened, "dot(cast(x), y) = dot(x, y), where x is for storage only", exact},
      {"transpose_dot", Op::transpose, transpose_dot, "transpose(dot(x, y)) = dot(x, y) with other labels", exact},
      {"dot_repeated", Op::dot, dot_repeated, "dot(broadcast(x), y) = broadcast(dot(x, y)) or dot(x, sum(y))", factored},
      {"dot_without_sum", Op::dot, dot_without_sum, "dot(x, y) = x * y, where nothing is summed", zero_sign},
      {"dot_neg", Op::dot, dot_neg, "dot(-x, y) = -dot(x, y)", zero_sign},
      {"dot_scaled", Op::dot, dot_scaled,
       "dot(x * r, y) = dot(x, y) * r, r constant along the sum and not small, into a smaller result", factored},
  };
}

} // namespace nnc
