// --split: gradients out and update in, one after the other, are the step that was split.
#include "tests/process.h"
#include "tools/engine.h"
#include "tools/host_tensor.h"

#include <gmock/gmock.h>

#include <cstring>

namespace nnc {
namespace {

using testing::HasSubstr;

using Buffers = std::map<std::string, std::vector<std::byte>>;

// Calls an entry with its inputs, by name, and adds its results to them.
void call(Engine &engine, const std::string &name, Buffers &values) {
  const nnc_entry_info &entry = entry_of(engine, name);
  std::vector<const void *> in;
  for (const nnc_tensor_info &input : inputs(entry))
    in.push_back(values.at(input.name).data());
  Buffers results;
  std::vector<void *> out;
  for (const nnc_tensor_info &output : outputs(entry))
    out.push_back((results[output.name] = std::vector<std::byte>(output.bytes)).data());
  std::vector<void *> at;
  for (const nnc_tensor_info &output : outputs(entry))
    at.push_back(results[output.name].data());
  engine.call(entry, in, at);
  for (auto &[result, bytes] : results)
    values[result] = std::move(bytes);
}

// Some steps of `entry`, whole and in two halves: the same results and states.
void expect_same(const std::string &file, const std::string &entry, const std::vector<std::pair<std::string, std::string>> &set) {
  BuildOptions options;
  options.set = set;
  options.split = {entry};
  const std::unique_ptr<Engine> whole = open_engine(EngineKind::jit, file, options, nullptr),
                                halves = open_engine(EngineKind::jit, file, options, nullptr);
  start_state(*whole, 3, "");
  start_state(*halves, 3, "");
  const nnc_entry_info &info = entry_of(*whole, entry);
  for (uint64_t step = 0; step < 3; ++step) {
    Buffers a, b;
    const std::vector<std::vector<std::byte>> random = random_inputs(info, step, 2);
    for (size_t i = 0; const nnc_tensor_info &input : inputs(info))
      a[input.name] = b[input.name] = random[i++];
    call(*whole, entry, a);
    call(*halves, entry + "_gradients", b);
    call(*halves, entry + "_update", b);
    for (const nnc_tensor_info &output : outputs(info))
      EXPECT_EQ(element(a[output.name].data(), output.dtype), element(b[output.name].data(), output.dtype)) << output.name;
    for (const nnc_tensor_info &state : whole->model().states()) {
      if (!is_float_dtype(state.dtype)) {
        EXPECT_EQ(std::memcmp(whole->state() + state.offset, halves->state() + state.offset, state.bytes), 0) << state.name;
        continue;
      }
      for (int64_t i = 0; i < static_cast<int64_t>(state.bytes / dtype_bytes(std::string(dtype_text(state.dtype)))); ++i)
        ASSERT_NEAR(element(whole->state() + state.offset, state.dtype, i),
                    element(halves->state() + state.offset, state.dtype, i), 1e-6)
            << state.name << " " << i;
    }
  }
}

TEST(split, halves_are_the_step) {
  const std::string source = source_dir();
  expect_same(source + "/examples/mnist.nn", "train_step", {});                        // RMSprop
  expect_same(source + "/examples/xor.nn", "train_step", {});                          // the rate is an input
  expect_same(source + "/examples/regularization.nn", "train_step", {{"batch", "8"}}); // three networks, dropout
  expect_same(source + "/tests/programs/12_gan.nn", "disc_step", {{"batch", "8"}});    // a gradient inside
  expect_same(source + "/tests/programs/12_gan.nn", "gen_step", {{"batch", "8"}});     // batch_norm
}

TEST(split, gradients_have_names_of_their_own) {
  const Folder folder;
  folder.write("m.nn", "net small(x) { return dense(dense(x, 2), 1) }\n"
                       "entry step(x: f32[2, 2], d_small_dense_0_w: f32) {\n"
                       "  update sgd(sum(small(x)) * d_small_dense_0_w, lr = 1)\n"
                       "}\n");
  const Ran ran = folder.run("$NNC m.nn --split step --emit=ir >a.nnir && $NNC a.nnir --emit=ir >b.nnir && diff a.nnir b.nnir");
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  EXPECT_THAT(folder.read("a.nnir"), HasSubstr("d_small_dense_1_b = "));
  EXPECT_THAT(folder.read("a.nnir"), HasSubstr("d_small_dense_0_w_ = "));
}

TEST(split, says_what_is_wrong) {
  const Folder folder;
  folder.write("m.nn", "param w: f32[2] = [3, 4]\n"
                       "param v: f32[2] = [1, 1]\n"
                       "entry predict(x: f32[2]) { return y = w * x }\n"
                       "entry only(x: f32[2]) { return g = grad(sum(w * x), w) }\n"
                       "entry loop(xs: f32[3, 2]) {\n"
                       "  l = scan x in xs { update sgd(sum(w * x), lr = 1); yield sum(w) }\n"
                       "  return l\n"
                       "}\n"
                       "entry chained(x: f32[2]) {\n"
                       "  update sgd(sum(w * w * x), lr = 1)\n"
                       "  ps = params(\"v\")\n"
                       "  update sgd(ps, grad(sum(w * v * v), ps), lr = 1)\n"
                       "}\n"
                       "entry step(x: f32[2]) { update sgd(sum(w * x), lr = 1) }\n"
                       "entry step_update(x: f32[2]) { return y = x }\n");
  const auto refused = [&](const std::string &entry, const std::string &message) {
    const Ran ran = folder.run("$NNC m.nn -o m.so --split " + entry);
    EXPECT_EQ(ran.code, 1);
    EXPECT_THAT(ran.err, HasSubstr(message)) << ran.err;
    EXPECT_EQ(folder.files(), std::set<std::string>{"m.nn"});
  };
  refused("none", "m.nn: there is no entry `none` to split");
  refused("predict", "m.nn:3:1: error: `predict` cannot be split: it asks for no gradient outside of loops");
  refused("only", "m.nn:4:1: error: `only` cannot be split: it changes nothing by its gradients");
  refused("loop", "m.nn:5:1: error: `loop` cannot be split: it asks for no gradient outside of loops");
  refused(
      "chained",
      "m.nn:9:1: error: `chained` cannot be split: `w` is changed by a gradient of a loop, or by one that another depends on");
  refused("step", "m.nn:14:1: error: `step` cannot be split: there is an entry `step_update` already");
}

TEST(entry_option, leaves_the_others_out) {
  const Folder folder;
  const std::string compile = "$NNC $SOURCE/examples/xor.nn -o xor.so ";
  ASSERT_EQ(folder.run(compile + "--entry predict").code, 0);
  const std::string header = folder.read("xor.h"), inspected = folder.run("$NNC inspect xor.so").out;
  EXPECT_THAT(header, HasSubstr("xor_predict("));
  EXPECT_THAT(header, HasSubstr("xor_init("));
  EXPECT_THAT(header, testing::Not(HasSubstr("xor_train_step")));
  EXPECT_THAT(inspected, HasSubstr("--entry predict"));
  EXPECT_THAT(inspected, HasSubstr("xor/out/w"));
  const std::string run = " predict --in x=$SOURCE/data/xor/x.npy --seed 3";
  EXPECT_EQ(folder.run("$NNC run xor.so" + run).out, folder.run("$NNC run $SOURCE/examples/xor.nn" + run).out);

  ASSERT_EQ(folder.run(compile + "--split train_step --entry train_step_update --entry predict").code, 0);
  EXPECT_THAT(folder.read("xor.h"), testing::AllOf(HasSubstr("xor_train_step_update("), HasSubstr("xor_predict("),
                                                   testing::Not(HasSubstr("xor_train_step_gradients("))));

  const Ran wrong = folder.run(compile + "--entry=predcit");
  EXPECT_EQ(wrong.code, 1);
  EXPECT_THAT(wrong.err, HasSubstr("nnc: error: --entry=predcit: "));
  EXPECT_THAT(wrong.err, HasSubstr("has no entry of this name; there are `train_step`, `predict`\n"));
}

} // namespace
} // namespace nnc
