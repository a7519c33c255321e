// Runs one call of a kernel: a tensor for every node over the axes it depends on, a grain at a time, stage by stage.
// What has no home is computed again in every stage that asks for it, from memory as it is then: so a result that overwrites
// an operand of a later stage shows. Trusts the table (verify_plan checks it) and the pointers.
#include "ir/plan_interpreter.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>

namespace nnc {

namespace {

// Calls run(at) for every row of the innermost axis: at = the sum of strides * index, for each of the given stride lists.
template <size_t N>
void for_rows(const Shape &shape, const std::array<const Shape *, N> &strides,
              const std::function<void(const std::array<int64_t, N> &)> &run) {
  std::array<int64_t, N> at{};
  Shape index(shape.size(), 0);
  while (true) {
    run(at);
    int axis = static_cast<int>(shape.size()) - 2;
    for (; axis >= 0; --axis) {
      for (size_t n = 0; n < N; ++n)
        at[n] += (*strides[n])[axis];
      if (++index[axis] < shape[axis])
        break;
      for (size_t n = 0; n < N; ++n)
        at[n] -= (*strides[n])[axis] * shape[axis];
      index[axis] = 0;
    }
    if (axis < 0)
      return;
  }
}

template <typename T>
void copy_elements(const Shape &shape, const std::byte *from, const Shape &from_strides, std::byte *to, const Shape &to_strides) {
  const int64_t count = shape.empty() ? 1 : shape.back();
  const int64_t from_step = shape.empty() ? 0 : from_strides.back(), to_step = shape.empty() ? 0 : to_strides.back();
  for_rows<2>(shape, {&from_strides, &to_strides}, [&](const std::array<int64_t, 2> &at) {
    const std::byte *source = from + at[0] * sizeof(T);
    std::byte *target = to + at[1] * sizeof(T);
    for (int64_t i = 0; i < count; ++i)
      std::memcpy(target + i * to_step * sizeof(T), source + i * from_step * sizeof(T), sizeof(T));
  });
}

void copy(DType dtype, const Shape &shape, const std::byte *from, const Shape &from_strides, std::byte *to,
          const Shape &to_strides) {
  switch (dtype_size(dtype)) {
  case 1:
    return copy_elements<uint8_t>(shape, from, from_strides, to, to_strides);
  case 2:
    return copy_elements<uint16_t>(shape, from, from_strides, to, to_strides);
  case 4:
    return copy_elements<uint32_t>(shape, from, from_strides, to, to_strides);
  default:
    return copy_elements<uint64_t>(shape, from, from_strides, to, to_strides);
  }
}

// A tensor whose axes are kernel axes, in that order.
struct Grid {
  std::vector<int> axes;
  Tensor tensor;
};

// C[b,m,n] = sum over k of A[b,m,k] * B[b,k,n], as the reference interpreter does it: in double or wrapping 64 bits.
template <typename T, typename Get, typename Set>
void multiply(Tensor &c, const Tensor &a, const Tensor &b, int64_t batch, int64_t m, int64_t n, int64_t k, Get get, Set set) {
  std::vector<T> left(a.type.elements()), right(b.type.elements()), row(n);
  for (size_t i = 0; i < left.size(); ++i)
    left[i] = get(a, i);
  for (size_t i = 0; i < right.size(); ++i)
    right[i] = get(b, i);
  for (int64_t i = 0; i < batch * m; ++i) {
    std::fill(row.begin(), row.end(), T(0));
    const T *columns = right.data() + i / m * k * n;
    for (int64_t l = 0; l < k; ++l) {
      const T factor = left[i * k + l];
      for (int64_t j = 0; j < n; ++j)
        row[j] += factor * columns[l * n + j];
    }
    for (int64_t j = 0; j < n; ++j)
      set(c, i * n + j, row[j]);
  }
}

class GrainRun {
public:
  GrainRun(const Kernel &kernel, std::span<std::byte *const> pointers, int64_t grain, Denormals denormals)
      : kernel(kernel), pointers(pointers), grain(grain), denormals(denormals), values(kernel.nodes.size()) {
    for (const Axis &axis : kernel.axes)
      sizes.push_back(axis.size);
    first.assign(sizes.size(), 0);
    if (kernel.grains > 1) {
      int64_t &size = sizes[kernel.grain_axis];
      first[kernel.grain_axis] = size * grain / kernel.grains;
      size = size * (grain + 1) / kernel.grains - first[kernel.grain_axis];
    }
  }

