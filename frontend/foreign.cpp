// One table of words from elsewhere, and how near two names are.
//
// A word stands in the table without case and `_`, so that one line serves `mse_loss`, `MSELoss` and `mseLoss`. It is looked at
// only after a name was found to be unknown, so a function that the library gains needs no change here.
#include "frontend/foreign.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <span>
#include <utility>

namespace nnc {

namespace {

using Row = std::pair<std::string_view, std::string_view>;

constexpr Row words[] = {
    // ---- shapes
    {"cat", "write `concat([x, y], axis = 0)`"},
    {"concatenate", "write `concat([x, y], axis = 0)`"},
    {"vstack", "write `concat([x, y], axis = 0)`"},
    {"hstack", "write `concat([x, y], axis = 1)`"},
    {"append", "write `concat([x, y], axis = 0)`; a list is made by `xs = for … { … yield x }`"},
    {"permute", "write `transpose(x, [1, 0])`, with all axes in their new order"},
    {"moveaxis", "write `transpose(x, [1, 0])`, with all axes in their new order"},
    {"t", "write `x.T`"},
    {"unsqueeze", "write `expand_dims(x, axis)`"},
    {"newaxis", "write `expand_dims(x, axis)`"},
    {"squeeze", "write `reshape(x, [sizes])` without the size 1, or `x[0]`"},
    {"view", "write `reshape(x, [sizes])`"},
    {"flatten", "write `reshape(x, [N, -1])`, where N is the first size of x"},
    {"ravel", "write `reshape(x, [-1])`"},
    {"expand", "write `broadcast_to(x, [sizes])`"},
    {"expandas", "write `broadcast_to(x, shape(y))`"},
    {"broadcast", "write `broadcast_to(x, [sizes])`"},
    {"chunk", "write `split(x, n, axis)`"},
    {"tile", "write `concat([x, x], axis)`, or `broadcast_to`"},
    {"repeat", "write `concat([x, x], axis)`, or `broadcast_to`"},
    {"ndim", "write `rank(x)`"},
    {"dim", "write `rank(x)`, or `axis` for one axis"},
    {"numel", "write `size(x)`"},
    {"dtype", "a parameter's type names the dtype: in `fn f(x: T[...])` it is `T`"},
    // ---- elementwise
    {"pow", "write `x ** y`"},
    {"power", "write `x ** y`"},
    {"square", "write `x ** 2`"},
    {"clamp", "write `clip(x, low, high)`"},
    {"clipbyvalue", "write `clip(x, low, high)`"},
    {"fabs", "write `abs(x)`"},
    {"absolute", "write `abs(x)`"},
    {"ln", "write `log(x)`"},
    {"log2", "write `log(x) / log(2)`"},
    {"log10", "write `log(x) / log(10)`"},
    {"reciprocal", "write `1 / x`"},
    {"negative", "write `-x`"},
    {"neg", "write `-x`"},
    {"add", "write `x + y`"},
    {"sub", "write `x - y`"},
    {"subtract", "write `x - y`"},
    {"mul", "write `x * y`"},
    {"multiply", "write `x * y`"},
    {"div", "write `x / y`"},
    {"divide", "write `x / y`"},
    {"floordivide", "write `x // y`"},
    {"mod", "write `x % y`"},
    {"remainder", "write `x % y`"},
    {"equal", "write `x == y`"},
    {"eq", "write `x == y`"},
    {"less", "write `x < y`"},
    {"greater", "write `x > y`"},
    {"logicaland", "write `x and y`"},
    {"logicalor", "write `x or y`"},
    {"logicalnot", "write `not x`"},
    {"isnan", "write `x != x`"},
    {"maskedfill", "write `where(mask, value, x)`"},
    {"swish", "write `silu(x)`"},
    // ---- products and reductions
    {"matmul", "write `x @ y`"},
    {"mm", "write `x @ y`"},
    {"bmm", "write `x @ y`"},
    {"dot", "write `x @ y`, or `sum(x * y)`"},
    {"tensordot", "write `einsum(\"ij,jk->ik\", x, y)`"},
    {"amax", "write `max(x, axis)`"},
    {"amin", "write `min(x, axis)`"},
    {"reducesum", "write `sum(x, axis)`"},
    {"reducemean", "write `mean(x, axis)`"},
    {"reducemax", "write `max(x, axis)`"},
    {"reducemin", "write `min(x, axis)`"},
    {"average", "write `mean(x, axis)`"},
    {"variance", "write `var(x, axis)`"},
    {"median", "write `sort(x)[n // 2]`, where n is the size of x"},
    // ---- tensors from nothing
    {"full", "write `constant(value, [sizes])`"},
    {"fulllike", "write `constant(value, shape(x))`"},
    {"randn", "write `normal([sizes])`"},
    {"randnlike", "write `normal(shape(x))`"},
    {"rand", "write `uniform([sizes])`"},
    {"random", "write `uniform([sizes])`"},
    {"randomnormal", "write `normal([sizes])`"},
    {"randomuniform", "write `uniform([sizes])`"},
    {"truncatednormal", "write `normal([sizes])`"},
    {"empty", "write `zeros([sizes])`"},
    {"xavieruniform", "write `glorot_uniform()`"},
    {"kaiminguniform", "write `he_uniform()`"},
    {"kaimingnormal", "write `he_normal()`"},
    {"eye", "write `f32(arange(n) == reshape(arange(n), [n, 1]))`"},
    {"range", "write `0..10`"},
    {"tensor", "a list of numbers becomes a tensor where it meets one; `f32([1, 2])` makes one"},
    {"array", "a list of numbers becomes a tensor where it meets one; `f32([1, 2])` makes one"},
    {"astensor", "a list of numbers becomes a tensor where it meets one; `f32([1, 2])` makes one"},
    {"converttotensor", "a list of numbers becomes a tensor where it meets one; `f32([1, 2])` makes one"},
    {"cast", "write `f32(x)`, or another dtype"},
    {"astype", "write `f32(x)`, or another dtype"},
    {"to", "write `f32(x)` for another dtype; there are no devices"},
    {"type", "write `f32(x)`, or another dtype"},
    // ---- layers and losses
    {"dense", "write `dense(x, units)`"}, // keras.layers.Dense
    {"linear", "write `dense(x, units)`"},
    {"fc", "write `dense(x, units)`"},
    {"sequential", "call one layer after another: `h = relu(dense(x, 512))`"},
    {"modulelist", "call one layer after another, in a `for` where there are many"},
    {"maxpool2d", "write `max_pool(x, 2)`"},
    {"maxpooling2d", "write `max_pool(x, 2)`"},
    {"avgpool2d", "write `avg_pool(x, 2)`"},
    {"averagepooling2d", "write `avg_pool(x, 2)`"},
    {"globalaveragepooling2d", "write `global_avg_pool(x)`"},
    {"batchnorm1d", "write `batch_norm(x)`"},
    {"batchnorm2d", "write `batch_norm(x)`"},
    {"batchnormalization", "write `batch_norm(x)`"},
    {"layernormalization", "write `layer_norm(x)`"},
    {"groupnormalization", "write `group_norm(x, groups)`"},
    {"multiheadattention", "write `mha(x, heads)`"},
    {"scaleddotproductattention", "write `attention(q, k, v)`"},
    {"input", "what goes in is a parameter, `net f(x)`, or of an entry, `entry f(x: f32[1, 784])`"},
    {"tocategorical", "write `one_hot(label, classes)`"},
    {"nllloss", "write `cross_entropy(logits, label)`, from what goes into softmax"},
    {"crossentropyloss", "write `mean(cross_entropy(logits, label))`"},
    {"softmaxcrossentropy", "write `cross_entropy(logits, label)`"},
    {"sparsecategoricalcrossentropy", "write `cross_entropy(logits, label)`"},
    {"categoricalcrossentropy", "write `soft_cross_entropy(logits, target)`"},
    {"binarycrossentropy", "write `bce(p, target)`, or `bce_with_logits(logits, target)`"},
    {"bceloss", "write `mean(bce(p, target))`"},
    {"bcewithlogitsloss", "write `mean(bce_with_logits(logits, target))`"},
    {"mseloss", "write `mse(prediction, target)`"},
    {"meansquarederror", "write `mse(prediction, target)`"},
    {"l1loss", "write `mae(prediction, target)`"},
    {"meanabsoluteerror", "write `mae(prediction, target)`"},
    {"smoothl1loss", "write `mean(huber(prediction, target))`"},
    {"kldiv", "write `kl(p, log_q)`"},
    // ---- training
    {"backward", "derivatives are asked for: `update sgd(loss)`, or `grad(loss, x)`"},
    {"zerograd", "there is nothing to clear: each call derives anew"},
    {"nograd", "leave it out: derivatives are computed only where they are asked for"},
    {"detach", "write `stop_gradient(x)`"},
    {"item", "write the name alone: a scalar is used and returned as it is"},
    {"numpy", "write the name alone: an entry returns tensors, and the host reads them"},
    {"cpu", "leave it out: there are no devices"},
    {"cuda", "leave it out: there are no devices"},
    {"parameters", "write `params(net)`"},
    {"trainablevariables", "write `params(net)`"},
    {"statedict", "write `params(net)`; `nnc train --weights-out` writes them"},
    {"clipgradnorm", "write `clip_by_global_norm(grads, limit)`"},
    {"gradienttape", "write `grad(loss, x)`"},
    {"fit", "write an entry with `update sgd(loss)`; `nnc train` calls it"},
    {"train", "calls take `training = true`; an entry with `update` trains"},
    {"eval", "calls take `training = false`; an entry without `update` does not train"},
    // ---- values
    {"print", "nothing is printed: an entry returns what is to be seen"},
    {"enumerate", "write `for i, x in zip(0..len(xs), xs)`"},
    {"self", "there is no `self`: a `param` is called by its name in its net"},
    {"null", "there is no such value: what a call may leave out has a default"},
    {"nil", "there is no such value: what a call may leave out has a default"},
    {"undefined", "there is no such value: what a call may leave out has a default"},
};

constexpr Row dtypes[] = {
    {"int", "i32"},   {"int32", "i32"},   {"integer", "i32"},   {"long", "i64"},   {"int64", "i64"},
    {"float", "f32"}, {"float32", "f32"}, {"single", "f32"},    {"double", "f64"}, {"float64", "f64"},
    {"half", "f16"},  {"float16", "f16"}, {"bfloat16", "bf16"}, {"uint8", "u8"},   {"byte", "u8"},
    {"char", "u8"},   {"int8", "i8"},     {"boolean", "bool"},  {"bool8", "bool"}, {"real", "f32"},
};

// An argument's name elsewhere, and what it may be here.
constexpr Row arguments[] = {
    {"dim", "axis"},
    {"dims", "axis"},
    {"axes", "axis"},
    {"axis", "axes"},
    {"keepdim", "keepdims"},
    {"learningrate", "lr"},
    {"stepsize", "lr"},
    {"p", "rate"},
    {"prob", "rate"},
    {"droprate", "rate"},
    {"weightdecay", "decay"},
    {"epsilon", "eps"},
    {"momentum", "mu"},
    {"momentum", "rate"},
    {"outfeatures", "units"},
    {"filters", "units"},
    {"outchannels", "units"},
    {"features", "units"},
    {"hiddensize", "units"},
    {"kernelsize", "size"},
    {"poolsize", "size"},
    {"strides", "stride"},
    {"usebias", "bias"},
    {"numheads", "heads"},
    {"labelsmoothing", "smoothing"},
    {"kernelinitializer", "init"},
    {"numclasses", "classes"},
    {"alpha", "slope"},
    {"negativeslope", "slope"},
    {"numgroups", "groups"},
    {"stddev", "std"},
    {"minval", "low"},
    {"maxval", "high"},
    {"min", "low"},
    {"max", "high"},
    {"inputdim", "vocab"},
    {"numembeddings", "vocab"},
    {"embeddingdim", "width"},
    {"outputdim", "width"},
};

constexpr std::string_view packages[] = {"np",     "numpy",  "torch",  "tf",    "tensorflow", "keras",      "nn",
                                         "F",      "jnp",    "jax",    "math",  "optim",      "functional", "optimizers",
                                         "losses", "layers", "linalg", "scipy", "lax",        "activations"};

std::string_view find(std::span<const Row> rows, std::string_view key) {
  const auto at = std::ranges::find(rows, key, &Row::first);
  return at == rows.end() ? "" : at->second;
}

// Letters to insert, remove, replace or swap with a neighbour to get from one word to the other.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i)
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[a.size()][b.size()];
}

// In words of up to four letters only two that changed places, or one written twice, are a slip.
bool is_slip(std::string_view a, std::string_view b) {
  if (a.size() == b.size())
    return std::ranges::is_permutation(a, b);
  const std::string_view shorter = a.size() < b.size() ? a : b, longer = a.size() < b.size() ? b : a;
  for (size_t i = 1; i < longer.size(); ++i)
    if (longer[i] == longer[i - 1] && std::string(longer).erase(i, 1) == shorter)
      return true;
  return false;
}

} // namespace

