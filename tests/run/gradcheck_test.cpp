// `nnc gradcheck` as a user runs it: the gradients of every program of the tree are right, and bad input is refused.
#include "tests/process.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <vector>

namespace nnc {
namespace {

using testing::HasSubstr;

// Programs of the tree that ask for gradients and compile today.
class Gradients : public testing::TestWithParam<std::string> {};

TEST_P(Gradients, AreRight) {
  const Folder folder;
  std::string smaller; // batches and texts
  for (const auto &[name, value] : {std::pair{"batch", 4}, {"context", 8}, {"depth", 1}, {"steps", 4}, {"length", 8}})
    if (folder.run("grep -qE '(^|; )const " + std::string(name) + "' $SOURCE/" + GetParam()).code == 0)
      smaller += " --set " + std::string(name) + "=" + std::to_string(value);
  const Ran ran = folder.run("$NNC gradcheck $SOURCE/" + GetParam() + " --elements 4" + smaller);
  if (ran.code == 0) {
    EXPECT_THAT(ran.out, HasSubstr(" checked, worst relative error "));
    return;
  }
  EXPECT_THAT(ran.err, testing::AnyOf(HasSubstr("not compiled yet"), HasSubstr("there is no `entry`"),
                                      HasSubstr("no entry asks for a gradient")));
}

std::vector<std::string> programs() {
  std::vector<std::string> files;
  for (const char *folder : {"examples", "tests/programs"})
    for (const auto &entry : std::filesystem::directory_iterator(source_dir() + "/" + folder))
      if (entry.path().extension() == ".nn")
        files.push_back(std::string(folder) + "/" + entry.path().filename().string());
  std::ranges::sort(files);
  return files;
}

INSTANTIATE_TEST_SUITE_P(All, Gradients, testing::ValuesIn(programs()), [](const auto &info) {
  std::string name = info.param;
  std::ranges::replace_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
});

TEST(gradcheck_command, says_what_it_checked) {
  const Folder folder;
  const Ran ran = folder.run("$NNC gradcheck $SOURCE/examples/xor.nn train_step --in lr=0.1 --seed 3");
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, testing::MatchesRegex("train_step\n"
                                             "  d loss / d xor/hidden/b  \\[8\\]    3 directions, 8 elements   .*xor.nn:8:14\n"
                                             "  d loss / d xor/hidden/w  \\[2,8\\]  3 directions, 16 elements  .*xor.nn:8:14\n"
                                             "  d loss / d xor/out/b     \\[1\\]    3 directions, 1 element    .*xor.nn:8:14\n"
                                             "  d loss / d xor/out/w     \\[8,1\\]  3 directions, 8 elements   .*xor.nn:8:14\n"
                                             "4 gradients checked, worst relative error .*\n"));
  EXPECT_EQ(folder.run("$NNC gradcheck $SOURCE/examples/xor.nn train_step --in lr=0.1 --seed 3").out, ran.out);
}

TEST(gradcheck_command, reads_the_text_of_the_ir) {
  const Folder folder;
  const Ran ran = folder.run("$NNC $SOURCE/examples/xor.nn --emit=ir -o x.nnir && $NNC gradcheck x.nnir");
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("4 gradients checked"));
}

TEST(gradcheck_command, finds_requests_in_loops) {
  const Folder folder;
  const Ran ran = folder.run("$NNC gradcheck $SOURCE/examples/karate.nn train");
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("d loss / d club/dense_0/w  [34,16]"));
}

TEST(gradcheck_command, draws_labels_that_pass_the_checks) {
  const Folder folder;
  folder.write("m.nn", "net n(x: f32[N, 3]) = dense(x, 2)\n"
                       "entry step(x: f32[4, 3], label: i32[4]) { return g = grad(mean(cross_entropy(n(x), label)), x) }\n");
  const Ran ran = folder.run("$NNC gradcheck m.nn");
  EXPECT_EQ(ran.code, 0) << ran.err;
}

TEST(gradcheck_command, fails_at_kinks_and_where_nothing_is_finite) {
  const Folder folder;
  folder.write("m.nn", "entry f(x: f32) { return g = grad(abs(x), x) }\n");
  const Ran kink = folder.run("$NNC gradcheck m.nn --in x=0");
  EXPECT_EQ(kink.code, 1);
  EXPECT_THAT(kink.out, HasSubstr("there is a kink along every direction"));
  EXPECT_THAT(kink.err, HasSubstr("m.nn: 1 of 1 gradient wrong or not proved"));
  EXPECT_EQ(folder.run("$NNC gradcheck m.nn --in x=-2").code, 0);
}

