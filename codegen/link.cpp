// Linking with LLD as a library, so that a user needs no toolchain. LLD reads and writes files only and keeps its state in
// globals: we give it a file in memory and a pipe, by their names in /proc, and let one thread in at a time. So a full disk
// does not matter here, and nothing is left of a run that is killed. What comes back are bytes; writing them where the user
// wants is for others. Equal objects give equal bytes: nothing of names or the time enters them.
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

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <future>
#include <mutex>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

LLD_HAS_DRIVER(elf)

namespace nnc {
namespace {

[[noreturn]] void fail(const char *what) { throw Error(fmt::format("cannot link: {}: {}", what, std::strerror(errno))); }

// Closes what it has when it goes.
class Descriptor {
public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor &&other) noexcept : number_(std::exchange(other.number_, -1)) {}
  ~Descriptor() { close(); }

  void close() {
    if (number_ >= 0)
      ::close(std::exchange(number_, -1));
  }
  int number() const { return number_; }
  std::string path() const { return fmt::format("/proc/self/fd/{}", number_); }

private:
  int number_;
};

Descriptor file_in_memory(const std::string &bytes) {
  Descriptor file(memfd_create("objects.a", MFD_CLOEXEC));
  if (file.number() < 0)
    fail("cannot make a file in memory");
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t count = write(file.number(), bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno != EINTR)
      fail("cannot write a file in memory");
    done += std::max<ssize_t>(count, 0);
  }
  return file;
}

// LLD writes in one go to what is no regular file: not through mmap, and without a temporary file beside it.
class Pipe {
public:
  Pipe() : Pipe(ends()) {}

  const Descriptor &input() const { return in_; }
  // All that was written. To be asked when nobody writes any more.
  std::string bytes() {
    in_.close();
    return bytes_.get();
  }

private:
  Descriptor out_;
  std::future<std::string> bytes_; // waits when it goes, so after the end that is written
  Descriptor in_;

  explicit Pipe(std::pair<int, int> ends)
      : out_(ends.first), bytes_(std::async(std::launch::async, read_all, ends.first)), in_(ends.second) {}

  static std::pair<int, int> ends() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
      fail("cannot make a pipe");
    return {ends[0], ends[1]};
  }

  // Reads to the end whatever happens: LLD would wait for ever for a reader that gave up.
  static std::string read_all(int pipe) {
    std::string bytes;
    std::exception_ptr error;
    char part[65536];
    for (ssize_t count; (count = read(pipe, part, sizeof part)) != 0;)
      try {
        if (count > 0 && !error)
          bytes.append(part, count);
      } catch (...) {
        error = std::current_exception();
      }
    if (error)
      std::rethrow_exception(error);
    return bytes;
  }
};

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
  const Descriptor input = file_in_memory(archive(artefact.objects, /*with_symbol_table=*/false));
  Pipe output;
  // --threads=1: for files this small, starting threads costs more than it saves.
  for (const std::string &option :
       {std::string("--threads=1"), std::string("--whole-archive"), input.path(), "-o" + output.input().path()})
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
  return output.bytes();
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
