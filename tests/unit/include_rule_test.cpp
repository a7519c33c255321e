// The include rule of docs/architecture.md, over every C++ file of the tree: folders depend on each other in one
// direction, and LLVM is seen by codegen alone. And names of the standard library come with their header, not by way of
// another one that includes it with one compiler and not with the next.

#include "tests/paths.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

// What files of a folder may include of ours, besides their own folder. Folders that are not here may include anything.
const std::map<std::string, std::set<std::string>> allowed = {
    {"ir", {}},         {"runtime", {}},         {"frontend", {"ir"}},
    {"passes", {"ir"}}, {"python", {"runtime"}}, {"codegen", {"ir", "runtime/abi.h"}},
};
const std::set<std::string> ours = {"ir", "runtime", "frontend", "passes", "codegen", "tools", "python", "tests", "examples"};

std::string first_folder(const std::string &path) { return path.substr(0, path.find('/')); }

// Why `file`, named from the root of the tree, may not include `header`; "" if it may.
std::string violation(const std::string &file, const std::string &header) {
  std::string from = first_folder(file), to = first_folder(header);
  if (header.find("..") != header.npos)
    return "headers are named from the root of the tree";
  if ((to == "llvm" || to == "lld" || to == "llvm-c") && from != "codegen" && from != "tests" &&
      !(from == "tools" && header == "llvm/Support/CommandLine.h"))
    return "only codegen includes LLVM";
  auto rule = allowed.find(from);
  if (!ours.count(to) || to == from || rule == allowed.end())
    return "";
  bool may = rule->second.count(to) || rule->second.count(header);
  return may ? "" : "not allowed by the include rule";
}

TEST(IncludeRule, HoldsOverTheTree) {
  const fs::path root = nnc::source_dir();
  const std::regex include(R"(^\s*#\s*include\s*[<"]([^>"]+)[>"])");
  int files = 0, own_includes = 0;
  for (const std::string &folder : ours)
    for (const auto &entry : fs::recursive_directory_iterator(root / folder)) {
      std::string extension = entry.path().extension().string();
      if (extension != ".cpp" && extension != ".h" && extension != ".def" && extension != ".c")
        continue;
      ++files;
      std::string name = fs::relative(entry.path(), root).generic_string();
      if (name.starts_with("tests/frozen/"))
        continue; // a user's program
      std::ifstream stream(entry.path());
      std::string line;
      std::smatch match;
      for (int number = 1; std::getline(stream, line); ++number) {
        if (!std::regex_search(line, match, include))
          continue;
        std::string header = match[1];
        own_includes += ours.count(first_folder(header));
        EXPECT_EQ(violation(name, header), "") << name << ":" << number << ": includes " << header;
        EXPECT_TRUE(header.find('/') != header.npos || !fs::exists(entry.path().parent_path() / header))
            << name << ":" << number << ": " << header << " is to be named from the root of the tree";
      }
    }
  EXPECT_GT(files, 30);
  EXPECT_GT(own_includes, 30) << "the includes were not found at all";
}

struct Standard {
  std::string header;
  std::regex names;
};

// Names whose header is often forgotten, since other headers of GCC 12 bring it along.
const std::vector<Standard> &standard_names() {
  const auto row = [](const char *header, const std::string &names) {
    return Standard{header, std::regex("\\bstd::(" + names + ")\\b")};
  };
  static const std::vector<Standard> rows = {
      row("algorithm",
          "ranges::[a-z_]+|(any|all|none)_of|(min|max)_element|copy(_n|_if|_backward)?|fill(_n)?|find_if(_not)?|"
          "count(_if)?|sort|stable_sort|reverse|rotate|transform|equal|clamp|min|max|minmax|remove(_if)?|unique|"
          "(lower|upper)_bound|binary_search|generate(_n)?|search|mismatch|is_sorted|adjacent_find|partition|replace"),
      row("numeric", "accumulate|iota|gcd|lcm|inner_product|partial_sum|reduce"),
      row("cmath", "sqrt|exp|log|pow|floor|ceil|isnan|isinf|isfinite|fma|nearbyint|ldexp|frexp|signbit|copysign|fmod|tanh"),
      row("cstring", "mem(cpy|set|cmp|move|chr)|strlen|strcmp|strerror"),
      row("limits", "numeric_limits"),
      row("functional", "function|hash|less|greater|plus|multiplies"),
      row("memory", "(unique|shared|weak)_ptr|make_(unique|shared)"),
      row("optional", "optional|nullopt"),
      row("variant", "variant|visit|get_if|holds_alternative|monostate"),
      row("array", "array"),
      row("map", "map|multimap"),
      row("set", "set|multiset"),
      row("unordered_map", "unordered_map"),
      row("unordered_set", "unordered_set"),
      row("vector", "vector"),
      row("span", "span"),
      row("bit", "bit_cast|countr_zero|countl_zero|popcount|has_single_bit|bit_width|bit_ceil|bit_floor"),
      row("charconv", "from_chars|to_chars"),
      row("thread", "thread|this_thread"),
      row("mutex", "mutex|lock_guard|unique_lock"),
      row("atomic", "atomic(_[a-z0-9_]+)?"),
      row("chrono", "chrono"),
      row("fstream", "[io]?fstream"),
      row("sstream", "[io]?stringstream"),
      row("filesystem", "filesystem"),
  };
  return rows;
}

