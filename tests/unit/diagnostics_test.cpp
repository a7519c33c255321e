// Places, and messages as text.
#include "frontend/diagnostics.h"
#include "frontend/printable.h"
#include "ir/error.h"

#include <gtest/gtest.h>

namespace nnc {
namespace {

Span find(const Source &source, std::string_view what, size_t from = 0) {
  auto begin = static_cast<uint32_t>(source.text().find(what, from));
  return {&source, begin, begin + static_cast<uint32_t>(what.size())};
}

TEST(Source, CountsLinesAndCharacters) {
  Source source("t.nn", "ab\n\ncé🙂d\r\nlast");
  EXPECT_EQ(source.place(0), (Place{1, 1}));
  EXPECT_EQ(source.place(2), (Place{1, 3}));
  EXPECT_EQ(source.place(3), (Place{2, 1}));
  EXPECT_EQ(find(source, "d").place(), (Place{3, 4}));
  EXPECT_EQ(find(source, "last").place(), (Place{4, 1}));
  EXPECT_EQ(source.place(static_cast<uint32_t>(source.text().size())), (Place{4, 5}));
  EXPECT_EQ(source.line(3), "cé🙂d");
  EXPECT_EQ(source.line(2), "");
}

TEST(Source, DropsAByteOrderMark) {
  Source source("t.nn", "\xef\xbb\xbf"
                        "ab");
  EXPECT_EQ(source.text(), "ab");
}

TEST(Source, KnowsCharacters) {
  EXPECT_EQ(character_size("a", 0), 1u);
  EXPECT_EQ(character_size("é", 0), 2u);
  EXPECT_EQ(character_size("é", 1), 0u);
  EXPECT_EQ(character_size("…", 0), 3u);
  EXPECT_EQ(character_size("🙂", 0), 4u);
  EXPECT_EQ(character_size("", 0), 0u);
  for (const char *bad :
       {"\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc3", "\xe2\x80", "\xff"})
    EXPECT_EQ(character_size(bad, 0), 0u);
}

TEST(Diagnostics, EscapesWhatATerminalWouldObey) {
  EXPECT_EQ(printable("größe\n\tx"), "größe\n\tx");
  EXPECT_EQ(printable("a\x1b[31mb\r\x7f"), "a\\x1b[31mb\\x0d\\x7f");
  EXPECT_EQ(printable("\xc2\x9b|\xe2\x80\xae|\xff"), "\\xc2\\x9b|\\xe2\\x80\\xae|\\xff");
  const Source source("a\x1b.nn", "x\n");
  Diagnostics diagnostics;
  diagnostics.error({&source, 0, 1}, "no \x1b").note({&source, 0, 1}, "\x07");
  EXPECT_EQ(diagnostics.text(), "a\\x1b.nn:1:1: error: no \\x1b\n  1 | x\n    | ^\na\\x1b.nn:1:1: note: \\x07");
}

TEST(Diagnostics, ShowsBothOperandsAndWhereASizeComesFrom) {
  Source source("mlp.nn", "net mlp(x: f32[32, 784]) {\n"
                          "  param w1: f32[785, 128] = zeros()\n"
                          "  return relu(x @ w1)\n"
                          "}\n");
  Diagnostics diagnostics;
  size_t body = source.text().find("return");
  diagnostics.error(find(source, "@", body), "inner sizes differ: `x` is [32,784], `w1` is [785,128]")
      .operand(find(source, "x ", body))
      .operand(find(source, "w1", body))
      .note(find(source, "param"), "785 comes from `param w1: f32[785, 128]`");
  EXPECT_EQ(diagnostics.text(), "mlp.nn:3:17: error: inner sizes differ: `x` is [32,784], `w1` is [785,128]\n"
                                "  3 |   return relu(x @ w1)\n"
                                "    |               ~~^ ~~\n"
                                "mlp.nn:2:3: note: 785 comes from `param w1: f32[785, 128]`");
}

TEST(Diagnostics, ShowsEveryMarkedLine) {
  Source source("t.nn", "y = f(a,\n\n      b)\n");
  Diagnostics diagnostics;
  diagnostics.error(find(source, "f"), "no").operand(find(source, "b"));
  EXPECT_EQ(diagnostics.text(), "t.nn:1:5: error: no\n"
                                "  1 | y = f(a,\n"
                                "    |     ^\n"
                                "  3 |       b)\n"
                                "    |       ~");
}

TEST(Diagnostics, SortsByPlaceAndSaysThingsOnce) {
  Source source("t.nn", "a b c\n");
  Diagnostics diagnostics;
  diagnostics.error(find(source, "c"), "third");
  diagnostics.warning(find(source, "b"), "second");
  diagnostics.error(find(source, "a"), "first");
  diagnostics.error(find(source, "c"), "third").note(find(source, "a"), "not shown");
  EXPECT_EQ(diagnostics.error_count(), 2u);
  EXPECT_EQ(diagnostics.text(), "t.nn:1:1: error: first\n  1 | a b c\n    | ^\n"
                                "t.nn:1:3: warning: second\n  1 | a b c\n    |   ^\n"
                                "t.nn:1:5: error: third\n  1 | a b c\n    |     ^");
}

TEST(Diagnostics, WarningsAreNoErrors) {
  Source source("t.nn", "a\n");
  Diagnostics diagnostics;
  diagnostics.warning(find(source, "a"), "hm");
  EXPECT_FALSE(diagnostics.has_errors());
  EXPECT_NO_THROW(diagnostics.throw_if_errors());
  diagnostics.error(find(source, "a"), "no");
  EXPECT_THROW(diagnostics.throw_if_errors(), Error);
}

TEST(Diagnostics, PrintsTwentyErrorsAndCountsTheRest) {
  Source source("t.nn", std::string(3000, 'a'));
  Diagnostics diagnostics;
  for (uint32_t i = 0; i < 21; ++i)
    diagnostics.error({&source, i, i + 1}, "no");
  EXPECT_TRUE(diagnostics.text().ends_with("\n… 1 more error"));
  for (uint32_t i = 21; i < 2500; ++i)
    diagnostics.error({&source, i, i + 1}, "no").note({&source, 0, 1}, "dropped with the rest");
  EXPECT_TRUE(diagnostics.text().ends_with("\n… 2480 more errors"));
  EXPECT_EQ(diagnostics.all().size(), Diagnostics::max_kept);
}

TEST(Diagnostics, CutsLongLines) {
  Source source("t.nn", std::string(5'000'000, 'a') + "!" + std::string(5'000'000, 'b'));
  Diagnostics diagnostics;
  diagnostics.error(find(source, "!"), "no");
  EXPECT_EQ(diagnostics.text(), "t.nn:1:5000001: error: no\n  1 | …" + std::string(70, 'a') + "!" + std::string(69, 'b') +
                                    "…\n    |  " + std::string(70, ' ') + "^");
}

TEST(Diagnostics, ShowsControlCharactersSafely) {
  Source source("t.nn", "\ta\x1b[31m\xff\xe2\x80\xae"
                        "é\x7f!");
  Diagnostics diagnostics;
  diagnostics.error(find(source, "!"), "no");
  EXPECT_EQ(diagnostics.text(), "t.nn:1:12: error: no\n  1 |  a?[31m??é?!\n    |            ^");
}

TEST(Diagnostics, PointsBehindTheLastCharacter) {
  Source source("t.nn", "abc");
  Diagnostics diagnostics;
  diagnostics.error({&source, 3, 3}, "more");
  EXPECT_EQ(diagnostics.text(), "t.nn:1:4: error: more\n  1 | abc\n    |    ^");
}

TEST(Diagnostics, KeepsSourcesTogether) {
  Source first("a.nn", "x y"), second("b.nn", "z");
  Diagnostics diagnostics;
  diagnostics.error(find(first, "y"), "2");
  diagnostics.error(find(second, "z"), "3");
  diagnostics.error(find(first, "x"), "1");
  diagnostics.error({}, "nowhere");
  EXPECT_EQ(diagnostics.text(), "a.nn:1:1: error: 1\n  1 | x y\n    | ^\na.nn:1:3: error: 2\n  1 | x y\n    |   ^\n"
                                "b.nn:1:1: error: 3\n  1 | z\n    | ^\nerror: nowhere");
}

} // namespace
} // namespace nnc
