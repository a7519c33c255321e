// Kernel: what is computed together, and how. A table derived from the body of a `fused` node, never a second program:
// axes to iterate over, pointers with an affine map each, a list of scalar nodes, and the values that leave (roots).
// Codegen and the Plan interpreter read only this.
#pragma once

#include "ir/function.h"

namespace nnc {

// Axes are listed outermost first: row axes, then inner axes. Every root or inner reduction keeps the row axes; inner axes are
// swept (and reduced) for one row at a time. No axis has size 1.
struct Axis {
  int64_t size = 0;
  bool inner = false;
  // A node: only the index that it says is visited, none where it is no index of the axis. Elsewhere the kernel would write what
  // it has read in the same place (`only_change`). -1: every index.
  int only = -1;

  bool operator==(const Axis &) const = default;
};

// The element of a pointer that belongs to a point: offset + sum of strides[a] * index[a], in elements.
struct Access {
  int pointer = 0;
  int64_t offset = 0;
  Shape strides; // one an axis; 0: does not depend on it

  bool operator==(const Access &) const = default;
};

// Where a value that a later stage needs is kept between stages (or points).
enum class Home : uint8_t {
  none, // computed where it is needed, again in every stage
  acc,  // a register (or one a lane): values that do not depend on an inner axis
  row,  // a buffer of one row in the scratch slot
};

// One value. The op says what it is:
//   arg       a load through `access`
//   constant  `number`
//   iota      access.offset + sum of access.strides[a] * index[a], as an integer
//   elementwise ops, on operands of any smaller dependence
//   gather    a load through `access` and, along the table's axis of attrs.shape[0] elements, attrs.stride[0] apart, at the place
//             that its operand says; a place beyond an end is the end. No axis of the kernel lies along that axis.
//   sum prod max min argmax   reduction of its operand over all inner axes, or (`partial`) over the row axes `attrs.axes`
//   dot       sum over all inner axes of the product of its two operands, both loads, widened to its dtype
//   scatter_add   `partial`: operand 0, summed over the row axes `attrs.axes` into the place that operand 1 says, as in gather;
//             the place adds to the root's access. The vector axis and the grain axis are never among `attrs.axes`.
//   argsort   (recipe sort) the places of its operand along the inner axis, in the order of their elements
struct KernelNode {
  Op op = Op::arg;
  std::vector<int> operands;
  DType dtype = DType::f32;
  Attrs attrs;
  Access access;
  double number = 0;
  int64_t integer = 0; // constant of an integer or bool dtype
  bool partial = false;
  uint64_t depends = 0; // bit a: the value varies along axis a
  int stage = 0;        // reductions and dots on the longest path to it
  Home home = Home::none;
  Loc loc;
  std::string name;
};

// A value that leaves the kernel. A reduction over the grain axis (`leaves_partials`) is written once a grain, at
// pointer + grain * (elements of the pointer).
struct KernelRoot {
  int node = 0;
  Access access;
};

struct KernelPointer {
  DType dtype = DType::f32;
  bool read = false, written = false; // both: in place
  Value value;                        // of the region the kernel was made from: what is read, or what is written
  int64_t elements = 0;               // of the buffer behind it (of one grain's part, for a partial root)
  std::string name = {};              // of what is read
  // Of the matrix B of a gemm that is a constant: its content, so that codegen may lay it out as the recipe reads it. Then no
  // other node reads this pointer.
  std::shared_ptr<const Tensor> constant = {};
};

enum class Recipe : uint8_t {
  loop,    // loops over rows, sweeps over inner axes; any kernel
  gemm,    // dot, vectors along n, a tile of accumulators
  gemv,    // dot with one row: many vectors along n, or several rows of a transposed matrix at once
  small_n, // dot with few columns: vectors along the summed axis; as gemm where registers are too few for the columns
  sort,    // argsort of one inner axis, a row at a time in the scratch slot
};
std::string_view recipe_name(Recipe recipe);

// The axes of a dot by role (indices into Kernel::axes).
struct DotAxes {
  std::vector<int> batch, m, n, k;
};

// Where the vector axis of a loop is cut into grains: at multiples of this, so that whole vectors stay together and a matrix
// is read in long runs.
inline constexpr int64_t vector_axis_unit = 256;

struct Kernel {
  Recipe recipe = Recipe::loop;
  std::vector<Axis> axes;
  int rows = 0;         // the first `rows` axes are row axes
  int vector_axis = -1; // the axis whose points lie in one vector; -1: none (a scalar kernel)
  std::vector<KernelPointer> pointers;
  std::vector<KernelNode> nodes; // operands before users
  std::vector<KernelRoot> roots;
  int dot = -1; // the dot node, if there is one
  DotAxes dot_axes;
  int stages = 1;
  int64_t grains = 1; // pieces that may run on different threads: axis `grain_axis` is cut in this many
  int grain_axis = 0;
  int64_t scratch_bytes = 0;  // of a slot; codegen's and the row homes'
  double flop = 0, bytes = 0; // work and traffic of one call

