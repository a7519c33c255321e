// Artefacts as files: exported names, C programs built against them, equal bytes, and what the loader refuses.
#include "codegen/header.h"
#include "codegen/jit.h"
#include "codegen/names.h"
#include "ir/error.h"
#include "runtime/model.h"
#include "tests/paths.h"
#include "tests/unit/hand_made.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace nnc {
namespace {

using testing::HasSubstr;
using testing::Not;

class Library : public testing::Test {
protected:
  Library() {
    std::string pattern = testing::TempDir() + "nnc-library-XXXXXX";
    folder = mkdtemp(pattern.data());
  }
  ~Library() override { std::filesystem::remove_all(folder); }

  std::string folder;

  std::string path(const std::string &name) const { return folder + "/" + name; }
  std::string put(const std::string &name, const std::string &bytes) const {
    write_file(path(name), bytes);
    return path(name);
  }

  // What a shell command prints, on both channels; a command that fails fails the test.
  std::string shell(const std::string &command) const {
    const int status = std::system(("cd " + folder + " && (" + command + ") > output.txt 2>&1").c_str());
    const std::string output = read_file(path("output.txt"));
    EXPECT_EQ(status, 0) << command << "\n" << output;
    return output;
  }

  static const Artefact &artefact() {
    static const Artefact artefact = hand_made::artefact();
    return artefact;
  }
};

TEST_F(Library, ExportsEntriesAndQueriesOnly) {
  put("m.so", shared_library(artefact()));
  EXPECT_EQ(shell("nm -D --undefined-only m.so"), "");
  EXPECT_EQ(shell("nm -D --defined-only --format=just-symbols m.so | sort"),
            "made_1_code_name\nmade_1_info\nmade_1_init\nmade_1_pick\nmade_1_step\nmade_1_touch\nnnc_model\n");
  put("m.o", relocatable_object(artefact()));
  EXPECT_EQ(shell("nm --undefined-only m.o"), "");
  EXPECT_EQ(shell("nm --extern-only --format=just-symbols m.o | sort"),
            "made_1_code_name\nmade_1_info\nmade_1_init\nmade_1_pick\nmade_1_step\nmade_1_touch\n");
  put("m.a", static_library(artefact()));
  EXPECT_THAT(shell("ar t m.a"), HasSubstr("made_1.o"));
  EXPECT_THAT(shell("nm -s m.a"), HasSubstr("made_1_step in made_1.o"));
}

TEST_F(Library, NeedsNoLibraryAndNoExecutableStack) {
  put("m.so", shared_library(artefact()));
  const std::string dynamic = shell("readelf -dW m.so");
  EXPECT_THAT(dynamic, Not(HasSubstr("NEEDED")));
  EXPECT_THAT(dynamic, Not(HasSubstr("TEXTREL")));
  EXPECT_THAT(dynamic, Not(HasSubstr("INIT")));
  EXPECT_THAT(shell("readelf -lW m.so | grep GNU_STACK"), Not(HasSubstr("RWE")));
}

TEST_F(Library, LetsTheProcessorCheckIndirectBranches) {
  put("m.so", shared_library(artefact()));
  EXPECT_THAT(shell("readelf -nW m.so"), HasSubstr("x86 feature: IBT"));
  put("m.o", relocatable_object(artefact()));
  EXPECT_THAT(shell("readelf -nW m.o"), HasSubstr("x86 feature: IBT"));
  EXPECT_THAT(shell("objdump -d --disassemble=made_1_step m.o"), HasSubstr("endbr64"));
}

TEST_F(Library, IsReproducible) {
  const Artefact one = compile_plan(hand_made::plan(), make_target(), hand_made::options(1));
  const Artefact two = compile_plan(hand_made::plan("elsewhere/made-1.nn"), make_target(), hand_made::options(2));
  ASSERT_EQ(one.objects.size(), two.objects.size());
  for (size_t i = 0; i < one.objects.size(); i++)
    EXPECT_EQ(one.objects[i].bytes, two.objects[i].bytes) << one.objects[i].name;
  EXPECT_EQ(shared_library(one), shared_library(two));
  EXPECT_EQ(relocatable_object(one), relocatable_object(two));
  EXPECT_EQ(static_library(one), static_library(two));
}

const char *host_program = R"(
#include "made_1.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void reversed(void *pool, void (*task)(void *, int64_t), void *arg, int64_t n) {
  for ((void)pool; n > 0; n--) task(arg, n - 1);
}

