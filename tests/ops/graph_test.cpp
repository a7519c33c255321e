// Small graphs for what the order of loops, stages and steps has to get right. Most of them came out wrong once.
#include "tests/ops/engines.h"
#include "tests/ops/ways.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace nnc {
namespace {

void expect_right(const std::string &text) { EXPECT_EQ(problem_in_text(text), ""); }

// A state's next value made of parts of the state: none may be overwritten before it is read.
TEST(Graphs, StateTurnedWithinItself) {
  expect_right(R"(state "s" : f32[31] carried
func f(%s: f32[31] state "s") -> (%n -> %s) {
  %a = slice(%s, start=[6], stride=[1]) : f32[25]
  %b = slice(%s, start=[0], stride=[1]) : f32[6]
  %n = concat(%a, %b, axis=0) : f32[31]
})");
  expect_right(R"(state "s" : f32[31] carried
func f(%s: f32[31] state "s") -> (%n -> %s) {
  %a = slice(%s, start=[0], stride=[1]) : f32[25]
  %n = pad(%a, 0.5, start=[6], stride=[1]) : f32[31]
})");
  expect_right(R"(state "s" : f32[31] carried
state "t" : f32[7,7] carried
func f(%s: f32[31] state "s", %t: f32[7,7] state "t") -> (%n -> %s, %m -> %t) {
  %n = slice(%s, start=[30], stride=[-1]) : f32[31]
  %m = transpose(%t, axes=[1,0]) : f32[7,7]
})");
}

// A state's next value in its own memory, beside another result of the same sweep that still reads the state.
TEST(Graphs, StateReplacedBesideItsReader) {
  expect_right(R"(state "s" : f32[5,33] carried
state "t" : f32[5,33] carried
func f(%s: f32[5,33] state "s", %t: f32[5,33] state "t") -> (z = %z, y = %y, %n -> %s) {
  %z = sum(%t, axes=[0]) : f32[33]
  %n = mul(%t, %t) : f32[5,33]
  %y = sub(%n, %s) : f32[5,33]
})");
}

// Results that vary along the inner axis although their values do not.
TEST(Graphs, RowValueRepeatedAlongTheRow) {
  expect_right(R"(func f(%x: f32[5,33] input) -> (y = %y, z = %z) {
  %s = sum(%x, axes=[1]) : f32[5]
  %m = max(%x, axes=[1]) : f32[5]
  %sb = broadcast(%s, axes=[0]) : f32[5,33]
  %mb = broadcast(%m, axes=[0]) : f32[5,33]
  %y = sub(%sb, %mb) : f32[5,33]
  %z = add(%x, %sb) : f32[5,33]
})");
  expect_right(R"(func f(%x: f32 input) -> (y = %y) {
  %xb = broadcast(%x, axes=[]) : f32[15]
  %s = sum(%xb, axes=[0]) : f32
  %sb = broadcast(%s, axes=[]) : f32[15]
  %y = add(%xb, %sb) : f32[15]
})");
}

// Sums of what does not vary along the row, one after another.
TEST(Graphs, StagesOfRepeatedValues) {
  expect_right(R"(func f(%x: f32[4] input) -> (y = %y) {
  %xb = broadcast(%x, axes=[0]) : f32[4,20]
  %m = max(%xb, axes=[1]) : f32[4]
  %mb = broadcast(%m, axes=[0]) : f32[4,20]
  %d = sub(%xb, %mb) : f32[4,20]
  %e = exp(%d) : f32[4,20]
  %s = sum(%e, axes=[1]) : f32[4]
  %y = log(%s) : f32[4]
})");
}

// More reductions one after another than fit in one kernel.
TEST(Graphs, ManyStages) {
  std::string text = "func f(%x0: f32[3,40] input) -> (y = %x40) {\n";
  for (int i = 0; i < 40; ++i) {
    const std::string n = std::to_string(i), next = std::to_string(i + 1);
    text += "  %m" + n + " = " + (i % 2 ? "max" : "min") + "(%x" + n + ", axes=[1]) : f32[3]\n";
    text += "  %b" + n + " = broadcast(%m" + n + ", axes=[0]) : f32[3,40]\n";
    text += "  %x" + next + " = sub(%x" + n + ", %b" + n + ") : f32[3,40]\n";
  }
  expect_right(text + "}");
}

