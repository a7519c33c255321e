// Operators on tensors: elementwise, with NumPy's broadcasting.
// Comparisons keep NumPy's meaning for NaN: only `!=` is true of it; so `a <= b` is `a < b or a == b`, not `not b < a`.
#include "frontend/emit.h"

#include <array>
#include <cassert>
#include <cmath>
#include <fmt/format.h>
#include <limits>

namespace nnc {

using ast::BinaryOp;
using ast::UnaryOp;

namespace {

constexpr int64_t largest_whole_power = 64; // of whole numbers

const Type *tensor_type(const Operand &operand) {
  const auto *tensor = operand.datum.as<TensorRef>();
  return tensor ? &tensor->type : nullptr;
}

int64_t smallest(DType dtype) {
  return dtype == DType::u8    ? 0
         : dtype == DType::i8  ? std::numeric_limits<int8_t>::min()
         : dtype == DType::i32 ? std::numeric_limits<int32_t>::min()
                               : std::numeric_limits<int64_t>::min();
}
int64_t largest(DType dtype) {
  return dtype == DType::u8    ? 255
         : dtype == DType::i8  ? std::numeric_limits<int8_t>::max()
         : dtype == DType::i32 ? std::numeric_limits<int32_t>::max()
                               : std::numeric_limits<int64_t>::max();
}

BinaryOp mirrored(BinaryOp op) {
  switch (op) {
  case BinaryOp::lt:
    return BinaryOp::gt;
  case BinaryOp::le:
    return BinaryOp::ge;
  case BinaryOp::gt:
    return BinaryOp::lt;
  case BinaryOp::ge:
    return BinaryOp::le;
  default:
    return op;
  }
}

// `x op number` for every x between low and high, if it is the same for all of them.
std::optional<bool> decided_for(BinaryOp op, int64_t low, int64_t high, int64_t number) {
  switch (op) {
  case BinaryOp::lt:
    return high < number ? std::optional(true) : low >= number ? std::optional(false) : std::nullopt;
  case BinaryOp::le:
    return high <= number ? std::optional(true) : low > number ? std::optional(false) : std::nullopt;
  case BinaryOp::gt:
    return low > number ? std::optional(true) : high <= number ? std::optional(false) : std::nullopt;
  case BinaryOp::ge:
    return low >= number ? std::optional(true) : high < number ? std::optional(false) : std::nullopt;
  default: // eq, ne
    return number < low || number > high ? std::optional(op == BinaryOp::ne) : std::nullopt;
  }
}

bool is_comparison(BinaryOp op) { return op >= BinaryOp::eq && op <= BinaryOp::ge; }

std::vector<Span> spans_of(const std::vector<Operand> &operands) {
  std::vector<Span> spans;
  for (const Operand &operand : operands)
    spans.push_back(operand.span);
  return spans;
}

} // namespace

std::vector<TensorRef> Emit::same_shape(const std::vector<Operand> &operands, const Span &at) {
  std::vector<TensorRef> tensors = unify(operands, at);
  const Shape shape = joint_shape(tensors, spans_of(operands), at);
  for (TensorRef &tensor : tensors)
    tensor = broadcast(tensor, shape, at);
  return tensors;
}

Datum Emit::elementwise(Op op, const std::vector<Operand> &operands, const Span &at) {
  std::vector<Value> values;
  for (const TensorRef &tensor : same_shape(operands, at))
    values.push_back(tensor.value);
  return ref(this->at(at).op(op, std::move(values)));
}

Datum Emit::unary(UnaryOp op, const Operand &operand, const Span &at) {
  if (is_compile_time(operand.datum))
    return fold_unary(trace, op, operand, at);
  const TensorRef x = tensor(operand);
  if (is_bool(x.type.dtype) != (op == UnaryOp::logical_not))
    trace.fail(at, fmt::format("`{}` of {}: only {}", ast::spelling(op), type_text(x.type),
                               op == UnaryOp::logical_not ? "bools" : "numbers"));
  need_arithmetic(ast::spelling(op), {operand}, at);
  if (op == UnaryOp::plus)
    return x;
  return ref(this->at(at).op(op == UnaryOp::minus ? Op::neg : Op::logical_not, {x.value}));
}

Datum Emit::binary(BinaryOp op, const Operand &left, const Operand &right, const Span &at) {
  if (left.datum.is<Poison>() || right.datum.is<Poison>())
    throw Poisoned{};
  if (is_compile_time(left.datum) && is_compile_time(right.datum)) {
    const Datum result = fold_binary(trace, op, left, right, at);
    if (const auto *number = result.as<Number>(); number && op == BinaryOp::div && !whole(*number) && !std::isnan(*number))
      quotients_[*number] = fmt::format("{} / {}", datum_text(left.datum), datum_text(right.datum));
    return result;
  }
  if (op == BinaryOp::logical_and || op == BinaryOp::logical_or)
    return logical(op, left, right, at);
  if (op != BinaryOp::matmul)
    need_arithmetic(ast::spelling(op), {left, right}, at);
  if (is_comparison(op))
    return compare(op, left, right, at);
  for (const Operand *operand : {&left, &right})
    if (const Type *type = tensor_type(*operand); type && is_bool(type->dtype))
      trace.fail(at, fmt::format("`{}` of a bool tensor; write f32(…) or i32(…) to count with it", ast::spelling(op)));
  const Type &type = tensor_type(left) ? *tensor_type(left) : *tensor_type(right);
  switch (op) {
  case BinaryOp::matmul:
    return matmul(left, right, at);
  case BinaryOp::pow:
    return power(left, right, at);
  case BinaryOp::add:
    return elementwise(Op::add, {left, right}, at);
  case BinaryOp::sub:
    return elementwise(Op::sub, {left, right}, at);
  case BinaryOp::mul:
    return elementwise(Op::mul, {left, right}, at);
  case BinaryOp::div:
    if (is_integer(type.dtype))
      trace.fail(at, fmt::format("`/` of {}: whole numbers have `//`; or write f32(…)", type_text(type)));
    return elementwise(Op::div, {left, right}, at);
  case BinaryOp::floor_div: {
    const Datum quotient = elementwise(Op::div, {left, right}, at);
    if (is_integer(type.dtype))
      return quotient;
    return ref(this->at(at).op(Op::floor, {quotient.as<TensorRef>()->value}));
  }
  case BinaryOp::rem:
    return elementwise(Op::rem, {left, right}, at);
  default:
    break;
  }
  assert(false && "`a..b` is made by Lowering");
  throw Poisoned{};
}

// A comparison with a number that the integer dtype's range decides: `label < 1000` of a u8.
std::optional<Datum> Emit::decided(BinaryOp op, const Operand &left, const Operand &right, const Span &at) {
  const auto *number = right.datum.as<Number>();
  const Type *type = tensor_type(left);
  if (!number)
    return left.datum.is<Number>() ? decided(mirrored(op), right, left, at) : std::nullopt;
  if (!is_integer(type->dtype) || !whole(*number))
    return std::nullopt;
  const std::optional<bool> result = decided_for(op, smallest(type->dtype), largest(type->dtype), *whole(*number));
  if (!result)
    return std::nullopt;
  return ref(this->at(at).constant_int(Type{DType::boolean, type->shape}, *result));
}

Datum Emit::compare(BinaryOp op, const Operand &left, const Operand &right, const Span &at) {
  if (std::optional<Datum> result = decided(op, left, right, at))
    return *result;
  const std::vector<TensorRef> operands = same_shape({left, right}, at);
  const DType dtype = operands[0].type.dtype;
  const Value a = operands[0].value, b = operands[1].value;
  Builder &build = this->at(at);
  const auto negated = [&](Value v) { return ref(build.op(Op::logical_not, {v})); };
  if (op == BinaryOp::eq)
    return ref(build.eq(a, b));
  if (op == BinaryOp::ne)
    return negated(build.eq(a, b));
  if (is_bool(dtype))
    trace.fail(at, fmt::format("`{}` of bools: they have no order", ast::spelling(op)));
  if (op == BinaryOp::lt)
    return ref(build.lt(a, b));
  if (op == BinaryOp::gt)
    return ref(build.lt(b, a));
  const Value low = op == BinaryOp::le ? a : b, high = op == BinaryOp::le ? b : a;
  if (is_integer(dtype))
    return negated(build.lt(high, low));
  return ref(build.op(Op::logical_or, {build.lt(low, high), build.eq(low, high)}));
}

Datum Emit::logical(BinaryOp op, const Operand &left, const Operand &right, const Span &at) {
  for (const Operand *operand : {&left, &right})
    if (const Type *type = tensor_type(*operand); type ? !is_bool(type->dtype) : !operand->datum.is<bool>())
      trace.fail(at, fmt::format("`{}` of {}: only bools", ast::spelling(op), kind_text(operand->datum)));
  const std::vector<TensorRef> operands = same_shape({left, right}, at);
  const bool is_and = op == BinaryOp::logical_and;
  for (int i = 0; i < 2; ++i)
    if (std::optional<double> splat = draft->splat(operands[i].value)) // `true and x` is x; `false and x` is false
      return (*splat != 0) == is_and ? operands[1 - i] : operands[i];
  return ref(this->at(at).op(is_and ? Op::logical_and : Op::logical_or, {operands[0].value, operands[1].value}));
}

// x ** n for a small whole n is multiplications, for floats as long as they stay within the 2 ULP of `pow`; x ** 0.5 is a root.
Datum Emit::power(const Operand &base, const Operand &exponent, const Span &at) {
  const auto *number = exponent.datum.as<Number>();
  if (const Type *type = tensor_type(base); number && type) {
    const TensorRef x = tensor(base);
    Builder &b = this->at(at);
    if (is_integer(type->dtype) && (!whole(*number) || number->value < 0 || number->value > largest_whole_power))
      trace.fail(at, fmt::format("{} ** {}: whole numbers have whole exponents in 0..{}", type_text(*type), number_text(*number),
                                 largest_whole_power + 1));
    const std::optional<int64_t> n = whole(*number);
    if (n && (is_integer(type->dtype) || is_short_power(*n)))
      return ref(b.power(x.value, *n));
    if (std::abs(*number) == 0.5) {
      const Value root = b.op(Op::sqrt, {x.value});
      return ref(number->value < 0 ? b.div(b.like(x.value, 1), root) : root);
    }
  }
  if (!is_float((tensor_type(base) ? tensor_type(base) : tensor_type(exponent))->dtype))
    trace.fail(at, fmt::format("`**` with exponents of a tensor needs floats; write f32(…)"));
  return elementwise(Op::pow, {base, exponent}, at);
}

Datum Emit::where(const Operand &condition, const Operand &yes, const Operand &no, const Span &at) {
  if (const auto *decided = condition.datum.as<bool>()) {
    const Operand &taken = *decided ? yes : no;
    if (is_compile_time(yes.datum) && is_compile_time(no.datum))
      return taken.datum;
    return same_shape({yes, no}, at)[*decided ? 0 : 1];
  }
  const TensorRef chosen = tensor(condition);
  if (!is_bool(chosen.type.dtype))
    trace.fail(condition.span, fmt::format("the condition must be bool, not {}", type_text(chosen.type)));
  std::vector<TensorRef> all = unify({yes, no}, at);
  all.insert(all.begin(), chosen);
  const Shape shape = joint_shape(all, spans_of({condition, yes, no}), at);
  for (TensorRef &tensor : all)
    tensor = broadcast(tensor, shape, at);
  return ref(this->at(at).select(all[0].value, all[1].value, all[2].value));
}

} // namespace nnc
