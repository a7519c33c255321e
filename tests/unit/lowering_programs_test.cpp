// The programs of tests/programs and examples: those within what is compiled now compile, run and train; the others say what
// is missing.
#include "tests/paths.h"
#include "tests/unit/lowering_test.h"

#include <filesystem>
#include <fstream>
#include <sstream>

namespace nnc {
namespace {

const std::filesystem::path root = source_dir();

std::string read(const std::filesystem::path &path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(LoweringPrograms, EveryProgramCompilesOrSaysWhatIsMissing) {
  // By number: what the program meets first, or "" if it compiles.
  const std::map<std::string, std::string> expected = {
      {"01", ""}, {"02", ""}, {"03", ""}, {"04", ""}, {"05", ""}, {"06", ""}, {"07", ""}, {"08", ""},
      {"09", ""}, {"10", ""}, {"11", ""}, {"12", ""}, {"13", ""}, {"14", ""}, {"15", ""}, {"16", "there is no `entry`"},
      {"17", ""}, {"18", ""}, {"19", ""}, {"20", ""}, {"21", ""},
  };
  Texts files;
  for (const auto &entry : std::filesystem::directory_iterator(root / "tests/programs"))
    files[entry.path().filename().string()] = read(entry.path());
  size_t seen = 0;
  for (const auto &entry : std::filesystem::directory_iterator(root / "tests/programs")) {
    const std::string name = entry.path().filename().string();
    SCOPED_TRACE(name);
    const auto row = expected.find(name.substr(0, 2));
    ASSERT_NE(row, expected.end());
    ++seen;
    if (row->second.empty())
      EXPECT_NO_THROW(runnable(files[name], {}, files));
    else
      EXPECT_NE(errors_of(files[name], {}, files).find(row->second), std::string::npos);
  }
  EXPECT_EQ(seen, expected.size());
}

// Numbers between -1 and 1 that look like data.
std::vector<double> wave(int64_t count, double step) {
  std::vector<double> values;
  for (int64_t i = 0; i < count; ++i)
    values.push_back(std::sin(1 + step * static_cast<double>(i)));
  return values;
}

TEST(LoweringPrograms, XorIsLearned) {
  Interpreted model(runnable(read(root / "examples/xor.nn")), 3);
  const Tensor x = f32s({4, 2}, {0, 0, 0, 1, 1, 0, 1, 1}), y = f32s({4, 1}, {0, 1, 1, 0});
  const double first = model.call("train_step", {x, y, f32s({}, {2})}).at("loss").get(0);
  for (int i = 0; i < 1500; ++i)
    model.call("train_step", {x, y, f32s({}, {2})});
  EXPECT_GT(first, 0.1);
  expect_near(model.call("predict", {x}).at("y"), {0, 1, 1, 0}, 0.15);
}

TEST(LoweringPrograms, RegressionFits) {
  Interpreted model(runnable(read(root / "examples/regression.nn")));
  const Tensor x = f32s({10, 10}, wave(100, 0.37)), y = f32s({10, 1}, wave(10, 0.9));
  const double first = model.call("train_step", {x, y}).at("loss").get(0);
  for (int i = 0; i < 300; ++i)
    model.call("train_step", {x, y});
  EXPECT_LT(model.call("train_step", {x, y}).at("loss").get(0), 0.05 * first);
}

TEST(LoweringPrograms, DigitsAreToldApart) {
  Interpreted model(runnable(read(root / "examples/mnist.nn"), {{"batch", "8"}}));
  Tensor x(Type{DType::u8, {8, 784}}), label(Type{DType::u8, {8}});
  for (int64_t i = 0; i < 8 * 784; ++i)
    x.set_int(i, (i * 2654435761 >> 13) % 256);
  for (int64_t i = 0; i < 8; ++i)
    label.set_int(i, i % 3);
  const double first = model.call("train_step", {x, label}).at("loss").get(0);
  EXPECT_NEAR(first, std::log(10), 1);
  for (int i = 0; i < 30; ++i)
    model.call("train_step", {x, label});
  EXPECT_LT(model.call("train_step", {x, label}).at("loss").get(0), 0.1 * first);
  EXPECT_EQ(model.call("evaluate", {x, label}).at("correct").get_int(0), 8);
  label.set_int(3, 10);
  model.call("train_step", {x, label});
  EXPECT_EQ(model.failed, "label outside 0..10");
}

TEST(LoweringPrograms, GraphNetworkLearns) {
  Interpreted model(runnable(read(root / "tests/programs/10_graph.nn")));
  Tensor edges(Type{DType::i32, {156, 2}}), label(Type{DType::i32, {34}}), known(Type{DType::boolean, {34}});
  for (int64_t i = 0; i < 312; ++i)
    edges.set_int(i, (i * 2654435761 >> 7) % 34);
  for (int64_t i = 0; i < 34; ++i) {
    label.set_int(i, i % 4);
    known.set_int(i, i % 2);
  }
  const std::vector<Tensor> inputs = {f32s({34, 34}, wave(34 * 34, 0.37)), edges, label, known};
  const double first = model.call("train_step", inputs).at("loss").get(0);
  for (int i = 0; i < 40; ++i)
    model.call("train_step", inputs);
  EXPECT_LT(model.call("train_step", inputs).at("loss").get(0), 0.5 * first);
  edges.set_int(7, 34);
  model.call("train_step", {inputs[0], edges, label, known});
  EXPECT_NE(model.failed, "");
}

TEST(LoweringPrograms, FixedNetworkAndGates) {
  Interpreted model(runnable(read(root / "tests/programs/02_fixed.nn")));
  // The network of the book "Deep Learning from Scratch" on (1.0, 0.5).
  expect_near(model.call("forward", {f32s({2}, {1, 0.5})}).at("y"), {0.31682708, 0.69627909});
  const auto gates = model.call("gates", {f32s({4, 2}, {0, 0, 0, 1, 1, 0, 1, 1})});
  expect_near(gates.at("and_gate"), {0, 0, 0, 1});
  expect_near(gates.at("xor_gate"), {0, 1, 1, 0});
}

TEST(LoweringPrograms, DerivativesOfScalarFunctions) {
  Interpreted model(runnable(read(root / "tests/programs/17_scalar_plot.nn")));
  const std::vector<double> x = wave(200, 0.1);
  const auto results = model.call("curve", {f32s({200}, x)});
  const auto f = [](double v) { return 0.01 * v * v + 0.1 * std::sin(v); };
  const auto df = [](double v) { return 0.02 * v + 0.1 * std::cos(v); };
  std::vector<double> y, dy, ddy, dg;
  for (double v : x) {
    const double e = std::exp(-v);
    y.push_back(f(v));
    dy.push_back(df(v));
    ddy.push_back(0.02 - 0.1 * std::sin(v));
    dg.push_back(df(-v * v) * -2 * v / (1 + e) + f(-v * v) * e / ((1 + e) * (1 + e)));
  }
  expect_near(results.at("y"), y);
  expect_near(results.at("dy"), dy);
  expect_near(results.at("ddy"), ddy);
  expect_near(results.at("dg"), dg);
}

TEST(LoweringPrograms, PhysicsInformedLossFalls) {
  Interpreted model(runnable(read(root / "tests/programs/18_pinn.nn")));
  const std::vector<Tensor> inputs = {f32s({256, 1}, wave(256, 0.7)), f32s({256, 1}, wave(256, 0.3)),
                                      f32s({64, 1}, wave(64, 0.5)), f32s({64, 1}, wave(64, 0.9)), f32s({64, 1}, wave(64, 0.2))};
  const double first = model.call("train_step", inputs).at("loss").get(0);
  for (int i = 0; i < 15; ++i)
    model.call("train_step", inputs);
  EXPECT_LT(model.call("train_step", inputs).at("loss").get(0), first);
}

TEST(LoweringPrograms, FrozenLayersStayAndAveragesFollow) {
  Interpreted model(runnable(read(root / "tests/programs/15_finetune_siamese.nn")));
  const Tensor x = f32s({32, 784}, wave(32 * 784, 0.61)), label(Type{DType::u8, {32}});
  const Tensor backbone = model.state("backbone/dense_0/w"), head = model.state("head/dense_0/w"),
               last = model.state("backbone/dense_1/w");
  model.call("finetune", {x, label});
  EXPECT_TRUE(same_bits(model.state("backbone/dense_0/w"), backbone));
  EXPECT_FALSE(same_bits(model.state("head/dense_0/w"), head));
  model.call("thaw_last", {x, label});
  EXPECT_TRUE(same_bits(model.state("backbone/dense_0/w"), backbone));
  EXPECT_FALSE(same_bits(model.state("backbone/dense_1/w"), last));
  model.call("start_average");
  EXPECT_EQ(numbers(model.state("average/student_0/dense_0/w")), numbers(model.state("online/student_0/dense_0/w")));
}

} // namespace
} // namespace nnc
