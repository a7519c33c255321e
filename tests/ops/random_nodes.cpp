// The kinds of nodes, and groups of them that models have.
#include "tests/ops/node_maker.h"

#include <algorithm>
#include <numeric>

namespace nnc {

void NodeMaker::add_something() {
  switch (below(20)) {
  case 0:
  case 1:
    return add_unary();
  case 2:
  case 3:
  case 4:
  case 5:
    return add_binary();
  case 6:
    return add_mask();
  case 7:
  case 8:
    return add_reduction();
  case 9:
  case 10:
  case 11:
    return add_view();
  case 12:
    return add_normalisation();
  case 13:
  case 14:
    return add_dot();
  case 15:
  case 16:
    return add_indexed();
  case 17:
    return add_windows();
  case 18:
    return add_loop();
  default:
    return add_layer();
  }
}

void NodeMaker::add_unary() {
  static const std::vector<Op> ops = {Op::neg,   Op::abs,  Op::exp,   Op::expm1,         Op::log,       Op::log1p,
                                      Op::sin,   Op::cos,  Op::atan,  Op::tanh,          Op::erf,       Op::sigmoid,
                                      Op::floor, Op::sqrt, Op::round, Op::stop_gradient, Op::normal_cdf};
  apply(one_of(ops), {some_float()});
}

void NodeMaker::add_binary() {
  const Value x = some_value_where([&](Value v) { return !is_bool(dtype(v)); });
  if (!x)
    return;
  static const std::vector<Op> floats = {Op::add, Op::sub, Op::mul, Op::div, Op::maximum, Op::minimum, Op::muladd, Op::pow};
  static const std::vector<Op> integers = {Op::add, Op::sub, Op::mul, Op::div, Op::rem, Op::maximum, Op::minimum};
  const Op op = one_of(is_float(dtype(x)) ? floats : integers);
  const Type type = builder_.type(x);
  std::vector<Value> operands = {x, operand_like(type)};
  if (op == Op::muladd)
    operands.push_back(operand_like(type));
  if (chance(50))
    std::swap(operands[0], operands[1]);
  apply(op, operands);
}

void NodeMaker::add_mask() {
  const Value x = some_value();
  const Type type = builder_.type(x);
  Value mask = is_bool(type.dtype) ? apply(chance(50) ? Op::logical_and : Op::logical_or, {x, operand_like(type)})
                                   : apply(chance(80) ? Op::lt : Op::eq, {x, operand_like(type)});
  if (mask && chance(20))
    mask = apply(Op::logical_not, {mask});
  if (!mask || chance(20))
    return;
  const Value branch = some_value();
  const Type result{dtype(branch), type.shape};
  apply(Op::select, {mask, operand_like(result), operand_like(result)});
}

void NodeMaker::add_reduction() {
  const Value x = some_value_where([&](Value v) { return rank(v) > 0 && !is_bool(dtype(v)); });
  if (!x)
    return;
  const Shape axes = some_axes(x);
  Value r;
  if (chance(15))
    r = apply(Op::argmax, {x}, {.axes = {axes[0]}});
  else if (chance(15) && is_float(dtype(x)))
    r = apply(Op::variance, {x}, {.axes = axes});
  else if (chance(10) && shape(x)[axes[0]] <= 12) // more factors may overflow in another order
    r = apply(Op::prod, {x}, {.axes = {axes[0]}});
  else
    r = reduced(x, axes);
  if (r && chance(40) && dtype(r) == dtype(x) && rank(r) + static_cast<int>(axes.size()) == rank(x))
    apply(chance(50) ? Op::sub : Op::add, {x, back(r, shape(x), axes)});
}

void NodeMaker::add_view() {
  const Value x = some_value();
  switch (below(7)) {
  case 0: {
    Shape axes(rank(x));
    std::iota(axes.begin(), axes.end(), 0);
    for (size_t i = axes.size(); i > 1; --i)
      std::swap(axes[i - 1], axes[below(static_cast<int64_t>(i))]);
    apply(Op::transpose, {x}, {.axes = axes});
    return;
  }
  case 1: {
    Shape to, start, stride;
    for (int64_t size : shape(x)) {
      const int64_t step = 1 + below(3), count = 1 + below((size - 1) / step + 1), reach = (count - 1) * step;
      const int64_t first = below(size - reach);
      const bool backward = chance(30);
      to.push_back(count);
      start.push_back(backward ? first + reach : first);
      stride.push_back(backward ? -step : step);
    }
    apply(Op::slice, {x}, {.shape = to, .start = start, .stride = stride});
    return;
  }
  case 2:
    reshape(x);
    return;
  case 3: {
    Shape to = shape(x), axes(rank(x));
    std::iota(axes.begin(), axes.end(), 0);
    for (int64_t n = 1 + below(2); n > 0; --n) {
      const int64_t at = below(static_cast<int64_t>(to.size()) + 1);
      to.insert(to.begin() + at, one_of(sizes_.sizes));
      for (int64_t &axis : axes)
        axis += axis >= at;
    }
    apply(Op::broadcast, {x}, {.axes = axes, .shape = to});
    return;
  }
  case 4: {
    Shape to, start, stride;
    for (int64_t size : shape(x)) {
      const int64_t step = chance(25) ? 2 : 1, before = below(3), after = below(3), reach = (size - 1) * step + 1;
      const bool backward = chance(20);
      to.push_back(before + reach + after);
      start.push_back(backward ? before + reach - 1 : before);
      stride.push_back(backward ? -step : step);
    }
    Value fill = chance(70) ? some_number({dtype(x), {}})
                            : some_value_where([&](Value v) { return builder_.type(v) == Type{dtype(x), {}}; });
    apply(Op::pad, {x, fill}, {.shape = to, .start = start, .stride = stride});
    return;
  }
  case 5: {
    if (rank(x) == 0)
      return;
    const int64_t axis = below(rank(x));
    std::vector<Value> parts = {x};
    for (int64_t n = 1 + below(2); n > 0; --n) {
      Type type = builder_.type(x);
      type.shape[axis] = chance(50) ? type.shape[axis] : one_of(sizes_.sizes);
      parts.insert(parts.begin() + below(static_cast<int64_t>(parts.size()) + 1), chance(20) ? x : operand_like(type));
    }
    apply(Op::concat, parts, {.axis = axis});
    return;
  }
  default: {
    const Shape to = shape(x).empty() ? Shape{one_of(sizes_.sizes)} : shape(x);
    const Value index = apply(Op::iota, {}, {.shape = to, .axis = below(static_cast<int64_t>(to.size())), .dtype = DType::i32});
    if (is_float(dtype(x)))
      apply(Op::div, {cast(index, dtype(x)), some_number({dtype(x), to})});
  }
  }
}

// Axes joined or split.
Value NodeMaker::reshape(Value x) {
  Shape to = shape(x);
  if (to.size() >= 2 && chance(60)) {
    const size_t at = below(static_cast<int64_t>(to.size()) - 1);
    to[at] *= to[at + 1];
    to.erase(to.begin() + static_cast<int64_t>(at) + 1);
  } else {
    for (size_t i = 0; i < to.size(); ++i)
      for (int64_t part : {2, 3, 4, 5})
        if (to[i] % part == 0 && chance(50)) {
          to[i] /= part;
          to.insert(to.begin() + static_cast<int64_t>(i) + 1, part);
          return apply(Op::reshape, {x}, {.shape = to});
        }
    to.insert(to.begin() + below(static_cast<int64_t>(to.size()) + 1), 1);
  }
  return apply(Op::reshape, {x}, {.shape = to});
}

// softmax, layer norm, or cross entropy.
void NodeMaker::add_normalisation() {
  const Value x = some_value_where([&](Value v) { return is_float(dtype(v)) && rank(v) > 0; });
  if (!x)
    return;
  const Shape axes = chance(70) ? Shape{rank(x) - 1} : some_axes(x), full = shape(x);
  if (chance(40)) {
    const Value total = apply(Op::sum, {x}, {.axes = axes});
    if (!total)
      return;
    int64_t count = 1;
    for (int64_t axis : axes)
      count *= full[axis];
    const Value average = apply(Op::mul, {total, constant(builder_.type(total), 1.0 / static_cast<double>(count))});
    const Value centred = apply(Op::sub, {x, back(average, full, axes)});
    const Value variance = apply(Op::variance, {x}, {.axes = axes});
    if (!variance)
      return;
    const Value root = apply(Op::sqrt, {apply(Op::add, {variance, constant(builder_.type(variance), 0.01)})});
    apply(Op::div, {centred, back(root, full, axes)});
    return;
  }
  const Value most = apply(Op::max, {x}, {.axes = axes});
  const Value e = apply(Op::exp, {apply(Op::sub, {x, back(most, full, axes)})});
  const Value total = e ? apply(Op::sum, {e}, {.axes = axes}) : Value{};
  if (chance(70)) {
    apply(Op::div, {e, back(total, full, axes)});
  } else if (const Value log = apply(Op::log, {total})) {
    const Value index = apply(Op::iota, {}, {.shape = full, .axis = axes[0], .dtype = DType::i32});
    Type labels{DType::i32, shape(log)};
    const Value hit = apply(Op::eq, {index, back(operand_like(labels), full, axes)});
    const Value picked = apply(Op::select, {hit, x, constant(builder_.type(x), 0)});
    apply(Op::sub, {log, picked ? apply(Op::sum, {picked}, {.axes = axes}) : Value{}});
  }
}

void NodeMaker::add_dot() {
  const Value x = some_value_where([&](Value v) { return !is_bool(dtype(v)); });
  Value y = some_value_where([&](Value v) { return !is_bool(dtype(v)); });
  if (!x || !y)
    return;
  if (wide_dtype(dtype(x)) != wide_dtype(dtype(y)))
    y = cast(y, wide_dtype(dtype(x)));
  if (!y)
    return;
  std::string lhs, rhs, result;
  for (int i = 0; i < rank(x); ++i)
    lhs += static_cast<char>('a' + i);
  for (int i = 0; i < rank(y); ++i) {
    char label = static_cast<char>('n' + i);
    for (int j = 0; j < rank(x); ++j)
      if (shape(x)[j] == shape(y)[i] && rhs.find(lhs[j]) == std::string::npos && label >= 'n' && chance(75))
        label = lhs[j];
    rhs += label;
  }
  for (char label : lhs)
    if (rhs.find(label) == std::string::npos || chance(25))
      result += label;
  for (char label : rhs)
    if (lhs.find(label) == std::string::npos)
      result += label;
  for (size_t i = result.size(); i > 1; --i)
    if (chance(40))
      std::swap(result[i - 1], result[below(static_cast<int64_t>(i))]);
  apply(Op::dot, {x, y}, {.labels = lhs + "," + rhs + "->" + result});
}

// Entries at places that are read from data, entries added up there, the order of a row.
void NodeMaker::add_indexed() {
  const Value x = some_value_where([&](Value v) { return rank(v) > 0; });
  if (!x)
    return;
  const int64_t axis = below(rank(x));
  if (!is_bool(dtype(x)) && chance(20)) {
    apply(Op::argsort, {x}, {.axis = axis});
  } else if (!is_bool(dtype(x)) && chance(50)) {
    const int64_t count = below(rank(x) - axis + 1);
    Shape index(shape(x).begin() + axis, shape(x).begin() + axis + count), whole = shape(x);
    whole.erase(whole.begin() + axis, whole.begin() + axis + count);
    whole.insert(whole.begin() + axis, one_of(sizes_.sizes));
    if (element_count(whole) <= sizes_.most_elements)
      apply(Op::scatter_add, {x, operand_like({DType::i32, index})}, {.shape = whole, .axis = axis});
  } else {
    Shape index;
    for (int64_t r = below(3); r > 0; --r)
      index.push_back(one_of(sizes_.sizes));
    if (element_count(index) <= sizes_.most_elements)
      apply(Op::gather, {x, operand_like({DType::i32, index})}, {.axis = axis});
  }
}

// Windows: reduced, multiplied by weights, or changed and added up again.
void NodeMaker::add_windows() {
  const Value x = some_value_where([&](Value v) { return is_float(dtype(v)) && rank(v) >= 1 && rank(v) <= 4; });
  if (!x)
    return;
  Attrs attrs;
  attrs.shape = shape(x);
  Shape sizes;
  for (int64_t axis = 0; axis < rank(x); ++axis) {
    if (attrs.axes.size() == 2 || (chance(50) && !(attrs.axes.empty() && axis + 1 == rank(x))))
      continue;
    const int64_t length = shape(x)[axis], size = 1 + below(std::min<int64_t>(3, length));
    const int64_t dilation = 2 * (size - 1) < length ? 1 + below(2) : 1;
    attrs.axes.push_back(axis);
    attrs.stride.push_back(1 + below(3));
    attrs.dilation.push_back(dilation);
    sizes.push_back(size);
    attrs.shape[axis] = (length - (size - 1) * dilation - 1) / attrs.stride.back() + 1;
  }
  attrs.shape.insert(attrs.shape.end(), sizes.begin(), sizes.end());
  if (element_count(attrs.shape) > sizes_.most_elements)
    return;
  const Value windows = apply(Op::window, {x}, attrs);
  if (!windows)
    return;
  std::string labels, weights, result;
  Shape along;
  for (int64_t axis = 0; axis < rank(windows); ++axis) {
    const char label = static_cast<char>('a' + axis);
    labels += label;
    if (axis >= rank(x)) {
      along.push_back(axis);
      weights += label;
    } else {
      result += label;
    }
  }
  switch (below(3)) {
  case 0:
    reduced(windows, along);
    return;
  case 1:
    sizes.push_back(1 + below(4));
    apply(Op::dot, {windows, operand_like({dtype(x), sizes})}, {.labels = labels + "," + weights + "z->" + result + "z"});
    return;
  default:
    attrs.shape = shape(x);
    if (const Value y = chance(50) ? windows : apply(Op::mul, {windows, operand_like(builder_.type(windows))}))
      apply(Op::unwindow, {y}, attrs);
  }
}

// dot + bias, an activation.
void NodeMaker::add_layer() {
  const Value x = some_value_where([&](Value v) { return is_float(dtype(v)) && rank(v) == 2; });
  if (!x)
    return;
  const Type weights{dtype(x), {shape(x)[1], one_of(sizes_.sizes)}};
  if (weights.elements() > sizes_.most_elements)
    return;
  const Value z = apply(Op::dot, {x, operand_like(weights)}, {.labels = "bi,io->bo"});
  if (!z)
    return;
  Value a = apply(Op::add, {z, back(operand_like({dtype(z), {shape(z)[1]}}), shape(z), {0})});
  if (!a)
    return;
  a = chance(50) ? apply(Op::tanh, {a}) : apply(Op::maximum, {a, constant(builder_.type(a), 0)});
  if (a && chance(50))
    reduced(a, {below(2)});
}

} // namespace nnc
