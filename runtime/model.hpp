// A model with its state and workspace for hosts of C++17: one header over the C ABI, nothing to link. Errors are codes, no
// exception is needed or thrown (memory that the system does not give is NNC_SHORT_WORKSPACE).
//
//   #include "xor.h"
//   #include <nnc/model.hpp>
//
//   nnc::host::Model model(xor_info());            // of a model that is linked in; or the nnc_model() of a loaded .so
//   int32_t code = model.init(1);
//   float x[4][2] = …, y[4];
//   code = model.call(model.entry("predict"), {x}, {y});
//   if (code != NNC_OK) puts(model.message(code, model.entry("predict")));
//
// A Model belongs to one thread at a time. Threads that only predict may each have one and share the state of one of them.
#ifndef NNC_MODEL_HPP
#define NNC_MODEL_HPP

#include "runtime/abi.h"

#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <new>
#include <utility>

namespace nnc::host {

// A tensor of the state, where it lies. `data` is null and `size` 0 if there is none of that name and type.
template <typename T> struct View {
  T *data = nullptr;
  uint64_t size = 0; // elements

  T *begin() const { return data; }
  T *end() const { return data + size; }
  T &operator[](uint64_t i) const { return data[i]; }
};

template <typename T> inline constexpr uint32_t dtype_of = ~0u;
template <> inline constexpr uint32_t dtype_of<float> = NNC_F32;
template <> inline constexpr uint32_t dtype_of<double> = NNC_F64;
template <> inline constexpr uint32_t dtype_of<uint8_t> = NNC_U8;
template <> inline constexpr uint32_t dtype_of<int8_t> = NNC_I8;
template <> inline constexpr uint32_t dtype_of<int32_t> = NNC_I32;
template <> inline constexpr uint32_t dtype_of<int64_t> = NNC_I64;
template <> inline constexpr uint32_t dtype_of<bool> = NNC_BOOL;

class Model {
public:
  // State and workspace are zero; the workspace is large enough for every entry with one thread.
  explicit Model(const nnc_model_info *info) : info_(info) {
    context_.struct_size = sizeof context_;
    state_ = allocate(info->state_bytes);
    reserve(1);
  }
  Model(Model &&other) noexcept { swap(other); }
  Model &operator=(Model other) noexcept {
    swap(other);
    return *this;
  }
  ~Model() {
    release(state_);
    release(workspace_);
  }

  const nnc_model_info &info() const { return *info_; }
  // For threads of the host: set `run` and `pool`, then threads(n).
  nnc_context &context() { return context_; }
  // Room for calls on n threads.
  int32_t threads(uint32_t n) {
    context_.threads = n;
    return reserve(n ? n : 1);
  }

  // By name; null if there is none. To be asked once, not in each call.
  const nnc_entry_info *entry(const char *name) const { return find(info_->entries, info_->entry_count, name); }

  // Pointers to arrays, in the order of the entry's inputs and outputs; wrong numbers of them are NNC_NULL_POINTER.
  int32_t call(const nnc_entry_info *entry, std::initializer_list<const void *> inputs, std::initializer_list<void *> outputs) {
    if (!entry || inputs.size() != entry->input_count || outputs.size() != entry->output_count)
      return NNC_NULL_POINTER;
    return entry->call(&context_, state_, workspace_, inputs.begin(), outputs.begin());
  }

  // NNC_OK where the model has nothing to start.
  int32_t init(int64_t seed) {
    const nnc_entry_info *start = entry("init");
    if (!start)
      return NNC_OK;
    const void *const input = &seed;
    return start->call(&context_, state_, workspace_, &input, nullptr);
  }

  // The whole state, info().state_bytes; or a tensor of it: state<float>("xor/out/w"). Who writes to it says so with touch().
  void *state() const { return state_; }
  template <typename T> View<T> state(const char *name) const {
    const nnc_tensor_info *tensor = find(info_->states, info_->state_count, name);
    if (!tensor || tensor->dtype != dtype_of<T> || !state_)
      return {};
    return {reinterpret_cast<T *>(static_cast<char *>(state_) + tensor->offset), tensor->bytes / sizeof(T)};
  }
  int32_t touch() { return info_->touch(&context_, state_); }

  // In words, for a person: the message of a check that failed, or the name of the code.
  const char *message(int32_t code, const nnc_entry_info *entry = nullptr) const {
    if (entry && code >= NNC_CHECK && static_cast<uint32_t>(code - NNC_CHECK) < entry->check_count)
      return entry->checks[code - NNC_CHECK];
    return info_->code_name(code);
  }

private:
  const nnc_model_info *info_ = nullptr;
  nnc_context context_ = {};
  void *state_ = nullptr, *workspace_ = nullptr;

  void swap(Model &other) {
    std::swap(info_, other.info_);
    std::swap(context_, other.context_);
    std::swap(state_, other.state_);
    std::swap(workspace_, other.workspace_);
  }

  // Structs of a later version are longer than ours: only struct_size tells.
  template <typename T> static const T *next(const T *element) {
    return reinterpret_cast<const T *>(reinterpret_cast<const char *>(element) + element->struct_size);
  }
  template <typename T> static const T *find(const T *element, uint64_t count, const char *name) {
    for (; count; --count, element = next(element))
      if (std::strcmp(element->name, name) == 0)
        return element;
    return nullptr;
  }

  void *allocate(uint64_t bytes) const {
    const std::align_val_t alignment{info_->alignment};
    void *memory = ::operator new(bytes ? bytes : 1, alignment, std::nothrow);
    return memory ? std::memset(memory, 0, bytes) : nullptr;
  }
  void release(void *memory) const {
    if (memory)
      ::operator delete(memory, std::align_val_t{info_->alignment});
  }

  int32_t reserve(uint32_t threads) {
    uint64_t bytes = 1;
    const nnc_entry_info *entry = info_->entries;
    for (uint64_t i = 0; i < info_->entry_count; ++i, entry = next(entry)) {
      const uint64_t needed = entry->workspace_bytes + threads * entry->slot_bytes;
      bytes = needed > bytes ? needed : bytes;
    }
    release(workspace_);
    workspace_ = allocate(bytes);
    context_.workspace_bytes = workspace_ ? bytes : 1; // an entry refuses a null workspace
    return workspace_ ? NNC_OK : NNC_SHORT_WORKSPACE;
  }
};

} // namespace nnc::host

#endif
