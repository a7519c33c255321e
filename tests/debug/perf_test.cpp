// What `--perf` writes for Linux' profiler: the map of names and the jitdump with code and lines. Read as perf reads them
// (tools/perf/Documentation/jitdump-specification.txt of the kernel), since perf itself is seldom allowed where tests run.
#include "tests/process.h"

#include <gmock/gmock.h>

#include <cstring>
#include <set>

namespace nnc {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::IsSupersetOf;

template <typename T> T number(const std::string &bytes, size_t at) {
  T value{};
  if (at + sizeof value <= bytes.size())
    std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

TEST(perf, names_kernels_and_lines) {
  const Folder folder;
  const Ran ran = folder.run("cp $SOURCE/examples/xor.nn . && export JITDUMPDIR=$PWD && "
                             "sh -c 'echo $$; exec $NNC bench xor.nn train_step --perf' && mv .debug/jit/*/jit-*.dump dump");
  ASSERT_EQ(ran.code, 0) << ran.err;
  const std::string map_file = "/tmp/perf-" + ran.out.substr(0, ran.out.find('\n')) + ".map";
  const std::string map = folder.run("cat " + map_file + " && rm " + map_file).out;
  EXPECT_THAT(map, ContainsRegex("(^|\n)[0-9a-f]+ [0-9a-f]+ xor\\.k[0-9]+ dense'\n"));
  EXPECT_THAT(map, ContainsRegex("\n[0-9a-f]+ [0-9a-f]+ xor_train_step\n"));

  const std::string dump = folder.read("dump");
  ASSERT_EQ(number<uint32_t>(dump, 0), 0x4A695444u); // "JiTD" in this machine's order
  EXPECT_EQ(number<uint64_t>(dump, 32), 0u) << "perf refuses flags that it does not know";
  std::set<std::string> names, files;
  size_t lines = 0;
  for (size_t at = number<uint32_t>(dump, 8); at < dump.size();) {
    const uint32_t kind = number<uint32_t>(dump, at), size = number<uint32_t>(dump, at + 4);
    ASSERT_TRUE(size >= 16 && at + size <= dump.size());
    if (kind == 0) { // code: process, thread, address, address, size, number, name, bytes
      names.insert(dump.c_str() + at + 56);
    } else if (kind == 2) { // lines: address of the code, how many, then address, line, discriminator, file each
      size_t entry = at + 32;
      for (uint64_t i = 0; i < number<uint64_t>(dump, at + 24); ++i, ++lines) {
        files.insert(dump.c_str() + entry + 16);
        entry += 16 + std::strlen(dump.c_str() + entry + 16) + 1;
      }
      EXPECT_LE(entry, at + size);
    }
    at += size;
  }
  EXPECT_THAT(names, IsSupersetOf({"xor.k0", "xor.k1", "xor_train_step"}));
  EXPECT_THAT(files, testing::Contains(HasSubstr("xor.nn")));
  EXPECT_GT(lines, 20u);
}

TEST(perf, is_for_code_of_this_process) {
  const Folder folder;
  const Ran ran = folder.run("$NNC run $SOURCE/examples/xor.nn predict --engine=plan --perf");
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.err, HasSubstr("xor.nn: --perf is for code that lies in no file"));
}

} // namespace
} // namespace nnc
