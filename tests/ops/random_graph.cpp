// The generator. All randomness comes from one engine and integer arithmetic on it, so that a seed means the same graph with
// every standard library.
#include "tests/ops/random_graph.h"

#include "ir/builder.h"
#include "ir/error.h"
#include "ir/interpreter.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace nnc {

namespace {

constexpr double largest = 1000; // of any float value

class GraphMaker {
public:
  GraphMaker(uint64_t seed, const GraphSize &size) : random_(seed), size_(size), function_(new_function()), builder_(function_) {}

  Sample make() {
    choose_sizes();
    add_arguments();
    for (int tries = 0; static_cast<int>(function_.nodes.size()) < function_.args + size_.nodes && tries < 8 * size_.nodes;
         ++tries)
      add_something();
    add_derivatives();
    add_state_results();
    add_outputs();
    add_checks();
    return std::move(graph_);
  }

private:
  std::mt19937_64 random_;
  GraphSize size_;
  Sample graph_;
  Function &function_;
  Builder builder_;
  std::vector<Tensor> tensors_; // of each node; none from the first request for derivatives on
  Shape sizes_;                 // of axes
  int64_t most_elements_ = 0;

  Function &new_function() {
    graph_.module.functions.emplace_back();
    graph_.module.functions[0].name = "f";
    return graph_.module.functions[0];
  }

  int64_t below(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }
  bool chance(int percent) { return below(100) < percent; }
  template <typename T> const T &one_of(const std::vector<T> &list) { return list[below(static_cast<int64_t>(list.size()))]; }

  const Shape &shape(Value v) const { return builder_.shape(v); }
  DType dtype(Value v) const { return builder_.type(v).dtype; }
  int rank(Value v) const { return builder_.type(v).rank(); }

  void choose_sizes() {
    static const Shape small = {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 20, 31, 32, 33, 64, 65, 100};
    static const Shape large = {64, 100, 128, 129, 200, 257, 300, 512, 700};
    for (int i = 0; i < 3; ++i)
      sizes_.push_back(one_of(size_.large ? large : small));
    if (chance(40))
      sizes_.push_back(one_of(small));
    most_elements_ = size_.large ? 200'000 : 4096;
  }

  Shape some_shape() {
    for (;;) {
      Shape result;
      static const std::vector<int> ranks = {0, 1, 1, 2, 2, 2, 3, 4};
      for (int r = one_of(ranks); r > 0; --r)
        result.push_back(one_of(sizes_));
      if (element_count(result) <= most_elements_)
        return result;
    }
  }

  Tensor some_tensor(const Type &type) {
    Tensor tensor(type);
    for (int64_t i = 0; i < type.elements(); ++i)
      if (is_float(type.dtype))
        tensor.set(i, static_cast<double>(below(4001) - 2000) / 1000);
      else
        tensor.set_int(i, below(is_bool(type.dtype) ? 2 : 12));
    return tensor;
  }

  void add_arguments() {
    static const std::vector<DType> dtypes = {DType::f32, DType::f32, DType::f32, DType::f32,    DType::f32,
                                              DType::f64, DType::i32, DType::u8,  DType::boolean};
    static const std::vector<DType> for_storage = {DType::bf16, DType::f16, DType::i8, DType::f32};
    const auto add = [&](const Type &type, int state) {
      const Value value = builder_.arg(type, (state < 0 ? "x" : "s") + std::to_string(state < 0 ? function_.args : state));
      function_.arg_info.push_back({state});
      tensors_.push_back(some_tensor(type));
      (state < 0 ? graph_.inputs : graph_.states).push_back(tensors_[value.node]);
    };
    for (int64_t n = 1 + below(4); n > 0; --n)
      add({n == 1 ? DType::f32 : one_of(size_.storage ? for_storage : dtypes), some_shape()}, -1);
    const std::vector<Shape> shapes = {some_shape(), some_shape()}; // few, so that states can take each other's place
    for (int s = 0, n = static_cast<int>(below(5)); s < n; ++s) {
      const Type type{DType::f32, one_of(shapes)};
      graph_.module.states.push_back({"s" + std::to_string(s), type, true});
      add(type, s);
    }
  }

  // Adds the node if it can be, and its value is tame.
  Value apply(Op op, std::vector<Value> operands, Attrs attrs = {}) {
    std::vector<Type> types;
    std::vector<const Tensor *> values;
    for (Value operand : operands) {
      if (!operand)
        return {};
      types.push_back(builder_.type(operand));
      values.push_back(&tensors_[operand.node]);
    }
    Type type;
    try {
      type = infer_type(op, types, attrs);
    } catch (const Error &) {
      return {};
    }
    if (type.elements() > most_elements_ || type.rank() > 5)
      return {};
    Tensor tensor = eval(op, values, attrs, type);
    if (is_float(type.dtype))
      for (int64_t i = 0, n = tensor.splat ? 1 : type.elements(); i < n; ++i)
        if (!(std::fabs(tensor.get(i)) <= largest))
          return {};
    tensors_.push_back(std::move(tensor));
    return builder_.op(op, std::move(operands), std::move(attrs));
  }

