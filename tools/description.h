// nnc_model_info for a model that is interpreted: what an artefact says of itself, made by the host.
#pragma once

#include "ir/plan.h"
#include "runtime/abi.h"

#include <deque>

namespace nnc {

class Description {
public:
  // Names, types, checks, sizes and the layout of the state are used, not kernels and steps. Nothing can be called through it.
  explicit Description(const Plan &plan);
  Description(const Description &) = delete;
  Description &operator=(const Description &) = delete;

  const nnc_model_info *info() const { return &info_; }

private:
  nnc_tensor_info tensor(const std::string &name, const Type &type);
  const nnc_tensor_info *tensors(const std::vector<PlanValue> &values);
  const char *text(const std::string &text) { return texts_.emplace_back(text).c_str(); }

  // Deques and inner vectors stay where they are while others are added.
  std::deque<std::string> texts_;
  std::deque<Shape> shapes_;
  std::deque<std::vector<nnc_tensor_info>> tensors_;
  std::deque<std::vector<const char *>> checks_;
  std::vector<nnc_entry_info> entries_;
  std::vector<nnc_tensor_info> states_;
  nnc_model_info info_{};
};

} // namespace nnc
