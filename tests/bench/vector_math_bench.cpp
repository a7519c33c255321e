// Speed of the inline elementary functions: one pass over a buffer in L1, elements a second and elements a cycle. The clock is
// found with a chain of dependent additions, one a cycle, so the figure holds while the machine keeps its frequency.
//   cmake --preset release -DNNC_BENCH=ON && cmake --build build --target vector_math_bench && build/bin/vector_math_bench
#include "tests/lane_kernel.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace nnc {
namespace {

double cycles_per_second() {
  double best = 0;
  for (int round = 0; round < 50; ++round) {
    const auto start = std::chrono::steady_clock::now();
    constexpr int additions = 2'000'000;
    for (uint64_t x = 0; x < additions; ++x)
      asm volatile("" : "+r"(x)); // the loop's own additions are the chain
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, additions / seconds.count());
  }
  return best;
}

void pass_over_l1(benchmark::State &state, const Target &target, Op op, DType dtype, unsigned width) {
  const int64_t count = 16384 / dtype_size(dtype); // two buffers of 16 kB
  std::vector<std::byte> in(16384), out(16384);
  const double lowest = op == Op::log || op == Op::log1p ? 0.01 : -4;
  for (int64_t i = 0; i < count; ++i) {
    const double x = lowest + (4 - lowest) * static_cast<double>(i * 997 % count) / static_cast<double>(count);
    if (dtype == DType::f32)
      reinterpret_cast<float *>(in.data())[i] = static_cast<float>(x);
    else
      reinterpret_cast<double *>(in.data())[i] = x;
  }
  const LaneKernel kernel(target, width, {dtype}, dtype, lane_code(op, dtype));
  for (auto _ : state) {
    kernel(count, out.data(), in.data());
    benchmark::ClobberMemory();
  }
  const auto elements = static_cast<double>(state.iterations() * count);
  static const double clock = cycles_per_second();
  state.counters["per_second"] = benchmark::Counter(elements, benchmark::Counter::kIsRate);
  state.counters["per_cycle"] = benchmark::Counter(elements / clock, benchmark::Counter::kIsRate);
}

} // namespace
} // namespace nnc

int main(int argc, char **argv) {
  using namespace nnc;
  const Target host = make_target("native");
  for (DType dtype : {DType::f32, DType::f64})
    for (Op op :
         {Op::exp, Op::expm1, Op::log, Op::log1p, Op::tanh, Op::erf, Op::sigmoid, Op::normal_cdf, Op::atan, Op::sin, Op::cos}) {
      const auto width = static_cast<unsigned>(host.lanes(dtype));
      benchmark::RegisterBenchmark(fmt::format("{}/{}x{}", op_info(op).name, dtype_name(dtype), width).c_str(),
                                   [=](benchmark::State &state) { pass_over_l1(state, host, op, dtype, width); });
    }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