  Value constant(Type type, double value) {
    Tensor tensor = is_float(type.dtype) ? Tensor::filled(type, value) : Tensor::filled_int(type, static_cast<int64_t>(value));
    tensors_.push_back(tensor);
    return builder_.constant(std::move(tensor));
  }

  Value some_number(const Type &type) {
    static const std::vector<double> numbers = {0.5, 2, -1, 0.1, 1, 0, 3};
    return constant(type, one_of(numbers));
  }

  Value data(const Type &type) {
    tensors_.push_back(some_tensor(type));
    return builder_.constant(tensors_.back());
  }

  // Any value so far, rather a recent one.
  Value some_value() {
    const int count = static_cast<int>(tensors_.size());
    return {static_cast<int>(chance(60) ? count - 1 - below(std::min(count, 8)) : below(count)), 0};
  }
  template <typename P> Value some_value_where(P accepts) {
    for (int tries = 0; tries < 20; ++tries)
      if (Value v = some_value(); accepts(v))
        return v;
    return {};
  }
  Value some_float() {
    return some_value_where([&](Value v) { return is_float(dtype(v)); });
  }

  // Nothing computed goes to bf16 or f16: where it lies halfway between two of their numbers, rounding tells nothing.
  Value cast(Value v, DType to) {
    if (!v || dtype(v) == to)
      return v;
    const Op op = function_.nodes[v.node].op;
    const bool exact = op == Op::arg || op == Op::constant || !is_float(dtype(v));
    return is_storage_only(to) && is_float(to) && !exact ? Value{} : apply(Op::cast, {v}, {.dtype = to});
  }

  // `v` made to have this type, by views and a cast.
  Value fitted(Value v, const Type &type) {
    v = cast(v, type.dtype);
    if (!v || shape(v) == type.shape)
      return v;
    if (Shape sorted = shape(v), wanted = type.shape; sorted.size() == wanted.size()) { // another order of the same axes
      std::sort(sorted.begin(), sorted.end());
      std::sort(wanted.begin(), wanted.end());
      if (sorted == wanted) {
        Shape axes;
        for (int64_t size : type.shape)
          for (int64_t i = 0; i < rank(v); ++i)
            if (shape(v)[i] == size && std::find(axes.begin(), axes.end(), i) == axes.end()) {
              axes.push_back(i);
              break;
            }
        return apply(Op::transpose, {v}, {.axes = axes});
      }
    }
    if (element_count(shape(v)) == type.elements() && chance(70))
      return apply(Op::reshape, {v}, {.shape = type.shape});
    // A part of each axis, or padding; then new axes in front.
    while (v && rank(v) > static_cast<int>(type.shape.size()))
      v = reduced(v, {below(rank(v))});
    if (!v)
      return {};
    const size_t missing = type.shape.size() - shape(v).size();
    Shape axes, part(shape(v).size()), start(part.size(), 0), stride(part.size(), 1), padded(part.size());
    for (size_t i = 0; i < part.size(); ++i) {
      axes.push_back(static_cast<int64_t>(missing + i));
      part[i] = std::min(shape(v)[i], type.shape[missing + i]);
      padded[i] = type.shape[missing + i];
      if (shape(v)[i] > part[i] && chance(50)) {
        start[i] = shape(v)[i] - 1;
        stride[i] = -1;
      }
    }
    if (part != shape(v))
      v = apply(Op::slice, {v}, {.shape = part, .start = start, .stride = stride});
    if (v && padded != part)
      v = apply(Op::pad, {v, some_number({type.dtype, {}})},
                {.shape = padded, .start = Shape(part.size(), 0), .stride = Shape(part.size(), 1)});
    if (v && missing > 0)
      v = apply(Op::broadcast, {v}, {.axes = axes, .shape = type.shape});
    return v;
  }

  // A value of this type: one that has it, or something made to fit.
  Value operand_like(const Type &type) {
    if (chance(50))
      if (Value v = some_value_where([&](Value v) { return builder_.type(v) == type; }))
        return v;
    if (chance(15))
      return some_number(type);
    if (chance(5) && type.elements() <= 200)
      return data(type);
    Value v = fitted(some_value(), type);
    return v ? v : some_number(type);
  }

