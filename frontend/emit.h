// Emit: the language's operations on data. Compile-time data are computed, tensors become IR: here live weakly typed
// numbers, promotion within a kind, broadcasting and indexing, which the IR does not have.
#pragma once

#include "frontend/draft.h"
#include "frontend/trace.h"

#include <functional>

namespace nnc {

// One axis of an indexed tensor.
struct AxisRange {
  int64_t start = 0, size = 1, stride = 1;
  bool kept = true; // an index by one number drops the axis
  // Places read from data, i32: the whole range is there, and the axes of this tensor take the place of the axis.
  std::optional<TensorRef> place = {};
};

// An evaluated subscript.
struct SubscriptValue {
  ast::Subscript::Kind kind;
  Span span;
  Operand index = {};                                      // index
  std::optional<int64_t> start = {}, stop = {}, step = {}; // slice
};

class Emit {
public:
  explicit Emit(Trace &trace) : trace(trace) {}

  Trace &trace;
  Draft *draft = nullptr; // the function being lowered; none while file-level values are computed
  // The value here of a tensor of another function, or none: an initialiser may name what has a value in `init`.
  std::function<std::optional<Value>(const TensorRef &)> foreign;
  Span last = {}; // where the builder was placed last

  // The builder, placed at `at`; an error where nothing can be computed at run time.
  Builder &at(const Span &at);
  TensorRef ref(Value value) const { return {value, draft->b.type(value), draft}; }
  Value value(const TensorRef &tensor, const Span &at);

  // ---- conversions (convert.cpp)
  // As a tensor: numbers, bools and lists become constants, of `dtype` where one is given, else f32 or bool. A tensor stays.
  TensorRef tensor(const Operand &operand, std::optional<DType> dtype = std::nullopt);
  TensorRef cast(const Operand &operand, DType dtype, const Span &at); // f32(x)
  // An error where the tensors meet in a dtype that is for storage only, and `operation` computes with them.
  void need_arithmetic(std::string_view operation, const std::vector<Operand> &operands, const Span &at);
  // Tensors of one dtype: the widest of the kind; an error between kinds.
  std::vector<TensorRef> unify(const std::vector<Operand> &operands, const Span &at);
  TensorRef converted(const TensorRef &tensor, DType dtype, const Span &at);
  TensorRef broadcast(const TensorRef &tensor, const Shape &shape, const Span &at);
  // The shape that all broadcast to; an error that names the two that do not fit.
  Shape joint_shape(const std::vector<TensorRef> &tensors, const std::vector<Span> &spans, const Span &at);
  // A whole number from 1 (or `least`) up; `what` for the error: "a size", "an axis".
  int64_t whole_number(const Operand &operand, std::string_view what);
  Shape whole_numbers(const Operand &operand, std::string_view what); // of one number or a list

  // ---- operators (operators.cpp, matmul.cpp)
  Datum unary(ast::UnaryOp op, const Operand &operand, const Span &at);
  Datum binary(ast::BinaryOp op, const Operand &left, const Operand &right, const Span &at);
  Datum elementwise(Op op, const std::vector<Operand> &operands, const Span &at); // all of one dtype
  Datum where(const Operand &condition, const Operand &yes, const Operand &no, const Span &at);
  TensorRef matmul(const Operand &left, const Operand &right, const Span &at);

  // ---- indexing (indexing.cpp)
  Datum index(const Operand &base, const std::vector<SubscriptValue> &subscripts);
  // `base` with the part the subscripts name replaced by `part`.
  TensorRef replaced(const Operand &base, const std::vector<SubscriptValue> &subscripts, const Operand &part, const Span &at);
  TensorRef sliced(const TensorRef &tensor, const std::vector<AxisRange> &ranges, const Span &at);
  // Whole numbers as i32; an error for other tensors.
  TensorRef places(const Operand &index);
  // An error if the axis has places beyond those of an i32.
  void need_places(const Type &type, int64_t axis, const Span &at);

  // ---- reductions (reductions.cpp)
  TensorRef reduce(Op op, const Operand &operand, const Shape &axes, bool keepdims, const Span &at);
  // Axes counted from the front, in order; an error if one is not there or stands twice.
  Shape axes_of(const TensorRef &tensor, const Operand &axis);

  // The entry fails with this message where an element of the bools is false.
  void check(const TensorRef &holds, const std::string &message, const Span &at);

  // ---- messages (size_origin.cpp)
  // Where the size of an axis comes from, as a note: a declaration, or the operation that made it.
  void note_size(Diagnostic &diagnostic, const TensorRef &tensor, int64_t axis) const;
  // Of every axis that is not as in `expected`; nothing if the numbers of axes differ.
  void note_sizes(Diagnostic &diagnostic, const TensorRef &tensor, const Shape &expected) const;

private:
  std::map<double, std::string> quotients_; // which numbers were divided to get a fraction: "768 / 7"

  Datum compare(ast::BinaryOp op, const Operand &left, const Operand &right, const Span &at);
  std::optional<Datum> decided(ast::BinaryOp op, const Operand &left, const Operand &right, const Span &at);
  Datum logical(ast::BinaryOp op, const Operand &left, const Operand &right, const Span &at);
  Datum power(const Operand &base, const Operand &exponent, const Span &at);
  std::vector<TensorRef> same_shape(const std::vector<Operand> &operands, const Span &at);
  std::vector<AxisRange> ranges_of(const TensorRef &tensor, const std::vector<SubscriptValue> &subscripts, const Span &base);
  TensorRef checked_places(const SubscriptValue &s, int64_t size, const std::string &of,
                           const std::function<void(Diagnostic &)> &note);
};

// Compile-time arithmetic on numbers, bools, strings and lists; fails through `trace` where it has no meaning.
Datum fold_binary(Trace &trace, ast::BinaryOp op, const Operand &left, const Operand &right, const Span &at);
Datum fold_unary(Trace &trace, ast::UnaryOp op, const Operand &operand, const Span &at);

bool is_compile_time(const Datum &datum);
// What two of a kind meet in: the wider, which is neither if both are for storage only and differ.
DType common_dtype(DType a, DType b);
// Can a tensor of `dtype` hold this number?
bool holds(DType dtype, const Number &number);

} // namespace nnc