// Two sums over rows in a kernel with one more axis, or one more inner axis, than they have.
TEST(Graphs, SumOfWhatRepeatsInTheKernel) {
  expect_right(R"(func f(%x: f32[9,33] input, %z: f32[4,9,33] input) -> (y = %y, s = %s) {
  %v = mul(%x, %x) : f32[9,33]
  %vb = broadcast(%v, axes=[1,2]) : f32[4,9,33]
  %a = add(%vb, %z) : f32[4,9,33]
  %m = max(%a, axes=[2]) : f32[4,9]
  %mb = broadcast(%m, axes=[0,1]) : f32[4,9,33]
  %y = sub(%a, %mb) : f32[4,9,33]
  %s = sum(%v, axes=[0]) : f32[33]
})");
  expect_right(R"(func f(%x: f32[9,33] input, %z: f32[9,33,5] input) -> (y = %y, s = %s) {
  %v = mul(%x, %x) : f32[9,33]
  %vb = broadcast(%v, axes=[0,1]) : f32[9,33,5]
  %a = mul(%vb, %z) : f32[9,33,5]
  %m = max(%a, axes=[1,2]) : f32[9]
  %mb = broadcast(%m, axes=[0]) : f32[9,33,5]
  %y = sub(%a, %mb) : f32[9,33,5]
  %s = sum(%v, axes=[0]) : f32[33]
})");
}

TEST(Graphs, SlicesOfDifferentSizeFromOnePlace) {
  expect_right(R"(func f(%x: f32[40] input, %a: f32[8] input, %b: f32[40] input) -> (y = %y, z = %z) {
  %s = slice(%x, start=[0], stride=[1]) : f32[8]
  %y = add(%s, %a) : f32[8]
  %z = mul(%x, %b) : f32[40]
})");
}

// A matrix whose rows, columns or elements are all the same.
TEST(Graphs, DotOfRepeatedOperands) {
  for (const char *shape : {"f32[20,30]", "f32[70,8]", "f32[70,3]", "f32[5,40]", "f32[7,1]"}) {
    const std::string type = shape, k = type.substr(4, type.find(',') - 4), n = type.substr(type.find(',') + 1);
    for (const char *axes : {"[]", "[0]", "[1]"}) {
      const std::string a = axes, source = a == "[]" ? "f32" : a == "[0]" ? "f32[" + k + "]" : "f32[" + n;
      expect_right("func f(%x: f32[17," + k + "] input, %w: " + source +
                   " input) -> (y = %y, t = %t) {\n  %wb = broadcast(%w, axes=" + axes + ") : " + type +
                   "\n  %y = dot(%x, %wb, \"mk,kn->mn\") : f32[17," + n + "\n  %t = dot(%wb, %x, \"kn,mk->nm\") : f32[" +
                   n.substr(0, n.size() - 1) + ",17]\n}");
    }
  }
}

// Lanes beyond the end of what is summed count for nothing, also where both operands repeat.
TEST(Graphs, DotOfOneNumber) {
  expect_right(R"(func f(%x: f32 input) -> (y = %y) {
  %xb = broadcast(%x, axes=[]) : f32[7,5]
  %y = dot(%xb, %xb, "ab,ab->") : f32
})");
}

// A product that would be multiplied again for every step of an axis it does not have.
TEST(Graphs, DotBesideMoreAxes) {
  expect_right(R"(func f(%x: f32[6,20] input, %w: f32[20,10] input, %z: f32[4,6,10] input) -> (y = %y) {
  %d = dot(%x, %w, "mk,kn->mn") : f32[6,10]
  %db = broadcast(%d, axes=[1,2]) : f32[4,6,10]
  %y = add(%db, %z) : f32[4,6,10]
})");
}

// What a sum of floats may be off by: 4 log2(n) eps of the sum of magnitudes, along any axis, with any lanes, in any number of
// grains. The terms are all alike, whose roundings go the same way; or one large one first, beside which small ones could be
// lost.
struct LongSums {
  std::string text; // results are sums of the input
  Shape shape;
  std::vector<Shape> axes; // by result: what is summed
};

