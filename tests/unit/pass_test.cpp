// Passes one by one on the examples that open their files, the flags of PassOptions, and what is checked after each pass.
#include "frontend/frontend.h"
#include "ir/error.h"
#include "ir/text.h"
#include "passes/passes.h"
#include "passes/repro.h"
#include "tests/paths.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <sstream>

namespace nnc {
namespace {

const std::string head = "module \"m.nn\"\n\n";

std::string after(const std::string &function, PassOptions options) {
  Module module = parse_module(head + function, "t.nnir");
  options.verify_each = true;
  run_passes(module, options);
  return print(module).substr(print(module).find("func"));
}

std::string after(const std::string &function, std::vector<std::string> passes) {
  return after(function, PassOptions{.passes = std::move(passes)});
}

std::string error_of(const std::function<void()> &action) {
  try {
    action();
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

std::string read(const std::string &path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The examples that open the files of the passes.
TEST(Pass, ExamplesOfTheFiles) {
  struct Example {
    std::vector<std::string> passes;
    std::string header, before, after;
  };
  for (const auto &[passes, header, before, after_pass] :
       std::vector<Example>{{{"grad"},
                             "func f(%a: f32[8] input) -> (g = %g)",
                             "  %y = tanh(%a) : f32[8] @2:7\n"
                             "  %l = sum(%y, axes=[0]) : f32 @3:7\n"
                             "  %g = grad(%l, %a) : f32[8] @4:7\n",
                             "  %y = tanh(%a) : f32[8] @2:7\n"
                             "  %l = sum(%y, axes=[0]) : f32 @3:7\n"
                             "  %0 = constant(1) : f32 @3:7'\n"
                             "  %d.y = broadcast(%0, axes=[]) : f32[8] @3:7'\n"
                             "  %1 = mul(%y, %y) : f32[8] @2:7'\n"
                             "  %2 = sub(1, %1) : f32[8] @2:7'\n"
                             "  %g = mul(%d.y, %2) : f32[8] @2:7'\n"},
                            {{"simplify"},
                             "func f(%x: f32[128,784] input, %w: f32[512,784] input) -> (y = %y)",
                             "  %0 = transpose(%w, axes=[1,0]) : f32[784,512]\n"
                             "  %1 = mul(%x, 1) : f32[128,784]\n"
                             "  %y = dot(%1, %0, \"bi,io->bo\") : f32[128,512]\n",
                             "  %y = dot(%x, %w, \"bi,oi->bo\") : f32[128,512]\n"},
                            {{"fold"},
                             "func f() -> (z = %2)",
                             "  %0 = constant(2) : f32[4,4]\n"
                             "  %1 = sqrt(%0) : f32[4,4]\n"
                             "  %2 = neg(%1) : f32[4,4]\n",
                             "  %0 = constant(2) : f32[4,4]\n"
                             "  %1 = constant(1.4142135) : f32[4,4]\n"
                             "  %2 = constant(-1.4142135) : f32[4,4]\n"},
                            {{"cse"},
                             "func f(%s: f32[8] input) -> (y = %y)",
                             "  %e = exp(%s) : f32[8] @8:7\n"
                             "  %z = sum(%e, axes=[0]) : f32\n"
                             "  %0 = broadcast(%z, axes=[]) : f32[8]\n"
                             "  %1 = exp(%s) : f32[8] @8:7'\n"
                             "  %y = div(%1, %0) : f32[8]\n",
                             "  %e = exp(%s) : f32[8] @8:7\n"
                             "  %z = sum(%e, axes=[0]) : f32\n"
                             "  %0 = broadcast(%z, axes=[]) : f32[8]\n"
                             "  %y = div(%e, %0) : f32[8]\n"},
                            {{"muladd", "dce"},
                             "func f(%a: f32[8] input, %b: f32[8] input, %c: f32[8] input) -> (s = %s)",
                             "  %p = mul(%a, %b) : f32[8]\n"
                             "  %s = add(%p, %c) : f32[8]\n",
                             "  %s = muladd(%a, %b, %c) : f32[8]\n"},
                            {{"dce"},
                             "func f(%x: f32[8] input) -> (y = %y)",
                             "  %y = mul(%x, %x) : f32[8]\n"
                             "  %d = exp(%x) : f32[8]\n",
                             "  %y = mul(%x, %x) : f32[8]\n"}})
    EXPECT_EQ(after(header + " {\n" + before + "}\n", passes), header + " {\n" + after_pass + "}\n");
}

TEST(Cse, KeepsTheFirstPlaceAndAName) {
  EXPECT_EQ(after(R"(func f(%x: f32[4] input, %y: f32[4] input) -> (a = %c, b = %d) {
  %0 = add(%x, %y) : f32[4] @1:1
  %sum = add(%y, %x) : f32[4] @2:2
  %b = exp(%0) : f32[4] @3:3
  %c = mul(%b, 0.5) : f32[4]
  %e = exp(%sum) : f32[4] @4:4
  %d = mul(%e, 2) : f32[4]
}
)",
                  {"cse"}),
            R"(func f(%x: f32[4] input, %y: f32[4] input) -> (a = %c, b = %d) {
  %sum = add(%x, %y) : f32[4] @1:1
  %b = exp(%sum) : f32[4] @3:3
  %c = mul(%b, 0.5) : f32[4]
  %d = mul(%b, 2) : f32[4]
}
)");
}

// Attributes, types, the order of operands that do not commute, and the sign of a zero make a difference.
TEST(Cse, WhatDiffersStays) {
  const std::string text =
      R"(func f(%x: f32[2,2] input, %y: f32[2,2] input) -> (a = %0, b = %1, c = %2, d = %3, e = %4, f = %5, g = %6, h = %7) {
  %0 = sum(%x, axes=[0]) : f32[2]
  %1 = sum(%x, axes=[1]) : f32[2]
  %2 = sub(%x, %y) : f32[2,2]
  %3 = sub(%y, %x) : f32[2,2]
  %4 = cast(%x, i32) : i32[2,2]
  %5 = cast(%x, i64) : i64[2,2]
  %6 = constant(0) : f32[2]
  %7 = constant(-0) : f32[2]
}
)";
  const auto bodies = [](const std::string &function) { return function.substr(function.find('{')); };
  EXPECT_EQ(bodies(after(text, {"cse"})), bodies(text));
}

