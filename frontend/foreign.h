// What people write who come from Python, NumPy, PyTorch, Keras or C, and what stands for it here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nnc {

// "ReLU", "relu" and "re_lu" are one word to people: without case and `_`.
std::string plain_word(std::string_view name);

// What to write instead of a function, a field or a value of another language, as the end of a message: "write `…`", or a
// sentence. Empty if there is nothing to say.
std::string_view instead_of(std::string_view name);

// The dtype that goes by another name elsewhere ("int32", "double"): "i32"; else empty.
std::string_view dtype_instead_of(std::string_view name);

// A name under which a package is imported elsewhere: "np" in `np.tanh(x)`.
bool is_package(std::string_view name);

// The end of a message about an argument's name that `known` does not hold: what was meant, and the names there are.
std::string parameters_text(std::string_view name, const std::vector<std::string> &known);

// " (did you mean `x`?)" or "": finds the name that was meant among those it is shown, in any order. Few letters must differ,
// for what people miss is as often another function as a slip: `asin` is not `sin`.
class Closest {
public:
  explicit Closest(std::string_view name);
  void compare(std::string_view known);
  bool found() const { return !best_.empty(); }
  std::string hint() const;

private:
  std::string name_, plain_, best_;
  size_t distance_; // of `best_`; at first one more than is close
};

} // namespace nnc
