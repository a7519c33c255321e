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
  }
  return "";
}

int64_t Kernel::points() const {
  int64_t count = 1;
  for (const Axis &axis : axes)
    count *= axis.size;
  return count;
}

bool leaves_partials(const Kernel &kernel, const KernelNode &node) {
  return kernel.grains > 1 && node.partial &&
         std::find(node.attrs.axes.begin(), node.attrs.axes.end(), kernel.grain_axis) != node.attrs.axes.end();
}

} // namespace nnc
