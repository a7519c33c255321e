// Bad input to the driver: each gets a message that says where and what, exit code 1, and leaves no file behind.
#include "runtime/tensor_file.h"
#include "tests/process.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <sys/prctl.h>
#include <unistd.h>

namespace nnc {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// Compiles `text` and expects it to be refused with messages that have all of these parts, in order.
void refused(const std::string &text, const std::vector<std::string> &messages) {
  const Folder folder;
  folder.write("m.nn", text);
  for (const char *command : {"$NNC m.nn -o m.so", "$NNC m.nn --emit=plan -o m.txt", "$NNC run m.nn f"}) {
    const Ran ran = folder.run(command);
    EXPECT_EQ(ran.code, 1) << ran.err;
    EXPECT_EQ(ran.out, "");
    size_t at = 0;
    for (const std::string &message : messages) {
      at = ran.err.find(message, at);
      ASSERT_NE(at, std::string::npos) << "`" << message << "` is not in\n" << ran.err;
    }
    EXPECT_EQ(folder.files(), std::set<std::string>{"m.nn"});
  }
}

// Runs `command` in a folder with good files and expects it to be refused.
void refused_command(const std::string &command, const std::string &message) {
  const Folder folder;
  folder.write("m.nn", "const batch = 4\n"
                       "net n(x: f32[N, 3]) = dense(x, 2)\n"
                       "entry step(x: f32[batch, 3], label: i32[batch]) {\n"
                       "  loss = mean(cross_entropy(n(x), label))\n"
                       "  update sgd(loss)\n"
                       "  return loss\n"
                       "}\n"
                       "entry predict(x: f32[batch, 3]) { return y = n(x) }\n");
  write_npy(folder.file("x.npy"), {"f32", {8, 3}, std::vector<std::byte>(96)});
  write_npy(folder.file("x4.npy"), {"f32", {4, 3}, std::vector<std::byte>(48)});
  write_npy(folder.file("label.npy"), {"i32", {8}, std::vector<std::byte>(32)});
  write_npy(folder.file("bad_label.npy"), {"i32", {4}, std::vector<std::byte>(16, std::byte{1})});
  write_npy(folder.file("many.npy"), {"i64", {4}, std::vector<std::byte>(32, std::byte{1})});
  write_npy(folder.file("double.npy"), {"f64", {4, 5}, std::vector<std::byte>(160)});
  folder.write("short.npy", folder.read("x.npy").substr(0, 150));
  folder.write("short.idx", std::string("\0\0\x08\x02\0\0\0\x08\0\0\0\x03xyz", 15));
  folder.write("short.gz", std::string("\x1f\x8b\x08\0\0\0\0\0\0\x03\x63", 11));
  folder.write("text.npy", "this is no tensor");
  folder.write("empty.npy", "");
  folder.write("short.safetensors", std::string("\x40\0\0\0\0\0\0\0{\"n/dense_0/w\":", 24));
  folder.write("none.safetensors", std::string("\x02\0\0\0\0\0\0\0{}", 10));
  folder.write("text.so", "this is no library");
  ASSERT_EQ(folder.run("$NNC m.nn -o good.so && $NNC m.nn -o good.a").code, 0);
  folder.write("short.so", folder.read("good.so").substr(0, 5000));
  const std::set<std::string> before = folder.files();
  const Ran ran = folder.run(command);
  EXPECT_EQ(ran.code, 1) << command << "\n" << ran.out << ran.err;
  EXPECT_THAT(ran.err, HasSubstr(message)) << command;
  EXPECT_EQ(folder.files(), before) << command;
}

// What else can be wrong with a source is in tests/golden/errors.
TEST(bad_input, source_text) {
  refused("entry f(x: f32[4]) { return y = x + }\n", {"m.nn:1:37: error: expected an expression, found `}`"});
  refused("entry f(x: f32[4]) { return y = q }\nentry g(x: f32[4]) { return y = zork(x) }\n",
          {"m.nn:1:33: error: unknown name `q`", "m.nn:2:33: error: unknown function `zork`"});
  refused("entry f(x: f32[4], y: f32[5]) { return z = x + y }\n",
          {"m.nn:1:46: error: sizes differ: `x` is [4], `y` is [5]", "note: 4 comes from", "note: 5 comes from"});
  refused("", {"m.nn:1:1: error: there are no declarations in this file"});
}

TEST(bad_input, hostile_text) {
  std::string noise;
  for (unsigned i = 0, x = 1; i < 5000; ++i, x = x * 1664525 + 1013904223)
    noise += static_cast<char>(x >> 24);
  refused(noise, {"m.nn:1:", ": error: "});
  refused(std::string(1000, '\0'), {"m.nn:1:1: error: "});
  refused("entry f(x: f32[4]) { return y = " + std::string(10000, '(') + "x" + std::string(10000, ')') + " }\n",
          {"m.nn:1:", ": error: nested more than 500 levels deep"});
  std::string sum = "entry f(x: f32[4]) { return y = x";
  while (sum.size() < 10'000'000)
    sum += " + x";
  refused(sum + " }\n", {"m.nn:1:", ": error: this entry needs more than 250000 operations"});
  refused("entry f(x: f32[4]) { return y = " + std::string(10'000'000, 'q') + " }\n",
          {"m.nn:1:33: error: a name of 10000000 characters: at most 255 are possible"});
  std::string names = "entry f(x: f32[4]) { return y = q";
  while (names.size() < 1'000'000)
    names += ", q";
  refused(names + " }\n", {"m.nn:1:33: error: unknown name `q`", "m.nn:1:36: error: unknown name `q`", "… 980 more errors"});
  refused("# " + std::string(10'000'000, 'x') + "\n", {"m.nn:1:1: error: there are no declarations in this file"});
}

// What a few lines can multiply ends in an error before it takes the machine.
TEST(bad_input, texts_that_outgrow_the_machine) {
  const Folder folder;
  std::string calls = "fn call0(x) = sin(x)\n";
  for (int i = 1; i <= 30; ++i)
    calls += fmt::format("fn call{}(x) = call{}(x) + call{}(x)\n", i, i - 1, i - 1);
  std::string derivatives = "fn f(x) = sin(x * x) * exp(x)\nentry go(x: f32) { return y = ";
  for (int i = 0; i < 20; ++i)
    derivatives += "grad(";
  derivatives += "f" + std::string(20, ')') + "(x) }\n";
  for (const std::string &text :
       {std::string("entry f(x: f32[4]) {\n  xs = [1]\n  for i in 0..60 { xs = [xs, xs] }\n  require xs == 1, "
                    "\"{xs}\"\n  return y = x\n}\n"),
        calls + "entry go(x: f32[4]) { return y = call30(x) }\n", derivatives}) {
    folder.write("m.nn", text);
    const Ran ran = folder.run("ulimit -t 60; ulimit -v 2000000; $NNC m.nn --emit=plan");
    EXPECT_EQ(ran.code, 1) << ran.err;
    EXPECT_THAT(ran.err, StartsWith("m.nn:")) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr(" more than ")) << ran.err;
  }
}

