// Entries as a host calls them, run by the JIT: results, refusals, the floating-point mode, pools that do their worst.
#include "codegen/jit.h"
#include "codegen/processor.h"
#include "runtime/model.h"
#include "tests/unit/hand_made.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <llvm/Target/TargetMachine.h>

#include <cfenv>
#include <cstring>
#include <functional>
#include <limits>
#include <thread>

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace nnc {
namespace {

const LoadedCode &loaded() {
  static const LoadedCode code = load_jit(hand_made::artefact());
  return code;
}

using Run = void (*)(void *, void (*)(void *, int64_t), void *, int64_t);

struct Call {
  const nnc_entry_info &step = loaded().info->entries[0];
  const nnc_entry_info &init = loaded().info->entries[1];
  nnc_context context = {};
  AlignedBlock state{loaded().info->state_bytes};
  AlignedBlock workspace{workspace_bytes(step, 8)};
  std::vector<float> x = std::vector<float>(hand_made::size), y = std::vector<float>(hand_made::size);
  uint8_t label = 3;
  int64_t slots[hand_made::grains] = {};
  int64_t seed = 8;

  Call() {
    context.struct_size = sizeof context;
    for (int64_t i = 0; i < hand_made::size; i++)
      x[i] = 0.001f * i;
    const void *in[] = {&seed};
    EXPECT_EQ(init.call(&context, state.data(), nullptr, in, nullptr), NNC_OK);
  }

  int32_t call(nnc_context *c, void *s, void *w, std::vector<const void *> in, std::vector<void *> out) {
    return step.call(c, s, w, in.data(), out.data());
  }
  int32_t operator()() { return call(&context, state.data(), workspace.data(), {x.data(), &label}, {y.data(), slots}); }

  float *w() { return reinterpret_cast<float *>(state.data()); }
  int64_t count() { return *reinterpret_cast<int64_t *>(state.data() + 4032); }

  // All that an entry could have written.
  std::string image() {
    std::string bytes(reinterpret_cast<char *>(state.data()), state.size());
    bytes.append(reinterpret_cast<char *>(y.data()), y.size() * sizeof(float));
    return bytes.append(reinterpret_cast<char *>(slots), sizeof slots);
  }
};

TEST(Entry, RunsItsSteps) {
  Call c;
  ASSERT_EQ(c(), NNC_OK);
  for (int64_t i = 0; i < hand_made::size; i++) {
    EXPECT_EQ(c.y[i], c.x[i] * 2.0f + 0.5f);
    EXPECT_EQ(c.w()[i], 2.0f + c.x[i]);
  }
  EXPECT_EQ(c.count(), 1);
  for (int64_t g = 0; g < hand_made::grains; g++)
    EXPECT_EQ(c.slots[g], (g + 1) * 512);
}

TEST(Entry, RefusesWhatItCannotRun) {
  Call c;
  const std::string before = c.image();
  const auto *x = reinterpret_cast<const std::byte *>(c.x.data());
  auto *y = reinterpret_cast<std::byte *>(c.y.data());
  void *state = c.state.data(), *workspace = c.workspace.data();
  auto expect = [&](int32_t code, nnc_context *context, void *s, void *w, std::vector<const void *> in, std::vector<void *> out) {
    EXPECT_EQ(c.call(context, s, w, in, out), code);
    EXPECT_EQ(c.image(), before);
  };
  expect(NNC_BAD_CONTEXT, nullptr, state, workspace, {x, &c.label}, {y, c.slots});
  for (uint32_t size : {0u, 1u, uint32_t(sizeof c.context) - 1, 5000u, 0xffffffffu}) {
    nnc_context context = c.context;
    context.struct_size = size;
    expect(NNC_BAD_CONTEXT, &context, state, workspace, {x, &c.label}, {y, c.slots});
  }
  expect(NNC_NULL_POINTER, &c.context, nullptr, workspace, {x, &c.label}, {y, c.slots});
  expect(NNC_NULL_POINTER, &c.context, state, nullptr, {x, &c.label}, {y, c.slots});
  expect(NNC_NULL_POINTER, &c.context, state, workspace, {nullptr, &c.label}, {y, c.slots});
  expect(NNC_NULL_POINTER, &c.context, state, workspace, {x, nullptr}, {y, c.slots});
  expect(NNC_NULL_POINTER, &c.context, state, workspace, {x, &c.label}, {nullptr, c.slots});
  expect(NNC_NULL_POINTER, &c.context, state, workspace, {x, &c.label}, {y, nullptr});
  expect(NNC_MISALIGNED, &c.context, c.state.data() + 32, workspace, {x, &c.label}, {y, c.slots});
  expect(NNC_MISALIGNED, &c.context, state, c.workspace.data() + 8, {x, &c.label}, {y, c.slots});
  expect(NNC_MISALIGNED, &c.context, state, workspace, {x + 2, &c.label}, {y, c.slots});
  expect(NNC_MISALIGNED, &c.context, state, workspace, {x, &c.label}, {y + 1, c.slots});
  EXPECT_EQ(c.step.call(&c.context, state, workspace, nullptr, nullptr), NNC_NULL_POINTER);
  EXPECT_EQ(c.step.call(nullptr, state, workspace, nullptr, nullptr), NNC_BAD_CONTEXT) << "comes first";
  EXPECT_EQ(c.image(), before);

  nnc_context context = c.context;
  context.workspace_bytes = workspace_bytes(c.step, 1) - 1;
  expect(NNC_SHORT_WORKSPACE, &context, state, workspace, {x, &c.label}, {y, c.slots});
  context.threads = 3;
  context.workspace_bytes = workspace_bytes(c.step, 3) - 1;
  expect(NNC_SHORT_WORKSPACE, &context, state, workspace, {x, &c.label}, {y, c.slots});
  context.workspace_bytes++;
  EXPECT_EQ(c.call(&context, state, workspace, {x, &c.label}, {y, c.slots}), NNC_OK);
}

// Variants whose code says which it is: all but `generic` fill the state with twice the numbers.
struct Variants {
  LoadedCode code;
  const nnc_model_info &info;
  std::vector<uint64_t> isa;

  explicit Variants(const std::string &cpus) : code(load(cpus)), info(*code.info) {
    for (const nnc_variant_info &variant : InfoList<nnc_variant_info>(info.variants, info.variant_count))
      isa.push_back(variant.isa);
  }

  static LoadedCode load(const std::string &cpus) {
    ArtefactOptions options = hand_made::options();
    options.emit = [](const Kernel &kernel, const std::string &symbol, llvm::Module &module, const Target &target) {
      Kernel changed = kernel;
      if (kernel.nodes[0].name == "fill" && target.name != "generic")
        changed.nodes[0].name = "fill twice";
      hand_made::emit(changed, symbol, module, target);
    };
    return load_jit(compile_plan(hand_made::plan(), make_targets(cpus), options));
  }
};

TEST(Entry, RunsTheBestVariantThatTheProcessorCan) {
  const Variants v("native,generic"); // in any order
  ASSERT_EQ(v.info.variant_count, 2u);
  EXPECT_STREQ(v.info.variants[0].cpu, "generic");
  EXPECT_EQ(v.info.variants[1].cpu, make_target("native").name);
  EXPECT_EQ(v.info.cpu, "generic," + make_target("native").name);
  EXPECT_EQ(v.isa[0] & ~v.isa[1], 0u);

  nnc_context context = {};
  EXPECT_EQ(v.info.pick(nullptr), -NNC_BAD_CONTEXT);
  EXPECT_EQ(v.info.pick(&context), -NNC_BAD_CONTEXT);
  context.struct_size = sizeof context;
  AlignedBlock state(v.info.state_bytes);
  const nnc_entry_info &init = v.info.entries[1];
  // What `w` became: 0.25 * seed, or twice that where the code is the second variant's.
  const auto run = [&] {
    const int64_t seed = 8;
    const void *in[] = {&seed};
    std::memset(state.data(), 0, state.size());
    const int32_t refused = init.call(&context, state.data(), nullptr, in, nullptr);
    return refused ? -static_cast<float>(refused) : *reinterpret_cast<const float *>(state.data());
  };
  EXPECT_EQ(v.info.pick(&context), 1);
  EXPECT_EQ(run(), 4.0f);
  context.variant = 1;
  EXPECT_EQ(v.info.pick(&context), 0);
  EXPECT_EQ(run(), 2.0f);
  context.variant = 2;
  EXPECT_EQ(run(), 4.0f);
  context.variant = 3;
  EXPECT_EQ(v.info.pick(&context), -NNC_BAD_VARIANT);
  EXPECT_EQ(run(), -static_cast<float>(NNC_BAD_VARIANT));
  context.variant = 0;
  if (v.isa[1] != v.isa[0]) {
    // A processor that has no more than the first needs; whoever found that out knows all features.
    context.isa = v.isa[0] | ~uint64_t(0) << most_features;
    EXPECT_EQ(run(), 2.0f);
    context.variant = 2;
    EXPECT_EQ(v.info.pick(&context), -NNC_UNSUPPORTED_CPU);
    EXPECT_EQ(run(), -static_cast<float>(NNC_UNSUPPORTED_CPU));
  }
}

TEST(Entry, TouchRefusesWhatAnEntryWould) {
  Call c;
  const auto touch = loaded().info->touch;
  EXPECT_EQ(touch(&c.context, c.state.data()), NNC_OK);
  EXPECT_EQ(touch(nullptr, c.state.data()), NNC_BAD_CONTEXT);
  EXPECT_EQ(touch(&c.context, nullptr), NNC_NULL_POINTER);
  EXPECT_EQ(touch(&c.context, c.state.data() + 32), NNC_MISALIGNED);
}

TEST(Entry, NamesItsCodes) {
  const auto name = loaded().info->code_name;
  EXPECT_STREQ(name(NNC_OK), "NNC_OK");
  EXPECT_STREQ(name(NNC_SHORT_WORKSPACE), "NNC_SHORT_WORKSPACE");
  EXPECT_STREQ(name(NNC_UNSUPPORTED_CPU), "NNC_UNSUPPORTED_CPU");
  EXPECT_STREQ(name(NNC_BAD_VARIANT), "NNC_BAD_VARIANT");
  EXPECT_STREQ(name(NNC_BAD_VARIANT + 1), "unknown");
  EXPECT_STREQ(name(NNC_CHECK - 1), "unknown");
  EXPECT_STREQ(name(NNC_CHECK), "NNC_CHECK");
  EXPECT_STREQ(name(NNC_CHECK + 7), "NNC_CHECK");
  EXPECT_STREQ(name(-1), "unknown");
}

// Two hosts at once, each with its own state.
TEST(Entry, RunsOnTwoStatesInTwoThreads) {
  std::vector<std::jthread> threads;
  for (int t = 0; t < 2; ++t)
    threads.emplace_back([] {
      for (int repeat = 0; repeat < 50; ++repeat) {
        Call c;
        float w = 2;
        for (int step = 1; step <= 20; ++step) {
          ASSERT_EQ(c(), NNC_OK);
          ASSERT_EQ(c.count(), step);
          ASSERT_EQ(c.w()[999], w += c.x[999]);
        }
      }
    });
}

TEST(Entry, AcceptsALaterAndLongerContext) {
  Call c;
  struct {
    nnc_context context;
    char appended[40];
  } later = {c.context, {}};
  later.context.struct_size = sizeof later;
  c.context = later.context;
  EXPECT_EQ(c(), NNC_OK);
}

TEST(Entry, FailedCheckWritesNothing) {
  Call c;
  const std::string before = c.image();
  c.label = 10;
  EXPECT_EQ(c(), NNC_CHECK);
  EXPECT_EQ(c.image(), before);
  EXPECT_EQ(result_text(c.step, NNC_CHECK), "label is not below 10");
}

// LLVM uses it unasked. The number is for ever: contexts are shared with artefacts of later compilers.
TEST(Entry, AsksForSse4aWhereLlvmMayUseIt) {
  const auto asks = [](const char *cpu) { return required_isa(*create_machine(make_target(cpu, "x86_64-linux-gnu"))) >> 44 & 1; };
  EXPECT_TRUE(asks("znver3"));
  EXPECT_FALSE(asks("x86-64-v4"));
}

TEST(Entry, DetectsTheProcessorOnce) {
  Call c;
  EXPECT_NE(c.context.isa & isa_detected, 0u);
  // LLVM finds the host's features by its own code.
  const uint64_t isa = c.context.isa, features = (uint64_t(1) << most_features) - 1;
  EXPECT_EQ(isa & features, required_isa(*create_machine(make_target("native"))) & features);
  const uint64_t more = isa + (uint64_t(1) << most_features); // from an artefact that knows more
  c.context.isa = more;
  EXPECT_EQ(c(), NNC_OK);
  EXPECT_EQ(c.context.isa, more) << "asked again";
  c.context.isa = isa_detected; // from one that knows none, such as those of before there was a number of them
  EXPECT_EQ(c(), NNC_OK);
  EXPECT_EQ(c.context.isa, isa);
#ifdef __x86_64__
  const std::string before = c.image();
  c.context.isa = isa & ~features; // a processor without any extension
  EXPECT_EQ(c(), NNC_UNSUPPORTED_CPU);
  EXPECT_EQ(c.image(), before);
#endif
}

#ifdef __x86_64__
constexpr unsigned flush = _MM_FLUSH_ZERO_ON | 0x40 /* denormals are zero */;

// Denormals, and sums whose last bit depends on the rounding mode.
void make_sensitive(Call &c) {
  for (int64_t i = 0; i < hand_made::size; i++)
    c.x[i] = i % 2 ? std::numeric_limits<float>::denorm_min() * i : 1e-8f * i;
  std::fill_n(c.w(), hand_made::size, std::numeric_limits<float>::min() / 2);
}

TEST(Entry, SetsTheFloatModeAndRestoresIt) {
  Call plain;
  make_sensitive(plain);
  ASSERT_EQ(plain(), NNC_OK);

  const unsigned before = _mm_getcsr();
  for (unsigned mode : {flush, unsigned(_MM_ROUND_UP), unsigned(_MM_ROUND_TOWARD_ZERO) | flush}) {
    Call other;
    make_sensitive(other);
    const unsigned wanted = 0x1f80 | mode;
    _mm_setcsr(wanted);
    const int32_t code = other();
    const unsigned after = _mm_getcsr();
    other.label = 11;
    const int32_t failed = other();
    const unsigned after_failure = _mm_getcsr();
    const int32_t refused = other.step.call(&other.context, nullptr, nullptr, nullptr, nullptr);
    const unsigned after_refusal = _mm_getcsr();
    _mm_setcsr(before);
    EXPECT_EQ(code, NNC_OK);
    EXPECT_EQ(failed, NNC_CHECK);
    EXPECT_EQ(refused, NNC_NULL_POINTER);
    EXPECT_EQ(after, wanted);
    EXPECT_EQ(after_failure, wanted);
    EXPECT_EQ(after_refusal, wanted);
    EXPECT_EQ(other.image(), plain.image());
  }
  // Negative control: in that mode the host's own arithmetic does lose denormals.
  _mm_setcsr(0x1f80 | flush);
  volatile float tiny = std::numeric_limits<float>::denorm_min(), result = tiny * 3;
  _mm_setcsr(before);
  EXPECT_EQ(result, 0.0f);
}

// Each task on a thread of its own, where denormals are kept, last first; the pool checks that the mode comes back.
void hostile_run(void *pool, void (*task)(void *, int64_t), void *arg, int64_t n) {
  auto &modes_kept = *static_cast<std::atomic<int> *>(pool);
  for (int64_t i = n - 1; i >= 0; i--)
    std::thread([&] {
      _mm_setcsr(0x1f80 | _MM_ROUND_DOWN);
      task(arg, i);
      modes_kept += (_mm_getcsr() & 0xffc0) == ((0x1f80 | _MM_ROUND_DOWN) & 0xffc0);
    }).join();
}

TEST(Entry, GivesTheSameBitsOnHostilePools) {
  Call plain;
  make_sensitive(plain);
  ASSERT_EQ(plain(), NNC_OK);
  for (uint32_t threads : {1u, 2u, 3u, 4u, 8u}) {
    Call other;
    make_sensitive(other);
    std::atomic<int> modes_kept = 0;
    other.context.threads = threads;
    other.context.pool = &modes_kept;
    other.context.run = hostile_run;
    other.context.workspace_bytes = workspace_bytes(other.step, threads);
    ASSERT_EQ(other(), NNC_OK);
    EXPECT_EQ(other.image(), plain.image());
    const int tasks = threads == 1 ? 0 : 2 * std::min<int>(threads, hand_made::grains); // two kernels have grains
    EXPECT_EQ(modes_kept, tasks);
  }
}
#endif

// All tasks at once: what they share must not be written by two of them.
void concurrent_run(void *, void (*task)(void *, int64_t), void *arg, int64_t n) {
  std::vector<std::jthread> threads;
  for (int64_t i = 0; i < n; i++)
    threads.emplace_back([=] { task(arg, i); });
}

TEST(Entry, SharesNothingBetweenThreads) {
  Call plain, other;
  other.context.threads = 4;
  other.context.run = concurrent_run;
  for (int repeat = 0; repeat < 20; repeat++) {
    ASSERT_EQ(plain(), NNC_OK);
    ASSERT_EQ(other(), NNC_OK);
    ASSERT_EQ(other.image(), plain.image());
  }
}

TEST(Entry, GivesEachSliceItsSlot) {
  constexpr int64_t grains = 10;
  Plan plan;
  plan.model = "where.nn";
  plan.kernels = {hand_made::kernel("where", {hand_made::pointer(false, true)}, grains, 8)};
  PlanEntry entry;
  entry.name = "where";
  entry.outputs = {{"addresses", {DType::i64, {grains}}}};
  entry.workspace_bytes = 64;
  entry.slot_bytes = 8;
  entry.steps = {hand_made::call(0, {{Ref::Space::output, 0, 0, grains * 8}})};
  plan.entries = {entry};
  const LoadedCode code = load_jit(compile_plan(plan, make_target(), hand_made::options()));
  for (uint32_t threads : {1u, 3u, 16u}) {
    nnc_context context = {};
    context.struct_size = sizeof context;
    context.threads = threads;
    context.run = concurrent_run;
    AlignedBlock workspace(workspace_bytes(code.info->entries[0], threads));
    int64_t addresses[grains];
    void *out[] = {addresses};
    ASSERT_EQ(code.info->entries[0].call(&context, nullptr, workspace.data(), nullptr, out), NNC_OK);
    const int64_t slices = std::min<int64_t>(threads, grains);
    for (int64_t slice = 0; slice < slices; slice++)
      for (int64_t g = slice * grains / slices; g < (slice + 1) * grains / slices; g++)
        EXPECT_EQ(addresses[g], reinterpret_cast<int64_t>(workspace.data()) + 64 + slice * 64) << threads << " grain " << g;
  }
}

TEST(Entry, RunsOnTheRuntimesPool) {
  Call plain;
  ThreadPool pool(3);
  Session session(Model(loaded().info, loaded().code), &pool);
  const nnc_entry_info &step = *session.model().find_entry("step"), &init = *session.model().find_entry("init");
  const void *seed[] = {&plain.seed};
  session.call(init, seed, {});
  for (int repeat = 0; repeat < 20; repeat++) {
    ASSERT_EQ(plain(), NNC_OK);
    Call other;
    const void *in[] = {other.x.data(), &other.label};
    void *out[] = {other.y.data(), other.slots};
    session.call(step, in, out);
    std::memcpy(other.state.data(), session.state(), other.state.size());
    ASSERT_EQ(other.image(), plain.image());
  }
  const uint8_t wrong = 200;
  const void *in[] = {plain.x.data(), &wrong};
  void *out[] = {plain.y.data(), plain.slots};
  try {
    session.call(step, in, out);
    FAIL();
  } catch (const CallError &error) {
    EXPECT_EQ(error.code, NNC_CHECK);
    EXPECT_STREQ(error.what(), "step: label is not below 10");
  }
}

TEST(Entry, CallsNothingForEmptyTensors) {
  Plan plan;
  plan.model = "empty.nn";
  plan.kernels = {
      hand_made::kernel("add", {hand_made::pointer(true, true), hand_made::pointer(true, false)})}; // would write 4000 bytes
  PlanEntry entry;
  entry.name = "nothing";
  entry.inputs = {{"x", {DType::f32, {0, 3}}}};
  entry.outputs = {{"y", {DType::f32, {0}}}};
  entry.steps = {hand_made::call(0, {{Ref::Space::output, 0, 0, 0}, {Ref::Space::input, 0, 0, 0}})};
  plan.entries = {entry};
  const LoadedCode code = load_jit(compile_plan(plan, make_target(), hand_made::options()));
  nnc_context context = {};
  context.struct_size = sizeof context;
  const void *in[] = {nullptr};
  void *out[] = {nullptr};
  EXPECT_EQ(code.info->entries[0].call(&context, nullptr, nullptr, in, out), NNC_OK);
}

TEST(Metadata, SaysEverything) {
  const nnc_model_info &info = *loaded().info;
  EXPECT_EQ(info.struct_size, sizeof info);
  EXPECT_EQ(info.abi_version, NNC_ABI_VERSION);
  EXPECT_STREQ(info.model, "made-1.nn");
  EXPECT_STREQ(info.source_hash, "abc123");
  EXPECT_TRUE(std::string(info.compiler).starts_with("nnc "));
  EXPECT_EQ(info.target, make_target().triple);
  EXPECT_EQ(info.cpu, make_target().name);
  EXPECT_EQ(info.entry_count, 2u);
  EXPECT_EQ(info.state_bytes, 4096u);
  EXPECT_EQ(info.alignment, 64u);

  const nnc_entry_info &step = info.entries[0];
  EXPECT_EQ(step.struct_size, sizeof step);
  EXPECT_STREQ(step.name, "step");
  EXPECT_TRUE(std::string(step.doc).starts_with("Multiplies"));
  EXPECT_EQ(step.input_count, 2u);
  EXPECT_EQ(step.output_count, 2u);
  EXPECT_EQ(step.check_count, 1u);
  EXPECT_STREQ(step.checks[0], "label is not below 10");
  EXPECT_EQ(step.workspace_bytes, 128u); // rounded up, so that slots are aligned
  EXPECT_EQ(step.slot_bytes, 4096u);
  EXPECT_EQ(step.writes_state, 1u);
  EXPECT_STREQ(step.inputs[0].name, "x");
  EXPECT_EQ(tensor_text(step.inputs[0]), "f32[10,100]");
  EXPECT_EQ(step.inputs[0].bytes, 4000u);
  EXPECT_EQ(tensor_text(step.inputs[1]), "u8");
  EXPECT_EQ(tensor_text(step.outputs[1]), "i64[4]");
  EXPECT_STREQ(info.entries[1].name, "init");
  EXPECT_EQ(info.entries[1].output_count, 0u);

  ASSERT_EQ(info.state_count, 2u);
  EXPECT_EQ(info.states[0].struct_size, sizeof info.states[0]);
  EXPECT_STREQ(info.states[0].name, "net/w");
  EXPECT_EQ(info.states[0].trained, 1u);
  EXPECT_STREQ(info.states[1].name, "count");
  EXPECT_EQ(info.states[1].offset, 4032u);
  EXPECT_EQ(info.states[1].trained, 0u);
  EXPECT_EQ(tensor_text(info.states[1]), "i64");
}

} // namespace
} // namespace nnc
