// `nnc summary`: the table against sums by hand.
#include "tests/process.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace nnc {
namespace {

using nlohmann::json;
using testing::HasSubstr;

TEST(summary, counts_the_layers_of_mnist) {
  const Folder folder;
  const Ran ran = folder.run("$NNC summary $SOURCE/examples/mnist.nn");
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("layers of `predict`"));
  EXPECT_THAT(ran.out, HasSubstr("  mlp/dense_0  dense     f32[1,512]     401,920  803,328\n")); // 2 * 784 * 512 + 512
  EXPECT_THAT(ran.out, HasSubstr("  407,050 parameters in 1,628,200 bytes; "));
  EXPECT_THAT(ran.out, HasSubstr("  train_step "));
  const json all = json::parse(folder.run("$NNC summary $SOURCE/examples/mnist.nn train_step --set batch=32 --json").out);
  EXPECT_EQ(all["parameters"], 407050);
  EXPECT_EQ(all["entry"], "train_step");
  double parameters = 0;
  for (const json &layer : all["layers"]) {
    parameters += layer["parameters"].get<double>();
    if (layer["layer"] == "mlp/dense_1") {
      EXPECT_EQ(layer["shape"], json({32, 10}));
      EXPECT_EQ(layer["flops"], 32 * (2 * 512 * 10 + 10));
    }
  }
  EXPECT_EQ(parameters, 407050);
  for (const json &entry : all["entries"])
    EXPECT_EQ(entry["writes_state"], entry["name"] == "train_step");
}

// Layers made in a loop, one beside the other, a net of its own that is called twice, and a loop that stays one.
TEST(summary, tells_calls_apart) {
  const Folder folder;
  folder.write("m.nn", "net n(x: f32[N, 4]) {\n"
                       "  for i in 0..3 { x = dense(x, 4) }\n"
                       "  y = tanh(x) + x\n"
                       "  return y\n"
                       "}\n"
                       "net tied(x: f32[N, 4]) = dense(x, 4)\n"
                       "entry f(x: f32[2, 4], s: f32[5, 2, 4]) {\n"
                       "  h = zeros([2, 4])\n"
                       "  scan u in s { h = h + u }\n"
                       "  return y = tied(tied(n(x))) + h\n"
                       "}\n");
  const Ran ran = folder.run("$NNC summary m.nn --json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  const json all = json::parse(ran.out);
  std::string rows;
  for (const json &layer : all["layers"])
    rows += fmt::format("{}|{}|{}|{} ", layer["layer"].get<std::string>(), layer["function"].get<std::string>(),
                        layer["parameters"].get<int>(), layer["flops"].get<double>());
  EXPECT_EQ(rows, "|scan|0|40 n/dense_0|dense|20|72 n/dense_1|dense|20|72 n/dense_2|dense|20|72 n|tanh|0|8 n|add|0|8 "
                  "tied/dense_0|dense|20|72 tied/dense_0|dense|0|72 |add|0|8 ");
  EXPECT_EQ(all["parameters"], 80);
}

TEST(summary, reads_a_compiled_model) {
  const Folder folder;
  const Ran ran = folder.run("$NNC $SOURCE/examples/mnist.nn -o m.so && $NNC summary m.so");
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("  mlp/dense_0/w  f32[784,512]   401,408\n"));
  EXPECT_THAT(ran.out, HasSubstr("  407,050 parameters in 1,628,200 bytes; "));
  EXPECT_THAT(folder.run("$NNC summary m.so predict").err, HasSubstr("m.so: a compiled model does not keep its layers"));
  EXPECT_THAT(folder.run("$NNC summary m.so --set batch=2").err, HasSubstr("m.so: --set is for consts of a .nn file"));
  EXPECT_THAT(folder.run("$NNC summary $SOURCE/examples/mnist.nn nothing").err, HasSubstr("there is no entry `nothing`"));
}

} // namespace
} // namespace nnc
