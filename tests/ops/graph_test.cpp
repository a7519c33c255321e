// Small graphs for what the order of loops, stages and steps has to get right. Most of them came out wrong once.
#include "tests/ops/ways.h"

#include <gtest/gtest.h>

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

} // namespace
} // namespace nnc
