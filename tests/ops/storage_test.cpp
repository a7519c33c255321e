// Graphs of bf16, f16 and i8: products in every recipe with operands that are widened on the way, moves, and casts in kernels.
#include "tests/ops/ways.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace nnc {
namespace {

void expect_right(const std::string &text) { EXPECT_EQ(problem_in_text(text), "") << text; }

// The product of operands of these types, bare and with work behind it.
void expect_product(const std::string &a, const std::string &b, const std::string &labels, const std::string &result) {
  const bool whole = result[0] == 'i';
  const std::string head = fmt::format("func f(%a: {} input, %b: {} input) -> (", a, b);
  const std::string dot = fmt::format("  %y = dot(%a, %b, \"{}\") : {}\n", labels, result);
  expect_right(head + "y = %y) {\n" + dot + "}");
  const std::string narrow = (whole ? "i8" : "bf16") + result.substr(3);
  expect_right(head + "z = %z, y = %y) {\n" + dot + fmt::format("  %h = mul(%y, {}) : {}\n", whole ? "3" : "0.5", result) +
               fmt::format("  %z = cast(%h, {}) : {}\n}}", narrow.substr(0, narrow.find('[')), narrow));
}

TEST(StorageGraphs, Products) {
  for (const auto &[a, b, result] :
       {std::tuple{"bf16", "f32", "f32"}, {"f32", "f16", "f32"}, {"f16", "bf16", "f32"}, {"i8", "i8", "i32"}}) {
    const auto row = [&](const char *m, const char *n, const char *labels, const char *c) {
      expect_product(std::string(a) + m, std::string(b) + n, labels, std::string(result) + c);
    };
    row("[23,70]", "[70,40]", "mk,kn->mn", "[23,40]"); // gemm
    row("[70,23]", "[40,70]", "km,nk->nm", "[40,23]"); // all the other way round
    row("[20,70]", "[70,3]", "mk,kn->mn", "[20,3]");   // few columns
    row("[20,70]", "[3,70]", "mk,nk->mn", "[20,3]");
    row("[70]", "[70,40]", "k,kn->n", "[40]");   // gemv
    row("[30]", "[30,300]", "k,kn->n", "[300]"); // gemv, a row after the other
    row("[40,70]", "[70]", "nk,k->n", "[40]");
    row("[3,9,17]", "[3,17,20]", "bmk,bkn->bmn", "[3,9,20]");
    row("[7]", "[9]", "m,n->mn", "[7,9]"); // nothing is summed
    row("[7,1]", "[1,9]", "mk,kn->mn", "[7,9]");
    row("[70]", "[70]", "k,k->", "");
  }
}

// Parts of the sum that wait in memory, rows and columns that fill no tile.
TEST(StorageGraphs, LongSums) {
  expect_product("bf16[19,600]", "f16[600,37]", "mk,kn->mn", "f32[19,37]");
  expect_product("f16[600,19]", "bf16[600,37]", "km,kn->mn", "f32[19,37]");
}

TEST(StorageGraphs, ProductsOverWindows) {
  expect_right(R"(func f(%x: bf16[2,9,9,5] input, %w: f16[3,3,5,20] input) -> (y = %y) {
  %p = window(%x, axes=[1,2], stride=[1,1], dilation=[1,1]) : bf16[2,7,7,5,3,3]
  %y = dot(%p, %w, "nhwcij,ijco->nhwo") : f32[2,7,7,20]
})");
}

// An operand that repeats, is a number, or was widened by a cast of its own.
TEST(StorageGraphs, ProductsThatAreSimplified) {
  expect_right(R"(func f(%x: bf16[17] input, %w: f16[17,12] input, %s: f16 input) -> (y = %y, z = %z, c = %c) {
  %xb = broadcast(%x, axes=[1]) : bf16[8,17]
  %y = dot(%xb, %w, "mk,kn->mn") : f32[8,12]
  %sb = broadcast(%s, axes=[]) : f16[8,17]
  %z = dot(%sb, %w, "mk,kn->mn") : f32[8,12]
  %wide = cast(%w, f32) : f32[17,12]
  %narrow = cast(%wide, bf16) : bf16[17,12]
  %again = cast(%narrow, f32) : f32[17,12]
  %c = dot(%x, %again, "k,kn->n") : f32[12]
})");
}

TEST(StorageGraphs, Moves) {
  for (const char *dtype : {"bf16", "f16", "i8"}) {
    std::string text = R"(state "s" : T[31] carried
func f(%x: T[5,33] input, %y: T[5,33] input, %c: bool[5,33] input, %at: i32[4] input, %s: T[31] state "s") ->
    (t = %t, p = %p, j = %j, g = %g, o = %o, b = %b, w = %w, %n -> %s) {
  %t = transpose(%x, axes=[1,0]) : T[33,5]
  %k = constant(3) : T
  %p = pad(%x, %k, start=[1,33], stride=[2,-1]) : T[11,40]
  %j = concat(%x, %y, axis=1) : T[5,66]
  %g = gather(%y, %at, axis=1) : T[5,4]
  %o = select(%c, %x, %y) : T[5,33]
  %v = slice(%y, start=[4,1], stride=[-1,3]) : T[5,11]
  %b = broadcast(%v, axes=[0,2]) : T[5,3,11]
  %w = window(%x, axes=[1], stride=[2], dilation=[3]) : T[5,12,4]
  %h = slice(%s, start=[6], stride=[1]) : T[25]
  %i = slice(%s, start=[0], stride=[1]) : T[6]
  %n = concat(%h, %i, axis=0) : T[31]
})";
    for (size_t at; (at = text.find("T[")) != text.npos || (at = text.find("T\n")) != text.npos;)
      text.replace(at, 1, dtype);
    expect_right(text);
  }
}

// Casts on both sides of arithmetic; a state that is rounded at the end of each step; a row that waits between two sweeps.
TEST(StorageGraphs, CastsInKernels) {
  expect_right(R"(state "w" : bf16[37] param
state "q" : i8[37] carried
func f(%g: f32[37] input, %w: bf16[37] state "w", %q: i8[37] state "q") -> (%next -> %w, %more -> %q) {
  %wide = cast(%w, f32) : f32[37]
  %step = mul(%g, 0.125) : f32[37]
  %moved = sub(%wide, %step) : f32[37]
  %next = cast(%moved, bf16) : bf16[37]
  %n = cast(%q, i32) : i32[37]
  %twice = mul(%n, 20) : i32[37]
  %more = cast(%twice, i8) : i8[37]
})");
  expect_right(R"(func f(%x: f16[6,45] input, %y: bf16[6,45] input) -> (z = %z, m = %m, a = %a) {
  %p = cast(%x, f32) : f32[6,45]
  %q = cast(%y, f32) : f32[6,45]
  %r = mul(%p, %q) : f32[6,45]
  %h = cast(%r, f16) : f16[6,45]
  %hw = cast(%h, f32) : f32[6,45]
  %m = max(%hw, axes=[1]) : f32[6]
  %mb = broadcast(%m, axes=[0]) : f32[6,45]
  %d = sub(%hw, %mb) : f32[6,45]
  %z = cast(%d, bf16) : bf16[6,45]
  %a = sum(%hw, axes=[0]) : f32[45]
})");
}

} // namespace
} // namespace nnc
