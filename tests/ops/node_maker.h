// What random functions are made of: well-typed nodes of a region whose values are tame. Each node is evaluated as it is added,
// and dropped where it is not finite.
#pragma once

#include "ir/builder.h"

#include <map>
#include <random>

namespace nnc {

// One engine and integer arithmetic on it, so that a seed means the same graph with every standard library.
class RandomSource {
public:
  explicit RandomSource(uint64_t seed) : random_(seed) {}

  int64_t below(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }
  bool chance(int percent) { return below(100) < percent; }
  template <typename T> const T &one_of(const std::vector<T> &list) { return list[below(static_cast<int64_t>(list.size()))]; }

private:
  std::mt19937_64 random_;
};

bool is_tame(const Tensor &tensor); // no float is beyond 1000, or no number

struct AxisSizes {
  Shape sizes; // that axes have
  int64_t most_elements = 0;
};

class NodeMaker {
public:
  // `loops`: how many are around the region.
  NodeMaker(RandomSource &random, const AxisSizes &sizes, Region &region, int loops)
      : random_(random), sizes_(sizes), region_(region), builder_(region), loops_(loops) {}

  // An argument that has this value, in the first step if the region is a loop's.
  Value argument(const Type &type, const std::string &name, Tensor value);

protected:
  RandomSource &random_;
  const AxisSizes &sizes_;
  Region &region_;
  Builder builder_;
  const int loops_;
  std::vector<Value> values_;       // what may be used, in order
  std::map<Value, Tensor> tensors_; // of each

  int64_t below(int64_t n) { return random_.below(n); }
  bool chance(int percent) { return random_.chance(percent); }
  template <typename T> const T &one_of(const std::vector<T> &list) { return random_.one_of(list); }

  const Shape &shape(Value v) const { return builder_.shape(v); }
  DType dtype(Value v) const { return builder_.type(v).dtype; }
  int rank(Value v) const { return builder_.type(v).rank(); }

  Value note(Value v, Tensor value);
  Shape some_shape();
  Tensor some_tensor(const Type &type);
  // Adds the node if it can be, and its value is tame.
  Value apply(Op op, std::vector<Value> operands, Attrs attrs = {});
  Value constant(Type type, double value);
  Value some_number(const Type &type);
  Value data(const Type &type);
  // Any value so far, rather a recent one.
  Value some_value();
  template <typename P> Value some_value_where(P accepts) {
    for (int tries = 0; tries < 20; ++tries)
      if (Value v = some_value(); accepts(v))
        return v;
    return {};
  }
  Value some_float();
  Value cast(Value v, DType to);
  // `v` made to have this type, by views and a cast.
  Value fitted(Value v, const Type &type);
  // A value of this type: one that has it, or something made to fit.
  Value operand_like(const Type &type);
  Value reduced(Value v, Shape axes);
  Shape some_axes(Value v);
  Value back(Value v, const Shape &to, const Shape &reduced_axes);

  void add_something();
  void add_unary();
  void add_binary();
  void add_mask();
  void add_reduction();
  void add_view();
  // Axes joined or split.
  Value reshape(Value x);
  // softmax, layer norm, or cross entropy.
  void add_normalisation();
  void add_dot();
  // Entries at places that are read from data, entries added up there, the order of a row.
  void add_indexed();
  // Windows: reduced, multiplied by weights, or changed and added up again.
  void add_windows();
  // dot + bias, an activation.
  void add_layer();
  // A loop of a few steps around such nodes, for loops in loops too.
  void add_loop();
};

} // namespace nnc
