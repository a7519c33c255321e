// How far values are from being numbers, as nodes that are added to a region: 0 finite, 1 infinite, 2 NaN.
#pragma once

#include "ir/builder.h"

#include <map>

namespace nnc {

class FloatClasses {
public:
  explicit FloatClasses(Builder &build) : build_(build) {}

  // i32 of v's shape. None: known to be 0 everywhere.
  Value of_elements(Value v);
  // i32 scalar: the largest class in the tensor below v's views. None: 0.
  Value of_whole(Value v);
  // The larger one of two, which may be none.
  Value larger(Value a, Value b);

private:
  Value made_of_elements(Value v);
  Value made_of_whole(Value v);

  Builder &build_;
  std::map<Value, Value> elements_, whole_; // that were asked for
};

// The largest class in a constant, 0 of other dtypes than floats.
int float_class(const Tensor &tensor);

} // namespace nnc
