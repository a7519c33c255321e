// LLVM's ORC as a loader of finished object files: nothing is compiled here and nothing is looked up in this process, so a JIT
// run executes byte for byte what the library contains.
#include "codegen/jit.h"

#include "ir/error.h"

#include <fmt/format.h>
#include <llvm/ExecutionEngine/Orc/DebugObjectManagerPlugin.h>
#include <llvm/ExecutionEngine/Orc/Debugging/DebugInfoSupport.h>
#include <llvm/ExecutionEngine/Orc/Debugging/PerfSupportPlugin.h>
#include <llvm/ExecutionEngine/Orc/EPCDebugObjectRegistrar.h>
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/ExecutionEngine/Orc/TargetProcess/JITLoaderGDB.h>
#include <llvm/ExecutionEngine/Orc/TargetProcess/JITLoaderPerf.h>
#include <llvm/Object/ObjectFile.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace nnc {
namespace {

template <typename T> T take(llvm::Expected<T> value) {
  if (!value)
    throw Error("cannot load compiled code: " + llvm::toString(value.takeError()));
  return std::move(*value);
}

// `/tmp/perf-PID.map`, where perf looks for the names of code that lies in no file: a line a function, "address size name" in
// hexadecimal. Kernels have their labels.
class PerfMap : public llvm::orc::ObjectLinkingLayer::Plugin {
public:
  explicit PerfMap(const Artefact &artefact) {
    for (const ObjectFile &object : artefact.objects)
      labels_[object.name] = object.label;
  }

  void modifyPassConfig(llvm::orc::MaterializationResponsibility &, llvm::jitlink::LinkGraph &,
                        llvm::jitlink::PassConfiguration &passes) override {
    passes.PostFixupPasses.push_back([this](llvm::jitlink::LinkGraph &graph) { return write(graph); });
  }
  llvm::Error notifyFailed(llvm::orc::MaterializationResponsibility &) override { return llvm::Error::success(); }
  llvm::Error notifyRemovingResources(llvm::orc::JITDylib &, llvm::orc::ResourceKey) override { return llvm::Error::success(); }
  void notifyTransferringResources(llvm::orc::JITDylib &, llvm::orc::ResourceKey, llvm::orc::ResourceKey) override {}

private:
  std::map<std::string, std::string> labels_;

  llvm::Error write(llvm::jitlink::LinkGraph &graph) const {
    std::string lines;
    for (const llvm::jitlink::Symbol *symbol : graph.defined_symbols())
      if (symbol->isCallable() && symbol->hasName() && symbol->getSize() > 0) {
        const std::string name = symbol->getName().str();
        const auto label = labels_.find(name);
        lines += fmt::format("{:x} {:x} {}\n", symbol->getAddress().getValue(), symbol->getSize(),
                             label == labels_.end() ? name : label->second);
      }
    return append(lines);
  }

