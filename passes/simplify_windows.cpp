// Simplify rules for windows. Where they lie apart, every element is read once and the window is a matter of naming axes. What a
// convolution gives back to its input, the sum of windows, is a convolution of the frame around the gradient with the weights
// turned round: no kernel has to write one place twice. And slices go to where less is computed.
#include "passes/simplify.h"

#include <algorithm>
#include <numeric>

namespace nnc {

namespace {

bool has(const std::string &labels, char label) { return labels.find(label) != labels.npos; }

// Windows over `whole` axis by axis: those axes whose windows lie apart are cut in two, [places, size], the others stay.
struct Cut {
  Attrs rest;       // of the windows along the axes that stay, as axes of `pieces`
  Shape used, step; // of the slice that the pieces are made of: sizes and strides
  Shape pieces;     // its shape once cut
  Shape order;      // of the axes of windows as the op has them: where each lies among `pieces` and, behind, the sizes that stay
  bool found = false;
};

Cut cut(const Shape &whole, const Shape &windows, const Attrs &attrs) {
  Cut cut;
  cut.used = whole;
  cut.step = Shape(whole.size(), 1);
  Shape sizes; // of the windows that stay
  const size_t rank = whole.size(), count = attrs.axes.size();
  std::vector<int64_t> size_place(count, -1); // where the sizes of the windows lie
  for (size_t axis = 0, i = 0; axis < rank; ++axis) {
    cut.order.push_back(cut.pieces.size());
    if (i == count || attrs.axes[i] != static_cast<int64_t>(axis)) {
      cut.pieces.push_back(whole[axis]);
      cut.rest.shape.push_back(whole[axis]);
      continue;
    }
    const int64_t places = windows[axis], size = windows[rank + i];
    if (size == 1 || (attrs.stride[i] == size && attrs.dilation[i] == 1)) {
      cut.found = true;
      cut.used[axis] = places * size;
      cut.step[axis] = size == 1 ? attrs.stride[i] : 1;
      cut.pieces.push_back(places);
      size_place[i] = cut.pieces.size();
      cut.pieces.push_back(size);
      cut.rest.shape.insert(cut.rest.shape.end(), {places, size});
    } else {
      cut.rest.axes.push_back(cut.pieces.size());
      cut.rest.stride.push_back(attrs.stride[i]);
      cut.rest.dilation.push_back(attrs.dilation[i]);
      sizes.push_back(size);
      cut.pieces.push_back(whole[axis]);
      cut.rest.shape.push_back(places);
    }
    ++i;
  }
  cut.rest.shape.insert(cut.rest.shape.end(), sizes.begin(), sizes.end());
  int64_t behind = cut.pieces.size();
  for (int64_t place : size_place)
    cut.order.push_back(place >= 0 ? place : behind++);
  return cut;
}

// window(x) = transpose(reshape(slice(x))) along axes where windows lie apart
Value window_apart(Simplifier &s, const Node &node) {
  const Shape whole = s.shape(node.operands[0]);
  const Cut c = cut(whole, node.type().shape, node.attrs);
  if (!c.found)
    return {};
  const Value slice = s.build.slice(node.operands[0], Shape(whole.size()), c.used, c.step);
  Value v = s.build.reshape(slice, c.pieces);
  if (!c.rest.axes.empty())
    v = s.build.op(Op::window, {v}, c.rest);
  return s.build.transpose(v, c.order);
}

// unwindow(x) = pad(reshape(transpose(x)), 0) along axes where windows lie apart
Value unwindow_apart(Simplifier &s, const Node &node) {
  const Shape whole = node.type().shape;
  const Cut c = cut(whole, s.shape(node.operands[0]), node.attrs);
  if (!c.found)
    return {};
  Shape back(c.order.size());
  for (size_t axis = 0; axis < back.size(); ++axis)
    back[c.order[axis]] = axis;
  Value v = s.build.transpose(node.operands[0], back);
  if (!c.rest.axes.empty())
    v = s.build.unwindow(v, c.rest.axes, c.pieces, c.rest.stride, c.rest.dilation);
  const Value zero = s.build.constant({node.type().dtype, {}}, 0);
  return s.build.pad(s.build.reshape(v, c.used), zero, Shape(whole.size()), whole, c.step);
}

// A dot, or a product that repeats its factors, which is a dot that sums nothing.
struct Product {
  Value factor[2];
  std::string labels[2], result;
};

std::optional<Product> product_of(Simplifier &s, Value v) {
  if (s.is(v, Op::dot)) {
    const DotLabels labels = parse_dot_labels(s.attrs(v).labels);
    return Product{{s.operand(v, 0), s.operand(v, 1)}, {labels.lhs, labels.rhs}, labels.result};
  }
  if (!s.is(v, Op::mul) || s.shape(v).size() > 26)
    return std::nullopt;
  Product product;
  for (int k : {0, 1}) {
    const Value factor = s.operand(v, k);
    if (!s.is(factor, Op::broadcast))
      return std::nullopt;
    product.factor[k] = s.operand(factor);
    for (int64_t axis : s.attrs(factor).axes)
      product.labels[k] += static_cast<char>('a' + axis);
  }
  for (size_t axis = 0; axis < s.shape(v).size(); ++axis) {
    product.result += static_cast<char>('a' + axis);
    if (!has(product.labels[0] + product.labels[1], product.result.back()))
      return std::nullopt;
  }
  return product;
}

// unwindow(dot(y, w)) = dot(window(pad(y, 0)), w turned round), where y has the places and w the elements of the windows:
// result[i] is the sum of y[o] w[r] with o * stride + r * dilation = i, so y is laid out with `stride` between its elements and
// a frame as wide as all windows but one element, and read by windows of the same dilation from the last r to the first.
Value unwindow_dot(Simplifier &s, const Node &node) {
  const std::optional<Product> product = product_of(s, node.operands[0]);
  if (!product)
    return {};
  const size_t rank = node.type().shape.size();
  const Shape &axes = node.attrs.axes;
  for (int k : {0, 1}) {
    const std::string &of_y = product->labels[k], &of_w = product->labels[1 - k];
    bool fits = true;
    for (size_t i = 0; i < axes.size(); ++i) {
      const char place = product->result[axes[i]], element = product->result[rank + i];
      fits = fits && has(of_y, place) && !has(of_w, place) && has(of_w, element) && !has(of_y, element);
    }
    if (!fits)
      continue;
    Shape spread = s.shape(product->factor[k]), turned = s.shape(product->factor[1 - k]);
    Shape start(spread.size()), stride(spread.size(), 1), first(turned.size()), direction(turned.size(), 1);
    Shape along, sizes, dilation; // of the windows over y
    std::string windows = of_y;
    for (size_t axis = 0; axis < of_y.size(); ++axis)
      for (size_t i = 0; i < axes.size(); ++i)
        if (of_y[axis] == product->result[axes[i]]) {
          const char element = product->result[rank + i];
          const size_t at = of_w.find(element);
          along.push_back(axis);
          sizes.push_back(turned[at]);
          dilation.push_back(node.attrs.dilation[i]);
          windows += element;
          start[axis] = (turned[at] - 1) * node.attrs.dilation[i];
          stride[axis] = node.attrs.stride[i];
          spread[axis] = node.type().shape[axes[i]] + start[axis];
          first[at] = turned[at] - 1;
          direction[at] = -1;
        }
    const Value zero = s.build.constant({s.dtype(product->factor[k]), {}}, 0);
    const Value frame = s.build.pad(product->factor[k], zero, start, spread, stride);
    const Value y = s.build.window(frame, along, sizes, Shape(sizes.size(), 1), dilation);
    const Value w = s.build.slice(product->factor[1 - k], first, turned, direction);
    const std::string result = product->result.substr(0, rank);
    return k == 0 ? s.build.dot(y, w, windows + "," + of_w + "->" + result)
                  : s.build.dot(w, y, of_w + "," + windows + "->" + result);
  }
  return {};
}

// slice(window(x)) = window(slice(x))
Value slice_window(Simplifier &s, const Node &node) {
  const Value windows = node.operands[0];
  if (!s.is(windows, Op::window))
    return {};
  const Attrs window = s.attrs(windows);
  const Value x = s.operand(windows);
  const size_t rank = s.shape(x).size();
  Shape start(node.attrs.start.begin(), node.attrs.start.begin() + rank);
  Shape shape(node.type().shape.begin(), node.type().shape.begin() + rank);
  Shape step(node.attrs.stride.begin(), node.attrs.stride.begin() + rank), sizes, stride, dilation;
  for (size_t i = 0; i < window.axes.size(); ++i) {
    const int64_t axis = window.axes[i];
    if (step[axis] < 1 || node.attrs.stride[rank + i] < 1)
      return {};
    sizes.push_back(node.type().shape[rank + i]);
    stride.push_back(step[axis] * window.stride[i]);
    dilation.push_back(node.attrs.stride[rank + i] * window.dilation[i]);
    start[axis] = start[axis] * window.stride[i] + node.attrs.start[rank + i] * window.dilation[i];
    shape[axis] = (shape[axis] - 1) * stride[i] + (sizes[i] - 1) * dilation[i] + 1;
    step[axis] = 1;
  }
  return s.build.window(s.build.slice(x, start, shape, step), window.axes, sizes, stride, dilation);
}

// slice(dot(x, y)) = dot(slice(x), slice(y)): less is multiplied
Value slice_dot(Simplifier &s, const Node &node) {
  const Value dot = node.operands[0];
  if (!s.is(dot, Op::dot) || !s.single_use(dot))
    return {};
  const std::string all = s.attrs(dot).labels;
  const DotLabels labels = parse_dot_labels(all);
  Value operands[2];
  for (int k : {0, 1}) {
    const std::string &names = k == 0 ? labels.lhs : labels.rhs;
    Shape shape = s.shape(s.operand(dot, k)), start(shape.size()), stride(shape.size(), 1);
    for (size_t axis = 0; axis < names.size(); ++axis)
      if (const size_t at = labels.result.find(names[axis]); at != labels.result.npos) {
        start[axis] = node.attrs.start[at];
        stride[axis] = node.attrs.stride[at];
        shape[axis] = node.type().shape[at];
      }
    operands[k] = s.build.slice(s.operand(dot, k), start, shape, stride);
  }
  return s.build.dot(operands[0], operands[1], all);
}

// slice(pad(x)) = pad(slice(x)), where a part of the frame is cut off
Value slice_frame(Simplifier &s, const Node &node) {
  const Value padded = node.operands[0];
  if (!s.is(padded, Op::pad))
    return {};
  const Attrs pad = s.attrs(padded);
  const Shape inside = s.shape(s.operand(padded)), &from = node.attrs.start, &count = node.type().shape;
  Shape start = pad.start, first(inside.size()), shape = inside;
  for (size_t i = 0; i < inside.size(); ++i) {
    if (node.attrs.stride[i] != 1 || pad.stride[i] < 1)
      return {};
    const int64_t step = pad.stride[i];
    // Elements first .. first + shape of x lie in from .. from + count.
    first[i] = std::max<int64_t>(0, (from[i] - pad.start[i] + step - 1) / step);
    const int64_t end = std::min(inside[i], (from[i] + count[i] - pad.start[i] + step - 1) / step);
    shape[i] = end - first[i];
    if (from[i] + count[i] <= pad.start[i] || shape[i] < 1)
      return {};
    start[i] += first[i] * step - from[i];
  }
  const Value fill = s.operand(padded, 1);
  const Value part = s.build.slice(s.operand(padded), first, shape, Shape(inside.size(), 1));
  return s.build.pad(part, fill, start, count, pad.stride);
}

} // namespace

std::vector<SimplifyRule> window_rules() {
  return {
      {"window_apart", Op::window, window_apart, "window(x) = transpose(reshape(slice(x))), along axes where windows lie apart",
       exact},
      {"unwindow_apart", Op::unwindow, unwindow_apart,
       "unwindow(x) = pad(reshape(transpose(x)), 0), along axes where windows lie apart", zero_sign},
      {"unwindow_dot", Op::unwindow, unwindow_dot, "unwindow(dot(y, w)) = dot(window(pad(y, 0)), w turned round)", framed},
      {"slice_window", Op::slice, slice_window, "slice(window(x)) = window(slice(x))", exact},
      {"slice_dot", Op::slice, slice_dot, "slice(dot(x, y)) = dot(slice(x), slice(y))", exact},
      {"slice_frame", Op::slice, slice_frame, "slice(pad(x)) = pad(slice(x)), a part of the frame cut off", exact},
  };
}

} // namespace nnc