int main(void) {
  static unsigned char raw[MADE_1_STATE_BYTES + MADE_1_STEP_WORKSPACE_BYTES(4) + 2 * MADE_1_ALIGNMENT];
  unsigned char *state = raw + (MADE_1_ALIGNMENT - (uintptr_t)raw % MADE_1_ALIGNMENT);
  unsigned char *workspace = state + MADE_1_STATE_BYTES;
  float x[MADE_1_STEP_X_COUNT], y[MADE_1_STEP_Y_COUNT];
  int64_t slots[MADE_1_STEP_SLOTS_COUNT], seed = 8;
  uint8_t label = 9;
  int i, code, repeat;
  nnc_context context;
  memset(&context, 0, sizeof context);
  context.struct_size = sizeof context;
  context.threads = 4;
  context.run = reversed;
  context.workspace_bytes = MADE_1_STEP_WORKSPACE_BYTES(4);
  for (i = 0; i < MADE_1_STEP_X_COUNT; i++) x[i] = 0.001f * (float)i;
  if (made_1_init(&context, state, workspace, &seed) != NNC_OK) return 1;
  for (repeat = 0; repeat < 100; repeat++)
    if ((code = made_1_step(&context, state, workspace, x, &label, y, slots)) != NNC_OK) return code;
  label = 10;
  if (made_1_step(&context, state, workspace, x, &label, y, slots) != NNC_CHECK + 0) return 2;
  if (strcmp(made_1_info()->entries[0].name, "step") != 0) return 3;
  fwrite(y, sizeof y[0], MADE_1_STEP_Y_COUNT, stdout);
  return 0;
}
)";

// The same hundred steps in this process.
std::string hundred_steps(const Model &model) {
  Session session(model);
  const nnc_entry_info &step = *model.find_entry("step");
  const int64_t seed = 8;
  const uint8_t label = 9;
  std::vector<float> x(hand_made::size), y(hand_made::size);
  int64_t slots[hand_made::grains];
  for (int64_t i = 0; i < hand_made::size; i++)
    x[i] = 0.001f * static_cast<float>(i);
  const void *seeds[] = {&seed}, *in[] = {x.data(), &label};
  void *out[] = {y.data(), slots};
  session.call(*model.find_entry("init"), seeds, {});
  for (int repeat = 0; repeat < 100; repeat++)
    session.call(step, in, out);
  return std::string(reinterpret_cast<const char *>(y.data()), y.size() * sizeof(float));
}

TEST_F(Library, ServesCProgramsInEveryForm) {
  const LoadedCode code = load_jit(artefact());
  const std::string expected = hundred_steps(Model(code.info, code.code));
  EXPECT_EQ(hundred_steps(Model::load(put("m.so", shared_library(artefact())))), expected);

  put("made_1.h", c_header(hand_made::plan()));
  put("host.c", host_program);
  put("host.cpp", host_program);
  put("m.o", relocatable_object(artefact()));
  put("m.a", static_library(artefact()));
  const std::string warnings = " -O1 -Wall -Wextra -Wconversion -Werror -pedantic ";
  for (std::string compiler : {"gcc -std=c99 host.c", "g++ -std=c++11 host.cpp", "g++ -std=c++20 host.cpp"})
    for (std::string library : {"./m.so", "m.o", "m.a"}) {
      shell(compiler + warnings + library + " -o host");
      EXPECT_EQ(shell("./host"), expected) << compiler << " " << library;
    }
}

TEST_F(Library, SeveralModelsFitInOneProgram) {
  const char *program = R"(
#include "first.h"
#include "second.h"
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv) {
  char copy[100];
  memcpy(copy, argv[0], strlen(argv[0]) + 1); /* the program's own */
  return (argc > 5 ? copy[0] : 0) + !(first_info() != second_info() && first_info()->entry_count == 2);
}
)";
  put("main.c", program);
  for (std::string model : {"first", "second"}) {
    Plan plan = hand_made::plan(model + ".nn");
    plan.kernels.push_back(hand_made::kernel("memcpy", {hand_made::pointer(true, false), hand_made::pointer(false, true)}));
    const Artefact a = compile_plan(plan, make_target(), hand_made::options());
    EXPECT_EQ(a.objects.back().name, model + ".builtins");
    put(model + ".o", relocatable_object(a));
    put(model + ".a", static_library(a));
    put(model + ".h", c_header(plan));
  }
  shell("gcc -std=c99 -Wall -Wextra -Werror main.c first.o second.o -o main && ./main");
  shell("gcc -std=c99 -Wall -Wextra -Werror main.c first.a second.a -o main && ./main");
}

