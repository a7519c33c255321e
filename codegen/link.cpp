// Linking with LLD as a library, so that a user needs no toolchain. LLD reads and writes files only and keeps its state in
// globals: we give it a folder of its own and let one thread in at a time. What comes back are bytes; writing them where the
// user wants is for others. Equal objects give equal bytes: nothing of the folder's name or the time enters them.
#include "codegen/compile.h"
#include "ir/error.h"

#include <fmt/format.h>
#include <lld/Common/CommonLinkerContext.h>
#include <lld/Common/Driver.h>
#include <llvm/ObjCopy/ConfigManager.h>
#include <llvm/ObjCopy/ObjCopy.h>
#include <llvm/Object/ArchiveWriter.h>
#include <llvm/Object/Binary.h>
#include <llvm/Support/raw_ostream.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <mutex>

#include <stdlib.h>

LLD_HAS_DRIVER(elf)

namespace nnc {
namespace {

// A folder that goes, with all that is in it.
class TemporaryFolder {
public:
  TemporaryFolder() {
    std::error_code error;
    std::filesystem::path folder = std::filesystem::temp_directory_path(error);
    path_ = (error ? std::filesystem::path("/tmp") : folder) / "nnc-XXXXXX";
    if (!mkdtemp(path_.data()))
      throw Error(fmt::format("{}: cannot make a temporary folder: {}", path_, std::strerror(errno)));
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder &) = delete;
  TemporaryFolder &operator=(const TemporaryFolder &) = delete;

  std::string file(const char *name) const { return path_ + "/" + name; }

private:
  std::string path_;
};

std::string read(const std::string &file) {
  std::ifstream stream(file, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(stream)), {});
  if (!stream)
    throw Error(fmt::format("{}: cannot read: {}", file, std::strerror(errno)));
  return bytes;
}

void write(const std::string &file, const std::string &bytes) {
  std::ofstream stream(file, std::ios::binary);
  stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  stream.close();
  if (!stream)
    throw Error(fmt::format("{}: cannot write: {}", file, std::strerror(errno)));
}

std::string archive(const std::vector<ObjectFile> &objects, bool with_symbol_table) {
  std::vector<std::string> names; // members keep references
  for (const ObjectFile &object : objects)
    names.push_back(object.name + ".o");
  std::vector<llvm::NewArchiveMember> members;
  for (size_t i = 0; i < objects.size(); i++)
    members.emplace_back(llvm::MemoryBufferRef(objects[i].bytes, names[i]));
  auto buffer = llvm::writeArchiveToBuffer(
      members, with_symbol_table ? llvm::SymtabWritingMode::NormalSymtab : llvm::SymtabWritingMode::NoSymtab,
      llvm::object::Archive::K_GNU, /*Deterministic=*/true, /*Thin=*/false);
  if (!buffer)
    throw Error("cannot make an archive: " + llvm::toString(buffer.takeError()));
  return (*buffer)->getBuffer().str();
}

// The output of `ld.lld options… --whole-archive objects`.
std::string link(const Artefact &artefact, std::vector<std::string> options) {
  TemporaryFolder folder;
  const std::string input = folder.file("objects.a"), output = folder.file("output");
  write(input, archive(artefact.objects, /*with_symbol_table=*/false));
  // --threads=1: for files this small, starting threads costs more than it saves.
  for (const std::string &option : {std::string("--threads=1"), std::string("--whole-archive"), input, "-o" + output})
    options.push_back(option);
  if (!artefact.debug_info)
    options.push_back("--strip-debug"); // descriptions of frames (target.cpp)
  std::vector<const char *> arguments = {"ld.lld"};
  for (const std::string &option : options)
    arguments.push_back(option.c_str());

  std::string messages;
  bool good;
  {
    static std::mutex one_at_a_time;
    std::lock_guard lock(one_at_a_time);
    llvm::raw_string_ostream stream(messages);
    good = lld::elf::link(arguments, stream, stream, /*exitEarly=*/false, /*disableOutput=*/false);
    lld::CommonLinkerContext::destroy();
  }
  if (!good)
    throw Error("cannot link: " + messages);
  return read(output);
}

// Turns the hidden symbols of a relocatable object, kernels and memcpy, into local ones. As hidden symbols they would still
// meet those of another model, or the program's own memcpy, when a program is linked of them.
// LLD keeps all debug sections of a relocatable output, so they go here.
std::string hide_internals(const std::string &object, bool debug_info) {
  llvm::objcopy::ConfigManager config;
  config.Common.InputFilename = config.Common.OutputFilename = "artefact";
  config.ELF.LocalizeHidden = true;
  config.Common.StripDebug = !debug_info;
  auto binary = llvm::object::createBinary(llvm::MemoryBufferRef(object, "artefact"));
  if (!binary)
    throw Error("cannot read the linked object: " + llvm::toString(binary.takeError()));
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  if (llvm::Error error = llvm::objcopy::executeObjcopyOnBinary(config, **binary, stream))
    throw Error("cannot hide the internal symbols: " + llvm::toString(std::move(error)));
  return {bytes.begin(), bytes.end()};
}

} // namespace

std::string shared_library(const Artefact &artefact) {
  // No soname: it would be the file's name, and equal models would differ by where they are written. Both hash tables: musl
  // and old Android read only one. -Bsymbolic: the library calls its own functions, whatever else is loaded.
  return link(artefact, {"-shared", "--no-undefined", "-Bsymbolic", "--hash-style=both", "--build-id=none", "-znow", "-zrelro",
                         "--defsym=nnc_model=" + artefact.info});
}

std::string relocatable_object(const Artefact &artefact) { return hide_internals(link(artefact, {"-r"}), artefact.debug_info); }

std::string static_library(const Artefact &artefact) {
  return archive({{artefact.model, relocatable_object(artefact)}}, /*with_symbol_table=*/true);
}

} // namespace nnc
