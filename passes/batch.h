// Values of a loop's body, built outside for all steps at once.
#pragma once

#include "ir/builder.h"

#include <map>

namespace nnc {

class Batch {
public:
  // What a value is outside: one for each step, along a first axis, or the same in all.
  enum class Kind : uint8_t { unknown, same, steps };
  struct All {
    Value value;
    bool steps = false;
  };

  Batch(Builder &out, const Region &body, int64_t steps) : out_(out), body_(body), steps_(steps) {}

  // A value of the body is `outside` there; it may be told once more, when that value is there.
  void know(Value v, Value outside, bool steps);
  void forget(Value v);
  // What `v` would be, by what is known; unknown: it cannot be had.
  Kind kind(Value v);
  // Builds it, and what it is computed from down to what is known.
  All make(Value v);
  Value make_steps(Value v); // with the first axis, also if it is the same in all

private:
  Kind kind_of(const Node &node);
  All built(const Node &node, const std::vector<All> &operands);
  Value with_steps(const All &all);

  Builder &out_;
  const Region &body_;
  const int64_t steps_;
  std::map<Value, All> known_;
  std::map<Value, Kind> kinds_; // as far as asked for
};

} // namespace nnc
