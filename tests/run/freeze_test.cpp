// --freeze: what predicts gives the same numbers with its weights as constants, packed or not, and what trains is gone.
#include "tests/process.h"
#include "tools/nnc.h"

#include <gmock/gmock.h>

#include <cmath>

namespace nnc {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::vector<float> numbers(size_t count, uint32_t seed) {
  std::vector<float> values(count);
  for (float &value : values)
    value = static_cast<float>(static_cast<int32_t>(seed = seed * 1664525 + 1013904223) >> 16) / 32768.0f;
  return values;
}

std::vector<std::string> entry_names(const Executable &model) {
  std::vector<std::string> names;
  for (const EntryInfo &entry : model.entries())
    names.push_back(entry.name);
  return names;
}

// Matrices as the gemm recipe packs them: whole panels and ragged ones, transposed, with k in parts, and windows of an image.
constexpr const char *products = R"(
param wide: f32[300, 64] = normal(); param ragged: f32[300, 77] = normal(); param turned: f32[77, 300] = normal()
param long: f32[2000, 130] = normal(); param small: bf16[300, 64] = bf16(normal([300, 64]))
net image(x: f32[N, 12, 12, 8]) = conv2d(x, 24, 3)
entry f(x: f32[200, 300], y: f32[300, 2000], z: f32[2, 12, 12, 8]) {
  return a = x @ wide, b = relu(x @ ragged), c = x @ transpose(turned), d = y @ long, e = image(z), g = x @ small
}
)";

TEST(freeze, packs_what_products_read) {
  const Folder folder;
  folder.write("p.nn", products);
  const std::vector<float> x = numbers(200 * 300, 1), y = numbers(300 * 2000, 2), z = numbers(2 * 12 * 12 * 8, 3);
  using Results = std::vector<std::vector<float>>;
  const auto results = [&](Executable &model) {
    Results r;
    for (const TensorInfo &output : model.entry("f").outputs)
      r.emplace_back(output.elements());
    model.call("f", {{"x", x}, {"y", y}, {"z", z}},
               {{"a", r[0]}, {"b", r[1]}, {"c", r[2]}, {"d", r[3]}, {"e", r[4]}, {"g", r[5]}});
    return r;
  };
  for (const std::string cpu : {"generic", "native"}) {
    Options options;
    options.cpu = cpu;
    options.seed = 5;
    Executable model = compile_file(folder.file("p.nn"), options);
    model.save_weights(folder.file("p.safetensors"));
    const Ran ran = folder.run("$NNC p.nn -o p.so --freeze --weights p.safetensors --cpu=" + cpu);
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.err, "");
    options.threads = 2;
    Executable frozen = load_file(folder.file("p.so"), options);
    EXPECT_TRUE(frozen.states().empty());
    EXPECT_THAT(entry_names(frozen), ElementsAre("f"));
    EXPECT_EQ(results(frozen), results(model)) << cpu; // bit for bit
  }
  // Only the packed copy is in the file.
  EXPECT_LT(folder.read("p.so").size(), folder.read("p.safetensors").size() * 12 / 10 + 150000);
}

TEST(freeze, keeps_what_predicts) {
  const Folder folder;
  Executable model = compile_file(source_dir() + "/examples/mnist.nn");
  std::vector<uint8_t> images(128 * 784), label(128, 3);
  for (size_t i = 0; i < images.size(); ++i)
    images[i] = static_cast<uint8_t>(i * i / 7);
  for (int step = 0; step < 3; ++step)
    model.call("train_step", {{"x", images}, {"label", label}});
  model.save_weights(folder.file("w.safetensors"));
  const std::string compile = "$NNC $SOURCE/examples/mnist.nn --freeze --weights w.safetensors -o ";
  const Ran ran = folder.run(compile + "m.so && " + compile + "m2.so");
  ASSERT_EQ(ran.code, 0);
  EXPECT_EQ(folder.read("m.so"), folder.read("m2.so"));
  EXPECT_THAT(ran.err, HasSubstr("mnist.nn: note: left out, since they change parameters: `train_step`"));

  Executable frozen = load_file(folder.file("m.so"));
  EXPECT_THAT(entry_names(frozen), ElementsAre("predict", "evaluate"));
  EXPECT_TRUE(frozen.states().empty());
  const std::vector<float> x = numbers(784, 4);
  std::vector<float> y(10), frozen_y(10);
  int32_t correct = 0, frozen_correct = -1;
  model.call("predict", {{"x", x}}, {{"y", y}});
  frozen.call("predict", {{"x", x}}, {{"y", frozen_y}});
  EXPECT_EQ(y, frozen_y);
  model.call("evaluate", {{"x", images}, {"label", label}}, {{"correct", correct}});
  frozen.call("evaluate", {{"x", images}, {"label", label}}, {{"correct", frozen_correct}});
  EXPECT_EQ(correct, frozen_correct);
}

