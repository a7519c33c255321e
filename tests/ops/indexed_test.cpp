// gather, scatter_add and argsort in every place that a kernel has for them: along every axis, with indices of every rank, beyond
// the ends, computed on the way; beside reductions, products and states; on every processor and any threads.
#include "tests/ops/engines.h"
#include "tests/ops/ways.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace nnc {
namespace {

void expect_right(const std::string &text) { EXPECT_EQ(problem_in_text(text), ""); }

std::string type(const std::string &dtype, const Shape &shape) { return shape.empty() ? dtype : dtype + shape_text(shape); }

// The kernels of the text's function, fused, in the number that it should take.
void expect_kernels(size_t count, const std::string &text) {
  const Sample sample = sample_of_text("module \"t.nn\"\n" + text);
  const Plan plan = plan_of(sample.module);
  EXPECT_EQ(plan.entries[0].steps.size(), count) << plan_text(plan);
}

TEST(Indexed, GatherAlongEveryAxis) {
  const Shape table = {5, 9, 20};
  for (const std::string dtype : {"f32", "f64", "u8", "i32", "bool"})
    for (size_t axis = 0; axis < table.size(); ++axis)
      for (const Shape &index : {Shape{}, Shape{1}, Shape{33}, Shape{3, 7}}) {
        Shape result(table.begin(), table.begin() + axis);
        result.insert(result.end(), index.begin(), index.end());
        result.insert(result.end(), table.begin() + axis + 1, table.end());
        expect_right(fmt::format("func f(%t: {} input, %i: {} input) -> (y = %y) {{\n  %y = gather(%t, %i, axis={}) : {}\n}}",
                                 type(dtype, table), type("i32", index), axis, type(dtype, result)));
      }
}

TEST(Indexed, ScatterAddAlongEveryAxis) {
  const Shape whole = {5, 9, 20};
  for (const std::string dtype : {"f32", "f64", "u8", "i32", "i64"})
    for (size_t axis = 0; axis < whole.size(); ++axis)
      for (const Shape &index : {Shape{}, Shape{1}, Shape{33}, Shape{3, 7}}) {
        Shape updates(whole.begin(), whole.begin() + axis);
        updates.insert(updates.end(), index.begin(), index.end());
        updates.insert(updates.end(), whole.begin() + axis + 1, whole.end());
        expect_right(
            fmt::format("func f(%u: {} input, %i: {} input) -> (y = %y) {{\n  %y = scatter_add(%u, %i, axis={}) : {}\n}}",
                        type(dtype, updates), type("i32", index), axis, type(dtype, whole)));
      }
}

TEST(Indexed, ArgsortOfEveryDtypeAndSize) {
  for (const std::string dtype : {"f32", "f64", "u8", "i32", "i64"})
    for (int64_t size : {1, 2, 3, 8, 31, 100})
      for (int64_t axis : {0, 1}) {
        const Shape shape = axis ? Shape{7, size} : Shape{size, 7};
        expect_right(fmt::format("func f(%x: {} input) -> (y = %y) {{\n  %y = argsort(%x, axis={}) : {}\n}}", type(dtype, shape),
                                 axis, type("i32", shape)));
      }
}

// NaN last, -0 and denormals are 0, infinities in their places, equal elements in their order; the extreme integers.
TEST(Indexed, ArgsortOfSpecialNumbers) {
  const double inf = INFINITY, nan = std::nan("");
  for (const DType dtype : {DType::f32, DType::f64}) {
    Sample sample = sample_of_text(fmt::format("module \"t.nn\"\nfunc f(%x: {0}[12] input) -> (y = %y) {{\n"
                                               "  %n = neg(%x) : {0}[12]\n  %y = argsort(%n, axis=0) : i32[12]\n}}",
                                               dtype_name(dtype)));
    const double least = dtype == DType::f32 ? 0x1p-149 : 0x1p-1074;
    const std::vector<double> numbers = {nan, 0.0, -0.0, inf, -nan, 1, -inf, 0.0, -least, least, -1, 1};
    for (size_t i = 0; i < numbers.size(); ++i)
      sample.inputs[0].set(static_cast<int64_t>(i), numbers[i]);
    for (const std::string &cpu : runnable_cpus()) {
      const Plan plan = plan_of(sample.module);
      EXPECT_EQ(plan.entries[0].steps.size(), 1u); // the negated numbers are sorted as they are computed
      const LoadedCode code = load_jit(compile_plan(plan, make_target(cpu)));
      const Tensor order = run_code(code, plan, 0, sample.inputs, {}).outputs[0].second;
      std::vector<int64_t> places;
      for (int64_t i = 0; i < 12; ++i)
        places.push_back(order.get_int(i));
      EXPECT_EQ(places, (std::vector<int64_t>{3, 5, 11, 1, 2, 7, 8, 9, 10, 6, 0, 4})) << cpu;
    }
  }
  for (const DType dtype : {DType::i32, DType::i64}) {
    Sample sample = sample_of_text(fmt::format(
        "module \"t.nn\"\nfunc f(%x: {0}[5] input) -> (y = %y) {{\n  %y = argsort(%x, axis=0) : i32[5]\n}}", dtype_name(dtype)));
    const int64_t low = dtype == DType::i32 ? INT32_MIN : INT64_MIN, high = dtype == DType::i32 ? INT32_MAX : INT64_MAX;
    for (const auto &[i, number] : std::vector<std::pair<int64_t, int64_t>>{{0, high}, {1, -1}, {2, low}, {3, 0}, {4, high}})
      sample.inputs[0].set_int(i, number);
    for (const std::string &cpu : runnable_cpus())
      EXPECT_EQ(problem_in(sample, whole_pipeline(cpu)), "");
  }
}

TEST(Indexed, GatherBetweenOtherWork) {
  const std::string text = R"(func f(%t: f32[11,40] input, %i: i32[90] input, %b: f32[40] input) -> (y = %y, s = %s) {
  %twice = add(%i, %i) : i32[90]
  %two = sub(%twice, 6) : i32[90]
  %g = gather(%t, %two, axis=0) : f32[90,40]
  %bb = broadcast(%b, axes=[1]) : f32[90,40]
  %y = mul(%g, %bb) : f32[90,40]
  %e = exp(%y) : f32[90,40]
  %s = sum(%e, axes=[1]) : f32[90]
})";
  expect_right(text);
  expect_kernels(1, text);
  // Lanes along the places; a table that is seen through views; a stride of the place that is negative.
  expect_right(R"(func f(%t: f32[40,11] input, %i: i32[90] input) -> (y = %y, z = %z) {
  %turned = transpose(%t, axes=[1,0]) : f32[11,40]
  %back = slice(%turned, start=[10,39], stride=[-1,-2]) : f32[11,20]
  %y = gather(%back, %i, axis=0) : f32[90,20]
  %row = slice(%t, start=[3,0], stride=[1,1]) : f32[1,11]
  %flat = reshape(%row) : f32[11]
  %z = gather(%flat, %i, axis=0) : f32[90]
})");
  // A place that is reduced in the kernel, and tables that nothing stores.
  expect_right(R"(func f(%x: f32[30,12] input, %t: f32[12,50] input) -> (y = %y, z = %z, w = %w) {
  %i = argmax(%x, axes=[1]) : i32[30]
  %y = gather(%t, %i, axis=0) : f32[30,50]
  %c = constant(0.5) : f32[12]
  %z = gather(%c, %i, axis=0) : f32[30]
  %n = iota(i32, axis=0) : i32[12]
  %w = gather(%n, %i, axis=0) : i32[30]
})");
  // Below a product, in what follows a product, and below a softmax.
  expect_right(R"(func f(%t: f32[20,33] input, %i: i32[40] input, %w: f32[33,17] input) -> (y = %y, z = %z) {
  %x = gather(%t, %i, axis=0) : f32[40,33]
  %p = dot(%x, %w, "bi,io->bo") : f32[40,17]
  %g = gather(%w, %i, axis=0) : f32[40,17]
  %y = add(%p, %g) : f32[40,17]
  %m = max(%x, axes=[1]) : f32[40]
  %mb = broadcast(%m, axes=[0]) : f32[40,33]
  %z = sub(%x, %mb) : f32[40,33]
})");
}

