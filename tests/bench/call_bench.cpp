// What calling an entry costs beyond its kernels, as a C host calls it: an entry with one step on one number, compiled for one
// processor and for two, of which every call picks one. `--benchmark_filter=Call`.
#include "codegen/jit.h"
#include "tests/paths.h"
#include "tools/engine.h"

#include <benchmark/benchmark.h>

namespace nnc {
namespace {

void call(benchmark::State &bench, const std::string &cpus) {
  BuildOptions options;
  options.cpu = cpus;
  const Build build = build_model(source_dir() + "/tests/bench/models/call.nn", options);
  const LoadedCode code = load_jit(build.artefact);
  const nnc_entry_info &entry = code.info->entries[0];
  AlignedBlock state(code.info->state_bytes), workspace(workspace_bytes(entry, 1));
  nnc_context context = {};
  context.struct_size = sizeof context;
  const float x = 1;
  float y = 0;
  const void *in[] = {&x};
  void *out[] = {&y};
  for (auto _ : bench)
    if (entry.call(&context, state.data(), workspace.data(), in, out) != NNC_OK)
      bench.SkipWithError("refused");
  if (y != 2)
    bench.SkipWithError("wrong");
}

BENCHMARK_CAPTURE(call, one_variant, "native");
BENCHMARK_CAPTURE(call, two_variants, "generic,native");

} // namespace
} // namespace nnc

BENCHMARK_MAIN();
