// What planning and code generation agree on about guarded kernels, those of --check=bounds.
//
// A guarded kernel has one pointer more, the last, which is no root's: a bool for every other pointer and, behind them, the
// scratch slot, and each for loads and for stores. All are true while an entry runs. A kernel that would load or store outside of
// the memory behind a pointer sets the bool of that to false instead, and returns.
#pragma once

#include "ir/kernel.h"

#include <algorithm>

namespace nnc {

inline int64_t guard_index(size_t pointer, bool is_store) { return 2 * static_cast<int64_t>(pointer) + is_store; }

inline bool has_guards(const Kernel &kernel) {
  const int last = static_cast<int>(kernel.pointers.size()) - 1;
  return last >= 0 && kernel.pointers[last].dtype == DType::boolean && !kernel.pointers[last].read &&
         std::ranges::none_of(kernel.roots, [&](const KernelRoot &root) { return root.access.pointer == last; });
}

// Bytes of the memory behind a pointer; behind the scratch slot where `pointer` is their number, without the guards.
inline int64_t guarded_bytes(const Kernel &kernel, size_t pointer) {
  if (pointer >= kernel.pointers.size() - has_guards(kernel))
    return kernel.scratch_bytes;
  int64_t parts = 1;
  for (const KernelRoot &root : kernel.roots)
    if (root.access.pointer == static_cast<int>(pointer) && leaves_partials(kernel, kernel.nodes[root.node]))
      parts = kernel.grains;
  return kernel.pointers[pointer].elements * parts * dtype_size(kernel.pointers[pointer].dtype);
}

} // namespace nnc
