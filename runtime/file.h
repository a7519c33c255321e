// Files: reading with every size checked against the file before memory is taken, and writing that leaves either the
// whole new file or the old one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace nnc {

// A file that cannot be read, written or understood. `what()` is `FILE: what is wrong`, one line without a newline.
struct FileError : std::runtime_error {
  FileError(const std::string &file, const std::string &what) : std::runtime_error(file + ": " + what) {}
};

// A regular file opened for reading, front to back.
class InputFile {
public:
  explicit InputFile(std::string name);
  ~InputFile();
  InputFile(const InputFile &) = delete;
  InputFile &operator=(const InputFile &) = delete;

  const std::string &name() const { return name_; }
  uint64_t size() const { return size_; }
  uint64_t remaining() const { return size_ - position_; }
  // Reads exactly `count` bytes. `what` names them in the error if the file is shorter: "the header", "the data".
  void read(void *to, uint64_t count, const char *what);
  // The first bytes of the file, or fewer where it is shorter; the position does not move. To be asked at the start.
  std::string peek(uint64_t count);
  // Memory for what the file holds, or an error that names the file.
  void take_memory(std::vector<std::byte> &memory, uint64_t bytes) const;
  [[noreturn]] void fail(const std::string &what) const { throw FileError(name_, what); }

private:
  std::string name_;
  std::FILE *stream_ = nullptr;
  uint64_t size_ = 0;
  uint64_t position_ = 0;
};

// The whole file as text.
std::string read_file(const std::string &name);

// A file written under a temporary name beside its own, or none; `commit` gives it its own. Without a commit, the temporary
// file goes and the target stays as it was. It gets the permissions of the file it replaces, but for setuid and setgid; a
// symbolic link stays, and where it leads is written. Devices and pipes are written directly: they cannot be replaced.
class OutputFile {
public:
  explicit OutputFile(std::string name);
  ~OutputFile();
  OutputFile(const OutputFile &) = delete;
  OutputFile &operator=(const OutputFile &) = delete;

  void write(const void *from, uint64_t count);
  void commit();

private:
  [[noreturn]] void fail(const char *action) const; // with errno's text
  // Calls `make` with names for `temporary_` until one is free. As `make`, below 0 is a failure.
  int take_name(const std::function<int(const char *)> &make);

  std::string name_;      // as the caller gave it, for messages
  std::string target_;    // `name_` with symbolic links followed
  std::string temporary_; // the file beside it, where that has a name
  bool nameless_ = false; // it has none before `commit`
  int lock_ = -1;         // on the file, while it may have a name that is not its own
  std::FILE *stream_ = nullptr;
};

void write_file(const std::string &name, const std::string &text);

} // namespace nnc
