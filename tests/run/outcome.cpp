#include "tests/run/outcome.h"

#include "tests/paths.h"
#include "tools/host_tensor.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace nnc {

namespace {

void expect_near(const nnc_tensor_info &tensor, bool trained, const std::byte *actual, const std::byte *expected,
                 const std::string &what) {
  if (!is_float_dtype(tensor.dtype)) {
    EXPECT_EQ(std::memcmp(actual, expected, tensor.bytes), 0) << what;
    return;
  }
  const int64_t elements = static_cast<int64_t>(tensor.bytes / dtype_bytes(std::string(dtype_text(tensor.dtype))));
  const double tolerance = tensor.dtype == NNC_F64    ? 1e-10
                           : tensor.dtype == NNC_F32  ? (trained ? 1e-4 : 1e-5)
                           : tensor.dtype == NNC_BF16 ? 0x1p-7 // the next number, where rounding goes the other way
                                                      : 0x1p-9;
  double largest = 1;
  for (int64_t i = 0; i < elements; ++i)
    if (const double e = std::fabs(element(expected, tensor.dtype, i)); std::isfinite(e))
      largest = std::max(largest, e);
  int64_t off = 0;
  for (int64_t i = 0; i < elements; ++i) {
    const double a = element(actual, tensor.dtype, i), e = element(expected, tensor.dtype, i);
    if (std::isnan(a) && std::isnan(e))
      continue;
    const double difference = a == e ? 0 : std::fabs(a - e) / largest;
    off += difference > tolerance;
    ASSERT_LE(difference, off * 10000 > elements ? tolerance : 100 * tolerance)
        << what << ", element " << i << ": " << a << " instead of " << e;
  }
}

} // namespace

Outcome call(Engine &engine, const std::string &name, const Buffers &given) {
  const nnc_entry_info &entry = entry_of(engine, name);
  Outcome outcome;
  std::vector<const void *> in;
  for (const std::vector<std::byte> &input : given)
    in.push_back(input.data());
  std::vector<void *> out;
  for (const nnc_tensor_info &output : outputs(entry)) {
    outcome.outputs.emplace_back(output.bytes);
    out.push_back(outcome.outputs.back().data());
  }
  try {
    engine.call(entry, in, out);
  } catch (const CallError &error) {
    outcome.code = error.code;
    outcome.said = error.what();
  }
  outcome.state.assign(engine.state(), engine.state() + engine.model().info().state_bytes);
  return outcome;
}

void expect_near(const Engine &engine, const std::string &entry, const Outcome &actual, const Outcome &expected) {
  ASSERT_EQ(actual.code, expected.code);
  if (actual.code == NNC_OK)
    for (size_t i = 0; i < actual.outputs.size(); ++i) {
      const nnc_tensor_info &output = outputs(entry_of(engine, entry))[i];
      expect_near(output, false, actual.outputs[i].data(), expected.outputs[i].data(), output.name);
    }
  for (const nnc_tensor_info &state : engine.model().states())
    expect_near(state, true, actual.state.data() + state.offset, expected.state.data() + state.offset, state.name);
}

std::vector<std::string> calls_of(const Model &model) {
  std::vector<std::string> names;
  for (const nnc_entry_info &entry : model.entries())
    names.insert(std::string_view(entry.name) == "init" ? names.begin() : names.end(), entry.name);
  const size_t entries = names.size() - (names[0] == "init");
  for (size_t i = 0; i < entries; ++i)
    names.push_back(names[names.size() - entries]);
  return names;
}

bool is_deep(const std::string &file) {
  const std::string name = std::filesystem::path(file).filename().string();
  return name.find("resnet") != std::string::npos || name.find("mobilenet") != std::string::npos;
}

std::vector<std::pair<std::string, std::string>> smaller(const std::string &file) {
  std::ifstream stream(file);
  const std::string text((std::istreambuf_iterator<char>(stream)), {});
  std::vector<std::pair<std::string, std::string>> set;
  const auto set_if_declared = [&](const std::string &name, const char *value) {
    if (text.find("const " + name + " =") != std::string::npos)
      set.emplace_back(name, value);
  };
  if (file.find("tests/run/") != std::string::npos)
    return set;
  set_if_declared("context", "16");
  set_if_declared("depth", "2");
  set_if_declared("steps", "8");
  set_if_declared("length", "16");
  if (!set.empty() || text.find("conv2d(") != std::string::npos)
    set_if_declared("batch", "2");
  return set;
}

std::vector<std::string> files_in(const std::vector<std::string> &folders) {
  std::vector<std::string> files;
  for (const std::string &folder : folders)
    for (const auto &entry : std::filesystem::directory_iterator(std::filesystem::path(source_dir()) / folder))
      if (entry.path().extension() == ".nn")
        files.push_back(entry.path().string());
  std::ranges::sort(files);
  return files;
}

std::string test_name(const testing::TestParamInfo<std::string> &info) {
  std::string name = std::filesystem::path(info.param).parent_path().filename().string() + "_" +
                     std::filesystem::path(info.param).stem().string();
  std::ranges::replace_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
}

} // namespace nnc
