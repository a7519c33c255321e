// Indexing of tensors and lists with NumPy's meaning: numbers, slices and `...`, all known at compile time, and whole-number
// tensors, whose elements are checked here where they follow from constants, else by every call of the entry.
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

// `note` adds where the size comes from.
template <typename Note>
int64_t from_front(Trace &trace, const SubscriptValue &s, int64_t index, int64_t size, const std::string &of, Note note) {
  if (index < -size || index >= size) {
    note(trace.error(s.span, fmt::format("index {} is outside 0..{} of {}", index, size, of)));
    throw Poisoned{};
  }
  return index < 0 ? index + size : index;
}

// Whether the places were found in an axis of no more than `size` elements: they need no check.
bool found_within(const Draft &draft, Value places, int64_t size) {
  const Node *node = &draft.node(places);
  while (is_view(node->op) && node->operands.size() == 1)
    node = &draft.node(node->operands[0]);
  if (node->op != Op::argmax && node->op != Op::argsort)
    return false;
  const int64_t axis = node->op == Op::argmax ? node->attrs.axes[0] : node->attrs.axis;
  return draft.type(node->operands[0]).shape[axis] <= size;
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
    const std::string of = fmt::format("axis {} of {}", ranges.size(), what);
    const auto note = [&](Diagnostic &error) { note_size(error, tensor, static_cast<int64_t>(ranges.size())); };
    if (!s.index.datum.is<TensorRef>() && !s.index.datum.is<List>()) {
      ranges.push_back({from_front(trace, s, whole_number(s.index, "an index"), size, of, note), 1, 1, false});
      continue;
    }
    need_places(tensor.type, static_cast<int64_t>(ranges.size()), s.span);
    const TensorRef place = checked_places(s, size, of, note);
    for (const AxisRange &range : ranges)
      if (place.type.rank() > 0 && range.place && range.place->type.rank() > 0)
        trace.fail(s.span, fmt::format("two indices with axes of their own, {} and {}", type_text(range.place->type),
                                       type_text(place.type)));
    ranges.push_back({0, size, 1, true, place});
  }
  take_whole(tensor.type.rank() - static_cast<int64_t>(ranges.size()));
  return ranges;
}

TensorRef Emit::places(const Operand &index) {
  const TensorRef places = tensor(index, DType::i32);
  if (is_bool(places.type.dtype))
    trace.fail(index.span, fmt::format("a mask, {}, is no index; to choose, write where(mask, a, b)", type_text(places.type)));
  if (!is_integer(places.type.dtype))
    trace.fail(index.span, fmt::format("an index must be whole numbers, not {}; write i32(…)", type_text(places.type)));
  return converted(places, DType::i32, index.span);
}

void Emit::need_places(const Type &type, int64_t axis, const Span &at) {
  if (type.shape[axis] > INT32_MAX)
    trace.fail(at, fmt::format("axis {} of {} has more than the 2^31 - 1 places that an i32 can count", axis, type_text(type)));
}

// Places in an axis of `size` elements.
TensorRef Emit::checked_places(const SubscriptValue &s, int64_t size, const std::string &of,
                               const std::function<void(Diagnostic &)> &note) {
  TensorRef given = tensor(s.index, DType::i32);
  const TensorRef places = this->places({given, s.span});
  given = converted(given, wide_dtype(given.type.dtype), s.span);
  Builder &b = at(s.span);
  if (std::optional<Tensor> known = draft->known(given.value)) {
    Tensor numbers(places.type);
    for (int64_t i = 0; i < places.type.elements(); ++i)
      numbers.set_int(i, from_front(trace, s, known->get_int(i), size, of, note));
    return std::equal(numbers.bytes.begin(), numbers.bytes.end(), known->bytes.begin(), known->bytes.end())
               ? places
               : ref(b.constant(std::move(numbers)));
  }
  if (found_within(*draft, given.value, size))
    return places;
  std::optional<Value> holds;
  if (given.type.dtype != DType::u8)
    holds = b.op(Op::logical_not, {b.lt(given.value, b.constant_int(given.type, 0))});
  if (nnc::holds(given.type.dtype, static_cast<double>(size))) {
    const Value below = b.lt(given.value, b.constant_int(given.type, size));
    holds = holds ? b.op(Op::logical_and, {*holds, below}) : below;
  }
  if (holds)
    check(ref(*holds), fmt::format("index outside 0..{} of {}", size, of), s.span);
  return places;
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
  Value part = b.reshape(b.slice(tensor.value, start, shape, stride), kept);
  for (size_t i = ranges.size(), axis = kept.size(); i-- > 0;) { // backwards: axes in front keep their numbers
    axis -= ranges[i].kept;
    if (ranges[i].place)
      part = b.gather(part, ranges[i].place->value, static_cast<int64_t>(axis));
  }
  return ref(part);
}

