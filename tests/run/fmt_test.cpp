// `nnc fmt` as a user runs it: files, --check, standard input, and what it refuses.
#include "tests/process.h"

#include <gmock/gmock.h>

namespace nnc {
namespace {

using testing::HasSubstr;

constexpr const char *untidy = "const a=1\n", *tidy = "const a = 1\n";

TEST(fmt_command, lays_out_in_place) {
  const Folder folder;
  folder.write("a.nn", untidy);
  folder.write("b.nn", tidy);
  const Ran ran = folder.run("chmod 640 a.nn && $NNC fmt a.nn b.nn && stat -c %a a.nn");
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "640\n");
  EXPECT_EQ(folder.read("a.nn"), tidy);
  EXPECT_EQ(folder.read("b.nn"), tidy);
  EXPECT_EQ(folder.files(), (std::set<std::string>{"a.nn", "b.nn"}));
}

TEST(fmt_command, check_names_what_would_change) {
  const Folder folder;
  folder.write("a.nn", untidy);
  folder.write("b.nn", tidy);
  const Ran ran = folder.run("$NNC fmt --check a.nn b.nn");
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.out, "a.nn\n");
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(folder.read("a.nn"), untidy);
  EXPECT_EQ(folder.run("$NNC fmt --check b.nn").code, 0);
}

TEST(fmt_command, reads_standard_input) {
  const Folder folder;
  folder.write("a.nn", untidy);
  EXPECT_EQ(folder.run("$NNC fmt - < a.nn").out, tidy);
  EXPECT_EQ(folder.run("$NNC fmt - --check < a.nn").code, 1);
}

TEST(fmt_command, leaves_what_does_not_parse) {
  const Folder folder;
  folder.write("a.nn", "const a=\n");
  folder.write("b.nn", untidy);
  const Ran ran = folder.run("$NNC fmt a.nn b.nn");
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.err, HasSubstr("a.nn:1:8: error: expected an expression"));
  EXPECT_EQ(folder.read("a.nn"), "const a=\n");
  EXPECT_EQ(folder.read("b.nn"), tidy);
}

TEST(fmt_command, refuses_bad_input) {
  const Folder folder;
  folder.write("m.nnir", "module \"m.nn\"\n");
  folder.write("zero.nn", std::string("const a\0= 1\n", 12));
  const std::pair<const char *, const char *> cases[] = {
      {"fmt", "nnc: error: FILE.nn is missing"},
      {"fmt none.nn", "none.nn: cannot open"},
      {"fmt m.nnir", "m.nnir: only .nn files are laid out"},
      {"fmt zero.nn", "zero.nn:1:8: error: byte 0x00: this file is not UTF-8 text"},
      {"fmt --chekc m.nn", "--chekc"},
      {"fmt - < /dev/null", "<stdin>:1:1: error: there are no declarations in this file"},
  };
  for (const auto &[command, message] : cases) {
    const Ran ran = folder.run(std::string("$NNC ") + command);
    EXPECT_EQ(ran.code, 1) << command;
    EXPECT_THAT(ran.err, HasSubstr(message)) << command;
  }
}

} // namespace
} // namespace nnc
