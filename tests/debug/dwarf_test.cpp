// Debug information is valid, reaches every kernel, and changes nothing but itself.
#include "codegen/disassemble.h"
#include "tests/process.h"
#include "tools/pipeline.h"

#include <gmock/gmock.h>
#include <llvm/Object/ELFObjectFile.h>

#include <algorithm>
#include <map>

namespace nnc {
namespace {

using testing::HasSubstr;

std::string example(const std::string &name) { return source_dir() + "/examples/" + name + ".nn"; }

// What is loaded of a library: code, constants and tables, by section.
std::map<std::string, std::string> loaded_sections(const std::string &library) {
  std::map<std::string, std::string> sections;
  const auto object = llvm::cantFail(llvm::object::ObjectFile::createELFObjectFile(llvm::MemoryBufferRef(library, "library")));
  for (const llvm::object::ELFSectionRef section : object->sections())
    if (section.getFlags() & llvm::ELF::SHF_ALLOC)
      sections[llvm::cantFail(section.getName()).str()] = llvm::cantFail(section.getContents()).str();
  return sections;
}

TEST(debug_info, leaves_the_code_as_it_is) {
  for (const char *target : {"x86_64-linux-gnu", "aarch64-linux-gnu"})
    for (const char *name : {"mnist", "lenet", "functions"}) {
      BuildOptions options;
      options.target = target;
      options.cpu = target[0] == 'x' ? "x86-64-v4" : "";
      const auto without = loaded_sections(shared_library(build_model(example(name), options).artefact));
      options.debug_info = true;
      const auto with = loaded_sections(shared_library(build_model(example(name), options).artefact));
      ASSERT_TRUE(without.contains(".text"));
      ASSERT_EQ(without.size(), with.size());
      for (const auto &[section, bytes] : without)
        EXPECT_TRUE(with.contains(section) && bytes == with.at(section)) << target << " " << name << " " << section;
    }
}

// One line of a model for every kernel at least, and derivatives where the entry has any.
TEST(debug_info, reaches_every_kernel) {
  BuildOptions options;
  options.debug_info = true;
  const Build build = build_model(example("mnist"), options);
  const std::string library = shared_library(build.artefact);
  for (const PlanEntry &entry : build.plan.entries) {
    const std::vector<KernelCode> kernels = disassemble(library, "mnist.so", entry.name);
    EXPECT_FALSE(kernels.empty());
    bool derived = false;
    for (const KernelCode &kernel : kernels) {
      ASSERT_FALSE(kernel.instructions.empty()) << kernel.symbol;
      size_t placed = 0, in_model = 0;
      for (const Instruction &instruction : kernel.instructions) {
        placed += !instruction.source.empty();
        in_model += std::ranges::any_of(instruction.source, [&](const SourceLine &at) { return at.file == example("mnist"); });
        for (const SourceLine &at : instruction.source)
          derived |= at.function.ends_with("'");
      }
      EXPECT_GT(2 * placed, kernel.instructions.size()) << entry.name << " " << kernel.symbol;
      EXPECT_GT(in_model, 0u) << entry.name << " " << kernel.symbol;
    }
    EXPECT_EQ(derived, entry.name == "train_step") << entry.name;
  }
}

TEST(debug_info, passes_the_verifier) {
  const Folder folder;
  for (const char *name : {"mnist", "lenet", "char_lstm", "gpt"})
    for (const char *form : {"so", "o"}) {
      const std::string file = std::string(name) + "." + form;
      const Ran made = folder.run("$NNC $SOURCE/examples/" + std::string(name) + ".nn -g -o " + file);
      ASSERT_EQ(made.code, 0) << made.err;
      const Ran ran = folder.run("llvm-dwarfdump-19 --verify " + file);
      EXPECT_EQ(ran.code, 0) << file << "\n" << ran.out << ran.err;
      EXPECT_THAT(ran.out, HasSubstr("No errors"));
      EXPECT_THAT(folder.run("llvm-dwarfdump-19 --debug-line " + file).out, HasSubstr(std::string(name) + ".nn"));
    }
}

TEST(debug_info, does_not_depend_on_the_folder) {
  const Folder folder;
  const Ran ran =
      folder.run("mkdir a b && cp $SOURCE/examples/xor.nn a && cp a/xor.nn b && (cd a && $NNC xor.nn -g -o xor.so) && "
                 "(cd b && $NNC xor.nn -g -o xor.so) && cmp a/xor.so b/xor.so");
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
}

} // namespace
} // namespace nnc
