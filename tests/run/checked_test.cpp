// --check: models that really go wrong. All engines stop at the same op, say which and where, and leave the state as it was.
// That checks change no bit of what is right, and find nothing there, is shown with every example in run_test.cpp.
#include "tests/process.h"
#include "tools/engine.h"
#include "tools/host_tensor.h"
#include "tools/pipeline.h"

#include <gmock/gmock.h>
#include <limits>

#include <cmath>
#include <cstring>

namespace nnc {
namespace {

using testing::HasSubstr;

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

struct Input {
  template <typename T> Input(std::vector<T> values) : bytes(values.size() * sizeof(T)) {
    std::memcpy(bytes.data(), values.data(), bytes.size());
  }
  std::vector<std::byte> bytes;
};

class Model {
public:
  Model(const std::string &text, EngineKind kind, Checks checks) {
    folder_.write("m.nn", text);
    BuildOptions options;
    options.passes.checks = checks;
    options.passes.verify_each = true;
    engine = open_engine(kind, folder_.file("m.nn"), options, nullptr);
    start_state(*engine, 1, "");
  }

  // What the call says where it fails, without names of folders; "" where it does not. A call that fails has changed nothing.
  std::string call(const std::string &name, const std::vector<Input> &given) {
    const nnc_entry_info &entry = entry_of(*engine, name);
    std::vector<const void *> in;
    for (const Input &input : given)
      in.push_back(input.bytes.data());
    std::vector<std::vector<std::byte>> results;
    std::vector<void *> out;
    for (const nnc_tensor_info &output : outputs(entry))
      out.push_back(results.emplace_back(output.bytes, std::byte{77}).data());
    const std::vector<std::byte> before = state();
    try {
      engine->call(entry, in, out);
    } catch (const CallError &error) {
      EXPECT_EQ(state(), before);
      for (const std::vector<std::byte> &result : results)
        EXPECT_EQ(result, std::vector<std::byte>(result.size(), std::byte{77}));
      std::string text = error.what();
      const std::string folder = folder_.file("");
      for (size_t at; (at = text.find(folder)) != text.npos;)
        text.erase(at, folder.size());
      return text;
    }
    return "";
  }

  std::unique_ptr<Engine> engine;

private:
  Folder folder_;