TEST(gradcheck_command, wants_parameters_that_prove_something) {
  const Folder folder;
  folder.write("m.nn",
               "net model(x: f32[1, 8]) {\n  param w1: f32[8, 8] = zeros()\n  param w2: f32[8, 1] = zeros()\n"
               "  return relu(x @ w1) @ w2\n}\nentry train_step(x: f32[1, 8], y: f32[1, 1]) {\n"
               "  loss = mse(model(x), y)\n  update sgd(loss)\n  return loss\n}\nentry none() { return y = zeros([1]) }\n");
  const Ran zeros = folder.run("$NNC gradcheck m.nn");
  EXPECT_EQ(zeros.code, 1);
  EXPECT_THAT(zeros.out, HasSubstr("all 0 here"));
  EXPECT_THAT(zeros.err, HasSubstr("m.nn: every gradient is 0 here, which proves little: give other parameters with --weights"));
  folder.write("drawn.nn", folder.read("m.nn"));
  const Ran others = folder.run("sed -i 's/zeros()/normal()/' drawn.nn && $NNC run drawn.nn none --weights-out w.safetensors "
                                ">log 2>&1; $NNC gradcheck m.nn --weights w.safetensors");
  EXPECT_EQ(others.code, 0) << others.err << folder.read("log");
  EXPECT_THAT(others.out, testing::Not(HasSubstr("all 0 here")));
}

TEST(gradcheck_command, refuses_bad_input) {
  const Folder folder;
  folder.write("m.nn", "entry f(x: f32[2], i: i32) { return g = grad(sum(x * x), x) }\n"
                       "entry plain(x: f32[2]) { return y = x }\n");
  folder.write("plain.nn", "entry plain(x: f32[2]) { return y = x }\n");
  folder.write("strict.nn",
               "entry f(x: f32[2]) {\n  require x > 1, \"x must be above 1\"\n  return g = grad(sum(x * x), x)\n}\n");
  folder.write("text.npy", "this is no tensor");
  folder.write("fused.nnir", "module \"m.nn\"\nfunc f(%x: f32 input) -> (g = %g) {\n"
                             "  %y = fused(%x = %x) : f32 {\n    %a = mul(%x, %x) : f32\n    yield %a\n  }\n"
                             "  %g = grad(%y, %x) : f32\n}\n");
  const std::pair<const char *, const char *> cases[] = {
      {"gradcheck", "nnc: error: MODEL is missing"},
      {"gradcheck none.nn", "none.nn: cannot open"},
      {"gradcheck m.so", "m.so: gradients are checked on the program: the name of a model ends in .nn or .nnir"},
      {"gradcheck m.nn zork", "m.nn: there is no entry `zork`; there are `f`, `plain`"},
      {"gradcheck m.nn plain", "m.nn: `plain` asks for no gradient"},
      {"gradcheck plain.nn", "plain.nn: no entry asks for a gradient"},
      {"gradcheck m.nn f extra", "one word too many: `extra`"},
      {"gradcheck m.nn --in zork=1", "--in zork=1: `f` has no input `zork`"},
      {"gradcheck m.nn --in i=1 --in i=2", "--in i=2: `i` is given twice"},
      {"gradcheck m.nn --in x=1", "`x` is f32[2], so it takes a file"},
      {"gradcheck m.nn --in x=text.npy", "text.npy: "},
      {"gradcheck m.nn --weights none.safetensors", "none.safetensors: "},
      {"gradcheck m.nn --seed x", "--seed=x: it takes a whole number"},
      {"gradcheck m.nn --elements -1", "--elements=-1: it takes a whole number from 0"},
      {"gradcheck strict.nn", "`f` with random inputs: x must be above 1: give those it takes with --in"},
      {"gradcheck m.nn --threads 2", "threads"},
      {"gradcheck fused.nnir", "m.nn: `f` has kernels already: gradients are checked on the program as written"},
  };
  for (const auto &[command, message] : cases) {
    const Ran ran = folder.run(std::string("$NNC ") + command);
    EXPECT_EQ(ran.code, 1) << command;
    EXPECT_THAT(ran.err, HasSubstr(message)) << command;
  }
}

} // namespace
} // namespace nnc