  int64_t points() const; // product of all axes
};

// Values that are computed at one point from operands at that point.
inline bool is_pointwise(Op op) { return is_elementwise(op) || op == Op::gather; }

// Nodes that read memory through their `access`.
inline bool is_load(Op op) { return op == Op::arg || op == Op::gather; }

// How a partial root takes up one more term.
inline Op combining_op(Op op) { return op == Op::scatter_add ? Op::sum : op; }

// That one accumulator of floats adds up, one after the other: so many roundings a term goes through at each level of a sum.
inline constexpr int64_t most_terms = 32;

// Of the widest registers that code is made for: the room that a vector has in a scratch slot.
inline constexpr int64_t vector_bytes = 64;

// Bytes of an element of a row that is being sorted: its key and its place in one integer; and of the scratch slot.
inline int64_t sort_pair_bytes(DType key) { return dtype_size(key) <= 4 ? 8 : 16; }
inline int64_t sort_scratch_bytes(DType key, int64_t size) { return 2 * (size + 1) * sort_pair_bytes(key); }

// Whether a gemv reads the rows of its matrix one after the other, while so many sums at a time wait in the scratch slot: where a
// row lies in memory along the vectors and is longer than registers hold.
inline constexpr int64_t gemv_sums = 2048, gemv_unit = 1024; // and where its columns are cut into grains
bool sums_wait_in_slot(const Kernel &kernel);

// How the gemm recipe cuts its matrices for the caches, and its scratch slot; from the shape alone. Byte offsets of: a tile of
// finished sums, panels of B (k_part steps of gemm_panel_step), and, if `blocked`, the sums that wait between the parts of k: of
// all rows, or, where block_rows is not 0, of a block of A (block_rows x k_part) that is copied together before them.
struct GemmBlocking {
  bool blocked = false;
  int64_t k_part = 0, block_rows = 0;
  int64_t panel = 0, block = 0, sums = 0, end = 0;
};
inline constexpr int64_t gemm_panel_step = 256; // bytes
GemmBlocking gemm_blocking(const Kernel &kernel);

// The kernel as text, as `--emit=fused` shows it. `identity` leaves out names, places and the region's values: two kernels
// with equal identity are one function.
std::string kernel_text(const Kernel &kernel, bool identity = false);

// The stage in whose sweep a node is computed. A reduction over inner axes, or a dot, is there when the sweep before its own
// stage is done.
inline int sweep(const KernelNode &node) { return node.stage - ((is_reduce(node.op) && !node.partial) || node.op == Op::dot); }

// Whether a root is written in a sweep over the inner axes; else once a row, when all sweeps are done. Its value may be the same
// along the sweep.
bool is_swept(const Kernel &kernel, const KernelRoot &root);

// Whether a root with this node is left as one part for every grain, which another kernel combines.
bool leaves_partials(const Kernel &kernel, const KernelNode &node);

// Whether a root with this node is a sum of so many floats that adding them one after the other would lose digits. Then what
// every addition loses is kept beside the sums, as many elements as its pointer has, and goes into the next (Kahan's summation).
bool is_compensated(const Kernel &kernel, const KernelNode &node);

// These lie at the end of the scratch slot, one root after the other: bytes of those of the first so many roots.
int64_t compensation_bytes(const Kernel &kernel, size_t roots);

// The node that says at which index of the axis the roots differ from what they lie on, as in `b[i] = v`: each is
// select(index(axis) == node and …, v, what is there). -1 where it is not so.
int only_change(const Kernel &kernel, int axis);

// What it computes in a few words: "max(dot + b, 0)", or "r:1024 | c:1024, 3 stages" where the expression is long.
std::string kernel_summary(const Kernel &kernel);

} // namespace nnc
