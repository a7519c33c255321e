// What the compiler says about programs that are wrong. Every error names a place; what it says is part of the language.
#include "tests/unit/lowering_test.h"

namespace nnc {
namespace {

TEST(LoweringErrors, BothOperandsAndWhereTheSizesComeFrom) {
  EXPECT_EQ(errors_of("param w1: f32[785, 128] = zeros()\n"
                      "entry go(x: f32[32, 784]) {\n"
                      "  h = relu(x)\n"
                      "  return y = h @ w1\n"
                      "}\n"),
            "m.nn:4:16: error: inner sizes differ: `h` is [32,784], `w1` is [785,128]\n"
            "  4 |   return y = h @ w1\n"
            "    |              ~ ^ ~~\n"
            "m.nn:2:10: note: 784 comes from `x: f32[32, 784]`\n"
            "m.nn:1:1: note: 785 comes from `param w1: f32[785, 128]`");
  EXPECT_EQ(errors_of("entry go(x: f32[4, 6], y: f32[5]) {\n"
                      "  a = exp(sum(transpose(x), axis = 1))\n" // 6 from x
                      "  return y = a + y\n"
                      "}\n"),
            "m.nn:3:16: error: sizes differ: `a` is [6], `y` is [5]\n"
            "  3 |   return y = a + y\n"
            "    |              ~ ^ ~\n"
            "m.nn:1:10: note: 6 comes from `x: f32[4, 6]`\n"
            "m.nn:1:24: note: 5 comes from `y: f32[5]`");
}

TEST(LoweringErrors, WithTheCallThatLedThere) {
  // In a function of the model: its line, and the innermost call; once, however often it is called.
  EXPECT_EQ(errors_of("fn f(x: f32[N]) = x + zeros([5])\n"
                      "entry go(x: f32[3], y: f32[4]) { return a = f(x), b = f(y) }\n"),
            "m.nn:1:21: error: sizes differ: `x` is [3], `zeros([5])` is [5]\n"
            "  1 | fn f(x: f32[N]) = x + zeros([5])\n"
            "    |                   ~ ^ ~~~~~~~~~~\n"
            "m.nn:2:45: note: in `f`, called here\n"
            "m.nn:2:10: note: 3 comes from `x: f32[3]`");
  // In a function of the library: the line of the model that called it.
  EXPECT_EQ(errors_of("fn f(x) = softmax(x, axis = 2)\n"
                      "entry go(x: f32[3, 4]) { return y = f(x) }\n"),
            "m.nn:1:11: error: axis 2 is outside 0..2 of f32[3,4]\n"
            "  1 | fn f(x) = softmax(x, axis = 2)\n"
            "    |           ^^^^^^^^^^^^^^^^^^^^\n"
            "std/activations.nn:34:44: note: in `softmax` of the standard library\n"
            "m.nn:2:37: note: in `f`, called here");
  // `require` blames the caller.
  EXPECT_EQ(errors_of("fn f(x: f32[N, C], g: int) {\n"
                      "  require C % g == 0, \"{g} groups do not divide {C} channels\"\n"
                      "  return x\n"
                      "}\n"
                      "entry go(x: f32[2, 4]) { return y = f(x, 3) }\n"),
            "m.nn:5:37: error: 3 groups do not divide 4 channels\n"
            "  5 | entry go(x: f32[2, 4]) { return y = f(x, 3) }\n"
            "    |                                     ^^^^^^^\n"
            "m.nn:2:11: note: required in `f`");
}

TEST(LoweringErrors, OneRunReportsAllThatDoNotFollowFromEachOther) {
  EXPECT_EQ(errors_of("entry go(x: f32[3]) {\n"
                      "  a = sofmax(x)\n"
                      "  b = a + xx\n"
                      "  c = a * 2\n"
                      "  if c > 0 { c = a }\n"
                      "  return c, d = nope(x), e = zeros([-1]) + a\n"
                      "}\n"
                      "entry other(x: f32[3]) { return x @ [1, 2] }\n"),
            "m.nn:2:7: error: unknown function `sofmax` (did you mean `softmax`?)\n"
            "  2 |   a = sofmax(x)\n"
            "    |       ^^^^^^\n"
            "m.nn:6:17: error: unknown function `nope`\n"
            "  6 |   return c, d = nope(x), e = zeros([-1]) + a\n"
            "    |                 ^^^^\n"
            "m.nn:6:36: error: a size must be at least 1, not -1\n"
            "  6 |   return c, d = nope(x), e = zeros([-1]) + a\n"
            "    |                                    ^^^^\n"
            "std/initializers.nn:9:10: note: declared here\n"
            "m.nn:8:35: error: inner sizes differ: `x` is [3], `[1, 2]` is [2]\n"
            "  8 | entry other(x: f32[3]) { return x @ [1, 2] }\n"
            "    |                                 ~ ^ ~~~~~~\n"
            "m.nn:8:13: note: 3 comes from `x: f32[3]`");
}

struct Row {
  std::string text, message;
};

void check(const std::vector<Row> &rows) {
  for (const Row &row : rows) {
    SCOPED_TRACE(row.text);
    const std::string errors = errors_of(row.text);
    EXPECT_NE(errors.find(row.message), std::string::npos) << errors;
  }
}

// Each text is the body of an entry.
void check_bodies(std::vector<Row> rows) {
  for (Row &row : rows)
    row.text = "entry go(x: f32[2, 3], i: i32[2], p: bool[2], s: f32) {\n" + row.text + "\nreturn ok = 1\n}\n";
  check(rows);
}

TEST(LoweringErrors, Expressions) {
  check_bodies({
      {"y = x + i", "2:7: error: `x` is f32[2,3], `i` is i32[2]; write f32(i)"},
      {"y = i * 0.5", "2:9: error: 0.5 does not fit into i32"},
      {"y = u8(i) + 300", "2:13: error: 300 does not fit into u8"},
      {"y = i / 2", "`/` of i32[2]: whole numbers have `//`; or write f32(…)"},
      {"y = p + 1", "`+` of a bool tensor; write f32(…) or i32(…) to count with it"},
      {"y = -p", "`-` of bool[2]"},
      {"y = not x", "`not` of f32[2,3]"},
      {"y = x and p", "`and` of f32[2,3]: only bools"},
      {"y = p < p", "`<` of bools: they have no order"},
      {"y = p == 1", "`1` is the number 1, and meets a bool tensor"},
      {"y = i ** 0.5", "whole numbers have whole exponents"},
      {"y = (-2) ** s", "the base must be positive"},
      {"y = 1 / 0", "2:7: error: 1 / 0: division by zero"},
      {"y = \"a\" + 1", "`+` of a string and the number 1"},
      {"y = [1] + [2]", "`+` of a list of 1 and a list of 1; to compute with a list as a tensor, write f32([…])"},
      {"y = s + [[1], [2, 3]]", "this list is no tensor: it must hold numbers only, in rows of equal length"},
      {"y = exp(i)", "`exp` of i32[2]; write f32(…)"},
      {"y = log(-1)", "`log` of -1 is no real number"},
      {"y = var(i)", "`var` of i32[2]; write f32(…)"},
      {"y = max(x, s)", "`max` goes through one tensor; the maximum of two is `maximum(x, y)`"},
      {"y = min(1, 2)", "the minimum of two is `minimum(x, y)`"},
      {"y = max(p)", "`max` of bools; `any` and `all` are for them"},
      {"y = s @ x", "`@` needs tensors with axes, this is a scalar; use `*`"},
      {"y = 9007199254740993 * s", "numbers beyond 2^53 are not exact"},
      {"y = s + 1e39", "does not fit into f32"},
      {"y = 0..2000000000", "a list of 2000000000 numbers is too long; a loop that long is a `scan`"},
      {"y = where(s, 1, 2)", "the condition must be bool, not f32"},
  });
}

TEST(LoweringErrors, IndicesAndShapes) {
  check_bodies({
      {"y = x[2]", "2:7: error: index 2 is outside 0..2 of axis 0 of `x`, f32[2,3]"},
      {"y = x[0, 0, 0]", "3 indices for `x`, f32[2,3], which has 2 axes"},
      {"y = x[1:1]", "this slice of axis 0 of `x`, f32[2,3] is empty"},
      {"y = x[0.5]", "an index 0.5 is not whole"},
      {"y = x[::0]", "a step of 0"},
      {"y = x[..., ...]", "`...` can stand once"},
      {"y = [1, 2][5]", "index 5 is outside 0..2 of a list of 2"},
      {"y = f32[2]", "a type stands after `:` or `->` only; it is no value"},
      {"y = 3[0]", "only tensors and lists can be indexed, not the number 3"},
      {"x[0] = i", "the tensor is f32, what is assigned to its part i32; write f32(…)"},
      {"x[0] = [1, 2]", "the part is [3], what is assigned to it [2]"},
      {"y = reshape(x, [4, -1])", "f32[2,3] has 6 elements and cannot be reshaped to [4,-1]"},
      {"y = reshape(x, [6 / 4])", "size 6 / 4 = 1.5 is not whole"},
      {"y = transpose(x, [0])", "1 axes for f32[2,3]"},
      {"y = concat([x, x[0]])", "sizes beside axis 0 differ: [2,3] and [3]"},
      {"y = sum(x, axis = [0, -2])", "axis 0 stands twice"},
      {"y = sum(s, axis = 0)", "axis 0 of a scalar"},
      {"y = zeros([1000000, 1000000, 1000000])", "needs more than"},
      {"y = s * reshape(x, [2, 1, 3]) + reshape(zeros([4]), [4, 1])\nz = broadcast_to(x, [2])", "does not broadcast to [2]"},
      {"y = zeros([s])", "size must be known at compile time; this is f32, computed at run time"},
      {"y = split(x, 2, axis = 1)", "2 parts do not divide 3 elements"},
      {"y = [...]", "`...` has no value: no parameter of this function has `...` in its type"},
  });
}

TEST(LoweringErrors, Statements) {
  check_bodies({
      {"a, b = x, x, x", "2:6: error: 3 values for 2 names"},
      {"a, b = x", "2 names for one value, f32[2,3]"},
      {"a, b = [1, 2, 3]", "2 names for 3 values"},
      {"if s > 0 { x = 2 * x }", "`if` is decided at compile time; to choose at run time, write where(condition, a, b)"},
      {"if 3 { x = 2 * x }", "the condition must be a bool, not the number 3"},
      {"for a in x { y = a }", "`for` goes through a list or zip(a, b), not f32[2,3]"},
      {"for a, b in [1, 2] { y = a }", "2 names for items that are the number 1"},
      {"for a in 0..3 { yield a }", "nothing takes what this loop yields; write `name = for …`"},
      {"yield 3", "`yield` stands in a loop only"},
      {"y = for a in 0..3 { z = for b in 0..3 { yield b } }",
       "2:5: error: `y` would be what this loop yields, and it has no `yield`"},
      {"for a in 0..1000 { for b in 0..1000 { y = b } }", "`for` is unrolled, and this is more than 100000 rounds"},
      {"scan a in s { y = a }", "`scan` goes along the first axis of a tensor, and f32 has none"},
      {"scan a in x { s = i32(s) }",
       "2:15: error: `s` is f32 before the loop and i32 after a step: what is carried keeps its type"},
      {"require x, \"no\"", "the condition must be a bool, not f32[2,3]"},
      {"require true, \"{nope}\"", "unknown name `nope`"},
      {"param w: f32 = 1", "an entry owns nothing: declare `param w` at file level or in a net"},
      {"s := 3", "`s` is no state: `:=` assigns params and states, `=` gives a value a name"},
      {"t := 3", "unknown state `t`"},
      {"update relu(s)", "`relu` is no optimizer"},
      {"update sgd(s)", "this depends on no parameter: nothing to update"},
      {"update sgd(3)", "a loss is a scalar tensor, this is the number 3"},
      {"update sgd(s, s, s)", "hyperparameters go by name"},
      {"y = sgd(s, s)", "`sgd` is an optimizer: write `update sgd(…)`"},
      {"y = grad(x, x)", "the derivative of a scalar: this is f32[2,3]; write grad(sum(y), x)"},
      {"y = grad(s, i)", "nothing flows through whole numbers and bools: no derivative by i32[2]"},
      {"y = grad(s, 3)", "a derivative is by a tensor, not by the number 3"},
      {"y = sum(x)\nx = x + 1\nz = grad(y, x)", "4:13: error: `x` is newer than `y`, which cannot depend on it"},
      {"y = grad(sum(x), x[0])", "`x[0]` is newer than `sum(x)`, which cannot depend on it"},
  });
}

TEST(LoweringErrors, Calls) {
  const std::string f = "fn f(x: f32[N, D], k: int = 1) = x * k\n";
  const auto row = [&](const std::string &call) {
    return f + "entry go(x: f32[2, 3], y: f64[2, 3], s: f32) { return a = " + call + " }\n";
  };
  check({
      {row("f()"), "2:59: error: `f` needs `x`"},
      {row("f(x, 1, 2)"), "`f` takes 2 arguments, not 3"},
      {row("f(x, j = 1)"), "`f` has no parameter `j`"},
      {row("f(x, x = x)"), "`x` is given twice"},
      {row("f(x, 1.5)"), "`k` = 1.5 is not whole"},
      {row("f(x, s)"), "`k` must be a whole number, known at compile time; `s` is f32"},
      {row("f(y)"), "`x` must be f32, `y` is f64[2,3]"},
      {row("f(x[0])"), "`x[0]` is f32[3], but must have 2 axes: `x: f32[N, D]`"},
      {row("f(\"a\")"), "`x` is a tensor, `\"a\"` is a string"},
      {row("f(x, k = 1) as head"), "`f` owns no parameters: `as` has nothing to name"},
      {row("sin(x) as head"), "this call owns no parameters: `as` has nothing to name"},
      {row("s(x)"), "`s` is f32, and only functions can be called"},
      {row("sum()"), "`sum` needs `x`"},
      {row("sum(x, 0, true, 3)"), "`sum` takes 3 arguments, not 4"},
      {row("sum(x, axes = 0)"), "`sum` has no parameter `axes`"},
      {row("go(x)"), "`go` is an entry: it is called from outside only"},
      {row("dense(x, 3)"), "2:59: error: `dense` keeps parameters or state, and an entry owns nothing; call it in a `net`"},
  });
  check({
      {"fn f(x: f32[N, M], y: f32[N]) = 1\nentry go(x: f32[3, 4], y: f32[4]) { return a = f(x, y) }\n",
       "`y` is f32[4], but axis 0 must be N = 3: `y: f32[N]`"},
      {"fn f(x: T[N], y: T[N]) = x\nentry go(x: f32[3], y: f64[3]) { return a = f(x, y) }\n",
       "`T` is f32 by an earlier argument, `y` is f64[3]"},
      {"fn f(x: f32[...], y: f32[...]) = x\nentry go(x: f32[3], y: f32[4]) { return a = f(x, y) }\n",
       "`...` stands for [4] here and for [3] in an earlier argument"},
      {"fn f(x: f32[2 * N]) = x\nentry go(x: f32[4]) { return a = f(x) }\n", "1:17: error: unknown name `N`"},
      {"fn f(x: f32[n]) = x\nentry go(x: f32[4]) { return a = f(x) }\n",
       "unknown size `n`; a size that the call binds begins with a capital letter"},
      {"fn f(x: f32[N]) -> f32[N + 1] = x\nentry go(x: f32[4]) { return a = f(x) }\n",
       "the result is f32[4], declared f32[5] by `f32[N + 1]`"},
      {"fn f(x: f32[N]) -> f32[N], f32 = x\nentry go(x: f32[4]) { return a = f(x) }\n", "`f` declares 2 results and returns 1"},
      {"fn f(x) { y = x }\nentry go(x: f32[4]) { return a = f(x) }\n", "2:34: error: `f` returns nothing"},
      {"fn f(x) { return a = x }\nentry go(x: f32[4]) { return a = f(x) }\n", "only an entry names its results"},
      {"fn f(x) = g(x)\nfn g(x) = f(x)\nentry go(x: f32[4]) { return a = f(x) }\n",
       "2:11: error: `f` calls itself: there is no recursion"},
      {"fn f(x: f32) = sum(x)\nentry go(x: f32[4]) { return a = f(x) }\n",
       "1:16: error: `f` is elementwise, as its parameters are scalars: no `sum` in it"},
      {"fn f(x: f32) = mean(x)\nentry go(x: f32[4]) { return a = f(x) }\n",
       "`f` is elementwise, as its parameters are scalars: no `"},
      {"fn f(x: f32) = x[0]\nentry go(x: f32[4]) { return a = f(x) }\n", "no indexing in it"},
      {"fn f(x: f32) = x @ x\nentry go(x: f32[4]) { return a = f(x) }\n", "no `@` in it"},
      {"fn f(x: f32) {\n param w: f32 = 1\n return x * w\n}\nnet n(x: f32[N]) = f(x)\nentry go(x: f32[4]) { return a = n(x) }\n",
       "`f` is elementwise, as its parameters are scalars: it keeps no param"},
      {"fn f(x: f32[N]) = x\nentry go(x: f32[4]) { return a = grad(f)(x) }\n", "the derivative of a scalar: this is f32[4]"},
  });
}

TEST(LoweringErrors, FilesAndEntries) {
  check({
      {"fn f(x) = x\n", "nothing to compile: there is no `entry`"},
      {"entry go(x: f32[3]) { y = x }\n", "1:1: error: the entry `go` returns nothing and assigns nothing"},
      {"entry go(x: f32[1000000,1000000,1000000]) { return y = x }\n",
       "1:13: error: f32[1000000,1000000,1000000] needs more than"},
      {"entry go(x: f32[N]) { return y = x }\n", "unknown name `N`"},
      {"entry go(x: T[3]) { return y = x }\n", "unknown dtype `T`"},
      {"entry go(x: f32[0]) { return y = x }\n", "a size must be at least 1, not 0"},
      {"fn f(x: f32[2 * N], y: f32[N]) = x\nentry go(x: f32[6], y: f32[3]) { return z = f(x, y) }\n",
       "1:17: error: unknown name `N`; a call binds a capitalised name where it stands alone in a parameter's type"},
      {"entry go(x) { return y = x }\n", "an input of an entry is a tensor: `x: f32[…]`"},
      {"entry go(x: f32 = 1) { return y = x }\n", "an input of an entry has no default"},
      {"entry go(x: f32, x: f32) { return y = x }\n", "1:18: error: two parameters are called `x`"},
      {"entry go(x: f32) {\n y = for i in 0..0 { yield x }\n return y\n}\n",
       "1:1: error: the entry `go` returns nothing and assigns nothing"},
      {"entry go(x: f32) { return x }\n", "the result `x` has the name of an input"},
      {"entry go(x: f32) { return y = x, y = x }\n", "two results are called `y`"},
      {"entry go(x: f32) { return x + 1, x + 2 }\n", "one of several results needs a name: `name = …`"},
      {"entry go(x: f32[3]) -> f32[4] { return y = 2 * x }\n", "the result is f32[3], declared f32[4]"},
      {"const a = b\nconst b = a\nentry go(x: f32) { return y = a * x }\n", "`const a` depends on itself"},
      {"const a = zeros([3])\nentry go(x: f32) { return y = a * x }\n", "only compile-time values can stand"},
      {"const a = sin\nentry go(x: f32) { return y = x }\n", "a const is a number, bool, string or list"},
      {"const a = 1\nconst a = 2\nentry go(x: f32) { return y = x }\n", "2:7: error: `a` is declared twice"},
      {"fn f(x) = x\nfn f(x) = 2 * x\nentry go(x: f32) { return y = x }\n", "2:4: error: `f` is declared twice"},
      {"entry init() { return y = 1 }\n", "1:7: error: `init` is the function that gives every state its first value"},
  });
}

TEST(LoweringErrors, ParametersAndState) {
  check({
      {"param w: f32[3] = zeros([4])\nentry go() { return y = w }\n", "1:19: error: `w` is f32[3], its initialiser f32[4]"},
      {"param w: i32[3] = zeros()\nentry go() { return y = w }\n",
       "`param w` is i32[3]: only floats can be trained; declare a `state`"},
      {"param w = zeros()\nentry go() { return y = w }\n", "`zeros` needs `shape`"},
      {"state a: f32 = b\nstate b: f32 = a\nentry go() { return y = a }\n", "`a` starts from itself"},
      {"net n(x: f32[N]) {\n param w: f32[N] = x\n return w\n}\nentry go(x: f32[2]) { return y = n(x) }\n",
       "2:20: error: an initialiser cannot use a value computed in an entry"},
      {"net n(x: f32[N, D]) = dense(x, 3)\nentry a(x: f32[2, 4]) { return y = n(x) }\nentry b(x: f32[2, 5]) { return y = n(x) "
       "}\n",
       "`n/dense_0/w` is f32[5,3] here and was f32[4,3] in an earlier call"},
      {"net n(x: f32[N, 4]) = dense(dense(x, 4) as a, 4) as a\nentry go(x: f32[2, 4]) { return y = n(x) }\n",
       "`a` would name two things in one call of `n`"},
      {"net n(x: f32[N]) {\n for i in 0..2 { param w: f32 = 1 }\n return x\n}\nentry go(x: f32[2]) { return y = n(x) }\n",
       "`w` would name two things in one call of `n`"},
      {"net n(x: f32[N, 4]) = dense(x, 4)\nnet m(x: f32[N, 4]) = n(x) as a\nentry go(x: f32[2, 4]) { return y = m(x) }\n",
       "`n` is a net, whose parameters have one place: `as` has nothing to name"},
      {"state s: f32[3] = zeros()\nentry go(x: f32[4]) { s := x }\n", "`s` is f32[3], what is assigned to it f32[4]"},
      {"state s: f32[3] = zeros()\nentry go(x: i32[3]) { s := x }\n", "`s` is f32[3], what is assigned to it i32[3]"},
      {"param w: f32 = 1\nfn f() {\n w := 2\n return w\n}\nentry go() { return y = f() }\n",
       "`w` is a param: only entries and optimizers assign params"},
      {"param w: f32 = 1\nentry go() {\n a = w\n w := 2\n a := 3\n}\n",
       "`a` is an older value of `w`, which was assigned since; read it anew"},
      {"param w: f32 = 1\nentry go() {\n ps = params(w * w)\n for i in 0..2 { update sgd(ps, grad(w * w, ps)) }\n}\n",
       "`w` was updated since it was listed; list it anew with params(…)"},
      {"param w: f32 = 1\nentry go() { update sgd(2 * w, w) }\n",
       "an optimizer updates parameters, and this is a computed value"},
      {"param w: f32 = 1\nentry go() { update sgd([w], []) }\n", "1 parameters and 0 gradients"},
      {"param w: f32 = 1\nentry go() { update sgd(w * w, rate = 1) }\n", "`sgd` has no parameter `rate`"},
      {"optimizer o(p) { p := 1 }\nparam w: f32 = 1\nentry go() { update o(w * w) }\n",
       "an optimizer's first parameters are the parameter and its gradient"},
      {"optimizer o(p, g) { return p }\nparam w: f32 = 1\nentry go() { update o(w * w) }\n", "an optimizer returns nothing"},
      {"optimizer o(p, g) { param q: f32 = 1 }\nparam w: f32 = 1\nentry go() { update o(w * w) }\n",
       "an optimizer keeps `state`, not parameters"},
      {"param w: f32 = 1\nfn f() {\n update sgd(w * w)\n return w\n}\nentry go() { return y = f() }\n",
       "`update` stands in entries only"},
      {"fn f(x) = x\nentry go(x: f32) { return y = len(params(f)) }\n", "only a net has params of its own"},
      {"entry go(x: f32) { return y = len(params(\"no/*\")) }\n", "there are no params here"},
  });
}

TEST(LoweringErrors, DepthAndSizeAreBounded) {
  std::string chain;
  for (int i = 0; i < 3000; ++i)
    chain += "fn call" + std::to_string(i) + "(x) = call" + std::to_string(i + 1) + "(x)\n";
  EXPECT_NE(errors_of(chain + "fn call3000(x) = x\nentry go(x: f32) { return y = call0(x) }\n").find("nested too deeply"),
            std::string::npos);
  EXPECT_NE(errors_of("entry go(x: f32[100]) {\n for i in 0..90000 {\n  x = -x; x = -x; x = -x; x = -x; x = -x; x = -x\n  x = "
                      "-x; x = -x; x = -x; x = -x; x = -x; x = -x\n }\n return y = x\n}\n")
                .find("this entry needs more than 250000 operations; a long loop is a `scan`"),
            std::string::npos);
}

} // namespace
} // namespace nnc
