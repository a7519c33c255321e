// A small Plan written by hand, with kernels of its own, for testing what surrounds kernels: entries, linking, loading.
//
//   state  w f32[1000] at 0, count i64 at 4032
//   step(x f32[1000], label u8) -> y f32[1000], slots i64[4]
//          check label < 10; y = x * w + 0.5 in 4 grains; slots[g] = a word that grain g left in its scratch; w = w + x; count +=
//          1
//   init(seed i64): w = 0.25 * seed, count = 0
#pragma once

#include "codegen/compile.h"

namespace nnc::hand_made {

inline constexpr int64_t size = 1000;
inline constexpr int64_t grains = 4;

Plan plan(const std::string &model = "hand/made-1.nn");

// The bodies of its kernels, by `nodes[0].name`. Four more: "where" (the address of the scratch, a grain), "memcpy" (64 KiB
// through llvm.memcpy), "fmaf" (a call that no artefact can make) and "fill twice" (what `init` does, with twice the numbers).
void emit(const Kernel &kernel, const std::string &symbol, llvm::Module &module, const Target &target);

ArtefactOptions options(int threads = 1);
Artefact artefact(const std::string &model = "hand/made-1.nn");

KernelPointer pointer(bool read, bool written);
Step call(int kernel, std::vector<Ref> args);
Step check(Ref holds, int index);

// A kernel of this name and these pointers, for plans of a test's own.
Kernel kernel(const std::string &name, std::vector<KernelPointer> pointers, int64_t grains = 1, int64_t scratch_bytes = 0);

} // namespace nnc::hand_made
