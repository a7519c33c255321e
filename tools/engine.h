// Engine: something that runs the entries of a model and holds its state. The same calls reach compiled code and both
// interpreters, so that what is run can be compared.
#pragma once

#include "runtime/model.h"
#include "runtime/weights.h"
#include "tools/pipeline.h"

#include <memory>
#include <string_view>

namespace nnc {

enum class EngineKind : uint8_t {
  jit,    // compiled into this process
  so,     // a shared library: MODEL itself, or made in a temporary file
  plan,   // the Plan interpreter
  interp, // the reference interpreter, on the program before any pass but the derivatives
};
// "" is what MODEL is: jit for a source, so for a library. Throws Error on an unknown name, and where the file cannot do that.
EngineKind engine_kind(const std::string &name, const std::string &file);

class Engine {
public:
  virtual ~Engine() = default;

  virtual const Model &model() const = 0;
  virtual std::byte *state() const = 0; // model().info().state_bytes
  // One pointer for each input and output, in their order. Throws CallError; then nothing was written.
  virtual void call(const nnc_entry_info &entry, std::span<const void *const> inputs, std::span<void *const> outputs) = 0;
  // To be called after the state was written from outside.
  virtual void touch() {}

  double compile_milliseconds = 0; // 0: nothing was compiled
  std::vector<std::string> files;  // that MODEL uses
};

// The pool must outlive the engine; only compiled code uses it. `keep` as in build_model.
std::unique_ptr<Engine> open_engine(EngineKind kind, const std::string &file, const BuildOptions &options, ThreadPool *pool,
                                    const std::vector<std::string> &keep = {});

// None for one thread.
std::unique_ptr<ThreadPool> make_pool(unsigned threads);

// Throws Error "MODEL: there is no entry `x`; there are …".
const nnc_entry_info &entry_of(const Engine &engine, std::string_view name);

// Throws Error where a name is no input of one of these entries. `flag` is for the message.
void check_input_names(const Assignments &given, const std::string &flag, std::initializer_list<const nnc_entry_info *> entries);

// Runs `init`, where the model has state; then loads the weights, where a file is named, and notes on standard error what did
// not fit. Returns what the file says beside its tensors; nothing where some were skipped.
Metadata start_state(Engine &engine, int64_t seed, const std::string &weights, bool skip_mismatch = false);

// As in runtime/weights.h.
void save_weights(const Engine &engine, const std::string &file, Metadata metadata = {});
LoadedWeights load_weights(Engine &engine, const std::string &file, bool skip_mismatch = false);

} // namespace nnc
