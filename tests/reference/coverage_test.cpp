// That nothing is left out of the reference files: every op of the table, derivatives included, and every function and optimiser
// of the library stands in a model of this folder, or is what one that stands there is made of.
#include "frontend/standard_library.h"
#include "runtime/file.h"
#include "tests/paths.h"
#include "tools/pipeline.h"

#include <algorithm>
#include <gmock/gmock.h>

#include <cctype>
#include <filesystem>
#include <map>
#include <set>

namespace nnc {
namespace {

std::vector<std::string> models() {
  std::vector<std::string> files;
  for (const auto &file : std::filesystem::directory_iterator(std::filesystem::path(source_dir()) / "tests/reference"))
    if (file.path().extension() == ".nn")
      files.push_back(file.path().string());
  return files;
}

void add_ops(const Region &region, std::set<std::string_view> &ops) {
  for (const Node &node : region.nodes) {
    ops.insert(op_info(node.op).name);
    if (node.body)
      add_ops(*node.body, ops);
  }
}

TEST(ReferenceCoverage, OfOps) {
  std::set<std::string_view> ops;
  const auto add = [&](const Module &module) {
    for (const Function &function : module.functions)
      if (function.name != "init")
        add_ops(function, ops);
  };
  for (const std::string &model : models()) {
    BuildOptions options;
    options.warn = false;
    Module module = read_source(model, options).module;
    add(module);
    run_pipeline(module, PipelineEnd::grad, options.passes);
    add(module);
  }
  std::set<std::string_view> missing;
  for (Op op : all_ops())
    if (op != Op::philox && !ops.contains(op_info(op).name)) // nobody else draws the same numbers
      missing.insert(op_info(op).name);
  EXPECT_THAT(missing, testing::IsEmpty());
}

// The words outside comments.
std::set<std::string> words(std::string_view text) {
  std::set<std::string> found;
  std::string word;
  bool in_comment = false;
  for (char c : text) {
    if (!in_comment && (std::isalnum(static_cast<unsigned char>(c)) || c == '_')) {
      word += c;
      continue;
    }
    found.insert(std::exchange(word, ""));
    in_comment = c == '#' || (in_comment && c != '\n');
  }
  found.insert(word);
  return found;
}

// The declarations of a file of the library, by name.
void add_declarations(std::string_view text, std::map<std::string, std::string> &declarations) {
  std::string *current = nullptr;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    for (std::string_view keyword : {"fn ", "optimizer "})
      if (line.starts_with(keyword))
        current = &declarations[std::string(line.substr(keyword.size(), line.find('(') - keyword.size()))];
    if (current)
      current->append(line).append("\n");
  }
}

TEST(ReferenceCoverage, OfTheLibrary) {
  std::map<std::string, std::string> declarations;
  for (const LibraryFile &file : standard_library())
    add_declarations(file.text, declarations);
  EXPECT_GT(declarations.size(), 50u);
  for (const char *drawn : {"he_uniform", "he_normal", "glorot_normal"}) // numbers that nobody else draws
    EXPECT_EQ(declarations.erase(drawn), 1u) << drawn;

  std::vector<std::string> texts;
  for (const std::string &model : models())
    texts.push_back(read_file(model));
  while (!texts.empty()) {
    const std::set<std::string> used = words(texts.back());
    texts.pop_back();
    for (const std::string &word : used)
      if (auto found = declarations.extract(word))
        texts.push_back(found.mapped());
  }
  std::set<std::string> missing;
  for (const auto &[name, text] : declarations)
    missing.insert(name);
  EXPECT_THAT(missing, testing::IsEmpty());
}

} // namespace
} // namespace nnc
