// Training: loss curves agree with the interpreters', bits do not depend on threads or on the run, and every example counts
// whatever the batch.
#include "ir/error.h"
#include "runtime/tensor_file.h"
#include "tests/paths.h"
#include "tests/process.h"
#include "tools/epoch.h"

#include <algorithm>
#include <gmock/gmock.h>

#include <cmath>
#include <cstring>

namespace nnc {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

const std::string source = source_dir();
const std::string model = source + "/tests/train/digits.nn";
const Assignments digits = {{"x", source + "/data/mnist-subset/t10k-images-idx3-ubyte.gz"},
                            {"label", source + "/data/mnist-subset/t10k-labels-idx1-ubyte.gz"}};
const Assignments rate = {{"lr", "0.1"}};

BuildOptions with_batch(int batch) {
  BuildOptions options;
  options.set = {{"batch", std::to_string(batch)}};
  return options;
}

struct Curve {
  std::vector<Totals> epochs;
  std::string state; // at the end

  double loss(size_t epoch) const { return epochs[epoch].metrics[0].sum / static_cast<double>(epochs[epoch].examples); }
};

Curve train(EngineKind kind, int batch, int epochs, ThreadPool *pool = nullptr) {
  const BuildOptions options = with_batch(batch);
  const std::unique_ptr<Engine> engine = open_engine(kind, model, options, pool);
  Feed feed(*engine, "train_step", digits, rate);
  EXPECT_EQ(feed.rest() == 0 || feed.compile_rest(kind, model, options, pool), true);
  start_state(*engine, 3, "");
  Curve curve;
  for (int epoch = 0; epoch < epochs; ++epoch)
    curve.epochs.push_back(feed.run(shuffled_order(feed.data().examples(), 5, epoch), Feed::Rest::drop));
  const auto *state = reinterpret_cast<const char *>(engine->state());
  curve.state.assign(state, engine->model().info().state_bytes);
  return curve;
}

TEST(train, loss_curve_is_the_interpreters) {
  const Curve jit = train(EngineKind::jit, 64, 3); // 31 batches and 16 examples
  EXPECT_LT(jit.loss(2), 0.5 * jit.loss(0));
  for (EngineKind kind : {EngineKind::interp, EngineKind::plan}) {
    const Curve other = train(kind, 64, 3);
    for (size_t epoch = 0; epoch < jit.epochs.size(); ++epoch) {
      EXPECT_EQ(other.epochs[epoch].examples, 2000);
      EXPECT_NEAR(other.loss(epoch), jit.loss(epoch), 1e-3 * jit.loss(epoch));
    }
  }
}

TEST(train, bits_do_not_depend_on_threads_or_the_run) {
  ThreadPool two(2), three(3);
  const std::string once = train(EngineKind::jit, 64, 2).state;
  EXPECT_EQ(train(EngineKind::jit, 64, 2).state, once);
  EXPECT_EQ(train(EngineKind::so, 64, 2).state, once);
  EXPECT_EQ(train(EngineKind::jit, 64, 2, &two).state, once);
  EXPECT_EQ(train(EngineKind::so, 64, 2, &three).state, once);
}

// Weights in bf16 with steps in f32: the same bits on any threads, learnt as well as in f32, and whole through a file.
TEST(train, parameters_in_bf16) {
  const Folder folder;
  folder.write("half.nn", R"(const batch = 50
fn layer(x: f32[N, D], units: int) {
  param w: bf16[D, units] = glorot_uniform()
  param b: f16[units] = zeros()
  return x @ w + f32(b)
}
net small(x: u8[N, 784]) = layer(relu(layer(f32(x) / 255, 24)), 10)
optimizer mastered(p: P[...], g, lr) {
  state master = f32(p)
  state v = zeros(shape(p), bf16)
  step = 0.9 * f32(v) + f32(g)
  v := bf16(step)
  master := master - lr * step
  p := P(master)
}
entry train_step(x: u8[batch, 784], label: u8[batch], lr: f32) {
  logits = small(x)
  loss   = mean(cross_entropy(logits, label))
  update mastered(loss, lr = lr)
  return loss, accuracy = mean(argmax(logits, axis = 1) == label)
}
entry logits(x: u8[2, 784]) { return y = small(x), low = f16(small(x)) }
)");
  const std::string files = " --data x=$SOURCE/data/mnist-subset/t10k-images-idx3-ubyte.gz"
                            " --data label=$SOURCE/data/mnist-subset/t10k-labels-idx1-ubyte.gz --in lr=0.1 --epochs 3 ";
  const Ran one = folder.run("$NNC train half.nn train_step" + files + "--weights-out one.safetensors");
  ASSERT_EQ(one.code, 0) << one.err;
  const size_t at = one.out.find("accuracy ", one.out.find("epoch 3/3"));
  ASSERT_NE(at, one.out.npos) << one.out;
  EXPECT_GT(std::stod(one.out.substr(at + 9)), 0.9) << one.out;
  const Ran two = folder.run("$NNC half.nn -o half.so && $NNC train half.so train_step --threads 2" + files +
                             "--weights-out two.safetensors");
  ASSERT_EQ(two.code, 0) << two.err;
  EXPECT_EQ(folder.read("one.safetensors"), folder.read("two.safetensors"));
  EXPECT_THAT(folder.read("one.safetensors"), testing::AllOf(HasSubstr("\"BF16\""), HasSubstr("\"F16\""), HasSubstr("\"F32\"")));

  const Ran inspect = folder.run("$NNC inspect half.so && cat half.h && test -z \"$(nm -D --undefined-only half.so)\"");
  EXPECT_EQ(inspect.code, 0) << inspect.err;
  EXPECT_THAT(inspect.out, HasSubstr("bf16[784,24] trained"));
  EXPECT_THAT(inspect.out, HasSubstr("uint16_t *low /* f16[2,10] */"));
  // Loaded, and written again by a call.
  const std::string run = "$NNC run half.so logits --in x=x.npy --weights ";
  folder.write("x.npy", std::string("\x93NUMPY\x01\x00\x3a\x00", 10) +
                            "{'descr': '|u1', 'fortran_order': False, 'shape': (2,784)}" + std::string(1568, '\x40'));
  const Ran first = folder.run(run + "one.safetensors"), second = folder.run(run + "two.safetensors");
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.out, second.out);
  EXPECT_THAT(first.out, HasSubstr("low: f16[2,10]"));
}

