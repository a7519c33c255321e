// Indexing of tensors and lists: numbers, slices and `...`, all known at compile time, with NumPy's meaning.
#include "frontend/emit.h"

#include <algorithm>
#include <fmt/format.h>

namespace nnc {

namespace {

using Kind = ast::Subscript::Kind;

// Python's slice of `size` elements: how many, from where, how far apart.
AxisRange slice_range(const SubscriptValue &s, int64_t size) {
  const int64_t step = s.step.value_or(1);
  const auto clamped = [&](std::optional<int64_t> at, int64_t otherwise) {
    if (!at)
      return otherwise;
    const int64_t from_front = *at < 0 ? *at + size : *at;
    return std::clamp<int64_t>(from_front, step > 0 ? 0 : -1, step > 0 ? size : size - 1);
  };
  const int64_t start = clamped(s.start, step > 0 ? 0 : size - 1), stop = clamped(s.stop, step > 0 ? size : -1);
  const int64_t distance = step > 0 ? stop - start : start - stop, by = step > 0 ? step : -step;
  return {start, distance <= 0 ? 0 : (distance - 1) / by + 1, step, true};
}

int64_t from_front(Trace &trace, const SubscriptValue &s, int64_t index, int64_t size, const std::string &of) {
  if (index < -size || index >= size)
    trace.fail(s.span, fmt::format("index {} is outside 0..{} of {}", index, size, of));
  return index < 0 ? index + size : index;
}

} // namespace

std::vector<AxisRange> Emit::ranges_of(const TensorRef &tensor, const std::vector<SubscriptValue> &subscripts, const Span &base) {
  const Shape &shape = tensor.type.shape;
  const auto is_ellipsis = [](const SubscriptValue &s) { return s.kind == Kind::ellipsis; };
  const int64_t dots = std::count_if(subscripts.begin(), subscripts.end(), is_ellipsis);
  const int64_t given = static_cast<int64_t>(subscripts.size()) - dots;
  const std::string text = operand_text(base);
  const std::string what = fmt::format("{} {}", text.empty() ? "the tensor" : text + ",", type_text(tensor.type));
  if (dots > 1)
    trace.fail(subscripts.back().span, "`...` can stand once");
  if (given > tensor.type.rank())
    trace.fail(base, fmt::format("{} indices for {}, which has {} axes", given, what, tensor.type.rank()));

  std::vector<AxisRange> ranges;
  const auto take_whole = [&](int64_t count) {
    for (; count > 0; --count)
      ranges.push_back({0, shape[ranges.size()], 1, true});
  };
  for (const SubscriptValue &s : subscripts) {
    if (s.kind == Kind::ellipsis) {
      take_whole(tensor.type.rank() - given);
      continue;
    }
    const int64_t size = shape[ranges.size()];
    if (s.kind == Kind::slice) {
      const AxisRange range = slice_range(s, size);
      if (range.size == 0)
        trace.fail(s.span, fmt::format("this slice of axis {} of {} is empty", ranges.size(), what));
      ranges.push_back(range);
      continue;
    }
    if (s.index.datum.is<TensorRef>() || s.index.datum.is<List>())
      trace.fail(s.span, "indexing with a tensor is not compiled yet");
    const int64_t index = whole_number(s.index, "an index");
    ranges.push_back({from_front(trace, s, index, size, fmt::format("axis {} of {}", ranges.size(), what)), 1, 1, false});
  }
  take_whole(tensor.type.rank() - static_cast<int64_t>(ranges.size()));
  return ranges;
}

TensorRef Emit::sliced(const TensorRef &tensor, const std::vector<AxisRange> &ranges, const Span &at) {
  Shape start, shape, stride, kept;
  for (const AxisRange &range : ranges) {
    start.push_back(range.start);
    shape.push_back(range.size);
    stride.push_back(range.stride);
    if (range.kept)
      kept.push_back(range.size);
  }
  Builder &b = this->at(at);
  return ref(b.reshape(b.slice(tensor.value, start, shape, stride), kept));
}

Datum Emit::index(const Operand &base, const std::vector<SubscriptValue> &subscripts) {
  if (const auto *list = base.datum.list()) {
    if (subscripts.size() != 1 || subscripts[0].kind == Kind::ellipsis)
      trace.fail(base.span, "a list takes one index or slice");
    const auto size = static_cast<int64_t>(list->size());
    if (subscripts[0].kind == Kind::index)
      return (*list)[from_front(trace, subscripts[0], whole_number(subscripts[0].index, "an index"), size,
                                fmt::format("a list of {}", size))];
    const AxisRange range = slice_range(subscripts[0], size);
    std::vector<Datum> items;
    for (int64_t i = 0; i < range.size; ++i)
      items.push_back((*list)[range.start + i * range.stride]);
    return make_list(std::move(items));
  }
  if (base.datum.is<DType>())
    trace.fail(base.span, "a type stands after `:` or `->` only; it is no value");
  if (!base.datum.is<TensorRef>())
    trace.fail(base.span, fmt::format("only tensors and lists can be indexed, not {}", kind_text(base.datum)));
  const TensorRef x = tensor(base);
  return sliced(x, ranges_of(x, subscripts, base.span), base.span);
}

// The part lies in a padded tensor of x's shape; a mask padded likewise says where to take it.
TensorRef Emit::replaced(const Operand &base, const std::vector<SubscriptValue> &subscripts, const Operand &part,
                         const Span &at) {
  if (!base.datum.is<TensorRef>())
    trace.fail(base.span, fmt::format("only a part of a tensor can be assigned, not of {}", kind_text(base.datum)));
  const TensorRef x = tensor(base);
  const std::vector<AxisRange> ranges = ranges_of(x, subscripts, base.span);
  Shape start, shape, stride, kept;
  for (const AxisRange &range : ranges) {
    start.push_back(range.start);
    shape.push_back(range.size);
    stride.push_back(range.stride);
    if (range.kept)
      kept.push_back(range.size);
  }
  TensorRef value = tensor(part, x.type.dtype);
  if (value.type.dtype != x.type.dtype)
    trace.fail(part.span, fmt::format("the tensor is {}, what is assigned to its part {}; write {}(…)", dtype_name(x.type.dtype),
                                      dtype_name(value.type.dtype), dtype_name(x.type.dtype)));
  if (broadcast_shapes(value.type.shape, kept) != kept)
    trace.fail(at, fmt::format("the part is {}, what is assigned to it {}", shape_text(kept), shape_text(value.type.shape)));
  Builder &b = this->at(at);
  const DType dtype = x.type.dtype;
  const Value inside = b.reshape(broadcast(value, kept, at).value, shape);
  const auto fill = [&](DType type) { return b.constant_int(Type{type, {}}, 0); };
  const Value placed = b.pad(inside, fill(dtype), start, x.type.shape, stride);
  const Value mask = b.pad(b.constant_int(Type{DType::boolean, shape}, 1), fill(DType::boolean), start, x.type.shape, stride);
  return ref(b.select(mask, placed, x.value));
}

} // namespace nnc
