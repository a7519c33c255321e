// Run files: every entry of every model here, of the examples, and of those programs that the compiler takes by now, on every
// engine. The JIT, the shared library and any number of threads give the same bits; the interpreters agree up to rounding;
// and where a check refuses the inputs, all refuse alike and change nothing. With --check the bits are the same, and nothing is
// found but in the files here, some of which compute with infinities. In double, where rounding is too small to hide a
// mistake or to grow into a difference, compiled code and the interpreter agree on every example and deep program.
#include "ir/error.h"
#include "tests/run/outcome.h"
#include "tools/host_tensor.h"
#include "tools/widen.h"

#include <algorithm>
#include <gtest/gtest.h>

#include <filesystem>

namespace nnc {
namespace {

struct Contestant {
  std::string name;
  bool same_bits; // as the first
  std::unique_ptr<Engine> engine;
  bool checked = false; // may refuse what the first takes, if that is what a file here is about
};

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
  // Deep networks are held to bits only: a rounding may turn a relu. They are compared in double, and their layers in other
  // files.
  if (is_deep(file))
    return list;
  add("plan", false, EngineKind::plan, options, nullptr);
  add("interp", false, EngineKind::interp, options, nullptr);
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
  for (const std::string &name : calls_of(first.model()))
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
        std::ranges::copy(outcomes[0].state, contestant.engine->state());
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
      std::ranges::copy(outcome.state, interpreter->state());
      if (outcome.code == NNC_OK || testing::Test::HasFailure())
        return;
    }
  };
  compare("init");
  for (const nnc_entry_info &entry : compiled->model().entries())
    if (entry.name != std::string_view("init"))
      compare(entry.name);
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

INSTANTIATE_TEST_SUITE_P(All, RunFile, testing::ValuesIn(files_in({"tests/run", "examples", "tests/programs"})), test_name);
std::vector<std::string> examples_and_deep_programs() {
  std::vector<std::string> files = files_in({"examples", "tests/programs"});
  std::erase_if(files, [](const std::string &file) { return file.find("examples/") == file.npos && !is_deep(file); });
  return files;
}

INSTANTIATE_TEST_SUITE_P(All, RunExample, testing::ValuesIn(examples_and_deep_programs()), test_name);

} // namespace
} // namespace nnc