TEST(train, every_example_counts_whatever_the_batch) {
  const std::unique_ptr<Engine> trained = open_engine(EngineKind::jit, model, with_batch(50), nullptr);
  Feed training(*trained, "train_step", digits, rate);
  start_state(*trained, 3, "");
  training.run(shuffled_order(2000, 5, 0), Feed::Rest::drop);
  const Totals whole = Feed(*trained, "evaluate", digits, {}).run(file_order(2000), Feed::Rest::drop);
  EXPECT_EQ(whole.examples, 2000);
  EXPECT_GT(whole.metrics[1].sum, 1000);
  for (const bool compile : {true, false}) {      // a second instance for the rest, or two padded batches
    const BuildOptions options = with_batch(384); // 5 batches and 80 examples
    const std::unique_ptr<Engine> engine = open_engine(EngineKind::jit, model, options, nullptr);
    std::copy_n(trained->state(), trained->model().info().state_bytes, engine->state());
    Feed feed(*engine, "evaluate", digits, {});
    if (compile) {
      EXPECT_TRUE(feed.compile_rest(EngineKind::jit, model, options, nullptr));
    }
    const Totals parts = feed.run(file_order(2000), Feed::Rest::deduce);
    EXPECT_EQ(parts.examples, 2000);
    EXPECT_NEAR(parts.metrics[0].sum, whole.metrics[0].sum, 1e-3 * whole.metrics[0].sum);
    EXPECT_EQ(parts.metrics[1].sum, whole.metrics[1].sum);
  }
}

