// Reference files: every entry of the models of this folder, compiled and interpreted, against what PyTorch computed in double;
// generate.py wrote it beside them and says what the files hold. An entry, input, result or parameter without data fails, and so
// do data that nothing asks for. That the comparison sees one wrong number is tried on every tensor.
#include "runtime/tensor_file.h"
#include "tests/paths.h"
#include "tools/engine.h"
#include "tools/host_tensor.h"

#include <gmock/gmock.h>
#include <limits>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <optional>
#include <set>
#include <unistd.h>
#include <zlib.h>

namespace nnc {
namespace {

namespace fs = std::filesystem;

struct Data {
  std::map<std::string, HostTensor> tensors;
  std::map<std::string, std::string> metadata;

  std::optional<double> number(const std::string &key) const {
    const auto found = metadata.find(key);
    return found == metadata.end() ? std::nullopt : std::optional(std::stod(found->second));
  }
};

Data read_data(const fs::path &packed) {
  const fs::path plain = fs::temp_directory_path() / fmt::format("nnc-reference-{}-{}", getpid(), packed.stem().string());
  gzFile in = gzopen(packed.c_str(), "rb");
  if (!in)
    throw FileError(packed.string(), "cannot open");
  {
    OutputFile out(plain.string());
    char buffer[1 << 14];
    int count;
    while ((count = gzread(in, buffer, sizeof buffer)) > 0)
      out.write(buffer, count);
    if (gzclose(in) != Z_OK || count < 0)
      throw FileError(packed.string(), "cannot unpack");
    out.commit();
  }
  SafeTensors content = read_safetensors(plain.string());
  fs::remove(plain);
  Data data{{}, content.metadata};
  for (NamedTensor &named : content.tensors)
    data.tensors.emplace(named.name, std::move(named.tensor));
  return data;
}

// How far a tensor may be off: `relative` of each element, or of `floor` times the largest finite magnitude, or of `least`, where
// that is more.
struct Bound {
  double relative, floor, least;
};

// Cotangents are about 1. A derivative that is 0 for a reason, such as that by the bias of attention's keys, is what their
// products leave when rounded.
constexpr Bound forward = {1e-5, 0, 0}, gradient = {1e-4, 1, 2e-2}, trained = {1e-4, 1, 0};

std::vector<double> numbers(const HostTensor &tensor) {
  const uint32_t dtype = [&] {
    for (uint32_t code = NNC_F32; code <= NNC_BOOL; ++code)
      if (dtype_text(code) == tensor.dtype)
        return code;
    throw std::logic_error("no dtype " + tensor.dtype);
  }();
  std::vector<double> list(tensor.bytes.size() / dtype_bytes(tensor.dtype));
  for (size_t i = 0; i < list.size(); ++i)
    list[i] = element(tensor.bytes.data(), dtype, static_cast<int64_t>(i));
  return list;
}

double largest_magnitude(const std::vector<double> &list) {
  double largest = 0;
  for (double number : list)
    if (std::isfinite(number))
      largest = std::max(largest, std::fabs(number));
  return largest;
}

// "" or what is wrong with the first element that is.
std::string difference(const HostTensor &expected, const HostTensor &actual, Bound bound) {
  if (tensor_type_text(expected) != tensor_type_text(actual))
    return fmt::format("is {}, not {}", tensor_type_text(actual), tensor_type_text(expected));
  const bool is_f32 = actual.dtype == "f32";
  if (!is_f32 && actual.dtype != "f64") {
    const auto [a, e] = std::ranges::mismatch(actual.bytes, expected.bytes);
    const auto i = (a - actual.bytes.begin()) / static_cast<ptrdiff_t>(dtype_bytes(actual.dtype));
    return a == actual.bytes.end()
               ? ""
               : fmt::format("element {} is {}, not {}", i, element_text(actual, i), element_text(expected, i));
  }
  if (!is_f32)
    bound.relative *= 1e-6;
  const double steps = is_f32 ? 2 * std::numeric_limits<float>::denorm_min() : 0; // where a float has no digits left
  const std::vector<double> want = numbers(expected), have = numbers(actual);
  const double scale = std::max(bound.floor * largest_magnitude(want), bound.least);
  for (size_t i = 0; i < want.size(); ++i) {
    const double e = want[i], a = have[i];
    if (a == e || (std::isnan(a) && std::isnan(e)))
      continue;
    const double allowed = bound.relative * std::max(std::fabs(e), scale) + steps;
    if (!std::isfinite(e) || !(std::fabs(a - e) <= allowed))
      return fmt::format("element {} is {}, not {}: off by {}, {} is allowed", i, a, e, std::fabs(a - e), allowed);
  }
  return "";
}

// The same with one number changed: by 1e-3 of the largest, or of a tenth; a whole number by 1; and what is not finite is 0.
HostTensor with_one_changed(HostTensor tensor) {
  const std::vector<double> list = numbers(tensor);
  const size_t i = list.size() / 2;
  const double changed = std::isfinite(list[i]) ? list[i] + 1e-3 * std::max(largest_magnitude(list), 0.1) : 0;
  std::byte *at = tensor.bytes.data() + i * dtype_bytes(tensor.dtype);
  if (tensor.dtype == "f32") {
    const auto narrow = static_cast<float>(changed);
    std::memcpy(at, &narrow, sizeof narrow);
  } else if (tensor.dtype == "f64") {
    std::memcpy(at, &changed, sizeof changed);
  } else {
    *at ^= std::byte{1};
  }
  return tensor;
}

// One model on one engine, held against its data.
class Comparison {
public:
  Comparison(Engine &engine, const Data &data) : engine_(engine), data_(data) {
    for (const nnc_tensor_info &state : engine.model().states())
      if (const HostTensor *start = find("state/" + std::string(state.name), state, 1))
        starts_.emplace_back(&state, start);
      else if (state.trained)
        complain(fmt::format("parameter `{}` has no data", state.name));
    for (const nnc_entry_info &entry : engine.model().entries())
      if (std::string_view(entry.name) != "init")
        run(entry);
    for (const auto &[key, tensor] : data.tensors)
      if (!used_.contains(key))
        complain(fmt::format("nothing asks for `{}`", key));
  }

