// Run files: every entry of every model here, of the examples, and of those programs that the compiler takes by now, on every
// engine. The JIT, the shared library and any number of threads give the same bits; the interpreters agree up to rounding;
// and where a check refuses the inputs, all refuse alike and change nothing. With --check the bits are the same, and nothing is
// found but in the files here, some of which compute with infinities. In double, where rounding is too small to hide a
// mistake or to grow into a difference, compiled code and the interpreter agree on every example, deep ones too.
#include "ir/error.h"
#include "tests/paths.h"
#include "tools/engine.h"
#include "tools/host_tensor.h"
#include "tools/widen.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace nnc {
namespace {

using Buffers = std::vector<std::vector<std::byte>>;

struct Outcome {
  int32_t code = NNC_OK;
  std::string said; // where it is not NNC_OK
  Buffers outputs;
  std::vector<std::byte> state;
};

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

// Up to rounding beside the largest element, states (`trained`) to ten times of it: Adam's step is the quotient of two tiny
// numbers. Where a value hangs on the sign of another, rounding is not all there is: one element in 10,000 may be off by a
// hundred times as much.
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

struct Contestant {
  std::string name;
  bool same_bits; // as the first
  std::unique_ptr<Engine> engine;
  bool checked = false; // may refuse what the first takes, if that is what a file here is about
};

bool is_named(const std::string &file, std::string_view part) {
  return std::filesystem::path(file).filename().string().find(part) != std::string::npos;
}

// Whole batches of images and texts would keep the interpreters busy for minutes.
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

std::vector<Contestant> contestants(const std::string &file, ThreadPool *two, ThreadPool *five) {
  BuildOptions options, other_cpu, slow, checked;
  options.set = other_cpu.set = slow.set = checked.set = smaller(file);
  options.warn = other_cpu.warn = slow.warn = checked.warn = false;
  options.passes.verify_each = true;
  checked.passes.checks = {.nan = true, .bounds = true};
  std::vector<Contestant> list;
  const auto add = [&](std::string name, bool same_bits, EngineKind kind, const BuildOptions &build, ThreadPool *pool) {
    list.push_back({std::move(name), same_bits, open_engine(kind, file, build, pool)});
  };
  add("jit", true, EngineKind::jit, options, nullptr);
  add("so", true, EngineKind::so, options, nullptr);
  add("jit, 2 threads", true, EngineKind::jit, options, two);
  add("so, 5 threads", true, EngineKind::so, options, five);
  add("jit, checked", true, EngineKind::jit, checked, nullptr);
  list.back().checked = true;
  // Many layers with batch_norm over two images: an activation that rounds to the other side of 0, as happens where sums are
  // taken in another order, moves every gradient by more than rounding, and Adam, which divides by their size, makes whole steps
  // of that. So the deep examples are held to bits only; their layers are compared in other files.
  const bool deep = is_named(file, "resnet") || is_named(file, "mobilenet");
  if (deep && file.find("examples/") != std::string::npos)
    return list;
  if (!deep) {
    add("plan", false, EngineKind::plan, options, nullptr);
    add("interp", false, EngineKind::interp, options, nullptr);
  }
  slow.passes.disable = {"simplify", "cse", "muladd", "dce", "hoist", "sink"};
  add("jit without most passes", false, EngineKind::jit, slow, nullptr);
#ifdef __x86_64__
  for (const char *cpu : {"generic", "x86-64-v3"}) {
    other_cpu.cpu = cpu;
    add(cpu, false, EngineKind::jit, other_cpu, nullptr);
  }
#endif
  return list;
}

void run_everywhere(const std::string &file) {
  ThreadPool two(2), five(5);
  std::vector<Contestant> all = contestants(file, &two, &five);
  uint64_t seed = 1;
  Engine &first = *all[0].engine;
  std::vector<std::string> names;
  for (const nnc_entry_info &entry : first.model().entries())
    names.insert(std::string_view(entry.name) == "init" ? names.begin() : names.end(), entry.name);
  const size_t entries = names.size() - (names[0] == "init");
  for (size_t i = 0; i < entries; ++i) // again, with the state that the first round left
    names.push_back(names[names.size() - entries]);
  for (const std::string &name : names)
    for (const uint64_t bound : {10, 4, 2}) { // lower where a check refuses the higher
      const Buffers given = random_inputs(entry_of(first, name), seed++, bound);
      const std::vector<std::byte> before(first.state(), first.state() + first.model().info().state_bytes);
      std::vector<Outcome> outcomes;
      for (Contestant &contestant : all) {
        SCOPED_TRACE(name + " on " + contestant.name);
        ASSERT_EQ(contestant.engine->model().info().state_bytes, before.size());
        outcomes.push_back(call(*contestant.engine, name, given));
        const Outcome &expected = outcomes[0], &actual = outcomes.back();
        if (contestant.checked && actual.code != expected.code) {
          EXPECT_TRUE(file.find("tests/run/") != file.npos && expected.code == NNC_OK) << actual.said;
        } else if (contestant.same_bits) {
          EXPECT_EQ(actual.code, expected.code);
          EXPECT_EQ(actual.outputs, expected.outputs);
          EXPECT_EQ(actual.state, expected.state);
        } else {
          expect_near(first, name, actual, expected);
        }
        if (actual.code != NNC_OK) {
          EXPECT_EQ(actual.state, before);
        }
        std::memcpy(contestant.engine->state(), outcomes[0].state.data(), outcomes[0].state.size());
      }
      if (outcomes[0].code == NNC_OK || testing::Test::HasFailure())
        break;
    }
}

// Entries in their order, as they follow each other in a program's life.
void agree_in_double(const std::string &file) {
  BuildOptions options;
  options.set = smaller(file);
  options.warn = false;
  options.edit = widen;
  const std::unique_ptr<Engine> compiled = open_engine(EngineKind::jit, file, options, nullptr);
  const std::unique_ptr<Engine> interpreter = open_engine(EngineKind::interp, file, options, nullptr);
  uint64_t seed = 1;
  const auto compare = [&](const std::string &name) {
    SCOPED_TRACE(name);
    Outcome outcome;
    for (const uint64_t bound : {10, 4, 2}) { // lower where a check refuses the higher
      const Buffers given = random_inputs(entry_of(*compiled, name), seed++, bound);
      outcome = call(*compiled, name, given);
      expect_near(*compiled, name, outcome, call(*interpreter, name, given));
      std::memcpy(interpreter->state(), outcome.state.data(), outcome.state.size());
      if (outcome.code == NNC_OK || testing::Test::HasFailure())
        return;
    }
  };
  compare("init");
  for (const nnc_entry_info &entry : compiled->model().entries())
    if (entry.name != std::string_view("init"))
      compare(entry.name);
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

class RunFile : public testing::TestWithParam<std::string> {};

TEST_P(RunFile, AgreesOnAllEngines) {
  if (GetParam().find("tests/programs") != std::string::npos) {
    try {
      BuildOptions quiet;
      quiet.warn = false;
      read_source(GetParam(), quiet);
    } catch (const Error &error) {
      const std::string text = error.what();
      if (text.find("is not compiled yet") != std::string::npos || text.find("are not compiled yet") != std::string::npos ||
          text.find("there is no `entry`") != std::string::npos)
        GTEST_SKIP() << text;
      throw;
    }
  }
  run_everywhere(GetParam());
}

class RunExample : public testing::TestWithParam<std::string> {};

TEST_P(RunExample, AgreesInDouble) { agree_in_double(GetParam()); }

std::string test_name(const testing::TestParamInfo<std::string> &info) {
  std::string name = std::filesystem::path(info.param).parent_path().filename().string() + "_" +
                     std::filesystem::path(info.param).stem().string();
  std::ranges::replace_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, RunFile, testing::ValuesIn(files_in({"tests/run", "examples", "tests/programs"})), test_name);
INSTANTIATE_TEST_SUITE_P(All, RunExample, testing::ValuesIn(files_in({"examples"})), test_name);

} // namespace
} // namespace nnc
