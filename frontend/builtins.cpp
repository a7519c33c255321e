// The table of builtins: one line each, with what it does to its arguments.
#include "frontend/builtins.h"

#include "frontend/lowering.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <numbers>

namespace nnc {

namespace {

Emit &emit(const BuiltinCall &c) { return c.lowering.emit; }

// ---- elementwise: a number gives a number, a tensor an op

template <Op op, double (*function)(double)> Datum math(const BuiltinCall &c) {
  if (const auto *number = c[0].datum.as<Number>()) {
    constexpr bool whole_stays = op == Op::floor || op == Op::round || op == Op::abs;
    if (whole_stays && number->exact)
      return op == Op::abs && *number->exact < 0 ? Number::whole(-*number->exact) : *number;
    const double result = function(*number);
    if (std::isnan(result) && !std::isnan(*number))
      emit(c).trace.fail(c.at, fmt::format("`{}` of {} is no real number", c.builtin.name, number_text(*number)));
    return result;
  }
  const TensorRef x = emit(c).tensor(c[0]);
  emit(c).need_arithmetic(c.builtin.name, {c[0]}, c.at);
  const bool whole_stays = op == Op::floor || op == Op::round || (op == Op::abs && x.type.dtype == DType::u8);
  if (whole_stays && is_integer(x.type.dtype))
    return x;
  if (is_bool(x.type.dtype) || (is_integer(x.type.dtype) && op != Op::abs))
    emit(c).trace.fail(c.at, fmt::format("`{}` of {}; write f32(…)", c.builtin.name, type_text(x.type)));
  return emit(c).ref(emit(c).at(c.at).op(op, {x.value}));
}

double round_to_even(double x) { return std::nearbyint(x); }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double normal_cdf(double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; }

template <Op op> Datum extreme(const BuiltinCall &c) {
  const auto *a = c[0].datum.as<Number>(), *b = c[1].datum.as<Number>();
  if (a && b) // NaN stays NaN
    return std::isnan(*a) ? *a : std::isnan(*b) ? *b : op == Op::maximum ? std::max(*a, *b) : std::min(*a, *b);
  emit(c).need_arithmetic(c.builtin.name, {c[0], c[1]}, c.at);
  return emit(c).elementwise(op, {c[0], c[1]}, c.at);
}

Datum where(const BuiltinCall &c) { return emit(c).where(c[0], c[1], c[2], c.at); }

Datum stop_gradient(const BuiltinCall &c) {
  if (is_compile_time(c[0].datum) && !c[0].datum.is<List>())
    return c[0].datum;
  return emit(c).ref(emit(c).at(c.at).op(Op::stop_gradient, {emit(c).tensor(c[0]).value}));
}

Datum as_float(const BuiltinCall &c) {
  const TensorRef x = emit(c).tensor(c[0]);
  const bool stays = is_float(x.type.dtype) && !is_storage_only(x.type.dtype);
  return stays ? x : emit(c).cast({x, c.at}, DType::f32, c.at);
}

// Of an f64: an f32, which is not rounded where it meets an f64, as a number is not. What is known is a constant.
Datum rounded(const BuiltinCall &c) {
  constexpr int64_t most_elements = 1024; // of a constant
  TensorRef x = emit(c).converted(emit(c).tensor(c[0]), DType::f64, c.at);
  Builder &b = emit(c).at(c.at);
  if (x.type.elements() <= most_elements)
    if (std::optional<Tensor> known = emit(c).draft->known(x.value))
      x.value = b.constant(std::move(*known));
  TensorRef result = emit(c).ref(b.cast(x.value, DType::f32));
  result.exact = {result.value, x.value, emit(c).draft};
  return result;
}

// ---- reductions

Shape all_axes(const TensorRef &x) {
  Shape axes;
  for (int64_t i = 0; i < x.type.rank(); ++i)
    axes.push_back(i);
  return axes;
}

bool flag(const BuiltinCall &c, size_t i) {
  if (!c.has(i))
    return false;
  if (const auto *value = c[i].datum.as<bool>())
    return *value;
  emit(c).trace.fail(c[i].span, fmt::format("a compile-time bool must stand here, not {}", kind_text(c[i].datum)));
}

template <Op op> Datum reduction(const BuiltinCall &c) {
  if ((op == Op::max || op == Op::min) && c.has(1) && (c[0].datum.is<Number>() || c[1].datum.is<TensorRef>()))
    emit(c).trace.fail(c.at, fmt::format("`{0}` goes through one tensor; the {0}imum of two is `{0}imum(x, y)`", c.builtin.name));
  const TensorRef x = emit(c).tensor(c[0]);
  const Shape axes = c.has(1) ? emit(c).axes_of(x, c[1]) : all_axes(x);
  return emit(c).reduce(op, {x, c[0].span}, axes, flag(c, 2), c.at);
}

// The mean of squares, or with ddof their sum divided by that much less than their number.
Datum variance(const BuiltinCall &c) {
  const Datum biased = reduction<Op::variance>(c);
  if (!c.has(3))
    return biased;
  const int64_t ddof = emit(c).whole_number(c[3], "`ddof`");
  const TensorRef v = *biased.as<TensorRef>();
  const int64_t count = emit(c).tensor(c[0]).type.elements() / std::max<int64_t>(v.type.elements(), 1);
  if (ddof < 0 || ddof >= count)
    emit(c).trace.fail(c[3].span, fmt::format("`ddof` is {}, and must be from 0 to {} for a variance of {} element{}", ddof,
                                              count - 1, count, count == 1 ? "" : "s"));
  if (ddof == 0)
    return v;
  Builder &b = emit(c).at(c.at);
  return emit(c).ref(b.mul(v.value, b.like(v.value, static_cast<double>(count) / static_cast<double>(count - ddof))));
}

// Ordered the other way round; unlike -x it has no overflow.
Value complement(Builder &b, const TensorRef &x) {
  return is_float(x.type.dtype) ? b.neg(x.value) : b.sub(b.constant_int(x.type, -1), x.value);
}

// Of the smallest: of the largest of the complement.
template <bool smallest> Datum arg_extreme(const BuiltinCall &c) {
  TensorRef x = emit(c).tensor(c[0]);
  emit(c).need_arithmetic(c.builtin.name, {c[0]}, c.at);
  const Shape axes = emit(c).axes_of(x, c[1]);
  if (axes.size() != 1)
    emit(c).trace.fail(c[1].span, fmt::format("`{}` takes one axis", c.builtin.name));
  if (smallest && !is_bool(x.type.dtype))
    x = emit(c).ref(complement(emit(c).at(c.at), x));
  return emit(c).reduce(Op::argmax, {x, c[0].span}, axes, flag(c, 2), c.at);
}

// ---- shapes

// Shapes are known without computing the tensor, also where it has no value, as in an initialiser.
Type type_of(const BuiltinCall &c, size_t i) {
  if (const auto *tensor = c[i].datum.as<TensorRef>())
    return tensor->type;
  if (c[i].datum.is<Number>() || c[i].datum.is<bool>())
    return {DType::f32, {}};
  return emit(c).tensor(c[i]).type;
}

Datum shape(const BuiltinCall &c) { return make_list(type_of(c, 0).shape); }
Datum rank(const BuiltinCall &c) { return Number::whole(type_of(c, 0).rank()); }

Datum size(const BuiltinCall &c) {
  const Type type = type_of(c, 0);
  if (!c.has(1))
    return Number::whole(type.elements());
  int64_t count = 1;
  for (int64_t axis : emit(c).axes_of(TensorRef{{}, type}, c[1]))
    count *= type.shape[axis];
  return Number::whole(count);
}

Datum len(const BuiltinCall &c) {
  const auto *list = c[0].datum.list();
  if (!list)
    emit(c).trace.fail(c.at,
                       fmt::format("`len` counts the items of a list, not of {}; `shape` gives sizes", kind_text(c[0].datum)));
  return Number::whole(static_cast<int64_t>(list->size()));
}

// What kind of value it is, so that a function can take a number or a list.
Datum kind(const BuiltinCall &c) {
  const Datum &datum = c[0].datum;
  const std::string text = datum.is<Number>()        ? "number"
                           : datum.is<bool>()        ? "bool"
                           : datum.is<std::string>() ? "str"
                           : datum.is<DType>()       ? "dtype"
                           : datum.is<FunctionRef>() ? "fn"
                           : datum.is<List>()        ? "list"
                                                     : "tensor";
  return text;
}

Shape sizes(const BuiltinCall &c, size_t i) {
  Shape shape = emit(c).whole_numbers(c[i], "a size");
  for (int64_t size : shape)
    if (size < 1)
      emit(c).trace.fail(c[i].span, fmt::format("a size must be at least 1, not {}", size));
  return shape;
}

// With a note for each size of x.
[[noreturn]] void fail_with_sizes(const BuiltinCall &c, const std::string &message, const TensorRef &x) {
  emit(c).note_sizes(emit(c).trace.error(c.at, message), x, Shape(x.type.shape.size(), 0));
  throw Poisoned{};
}

Datum reshape(const BuiltinCall &c) {
  const TensorRef x = emit(c).tensor(c[0]);
  Shape shape = emit(c).whole_numbers(c[1], "a size");
  const std::string asked = shape_text(shape);
  int64_t known = 1;
  int64_t *open = nullptr; // the size given as -1
  for (int64_t &size : shape) {
    if (size == -1 && !open)
      open = &size;
    else if (size < 1)
      emit(c).trace.fail(c[1].span, fmt::format("{}: sizes must be at least 1, and one may be -1", asked));
    else if (__builtin_mul_overflow(known, size, &known))
      emit(c).trace.fail(c[1].span, fmt::format("{} is too large", asked));
  }
  if (open)
    *open = x.type.elements() / known;
  if (x.type.elements() != (open ? known * *open : known))
    fail_with_sizes(
        c, fmt::format("{} has {} elements and cannot be reshaped to {}", type_text(x.type), x.type.elements(), asked), x);
  return emit(c).ref(emit(c).at(c.at).reshape(x.value, std::move(shape)));
}

Datum transpose(const BuiltinCall &c) {
  const TensorRef x = emit(c).tensor(c[0]);
  Shape axes = all_axes(x);
  std::reverse(axes.begin(), axes.end());
  if (c.has(1)) {
    axes = emit(c).whole_numbers(c[1], "an axis");
    emit(c).axes_of(x, c[1]); // in range, and none twice
    if (static_cast<int>(axes.size()) != x.type.rank())
      emit(c).trace.fail(c[1].span,
                         fmt::format("`transpose` names {} of the {} axes of {}", axes.size(), x.type.rank(), type_text(x.type)));
    for (int64_t &axis : axes)
      axis += axis < 0 ? x.type.rank() : 0;
  }
  return emit(c).ref(emit(c).at(c.at).transpose(x.value, std::move(axes)));
}

Datum broadcast_to(const BuiltinCall &c) {
  const TensorRef x = emit(c).tensor(c[0]);
  const Shape shape = sizes(c, 1);
  if (broadcast_shapes(x.type.shape, shape) != shape)
    fail_with_sizes(c, fmt::format("{} does not broadcast to {}", type_text(x.type), shape_text(shape)), x);
  return emit(c).broadcast(x, shape, c.at);
}

Datum concat(const BuiltinCall &c) {
  const auto *list = c[0].datum.list();
  if (!list || list->empty())
    emit(c).trace.fail(c[0].span, "`concat` takes a list of tensors");
  std::vector<Operand> parts;
  for (const Datum &item : *list)
    parts.push_back({item, c[0].span});
  const std::vector<TensorRef> tensors = emit(c).unify(parts, c.at);
  const Shape axes = c.has(1) ? emit(c).axes_of(tensors[0], c[1]) : Shape{0};
  if (axes.size() != 1 || axes[0] >= tensors[0].type.rank())
    emit(c).trace.fail(c.at, fmt::format("`concat` joins along one axis; the first tensor is {}", type_text(tensors[0].type)));
  std::vector<Value> values;
  for (const TensorRef &tensor : tensors) {
    Shape beside = tensor.type.shape, first = tensors[0].type.shape;
    if (beside.size() != first.size())
      emit(c).trace.fail(c.at, fmt::format("`concat` joins tensors of equally many axes, not {} and {}",
                                           type_text(tensors[0].type), type_text(tensor.type)));
    beside[axes[0]] = first[axes[0]];
    if (beside != first) {
      Diagnostic &error = emit(c).trace.error(
          c.at, fmt::format("sizes beside axis {} differ: {} and {}", axes[0], shape_text(first), shape_text(tensor.type.shape)));
      emit(c).note_sizes(error, tensors[0], beside);
      first[axes[0]] = tensor.type.shape[axes[0]];
      emit(c).note_sizes(error, tensor, first);
      throw Poisoned{};
    }
    values.push_back(tensor.value);
  }
  return emit(c).ref(emit(c).at(c.at).concat(std::move(values), axes[0]));
}

Datum slice(const BuiltinCall &c) {
  const TensorRef x = emit(c).tensor(c[0]);
  const Shape axes = emit(c).axes_of(x, c[1]);
  const int64_t start = emit(c).whole_number(c[2], "the start"), count = emit(c).whole_number(c[3], "the count");
  const int64_t step = c.has(4) ? emit(c).whole_number(c[4], "the step") : 1;
  if (axes.size() != 1)
    emit(c).trace.fail(c[1].span, "`slice` takes one axis");
  const int64_t size = x.type.shape[axes[0]];
  const __int128 last = start + static_cast<__int128>(count - 1) * step;
  if (count < 1 || start < 0 || start >= size || last < 0 || last >= size || step == 0)
    emit(c).trace.fail(
        c.at, fmt::format("{} elements from {} by {} leave axis {} of {}", count, start, step, axes[0], type_text(x.type)));
  std::vector<AxisRange> ranges;
  for (int64_t whole : x.type.shape)
    ranges.push_back({0, whole, 1, true});
  ranges[axes[0]] = {start, count, step, true};
  return emit(c).sliced(x, ranges, c.at);
}

Datum arange(const BuiltinCall &c) {
  const int64_t count = emit(c).whole_number(c[0], "the count");
  if (count < 1 || count > INT32_MAX)
    emit(c).trace.fail(c.at, fmt::format("`arange` of {}: must be in 1..2^31", count));
  return emit(c).ref(emit(c).at(c.at).iota(DType::i32, {count}, 0));
}

// ---- places read from data

int64_t one_axis(const BuiltinCall &c, size_t i, const TensorRef &x, int64_t otherwise) {
  const Operand axis = c.has(i) ? c[i] : Operand{static_cast<double>(otherwise), c.at};
  const Shape axes = emit(c).axes_of(x, axis);
  if (axes.size() != 1)
    emit(c).trace.fail(axis.span, fmt::format("`{}` takes one axis", c.builtin.name));
  return axes[0];
}

Datum gather(const BuiltinCall &c) {
  const TensorRef x = emit(c).tensor(c[0]), index = emit(c).places(c[1]);
  const int64_t axis = one_axis(c, 2, x, 0);
  emit(c).need_places(x.type, axis, c.at);
  return emit(c).ref(emit(c).at(c.at).gather(x.value, index.value, axis));
}

Datum scatter_add(const BuiltinCall &c) {
  const TensorRef x = emit(c).tensor(c[0]), index = emit(c).places(c[1]);
  const int64_t count = emit(c).whole_number(c[2], "the count"), rank = index.type.rank();
  emit(c).need_arithmetic(c.builtin.name, {c[0]}, c.at);
  if (is_bool(x.type.dtype))
    emit(c).trace.fail(c[0].span, fmt::format("`scatter_add` of {}; write i32(…)", type_text(x.type)));
  if (count < 1)
    emit(c).trace.fail(c[2].span, fmt::format("a size must be at least 1, not {}", count));
  const int64_t axis = rank == 0 && !c.has(3) ? 0 : one_axis(c, 3, x, 0);
  Shape shape = x.type.shape;
  if (axis + rank > x.type.rank() || Shape(shape.begin() + axis, shape.begin() + axis + rank) != index.type.shape)
    fail_with_sizes(
        c,
        fmt::format("{} are places along axis {}, and {} has other sizes there", type_text(index.type), axis, type_text(x.type)),
        x);
  shape.erase(shape.begin() + axis, shape.begin() + axis + rank);
  shape.insert(shape.begin() + axis, count);
  emit(c).need_places({x.type.dtype, shape}, axis, c.at);
  return emit(c).ref(emit(c).at(c.at).scatter_add(x.value, index.value, axis, std::move(shape)));
}

// The smallest first, or of the complement, as in arg_extreme.
Datum argsort(const BuiltinCall &c) {
  TensorRef x = emit(c).tensor(c[0]);
  emit(c).need_arithmetic(c.builtin.name, {c[0]}, c.at);
  if (is_bool(x.type.dtype))
    emit(c).trace.fail(c[0].span, fmt::format("`argsort` of {}; write i32(…)", type_text(x.type)));
  const int64_t axis = one_axis(c, 1, x, -1);
  emit(c).need_places(x.type, axis, c.at);
  if (flag(c, 2))
    x = emit(c).ref(complement(emit(c).at(c.at), x));
  return emit(c).ref(emit(c).at(c.at).argsort(x.value, axis));
}

// ---- random numbers

Datum random_seed(const BuiltinCall &c) { return c.lowering.random_seed(c.at); }

Datum random_bits(const BuiltinCall &c) {
  const Shape shape = sizes(c, 0);
  return c.lowering.random_bits(shape, c.has(1) ? c[1] : Operand{random_seed(c), c.at}, c.at);
}

// ---- lists, parameters, derivatives

Datum zip(const BuiltinCall &c) {
  std::vector<Datum> rows;
  for (size_t k = 0; k < c.rest.size(); ++k) {
    const auto *list = c.rest[k].datum.list();
    if (!list)
      emit(c).trace.fail(c.rest[k].span, fmt::format("`zip` takes lists, not {}", kind_text(c.rest[k].datum)));
    if (list->size() != c.rest[0].datum.list()->size())
      emit(c).trace.fail(c.at, fmt::format("`zip` of lists of {} and {}", c.rest[0].datum.list()->size(), list->size()));
  }
  for (size_t i = 0; !c.rest.empty() && i < c.rest[0].datum.list()->size(); ++i) {
    std::vector<Datum> row;
    for (const Operand &operand : c.rest)
      row.push_back((*operand.datum.list())[i]);
    rows.push_back(make_list(std::move(row)));
  }
  return make_list(std::move(rows));
}

Datum params(const BuiltinCall &c) { return c.lowering.list_states(c.rest, true, c.at); }
Datum states(const BuiltinCall &c) { return c.lowering.list_states(c.rest, false, c.at); }

Datum grad(const BuiltinCall &c) {
  if (const auto *function = c[0].datum.as<FunctionRef>()) {
    if (c.has(1))
      emit(c).trace.fail(c.at, "the derivative of a function takes no x here: grad(f) is a function, call it");
    FunctionRef derivative = *function;
    ++derivative.grads;
    return derivative;
  }
  if (!c.has(1))
    emit(c).trace.fail(c.at, "`grad` of a value needs what to derive by: grad(y, x)");
  if (!c.lowering.frame().elementwise.empty())
    emit(c).trace.fail(c.at, fmt::format("`{}` is elementwise: in it only grad(f) can be used", c.lowering.frame().elementwise));
  return c.lowering.gradient(c[0], c[1], c.at);
}

constexpr Builtin table[] = {
    {"abs", "x", true, math<Op::abs, std::abs>},
    {"floor", "x", true, math<Op::floor, std::floor>},
    {"round", "x", true, math<Op::round, round_to_even>},
    {"exp", "x", true, math<Op::exp, std::exp>},
    {"expm1", "x", true, math<Op::expm1, std::expm1>},
    {"log", "x", true, math<Op::log, std::log>},
    {"log1p", "x", true, math<Op::log1p, std::log1p>},
    {"sin", "x", true, math<Op::sin, std::sin>},
    {"cos", "x", true, math<Op::cos, std::cos>},
    {"atan", "x", true, math<Op::atan, std::atan>},
    {"tanh", "x", true, math<Op::tanh, std::tanh>},
    {"erf", "x", true, math<Op::erf, std::erf>},
    {"sigmoid", "x", true, math<Op::sigmoid, sigmoid>},
    {"normal_cdf", "x", true, math<Op::normal_cdf, normal_cdf>},
    {"sqrt", "x", true, math<Op::sqrt, std::sqrt>},
    {"maximum", "x, y", true, extreme<Op::maximum>},
    {"minimum", "x, y", true, extreme<Op::minimum>},
    {"where", "condition, x, y", true, where},
    {"stop_gradient", "x", true, stop_gradient},
    {"as_float", "x", true, as_float},
    {"rounded", "x", true, rounded},
    {"grad", "y, x?", true, grad},
    {"sum", "x, axis?, keepdims?", false, reduction<Op::sum>},
    {"prod", "x, axis?, keepdims?", false, reduction<Op::prod>},
    {"max", "x, axis?, keepdims?", false, reduction<Op::max>},
    {"min", "x, axis?, keepdims?", false, reduction<Op::min>},
    {"var", "x, axis?, keepdims?, ddof?", false, variance},
    {"argmax", "x, axis, keepdims?", false, arg_extreme<false>},
    {"argmin", "x, axis, keepdims?", false, arg_extreme<true>},
    {"shape", "x", false, shape},
    {"rank", "x", false, rank},
    {"size", "x, axis?", false, size},
    {"len", "list", true, len},
    {"kind", "x", true, kind},
    {"reshape", "x, shape", false, reshape},
    {"transpose", "x, axes?", false, transpose},
    {"broadcast_to", "x, shape", false, broadcast_to},
    {"concat", "tensors, axis?", false, concat},
    {"slice", "x, axis, start, count, step?", false, slice},
    {"pad", "x, widths, value?", false, pad},
    {"window", "x, axes, sizes, stride?, dilation?", false, window},
    {"unwindow", "x, axes, sizes, stride?, dilation?", false, unwindow},
    {"einsum", "...", false, einsum},
    {"arange", "count", false, arange},
    {"gather", "x, index, axis?", false, gather},
    {"scatter_add", "x, index, count, axis?", false, scatter_add},
    {"argsort", "x, axis?, descending?", false, argsort},
    {"random_seed", "", false, random_seed},
    {"random_bits", "shape, seed?", true, random_bits},
    {"zip", "...", true, zip},
    {"params", "...", false, params},
    {"states", "...", false, states},
};

} // namespace

std::span<const Builtin> builtins() { return table; }

const Builtin *find_builtin(std::string_view name) {
  auto found = std::find_if(std::begin(table), std::end(table), [&](const Builtin &b) { return b.name == name; });
  return found == std::end(table) ? nullptr : found;
}

} // namespace nnc
