// Where the elements of a value come from once the views between are taken away.
#pragma once

#include "ir/function.h"

#include <functional>

namespace nnc {

// A value seen through views, axis by axis.
struct ElementSource {
  enum class Kind : uint8_t {
    buffer,   // elements of `value` in memory: offset + sum of strides[i] * index[i]
    member,   // a value computed in the same kernel: its axis dims[i] lies along axis i, -1 where it repeats
    constant, // the same number everywhere: `value` is the constant node
    index,    // a number made from the index: offset + sum of strides[i] * index[i]
    blocked,  // no affine map: `reason`
  };
  Kind kind = Kind::buffer;
  Value value;
  int64_t offset = 0;
  Shape strides;
  std::vector<int> dims;
  std::string reason;
};

// Looks through the views below `value` to what they read. `is_member(node)`: the node is computed in the same kernel.
// pad, concat and everything that computes are buffers unless they are members.
ElementSource resolve(const Region &region, Value value, const std::function<bool(int)> &is_member);

// A tensor whose entries along the first axis lie whole in memory, a fixed distance apart: where entry 0 begins in a stored
// value, and the distance, in elements.
struct Entries {
  Value value;
  int64_t offset = 0, stride = 0;
};
std::optional<Entries> entries_of(const Region &region, Value value);

// Strides of `shape` seen as `new_shape` (the same elements in row-major order), or nullopt where that needs a copy.
std::optional<Shape> reshape_strides(const Shape &shape, const Shape &strides, const Shape &new_shape);

} // namespace nnc
