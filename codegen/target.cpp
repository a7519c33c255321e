// Turns --cpu and --target into a Target and an llvm::TargetMachine. Assumes 64-bit little-endian ELF. This is the one file that
// names instruction sets: it translates their feature flags into the facts that the rest of codegen asks for. Adding an
// architecture means: initialise it, accept it in `make_target`, state its facts.

#include "codegen/target.h"

#include "codegen/llvm_compat.h"
#include "codegen/processor.h"
#include "ir/error.h"

#include <fmt/format.h>
#include <llvm/ADT/StringMap.h>
#include <llvm/IR/Function.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Target/TargetOptions.h>
#include <llvm/TargetParser/Host.h>

#include <algorithm>
#include <bit>
#include <map>
#include <mutex>
#include <span>

namespace nnc {

namespace {

void initialise_llvm_targets() {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser();
    LLVMInitializeX86Disassembler();
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
    LLVMInitializeAArch64AsmParser();
    LLVMInitializeAArch64Disassembler();
  });
}

// Sorted, so that equal machines give equal attributes and equal bytes.
std::string host_features() {
  std::map<std::string, bool> sorted;
  for (const auto &feature : llvm::sys::getHostCPUFeatures())
    sorted[feature.getKey().str()] = feature.getValue();
  std::string text;
  for (const auto &[name, present] : sorted)
    text += fmt::format("{}{}{}", text.empty() ? "" : ",", present ? '+' : '-', name);
  return text;
}

std::unique_ptr<llvm::TargetMachine> machine_for(const std::string &triple, const std::string &cpu, const std::string &features) {
  std::string message;
  const llvm::Target *found = compat::lookup_target(triple, message);
  if (!found)
    throw Error(fmt::format("--target: this build of LLVM makes no code for target `{}`", triple));
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict; // muladd is an op; LLVM makes none of its own
  options.NoTrappingFPMath = true;                    // nobody reads exception flags
  // With debug information LLVM describes frames, and those notes keep instructions of a prologue from changing places. They are
  // made in any case, so that the code is the same; without debug information nobody keeps them (link.cpp).
  options.ForceDwarfFrameSection = true;
  // Default makes code within 3 % of Less (docs/kernels.md, "Vector math"); None (FastISel) halves its speed.
  return std::unique_ptr<llvm::TargetMachine>(
      compat::create_target_machine(*found, triple, cpu, features, options, llvm::CodeGenOptLevel::Less));
}

bool knows(const llvm::MCSubtargetInfo &processor, std::string_view feature) {
  return std::ranges::any_of(processor.getAllProcessorFeatures(),
                             [&](const llvm::SubtargetFeatureKV &known) { return known.Key == feature; });
}

// Some versions of LLVM, 19 among them, know the 512-bit registers as a feature of their own, evex512, which those of AVX-512 do
// not bring along.
void set_x86_facts(Target &target, const llvm::MCSubtargetInfo &has) {
  const bool wide = !knows(has, "evex512") || has.checkFeatures("+evex512");
  if (!wide && has.checkFeatures("+avx512f,-avx512vl"))
    throw Error(
        fmt::format("--cpu: `{}` has avx512f with vectors of neither 512 bits (evex512) nor fewer (avx512vl)", target.name));
  if (wide && has.checkFeatures("+avx512f,+avx512vl,+avx512bw,+avx512dq")) {
    target.vector_bits = 512;
    target.vector_registers = 32;
    target.has_mask_registers = true;
  } else {
    target.vector_bits = has.checkFeatures("+avx2") ? 256 : 128;
    target.vector_registers = 16;
  }
  target.has_fma = has.checkFeatures("+fma");
  target.has_rounding = has.checkFeatures("+sse4.1");
  target.has_f16 = has.checkFeatures("+f16c");
}