// A linker that finds a name in one static library looks into no other.
TEST_F(Library, TwoModelsOfOneNameAreNoProgram) {
  const auto make = [&](const std::string &file, const std::string &name, const std::string &identity) {
    ArtefactOptions options = hand_made::options();
    options.name = name;
    options.identity = identity;
    const Plan plan = hand_made::plan("twin.nn");
    const Artefact a = compile_plan(plan, make_target(), options);
    put(file + ".a", static_library(a));
    put(file + ".so", shared_library(a));
    put(file + ".h", c_header(plan, {name, identity, true}));
    put(file + ".c", "#include \"" + file + ".h\"\nconst void *in_" + file + "(void) { return " + (name.empty() ? "twin" : name) +
                         "_info(); }\n");
  };
  make("one", "", "0a");
  make("two", "", "0b");
  make("three", "third", "0c");
  put("main.c", "const void *in_one(void), *OTHER(void);\nint main(void) { return in_one() == OTHER(); }\n");
  const std::string gcc = "gcc -std=c99 -Wall -Wextra -Werror -pedantic main.c one.c ";
  EXPECT_THAT(shell(gcc + "two.c -DOTHER=in_two one.a two.a -o main 2>&1 || true"),
              HasSubstr("multiple definition of `twin_info'"));
  shell(gcc + "three.c -DOTHER=in_three one.a three.a -o main && ./main");
  put("both.c", "#include \"one.h\"\n#include \"one.h\"\n#include \"two.h\"\n");
  EXPECT_THAT(shell("gcc -c both.c 2>&1 || true"),
              HasSubstr("two models of the name twin: give one of them another with nnc --name"));
  // Linked with the shared library, the header asks for nothing that it does not have.
  put("alone.c", "#include \"one.h\"\nint main(void) { return !twin_info(); }\n");
  shell("gcc alone.c ./one.so -o alone && ./alone");
}

TEST_F(Library, BringsItsOwnMemcpy) {
  Plan plan;
  plan.model = "copy.nn";
  plan.kernels = {hand_made::kernel("memcpy", {hand_made::pointer(true, false), hand_made::pointer(false, true)})};
  PlanEntry entry;
  entry.name = "copy";
  entry.inputs = {{"from", {DType::u8, {65536}}}};
  entry.outputs = {{"to", {DType::u8, {65536}}}};
  entry.steps = {hand_made::call(0, {{Ref::Space::input, 0, 0, 65536}, {Ref::Space::output, 0, 0, 65536}})};
  plan.entries = {entry};
  const Artefact a = compile_plan(plan, make_target(), hand_made::options());
  put("m.so", shared_library(a));
  EXPECT_EQ(shell("nm -D --undefined-only m.so"), "");
  std::string from(65536, ' '), to(65536, ' ');
  for (size_t i = 0; i < from.size(); i++)
    from[i] = static_cast<char>(i * i >> 3);
  const void *in[] = {from.data()};
  void *out[] = {to.data()};
  const Model model = Model::load(path("m.so"));
  Session(model).call(*model.find_entry("copy"), in, out);
  EXPECT_EQ(to, from);
}

TEST(Compile, NamesTheKernelThatCallsALibrary) {
  Plan plan = hand_made::plan();
  plan.kernels.push_back(hand_made::kernel("fmaf", {hand_made::pointer(true, true)}));
  try {
    compile_plan(plan, make_target(), hand_made::options());
    FAIL();
  } catch (const Error &error) {
    EXPECT_THAT(error.what(), HasSubstr("`made_1.k6` calls `fmaf`"));
  }
}

TEST(Compile, ReportsTheFirstFailureWithAnyThreads) {
  for (int threads : {1, 2, 16}) {
    ArtefactOptions options = hand_made::options(threads);
    options.emit = [](const Kernel &kernel, const std::string &symbol, llvm::Module &module, const Target &target) {
      if (kernel.nodes[0].name == "multiply" || kernel.nodes[0].name == "fill")
        throw Error("cannot emit " + kernel.nodes[0].name);
      hand_made::emit(kernel, symbol, module, target);
    };
    try {
      compile_plan(hand_made::plan(), make_target(), options);
      FAIL();
    } catch (const Error &error) {
      EXPECT_STREQ(error.what(), "cannot emit multiply");
    }
  }
}

