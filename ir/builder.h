// Builder: appends nodes to a region, inferring their types. One method an op; names and places are set on the way.
#pragma once

#include "ir/function.h"

#include <string>
#include <unordered_map>

namespace nnc {

class Builder {
public:
  explicit Builder(Region &region) : region_(region) {}

  Loc loc; // given to every node built

  Value arg(Type type, const std::string &name); // only before any other node
  Value constant(Tensor data, const std::string &name = "");
  Value constant(Type type, double value); // a splat
  Value constant_int(Type type, int64_t value);
  // Throws Error when the operands do not fit.
  Value op(Op op, std::vector<Value> operands, Attrs attrs = {}, const std::string &name = "");
  // Nodes with a body; the first of their results.
  Value fused(std::vector<Value> operands, Region body);
  Value scan(const ScanInfo &info, std::vector<Value> operands, Region body);

  const Type &type(Value v) const { return region_.type(v); }
  const Shape &shape(Value v) const { return type(v).shape; }
  Region &region() { return region_; }

  // Elementwise.
  Value add(Value a, Value b) { return op(Op::add, {a, b}); }
  Value sub(Value a, Value b) { return op(Op::sub, {a, b}); }
  Value mul(Value a, Value b) { return op(Op::mul, {a, b}); }
  Value div(Value a, Value b) { return op(Op::div, {a, b}); }
  Value neg(Value a) { return op(Op::neg, {a}); }
  Value select(Value c, Value a, Value b) { return op(Op::select, {c, a, b}); }
  Value lt(Value a, Value b) { return op(Op::lt, {a, b}); }
  Value eq(Value a, Value b) { return op(Op::eq, {a, b}); }
  Value cast(Value a, DType dtype); // `a` itself if it has that dtype
  // A splat of a's type, for use beside it.
  Value like(Value a, double value) { return constant(type(a), value); }

  // Views; each returns its operand where it would change nothing.
  Value broadcast(Value a, Shape shape, Shape axes);
  Value transpose(Value a, Shape axes);
  Value reshape(Value a, Shape shape);
  Value slice(Value a, Shape start, Shape shape, Shape stride);
  Value pad(Value a, Value fill, Shape start, Shape shape, Shape stride);
  Value concat(std::vector<Value> parts, int64_t axis);
  // Windows of `sizes` along `axes`, at every `stride`-th place that has room for a whole one.
  Value window(Value a, Shape axes, const Shape &sizes, Shape stride, Shape dilation);
  Value unwindow(Value windows, Shape axes, Shape shape, Shape stride, Shape dilation);
  Value gather(Value a, Value index, int64_t axis);
  Value scatter_add(Value updates, Value index, int64_t axis, Shape shape);
  Value argsort(Value a, int64_t axis);
  Value iota(DType dtype, Shape shape, int64_t axis);
  // NumPy's rule: axes are aligned at the right, and an axis of size 1 repeats. It must fit.
  Value broadcast_to(Value a, const Shape &shape);

  // x ** n by multiplications.
  Value power(Value x, int64_t n);

  // Reductions, and their results broadcast back along the reduced axes.
  // Axes in any order; sum, prod, max and min over none of them are the operand.
  Value reduce(Op op, Value a, Shape axes);
  Value sum(Value a, Shape axes) { return reduce(Op::sum, a, std::move(axes)); }
  Value broadcast_back(Value reduced, const Shape &shape, const Shape &axes);

  Value dot(Value a, Value b, std::string labels);

  // The derivatives of scalar y by each of xs, as a request (Op::grad).
  std::vector<Value> grad(Value y, const std::vector<Value> &xs);

  // Makes `name` unique in the region: "h", "h.1", "h.2", …
  void set_name(Value v, const std::string &name);

private:
  Value append(Node node, const std::string &name);

  Region &region_;
  // Names in use, each with the next suffix to try; filled from the region's first `scanned_` nodes when one is set.
  std::unordered_map<std::string, int> next_suffix_;
  size_t scanned_ = 0;
};

// The exponents for which `power` of floats is within 2 ULP: 1.90 for x ** 4, 1.49 for x ** -2 (f32, over all x).
inline bool is_short_power(int64_t n) { return n >= -2 && n <= 4; }

// NumPy's broadcast of two shapes; nullopt where they do not fit.
std::optional<Shape> broadcast_shapes(const Shape &a, const Shape &b);

} // namespace nnc
