// The files of a command, looked at before it works: nothing that is read is written over, no file is written twice, and what
// cannot be written is said at once.
#pragma once

#include <string>
#include <vector>

namespace nnc {

bool is_same_file(const std::string &a, const std::string &b); // they need not be there

class CommandFiles {
public:
  // Both throw Error where an output is a file that is read, or another output; `writes` FileError where it cannot be written.
  // `what` it is, and the flag before an output, are for messages: "--weights-out x.npy: that is the data for `x`".
  void reads(const std::string &file, const std::string &what) { take({file, what}); }
  void writes(const std::string &flag, const std::string &file, const std::string &what);

private:
  struct File {
    std::string name, what, flag = {};
    bool is_output = false;
  };
  std::vector<File> files_;

  void take(const File &file);
};

} // namespace nnc