Datum Emit::index(const Operand &base, const std::vector<SubscriptValue> &subscripts) {
  if (const auto *list = base.datum.list()) {
    if (subscripts.size() != 1 || subscripts[0].kind == Kind::ellipsis)
      trace.fail(base.span, "a list takes one index or slice");
    const auto size = static_cast<int64_t>(list->size());
    if (subscripts[0].kind == Kind::index)
      return (*list)[from_front(trace, subscripts[0], whole_number(subscripts[0].index, "an index"), size,
                                fmt::format("a list of {}", size), [](Diagnostic &) {})];
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

// The part lies in a padded tensor of x's shape, repeated along axes of which it is one index, known now or at run time; masks
// say where to take it.
TensorRef Emit::replaced(const Operand &base, const std::vector<SubscriptValue> &subscripts, const Operand &part,
                         const Span &at) {
  if (!base.datum.is<TensorRef>())
    trace.fail(base.span, fmt::format("only a part of a tensor can be assigned, not of {}", kind_text(base.datum)));
  const TensorRef x = tensor(base);
  const std::vector<AxisRange> ranges = ranges_of(x, subscripts, base.span);
  Shape start, shape, stride, kept, spread, spread_axes; // `spread`: kept, but for one index alone
  bool is_whole = true;                                  // but for places
  std::vector<std::pair<int64_t, Value>> places;         // axis, and where along it
  Builder &b = this->at(at);
  for (size_t i = 0; i < ranges.size(); ++i) {
    AxisRange range = ranges[i];
    if (range.place && range.place->type.rank() > 0)
      trace.fail(at,
                 fmt::format("the places {} name no one part; write where(…) or scatter_add(…)", type_text(range.place->type)));
    const bool one = !range.place && range.size == 1 && x.type.shape[i] > 1 && x.type.shape[i] <= INT32_MAX;
    if (range.kept && !range.place) {
      kept.push_back(range.size);
      if (!one) {
        spread.push_back(range.size);
        spread_axes.push_back(static_cast<int64_t>(i));
      }
    }
    if (range.place)
      places.emplace_back(i, range.place->value);
    if (one) {
      places.emplace_back(i, b.constant_int(Type{DType::i32, {}}, range.start));
      range = {.start = 0, .size = x.type.shape[i]};
    }
    start.push_back(range.start);
    shape.push_back(range.size);
    stride.push_back(range.stride);
    is_whole = is_whole && range.size == x.type.shape[i] && range.stride == 1;
  }
  TensorRef value = tensor(part, x.type.dtype);
  if (value.type.dtype != x.type.dtype)
    trace.fail(part.span, fmt::format("the tensor is {}, what is assigned to its part {}; write {}(…)", dtype_name(x.type.dtype),
                                      dtype_name(value.type.dtype), dtype_name(x.type.dtype)));
  if (broadcast_shapes(value.type.shape, kept) != kept) {
    Diagnostic &error =
        trace.error(at, fmt::format("the part is {}, what is assigned to it {}", shape_text(kept), shape_text(value.type.shape)));
    note_sizes(error.operand(part.span), value, kept);
    throw Poisoned{};
  }
  Value placed = broadcast(value, kept, at).value, mask;
  placed = b.broadcast(b.reshape(placed, spread), shape, spread_axes);
  if (!is_whole) {
    const auto fill = [&](DType type) { return b.constant_int(Type{type, {}}, 0); };
    placed = b.pad(placed, fill(x.type.dtype), start, x.type.shape, stride);
    mask = b.pad(b.constant_int(Type{DType::boolean, shape}, 1), fill(DType::boolean), start, x.type.shape, stride);
  }
  for (const auto &[axis, place] : places) {
    const Value here = b.eq(b.iota(DType::i32, x.type.shape, axis), b.broadcast(place, x.type.shape, {}));
    mask = mask ? b.op(Op::logical_and, {mask, here}) : here;
  }
  return mask ? ref(b.select(mask, placed, x.value)) : ref(placed);
}

} // namespace nnc
