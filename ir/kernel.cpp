// What a kernel table says of itself.
#include "ir/kernel.h"

#include <algorithm>

namespace nnc {

std::string_view recipe_name(Recipe recipe) {
  switch (recipe) {
  case Recipe::loop:
    return "loop";
  case Recipe::gemm:
    return "gemm";
  case Recipe::gemv:
    return "gemv";
  case Recipe::small_n:
    return "small_n";
  case Recipe::sort:
    return "sort";
  }
  return "";
}

int64_t Kernel::points() const {
  int64_t count = 1;
  for (const Axis &axis : axes)
    count *= axis.size;
  return count;
}

namespace {

// What `condition` wants the index along `axis` to be.
int wanted_index(const Kernel &kernel, int condition, int axis) {
  const KernelNode &node = kernel.nodes[condition];
  if (node.op == Op::logical_and) {
    const int first = wanted_index(kernel, node.operands[0], axis);
    return first >= 0 ? first : wanted_index(kernel, node.operands[1], axis);
  }
  if (node.op != Op::eq)
    return -1;
  for (int k : {0, 1}) {
    const KernelNode &index = kernel.nodes[node.operands[k]], &place = kernel.nodes[node.operands[1 - k]];
    if (index.op == Op::iota && index.access.offset == 0 && index.access.strides[axis] == 1 &&
        index.depends == uint64_t{1} << axis && place.depends == 0 && (place.dtype == DType::i32 || place.dtype == DType::i64))
      return node.operands[1 - k];
  }
  return -1;
}

} // namespace

int only_change(const Kernel &kernel, int axis) {
  int only = -1;
  for (const KernelRoot &root : kernel.roots) {
    const KernelNode &node = kernel.nodes[root.node];
    if (node.op != Op::select)
      return -1;
    const KernelNode &before = kernel.nodes[node.operands[2]];
    const int wanted = wanted_index(kernel, node.operands[0], axis);
    if (before.op != Op::arg || before.access != root.access || wanted < 0 || (only >= 0 && wanted != only))
      return -1;
    only = wanted;
  }
  return only;
}

bool is_swept(const Kernel &kernel, const KernelRoot &root) {
  return std::any_of(root.access.strides.begin() + kernel.rows, root.access.strides.end(),
                     [](int64_t stride) { return stride != 0; });
}

bool leaves_partials(const Kernel &kernel, const KernelNode &node) {
  return kernel.grains > 1 && node.partial &&
         std::find(node.attrs.axes.begin(), node.attrs.axes.end(), kernel.grain_axis) != node.attrs.axes.end();
}

bool is_compensated(const Kernel &kernel, const KernelNode &node) {
  if (!node.partial || node.op != Op::sum || !is_float(node.dtype))
    return false;
  int64_t terms = 1;
  for (int64_t axis : node.attrs.axes)
    terms *= kernel.axes[axis].size;
  return terms > most_terms * (leaves_partials(kernel, node) ? kernel.grains : 1);
}

int64_t compensation_bytes(const Kernel &kernel, size_t roots) {
  int64_t bytes = 0;
  for (size_t r = 0; r < roots; ++r)
    if (const KernelNode &node = kernel.nodes[kernel.roots[r].node]; is_compensated(kernel, node))
      bytes += (kernel.pointers[kernel.roots[r].access.pointer].elements * dtype_size(node.dtype) + vector_bytes - 1) /
               vector_bytes * vector_bytes;
  return bytes;
}

bool sums_wait_in_slot(const Kernel &kernel) {
  constexpr int64_t least_columns = 256, least_rows = 8;
  const int axes = static_cast<int>(kernel.axes.size());
  if (kernel.recipe != Recipe::gemv || kernel.vector_axis != kernel.rows - 1 || axes != kernel.rows + 1)
    return false;
  if (kernel.axes[kernel.vector_axis].size < least_columns || kernel.axes[kernel.rows].size < least_rows)
    return false;
  const KernelNode &dot = kernel.nodes[kernel.dot];
  const bool along_rows = std::ranges::any_of(dot.operands, [&](int operand) {
    const KernelNode &node = kernel.nodes[operand];
    return node.op == Op::arg && node.access.strides[kernel.vector_axis] == 1;
  });
  const bool alone = std::ranges::none_of(
      kernel.nodes, [&](const KernelNode &node) { return node.home == Home::row || (is_reduce(node.op) && !node.partial); });
  return is_float(dot.dtype) && along_rows && alone &&
         std::ranges::none_of(kernel.roots, [&](const KernelRoot &root) { return is_swept(kernel, root); });
}

GemmBlocking gemm_blocking(const Kernel &kernel) {
  constexpr int64_t tile_bytes = 16 << 10, panel_step = gemm_panel_step, block_bytes = 512 << 10, most_k_part = 256,
                    panels_bytes = 384 << 10, most_sums = 1 << 20, line = 64;
  int64_t element = dtype_size(kernel.nodes[kernel.dot].dtype);
  const DotAxes &dot = kernel.dot_axes;
  auto size = [&](int axis) { return kernel.axes[axis].size; };
  int64_t m = size(dot.m.back()), n = size(dot.n.back()), k = 1, outer_m = 1;
  for (int axis : dot.k)
    k *= size(axis);
  for (int axis : dot.m)
    outer_m *= size(axis);
  outer_m /= m;
  GemmBlocking blocking;
  if (dot.m.size() > 1 || dot.k.size() > 1) {
    // A is read in place. Where the panel does not fit into the second cache, the outer summed axes are the parts: as few as
    // make the rest fit, while there is room for the sums of all rows.
    int64_t sums = outer_m * (m + 32) * (n + panel_step / element) * element;
    blocking.k_part = k;
    for (size_t i = 0; i + 1 < dot.k.size() && sums <= most_sums && blocking.k_part * panel_step > panels_bytes; ++i)
      blocking.k_part /= size(dot.k[i]);
    blocking.blocked = blocking.k_part < k;
    blocking.panel = tile_bytes;
    blocking.block = blocking.sums = blocking.end = blocking.panel + blocking.k_part * panel_step;
    if (blocking.blocked)
      blocking.end += sums;
    blocking.end = (blocking.end + line - 1) / line * line;
    return blocking;
  }
  // Unblocked, A is read from where it lies once for every panel: good while it stays in the second cache, and while an element
  // is not to be widened first, which copying does with whole vectors.
  const bool widens_a = kernel.nodes[kernel.nodes[kernel.dot].operands[0]].dtype != kernel.nodes[kernel.dot].dtype;
  blocking.blocked = widens_a || (m * k * element > 2 * block_bytes && n >= 128);
  int64_t parts = blocking.blocked ? (k + most_k_part - 1) / most_k_part : 1;
  blocking.k_part = (k + parts - 1) / parts;
  blocking.panel = tile_bytes;
  blocking.block = blocking.end = blocking.panel + blocking.k_part * panel_step;
  if (blocking.blocked) {
    blocking.block_rows = std::min(m, block_bytes / (blocking.k_part * element));
    // A whole tile may be copied beyond the last row, a vector beyond the last element.
    blocking.sums = blocking.block + (blocking.block_rows + 32) * blocking.k_part * element + line;
    blocking.sums = (blocking.sums + line - 1) / line * line;
    blocking.end = blocking.sums + (blocking.block_rows + 32) * (n + panel_step) * element;
  }
  blocking.end = (blocking.end + line - 1) / line * line;
  return blocking;
}

} // namespace nnc
