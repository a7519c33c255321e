// LLVM's ORC as a loader of finished object files: nothing is compiled here and nothing is looked up in this process, so a JIT
// run executes byte for byte what the library contains.
#include "codegen/jit.h"

#include "ir/error.h"

#include <fmt/format.h>
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/Object/ObjectFile.h>

namespace nnc {
namespace {

template <typename T> T take(llvm::Expected<T> value) {
  if (!value)
    throw Error("cannot load compiled code: " + llvm::toString(value.takeError()));
  return std::move(*value);
}

} // namespace

LoadedCode load_jit(const Artefact &artefact) {
  llvm::orc::LLJITBuilder builder;
  builder.setPlatformSetUp(llvm::orc::setUpInactivePlatform); // no static constructors, no libc
  builder.setLinkProcessSymbolsByDefault(false);
  std::shared_ptr<llvm::orc::LLJIT> jit = take(builder.create());
  for (const ObjectFile &object : artefact.objects) {
    auto buffer = llvm::MemoryBuffer::getMemBufferCopy(object.bytes, object.name);
    auto file = take(llvm::object::ObjectFile::createELFObjectFile(*buffer, /*InitContent=*/false));
    if (file->getArch() != jit->getTargetTriple().getArch())
      throw Error(fmt::format("code for {} cannot run on this machine", llvm::Triple::getArchTypeName(file->getArch()).str()));
    if (llvm::Error error = jit->addObjectFile(std::move(buffer)))
      throw Error("cannot load compiled code: " + llvm::toString(std::move(error)));
  }
  auto query = take(jit->lookup(artefact.info)).toPtr<const nnc_model_info *(*)()>();
  return {query(), jit};
}

} // namespace nnc
