// One library for several processors: what a host is told, on this machine and on others that qemu plays.
#include "tests/process.h"

#include <gmock/gmock.h>

#include <fstream>

namespace nnc {
namespace {

using testing::HasSubstr;

#ifdef __x86_64__

constexpr const char *host = R"(
#include "xor.h"
#include <stdio.h>

static _Alignas(64) unsigned char state[XOR_STATE_BYTES], workspace[XOR_TRAIN_STEP_WORKSPACE_BYTES(1) + 64];

int main(void) {
  const float x[8] = {0, 0, 0, 1, 1, 0, 1, 1}, y[4] = {0, 1, 1, 0}, rate = 0.5f;
  float loss;
  int64_t seed = 1;
  nnc_context context = {0};
  context.struct_size = sizeof context;
  int32_t picked = xor_pick(&context), code = xor_init(&context, state, workspace, &seed);
  printf("%s, init: %s", picked < 0 ? xor_code_name(-picked) : xor_info()->variants[picked].cpu, xor_code_name(code));
  for (int step = 0; step < 100 && code == NNC_OK; ++step)
    code = xor_train_step(&context, state, workspace, x, y, &rate, &loss);
  if (code == NNC_OK)
    printf(", loss %.4f", loss);
  return 0;
}
)";

std::string cpu_flags() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("flags"))
      return line + " ";
  return "";
}

TEST(variants, of_one_library_run_where_they_can) {
  const Folder folder;
  folder.write("host.c", host);
  const auto compile = [&](const std::string &cpus) {
    const Ran ran = folder.run("$NNC $SOURCE/examples/xor.nn -o xor.so " + cpus +
                               " && gcc -std=c11 -O1 -Wall -Wextra -Werror -I. host.c ./xor.so -o host && "
                               "test -z \"$(nm -D --undefined-only xor.so)\"");
    ASSERT_EQ(ran.code, 0) << ran.err;
  };
  const auto on = [&](const std::string &cpu) {
    return folder.run(cpu.empty() ? "./host" : "qemu-x86_64 -cpu " + cpu + " ./host 2>/dev/null").out;
  };
  compile(""); // x86-64-v3,x86-64-v4
  const bool has_v4 = cpu_flags().find(" avx512vl ") != std::string::npos;
  EXPECT_THAT(on(""), HasSubstr(has_v4 ? "x86-64-v4, init: NNC_OK, loss 0." : "x86-64-v3, init: NNC_OK, loss 0."));
  EXPECT_THAT(on("Haswell"), HasSubstr("x86-64-v3, init: NNC_OK, loss 0."));
  EXPECT_EQ(on("Nehalem"), "NNC_UNSUPPORTED_CPU, init: NNC_UNSUPPORTED_CPU");
  const auto size = [&] { return folder.read("xor.so").size(); };
  const size_t both = size();

  compile("--cpu=x86-64-v4");
  const size_t v4 = size();
  compile("--cpu=x86-64-v3");
  EXPECT_LE(both, size() + v4);
  compile("--cpu=x86-64-v3,generic,x86-64-v2");
  EXPECT_THAT(on("Haswell"), HasSubstr("x86-64-v3, init: NNC_OK, loss 0."));
  EXPECT_THAT(on("Nehalem"), HasSubstr("x86-64-v2, init: NNC_OK, loss 0."));
  EXPECT_THAT(on("Conroe"), HasSubstr("generic, init: NNC_OK, loss 0."));
}

TEST(variants, are_chosen_by_name) {
  const Folder folder;
  ASSERT_EQ(folder.run("$NNC $SOURCE/examples/xor.nn -o xor.so --cpu=generic,native,x86-64-v4").code, 0);
  EXPECT_EQ(folder.run("$NNC bench xor.so train_step --variant generic").code, 0);
  const bool has_v4 = cpu_flags().find(" avx512vl ") != std::string::npos;
  const Ran v4 = folder.run("$NNC bench xor.so train_step --variant x86-64-v4");
  EXPECT_EQ(v4.code, has_v4 ? 0 : 1);
  if (!has_v4) {
    EXPECT_EQ(v4.err, "nnc: error: xor.nn: this processor lacks instructions of the variant `x86-64-v4`\n");
    ASSERT_EQ(folder.run("$NNC $SOURCE/examples/xor.nn -o four.so --cpu=x86-64-v4").code, 0);
    EXPECT_EQ(folder.run("$NNC bench four.so train_step").err,
              "nnc: error: init: this processor lacks instructions that the model was compiled for: `x86-64-v4`\n");
    EXPECT_THAT(folder.run("$NNC inspect four.so").out, HasSubstr("picked     none: this processor lacks instructions of all"));
  }
  EXPECT_THAT(folder.run("$NNC bench xor.so train_step --variant zen").err,
              HasSubstr("nnc: error: xor.nn: there is no variant `zen`; there are `generic`, "));
  EXPECT_THAT(folder.run("$NNC run $SOURCE/examples/xor.nn predict --engine=plan --variant generic").err,
              HasSubstr("nnc: error: --variant=generic: an interpreter has no variants"));
}

#endif

} // namespace
} // namespace nnc
