// Random functions through passes, planning and code: whatever is fused, planned and compiled gives what the interpreter gives
// for the function as written, and the same bits on any threads and every time.
#include "tests/ops/engines.h"
#include "tests/ops/random_graph.h"

#include "ir/error.h"
#include "ir/text.h"
#include "ir/verify.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace nnc {
namespace {

// A smaller graph that fails as well: results are left out, and nodes become constants with the values they have.
Sample shrunk(Sample sample, const Way &way) {
  const auto fails = [&](const Sample &candidate) {
    return verify(candidate.module).empty() && !problem_in(candidate, way).empty();
  };
  const auto results = [](Sample &s) -> std::vector<Result> & { return s.module.functions[0].function_results; };
  for (size_t r = results(sample).size(); r-- > 0;) {
    Sample smaller = sample;
    results(smaller).erase(results(smaller).begin() + static_cast<int64_t>(r));
    if (fails(smaller))
      sample = std::move(smaller);
  }
  for (bool changed = true; changed;) {
    changed = false;
    PassOptions dce;
    dce.passes = {"dce"};
    run_passes(sample.module, dce);
    const Function function = sample.module.functions[0];
    for (int n = static_cast<int>(function.nodes.size()) - 1; n >= function.args && !changed; --n) {
      const Node &node = function.nodes[n];
      if (node.op == Op::constant || node.op == Op::grad || node.types.size() > 1)
        continue;
      Sample smaller = sample;
      Node &constant = smaller.module.functions[0].nodes[n];
      Function until = function;
      until.function_results = {{Result::Kind::output, "y", {n, 0}, -1, {}}};
      try {
        constant.data = std::make_shared<const Tensor>(interpret(until, sample.inputs, sample.states).outputs[0].second);
      } catch (const Error &) {
        continue; // a derivative is on the way
      }
      constant.op = Op::constant;
      constant.operands.clear();
      constant.attrs = {};
      constant.body = nullptr;
      constant.scan = {};
      if (fails(smaller)) {
        sample = std::move(smaller);
        changed = true;
      }
    }
  }
  return sample;
}

void expect_right(uint64_t seed, const GraphSize &size, const std::vector<Way> &ways) {
  const Sample sample = random_graph(seed, size);
  ASSERT_EQ(verify(sample.module), "") << "seed " << seed;
  const std::string file = fmt::format("{}nnc-random-{}.nnir", testing::TempDir(), seed); // found there if the process dies
  std::ofstream(file) << print(sample.module);
  const Reference reference = reference_of(sample);
  for (const Way &way : ways) {
    set_current_case(fmt::format("died in random graph {}, {} {}: {}", seed, way.name, way.cpu, file));
    const std::string problem = problem_in(sample, reference, way);
    if (problem.empty())
      continue;
    const Sample smaller = shrunk(sample, way);
    std::ofstream(file) << print(smaller.module);
    ADD_FAILURE() << "seed " << seed << ": " << problem << "\nof a smaller graph: " << problem_in(smaller, way) << "\n"
                  << file << ":\n"
                  << print(smaller.module).substr(0, 6000);
    return;
  }
  std::filesystem::remove(file);
}

// What was meant to be in the graphs is in them.
TEST(RandomGraphs, HaveLoops) {
  int loops = 0, nested = 0, derived = 0, backwards = 0;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    const Function function = random_graph(seed, {20, false}).module.functions[0];
    bool has_loop = false, has_request = false;
    for (const Node &node : function.nodes) {
      has_request |= node.op == Op::grad;
      if (node.op != Op::scan)
        continue;
      has_loop = true;
      backwards += node.scan.reverse;
      nested += std::ranges::any_of(node.body->nodes, [](const Node &inner) { return inner.op == Op::scan; });
    }
    loops += has_loop;
    derived += has_loop && has_request;
  }
  EXPECT_GT(loops, 60);
  EXPECT_GT(nested, 10);
  EXPECT_GT(backwards, 20);
  EXPECT_GT(derived, 10);
}

struct Batch {
  uint64_t first = 0, count = 0;
  GraphSize size;
};

void PrintTo(const Batch &batch, std::ostream *out) { *out << batch.first; }

class RandomGraphs : public testing::TestWithParam<Batch> {};

// NNC_SEEDS=first,count tries others.
TEST_P(RandomGraphs, AreComputedRight) {
  Batch batch = GetParam();
  if (const char *seeds = std::getenv("NNC_SEEDS"))
    std::sscanf(seeds, "%lu,%lu", &batch.first, &batch.count);
  const std::vector<std::string> cpus = runnable_cpus();
  for (uint64_t seed = batch.first; seed < batch.first + batch.count; ++seed) {
    GraphSize size = batch.size;
    size.nodes = size.nodes / 2 + static_cast<int>(seed % static_cast<uint64_t>(size.nodes));
    const auto cpu = [&](uint64_t n) { return cpus[(seed + n) % cpus.size()]; };
    expect_right(seed, size, {whole_pipeline(cpu(0)), fusion_alone(cpu(1)), without_merges(seed % 8 == 0 ? cpu(2) : "")});
  }
}

INSTANTIATE_TEST_SUITE_P(Small, RandomGraphs, testing::Values(Batch{1000, 150, {12, false}}, Batch{2000, 80, {40, false}}),
                         testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(Storage, RandomGraphs,
                         testing::Values(Batch{3000, 60, {16, false, true}}, Batch{6000, 8, {10, true, true}}),
                         testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(Large, RandomGraphs, testing::Values(Batch{5000, 30, {10, true}}), testing::PrintToStringParamName());

} // namespace
} // namespace nnc