double exact_sum(const Tensor &x, const Shape &axes, int64_t result, double &magnitude) {
  const Shape &shape = x.type.shape;
  Shape kept;
  int64_t rest = result, from = 0;
  const Shape strides = contiguous_strides(shape);
  for (int64_t axis = x.type.rank() - 1; axis >= 0; --axis)
    if (std::ranges::find(axes, axis) == axes.end()) {
      from += rest % shape[axis] * strides[axis];
      rest /= shape[axis];
    }
  long double sum = 0, lost = 0, all = 0;
  std::function<void(size_t, int64_t)> add = [&](size_t i, int64_t at) {
    if (i == axes.size()) {
      const long double term = x.get(at), next = sum + term;
      lost += std::abs(sum) >= std::abs(term) ? (sum - next) + term : (term - next) + sum; // Neumaier's summation
      sum = next;
      all += std::abs(term);
      return;
    }
    for (int64_t k = 0; k < shape[axes[i]]; ++k)
      add(i + 1, at + k * strides[axes[i]]);
  };
  add(0, from);
  magnitude = static_cast<double>(all);
  return static_cast<double>(sum + lost);
}

void expect_accurate(const LongSums &sums) {
  const Sample sample = sample_of_text("module \"t.nn\"\n" + sums.text);
  const Plan plan = plan_of(sample.module);
  const DType dtype = plan.entries[0].inputs[0].type.dtype;
  const double eps = dtype == DType::f64 ? 0x1p-52 : 0x1p-23;
  Tensor alike(Type{dtype, sums.shape}), falling(alike.type), mixed = random_tensor(alike.type, 7);
  for (int64_t i = 0; i < alike.type.elements(); ++i) {
    alike.set(i, 100.1);
    falling.set(i, i < alike.type.elements() / sums.shape[0] ? 1 : eps * 0.49);
  }
  for (const std::string &cpu : runnable_cpus()) {
    const LoadedCode code = load_jit(compile_plan(plan, make_target(cpu)));
    for (const Tensor *x : {&alike, &falling, &mixed}) {
      const RunResult result = run_code(code, plan, 0, {x, 1}, {});
      ASSERT_EQ(result.outputs.size(), sums.axes.size());
      for (size_t r = 0; r < sums.axes.size(); ++r)
        for (int64_t i = 0, count = result.outputs[r].second.type.elements(); i < count; i += std::max<int64_t>(1, count / 3)) {
          double magnitude = 0;
          const double exact = exact_sum(*x, sums.axes[r], i, magnitude);
          const auto n = static_cast<double>(x->type.elements() / count);
          EXPECT_LE(std::abs(result.outputs[r].second.get(i) - exact), 4 * std::log2(n) * eps * magnitude)
              << cpu << " result " << r << " element " << i << "\n"
              << plan_text(plan);
        }
    }
  }
}

TEST(Graphs, LongSumsAreAccurate) {
  for (const std::string dtype : {"f32", "f64"}) {
    // All of a vector; the columns and the rows of a matrix, narrow and wide; the outer and the inner axes of three.
    for (const Shape &shape : {Shape{100003}, Shape{30001, 2}, Shape{3, 40001}, Shape{5003, 70}, Shape{300, 7, 310}})
      for (const Shape &axes : {Shape{0}, Shape{1}, Shape{0, 1}, Shape{0, 2}, Shape{2}, Shape{0, 1, 2}}) {
        if (axes.back() >= static_cast<int64_t>(shape.size()))
          continue;
        Shape kept;
        for (size_t axis = 0; axis < shape.size(); ++axis)
          if (std::ranges::find(axes, static_cast<int64_t>(axis)) == axes.end())
            kept.push_back(shape[axis]);
        expect_accurate({fmt::format("func f(%x: {}{} input) -> (s = %s) {{\n  %s = sum(%x, axes={}) : {}{}\n}}", dtype,
                                     shape_text(shape), shape_text(axes), dtype, kept.empty() ? "" : shape_text(kept)),
                         shape,
                         {axes}});
      }
    // Sums over rows that leave a kernel in which rows are summed as well.
    for (const Shape &shape : {Shape{4001, 40}, Shape{300, 2100}, Shape{20011, 6}})
      expect_accurate(
          {fmt::format("func f(%x: {0}{1} input) -> (s = %s, t = %t, u = %u) {{\n  %s = sum(%x, axes=[1]) : {0}[{2}]\n"
                       "  %m = max(%x, axes=[1]) : {0}[{2}]\n  %b = broadcast(%m, axes=[0]) : {0}{1}\n"
                       "  %y = maximum(%x, %b) : {0}{1}\n  %z = minimum(%y, %x) : {0}{1}\n"
                       "  %t = sum(%z, axes=[0]) : {0}[{3}]\n  %u = sum(%z, axes=[0,1]) : {0}\n}}",
                       dtype, shape_text(shape), shape[0], shape[1]),
           shape,
           {{1}, {0}, {0, 1}}});
  }
}

