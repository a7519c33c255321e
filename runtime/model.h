// A compiled model as a host sees it: found in a shared library, or handed over by the JIT or by a program that is linked
// with it. A thin view of runtime/abi.h; whoever does not want it calls the C functions.
#pragma once

#include "runtime/abi.h"
#include "runtime/file.h"
#include "runtime/thread_pool.h"

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace nnc {

// The structs of an artefact as it has them: a later version's are longer than ours, and only their struct_size says so.
template <typename T> class InfoList {
public:
  class Iterator {
  public:
    explicit Iterator(const T *at) : at(at) {}
    const T &operator*() const { return *at; }
    Iterator &operator++() {
      at = next(at, 1);
      return *this;
    }
    bool operator==(const Iterator &) const = default;

  private:
    const T *at;
  };

  InfoList(const T *first, uint64_t count) : first(first), count(count) {}
  uint64_t size() const { return count; }
  const T &operator[](uint64_t i) const { return *next(first, i); }
  Iterator begin() const { return Iterator(first); }
  Iterator end() const { return Iterator(next(first, count)); }

private:
  const T *first;
  uint64_t count;

  static const T *next(const T *from, uint64_t n) {
    return n ? reinterpret_cast<const T *>(reinterpret_cast<const std::byte *>(from) + n * from->struct_size) : from;
  }
};

inline InfoList<nnc_tensor_info> inputs(const nnc_entry_info &entry) { return {entry.inputs, entry.input_count}; }
inline InfoList<nnc_tensor_info> outputs(const nnc_entry_info &entry) { return {entry.outputs, entry.output_count}; }
inline uint64_t workspace_bytes(const nnc_entry_info &entry, uint32_t threads) {
  return entry.workspace_bytes + (threads > 1 ? threads : 1) * entry.slot_bytes;
}

std::string_view dtype_text(uint32_t dtype);                        // "f32"; "unknown" for a number that is none of ours
std::string tensor_text(const nnc_tensor_info &tensor);             // "f32[128,784]"
std::string result_text(const nnc_entry_info &entry, int32_t code); // what an entry returned, in words; a check's message

class Model {
public:
  // From a shared library. Throws FileError on anything but a whole model for this machine, with an ABI version we know.
  static Model load(const std::string &file);

  // From a query function. `code` keeps what `info` points to, for as long as copies of the model live; null if nothing must.
  explicit Model(const nnc_model_info *info, std::shared_ptr<void> code = nullptr) : info_(info), code_(std::move(code)) {}

  const nnc_model_info &info() const { return *info_; }
  InfoList<nnc_entry_info> entries() const { return {info_->entries, info_->entry_count}; }
  InfoList<nnc_tensor_info> states() const { return {info_->states, info_->state_count}; }
  InfoList<nnc_variant_info> variants() const { return {info_->variants, info_->variant_count}; }
  const nnc_entry_info *find_entry(std::string_view name) const; // null if there is none
  const nnc_tensor_info *find_state(std::string_view name) const;
  // The variant that calls with this context run; null where the processor can run none.
  const nnc_variant_info *picked(nnc_context context = {}) const;

private:
  const nnc_model_info *info_;
  std::shared_ptr<void> code_;
};

// Zeroed memory on a 64-byte boundary.
class AlignedBlock {
public:
  // `what` says what it is for where there is no memory left.
  explicit AlignedBlock(uint64_t bytes, const std::string &what = "a block");
  std::byte *data() const { return data_.get(); }
  uint64_t size() const { return size_; }

private:
  struct Free {
    void operator()(std::byte *data) const;
  };
  std::unique_ptr<std::byte, Free> data_;
  uint64_t size_;
};

// A failed call. `code` is what the entry returned, `what()` that in words.
struct CallError : std::runtime_error {
  CallError(int32_t code, const std::string &what) : std::runtime_error(what), code(code) {}
  int32_t code;
};

// A model with its state, and all that calls need: a workspace for the largest entry and a context. One thread at a time.
class Session {
public:
  // The pool, if there is one, must outlive the session. The state is zero until an entry or the caller writes it.
  explicit Session(Model model, ThreadPool *pool = nullptr);

  const Model &model() const { return model_; }
  std::byte *state() const { return state_.data(); }
  // To be called after the state was written from outside and before the next call: a model may keep packed copies of it.
  void touch();

  // One pointer for each input and output, in their order. Throws CallError; then nothing was written.
  void call(const nnc_entry_info &entry, std::span<const void *const> inputs, std::span<void *const> outputs);

  // Calls run this variant of the kernels from now on, not the best. Throws where there is none, or the processor cannot.
  void use_variant(std::string_view cpu);

private:
  Model model_;
  AlignedBlock state_, workspace_;
  nnc_context context_;
};

} // namespace nnc