  // What an earlier process with this number left is overwritten.
  static llvm::Error append(const std::string &lines) {
    static std::mutex one_at_a_time;
    static bool begun = false;
    std::lock_guard lock(one_at_a_time);
    const std::string path = fmt::format("/tmp/perf-{}.map", getpid());
    std::ofstream stream(path, begun ? std::ios::app : std::ios::trunc);
    begun = true;
    stream << lines;
    stream.close();
    if (!stream)
      return llvm::createStringError(path + ": cannot be written");
    return llvm::Error::success();
  }
};

// LLVM 19 leaves the flags of the jitdump's header unset, and perf refuses a file with flags that it does not know. The file is
// mapped into the process, which is how perf finds it, too.
void clear_jitdump_flags() {
  constexpr off_t flags_at = 32;
  std::ifstream maps("/proc/self/maps");
  const std::string ending = fmt::format("/jit-{}.dump", getpid());
  for (std::string line; std::getline(maps, line);)
    if (line.ends_with(ending)) {
      const std::string path = line.substr(line.find('/'));
      const int file = open(path.c_str(), O_WRONLY | O_CLOEXEC);
      const uint64_t none = 0;
      const bool written = file >= 0 && pwrite(file, &none, sizeof none, flags_at) == sizeof none;
      if (file >= 0)
        close(file);
      if (!written)
        throw Error(fmt::format("{}: cannot be written: {}", path, std::strerror(errno)));
      return;
    }
}

// The functions of libLLVM are given by address: nothing is looked up in this process.
template <typename T> llvm::orc::ExecutorAddr address(T *function) { return llvm::orc::ExecutorAddr::fromPtr(function); }

void add_debugging(llvm::orc::LLJIT &jit, const Artefact &artefact, bool perf) {
  auto *layer = llvm::dyn_cast<llvm::orc::ObjectLinkingLayer>(&jit.getObjLinkingLayer());
  if (!layer) // an architecture that LLVM still loads the old way; without a debugger it runs as well
    return;
  llvm::orc::ExecutionSession &session = jit.getExecutionSession();
  if (artefact.debug_info)
    layer->addPlugin(std::make_unique<llvm::orc::DebugObjectManagerPlugin>(
        session, std::make_unique<llvm::orc::EPCDebugObjectRegistrar>(session, address(&llvm_orc_registerJITLoaderGDBWrapper)),
        /*RequireDebugSections=*/true, /*AutoRegisterCode=*/true));
  if (perf) {
    layer->addPlugin(std::make_unique<llvm::orc::DebugInfoPreservationPlugin>());
    layer->addPlugin(std::make_unique<llvm::orc::PerfSupportPlugin>(
        session.getExecutorProcessControl(), address(&llvm_orc_registerJITLoaderPerfStart),
        address(&llvm_orc_registerJITLoaderPerfEnd), address(&llvm_orc_registerJITLoaderPerfImpl), /*EmitDebugInfo=*/true,
        /*EmitUnwindInfo=*/false));
    layer->addPlugin(std::make_unique<PerfMap>(artefact));
  }
}

// Hardened processes (PR_SET_MDWE, SELinux without execmem) may not run what they have written.
void check_memory_can_be_executed() {
  const auto size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void *page = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED)
    return; // loading will say it
  const int failed = mprotect(page, size, PROT_READ | PROT_EXEC) == 0 ? 0 : errno;
  munmap(page, size);
  if (failed)
    throw Error(fmt::format("cannot load compiled code: this process may not execute memory that it wrote ({}); a library is "
                            "loaded from a file: --engine=so, or compile with -o FILE.so",
                            std::strerror(failed)));
}

} // namespace

LoadedCode load_jit(const Artefact &artefact, bool perf) {
  check_memory_can_be_executed();
  llvm::orc::LLJITBuilder builder;
  builder.setPlatformSetUp(llvm::orc::setUpInactivePlatform); // no static constructors, no libc
  builder.setLinkProcessSymbolsByDefault(false);
  std::shared_ptr<llvm::orc::LLJIT> jit = take(builder.create());
  add_debugging(*jit, artefact, perf);
  for (const ObjectFile &object : artefact.objects) {
    auto buffer = llvm::MemoryBuffer::getMemBufferCopy(object.bytes, object.name);
    auto file = take(llvm::object::ObjectFile::createELFObjectFile(*buffer, /*InitContent=*/false));
    if (file->getArch() != jit->getTargetTriple().getArch())
      throw Error(fmt::format("code for {} cannot run on this machine", llvm::Triple::getArchTypeName(file->getArch()).str()));
    if (llvm::Error error = jit->addObjectFile(std::move(buffer)))
      throw Error("cannot load compiled code: " + llvm::toString(std::move(error)));
  }
  auto query = take(jit->lookup(artefact.info)).toPtr<const nnc_model_info *(*)()>();
  if (perf)
    clear_jitdump_flags();
  return {query(), jit};
}

} // namespace nnc
