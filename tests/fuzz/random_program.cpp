// An expression is made for a shape that is wanted, out of what has a name at that point; loops are statements. tanh and sin keep
// values near 1.
#include "tests/fuzz/random_program.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace nnc {

namespace {

using Sizes = std::vector<int>;

struct Variable {
  std::string name;
  Sizes shape;
};

std::string list(const Sizes &sizes) { return fmt::format("[{}]", fmt::join(sizes, ", ")); }
std::string type(const Sizes &sizes) { return sizes.empty() ? "f64" : "f64" + list(sizes); }

int count(const Sizes &sizes) {
  int product = 1;
  for (int size : sizes)
    product *= size;
  return product;
}

class ProgramMaker {
public:
  explicit ProgramMaker(Numbers &random)
      : random_(random), sizes_{1 + static_cast<int>(below(4)), 2 + static_cast<int>(below(3))} {}

  std::string make() {
    std::vector<std::string> inputs;
    for (uint64_t n = 2 + below(4); n > 0; --n) {
      const Variable x = named("x", some_shape());
      inputs.push_back(fmt::format("{}: {}", x.name, type(x.shape)));
    }
    for (uint64_t n = below(3); n > 0; --n) {
      const Variable w = named("w", some_shape());
      text_ += fmt::format("param {}: {} = 0.5\n", w.name, type(w.shape));
    }
    const std::vector<Variable> leaves = variables_;
    text_ += fmt::format("entry f({}) {{\n", fmt::join(inputs, ", "));
    for (uint64_t n = 2 + below(5); n > 0; --n)
      statement(0);
    results(leaves);
    return text_ + "}\n";
  }

private:
  Numbers &random_;
  const int sizes_[2];
  std::string text_;
  std::vector<Variable> variables_; // that can be read here, later ones more often
  int names_ = 0, indent_ = 1;

  uint64_t below(uint64_t n) { return random_.below(n); }
  bool chance(int percent) { return random_.chance(percent); }

  std::string fresh(const char *prefix) { return fmt::format("{}{}", prefix, names_++); }
  Variable named(const char *prefix, Sizes shape) {
    variables_.push_back({fresh(prefix), std::move(shape)});
    return variables_.back();
  }
  void line(const std::string &code) { text_ += std::string(2 * static_cast<size_t>(indent_), ' ') + code + "\n"; }

  // Few sizes, so that shapes meet.
  int size() { return chance(80) ? sizes_[below(2)] : 1 + static_cast<int>(below(4)); }
  Sizes some_shape(uint64_t most_axes = 3) {
    Sizes shape;
    for (uint64_t axes = below(most_axes + 1); axes > 0; --axes)
      shape.push_back(size());
    return shape;
  }
  const Variable &some_variable() {
    const size_t all = variables_.size();
    return variables_[chance(50) ? below(all) : all - 1 - below(std::min<size_t>(all, 4))];
  }
  std::string number() { return random_.one_of(std::vector<std::string>{"0.5", "2", "-1", "1.5", "0.25", "3", "1"}); }

  // ---- expressions

  // Of this shape, or of one that is broadcast to it.
  std::string fitting(const Sizes &shape, int depth) {
    if (chance(20))
      return number();
    Sizes smaller = shape;
    if (chance(30) && !smaller.empty())
      smaller.erase(smaller.begin());
    else if (chance(15) && !smaller.empty())
      smaller[below(smaller.size())] = 1;
    return expression(smaller, depth);
  }

  std::string expression(const Sizes &shape, int depth = 3) {
    std::vector<std::string> there;
    for (const Variable &variable : variables_)
      if (variable.shape == shape)
        there.push_back(variable.name);
    if (!there.empty() && (depth <= 0 || chance(40)))
      return chance(50) ? there.back() : random_.one_of(there);
    if (depth <= 0)
      return fallback(shape);
    switch (below(10)) {
    case 0:
    case 1:
      return unary(shape, depth);
    case 2:
    case 3:
    case 4:
      return binary(shape, depth);
    case 5:
      return reduced(shape, depth);
    case 6:
    case 7:
      return along_an_axis(shape, depth);
    case 8:
      return viewed(shape, depth);
    default:
      return product(shape, depth);
    }
  }