TEST(train, command_line) {
  const Folder folder;
  const std::string files = " --data x=$SOURCE/data/mnist-subset/t10k-images-idx3-ubyte.gz"
                            " --data label=$SOURCE/data/mnist-subset/t10k-labels-idx1-ubyte.gz --in lr=0.1 ";
  const std::string eval = " --eval evaluate --eval-data x=$SOURCE/data/mnist-subset/t10k-images-idx3-ubyte.gz"
                           " --eval-data label=$SOURCE/data/mnist-subset/t10k-labels-idx1-ubyte.gz ";
  const std::string digits_nn = "$SOURCE/tests/train/digits.nn";
  const Ran one = folder.run("$NNC train " + digits_nn + " train_step" + files + eval +
                             "--set batch=64 --epochs 2 --seed 4 "
                             "--weights-out one.safetensors");
  ASSERT_EQ(one.code, 0) << one.err;
  EXPECT_EQ(one.err, "");
  EXPECT_THAT(one.out,
              MatchesRegex("epoch 1/2  loss [0-9.]+  accuracy [0-9.]+  [0-9.]+ s  [0-9]+ examples/s  evaluate: loss [0-9.]+  "
                           "correct [0-9]+ of 2000 \\([0-9.]+ %\\)\n"
                           "epoch 2/2  loss .*\n"
                           "compile      [0-9.]+ s\n"
                           "epochs       2 of [0-9.]+ s, [0-9]+ examples/s, 1 thread\n"
                           "state        [0-9]+ bytes\n"
                           "workspace    [0-9]+ bytes\n"));
  const Ran two = folder.run("$NNC train " + digits_nn + " train_step" + files +
                             "--set batch=64 --epochs 2 --seed 4 --threads 2 "
                             "--weights-out two.safetensors");
  ASSERT_EQ(two.code, 0) << two.err;
  EXPECT_EQ(folder.read("one.safetensors"), folder.read("two.safetensors"));
  // From a library the rest cannot be trained on, but it is evaluated all the same.
  const Ran library = folder.run("$NNC " + digits_nn + " -o digits.so --set batch=64 && $NNC train digits.so train_step" + files +
                                 eval + "--weights one.safetensors --epochs 1");
  ASSERT_EQ(library.code, 0) << library.err;
  EXPECT_EQ(library.err, "note: 16 of 2000 examples do not fill a batch of 64 and are left out of each epoch\n"
                         "note: one.safetensors: 2 epochs of seed 4 are done, and this goes on from there\n");
  EXPECT_THAT(library.out, HasSubstr(" of 2000 ("));
  EXPECT_THAT(library.out, HasSubstr("library      "));
}

// 300 examples of a line, in batches of 64.
void write_line(const Folder &folder) {
  HostTensor x{"f32", {300, 2}, std::vector<std::byte>(2400)}, y{"f32", {300, 1}, std::vector<std::byte>(1200)};
  auto *xs = reinterpret_cast<float *>(x.bytes.data()), *ys = reinterpret_cast<float *>(y.bytes.data());
  for (int i = 0; i < 300; ++i) {
    xs[2 * i] = static_cast<float>(std::sin(i));
    xs[2 * i + 1] = static_cast<float>(std::cos(3 * i));
    ys[i] = xs[2 * i] - 2 * xs[2 * i + 1];
  }
  write_npy(folder.file("x.npy"), x);
  write_npy(folder.file("y.npy"), y);
  folder.write("line.nn", "const batch = 64\nstate last: f32 = zeros()\n"
                          "net line(x: f32[N, 2]) = dense(tanh(dense(x, 8) as hidden), 1) as out\n"
                          "entry step(x: f32[batch, 2], y: f32[batch, 1], lr: f32) {\n"
                          "  loss = mse(line(dropout(x, 0.1, training = true)), y)\n"
                          "  update momentum(loss, lr = lr)\n"
                          "  return loss, worst = max(abs(y)), seen = line(x)\n}\n"
                          "entry test(x: f32[batch, 2], y: f32[batch, 1]) { return error = mse(line(x), y), line = line(x) }\n"
                          "entry first(x: f32[batch, 2], y: f32[batch, 1]) {\n"
                          "  last := x[0, 0]\n  return first = x[0, 0]\n}\n");
}
const std::string line = "$NNC train line.nn step --data x=x.npy --data y=y.npy --in lr=0.05 ";

