// Compile-time arithmetic. Numbers are doubles with Python's `/`, `//` and `%`; strings and lists can only be compared.
#include "frontend/emit.h"

#include <cmath>
#include <fmt/format.h>

namespace nnc {

namespace {

using ast::BinaryOp;
using ast::UnaryOp;

std::optional<Datum> fold_numbers(Trace &trace, BinaryOp op, double a, double b, const Span &at) {
  if (b == 0 && (op == BinaryOp::div || op == BinaryOp::floor_div || op == BinaryOp::rem))
    trace.fail(at, fmt::format("{} {} 0: division by zero", number_text(a), ast::spelling(op)));
  switch (op) {
  case BinaryOp::pow: {
    const double power = std::pow(a, b);
    if (std::isnan(power) && !std::isnan(a) && !std::isnan(b))
      trace.fail(at, fmt::format("{} ** {} is no real number", number_text(a), number_text(b)));
    return power;
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
  } else if (a.is<double>() && b.is<double>()) {
    if (std::optional<Datum> result = fold_numbers(trace, op, *a.as<double>(), *b.as<double>(), at))
      return *result;
  }
  const bool lists = a.is<List>() || b.is<List>(), bools = op == BinaryOp::logical_and || op == BinaryOp::logical_or;
  trace.fail(at, fmt::format("`{}` of {} and {}{}", ast::spelling(op), kind_text(a), kind_text(b),
                             lists   ? "; to compute with a list as a tensor, write f32([…])"
                             : bools ? ": only bools"
                                     : ": only numbers"));
}

Datum fold_unary(Trace &trace, UnaryOp op, const Operand &operand, const Span &at) {
  if (const auto *number = operand.datum.as<double>(); number && op != UnaryOp::logical_not)
    return op == UnaryOp::minus ? -*number : *number;
  if (const auto *boolean = operand.datum.as<bool>(); boolean && op == UnaryOp::logical_not)
    return !*boolean;
  trace.fail(at, fmt::format("`{}` of {}: only {}", ast::spelling(op), kind_text(operand.datum),
                             op == UnaryOp::logical_not ? "bools" : "numbers"));
}

} // namespace nnc