std::string plain_word(std::string_view name) {
  std::string plain;
  for (const char c : name)
    if (c != '_')
      plain += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return plain;
}

std::string_view instead_of(std::string_view name) { return find(words, plain_word(name)); }
std::string_view dtype_instead_of(std::string_view name) { return find(dtypes, plain_word(name)); }
bool is_package(std::string_view name) { return std::ranges::find(packages, name) != std::end(packages); }

std::string parameters_text(std::string_view name, const std::vector<std::string> &known) {
  if (known.empty())
    return ": it has none";
  const auto has = [&](std::string_view meant) { return std::ranges::find(known, meant) != known.end(); };
  std::string text;
  for (const auto &[foreign, meant] : arguments)
    if (text.empty() && foreign == plain_word(name) && has(meant))
      text = fmt::format(" (did you mean `{}`?)", meant);
  Closest closest(name);
  for (const std::string &parameter : known)
    closest.compare(parameter);
  if (text.empty())
    text = closest.hint();
  if (text.empty() && plain_word(name) == "activation")
    text = "; call the function on the result, as in `relu(dense(x, 10))`";
  return fmt::format("{}: it has `{}`", text, fmt::join(known, "`, `"));
}

Closest::Closest(std::string_view name) : name_(name), plain_(plain_word(name)), distance_(name.size() <= 7 ? 2 : 3) {}

void Closest::compare(std::string_view known) {
  if (known == name_ || plain_.size() == 1) // a letter is no slip of another
    return;
  const std::string plain = plain_word(known);
  const size_t most = std::max(plain_.size(), plain.size()), least = std::min(plain_.size(), plain.size());
  if (most - least >= distance_) // so many letters must come or go in any case
    return;
  const size_t distance = edit_distance(plain_, plain);
  if (distance > 0 && least <= 4 && !is_slip(plain_, plain))
    return;
  if (distance < distance_ || (distance == distance_ && !best_.empty() && known < best_)) {
    distance_ = distance;
    best_ = known;
  }
}

std::string Closest::hint() const { return best_.empty() ? "" : fmt::format(" (did you mean `{}`?)", best_); }

} // namespace nnc
