// Reading and writing whole files over stdio. Sizes come from fstat, so that a header that promises more than the file
// holds is refused before any memory is taken. Writing goes to a file beside the target which is renamed over it: a
// reader, or a run that is killed, sees the old file or the new one. Where the file system can, that file has no name until
// it is whole, so that a run that is killed leaves nothing. There is no fsync: after a power cut the file may be lost, as
// with any other tool.

#include "runtime/file.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace nnc {

namespace {

std::string descriptor_path(int descriptor) { return fmt::format("/proc/self/fd/{}", descriptor); }

// A file that goes with its descriptor, unless it is given a name. -1 where there are none, or no way to name them.
int open_nameless(const std::filesystem::path &folder) {
  const int descriptor = open(folder.empty() ? "." : folder.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
  if (descriptor < 0 || access(descriptor_path(descriptor).c_str(), F_OK) == 0)
    return descriptor;
  close(descriptor);
  return -1;
}

} // namespace

InputFile::InputFile(std::string name) : name_(std::move(name)) {
  // Without O_NONBLOCK, opening a pipe would wait for its writer.
  int descriptor = open(name_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0)
    fail(fmt::format("cannot open: {}", std::strerror(errno)));
  struct stat status;
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(descriptor);
    fail(S_ISDIR(status.st_mode) ? "is a directory, not a file" : "is not a regular file");
  }
  size_ = static_cast<uint64_t>(status.st_size);
  stream_ = fdopen(descriptor, "rb");
  if (!stream_)
    fail(fmt::format("cannot open: {}", std::strerror(errno)));
}

InputFile::~InputFile() {
  if (stream_)
    std::fclose(stream_);
}

void InputFile::read(void *to, uint64_t count, const char *what) {
  if (count > remaining())
    fail(fmt::format("truncated: {} needs {} bytes at offset {}, the file has {} bytes", what, count, position_, size_));
  errno = 0;
  if (count != 0 && std::fread(to, 1, count, stream_) != count)
    fail(errno ? fmt::format("cannot read: {}", std::strerror(errno)) : "became shorter while it was read");
  position_ += count;
}

std::string InputFile::peek(uint64_t count) {
  std::string bytes(std::min(count, size_), '\0');
  read(bytes.data(), bytes.size(), "the start");
  std::rewind(stream_);
  position_ = 0;
  return bytes;
}

std::string read_file(const std::string &name) {
  InputFile file(name);
  const uint64_t memory = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  if (file.size() > memory)
    file.fail(fmt::format("has {} bytes, this machine's memory {}", file.size(), memory));
  std::string text(file.size(), '\0');
  file.read(text.data(), text.size(), "the text");
  return text;
}

OutputFile::OutputFile(std::string name) : name_(std::move(name)), target_(name_) {
  std::error_code ignored;
  struct stat status;
  bool exists = stat(name_.c_str(), &status) == 0;
  if (exists && !S_ISREG(status.st_mode)) {
    stream_ = std::fopen(name_.c_str(), "wbe");
    if (!stream_)
      fail("cannot write");
    return;
  }
  if (exists) {
    // A rename needs no right to write to the file it replaces, but the user who took that right away meant it.
    if (access(name_.c_str(), W_OK) != 0)
      fail("cannot write");
    target_ = std::filesystem::canonical(name_, ignored).string();
    if (ignored)
      target_ = name_;
  }
  int descriptor = open_nameless(std::filesystem::path(target_).parent_path());
  nameless_ = descriptor >= 0;
  if (!nameless_)
    descriptor = take_name([](const char *name) { return open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); });
  if (descriptor < 0)
    fail("cannot write");
  if (exists)
    (void)!fchmod(descriptor, status.st_mode & 07777);
  stream_ = fdopen(descriptor, "wb");
  if (!stream_)
    fail("cannot write");
}

OutputFile::~OutputFile() {
  if (stream_)
    std::fclose(stream_);
  if (!temporary_.empty())
    unlink(temporary_.c_str());
}

int OutputFile::take_name(const std::function<int(const char *)> &make) {
  static std::atomic<unsigned> serial = 0;
  int result;
  do { // a process that had the same number, as in a container each may have, can have left files behind when it was killed
    // The name does not grow with the target's, which may be as long as the file system allows.
    const std::string name = fmt::format(".nnc-{}-{}.tmp", getpid(), serial++);
    temporary_ = (std::filesystem::path(target_).parent_path() / name).string();
    result = make(temporary_.c_str());
  } while (result < 0 && errno == EEXIST);
  if (result < 0)
    temporary_.clear();
  return result;
}

void OutputFile::fail(const char *action) const { throw FileError(name_, fmt::format("{}: {}", action, std::strerror(errno))); }

void OutputFile::write(const void *from, uint64_t count) {
  if (count != 0 && std::fwrite(from, 1, count, stream_) != count)
    fail("cannot write");
}

void OutputFile::commit() {
  if (std::fflush(stream_) != 0)
    fail("cannot write");
  if (nameless_) {
    const std::string file = descriptor_path(fileno(stream_));
    const auto link = [&](const char *name) { return linkat(AT_FDCWD, file.c_str(), AT_FDCWD, name, AT_SYMLINK_FOLLOW); };
    if (take_name(link) != 0)
      fail("cannot write");
  }
  if (std::fclose(std::exchange(stream_, nullptr)) != 0)
    fail("cannot write");
  if (!temporary_.empty() && rename(temporary_.c_str(), target_.c_str()) != 0)
    fail("cannot write");
  temporary_.clear();
}

void write_file(const std::string &name, const std::string &text) {
  OutputFile file(name);
  file.write(text.data(), text.size());
  file.commit();
}

} // namespace nnc
