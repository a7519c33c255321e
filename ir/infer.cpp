// Result types: for every row of the op table a function infer_<name>, many of them shared, that checks the operands and
// attributes and gives the result's type. A row of ops.def without its function here does not compile.
// Everything that can be wrong with a node's operands is found here, so the verifier, the builder and the text parser ask
// this file and nothing else. Errors open with the op's name; the place is added by whoever knows it.
#include "ir/error.h"
#include "ir/op.h"

#include <algorithm>
#include <cassert>
#include <fmt/format.h>

namespace nnc {

namespace {

// What one row sees.
struct Query {
  Op op;
  std::span<const Type> in;
  const Attrs &attrs;

  const Shape &shape(size_t operand = 0) const { return in[operand].shape; }
  DType dtype(size_t operand = 0) const { return in[operand].dtype; }
};

template <typename... Args> [[noreturn]] void fail(const Query &q, fmt::format_string<Args...> text, Args &&...args) {
  throw Error(fmt::format("{}: {}", op_info(q.op).name, fmt::format(text, std::forward<Args>(args)...)));
}

// Elementwise.

void need_same_shapes(const Query &q) {
  for (const Type &type : q.in)
    if (type.shape != q.shape())
      fail(q, "shapes differ: {} and {}", shape_text(q.shape()), shape_text(type.shape));
}

void need_same_dtypes(const Query &q, size_t from = 0) {
  for (const Type &type : q.in.subspan(from))
    if (type.dtype != q.dtype(from))
      fail(q, "dtypes differ: {} and {}", dtype_name(q.dtype(from)), dtype_name(type.dtype));
}

void need_float(const Query &q) {
  if (!is_float(q.dtype()))
    fail(q, "floats only, not {}", dtype_name(q.dtype()));
}

void need_number(const Query &q) {
  if (is_bool(q.dtype()))
    fail(q, "numbers only, not bool");
}

void need_dtype(const Query &q, size_t operand, DType dtype) {
  if (q.dtype(operand) != dtype)
    fail(q, "operand {} must be {}, not {}", operand + 1, dtype_name(dtype), dtype_name(q.dtype(operand)));
}

Type like_operands(const Query &q) {
  need_same_shapes(q);
  need_same_dtypes(q);
  return q.in[0];
}

Type of_numbers(const Query &q) {
  need_number(q);
  return like_operands(q);
}

Type of_floats(const Query &q) {
  need_float(q);
  return like_operands(q);
}

Type of_bools(const Query &q) {
  need_dtype(q, 0, DType::boolean);
  return like_operands(q);
}

Type infer_eq(const Query &q) { return {DType::boolean, like_operands(q).shape}; }
Type infer_lt(const Query &q) { return {DType::boolean, of_numbers(q).shape}; }

Type infer_select(const Query &q) {
  need_dtype(q, 0, DType::boolean);
  need_same_shapes(q);
  need_same_dtypes(q, 1);
  return q.in[1];
}

Type infer_cast(const Query &q) { return checked_type(q.attrs.dtype, q.shape()); }

Type infer_philox(const Query &q) {
  need_dtype(q, 0, DType::i64);
  return {DType::i32, like_operands(q).shape};
}

constexpr auto infer_add = of_numbers, infer_sub = of_numbers, infer_mul = of_numbers, infer_div = of_numbers,
               infer_rem = of_numbers, infer_muladd = of_floats;
constexpr auto infer_neg = of_numbers, infer_abs = of_numbers, infer_maximum = of_numbers, infer_minimum = of_numbers;
constexpr auto infer_floor = of_floats, infer_round = of_floats, infer_pow = of_floats, infer_exp = of_floats,
               infer_expm1 = of_floats, infer_log = of_floats, infer_log1p = of_floats, infer_sin = of_floats,
               infer_cos = of_floats, infer_atan = of_floats, infer_tanh = of_floats, infer_erf = of_floats,
               infer_sigmoid = of_floats, infer_normal_cdf = of_floats, infer_sqrt = of_floats;
constexpr auto infer_logical_and = of_bools, infer_logical_or = of_bools, infer_logical_not = of_bools;
constexpr auto infer_stop_gradient = like_operands;

// Views.

void need_rank(const Query &q, AttrKey key, const Shape &attr, size_t rank) {
  if (attr.size() != rank)
    fail(q, "{} has {} entries, must have {}", attr_name(key), attr.size(), rank);
}

// Axes within 0..rank, each larger than the one before.
void need_increasing(const Query &q, const Shape &axes, size_t rank) {
  for (size_t i = 0; i < axes.size(); ++i)
    if (axes[i] < 0 || axes[i] >= static_cast<int64_t>(rank) || (i > 0 && axes[i] <= axes[i - 1]))
      fail(q, "axes {} must increase within 0..{}", shape_text(axes), rank);
}

Type infer_broadcast(const Query &q) {
  Type result = checked_type(q.dtype(), q.attrs.shape);
  const Shape &axes = q.attrs.axes;
  need_rank(q, AttrKey::axes, axes, q.shape().size());
  need_increasing(q, axes, result.shape.size());
  for (size_t i = 0; i < axes.size(); ++i)
    if (result.shape[axes[i]] != q.shape()[i])
      fail(q, "axis {} of {} does not fit axis {} of {}", i, shape_text(q.shape()), axes[i], shape_text(result.shape));
  return result;
}

Type infer_transpose(const Query &q) {
  const Shape &axes = q.attrs.axes;
  const int64_t rank = q.in[0].rank();
  need_rank(q, AttrKey::axes, axes, rank);
  Shape shape(rank);
  std::vector<bool> used(rank);
  for (int64_t i = 0; i < rank; ++i) {
    if (axes[i] < 0 || axes[i] >= rank || used[axes[i]])
      fail(q, "axes {} are no permutation of 0..{}", shape_text(axes), rank);
    used[axes[i]] = true;
    shape[i] = q.shape()[axes[i]];
  }
  return {q.dtype(), std::move(shape)};
}

Type infer_reshape(const Query &q) {
  Type result = checked_type(q.dtype(), q.attrs.shape);
  if (result.elements() != q.in[0].elements())
    fail(q, "{} has {} elements, {} has {}", shape_text(q.shape()), q.in[0].elements(), shape_text(result.shape),
         result.elements());
  return result;
}

// start + i * stride must lie in 0..whole for all i in 0..part, an axis each.
void need_inside(const Query &q, const Shape &part, const Shape &whole) {
  const Shape &shape = q.attrs.shape, &start = q.attrs.start, &stride = q.attrs.stride;
  need_rank(q, AttrKey::start, start, whole.size());
  need_rank(q, AttrKey::shape, shape, whole.size());
  need_rank(q, AttrKey::stride, stride, whole.size());
  for (size_t i = 0; i < whole.size(); ++i) {
    if (stride[i] == 0)
      fail(q, "stride of axis {} is 0", i);
    if (part[i] == 0)
      continue;
    const __int128 last = start[i] + static_cast<__int128>(part[i] - 1) * stride[i];
    if (start[i] < 0 || start[i] >= whole[i] || last < 0 || last >= whole[i])
      fail(q, "axis {}: {} elements from {} by {} leave the size {}", i, part[i], start[i], stride[i], whole[i]);
  }
}

Type infer_slice(const Query &q) {
  Type result = checked_type(q.dtype(), q.attrs.shape);
  need_inside(q, result.shape, q.shape());
  return result;
}

Type infer_pad(const Query &q) {
  need_same_dtypes(q);
  if (!q.shape(1).empty())
    fail(q, "the fill must be a scalar, not {}", shape_text(q.shape(1)));
  Type result = checked_type(q.dtype(), q.attrs.shape);
  need_rank(q, AttrKey::shape, result.shape, q.shape().size());
  need_inside(q, q.shape(), result.shape);
  return result;
}

void need_axis(const Query &q, const Shape &shape) {
  if (q.attrs.axis < 0 || q.attrs.axis >= static_cast<int64_t>(shape.size()))
    fail(q, "axis {} is not in 0..{}", q.attrs.axis, shape.size());
}

Type infer_concat(const Query &q) {
  need_same_dtypes(q);
  need_axis(q, q.shape());
  Shape shape = q.shape();
  int64_t &size = shape[q.attrs.axis];
  for (const Type &part : q.in.subspan(1)) {
    Shape others = part.shape;
    if (others.size() == shape.size())
      others[q.attrs.axis] = size;
    if (others != shape)
      fail(q, "shapes differ beside axis {}: {} and {}", q.attrs.axis, shape_text(q.shape()), shape_text(part.shape));
    if (__builtin_add_overflow(size, part.shape[q.attrs.axis], &size))
      fail(q, "axis {} is too long", q.attrs.axis);
  }
  return checked_type(q.dtype(), std::move(shape));
}

// Places are i32.
void need_places(const Query &q, const Shape &shape, int64_t axis) {
  if (shape[axis] > INT32_MAX)
    fail(q, "axis {} of {} has more than the 2^31 - 1 places that an i32 can count", axis, shape_text(shape));
}

Type infer_iota(const Query &q) {
  if (q.attrs.dtype != DType::i32 && q.attrs.dtype != DType::i64)
    fail(q, "i32 or i64 only, not {}", dtype_name(q.attrs.dtype));
  need_axis(q, q.attrs.shape);
  if (q.attrs.dtype == DType::i32)
    need_places(q, q.attrs.shape, q.attrs.axis);
  return checked_type(q.attrs.dtype, q.attrs.shape);
}

// Windows: (places - 1) * stride + (size - 1) * dilation is the last element that is read along an axis of `whole`.
void need_windows(const Query &q, const Shape &whole, const Shape &windows) {
  const Shape &axes = q.attrs.axes, &stride = q.attrs.stride, &dilation = q.attrs.dilation;
  need_increasing(q, axes, whole.size());
  need_rank(q, AttrKey::stride, stride, axes.size());
  need_rank(q, AttrKey::dilation, dilation, axes.size());
  if (windows.size() != whole.size() + axes.size())
    fail(q, "windows {} of {} must have {} axes", shape_text(windows), shape_text(whole), whole.size() + axes.size());
  for (size_t i = 0, w = 0; i < whole.size(); ++i) {
    if (w == axes.size() || axes[w] != static_cast<int64_t>(i)) {
      if (windows[i] != whole[i])
        fail(q, "sizes of axis {} differ: {} and {}", i, shape_text(whole), shape_text(windows));
      continue;
    }
    const int64_t places = windows[i], size = windows[whole.size() + w];
    if (stride[w] < 1 || dilation[w] < 1 || places < 1 || size < 1)
      fail(q, "stride, dilation, places and sizes of windows must be at least 1");
    const __int128 last = static_cast<__int128>(places - 1) * stride[w] + static_cast<__int128>(size - 1) * dilation[w];
    if (last >= whole[i])
      fail(q, "axis {}: {} windows of {} by {} leave the size {}", i, places, size, stride[w], whole[i]);
    ++w;
  }
}

Type infer_window(const Query &q) {
  Type result = checked_type(q.dtype(), q.attrs.shape);
  need_windows(q, q.shape(), result.shape);
  return result;
}

// Indexed.

Type infer_unwindow(const Query &q) {
  need_number(q);
  Type result = checked_type(q.dtype(), q.attrs.shape);
  need_windows(q, result.shape, q.shape());
  return result;
}

// `whole` with the axes of `index` in the place of its axis.
Shape gathered_shape(const Query &q, const Shape &whole, const Shape &index) {
  need_axis(q, whole);
  need_dtype(q, 1, DType::i32);
  if (whole[q.attrs.axis] == 0)
    fail(q, "axis {} of {} is empty", q.attrs.axis, shape_text(whole));
  need_places(q, whole, q.attrs.axis);
  Shape shape(whole.begin(), whole.begin() + q.attrs.axis);
  shape.insert(shape.end(), index.begin(), index.end());
  shape.insert(shape.end(), whole.begin() + q.attrs.axis + 1, whole.end());
  return shape;
}

Type infer_gather(const Query &q) { return checked_type(q.dtype(), gathered_shape(q, q.shape(), q.shape(1))); }

Type infer_scatter_add(const Query &q) {
  need_number(q);
  Type result = checked_type(q.dtype(), q.attrs.shape);
  if (const Shape updates = gathered_shape(q, result.shape, q.shape(1)); updates != q.shape())
    fail(q, "{} is added to {} at places {}: must be {}", shape_text(q.shape()), shape_text(result.shape), shape_text(q.shape(1)),
         shape_text(updates));
  return result;
}

Type infer_argsort(const Query &q) {
  need_number(q);
  need_axis(q, q.shape());
  need_places(q, q.shape(), q.attrs.axis);
  return {DType::i32, q.shape()};
}

// Reductions.

Type without_axes(const Query &q) {
  need_increasing(q, q.attrs.axes, q.shape().size());
  Shape shape;
  for (int64_t i = 0; i < q.in[0].rank(); ++i)
    if (std::find(q.attrs.axes.begin(), q.attrs.axes.end(), i) == q.attrs.axes.end())
      shape.push_back(q.shape()[i]);
  return {q.dtype(), std::move(shape)};
}

Type reduce_numbers(const Query &q) {
  need_number(q);
  return without_axes(q);
}

Type infer_variance(const Query &q) {
  need_float(q);
  return without_axes(q);
}

Type infer_argmax(const Query &q) {
  need_number(q);
  Type result = without_axes(q);
  if (q.attrs.axes.size() != 1)
    fail(q, "exactly one axis, not {}", q.attrs.axes.size());
  if (q.shape()[q.attrs.axes[0]] == 0)
    fail(q, "axis {} of {} is empty", q.attrs.axes[0], shape_text(q.shape()));
  need_places(q, q.shape(), q.attrs.axes[0]);
  return {DType::i32, std::move(result.shape)};
}

constexpr auto infer_sum = reduce_numbers, infer_prod = reduce_numbers, infer_max = reduce_numbers, infer_min = reduce_numbers;

// Contraction.

Type infer_dot(const Query &q) {
  need_number(q);
  if (wide_dtype(q.dtype(0)) != wide_dtype(q.dtype(1)))
    fail(q, "dtypes differ: {} and {}", dtype_name(q.dtype(0)), dtype_name(q.dtype(1)));
  DotLabels labels;
  try {
    labels = parse_dot_labels(q.attrs.labels);
  } catch (const Error &error) {
    fail(q, "{}", error.what());
  }
  int64_t sizes[128];
  std::fill(std::begin(sizes), std::end(sizes), -1);
  for (int i = 0; i < 2; ++i) {
    const std::string &names = i == 0 ? labels.lhs : labels.rhs;
    if (names.size() != q.shape(i).size())
      fail(q, "labels `{}` do not fit {}", names, shape_text(q.shape(i)));
    for (size_t axis = 0; axis < names.size(); ++axis) {
      int64_t &size = sizes[static_cast<int>(names[axis])];
      if (size >= 0 && size != q.shape(i)[axis])
        fail(q, "sizes of `{}` differ: {} in {} and {} in {}", names[axis], size, shape_text(q.shape(0)), q.shape(i)[axis],
             shape_text(q.shape(1)));
      size = q.shape(i)[axis];
    }
  }
  Shape shape;
  for (char label : labels.result)
    shape.push_back(sizes[static_cast<int>(label)]);
  return checked_type(wide_dtype(q.dtype()), std::move(shape));
}

// Ops that take what is for storage only: those that move it, and the two that widen it.
bool takes_storage(Op op) {
  return is_view(op) || op == Op::gather || op == Op::select || op == Op::stop_gradient || op == Op::cast || op == Op::dot;
}

} // namespace

DotLabels parse_dot_labels(std::string_view labels) {
  DotLabels parsed;
  const size_t comma = labels.find(','), arrow = labels.find("->");
  if (comma == labels.npos || arrow == labels.npos || comma > arrow)
    throw Error(fmt::format("labels `{}` must be of the form `ab,bc->ac`", labels));
  parsed.lhs = labels.substr(0, comma);
  parsed.rhs = labels.substr(comma + 1, arrow - comma - 1);
  parsed.result = labels.substr(arrow + 2);

  for (const std::string *names : {&parsed.lhs, &parsed.rhs, &parsed.result})
    for (size_t i = 0; i < names->size(); ++i) {
      const char c = (*names)[i];
      if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')))
        throw Error(fmt::format("labels `{}` must be letters", labels));
      if (names->find(c) != i)
        throw Error(fmt::format("label `{}` stands twice in `{}`", c, *names));
    }

  const auto has = [](const std::string &names, char c) { return names.find(c) != names.npos; };
  for (char c : parsed.lhs) {
    if (has(parsed.rhs, c))
      (has(parsed.result, c) ? parsed.batch : parsed.summed) += c;
    else if (has(parsed.result, c))
      parsed.rows += c;
    else
      throw Error(fmt::format("label `{}` of `{}` stands in one operand only", c, labels));
  }
  for (char c : parsed.rhs)
    if (!has(parsed.lhs, c)) {
      if (!has(parsed.result, c))
        throw Error(fmt::format("label `{}` of `{}` stands in one operand only", c, labels));
      parsed.cols += c;
    }
  for (char c : parsed.result)
    if (!has(parsed.lhs, c) && !has(parsed.rhs, c))
      throw Error(fmt::format("label `{}` of `{}` stands in the result only", c, labels));
  return parsed;
}

Type infer_type(Op op, std::span<const Type> operands, const Attrs &attrs) {
  using Infer = Type (*)(const Query &);
  static constexpr Infer rows[] = {
      nullptr, nullptr, nullptr, nullptr, nullptr, // arg, constant, fused, grad, scan: not given by operands alone
#define OP(name, ...) infer_##name,
#include "ir/ops.def"
  };
  const Query query{op, operands, attrs};
  const Infer row = rows[static_cast<size_t>(op)];
  assert(row && "its type does not follow from its operands");
  const int expected = op_info(op).operands;
  if (expected < 0 ? operands.empty() : operands.size() != static_cast<size_t>(expected))
    fail(query, "{} operands, not {}", expected < 0 ? "at least 1" : std::to_string(expected), operands.size());
  for (const Type &type : operands)
    if (is_storage_only(type.dtype) && !takes_storage(op))
      fail(query, "{} is for storage only: cast it to {}", dtype_name(type.dtype), dtype_name(wide_dtype(type.dtype)));
  return row(query);
}

} // namespace nnc