  void run() {
    int last = 0;
    for (const KernelNode &node : kernel.nodes)
      last = std::max(last, node.stage);
    for (int stage = 0; stage <= last; ++stage) {
      for (size_t i = 0; i < values.size(); ++i)
        if (!is_kept(kernel.nodes[i]))
          values[i].reset();
      for (size_t i = 0; i < values.size(); ++i)
        if (is_kept(kernel.nodes[i]) && sweep(kernel.nodes[i]) == stage)
          value(static_cast<int>(i));
      // All values before the first store: a root may lie in the memory of an operand.
      for (const KernelRoot &root : kernel.roots)
        if (const KernelNode &node = kernel.nodes[root.node]; node.stage == stage && node.op != Op::scatter_add)
          value(root.node);
        else if (node.stage == stage)
          for (int operand : node.operands)
            value(operand);
      for (const KernelRoot &root : kernel.roots)
        if (kernel.nodes[root.node].stage == stage)
          write(root);
    }
  }

private:
  const Kernel &kernel;
  std::span<std::byte *const> pointers;
  int64_t grain;
  Denormals denormals;
  Shape sizes, first; // of this grain: points along every axis, and the index of the first
  std::vector<std::optional<Grid>> values;

  static bool is_kept(const KernelNode &node) {
    return node.op != Op::scatter_add && (node.home != Home::none || is_reduce(node.op) || node.op == Op::dot);
  }

  std::vector<int> axes_of(uint64_t mask) const {
    std::vector<int> axes;
    for (int a = 0; a < static_cast<int>(sizes.size()); ++a)
      if (mask >> a & 1)
        axes.push_back(a);
    return axes;
  }

  Shape shape_of(const std::vector<int> &axes) const {
    Shape shape;
    for (int a : axes)
      shape.push_back(sizes[a]);
    return shape;
  }

  // Where an access to the first point of this grain lies, in bytes.
  std::byte *start(const Access &access, DType dtype) const {
    int64_t at = access.offset;
    for (size_t a = 0; a < sizes.size(); ++a)
      at += access.strides[a] * first[a];
    return pointers[access.pointer] + at * dtype_size(dtype);
  }

  static Shape strides_along(const Access &access, const std::vector<int> &axes) {
    Shape strides;
    for (int a : axes)
      strides.push_back(access.strides[a]);
    return strides;
  }

  // The grid seen along other axes: it repeats along those that it lacks.
  Tensor along(const Grid &grid, const std::vector<int> &axes) const {
    const Shape shape = shape_of(axes);
    if (grid.tensor.splat) {
      Tensor tensor = grid.tensor;
      tensor.type.shape = shape;
      return tensor;
    }
    if (grid.axes == axes)
      return grid.tensor;
    const Shape own = contiguous_strides(grid.tensor.type.shape);
    Shape strides(axes.size(), 0);
    for (size_t i = 0; i < axes.size(); ++i)
      for (size_t j = 0; j < grid.axes.size(); ++j)
        if (axes[i] == grid.axes[j])
          strides[i] = own[j];
    Tensor tensor(Type{grid.tensor.type.dtype, shape});
    copy(tensor.type.dtype, shape, grid.tensor.bytes.data(), strides, tensor.bytes.data(), contiguous_strides(shape));
    return tensor;
  }

  const Grid &value(int i) {
    if (!values[i])
      values[i] = compute(kernel.nodes[i]);
    return *values[i];
  }

  Grid compute(const KernelNode &node) {
    Grid grid{axes_of(node.depends), {}};
    const Type type{node.dtype, shape_of(grid.axes)};
    if (node.op == Op::constant)
      grid.tensor = is_float(node.dtype) ? Tensor::filled(type, node.number) : Tensor::filled_int(type, node.integer);
    else if (node.op == Op::arg)
      grid.tensor = load(node.access, type, grid.axes);
    else if (node.op == Op::gather)
      grid.tensor = gather(node, type, grid.axes);
    else if (node.op == Op::iota)
      grid.tensor = index(node.access, type, grid.axes);
    else if (node.op == Op::argsort)
      grid.tensor = argsort(node, type, grid.axes);
    else if (node.op == Op::dot)
      grid.tensor = dot(node, type, grid.axes);
    else if (is_reduce(node.op))
      grid.tensor = reduce(node, type, grid.axes);
    else
      grid.tensor = elementwise(node, type, grid.axes);
    return grid;
  }

