// Op, its attributes, and the op table built from ops.def.
#pragma once

#include "ir/type.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nnc {

// arg, constant, fused and grad are structure, not operations: an argument of a function or region, data, a group of nodes
// that became one kernel, a request for derivatives, and a loop. The rest comes from the table.
//
// grad(%y, %x1, %x2, …) stands for the derivatives of the float scalar %y by the values %x1, %x2, …: one result per x, of
// x's type, zeros where y does not depend on x. The frontend writes it, the pass `grad` replaces it, nothing evaluates it.
//
// scan is a loop: its body runs once a step, see ScanInfo in function.h.
enum class Op : uint8_t {
  arg,
  constant,
  fused,
  grad,
  scan,
#define OP(name, ...) name,
#include "ir/ops.def"
};

enum class Family : uint8_t { structure, elementwise, view, reduce, indexed, contract };

// All attributes an op can have; an op uses those its row names, the others stay empty.
struct Attrs { // initialised by name: {.axes = …}
  Shape axes = {};
  Shape shape = {};
  Shape start = {};
  Shape stride = {};
  Shape dilation = {};
  int64_t axis = 0;
  DType dtype = DType::f32;
  std::string labels = {};

  bool operator==(const Attrs &) const = default;
};

enum class AttrKey : uint8_t { axes, shape, start, stride, dilation, axis, dtype, labels };
std::string_view attr_name(AttrKey key);

struct OpInfo {
  std::string_view name;
  Family family;
  int operands; // -1: one or more
  int weight;
  std::vector<AttrKey> attrs;
  std::string_view doc;
};

const OpInfo &op_info(Op op);
std::optional<Op> op_from_name(std::string_view name); // table ops only
std::span<const Op> all_ops();                         // table ops in table order

inline Family family(Op op) { return op_info(op).family; }
inline bool is_elementwise(Op op) { return family(op) == Family::elementwise; }
inline bool is_view(Op op) { return family(op) == Family::view; }
inline bool is_reduce(Op op) { return family(op) == Family::reduce; }

// The type that `op` gives for these operands. Throws Error ("add: shapes differ: [2,3] and [3,2]") if they do not fit.
Type infer_type(Op op, std::span<const Type> operands, const Attrs &attrs);

// A dot's labels taken apart: positions in lhs, rhs and result of every label, by role.
struct DotLabels {
  std::string lhs, rhs, result;
  std::string batch, rows, cols, summed; // labels in all three; in lhs and result; in rhs and result; in both inputs only
};
DotLabels parse_dot_labels(std::string_view labels); // throws Error if malformed

} // namespace nnc
