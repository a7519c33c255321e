// The how of a kernel, from its table alone: merges axes that lie one behind the other in every access, chooses the recipe and
// the axis that fills vectors, which values wait in a row buffer for a later stage, and how rows are cut into grains. All of it
// follows from shapes and strides, so that it is the same on every machine and for any number of threads.
#include "passes/form.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace nnc {

namespace {

constexpr double flop_per_ns = 60, dot_flop_per_ns = 150, bytes_per_ns = 12; // of one core, for cutting grains only
constexpr double one_grain_ns = 20'000, grain_ns = 10'000;
constexpr int64_t most_grains = 64;
constexpr int recompute_weight = 8;                        // above it, a value that a later stage needs waits in a row buffer
constexpr int64_t most_small_n = 16, least_small_n_k = 64; // of recipe small_n: columns, and steps of k to pay for summing lanes

void for_each_access(Kernel &kernel, auto &&f) {
  for (KernelNode &node : kernel.nodes)
    if (is_load(node.op) || node.op == Op::iota)
      f(node.access);
  for (KernelRoot &root : kernel.roots)
    f(root.access);
}

void for_each_axis_list(Kernel &kernel, auto &&f) {
  for (KernelNode &node : kernel.nodes)
    if (node.partial)
      f(node.attrs.axes);
  f(kernel.dot_axes.batch);
  f(kernel.dot_axes.m);
  f(kernel.dot_axes.n);
  f(kernel.dot_axes.k);
}

// Axis `from` of every list and mask becomes `to(from)`; lists are left sorted and without repeats.
void rename_axes(Kernel &kernel, auto &&to) {
  for_each_axis_list(kernel, [&](auto &axes) {
    for (auto &axis : axes)
      axis = to(static_cast<int>(axis));
    std::sort(axes.begin(), axes.end());
    axes.erase(std::unique(axes.begin(), axes.end()), axes.end());
  });
  for (KernelNode &node : kernel.nodes) {
    uint64_t depends = 0;
    for (int a = 0; a < 64; ++a)
      if (node.depends >> a & 1)
        depends |= uint64_t{1} << to(a);
    node.depends = depends;
  }
}

bool can_merge(Kernel &kernel, int a) {
  if (kernel.axes[a].inner != kernel.axes[a + 1].inner)
    return false;
  bool fits = true;
  for_each_axis_list(kernel, [&](const auto &axes) {
    auto has = [&](int axis) { return std::find(axes.begin(), axes.end(), axis) != axes.end(); };
    fits = fits && has(a) == has(a + 1);
  });
  for_each_access(
      kernel, [&](const Access &access) { fits = fits && access.strides[a] == access.strides[a + 1] * kernel.axes[a + 1].size; });
  return fits;
}

void merge_axes(Kernel &kernel) {
  for (int a = static_cast<int>(kernel.axes.size()) - 2; a >= 0; --a) {
    if (!can_merge(kernel, a))
      continue;
    kernel.axes[a + 1].size *= kernel.axes[a].size;
    kernel.rows -= !kernel.axes[a].inner;
    kernel.axes.erase(kernel.axes.begin() + a);
    for_each_access(kernel, [&](Access &access) { access.strides.erase(access.strides.begin() + a); });
    rename_axes(kernel, [&](int axis) { return axis > a ? axis - 1 : axis; });
  }
}

// Moves axis `from` to place `to`, the others keep their order.
void move_axis(Kernel &kernel, int from, int to) {
  if (from == to)
    return;
  auto move = [&](auto &list) {
    auto item = list[from];
    list.erase(list.begin() + from);
    list.insert(list.begin() + to, item);
  };
  move(kernel.axes);
  for_each_access(kernel, [&](Access &access) { move(access.strides); });
  rename_axes(kernel, [&](int axis) {
    if (axis == from)
      return to;
    if (from < to && axis > from && axis <= to)
      return axis - 1;
    if (to < from && axis >= to && axis < from)
      return axis + 1;
    return axis;
  });
}

int64_t points_of(const Kernel &kernel, uint64_t mask) {
  int64_t count = 1;
  for (size_t a = 0; a < kernel.axes.size(); ++a)
    if (mask >> a & 1 && kernel.axes[a].only < 0)
      count *= kernel.axes[a].size;
  return count;
}

uint64_t row_mask(const Kernel &kernel) { return (uint64_t{1} << kernel.rows) - 1; }
bool is_element(const Kernel &kernel, const KernelNode &node) { return (node.depends & ~row_mask(kernel)) != 0; }

// What a point costs, roughly in cycles, if vectors run along `axis`.
double vector_cost(const Kernel &kernel, int axis) {
  double points = static_cast<double>(kernel.points());
  double cost = 0;
  auto access_cost = [&](int64_t stride, uint64_t depends, double strided) {
    double times = static_cast<double>(points_of(kernel, depends | row_mask(kernel))) / points;
    cost += times * (stride == 0 ? 0.2 : stride == 1 ? 1 : strided);
  };
  for (const KernelNode &node : kernel.nodes) {
    if (node.op == Op::gather && kernel.nodes[node.operands[0]].depends >> axis & 1)
      access_cost(-1, node.depends, 6);
    else if (is_load(node.op))
      access_cost(node.access.strides[axis], node.depends, 6);
    if ((is_reduce(node.op) || node.op == Op::dot) && !node.partial && kernel.axes[axis].inner)
      cost += 20.0 * static_cast<double>(points_of(kernel, row_mask(kernel))) / points;
  }
  for (const KernelRoot &root : kernel.roots)
    access_cost(root.access.strides[axis], kernel.nodes[root.node].depends, 10);
  constexpr int64_t lanes = 16;
  int64_t size = kernel.axes[axis].size;
  return cost * static_cast<double>((size + lanes - 1) / lanes * lanes) / static_cast<double>(size);
}

// Whether entries along the axis go to places that are read from data: two points may add to one element, in their order.
bool scatters_along(const Kernel &kernel, int axis) {
  return std::any_of(kernel.nodes.begin(), kernel.nodes.end(), [&](const KernelNode &node) {
    return node.op == Op::scatter_add && std::find(node.attrs.axes.begin(), node.attrs.axes.end(), axis) != node.attrs.axes.end();
  });
}

void choose_vector_axis(Kernel &kernel) {
  int best = -1;
  double best_cost = INFINITY;
  for (int a = 0; a < static_cast<int>(kernel.axes.size()); ++a) {
    if (scatters_along(kernel, a) || kernel.axes[a].only >= 0)
      continue;
    double cost = vector_cost(kernel, a);
    if (cost <= best_cost) { // ties: the innermost
      best = a;
      best_cost = cost;
    }
  }
  if (best < 0)
    return;
  int place = kernel.axes[best].inner ? static_cast<int>(kernel.axes.size()) - 1 : kernel.rows - 1;
  move_axis(kernel, best, place);
  kernel.vector_axis = place;
}

// The summed axes of a dot in the order in which its first operand lies in memory: then those of a window and of the channels
// behind them merge.
void order_summed(Kernel &kernel) {
  if (kernel.dot < 0)
    return;
  const int first = kernel.nodes[kernel.dot].operands[0];
  auto stride = [&](int axis) { return std::abs(kernel.nodes[first].access.strides[axis]); };
  const int count = static_cast<int>(kernel.axes.size());
  for (int place = kernel.rows; place < count; ++place) {
    int widest = place;
    for (int axis = place + 1; axis < count; ++axis)
      if (stride(axis) > stride(widest))
        widest = axis;
    move_axis(kernel, widest, place);
  }
}

// A tile of accumulators wants rows m and columns n; n is an axis along which results lie in memory. Of several axes of one
// kind the last is the tile's, or, where it is short, the longest; the others are loops around it.
bool choose_gemm(Kernel &kernel) {
  constexpr int64_t short_rows = 6;
  DotAxes &axes = kernel.dot_axes;
  if (kernel.dot < 0 || !is_float(kernel.nodes[kernel.dot].dtype) || axes.m.empty() || axes.n.empty() || axes.k.empty())
    return false;
  KernelNode &dot = kernel.nodes[kernel.dot];
  auto contiguous_roots = [&](int axis) {
    return std::count_if(kernel.roots.begin(), kernel.roots.end(),
                         [&](const KernelRoot &root) { return root.access.strides[axis] == 1; });
  };
  if (contiguous_roots(axes.m.back()) > contiguous_roots(axes.n.back())) {
    std::swap(axes.m, axes.n);
    std::swap(dot.operands[0], dot.operands[1]);
  }
  // Rows in this order: batch, other columns, other rows, the tile's rows, the tile's columns.
  auto size = [&](int axis) { return kernel.axes[axis].size; };
  auto move_last = [&](std::vector<int> &list) { // in turn, which keeps their order
    for (size_t i = 0; i < list.size(); ++i)
      move_axis(kernel, list[0], kernel.rows - 1);
  };
  move_last(axes.n);
  move_last(axes.m);
  if (size(axes.m.back()) < short_rows)
    move_axis(kernel, *std::ranges::max_element(axes.m, {}, size), kernel.rows - 1);
  move_axis(kernel, axes.n.back(), kernel.rows - 1);
  const int n = axes.n.back(), k = axes.k.back();
  bool few_columns = axes.m.size() == 1 && axes.n.size() == 1 && axes.k.size() == 1 && size(n) <= most_small_n &&
                     size(k) >= least_small_n_k && kernel.nodes[dot.operands[0]].access.strides[k] == 1;
  kernel.recipe = few_columns ? Recipe::small_n : Recipe::gemm;
  kernel.vector_axis = n;
  return true;
}

// Bytes of the row buffer of one value: a row of elements, or a vector for each inner point where vectors run along rows.
int64_t home_bytes(const Kernel &kernel, const KernelNode &node) {
  int64_t points = points_of(kernel, ~row_mask(kernel));
  return points * (kernel.axes[kernel.vector_axis].inner ? dtype_size(node.dtype) : vector_bytes);
}

// One stage for each sweep that has something to do: to reduce, or to write.
void count_stages(Kernel &kernel) {
  kernel.stages = 1;
  for (const KernelNode &node : kernel.nodes)
    if ((is_reduce(node.op) && !node.partial) || node.op == Op::dot)
      kernel.stages = std::max(kernel.stages, sweep(node) + 1);
  for (const KernelRoot &root : kernel.roots)
    if (is_swept(kernel, root))
      kernel.stages = std::max(kernel.stages, kernel.nodes[root.node].stage + 1);
}

// Which sweeps compute each element-level value, and which values are kept in a row buffer instead.
void choose_homes(Kernel &kernel) {
  size_t count = kernel.nodes.size();
  std::vector<uint32_t> sweeps(count, 0); // bit s: needed in the sweep of stage s
  std::vector<int> chain(count, 0);       // weight of computing it from loads and row values
  for (const KernelRoot &root : kernel.roots)
    sweeps[root.node] |= 1u << kernel.nodes[root.node].stage;
  for (size_t i = 0; i < count; ++i) {
    KernelNode &node = kernel.nodes[i];
    node.home = is_element(kernel, node) ? Home::none : Home::acc;
    chain[i] = is_pointwise(node.op) ? op_info(node.op).weight : 1;
    for (int operand : node.operands)
      if (is_element(kernel, kernel.nodes[operand]))
        chain[i] += chain[operand];
  }
  int64_t row_bytes = 0;
  for (size_t i = count; i-- > 0;) {
    KernelNode &node = kernel.nodes[i];
    if (is_element(kernel, node) && is_elementwise(node.op) && (sweeps[i] & (sweeps[i] - 1)) && chain[i] > recompute_weight) {
      if (int64_t bytes = home_bytes(kernel, node); row_bytes + bytes <= most_row_bytes) {
        row_bytes += bytes;
        node.home = Home::row;
      }
    }
    uint32_t computed = node.home == Home::row ? 1u << node.stage : sweeps[i];
    for (int operand : node.operands) {
      const KernelNode &source = kernel.nodes[operand];
      if (is_element(kernel, source))
        sweeps[operand] |= is_reduce(node.op) || node.op == Op::dot ? 1u << source.stage : computed;
    }
  }
}

void count_work(Kernel &kernel) {
  kernel.flop = kernel.bytes = 0;
  for (const KernelNode &node : kernel.nodes) {
    uint64_t axes = node.depends;
    for (int operand : node.operands)
      axes |= kernel.nodes[operand].depends;
    if (node.op == Op::dot)
      axes = ~uint64_t{0};
    const int passes = node.op == Op::argsort ? std::bit_width(static_cast<uint64_t>(kernel.axes.back().size)) : 1;
    if (node.op != Op::arg && node.op != Op::constant && node.op != Op::iota)
      kernel.flop += static_cast<double>(points_of(kernel, axes)) * op_info(node.op).weight * passes;
  }
  for (size_t p = 0; p < kernel.pointers.size(); ++p) {
    const KernelPointer &pointer = kernel.pointers[p];
    int64_t read = 0, elements = pointer.elements; // of a table, no more than is asked for
    for (const KernelNode &node : kernel.nodes)
      if (is_load(node.op) && node.access.pointer == static_cast<int>(p)) {
        for (size_t a = 0; a < kernel.axes.size() && read == 0; ++a)
          elements /= kernel.axes[a].only >= 0 && node.access.strides[a] != 0 ? kernel.axes[a].size : 1;
        read += node.op == Op::gather ? points_of(kernel, node.depends) : elements;
      }
    kernel.bytes += static_cast<double>((std::min(read, elements) + elements * pointer.written) * dtype_size(pointer.dtype));
  }
}

// What must stay together along an axis, so that a grain does not repeat work of another.
int64_t grain_unit(const Kernel &kernel, int axis) {
  if (kernel.recipe != Recipe::gemm)
    return axis != kernel.vector_axis ? 1 : sums_wait_in_slot(kernel) ? gemv_unit : vector_axis_unit;
  GemmBlocking blocking = gemm_blocking(kernel);
  const bool copies_rows = blocking.block_rows > 0;
  if (axis == kernel.dot_axes.m.back()) // a tile of rows; blocked, the rows that each part of B is copied for
    return copies_rows ? blocking.block_rows : blocking.blocked ? 8 : 16;
  if (axis == kernel.dot_axes.n.back()) // a panel; blocked, enough columns to make copying A worth it
    return copies_rows ? 512 : 64;
  return 1;
}

void cut_grains(Kernel &kernel) {
  double ns = std::max(kernel.flop / (kernel.dot >= 0 ? dot_flop_per_ns : flop_per_ns), kernel.bytes / bytes_per_ns);
  kernel.grains = 1;
  if (ns < one_grain_ns || kernel.rows == 0)
    return;
  auto units = [&](int axis) { return std::max<int64_t>(1, kernel.axes[axis].size / grain_unit(kernel, axis)); };
  int64_t wanted = std::min(most_grains, static_cast<int64_t>(ns / grain_ns));
  int best = -1; // a grain has the places that it adds to for itself
  for (int a = 0; a < kernel.rows; ++a)
    if (!scatters_along(kernel, a) && kernel.axes[a].only < 0 && (best < 0 || (units(best) < wanted && units(a) > units(best))))
      best = a;
  if (best < 0)
    return;
  kernel.grain_axis = best;
  if (kernel.recipe == Recipe::gemm && kernel.dot_axes.m.size() == 1) {
    // Cut along its columns, a dot copies every panel of B once, and column sums need no partials. Blocked, it copies all of B
    // for every block of rows anyway.
    int m = kernel.dot_axes.m[0], n = kernel.dot_axes.n.back();
    if (gemm_blocking(kernel).block_rows > 0 && units(m) >= 2)
      kernel.grain_axis = m;
    else if (units(n) >= 2)
      kernel.grain_axis = n;
  }
  kernel.grains = std::min(wanted, units(kernel.grain_axis));
}

} // namespace

