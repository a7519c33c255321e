// The check of gradients: right ones pass, also nested and behind stop_gradient; a wrong rule, a wrong scale and a missing part
// are found; kinks are told from errors.
#include "tests/unit/lowering_test.h"
#include "tools/gradcheck.h"
#include "tools/widen.h"

#include <algorithm>

namespace nnc {
namespace {

// The checks of entry `f` of the program at these inputs.
std::vector<GradientCheck> checked(const std::string &text, const std::vector<Tensor> &inputs, GradcheckOptions options = {}) {
  Module module = compiled(text);
  widen(module);
  EXPECT_EQ(verify(module), "");
  std::vector<Tensor> wide;
  for (const Tensor &input : inputs)
    wide.push_back(widened(input));
  return check_gradients(module, "f", wide, {}, options);
}

// Derives, then turns every `from` into `to` behind the first node with a prime: in what a rule built.
std::function<void(Module &)> derive_wrongly(Op from, Op to) {
  return [=](Module &module) {
    PassOptions options;
    options.passes = {"grad"};
    run_passes(module, options);
    int changed = 0;
    for (Node &node : module.functions[0].nodes)
      if (node.op == from && node.loc.order > 0) {
        node.op = to;
        ++changed;
      }
    EXPECT_GT(changed, 0);
  };
}

void derive_off_by_one_percent(Module &module) {
  PassOptions options;
  options.passes = {"grad"};
  run_passes(module, options);
  int changed = 0;
  for (Node &node : module.functions[0].nodes)
    if (node.op == Op::constant && node.loc.order > 0 && node.data->get(0) == 1) { // dy/dy
      node.data = std::make_shared<const Tensor>(Tensor::filled(node.type(), 1.01));
      ++changed;
    }
  EXPECT_EQ(changed, 1);
}

TEST(gradcheck, right_gradients_pass) {
  const std::vector<GradientCheck> checks =
      checked("entry f(x: f32[3]) {\n  y = sum(sin(x) * x)\n  return g = grad(y, x)\n}\n", {f32s({3}, {0.5, -1, 2})});
  ASSERT_EQ(checks.size(), 1u);
  EXPECT_EQ(checks[0].failure, "");
  EXPECT_EQ(checks[0].x, "x");
  EXPECT_EQ(checks[0].y, "y");
  EXPECT_EQ(checks[0].place, "m.nn:3:14");
  EXPECT_EQ(checks[0].type.dtype, DType::f64);
  EXPECT_EQ(checks[0].directions, 3);
  EXPECT_EQ(checks[0].elements, 3);
  EXPECT_EQ(checks[0].kinks, 0);
  EXPECT_LT(checks[0].worst, 1e-7);
}

TEST(gradcheck, large_tensors_are_checked_along_directions_only) {
  const std::vector<GradientCheck> checks =
      checked("entry f(x: f32[3]) { return g = grad(sum(x * x), x) }\n", {f32s({3}, {0.5, -1, 2})}, {.elements = 2});
  EXPECT_EQ(checks[0].failure, "");
  EXPECT_EQ(checks[0].elements, 0);
}

TEST(gradcheck, nested_requests_are_expanded_first) {
  const std::vector<GradientCheck> checks =
      checked("entry f(x: f32[2]) {\n  g = grad(sum(x ** 3), x)\n  h = grad(sum(g * g), x)\n"
              "  return grad(sum(exp(h)), x)\n}\n",
              {f32s({2}, {0.3, -0.2})});
  ASSERT_EQ(checks.size(), 3u);
  for (const GradientCheck &check : checks)
    EXPECT_EQ(check.failure, "");
}

TEST(gradcheck, what_stop_gradient_holds_is_held) {
  const std::vector<GradientCheck> checks =
      checked("entry f(x: f32[2]) { return g = grad(sum(x * stop_gradient(exp(x))), x) }\n", {f32s({2}, {0.3, -0.2})});
  EXPECT_EQ(checks[0].failure, "");
}

TEST(gradcheck, what_stop_gradient_holds_in_loops_is_held_at_each_step) {
  const std::string inner =
      "entry f(x: f32[4]) {\n  a = zeros([4])\n  scan i in 0..3 {\n    b = a\n    scan j in 0..2 { b = b * "
      "stop_gradient(sin(b)) + x }\n    a = 0.9 * a + stop_gradient(f32(a > 0.1)) * x * stop_gradient(b) + b\n  "
      "}\n  return g = grad(sum(a), x)\n}\n";
  const std::string spikes =
      "fn spike(v: T) -> T {\n  smooth = sigmoid(5 * v)\n  return smooth + stop_gradient(f32(v > 0) - "
      "smooth)\n}\nentry f(x: f32[4]) {\n  a = zeros([4])\n  scan i in 0..3 { a = 0.9 * a + x - spike(a) }\n"
      "  return g = grad(sum(a), x)\n}\n";
  for (const std::string &text : {inner, spikes}) {
    const std::vector<GradientCheck> checks = checked(text, {f32s({4}, {0.5, -0.25, 2, 0.75})});
    ASSERT_EQ(checks.size(), 1u);
    EXPECT_EQ(checks[0].failure, "");
    EXPECT_EQ(checks[0].elements, 4);
    EXPECT_EQ(checks[0].kinks, 0);
  }
  const GradcheckOptions wrong{.derive = derive_wrongly(Op::mul, Op::add)};
  const std::string text = "entry f(x: f32[4]) {\n  a = x\n  scan i in 0..3 { a = a * stop_gradient(sin(a)) }\n  "
                           "return g = grad(sum(a * x), x)\n}\n";
  EXPECT_EQ(checked(text, {f32s({4}, {0.5, -0.25, 2, 0.75})})[0].failure, "");
  EXPECT_NE(checked(text, {f32s({4}, {0.5, -0.25, 2, 0.75})}, wrong)[0].failure, "");
}

TEST(gradcheck, a_value_that_is_0_everywhere_is_checked) {
  const GradientCheck check =
      checked("entry f(x: f32[3]) {\n  return g = grad(max(x - max(x)), x)\n}\n", {f32s({3}, {0.5, -1, 2})}).at(0);
  EXPECT_EQ(check.failure, "");
  EXPECT_TRUE(check.all_zero);
}

TEST(gradcheck, a_value_on_the_way_may_be_x) {
  const std::vector<GradientCheck> checks =
      checked("entry f(x: f32[2]) {\n  h = sin(x)\n  y = sum(h * h * x)\n  return grad(y, h)\n}\n", {f32s({2}, {0.3, -0.2})});
  EXPECT_EQ(checks[0].failure, "");
  EXPECT_EQ(checks[0].x, "h");
  EXPECT_EQ(checks[0].place, "m.nn:2:7");
}

TEST(gradcheck, one_x_may_move_another) {
  const std::vector<GradientCheck> checks =
      checked("entry f(x: f32[2], z: f32[2]) {\n  h = sin(x * z)\n  y = sum(h * h * x)\n  return grad(y, [x, h, z])\n}\n",
              {f32s({2}, {0.3, -0.2}), f32s({2}, {2, 1.5})});
  ASSERT_EQ(checks.size(), 3u);
  for (const GradientCheck &check : checks)
    EXPECT_EQ(check.failure, "") << check.x;
}

TEST(gradcheck, y_may_not_depend_on_x) {
  const std::vector<GradientCheck> checks = checked("entry f(x: f32[2], z: f32[2]) { return grad(sum(x * x), [x, z]) }\n",
                                                    {f32s({2}, {0.3, -0.2}), f32s({2}, {2, 1.5})});
  ASSERT_EQ(checks.size(), 2u);
  EXPECT_EQ(checks[1].failure, "");
}

// The loop body has what is carried, an entry of what is sliced and what stays the same; h in turn depends on w outside of it.
const std::string loop = "entry f(w: f32[2], xs: f32[3, 2]) {\n  h = tanh(w)\n  hs = scan x in xs {\n"
                         "    y = sum(sin(h * w) * x)\n    h = h - 0.1 * grad(y, h) + grad(y, w)\n    yield h\n  }\n"
                         "  return d = grad(sum(hs), w)\n}\n";
const std::vector<Tensor> loop_inputs = {f32s({2}, {0.3, -0.2}), f32s({3, 2}, {1, 2, -1, 0.5, 0, 1})};

TEST(gradcheck, requests_in_loops_are_checked_at_the_first_step) {
  const std::vector<GradientCheck> checks = checked(loop, loop_inputs);
  ASSERT_EQ(checks.size(), 3u);
  EXPECT_EQ(checks[0].x, "w");
  EXPECT_EQ(checks[1].x, "h");
  EXPECT_EQ(checks[1].y, "y");
  EXPECT_EQ(checks[2].x, "w");
  for (const GradientCheck &check : checks)
    EXPECT_EQ(check.failure, "") << check.x;
}

TEST(gradcheck, a_wrong_rule_in_a_loop_is_found) {
  const std::vector<GradientCheck> checks = checked(loop, loop_inputs, {.derive = derive_wrongly(Op::cos, Op::exp)});
  ASSERT_EQ(checks.size(), 3u);
  EXPECT_NE(checks[1].failure, "");
  EXPECT_NE(checks[2].failure, "");
}

TEST(gradcheck, loops_in_loops) {
  const std::vector<GradientCheck> checks =
      checked("entry f(w: f32[2], xs: f32[3, 4, 2]) {\n  scan x in xs {\n    scan z in x { w = w - grad(sum(exp(w * z)), w) }\n"
              "    w = w - grad(sum(sin(w) * x), w)\n  }\n  return last = w\n}\n",
              {f32s({2}, {0.3, -0.2}), Tensor::filled({DType::f32, {3, 4, 2}}, 0.5)});
  ASSERT_EQ(checks.size(), 2u);
  for (const GradientCheck &check : checks)
    EXPECT_EQ(check.failure, "") << check.y;
}

TEST(gradcheck, a_gradient_of_zero_is_checked_too) {
  for (const char *y : {"sum(floor(x))", "sum(softmax(x))"}) {
    const std::vector<GradientCheck> checks =
        checked(std::string("entry f(x: f32[2]) { return g = grad(") + y + ", x) }\n", {f32s({2}, {0.3, -0.2})});
    EXPECT_EQ(checks[0].failure, "") << y;
  }
}

TEST(gradcheck, a_wrong_rule_is_found) {
  const std::string text = "entry f(x: f32[3]) {\n  y = sum(sin(x) * x)\n  return g = grad(y, x)\n}\n";
  const std::vector<GradientCheck> checks =
      checked(text, {f32s({3}, {0.5, -1, 2})}, {.derive = derive_wrongly(Op::cos, Op::sin)});
  EXPECT_NE(checks[0].failure.find("along direction 1 it is "), std::string::npos) << checks[0].failure;
  EXPECT_GT(checks[0].worst, 0.01);
}

TEST(gradcheck, a_gradient_off_by_one_percent_is_found) {
  const std::vector<GradientCheck> checks = checked("entry f(x: f32[3]) { return g = grad(sum(sin(x)), x) }\n",
                                                    {f32s({3}, {0.5, -1, 2})}, {.derive = derive_off_by_one_percent});
  EXPECT_NE(checks[0].failure, "");
  EXPECT_NEAR(checks[0].worst, 0.01, 0.001);
}

TEST(gradcheck, kinks_are_counted) {
  // At 0 relu has two slopes; elsewhere one.
  const std::vector<GradientCheck> checks =
      checked("entry f(x: f32[3]) { return g = grad(sum(relu(x) * x + relu(x)), x) }\n", {f32s({3}, {0, -1, 2})});
  EXPECT_EQ(checks[0].failure, "");
  EXPECT_EQ(checks[0].kinks, 4); // along every direction, and at element 0
}

// Kinks 1e-7 apart, not in the middle between two: every step crosses some, and more on one side.
TEST(gradcheck, dense_kinks_are_passed_on_one_branch) {
  const std::string text = "entry f(x: f32, at: f32[400]) { return g = grad(sum(relu(x + at)), x) }\n";
  Tensor at(Type{DType::f64, {400}});
  for (int i = 0; i < 400; ++i)
    at.set(i, -0.5 + 1e-7 * (i - 200.3));
  const std::vector<Tensor> inputs = {Tensor::filled({DType::f32, {}}, 0.5), at};
  const std::vector<GradientCheck> checks = checked(text, inputs);
  EXPECT_EQ(checks[0].failure, "");
  EXPECT_TRUE(checks[0].on_branch);
  const std::vector<GradientCheck> wrong = checked(text, inputs, {.derive = derive_off_by_one_percent});
  EXPECT_NE(wrong[0].failure, "");
  EXPECT_FALSE(wrong[0].on_branch);
}

TEST(gradcheck, where_all_is_a_kink_nothing_is_proved) {
  const std::vector<GradientCheck> checks =
      checked("entry f(x: f32[2]) { return g = grad(sum(abs(x)), x) }\n", {f32s({2}, {0, 0})});
  EXPECT_NE(checks[0].failure.find("a kink along every direction"), std::string::npos) << checks[0].failure;
}

TEST(gradcheck, a_kink_close_by_does_no_harm) {
  const std::vector<GradientCheck> checks =
      checked("entry f(x: f32[2]) { return g = grad(sum(abs(x) * x + abs(x)), x) }\n", {f32s({2}, {2e-5, -3e-5})});
  EXPECT_EQ(checks[0].failure, "");
  EXPECT_EQ(checks[0].kinks, 0);
}

TEST(gradcheck, a_value_that_is_not_finite_is_a_failure) {
  const std::vector<GradientCheck> checks =
      checked("entry f(x: f32[2]) {\n  y = sum(log(x))\n  return g = grad(y, x)\n}\n", {f32s({2}, {1, -1})});
  EXPECT_EQ(checks[0].failure, "`y` is nan here: give other inputs");
}

TEST(gradcheck, a_check_that_fails_is_said) {
  EXPECT_THROW(checked("entry f(x: f32[2]) {\n  require x > 0, \"x must be positive\"\n  return g = grad(sum(log(x)), x)\n}\n",
                       {f32s({2}, {1, -1})}),
               CheckFailed);
}

} // namespace
} // namespace nnc