void set_aarch64_facts(Target &target, const llvm::MCSubtargetInfo &has) {
  target.vector_bits = 128;
  target.vector_registers = 32;
  target.scalable = target.has_mask_registers = has.checkFeatures("+sve"); // otherwise NEON
  target.has_fma = target.has_rounding = target.has_ieee_max = target.has_f16 = true;
}

// What code for the architecture is built on. A name from the 32-bit years is valid for LLVM, but gives no 64-bit code.
struct Need {
  const char *features, *words;
};
constexpr Need x86_needs[] = {{"+64bit,-32bit-mode,-16bit-mode", "64-bit mode"}, {"+sse2,-soft-float", "SSE2"}};
constexpr Need aarch64_needs[] = {{"+fp-armv8,+neon", "NEON"}};

// LLVM's feature string for what stands behind the name of a processor: "+sve+no-bf16". LLVM itself only warns about names.
std::string named_features(std::string_view text, std::string_view cpu, const std::string &triple,
                           const llvm::MCSubtargetInfo &known) {
  std::string features;
  while (!text.empty()) {
    const std::string_view name = text.substr(1, text.find('+', 1) - 1); // npos - 1 is far enough
    text.remove_prefix(name.size() + 1);
    constexpr std::string_view no = "no-";
    const bool off = !knows(known, name) && name.starts_with(no);
    const std::string_view feature = off ? name.substr(no.size()) : name;
    if (!knows(known, feature))
      throw Error(fmt::format("--cpu: unknown feature `{}` of cpu `{}` for target `{}`", feature, cpu, triple));
    if (!off && feature.starts_with("avx512") && knows(known, "evex512"))
      features += "+evex512,"; // before it, so that +no-evex512 behind it counts
    features += fmt::format("{}{},", off ? '-' : '+', feature);
  }
  if (!features.empty())
    features.pop_back();
  return features;
}

} // namespace

Target make_target(std::string_view cpu, std::string_view triple) {
  initialise_llvm_targets();
  const llvm::Triple host(llvm::sys::getProcessTriple());
  const llvm::Triple wanted = triple.empty() ? host : llvm::Triple(llvm::Triple::normalize(std::string(triple)));
  const bool x86 = wanted.getArch() == llvm::Triple::x86_64, aarch64 = wanted.getArch() == llvm::Triple::aarch64;
  if ((!x86 && !aarch64) || !wanted.isOSBinFormatELF())
    throw Error(fmt::format("--target: unknown target `{}`: code is made for x86_64 and aarch64, as ELF", std::string(triple)));

  Target target;
  target.triple = wanted.str();
  const bool foreign = wanted.getArch() != host.getArch();
  if (cpu.empty())
    cpu = foreign ? "generic" : "native";
  const std::string_view switched = cpu.substr(std::min(cpu.find('+'), cpu.size()));
  cpu.remove_suffix(switched.size());
  if (cpu == "native") {
    if (foreign)
      throw Error(
          fmt::format("--cpu: `native` is of this machine, {}, not of target `{}`", host.getArchName().str(), target.triple));
    target.cpu = llvm::sys::getHostCPUName().str();
    target.name = target.cpu + std::string(switched);
    target.features = host_features();
  } else {
    target.name = std::string(cpu) + std::string(switched);
    target.cpu = cpu == "generic" && x86 ? "x86-64" : std::string(cpu);
  }
  // LLVM warns on stderr about names it does not know, so ask a machine without a name first.
  const std::unique_ptr<llvm::TargetMachine> nameless = machine_for(target.triple, "", "");
  if (const unsigned bits = nameless->createDataLayout().getPointerSizeInBits(); bits != 64)
    throw Error(fmt::format("--target: pointers of `{}` have {} bits: code is made for those of 64", target.triple, bits));
  if (!nameless->getMCSubtargetInfo()->isCPUStringValid(target.cpu))
    throw Error(fmt::format("--cpu: unknown cpu `{}` for target `{}`", std::string(cpu), target.triple));
  if (const std::string named = named_features(switched, cpu, target.triple, *nameless->getMCSubtargetInfo()); !named.empty())
    target.features += (target.features.empty() ? "" : ",") + named;
  const std::unique_ptr<llvm::TargetMachine> machine = create_machine(target);
  const llvm::MCSubtargetInfo &features = *machine->getMCSubtargetInfo();
  for (const Need &need : x86 ? std::span<const Need>(x86_needs) : aarch64_needs)
    if (!features.checkFeatures(need.features))
      throw Error(fmt::format("--cpu: `{}` has no {}, which code for target `{}` needs", target.name, need.words, target.triple));
  if (x86)
    set_x86_facts(target, features);
  else
    set_aarch64_facts(target, features);
  return target;
}