// A file that does not fit the input is refused by its header; one that may be of any length, by its name.
TEST(bad_input, files_that_outgrow_the_machine) {
  const Folder folder;
  folder.write("m.nn", "entry f(x: f32[4, 3]) { return y = sum(x) }\n");
  write_npy(folder.file("x.npy"), {"f32", {4, 3}, std::vector<std::byte>(48)});
  const std::string whole = folder.read("x.npy"), rows = "(1000000000, 3), }";
  std::string head = whole.substr(0, 128);
  head.replace(head.find("(4, 3), }"), rows.size(), rows);
  folder.write("big.npy", head);
  std::filesystem::resize_file(folder.file("big.npy"), 128 + 12'000'000'000); // of which the disk holds nothing
  const Ran ran = folder.run("ulimit -v 2000000; $NNC run m.nn f --in x=big.npy");
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.err, "nnc: error: big.npy: `x` is f32[4,3], but the file holds f32[1000000000,3]\n");
  folder.write("t.nn",
               "state w: f32[3] = zeros([3])\nentry f(x: f32[4, 3]) {\n  w := w + sum(x, axis = 0)\n  return loss = sum(w)\n}\n");
  const Ran trained = folder.run("ulimit -v 2000000; $NNC train t.nn f --data x=big.npy");
  EXPECT_EQ(trained.code, 1);
  EXPECT_THAT(trained.err, HasSubstr("nnc: error: big.npy: "));
}