TEST(train, a_resumed_run_is_the_whole_run) {
  const Folder folder;
  write_line(folder);
  const Ran parts = folder.run(line + "--epochs 5 --seed 3 --weights-out five && " + line +
                               "--epochs 2 --seed 3 --weights-out w && " + line + "--epochs 3 --weights w --weights-out w");
  ASSERT_EQ(parts.code, 0) << parts.err;
  EXPECT_EQ(folder.read("w"), folder.read("five"));
  EXPECT_THAT(parts.out, HasSubstr("\nepoch 3/5  loss "));
  EXPECT_THAT(parts.err, HasSubstr("note: w: 2 epochs of seed 3 are done, and this goes on from there\n"));
  // Another seed starts another order.
  const Ran other = folder.run(line + "--epochs 1 --weights w --seed 4");
  EXPECT_THAT(other.out, HasSubstr("epoch 1/1  "));
  EXPECT_THAT(other.err, testing::Not(HasSubstr("are done")));
}

TEST(train, examples_in_the_order_of_the_file) {
  const Folder folder;
  write_line(folder);
  const std::string first = "$NNC train line.nn first --set batch=150 --data x=x.npy --data y=y.npy --weights-out ";
  const Ran ran = folder.run(first + "kept --no-shuffle && " + first + "mixed --seed 5");
  ASSERT_EQ(ran.code, 0) << ran.err;
  const std::string kept = folder.read("kept"), mixed = folder.read("mixed");
  float value = 0;
  std::memcpy(&value, kept.data() + kept.size() - sizeof value, sizeof value); // of example 150
  EXPECT_EQ(value, static_cast<float>(std::sin(150)));
  EXPECT_NE(mixed.substr(mixed.size() - 4), kept.substr(kept.size() - 4));
}

// `command` in the background; once it has printed the line of an epoch it gets the signal.
Ran interrupted(const Folder &folder, const std::string &command, const std::string &signal) {
  return folder.run("rm -f log; env --default-signal=INT " + command +
                    " >log & while kill -0 $! && ! grep -q epoch log; do sleep 0.02; done; kill -" + signal + " $!; wait $!");
}

TEST(train, a_signal_ends_it_with_its_weights) {
  const Folder folder;
  write_line(folder);
  const std::pair<std::string, int> signals[] = {{"INT", 130}, {"TERM", 143}};
  for (const auto &[signal, code] : signals) {
    SCOPED_TRACE(signal);
    const Ran ran = interrupted(folder, line + "--epochs 100000000 --weights-out w", signal);
    EXPECT_EQ(ran.code, code) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr(": --weights w goes on from here\n"));
    // Wherever it stopped, the rest of its epoch ends where a run without a break ends.
    const size_t at = ran.err.find("interrupted after ") + 18;
    const int epochs = std::stoi(ran.err.substr(at));
    const Ran whole = folder.run(line + "--epochs " + std::to_string(epochs + 1) + " --weights-out whole && " + line +
                                 "--epochs 1 --weights w --weights-out w");
    ASSERT_EQ(whole.code, 0) << whole.err;
    EXPECT_EQ(folder.read("w"), folder.read("whole"));
  }
  const Ran lost = interrupted(folder, line + "--epochs 100000000", "INT");
  EXPECT_EQ(lost.code, 130);
  EXPECT_THAT(lost.err, HasSubstr("there is no --weights-out, so nothing is kept\n"));
}

TEST(train, says_what_it_cannot_show) {
  const Folder folder;
  write_line(folder);
  const Ran ran = folder.run(line + "--eval test --eval-data x=x.npy --eval-data y=y.npy");
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.err, "note: `seen` of `step`, f32[64,1], is no single number, so it is not shown\n"
                     "note: `line` of `test`, f32[64,1], is no single number, so it is not shown\n");
  EXPECT_THAT(ran.out, HasSubstr("  test: error "));
}