  const std::vector<std::string> &problems() const { return problems_; }
  size_t compared() const { return compared_; }

private:
  Engine &engine_;
  const Data &data_;
  std::vector<std::pair<const nnc_tensor_info *, const HostTensor *>> starts_;
  std::set<std::string> used_;
  std::vector<std::string> problems_;
  size_t compared_ = 0;

  void complain(std::string problem) { problems_.push_back(std::move(problem)); }

  static HostTensor typed(const nnc_tensor_info &info, uint64_t calls) {
    HostTensor tensor{std::string(dtype_text(info.dtype)), {info.shape, info.shape + info.rank}, {}};
    if (calls > 1)
      tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(calls));
    return tensor;
  }

  // Null, with a complaint, where the data has another type.
  const HostTensor *find(const std::string &key, const nnc_tensor_info &info, uint64_t calls) {
    const auto found = data_.tensors.find(key);
    if (found == data_.tensors.end())
      return nullptr;
    used_.insert(key);
    const std::string want = tensor_type_text(typed(info, calls)), have = tensor_type_text(found->second);
    if (want != have)
      complain(fmt::format("`{}` is {}, its data {}", key, want, have));
    return want == have ? &found->second : nullptr;
  }

  void run(const nnc_entry_info &entry) {
    const std::string name = entry.name;
    const uint64_t calls = static_cast<uint64_t>(data_.number("calls " + name).value_or(1));
    std::vector<const HostTensor *> given;
    for (const nnc_tensor_info &input : inputs(entry)) {
      given.push_back(find(fmt::format("{}/in/{}", name, input.name), input, calls));
      if (!given.back())
        return complain(fmt::format("`{}` has no data for `{}`", name, input.name));
    }
    std::vector<HostTensor> results;
    for (const nnc_tensor_info &output : outputs(entry)) {
      results.push_back(typed(output, calls));
      results.back().bytes.resize(output.bytes * calls);
    }
    start_state(engine_, 0, "");
    for (const auto &[state, start] : starts_)
      std::memcpy(engine_.state() + state->offset, start->bytes.data(), start->bytes.size());
    for (uint64_t i = 0; i < calls; ++i) {
      std::vector<const void *> in;
      for (const HostTensor *tensor : given)
        in.push_back(tensor->bytes.data() + i * (tensor->bytes.size() / calls));
      std::vector<void *> out;
      for (HostTensor &tensor : results)
        out.push_back(tensor.bytes.data() + i * (tensor.bytes.size() / calls));
      engine_.call(entry, in, out);
    }
    for (size_t i = 0; i < results.size(); ++i) {
      const nnc_tensor_info &output = outputs(entry)[i];
      const std::string key = fmt::format("{}/out/{}", name, output.name);
      const HostTensor *expected = find(key, output, calls);
      if (!expected)
        complain(fmt::format("`{}` has no data for its result `{}`", name, output.name));
      else
        compare(key, *expected, results[i], bound_of(entry, output.name, calls));
    }
    for (const nnc_tensor_info &state : engine_.model().states()) {
      const std::string key = fmt::format("{}/state/{}", name, state.name);
      if (const HostTensor *expected = find(key, state, 1)) {
        HostTensor actual = typed(state, 1);
        actual.bytes.assign(engine_.state() + state.offset, engine_.state() + state.offset + state.bytes);
        compare(key, *expected, actual, trained);
      }
    }
  }