std::vector<Target> make_targets(std::string_view cpus, std::string_view triple) {
  std::vector<std::pair<int, Target>> sorted;
  for (std::string_view rest = cpus;;) {
    const size_t comma = rest.find(',');
    const std::string_view cpu = rest.substr(0, comma);
    if (cpu.empty() && !cpus.empty())
      throw Error(fmt::format("--cpu: a name is missing in `{}`", cpus));
    Target target = make_target(cpu, triple);
    for (const auto &[features, other] : sorted)
      if (other.name == target.name)
        throw Error(fmt::format("--cpu: `{}` stands twice in `{}`", target.name, cpus));
    const int features = std::popcount(required_isa(*create_machine(target)));
    sorted.emplace_back(features, std::move(target));
    if (comma == rest.npos)
      break;
    rest.remove_prefix(comma + 1);
  }
  // What has all features of another has more.
  std::ranges::stable_sort(sorted, {}, [](const auto &entry) { return entry.first; });
  std::vector<Target> targets;
  for (auto &[features, target] : sorted)
    targets.push_back(std::move(target));
  return targets;
}

std::string portable_cpus(std::string_view triple) {
  const llvm::Triple wanted(triple.empty() ? llvm::sys::getProcessTriple() : llvm::Triple::normalize(std::string(triple)));
  return wanted.getArch() == llvm::Triple::x86_64 ? "x86-64-v3,x86-64-v4" : "generic";
}

std::unique_ptr<llvm::TargetMachine> create_machine(const Target &target) {
  initialise_llvm_targets();
  return machine_for(target.triple, target.cpu, target.features);
}

static bool is_aarch64(const Target &target) { return llvm::Triple(target.triple).isAArch64(); }

void prepare_module(llvm::Module &module, const Target &target, const llvm::TargetMachine &machine) {
  compat::set_triple(module, target.triple);
  module.setDataLayout(machine.createDataLayout());
  // Functions that are called by address start with `endbr64` or `bti c`, and the object says so, so that a host which has the
  // processor check indirect branches may load them.
  module.addModuleFlag(llvm::Module::Min, is_aarch64(target) ? "branch-target-enforcement" : "cf-protection-branch", 1);
}

void set_function_attributes(llvm::Function &function, const Target &target) {
  function.addFnAttr("target-cpu", target.cpu);
  if (!target.features.empty())
    function.addFnAttr("target-features", target.features);
  // Some processors are tuned for 256 bits unless told; min-legal-vector-width stays unset, which allows the widest.
  function.addFnAttr("prefer-vector-width", std::to_string(target.vector_bits));
  if (target.scalable)
    function.addFnAttr(llvm::Attribute::getWithVScaleRangeArgs(function.getContext(), 1, most_vector_bits / target.vector_bits));
  function.addFnAttr(llvm::Attribute::NoUnwind);
  function.addFnAttr("no-builtins"); // no loop becomes memset or memcpy
  function.addFnAttr("denormal-fp-math", target.denormals == Denormals::keep ? "ieee,ieee" : "preserve-sign,preserve-sign");
  if (is_aarch64(target))
    function.addFnAttr("branch-target-enforcement");
}

} // namespace nnc
