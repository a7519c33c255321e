// The examples compile for every processor we name: compile_plan throws where a target lacks an instruction and LLVM would call
// a library instead. What they compute is held against the interpreters by tests/run.
#include "tests/paths.h"
#include "tools/pipeline.h"

#include <gtest/gtest.h>

namespace nnc {
namespace {

class Example : public testing::TestWithParam<const char *> {};

TEST_P(Example, NeedsNoLibraryOnAnyTarget) {
  const std::string file = source_dir() + "/examples/" + GetParam() + ".nn";
  BuildOptions options;
  options.target = "x86_64-linux-gnu";
  for (const char *cpu :
       {"generic", "x86-64-v2", "x86-64-v3", "x86-64-v3+avx512f", "haswell+avx512bf16", "x86-64-v4", "x86-64-v4+no-evex512"}) {
    options.cpu = cpu;
    EXPECT_NO_THROW(build_model(file, options)) << cpu;
  }
  options.cpu = "generic";
  options.target = "aarch64-linux-gnu";
  EXPECT_NO_THROW(build_model(file, options));
}

INSTANTIATE_TEST_SUITE_P(All, Example, testing::Values("xor", "regression", "mnist"),
                         [](const auto &info) { return std::string(info.param); });

} // namespace
} // namespace nnc
