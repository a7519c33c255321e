// Checking gradients: what the pass `grad` derives, held against differences of the function itself, in double.
#pragma once

#include "ir/function.h"

#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace nnc {

struct GradcheckOptions {
  int64_t seed = 0;      // of the directions
  int64_t elements = 64; // tensors up to this size are also checked element by element
  // What expands the requests; null: the pass. A test puts a wrong rule here.
  std::function<void(Module &)> derive = nullptr;
};

// One gradient: of y by x, as one request of an entry asks for.
struct GradientCheck {
  std::string y, x;  // state path or name of the value
  std::string place; // "mnist.nn:8:12", of x, or of the request where x is an input
  Type type;         // of x
  int directions = 0, elements = 0, kinks = 0;
  double worst = 0;       // relative error
  bool differs = false;   // from the differences
  bool all_zero = false;  // the gradient here
  bool on_branch = false; // right on the branch that is taken at the point; there are kinks close by
  std::string failure;    // what is wrong with it; "" where it is right

  int tests() const { return directions + elements; }
};

inline constexpr double largest_gradient_error = 1e-5; // relative
inline constexpr double largest_kink_share = 0.05;     // of all tests of a run

bool has_gradients(const Region &region); // asked for in it or in its loops

// Checks every request of the entry `name` at this point, those in loops at the first step. `module` is widened and still has its
// requests; `inputs` and `states` as in interpret. Throws Error with the message of a check (`require`) that does not hold there:
// CheckFailed.
struct CheckFailed : std::runtime_error {
  using std::runtime_error::runtime_error;
};
std::vector<GradientCheck> check_gradients(const Module &module, const std::string &name, std::span<const Tensor> inputs,
                                           std::span<const Tensor> states, const GradcheckOptions &options = {});

} // namespace nnc