// An infinity among the terms of a long sum over rows stays one.
TEST(Graphs, LongSumsOfInfinities) {
  const Sample sample = sample_of_text(R"(module "t.nn"
func f(%x: f32[3000,8] input) -> (s = %s, t = %t) {
  %m = max(%x, axes=[1]) : f32[3000]
  %b = broadcast(%m, axes=[0]) : f32[3000,8]
  %y = minimum(%x, %b) : f32[3000,8]
  %s = sum(%y, axes=[1]) : f32[3000]
  %t = sum(%y, axes=[0]) : f32[8]
})");
  const Plan plan = plan_of(sample.module);
  Tensor x = expanded(Tensor::filled(Type{DType::f32, {3000, 8}}, -1));
  x.set(100 * 8 + 3, -INFINITY);
  for (int64_t i = 0; i < 3000; ++i)
    x.set(i * 8 + 5, 3e38);
  for (const std::string &cpu : runnable_cpus()) {
    const LoadedCode code = load_jit(compile_plan(plan, make_target(cpu)));
    const RunResult result = run_code(code, plan, 0, {&x, 1}, {});
    EXPECT_EQ(result.outputs[1].second.get(3), -INFINITY);
    EXPECT_EQ(result.outputs[1].second.get(4), -3000);
    EXPECT_EQ(result.outputs[1].second.get(5), INFINITY);
  }
}

// No sum overflows that does not as written: a factor stays within where the sum without it may be too large.
TEST(Graphs, FactorsKeepSumsFromOverflow) {
  const Sample sample = sample_of_text(R"(module "t.nn"
func f(%x: f32[1] input, %y: f32[1] input, %u: f32[100,4] input, %w: f32[4] input) -> (a = %a, b = %b, c = %c, d = %d, e = %e) {
  %xy = mul(%x, %y) : f32[1]
  %z = neg(%y) : f32[1]
  %xz = mul(%x, %z) : f32[1]
  %a = sub(%xy, %xz) : f32[1]
  %u1 = mul(%u, 0.001) : f32[100,4]
  %b = sum(%u1, axes=[0]) : f32[4]
  %u2 = div(%u, 1000) : f32[100,4]
  %s = sum(%u2, axes=[0]) : f32[4]
  %c = div(%s, 100) : f32[4]
  %one = pad(%x, 1, start=[0], stride=[1]) : f32[100]
  %d = dot(%one, %u1, "i,ij->j") : f32[4]
  %wb = broadcast(%w, axes=[1]) : f32[100,4]
  %uw = mul(%u, %wb) : f32[100,4]
  %e = dot(%one, %uw, "i,ij->j") : f32[4]
})");
  const Tensor x = Tensor::filled(Type{DType::f32, {1}}, 1e-10), y = Tensor::filled(Type{DType::f32, {1}}, 3e38);
  const Tensor u = Tensor::filled(Type{DType::f32, {100, 4}}, 1e38), w = Tensor::filled(Type{DType::f32, {4}}, 1e-3);
  const std::vector<Tensor> inputs = {expanded(x), expanded(y), expanded(u), expanded(w)};
  const double right[] = {6e28, 1e37, 1e35, 9.9e36, 9.9e36};
  const Plan plan = plan_of(sample.module);
  for (const std::string &cpu : runnable_cpus()) {
    const LoadedCode code = load_jit(compile_plan(plan, make_target(cpu)));
    const RunResult result = run_code(code, plan, 0, inputs, {});
    for (size_t i = 0; i < result.outputs.size(); ++i)
      EXPECT_NEAR(result.outputs[i].second.get(0) / right[i], 1, 1e-5) << result.outputs[i].first;
  }
}

} // namespace
} // namespace nnc
