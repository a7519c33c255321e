// Code for AArch64 under qemu: every example and every model here, compiled on this machine, called from a C host on NEON and on
// SVE at three widths. Results are those of the interpreter up to rounding, and two threads give the bits of one. The deep
// examples train in double, as in run_test.cpp. Then what the files are like, and which processors they refuse.
//
// Needs qemu-user and gcc-aarch64-linux-gnu, for the host alone.
#include "runtime/file.h"
#include "tests/process.h"
#include "tests/run/outcome.h"
#include "tools/host_tensor.h"
#include "tools/widen.h"

#include <gmock/gmock.h>

#include <cstring>

namespace nnc {
namespace {

constexpr const char *triple = "aarch64-linux-gnu";

struct Processor {
  const char *code; // --cpu
  const char *qemu; // -cpu
};
constexpr Processor neon{"generic", "cortex-a72"}, sve_128{"generic+sve", "max,sve-default-vector-length=16"},
    sve_256{"generic+sve", "max,sve-default-vector-length=32"}, sve_512{"generic+sve", "max,sve-default-vector-length=64"},
    sve_1024{"generic+sve", "max,sve-default-vector-length=128"};

const std::string &missing_tool() {
  static const std::string missing = [] {
    for (const char *tool : {"qemu-aarch64", "aarch64-linux-gnu-gcc"})
      if (std::system((std::string(tool) + " --version >/dev/null 2>&1").c_str()) != 0)
        return std::string(tool);
    return std::string();
  }();
  return missing;
}

class Arm : public testing::TestWithParam<std::string> {
protected:
  Folder folder;

  void SetUp() override {
    if (!missing_tool().empty())
      GTEST_SKIP() << missing_tool()
                   << " is not installed: apt-get install qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross";
    expect_ran("aarch64-linux-gnu-gcc -std=c11 -O1 -Wall -Wextra -Werror -I$SOURCE $SOURCE/tests/run/arm_host.c -o host");
  }

  void expect_ran(const std::string &command) const {
    const Ran ran = folder.run(command);
    ASSERT_EQ(ran.code, 0) << command << "\n" << ran.out << ran.err;
  }

