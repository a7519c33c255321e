// Artefacts that were made when a version of the C interface was frozen, in tests/frozen/VERSION: they load, say the same of
// themselves, and compute the same bits, for ever. And the other way round: a program built with the header of that time runs
// what is compiled today. The transcripts were written with the files (NNC_BLESS=1 writes one that is not there, and never
// changes one).
#include "runtime/model.h"
#include "tests/process.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <bit>
#include <cstring>

namespace nnc {
namespace {

#if defined(__x86_64__)
constexpr const char *machine = "x86_64";
#else
constexpr const char *machine = "aarch64";
#endif

// Element i, small and of both signs where the dtype has them; labels are below 4.
void fill(const nnc_tensor_info &tensor, std::byte *to) {
  const auto put = [&](auto number) {
    std::memcpy(to, &number, sizeof number);
    to += sizeof number;
  };
  uint64_t elements = 1;
  for (uint64_t axis = 0; axis < tensor.rank; ++axis)
    elements *= static_cast<uint64_t>(tensor.shape[axis]);
  for (uint64_t i = 0; i < elements; ++i) {
    const int number = static_cast<int>(i * 5 % 7) - 3;
    switch (tensor.dtype) {
    case NNC_F32:
      put(static_cast<float>(number) * 0.25f);
      break;
    case NNC_F64:
      put(number * 0.125);
      break;
    case NNC_U8:
      put(static_cast<uint8_t>(i * 5 % 4));
      break;
    case NNC_I32:
      put(int32_t(number));
      break;
    case NNC_I64:
      put(int64_t(number) + 10);
      break;
    case NNC_BOOL:
      put(static_cast<uint8_t>(i % 2));
      break;
    case NNC_BF16:
      put(static_cast<uint16_t>(std::bit_cast<uint32_t>(static_cast<float>(number)) >> 16));
      break;
    case NNC_F16:
      put(static_cast<uint16_t>(0x3c00 + 0x100 * i)); // 1, 1.25, 1.5
      break;
    case NNC_I8:
      put(static_cast<int8_t>(number));
      break;
    }
  }
}

std::string hexadecimal(const std::byte *bytes, uint64_t count) {
  std::string text;
  for (uint64_t i = 0; i < count; ++i)
    text += fmt::format("{:02x}", static_cast<unsigned>(bytes[i]));
  return text;
}

void describe(std::string &text, const char *what, InfoList<nnc_tensor_info> tensors) {
  for (const nnc_tensor_info &tensor : tensors)
    text += fmt::format("  {} {}: {}, {} bytes at {}{}\n", what, tensor.name, tensor_text(tensor), tensor.bytes, tensor.offset,
                        tensor.trained ? ", trained" : "");
}

// Everything that a host can see: the metadata, the refusals, the results of three calls of each entry, and the state.
std::string transcript(const Model &model) {
  const nnc_model_info &info = model.info();
  std::string text =
      fmt::format("{} of {} by {} for {}, {}\nABI {}, options `{}`, alignment {}, state {}\n", info.model, info.source_hash,
                  info.compiler, info.target, info.cpu, info.abi_version, info.options, info.alignment, info.state_bytes);
  for (const nnc_variant_info &variant : model.variants())
    text += fmt::format("variant {} {:x}\n", variant.cpu, variant.isa);
  describe(text, "state", model.states());
  for (int code = -1; code < 8; ++code)
    text += fmt::format("code {} {}\n", code, info.code_name(code));
  text += fmt::format("code {} {}\n", int(NNC_CHECK), info.code_name(NNC_CHECK));

  Session session(model);
  session.use_variant("generic"); // the same bits on every processor
  nnc_context context = {};
  context.struct_size = sizeof context;
  text += fmt::format("touch {} {}\n", info.touch(&context, session.state()), info.touch(nullptr, session.state()));
  const auto entry_named = [&](std::string_view name) { return model.find_entry(name); };
  const int64_t seed = 11;
  const void *seeds[] = {&seed};
  session.call(*entry_named("init"), seeds, {});
  for (const nnc_entry_info &entry : model.entries()) {
    text += fmt::format("\n{} {}: {}, workspace {} + {}\n", entry.name, entry.function, entry.doc, entry.workspace_bytes,
                        entry.slot_bytes);
    describe(text, "in", inputs(entry));
    describe(text, "out", outputs(entry));
    for (uint32_t i = 0; i < entry.check_count; ++i)
      text += fmt::format("  check {}\n", entry.checks[i]);
    if (std::string_view(entry.name) == "init")
      continue;
    std::vector<std::vector<std::byte>> in, out;
    std::vector<const void *> from;
    std::vector<void *> to;
    for (const nnc_tensor_info &input : inputs(entry)) {
      fill(input, in.emplace_back(input.bytes).data());
      from.push_back(in.back().data());
    }
    for (const nnc_tensor_info &output : outputs(entry))
      to.push_back(out.emplace_back(output.bytes).data());
    for (int call = 0; call < 3; ++call) {
      session.call(entry, from, to);
      for (size_t i = 0; i < out.size(); ++i)
        text += fmt::format("  = {} {}\n", outputs(entry)[i].name, hexadecimal(out[i].data(), out[i].size()));
    }
    text += fmt::format("  null: {}\n", entry.call(&context, nullptr, nullptr, from.data(), to.data()));
  }
  text += '\n';
  for (const nnc_tensor_info &state : model.states())
    text += fmt::format("{} = {}\n", state.name, hexadecimal(session.state() + state.offset, state.bytes));
  return text;
}

TEST(frozen, artefacts_do_what_they_did) {
  int seen = 0;
  for (const auto &version : std::filesystem::directory_iterator(source_dir() + "/tests/frozen")) {
    const std::filesystem::path library = version.path() / (std::string("frozen-") + machine + ".so");
    if (!std::filesystem::exists(library))
      continue;
    ++seen;
    const std::string text = transcript(Model::load(library.string()));
    const std::filesystem::path recorded = std::filesystem::path(library).replace_extension(".txt");
    if (std::getenv("NNC_BLESS") && !std::filesystem::exists(recorded))
      std::ofstream(recorded) << text;
    std::ifstream stream(recorded);
    EXPECT_EQ(text, std::string((std::istreambuf_iterator<char>(stream)), {})) << library;
  }
  EXPECT_GE(seen, 1);
}

// Built with the header of then, run with the code of now.
TEST(frozen, programs_run_what_is_compiled_today) {
  for (const auto &version : std::filesystem::directory_iterator(source_dir() + "/tests/frozen")) {
    const Folder folder;
    const Ran ran = folder.run("$NNC " + version.path().string() +
                               "/frozen.nn -o frozen.so --cpu=generic && gcc -std=c11 -O1 -Wall -Wextra -Werror -I" +
                               version.path().string() + " " + version.path().string() + "/host.c ./frozen.so -o host && ./host");
    EXPECT_EQ(ran.code, 0) << ran.err;
    std::ifstream stream(version.path() / "host.txt");
    EXPECT_EQ(ran.out, std::string((std::istreambuf_iterator<char>(stream)), {})) << version.path();
  }
}

} // namespace
} // namespace nnc
