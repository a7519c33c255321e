// The state of a model in a .safetensors file, every tensor by its path.
#pragma once

#include "runtime/model.h"

#include <string>
#include <vector>

namespace nnc {

void save_weights(const Model &model, const std::byte *state, const std::string &file);

// The file must have every trained tensor, with its type; carried state that it does not have stays as it is. Returns the names
// in the file that the model does not have. Throws FileError; then nothing was written. The caller touches the state.
std::vector<std::string> load_weights(const Model &model, std::byte *state, const std::string &file);

inline void save_weights(const Session &session, const std::string &file) {
  save_weights(session.model(), session.state(), file);
}
inline std::vector<std::string> load_weights(Session &session, const std::string &file) {
  std::vector<std::string> unknown = load_weights(session.model(), session.state(), file);
  session.touch();
  return unknown;
}

} // namespace nnc