  Value reduced(Value v, Shape axes) {
    static const std::vector<Op> ops = {Op::sum, Op::max, Op::min, Op::max, Op::sum};
    return is_bool(dtype(v)) ? Value{} : apply(one_of(ops), {v}, {.axes = std::move(axes)});
  }

  Shape some_axes(Value v) {
    Shape axes;
    for (int64_t i = 0; i < rank(v); ++i)
      if (chance(50))
        axes.push_back(i);
    if (axes.empty() && rank(v) > 0)
      axes.push_back(below(rank(v)));
    return axes;
  }

  Value back(Value v, const Shape &to, const Shape &reduced_axes) {
    if (!v)
      return {};
    Shape kept;
    for (int64_t i = 0; i < static_cast<int64_t>(to.size()); ++i)
      if (std::find(reduced_axes.begin(), reduced_axes.end(), i) == reduced_axes.end())
        kept.push_back(i);
    return apply(Op::broadcast, {v}, {.axes = kept, .shape = to});
  }

  void add_something() {
    switch (below(19)) {
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
    default:
      return add_layer();
    }
  }

  void add_unary() {
    static const std::vector<Op> ops = {Op::neg,  Op::abs, Op::exp,  Op::log,   Op::sin,           Op::cos,
                                        Op::tanh, Op::erf, Op::sqrt, Op::floor, Op::stop_gradient, Op::round};
    apply(one_of(ops), {some_float()});
  }

  void add_binary() {
    const Value x = some_value_where([&](Value v) { return !is_bool(dtype(v)); });
    if (!x)
      return;
    static const std::vector<Op> floats = {Op::add, Op::sub, Op::mul, Op::div, Op::maximum, Op::minimum, Op::muladd};
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

  void add_mask() {
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

  void add_reduction() {
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

  void add_view() {
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
        to.insert(to.begin() + at, one_of(sizes_));
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
        type.shape[axis] = chance(50) ? type.shape[axis] : one_of(sizes_);
        parts.insert(parts.begin() + below(static_cast<int64_t>(parts.size()) + 1), chance(20) ? x : operand_like(type));
      }
      apply(Op::concat, parts, {.axis = axis});
      return;
    }
    default: {
      const Shape to = shape(x).empty() ? Shape{one_of(sizes_)} : shape(x);
      const Value index = apply(Op::iota, {}, {.shape = to, .axis = below(static_cast<int64_t>(to.size())), .dtype = DType::i32});
      if (is_float(dtype(x)))
        apply(Op::div, {cast(index, dtype(x)), some_number({dtype(x), to})});
    }
    }
  }

