// The inside of simplify: rules, and what a rule can ask. Only simplify*.cpp and readers of the rule table need it.
#pragma once

#include "ir/builder.h"
#include "ir/denormals.h"
#include "passes/bounds.h"
#include "passes/value_table.h"

#include <optional>

namespace nnc {

// A value that repeats a smaller one: a broadcast of `inner`, or a splat, which repeats its number.
struct Repeated {
  Value inner; // the splat itself, where it is one
  Shape axes;  // of the value, along which it varies: the axes of `inner` in order; none for a splat
};

// What a rule can ask about the new region. Nothing it answers refers into the region: building moves nodes.
class Simplifier {
public:
  explicit Simplifier(Builder &build) : build(build), table_(build.region()) {}

  Builder &build; // places what a rule builds at the node it is tried on

  bool is(Value v, Op op) const { return build.region().node(v).op == op; }
  Value operand(Value v, int k = 0) const { return build.region().node(v).operands[k]; }
  int operands(Value v) const { return static_cast<int>(build.region().node(v).operands.size()); }
  Attrs attrs(Value v) const { return build.region().node(v).attrs; }
  DType dtype(Value v) const { return build.type(v).dtype; }
  Shape shape(Value v) const { return build.shape(v); }
  int64_t elements(Value v) const { return build.type(v).elements(); }

  // Read once, so that it goes when its reader no longer needs it. Counted before the sweep: a value that gained readers during
  // it counts them too, one that lost some may answer false.
  bool single_use(Value v) const { return uses_[v.node] <= 1; }
  // The number that all elements of a constant are. Whole numbers beyond 2^53 are rounded.
  std::optional<double> splat(Value v) const;
  bool is_splat(Value v) const { return splat(v).has_value(); }
  Value splat_like(Value splat, Shape shape); // the same number in another shape
  std::optional<Repeated> repeated(Value v) const;
  // `part` repeated in another shape, or along other axes.
  Value repeat(const Repeated &part, Shape shape, Shape axes);
  // An earlier value that is op(operands), or none.
  Value find(Op op, std::vector<Value> operands, const Type &type) const;
  // Reductions and dots on the longest path to the value: in which sweep over memory it can be had at the earliest.
  int depth(Value v) const { return depth_[v.node]; }

  // For the pass: what it appended or found to be used `uses` times is known from now on.
  void learn(Value v, int uses);

private:
  ValueTable table_;
  std::vector<int> uses_, depth_; // by node
};

// Whether sum(x * factor) (op: or x / factor) can be sum(x) * factor, of `terms` terms: only where no sum overflows then that did
// not before. So a number may not be small; of other factors, those that are known not to be below 2^-16 count as good enough.
bool may_leave_sum(const Simplifier &s, Op op, Value factor, Bounds x, double terms);
// What cannot make a sum with another overflow that is finite itself.
bool is_moderate(Bounds known, DType dtype);

// Says `node` in another way: the value that takes its place, or none. `node` is not in the region, its operands are. What
// builds anything must return a value.
using RuleFunction = Value (*)(Simplifier &s, const Node &node);

struct SimplifyRule {
  std::string_view name;
  Op op; // of the nodes it is tried on; one rule may have several rows
  RuleFunction apply;
  std::string_view maths; // "x * 1 = x"
  std::string_view error; // how far off floats may be; "": exact, the same bits for every operand, NaN and infinities too
};

// Classes of error. `factored`: terms or a factor that are infinite (or divisors that are 0) may give an infinity where the sum
// as written gives NaN; never a finite number. `framed`: products with the zeros of a frame are added.
inline constexpr std::string_view exact = "", zero_sign = "the sign of a zero", two_ulp = "2 ulp",
                                  order = "sums in another order",
                                  factored = "sums in another order; where one is not finite, NaN may become infinite",
                                  framed = "sums in another order; a weight that is not finite meets zeros: NaN beside it";

std::vector<SimplifyRule> arithmetic_rules(); // simplify_arithmetic.cpp
std::vector<SimplifyRule> choice_rules();     // simplify_choice.cpp: comparisons, select, casts
std::vector<SimplifyRule> view_rules();       // simplify_views.cpp
std::vector<SimplifyRule> window_rules();     // simplify_windows.cpp
std::vector<SimplifyRule> reduction_rules();  // simplify_reductions.cpp
std::vector<SimplifyRule> dot_rules();        // simplify_dot.cpp
std::vector<SimplifyRule> simplify_rules();   // all of them, in the order in which they are tried

// The value of a node whose operands are all constants, if it is small or a splat (fold.cpp).
std::optional<Tensor> folded(const Region &region, const Node &node, Denormals denormals);

} // namespace nnc
