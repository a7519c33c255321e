// The IR's text: round trips of a module with every op, what the text leaves out and puts back, and damaged text.
#include "ir/builder.h"
#include "ir/error.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "tests/paths.h"

#include <fstream>
#include <gtest/gtest.h>
#include <limits>
#include <set>

namespace nnc {
namespace {

// Every op of the table, in the form in which it is printed.
const char *const every_op = R"(module "mnist.nn"
file 1 "std/layers.nn"

state "mlp/dense_0/w" : f32[4,3] param
state "mlp/dense_0/w/adam/m" : f32[4,3] carried

# Trains.
#
#   indented
func train_step(%x: f32[2,4] input @3:4, %label: u8[2] input, %w: f32[4,3] state "mlp/dense_0/w") -> () @13:1 {
  %z = dot(%x, %w, "bi,io->bo") : f32[2,3] @1:9:10/1
  %0 = add(%z, 0.1) : f32[2,3] @13:15'
  %1 = sub(1e-07, %0) : f32[2,3]
  %2 = mul(%0, %1) : f32[2,3] @13:15''/2
  %3 = div(%2, inf) : f32[2,3]
  %4 = rem(%3, -inf) : f32[2,3]
  %5 = muladd(%4, 2, %z) : f32[2,3]
  %6 = neg(%5) : f32[2,3]
  %7 = abs(%6) : f32[2,3]
  %8 = floor(%7) : f32[2,3]
  %9 = round(%8) : f32[2,3]
  %10 = exp(%9) : f32[2,3]
  %11 = log(%10) : f32[2,3]
  %12 = sin(%11) : f32[2,3]
  %13 = cos(%12) : f32[2,3]
  %14 = tanh(%13) : f32[2,3]
  %15 = erf(%14) : f32[2,3]
  %16 = sqrt(%15) : f32[2,3]
  %pow = pow(%16, 2.5) : f32[2,3]
  %expm1 = expm1(%pow) : f32[2,3]
  %log1p = log1p(%expm1) : f32[2,3]
  %atan = atan(%log1p) : f32[2,3]
  %sigmoid = sigmoid(%atan) : f32[2,3]
  %cdf = normal_cdf(%sigmoid) : f32[2,3]
  %17 = maximum(%16, nan) : f32[2,3]
  %18 = minimum(%17, -0) : f32[2,3]
  %19 = eq(%18, 0) : bool[2,3]
  %20 = lt(%18, 3.4028235e+38) : bool[2,3]
  %21 = logical_and(%19, true) : bool[2,3]
  %22 = logical_or(false, %21) : bool[2,3]
  %23 = logical_not(%22) : bool[2,3]
  %24 = select(%23, 1, 0) : f32[2,3]
  %25 = stop_gradient(%24) : f32[2,3]
  %26 = cast(%label, i64) : i64[2]
  %27 = philox(-9223372036854775808, %26) : i32[2]
  %28 = broadcast(%26, axes=[0]) : i64[2,3]
  %29 = transpose(%28, axes=[1,0]) : i64[3,2]
  %30 = reshape(%29) : i64[6]
  %31 = slice(%30, start=[5], stride=[-2]) : i64[3]
  %32 = pad(%31, 7, start=[1], stride=[2]) : i64[8]
  %33 = concat(%32, %31, axis=0) : i64[11]
  %34 = iota(i32, axis=1) : i32[2,11]
  %35 = sum(%25, axes=[0]) : f32[3]
  %36 = prod(%25, axes=[1]) : f32[2]
  %37 = max(%25, axes=[0,1]) : f32
  %38 = min(%34, axes=[0]) : i32[11]
  %39 = argmax(%25, axes=[1]) : i32[2]
  %40 = variance(%25, axes=[1]) : f32[2]
  %41 = window(%33, axes=[0], stride=[2], dilation=[3]) : i64[4,2]
  %42 = unwindow(%41, axes=[0], stride=[2], dilation=[3]) : i64[11]
  %43 = argsort(%25, axis=1) : i32[2,3]
  %44 = gather(%25, %43, axis=0) : f32[2,3,3]
  %45 = scatter_add(%44, %43, axis=0) : f32[5,3]
}

func predict(%x: f32[3] input) -> (y = %y, z = %c @4:5, check %ok "label \"a\" \\ outside\n\x01") {
  %c = constant([1, 2.5, nan]) : f32[3]
  %0 = constant(1) : f32[3]
  %none = constant([]) : f32[0]
  %y, %1 = fused(%x = %x, %0 = %c) : f32[3], f32[3] @7:8 {
    %a = add(%x, 1) : f32[3] @1:2:3'/1
    %1 = mul(%a, %0) : f32[3]
    yield %1, %a
  }
  %ok = constant(true) : bool
  %total = sum(%y, axes=[0]) : f32
  %d.x, %d.c = grad(%total, %x, %c) : f32[3], f32[3] @8:1
}

path 1 = mlp@13:12, dense@1:6:18
path 2 = mlp@14:12
)";

Module parse(const std::string &text) { return parse_module(text, "t.nnir"); }

std::string error_of(const std::string &text) {
  try {
    parse(text);
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

TEST(Text, RoundTripOfEveryOp) {
  const Module module = parse(every_op);
  EXPECT_EQ(print(module), every_op);
  std::set<Op> seen;
  for (const Node &node : module.functions[0].nodes)
    seen.insert(node.op);
  for (Op op : all_ops())
    EXPECT_TRUE(seen.count(op)) << op_info(op).name;
}

TEST(Text, TheExampleOfTheDocumentIsAPrint) {
  std::ifstream document(source_dir() + "/docs/ir.md");
  std::string example;
  for (std::string line; std::getline(document, line);) {
    const bool indented = line.rfind("    ", 0) == 0;
    if (line == "    module \"mnist.nn\"" || (!example.empty() && (indented || line.empty())))
      example += (indented ? line.substr(4) : line) + "\n";
    else if (!example.empty())
      break;
  }
  ASSERT_FALSE(example.empty());
  example.pop_back(); // the empty line after it
  EXPECT_EQ(print(parse(example)), example);
}

TEST(Text, PrintsWhatTheBuilderBuilds) {
  Module module;
  module.files = {"a.nn"};
  Function f;
  f.name = "f";
  Builder b(f);
  const Value x = b.arg({DType::f32, {2}}, "x");
  f.arg_info = {{-1}};
  const Value half = b.like(x, 0.5);
  const Value named = b.constant(Tensor::filled({DType::f32, {2}}, 3), "three");
  const Value two_constants = b.add(half, b.like(x, 1)); // neither can be a literal
  const Value y = b.mul(b.add(x, b.like(x, 2)), named);
  b.constant({DType::f32, {}}, 9); // unused
  b.set_name(two_constants, "x");
  f.function_results = {{Result::Kind::output, "y", b.add(y, two_constants), -1, {}}};
  module.functions.push_back(f);
  ASSERT_EQ(verify(module), "");
  const std::string text = R"(module "a.nn"

func f(%x: f32[2] input) -> (y = %5) {
  %0 = constant(0.5) : f32[2]
  %three = constant(3) : f32[2]
  %1 = constant(1) : f32[2]
  %x.1 = add(%0, %1) : f32[2]
  %2 = add(%x, 2) : f32[2]
  %3 = mul(%2, %three) : f32[2]
  %4 = constant(9) : f32
  %5 = add(%3, %x.1) : f32[2]
}
)";
  EXPECT_EQ(print(module), text);
  EXPECT_EQ(print(parse(text)), text);
  EXPECT_EQ(value_texts(f)[5][0], "2");
}

TEST(Text, LiteralsKeepTheirBits) {
  for (double value : {0.1, 1e-45, 3.4028234663852886e38, -0.0, 1 / 3.0, std::numeric_limits<double>::infinity()})
    for (DType dtype : {DType::f32, DType::f64, DType::bf16, DType::f16}) {
      Module module;
      Function f;
      f.name = "f";
      Builder(f).constant({dtype, {}}, value);
      module.functions.push_back(f);
      EXPECT_TRUE(same_bits(*parse(print(module)).functions[0].nodes[0].data, *f.nodes[0].data)) << print(module);
    }
}

TEST(Text, LongHeadersGetALineForEachItem) {
  const std::string text = R"(module "a.nn"

state "net/some_quite_long_name_of_a_layer/w" : f32[2] param

func f(
    %x: f32[2] input,
    %w: f32[2] state "net/some_quite_long_name_of_a_layer/w" @1:2
) -> (
    y = %w.next,
    %w.next -> %w @3:4
) @5:6 {
  %w.next = add(%x, %w) : f32[2]
}
)";
  EXPECT_EQ(print(parse(text)), text);
}

TEST(Text, CommentsAndLayoutAreFree) {
  const std::string loose =
      "# head\nmodule \"a.nn\" # tail\n# dropped\n\n#  doc\r\n#\nfunc f(\n) # no\n->(y=%y){%y\n=constant(1)\n:f32 # end\n}#";
  EXPECT_EQ(print(parse(loose)), "module \"a.nn\"\n\n#  doc\r\n#\nfunc f() -> (y = %y) {\n  %y = constant(1) : f32\n}\n");
}

// Damaged text gives an Error with a place, or a module that still obeys the law.
TEST(Text, DamageNeverCrashes) {
  const std::string text = every_op;
  const std::string bytes = "%@\"(){}[]=,:'/#-.x09\n\x80\x00";
  uint32_t random = 1;
  const auto draw = [&](size_t n) { return (random = random * 1664525 + 1013904223) / 65536 % n; };
  for (int i = 0; i < 4000; ++i) {
    std::string damaged = text;
    const size_t at = (draw(1024) * 1024 + draw(1024)) % text.size();
    switch (draw(4)) {
    case 0:
      damaged.resize(at);
      break;
    case 1:
      damaged.erase(at, 1 + draw(20));
      break;
    case 2:
      damaged[at] = bytes[draw(bytes.size())];
      break;
    case 3:
      damaged.insert(at, text.substr(draw(1024), draw(40)));
    }
    try {
      const std::string printed = print(parse(damaged));
      EXPECT_EQ(print(parse(printed)), printed);
    } catch (const Error &error) {
      EXPECT_EQ(std::string(error.what()).rfind("t.nnir:", 0), 0u) << error.what();
    }
  }
}

TEST(Text, DepthAndSizeAreNoTrouble) {
  EXPECT_NE(error_of("module \"a\" func f" + std::string(100000, '(')), "");
  std::string deep = "module \"a\" func f() -> () {";
  for (int i = 0; i < 100000; ++i)
    deep += "%a = fused() : f32 {";
  EXPECT_NE(error_of(deep), "");
  EXPECT_NE(error_of("module \"" + std::string(10000000, 'x')), "");
}

} // namespace
} // namespace nnc