  // Any variable, made to fit.
  std::string fallback(const Sizes &shape) {
    for (int tries = 0; tries < 4; ++tries)
      if (const Variable &variable = some_variable(); !variable.shape.empty() && variable.shape.size() < shape.size() &&
                                                      std::equal(variable.shape.rbegin(), variable.shape.rend(), shape.rbegin()))
        return fmt::format("broadcast_to({}, {})", variable.name, list(shape));
    const Variable &variable = some_variable();
    if (chance(15))
      return fmt::format("{}({}, f64)", chance(50) ? "ones" : "zeros", list(shape));
    if (count(variable.shape) == count(shape) && count(shape) > 1)
      return fmt::format("reshape({}, {})", variable.name, list(shape));
    const std::string scalar = variable.shape.empty() ? variable.name : fmt::format("mean({})", variable.name);
    return shape.empty() ? scalar : fmt::format("broadcast_to({}, {})", scalar, list(shape));
  }

  std::string unary(const Sizes &shape, int depth) {
    static const std::vector<std::string> forms = {
        "tanh({})",          "sin({})",          "cos({})",         "exp(tanh({}))", "sigmoid({})", "abs({})", "-{}",
        "sqrt(1 + ({})**2)", "log(1 + ({})**2)", "relu({})",        "softplus({})",  "gelu({})",    "({})**2", "({})**3",
        "stop_gradient({})", "erf({})",          "clip({}, -1, 1)", "silu({})",      "floor({})"};
    const std::string inside = expression(shape, depth - 1);
    std::string form = random_.one_of(forms);
    if (form == "-{}")
      form = "(-({}))";
    return fmt::format(fmt::runtime(form), inside);
  }

  std::string binary(const Sizes &shape, int depth) {
    const std::string a = expression(shape, depth - 1), b = fitting(shape, depth - 1);
    switch (below(8)) {
    case 0:
      return fmt::format("({} + {})", a, b);
    case 1:
      return fmt::format("({} - {})", b, a);
    case 2:
      return fmt::format("({} * {})", a, b);
    case 3:
      return fmt::format("({} / (2 + sin({})))", a, b);
    case 4:
      return fmt::format("{}({}, {})", chance(50) ? "maximum" : "minimum", a, b);
    case 5:
      return fmt::format("where({} > {}, {}, {})", a, b, b, a);
    case 6:
      return fmt::format("where({} < 0.3, {}, {})", a, number(), a);
    default:
      return fmt::format("tanh({} * {} + {})", a, b, number());
    }
  }

  std::string reduced(const Sizes &shape, int depth) {
    const auto axis = static_cast<ptrdiff_t>(below(shape.size() + 1));
    Sizes longer = shape;
    longer.insert(longer.begin() + axis, size());
    static const std::vector<std::string> names = {"sum", "mean", "max", "min", "var", "prod", "logsumexp"};
    const std::string &name = random_.one_of(names);
    const std::string form = name == "prod" ? "prod(tanh({}), axis = {})" : name + "({}, axis = {})";
    return fmt::format(fmt::runtime(form), expression(longer, depth - 1), axis);
  }

  std::string along_an_axis(const Sizes &shape, int depth) {
    if (shape.empty())
      return unary(shape, depth);
    const size_t axis = below(shape.size());
    const int size = shape[axis];
    Sizes longer = shape;
    const std::string before = [&] {
      std::string colons;
      for (size_t i = 0; i < axis; ++i)
        colons += ":, ";
      return colons;
    }();
    switch (below(9)) {
    case 0:
      return fmt::format("{}({}, axis = {})", chance(50) ? "softmax" : "log_softmax", expression(shape, depth - 1), axis);
    case 1:
      return fmt::format("cumsum({}, axis = {})", expression(shape, depth - 1), axis);
    case 2:
      return fmt::format("flip({}, axis = {})", expression(shape, depth - 1), axis);
    case 3:
      return fmt::format("sort({}, axis = {})", expression(shape, depth - 1), axis);
    case 4: { // a part
      longer[axis] = size + static_cast<int>(below(3));
      const int first = static_cast<int>(below(static_cast<uint64_t>(longer[axis] - size + 1)));
      return fmt::format("({})[{}{}:{}]", expression(longer, depth - 1), before, first, first + size);
    }
    case 5:
      longer[axis] = 2 * size - static_cast<int>(below(2));
      return fmt::format("({})[{}{}]", expression(longer, depth - 1), before, chance(30) && longer[axis] % 2 ? "::-2" : "::2");
    case 6: { // places
      longer[axis] = 1 + static_cast<int>(below(4));
      Sizes places;
      for (int i = 0; i < size; ++i)
        places.push_back(static_cast<int>(below(static_cast<uint64_t>(longer[axis]))));
      return fmt::format("({})[{}{}]", expression(longer, depth - 1), before, list(places));
    }
    case 7: {
      if (size == 1)
        return unary(shape, depth);
      Sizes rest = shape;
      longer[axis] = 1 + static_cast<int>(below(static_cast<uint64_t>(size - 1)));
      rest[axis] = size - longer[axis];
      return fmt::format("concat([{}, {}], axis = {})", expression(longer, depth - 1), expression(rest, depth - 1), axis);
    }
    default: { // the derivative of a sum, where something has this shape
      std::vector<std::string> there;
      for (const Variable &variable : variables_)
        if (variable.shape == shape)
          there.push_back(variable.name);
      if (there.empty())
        return unary(shape, depth);
      return fmt::format("tanh(grad(sum({}), {}))", expression(shape, depth - 1), random_.one_of(there));
    }
    }
  }