TEST(Compile, ShowsCodeInEveryForm) {
  const Plan plan = hand_made::plan();
  auto text = [&](CodeForm form) { return code_text(plan, make_targets(""), form, hand_made::options()); };
  EXPECT_THAT(text(CodeForm::llvm), HasSubstr("; made_1.k1\n"));
  EXPECT_THAT(text(CodeForm::llvm), HasSubstr("define i32 @made_1_step(ptr %context, ptr %state, ptr %workspace, ptr %x,"));
  EXPECT_THAT(text(CodeForm::llvm_opt), HasSubstr("define hidden void @made_1.k1("));
  EXPECT_THAT(text(CodeForm::assembly), HasSubstr("made_1.k1:"));
}

TEST(Compile, CrossCompiles) {
  const Target target = make_target("generic", "aarch64-linux-gnu");
  const Artefact a = compile_plan(hand_made::plan(), target, hand_made::options());
  const std::string library = shared_library(a);
  EXPECT_EQ(static_cast<unsigned char>(library[18]), 183); // e_machine: EM_AARCH64
  EXPECT_THAT(code_text(hand_made::plan(), std::span(&target, 1), CodeForm::assembly, hand_made::options()),
              HasSubstr("msr\tFPCR"));
#ifdef __x86_64__
  EXPECT_THROW(load_jit(a), Error);
#endif
}

TEST_F(Library, RefusesFilesThatAreNoModels) {
  const std::string whole = shared_library(artefact());
  auto message = [&](const std::string &file) -> std::string {
    try {
      Model::load(file);
      return "";
    } catch (const FileError &error) {
      EXPECT_TRUE(std::string(error.what()).starts_with(file + ": "));
      return error.what();
    }
  };
  EXPECT_THAT(message(path("none.so")), HasSubstr("No such file"));
  EXPECT_THAT(message(folder), HasSubstr("directory"));
  EXPECT_THAT(message(put("text.so", "hello")), HasSubstr("not a shared library"));
  EXPECT_THAT(message(put("empty.so", "")), HasSubstr("not a shared library"));
  for (size_t size : {size_t(4), size_t(63), size_t(64), size_t(200), whole.size() / 2, whole.size() - 1})
    EXPECT_THAT(message(put("short.so", whole.substr(0, size))), HasSubstr("truncated")) << size;
  EXPECT_THAT(message(put("object.so", relocatable_object(artefact()))), HasSubstr("not a 64-bit shared library"));
  std::string other = whole;
  other[18] = 8; // e_machine: EM_MIPS
  EXPECT_THAT(message(put("mips.so", other)), AllOf(HasSubstr("made for ELF machine 8"), HasSubstr("and this machine is ")));

  put("needs.c", "extern int missing(void); int f(void) { return missing(); }");
  shell("gcc -shared -fPIC needs.c -o needs.so");
  EXPECT_EQ(message(path("needs.so")), path("needs.so") + ": undefined symbol: missing");
  put("foreign.c", "int f(void) { return 1; }");
  shell("gcc -shared -fPIC foreign.c -o foreign.so");
  EXPECT_THAT(message(path("foreign.so")), HasSubstr("`nnc_model`"));
  put("later.c", "#include \"" + source_dir() +
                     "/runtime/abi.h\"\n"
                     "static const nnc_model_info info = {sizeof info, 99, 0,0,0,0,0,0,0,0,0,0,0};\n"
                     "const nnc_model_info *nnc_model(void) { return &info; }");
  shell("gcc -shared -fPIC later.c -o later.so");
  EXPECT_THAT(message(path("later.so")), HasSubstr("version 99"));
  put("odd.c", "#include \"" + source_dir() +
                   "/runtime/abi.h\"\n"
                   "static const nnc_tensor_info inputs[2] = {{sizeof inputs[0]}, {9}};\n"
                   "static const nnc_entry_info entry = {sizeof entry, 2, \"f\", \"\", inputs};\n"
                   "static const nnc_model_info info = {sizeof info, NNC_ABI_VERSION, .entries = &entry, .entry_count = 1};\n"
                   "const nnc_model_info *nnc_model(void) { return &info; }");
  shell("gcc -shared -fPIC odd.c -o odd.so");
  EXPECT_THAT(message(path("odd.so")), HasSubstr("shorter than version 1"));
  EXPECT_EQ(message(put("good.so", whole)), "");
}

