// Peer: f32 matrix products by oneDNN and OpenBLAS, one thread. A case is `M,N,K` with `,at` or `,bt` behind it where the
// first or second operand lies transposed in memory. oneDNN also runs with the second operand in the layout it likes best
// (`onednn_packed`). The case `peak` is what the core can do: GFLOP/s of independent multiply-adds in registers.

#include "tests/bench/peers/timing.h"

#include <cblas.h>
#include <cmath>
#include <dnnl.hpp>
#include <fmt/format.h>
#include <random>
#include <unordered_map>

namespace {

using dnnl::memory;

struct Product {
  int m = 0, n = 0, k = 0;
  bool a_transposed = false, b_transposed = false;
  std::vector<float> a, b, c;
};

Product make(const std::string &name) {
  Product p;
  char operand = 0;
  std::sscanf(name.c_str(), "%d,%d,%d,%c", &p.m, &p.n, &p.k, &operand);
  p.a_transposed = operand == 'a';
  p.b_transposed = operand == 'b';
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  auto fill = [&](std::vector<float> &values, size_t count) {
    values.resize(count);
    for (float &value : values)
      value = normal(random);
  };
  fill(p.a, size_t(p.m) * p.k);
  fill(p.b, size_t(p.k) * p.n);
  p.c.assign(size_t(p.m) * p.n, 0);
  return p;
}

double time_onednn(Product &p, bool packed, double budget) {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  static dnnl::stream stream(engine);
  auto layout = [](int rows, int columns, bool transposed) {
    return memory::desc({rows, columns}, memory::data_type::f32, transposed ? memory::format_tag::ba : memory::format_tag::ab);
  };
  memory::desc a = layout(p.m, p.k, p.a_transposed), b = layout(p.k, p.n, p.b_transposed), c = layout(p.m, p.n, false);
  memory::desc wanted = packed ? memory::desc({p.k, p.n}, memory::data_type::f32, memory::format_tag::any) : b;
  dnnl::matmul::primitive_desc description(dnnl::matmul::desc(a, wanted, c), engine);
  memory a_memory(a, engine, p.a.data()), b_memory(b, engine, p.b.data()), c_memory(c, engine, p.c.data());
  memory b_used(description.weights_desc(), engine);
  dnnl::reorder(b_memory, b_used).execute(stream, b_memory, b_used);
  stream.wait();
  dnnl::matmul matmul(description);
  std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, a_memory}, {DNNL_ARG_WEIGHTS, b_used}, {DNNL_ARG_DST, c_memory}};
  return median_us([&] { matmul.execute(stream, arguments); }, budget);
}

double time_openblas(Product &p, double budget) {
  auto order = [](bool transposed) { return transposed ? CblasTrans : CblasNoTrans; };
  return median_us(
      [&] {
        if (p.m == 1)
          cblas_sgemv(CblasRowMajor, CblasTrans, p.k, p.n, 1, p.b.data(), p.n, p.a.data(), 1, 0, p.c.data(), 1);
        else
          cblas_sgemm(CblasRowMajor, order(p.a_transposed), order(p.b_transposed), p.m, p.n, p.k, 1, p.a.data(),
                      p.a_transposed ? p.m : p.k, p.b.data(), p.b_transposed ? p.k : p.n, 0, p.c.data(), p.n);
      },
      budget);
}

// 12 or 24 accumulators, more than the latency of an FMA times the two that start in a cycle.
double fma_gflops(double budget) {
#ifdef __AVX512F__
  constexpr int width = 16, count = 24;
#else
  constexpr int width = 8, count = 12;
#endif
  typedef float Lanes __attribute__((vector_size(width * sizeof(float))));
  static volatile float factor = 0.999f, addend = 0.001f;
  const float f = factor, g = addend;
  const Lanes a = f - Lanes{}, b = g - Lanes{};
  constexpr int steps = 4096;
  static volatile float sink;
  double us = median_us(
      [&] {
        Lanes sums[count];
#pragma GCC unroll 24
        for (int i = 0; i < count; ++i)
          sums[i] = a + static_cast<float>(i); // different, or the compiler computes one
        for (int step = 0; step < steps; ++step)
#pragma GCC unroll 24
          for (int i = 0; i < count; ++i)
            sums[i] = sums[i] * a + b; // contracted to an FMA
        for (int i = 1; i < count; ++i)
          sums[0] += sums[i];
        sink = sums[0][0];
      },
      budget);
  return 2e-3 * steps * count * width / us;
}

std::string answer(const std::string &name, double budget) {
  if (name == "peak")
    return fmt::format(R"({{"gflops": {:.1f}}})", fma_gflops(budget));
  Product p = make(name);
  double openblas = time_openblas(p, budget);
  std::vector<float> reference = p.c;
  double onednn = time_onednn(p, false, budget), worst = 0;
  for (size_t i = 0; i < reference.size(); ++i)
    worst = std::max(worst, std::fabs(double(reference[i]) - p.c[i]));
  if (!(worst < 1e-4 * p.k)) // the libraries sum in different orders
    return fmt::format(R"({{"error": "oneDNN and OpenBLAS differ by {} in {}"}})", worst, name);
  return fmt::format(R"({{"onednn": {:.4f}, "onednn_packed": {:.4f}, "openblas": {:.4f}}})", onednn, time_onednn(p, true, budget),
                     openblas);
}

} // namespace

int main() {
  openblas_set_num_threads(1);
  fmt::print(stderr, "OpenBLAS kernels for {}\n", openblas_get_corename());
  serve(answer);
}
