// Whole modules through fuse and planning: the Plan interpreter agrees with the reference interpreter, and the plan passes the
// verifier. Written as IR text, so that neither the frontend nor generated code is in the way.
#include "ir/error.h"
#include "ir/plan_interpreter.h"
#include "ir/text.h"
#include "passes/passes.h"
#include "passes/plan.h"
#include "tools/pipeline.h"

#include <algorithm>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <ctime>
#include <random>

namespace nnc {
namespace {

Tensor random_tensor(const Type &type, std::mt19937 &random) {
  Tensor tensor(type);
  std::uniform_real_distribution<double> real(-1, 1);
  for (int64_t i = 0; i < type.elements(); ++i)
    if (is_float(type.dtype))
      tensor.set(i, real(random));
    else
      tensor.set_int(i, static_cast<int64_t>(random() % 8));
  return tensor;
}

void expect_near(const Tensor &actual, const Tensor &expected, const std::string &what) {
  ASSERT_EQ(actual.type, expected.type) << what;
  double largest = 1e-3;
  for (int64_t i = 0; i < expected.type.elements(); ++i)
    largest = std::max(largest, std::fabs(expected.get(i)));
  const double tolerance = is_float(expected.type.dtype) ? 2e-5 * largest : 0;
  for (int64_t i = 0; i < expected.type.elements(); ++i)
    ASSERT_LE(std::fabs(actual.get(i) - expected.get(i)), tolerance)
        << what << "[" << i << "]: " << actual.get(i) << " instead of " << expected.get(i);
}

struct Planned {
  Module reference; // derivatives derived, nothing else
  Plan plan;
};

Planned planned(const std::string &text) {
  const Module source = parse_module(text, "test.nnir");
  Module reference = source, module = source;
  PassOptions only_grad, checked;
  only_grad.passes = {"grad"};
  checked.verify_each = true;
  run_passes(reference, only_grad);
  run_passes(module, checked);
  return {reference, make_plan(module, "test.nnir")};
}

struct Given {
  std::vector<Tensor> inputs, states;
};

Given random_given(const Module &module, const Function &function) {
  std::mt19937 random(7);
  Given given;
  for (int a = 0; a < function.args; ++a)
    if (function.arg_info[a].state < 0)
      given.inputs.push_back(random_tensor(function.nodes[a].type(), random));
  for (const State &state : module.states)
    given.states.push_back(random_tensor(state.type, random));
  return given;
}

// Every entry, on random inputs and states.
void compare(const std::string &text) {
  const auto [reference, plan] = planned(text);
  ASSERT_EQ(verify_plan(plan), "") << plan_text(plan);
  for (size_t e = 0; e < reference.functions.size(); ++e) {
    const Function &function = reference.functions[e];
    const auto [inputs, states] = random_given(reference, function);
    const RunResult expected = interpret(function, inputs, states);
    const RunResult actual = interpret(plan, plan.entries[e], inputs, states);
    SCOPED_TRACE(plan_text(plan));
    ASSERT_EQ(actual.failed_check, expected.failed_check);
    ASSERT_EQ(actual.outputs.size(), expected.outputs.size());
    for (size_t i = 0; i < expected.outputs.size(); ++i)
      expect_near(actual.outputs[i].second, expected.outputs[i].second, expected.outputs[i].first);
    std::vector<Tensor> after = states;
    for (const auto &[index, value] : expected.states)
      after[index] = value;
    if (!actual.states.empty())
      for (size_t s = 0; s < after.size(); ++s)
        expect_near(actual.states[s].second, after[s], reference.states[s].path);
  }
}

// Text may be anything that the verifier takes: what was fused in part is fused, what no kernel can be is refused.
std::string refused(const std::string &text, std::vector<std::string> passes = {}) {
  Module module = parse_module(text, "test.nnir");
  PassOptions options;
  options.passes = std::move(passes);
  try {
    run_pipeline(module, PipelineEnd::fused, options);
    return verify_plan(make_plan(module, "test.nnir"));
  } catch (const Error &error) {
    return error.what();
  }
}

TEST(planning, takes_what_is_fused_in_part) {
  const std::string head = "module \"t.nn\"\nfunc f(%x: f32[2,3] input) -> (y = %y) {\n", tail = "}\n";
  const std::string loop = "  %y = scan(steps=2, slice %r = %x) : f32[2,3] {\n";
  EXPECT_EQ(refused(head + loop + "    %h = fused(%r = %r) : f32[3] {\n      %h = tanh(%r) : f32[3]\n      yield %h\n    }\n" +
                    "    %z = add(%h, 1) : f32[3]\n    yield %z\n  }\n" + tail),
            "");
  EXPECT_EQ(refused(head + "  %t = transpose(%x, axes=[1,0]) : f32[3,2]\n  %y = fused(%t = %t) : f32[3,2] {\n" +
                    "    %z = exp(%t) : f32[3,2]\n    yield %z\n  }\n" + tail),
            "`%y` (fused) has an operand that is in no memory");
  EXPECT_EQ(refused(head + loop + "    %h, %s = fused(%r = %r) : f32[3], f32 {\n      %h = tanh(%r) : f32[3]\n" +
                    "      %s = sum(%h, axes=[0]) : f32\n      %b = broadcast(%s, axes=[]) : f32[4]\n" +
                    "      %e = exp(%b) : f32[4]\n      yield %h, %s\n    }\n    yield %h\n  }\n" + tail),
            "`%h` (fused) is no kernel: a result would be written again for every row");
  EXPECT_EQ(refused(head + "  %s = sum(%x, axes=[0]) : f32[3]\n  %b = broadcast(%s, axes=[1]) : f32[2,3]\n" +
                        "  %y = add(%b, %x) : f32[2,3]\n" + tail,
                    {"cse"}),
            "`%s` (sum) is in no kernel");
}

TEST(planning, elementwise_and_views) {
  compare(R"(module "t.nn"
func f(%x: f32[6,10] input, %y: f32[10,6] input) -> (a = %a, b = %b, c = %c, d = %d) {
  %t = transpose(%y, axes=[1,0]) : f32[6,10]
  %s = add(%x, %t) : f32[6,10]
  %a = tanh(%s) : f32[6,10]
  %b = slice(%a, start=[1,9], stride=[2,-3]) : f32[3,4]
  %c = concat(%x, %a, axis=1) : f32[6,20]
  %p = pad(%x, 0.5, start=[1,2], stride=[1,2]) : f32[8,24]
  %d = mul(%p, 3) : f32[8,24]
}
)");
}

// Each needs the copy of the one before.
TEST(planning, reshapes_of_reshapes) {
  std::string text =
      "module \"t.nn\"\nfunc f(%x: f32[2,3] input) -> (y = %y, z = %r4) {\n  %r0 = transpose(%x, axes=[1,0]) : f32[3,2]\n";
  for (int i = 1; i < 5; ++i)
    text += fmt::format("  %s{0} = reshape(%r{1}) : f32[2,3]\n  %r{0} = transpose(%s{0}, axes=[1,0]) : f32[3,2]\n", i, i - 1);
  compare(text + "  %y = neg(%r4) : f32[3,2]\n}\n");
  compare(
      text +
      "  %y = scan(steps=3, slice %s = %r4, %v = %s4) : f32[3,2] {\n    %b = slice(%v, start=[0,0], stride=[1,1]) : f32[1,2]\n"
      "    %c = reshape(%b) : f32[2]\n    %d = add(%c, %s) : f32[2]\n    yield %d\n  }\n}\n");
}

TEST(planning, softmax_and_layer_norm) {
  compare(R"(module "t.nn"
func f(%x: f32[9,33] input, %g: f32[33] input) -> (y = %y, n = %n, k = %k) {
  %m = max(%x, axes=[1]) : f32[9]
  %mb = broadcast(%m, axes=[0]) : f32[9,33]
  %d = sub(%x, %mb) : f32[9,33]
  %e = exp(%d) : f32[9,33]
  %z = sum(%e, axes=[1]) : f32[9]
  %zb = broadcast(%z, axes=[0]) : f32[9,33]
  %y = div(%e, %zb) : f32[9,33]
  %total = sum(%x, axes=[1]) : f32[9]
  %mean = mul(%total, 0.030303031) : f32[9]
  %meanb = broadcast(%mean, axes=[0]) : f32[9,33]
  %c = sub(%x, %meanb) : f32[9,33]
  %v = variance(%x, axes=[1]) : f32[9]
  %ve = add(%v, 1e-5) : f32[9]
  %r = sqrt(%ve) : f32[9]
  %rb = broadcast(%r, axes=[0]) : f32[9,33]
  %q = div(%c, %rb) : f32[9,33]
  %gb = broadcast(%g, axes=[1]) : f32[9,33]
  %n = mul(%q, %gb) : f32[9,33]
  %k = argmax(%x, axes=[1]) : i32[9]
}
)");
}

// Reads w before it writes w, checks its labels, and has column sums, a loss and a copy of the old weights.
const char *const training_step = R"(module "t.nn"
state "w1" : f32[12,20] param
state "b1" : f32[20] param
state "w2" : f32[20,8] param
state "v2" : f32[20,8] carried
func step(%x: f32[16,12] input, %label: i32[16] input, %w1: f32[12,20] state "w1", %b1: f32[20] state "b1", %w2: f32[20,8] state "w2", %v2: f32[20,8] state "v2") -> (loss = %loss, old = %w2, %w1n -> %w1, %b1n -> %b1, %w2n -> %w2, %v2n -> %v2, check %ok "a label is below 8") {
  %lt = lt(%label, 8) : bool[16]
  %li = cast(%lt, i32) : i32[16]
  %lm = min(%li, axes=[0]) : i32
  %ok = cast(%lm, bool) : bool
  %z1 = dot(%x, %w1, "bi,io->bo") : f32[16,20]
  %b1b = broadcast(%b1, axes=[1]) : f32[16,20]
  %a1 = add(%z1, %b1b) : f32[16,20]
  %h = maximum(%a1, 0) : f32[16,20]
  %z2 = dot(%h, %w2, "bi,io->bo") : f32[16,8]
  %m = max(%z2, axes=[1]) : f32[16]
  %ms = stop_gradient(%m) : f32[16]
  %mb = broadcast(%ms, axes=[0]) : f32[16,8]
  %d = sub(%z2, %mb) : f32[16,8]
  %e = exp(%d) : f32[16,8]
  %s = sum(%e, axes=[1]) : f32[16]
  %ls = log(%s) : f32[16]
  %i = iota(i32, axis=1) : i32[16,8]
  %lb = broadcast(%label, axes=[0]) : i32[16,8]
  %hit = eq(%i, %lb) : bool[16,8]
  %pick = select(%hit, %d, 0) : f32[16,8]
  %picked = sum(%pick, axes=[1]) : f32[16]
  %each = sub(%ls, %picked) : f32[16]
  %all = sum(%each, axes=[0]) : f32
  %loss = mul(%all, 0.0625) : f32
  %g1, %gb, %g2 = grad(%loss, %w1, %b1, %w2) : f32[12,20], f32[20], f32[20,8]
  %u1 = mul(%g1, 0.1) : f32[12,20]
  %w1n = sub(%w1, %u1) : f32[12,20]
  %ub = mul(%gb, 0.1) : f32[20]
  %b1n = sub(%b1, %ub) : f32[20]
  %sq = mul(%g2, %g2) : f32[20,8]
  %v2n = muladd(%v2, 0.9, %sq) : f32[20,8]
  %v2e = add(%v2n, 2) : f32[20,8]
  %root = sqrt(%v2e) : f32[20,8]
  %q2 = div(%g2, %root) : f32[20,8]
  %w2n = sub(%w2, %q2) : f32[20,8]
}
)";

TEST(planning, training_step) { compare(training_step); }

// The control of all these tests: where two calls share memory that one of them writes, their order shows. (A check that comes
// too early sees 0xFF, which is true; that is for the verifier.)
TEST(planning, wrong_order_shows) {
  const auto [reference, plan] = planned(training_step);
  const PlanEntry &entry = plan.entries[0];
  const auto [inputs, states] = random_given(reference, reference.functions[0]);
  const RunResult right = interpret(plan, entry, inputs, states);
  const auto writes = [&](const Step &step, size_t i) {
    return step.kernel >= 0 && plan.kernels[step.kernel].pointers[i].written;
  };
  const auto conflict = [&](const Step &x, const Step &y) {
    for (size_t i = 0; i < x.args.size(); ++i)
      for (size_t j = 0; j < y.args.size(); ++j) {
        const Ref &a = x.args[i], &b = y.args[j];
        if ((writes(x, i) || writes(y, j)) && a.space == b.space && a.index == b.index && a.offset < b.offset + b.bytes &&
            b.offset < a.offset + a.bytes)
          return true;
      }
    return false;
  };
  int swapped = 0;
  for (size_t first = 0; first < entry.steps.size(); ++first)
    for (size_t second = first + 1; second < entry.steps.size(); ++second) {
      if (entry.steps[first].kernel < 0 || entry.steps[second].kernel < 0 || !conflict(entry.steps[first], entry.steps[second]))
        continue;
      PlanEntry wrong = entry;
      std::swap(wrong.steps[first], wrong.steps[second]);
      const RunResult result = interpret(plan, wrong, inputs, states);
      bool shows = result.failed_check != right.failed_check || result.outputs.size() != right.outputs.size();
      for (size_t i = 0; i < result.outputs.size() && !shows; ++i)
        shows = !same_bits(result.outputs[i].second, right.outputs[i].second);
      for (size_t s = 0; s < result.states.size() && !shows; ++s)
        shows = !same_bits(result.states[s].second, right.states[s].second);
      EXPECT_TRUE(shows) << "steps " << first << " and " << second << " of\n" << plan_text(plan);
      ++swapped;
    }
  EXPECT_GT(swapped, 10);
}

// Next values that need each other's old values, and one state that is another's old value.
TEST(planning, states_that_swap) {
  compare(R"(module "t.nn"
state "a" : f32[40] carried
state "b" : f32[40] carried
state "c" : f32[40] carried
func f(%a: f32[40] state "a", %b: f32[40] state "b", %c: f32[40] state "c") -> (s = %s, %an -> %a, %bn -> %b, %a -> %c) {
  %an = mul(%b, 2) : f32[40]
  %bn = add(%a, %c) : f32[40]
  %t = sub(%an, %a) : f32[40]
  %s = sum(%t, axes=[0]) : f32
}
)");
}

// One scalar beside tensors of different sizes, and two slices that start at the same place.
TEST(planning, readers_of_different_sizes) {
  compare(R"(module "t.nn"
func f(%lr: f32 input, %a: f32[16] input, %b: f32[5] input) -> (x = %x, y = %y, z = %z) {
  %la = broadcast(%lr, axes=[]) : f32[16]
  %lb = broadcast(%lr, axes=[]) : f32[5]
  %x = mul(%la, %a) : f32[16]
  %y = mul(%lb, %b) : f32[5]
  %s = slice(%a, start=[3], stride=[1]) : f32[5]
  %t = slice(%a, start=[3], stride=[1]) : f32[7]
  %sum = sum(%t, axes=[0]) : f32
  %sb = broadcast(%sum, axes=[]) : f32[5]
  %z = add(%s, %sb) : f32[5]
}
)");
}

// One scalar that everything reads, as all initialisers read the seed: eight times the readers take about eight times as long,
// not sixty-four times. (Sizes that differ keep the readers from merging.)
TEST(planning, readers_without_end) {
  const auto seconds = [](int readers) {
    std::string text = "module \"t.nn\"\nfunc f(%s: f32 input) -> (";
    for (int i = 0; i < readers; ++i)
      text += fmt::format("{}y{} = %y{}", i == 0 ? "" : ", ", i, i);
    text += ") {\n";
    for (int i = 0; i < readers; ++i)
      text += fmt::format("  %b{} = broadcast(%s, axes=[]) : f32[{}]\n  %y{} = exp(%b{}) : f32[{}]\n", i, i + 2, i, i, i + 2);
    Module module = parse_module(text + "}\n", "t.nnir");
    PassOptions options;
    options.passes = {"fuse"};
    const std::clock_t start = std::clock();
    run_passes(module, options);
    return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  };
  seconds(32); // the first run also pays for page faults
  EXPECT_LT(seconds(512), 30 * seconds(64));
}

// Next values that are parts of the old one: none may be overwritten before it is read.
TEST(planning, states_turned_within_themselves) {
  compare(R"(module "t.nn"
state "a" : f32[31] carried
state "b" : f32[31] carried
state "c" : f32[31] carried
state "d" : f32[7,7] carried
func f(%a: f32[31] state "a", %b: f32[31] state "b", %c: f32[31] state "c", %d: f32[7,7] state "d") -> (%an -> %a, %bn -> %b, %cn -> %c, %dn -> %d) {
  %tail = slice(%a, start=[6], stride=[1]) : f32[25]
  %head = slice(%a, start=[0], stride=[1]) : f32[6]
  %an = concat(%tail, %head, axis=0) : f32[31]
  %first = slice(%b, start=[0], stride=[1]) : f32[25]
  %bn = pad(%first, 0.5, start=[6], stride=[1]) : f32[31]
  %cn = slice(%c, start=[30], stride=[-1]) : f32[31]
  %dn = transpose(%d, axes=[1,0]) : f32[7,7]
}
)");
}

// Large enough to be cut into grains.
TEST(planning, grains) {
  compare(R"(module "t.nn"
func f(%x: f32[300,700] input, %w: f32[700,90] input) -> (y = %y, columns = %columns, total = %total, gw = %gw) {
  %z = dot(%x, %w, "bi,io->bo") : f32[300,90]
  %y = tanh(%z) : f32[300,90]
  %columns = sum(%y, axes=[0]) : f32[90]
  %total = sum(%y, axes=[0,1]) : f32
  %gw = grad(%total, %w) : f32[700,90]
}
func rows(%x: f32[500,400] input) -> (y = %y, columns = %columns) {
  %m = max(%x, axes=[1]) : f32[500]
  %mb = broadcast(%m, axes=[0]) : f32[500,400]
  %d = sub(%x, %mb) : f32[500,400]
  %y = exp(%d) : f32[500,400]
  %columns = sum(%y, axes=[0]) : f32[400]
}
)");
}

TEST(planning, batches_and_integers) {
  compare(R"(module "t.nn"
func f(%q: f32[2,3,5,4] input, %k: f32[2,3,6,4] input, %i: i32[7,3] input, %j: i32[3,7] input, %v: f32[5] input, %u: f32[5] input) -> (s = %s, p = %p, o = %o, d = %d) {
  %s = dot(%q, %k, "abic,abjc->abij") : f32[2,3,5,6]
  %p = dot(%i, %j, "mk,kn->mn") : i32[7,7]
  %o = dot(%v, %u, "i,j->ij") : f32[5,5]
  %d = dot(%v, %u, "i,i->") : f32
}
)");
}

} // namespace
} // namespace nnc
