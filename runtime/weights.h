// The state of a model in a .safetensors file, every tensor by its path.
#pragma once

#include "runtime/model.h"

#include <map>
#include <string>
#include <vector>

namespace nnc {

using Metadata = std::map<std::string, std::string>; // that a .safetensors file has room for

void save_weights(const Model &model, const std::byte *state, const std::string &file, Metadata metadata = {});

// What came of a file.
struct LoadedWeights {
  struct Left {
    std::string name, file, model; // its type in either, "" where there is none of the name
  };
  size_t tensors = 0;     // taken over
  std::vector<Left> left; // in the file only; with `skip_mismatch` also what the model did not get
  Metadata metadata;
};

// The file must have every trained tensor, with its type; carried state that it does not have stays as it is. With
// `skip_mismatch` what fits by name and type is taken over, which must be one tensor at least, and the rest stays as it is.
// Throws FileError; then nothing was written. The caller touches the state.
LoadedWeights load_weights(const Model &model, std::byte *state, const std::string &file, bool skip_mismatch = false);

inline void save_weights(const Session &session, const std::string &file) {
  save_weights(session.model(), session.state(), file);
}
inline LoadedWeights load_weights(Session &session, const std::string &file, bool skip_mismatch = false) {
  LoadedWeights loaded = load_weights(session.model(), session.state(), file, skip_mismatch);
  session.touch();
  return loaded;
}

} // namespace nnc
