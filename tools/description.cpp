// Fills the structs of runtime/abi.h from a plan's entries and states.
#include "tools/description.h"

namespace nnc {

nnc_tensor_info Description::tensor(const std::string &name, const Type &type) {
  nnc_tensor_info info{};
  info.struct_size = sizeof info;
  info.dtype = static_cast<uint32_t>(type.dtype);
  info.name = text(name);
  info.rank = type.shape.size();
  info.shape = shapes_.emplace_back(type.shape).data();
  info.bytes = static_cast<uint64_t>(type.bytes());
  return info;
}

const nnc_tensor_info *Description::tensors(const std::vector<PlanValue> &values) {
  std::vector<nnc_tensor_info> &list = tensors_.emplace_back();
  for (const PlanValue &value : values)
    list.push_back(tensor(value.name, value.type));
  return list.data();
}

Description::Description(const Plan &plan) {
  for (const PlanEntry &entry : plan.entries) {
    std::vector<const char *> &checks = checks_.emplace_back();
    for (const PlanCheck &check : entry.checks)
      checks.push_back(text(check.message));
    nnc_entry_info info{};
    info.struct_size = sizeof info;
    info.name = text(entry.name);
    info.doc = text(entry.doc);
    info.inputs = tensors(entry.inputs);
    info.input_count = static_cast<uint32_t>(entry.inputs.size());
    info.outputs = tensors(entry.outputs);
    info.output_count = static_cast<uint32_t>(entry.outputs.size());
    info.checks = checks.data();
    info.check_count = static_cast<uint32_t>(checks.size());
    info.workspace_bytes = static_cast<uint64_t>(entry.workspace_bytes);
    info.writes_state = entry.writes_state;
    info.function = "";
    entries_.push_back(info);
  }
  for (const PlanState &state : plan.states) {
    nnc_tensor_info info = tensor(state.state.path, state.state.type);
    info.offset = static_cast<uint64_t>(state.offset);
    info.trained = state.state.trained;
    states_.push_back(info);
  }
  info_.struct_size = sizeof info_;
  info_.abi_version = NNC_ABI_VERSION;
  info_.model = text(plan.model);
  info_.source_hash = info_.compiler = info_.target = info_.cpu = info_.options = "";
  info_.entries = entries_.data();
  info_.entry_count = entries_.size();
  info_.states = states_.data();
  info_.state_count = states_.size();
  info_.state_bytes = static_cast<uint64_t>(plan.state_bytes);
  info_.alignment = buffer_alignment;
}

} // namespace nnc
