// `nnc plot`: curves of entries, derivatives, logs, and what it refuses. gnuplot draws, so where it is not installed only the
// message is tested.
#include "tests/process.h"

#include <gmock/gmock.h>

#include <algorithm>

namespace nnc {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class Plot : public testing::Test {
protected:
  void SetUp() override {
    if (folder.run("gnuplot --version").code != 0)
      GTEST_SKIP() << "gnuplot is not installed: apt-get install gnuplot-nox";
  }

  Folder folder;
};

// How many lines of more than `least` corners an SVG of gnuplot draws: its curves.
int curves(const std::string &svg, size_t least) {
  int count = 0;
  for (size_t at = svg.find("<path"); at != std::string::npos; at = svg.find("<path", at + 1)) {
    const size_t begin = svg.find(" d='", at), end = svg.find('\'', begin + 4);
    count += static_cast<size_t>(std::count(svg.begin() + static_cast<long>(begin), svg.begin() + static_cast<long>(end), ',')) >
             least;
  }
  return count;
}

constexpr const char *scalar =
    "entry f(x: f32) {\n  n = i32(3)\n  return y = sin(x), z = x * x, n\n}\nentry g(x: f32) { return y = x ** 3 }\n";

TEST_F(Plot, draws_every_float_result_over_a_scalar) {
  folder.write("m.nn", scalar);
  const Ran ran = folder.run("$NNC plot m.nn f --range -3:3 --points 100 -o f.svg");
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(folder.files(), (std::set<std::string>{"m.nn", "f.svg"}));
  const std::string svg = folder.read("f.svg");
  EXPECT_THAT(svg, HasSubstr(">y<"));
  EXPECT_THAT(svg, HasSubstr(">z<"));
  EXPECT_THAT(svg, testing::Not(HasSubstr(">n<")));
  EXPECT_EQ(curves(svg, 80), 2);
}

TEST_F(Plot, draws_over_a_vector) {
  const Ran ran = folder.run("$NNC plot $SOURCE/tests/programs/17_scalar_plot.nn curve --range -5:5 -o f.svg");
  EXPECT_EQ(ran.code, 0) << ran.err;
  const std::string svg = folder.read("f.svg");
  for (const char *name : {">y<", ">dy<", ">ddy<", ">dg<"})
    EXPECT_THAT(svg, HasSubstr(name));
  EXPECT_EQ(curves(svg, 150), 4);
}

TEST_F(Plot, draws_over_narrow_floats) {
  folder.write("m.nn", "entry f(x: f16[400]) { return y = f32(x) * f32(x) }\nentry g(x: bf16) { return y = f64(x), z = x }\n");
  EXPECT_EQ(folder.run("$NNC plot m.nn f --range -1:1 -o f.svg").code, 0);
  EXPECT_EQ(curves(folder.read("f.svg"), 100), 1);
  EXPECT_EQ(folder.run("$NNC plot m.nn g --range -1:1 -o g.svg").code, 0);
  EXPECT_EQ(curves(folder.read("g.svg"), 100), 2);
}

TEST_F(Plot, draws_derivatives) {
  folder.write("m.nn", scalar);
  // x ** 3 from 0 to 1 has derivatives 3 x ** 2 and 6 x: the axis reaches 6.
  const Ran ran = folder.run("$NNC plot --derivatives m.nn g --range 0:1 -o f.svg");
  EXPECT_EQ(ran.code, 0) << ran.err;
  const std::string svg = folder.read("f.svg");
  EXPECT_THAT(svg, HasSubstr(">first_derivative<"));
  EXPECT_THAT(svg, HasSubstr(">second_derivative<"));
  EXPECT_THAT(svg, testing::ContainsRegex("> *6<"));
  EXPECT_THAT(svg, testing::Not(testing::ContainsRegex("> *8<")));
  EXPECT_EQ(curves(svg, 20), 3);
}

TEST_F(Plot, draws_derivatives_of_a_network) {
  folder.write("m.nn", "net n(x: f32[N, 1]) -> f32[N, 1] { return dense(tanh(dense(x, 8)), 1) }\n"
                       "entry f(x: f32[50, 1]) { return y = n(x) }\n");
  const Ran ran = folder.run("$NNC plot --derivatives m.nn f --range -1:1 --seed 3 -o f.svg");
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(curves(folder.read("f.svg"), 20), 3);
}

TEST_F(Plot, writes_other_formats) {
  folder.write("m.nn", scalar);
  EXPECT_EQ(folder.run("$NNC plot m.nn f --range 0:1 -o f.png && $NNC plot m.nn f --range 0:1 -o f.pdf").code, 0);
  EXPECT_THAT(folder.read("f.png"), StartsWith("\x89PNG"));
  EXPECT_THAT(folder.read("f.pdf"), StartsWith("%PDF"));
}

TEST_F(Plot, plots_compiled_models) {
  folder.write("m.nn", scalar);
  EXPECT_EQ(folder.run("$NNC m.nn -o m.so && $NNC plot m.so f --range 0:1 -o f.svg").code, 0);
}

TEST_F(Plot, draws_a_log) {
  folder.write("log",
               "note: something\n"
               "epoch 1/3  loss 0.592137  accuracy 0.8294  0.171 s  58617 examples/s  evaluate: correct 1660 of 2000 (83.00 %)\n"
               "epoch 2/3  loss 0.3  accuracy 0.9  0.171 s  58617 examples/s  evaluate: correct 1700 of 2000 (85.00 %)\n"
               "epoch 3/3  loss nan  accuracy 0.95  0.171 s  58617 examples/s  evaluate: correct 1800 of 2000 (90.00 %)\n"
               "compile      0.230 s\nepochs       3 of 0.130 s, 76731 examples/s, 2 threads\n");
  const Ran ran = folder.run("$NNC plot --loss log -o loss.svg");
  EXPECT_EQ(ran.code, 0) << ran.err;
  const std::string svg = folder.read("loss.svg");
  for (const char *name : {">loss<", ">accuracy<", ">evaluate correct<", ">epoch<"})
    EXPECT_THAT(svg, HasSubstr(name));
}

TEST_F(Plot, draws_what_train_prints) {
  folder.write("m.nn",
               "net n(x: f32[N, 2]) = dense(x, 1)\nentry step(x: f32[4, 2]) {\n  loss = mean(n(x) ** 2)\n  update sgd(loss)\n"
               "  return loss\n}\n");
  const Ran ran = folder.run("printf '\\0\\0\\015\\002\\0\\0\\0\\010\\0\\0\\0\\002' > x.idx && head -c 64 /dev/zero >> x.idx && "
                             "$NNC train m.nn step --data x=x.idx --epochs 3 > log && $NNC plot --loss log -o loss.svg");
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(folder.read("loss.svg"), HasSubstr(">loss<"));
}

TEST(plot_command, says_what_to_install) {
  const Folder folder;
  folder.write("m.nn", scalar);
  const Ran ran = folder.run("PATH=/none $NNC plot m.nn f --range 0:1 -o f.svg");
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.err, "nnc: error: gnuplot is not installed: apt-get install gnuplot-nox\n");
  EXPECT_EQ(folder.files(), std::set<std::string>{"m.nn"});
}

