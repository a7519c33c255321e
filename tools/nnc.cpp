// The C++ host: names and spans around an Engine.
#include "tools/nnc.h"

#include "ir/error.h"
#include "ir/storage.h"
#include "tools/engine.h"

#include <fmt/format.h>

#include <algorithm>

namespace nnc {

namespace {

TensorInfo described(const nnc_tensor_info &info) {
  return {info.name, std::string(dtype_text(info.dtype)), {info.shape, info.shape + info.rank}};
}

// The argument for every tensor, by position; null where none was given.
template <typename A>
std::vector<const A *> in_order(std::initializer_list<A> given, const std::vector<TensorInfo> &tensors, std::string_view entry) {
  std::vector<const A *> result(tensors.size(), nullptr);
  for (const A &argument : given) {
    const auto at = std::ranges::find(tensors, argument.name, &TensorInfo::name);
    if (at == tensors.end())
      throw Error(fmt::format("`{}` has no `{}`", entry, argument.name));
    if (argument.dtype != at->dtype || argument.elements != at->elements())
      throw Error(fmt::format("`{}` of `{}` has {} elements of {}, not {} of {}", argument.name, entry, at->elements(), at->dtype,
                              argument.elements, argument.dtype));
    result[at - tensors.begin()] = &argument;
  }
  return result;
}

Executable open(EngineKind kind, const std::string &file, const Options &options) {
  BuildOptions build;
  build.set = options.set;
  build.cpu = options.cpu;
  build.passes.denormals = options.keep_denormals ? Denormals::keep : Denormals::flush;
  std::unique_ptr<ThreadPool> pool = make_pool(static_cast<unsigned>(std::max(options.threads, 1)));
  std::unique_ptr<Engine> engine = open_engine(kind, file, build, pool.get());
  Executable executable(std::move(pool), std::move(engine));
  executable.init(options.seed);
  return executable;
}

} // namespace

Bf16::Bf16(float number) : bits(bf16_bits(number)) {}
Bf16::operator float() const { return bf16_number(bits); }
F16::F16(float number) : bits(f16_bits(number)) {}
F16::operator float() const { return f16_number(bits); }

Executable::Executable(std::unique_ptr<ThreadPool> pool, std::unique_ptr<Engine> engine)
    : pool_(std::move(pool)), engine_(std::move(engine)) {
  size_t largest = 0;
  for (const nnc_entry_info &entry : engine_->model().entries()) {
    EntryInfo &info = entries_.emplace_back(EntryInfo{entry.name, entry.doc, {}, {}});
    for (const nnc_tensor_info &input : inputs(entry))
      info.inputs.push_back(described(input));
    size_t bytes = 0;
    for (const nnc_tensor_info &output : outputs(entry)) {
      info.outputs.push_back(described(output));
      bytes += (output.bytes + 63) / 64 * 64;
    }
    largest = std::max(largest, bytes);
  }
  for (const nnc_tensor_info &state : engine_->model().states())
    states_.push_back(described(state));
  dropped_.resize(largest);
}

Executable::Executable(Executable &&) noexcept = default;
Executable &Executable::operator=(Executable &&) noexcept = default;
Executable::~Executable() = default;

const EntryInfo &Executable::entry(std::string_view name) const {
  return entries_[&entry_of(*engine_, std::string(name)) - engine_->model().info().entries];
}

void Executable::call(std::string_view name, std::initializer_list<Input> inputs, std::initializer_list<Output> outputs) {
  const EntryInfo &info = entry(name);
  std::vector<const void *> in;
  for (size_t i = 0; const Input *input : in_order(inputs, info.inputs, name)) {
    if (!input)
      throw Error(fmt::format("`{}` needs `{}`", name, info.inputs[i].name));
    in.push_back(input->data);
    ++i;
  }
  const nnc_entry_info &entry = entry_of(*engine_, info.name);
  std::vector<void *> out;
  std::byte *drop = dropped_.data();
  for (size_t i = 0; const Output *output : in_order(outputs, info.outputs, name)) {
    out.push_back(output ? output->data : drop);
    drop += (nnc::outputs(entry)[i].bytes + 63) / 64 * 64;
    ++i;
  }
  if (written_)
    engine_->touch();
  written_ = false;
  engine_->call(entry, in, out);
}

void Executable::init(int64_t seed) { start_state(*engine_, seed, ""); }
void Executable::save_weights(const std::string &file) const { nnc::save_weights(*engine_, file); }
std::vector<std::string> Executable::load_weights(const std::string &file, bool skip_mismatch) {
  std::vector<std::string> names;
  for (const LoadedWeights::Left &left : nnc::load_weights(*engine_, file, skip_mismatch).left)
    names.push_back(left.name);
  return names;
}

std::pair<void *, size_t> Executable::state_memory(std::string_view path, std::string_view dtype) {
  const auto at = std::ranges::find(states_, path, &TensorInfo::name);
  if (at == states_.end())
    throw Error(fmt::format("the model has no state `{}`", path));
  if (at->dtype != dtype)
    throw Error(fmt::format("`{}` is {}, not {}", path, at->dtype, dtype));
  written_ = true;
  return {engine_->state() + engine_->model().states()[at - states_.begin()].offset, at->elements()};
}

Executable compile_file(const std::string &file, const Options &options) {
  if (!is_source_file(file))
    throw Error(fmt::format("{}: the name of a model ends in .nn or .nnir", file));
  return open(EngineKind::jit, file, options);
}

Executable load_file(const std::string &file, const Options &options) { return open(EngineKind::so, file, options); }

} // namespace nnc
