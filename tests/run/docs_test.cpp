// The pages that `nnc docs` makes are those in docs/, and hold what they should.
#include "tests/process.h"

#include <gmock/gmock.h>

namespace nnc {
namespace {

using testing::HasSubstr;

TEST(docs_command, committed_pages_are_current) {
  const Folder folder;
  const Ran ran = folder.run("$NNC docs -o . && diff $SOURCE/docs/stdlib.md stdlib.md && diff $SOURCE/docs/ops.md ops.md");
  EXPECT_EQ(ran.code, 0) << "run `nnc docs -o docs`\n" << ran.out << ran.err;
  EXPECT_EQ(folder.run("$NNC docs --std").out, folder.read("stdlib.md"));
  EXPECT_EQ(folder.run("$NNC docs --ops").out, folder.read("ops.md"));
}

TEST(docs_command, pages_hold_heads_signatures_and_comments) {
  const Folder folder;
  const std::string library = folder.run("$NNC docs --std").out, ops = folder.run("$NNC docs --ops").out;
  EXPECT_THAT(library, HasSubstr("\n## layers.nn\n\nLayers: functions that own parameters. A net calls them, and every call has "
                                 "parameters of its own.\n\n```nn\n"));
  EXPECT_THAT(library, HasSubstr("# Everywhere the same value.\nfn constant(value, shape: shape, dtype = f32)\n"
                                 "fn zeros(shape: shape, dtype = f32)\n"));
  EXPECT_THAT(library, HasSubstr("\nconst pi = 3.141592653589793\n"));
  EXPECT_THAT(ops, HasSubstr("\n| `floor` | 1 |  | largest whole number not above a; floats only | 0 |\n"));
  EXPECT_THAT(ops, HasSubstr("\n| `slice` | 1 | start, shape, stride | "));
  EXPECT_THAT(ops, HasSubstr("\n| `concat` | 1 or more | axis | "));
}

TEST(docs_command, refuses_bad_input) {
  const Folder folder;
  const std::pair<const char *, const char *> cases[] = {
      {"docs", "say one of --std, --ops and -o DIR"},
      {"docs --std --ops", "say one of --std, --ops and -o DIR"},
      {"docs --std extra", "one word too many: `extra`"},
      {"docs -o none", "none/stdlib.md: "},
  };
  for (const auto &[command, message] : cases) {
    const Ran ran = folder.run(std::string("$NNC ") + command);
    EXPECT_EQ(ran.code, 1) << command;
    EXPECT_THAT(ran.err, HasSubstr(message)) << command;
    EXPECT_EQ(folder.files(), std::set<std::string>{}) << command;
  }
}

} // namespace
} // namespace nnc