  std::string viewed(const Sizes &shape, int depth) {
    switch (below(4)) {
    case 0: {
      Sizes longer = shape;
      longer.insert(longer.begin(), size());
      return fmt::format("({})[{}]", expression(longer, depth - 1), below(static_cast<uint64_t>(longer[0])));
    }
    case 1: {
      if (shape.size() < 2)
        return unary(shape, depth);
      Sizes turned = shape;
      std::ranges::reverse(turned);
      return fmt::format("({}).T", expression(turned, depth - 1));
    }
    case 2: {
      if (shape.empty())
        return unary(shape, depth);
      Sizes other = shape;
      if (chance(30))
        other = {count(shape)};
      else
        std::ranges::rotate(other, other.begin() + static_cast<ptrdiff_t>(below(shape.size())));
      return fmt::format("reshape({}, {})", expression(other, depth - 1), list(shape));
    }
    default: {
      if (shape.empty())
        return unary(shape, depth);
      Sizes part(shape.begin() + 1, shape.end());
      std::vector<std::string> parts;
      for (int i = 0; i < shape[0]; ++i)
        parts.push_back(expression(part, depth - 2));
      return fmt::format("stack([{}])", fmt::join(parts, ", "));
    }
    }
  }

  std::string product(const Sizes &shape, int depth) {
    const int inner = size();
    if (shape.size() == 2)
      return fmt::format("tanh({} @ {})", expression({shape[0], inner}, depth - 1), expression({inner, shape[1]}, depth - 1));
    if (shape.size() == 1)
      return fmt::format("tanh({} @ {})", expression({inner}, depth - 1), expression({inner, shape[0]}, depth - 1));
    return binary(shape, depth);
  }

  // ---- statements

  void statement(int loops) {
    const uint64_t kind = below(10);
    if (kind < 4 && loops < 3)
      return scan(loops);
    if (kind == 4)
      return unrolled();
    if (kind < 7 && !variables_.empty()) {
      const Variable old = some_variable();
      if (old.name[0] == 'v')
        return line(fmt::format("{} = tanh({})", old.name, expression(old.shape)));
    }
    const Sizes shape = some_shape();
    const std::string value = expression(shape);
    line(fmt::format("{} = {}", named("v", shape).name, value));
  }

  void unrolled() {
    const Sizes shape = some_shape(2);
    const std::string start = expression(shape);
    const Variable v = named("v", shape);
    line(fmt::format("{} = {}", v.name, start));
    line(fmt::format("for k in 0..{} {{ {} = tanh({} * {} + k) }}", 1 + below(3), v.name, expression(shape, 2), number()));
  }