TEST(freeze, leaves_what_is_carried) {
  const Folder folder;
  folder.write("c.nn", "param w: f32[2] = [3, 4]\n"
                       "state mean: f32[2] = [1, 1]\n"
                       "state calls: i32 = 7\n"
                       "entry train(x: f32[2]) { mean := mean + x; update sgd(sum(w * x), lr = 1) }\n"
                       "entry predict(x: f32[2]) { calls := calls + 1; return y = w * (x - mean), calls = calls }\n");
  const std::vector<float> x = {1, 2};
  Executable model = compile_file(folder.file("c.nn"));
  model.call("train", {{"x", x}});
  model.save_weights(folder.file("c.safetensors"));
  ASSERT_EQ(folder.run("$NNC c.nn -o c.so --freeze --weights c.safetensors").code, 0);
  Executable frozen = load_file(folder.file("c.so"));
  EXPECT_THAT(entry_names(frozen), ElementsAre("predict", "init"));
  ASSERT_EQ(frozen.states().size(), 1u);
  EXPECT_EQ(frozen.states()[0].name, "calls");
  std::vector<float> y(2);
  int32_t calls = 0;
  for (int32_t expected : {8, 9}) {
    frozen.call("predict", {{"x", x}}, {{"y", y}, {"calls", calls}});
    EXPECT_EQ(y, (std::vector<float>{2 * (1 - 2), 2 * (2 - 3)}));
    EXPECT_EQ(calls, expected);
  }
}

TEST(freeze, says_what_is_wrong) {
  const Folder folder;
  folder.write("a.nn", "param w: f32[2] = [3, 4]\nentry f(x: f32[2]) { return y = w * x }\n");
  folder.write("b.nn", "param a: f32 = 1\nparam w: f32[3] = [3, 4, 5]\nentry f(x: f32[3]) { return y = a * x * w }\n");
  folder.write("c.nn", "param w: f32[2] = [3, 4]\nentry f(x: f32[2]) { update sgd(sum(w * x), lr = 1) }\n");
  compile_file(folder.file("a.nn")).save_weights(folder.file("a.safetensors"));
  const auto refused = [&](const std::string &arguments, const std::string &message) {
    const Ran ran = folder.run("$NNC " + arguments + " -o m.so");
    EXPECT_EQ(ran.code, 1);
    EXPECT_THAT(ran.err, StartsWith(message));
    EXPECT_FALSE(folder.files().contains("m.so"));
  };
  refused("a.nn --freeze", "nnc: error: --freeze needs --weights FILE");
  refused("a.nn --weights a.safetensors", "nnc: error: --weights goes with --freeze");
  refused("a.nn --freeze --weights none", "nnc: error: none: cannot open");
  refused("b.nn --freeze --weights a.safetensors", "nnc: error: a.safetensors: no tensor `a` (f32), which is to be frozen");
  refused("c.nn --freeze --weights a.safetensors", "nnc: error: c.nn: nothing is left to freeze: every entry changes parameters");
  folder.write("b.nn", "param w: f32[3] = [3, 4, 5]\nentry f(x: f32[3]) { return y = w * x }\n");
  refused("b.nn --freeze --weights a.safetensors", "nnc: error: a.safetensors: `w` is f32[2], in the model f32[3]");
  const Ran ran = folder.run("$NNC a.nn --freeze --weights a.safetensors -o m.so --depfile a.safetensors");
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.err, "nnc: error: --depfile a.safetensors: that is a file that the model is made from\n");
}

// What --check=nan says of a state at run time it says of a constant at once.
TEST(freeze, checks_what_it_freezes) {
  const Folder folder;
  folder.write("a.nn", "param w: f32[2] = [3, 4]\nstate least: f32 = -log(0)\n"
                       "entry train(x: f32[2]) { least := minimum(least, sum(x)); update sgd(sum(w * x), lr = 1) }\n"
                       "entry f(x: f32[2]) { return y = w * x, z = minimum(least, 1) }\n");
  const auto ran = [&](float value) {
    Executable model = compile_file(folder.file("a.nn"));
    model.state<float>("w")[1] = value;
    model.save_weights(folder.file("w.safetensors"));
    return folder.run("$NNC a.nn --freeze --weights w.safetensors --check=nan -o m.so");
  };
  EXPECT_EQ(ran(2).code, 0); // `least` is still infinite, as it starts
  EXPECT_EQ(ran(NAN).err, "nnc: error: w.safetensors: state `w` holds NaN\n");
  EXPECT_EQ(ran(INFINITY).err, "nnc: error: w.safetensors: state `w` holds infinity\n");
}

} // namespace
} // namespace nnc
