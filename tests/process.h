// Running the built nnc (or another program) as a user would, in a folder of its own.
#pragma once

#include "tests/paths.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include <sys/wait.h>

namespace nnc {

struct Ran {
  int code = -1; // above 128: killed by a signal
  std::string out, err;
};

class Folder {
public:
  Folder() {
    path_ = testing::TempDir() + "nnc-XXXXXX";
    if (!mkdtemp(path_.data()))
      throw std::runtime_error("no temporary folder");
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder &) = delete;
  Folder &operator=(const Folder &) = delete;

  std::string file(const std::string &name) const { return path_ + "/" + name; }

  void write(const std::string &name, const std::string &text) const {
    std::ofstream(file(name), std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
  }

  std::string read(const std::string &name) const {
    std::ifstream stream(file(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  std::set<std::string> files() const {
    std::set<std::string> names;
    for (const auto &entry : std::filesystem::directory_iterator(path_))
      names.insert(entry.path().filename().string());
    return names;
  }

  // `command` as sh reads it, run in the folder; $NNC is the driver and $SOURCE the root of the tree.
  Ran run(const std::string &command) const {
    const std::string out = path_ + ".out", err = path_ + ".err";
    const std::string line = "cd '" + path_ + "' && export NNC='" + nnc_binary() + "' SOURCE='" + source_dir() + "' && { " +
                             command + "; } >'" + out + "' 2>'" + err + "'";
    const int status = std::system(line.c_str());
    Ran ran;
    ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    const auto take = [](const std::string &name) {
      std::ifstream stream(name, std::ios::binary);
      std::string text(std::istreambuf_iterator<char>(stream), {});
      std::filesystem::remove(name);
      return text;
    };
    ran.out = take(out);
    ran.err = take(err);
    return ran;
  }

private:
  std::string path_;
};

} // namespace nnc
