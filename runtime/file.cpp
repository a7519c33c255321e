// Reading and writing whole files over stdio. Sizes come from fstat, so that a header that promises more than the file
// holds is refused before any memory is taken. Writing goes to a file beside the target which is renamed over it: a
// reader, or a run that is killed, sees the old file or the new one. Where the file system can, that file has no name until
// it is whole, so that a run that is killed leaves nothing; a name that it needs for the moment of the rename, or where
// files without names do not exist, is taken again by the next run that writes there. There is no fsync: after a power cut
// the file may be lost, as with any other tool.

#include "runtime/file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <new>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace nnc {

namespace {

uint64_t machine_memory() {
  return static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

std::string descriptor_path(int descriptor) { return fmt::format("/proc/self/fd/{}", descriptor); }

// A file that goes with its descriptor, unless it is given a name. -1 where there are none, or no way to name them.
int open_nameless(const std::filesystem::path &folder) {
  const int descriptor = open(folder.empty() ? "." : folder.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
  if (descriptor < 0 || access(descriptor_path(descriptor).c_str(), F_OK) == 0)
    return descriptor;
  close(descriptor);
  return -1;
}

// Where symbolic links lead, be it to a file that is not there yet.
std::filesystem::path followed(std::filesystem::path path) {
  std::error_code error;
  while (std::filesystem::is_symlink(path, error)) // stat has said that they end
    path = path.parent_path() / std::filesystem::read_symlink(path);
  return path;
}

// Removes what a run that was killed left under this name: who still writes to it holds a lock.
void remove_if_left(const std::string &name) {
  const int descriptor = open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (descriptor < 0)
    return;
  struct stat ours, named;
  if (flock(descriptor, LOCK_EX | LOCK_NB) == 0 && fstat(descriptor, &ours) == 0 && lstat(name.c_str(), &named) == 0 &&
      ours.st_ino == named.st_ino && ours.st_dev == named.st_dev) // and it was not renamed in between
    unlink(name.c_str());
  close(descriptor);
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

void InputFile::take_memory(std::vector<std::byte> &memory, uint64_t bytes) const {
  if (bytes > machine_memory())
    fail(fmt::format("holds {} bytes of data, this machine's memory {}", bytes, machine_memory()));
  try {
    memory.resize(bytes);
  } catch (const std::bad_alloc &) {
    fail(fmt::format("out of memory: {} bytes for its data", bytes));
  }
}

std::string read_file(const std::string &name) {
  InputFile file(name);
  if (file.size() > machine_memory())
    file.fail(fmt::format("has {} bytes, this machine's memory {}", file.size(), machine_memory()));
  std::string text(file.size(), '\0');
  file.read(text.data(), text.size(), "the text");
  return text;
}

OutputFile::OutputFile(std::string name) : name_(std::move(name)), target_(name_) {
  struct stat status;
  bool exists = stat(name_.c_str(), &status) == 0;
  if (exists && !S_ISREG(status.st_mode)) {
    stream_ = std::fopen(name_.c_str(), "wbe");
    if (!stream_)
      fail("cannot write");
    return;
  }
  // A rename needs no right to write to the file it replaces, but the user who took that right away meant it.
  if (exists ? access(name_.c_str(), W_OK) != 0 : errno != ENOENT)
    fail("cannot write");
  target_ = followed(name_).string();
  int descriptor = open_nameless(std::filesystem::path(target_).parent_path());
  nameless_ = descriptor >= 0;
  while (!nameless_) {
    descriptor = take_name([](const char *name) { return open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); });
    if (descriptor < 0)
      fail("cannot write");
    struct stat ours;
    (void)!flock(descriptor, LOCK_EX);
    if (fstat(descriptor, &ours) != 0 || ours.st_nlink > 0)
      break;
    close(descriptor); // removed as one that was left, before we had the lock
  }
  if (nameless_)
    (void)!flock(descriptor, LOCK_EX);
  if (exists) // but no rights of the owner's: what is in the file now may be anybody's
    (void)!fchmod(descriptor, status.st_mode & 0777);
  lock_ = fcntl(descriptor, F_DUPFD_CLOEXEC, 0); // holds the lock until the rename
  stream_ = fdopen(descriptor, "wb");
  if (!stream_)
    fail("cannot write");
}

OutputFile::~OutputFile() {
  if (stream_)
    std::fclose(stream_);
  if (!temporary_.empty())
    unlink(temporary_.c_str());
  if (lock_ >= 0)
    close(lock_);
}

int OutputFile::take_name(const std::function<int(const char *)> &make) {
  for (int serial = 0;; ++serial) {
    // The name does not grow with the target's, which may be as long as the file system allows.
    temporary_ = (std::filesystem::path(target_).parent_path() / fmt::format(".nnc-{}.tmp", serial)).string();
    for (bool again : {true, false}) {
      const int result = make(temporary_.c_str());
      if (result >= 0)
        return result;
      if (errno != EEXIST) {
        temporary_.clear();
        return result;
      }
      if (again)
        remove_if_left(temporary_);
    }
  }
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
    if (link(target_.c_str()) == 0)
      nameless_ = false; // nothing was there, and nothing is left to do
    else if (errno != EEXIST || take_name(link) != 0)
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
