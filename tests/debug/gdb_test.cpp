// gdb stops at lines of a model, in code of a library, of an object that is linked into a program, and of this process; in what
// was written and in what was derived from it.
#include "tests/debug/debugger.h"

#include <gmock/gmock.h>

namespace nnc {
namespace {

using testing::ContainsRegex;

// Line 2 calls `layer`, line 7 calls `net`, line 9 asks for derivatives.
constexpr const char *model = R"(net mlp(x: f32[N, 16]) -> f32[N, 4] {
  hidden = layer(x)
  return dense(hidden, 4) as out
}
net layer(x: f32[N, 16]) -> f32[N, 32] { return tanh(dense(x, 32) as inner) }
entry train_step(x: f32[8, 16], y: f32[8, 4]) {
  out  = mlp(x)
  loss = mse(out, y)
  update sgd(loss, lr = 0.1)
  return loss
}
)";

// At the line, which is in forward and in derived code; then in each of them alone.
const std::vector<std::string> session = {"break model.nn:2",     "run",      "bt", "delete",
                                          "break -function mlp",  "continue", "bt", "delete",
                                          "break -function mlp'", "continue", "bt", "kill"};

// The stacks: the chain of calls in the model, the kernel (with the variant behind its name, where a library has several), the
// entry at the line that called, and who called that.
void expect_stops(const std::string &said, const std::string &caller) {
  EXPECT_THAT(said, ContainsRegex("Breakpoint 1[.0-9]*, .* at (.*/)?model\\.nn:[25]\n")) << said;
  EXPECT_THAT(said, ContainsRegex("Breakpoint 2[.0-9]*, .* at ")) << said;
  EXPECT_THAT(said, ContainsRegex("Breakpoint 3[.0-9]*, .* at ")) << said;
  EXPECT_THAT(said, ContainsRegex("#[0-9]+ .*mlp \\(\\) at (.*/)?model\\.nn:[23]\n")) << said;
  EXPECT_THAT(said, ContainsRegex("#[0-9]+ .*mlp' \\(\\) at (.*/)?model\\.nn:[23]\n")) << said;
  EXPECT_THAT(said, ContainsRegex("#[0-9]+ .*model\\.k[0-9]+(\\.[a-z0-9-]+)? \\(\\) at (.*/)?model\\.nn:[7-9]\n")) << said;
  EXPECT_THAT(said, ContainsRegex("#[0-9]+ .*model_train_step \\(.*\\) at (.*/)?model\\.nn:[7-9]\n")) << said;
  EXPECT_THAT(said, ContainsRegex("#[0-9]+ .*" + caller)) << said;
}

TEST(gdb, stops_in_a_library) {
  const Folder folder;
  folder.write("model.nn", model);
  ASSERT_EQ(folder.run("$NNC model.nn -g -o model.so").code, 0);
  expect_stops(gdb(folder, session, "$NNC bench ./model.so train_step"), "nnc::Session::call");
}

TEST(gdb, stops_in_code_of_this_process) {
  const Folder folder;
  folder.write("model.nn", model);
  expect_stops(gdb(folder, session, "$NNC bench model.nn train_step -g"), "nnc::Session::call");
}

TEST(gdb, stops_in_an_object_of_a_program) {
  const Folder folder;
  folder.write("model.nn", model);
  folder.write("host.c", R"(#include <stdlib.h>
#include "model.h"
int main(void) {
  static float x[8 * 16], y[8 * 4], loss;
  nnc_context context = {0};
  context.struct_size = sizeof context;
  void *state = aligned_alloc(MODEL_ALIGNMENT, MODEL_STATE_BYTES);
  void *workspace = aligned_alloc(MODEL_ALIGNMENT, MODEL_TRAIN_STEP_WORKSPACE_BYTES(1) + MODEL_INIT_WORKSPACE_BYTES(1));
  int64_t seed = 1;
  model_init(&context, state, workspace, &seed);
  return model_train_step(&context, state, workspace, x, y, &loss);
}
)");
  const Ran made = folder.run("$NNC model.nn -g -o model.o && gcc -std=c11 host.c model.o -o host");
  ASSERT_EQ(made.code, 0) << made.err;
  // `init` draws the parameters that forward code names.
  for (const char *function : {"mlp", "mlp'"}) {
    const std::string said = gdb(folder, {std::string("break -function ") + function, "run", "bt", "kill"}, "./host");
    EXPECT_THAT(said, ContainsRegex(std::string("#[0-9]+ .*") + function + " \\(\\) at (.*/)?model\\.nn:[23]\n")) << said;
    EXPECT_THAT(said, ContainsRegex("#[0-9]+ .*model_(init|train_step) \\(")) << said;
    EXPECT_THAT(said, ContainsRegex("#[0-9]+ .*main \\(\\)")) << said;
  }
}

} // namespace
} // namespace nnc