  Tensor load(const Access &access, const Type &type, const std::vector<int> &axes) const {
    Tensor tensor(type);
    copy(type.dtype, type.shape, start(access, type.dtype), strides_along(access, axes), tensor.bytes.data(),
         contiguous_strides(type.shape));
    return tensor;
  }

  Tensor gather(const KernelNode &node, const Type &type, const std::vector<int> &axes) {
    const Tensor places = along(value(node.operands[0]), axes);
    const std::byte *base = start(node.access, type.dtype);
    const Shape strides = strides_along(node.access, axes);
    const int64_t count = type.shape.empty() ? 1 : type.shape.back(), size = dtype_size(type.dtype);
    Tensor tensor(type);
    int64_t element = 0;
    for_rows<1>(type.shape, {&strides}, [&](const std::array<int64_t, 1> &at) {
      for (int64_t i = 0; i < count; ++i, ++element) {
        const int64_t place = std::clamp<int64_t>(places.get_int(element), 0, node.attrs.shape[0] - 1);
        const int64_t from = at[0] + (axes.empty() ? 0 : i * strides.back()) + place * node.attrs.stride[0];
        std::memcpy(tensor.bytes.data() + element * size, base + from * size, size);
      }
    });
    return tensor;
  }

  Tensor argsort(const KernelNode &node, const Type &type, const std::vector<int> &axes) {
    const Tensor operand = along(value(node.operands[0]), axes);
    const Tensor *pointer = &operand;
    return eval(node.op, {&pointer, 1}, Attrs{.axis = type.rank() - 1}, type); // the inner axis is the last
  }

  Tensor index(const Access &access, const Type &type, const std::vector<int> &axes) const {
    Tensor tensor(type);
    int64_t base = access.offset;
    for (size_t a = 0; a < sizes.size(); ++a)
      base += access.strides[a] * first[a];
    const Shape strides = strides_along(access, axes);
    const int64_t count = type.shape.empty() ? 1 : type.shape.back();
    int64_t element = 0;
    for_rows<1>(type.shape, {&strides}, [&](const std::array<int64_t, 1> &at) {
      for (int64_t i = 0; i < count; ++i)
        tensor.set_int(element++, base + at[0] + (axes.empty() ? 0 : i * strides.back()));
    });
    return tensor;
  }

  Tensor elementwise(const KernelNode &node, const Type &type, const std::vector<int> &axes) {
    std::vector<Tensor> operands;
    for (int operand : node.operands)
      operands.push_back(along(value(operand), axes));
    std::vector<const Tensor *> pointers;
    for (const Tensor &operand : operands)
      pointers.push_back(&operand);
    return eval(node.op, pointers, node.attrs, type, denormals);
  }

  // The reduced axes become one, the last.
  Tensor reduce(const KernelNode &node, const Type &type, const std::vector<int> &kept) {
    std::vector<int> axes = kept;
    int64_t count = 1;
    for (int a = 0; a < static_cast<int>(sizes.size()); ++a) {
      const bool among = std::find(node.attrs.axes.begin(), node.attrs.axes.end(), a) != node.attrs.axes.end();
      if (node.partial ? among : kernel.axes[a].inner) {
        axes.push_back(a);
        count *= sizes[a];
      }
    }
    Tensor operand = along(value(node.operands[0]), axes);
    operand.type.shape = type.shape;
    operand.type.shape.push_back(count);
    const Tensor *pointer = &operand;
    return eval(node.op, {&pointer, 1}, Attrs{.axes = {type.rank()}}, type, denormals);
  }