void shape_kernel(Kernel &kernel) {
  order_summed(kernel);
  merge_axes(kernel);
  const KernelNode *first_root = kernel.roots.empty() ? nullptr : &kernel.nodes[kernel.roots[0].node];
  const bool sorts = first_root && first_root->op == Op::argsort;
  if (sorts) {
    kernel.recipe = Recipe::sort;
  } else if (!choose_gemm(kernel)) {
    kernel.recipe = kernel.dot >= 0 ? Recipe::gemv : Recipe::loop;
    choose_vector_axis(kernel);
  }
  count_stages(kernel);
  choose_homes(kernel);
  count_work(kernel);
  cut_grains(kernel);
  kernel.scratch_bytes = 0;
  for (const KernelNode &node : kernel.nodes)
    if (node.home == Home::row)
      kernel.scratch_bytes += (home_bytes(kernel, node) + vector_bytes - 1) / vector_bytes * vector_bytes;
  if (sorts)
    kernel.scratch_bytes = sort_scratch_bytes(kernel.nodes[first_root->operands[0]].dtype, kernel.axes.back().size);
  if (sums_wait_in_slot(kernel))
    kernel.scratch_bytes = gemv_sums * dtype_size(kernel.nodes[kernel.dot].dtype) + vector_bytes;
  if (kernel.recipe == Recipe::gemm)
    kernel.scratch_bytes = gemm_blocking(kernel).end;
  if (kernel.recipe == Recipe::small_n) {
    int64_t columns = kernel.axes[kernel.dot_axes.n[0]].size, k = kernel.axes[kernel.dot_axes.k[0]].size;
    int64_t copied = columns * (k * dtype_size(kernel.nodes[kernel.dot].dtype) + vector_bytes);
    kernel.scratch_bytes = std::max(gemm_blocking(kernel).end, (copied + vector_bytes - 1) / vector_bytes * vector_bytes);
  }
  if (const int64_t bytes = compensation_bytes(kernel, kernel.roots.size()))
    kernel.scratch_bytes = (kernel.scratch_bytes + vector_bytes - 1) / vector_bytes * vector_bytes + bytes;
}

} // namespace nnc