// Where a process may not execute what it wrote, the message says what does work.
TEST(bad_input, process_without_memory_that_is_written_and_executed) {
  constexpr int set = 65, get = 66, no_new_execution = 1; // PR_SET_MDWE, PR_GET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN
  if (prctl(get, 0, 0, 0, 0) < 0)
    GTEST_SKIP() << "this kernel has no PR_SET_MDWE";
  const Folder folder;
  folder.write("m.nn", "entry f(x: f32) { return y = x + 1 }\n");
  const auto hardened = [&](const std::string &command) {
    prctl(set, no_new_execution, 0, 0, 0);
    const Ran ran = folder.run(command);
    fputs((ran.out + ran.err).c_str(), stderr);
    _exit(ran.code);
  };
  EXPECT_EXIT(hardened("$NNC run m.nn f --in x=1"), testing::ExitedWithCode(1),
              "^nnc: error: cannot load compiled code: this process may not execute memory that it wrote .*--engine=so");
  EXPECT_EXIT(hardened("$NNC run m.nn f --in x=1 --engine=so"), testing::ExitedWithCode(0), "y = 2");
}

TEST(bad_input, module_text) {
  const Folder folder;
  folder.write("m.nnir", "module \"m.nn\"\nfunc f(%x: f32[4] input) -> (y = %y) {\n  %y = add(%x, %z) : f32[4]\n}\n");
  const Ran ran = folder.run("$NNC m.nnir --emit=plan");
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.err, StartsWith("m.nnir:3:16: error: "));
}

