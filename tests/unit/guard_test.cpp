// Guarded code: kernels whose accesses are wrong on purpose stop before they touch what is not theirs, and the entry says which
// and where. Right kernels run to their end.
#include "codegen/jit.h"
#include "ir/guard.h"
#include "passes/guard.h"
#include "runtime/model.h"
#include "runtime/thread_pool.h"
#include "tests/unit/hand_made.h"
#include "tests/unit/lowering_test.h"
#include "tools/host_tensor.h"
#include "tools/pipeline.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <llvm/IR/Module.h>

namespace nnc {
namespace {

using testing::HasSubstr;

// Calls entry 0 with random inputs; what it says where it fails.
std::string run(Plan plan, ThreadPool *pool, const std::function<void(Plan &)> &spoil = {}) {
  add_guards(plan);
  const ArtefactOptions options = code_options({}, {});
  if (spoil)
    spoil(plan);
  LoadedCode code = load_jit(compile_plan(plan, make_target(), options));
  Session session(Model(code.info, std::move(code.code)), pool);
  const nnc_entry_info &entry = session.model().entries()[0];
  const std::vector<std::vector<std::byte>> values = random_inputs(entry, 1, 2);
  std::vector<const void *> in;
  for (const std::vector<std::byte> &value : values)
    in.push_back(value.data());
  std::vector<std::vector<std::byte>> results;
  std::vector<void *> out;
  for (const nnc_tensor_info &output : outputs(entry))
    out.push_back(results.emplace_back(output.bytes).data());
  try {
    session.call(entry, in, out);
  } catch (const CallError &error) {
    return error.what();
  }
  return "";
}

Plan plan_of(const std::string &text) {
  Module module = compiled(text);
  run_pipeline(module, PipelineEnd::fused, {});
  return plan_module(module, {});
}

// Every access of every kernel moved by the size of the memory behind its pointer, one at a time.
void expect_all_noticed(const std::string &text, ThreadPool *pool = nullptr) {
  const Plan plan = plan_of(text);
  ASSERT_EQ(run(plan, pool), "");
  int noticed = 0;
  for (size_t k = 0; k < plan.kernels.size(); ++k) {
    const auto spoiled = [&](bool is_store, int index) {
      const Kernel &kernel = plan.kernels[k];
      const Access &access = is_store ? kernel.roots[index].access : kernel.nodes[index].access;
      const std::string said = run(plan, pool, [&](Plan &wrong) {
        Kernel &kernel = wrong.kernels[k];
        (is_store ? kernel.roots[index].access : kernel.nodes[index].access).offset += kernel.pointers[access.pointer].elements;
      });
      // A root that lies in the place of an operand is read there too, before it is written.
      EXPECT_THAT(said, HasSubstr(fmt::format("kernel k{}, which computes `", k))) << kernel_text(kernel);
      EXPECT_THAT(said, HasSubstr(is_store ? "would store outside of `" : "would load outside of `")) << kernel_text(kernel);
      EXPECT_THAT(said, HasSubstr(fmt::format("`, {} bytes", guarded_bytes(kernel, static_cast<size_t>(access.pointer)))));
      ++noticed;
    };
    for (size_t i = 0; i < plan.kernels[k].nodes.size(); ++i)
      if (is_load(plan.kernels[k].nodes[i].op))
        spoiled(false, static_cast<int>(i));
    for (size_t i = 0; i < plan.kernels[k].roots.size(); ++i)
      if (!leaves_partials(plan.kernels[k], plan.kernels[k].nodes[plan.kernels[k].roots[i].node]) &&
          plan.kernels[k].nodes[plan.kernels[k].roots[i].node].op != Op::scatter_add)
        spoiled(true, static_cast<int>(i));
  }
  EXPECT_GT(noticed, 1);
}

TEST(Guard, NoticesEveryWrongAccessOfALoop) {
  expect_all_noticed("entry f(x: f32[5, 33], b: f32[33]) { return y = softmax(x + b), m = mean(x) }\n");
}
TEST(Guard, NoticesEveryWrongAccessOfAProduct) {
  expect_all_noticed("entry f(x: f32[40, 50], w: f32[50, 36], b: f32[36]) { return y = relu(x @ w + b) }\n");
}
TEST(Guard, NoticesEveryWrongAccessOfAProductWithARow) {
  expect_all_noticed("entry f(x: f32[300], w: f32[300, 70]) { return y = x @ w, z = w @ x[0:70] }\n");
}
TEST(Guard, NoticesEveryWrongAccessByPlaces) {
  expect_all_noticed("entry f(x: f32[9, 4], i: i32[7], s: f32[20]) { return y = gather(x, i), o = argsort(s) }\n");
}
TEST(Guard, NoticesEveryWrongAccessOfStorageInALoop) {
  expect_all_noticed("entry f(x: bf16[6, 20]) {\n  h = zeros([20])\n  scan r in x { h = 0.5 * h + f32(r) }\n  return h\n}\n");
}
TEST(Guard, NoticesOnOtherThreads) {
  ThreadPool pool(3);
  expect_all_noticed("entry f(x: f32[700, 900]) { return y = exp(x) + sin(x) }\n", &pool);
}

TEST(Guard, NoticesAScratchSlotThatIsTooSmall) {
  const Plan plan = plan_of("entry f(x: f32[300, 300], w: f32[300, 300]) { return y = x @ w }\n");
  EXPECT_EQ(run(plan, nullptr), "");
  EXPECT_THAT(run(plan, nullptr, [](Plan &wrong) { wrong.kernels[0].scratch_bytes = 64; }),
              HasSubstr("would store outside of its scratch slot"));
}

// The hand-made kernels, emitted by other code than the recipes: guards do not ask who wrote a function.
TEST(Guard, KernelsWrittenByHand) {
  const auto emit = [](const Kernel &kernel, const std::string &symbol, llvm::Module &module, const Target &target) {
    if (!has_guards(kernel))
      return emit_kernel(kernel, symbol, module, target);
    hand_made::emit(kernel, symbol, module, target);
    guard_kernel(*module.getFunction(symbol), kernel);
  };
  // Pointers are what the steps pass; the one of kernel `wrong` ends a byte too early.
  const auto said = [&](int wrong, size_t pointer) {
    Plan plan = hand_made::plan();
    for (const PlanEntry &entry : plan.entries)
      for (const Step &step : entry.steps)
        for (size_t p = 0; step.kernel >= 0 && p < step.args.size(); ++p) {
          KernelPointer &to = plan.kernels[step.kernel].pointers[p];
          to.dtype = DType::u8;
          to.elements = step.args[p].bytes - (step.kernel == wrong && p == pointer);
        }
    add_guards(plan);
    ArtefactOptions options = hand_made::options();
    options.emit = emit;
    LoadedCode code = load_jit(compile_plan(plan, make_target(), options));
    Session session(Model(code.info, std::move(code.code)), nullptr);
    const nnc_entry_info &entry = session.model().entries()[0];
    std::vector<float> x(hand_made::size, 1), y(hand_made::size);
    int64_t slots[hand_made::grains];
    const uint8_t label = 3;
    const void *in[] = {x.data(), &label};
    void *out[] = {y.data(), slots};
    try {
      session.call(entry, in, out);
    } catch (const CallError &error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(said(-1, 0), "");
  EXPECT_THAT(said(0, 0), HasSubstr("kernel k0"));
  EXPECT_THAT(said(1, 2), HasSubstr("would load outside of"));
  EXPECT_THAT(said(1, 3), HasSubstr("would store outside of"));
  EXPECT_THAT(said(2, 0), HasSubstr("kernel k2"));
  EXPECT_THAT(said(3, 0), HasSubstr("would load outside of"));
  EXPECT_THAT(said(4, 0), HasSubstr("kernel k4"));
}

} // namespace
} // namespace nnc