// What a file includes, by way of headers of the tree too.
void collect_includes(const fs::path &root, const fs::path &file, std::set<std::string> &seen) {
  static const std::regex include(R"(^\s*#\s*include\s*[<"]([^>"]+)[>"])");
  std::ifstream stream(file);
  std::string line;
  std::smatch match;
  while (std::getline(stream, line))
    if (std::regex_search(line, match, include) && seen.insert(match[1]).second && fs::exists(root / std::string(match[1])))
      collect_includes(root, root / std::string(match[1]), seen);
}

TEST(IncludeRule, StandardNamesComeWithTheirHeader) {
  const fs::path root = nnc::source_dir();
  int uses = 0;
  for (const std::string &folder : ours)
    for (const auto &entry : fs::recursive_directory_iterator(root / folder)) {
      if (entry.path().extension() != ".cpp" && entry.path().extension() != ".h")
        continue;
      std::set<std::string> includes;
      collect_includes(root, entry.path(), includes);
      std::ifstream stream(entry.path());
      std::string line;
      for (int number = 1; std::getline(stream, line); ++number) {
        if (line.find("std::") == line.npos)
          continue;
        line = line.substr(0, line.find("//"));
        for (const Standard &row : standard_names())
          if (std::smatch match; std::regex_search(line, match, row.names)) {
            ++uses;
            EXPECT_TRUE(includes.count(row.header)) << fs::relative(entry.path(), root).generic_string() << ":" << number << ": "
                                                    << match.str() << " without #include <" << row.header << ">";
          }
      }
    }
  EXPECT_GT(uses, 1000) << "the names were not found at all";
}

TEST(IncludeRule, RefusesWhatItShould) {
  EXPECT_NE(violation("ir/op.cpp", "runtime/abi.h"), "");
  EXPECT_NE(violation("ir/op.cpp", "passes/grad.h"), "");
  EXPECT_NE(violation("runtime/npy.cpp", "ir/tensor.h"), "");
  EXPECT_NE(violation("frontend/parser.cpp", "passes/grad.h"), "");
  EXPECT_NE(violation("frontend/import/onnx.cpp", "codegen/jit.h"), "");
  EXPECT_NE(violation("passes/fuse.cpp", "frontend/parser.h"), "");
  EXPECT_NE(violation("passes/fuse.cpp", "tools/driver.h"), "");
  EXPECT_NE(violation("codegen/jit.cpp", "runtime/thread_pool.h"), "");
  EXPECT_NE(violation("codegen/jit.cpp", "passes/fuse.h"), "");
  EXPECT_NE(violation("passes/fuse.cpp", "llvm/ADT/SmallVector.h"), "");
  EXPECT_NE(violation("tools/nnc_main.cpp", "llvm/IR/Module.h"), "");
  EXPECT_NE(violation("tools/nnc_main.cpp", "lld/Common/Driver.h"), "");
  EXPECT_NE(violation("ir/op.cpp", "../runtime/abi.h"), "");
}

TEST(IncludeRule, AllowsWhatItShould) {
  EXPECT_EQ(violation("ir/op.cpp", "ir/op.h"), "");
  EXPECT_EQ(violation("ir/op.cpp", "vector"), "");
  EXPECT_EQ(violation("passes/fuse.cpp", "ir/kernel.h"), "");
  EXPECT_EQ(violation("codegen/jit.cpp", "runtime/abi.h"), "");
  EXPECT_EQ(violation("codegen/jit.cpp", "llvm/IR/Module.h"), "");
  EXPECT_EQ(violation("tools/nnc_main.cpp", "llvm/Support/CommandLine.h"), "");
  EXPECT_EQ(violation("tools/nnc_main.cpp", "passes/fuse.h"), "");
  EXPECT_EQ(violation("tests/unit/op_test.cpp", "codegen/jit.h"), "");
}

} // namespace
