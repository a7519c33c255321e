// A request for derivatives while it is expanded: where the walk backwards stands, and what it found.
#pragma once

#include "ir/builder.h"

#include <map>
#include <unordered_set>

namespace nnc {

// All names of a region, old and new: the derivative of `h` is `d.h`, or `d.h.1` if that is taken.
class DerivativeNames {
public:
  explicit DerivativeNames(const Region &region);
  std::string derivative_of(const std::string &name);

private:
  std::unordered_set<std::string> used_;
};

// Of a derivative by a value of `type`, until it leaves the pass: wide, so that contributions can be added and nothing is rounded
// on the way.
inline Type derivative_type(const Type &type) { return {wide_dtype(type.dtype), type.shape}; }

// Which nodes of the first `count` vary with one of `xs`, floats all.
std::vector<bool> influenced_nodes(const Region &region, const std::vector<Value> &xs, int count);

// Derivatives of a number y by `xs`, where those by some values are known: `seed` says so for each. A scalar y itself is the
// value whose derivative is 1.
class Request {
public:
  // Nodes from `count` on are not looked at.
  Request(Builder &build, DerivativeNames &names, const Module &module, std::vector<Value> xs, int count);

  bool influenced(Value v) const { return influenced_[v.node]; }
  // Before `expand`: `d` is the derivative by `v`, or a part of it.
  void seed(Value v, Value d);
  // The derivative by each x; none where y does not depend on it. Appends to the region.
  std::vector<Value> expand();

  // The place of what is built for the derivative by `v`: its own, with a prime more.
  Loc derived(Value v) const;
  // Built by this request, and not a constant, which has no name so that it prints as a literal.
  bool may_name(Value v) const { return v.node >= first_new_ && region().node(v).op != Op::constant; }

private:
  const Region &region() const { return build_.region(); }
  bool is_float_value(Value v) const { return is_float(build_.type(v).dtype); }
  void visit(Value v, Value d);
  void visit_scan(int node);
  void name(Value v, Value d);
  void contribute(Value to, Value part, Value from);
  std::string place(Value v) const;
  std::string title(Value v) const;
  [[noreturn]] void refuse(Value v, Value operand) const;

  Builder &build_;
  DerivativeNames &names_;
  const Module &module_;
  const std::vector<Value> xs_;
  const int count_, first_new_;
  std::vector<bool> influenced_;        // by node
  std::map<Value, Value> d_;            // derivatives of y by the values on the way
  std::map<Value, Value> reached_from_; // the user that contributed first
};

// The derivative of y by each operand of scan node `node` (none: no part of it), given those by its results (none: 0), for the
// operands where `influenced`. Adds to the node the stacks that the loop backwards reads.
std::vector<Value> scan_derivatives(Builder &build, const Module &module, int node, const std::vector<Value> &d_results,
                                    const std::vector<bool> &influenced);

} // namespace nnc
