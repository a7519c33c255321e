// nnc for C++ programs: compile a model, call its entries, keep its state. This header alone; link with nnc_tools.
//
//   nnc::Executable model = nnc::compile_file("mlp.nn");
//   float loss;
//   model.call("train_step", {{"x", images}, {"label", labels}}, {{"loss", loss}});
//
// What goes wrong is a std::runtime_error whose text says where and what; a call that fails has written nothing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace nnc {

// A number of a dtype that models use for storage: its 16 bits, as arrays hold them.
struct Bf16 {
  uint16_t bits = 0;

  Bf16() = default;
  explicit Bf16(float number); // rounds to nearest even
  explicit operator float() const;
};
struct F16 {
  uint16_t bits = 0;

  F16() = default;
  explicit F16(float number);
  explicit operator float() const;
};

template <typename T> constexpr std::string_view dtype_of() {
  using Plain = std::remove_cv_t<T>;
  if constexpr (std::is_same_v<Plain, float>)
    return "f32";
  else if constexpr (std::is_same_v<Plain, double>)
    return "f64";
  else if constexpr (std::is_same_v<Plain, uint8_t>)
    return "u8";
  else if constexpr (std::is_same_v<Plain, int32_t>)
    return "i32";
  else if constexpr (std::is_same_v<Plain, int64_t>)
    return "i64";
  else if constexpr (std::is_same_v<Plain, bool>)
    return "bool";
  else if constexpr (std::is_same_v<Plain, Bf16>)
    return "bf16";
  else if constexpr (std::is_same_v<Plain, F16>)
    return "f16";
  else if constexpr (std::is_same_v<Plain, int8_t>)
    return "i8";
  else
    static_assert(!sizeof(T), "elements are float, double, uint8_t, int32_t, int64_t, bool, nnc::Bf16, nnc::F16 or int8_t");
}

template <typename T>
inline constexpr bool is_scalar = std::is_arithmetic_v<T> || std::is_same_v<T, Bf16> || std::is_same_v<T, F16>;

// An input or output of a call: its name, and a scalar or anything contiguous (std::vector, std::array, std::span) that holds
// its elements in row-major order. Their type and number must be exactly what the entry declares.
template <bool is_input> struct Argument {
  std::string_view name, dtype;
  std::conditional_t<is_input, const void *, void *> data;
  size_t elements;

  template <typename T> Argument(std::string_view name, T &&value) : name(name) {
    if constexpr (is_scalar<std::remove_cvref_t<T>>) {
      static_assert(is_input || std::is_lvalue_reference_v<T>, "an output goes into a variable");
      dtype = dtype_of<std::remove_cvref_t<T>>();
      data = &value;
      elements = 1;
    } else {
      static_assert(std::ranges::contiguous_range<T>, "not a scalar, and its elements are not contiguous");
      dtype = dtype_of<std::ranges::range_value_t<T>>();
      data = std::ranges::data(value);
      elements = std::ranges::size(value);
    }
  }
};
using Input = Argument<true>;
using Output = Argument<false>;

struct TensorInfo {
  std::string name, dtype; // "f32", "f64", "u8", "i32", "i64", "bool", "bf16", "f16", "i8"
  std::vector<int64_t> shape;

  size_t elements() const {
    size_t count = 1;
    for (int64_t size : shape)
      count *= static_cast<size_t>(size);
    return count;
  }
};

struct EntryInfo {
  std::string name, doc;
  std::vector<TensorInfo> inputs, outputs;
};

struct Options {
  std::vector<std::pair<std::string, std::string>> set; // values for consts of the model
  std::string cpu;                                      // processors to compile for, as --cpu takes them; empty: this one
  bool keep_denormals = false;                          // not flushed to 0 by arithmetic: --denormals=keep
  int threads = 1;                                      // that run the entries; results do not depend on them
  int64_t seed = 0;                                     // of the first initialisation
};

class Engine;
class ThreadPool;

// A model that can run, and its state, initialised. For one thread at a time.
class Executable {
public:
  Executable(std::unique_ptr<ThreadPool> pool, std::unique_ptr<Engine> engine); // what compile_file and load_file do
  Executable(Executable &&) noexcept;
  Executable &operator=(Executable &&) noexcept;
  ~Executable();

  const std::vector<EntryInfo> &entries() const { return entries_; }
  const EntryInfo &entry(std::string_view name) const;
  const std::vector<TensorInfo> &states() const { return states_; } // parameters and what is carried; names are paths

  // Inputs must all be given; outputs that are not named are dropped.
  void call(std::string_view entry, std::initializer_list<Input> inputs, std::initializer_list<Output> outputs = {});

  void init(int64_t seed); // starts over
  // .safetensors, keyed by path.
  void save_weights(const std::string &file) const;
  // What the file and the model have must agree, but for what only the file has. With `skip_mismatch` what fits by name, dtype
  // and shape is loaded. Returns the names in the file or the model that were left out.
  std::vector<std::string> load_weights(const std::string &file, bool skip_mismatch = false);
  // One state, to read or change: model.state<float>("mlp/dense_0/w"). Who keeps it, and changes it after a call, says so by
  // touch.
  template <typename T> std::span<T> state(std::string_view path) {
    const auto [data, elements] = state_memory(path, dtype_of<T>());
    return {static_cast<T *>(data), elements};
  }
  void touch() { written_ = true; }

private:
  std::unique_ptr<ThreadPool> pool_; // before the engine, which uses it
  std::unique_ptr<Engine> engine_;
  std::vector<EntryInfo> entries_;
  std::vector<TensorInfo> states_;
  std::vector<std::byte> dropped_; // where outputs go that nobody wants
  bool written_ = false;           // the state, by whoever was handed it

  std::pair<void *, size_t> state_memory(std::string_view path, std::string_view dtype);
};

Executable compile_file(const std::string &file, const Options &options = {}); // a .nn
Executable load_file(const std::string &file,
                     const Options &options = {}); // a compiled .so; `set`, `cpu` and `keep_denormals` do not apply

} // namespace nnc