TEST(train, says_that_it_diverged) {
  const Folder folder;
  write_line(folder);
  folder.write("w", "as it was");
  const std::string train = "$NNC train line.nn step --data x=x.npy --data y=y.npy --weights-out w --epochs 9 --in lr=";
  for (const char *rate : {"1e30", "nan"}) {
    const Ran ran = folder.run(train + rate);
    EXPECT_EQ(ran.code, 1);
    EXPECT_THAT(ran.err, HasSubstr("nnc: error: epoch 1"));
    EXPECT_THAT(ran.err, HasSubstr("the parameter `line/hidden/"));
    EXPECT_THAT(ran.err,
                HasSubstr(" holds NaN, which no training mends: --check=nan says which op made it, and a smaller learning "
                          "rate often helps; w is not written\n"));
    EXPECT_EQ(folder.read("w"), "as it was");
  }
  const Ran still = folder.run(train + "0");
  EXPECT_EQ(still.code, 0);
  EXPECT_THAT(still.err, HasSubstr("note: no parameter has changed"));
  // A number that is no loss may be NaN.
  folder.write("ratio.nn", "net n(x: f32[N, 2]) = dense(x, 1)\nentry step(x: f32[30, 2], y: f32[30, 1]) {\n"
                           "  loss = mse(n(x), y)\n  update sgd(loss)\n  return loss, ratio = sum(y * 0) / sum(y * 0)\n}\n");
  const Ran ratio = folder.run("$NNC train ratio.nn step --data x=x.npy --data y=y.npy --epochs 2");
  EXPECT_EQ(ratio.code, 0);
  EXPECT_EQ(ratio.err, "note: batch 1: `ratio` is NaN, but no parameter is\n");
}

// A new head on a trained body.
TEST(train, weights_that_fit_in_part) {
  const Folder folder;
  write_line(folder);
  folder.write("other.nn", "net body(x: f32[N, 2]) = tanh(dense(x, 8) as hidden)\n"
                           "net head(h: f32[N, 8]) = dense(h, 3) as out\n"
                           "entry step(x: f32[60, 2], y: f32[60, 1]) {\n"
                           "  loss = mean((head(body(x)) - y) ** 2)\n  update sgd(loss)\n  return loss\n}\n");
  folder.write("small.nn", "net body(x: f32[N, 2]) = tanh(dense(x, 8) as hidden)\n"
                           "net head(h: f32[N, 8]) = dense(h, 1) as out\n"
                           "entry step(x: f32[60, 2], y: f32[60, 1]) {\n"
                           "  loss = mse(head(body(x)), y)\n  update sgd(loss)\n  return loss\n}\n");
  const std::string data = " step --data x=x.npy --data y=y.npy ";
  ASSERT_EQ(folder.run("$NNC train small.nn" + data + "--weights-out w").code, 0);
  const Ran refused = folder.run("$NNC train other.nn" + data + "--weights w");
  EXPECT_EQ(refused.code, 1);
  EXPECT_EQ(refused.err, "nnc: error: w: `head/out/w` is f32[8,1], in the model f32[8,3]\n");
  const Ran ran = folder.run("$NNC train other.nn" + data + "--weights w --skip-mismatch --epochs 0 --weights-out v");
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.err, "w: 2 tensors loaded, and not:\n"
                     "  head/out/w  f32[8,1]  in the model f32[8,3]\n"
                     "  head/out/b  f32[1]    in the model f32[3]\n");
  EXPECT_THAT(ran.out, testing::Not(HasSubstr("epoch 2")));
  const SafeTensors from = read_safetensors(folder.file("w")), to = read_safetensors(folder.file("v"));
  const auto tensor = [](const SafeTensors &file, const std::string &name) {
    return std::ranges::find(file.tensors, name, &NamedTensor::name)->tensor.bytes;
  };
  EXPECT_EQ(tensor(to, "body/hidden/w"), tensor(from, "body/hidden/w"));
}

} // namespace
} // namespace nnc
