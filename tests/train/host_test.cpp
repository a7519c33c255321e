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

// A model that counts how often it is told, behind its one state.
TEST(host, tells_the_model_that_its_state_was_written) {
  const Folder folder;
  folder.write("counts.c", R"(
#include "runtime/abi.h"
static int32_t *counter(void *state) { return (int32_t *)state + 16; }
static int32_t call(nnc_context *c, void *state, void *w, const void *const *in, void *const *out) {
  return (void)c, (void)w, (void)in, *(int32_t *)out[0] = *counter(state), NNC_OK;
}
static int32_t touch(nnc_context *c, void *state) { return (void)c, ++*counter(state), NNC_OK; }
static const nnc_tensor_info y = {sizeof y, NNC_I32, "y", 0, 0, 4, 0, 0, 0}, w = {sizeof w, NNC_I32, "w", 0, 0, 4, 0, 1, 0};
static const nnc_entry_info count = {sizeof count, 0, "count", "", 0, &y, 1, 0, 0, 0, 0, 0, 0, call};
static const nnc_model_info model = {.struct_size = sizeof model, .abi_version = NNC_ABI_VERSION, .model = "counts.nn", .entries = &count,
  .entry_count = 1, .states = &w, .state_count = 1, .state_bytes = 128, .alignment = 64, .touch = touch};
const nnc_model_info *nnc_model(void) { return &model; }
)");
  ASSERT_EQ(folder.run("gcc -shared -fPIC -I$SOURCE counts.c -o counts.so").code, 0);
  Executable model = load_file(folder.file("counts.so"));
  const auto told = [&] {
    int32_t y = -1;
    model.call("count", {}, {{"y", y}});
    return y;
  };
  EXPECT_EQ(told(), 0);
  const std::span<int32_t> w = model.state<int32_t>("w");
  EXPECT_EQ(told(), 1);
  EXPECT_EQ(told(), 1);
  w[0] = 5;
  model.touch();
  EXPECT_EQ(told(), 2);
  model.save_weights(folder.file("w.safetensors"));
  EXPECT_EQ(told(), 2);
  model.load_weights(folder.file("w.safetensors"));
  EXPECT_EQ(told(), 3);
}

TEST(host, weights_that_fit_in_part) {
  const Folder folder;
  const auto compiled = [&](const std::string &units) {
    folder.write("m.nn", "net n(x: f32[N, 3]) = dense(dense(x, 2) as body, " + units +
                             ") as head\nentry f(x: f32[1, 3]) { return y = n(x) }\n");
    return compile_file(folder.file("m.nn"));
  };
  Executable one = compiled("4"), two = compiled("5");
  one.state<float>("n/body/w")[5] = 7;
  one.save_weights(folder.file("w"));
  EXPECT_THROW(two.load_weights(folder.file("w")), std::runtime_error);
  EXPECT_NE(two.state<float>("n/body/w")[5], 7);
  EXPECT_EQ(two.load_weights(folder.file("w"), true), (std::vector<std::string>{"n/head/w", "n/head/b"}));
  EXPECT_EQ(two.state<float>("n/body/w")[5], 7);
  EXPECT_EQ(one.load_weights(folder.file("w"), true), std::vector<std::string>{});
}

std::string npy(const std::string &descr, const std::string &shape, const std::string &data) {
  std::string header = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + "}";
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header + data;
}

// bf16, f16 and i8 from C++, and from files of other dtypes.
TEST(host, numbers_for_storage) {
  const Folder folder;
  folder.write("small.nn", "state w: bf16[2] = [1, 2]\n"
                           "entry go(x: bf16[2], y: f16, q: i8[3]) {\n"
                           "  w := x\n"
                           "  return p = f32(x) * f32(y), h = y, r = q\n"
                           "}\n");
  Executable model = compile_file(folder.file("small.nn"));
  const std::vector<Bf16> x = {Bf16(0.1f), Bf16(-3)};
  const std::vector<int8_t> q = {-128, 0, 127};
  std::vector<int8_t> r(3);
  std::vector<float> p(2);
  const F16 y(0.5f);
  F16 h;
  model.call("go", {{"x", x}, {"y", y}, {"q", q}}, {{"p", p}, {"h", h}, {"r", r}});
  EXPECT_EQ(static_cast<float>(x[0]), 0.10009765625f);
  EXPECT_EQ(p, (std::vector<float>{0.050048828125f, -1.5f}));
  EXPECT_EQ(h.bits, 0x3800);
  EXPECT_EQ(r, q);
  EXPECT_EQ(model.state<Bf16>("w")[1].bits, 0xC040);
  EXPECT_EQ(model.entry("go").inputs[0].dtype, "bf16");
  EXPECT_THAT([&] { model.call("go", {{"x", p}, {"y", y}, {"q", q}}); },
              ThrowsMessage<std::runtime_error>(HasSubstr("`x` of `go` has 2 elements of bf16, not 2 of f32")));

  const double numbers[] = {0.1, -3};
  folder.write("x.npy", npy("<f8", "(2,)", std::string(reinterpret_cast<const char *>(numbers), sizeof numbers)));
  folder.write("q.npy", npy("|u1", "(3,)", std::string("\x05\x00\x7f", 3)));
  const std::string run = "$NNC run small.nn go --in x=x.npy --in y=0.1 --in q=q.npy --out h=h.npy ";
  for (const char *engine : {"--engine=jit", "--engine=plan", "--engine=interp"}) {
    const Ran ran = folder.run(run + engine);
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.out, "p: f32[2]\n  [0.010007322, -0.29992676]\nr: i8[3]\n  [5, 0, 127]\n");
    EXPECT_THAT(folder.read("h.npy"), testing::AllOf(HasSubstr("'<f2'"), testing::EndsWith("\x66\x2e")));
  }
  folder.write("q.npy", npy("|u1", "(3,)", std::string("\x05\x00\x80", 3)));
  EXPECT_THAT(folder.run(run).err, HasSubstr("element 2 of `q` is 128, which does not fit i8"));
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