  std::vector<std::byte> state() const { return {engine->state(), engine->state() + engine->model().info().state_bytes}; }
};

constexpr EngineKind every_engine[] = {EngineKind::jit, EngineKind::so, EngineKind::plan, EngineKind::interp};
constexpr Checks nan{.nan = true}, bounds{.bounds = true}, both{.nan = true, .bounds = true};

// What all engines say of one call of entry `f`.
std::string said(const std::string &text, const std::vector<Input> &given, Checks checks) {
  std::string first;
  for (const EngineKind kind : every_engine) {
    const std::string said = Model(text, kind, checks).call("f", given);
    if (kind == every_engine[0])
      first = said;
    EXPECT_EQ(said, first) << "engine " << static_cast<int>(kind);
  }
  return first;
}

const std::vector<float> ordinary = {1, 2, 3, 4};

TEST(Checked, NothingIsSaidOfNumbers) {
  EXPECT_EQ(said("entry f(x: f32[4]) { return y = log(sqrt(x)) / x }\n", {ordinary}, both), "");
}

TEST(Checked, LogOfANegative) {
  const std::string text = "entry f(x: f32[4]) {\n  y = log(x - 2)\n  return sum(y * y)\n}\n";
  EXPECT_EQ(said(text, {std::vector<float>{3, 4, 1, 5}}, nan), "f: `log` gave NaN at m.nn:2:7 (forward, value `y`)");
  EXPECT_EQ(said(text, {std::vector<float>{3, 4, 2, 5}}, nan), "f: `log` gave infinity at m.nn:2:7 (forward, value `y`)");
  EXPECT_EQ(said(text, {std::vector<float>{3, 4, 1, 5}}, Checks{}), "");
  EXPECT_EQ(said(text, {std::vector<float>{3, 4, 1, 5}}, bounds), "");
}

TEST(Checked, ZeroByZero) {
  EXPECT_EQ(said("entry f(x: f32[4], z: f32[4]) { return y = x / z }\n", {ordinary, std::vector<float>{1, 0, 2, 3}}, nan),
            "f: `div` gave infinity at m.nn:1:46 (forward, value `y`)");
  EXPECT_EQ(said("entry f(x: f32[4], z: f32[4]) { return y = x / z }\n",
                 {std::vector<float>{1, 0, 2, 3}, std::vector<float>{1, 0, 2, 3}}, nan),
            "f: `div` gave NaN at m.nn:1:46 (forward, value `y`)");
}

// The value is 0, a number; its derivative is infinite.
TEST(Checked, DerivativeOfARootAtZero) {
  const std::string text = "entry f(x: f32[4]) {\n  loss = sum(sqrt(x))\n  return g = grad(loss, x)\n}\n";
  EXPECT_EQ(said(text, {ordinary}, nan), "");
  EXPECT_THAT(said(text, {std::vector<float>{1, 0, 2, 3}}, nan), HasSubstr("`div` gave infinity at m.nn:2:14 (derivative"));
  EXPECT_THAT(said(text, {std::vector<float>{1, -1, 2, 3}}, nan), HasSubstr("`sqrt` gave NaN at m.nn:2:14 (forward"));
}

TEST(Checked, SoftmaxByHandOverflows) {
  const std::string text =
      "fn soft(z) {\n  e = exp(z)\n  return e / sum(e)\n}\nentry f(x: f32[4]) { return p = soft(100 * x) }\n";
  EXPECT_EQ(said(text, {ordinary}, nan), "f: `exp` gave infinity at m.nn:2:7, called at m.nn:5:33 (forward, value `e`)");
}

// A mask of -inf is meant; a row without anything else is not.
TEST(Checked, MasksOfInfinityAreLeftAlone) {
  const std::string text = "entry f(x: f32[2, 2], keep: i32[2, 2]) { return p = softmax(where(keep > 0, x, log(0))) }\n";
  EXPECT_EQ(said(text, {ordinary, std::vector<int32_t>{1, 0, 1, 1}}, nan), "");
  EXPECT_THAT(said(text, {ordinary, std::vector<int32_t>{1, 1, 0, 0}}, nan), HasSubstr("`sub` gave NaN"));
}

TEST(Checked, StorageOverflows) {
  EXPECT_EQ(said("entry f(x: f32[4]) { return y = f16(20000 * x) }\n", {ordinary}, nan),
            "f: `cast` gave infinity at m.nn:1:33 (forward, value `y`)");
  EXPECT_EQ(said("entry f(x: f32[4]) { return y = bf16(20000 * x) }\n", {ordinary}, nan), "");
}

TEST(Checked, WhatComesFromOutsideIsNamed) {
  EXPECT_EQ(said("entry f(x: f32[4]) { return y = x * 2 }\n", {std::vector<float>{1, not_a_number, 2, 3}}, nan),
            "f: input `x` holds NaN");
  EXPECT_EQ(said("entry f(x: bf16[2]) { return y = f32(x) * 2 }\n", {std::vector<uint16_t>{0x3F80, 0xFF80}}, nan),
            "f: input `x` holds infinity");
  const std::string text =
      "net n(x: f32[4]) { param w: f32[4] = ones()\n  return x * w }\nentry f(x: f32[4]) { return y = n(x) }\n";
  for (const EngineKind kind : every_engine) {
    Model model(text, kind, nan);
    EXPECT_EQ(model.call("f", {ordinary}), "");
    std::memcpy(model.engine->state() + 4, &not_a_number, sizeof not_a_number);
    EXPECT_EQ(model.call("f", {ordinary}), "f: state `n/w` holds NaN");
  }
}

TEST(Checked, AStateMayStartAsInfinity) {
  const std::string text = "state least: f32 = constant(-log(0), [])\n"
                           "entry f(x: f32[4]) {\n  least := minimum(least, sum(x))\n  return least\n}\n";
  EXPECT_EQ(said(text, {ordinary}, nan), "");
}

// In the third step, and what the first ops of the fourth make of it is not what is said.
TEST(Checked, TheFirstStepOfALoop) {
  const std::string text = "entry f(xs: f32[6, 2]) {\n  h = ones([2])\n  hs = scan x in xs {\n    g = h - h\n"
                           "    h = sqrt(x) + g\n    yield h\n  }\n  return hs\n}\n";
  EXPECT_EQ(said(text, {std::vector<float>{1, 2, 3, 4, 5, 6, -7, 8, -9, -1, -1, -1}}, nan),
            "f: `sqrt` gave NaN at m.nn:5:9 (forward)");
  const std::string growing = "entry f(xs: f32[6, 2]) {\n  h = ones([2])\n  hs = scan x in xs {\n    d = h - h\n"
                              "    h = h * x + d\n    yield h\n  }\n  return hs\n}\n";
  EXPECT_THAT(said(growing, {std::vector<float>(12, 1e15f)}, nan), HasSubstr("gave infinity at m.nn:5"));
}

// The loop of derivatives runs from the last step to the first: there the derivative grows out of f32, as h itself does not.
TEST(Checked, ADerivativeThatExplodesInALoop) {
  const std::string text =
      "param w: f32[2] = ones()\nentry f(xs: f32[8, 2]) {\n  h = 1e-30 * w\n  scan x in xs {\n    h = h * x\n  }\n"
      "  loss = 1e20 * sum(h)\n  update sgd(loss)\n  return loss\n}\n";
  const std::string said = nnc::said(text, {std::vector<float>(16, 1e3f)}, nan);
  EXPECT_THAT(said, HasSubstr("gave infinity at m.nn:5:11 (derivative"));
}

TEST(Checked, LoopsInLoops) {
  const std::string text = "entry f(xs: f32[3, 2]) {\n  h = ones([2])\n  scan x in xs {\n    scan i in 0..4 {\n"
                           "      h = log(h + x)\n    }\n  }\n  return h\n}\n";
  EXPECT_THAT(said(text, {std::vector<float>{9, 9, 9, 9, -9, -9}}, nan), HasSubstr("`log` gave NaN at m.nn:5:11 (forward"));
}

// The weights grow until an op cannot hold what it is to give; the state then is that of the step before.
TEST(Checked, ExplodingLearningRate) {
  const std::string text = "net line(x: f32[N, 3]) -> f32[N, 1] = dense(x, 1)\n"
                           "entry f(x: f32[4, 3], y: f32[4, 1], lr: f32) {\n  loss = mse(line(x), y)\n"
                           "  update momentum(loss, lr = lr)\n  return loss\n}\n";
  std::string first;
  for (const EngineKind kind : every_engine) {
    Model model(text, kind, both);
    std::string said;
    int steps = 0;
    while (said.empty() && steps < 50) {
      said = model.call("f", {std::vector<float>(12, 1), std::vector<float>(4, 1), std::vector<float>{1000}});
      ++steps;
      for (const nnc_tensor_info &state : model.engine->model().states())
        for (uint64_t i = 0; i < state.bytes / sizeof(float); ++i)
          EXPECT_TRUE(std::isfinite(element(model.engine->state() + state.offset, NNC_F32, static_cast<int64_t>(i))))
              << state.name;
    }
    EXPECT_GT(steps, 3);
    EXPECT_THAT(said, HasSubstr("gave infinity at"));
    first = first.empty() ? said : first;
    EXPECT_EQ(said, first);
  }
}

TEST(Checked, PlacesBeyondAnEnd) {
  const std::string text = "entry f(x: f32[4], i: i32[2]) {\n  return y = gather(x, i)\n}\n";
  EXPECT_EQ(said(text, {ordinary, std::vector<int32_t>{0, 3}}, bounds), "");
  EXPECT_EQ(said(text, {ordinary, std::vector<int32_t>{0, 4}}, bounds), "f: index of `gather` outside 0..4 at m.nn:2:14");
  EXPECT_EQ(said(text, {ordinary, std::vector<int32_t>{-1, 3}}, bounds), "f: index of `gather` outside 0..4 at m.nn:2:14");
  EXPECT_EQ(said(text, {ordinary, std::vector<int32_t>{0, 4}}, nan), "");
  EXPECT_EQ(said("entry f(x: f32[4], i: i32[4]) { return y = scatter_add(x, i, 3) }\n",
                 {ordinary, std::vector<int32_t>{0, 2, 3, 1}}, bounds),
            "f: index of `scatter_add` outside 0..3 at m.nn:1:44");
  EXPECT_EQ(said("entry f(x: f32[4], is: i32[3]) {\n  ys = scan i in is {\n    yield gather(x, i) * 2\n  }\n  return ys\n}\n",
                 {ordinary, std::vector<int32_t>{0, 4, 1}}, bounds),
            "f: index of `gather` outside 0..4 at m.nn:3:11");
  // What the language checks without being asked.
  EXPECT_EQ(said("entry f(x: f32[4], i: i32) {\n  return y = x[i]\n}\n", {ordinary, std::vector<int32_t>{4}}, bounds),
            "f: index outside 0..4 of axis 0 of `x`, f32[4]");
  EXPECT_EQ(said("entry f(x: f32[2, 2], l: i32[2]) { return y = cross_entropy(x, l) }\n", {ordinary, std::vector<int32_t>{1, 2}},
                 bounds),
            "f: label outside 0..2");
}

TEST(Checked, TrainingStopsAndSaysWhere) {
  const Folder folder;
  const std::string command = "m=$SOURCE/data/mnist-subset; $NNC train $SOURCE/tests/train/digits.nn train_step --epochs 2 "
                              "--data x=$m/train-images-idx3-ubyte.gz --data label=$m/train-labels-idx1-ubyte.gz --check=nan "
                              "--in lr=1e30 --weights-out w.safetensors";
  const Ran ran = folder.run(command);
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.err, HasSubstr("nnc: error: epoch 1, batch "));
  EXPECT_THAT(ran.err, HasSubstr("gave infinity at"));
  EXPECT_TRUE(folder.files().empty());
}

TEST(Checked, TheFlagNamesWhatThereIs) {
  const Ran ran = Folder().run("$NNC run $SOURCE/examples/xor.nn predict --check=nan,infinity");
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.err, "nnc: error: --check=infinity: there are nan, bounds\n");
}

TEST(Checked, TheFlagOfDenormalsNamesWhatThereIs) {
  const Ran ran = Folder().run("$NNC run $SOURCE/examples/xor.nn predict --denormals=none");
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.err, "nnc: error: --denormals=none: there are flush, keep\n");
}

} // namespace
} // namespace nnc
