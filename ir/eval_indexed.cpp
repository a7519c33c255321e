// The interpreter's indexed ops: windows and their transpose, gather and its transpose, argsort. Written as their definitions
// say, element by element, for they are what generated code is held against.
#include "ir/eval.h"

#include <numeric>

namespace nnc {

namespace {

// Index of an element by its coordinates, in row-major order.
int64_t flat(const Shape &shape, const Shape &at) {
  int64_t index = 0;
  for (size_t i = 0; i < shape.size(); ++i)
    index = index * shape[i] + at[i];
  return index;
}

// Calls visit(coordinates) for every element in row-major order.
template <typename F> void for_elements(const Shape &shape, F visit) {
  Shape at(shape.size(), 0);
  for (int64_t left = element_count(shape); left > 0; --left) {
    visit(at);
    for (size_t i = shape.size(); i-- > 0 && ++at[i] == shape[i];)
      at[i] = 0;
  }
}

// Where the element `at` of the windows lies in the tensor that they slide over.
Shape place_of(const Shape &at, const Attrs &attrs) {
  const size_t rank = at.size() - attrs.axes.size();
  Shape place(at.begin(), at.begin() + rank);
  for (size_t i = 0; i < attrs.axes.size(); ++i)
    place[attrs.axes[i]] = at[attrs.axes[i]] * attrs.stride[i] + at[rank + i] * attrs.dilation[i];
  return place;
}

// The element of `whole` that belongs to the element `at` of what is gathered from it along the axis.
Shape source_of(const Shape &at, const Tensor &index, int64_t axis, const Shape &whole) {
  const int64_t index_rank = index.type.rank();
  const Shape of_index(at.begin() + axis, at.begin() + axis + index_rank);
  Shape place(at.begin(), at.begin() + axis);
  place.push_back(std::clamp<int64_t>(index.get_int(flat(index.type.shape, of_index)), 0, whole[axis] - 1));
  place.insert(place.end(), at.begin() + axis + index_rank, at.end());
  return place;
}

// result[target(at)] is the sum of a[at], in the order of at; what is added is as wide as `eval` computes.
template <typename Target> Tensor add_up(const EvalCall &call, Target target) {
  const Tensor a = expanded(*call.in[0]);
  Tensor result(call.type);
  with_number(call.type.dtype, [&](auto t) {
    using T = decltype(t);
    std::vector<Wide<T>> sums(call.type.elements(), 0);
    const Elements<T> from(a, call.denormals);
    int64_t i = 0;
    for_elements(a.type.shape, [&](const Shape &at) {
      Wide<T> &sum = sums[flat(call.type.shape, target(at))];
      sum = plus(sum, from[i++]);
    });
    for (size_t k = 0; k < sums.size(); ++k)
      result.data<T>()[k] = stored<T>(sums[k], call.denormals);
  });
  return result;
}

// result[at] = a[source(at)]
template <typename Source> Tensor pick(const EvalCall &call, Source source) {
  const Tensor a = expanded(*call.in[0]);
  Tensor result(call.type);
  const size_t bytes = dtype_size(call.type.dtype);
  int64_t i = 0;
  for_elements(call.type.shape, [&](const Shape &at) {
    const int64_t from = flat(a.type.shape, source(at));
    std::copy_n(a.bytes.begin() + from * bytes, bytes, result.bytes.begin() + i++ * bytes);
  });
  return result;
}

} // namespace

Tensor eval_window(const EvalCall &call) {
  return pick(call, [&](const Shape &at) { return place_of(at, call.attrs); });
}

Tensor eval_unwindow(const EvalCall &call) {
  return add_up(call, [&](const Shape &at) { return place_of(at, call.attrs); });
}

Tensor eval_gather(const EvalCall &call) {
  const Tensor index = expanded(*call.in[1]);
  return pick(call, [&](const Shape &at) { return source_of(at, index, call.attrs.axis, call.in[0]->type.shape); });
}

Tensor eval_scatter_add(const EvalCall &call) {
  const Tensor index = expanded(*call.in[1]);
  return add_up(call, [&](const Shape &at) { return source_of(at, index, call.attrs.axis, call.type.shape); });
}

Tensor eval_argsort(const EvalCall &call) {
  const Tensor a = expanded(*call.in[0]);
  Tensor result(call.type);
  const int64_t axis = call.attrs.axis, size = call.type.shape[axis];
  Shape rows = call.type.shape;
  rows[axis] = 1;
  with_number(a.type.dtype, [&](auto t) {
    using T = decltype(t);
    const Elements<T> elements(a, Denormals::keep); // keys are bits
    for_elements(rows, [&](Shape at) {
      std::vector<Wide<T>> row(size);
      std::vector<int64_t> places(size), order(size);
      for (int64_t i = 0; i < size; ++i) {
        at[axis] = i;
        places[i] = flat(call.type.shape, at);
        row[i] = elements[places[i]];
      }
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int64_t x, int64_t y) {
        return row[x] < row[y] || (row[x] == row[x] && row[y] != row[y]); // NaN last
      });
      for (int64_t i = 0; i < size; ++i)
        result.set_int(places[i], order[i]);
    });
  });
  return result;
}

} // namespace nnc
