// Data as tensors: what number, bool and list become, which dtype several operands meet in, and broadcasting.
// Numbers are weak: they take the dtype of the tensor they meet, f32 if there is none. Tensors are converted only within a
// kind (integers, floats), to the wider; between kinds the program must say how.
#include "frontend/emit.h"
#include "ir/error.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>

namespace nnc {

namespace {

constexpr double largest_f16 = 65504, largest_bf16 = 0x1.FEp127;

int kind(DType dtype) { return is_float(dtype) ? 2 : is_integer(dtype) ? 1 : 0; }

std::string operand_kind(const Operand &operand, std::string_view otherwise, bool quoted = true) {
  const std::string text = quoted ? operand_text(operand.span) : "";
  return fmt::format("{} is {}", text.empty() ? otherwise : text, kind_text(operand.datum));
}

// The numbers of nested lists in row-major order; the shape is taken from the first item of each level.
struct Flattened {
  Shape shape;
  std::vector<Number> numbers;
  bool all_bools = true, any_bool = false;
};

bool flatten(const Datum &datum, size_t level, Flattened &out) {
  if (const auto *list = datum.list()) {
    if (level == out.shape.size() && out.numbers.empty())
      out.shape.push_back(static_cast<int64_t>(list->size()));
    if (level >= out.shape.size() || static_cast<size_t>(out.shape[level]) != list->size())
      return false;
    return std::all_of(list->begin(), list->end(), [&](const Datum &item) { return flatten(item, level + 1, out); });
  }
  const auto *number = datum.as<Number>();
  const auto *boolean = datum.as<bool>();
  if (level != out.shape.size() || (!number && !boolean))
    return false;
  (boolean ? out.any_bool : out.all_bools) = boolean != nullptr;
  out.numbers.push_back(number ? *number : Number::whole(*boolean));
  return true;
}

} // namespace

// Everywhere the number; out of range of an integer dtype, the nearest that it holds.
static Value constant(Builder &b, const Type &type, const Number &number) {
  return type.dtype == DType::i64 && number.exact ? b.constant_int(type, *number.exact) : b.constant(type, number);
}

bool is_compile_time(const Datum &datum) { return !datum.is<TensorRef>() && !datum.is<Poison>(); }

bool holds(DType dtype, const Number &number) {
  switch (dtype) {
  case DType::f32:
    return !std::isfinite(number) || std::abs(number) <= std::numeric_limits<float>::max();
  case DType::f64:
    return true;
  case DType::bf16:
    return !std::isfinite(number) || std::abs(number) <= largest_bf16;
  case DType::f16:
    return !std::isfinite(number) || std::abs(number) <= largest_f16;
  case DType::u8:
    return whole(number) && number >= 0 && number <= 255;
  case DType::i8:
    return whole(number) && number >= -128 && number <= 127;
  case DType::i32:
    return whole(number) && std::abs(number + 0.5) < 2147483648.0;
  case DType::i64:
    return whole(number).has_value();
  case DType::boolean:
    return false;
  }
  return false;
}

DType common_dtype(DType a, DType b) {
  const DType x = wide_dtype(a), y = wide_dtype(b);
  return a == b ? a : dtype_size(x) >= dtype_size(y) ? x : y;
}

Builder &Emit::at(const Span &at) {
  if (!draft)
    trace.fail(at, "this is computed at run time, and here only compile-time values can stand");
  draft->b.loc = trace.loc(last = at);
  return draft->b;
}

Value Emit::value(const TensorRef &tensor, const Span &at) {
  if (draft)
    if (const std::optional<Value> here = draft->imported(tensor))
      return *here;
  if (draft && foreign)
    if (std::optional<Value> here = foreign(tensor))
      return *here;
  trace.fail(at, "an initialiser cannot use a value computed in an entry");
}

TensorRef Emit::tensor(const Operand &operand, std::optional<DType> dtype) {
  if (const auto *tensor = operand.datum.as<TensorRef>()) {
    TensorRef here = *tensor;
    here.value = value(*tensor, operand.span);
    here.home = draft;
    return here;
  }
  if (operand.datum.is<Poison>())
    throw Poisoned{};
  Flattened flat;
  if (!flatten(operand.datum, 0, flat) || (flat.any_bool && !flat.all_bools)) {
    const bool list = operand.datum.is<List>();
    trace.fail(operand.span, list ? "this list is no tensor: it must hold numbers only, in rows of equal length"
                                  : fmt::format("a tensor or a number must stand here, not {}", kind_text(operand.datum)));
  }
  if (flat.numbers.empty())
    trace.fail(operand.span, "an empty list is no tensor");
  const bool bools = flat.all_bools;
  const DType type = dtype.value_or(bools ? DType::boolean : DType::f32);
  if (bools != is_bool(type))
    trace.fail(operand.span,
               fmt::format("{}, and meets {}", operand_kind(operand, "this"), is_bool(type) ? "a bool tensor" : "numbers"));
  for (const Number &number : flat.numbers)
    if (!bools && !holds(type, number))
      trace.fail(operand.span, fmt::format("{} does not fit into {}", number_text(number), dtype_name(type)));
  Builder &b = at(operand.span);
  const bool equal = std::adjacent_find(flat.numbers.begin(), flat.numbers.end(), std::not_equal_to<>()) == flat.numbers.end();
  if (equal)
    return ref(constant(b, Type{type, flat.shape}, flat.numbers[0]));
  Tensor data(Type{type, flat.shape});
  for (size_t i = 0; i < flat.numbers.size(); ++i)
    if (is_integer(type))
      data.set_int(static_cast<int64_t>(i), *whole(flat.numbers[i]));
    else
      data.set(static_cast<int64_t>(i), flat.numbers[i]);
  return ref(b.constant(std::move(data)));
}

TensorRef Emit::cast(const Operand &operand, DType dtype, const Span &at) {
  if (is_compile_time(operand.datum)) {
    if (const auto *number = operand.datum.as<Number>(); number && !is_bool(dtype))
      return ref(constant(this->at(at), Type{dtype, {}}, *number)); // truncates and saturates
    if (!operand.datum.is<bool>() && !is_bool(dtype) && !operand.datum.is<std::string>())
      if (Flattened flat; flatten(operand.datum, 0, flat) && !flat.any_bool) {
        if (std::ranges::all_of(flat.numbers, [&](const Number &number) { return holds(dtype, number); }))
          return tensor(operand, dtype);
        return ref(this->at(at).cast(value(tensor(operand, DType::f64), at), dtype));
      }
  }
  const TensorRef from = tensor(operand);
  if (std::optional<double> splat = draft->splat(from.value)) {
    const Type type{dtype, from.type.shape};
    if (!is_integer(from.type.dtype))
      return ref(this->at(at).constant(type, *splat));
    const Number number = Number::whole(draft->node(from.value).data->get_int(0));
    if (is_integer(dtype) || *number.exact == static_cast<int64_t>(static_cast<int32_t>(*number.exact)))
      return ref(constant(this->at(at), type, number));
  }
  return from.exact ? converted(from, dtype, at) : ref(this->at(at).cast(from.value, dtype));
}

void Emit::need_arithmetic(std::string_view operation, const std::vector<Operand> &operands, const Span &at) {
  std::optional<DType> joint;
  std::string types, stored; // of all tensors; the first that cannot be computed with, as it is written
  for (const Operand &operand : operands) {
    const auto *tensor = operand.datum.as<TensorRef>();
    if (!tensor)
      continue;
    const DType dtype = tensor->type.dtype;
    if (joint && kind(*joint) != kind(dtype))
      return; // an error that unify words
    joint = joint ? common_dtype(*joint, dtype) : dtype;
    types += (types.empty() ? "" : " and ") + type_text(tensor->type);
    if (stored.empty())
      stored = operand_text(operand.span);
  }
  if (!joint || !is_storage_only(*joint))
    return;
  trace.fail(at, fmt::format("`{}` of {}: {} is for storage and `@`; write {}({})", operation, types, dtype_name(*joint),
                             dtype_name(wide_dtype(*joint)), stored.empty() ? "…" : stored.substr(1, stored.size() - 2)));
}

std::vector<TensorRef> Emit::unify(const std::vector<Operand> &operands, const Span &at) {
  const Operand *widest = nullptr; // among the tensors
  std::optional<DType> dtype;
  for (const Operand &operand : operands) {
    const auto *tensor = operand.datum.as<TensorRef>();
    if (!tensor)
      continue;
    const DType own = tensor->type.dtype;
    if (!widest) {
      widest = &operand;
      dtype = own;
      continue;
    }
    if (kind(own) != kind(*dtype)) {
      const Operand &weaker = kind(own) < kind(*dtype) ? operand : *widest;
      const DType stronger = wide_dtype(kind(own) < kind(*dtype) ? *dtype : own);
      const bool in_list = widest->span == operand.span; // items of one list, whose text is that of neither
      const std::string text = in_list ? "" : operand_text(weaker.span);
      const std::string advice =
          fmt::format("; write {}({})", dtype_name(stronger), text.empty() ? "…" : text.substr(1, text.size() - 2));
      Diagnostic &error =
          trace.error(at, fmt::format("{}, {}{}", operand_kind(*widest, "one operand", !in_list),
                                      operand_kind(operand, "the other", !in_list), trace.in_library(weaker.span) ? "" : advice));
      error.operand(widest->span).operand(operand.span);
      throw Poisoned{};
    }
    if (dtype_size(own) > dtype_size(widest->datum.as<TensorRef>()->type.dtype))
      widest = &operand;
    dtype = common_dtype(*dtype, own);
  }
  std::vector<TensorRef> tensors;
  for (const Operand &operand : operands) {
    const TensorRef one = tensor(operand, dtype);
    tensors.push_back(dtype ? converted(one, *dtype, at) : one);
  }
  return tensors;
}

// Constants and indices are made in the shape they are needed in, and sizes of 1 put in for the sake of broadcasting leave no
// trace.
TensorRef Emit::broadcast(const TensorRef &tensor, const Shape &shape, const Span &at) {
  if (tensor.type.shape == shape)
    return tensor;
  Builder &b = this->at(at);
  const Node &node = draft->node(tensor.value);
  if (draft->splat(tensor.value)) {
    Tensor data = *node.data;
    data.type = checked_type(data.type.dtype, shape);
    return ref(b.constant(std::move(data)));
  }
  if (node.op == Op::iota && tensor.type.rank() == 1 && tensor.type.shape.back() == shape.back())
    return ref(b.iota(tensor.type.dtype, shape, static_cast<int64_t>(shape.size()) - 1));
  if (node.op == Op::reshape) { // straight from before the reshape, if all it did was to add sizes of 1
    const Value before = node.operands[0];
    const size_t shift = shape.size() - tensor.type.shape.size();
    Shape longer, axes;
    for (size_t i = 0; i < tensor.type.shape.size(); ++i)
      if (tensor.type.shape[i] != 1) {
        longer.push_back(tensor.type.shape[i]);
        axes.push_back(static_cast<int64_t>(i + shift));
      }
    if (b.shape(before) == longer)
      return ref(b.broadcast(before, shape, axes));
  }
  return ref(b.broadcast_to(tensor.value, shape));
}

// A cast goes before a reshape, where broadcasting finds it.
TensorRef Emit::converted(const TensorRef &tensor, DType dtype, const Span &at) {
  if (tensor.type.dtype == dtype)
    return tensor;
  if (tensor.exact && tensor.exact->rounded == tensor.value && tensor.exact->home == draft && dtype == DType::f64)
    return ref(tensor.exact->value);
  Builder &b = this->at(at);
  const Node &node = draft->node(tensor.value);
  if (node.op == Op::reshape)
    return ref(b.reshape(b.cast(node.operands[0], dtype), tensor.type.shape));
  if (node.op == Op::iota && dtype == DType::i64)
    return ref(b.iota(dtype, tensor.type.shape, node.attrs.axis));
  return ref(b.cast(tensor.value, dtype));
}

Shape Emit::joint_shape(const std::vector<TensorRef> &tensors, const std::vector<Span> &spans, const Span &at) {
  Shape joint;
  for (size_t i = 0; i < tensors.size(); ++i) {
    std::optional<Shape> next = broadcast_shapes(joint, tensors[i].type.shape);
    if (next) {
      joint = std::move(*next);
      continue;
    }
    // Name the earlier tensor whose size disagrees, and the axis.
    for (size_t j = 0; j < i; ++j) {
      const Shape &a = tensors[j].type.shape, &b = tensors[i].type.shape;
      for (size_t back = 1; back <= std::min(a.size(), b.size()); ++back) {
        const size_t ia = a.size() - back, ib = b.size() - back;
        if (a[ia] == b[ib] || a[ia] == 1 || b[ib] == 1)
          continue;
        const auto label = [&](size_t k, std::string_view otherwise) {
          const std::string text = operand_text(spans[k]);
          return fmt::format("{} is {}", text.empty() ? otherwise : text, shape_text(tensors[k].type.shape));
        };
        Diagnostic &error = trace.error(at, fmt::format("sizes differ: {}, {}", label(j, "one side"), label(i, "the other")));
        error.operand(spans[j]).operand(spans[i]);
        note_size(error, tensors[j], static_cast<int64_t>(ia));
        note_size(error, tensors[i], static_cast<int64_t>(ib));
        throw Poisoned{};
      }
    }
  }
  return joint;
}

int64_t Emit::whole_number(const Operand &operand, std::string_view what) {
  const auto *number = operand.datum.as<Number>();
  if (operand.datum.is<Poison>())
    throw Poisoned{};
  if (!number) {
    if (operand.datum.is<TensorRef>())
      trace.fail(operand.span, fmt::format("{} must be known at compile time; this is {}, computed at run time", what,
                                           kind_text(operand.datum)));
    trace.fail(operand.span, fmt::format("{} must be a whole number, not {}", what, kind_text(operand.datum)));
  }
  if (std::optional<int64_t> result = whole(*number))
    return *result;
  const auto quotient = quotients_.find(*number);
  trace.fail(operand.span, fmt::format("{} must be a whole number, not {}{:.5g}", what,
                                       quotient == quotients_.end() ? "" : quotient->second + " = ", *number));
}

Shape Emit::whole_numbers(const Operand &operand, std::string_view what) {
  const auto *list = operand.datum.list();
  if (!list)
    return {whole_number(operand, what)};
  Shape numbers;
  for (const Datum &item : *list)
    numbers.push_back(whole_number({item, operand.span}, what));
  return numbers;
}

} // namespace nnc
