// Datum: what an expression of the language evaluates to. All but tensors are compile-time: they leave no trace in the IR.
#pragma once

#include "frontend/ast.h"
#include "ir/error.h"
#include "ir/function.h"

#include <limits>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace nnc {

struct Builtin;
class Draft;

// A tensor at run time: a value of the function that `home` drafts.
struct TensorRef {
  Value value;
  Type type;
  const Draft *home = nullptr;
  int state = -1; // the state (or param) it is the value of, or was when it was read
  int slope = -1; // the state that it is the derivative by
  // Of an f32 that stands for a table of numbers: what `value` in `home` is in f64, before it was rounded.
  struct Exact {
    Value rounded, value;
    const Draft *home = nullptr;
  };
  std::optional<Exact> exact = std::nullopt;
};

// A function as a value: declared in .nn or built in; differentiated `grads` times.
struct FunctionRef {
  const ast::Func *func = nullptr;
  const Builtin *builtin = nullptr;
  int grads = 0;

  bool operator==(const FunctionRef &) const = default;
};

// A number of the language. One that was written or counted as a whole number is exact; what else is computed is a double.
struct Number {
  double value = 0; // the nearest double
  std::optional<int64_t> exact = std::nullopt;

  Number(double number) : value(number == number ? number : std::numeric_limits<double>::quiet_NaN()) {} // of one sign
  static Number whole(int64_t number) {
    Number result(static_cast<double>(number));
    result.exact = number;
    return result;
  }
  operator double() const { return value; }
  friend bool operator==(const Number &a, const Number &b) {
    return a.exact && b.exact ? *a.exact == *b.exact : a.value == b.value;
  }
  friend bool operator<(const Number &a, const Number &b) { return a.exact && b.exact ? *a.exact < *b.exact : a.value < b.value; }
};

struct Poison {}; // stands for a value whose error was reported; using it fails in silence
struct Datum;
struct Items;
using List = std::shared_ptr<const Items>;

struct Datum {
  std::variant<Poison, Number, bool, std::string, DType, TensorRef, FunctionRef, List> value;

  Datum() = default;
  template <typename T> Datum(T v) : value(std::move(v)) {}

  template <typename T> const T *as() const { return std::get_if<T>(&value); }
  template <typename T> bool is() const { return std::holds_alternative<T>(value); }
  const std::vector<Datum> *list() const;
  int64_t size() const; // of a list, its items and theirs; else 1
};

struct Items {
  std::vector<Datum> list;
  int64_t size = 0; // with the items of the items: lists may share them, so this can be far more than memory holds
  int depth = 1;    // levels of lists
};

// Compile-time data outgrew what any program should need.
struct TooLarge : Error {
  using Error::Error;
};

Datum make_list(std::vector<Datum> items); // throws TooLarge
Datum make_list(const Shape &sizes);

// A datum and where it was written.
struct Operand {
  Datum datum;
  Span span;
};

std::string number_text(const Number &value);       // "3", "0.1"
std::string datum_text(const Datum &datum);         // as it would be written: "3", "[1, 2]", "true"; long lists are cut short,
                                                    // tensors stand as their type
std::string kind_text(const Datum &datum);          // for messages: "f32[3,4]", "the number 3", "a list", "a function"
std::string operand_text(const Span &span);         // "`x + 1`", or "" where the text is long
std::optional<int64_t> whole(const Number &value);  // the number as an integer, if it is one (that is not exact: up to 2^53)
bool same_constant(const Datum &a, const Datum &b); // equality of compile-time data; tensors are never equal

} // namespace nnc