TEST(bad_input, command_line) {
  const Folder folder;
  folder.write("m.nn", "const n = 4\nentry f(x: f32[n]) { return y = x + 1 }\n");
  for (const auto &[command, message] : std::vector<std::pair<std::string, std::string>>{
           {"$NNC", "nnc: error: MODEL is missing"},
           {"$NNC m.nn", "nnc: error: say what to make"},
           {"$NNC frobnicate m.nn", "nnc: error: there is no command `frobnicate`; there are `bench`, `docs`, `fmt`, "},
           {"$NNC frobnicate", "nnc: error: there is no command `frobnicate`"},
           {"$NNC m.nn more --emit=ir", "nnc: error: one word too many: `more`"},
           {"$NNC m.nn --emit=gold", "nnc: error: --emit=gold: there are ast, ir"},
           {"$NNC m.nn --emti=ir", "nnc: error: unknown command line argument `--emti=ir`; did you mean `--emit=ir`?"},
           {"$NNC m.nn --emit=ir --threads=2", "nnc: error: unknown command line argument `--threads=2`"},
           {"$NNC m.nn --emit=ir --debug-pass=x", "nnc: error: unknown command line argument `--debug-pass=x`"},
           {"$NNC m.nn -o m.exe", "nnc: error: m.exe: the name of an output ends in .so, .o or .a"},
           {"$NNC m.nn --emit=ir -o m.nn", "nnc: error: m.nn: that is the model itself"},
           {"$NNC m.nn --emit=ir -o m.ir --depfile m.nn", "nnc: error: --depfile m.nn: that is the model itself"},
           {"$NNC m.nn -o m.so --depfile ./m.so", "nnc: error: --depfile ./m.so: that is the output itself"},
           {"$NNC m.nn -o m.so --depfile $PWD/m.h", "/m.h: that is the header of the output"},
           {"$NNC m.nn -o m.so --name 2m", "nnc: error: --name=2m: it takes letters, digits and `_`, a letter first"},
           {"$NNC m.nn -o m.so --name nnc_m", "nnc: error: --name=nnc_m: it takes letters, digits and `_`"},
           {"$NNC m.nn -o 'm\n.o' --depfile m.d", "nnc: error: --depfile: no rule can name a file with a line break: `m\n.o`"},
           {"$NNC m.nn -o no/such/folder/m.so", "nnc: error: no/such/folder/m.so: cannot "},
           {"$NNC m.nn -o /proc/m.so", "nnc: error: /proc/m.so: cannot "},
           {"ulimit -f 1; $NNC m.nn -o m.so", "nnc: error: cannot link: cannot write a file in memory: File too large"},
           {"ulimit -f 1; $NNC m.nn --emit=llvm -o m.ll", "nnc: error: m.ll: cannot write: File too large"},
           {"$NNC m.nn --emit=plan >/dev/full", "nnc: error: standard output: cannot be written"},
           {"$NNC none.nn --emit=ir", "nnc: error: none.nn: cannot open"},
           {"$NNC . --emit=ir", "nnc: error: .: the name of a model ends in .nn or .nnir"},
           {"mkdir d.nn; $NNC d.nn --emit=ir; code=$?; rmdir d.nn; (exit $code)", "nnc: error: d.nn: "},
           {"$NNC m.nn --emit=ir --set n", "nnc: error: --set n: it takes NAME=VALUE"},
           {"$NNC m.nn --emit=ir --set q=3", "error: "},
           {"$NNC m.nn --emit=ir --set n=many", "error: "},
           {"$NNC m.nn --emit=ir --set n=-3", "error: "},
           {"$NNC m.nn --emit=ir --passes=magic", "nnc: error: there is no pass `magic`"},
           {"$NNC m.nn --emit=plan --disable=fuse", "nnc: error: the pass `fuse` cannot be disabled"},
           {"$NNC m.nn -o m.so --cpu=z80", "z80"},
           {"$NNC m.nn -o m.so --target=vax-dec-ultrix", "vax"},
           {"$NNC m.nn -o m.so --target=aarch64-linux-gnu_ilp32",
            "nnc: error: --target: pointers of `aarch64-unknown-linux-gnu_ilp32` have 32 bits: code is made for those of 64"},
           {"$NNC m.nn -o m.so --target=x86_64-nacl", "nnc: error: --target: pointers of `x86_64-unknown-nacl` have 32 bits"},
           {"$NNC m.nn -o m.so --target=x86_64-linux-gnux32", "nnc: error: --target: pointers of `x86_64-unknown-linux-gnux32`"},
           {"$NNC m.nn -o m.so --target=x86_64-linux-gnu --cpu=haswell+avx512f+no-evex512",
            "nnc: error: --cpu: `haswell+avx512f+no-evex512` has avx512f with vectors of neither 512 bits"},
           {"$NNC run m.nn", "nnc: error: ENTRY is missing"},
           {"$NNC run m.nn g", "nnc: error: m.nn: there is no entry `g`; there are `f`"},
           {"$NNC run m.nn f", "nnc: error: `f` needs `x`, f32[4]: add --in x=FILE"},
           {"$NNC run m.nn f --in z=1", "nnc: error: --in z=1: `f` has no `z`; it has `x`"},
           {"$NNC run m.nn f --in x=1", "nnc: error: --in x=1: `x` is f32[4], so it takes a file"},
           {"$NNC run m.nn f --in x", "nnc: error: --in x: it takes NAME=VALUE"},
           {"$NNC run m.nn f --engine=steam", "nnc: error: --engine=steam: there are jit, interp, plan, so"},
           {"$NNC run m.nn f --threads=0", "nnc: error: --threads=0: it takes a whole number from 1"},
           {"$NNC run m.nn f --threads=two", "nnc: error: --threads=two: it takes a whole number from 1 to 1024"},
           {"$NNC bench m.nn g", "nnc: error: m.nn: there is no entry `g`"},
           {"$NNC inspect m.nn", "nnc: error: m.nn: inspect reads a compiled model"},
       }) {
    const Ran ran = folder.run(command);
    EXPECT_EQ(ran.code, 1) << command << "\n" << ran.err;
    EXPECT_THAT(ran.err, HasSubstr(message)) << command;
    EXPECT_EQ(folder.files(), std::set<std::string>{"m.nn"}) << command;
  }
}

// Linking takes no room on a disk, so it does not matter that there is none.
TEST(bad_input, no_temporary_folder) {
  const Folder folder;
  folder.write("m.nn", "entry f(x: f32[4]) { return y = x + 1 }\n");
  const Ran ran = folder.run("TMPDIR=/proc $NNC m.nn -o m.so && TMPDIR=/proc $NNC m.nn -o m.a");
  EXPECT_EQ(ran.code, 0) << ran.err;
}

