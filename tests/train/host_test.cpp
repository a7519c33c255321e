// Hosts: a C program with the generated header, and the C++ header, do what the JIT does, bit for bit.
#include "tests/paths.h"
#include "tests/process.h"
#include "tools/nnc.h"

#include <gmock/gmock.h>

#include <cstring>

namespace nnc {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

const std::string source = source_dir();

TEST(host, c_program_trains_as_the_jit) {
  const Folder folder;
  const Ran ran =
      folder.run("$NNC $SOURCE/examples/mnist.nn -o mnist.so && test -z \"$(nm -D --undefined-only mnist.so)\" && "
                 "gcc -std=c11 -O1 -Wall -Wextra -Werror -I. $SOURCE/tests/train/host.c ./mnist.so -o host && ./host");
  ASSERT_EQ(ran.code, 0) << ran.err;

  Options options;
  options.seed = 7;
  Executable model = compile_file(source + "/examples/mnist.nn", options);
  std::vector<uint8_t> x(model.entry("train_step").inputs[0].elements()), label(model.entry("train_step").inputs[1].elements());
  uint64_t seed = 1;
  const auto draw = [&] { return static_cast<uint32_t>((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 33); };
  std::string expected;
  for (int step = 0; step < 100; ++step) {
    for (uint8_t &l : label)
      l = static_cast<uint8_t>(draw() % 10);
    for (uint8_t &pixel : x)
      pixel = static_cast<uint8_t>(draw() % 256);
    float loss = 0;
    model.call("train_step", {{"x", x}, {"label", label}}, {{"loss", loss}});
    expected.append(reinterpret_cast<const char *>(&loss), sizeof loss);
  }
  const std::string actual = folder.read("host.bin");
  ASSERT_GT(actual.size(), expected.size());
  EXPECT_EQ(actual.substr(0, expected.size()), expected) << "the losses";
  size_t offset = expected.size();
  for (const TensorInfo &state : model.states()) {
    const std::span<float> values = model.state<float>(state.name);
    EXPECT_EQ(std::memcmp(actual.data() + offset, values.data(), values.size_bytes()), 0) << state.name;
    offset += (values.size_bytes() + 63) / 64 * 64;
  }
}

TEST(host, executable_keeps_its_state) {
  const Folder folder;
  const std::string file = source + "/examples/xor.nn";
  const std::vector<float> x = {0, 0, 0, 1, 1, 0, 1, 1}, y = {0, 1, 1, 0};
  std::vector<float> before(4), after(4), loaded(4);
  Executable model = compile_file(file);
  model.call("predict", {{"x", x}}, {{"y", before}});
  model.call("train_step", {{"lr", 0.5f}, {"x", x}, {"y", y}}); // in any order; the loss is dropped
  model.call("predict", {{"x", x}}, {{"y", after}});
  EXPECT_NE(before, after);
  model.save_weights(folder.file("xor.safetensors"));

  ASSERT_EQ(folder.run("$NNC $SOURCE/examples/xor.nn -o xor.so").code, 0);
  Options options;
  options.threads = 2;
  Executable library = load_file(folder.file("xor.so"), options);
  library.call("predict", {{"x", x}}, {{"y", loaded}});
  EXPECT_EQ(loaded, before);
  library.load_weights(folder.file("xor.safetensors"));
  library.call("predict", {{"x", x}}, {{"y", loaded}});
  EXPECT_EQ(loaded, after);
  library.init(0);
  library.call("predict", {{"x", x}}, {{"y", loaded}});
  EXPECT_EQ(loaded, before);
  for (float &w : model.state<float>("xor/out/w"))
    w = 0;
  for (float &b : model.state<float>("xor/out/b"))
    b = 0;
  model.call("predict", {{"x", x}}, {{"y", after}});
  EXPECT_EQ(after, std::vector<float>(4, 0.5f));
}

TEST(host, executable_says_what_is_wrong) {
  Executable model = compile_file(source + "/examples/xor.nn");
  const std::vector<float> x(8), y(4);
  std::vector<double> wide(4);
  std::vector<float> out(3);
  const auto message = [](auto call, const std::string &text) {
    EXPECT_THAT(call, ThrowsMessage<std::runtime_error>(HasSubstr(text)));
  };
  message([&] { model.call("predict", {}); }, "`predict` needs `x`");
  message([&] { model.call("train", {}); }, "there is no entry `train`; there are `train_step`, `predict`, `init`");
  message([&] { model.call("predict", {{"x", y}}); }, "`x` of `predict` has 8 elements of f32, not 4 of f32");
  message([&] { model.call("predict", {{"x", x}, {"z", x}}); }, "`predict` has no `z`");
  message([&] { model.call("predict", {{"x", x}}, {{"y", out}}); }, "`y` of `predict` has 4 elements of f32, not 3 of f32");
  message([&] { model.call("predict", {{"x", x}}, {{"y", wide}}); }, "`y` of `predict` has 4 elements of f32, not 4 of f64");
  message([&] { model.state<float>("xor/w"); }, "the model has no state `xor/w`");
  message([&] { model.state<double>("xor/out/w"); }, "`xor/out/w` is f32, not f64");
  message([] { compile_file("none.nn"); }, "none.nn: cannot open");
  message([] { compile_file("none.so"); }, "none.so: the name of a model ends in .nn");
  message([] { load_file("none.so"); }, "none.so: cannot open");
}

} // namespace
} // namespace nnc
