// `nnc bench MODEL ENTRY`: how long one call takes. Calls are grouped into samples of at least 0.2 ms, so that reading the clock
// does not count; the median of the samples is what is said. One thread is measured on its own processor time, which is blind to
// what else runs on the machine; several threads on the wall clock.
#include "ir/error.h"
#include "tools/command_line.h"
#include "tools/engine.h"
#include "tools/host_tensor.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <functional>

#include <time.h>

namespace nnc {

namespace {

constexpr double sample_us = 200, total_us = 1'000'000, warm_us = 100'000;
constexpr size_t least_samples = 5, most_samples = 2000;

const HelpPage page = {
    "  nnc bench MODEL ENTRY [--threads N] [--json] [options]\n",
    "Measures one call of an entry of a model (.nn, or a compiled .so). Inputs without --in are random: floats in -1..1, small\n"
    "whole numbers; a float that is a single number, as a learning rate, is 0.01.",
    R"(  nnc bench examples/mnist.nn train_step
  nnc bench mnist.so predict --threads 2 --json
  nnc bench examples/xor.nn train_step --in lr=0.5 --in x=x.npy
)"};

double now_us(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

double rounded(double number) { return std::round(number * 1000) / 1000; }

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

struct Measured {
  double median_us, min_us, wall_median_us;
};

Measured measure(const std::function<void()> &call, bool own_time) {
  const clockid_t clock = own_time ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
  size_t calls = 0;
  double start = now_us(CLOCK_MONOTONIC), elapsed = 0;
  do {
    call();
    ++calls;
    elapsed = now_us(CLOCK_MONOTONIC) - start;
  } while (elapsed < warm_us);
  const double each = elapsed / static_cast<double>(calls);
  const size_t group = std::max<size_t>(1, static_cast<size_t>(sample_us / each));
  const size_t samples =
      std::clamp(static_cast<size_t>(total_us / (each * static_cast<double>(group))), least_samples, most_samples);
  std::vector<double> own, wall;
  for (size_t s = 0; s < samples; ++s) {
    const double wall_start = now_us(CLOCK_MONOTONIC), own_start = now_us(clock);
    for (size_t i = 0; i < group; ++i)
      call();
    own.push_back((now_us(clock) - own_start) / static_cast<double>(group));
    wall.push_back((now_us(CLOCK_MONOTONIC) - wall_start) / static_cast<double>(group));
  }
  return {median(own), *std::ranges::min_element(own), median(wall)};
}

// What is not given is random; a learning rate must be small, or what is measured diverges.
std::vector<std::vector<std::byte>> bench_inputs(const nnc_entry_info &entry, uint64_t bound, const Assignments &given) {
  std::vector<std::vector<std::byte>> values = random_inputs(entry, 1, bound);
  for (size_t i = 0; i < values.size(); ++i) {
    const nnc_tensor_info &input = inputs(entry)[i];
    if (const auto at = given.find(input.name); at != given.end())
      values[i] = input_value(at->second, input).bytes;
    else if (input.rank == 0 && is_float_dtype(input.dtype))
      values[i] = input_value("0.01", input).bytes;
  }
  return values;
}

} // namespace

int bench_command(int argc, const char *const *argv) {
  Words words({"MODEL", "ENTRY"});
  cl::opt<bool> json("json", cl::desc("one line of JSON instead of sentences"), cl::cat(general_options()));
  cl::list<std::string> in_list("in", cl::desc("value of an input: a file, or a number"), cl::value_desc("NAME=FILE"),
                                cl::cat(general_options()));
  RunFlags flags;
  if (!parse_command_line(argc, argv, page))
    return 0;
  const std::vector<std::string> names = words.get();
  const unsigned threads = flags.threads();
  const std::unique_ptr<ThreadPool> pool = make_pool(threads);
  const std::unique_ptr<Engine> engine =
      open_engine(engine_kind(flags.engine, names[0]), names[0], flags.options(), pool.get(), {names[1]});
  const nnc_entry_info &entry = entry_of(*engine, names[1]);
  const Assignments given = assignments(in_list, "in");
  check_input_names(given, "in", {&entry});
  start_state(*engine, flags.seed(), flags.weights, flags.skip_mismatch);

  std::vector<std::vector<std::byte>> values, results;
  std::vector<const void *> in;
  std::vector<void *> out;
  for (const nnc_tensor_info &output : outputs(entry))
    out.push_back(results.emplace_back(output.bytes).data());
  const auto call = [&] { engine->call(entry, in, out); };
  // Labels and indices have an upper end that only the entry's checks know.
  for (const uint64_t bound : {10, 2, 1}) {
    values = bench_inputs(entry, bound, given);
    in.clear();
    for (const std::vector<std::byte> &value : values)
      in.push_back(value.data());
    try {
      call();
      break;
    } catch (const CallError &error) {
      if (error.code < NNC_CHECK || bound == 1)
        throw;
    }
  }
  const Measured time = measure(call, threads == 1);
  const uint64_t workspace = workspace_bytes(entry, threads), state = engine->model().info().state_bytes;
  if (json) {
    const nlohmann::ordered_json line = {{"model", names[0]},
                                         {"entry", names[1]},
                                         {"threads", threads},
                                         {"median_us", rounded(time.median_us)},
                                         {"min_us", rounded(time.min_us)},
                                         {"wall_median_us", rounded(time.wall_median_us)},
                                         {"compile_ms", rounded(engine->compile_milliseconds)},
                                         {"workspace_bytes", workspace},
                                         {"state_bytes", state}};
    fmt::print("{}\n", line.dump());
    return 0;
  }
  fmt::print("{} of {}, {} thread{}\n", names[1], names[0], threads, threads == 1 ? "" : "s");
  fmt::print("  {:.2f} us a call (median), {:.2f} us the fastest, {:.2f} us on the wall clock\n", time.median_us, time.min_us,
             time.wall_median_us);
  if (engine->compile_milliseconds > 0)
    fmt::print("  compiled in {:.1f} ms\n", engine->compile_milliseconds);
  fmt::print("  {} bytes of workspace, {} bytes of state\n", workspace, state);
  return 0;
}

} // namespace nnc
