// Between a state block and a file. The whole file is read and compared with the model before the first byte is written.
#include "runtime/weights.h"

#include "runtime/tensor_file.h"

#include <cstring>
#include <utility>

namespace nnc {

namespace {

HostTensor state_tensor(const std::byte *state, const nnc_tensor_info &info) {
  HostTensor tensor;
  tensor.dtype = dtype_text(info.dtype);
  tensor.shape.assign(info.shape, info.shape + info.rank);
  tensor.bytes.assign(state + info.offset, state + info.offset + info.bytes);
  return tensor;
}

} // namespace

void save_weights(const Model &model, const std::byte *state, const std::string &file, Metadata metadata) {
  SafeTensors content;
  for (const nnc_tensor_info &info : model.states())
    content.tensors.push_back({info.name, state_tensor(state, info)});
  content.metadata = std::move(metadata);
  content.metadata["format"] = "nnc";
  write_safetensors(file, content);
}

LoadedWeights load_weights(const Model &model, std::byte *state, const std::string &file, bool skip_mismatch) {
  SafeTensors content = read_safetensors(file);
  LoadedWeights loaded;
  loaded.metadata = std::move(content.metadata);
  std::map<std::string, const HostTensor *> given;
  for (const NamedTensor &tensor : content.tensors)
    given[tensor.name] = &tensor.tensor;
  std::vector<std::pair<const nnc_tensor_info *, const HostTensor *>> fitting;
  for (const nnc_tensor_info &info : model.states()) {
    const auto at = given.find(info.name);
    const std::string type = at == given.end() ? "" : tensor_type_text(*at->second);
    if (type == tensor_text(info))
      fitting.emplace_back(&info, at->second);
    else if (skip_mismatch && (info.trained || !type.empty()))
      loaded.left.push_back({info.name, type, tensor_text(info)});
    else if (!type.empty())
      throw FileError(file, "`" + std::string(info.name) + "` is " + type + ", in the model " + tensor_text(info));
    else if (info.trained)
      throw FileError(file, "has no tensor `" + std::string(info.name) + "`, which the model needs (" + tensor_text(info) + ")");
    if (at != given.end())
      given.erase(at);
  }
  if (skip_mismatch && fitting.empty())
    throw FileError(file, "no tensor in it has name and type of one of the model");
  for (const auto &[info, tensor] : fitting)
    std::memcpy(state + info->offset, tensor->bytes.data(), info->bytes);
  loaded.tensors = fitting.size();
  for (const auto &[name, tensor] : given)
    loaded.left.push_back({name, tensor_type_text(*tensor), ""});
  return loaded;
}

} // namespace nnc