  std::string on(const Processor &processor) const {
    return std::string("qemu-aarch64 -L /usr/aarch64-linux-gnu -cpu ") + processor.qemu + " ./host ";
  }
};

// Calls and results as arm_host.c reads and writes them.
struct Call {
  std::string entry;
  std::vector<std::byte> before; // the state
  Buffers inputs;
  Outcome expected;
};

void append(std::string &text, std::span<const std::byte> bytes) {
  text.append(reinterpret_cast<const char *>(bytes.data()), bytes.size());
}

void append(std::string &text, int64_t number) { append(text, std::as_bytes(std::span(&number, 1))); }

std::string calls_text(const Engine &engine, const std::vector<Call> &calls) {
  std::string text;
  for (const Call &call : calls) {
    append(text, &entry_of(engine, call.entry) - engine.model().info().entries);
    append(text, call.before);
    for (const std::vector<std::byte> &input : call.inputs)
      append(text, input);
  }
  return text;
}

std::vector<Outcome> outcomes_of(const Engine &engine, const std::vector<Call> &calls, const std::string &text) {
  size_t at = 0;
  const auto take = [&](size_t bytes) {
    std::vector<std::byte> taken(bytes);
    if (at + bytes <= text.size())
      std::memcpy(taken.data(), text.data() + at, bytes);
    at += bytes;
    return taken;
  };
  std::vector<Outcome> outcomes;
  for (const Call &call : calls) {
    Outcome &outcome = outcomes.emplace_back();
    int64_t code = 0;
    std::memcpy(&code, take(sizeof code).data(), sizeof code);
    outcome.code = static_cast<int32_t>(code);
    for (const nnc_tensor_info &output : outputs(entry_of(engine, call.entry)))
      outcome.outputs.push_back(take(output.bytes));
    outcome.state = take(engine.model().info().state_bytes);
  }
  EXPECT_EQ(at, text.size());
  return outcomes;
}

// One after the other, as the interpreter runs them.
std::vector<Call> reference_calls(Engine &interpreter, const std::vector<std::string> &names) {
  std::vector<Call> calls;
  uint64_t seed = 1;
  for (const std::string &name : names)
    for (const uint64_t bound : {10, 4, 2}) { // lower where a check refuses the higher
      Call &made = calls.emplace_back();
      made.entry = name;
      made.before.assign(interpreter.state(), interpreter.state() + interpreter.model().info().state_bytes);
      made.inputs = random_inputs(entry_of(interpreter, name), seed++, bound);
      made.expected = call(interpreter, name, made.inputs);
      if (made.expected.code == NNC_OK)
        break;
    }
  return calls;
}

class ArmFile : public Arm {
protected:
  // `names`: of the entries to be called; none are all that the model has.
  void agrees(const BuildOptions &options, std::vector<std::string> names = {}) {
    const std::unique_ptr<Engine> interpreter = open_engine(EngineKind::interp, GetParam(), options, nullptr);
    if (names.empty()) {
      names = calls_of(interpreter->model());
      names.resize((names.size() + 1) / 2); // one round: what is emulated is slow
    } else if (interpreter->model().find_entry("init"))
      names.insert(names.begin(), "init");
    const std::vector<Call> calls = reference_calls(*interpreter, names);
    folder.write("calls", calls_text(*interpreter, calls));
    const char *made = "";
    for (const Processor &processor : {neon, sve_128, sve_256, sve_512}) {
      SCOPED_TRACE(processor.qemu);
      if (std::string_view(made) != processor.code) {
        BuildOptions build = options;
        build.cpu = made = processor.code;
        build.target = triple;
        folder.write("model.so", shared_library(build_model(GetParam(), build).artefact));
      }
      expect_ran(on(processor) + "./model.so calls 1 one 2 two");
      const std::string one = folder.read("one");
      EXPECT_TRUE(one == folder.read("two")) << "two threads give other bits than one";
      const std::vector<Outcome> outcomes = outcomes_of(*interpreter, calls, one);
      for (size_t i = 0; i < calls.size() && !HasFatalFailure(); ++i) {
        SCOPED_TRACE(calls[i].entry);
        expect_near(*interpreter, calls[i].entry, outcomes[i], calls[i].expected);
      }
      if (HasFailure())
        return;
    }
  }
};

// An emulated processor is slow: smaller yet.
std::vector<std::pair<std::string, std::string>> smallest(const std::string &file) {
  std::vector<std::pair<std::string, std::string>> set = smaller(file);
  const std::string text = read_file(file);
  for (const auto &[name, value] : {std::pair{"batch", "2"}, {"vocab", "50"}, {"context", "8"}, {"length", "8"}, {"steps", "4"}})
    if (text.find(std::string("const ") + name + " =") != std::string::npos) {
      std::erase_if(set, [&](const auto &given) { return given.first == name; });
      set.emplace_back(name, value);
    }
  return set;
}

TEST_P(ArmFile, AgreesWithTheInterpreter) {
  BuildOptions options;
  if (GetParam().find("examples/") != std::string::npos)
    options.set = smallest(GetParam());
  options.warn = false;
  if (is_deep(GetParam())) {
    agrees(options, {"predict"});
    options.edit = widen;
  }
  agrees(options);
}

class ArmTarget : public Arm {
protected:
  const std::string example = source_dir() + "/examples/xor.nn";
  std::unique_ptr<Engine> interpreter = open_engine(EngineKind::interp, example, {}, nullptr);
  std::vector<Call> calls;

  void SetUp() override {
    Arm::SetUp();
    calls = reference_calls(*interpreter, {"init", "train_step", "predict"});
    folder.write("calls", calls_text(*interpreter, calls));
  }

