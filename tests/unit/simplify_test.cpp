// Every simplify rule on an example of its own: it fires, what it leaves is the expected text, and the interpreter computes the
// same before and after: to the bit for rules that say `exact`, on NaN, infinities and zeros of both signs too.
#include "ir/error.h"
#include "ir/interpreter.h"
#include "ir/text.h"
#include "passes/passes.h"
#include "passes/simplify.h"
#include "tests/paths.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>
#include <sstream>

namespace nnc {
namespace {

// `f` has the inputs %x %y: f32[2,3], %r: f32[2], %s: f32, %c %k: bool[2,3], %w: f32[3,4], %n: i32[2,3], and results `results`.
struct Example {
  std::string rule, before, after, results = "%z";
};

const std::vector<Example> &examples() {
  static const std::vector<Example> table = {
      {"dot_widened",
       "%1 = cast(%x, bf16) : bf16[2,3]\n%2 = cast(%1, f32) : f32[2,3]\n%z = dot(%2, %w, \"bi,io->bo\") : f32[2,4]",
       "%0 = cast(%x, bf16) : bf16[2,3]\n%z = dot(%0, %w, \"bi,io->bo\") : f32[2,4]"},
      {"constant_right", "%z = add(2, %x) : f32[2,3]", "%z = add(%x, 2) : f32[2,3]"},
      {"constant_right", "%z = mul(2, %x) : f32[2,3]", "%z = mul(%x, 2) : f32[2,3]"},
      {"add_zero", "%1 = add(%x, 0) : f32[2,3]\n%z = exp(%1) : f32[2,3]", "%z = exp(%x) : f32[2,3]"},
      {"sub_zero", "%1 = sub(%x, 0) : f32[2,3]\n%z = exp(%1) : f32[2,3]", "%z = exp(%x) : f32[2,3]"},
      {"zero_sub", "%z = sub(0, %x) : f32[2,3]", "%z = neg(%x) : f32[2,3]"},
      {"times_one", "%1 = mul(%x, 1) : f32[2,3]\n%z = exp(%1) : f32[2,3]", "%z = exp(%x) : f32[2,3]"},
      {"times_one", "%1 = div(%x, 1) : f32[2,3]\n%z = exp(%1) : f32[2,3]", "%z = exp(%x) : f32[2,3]"},
      {"times_minus_one", "%z = mul(%x, -1) : f32[2,3]", "%z = neg(%x) : f32[2,3]"},
      {"times_minus_one", "%z = div(%x, -1) : f32[2,3]", "%z = neg(%x) : f32[2,3]"},
      {"add_same", "%z = add(%x, %x) : f32[2,3]", "%z = mul(%x, 2) : f32[2,3]"},
      {"neg_of", "%1 = neg(%x) : f32[2,3]\n%2 = neg(%1) : f32[2,3]\n%z = exp(%2) : f32[2,3]", "%z = exp(%x) : f32[2,3]"},
      {"neg_of", "%1 = sub(%x, %y) : f32[2,3]\n%z = neg(%1) : f32[2,3]", "%z = sub(%y, %x) : f32[2,3]"},
      {"neg_of", "%1 = mul(%x, 3) : f32[2,3]\n%z = neg(%1) : f32[2,3]", "%z = mul(%x, -3) : f32[2,3]"},
      {"neg_of", "%1 = div(3, %x) : f32[2,3]\n%z = neg(%1) : f32[2,3]", "%z = div(-3, %x) : f32[2,3]"},
      {"add_neg", "%1 = neg(%x) : f32[2,3]\n%z = add(%1, %y) : f32[2,3]", "%z = sub(%y, %x) : f32[2,3]"},
      {"add_neg", "%1 = neg(%r) : f32[2]\n%2 = broadcast(%1, axes=[0]) : f32[2,3]\n%z = add(%x, %2) : f32[2,3]",
       "%0 = broadcast(%r, axes=[0]) : f32[2,3]\n%z = sub(%x, %0) : f32[2,3]"},
      {"sub_neg", "%1 = neg(%y) : f32[2,3]\n%z = sub(%x, %1) : f32[2,3]", "%z = add(%x, %y) : f32[2,3]"},
      {"sub_neg", "%1 = neg(%x) : f32[2,3]\n%z = sub(%1, %y) : f32[2,3]", "%0 = add(%x, %y) : f32[2,3]\n%z = neg(%0) : f32[2,3]"},
      {"product_neg", "%1 = neg(%x) : f32[2,3]\n%2 = neg(%y) : f32[2,3]\n%z = mul(%1, %2) : f32[2,3]",
       "%z = mul(%x, %y) : f32[2,3]"},
      {"product_neg", "%1 = neg(%x) : f32[2,3]\n%z = div(%1, %y) : f32[2,3]",
       "%0 = div(%x, %y) : f32[2,3]\n%z = neg(%0) : f32[2,3]"},
      {"product_neg", "%1 = neg(%x) : f32[2,3]\n%z = mul(%1, 3) : f32[2,3]", "%z = mul(%x, -3) : f32[2,3]"},
      {"div_by_power", "%z = div(%x, 8) : f32[2,3]", "%z = mul(%x, 0.125) : f32[2,3]"},
      {"known_power", "%z = pow(%x, 3) : f32[2,3]", "%0 = mul(%x, %x) : f32[2,3]\n%z = mul(%x, %0) : f32[2,3]"},
      {"known_power", "%z = pow(%x, 5) : f32[2,3]",
       "%0 = cast(%x, f64) : f64[2,3]\n%1 = mul(%0, %0) : f64[2,3]\n%2 = mul(%1, %1) : f64[2,3]\n%3 = mul(%0, %2) : f64[2,3]\n"
       "%z = cast(%3, f32) : f32[2,3]"},
      {"power_of_known", "%z = pow(2, %x) : f32[2,3]",
       "%0 = cast(%x, f64) : f64[2,3]\n%1 = mul(%0, 0.6931471805599453) : f64[2,3]\n%2 = exp(%1) : f64[2,3]\n"
       "%z = cast(%2, f32) : f32[2,3]"},
      {"merge_scales", "%1 = mul(%x, 1e-06) : f32[2,3]\n%z = mul(%1, 3) : f32[2,3]", "%z = mul(%x, 3e-06) : f32[2,3]"},
      {"merge_scales", "%1 = div(%x, 3) : f32[2,3]\n%z = div(%1, 5) : f32[2,3]", "%z = div(%x, 15) : f32[2,3]"},
      {"merge_scales", "%1 = div(3, %x) : f32[2,3]\n%z = mul(%1, 5) : f32[2,3]", "%z = div(15, %x) : f32[2,3]"},
      {"merge_scales", "%1 = mul(%x, 4) : f32[2,3]\n%z = div(2, %1) : f32[2,3]", "%z = div(0.5, %x) : f32[2,3]"},
      {"common_factor",
       "%1 = exp(%y) : f32[2,3]\n%2 = mul(%x, %1) : f32[2,3]\n%3 = mul(%2, %y) : f32[2,3]\n%4 = mul(%3, 3) : f32[2,3]\n"
       "%5 = tanh(%y) : f32[2,3]\n%6 = mul(%5, %x) : f32[2,3]\n%7 = div(%6, 3) : f32[2,3]\n%z = sub(%4, %7) : f32[2,3]",
       "%0 = exp(%y) : f32[2,3]\n%1 = tanh(%y) : f32[2,3]\n%2 = mul(%0, %y) : f32[2,3]\n%3 = mul(%2, 3) : f32[2,3]\n"
       "%4 = div(%1, 3) : f32[2,3]\n%5 = sub(%3, %4) : f32[2,3]\n%z = mul(%x, %5) : f32[2,3]"},
      {"not_not", "%1 = logical_not(%c) : bool[2,3]\n%2 = logical_not(%1) : bool[2,3]\n%z = logical_and(%2, %k) : bool[2,3]",
       "%z = logical_and(%c, %k) : bool[2,3]"},
      {"same_or_known", "%1 = logical_and(%c, true) : bool[2,3]\n%z = logical_or(%1, %k) : bool[2,3]",
       "%z = logical_or(%c, %k) : bool[2,3]"},
      {"same_or_known", "%1 = logical_or(%c, %c) : bool[2,3]\n%z = logical_and(%1, %k) : bool[2,3]",
       "%z = logical_and(%c, %k) : bool[2,3]"},
      {"select_known", "%1 = logical_not(%c) : bool[2,3]\n%z = select(%1, %x, %y) : f32[2,3]",
       "%z = select(%c, %y, %x) : f32[2,3]"},
      {"select_known", "%1 = select(%c, %x, %x) : f32[2,3]\n%z = exp(%1) : f32[2,3]", "%z = exp(%x) : f32[2,3]"},
      {"select_select", "%1 = select(%c, %x, 0) : f32[2,3]\n%z = select(%c, %1, %y) : f32[2,3]",
       "%z = select(%c, %x, %y) : f32[2,3]"},
      {"add_selects", "%1 = select(%c, %x, 0) : f32[2,3]\n%2 = select(%c, 0, %y) : f32[2,3]\n%z = add(%2, %1) : f32[2,3]",
       "%z = select(%c, %x, %y) : f32[2,3]"},
      {"choose_after", "%1 = select(%c, %x, 0) : f32[2,3]\n%z = mul(%1, 3) : f32[2,3]",
       "%0 = mul(%x, 3) : f32[2,3]\n%z = select(%c, %0, 0) : f32[2,3]"},
      {"choose_after", "%1 = cast(%c, f32) : f32[2,3]\n%z = mul(%1, -3) : f32[2,3]", "%z = select(%c, -3, -0) : f32[2,3]"},
      {"compare_result", "%h = maximum(%x, 0) : f32[2,3]\n%g = lt(0, %x) : bool[2,3]",
       "%h = maximum(%x, 0) : f32[2,3]\n%g = lt(0, %h) : bool[2,3]", "%h, b = %g"},
      {"compare_result", "%h = minimum(%x, %y) : f32[2,3]\n%g = lt(%x, %y) : bool[2,3]",
       "%h = minimum(%x, %y) : f32[2,3]\n%g = lt(%h, %y) : bool[2,3]", "%h, b = %g"},
      {"cast_cast", "%1 = cast(%x, f64) : f64[2,3]\n%2 = cast(%1, f32) : f32[2,3]\n%z = exp(%2) : f32[2,3]",
       "%z = exp(%x) : f32[2,3]"},
      {"unmark", "%1 = stop_gradient(%x) : f32[2,3]\n%z = exp(%1) : f32[2,3]", "%z = exp(%x) : f32[2,3]"},
      {"idle_view", "%1 = transpose(%x, axes=[0,1]) : f32[2,3]\n%z = add(%1, %y) : f32[2,3]", "%z = add(%x, %y) : f32[2,3]"},
      {"idle_view", "%1 = concat(%x, axis=0) : f32[2,3]\n%z = exp(%1) : f32[2,3]", "%z = exp(%x) : f32[2,3]"},
      {"broadcast_broadcast", "%1 = broadcast(%r, axes=[1]) : f32[5,2]\n%z = broadcast(%1, axes=[0,2]) : f32[5,3,2]",
       "%z = broadcast(%r, axes=[2]) : f32[5,3,2]"},
      {"broadcast_reshape", "%1 = reshape(%r) : f32[2,1]\n%z = broadcast(%1, axes=[0,1]) : f32[2,1,3]",
       "%z = broadcast(%r, axes=[0]) : f32[2,1,3]"},
      {"reshape_reshape", "%1 = reshape(%x) : f32[6]\n%z = reshape(%1) : f32[3,2]", "%z = reshape(%x) : f32[3,2]"},
      {"reshape_broadcast", "%1 = broadcast(%r, axes=[1]) : f32[3,2]\n%z = reshape(%1) : f32[3,1,2]",
       "%z = broadcast(%r, axes=[2]) : f32[3,1,2]"},
      {"transpose_transpose",
       "%1 = reshape(%x) : f32[1,2,3]\n%2 = transpose(%1, axes=[2,0,1]) : f32[3,1,2]\n"
       "%z = transpose(%2, axes=[2,0,1]) : f32[2,3,1]",
       "%0 = reshape(%x) : f32[1,2,3]\n%z = transpose(%0, axes=[1,2,0]) : f32[2,3,1]"},
      {"transpose_broadcast", "%1 = broadcast(%x, axes=[0,2]) : f32[2,4,3]\n%z = transpose(%1, axes=[2,1,0]) : f32[3,4,2]",
       "%0 = transpose(%x, axes=[1,0]) : f32[3,2]\n%z = broadcast(%0, axes=[0,2]) : f32[3,4,2]"},
      {"repeat_after", "%1 = broadcast(%r, axes=[0]) : f32[2,3]\n%2 = exp(%1) : f32[2,3]\n%z = add(%2, %x) : f32[2,3]",
       "%0 = exp(%r) : f32[2]\n%1 = broadcast(%0, axes=[0]) : f32[2,3]\n%z = add(%1, %x) : f32[2,3]"},
      {"repeat_after",
       "%1 = broadcast(%r, axes=[0]) : f32[2,3]\n%2 = broadcast(%s, axes=[]) : f32[2,3]\n"
       "%z = muladd(%1, %2, 3) : f32[2,3]",
       "%0 = broadcast(%s, axes=[]) : f32[2]\n%1 = muladd(%r, %0, 3) : f32[2]\n%z = broadcast(%1, axes=[0]) : f32[2,3]"},
      {"repeat_after", "%1 = broadcast(%s, axes=[]) : f32[2,3]\n%2 = sub(1, %1) : f32[2,3]\n%z = add(%x, %2) : f32[2,3]",
       "%0 = sub(1, %s) : f32\n%1 = broadcast(%0, axes=[]) : f32[2,3]\n%z = add(%x, %1) : f32[2,3]"},
      {"reshape_after",
       "%1 = reshape(%x) : f32[6]\n%2 = reshape(%y) : f32[6]\n%3 = mul(%1, %2) : f32[6]\n"
       "%z = add(%3, 5) : f32[6]",
       "%0 = mul(%x, %y) : f32[2,3]\n%1 = add(%0, 5) : f32[2,3]\n%z = reshape(%1) : f32[6]"},
      {"transpose_after",
       "%1 = transpose(%x, axes=[1,0]) : f32[3,2]\n%2 = broadcast(%r, axes=[1]) : f32[3,2]\n%3 = mul(%1, %2) : f32[3,2]\n"
       "%z = maximum(%3, 0) : f32[3,2]",
       "%0 = broadcast(%r, axes=[0]) : f32[2,3]\n%1 = mul(%x, %0) : f32[2,3]\n%2 = maximum(%1, 0) : f32[2,3]\n"
       "%z = transpose(%2, axes=[1,0]) : f32[3,2]"},
      {"slice_slice",
       "%1 = slice(%x, start=[1,2], stride=[-1,-1]) : f32[2,3]\n%z = slice(%1, start=[0,1], stride=[1,1]) : f32[1,2]",
       "%z = slice(%x, start=[1,1], stride=[-1,-1]) : f32[1,2]"},
      {"slice_broadcast", "%1 = broadcast(%r, axes=[0]) : f32[2,3]\n%z = slice(%1, start=[1,0], stride=[1,2]) : f32[1,2]",
       "%0 = slice(%r, start=[1], stride=[1]) : f32[1]\n%z = broadcast(%0, axes=[0]) : f32[1,2]"},
      {"slice_pad",
       "%1 = pad(%x, 7, start=[1,1], stride=[2,1]) : f32[4,5]\n%2 = slice(%1, start=[1,1], stride=[2,1]) : f32[2,3]\n"
       "%z = exp(%2) : f32[2,3]",
       "%z = exp(%x) : f32[2,3]"},
      {"slice_pad", "%1 = pad(%x, 7, start=[1,1], stride=[1,1]) : f32[4,5]\n%z = slice(%1, start=[2,1], stride=[1,2]) : f32[1,2]",
       "%z = slice(%x, start=[1,0], stride=[1,2]) : f32[1,2]"},
      {"slice_concat", "%1 = concat(%x, %y, axis=1) : f32[2,6]\n%z = slice(%1, start=[0,5], stride=[1,-1]) : f32[2,2]",
       "%z = slice(%y, start=[0,2], stride=[1,-1]) : f32[2,2]"},
      {"concat_concat", "%1 = concat(%x, %y, axis=0) : f32[4,3]\n%z = concat(%1, %x, axis=0) : f32[6,3]",
       "%z = concat(%x, %y, %x, axis=0) : f32[6,3]"},
      {"concat_slices",
       "%1 = slice(%x, start=[0,0], stride=[1,1]) : f32[2,1]\n%2 = slice(%x, start=[0,1], stride=[1,1]) : f32[2,2]\n"
       "%3 = concat(%1, %2, axis=1) : f32[2,3]\n%z = exp(%3) : f32[2,3]",
       "%z = exp(%x) : f32[2,3]"},
      {"add_pads",
       "%1 = pad(%x, 0, start=[2,0], stride=[1,1]) : f32[4,3]\n%2 = pad(%y, 0, start=[0,0], stride=[1,1]) : f32[4,3]\n"
       "%z = add(%1, %2) : f32[4,3]",
       "%z = concat(%y, %x, axis=0) : f32[4,3]"},
      {"window_apart", "%1 = window(%x, axes=[1], stride=[2], dilation=[1]) : f32[2,1,2]\n%z = exp(%1) : f32[2,1,2]",
       "%0 = slice(%x, start=[0,0], stride=[1,1]) : f32[2,2]\n%1 = exp(%0) : f32[2,2]\n%z = reshape(%1) : f32[2,1,2]"},
      {"window_apart", "%1 = window(%w, axes=[0,1], stride=[1,2], dilation=[1,1]) : f32[2,2,2,2]\n%z = exp(%1) : f32[2,2,2,2]",
       "%0 = reshape(%w) : f32[3,2,2]\n%1 = window(%0, axes=[0], stride=[1], dilation=[1]) : f32[2,2,2,2]\n"
       "%2 = exp(%1) : f32[2,2,2,2]\n%z = transpose(%2, axes=[0,1,3,2]) : f32[2,2,2,2]"},
      {"window_apart", "%1 = window(%w, axes=[1], stride=[3], dilation=[1]) : f32[3,2,1]\n%z = exp(%1) : f32[3,2,1]",
       "%0 = slice(%w, start=[0,0], stride=[1,3]) : f32[3,2]\n%1 = exp(%0) : f32[3,2]\n%z = reshape(%1) : f32[3,2,1]"},
      {"unwindow_apart", "%1 = reshape(%x) : f32[3,2]\n%z = unwindow(%1, axes=[0], stride=[2], dilation=[1]) : f32[7]",
       "%0 = reshape(%x) : f32[6]\n%z = pad(%0, 0, start=[0], stride=[1]) : f32[7]"},
      {"unwindow_apart",
       "%1 = reshape(%w) : f32[1,3,2,2]\n%z = unwindow(%1, axes=[0,1], stride=[1,2], dilation=[1,1]) : f32[2,6]",
       "%0 = reshape(%w) : f32[1,3,2,2]\n%1 = transpose(%0, axes=[0,1,3,2]) : f32[1,3,2,2]\n"
       "%2 = unwindow(%1, axes=[0], stride=[1], dilation=[1]) : f32[2,3,2]\n%z = reshape(%2) : f32[2,6]"},
      {"unwindow_dot",
       "%1 = dot(%x, %y, \"on,rn->or\") : f32[2,2]\n%z = unwindow(%1, axes=[0], stride=[2], dilation=[3]) : f32[6]",
       "%0 = pad(%x, 0, start=[3,0], stride=[2,1]) : f32[9,3]\n"
       "%1 = window(%0, axes=[0], stride=[1], dilation=[3]) : f32[6,3,2]\n"
       "%2 = slice(%y, start=[1,0], stride=[-1,1]) : f32[2,3]\n%z = dot(%1, %2, \"onr,rn->o\") : f32[6]"},
      {"unwindow_dot",
       "%1 = broadcast(%x, axes=[0,1]) : f32[2,3,4]\n%2 = broadcast(%w, axes=[1,2]) : f32[2,3,4]\n"
       "%3 = mul(%1, %2) : f32[2,3,4]\n%z = unwindow(%3, axes=[0], stride=[1], dilation=[1]) : f32[5,3]",
       "%0 = pad(%x, 0, start=[3,0], stride=[1,1]) : f32[8,3]\n"
       "%1 = window(%0, axes=[0], stride=[1], dilation=[1]) : f32[5,3,4]\n"
       "%2 = slice(%w, start=[0,3], stride=[1,-1]) : f32[3,4]\n%z = dot(%1, %2, \"abc,bc->ab\") : f32[5,3]"},
      {"slice_window",
       "%1 = window(%w, axes=[1], stride=[1], dilation=[1]) : f32[3,3,2]\n"
       "%z = slice(%1, start=[2,0,0], stride=[-1,2,1]) : f32[2,2,2]",
       "%0 = slice(%w, start=[2,0], stride=[-1,1]) : f32[2,4]\n%z = reshape(%0) : f32[2,2,2]"},
      {"slice_dot", "%1 = dot(%x, %w, \"bi,io->bo\") : f32[2,4]\n%z = slice(%1, start=[1,3], stride=[1,-2]) : f32[1,2]",
       "%0 = slice(%x, start=[1,0], stride=[1,1]) : f32[1,3]\n%1 = slice(%w, start=[0,3], stride=[1,-2]) : f32[3,2]\n"
       "%z = dot(%0, %1, \"bi,io->bo\") : f32[1,2]"},
      {"slice_frame",
       "%1 = pad(%x, 7, start=[1,2], stride=[1,2]) : f32[4,9]\n%z = slice(%1, start=[0,3], stride=[1,1]) : f32[3,5]",
       "%0 = slice(%x, start=[0,1], stride=[1,1]) : f32[2,2]\n%z = pad(%0, 7, start=[1,1], stride=[1,2]) : f32[3,5]"},
      {"sum_neg", "%1 = neg(%x) : f32[2,3]\n%z = sum(%1, axes=[1]) : f32[2]",
       "%0 = sum(%x, axes=[1]) : f32[2]\n%z = neg(%0) : f32[2]"},
      {"sum_pad", "%1 = pad(%x, 0, start=[0,4], stride=[1,-2]) : f32[2,7]\n%z = sum(%1, axes=[1]) : f32[2]",
       "%z = sum(%x, axes=[1]) : f32[2]"},
      {"sum_scaled",
       "%1 = tanh(%x) : f32[2,3]\n%2 = broadcast(%r, axes=[0]) : f32[2,3]\n%3 = div(%1, %2) : f32[2,3]\n"
       "%z = sum(%3, axes=[1]) : f32[2]",
       "%0 = tanh(%x) : f32[2,3]\n%1 = sum(%0, axes=[1]) : f32[2]\n%z = div(%1, %r) : f32[2]"},
      {"sum_scaled",
       "%1 = exp(%r) : f32[2]\n%2 = add(%1, 1) : f32[2]\n%3 = broadcast(%2, axes=[0]) : f32[2,3]\n"
       "%4 = mul(%3, %x) : f32[2,3]\n%z = sum(%4, axes=[1]) : f32[2]",
       "%0 = exp(%r) : f32[2]\n%1 = add(%0, 1) : f32[2]\n%2 = sum(%x, axes=[1]) : f32[2]\n%z = mul(%2, %1) : f32[2]"},
      {"sum_of_sum",
       "%1 = max(%y, axes=[1]) : f32[2]\n%2 = broadcast(%1, axes=[0]) : f32[2,3]\n%3 = tanh(%x) : f32[2,3]\n"
       "%4 = mul(%3, %2) : f32[2,3]\n%5 = add(%y, %4) : f32[2,3]\n%z = sum(%5, axes=[1]) : f32[2]",
       "%0 = max(%y, axes=[1]) : f32[2]\n%1 = tanh(%x) : f32[2,3]\n%2 = sum(%y, axes=[1]) : f32[2]\n"
       "%3 = sum(%1, axes=[1]) : f32[2]\n%4 = mul(%3, %0) : f32[2]\n%z = add(%2, %4) : f32[2]"},
      {"reduce_units", "%1 = reshape(%x) : f32[2,1,3]\n%z = sum(%1, axes=[1]) : f32[2,3]\n%u = exp(%z) : f32[2,3]",
       "%u = exp(%x) : f32[2,3]", "%u"},
      {"reduce_reduce", "%1 = max(%x, axes=[0]) : f32[3]\n%z = max(%1, axes=[0]) : f32", "%z = max(%x, axes=[0,1]) : f32"},
      {"reduce_repeated", "%1 = broadcast(%x, axes=[0,2]) : f32[2,4,3]\n%z = sum(%1, axes=[1,2]) : f32[2]",
       "%0 = sum(%x, axes=[1]) : f32[2]\n%z = mul(%0, 4) : f32[2]"},
      {"reduce_repeated", "%1 = broadcast(%r, axes=[1]) : f32[5,2]\n%2 = max(%1, axes=[0]) : f32[2]\n%z = exp(%2) : f32[2]",
       "%z = exp(%r) : f32[2]"},
      {"reduce_repeated", "%1 = constant(0.5) : f32[1000,1000]\n%2 = sum(%1, axes=[0,1]) : f32\n%z = mul(%2, %s) : f32",
       "%z = mul(%s, 500000) : f32"},
      {"reduce_transpose",
       "%1 = broadcast(%x, axes=[0,2]) : f32[2,1,3]\n%2 = add(%1, 1) : f32[2,1,3]\n"
       "%3 = transpose(%x, axes=[1,0]) : f32[3,2]\n%z = argmax(%3, axes=[0]) : i32[2]",
       "%z = argmax(%x, axes=[1]) : i32[2]"},
      {"reduce_reshape", "%1 = reshape(%x) : f32[3,2]\n%z = max(%1, axes=[0,1]) : f32", "%z = max(%x, axes=[0,1]) : f32"},
      {"reduce_reshape", "%1 = reshape(%x) : f32[2,1,3]\n%z = variance(%1, axes=[2]) : f32[2,1]",
       "%0 = variance(%x, axes=[1]) : f32[2]\n%z = reshape(%0) : f32[2,1]"},
      {"dot_transpose", "%1 = transpose(%x, axes=[1,0]) : f32[3,2]\n%z = dot(%1, %w, \"ib,io->bo\") : f32[2,4]",
       "%z = dot(%x, %w, \"bi,io->bo\") : f32[2,4]"},
      {"transpose_dot", "%1 = dot(%x, %w, \"bi,io->bo\") : f32[2,4]\n%z = transpose(%1, axes=[1,0]) : f32[4,2]",
       "%z = dot(%x, %w, \"bi,io->ob\") : f32[4,2]"},
      {"dot_repeated", "%1 = broadcast(%x, axes=[0,2]) : f32[2,5,3]\n%z = dot(%1, %w, \"ban,no->bao\") : f32[2,5,4]",
       "%0 = dot(%x, %w, \"bn,no->bo\") : f32[2,4]\n%z = broadcast(%0, axes=[0,2]) : f32[2,5,4]"},
      {"dot_repeated", "%1 = broadcast(%r, axes=[0]) : f32[2,3]\n%z = dot(%1, %w, \"bi,io->bo\") : f32[2,4]",
       "%0 = sum(%w, axes=[0]) : f32[4]\n%1 = broadcast(%r, axes=[0]) : f32[2,4]\n%2 = broadcast(%0, axes=[1]) : f32[2,4]\n"
       "%z = mul(%1, %2) : f32[2,4]"},
      {"dot_repeated", "%1 = constant(2) : f32[5,3]\n%z = dot(%1, %w, \"bi,io->bo\") : f32[5,4]",
       "%0 = sum(%w, axes=[0]) : f32[4]\n%1 = mul(%0, 2) : f32[4]\n%z = broadcast(%1, axes=[1]) : f32[5,4]"},
      {"dot_without_sum", "%z = dot(%r, %x, \"b,bi->bi\") : f32[2,3]",
       "%0 = broadcast(%r, axes=[0]) : f32[2,3]\n%z = mul(%0, %x) : f32[2,3]"},
      {"dot_neg", "%1 = neg(%w) : f32[3,4]\n%z = dot(%x, %1, \"bi,io->bo\") : f32[2,4]",
       "%0 = dot(%x, %w, \"bi,io->bo\") : f32[2,4]\n%z = neg(%0) : f32[2,4]"},
      {"dot_scaled", "%1 = mul(%w, 3) : f32[3,4]\n%z = dot(%x, %1, \"bi,io->bo\") : f32[2,4]",
       "%0 = dot(%x, %w, \"bi,io->bo\") : f32[2,4]\n%z = mul(%0, 3) : f32[2,4]"},
      {"dot_scaled",
       "%1 = tanh(%x) : f32[2,3]\n%2 = sin(%y) : f32[2,3]\n%3 = broadcast(%r, axes=[0]) : f32[2,3]\n%4 = div(%1, %3) : f32[2,3]\n"
       "%z = dot(%4, %2, \"bi,bi->b\") : f32[2]",
       "%0 = tanh(%x) : f32[2,3]\n%1 = sin(%y) : f32[2,3]\n%2 = dot(%0, %1, \"bi,bi->b\") : f32[2]\n%z = div(%2, %r) : f32[2]"},
      {"fold", "%1 = constant(2) : f32[100,100]\n%2 = sqrt(%1) : f32[100,100]\n%z = neg(%2) : f32[100,100]",
       "%0 = constant(-1.4142135) : f32[100,100]"},
      {"fold", "%1 = constant([1, 2]) : f32[2]\n%2 = mul(%1, %1) : f32[2]\n%z = add(%r, %2) : f32[2]",
       "%0 = constant([1, 4]) : f32[2]\n%z = add(%r, %0) : f32[2]"},
  };
  return table;
}

const char *const inputs_text = "%x: f32[2,3] input, %y: f32[2,3] input, %r: f32[2] input, %s: f32 input, %c: bool[2,3] input, "
                                "%k: bool[2,3] input, %w: f32[3,4] input, %n: i32[2,3] input";

Module module_of(const std::string &body, const std::string &results) {
  return parse_module("module \"m.nn\"\nfunc f(" + std::string(inputs_text) + ") -> (a = " + results + ") {\n" + body + "\n}\n",
                      "t.nnir");
}

PassOptions only(std::vector<std::string> passes, std::vector<std::string> disable = {}) {
  return {.passes = std::move(passes), .disable = std::move(disable), .verify_each = true};
}

// The lines of the first function's body, without indentation.
std::string body_of(const Module &module) {
  std::stringstream text(print(module));
  std::string line, body;
  while (std::getline(text, line))
    if (line.starts_with("  %"))
      body += (body.empty() ? "" : "\n") + line.substr(2);
  return body;
}

std::string simplified(const Example &example, std::vector<std::string> disable = {}) {
  Module module = module_of(example.before, example.results);
  run_passes(module, only({"simplify"}, std::move(disable)));
  return body_of(module);
}

TEST(Simplify, EveryRuleHasAnExample) {
  for (const SimplifyRule &rule : simplify_rules())
    EXPECT_TRUE(std::ranges::any_of(examples(), [&](const Example &example) { return example.rule == rule.name; })) << rule.name;
}

TEST(Simplify, RulesFire) {
  for (const Example &example : examples()) {
    SCOPED_TRACE(example.rule);
    EXPECT_EQ(simplified(example), example.after);
    EXPECT_NE(simplified(example, {example.rule}), example.after);
  }
}

TEST(Simplify, NothingIsLeftToDo) {
  for (const Example &example : examples()) {
    Module module = module_of(example.before, example.results);
    run_passes(module, only({"simplify"}));
    const std::string once = print(module);
    run_passes(module, only({"simplify"}));
    EXPECT_EQ(print(module), once);
  }
}

enum class Numbers { ordinary, special };

std::vector<Tensor> random_inputs(const Function &f, Numbers numbers, std::mt19937 &random) {
  static const double special[] = {NAN, INFINITY, -INFINITY, 0.0, -0.0, 1.0, -2.5};
  std::vector<Tensor> inputs;
  for (int i = 0; i < f.args; ++i) {
    Tensor tensor(f.nodes[i].type());
    for (int64_t k = 0; k < tensor.type.elements(); ++k)
      if (!is_float(tensor.type.dtype))
        tensor.set_int(k, random() % 5);
      else if (numbers == Numbers::special && random() % 2)
        tensor.set(k, special[random() % std::size(special)]);
      else
        tensor.set(k, std::uniform_real_distribution<>(0.25, 2)(random) * (random() % 3 ? 1 : -1));
    inputs.push_back(tensor);
  }
  return inputs;
}

std::vector<Tensor> outputs(const Module &module, const std::vector<Tensor> &inputs) {
  std::vector<Tensor> result;
  for (auto &[name, tensor] : interpret(module.functions[0], inputs, {}).outputs)
    result.push_back(tensor);
  return result;
}

// Whether `actual` may stand for `expected`: to the bit, but for the sign of a zero, or but for rounding. A NaN must stay one.
bool may_replace(double expected, double actual, std::string_view error, double tolerance) {
  if (error == framed && std::isnan(actual))
    return true;
  if (error == factored && std::isnan(expected))
    return !std::isfinite(actual);
  if (std::isnan(expected) || std::isnan(actual))
    return std::isnan(expected) && std::isnan(actual);
  if (error == exact)
    return expected == actual && std::signbit(expected) == std::signbit(actual);
  if (error == zero_sign || std::isinf(expected))
    return expected == actual;
  return std::abs(expected - actual) <= tolerance * std::max(1.0, std::abs(expected));
}

std::string_view error_of(const std::string &rule) {
  std::string_view worst = exact;
  for (const SimplifyRule &row : simplify_rules())
    if (row.name == rule && row.error != exact)
      worst = row.error;
  return worst;
}

TEST(Simplify, RulesKeepTheMeaning) {
  std::mt19937 random(3);
  for (const Example &example : examples())
    for (Numbers numbers : {Numbers::ordinary, Numbers::special})
      for (int round = 0; round < 20; ++round) {
        const Module before = module_of(example.before, example.results);
        Module after = before;
        run_passes(after, only({"simplify"}));
        const std::vector<Tensor> inputs = random_inputs(before.functions[0], numbers, random);
        const std::vector<Tensor> expected = outputs(before, inputs), actual = outputs(after, inputs);
        for (size_t k = 0; k < expected.size(); ++k)
          for (int64_t i = 0; i < std::min<int64_t>(expected[k].type.elements(), 100); ++i)
            ASSERT_TRUE(may_replace(expected[k].get(i), actual[k].get(i), error_of(example.rule), 1e-5))
                << example.rule << ": " << expected[k].get(i) << " became " << actual[k].get(i) << "\n"
                << example.before;
      }
}

// The check above sees what a rule must not do: 0 for x * 0 where x is NaN.
TEST(Simplify, ALostNanIsFlagged) {
  EXPECT_FALSE(may_replace(NAN, 0, order, 1e-5));
  EXPECT_FALSE(may_replace(-0.0, 0.0, exact, 0));
  const Module before = module_of("%z = mul(%x, 0) : f32[2,3]", "%z"), after = module_of("%z = constant(0) : f32[2,3]", "%z");
  std::mt19937 random(4);
  bool flagged = false;
  for (int round = 0; round < 20; ++round) {
    const std::vector<Tensor> inputs = random_inputs(before.functions[0], Numbers::special, random);
    for (int i = 0; i < 6; ++i)
      flagged |= !may_replace(outputs(before, inputs)[0].get(i), outputs(after, inputs)[0].get(i), order, 1e-5);
  }
  EXPECT_TRUE(flagged);
}

// What must stay as it is: each would lose a NaN, cancel, or cost more.
TEST(Simplify, Refused) {
  for (const std::string body : {
           "%z = mul(%x, 0) : f32[2,3]",
           "%z = sub(%x, %x) : f32[2,3]",
           "%z = div(%x, %x) : f32[2,3]",
           "%z = div(%x, 3) : f32[2,3]",
           "%0 = select(%c, 1, 0) : f32[2,3]\n%z = mul(%0, %x) : f32[2,3]",
           "%0 = broadcast(%r, axes=[0]) : f32[2,3]\n%1 = sub(%x, %0) : f32[2,3]\n%z = sum(%1, axes=[1]) : f32[2]",
           "%0 = mul(%x, 1e+30) : f32[2,3]\n%z = mul(%0, 1e+30) : f32[2,3]",
           "%0 = mul(%x, 3) : f32[2,3]\n%1 = exp(%0) : f32[2,3]\n%2 = mul(%0, 5) : f32[2,3]\n%z = add(%1, %2) : f32[2,3]",
           "%0 = mul(%x, 3) : f32[2,3]\n%z = dot(%0, %w, \"bi,io->bo\") : f32[2,4]",
           "%0 = exp(%y) : f32[2,3]\n%1 = mul(%x, %y) : f32[2,3]\n%2 = mul(%x, %0) : f32[2,3]\n%z = add(%1, %2) : f32[2,3]",
           "%0 = mul(%x, 0.001) : f32[2,3]\n%z = sum(%0, axes=[1]) : f32[2]",
           "%0 = div(%x, 1000) : f32[2,3]\n%z = sum(%0, axes=[1]) : f32[2]",
           "%0 = broadcast(%r, axes=[0]) : f32[2,3]\n%1 = mul(%x, %0) : f32[2,3]\n%z = sum(%1, axes=[1]) : f32[2]",
           "%0 = mul(%w, 0.001) : f32[3,4]\n%z = dot(%x, %0, \"bi,io->bo\") : f32[2,4]",
           "%0 = broadcast(%r, axes=[0]) : f32[2,3]\n%1 = div(%x, %0) : f32[2,3]\n%z = dot(%1, %y, \"bi,bi->b\") : f32[2]",
           "%0 = mul(%x, 3) : f32[2,3]\n%1 = mul(%0, %y) : f32[2,3]\n%z = mul(%1, 5) : f32[2,3]",
           "%0 = iota(i32, axis=1) : i32[2,3]\n%z = add(%0, %n) : i32[2,3]",
           "%0 = constant([1, 2, 3]) : f32[3]\n%z = broadcast(%0, axes=[1]) : f32[2,3]",
       }) {
    Module module = module_of(body, "%z");
    run_passes(module, only({"simplify"}));
    EXPECT_EQ(body_of(module), body);
  }
}

// Requests for derivatives are left alone, and so is all that they might ask.
TEST(Simplify, WaitsForGrad) {
  const std::string body = "%0 = stop_gradient(%x) : f32[2,3]\n%l = sum(%0, axes=[0,1]) : f32\n%z = grad(%l, %x) : f32[2,3]";
  Module module = module_of(body, "%z");
  run_passes(module, only({"simplify"}));
  EXPECT_EQ(body_of(module), body);
}

TEST(Simplify, RulesAndPassesAreDocumented) {
  std::ifstream file(source_dir() + "/docs/passes.md");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  std::set<std::string_view> missing;
  for (const SimplifyRule &rule : simplify_rules())
    missing.insert(rule.name);
  for (const Pass &pass : all_passes())
    missing.insert(pass.name);
  std::erase_if(missing, [&](std::string_view name) { return text.find("`" + std::string(name) + "`") != text.npos; });
  EXPECT_TRUE(missing.empty()) << *missing.begin();
}

} // namespace
} // namespace nnc