TEST(Indexed, ScatterAddOfWhatTheKernelComputes) {
  const std::string text = R"(func f(%t: f32[11,40] input, %from: i32[90] input, %to: i32[90] input) -> (y = %y) {
  %g = gather(%t, %from, axis=0) : f32[90,40]
  %e = mul(%g, %g) : f32[90,40]
  %place = sub(%to, 4) : i32[90]
  %y = scatter_add(%e, %place, axis=0) : f32[6,40]
})";
  expect_right(text);
  expect_kernels(1, text);
  // Rows that are normalised first; the places are found by a reduction; results of other shapes leave as well.
  expect_right(R"(func f(%x: f32[30,12] input, %u: f32[30,50] input) -> (y = %y, z = %z, s = %s) {
  %i = argmax(%x, axes=[1]) : i32[30]
  %v = tanh(%u) : f32[30,50]
  %y = scatter_add(%v, %i, axis=0) : f32[12,50]
  %z = scatter_add(%x, %i, axis=0) : f32[4,12]
  %s = sum(%v, axes=[0]) : f32[50]
})");
  // One number for all entries; entries along the last axis; a mask of places on the way.
  expect_right(R"(func f(%i: i32[70] input, %x: f32[6,70] input) -> (n = %n, y = %y) {
  %one = constant(1) : f32[70]
  %n = scatter_add(%one, %i, axis=0) : f32[12]
  %y = scatter_add(%x, %i, axis=1) : f32[6,12]
})");
  // What is scattered is used further on.
  expect_right(R"(func f(%x: f32[50,8] input, %i: i32[50] input) -> (y = %y) {
  %s = scatter_add(%x, %i, axis=0) : f32[12,8]
  %b = gather(%s, %i, axis=0) : f32[50,8]
  %y = sub(%x, %b) : f32[50,8]
})");
}

