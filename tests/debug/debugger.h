// A session of gdb without a person.
#pragma once

#include "tests/process.h"

#include <string>
#include <vector>

namespace nnc {

// What gdb prints while it runs `program` under these commands, in the folder.
inline std::string gdb(const Folder &folder, const std::vector<std::string> &commands, const std::string &program) {
  std::string line = "gdb -nx -batch -ex 'set confirm off' -ex 'set debuginfod enabled off' -ex 'set breakpoint pending on'";
  for (const std::string &command : commands)
    line += " -ex \"" + command + "\"";
  const Ran ran = folder.run(line + " --args " + program + " 2>&1");
  return ran.out + ran.err;
}

} // namespace nnc