TEST(plot_command, refuses_bad_input) {
  const Folder folder;
  folder.write("m.nn", std::string(scalar) + "entry two(x: f32, y: f32) { return z = x + y }\n"
                                             "entry whole(i: i32) { return z = i + 1 }\n"
                                             "entry sums(x: f32[3]) { return z = sum(x) }\n"
                                             "entry nothing(x: f32) { return y = log(-abs(x) - 1) }\n"
                                             "state s = 0\nentry moves(x: f32) {\n  s := s + 1\n  return y = x + s\n}\n");
  folder.write("log", "epochs of no training\nepoch x/y  loss\n");
  const std::set<std::string> before = folder.files();
  const std::pair<const char *, const char *> cases[] = {
      {"plot", "say where the picture goes: -o FILE.svg"},
      {"plot m.nn f --range 0:1", "say where the picture goes: -o FILE.svg"},
      {"plot m.nn f --range 0:1 -o f.gif", "f.gif: the name of a picture ends in .svg, .png or .pdf"},
      {"plot -o f.svg", "MODEL is missing"},
      {"plot m.nn -o f.svg", "ENTRY is missing"},
      {"plot none.nn f --range 0:1 -o f.svg", "none.nn: cannot open"},
      {"plot m.nn zork --range 0:1 -o f.svg", "m.nn: there is no entry `zork`; there are `f`, `g`"},
      {"plot m.nn zork --range 0:1 --derivatives -o f.svg", "m.nn: there is no entry `zork`"},
      {"plot m.nn f -o f.svg", "say from where to where: --range A:B"},
      {"plot m.nn f --range 1:0 -o f.svg", "--range=1:0: it takes A:B, two numbers, the smaller first"},
      {"plot m.nn f --range 1 -o f.svg", "--range=1: it takes A:B"},
      {"plot m.nn f --range 0:inf -o f.svg", "--range=0:inf: it takes A:B"},
      {"plot m.nn f --range a:b -o f.svg", "--range=a:b: it takes A:B"},
      {"plot m.nn f --range 0:1 --points 1 -o f.svg", "--points=1: it takes a whole number from 2"},
      {"plot m.nn sums --range 0:1 -o f.svg", "`sums` has no float result of the size of `x`, f32[3]"},
      {"plot $SOURCE/tests/programs/17_scalar_plot.nn curve --range 0:1 --points 9 -o f.svg",
       "--points=9: `x` is f32[200], which says how many"},
      {"plot m.nn two --range 0:1 -o f.svg", "`two` must have one input, a float, to be drawn over it"},
      {"plot m.nn whole --range 0:1 -o f.svg", "`whole` must have one input, a float, to be drawn over it"},
      {"plot m.nn moves --range 0:1 -o f.svg", "`moves` changes state: what is drawn must depend on its input alone"},
      {"plot m.nn f --range 0:1 --derivatives -o f.svg",
       "--derivatives: `f` must have one float input and one float result, and has 1 input and 3 results"},
      {"plot m.nn nothing --range 0:1 -o f.svg", "f.svg: `y` has no finite value to draw"},
      {"plot --loss none -o f.svg", "none: cannot open"},
      {"plot --loss log -o f.svg", "log: there is no line `epoch 1/5  loss 0.59 …` as `nnc train` prints it"},
      {"plot --loss log m.nn f -o f.svg", "--loss takes no model"},
  };
  for (const auto &[command, message] : cases) {
    const Ran ran = folder.run(std::string("$NNC ") + command);
    EXPECT_EQ(ran.code, 1) << command;
    EXPECT_THAT(ran.err, HasSubstr(message)) << command;
    EXPECT_EQ(folder.files(), before) << command;
  }
}

} // namespace
} // namespace nnc
