// Loading. dlopen maps a file before it looks at all of it, and a file that was cut short then kills the process with SIGBUS:
// so its ELF headers are compared with its size first. What is in the file otherwise is trusted, as any library's code is.
#include "runtime/model.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <new>

#include <dlfcn.h>
#include <elf.h>

namespace nnc {
namespace {

#if defined(__x86_64__)
constexpr unsigned host_machine = EM_X86_64;
#elif defined(__aarch64__)
constexpr unsigned host_machine = EM_AARCH64;
#else
#error "which ELF machine is this?"
#endif

std::string machine_name(unsigned machine) {
  return machine == EM_X86_64 ? "x86_64" : machine == EM_AARCH64 ? "aarch64" : "ELF machine " + std::to_string(machine);
}

template <typename T> T read_at(const std::string &bytes, uint64_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

void check_elf(const std::string &name) {
  InputFile file(name);
  const std::string head = file.peek(65536); // linkers put the program headers right behind the first
  if (!head.starts_with(ELFMAG))
    file.fail("not a shared library");
  if (head.size() < sizeof(Elf64_Ehdr))
    file.fail("the file is truncated");
  const auto elf = read_at<Elf64_Ehdr>(head, 0);
  if (elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_ident[EI_DATA] != ELFDATA2LSB || elf.e_type != ET_DYN)
    file.fail("not a 64-bit shared library");
  if (elf.e_machine != host_machine)
    file.fail("made for " + machine_name(elf.e_machine) + ", and this machine is " + machine_name(host_machine));
  const uint64_t size = file.size();
  auto inside = [&](uint64_t offset, uint64_t bytes) { return offset <= size && bytes <= size - offset; };
  bool whole = inside(elf.e_shoff, uint64_t(elf.e_shnum) * elf.e_shentsize) && elf.e_phentsize == sizeof(Elf64_Phdr) &&
               elf.e_phoff <= head.size() && elf.e_phnum <= (head.size() - elf.e_phoff) / sizeof(Elf64_Phdr);
  for (unsigned i = 0; whole && i < elf.e_phnum; i++) {
    const auto segment = read_at<Elf64_Phdr>(head, elf.e_phoff + i * sizeof(Elf64_Phdr));
    whole = inside(segment.p_offset, segment.p_filesz);
  }
  if (!whole)
    file.fail("the file is truncated: its headers speak of more than its " + std::to_string(size) + " bytes");
}

const nnc_model_info *check_info(const std::string &file, const nnc_model_info *info) {
  if (info->abi_version != NNC_ABI_VERSION)
    throw FileError(file, "made for version " + std::to_string(info->abi_version) + " of the C interface; this is version " +
                              std::to_string(NNC_ABI_VERSION));
  // Fields are only ever appended, so a longer struct is a newer one, and good. None is shorter than in version 1.
  const auto known = [](const auto &list, uint32_t least) {
    for (const auto &element : list)
      if (element.struct_size < least || element.struct_size != list[0].struct_size)
        return false;
    return true;
  };
  const auto known_entries = [&](const InfoList<nnc_entry_info> &entries) {
    if (!known(entries, 96))
      return false;
    for (const nnc_entry_info &entry : entries)
      if (!known(inputs(entry), 56) || !known(outputs(entry), 56))
        return false;
    return true;
  };
  if (info->struct_size < 144 || !known_entries({info->entries, info->entry_count}) ||
      !known(InfoList(info->states, info->state_count), 56) || !known(InfoList(info->variants, info->variant_count), 24))
    throw FileError(file,
                    "its description is shorter than version " + std::to_string(NNC_ABI_VERSION) + " of the C interface says");
  return info;
}

// The file under a path that was never opened: glibc takes one that it knows for the file that it opened then, which may have
// been compiled anew. Under a new one it compares the files.
std::string fresh_path(const std::string &file) {
  static std::atomic<unsigned> serial = 0;
  std::error_code gone; // then dlopen says so
  const std::filesystem::path whole = std::filesystem::canonical(file, gone);
  std::string path = whole.parent_path().string() + "/";
  for (unsigned n = ++serial; n > 0; n /= 2)
    path += n % 2 ? "./" : "/";
  return path + whole.filename().string();
}

template <typename T> const T *find(const InfoList<T> &list, std::string_view name) {
  for (const T &element : list)
    if (element.name == name)
      return &element;
  return nullptr;
}

std::string variant_list(const Model &model) {
  std::string names;
  for (const nnc_variant_info &variant : model.variants())
    names += std::string(names.empty() ? "`" : ", `") + variant.cpu + "`";
  return names;
}

uint64_t largest_workspace(const Model &model, uint32_t threads) {
  uint64_t bytes = 0;
  for (const nnc_entry_info &entry : model.entries())
    bytes = std::max(bytes, workspace_bytes(entry, threads));
  return bytes;
}

} // namespace

std::string_view dtype_text(uint32_t dtype) {
  constexpr std::string_view names[] = {"f32", "f64", "u8", "i32", "i64", "bool", "bf16", "f16", "i8"};
  return dtype < std::size(names) ? names[dtype] : "unknown";
}

std::string tensor_text(const nnc_tensor_info &tensor) {
  std::string text(dtype_text(tensor.dtype));
  for (uint64_t i = 0; i < tensor.rank; i++)
    text += (i ? "," : "[") + std::to_string(tensor.shape[i]);
  return text + (tensor.rank ? "]" : "");
}

std::string result_text(const nnc_entry_info &entry, int32_t code) {
  if (code >= NNC_CHECK && static_cast<uint32_t>(code - NNC_CHECK) < entry.check_count)
    return entry.checks[code - NNC_CHECK];
  switch (code) {
  case NNC_OK:
    return "no error";
  case NNC_BAD_CONTEXT:
    return "the context is null or of a wrong size";
  case NNC_NULL_POINTER:
    return "an input, output, state or workspace is null";
  case NNC_MISALIGNED:
    return "an input, output, state or workspace is misaligned";
  case NNC_SHORT_WORKSPACE:
    return "the workspace is too small";
  case NNC_UNSUPPORTED_CPU:
    return "this processor lacks instructions that the model was compiled for";
  case NNC_BAD_VARIANT:
    return "the context asks for a variant that the model does not have";
  }
  return "unknown code " + std::to_string(code);
}

Model Model::load(const std::string &file) {
  check_elf(file);
  const std::string path = fresh_path(file);
  void *handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    const std::string said = dlerror();
    throw FileError(file, said.starts_with(path + ": ") ? said.substr(path.size() + 2) : said);
  }
  std::shared_ptr<void> code(handle, [](void *library) { dlclose(library); });
  auto query = reinterpret_cast<const nnc_model_info *(*)()>(dlsym(handle, "nnc_model"));
  if (!query)
    throw FileError(file, "not a compiled model: it has no function `nnc_model`");
  return Model(check_info(file, query()), std::move(code));
}

const nnc_variant_info *Model::picked(nnc_context context) const {
  context.struct_size = sizeof context;
  const int32_t index = info_->pick(&context);
  return index < 0 ? nullptr : &variants()[static_cast<uint64_t>(index)];
}

const nnc_entry_info *Model::find_entry(std::string_view name) const { return find(entries(), name); }
const nnc_tensor_info *Model::find_state(std::string_view name) const { return find(states(), name); }

AlignedBlock::AlignedBlock(uint64_t bytes, const std::string &what)
    : data_(static_cast<std::byte *>(::operator new(bytes, std::align_val_t(64), std::nothrow))), size_(bytes) {
  if (!data_)
    throw std::runtime_error("out of memory: " + std::to_string(bytes) + " bytes for " + what);
  std::memset(data_.get(), 0, bytes);
}

void AlignedBlock::Free::operator()(std::byte *data) const { ::operator delete(data, std::align_val_t(64)); }

Session::Session(Model model, ThreadPool *pool)
    : model_(std::move(model)),
      state_(model_.info().state_bytes, std::string("the parameters and state of ") + model_.info().model),
      workspace_(largest_workspace(model_, pool ? pool->threads() : 1), std::string("the workspace of ") + model_.info().model),
      context_{} {
  context_.struct_size = sizeof context_;
  context_.workspace_bytes = workspace_.size();
  if (pool) {
    context_.threads = pool->threads();
    context_.pool = pool;
    context_.run = ThreadPool::run_callback;
  }
}

void Session::touch() {
  const nnc_model_info &info = model_.info();
  if (const int32_t code = info.touch(&context_, state_.data()))
    throw CallError(code, std::string(info.model) + ": the state cannot be taken over: " + info.code_name(code));
}

void Session::use_variant(std::string_view cpu) {
  uint32_t number = 0;
  for (const nnc_variant_info &variant : model_.variants()) {
    ++number;
    if (cpu == variant.cpu) {
      nnc_context asked = context_;
      asked.variant = number;
      if (!model_.picked(asked))
        throw std::runtime_error(std::string(model_.info().model) + ": this processor lacks instructions of the variant `" +
                                 variant.cpu + "`");
      context_.variant = number;
      return;
    }
  }
  throw std::runtime_error(std::string(model_.info().model) + ": there is no variant `" + std::string(cpu) + "`; there are " +
                           variant_list(model_));
}

void Session::call(const nnc_entry_info &entry, std::span<const void *const> inputs, std::span<void *const> outputs) {
  if (inputs.size() != entry.input_count || outputs.size() != entry.output_count)
    throw std::invalid_argument(std::string(entry.name) + ": wrong number of inputs or outputs");
  if (int32_t code = entry.call(&context_, state_.data(), workspace_.data(), inputs.data(), outputs.data()))
    throw CallError(code, std::string(entry.name) + ": " + result_text(entry, code) +
                              (code == NNC_UNSUPPORTED_CPU ? ": " + variant_list(model_) : ""));
}

} // namespace nnc