TEST(Cse, ASplatEqualsTheSameDataWrittenOut) {
  EXPECT_EQ(after(R"(func f() -> (a = %s, b = %t) {
  %0 = constant([3, 3]) : f32[2]
  %1 = constant(3) : f32[2]
  %s = exp(%0) : f32[2]
  %t = exp(%1) : f32[2]
}
)",
                  {"cse"}),
            R"(func f() -> (a = %s, b = %s) {
  %0 = constant([3, 3]) : f32[2]
  %s = exp(%0) : f32[2]
}
)");
}

TEST(Fold, SmallResultsAndSplats) {
  EXPECT_EQ(after(R"(func f() -> (a = %2, b = %4, c = %6) {
  %0 = constant(2) : f32[100,100]
  %1 = sqrt(%0) : f32[100,100]
  %2 = neg(%1) : f32[100,100]
  %3 = iota(i32, axis=0) : i32[4]
  %4 = add(%3, %3) : i32[4]
  %5 = constant([1, 2, 3]) : f32[3]
  %6 = sum(%5, axes=[0]) : f32
}
)",
                  {"fold", "dce"}),
            R"(func f() -> (a = %0, b = %2, c = %3) {
  %0 = constant(-1.4142135) : f32[100,100]
  %1 = iota(i32, axis=0) : i32[4]
  %2 = add(%1, %1) : i32[4]
  %3 = constant(6) : f32
}
)");
}

TEST(Muladd, ProductsThatNobodyElseReads) {
  EXPECT_EQ(
      after(
          R"(func f(%a: f32[8] input, %b: f32[8] input, %c: f32[8] input, %n: i32[8] input) -> (s = %s, t = %t, u = %u, v = %v, w = %w, x = %x, q = %q) {
  %p = mul(%a, %b) : f32[8]
  %s = add(%c, %p) : f32[8]
  %q = mul(%b, %c) : f32[8]
  %t = add(%q, %a) : f32[8]
  %0 = mul(%a, 3) : f32[8]
  %u = sub(%c, %0) : f32[8]
  %1 = mul(%a, %c) : f32[8]
  %v = sub(%1, 3) : f32[8]
  %2 = mul(%b, %b) : f32[8]
  %w = sub(%a, %2) : f32[8]
  %3 = mul(%n, %n) : i32[8]
  %x = add(%3, %n) : i32[8]
}
)",
          {"muladd", "dce"}),
      R"(func f(
    %a: f32[8] input,
    %b: f32[8] input,
    %c: f32[8] input,
    %n: i32[8] input
) -> (
    s = %s,
    t = %t,
    u = %u,
    v = %v,
    w = %w,
    x = %x,
    q = %q
) {
  %s = muladd(%a, %b, %c) : f32[8]
  %q = mul(%b, %c) : f32[8]
  %t = add(%q, %a) : f32[8]
  %u = muladd(%a, -3, %c) : f32[8]
  %v = muladd(%a, %c, -3) : f32[8]
  %0 = mul(%b, %b) : f32[8]
  %w = sub(%a, %0) : f32[8]
  %1 = mul(%n, %n) : i32[8]
  %x = add(%1, %n) : i32[8]
}
)");
}