  // Without any program that it could call.
  void compile(const std::string &file, const std::string &cpu) const {
    expect_ran("env -i PATH= \"$NNC\" $SOURCE/examples/xor.nn -o " + file + " --target=" + triple + " --cpu=" + cpu);
  }

  std::vector<Outcome> run(const Processor &processor) const {
    expect_ran(on(processor) + "./xor.so calls 1 results");
    return outcomes_of(*interpreter, calls, folder.read("results"));
  }
};

TEST_F(ArmTarget, FilesNeedNothingAndNoOtherTool) {
  for (const Processor &processor : {neon, sve_256}) {
    compile("xor.so", processor.code);
    const std::string elf = folder.run("readelf -hdW --dyn-syms xor.so").out;
    EXPECT_THAT(elf, testing::ContainsRegex("Machine: +AArch64"));
    EXPECT_THAT(elf, testing::Not(testing::HasSubstr("NEEDED")));
    EXPECT_THAT(folder.run("readelf -nW xor.so").out, testing::HasSubstr("AArch64 feature: BTI"));
    EXPECT_EQ(folder.run("readelf -W --dyn-syms xor.so | grep -c UND").out, "1\n") << elf; // the null symbol
    run(processor);
    for (const char *form : {"xor.a", "xor.o"}) {
      SCOPED_TRACE(form);
      compile(form, processor.code);
      expect_ran(std::string("aarch64-linux-gnu-gcc -std=c11 -O1 -I$SOURCE -DQUERY=xor_info $SOURCE/tests/run/arm_host.c ") +
                 form + " -o host-linked && cp results expected");
      expect_ran("qemu-aarch64 -L /usr/aarch64-linux-gnu -cpu " + std::string(processor.qemu) +
                 " ./host-linked - calls 1 results && cmp results expected");
    }
  }
}

TEST_F(ArmTarget, RefusesProcessorsThatLackWhatItUses) {
  const auto codes = [&](const Processor &processor) {
    std::vector<int32_t> codes;
    const std::vector<Outcome> outcomes = run(processor);
    for (size_t i = 0; i < calls.size(); ++i) {
      codes.push_back(outcomes[i].code);
      EXPECT_TRUE(outcomes[i].code == NNC_OK || outcomes[i].state == calls[i].before);
    }
    return codes;
  };
  const std::vector<int32_t> taken(3, NNC_OK), refused(3, NNC_UNSUPPORTED_CPU);
  compile("xor.so", "generic");
  for (const Processor &processor : {neon, sve_128, sve_1024})
    EXPECT_EQ(codes(processor), taken) << processor.qemu;
  compile("xor.so", "generic+sve");
  EXPECT_EQ(codes(sve_512), taken);
  EXPECT_EQ(codes(neon), refused);
  EXPECT_EQ(codes(sve_1024), refused) << "rows in scratch memory have room for 512 bits";
  compile("xor.so", "generic,generic+sve"); // both in one file
  for (const Processor &processor : {neon, sve_256, sve_1024})
    EXPECT_EQ(codes(processor), taken) << processor.qemu;
  compile("xor.so", "generic+dotprod");
  EXPECT_EQ(codes(sve_512), taken);
  EXPECT_EQ(codes(neon), refused);
}

// What was compiled when a version of the C interface was frozen, in its host of then. (On an ARM machine frozen_test.cpp looks
// closer.)
TEST_F(Arm, FrozenArtefactsDoWhatTheyDid) {
  int seen = 0;
  for (const auto &version : std::filesystem::directory_iterator(source_dir() + "/tests/frozen")) {
    ++seen;
    expect_ran("cp " + version.path().string() + "/* . && aarch64-linux-gnu-gcc -std=c11 -O1 host.c ./frozen-aarch64.so -o host");
    expect_ran(on(neon) + "| diff - host.txt");
  }
  EXPECT_GE(seen, 1);
}

INSTANTIATE_TEST_SUITE_P(All, ArmFile, testing::ValuesIn(files_in({"tests/run", "examples"})), test_name);

} // namespace
} // namespace nnc
