// Between a state block and a file. The whole file is read and compared with the model before the first byte is written.
#include "runtime/weights.h"

#include "runtime/tensor_file.h"

#include <cstring>
#include <map>

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

void save_weights(const Model &model, const std::byte *state, const std::string &file) {
  SafeTensors content;
  for (const nnc_tensor_info &info : model.states())
    content.tensors.push_back({info.name, state_tensor(state, info)});
  content.metadata["format"] = "nnc";
  write_safetensors(file, content);
}

std::vector<std::string> load_weights(const Model &model, std::byte *state, const std::string &file) {
  const SafeTensors content = read_safetensors(file);
  std::map<std::string, const HostTensor *> given;
  for (const NamedTensor &tensor : content.tensors)
    given[tensor.name] = &tensor.tensor;
  for (const nnc_tensor_info &info : model.states()) {
    const auto at = given.find(info.name);
    if (at == given.end() && info.trained)
      throw FileError(file, "has no tensor `" + std::string(info.name) + "`, which the model needs (" + tensor_text(info) + ")");
    if (at != given.end() && tensor_type_text(*at->second) != tensor_text(info))
      throw FileError(file, "`" + std::string(info.name) + "` is " + tensor_type_text(*at->second) + ", in the model " +
                                tensor_text(info));
  }
  for (const nnc_tensor_info &info : model.states())
    if (const auto at = given.find(info.name); at != given.end()) {
      std::memcpy(state + info.offset, at->second->bytes.data(), info.bytes);
      given.erase(at);
    }
  std::vector<std::string> unknown;
  for (const auto &[name, tensor] : given)
    unknown.push_back(name);
  return unknown;
}

} // namespace nnc