  // What a dot reads and gives of floats that it computes with. Those for storage only are widened, which makes f16 normal.
  Tensor without_denormals(Tensor tensor) const {
    if (denormals == Denormals::flush && is_float(tensor.type.dtype) && !is_storage_only(tensor.type.dtype))
      for (int64_t i = 0, count = tensor.splat ? 1 : tensor.type.elements(); i < count; ++i)
        tensor.set(i, tensor.type.dtype == DType::f32 ? flushed<float>(tensor.get(i)) : flushed<double>(tensor.get(i)));
    return tensor;
  }

  Tensor dot(const KernelNode &node, const Type &type, const std::vector<int> &result_axes) {
    const uint64_t left = kernel.nodes[node.operands[0]].depends, right = kernel.nodes[node.operands[1]].depends;
    uint64_t inner = 0;
    for (size_t a = 0; a < sizes.size(); ++a)
      inner |= uint64_t(kernel.axes[a].inner) << a;
    const std::vector<int> batch = axes_of(left & right & ~inner), m = axes_of(left & ~right & ~inner),
                           n = axes_of(right & ~left & ~inner), k = axes_of(inner);
    const auto joined = [](std::vector<int> list, const std::vector<int> &second, const std::vector<int> &third) {
      list.insert(list.end(), second.begin(), second.end());
      list.insert(list.end(), third.begin(), third.end());
      return list;
    };
    const auto count = [&](const std::vector<int> &axes) { return element_count(shape_of(axes)); };
    const Tensor a = without_denormals(along(value(node.operands[0]), joined(batch, m, k)));
    const Tensor b = without_denormals(along(value(node.operands[1]), joined(batch, k, n)));
    Grid product{joined(batch, m, n), {}};
    product.tensor = Tensor(Type{type.dtype, shape_of(product.axes)});
    if (is_float(type.dtype))
      multiply<double>(product.tensor, a, b, count(batch), count(m), count(n), count(k), std::mem_fn(&Tensor::get),
                       std::mem_fn(&Tensor::set));
    else
      multiply<uint64_t>(product.tensor, a, b, count(batch), count(m), count(n), count(k), std::mem_fn(&Tensor::get_int),
                         std::mem_fn(&Tensor::set_int));
    product.tensor = without_denormals(std::move(product.tensor));
    return along(product, result_axes);
  }

  // Sums in the order of the entries, with the axis of the places last.
  Tensor scatter_add(const KernelNode &node, std::vector<int> axes) {
    const std::vector<int> summed(node.attrs.axes.begin(), node.attrs.axes.end());
    Type type{node.dtype, shape_of(axes)};
    const int64_t axis = type.rank();
    type.shape.push_back(node.attrs.shape[0]);
    axes.insert(axes.end(), summed.begin(), summed.end());
    const Tensor updates = along(value(node.operands[0]), axes), places = along(value(node.operands[1]), summed);
    const Tensor *operands[] = {&updates, &places};
    return eval(node.op, operands, Attrs{.shape = type.shape, .axis = axis}, type, denormals);
  }

  void write(const KernelRoot &root) {
    const KernelNode &node = kernel.nodes[root.node];
    uint64_t written = node.depends;
    for (size_t a = 0; a < sizes.size(); ++a)
      written |= uint64_t(root.access.strides[a] != 0) << a;
    const std::vector<int> axes = axes_of(written);
    if (node.op == Op::scatter_add) {
      const Tensor sums = scatter_add(node, axes);
      Shape strides = strides_along(root.access, axes);
      strides.push_back(node.attrs.stride[0]);
      copy(node.dtype, sums.type.shape, sums.bytes.data(), contiguous_strides(sums.type.shape), start(root.access, node.dtype),
           strides);
      return;
    }
    const Tensor tensor = expanded(along(value(root.node), axes));
    std::byte *to = start(root.access, node.dtype);
    if (leaves_partials(kernel, node))
      to += grain * kernel.pointers[root.access.pointer].elements * dtype_size(node.dtype);
    copy(node.dtype, tensor.type.shape, tensor.bytes.data(), contiguous_strides(tensor.type.shape), to,
         strides_along(root.access, axes));
  }
};

} // namespace

void run_kernel(const Kernel &kernel, std::span<std::byte *const> pointers, Denormals denormals) {
  for (int64_t grain = kernel.grains - 1; grain >= 0; --grain)
    GrainRun(kernel, pointers, grain, denormals).run();
}

} // namespace nnc
