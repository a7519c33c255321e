// What the tests of lowering share: compile a source from text, run it with the interpreter, compare numbers.
#pragma once

#include "frontend/frontend.h"
#include "ir/error.h"
#include "ir/interpreter.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "passes/passes.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>

namespace nnc {

using Settings = std::vector<std::pair<std::string, std::string>>;
using Texts = std::map<std::string, std::string>; // of files, by name

inline UsedFiles used_files(const Texts &texts) {
  return {[texts](const std::string &name) {
            const auto found = texts.find(name);
            return found != texts.end() ? found->second : throw Error(name + ": there is no such file");
          },
          {}};
}

// The messages of a source that must not compile; "" if it does.
inline std::string errors_of(const std::string &text, const Settings &set = {}, const Texts &files = {}) {
  const Source source("m.nn", text);
  UsedFiles used = used_files(files);
  Diagnostics diagnostics;
  const std::optional<Module> module = compile_source(source, {set, &used}, diagnostics);
  EXPECT_EQ(module.has_value(), !diagnostics.has_errors());
  return diagnostics.text();
}

// The module as written. It must verify, and its text must read back to itself.
inline Module compiled(const std::string &text, const Settings &set = {}, const Texts &files = {}) {
  const Source source("m.nn", text);
  UsedFiles used = used_files(files);
  Diagnostics diagnostics;
  std::optional<Module> module = compile_source(source, {set, &used}, diagnostics);
  if (!module)
    throw Error(diagnostics.text());
  EXPECT_EQ(verify(*module), "");
  const std::string printed = print(*module);
  EXPECT_EQ(print(parse_module(printed, "m.nnir")), printed);
  return std::move(*module);
}

// … and with derivatives derived, so that it can run.
inline Module runnable(const std::string &text, const Settings &set = {}, const Texts &files = {}) {
  Module module = compiled(text, set, files);
  PassOptions options;
  options.passes = {"grad"};
  run_passes(module, options);
  return module;
}

inline Tensor tensor(DType dtype, Shape shape, const std::vector<double> &values) {
  Tensor result(Type{dtype, std::move(shape)});
  for (size_t i = 0; i < values.size(); ++i)
    result.set(static_cast<int64_t>(i), values[i]);
  return result;
}
inline Tensor f32s(Shape shape, const std::vector<double> &values) { return tensor(DType::f32, std::move(shape), values); }

inline std::vector<double> numbers(const Tensor &tensor) {
  std::vector<double> values;
  for (int64_t i = 0; i < tensor.type.elements(); ++i)
    values.push_back(tensor.get(i));
  return values;
}

// A module with its states, called like a library would.
class Interpreted {
public:
  explicit Interpreted(Module module, int64_t seed = 1) : module(std::move(module)) {
    for (const State &state : this->module.states)
      states.emplace_back(state.type);
    const Tensor start = Tensor::filled_int(Type{DType::i64, {}}, seed);
    call("init", {start});
  }

  // The results by name. A failed check leaves none, and its message in `failed`.
  std::map<std::string, Tensor> call(const std::string &entry, const std::vector<Tensor> &inputs = {}) {
    const Function *function = module.find(entry);
    if (!function)
      throw Error("no entry " + entry);
    RunResult run = interpret(*function, inputs, states);
    failed = run.failed_check;
    for (auto &[index, value] : run.states)
      states[index] = std::move(value);
    return {run.outputs.begin(), run.outputs.end()};
  }
  const Tensor &state(const std::string &path) const {
    for (size_t i = 0; i < states.size(); ++i)
      if (module.states[i].path == path)
        return states[i];
    throw Error("no state " + path);
  }
  std::vector<std::string> paths() const {
    std::vector<std::string> all;
    for (const State &state : module.states)
      all.push_back(state.path);
    return all;
  }

  Module module;
  std::vector<Tensor> states;
  std::string failed;
};

inline void expect_near(const Tensor &actual, const std::vector<double> &expected, double tolerance = 1e-5) {
  const std::vector<double> values = numbers(actual);
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < values.size(); ++i)
    if (std::isnan(expected[i]))
      EXPECT_TRUE(std::isnan(values[i])) << "element " << i << " is " << values[i];
    else if (std::isinf(expected[i]))
      EXPECT_EQ(values[i], expected[i]) << "element " << i;
    else
      EXPECT_NEAR(values[i], expected[i], tolerance * std::max(1.0, std::abs(expected[i]))) << "element " << i;
}

} // namespace nnc