TEST(Dce, StatesAndChecks) {
  Module module = parse_module(R"(module "m.nn"

state "w" : f32[8] param
state "v" : f32[8] carried
state "u" : f32[8] carried

func f(
    %x: f32[8] input,
    %unread: f32[8] input,
    %w: f32[8] state "w",
    %v: f32[8] state "v",
    %u: f32[8] state "u"
) -> (
    y = %y,
    %w.next -> %w,
    %v -> %v,
    check %ok "no"
) {
  %y = mul(%x, %x) : f32[8]
  %w.next = exp(%x) : f32[8]
  %d = sub(%x, %u) : f32[8]
  %0 = sum(%x, axes=[0]) : f32
  %ok = lt(%0, 3) : bool
}
)",
                               "t.nnir");
  run_passes(module, {.passes = {"dce"}, .verify_each = true});
  EXPECT_EQ(print(module, module.functions[0]),
            R"(func f(%x: f32[8] input, %unread: f32[8] input, %w: f32[8] state "w") -> (y = %y, %w.next -> %w, check %ok "no") {
  %y = mul(%x, %x) : f32[8]
  %w.next = exp(%x) : f32[8]
  %0 = sum(%x, axes=[0]) : f32
  %ok = lt(%0, 3) : bool
}
)");
}

// The whole, and the newcomer's program: nothing that a person would not write.
TEST(Pipeline, TheTrainingStepOfMnist) {
  const std::string path = source_dir() + "/examples/mnist.nn";
  const Source source(path, read(path));
  Diagnostics diagnostics;
  std::optional<Module> module = compile_source(source, {}, diagnostics);
  ASSERT_TRUE(module) << diagnostics.text();
  std::vector<std::string> passes;
  for (std::string_view name : default_pipeline())
    if (name != "fuse")
      passes.emplace_back(name);
  run_passes(*module, {.passes = passes, .verify_each = true});
  const Function &f = *module->find("train_step");
  const std::string text = print(*module, f);
  // Two dots forwards and three back; one softmax, one logarithm, one square root a parameter.
  std::map<Op, int> count;
  for (const Node &node : f.nodes)
    ++count[node.op];
  EXPECT_EQ(count[Op::dot], 5) << text;
  EXPECT_EQ(count[Op::exp], 1) << text;
  EXPECT_EQ(count[Op::log], 1) << text;
  EXPECT_EQ(count[Op::max], 1) << text;
  EXPECT_EQ(count[Op::sqrt], 4) << text;
  EXPECT_EQ(count[Op::select], 3) << text;
  EXPECT_EQ(count[Op::transpose] + count[Op::reshape] + count[Op::neg] + count[Op::stop_gradient], 0) << text;
  for (const char *line : {
           "%d.z = muladd(%",
           "%d.dense_1.b = sum(%d.z, axes=[0]) : f32[10] @",
           "%d.hidden = dot(%d.z, %dense_1.w, \"bo,io->bi\") : f32[128,512] @",
           "%d.dense_1.w = dot(%hidden, %d.z, \"bi,bo->io\") : f32[512,10] @",
           "= lt(0, %hidden) : bool[128,512] @",
           ", %d.hidden, 0) : f32[128,512] @",
       })
    EXPECT_NE(text.find(line), text.npos) << line << "\n" << text;
}

const std::string chain = R"(func f(%x: f32[4] input) -> (y = %y) {
  %0 = mul(%x, 1) : f32[4]
  %1 = neg(%0) : f32[4]
  %2 = neg(%1) : f32[4]
  %y = exp(%2) : f32[4]
}
)";

TEST(Flags, UnknownNames) {
  EXPECT_NE(error_of([] { after(chain, {"simplfy"}); }).find("there is no pass `simplfy`; there are grad, simplify"),
            std::string::npos);
  EXPECT_NE(error_of([] { after(chain, PassOptions{.dump = "sum"}); }).find("there is no pass `sum`"), std::string::npos);
  EXPECT_NE(error_of([] { after(chain, PassOptions{.disable = {"x"}}); }).find("there is no pass `x`"), std::string::npos);
  EXPECT_EQ(error_of([] { after(chain, PassOptions{.disable = {"grad"}}); }),
            "the pass `grad` cannot be disabled: nothing runs without it");
}

