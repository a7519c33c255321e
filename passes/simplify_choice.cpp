// Simplify rules for comparisons, bools, select and cast: the masks that derivatives are full of.
// Refused, because a NaN or infinity in x would be lost: select(c, 1, 0) * x = select(c, x, 0).
#include "passes/simplify.h"

namespace nnc {

namespace {

// not not a = a
Value not_not(Simplifier &s, const Node &node) {
  const Value a = node.operands[0];
  return s.is(a, Op::logical_not) ? s.operand(a) : Value{};
}

// a and true = a, a and false = false, a and a = a; a or false = a, a or true = true, a or a = a
Value same_or_known(Simplifier &s, const Node &node) {
  const Value a = node.operands[0], b = node.operands[1];
  if (a == b)
    return a;
  for (int k : {0, 1})
    if (const std::optional<double> known = s.splat(node.operands[k])) {
      const bool neutral = (*known != 0) == (node.op == Op::logical_and);
      return neutral ? node.operands[1 - k] : node.operands[k];
    }
  return {};
}

// select(true, a, b) = a, select(c, a, a) = a, select(not c, a, b) = select(c, b, a), select(c, true, false) = c
Value select_known(Simplifier &s, const Node &node) {
  const Value c = node.operands[0], a = node.operands[1], b = node.operands[2];
  if (a == b)
    return a;
  if (const std::optional<double> known = s.splat(c))
    return *known != 0 ? a : b;
  if (s.is(c, Op::logical_not))
    return s.build.select(s.operand(c), b, a);
  if (is_bool(node.type().dtype) && s.is_splat(a) && s.is_splat(b) && *s.splat(a) != *s.splat(b))
    return *s.splat(a) != 0 ? c : s.build.op(Op::logical_not, {c});
  return {};
}

// select(c, select(c, a, b), d) = select(c, a, d), select(c, a, select(c, b, d)) = select(c, a, d)
Value select_select(Simplifier &s, const Node &node) {
  const Value c = node.operands[0];
  for (int k : {1, 2})
    if (const Value inner = node.operands[k]; s.is(inner, Op::select) && s.operand(inner) == c) {
      std::vector<Value> operands = node.operands;
      operands[k] = s.operand(inner, k);
      return s.build.op(Op::select, operands);
    }
  return {};
}

// select(c, a, 0) + select(c, 0, b) = select(c, a, b)
Value add_selects(Simplifier &s, const Node &node) {
  const Value p = node.operands[0], q = node.operands[1];
  if (!s.is(p, Op::select) || !s.is(q, Op::select) || s.operand(p) != s.operand(q))
    return {};
  for (auto [x, y] : {std::pair(p, q), std::pair(q, p)})
    if (s.splat(s.operand(x, 2)) == 0.0 && s.splat(s.operand(y, 1)) == 0.0)
      return s.build.select(s.operand(p), s.operand(x, 1), s.operand(y, 2));
  return {};
}

// A choice between two values, one of them at least a number; a bool as a number chooses between 1 and 0.
struct Choice {
  Value condition, a, b; // a and b none for a cast bool
};

std::optional<Choice> choice(Simplifier &s, Value v) {
  if (s.is(v, Op::cast) && is_bool(s.dtype(s.operand(v))))
    return Choice{s.operand(v), {}, {}};
  if (!s.is(v, Op::select))
    return std::nullopt;
  const Value a = s.operand(v, 1), b = s.operand(v, 2);
  const bool numbers = s.is_splat(a) && s.is_splat(b), one = s.is_splat(a) || s.is_splat(b);
  return numbers || (one && s.single_use(v)) ? std::optional(Choice{s.operand(v), a, b}) : std::nullopt;
}

// select(c, a, k) op n = select(c, a op n, k op n), where n is a number, and a too or the op a product with n
Value choose_after(Simplifier &s, const Node &node) {
  int chosen = -1;
  for (int k = 0; k < static_cast<int>(node.operands.size()); ++k)
    if (!s.is_splat(node.operands[k])) {
      if (chosen >= 0)
        return {};
      chosen = k;
    }
  if (chosen < 0)
    return {};
  const std::optional<Choice> found = choice(s, node.operands[chosen]);
  if (!found)
    return {};
  const auto [condition, a, b] = *found;
  const bool numbers = !a || (s.is_splat(a) && s.is_splat(b));
  if (!numbers && node.op != Op::mul && node.op != Op::div)
    return {};
  const auto branch = [&](Value v, double number) {
    std::vector<Value> operands = node.operands;
    operands[chosen] = v ? v : s.build.like(operands[chosen], number);
    return s.build.op(node.op, operands, node.attrs);
  };
  const Value first = branch(a, 1);
  return s.build.select(condition, first, branch(b, 0));
}

// b < a where y = maximum(a, b) is at hand: b < y. a < b where y = minimum(a, b) is at hand: y < b.
// So the derivative of relu asks its result, and what went into it need not be kept.
Value compare_result(Simplifier &s, const Node &node) {
  const Value small = node.operands[0], large = node.operands[1];
  const Type type = s.build.type(small);
  if (!is_float(type.dtype))
    return {};
  for (const auto &operands : {std::vector{large, small}, std::vector{small, large}}) {
    if (const Value y = s.find(Op::maximum, operands, type); y && !s.is_splat(large))
      return s.build.lt(small, y);
    if (const Value y = s.find(Op::minimum, operands, type); y && !s.is_splat(small))
      return s.build.lt(y, large);
  }
  return {};
}

// What `from` can hold, `to` can hold.
bool holds(DType to, DType from) {
  switch (from) {
  case DType::boolean:
    return true;
  case DType::u8:
    return !is_bool(to) && to != DType::i8;
  case DType::i8:
    return !is_bool(to) && to != DType::u8;
  case DType::i32:
    return to == DType::i32 || to == DType::i64 || to == DType::f64;
  case DType::bf16:
  case DType::f16:
    return to == from || to == DType::f32 || to == DType::f64;
  case DType::f32:
    return to == DType::f32 || to == DType::f64;
  default:
    return to == from;
  }
}

// cast(x) to its own dtype = x; cast(cast(x)) = cast(x), where the dtype between holds every x
Value cast_cast(Simplifier &s, const Node &node) {
  const Value x = node.operands[0];
  if (s.dtype(x) == node.type().dtype)
    return x;
  return s.is(x, Op::cast) && holds(s.dtype(x), s.dtype(s.operand(x))) ? s.build.cast(s.operand(x), node.type().dtype) : Value{};
}

// Derivatives are taken: the mark has done its work.
Value unmark(Simplifier &, const Node &node) { return node.operands[0]; }

} // namespace

std::vector<SimplifyRule> choice_rules() {
  std::vector<SimplifyRule> rules = {
      {"not_not", Op::logical_not, not_not, "not not a = a", exact},
      {"same_or_known", Op::logical_and, same_or_known, "a and true = a, a and a = a", exact},
      {"same_or_known", Op::logical_or, same_or_known, "a or false = a, a or a = a", exact},
      {"select_known", Op::select, select_known,
       "select(true, a, b) = a, select(c, a, a) = a, select(not c, a, b) = select(c, b, a)", exact},
      {"select_select", Op::select, select_select, "select(c, select(c, a, b), d) = select(c, a, d)", exact},
      {"add_selects", Op::add, add_selects, "select(c, a, 0) + select(c, 0, b) = select(c, a, b)", zero_sign},
      {"compare_result", Op::lt, compare_result, "b < a = b < y, where y = maximum(a, b) is at hand", exact},
      {"cast_cast", Op::cast, cast_cast, "cast(cast(x)) = cast(x), where the dtype between holds every x", exact},
      {"unmark", Op::stop_gradient, unmark, "stop_gradient(x) = x", exact},
  };
  for (Op op : all_ops())
    if (is_elementwise(op) && op != Op::select)
      rules.push_back(
          {"choose_after", op, choose_after, "select(c, a, k) * n = select(c, a * n, k * n), n and k numbers", exact});
  return rules;
}

} // namespace nnc
