// Kernels and plans made by hand: their text, the Plan interpreter, and what the verifier refuses.
#include "ir/plan_interpreter.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

namespace nnc {
namespace {

using testing::HasSubstr;

KernelNode arg(std::string name, int pointer, Shape strides, DType dtype = DType::f32) {
  KernelNode node;
  node.op = Op::arg;
  node.name = std::move(name);
  node.dtype = dtype;
  node.access = {pointer, 0, strides};
  for (size_t a = 0; a < strides.size(); ++a)
    node.depends |= uint64_t(strides[a] != 0) << a;
  return node;
}

KernelNode number(double value) {
  KernelNode node;
  node.op = Op::constant;
  node.number = value;
  return node;
}

KernelNode compute(Op op, std::vector<int> operands, uint64_t depends, int stage = 0, std::string name = "") {
  KernelNode node;
  node.op = op;
  node.operands = std::move(operands);
  node.depends = depends;
  node.stage = stage;
  node.name = std::move(name);
  return node;
}

KernelPointer read(int64_t elements, DType dtype = DType::f32) { return {dtype, true, false, {}, elements}; }
KernelPointer written(int64_t elements, DType dtype = DType::f32) { return {dtype, false, true, {}, elements}; }
KernelPointer in_place(int64_t elements) { return {DType::f32, true, true, {}, elements}; }

// y = softmax(x) over the second axis of 4 x 6, two grains.
Kernel softmax() {
  Kernel k;
  k.axes = {{4, false}, {6, true}};
  k.rows = 1;
  k.vector_axis = 1;
  k.stages = 3;
  k.grains = 2;
  k.pointers = {read(24), written(24)};
  k.nodes = {arg("x", 0, {6, 1}),
             compute(Op::max, {0}, 1, 1, "m"),
             compute(Op::sub, {0, 1}, 3, 1),
             compute(Op::exp, {2}, 3, 1, "e"),
             compute(Op::sum, {3}, 1, 2, "z"),
             compute(Op::div, {3, 4}, 3, 2, "y")};
  k.nodes[1].home = k.nodes[4].home = Home::acc;
  k.nodes[3].home = Home::row;
  k.roots = {{5, {1, 0, {6, 1}}}};
  return k;
}

// h = max(x @ w + b, 0) and the sums of its columns, 4 x 3 x 5, `grains` pieces of the rows.
Kernel dense(int64_t grains) {
  Kernel k;
  k.recipe = Recipe::gemm;
  k.axes = {{4, false}, {5, false}, {3, true}};
  k.rows = 2;
  k.vector_axis = 1;
  k.stages = 2;
  k.grains = grains;
  k.dot = 2;
  k.dot_axes = {{}, {0}, {1}, {2}};
  k.pointers = {read(12), read(15), read(5), written(20), written(5)};
  k.nodes = {arg("x", 0, {3, 0, 1}),
             arg("w", 1, {0, 1, 5}),
             compute(Op::dot, {0, 1}, 3, 1, "z"),
             arg("b", 2, {0, 1, 0}),
             compute(Op::add, {2, 3}, 3, 1),
             number(0),
             compute(Op::maximum, {4, 5}, 3, 1, "h"),
             compute(Op::sum, {6}, 2, 1, "s")};
  k.nodes[2].home = Home::acc;
  k.nodes[3].stage = 1;
  k.nodes[7].partial = true;
  k.nodes[7].attrs.axes = {0};
  k.roots = {{6, {3, 0, {5, 1, 0}}}, {7, {4, 0, {0, 1, 0}}}};
  return k;
}

// t = sum of p[g, c] over g: combines the partials.
Kernel combine(int64_t grains, int64_t columns) {
  Kernel k;
  k.axes = {{columns, false}, {grains, true}};
  k.rows = 1;
  k.vector_axis = 0;
  k.pointers = {read(grains * columns), written(columns)};
  k.nodes = {arg("p", 0, {1, columns}), compute(Op::sum, {0}, 1, 1, "t")};
  k.nodes[1].home = Home::acc;
  k.roots = {{1, {1, 0, {1, 0}}}};
  return k;
}

// w := w - 0.5 * g, 20 elements.
Kernel descend() {
  Kernel k;
  k.axes = {{20, false}};
  k.rows = 1;
  k.vector_axis = 0;
  k.pointers = {in_place(20), read(20)};
  k.nodes = {arg("w", 0, {1}), arg("g", 1, {1}), number(0.5), compute(Op::mul, {1, 2}, 1),
             compute(Op::sub, {0, 3}, 1, 0, "w.next")};
  k.roots = {{4, {0, 0, {1}}}};
  return k;
}

// ok = all of x < 100, as the smallest of the comparisons would be: one element here.
Kernel below_100() {
  Kernel k;
  k.pointers = {read(1), written(1, DType::boolean)};
  k.nodes = {arg("x", 0, {}), number(100), compute(Op::lt, {0, 1}, 0, 0, "ok")};
  k.nodes[2].dtype = DType::boolean;
  k.roots = {{2, {1, 0, {}}}};
  return k;
}

Type f32(Shape shape) { return {DType::f32, std::move(shape)}; }

Tensor ramp(Type type, double from, double step) {
  Tensor tensor(std::move(type));
  for (int64_t i = 0; i < tensor.type.elements(); ++i)
    tensor.set(i, from + step * static_cast<double>(i));
  return tensor;
}

Ref input(int index, int64_t bytes) { return {Ref::Space::input, index, 0, bytes}; }
Ref output(int index, int64_t bytes) { return {Ref::Space::output, index, 0, bytes}; }
Ref state(int64_t offset, int64_t bytes) { return {Ref::Space::state, 0, offset, bytes}; }
Ref workspace(int64_t offset, int64_t bytes) { return {Ref::Space::workspace, 0, offset, bytes}; }

Step call(int kernel, std::vector<Ref> args, std::string note = "") {
  Step step;
  step.kernel = kernel;
  step.args = std::move(args);
  step.note = std::move(note);
  return step;
}

// One entry: checks x[0] < 100, h = dense(x, w, b) with its column sums as an output, then w descends along h.
Plan layer() {
  Plan plan;
  plan.kernels = {below_100(), dense(2), combine(2, 5), descend()};
  plan.states = {{{"w", f32({3, 5}), true}, 0}, {{"b", f32({5}), true}, 64}, {{"v", f32({4, 5}), false}, 128}};
  plan.state_bytes = 208;
  PlanEntry entry;
  entry.name = "step";
  entry.inputs = {{"x", f32({4, 3})}};
  entry.outputs = {{"total", f32({5})}};
  entry.checks = {{"`x` is below 100", {}}};
  Step check;
  check.args = {workspace(0, 1)};
  check.check = 0;
  entry.steps = {call(0, {input(0, 48), workspace(0, 1)}), check,
                 call(1, {input(0, 48), state(0, 60), state(64, 20), workspace(64, 80), workspace(192, 40)}, "x w b h parts"),
                 call(2, {workspace(192, 40), output(0, 20)}, "parts total"), call(3, {state(128, 80), workspace(64, 80)})};
  entry.writes_state = true;
  entry.workspace_bytes = 256;
  entry.flop = 1.2e6;
  entry.bytes = 340;
  plan.entries = {entry};
  return plan;
}

std::vector<Tensor> layer_states() { return {ramp(f32({3, 5}), -0.5, 0.1), ramp(f32({5}), 0.1, -0.1), ramp(f32({4, 5}), 0, 1)}; }

TEST(kernel_text, shows_a_stage_a_line) {
  EXPECT_EQ(kernel_text(softmax()), "loop    r:4 | c:6   vector c   grains 2 of r\n"
                                    "  s0   m = max_c(%x)\n"
                                    "  s1   e = exp(%x - m) -> row   z = sum_c(e)\n"
                                    "  s2   %y = e / z\n");
  EXPECT_EQ(kernel_summary(softmax()), "r:4 | c:6, 3 stages");
}

TEST(kernel_text, shows_roles_roots_and_partials_of_a_dot) {
  EXPECT_EQ(kernel_text(dense(2)), "gemm    m:4 n:5 | k:3   vector n   grains 2 of m\n"
                                   "  s0   z = dot(%x[m,k], %w[k,n])\n"
                                   "  s1   %h = maximum(z + %b[n], 0)   %s[n] = sum_m(h) 2 partials\n");
  EXPECT_EQ(kernel_summary(dense(1)), "maximum(dot + b, 0), sum_m(maximum(dot + b, 0))");
}

TEST(kernel_text, identity_has_no_names_and_misses_nothing) {
  Kernel renamed = softmax();
  renamed.nodes[3].name = "other";
  renamed.nodes[3].loc.line = 7;
  renamed.pointers[0].value = {5, 0};
  EXPECT_EQ(kernel_text(renamed, true), kernel_text(softmax(), true));
  const std::vector<void (*)(Kernel &)> changes = {
      [](Kernel &k) { k.recipe = Recipe::gemv; },
      [](Kernel &k) { k.axes[0].size = 8; },
      [](Kernel &k) { k.axes[1].inner = false; },
      [](Kernel &k) { k.rows = 2; },
      [](Kernel &k) { k.vector_axis = 0; },
      [](Kernel &k) { k.pointers[0].dtype = DType::f64; },
      [](Kernel &k) { k.pointers[0].written = true; },
      [](Kernel &k) { k.pointers[0].elements = 25; },
      [](Kernel &k) { k.nodes[3].op = Op::log; },
      [](Kernel &k) { k.nodes[5].operands = {4, 3}; },
      [](Kernel &k) { k.nodes[5].dtype = DType::f64; },
      [](Kernel &k) { k.nodes[5].attrs.axis = 1; },
      [](Kernel &k) { k.nodes[0].access.offset = 1; },
      [](Kernel &k) { k.nodes[0].access.strides = {1, 4}; },
      [](Kernel &k) { k.nodes[0].number = -0.0; },
      [](Kernel &k) { k.nodes[0].integer = 1; },
      [](Kernel &k) { k.nodes[4].partial = true; },
      [](Kernel &k) { k.nodes[4].depends = 3; },
      [](Kernel &k) { k.nodes[4].stage = 3; },
      [](Kernel &k) { k.nodes[3].home = Home::none; },
      [](Kernel &k) { k.roots[0].node = 3; },
      [](Kernel &k) { k.roots[0].access.strides = {1, 4}; },
      [](Kernel &k) { k.dot = 1; },
      [](Kernel &k) { k.dot_axes.k = {1}; },
      [](Kernel &k) { k.stages = 4; },
      [](Kernel &k) { k.grains = 4; },
      [](Kernel &k) { k.grain_axis = 1; },
      [](Kernel &k) { k.scratch_bytes = 64; },
  };
  for (size_t i = 0; i < changes.size(); ++i) {
    Kernel changed = softmax();
    changes[i](changed);
    EXPECT_NE(kernel_text(changed, true), kernel_text(softmax(), true)) << "change " << i;
  }
}

TEST(plan_text, shows_a_step_a_line) {
  const std::string text = plan_text(layer());
  EXPECT_THAT(text, HasSubstr("state 208 bytes, constants 0 bytes\n"
                              "  @0         w                                        f32[3,5] trained\n"));
  EXPECT_THAT(text, HasSubstr("plan step(%x: f32[4,3]) -> (%total: f32[5])\n"
                              "  workspace 256 bytes + 0 a thread   5 steps, 4 kernels   1.2 MFLOP   340 B moved\n"));
  EXPECT_THAT(text, HasSubstr("  check  %@0                                                  `x` is below 100\n"
                              "  call   k1(%x, %w, %b) -> %h@64, %parts@192                  gemm     maximum(dot"));
  EXPECT_THAT(text, HasSubstr("  call   k3(%v!, %@64)  "));
}

TEST(plan_interpreter, runs_stages_and_grains) {
  const Tensor x = ramp(f32({4, 6}), -3, 0.25);
  Tensor y(f32({4, 6}));
  std::byte *pointers[] = {const_cast<std::byte *>(x.bytes.data()), y.bytes.data()};
  run_kernel(softmax(), pointers);
  for (int r = 0; r < 4; ++r) {
    double sum = 0;
    for (int c = 0; c < 6; ++c)
      sum += std::exp(x.get(6 * r + c));
    for (int c = 0; c < 6; ++c)
      EXPECT_NEAR(y.get(6 * r + c), std::exp(x.get(6 * r + c)) / sum, 1e-6);
  }
}

TEST(plan_interpreter, runs_an_entry) {
  const Plan plan = layer();
  ASSERT_EQ(verify_plan(plan), "");
  const Tensor x = ramp(f32({4, 3}), -1, 0.3);
  const std::vector<Tensor> states = layer_states();
  const RunResult result = interpret(plan, plan.entries[0], {&x, 1}, states);
  ASSERT_EQ(result.failed_check, "");
  ASSERT_EQ(result.outputs.size(), 1u);
  ASSERT_EQ(result.states.size(), 3u);
  for (int j = 0; j < 5; ++j) {
    double total = 0;
    for (int i = 0; i < 4; ++i) {
      double h = states[1].get(j);
      for (int k = 0; k < 3; ++k)
        h += x.get(3 * i + k) * states[0].get(5 * k + j);
      h = std::max(h, 0.0);
      total += h;
      EXPECT_NEAR(result.states[2].second.get(5 * i + j), states[2].get(5 * i + j) - 0.5 * h, 1e-5);
    }
    EXPECT_NEAR(result.outputs[0].second.get(j), total, 1e-5);
  }
  EXPECT_TRUE(same_bits(result.states[0].second, states[0]));
}

TEST(plan_interpreter, a_failed_check_changes_nothing) {
  const Plan plan = layer();
  const Tensor x = ramp(f32({4, 3}), 100, 1);
  const std::vector<Tensor> states = layer_states();
  const RunResult result = interpret(plan, plan.entries[0], {&x, 1}, states);
  EXPECT_EQ(result.failed_check, "`x` is below 100");
  EXPECT_TRUE(result.outputs.empty() && result.states.empty());
}

TEST(plan_interpreter, shows_an_early_read_as_nan) {
  Plan plan = layer();
  std::swap(plan.entries[0].steps[2], plan.entries[0].steps[3]); // the sums are combined before they are made
  EXPECT_THAT(verify_plan(plan), HasSubstr("before it is written"));
  const Tensor x = ramp(f32({4, 3}), -1, 0.3);
  const std::vector<Tensor> states = layer_states();
  const RunResult result = interpret(plan, plan.entries[0], {&x, 1}, states);
  EXPECT_TRUE(std::isnan(result.outputs[0].second.get(0)));
}

TEST(plan_interpreter, shows_a_row_that_is_overwritten_too_early) {
  Kernel kernel = softmax(); // y where x was, and x read again after y was written
  kernel.pointers = {in_place(24)};
  kernel.roots = {{3, {0, 0, {6, 1}}}};
  kernel.nodes[5].operands = {0, 4};
  kernel.nodes[5].home = Home::row; // else nobody asks for it
  Tensor x = ramp(f32({4, 6}), -3, 0.25);
  const Tensor before = x;
  std::byte *pointers[] = {x.bytes.data()};
  run_kernel(kernel, pointers);
  EXPECT_NEAR(x.get(5), 1, 1e-6); // exp(x - max), and legal for the memory of the caller …
  Plan plan;
  plan.kernels = {kernel};
  EXPECT_THAT(verify_plan(plan), HasSubstr("is overwritten in stage 1 and read in stage 2")); // … but not for what follows
}

TEST(verify_plan, refuses_what_does_not_fit) {
  struct Case {
    void (*change)(Plan &);
    const char *message;
  };
  const std::vector<Case> cases = {
      {[](Plan &p) { p.entries[0].workspace_bytes = 200; }, "step 2: bytes 192 + 40 lie outside a block of 200"},
      {[](Plan &p) { p.entries[0].steps[2].args[3].offset = 66; }, "offset 66 is not aligned to f32"},
      {[](Plan &p) { p.entries[0].steps[2].args[4].offset = 128; }, "shares bytes with arg"},
      {[](Plan &p) { p.entries[0].steps[2].args[3] = input(0, 48); }, "elements do not fit"},
      {[](Plan &p) { p.entries[0].inputs[0].type = f32({20}), p.entries[0].steps[2].args[3] = input(0, 80); },
       "writes what may only be read"},
      {[](Plan &p) { std::swap(p.entries[0].steps[1], p.entries[0].steps[4]); }, "before it is written"},
      {[](Plan &p) { p.entries[0].steps.erase(p.entries[0].steps.begin() + 3); }, "output `total` is not written"},
      {[](Plan &p) { std::rotate(p.entries[0].steps.begin() + 1, p.entries[0].steps.begin() + 2, p.entries[0].steps.end()); },
       "comes after a write"},
      {[](Plan &p) { p.states[1].offset = 32; }, "state `b`: offset 32"},
      {[](Plan &p) { p.kernels[1].scratch_bytes = 4096; }, "scratch of 4096 bytes"},
      {[](Plan &p) { p.kernels[3].nodes[0].access.strides = {-1}; }, "reaches elements -19..0 of 20"},
      {[](Plan &p) {
         p.kernels[3].nodes[0].access.strides = {0};
         p.kernels[3].nodes[0].depends = 0;
       },
       "read at other elements"},
      {[](Plan &p) { p.kernels[3].nodes[4].depends = 0; }, "depends on 0, its operands on 1"},
      {[](Plan &p) { p.kernels[1].nodes[2].depends = 7; }, "varies along axis 2, which it reduces"},
      {[](Plan &p) { p.kernels[1].nodes[7].attrs.axes.clear(); }, "is added again along axis 0"},
      {[](Plan &p) { p.kernels[1].stages = 0; }, "is reduced in stage 0 of 0"},
      {[](Plan &p) { p.kernels[1].grain_axis = 2; }, "2 grains of axis 2"},
  };
  for (const Case &c : cases) {
    Plan plan = layer();
    c.change(plan);
    EXPECT_THAT(verify_plan(plan), HasSubstr(c.message));
  }
}

TEST(verify_plan, lets_parts_of_a_buffer_interleave) {
  Kernel halves; // a[i] -> y[i,0], a[i] -> y[i,1]
  halves.axes = {{4, false}};
  halves.rows = 1;
  halves.pointers = {read(4), written(7), written(7)};
  halves.nodes = {arg("a", 0, {1})};
  halves.roots = {{0, {1, 0, {2}}}, {0, {2, 0, {2}}}};
  Plan plan;
  plan.kernels = {halves};
  PlanEntry entry;
  entry.inputs = {{"a", f32({4})}};
  entry.outputs = {{"y", f32({4, 2})}};
  const Ref first{Ref::Space::output, 0, 0, 28}, second{Ref::Space::output, 0, 4, 28};
  entry.steps = {call(0, {input(0, 16), first, second})};
  plan.entries = {entry};
  EXPECT_EQ(verify_plan(plan), "");
  plan.entries[0].steps[0].args[2].offset = 0;
  EXPECT_THAT(verify_plan(plan), HasSubstr("shares bytes"));
}

} // namespace
} // namespace nnc
