// Memory and reductions of Lanes, and the names a Target answers to. Buffers end at a page that may not be touched.
#include "ir/error.h"
#include "tests/lane_kernel.h"

#include <gtest/gtest.h>
#include <limits>

#include <cmath>
#include <cstring>
#include <random>
#include <sys/mman.h>

namespace nnc {
namespace {

// `bytes` bytes that end where a page begins that traps.
class GuardedBytes {
public:
  explicit GuardedBytes(size_t bytes) : size(bytes) {
    base = static_cast<char *>(mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(base + page, page, PROT_NONE);
  }
  ~GuardedBytes() { munmap(base, 2 * page); }
  GuardedBytes(const GuardedBytes &) = delete;
  char *data() { return base + page - size; }
  template <typename T> T *as() { return reinterpret_cast<T *>(data()); }

private:
  static constexpr size_t page = 1 << 16;
  size_t size;
  char *base;
};

// One call of `code` with its operands as pointers: void f(out, a, n).
using PointerCode = std::function<void(const Lanes &, llvm::Value *out, llvm::Value *a, llvm::Value *n)>;

void run_once(unsigned width, void *out, const void *a, int64_t n, const PointerCode &code,
              const Target &target = make_target("native")) {
  llvm::orc::ThreadSafeContext context(std::make_unique<llvm::LLVMContext>());
  auto module = std::make_unique<llvm::Module>("lanes", *context.getContext());
  const auto machine = create_machine(target);
  prepare_module(*module, target, *machine);
  llvm::IRBuilder<> b(*context.getContext());
  llvm::Function *f =
      llvm::Function::Create(llvm::FunctionType::get(b.getVoidTy(), {b.getPtrTy(), b.getPtrTy(), b.getInt64Ty()}, false),
                             llvm::Function::ExternalLinkage, "f", *module);
  set_function_attributes(*f, target);
  b.SetInsertPoint(llvm::BasicBlock::Create(*context.getContext(), "entry", f));
  code(Lanes(b, target, width), f->getArg(0), f->getArg(1), f->getArg(2));
  b.CreateRetVoid();
  ASSERT_FALSE(llvm::verifyModule(*module, &llvm::errs()));
  auto jit = llvm::cantFail(llvm::orc::LLJITBuilder().create());
  llvm::cantFail(jit->addIRModule(llvm::orc::ThreadSafeModule(std::move(module), context)));
  llvm::cantFail(jit->lookup("f")).toPtr<void (*)(void *, const void *, int64_t)>()(out, a, n);
}

TEST(LanesMemory, MaskedTailsTouchNothingElse) {
  for (DType dtype :
       {DType::f32, DType::f64, DType::u8, DType::i32, DType::i64, DType::boolean, DType::bf16, DType::f16, DType::i8})
    for (unsigned width : {1, 4, 8, 16})
      for (int64_t n = 0; n <= static_cast<int64_t>(width); ++n) {
        const size_t bytes = static_cast<size_t>(n * dtype_size(dtype));
        GuardedBytes in(bytes), out(bytes);
        std::memset(in.data(), 1, bytes);
        run_once(width, out.data(), in.data(), n, [&](const Lanes &l, llvm::Value *to, llvm::Value *from, llvm::Value *end) {
          llvm::Value *mask = l.predicate(l.index(0), end);
          l.store(dtype, l.load(dtype, from, mask), to, mask);
        });
        EXPECT_EQ(std::memcmp(in.data(), out.data(), bytes), 0) << dtype_name(dtype) << " " << width << " " << n;
      }
}

TEST(LanesMemory, LanesThatAreMaskedOffLoadZero) {
  const float in[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  float out[8];
  run_once(8, out, in, 3, [](const Lanes &l, llvm::Value *to, llvm::Value *from, llvm::Value *end) {
    l.store(DType::f32, l.load(DType::f32, from, l.predicate(l.index(0), end)), to);
  });
  for (int i = 0; i < 8; ++i)
    EXPECT_EQ(out[i], i < 3 ? in[i] : 0);
}

TEST(LanesMemory, AnyByteButZeroIsTrue) {
  const uint8_t in[4] = {0, 1, 2, 255};
  uint8_t out[4];
  run_once(4, out, in, 0, [](const Lanes &l, llvm::Value *to, llvm::Value *from, llvm::Value *) {
    l.store(DType::boolean, l.load(DType::boolean, from), to);
  });
  EXPECT_EQ(std::vector<int>(out, out + 4), (std::vector<int>{0, 1, 1, 1}));
}

// Every stride, both ways, with the first and last element at the ends of the buffer.
TEST(LanesMemory, StridesReadTheirSpanAndNoMore) {
  for (DType dtype : {DType::f32, DType::f64, DType::u8, DType::bf16})
    for (unsigned width : {1, 2, 8, 16})
      for (int64_t stride : {0, 1, -1, 2, -2, 3, 4, -4, 5, -7})
        for (int64_t active : {int64_t{width}, int64_t{width} - 1}) { // without and with a mask
          if (active == 0)
            continue;
          const int64_t count = (active - 1) * std::abs(stride) + 1, size = dtype_size(dtype);
          GuardedBytes in(static_cast<size_t>(count * size)), out(static_cast<size_t>(active * size));
          for (int64_t i = 0; i < count * size; ++i)
            in.data()[i] = static_cast<char>(i * 7);
          char *start = in.data() + (stride < 0 ? (count - 1) * size : 0);
          run_once(width, out.data(), start, active, [&](const Lanes &l, llvm::Value *to, llvm::Value *from, llvm::Value *end) {
            llvm::Value *mask = active < width ? l.predicate(l.index(0), end) : nullptr;
            l.store(dtype, l.load_strided(dtype, from, stride, mask), to, mask);
          });
          for (int64_t i = 0; i < active; ++i)
            ASSERT_EQ(std::memcmp(out.data() + i * size, start + i * stride * size, static_cast<size_t>(size)), 0)
                << dtype_name(dtype) << " width " << width << " stride " << stride << " lane " << i;
        }
}

TEST(LanesMemory, StridedStoresLeaveTheGaps) {
  const int32_t in[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  for (int64_t active : {8, 5}) {
    GuardedBytes out(static_cast<size_t>((active - 1) * 3 + 1) * 4);
    run_once(8, out.data(), in, active, [&](const Lanes &l, llvm::Value *to, llvm::Value *from, llvm::Value *end) {
      llvm::Value *mask = active < 8 ? l.predicate(l.index(0), end) : nullptr;
      l.store_strided(DType::i32, l.load(DType::i32, from, mask), to, 3, mask);
    });
    for (int64_t i = 0; i < (active - 1) * 3 + 1; ++i)
      EXPECT_EQ(out.as<int32_t>()[i], i % 3 ? 0 : in[i / 3]);
  }
}

TEST(LanesMemory, GatherAndScatter) {
  const double in[8] = {10, 11, 12, 13, 14, 15, 16, 17};
  double out[8] = {};
  run_once(4, out, in, 3, [](const Lanes &l, llvm::Value *to, llvm::Value *from, llvm::Value *end) {
    llvm::Value *mask = l.predicate(l.index(0), end), *offsets = l.sub(l.index(7), l.mul(l.iota(DType::i64), l.index(2)));
    l.scatter(DType::f64, l.gather(DType::f64, from, offsets, mask), to, l.iota(l.index(2)), mask);
  });
  EXPECT_EQ(std::vector<double>(out, out + 8), (std::vector<double>{0, 0, 17, 15, 13, 0, 0, 0}));
}

TEST(LanesReduce, SumsInHalves) {
  // In this order alone every step is exact but one: (1 + -1) + (2^-30 + 0).
  const float in[4] = {1, 0x1p-30f, -1, 0};
  float out = 0;
  run_once(4, &out, in, 0, [](const Lanes &l, llvm::Value *to, llvm::Value *from, llvm::Value *) {
    l.with_width(1).store(DType::f32, l.reduce(Op::sum, l.load(DType::f32, from)), to);
  });
  EXPECT_EQ(out, 0x1p-30f);
}

template <typename T> T reduced(Op op, DType dtype, std::vector<T> in, int64_t active) {
  T out;
  run_once(static_cast<unsigned>(in.size()), &out, in.data(), active,
           [&](const Lanes &l, llvm::Value *to, llvm::Value *from, llvm::Value *end) {
             llvm::Value *x = l.mask_neutral(op, l.load(dtype, from), l.predicate(l.index(0), end));
             l.with_width(1).store(dtype, l.reduce(op, x), to);
           });
  return out;
}

TEST(LanesReduce, MaskedLanesAreNeutral) {
  constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(reduced<float>(Op::sum, DType::f32, {1, 2, 4, 8}, 3), 7);
  EXPECT_EQ(reduced<float>(Op::prod, DType::f32, {2, 3, 4, 8}, 2), 6);
  EXPECT_EQ(reduced<float>(Op::max, DType::f32, {-2, -3, -4, 8}, 3), -2);
  EXPECT_EQ(reduced<float>(Op::min, DType::f32, {2, 3, 4, -8}, 3), 2);
  EXPECT_EQ(reduced<float>(Op::max, DType::f32, {1, 2, 3, 4}, 0), -infinity);
  EXPECT_TRUE(std::isnan(reduced<float>(Op::max, DType::f32, {1, nan, 3, 4}, 4)));
  EXPECT_FALSE(std::isnan(reduced<float>(Op::min, DType::f32, {1, 2, nan, 4}, 2)));
  EXPECT_EQ(reduced<int64_t>(Op::min, DType::i64, {1, 2}, 0), INT64_MAX);
  EXPECT_EQ(reduced<int32_t>(Op::max, DType::i32, {1, 2, 3, -5}, 0), INT32_MIN);
  EXPECT_EQ(reduced<uint8_t>(Op::max, DType::u8, {1, 200, 3, 4}, 4), 200);
}

// Against the definition, on ties, NaN and -inf; by whole vectors, then across lanes.
TEST(LanesReduce, ArgmaxTakesTheFirst) {
  constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const float pool[] = {1, 2, 2, 3, 3, -infinity, nan, -0.0f, 0, infinity};
  std::mt19937 random(1);
  for (int round = 0; round < 60; ++round) {
    std::vector<float> in(12);
    const unsigned kinds = round % 3 == 0 ? 10 : round % 3 == 1 ? 6 : 1; // with NaN, without, all equal
    for (float &x : in)
      x = round < 3 ? -infinity : pool[random() % kinds];
    const int64_t active = 5 + round % 8;
    int32_t expected = 0, got = -1;
    for (int32_t i = 1; i < active && !std::isnan(in[static_cast<size_t>(expected)]); ++i)
      if (!(in[static_cast<size_t>(i)] <= in[static_cast<size_t>(expected)]))
        expected = i;
    run_once(4, &got, in.data(), active, [&](const Lanes &l, llvm::Value *to, llvm::Value *from, llvm::Value *end) {
      ArgmaxPair best = l.argmax_neutral(DType::f32);
      for (int at = 0; at < 12; at += 4) {
        const ArgmaxPair next = {l.load(DType::f32, l.element_pointer(DType::f32, from, l.index(at))),
                                 l.iota(l.integer(DType::i32, at))};
        best = l.argmax_combine(best, l.argmax_mask(next, l.predicate(l.index(at), end)));
      }
      l.with_width(1).store(DType::i32, l.argmax_reduce(best).index, to);
    });
    EXPECT_EQ(got, expected) << "round " << round;
  }
}

std::string refusal(std::string_view cpu, std::string_view triple) {
  try {
    make_target(cpu, triple);
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

TEST(TargetNames, AreUnderstoodOrRefused) {
  EXPECT_EQ(make_target("x86-64-v3", "x86_64-linux-gnu").vector_bits, 256);
  EXPECT_EQ(make_target("x86-64-v4", "x86_64-linux-gnu").lanes(DType::f32), 16);
  EXPECT_FALSE(make_target("generic", "x86_64-linux-gnu").has_fma);
  EXPECT_EQ(make_target("", "aarch64-linux-gnu").name,
            make_target("native").triple.starts_with("aarch64") ? make_target().name : "generic");
  const Target neon = make_target("generic", "aarch64-linux-gnu"), sve = make_target("generic+sve", "aarch64-linux-gnu");
  EXPECT_FALSE(neon.scalable);
  EXPECT_TRUE(sve.scalable);
  EXPECT_EQ(sve.name, "generic+sve");
  EXPECT_EQ(sve.features, "+sve");
  EXPECT_FALSE(make_target("neoverse-v1+no-sve", "aarch64-linux-gnu").scalable);
  EXPECT_EQ(make_target("x86-64-v4+no-avx512vl", "x86_64-linux-gnu").vector_bits, 256);
  EXPECT_TRUE(make_target("x86-64-v2+fma+avx2", "x86_64-linux-gnu").has_fma);
  EXPECT_EQ(refusal("generic+foo", "aarch64-linux-gnu"),
            "--cpu: unknown feature `foo` of cpu `generic` for target `aarch64-unknown-linux-gnu`");
  EXPECT_EQ(refusal("generic+sve+", "aarch64-linux-gnu"),
            "--cpu: unknown feature `` of cpu `generic` for target `aarch64-unknown-linux-gnu`");
  EXPECT_EQ(refusal("generic+sve", "x86_64-linux-gnu"),
            "--cpu: unknown feature `sve` of cpu `generic` for target `x86_64-unknown-linux-gnu`");
  EXPECT_EQ(refusal("generic+no-neon", "aarch64-linux-gnu"),
            "--cpu: `generic+no-neon` has no NEON, which code for target `aarch64-unknown-linux-gnu` needs");
  EXPECT_EQ(refusal("foo", "x86_64-linux-gnu"), "--cpu: unknown cpu `foo` for target `x86_64-unknown-linux-gnu`");
  EXPECT_EQ(refusal("", "sparc-sun-solaris"),
            "--target: unknown target `sparc-sun-solaris`: code is made for x86_64 and aarch64, as ELF");
  EXPECT_NE(refusal("i686", "x86_64-linux-gnu"), "");
  EXPECT_NE(refusal("", "not a triple"), "");
  EXPECT_NE(refusal("native", make_target().triple.starts_with("x86_64") ? "aarch64-linux-gnu" : "x86_64-linux-gnu"), "");
}

} // namespace
} // namespace nnc
