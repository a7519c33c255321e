// The functions that gradients are checked on, cut out of an entry.
#pragma once

#include "ir/function.h"

#include <map>

namespace nnc {

struct FirstSteps {
  std::map<int, Value> sources;       // what a step takes in: the value that it stands for
  std::map<Value, std::string> names; // in the body; in the function they have to be unique
};

// Puts the first step of every loop that asks for gradients behind the other nodes, and after it that of the loops in it. What
// the step takes in is cut off by stop_gradient, since a request in a step derives the step alone.
FirstSteps add_first_steps(Function &function);

// Writes what has kinks or jumps as the branch that is taken: maximum(a, b) as select(stop_gradient(b < a), a, b). Behind
// stop_gradient are comparisons, places and whole numbers; what is left is smooth, but for the bodies of loops.
void follow_branches(Function &function);

// What a stop_gradient in the body of a loop gives is computed by a loop of its own, and held at each step by the one that
// counts.
void hold_in_loops(Function &function);

// y as a function of several x, none of which moves another, near a point: all that lies between them, with everything else held.
// What a stop_gradient gives is held too.
class Between {
public:
  Between(const Function &function, Value y, Value x) : function_(&function), y_(y), xs_{x} {}

  // Takes the same y by one more x, if it can be the same function.
  bool take(Value y, Value x);

  // The function, whose inputs are what is held.
  Function part(const std::string &name);
  const std::vector<Value> &held() const { return held_; } // after part: the x first
  size_t place(Value x) const;                             // of an x in there

private:
  const Function *function_;
  Value y_;
  std::vector<Value> xs_, held_;
};

} // namespace nnc
