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

bool is_swept(const Kernel &kernel, const KernelRoot &root) {
  return std::any_of(root.access.strides.begin() + kernel.rows, root.access.strides.end(),
                     [](int64_t stride) { return stride != 0; });
}

bool leaves_partials(const Kernel &kernel, const KernelNode &node) {
  return kernel.grains > 1 && node.partial &&
         std::find(node.attrs.axes.begin(), node.attrs.axes.end(), kernel.grain_axis) != node.attrs.axes.end();
}

GemmBlocking gemm_blocking(const Kernel &kernel) {
  constexpr int64_t tile_bytes = 16 << 10, panel_step = 256, block_bytes = 384 << 10, most_k_part = 512, line = 64;
  int64_t element = dtype_size(kernel.nodes[kernel.dot].dtype);
  int64_t m = kernel.axes[kernel.dot_axes.m[0]].size, n = kernel.axes[kernel.dot_axes.n[0]].size;
  int64_t k = kernel.axes[kernel.dot_axes.k[0]].size;
  GemmBlocking blocking;
  // Unblocked, A is read from where it lies once for every panel: good while it stays in the second cache.
  blocking.blocked = m * k * element > 2 * block_bytes && n >= 128;
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
