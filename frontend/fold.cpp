// Compile-time arithmetic, with Python's `/`, `//` and `%`: exact on whole numbers, else on doubles. Strings and lists can be
// compared and, by `+`, joined.
#include "frontend/emit.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace nnc {

namespace {

using ast::BinaryOp;
using ast::UnaryOp;

// Of whole numbers. None: the result is no whole number; an error where it is one beyond 64 bits.
std::optional<Datum> fold_whole(Trace &trace, BinaryOp op, int64_t a, int64_t b, const Span &at) {
  int64_t result = 0;
  bool overflows = false;
  switch (op) {
  case BinaryOp::pow:
    if (b < 0)
      return std::nullopt;
    result = 1;
    if (a >= -1 && a <= 1)
      b = a == -1 ? b % 2 : std::min<int64_t>(b, 1);
    for (; b > 0 && !overflows; --b)
      overflows = __builtin_mul_overflow(result, a, &result);
    break;
  case BinaryOp::mul:
    overflows = __builtin_mul_overflow(a, b, &result);
    break;
  case BinaryOp::div:
    if (b == -1)
      overflows = __builtin_sub_overflow(0, a, &result);
    else if (a % b != 0)
      return std::nullopt;
    else
      result = a / b;
    break;
  case BinaryOp::floor_div:
    if (b == -1)
      overflows = __builtin_sub_overflow(0, a, &result);
    else
      result = a / b - (a % b != 0 && (a < 0) != (b < 0));
    break;
  case BinaryOp::rem:
    result = b == -1 ? 0 : a % b;
    if (result != 0 && (result < 0) != (b < 0))
      result += b;
    break;
  case BinaryOp::add:
    overflows = __builtin_add_overflow(a, b, &result);
    break;
  case BinaryOp::sub:
    overflows = __builtin_sub_overflow(a, b, &result);
    break;
  case BinaryOp::lt:
    return a < b;
  case BinaryOp::le:
    return a <= b;
  case BinaryOp::gt:
    return a > b;
  case BinaryOp::ge:
    return a >= b;
  default:
    return std::nullopt;
  }
  if (overflows)
    trace.fail(at, fmt::format("{0} {1} {2} is beyond 2^63 - 1, the largest whole number; as a float it is {0}.0 {1} {2}", a,
                               ast::spelling(op), b));
  return Number::whole(result);
}

std::optional<Datum> fold_numbers(Trace &trace, BinaryOp op, const Number &left, const Number &right, const Span &at) {
  const double a = left, b = right;
  if (b == 0 && (op == BinaryOp::div || op == BinaryOp::floor_div || op == BinaryOp::rem))
    trace.fail(at, fmt::format("{} {} 0: division by zero", number_text(left), ast::spelling(op)));
  if (left.exact && right.exact)
    if (std::optional<Datum> result = fold_whole(trace, op, *left.exact, *right.exact, at))
      return result;
  switch (op) {
  case BinaryOp::pow: {
    const double power = std::pow(a, b);
    if (std::isnan(power) && !std::isnan(a) && !std::isnan(b))
      trace.fail(at, fmt::format("{} ** {} is no real number", number_text(left), number_text(right)));
    return Number(power);
  }
  case BinaryOp::mul:
    return a * b;
  case BinaryOp::div:
    return a / b;
  case BinaryOp::floor_div:
    return std::floor(a / b);
  case BinaryOp::rem:
    return a - std::floor(a / b) * b;
  case BinaryOp::add:
    return a + b;
  case BinaryOp::sub:
    return a - b;
  case BinaryOp::lt:
    return a < b;
  case BinaryOp::le:
    return a <= b;
  case BinaryOp::gt:
    return a > b;
  case BinaryOp::ge:
    return a >= b;
  default:
    return std::nullopt;
  }
}

// One behind the other: two lists; two strings, or a string and a number as it is written.
std::optional<Datum> joined(const Datum &a, const Datum &b) {
  constexpr size_t longest = 100'000; // characters of a string
  if (a.is<List>() && b.is<List>()) {
    std::vector<Datum> items = *a.list();
    items.insert(items.end(), b.list()->begin(), b.list()->end());
    return make_list(std::move(items));
  }
  const auto is_text = [](const Datum &datum) { return datum.is<std::string>() || datum.is<Number>(); };
  if (!(a.is<std::string>() || b.is<std::string>()) || !is_text(a) || !is_text(b))
    return std::nullopt;
  std::string text = datum_text(a) + datum_text(b);
  if (text.size() > longest)
    throw TooLarge(fmt::format("a string of more than {} characters", longest));
  return text;
}

} // namespace

Datum fold_binary(Trace &trace, BinaryOp op, const Operand &left, const Operand &right, const Span &at) {
  const Datum &a = left.datum, &b = right.datum;
  if (op == BinaryOp::eq || op == BinaryOp::ne) {
    if (a.value.index() != b.value.index())
      trace.fail(at, fmt::format("{} and {} cannot be compared", kind_text(a), kind_text(b)));
    return same_constant(a, b) == (op == BinaryOp::eq);
  }
  if (op == BinaryOp::logical_and || op == BinaryOp::logical_or) {
    if (a.is<bool>() && b.is<bool>())
      return op == BinaryOp::logical_and ? *a.as<bool>() && *b.as<bool>() : *a.as<bool>() || *b.as<bool>();
  } else if (a.is<Number>() && b.is<Number>()) {
    if (std::optional<Datum> result = fold_numbers(trace, op, *a.as<Number>(), *b.as<Number>(), at))
      return *result;
  } else if (op == BinaryOp::add) {
    if (std::optional<Datum> result = joined(a, b))
      return *result;
  }
  const bool lists = a.is<List>() || b.is<List>(), strings = a.is<std::string>() || b.is<std::string>(),
             bools = op == BinaryOp::logical_and || op == BinaryOp::logical_or;
  trace.fail(at, fmt::format("`{}` of {} and {}{}", ast::spelling(op), kind_text(a), kind_text(b),
                             bools                            ? ": only bools"
                             : strings && op == BinaryOp::add ? ": a string is joined with a string or a number"
                             : lists                          ? "; to compute with a list as a tensor, write f32([…])"
                                                              : ": only numbers"));
}

Datum fold_unary(Trace &trace, UnaryOp op, const Operand &operand, const Span &at) {
  if (const auto *number = operand.datum.as<Number>(); number && op != UnaryOp::logical_not)
    return op == UnaryOp::plus ? *number : number->exact ? Number::whole(-*number->exact) : Number(-number->value);
  if (const auto *boolean = operand.datum.as<bool>(); boolean && op == UnaryOp::logical_not)
    return !*boolean;
  trace.fail(at, fmt::format("`{}` of {}: only {}", ast::spelling(op), kind_text(operand.datum),
                             op == UnaryOp::logical_not ? "bools" : "numbers"));
}

} // namespace nnc