  // Derivatives are called dNAME by an input, d_NET_PATH by parameters. Where every element is held to its own size, theirs are
  // too.
  Bound bound_of(const nnc_entry_info &entry, const std::string &result, uint64_t calls) const {
    if (calls > 1)
      return trained;
    const std::optional<double> floor = data_.number("floor");
    bool is_gradient = result.starts_with("d_");
    for (const nnc_tensor_info &input : inputs(entry))
      is_gradient |= result == "d" + std::string(input.name);
    if (!is_gradient)
      return {forward.relative, floor.value_or(forward.floor), forward.least};
    return floor ? gradient : Bound{gradient.relative, 0, 0};
  }

  void compare(const std::string &key, const HostTensor &expected, const HostTensor &actual, Bound bound) {
    ++compared_;
    if (std::string problem = difference(expected, actual, bound); !problem.empty())
      complain(fmt::format("`{}`: {}", key, problem));
    else if (difference(with_one_changed(expected), actual, bound).empty())
      complain(fmt::format("`{}`: one wrong number is not seen", key));
  }
};

std::string source_of(const std::string &topic) { return source_dir() + "/tests/reference/" + topic + ".nn"; }

std::unique_ptr<Engine> open_topic(const std::string &topic, EngineKind kind) {
  BuildOptions options;
  options.passes.denormals = Denormals::keep; // as PyTorch
  options.warn = false;
  return open_engine(kind, source_of(topic), options, nullptr);
}

Data data_of(const std::string &topic) { return read_data(fs::path(source_of(topic)).replace_extension(".safetensors.gz")); }

std::vector<std::string> topics() {
  std::vector<std::string> names;
  for (const auto &file : fs::directory_iterator(fs::path(source_dir()) / "tests/reference"))
    if (file.path().extension() == ".nn")
      names.push_back(file.path().stem().string());
  std::ranges::sort(names);
  return names;
}

class Reference : public testing::TestWithParam<std::tuple<std::string, EngineKind>> {};

TEST_P(Reference, AgreesWithPyTorch) {
  const auto &[topic, kind] = GetParam();
  const Data data = data_of(topic);
  const std::unique_ptr<Engine> engine = open_topic(topic, kind);
  const Comparison comparison(*engine, data);
  for (const std::string &problem : comparison.problems())
    ADD_FAILURE() << problem;
  EXPECT_GT(comparison.compared(), 0u);
}

INSTANTIATE_TEST_SUITE_P(All, Reference,
                         testing::Combine(testing::ValuesIn(topics()), testing::Values(EngineKind::jit, EngineKind::interp)),
                         [](const auto &info) {
                           return std::get<0>(info.param) + (std::get<1>(info.param) == EngineKind::jit ? "_jit" : "_interp");
                         });

TEST(ReferenceData, HasToMatchTheModel) {
  const std::unique_ptr<Engine> engine = open_topic("layers", EngineKind::interp);
  const Data whole = data_of("layers");
  const auto problems = [&](const Data &data) { return Comparison(*engine, data).problems(); };
  const auto without = [&](const std::string &key) {
    Data data = whole;
    EXPECT_EQ(data.tensors.erase(key), 1u) << key;
    return data;
  };
  EXPECT_EQ(problems(whole), std::vector<std::string>{});
  EXPECT_EQ(problems(without("state/affine/d/w")).front(), "parameter `affine/d/w` has no data");
  EXPECT_EQ(problems(without("dense_/out/dx")), std::vector<std::string>{"`dense_` has no data for its result `dx`"});
  EXPECT_EQ(problems(without("dense_/in/x")).front(), "`dense_` has no data for `x`");
  Data more = whole;
  more.tensors["nobody/in/x"] = more.tensors.at("dense_/in/x");
  EXPECT_EQ(problems(more), std::vector<std::string>{"nothing asks for `nobody/in/x`"});
  Data other = whole;
  other.tensors["dense_/in/x"].dtype = "i32";
  EXPECT_THAT(problems(other).front(), testing::HasSubstr("its data i32["));
}

} // namespace
} // namespace nnc