TEST_F(Library, LoadsWhatTheFileHoldsNow) {
  const auto made_of = [&](const std::string &hash) {
    ArtefactOptions options = hand_made::options();
    options.source_hash = hash;
    std::filesystem::remove(path("changing.so")); // as OutputFile does, which renames: the old one stays mapped
    put("changing.so", shared_library(compile_plan(hand_made::plan(), make_target(), options)));
    return Model::load(path("changing.so"));
  };
  const Model one = made_of("one"), two = made_of("two"), again = Model::load(path("changing.so"));
  EXPECT_STREQ(one.info().source_hash, "one");
  EXPECT_STREQ(two.info().source_hash, "two");
  EXPECT_EQ(&again.info(), &two.info()); // mapped once
}

TEST_F(Library, FindsAFileWithoutASlashInItsName) {
  put("plain.so", shared_library(artefact()));
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder);
  EXPECT_NO_THROW(Model::load("plain.so"));
  std::filesystem::current_path(before);
}

// A library of a later version: its structs are longer, and only struct_size says so.
TEST_F(Library, StepsThroughLongerStructs) {
  struct Longer {
    nnc_entry_info info;
    uint64_t appended[3];
  } entries[2] = {};
  for (int i = 0; i < 2; i++) {
    entries[i].info.struct_size = sizeof(Longer);
    entries[i].info.name = i ? "second" : "first";
    entries[i].info.workspace_bytes = 64;
    entries[i].info.slot_bytes = 128;
  }
  nnc_model_info info = {};
  info.struct_size = sizeof info;
  info.entries = &entries[0].info;
  info.entry_count = 2;
  const Model model(&info);
  EXPECT_EQ(model.find_entry("second"), &entries[1].info);
  EXPECT_EQ(model.find_entry("third"), nullptr);
  EXPECT_EQ(workspace_bytes(entries[1].info, 0), 192u);
  EXPECT_EQ(workspace_bytes(entries[1].info, 3), 448u);
}

TEST_F(Library, NamesAreValidC) {
  Plan plan;
  plan.model = "some dir/2 layers-\xc3\xa9.v2.nn";
  auto entry = [](std::string name, std::vector<std::string> inputs, std::vector<std::string> outputs) {
    PlanEntry e;
    e.name = name;
    e.doc = "*/ int x; /* \\";
    for (const std::string &input : inputs)
      e.inputs.push_back({input, {DType::f64, {2}}});
    for (const std::string &output : outputs)
      e.outputs.push_back({output, {DType::boolean, {}}});
    e.checks = {{"no */ end ?\?/", {}}};
    return e;
  };
  plan.entries = {entry("info", {"class", "state", "x"}, {"X", "x", "float", "0", ""}),
                  entry("a", {"b_c", "NULL", "I", "M_PI", "int8_t", "complex", "errno"}, {}), entry("a_b", {"c"}, {}),
                  entry("A_B", {"c"}, {})};
  const ArtefactNames names = artefact_names(plan);
  EXPECT_EQ(names.model, "model_2_layers____v2");
  EXPECT_NE(names.entries[0].function, names.info);
  EXPECT_THAT(names.entries[0].inputs, testing::ElementsAre("class_", "state_", "x"));
  EXPECT_THAT(names.entries[0].outputs, testing::ElementsAre("X", "x_", "float_", "out_0", "out_"));
  EXPECT_THAT(names.entries[1].inputs, testing::ElementsAre("b_c", "NULL_", "I_", "M_PI_", "int8_t_", "complex_", "errno_"));
  EXPECT_EQ(names.entries[3].function, "model_2_layers____v2_A_B");

  put("odd.h", c_header(plan));
  put("odd.c", "#include <complex.h>\n#include <errno.h>\n#include <math.h>\n#include <stdio.h>\n"
               "#include \"odd.h\"\n#include \"odd.h\"\nint main(void) { return MODEL_2_LAYERS____V2_STATE_BYTES; }\n");
  shell("gcc -std=c99 -Wall -Wextra -Werror -pedantic -c odd.c");
  shell("cp odd.c odd.cpp && g++ -std=c++20 -Wall -Wextra -Werror -pedantic -c odd.cpp");

  plan.model = "nnc.nn";
  EXPECT_EQ(artefact_names(plan).model, "model_nnc"); // `nnc_model`, `nnc_context` are taken
  plan.model = "";
  EXPECT_EQ(artefact_names(plan).model, "model_");
}

} // namespace
} // namespace nnc
