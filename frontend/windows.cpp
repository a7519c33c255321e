// Builtins about windows and frames, what convolutions and pools are made of: pad(x, widths, value), window(x, axes, sizes,
// stride, dilation) and its transpose unwindow(x, axes, sizes, stride, dilation).
#include "frontend/builtins.h"

#include "frontend/lowering.h"

#include <algorithm>
#include <fmt/format.h>

namespace nnc {

namespace {

Emit &emit(const BuiltinCall &c) { return c.lowering.emit; }

// Of argument i, a number for each of `count` axes: one for all, or a list.
Shape numbers_for(const BuiltinCall &c, size_t i, size_t count, std::string_view what, int64_t otherwise) {
  if (!c.has(i))
    return Shape(count, otherwise);
  Shape numbers = emit(c).whole_numbers(c[i], what);
  if (!c[i].datum.is<List>())
    numbers.resize(count, numbers[0]);
  if (numbers.size() != count)
    emit(c).trace.fail(c[i].span, fmt::format("{} numbers for {} axes", numbers.size(), count));
  for (int64_t number : numbers)
    if (number < 1)
      emit(c).trace.fail(c[i].span, fmt::format("{} must be at least 1, not {}", what, number));
  return numbers;
}

// Axes of a tensor of this type in the order given, which is that of the sizes beside them: from front to back.
Shape sliding_axes(const BuiltinCall &c, const Type &type) {
  Shape axes = emit(c).whole_numbers(c[1], "an axis");
  emit(c).axes_of(TensorRef{{}, type}, c[1]); // in range, and none twice
  for (int64_t &axis : axes)
    axis += axis < 0 ? type.rank() : 0;
  if (!std::ranges::is_sorted(axes))
    emit(c).trace.fail(c[1].span, fmt::format("the axes of `{}` must stand from front to back", c.builtin.name));
  return axes;
}

// The first and last width of a frame along one axis.
std::pair<int64_t, int64_t> widths_of(const BuiltinCall &c, const Datum &datum) {
  const Shape widths = emit(c).whole_numbers({datum, c[1].span}, "a width");
  if (widths.empty() || widths.size() > 2)
    emit(c).trace.fail(c[1].span,
                       fmt::format("the widths of an axis are a number or [before, after], not {}", datum_text(datum)));
  for (int64_t width : widths)
    if (width < 0)
      emit(c).trace.fail(c[1].span, fmt::format("a width must be at least 0, not {}; to cut, write x[a:b]", width));
  return {widths.front(), widths.back()};
}

} // namespace

Datum pad(const BuiltinCall &c) {
  const Operand number{0.0, c.at};
  const std::vector<TensorRef> operands = emit(c).unify({c[0], c.has(2) ? c[2] : number}, c.at);
  const TensorRef &x = operands[0], &value = operands[1];
  if (value.type.rank() != 0)
    emit(c).trace.fail(c[2].span, fmt::format("`pad` fills with one number, not with {}", type_text(value.type)));
  const auto *list = c[1].datum.list();
  if (list && static_cast<int>(list->size()) != x.type.rank())
    emit(c).trace.fail(c[1].span, fmt::format("widths for {} axes of {}", list->size(), type_text(x.type)));
  Shape start, shape = x.type.shape;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    const auto [before, after] = widths_of(c, list ? (*list)[axis] : c[1].datum);
    start.push_back(before);
    shape[axis] += before + after; // below 2^47 + 2 * 2^53
  }
  const Shape ones(shape.size(), 1);
  return emit(c).ref(emit(c).at(c.at).pad(x.value, value.value, start, shape, ones));
}

Datum window(const BuiltinCall &c) {
  const TensorRef x = emit(c).tensor(c[0]);
  const Shape axes = sliding_axes(c, x.type);
  const Shape sizes = numbers_for(c, 2, axes.size(), "the size of a window", 1);
  const Shape stride = numbers_for(c, 3, axes.size(), "the stride", 1);
  const Shape dilation = numbers_for(c, 4, axes.size(), "the dilation", 1);
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t size = x.type.shape[axes[i]];
    const __int128 span = static_cast<__int128>(sizes[i] - 1) * dilation[i] + 1;
    if (span > size) {
      Diagnostic &error = emit(c).trace.error(
          c.at, fmt::format("a window of {}{} is larger than the input of {} along axis {}", sizes[i],
                            dilation[i] == 1 ? "" : fmt::format(", every {}. element,", dilation[i]), size, axes[i]));
      emit(c).note_size(error, x, axes[i]);
      throw Poisoned{};
    }
  }
  return emit(c).ref(emit(c).at(c.at).window(x.value, axes, sizes, stride, dilation));
}

Datum unwindow(const BuiltinCall &c) {
  const TensorRef x = emit(c).tensor(c[0]);
  const int64_t axis_count = static_cast<int64_t>(emit(c).whole_numbers(c[1], "an axis").size());
  if (axis_count >= x.type.rank())
    emit(c).trace.fail(c.at, fmt::format("{} holds no windows along {} axes", type_text(x.type), axis_count));
  Type whole{x.type.dtype, Shape(x.type.shape.begin(), x.type.shape.end() - axis_count)};
  if (is_bool(whole.dtype))
    emit(c).trace.fail(c[0].span, fmt::format("`unwindow` of {}; write i32(…)", type_text(x.type)));
  emit(c).need_arithmetic(c.builtin.name, {c[0]}, c.at);
  const Shape axes = sliding_axes(c, whole);
  const Shape sizes = numbers_for(c, 2, axes.size(), "a size", 1);
  const Shape stride = numbers_for(c, 3, axes.size(), "the stride", 1);
  const Shape dilation = numbers_for(c, 4, axes.size(), "the dilation", 1);
  const size_t rank = whole.shape.size();
  for (size_t i = 0; i < axes.size(); ++i) {
    const __int128 needed = static_cast<__int128>(x.type.shape[axes[i]] - 1) * stride[i] +
                            static_cast<__int128>(x.type.shape[rank + i] - 1) * dilation[i] + 1;
    if (needed > sizes[i])
      emit(c).trace.fail(c[2].span, fmt::format("{} windows of {} need {} elements along axis {}, not {}", x.type.shape[axes[i]],
                                                x.type.shape[rank + i],
                                                static_cast<int64_t>(std::min<__int128>(needed, INT64_MAX)), axes[i], sizes[i]));
    whole.shape[axes[i]] = sizes[i];
  }
  return emit(c).ref(emit(c).at(c.at).unwindow(x.value, axes, whole.shape, stride, dilation));
}

} // namespace nnc
