// Target: the processor that code is made for, and what planning and emission need to know of it. The only place, with its
// .cpp, that knows instruction sets by name; others ask for the facts below.
#pragma once

#include "ir/denormals.h"
#include "ir/type.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace llvm {
class Function;
class Module;
class TargetMachine;
} // namespace llvm

namespace nnc {

// The widest vector that code for scalable ones runs on.
inline constexpr int most_vector_bits = 512;

struct Target {
  std::string name;   // what the user asked for, made definite: "x86-64-v4", "znver5" for native, "generic+sve"
  std::string triple; // "x86_64-pc-linux-gnu"
  std::string cpu;    // LLVM's name of the processor
  std::string
      features; // LLVM's feature string: "+avx2,-avx512f,…"; empty unless the processor is the host's or features were named

  int vector_bits = 128; // one vector register; for scalable vectors the bits of one vscale unit
  int vector_registers = 16;
  bool scalable = false;           // registers of vscale * vector_bits bits (SVE), at most most_vector_bits
  bool has_mask_registers = false; // masks cost nothing (AVX-512, SVE); otherwise prefer unmasked main loops

  bool has_fma = false;      // fused multiply-add is one instruction for f32 and f64
  bool has_rounding = false; // floor and round to even are instructions
  bool has_ieee_max = false; // maximum and minimum that keep NaN and order zeros are instructions (NEON)
  bool has_f16 = false;      // f16 is converted to f32 and back by instructions

  int64_t l1_bytes = 32 << 10; // data cache of one core; constants, so that a plan does not depend on the machine that makes it
  int64_t l2_bytes = 1 << 20;

  Denormals denormals = Denormals::flush; // what the code is made for, and sets

  // Elements of this dtype in one register: what a loop over it should be wide, or a multiple of that.
  int lanes(DType dtype) const { return vector_bits / 8 / static_cast<int>(dtype_size(dtype)); }
};

// `cpu`: "native" (this machine), "generic" (the least the triple promises), or a name LLVM knows: "x86-64-v3", "znver5",
// "cortex-a72"; empty: native on the host's triple, else generic. Behind it LLVM's features may be switched, from left to right:
// "generic+sve", "x86-64-v4+no-avx512vnni". `triple`: empty is the host's. Throws Error on unknown names, on native for a
// foreign triple, and on targets whose pointers are not 64 bits or whose bytes are not little-endian.
Target make_target(std::string_view cpu = {}, std::string_view triple = {});

// Of a list such as "x86-64-v3,x86-64-v4": from the least to the most that is asked of a processor. Throws Error where a name
// stands twice. `cpus` empty: as make_target.
std::vector<Target> make_targets(std::string_view cpus, std::string_view triple = {});

// What an artefact is compiled for where nobody says: processors that are common, several in one file.
std::string portable_cpus(std::string_view triple);

// Makes position-independent code without floating-point liberties. Safe to call from several threads.
std::unique_ptr<llvm::TargetMachine> create_machine(const Target &target);

// Sets triple and data layout. To be done before anything is emitted into the module.
void prepare_module(llvm::Module &module, const Target &target, const llvm::TargetMachine &machine);

// Attributes of every function we emit: processor and features, full vector width, no unwinding, no idiom recognition
// (a kernel calls nothing), what becomes of denormals.
void set_function_attributes(llvm::Function &function, const Target &target);

} // namespace nnc
