// The interpreter's reductions and `dot`. Axes are grouped by role; each group becomes a list of offsets, one for every
// combination of its indices in row-major order, so that an element's offset is a sum of one entry a group.
#include "ir/eval.h"
#include "ir/storage.h"

#include <algorithm>
#include <cmath>

namespace nnc {

namespace {

// Offsets of all index combinations of `axes`, the last running fastest.
std::vector<int64_t> offsets(const Shape &shape, const Shape &strides, const Shape &axes) {
  std::vector<int64_t> result = {0};
  for (int64_t axis : axes) {
    std::vector<int64_t> next;
    next.reserve(result.size() * shape[axis]);
    for (int64_t offset : result)
      for (int64_t i = 0; i < shape[axis]; ++i)
        next.push_back(offset + i * strides[axis]);
    result = std::move(next);
  }
  return result;
}

// result[o] = f(the elements that o leaves, as a range of `Reduced`)
template <typename T> struct Reduced {
  const T *data;
  const std::vector<int64_t> &offsets;
  Denormals denormals;

  int64_t size() const { return static_cast<int64_t>(offsets.size()); }
  Wide<T> operator[](int64_t i) const { return load(data[offsets[i]], denormals); }
};

template <typename Out, typename T, typename F> Tensor reduce(const EvalCall &call, F f) {
  const Tensor &operand = *call.in[0];
  const Shape &shape = operand.type.shape, &reduced = call.attrs.axes, strides = element_strides(operand);
  Shape kept;
  for (int64_t axis = 0; axis < operand.type.rank(); ++axis)
    if (std::find(reduced.begin(), reduced.end(), axis) == reduced.end())
      kept.push_back(axis);
  const std::vector<int64_t> outer = offsets(shape, strides, kept), inner = offsets(shape, strides, reduced);
  Tensor result(call.type);
  for (size_t o = 0; o < outer.size(); ++o)
    result.data<Out>()[o] = stored<Out>(f(Reduced<T>{operand.data<T>() + outer[o], inner, call.denormals}), call.denormals);
  return result;
}

// step(step(init, x0), x1)…; init is given the element type.
template <typename Init, typename Step> Tensor fold(const EvalCall &call, Init init, Step step) {
  return with_number(call.type.dtype, [&](auto t) {
    using T = decltype(t);
    return reduce<T, T>(call, [&](const Reduced<T> &elements) {
      Wide<T> accumulator = init(t);
      for (int64_t i = 0; i < elements.size(); ++i)
        accumulator = step(accumulator, elements[i]);
      return accumulator;
    });
  });
}

template <typename T> Wide<T> lowest(T) {
  return std::is_floating_point_v<T> ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
}
template <typename T> Wide<T> highest(T) {
  return std::is_floating_point_v<T> ? std::numeric_limits<T>::infinity() : std::numeric_limits<T>::max();
}

} // namespace

Tensor eval_sum(const EvalCall &call) {
  return fold(call, [](auto) { return 0; }, [](auto a, auto b) { return plus(a, b); });
}
Tensor eval_prod(const EvalCall &call) {
  return fold(call, [](auto) { return 1; }, [](auto a, auto b) { return times(a, b); });
}
Tensor eval_max(const EvalCall &call) {
  return fold(call, [](auto t) { return lowest(t); }, [](auto a, auto b) { return larger(a, b); });
}
Tensor eval_min(const EvalCall &call) {
  return fold(call, [](auto t) { return highest(t); }, [](auto a, auto b) { return smaller(a, b); });
}

Tensor eval_argmax(const EvalCall &call) {
  return with_number(call.in[0]->type.dtype, [&](auto t) {
    using T = decltype(t);
    return reduce<int32_t, T>(call, [](const Reduced<T> &elements) {
      int64_t best = 0;
      for (int64_t i = 1; i < elements.size() && elements[best] == elements[best]; ++i)
        if (!(elements[i] <= elements[best])) // larger, or NaN
          best = i;
      return best;
    });
  });
}

Tensor eval_variance(const EvalCall &call) {
  return with_float(call.type.dtype, [&](auto t) {
    using T = decltype(t);
    return reduce<T, T>(call, [](const Reduced<T> &elements) {
      const auto count = static_cast<double>(elements.size());
      double sum = 0, squares = 0;
      for (int64_t i = 0; i < elements.size(); ++i)
        sum += elements[i];
      const double mean = sum / count;
      for (int64_t i = 0; i < elements.size(); ++i)
        squares += (elements[i] - mean) * (elements[i] - mean);
      return squares / count;
    });
  });
}

namespace {

// The axes at which `labels` stand in `names`.
Shape axes_of(const std::string &labels, const std::string &names) {
  Shape axes;
  for (char label : labels)
    axes.push_back(static_cast<int64_t>(names.find(label)));
  return axes;
}

// The offsets of one operand, or of the result, by role.
std::vector<int64_t> role(const Type &type, const Shape &strides, const std::string &names, const std::string &labels) {
  return offsets(type.shape, strides, axes_of(labels, names));
}

} // namespace

Tensor eval_dot(const EvalCall &call) {
  const DotLabels labels = parse_dot_labels(call.attrs.labels);
  const Tensor lhs = to_wide(*call.in[0]), rhs = to_wide(*call.in[1]);
  const Shape lhs_strides = element_strides(lhs), rhs_strides = element_strides(rhs),
              out_strides = contiguous_strides(call.type.shape);
  const auto of_lhs = [&](const std::string &which) { return role(lhs.type, lhs_strides, labels.lhs, which); };
  const auto of_rhs = [&](const std::string &which) { return role(rhs.type, rhs_strides, labels.rhs, which); };
  const auto of_out = [&](const std::string &which) { return role(call.type, out_strides, labels.result, which); };
  const auto lhs_batch = of_lhs(labels.batch), lhs_rows = of_lhs(labels.rows), lhs_summed = of_lhs(labels.summed);
  const auto rhs_batch = of_rhs(labels.batch), rhs_cols = of_rhs(labels.cols), rhs_summed = of_rhs(labels.summed);
  const auto out_batch = of_out(labels.batch), out_rows = of_out(labels.rows), out_cols = of_out(labels.cols);

  Tensor result(call.type);
  with_number(call.type.dtype, [&](auto t) {
    using T = decltype(t);
    const size_t cols = rhs_cols.size(), summed = rhs_summed.size();
    std::vector<Wide<T>> matrix(summed * cols), row(cols); // rhs of one batch, widened once; sums of one row
    for (size_t b = 0; b < out_batch.size(); ++b) {
      const T *lhs_data = lhs.data<T>() + lhs_batch[b], *rhs_data = rhs.data<T>() + rhs_batch[b];
      T *out = result.data<T>() + out_batch[b];
      for (size_t k = 0; k < summed; ++k)
        for (size_t c = 0; c < cols; ++c)
          matrix[k * cols + c] = load(rhs_data[rhs_summed[k] + rhs_cols[c]], call.denormals);
      for (size_t r = 0; r < out_rows.size(); ++r) {
        std::fill(row.begin(), row.end(), Wide<T>());
        for (size_t k = 0; k < summed; ++k) {
          const Wide<T> a = load(lhs_data[lhs_rows[r] + lhs_summed[k]], call.denormals);
          for (size_t c = 0; c < cols; ++c)
            row[c] = plus(row[c], times(a, matrix[k * cols + c]));
        }
        for (size_t c = 0; c < cols; ++c)
          out[out_rows[r] + out_cols[c]] = stored<T>(row[c], call.denormals);
      }
    }
  });
  return result;
}

} // namespace nnc
