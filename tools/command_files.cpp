// Files are compared as the file system sees them: by device and inode where they are there, by their whole path where they are
// not. Devices and pipes may be named as often as one likes.
#include "tools/command_files.h"

#include "ir/error.h"
#include "runtime/file.h"

#include <fmt/format.h>

#include <filesystem>

namespace nnc {

namespace fs = std::filesystem;

bool is_same_file(const std::string &a, const std::string &b) {
  std::error_code ignored;
  const auto whole = [&](const std::string &file) { return fs::weakly_canonical(fs::absolute(file, ignored), ignored); };
  return fs::equivalent(a, b, ignored) || whole(a) == whole(b);
}

void CommandFiles::take(const File &file) {
  for (const File &other : files_) {
    const File &output = file.is_output ? file : other, &of = file.is_output ? other : file;
    if (output.is_output && is_same_file(file.name, other.name))
      throw Error(fmt::format("{}{}: that is {}", output.flag, output.name, of.what));
  }
  files_.push_back(file);
}

void CommandFiles::writes(const std::string &flag, const std::string &file, const std::string &what) {
  std::error_code ignored;
  const fs::file_status status = fs::status(file, ignored);
  if (fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status))
    return; // a device, or a pipe: opening that would wait for its reader
  take({file, what, flag, true});
  const OutputFile tried(file); // without a commit it leaves nothing
}

} // namespace nnc