  // Axes joined or split.
  Value reshape(Value x) {
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
  void add_normalisation() {
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

  void add_dot() {
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
  void add_indexed() {
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
      whole.insert(whole.begin() + axis, one_of(sizes_));
      if (element_count(whole) <= most_elements_)
        apply(Op::scatter_add, {x, operand_like({DType::i32, index})}, {.shape = whole, .axis = axis});
    } else {
      Shape index;
      for (int64_t r = below(3); r > 0; --r)
        index.push_back(one_of(sizes_));
      if (element_count(index) <= most_elements_)
        apply(Op::gather, {x, operand_like({DType::i32, index})}, {.axis = axis});
    }
  }

  // Windows: reduced, multiplied by weights, or changed and added up again.
  void add_windows() {
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
    if (element_count(attrs.shape) > most_elements_)
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
  void add_layer() {
    const Value x = some_value_where([&](Value v) { return is_float(dtype(v)) && rank(v) == 2; });
    if (!x)
      return;
    const Type weights{dtype(x), {shape(x)[1], one_of(sizes_)}};
    if (weights.elements() > most_elements_)
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

  // next - rate * derivative, for some states.
  std::vector<std::pair<int, Value>> derivatives_; // state, derivative
  void add_derivatives() {
    if (graph_.states.empty() || size_.nodes > 25 || !chance(40))
      return;
    Value y = some_value_where([&](Value v) { return is_float(dtype(v)); });
    if (!y)
      return;
    Shape axes(rank(y));
    std::iota(axes.begin(), axes.end(), 0);
    if (rank(y) > 0)
      y = apply(Op::sum, {y}, {.axes = axes});
    std::vector<Value> variables;
    for (int a = 0; a < function_.args; ++a)
      if (function_.arg_info[a].state >= 0)
        variables.push_back({a, 0});
    if (!y || variables.empty())
      return;
    try {
      const std::vector<Value> results = builder_.grad(y, variables);
      for (size_t i = 0; i < results.size(); ++i)
        derivatives_.emplace_back(function_.arg_info[variables[i].node].state, results[i]);
    } catch (const Error &) {
    }
  }

  Value state_argument(int state) const {
    for (int a = 0; a < function_.args; ++a)
      if (function_.arg_info[a].state == state)
        return {a, 0};
    return {};
  }

  void add_state_results() {
    // From here on values are not evaluated when there are derivatives; only tame combinations are made of those.
    for (size_t s = 0; s < graph_.states.size(); ++s) {
      const Value own = state_argument(static_cast<int>(s));
      const Type type = builder_.type(own);
      Value next;
      for (const auto &[state, derivative] : derivatives_)
        if (state == static_cast<int>(s))
          next = builder_.sub(own, builder_.mul(derivative, builder_.like(derivative, 0.125)));
      if (!next && !derivatives_.empty())
        continue;
      if (!next)
        switch (below(7)) {
        case 0:
          continue; // only read
        case 1:
          next = some_value_where([&](Value v) { return builder_.type(v) == type && function_.nodes[v.node].op == Op::arg; });
          break;
        case 2:
          next = apply(Op::sub, {own, apply(Op::mul, {operand_like(type), some_number(type)})});
          break;
        case 3:
          next = view_of_itself(own);
          break;
        case 4:
          next = state_argument(static_cast<int>(below(static_cast<int64_t>(graph_.states.size()))));
          break;
        default:
          next = operand_like(type);
        }
      if (!next || builder_.type(next) != type)
        continue;
      function_.function_results.push_back({Result::Kind::state, "", next, static_cast<int>(s), {}});
      if (derivatives_.empty() && chance(30)) // the old value is read after the new one is known
        apply(Op::sub, {next, own});
    }
  }

  Value view_of_itself(Value own) {
    const Shape full = shape(own);
    if (full.empty())
      return own;
    if (full.size() == 2 && full[0] == full[1] && chance(50))
      return apply(Op::transpose, {own}, {.axes = {1, 0}});
    const int64_t axis = below(static_cast<int64_t>(full.size())), size = full[axis];
    Shape start(full.size(), 0), stride(full.size(), 1);
    if (size < 2 || chance(40)) {
      start[axis] = size - 1;
      stride[axis] = -1;
      return apply(Op::slice, {own}, {.shape = full, .start = start, .stride = stride});
    }
    const int64_t cut = 1 + below(size - 1); // [cut..] and [..cut]: turned, or shifted with padding
    Shape upper = full, lower = full, from(full.size(), 0), to(full.size(), 0);
    upper[axis] = size - cut;
    lower[axis] = cut;
    from[axis] = cut;
    const Value tail = apply(Op::slice, {own}, {.shape = upper, .start = from, .stride = stride});
    if (chance(50))
      return apply(Op::concat, {tail, apply(Op::slice, {own}, {.shape = lower, .start = start, .stride = stride})},
                   {.axis = axis});
    to[axis] = chance(50) ? cut : 0;
    return apply(Op::pad, {tail, some_number({dtype(own), {}})}, {.shape = full, .start = to, .stride = stride});
  }

  void add_outputs() {
    std::vector<int> readers(function_.nodes.size(), 0);
    for (const Node &node : function_.nodes)
      for (Value operand : node.operands)
        ++readers[operand.node];
    std::vector<Value> outputs;
    for (int n = static_cast<int>(tensors_.size()) - 1; n >= function_.args && outputs.size() < 6; --n)
      if (readers[n] == 0 && chance(80))
        outputs.push_back({n, 0});
    for (int64_t n = 1 + below(2); n > 0; --n)
      outputs.push_back(some_value());
    for (Value value : outputs)
      function_.function_results.insert(
          function_.function_results.begin() + below(static_cast<int64_t>(function_.function_results.size()) + 1),
          {Result::Kind::output, "y" + std::to_string(function_.function_results.size()), value, -1, {}});
  }

  void add_checks() {
    for (int64_t n = derivatives_.empty() ? below(3) : 0; n > 0; --n) {
      const Value x = some_value_where([&](Value v) { return !is_bool(dtype(v)); });
      if (!x)
        return;
      Shape axes(rank(x));
      std::iota(axes.begin(), axes.end(), 0);
      const Value most = rank(x) == 0 ? x : apply(Op::max, {x}, {.axes = axes});
      if (!most)
        return;
      // Far from a tie: the bound is well above or well below the value.
      const double value =
          is_float(dtype(most)) ? tensors_[most.node].get(0) : static_cast<double>(tensors_[most.node].get_int(0));
      const Value holds = apply(Op::lt, {most, constant(builder_.type(most), std::floor(value) + (chance(8) ? -5 : 5))});
      if (holds)
        function_.function_results.push_back(
            {Result::Kind::check, "check " + std::to_string(function_.function_results.size()), holds, -1, {}});
    }
  }
};

} // namespace

Sample random_graph(uint64_t seed, const GraphSize &size) { return GraphMaker(seed, size).make(); }

} // namespace nnc