  void scan(int loops) {
    const int steps = size();
    std::vector<Variable> carries; // some that are there already, some of its own
    for (uint64_t n = below(4); n > 0; --n) {
      std::vector<Variable> there;
      for (const Variable &variable : variables_)
        if (variable.name[0] == 'v')
          there.push_back(variable);
      if (chance(50) && !there.empty()) {
        carries.push_back(random_.one_of(there));
      } else {
        const Sizes shape = some_shape(2);
        const std::string first = expression(shape, 2);
        carries.push_back(named("v", shape));
        line(fmt::format("{} = {}", carries.back().name, first));
      }
    }
    const std::vector<Variable> outside = variables_;
    std::vector<std::string> names, sources;
    std::vector<Variable> items;
    for (uint64_t n = 1 + below(3); n > 0; --n) {
      names.push_back(fresh("e"));
      if (chance(20)) {
        sources.push_back(fmt::format("0..{}", steps));
        items.push_back({fmt::format("f64({})", names.back()), {}});
        continue;
      }
      Sizes shape = some_shape(2);
      items.push_back({names.back(), shape});
      shape.insert(shape.begin(), steps);
      sources.push_back(expression(shape, 2));
      if (chance(20))
        sources.back() = fmt::format("({})[::-1]", sources.back());
    }
    const std::string over = sources.size() == 1 ? sources[0] : fmt::format("zip({})", fmt::join(sources, ", "));
    std::vector<Sizes> stacked;
    for (uint64_t n = below(3); n > 0; --n)
      stacked.push_back(some_shape(2));
    std::vector<std::string> targets;
    for (size_t k = 0; k < stacked.size(); ++k)
      targets.push_back(fresh("v"));
    line(fmt::format("{}scan {} in {} {{", targets.empty() ? "" : fmt::format("{} = ", fmt::join(targets, ", ")),
                     fmt::join(names, ", "), over));
    ++indent_;
    for (const Variable &item : items)
      if (chance(70)) // the others nobody reads
        variables_.push_back(item);
    for (uint64_t n = below(3); n > 0; --n)
      statement(loops + 1);
    for (const Variable &carry : carries)
      switch (below(6)) {
      case 0: // what it was is forgotten
        line(fmt::format("{} = {}", carry.name, forgetting(carry)));
        break;
      case 1:
        line(fmt::format("{0} = {0} * {1}", carry.name, number() == "3" ? "0.5" : "-0.5"));
        break;
      case 2:
        break; // stays what it is
      default:
        line(fmt::format("{0} = tanh({0} + {1})", carry.name, expression(carry.shape)));
      }
    if (!stacked.empty()) {
      std::vector<std::string> yielded;
      for (const Sizes &shape : stacked)
        yielded.push_back(expression(shape));
      line(fmt::format("yield {}", fmt::join(yielded, ", ")));
    } else if (carries.empty() || chance(20)) {
      line(fmt::format("{} = {}", fresh("t"), expression(some_shape(1)))); // a step that does nothing
    }
    --indent_;
    line("}");
    variables_ = outside;
    for (size_t k = 0; k < stacked.size(); ++k) {
      stacked[k].insert(stacked[k].begin(), steps);
      variables_.push_back({targets[k], stacked[k]});
    }
  }

  std::string forgetting(const Variable &carry) {
    const std::vector<Variable> all = variables_;
    std::erase_if(variables_, [&](const Variable &variable) { return variable.name == carry.name; });
    const std::string result = fmt::format("tanh({})", expression(carry.shape, 2));
    variables_ = all;
    return result;
  }

  void results(const std::vector<Variable> &leaves) {
    const auto total = [&] {
      std::vector<std::string> terms;
      for (uint64_t n = 1 + below(3); n > 0; --n) {
        const Variable &v = some_variable();
        terms.push_back(fmt::format(fmt::runtime(chance(50) ? "sum({})" : "mean(sin({}))"), v.name));
      }
      return fmt::format("{}", fmt::join(terms, " + "));
    };
    const auto some_leaves = [&] {
      std::vector<Variable> some;
      for (const Variable &leaf : leaves)
        if (chance(60))
          some.push_back(leaf);
      return some.empty() ? std::vector<Variable>{leaves[0]} : some;
    };
    const auto names = [](const std::vector<Variable> &some) {
      std::vector<std::string> all;
      for (const Variable &one : some)
        all.push_back(one.name);
      return fmt::format("[{}]", fmt::join(all, ", "));
    };
    line(fmt::format("loss = {}", total()));
    const std::vector<Variable> first = some_leaves();
    line(fmt::format("g = grad(loss, {})", names(first)));
    std::string returned = "loss, g";
    if (chance(40)) {
      const size_t k = below(first.size());
      line(fmt::format("second = grad(sum(sin(g[{}])) + {}, {})", k, total(), names(some_leaves())));
      returned += ", second";
    }
    for (uint64_t n = below(3); n > 0; --n)
      returned += fmt::format(", y{} = {}", n, some_variable().name);
    line("return " + returned);
  }
};

} // namespace

std::string random_program(Numbers &random) { return ProgramMaker(random).make(); }

} // namespace nnc