TEST(bad_input, tensor_files) {
  for (const auto &[file, message] : std::vector<std::pair<std::string, std::string>>{
           {"none.npy", "nnc: error: none.npy: cannot open"},
           {"short.npy", "nnc: error: short.npy: "},
           {"short.idx", "nnc: error: short.idx: "},
           {"short.gz", "nnc: error: short.gz: "},
           {"text.npy", "nnc: error: text.npy: "},
           {"empty.npy", "nnc: error: empty.npy: "},
           {"x.npy", "nnc: error: x.npy: `x` is f32[4,3], but the file holds f32[8,3]"},
           {"label.npy", "nnc: error: label.npy: `x` is f32[4,3], but the file holds i32[8]"},
           {"double.npy", "nnc: error: double.npy: `x` is f32[4,3], but the file holds f64[4,5]"},
       })
    refused_command("$NNC run m.nn predict --in x=" + file + " --out y=y.npy", message);
  refused_command("$NNC run m.nn step --in x=x4.npy --in label=many.npy",
                  "element 0 of `label` is 72340172838076673, which does not fit i32");
}

TEST(bad_input, weights_and_libraries) {
  const std::string run = "$NNC run m.nn predict --in x=x4.npy --out y=y.npy --weights ";
  refused_command(run + "none.npy", "nnc: error: none.npy: cannot open");
  refused_command(run + "short.safetensors", "nnc: error: short.safetensors: ");
  refused_command(run + "none.safetensors", "nnc: error: none.safetensors: has no tensor `n/dense_0/");
  refused_command(run + "x.npy", "nnc: error: x.npy: ");
  refused_command("$NNC run text.so predict --in x=x4.npy", "nnc: error: text.so: not a shared library");
  refused_command("$NNC run short.so predict --in x=x4.npy", "nnc: error: short.so: the file is truncated");
  refused_command("$NNC run good.so predict --in x=x4.npy --engine=interp", "nnc: error: good.so: a compiled model cannot run");
  for (const std::string command : {"inspect", "objdump"}) {
    const std::string entry = command == "objdump" ? " f" : "";
    refused_command("$NNC " + command + " text.so" + entry, "nnc: error: text.so: not a shared library");
    refused_command("$NNC " + command + " good.a" + entry, "nnc: error: good.a: not a shared library");
  }
  refused_command("$NNC run m.nn predict --in x=x4.npy --out y=no/such/y.npy", "nnc: error: no/such/y.npy: cannot ");
  refused_command("$NNC run m.nn predict --in x=x4.npy --weights-out no/such/w", "nnc: error: no/such/w: cannot ");
}

// Whatever is overwritten, what LLVM finds is said in our words, or does not matter.
TEST(bad_input, damaged_debug_information) {
  const Folder folder;
  folder.write("m.nn", "entry f(x: f32[4]) { return y = exp(x) }\n");
  ASSERT_EQ(folder.run("$NNC m.nn -g --cpu=generic -o good.so").code, 0);
  const std::string good = folder.read("good.so");
  int found = 0;
  for (size_t at = 64; at < good.size(); at += good.size() / 40) {
    std::string bad = good;
    for (size_t i = at; i < std::min(at + 16, bad.size()); ++i)
      bad[i] = static_cast<char>(bad[i] ^ 0x55);
    folder.write("bad.so", bad);
    const Ran ran = folder.run("$NNC objdump bad.so f");
    EXPECT_TRUE(ran.code == 0 ? ran.err.empty() : ran.err.starts_with("nnc: error: ")) << at << ": " << ran.err;
    EXPECT_THAT(ran.err, Not(HasSubstr("warning: "))) << at;
    EXPECT_LE(ran.code, 1) << at;
    found += ran.err.starts_with("nnc: error: bad.so: the debug information is damaged: ");
  }
  EXPECT_GT(found, 0);
}