TEST(Flags, DisableAPassOrARule) {
  EXPECT_EQ(after(chain, PassOptions{.passes = {"simplify"}, .disable = {"simplify"}}), chain);
  EXPECT_NE(after(chain, PassOptions{.passes = {"simplify"}, .disable = {"neg_of"}}).find("neg("), std::string::npos);
  EXPECT_EQ(after(chain, {"simplify"}).find("neg("), std::string::npos);
}

TEST(Flags, DumpAndTime) {
  std::stringstream log;
  after(chain, PassOptions{.passes = {"cse", "simplify", "dce"}, .dump = "changed", .time = true, .log = &log});
  const std::string text = log.str();
  EXPECT_EQ(text.find("# after cse"), text.npos);
  EXPECT_NE(text.find("# after simplify\nmodule \"m.nn\"\n"), text.npos);
  EXPECT_EQ(text.find("# after dce"), text.npos);
  EXPECT_NE(text.find(" ms  simplify\n"), text.npos);
  EXPECT_NE(text.find(" ms  dce (no change)\n"), text.npos);

  const std::string dir = testing::TempDir() + "nnc_dumps";
  std::filesystem::remove_all(dir);
  after(chain, PassOptions{.passes = {"cse", "simplify"}, .dump = "all", .dump_dir = dir});
  const Module dumped = parse_module(read(dir + "/02-simplify.nnir"), "02-simplify.nnir");
  EXPECT_EQ(print(dumped, dumped.functions[0]), after(chain, {"simplify"}));
  EXPECT_TRUE(std::filesystem::exists(dir + "/01-cse.nnir"));
}

// Every number of changes gives a sound module, none gives the one before, and enough give the one after.
TEST(Flags, Bisect) {
  std::stringstream log;
  const auto with = [&](int64_t n) { return after(chain, PassOptions{.passes = {"simplify", "dce"}, .bisect = n, .log = &log}); };
  EXPECT_EQ(with(0), chain);
  EXPECT_EQ(with(1), chain); // the run itself
  EXPECT_NE(with(2), chain);
  EXPECT_EQ(with(100), after(chain, {"simplify", "dce"}));
  EXPECT_NE(log.str().find("bisect: 0 changes made\n"), std::string::npos);
  EXPECT_NE(log.str().find("bisect: 2 changes made, the last: times_one at mul\n"), std::string::npos) << log.str();
}

bool lie(Function &, PassContext &) { return true; }
bool hide(Function &function, PassContext &) {
  function.nodes.back().names[0] = "hidden";
  return false;
}
bool mistype(Function &function, PassContext &) {
  function.nodes.back().types[0].dtype = DType::f64;
  return true;
}
bool crash(Function &, PassContext &) {
  std::raise(SIGSEGV);
  return true;
}

std::string error_after(PassFunction function, const std::string &repro_dir = "") {
  Module module = parse_module(head + chain, "t.nnir");
  const Pass pass{"broken", function, true, ""};
  return error_of([&] { run_pipeline(module, std::span(&pass, 1), {.verify_each = true, .repro_dir = repro_dir}); });
}

TEST(Checks, BrokenPassesAreCaught) {
  EXPECT_EQ(error_after(lie), "internal error: pass `broken`: says it changed the module and did not");
  EXPECT_EQ(error_after(hide), "internal error: pass `broken`: changed the module and does not say so");
  EXPECT_NE(error_after(mistype).find("internal error: pass `broken`: `f`: `%y`"), std::string::npos) << error_after(mistype);
}

TEST(Checks, ReproIsTheModuleBefore) {
  const std::string dir = testing::TempDir() + "nnc_repro";
  std::filesystem::remove_all(dir);
  EXPECT_NE(error_after(mistype, dir).find("(the module before it is in " + dir + "/broken.nnir)"), std::string::npos);
  EXPECT_EQ(read(dir + "/broken.nnir"), "# nnc --emit=ir --passes=broken --verify-each " + dir + "/broken.nnir\n" + head + chain);
}

TEST(ChecksDeathTest, ACrashLeavesARepro) {
  const std::string dir = testing::TempDir() + "nnc_crash";
  std::filesystem::remove_all(dir);
  EXPECT_DEATH(error_after(crash, dir), "");
  const std::string text = read(dir + "/broken.nnir");
  EXPECT_EQ(print(parse_module(text, "broken.nnir")), head + chain);
}

} // namespace
} // namespace nnc
