// Every error that the compiler can give on a source, held against tests/golden/errors: what it says, word for word, and where.
//
// A file there is a list of cases. `# ---- title` begins one; its text is compiled as `m.nn` (or `m.nnir`), and the lines `#> …`
// at its end are what must be said: no more and no less. `#@ lib.nn` begins another file, for `use`; `#@ n=3` is a --set. What
// stands before the first case comes before the text of each. NNC_BLESS=1 in the environment writes what is said now into the
// files; read it then.
//
// The last test reads the compiler's own text: every message in it must be in some case.
#include "tests/paths.h"
#include "tests/unit/lowering_test.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <optional>
#include <set>

namespace nnc {
namespace {

namespace fs = std::filesystem;

struct Case {
  std::string title, text;
  std::map<std::string, std::string> files = {};
  std::vector<std::pair<std::string, std::string>> set = {};
};

// What the driver would print on standard error for the case.
std::string said_of(const Case &one, const std::string &name) {
  std::string said;
  try {
    std::optional<Module> module;
    if (name.ends_with(".nnir")) {
      module = parse_module(one.text, name);
    } else {
      const Source source(name, one.text);
      UsedFiles used{[&](const std::string &file) {
                       const auto found = one.files.find(file);
                       return found != one.files.end() ? found->second : throw Error(file + ": cannot open");
                     },
                     {}};
      Diagnostics diagnostics;
      module = compile_source(source, {one.set, &used}, diagnostics);
      EXPECT_EQ(module.has_value(), !diagnostics.has_errors());
      said = diagnostics.text();
    }
    if (module)
      run_passes(*module);
  } catch (const Error &error) {
    said += error.what();
  }
  return said;
}

std::string content(const fs::path &file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> lines_of(const std::string &text) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

// Runs the cases of a file and returns it as it should be.
std::string checked(const fs::path &file) {
  const std::string name = "m" + file.extension().string();
  std::string prologue, result, expected, blank; // blank lines, which count if more of the text follows
  std::optional<Case> one;
  std::string *text = &prologue; // that the lines go to
  const auto finish = [&] {
    if (!one)
      return;
    const std::string said = said_of(*one, name);
    EXPECT_NE(said, "") << file << ": " << one->title << ": nothing is wrong with it";
    std::string written;
    for (const std::string &line : lines_of(said))
      written += "#> " + line + "\n";
    if (!std::getenv("NNC_BLESS")) {
      EXPECT_EQ(written, expected) << file << ": " << one->title;
    }
    result += written + "\n";
  };
  for (const std::string &line : lines_of(content(file))) {
    if (line.empty()) {
      blank += "\n";
      continue;
    }
    if (line.starts_with("#> ")) {
      expected += line + "\n";
      continue;
    }
    if (line.starts_with("# ---- ")) {
      finish();
      blank = one ? "" : blank;
      one = Case{line.substr(7), prologue};
      text = &one->text;
      expected = "";
    } else if (line.starts_with("#@ ")) {
      if (const size_t sign = line.find('='); sign != line.npos)
        one->set.emplace_back(line.substr(3, sign - 3), line.substr(sign + 1));
      else
        text = &one->files[line.substr(3)];
    } else if (one || !line.starts_with("#")) {
      *text += (text->empty() ? "" : blank) + line + "\n";
    }
    result += blank + line + "\n";
    blank = "";
  }
  finish();
  if (result.ends_with("\n\n"))
    result.pop_back();
  return result;
}

std::vector<fs::path> files_of(const std::string &folder) {
  std::vector<fs::path> files;
  for (const auto &entry : fs::directory_iterator(source_dir() + "/" + folder))
    if (entry.is_regular_file())
      files.push_back(entry.path());
  return files;
}

TEST(Errors, SayWhatTheGoldenFilesSay) {
  for (const fs::path &file : files_of("tests/golden/errors")) {
    const std::string now = checked(file);
    if (std::getenv("NNC_BLESS"))
      std::ofstream(file, std::ios::binary) << now;
  }
}

// ---- what no file should hold

std::string repeated(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i)
    out += text;
  return out;
}

// Sources and what is said first; nothing else is.
std::vector<std::pair<std::string, std::string>> hostile() {
  std::string calls;
  for (int i = 0; i < 3000; ++i)
    calls += fmt::format("fn call{}(x) = call{}(x)\n", i, i + 1);
  std::string doubling = "fn call0(x) = x + 1\n"; // 2^30 calls
  for (int i = 1; i <= 30; ++i)
    doubling += fmt::format("fn call{}(x) = call{}(x) + call{}(x)\n", i, i - 1, i - 1);
  const std::string nested = "nested more than 500 levels deep: name parts of it";
  return {
      {std::string("x = 1\ny\0", 8), "2:2: error: byte 0x00: this file is not UTF-8 text"},
      {"\xcf\xfa\xed\xfe\x07", "1:1: error: byte 0xcf: this file is not UTF-8 text"},
      {"const a = 1\x01", "1:12: error: unexpected control character 0x01"},
      {"const a = " + repeated("(", 10'000) + "1" + repeated(")", 10'000), "1:511: error: " + nested},
      {"const a = " + repeated("-", 10'000) + "1", "1:511: error: " + nested},
      {"entry go(x: f32[100]) {\n  return y = x" + repeated(" + x", 300'000) + "\n}\n",
       "2:1000014: error: this entry needs more than 250000 operations; a long loop is a `scan`"},
      {"entry go(x: f32[100]) {\n  xs = [1]\n  for i in 0..40 { xs = [xs, xs] }\n  return y = f32(xs == xs)\n}\n",
       "3:25: error: a list of more than 1000000 items, counting those of the lists in it"},
      {"entry go(x: f32[100]) {\n  xs = [1]\n  for i in 0..1000 { xs = [xs] }\n  return y = f32(xs == xs)\n}\n",
       "3:27: error: lists in lists, more than 500 levels deep"},
      {"entry go(x: f32[100]) {\n  xs = 0..100000\n  for i in 0..90000 { require xs == 0..100000, \"{xs}\" }\n  return y = "
       "x\n}\n",
       "3:40: error: the program takes more than 5000000 steps to evaluate; calls and loops in one another multiply"},
      {doubling + "const a = call30(1)\nentry go(x: f32[a]) { return y = x }\n",
       "4:21: error: the program takes more than 5000000 steps to evaluate; calls and loops in one another multiply"},
      {doubling + "entry go(x: f32) { return y = call30(x) }\n",
       "4:21: error: the program takes more than 5000000 steps to evaluate; calls and loops in one another multiply"},
      {"fn f(x) = sin(x * x) * exp(x)\nentry go(x: f32) { return y = " + repeated("grad(", 20) + "f" + repeated(")", 20) +
           "(x) }\n",
       "1:11: error: with the derivatives of this there are more than 500000 operations; each level of `grad` multiplies them"},
      {"const " + std::string(10'000'000, 'a') + " = 1", "1:7: error: a name of 10000000 characters: at most 255 are possible"},
      {calls + "fn call3000(x) = x\nentry go(x: f32) { return y = call0(x) }\n",
       "333:17: error: calls, blocks and expressions are nested more than 1000 levels deep"},
      {"entry go(x: f32[100]) {\n  for i in 0..90000 {\n" + repeated("    x = -x\n", 12) + "  }\n  return y = x\n}\n",
       "7:5: error: this entry needs more than 250000 operations; a long loop is a `scan`"},
      {"module \"a\" func f(%n: u8[140737488355328] input) -> () {\n%y = concat(%n" + repeated(",%n", 65535) + ", axis=0) : u8 }",
       "2:6: error: concat: axis 0 is too long"},
  };
}

TEST(Errors, SayWhatIsWrongWithHostileText) {
  for (const auto &[text, message] : hostile()) {
    const std::string name = text.starts_with("module") ? "m.nnir" : "m.nn", said = said_of({"", text}, name);
    EXPECT_EQ(said.substr(0, said.find('\n')), name + ":" + message);
    EXPECT_EQ(said.find("error: "), said.rfind("error: "));
  }
}

// ---- what only data can get wrong

// Entries that are called with a number that is too large, and what they fail with.
const std::vector<std::pair<std::string, std::string>> bad_data = {
    {"token", "token outside 0..10"},
    {"segment", "segment outside 0..3"},
    {"label", "label outside 0..5"},
    {"along", "index outside 0..3"},
    {"one", "index outside 0..5"},
    {"top", "segment outside 0..3"},
    {"length", "a length that is not from 0 to 5"},
    {"index", "index outside 0..3 of axis 0 of `s`, f32[3]"},
    {"kept", "label outside 0..5"},
    {"mean", "label outside 0..5"},
    {"written", "label outside 0..5, or the blank 4"},
    {"steps", "length outside 1..8"},
    {"symbols", "label_length outside 0..4"},
    {"own", "not below 10"},
};

TEST(Errors, AreFoundInDataBeforeAnythingIsWritten) {
  const std::string text = "net table(t) = embedding(t, 10, 4)\n"
                           "state s: f32[3] = zeros()\n"
                           "entry token(i: i32[2]) { s := s + 1; return y = table(i) }\n"
                           "entry segment(i: i32[2]) { s := s + 1; return y = segment_sum(s[:2], i, 3) }\n"
                           "entry label(i: i32[2]) { s := s + 1; return y = cross_entropy(ones([2, 5]), i) }\n"
                           "entry kept(i: i32[2]) { s := s + 1; return y = cross_entropy(ones([2, 5]), i, ignore_index = 0) }\n"
                           "entry mean(i: i32[2]) { s := s + 1; return y = mean_cross_entropy(ones([2, 5]), i, weight = 2) }\n"
                           "fn timed(i, n, k) = ctc(ones([7, 2, 5]), i, n, k, blank = 4)\n"
                           "entry written(i: i32[2]) { s := s + 1; return y = timed(reshape(i, [2, 1]), 7, 1) }\n"
                           "entry steps(i: i32[2]) { s := s + 1; return y = timed(zeros([2, 3], i32), i + 1, 3) }\n"
                           "entry symbols(i: i32[2]) { s := s + 1; return y = timed(zeros([2, 3], i32), 7, i) }\n"
                           "entry along(i: i32[2]) { s := s + 1; return y = take_along(s, i) }\n"
                           "entry one(i: i32[2]) { s := s + 1; return y = one_hot(i, 5) }\n"
                           "entry top(i: i32[2]) { s := s + 1; return y = segment_max(s[:2], i, 3) }\n"
                           "entry length(i: i32[2]) { s := s + 1; return y = length_mask(i, 5) }\n"
                           "entry wide(i: i64[2]) { s := s + 1; return y = table(i), z = one_hot(i, 10) }\n"
                           "entry index(i: i32[2]) { s := s + 1; return y = s[i] }\n"
                           "entry own(i: i32[2]) { require i < 10, \"not below 10\"; s := s + 1; return y = i + 1 }\n";
  Interpreted model(runnable(text));
  for (const auto &[entry, message] : bad_data) {
    EXPECT_TRUE(model.call(entry, {tensor(DType::i32, {2}, {0, 10})}).empty()) << entry;
    EXPECT_EQ(model.failed, message);
    EXPECT_EQ(numbers(model.state("s")), (std::vector<double>{0, 0, 0})) << entry;
  }
  EXPECT_TRUE(model.call("wide", {tensor(DType::i64, {2}, {0, 4294967297})}).empty()); // 1, if cut to 32 bits
  EXPECT_EQ(model.failed, "token outside 0..10");
}

// ---- completeness

const std::string small = "abcdefghijklmnopqrstuvwxyz", names = small + "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

// The string literals of C++ text, each with those right behind it. Assertions, comments and characters are skipped.
std::vector<std::string> literals(const std::string &code) {
  std::vector<std::string> found;
  bool goes_on = false; // only blanks since the last literal
  for (size_t i = 0; i < code.size(); ++i) {
    const char c = code[i];
    if (code.compare(i, 2, "//") == 0) {
      i = std::min(code.find('\n', i), code.size());
    } else if (code.compare(i, 7, "assert(") == 0) {
      i = code.find(';', i);
    } else if (c == '\'' && !std::isalnum(static_cast<unsigned char>(code[i - 1]))) { // 'x', not 100'000
      i += code[i + 1] == '\\' ? 3 : 2;
      goes_on = false;
    } else if (c == '"') {
      std::string text;
      for (++i; i < code.size() && code[i] != '"'; ++i)
        text += code[i] != '\\' ? code[i] : std::isalpha(static_cast<unsigned char>(code[++i])) ? ' ' : code[i];
      if (goes_on)
        found.back() += text;
      else
        found.push_back(text);
      goes_on = true;
    } else if (!std::isspace(static_cast<unsigned char>(c))) {
      goes_on = false;
    }
  }
  return found;
}

// The parts of a format, or of a message of `require`, between what is put in.
std::vector<std::string> fixed_parts(const std::string &format) {
  std::vector<std::string> parts(1);
  for (size_t i = 0; i < format.size(); ++i) {
    const size_t end = format.find_first_not_of(names + "_0123456789:.", i + 1);
    if (format.substr(i, 2) == "{{" || format.substr(i, 2) == "}}")
      parts.back() += format[i++];
    else if (format[i] == '{' && end != format.npos && format[end] == '}')
      parts.emplace_back(), i = end;
    else
      parts.back() += format[i];
  }
  return parts;
}

// Every line of all cases in which a message stands; the others show the source. What only a program can do to a module is in the
// test of the verifier.
std::set<std::string> said_in_cases() {
  std::set<std::string> all;
  for (const fs::path &file : files_of("tests/golden/errors"))
    for (const std::string &line : lines_of(content(file)))
      if (line.starts_with("#> ") && line.find(" | ") == line.npos)
        all.insert(line);
  for (const std::string &line : lines_of(content(source_dir() + "/tests/unit/verify_test.cpp")))
    all.insert(line);
  for (const auto &[text, message] : hostile())
    all.insert(message);
  for (const auto &[entry, message] : bad_data)
    all.insert(message);
  return all;
}

bool is_in(const std::set<std::string> &messages, const std::string &format) {
  const std::vector<std::string> parts = fixed_parts(format);
  return std::ranges::any_of(messages, [&](const std::string &line) {
    size_t at = 0;
    for (const std::string &part : parts) {
      at = line.find(part, at);
      if (at == line.npos)
        return false;
      at += part.size();
    }
    return true;
  });
}

// A text of several words that begins small. Lists of names ("x, axis?") are none.
bool is_message(const std::string &text) {
  return text.find(' ') != text.npos && text.find_first_of(small) != text.npos && !(text[0] >= 'A' && text[0] <= 'Z') &&
         !(text.find(", ") != text.npos && text.find_first_not_of(small + ", ?") == text.npos);
}

// The C++ text that can report, and the messages of the library.
std::map<std::string, std::string> reporting_code() {
  std::map<std::string, std::string> code;
  const std::string root = source_dir() + "/";
  for (const char *name :
       {"ir/infer.cpp", "ir/text_lexer.cpp", "ir/text_parser.cpp", "ir/text_reader.cpp", "ir/type.cpp", "ir/verify.cpp",
        "passes/grad.cpp", "passes/grad_request.cpp", "passes/grad_rules.cpp", "passes/grad_scan.cpp"})
    code[name] = content(root + name);
  const std::set<std::string> printers = {"ast_text", "format", "diagnostics",
                                          "printable"}; // of trees, programs and the frames of messages
  for (const fs::path &file : files_of("frontend"))
    if (!printers.contains(file.stem()))
      code[file.lexically_relative(root)] = content(file);
  for (const fs::path &file : files_of("frontend/std"))
    for (const std::string &line : lines_of(content(file)))
      if (line.find("require ") != line.npos)
        code[file.lexically_relative(root)] += line.substr(line.rfind(", \"") + 2) + ";\n";
  return code;
}

TEST(Errors, AreAllInTheGoldenFiles) {
  const std::set<std::string> excused = {
      "the file is larger than 1 GB", // no test makes one
      "{}:{}:{}: error: {}",          // the frame of a message
  };
  const std::set<std::string> messages = said_in_cases();
  for (const auto &[file, code] : reporting_code())
    for (const std::string &format : literals(code))
      if (is_message(format) && !excused.contains(format)) {
        EXPECT_TRUE(is_in(messages, format)) << file << ": no case in tests/golden/errors has `" << format << "`";
        EXPECT_NE(format.back(), '.') << file << ": `" << format << "` ends in a period";
      }
}

} // namespace
} // namespace nnc