// Large enough for grains, along columns that a grain has for itself.
TEST(Indexed, GrainsOfLargeTensors) {
  expect_right(R"(func f(%x: f32[120,1030] input, %i: i32[120] input) -> (y = %y, g = %g) {
  %e = tanh(%x) : f32[120,1030]
  %y = scatter_add(%e, %i, axis=0) : f32[20,1030]
  %g = gather(%x, %i, axis=0) : f32[120,1030]
})");
  expect_right(R"(func f(%x: f32[90,300] input) -> (o = %o) {
  %o = argsort(%x, axis=1) : i32[90,300]
})");
}

// The next value of a state may not be written over a table that other points still read.
TEST(Indexed, StateThatIsItsOwnTable) {
  expect_right(R"(state "s" : f32[12,20] carried
state "t" : f32[12,20] carried
func f(%i: i32[12] input, %s: f32[12,20] state "s", %t: f32[12,20] state "t") -> (%n -> %s, %m -> %t) {
  %n = gather(%s, %i, axis=0) : f32[12,20]
  %a = scatter_add(%t, %i, axis=0) : f32[12,20]
  %m = add(%t, %a) : f32[12,20]
})");
}

TEST(Indexed, DerivativesRun) {
  expect_right(R"(state "t" : f32[15,24] param
func f(%i: i32[5,8] input, %y: f32[5,8,24] input, %t: f32[15,24] state "t") -> (loss = %loss, %n -> %t) {
  %x = gather(%t, %i, axis=0) : f32[5,8,24]
  %d = sub(%x, %y) : f32[5,8,24]
  %q = mul(%d, %d) : f32[5,8,24]
  %loss = sum(%q, axes=[0,1,2]) : f32
  %g = grad(%loss, %t) : f32[15,24]
  %r = constant(0.01) : f32[15,24]
  %step = mul(%g, %r) : f32[15,24]
  %n = sub(%t, %step) : f32[15,24]
})");
}

} // namespace
} // namespace nnc