TEST(bad_input, training) {
  const std::string train = "$NNC train m.nn step --weights-out w.safetensors ";
  refused_command(train, "nnc: error: `step` needs `x`, f32[4,3]: add --data x=FILE");
  refused_command(train + "--data x=x.npy", "nnc: error: `step` needs `label`, i32[4]: add --data label=FILE");
  refused_command(train + "--data x=x.npy --data label=bad_label.npy", "nnc: error: bad_label.npy: ");
  refused_command(train + "--data x=x4.npy --data label=bad_label.npy", "nnc: error: epoch 1, batch 1: step: label outside 0..2");
  refused_command(train + "--data x=x.npy --data label=label.npy --data z=x.npy",
                  "nnc: error: --data z=x.npy: there is no input");
  refused_command(train + "--data x=x.npy --data label=label.npy --data x=x.npy",
                  "nnc: error: --data x=x.npy: `x` is given twice");
  refused_command(train + "--data x=x.npy --data label=label.npy --eval-data x=x.npy", "nnc: error: --eval-data needs --eval");
  refused_command(train + "--data x=x.npy --data label=label.npy --eval evaluate",
                  "nnc: error: m.nn: there is no entry `evaluate`");
  refused_command(train + "--data x=x.npy --data label=label.npy --epochs=many",
                  "nnc: error: --epochs=many: it takes a whole number");
  refused_command("$NNC train good.so step --data x=bad_label.npy --data label=label.npy", "nnc: error: bad_label.npy: ");
  refused_command("$NNC train m.nn predict --data x=x.npy",
                  "nnc: error: `predict` changes nothing, so there is nothing to train");
  const std::string good = "$NNC train m.nn step --data x=x.npy --data label=label.npy ";
  refused_command(good + "--eval predict --eval-data x=x.npy",
                  "nnc: error: --eval predict: none of its results is a single number, so there is nothing to show");
  refused_command(good + "--skip-mismatch", "nnc: error: --skip-mismatch is about --weights FILE");
  refused_command(good + "--skip-mismatch --weights none.safetensors",
                  "nnc: error: none.safetensors: no tensor in it has name and type of one of the model");
}

// Before anything is compiled, read or trained.
TEST(bad_input, outputs) {
  const std::string train = "$NNC train m.nn step --data x=x.npy --data label=label.npy --epochs 1000000000 --weights-out ";
  const std::string run = "$NNC run m.nn predict --in x=x4.npy ";
  for (const auto &[command, message] : std::vector<std::pair<std::string, std::string>>{
           {train + "none/w.safetensors", "none/w.safetensors: cannot write: No such file or directory"},
           {train + ".", ".: cannot write: Is a directory"},
           {train + "m.nn", "--weights-out m.nn: that is the model itself"},
           {train + "$PWD/x.npy", "/x.npy: that is what `x` is read from"},
           {train + "label.npy --eval step --eval-data x=x.npy --eval-data label=x.npy",
            "--weights-out label.npy: that is what `label` is read from"},
           {run + "--out y=none/y.npy", "none/y.npy: cannot write"},
           {run + "--out y=./x4.npy", "--out y=./x4.npy: that is what `x` is read from"},
           {run + "--out y=m.nn", "--out y=m.nn: that is the model itself"},
           {run + "--out y=new --weights-out ./new", "--out y=new: that is where the state goes"},
           {run + "--weights none.safetensors --out y=none.safetensors", "that is the weights to start from"},
           {"ln x4.npy linked; " + run + "--out y=linked; code=$?; rm linked; (exit $code)",
            "--out y=linked: that is what `x` is read from"},
           {"ln -s x4.npy linked; " + run + "--out y=linked; code=$?; rm linked; (exit $code)",
            "--out y=linked: that is what `x` is read from"},
           {"$NNC m.nn -o none.safetensors --emit=plan --freeze --weights none.safetensors",
            "none.safetensors: that is a file that the model is made from"},
           {"$NNC docs -o none", "none/stdlib.md: cannot write"},
       })
    refused_command(command, message);
}

// Devices may be named twice.
TEST(bad_input, outputs_that_are_no_files) {
  const Folder folder;
  folder.write("m.nn", "state s: f32 = zeros()\nentry f(x: f32) { s := x\n return y = x + 1, z = x }\n");
  const Ran ran = folder.run("$NNC run m.nn f --in x=1 --out y=/dev/null --out z=/dev/null --weights-out /dev/null");
  EXPECT_EQ(ran.code, 0) << ran.err;
}

} // namespace
} // namespace nnc
