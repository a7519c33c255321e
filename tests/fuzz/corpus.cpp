// Read in order of name, so that a number means the same mutant on every machine.
#include "tests/fuzz/corpus.h"

#include "frontend/frontend.h"
#include "frontend/parser.h"
#include "ir/error.h"
#include "ir/text.h"
#include "passes/passes.h"
#include "runtime/tensor_file.h"
#include "tests/paths.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <sstream>

#include <unistd.h>
#include <zlib.h>

namespace nnc {

namespace {

namespace fs = std::filesystem;

constexpr size_t longest_program = 2000, longest_module = 6000;

std::vector<std::string> files_in(const std::string &folder, const std::string &extension) {
  std::vector<std::string> files;
  for (const fs::directory_entry &entry : fs::directory_iterator(source_dir() + "/" + folder))
    if (entry.path().extension() == extension)
      files.push_back(entry.path().string());
  std::ranges::sort(files);
  return files;
}

// The file itself, or one text an entry.
void add_entries(const std::string &text, std::vector<std::string> &texts) {
  const Source source("m.nn", text);
  Diagnostics diagnostics;
  const ast::File file = parse(source, diagnostics);
  const auto is_entry = [](const ast::Item &item) {
    const auto *func = item.as<ast::Func>();
    return func && func->kind == ast::Func::Kind::entry;
  };
  if (diagnostics.has_errors() || std::ranges::count_if(file.items, is_entry) < 2) {
    texts.push_back(text);
    return;
  }
  std::string common;
  for (const ast::Item &item : file.items)
    if (!is_entry(item))
      common += std::string(item.span.text()) + "\n";
  for (const ast::Item &item : file.items)
    if (is_entry(item))
      texts.push_back(common + std::string(item.span.text()) + "\n");
}

// The cases of tests/golden/errors, without what they must say.
void add_cases(const std::string &text, std::vector<std::string> &texts) {
  std::istringstream lines(text);
  std::string common, one; // what stands before the first case comes before each
  bool in_case = false;
  const auto add = [&] {
    if (in_case)
      texts.push_back(common + std::exchange(one, ""));
  };
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("# ---- ")) {
      add();
      in_case = true;
    } else if (!line.starts_with("#")) {
      (in_case ? one : common) += line + "\n";
    }
  add();
}

std::string read_through(const char *name, const auto &write) {
  const std::string file = fs::temp_directory_path().string() + "/nnc-fuzz-" + std::to_string(getpid()) + name;
  write(file);
  const std::string bytes = read_file(file);
  fs::remove(file);
  return bytes;
}

HostTensor tensor(const std::string &dtype, std::vector<int64_t> shape) {
  HostTensor result{dtype, std::move(shape), {}};
  size_t bytes = dtype_bytes(dtype);
  for (int64_t size : result.shape)
    bytes *= static_cast<size_t>(size);
  for (size_t i = 0; i < bytes; ++i)
    result.bytes.push_back(static_cast<std::byte>(dtype == "bool" ? i % 2 : i * 37));
  return result;
}

} // namespace

std::vector<std::string> program_texts() {
  std::vector<std::string> texts;
  for (const char *folder : {"examples", "tests/programs", "tests/run", "tests/golden"})
    for (const std::string &file : files_in(folder, ".nn"))
      add_entries(read_file(file), texts);
  for (const std::string &file : files_in("tests/golden/errors", ".nn"))
    add_cases(read_file(file), texts);
  std::erase_if(texts, [](const std::string &text) { return text.size() > longest_program || text.empty(); });
  return texts;
}

namespace {

// Without places, which say where in a file that nobody reads, and changes of which are only refused.
std::string placeless(const Module &module) {
  Module copy = module;
  const auto clear = [](auto &&self, Region &region) -> void {
    for (Node &node : region.nodes) {
      node.loc = {};
      if (node.body) {
        Region body = *node.body;
        self(self, body);
        node.body = std::make_shared<const Region>(std::move(body));
      }
    }
  };
  for (Function &function : copy.functions) {
    clear(clear, function);
    function.loc = {};
    function.doc.clear();
    for (Result &result : function.function_results)
      result.loc = {};
  }
  copy.files.resize(1);
  copy.paths.resize(1);
  return print(copy);
}

} // namespace

std::vector<std::string> module_texts() {
  std::vector<std::string> texts;
  for (const std::string &program : program_texts()) {
    const Source source("m.nn", program);
    UsedFiles used{[](const std::string &name) -> std::string { throw Error(name + ": cannot open"); }, {}};
    Diagnostics diagnostics;
    try {
      std::optional<Module> module = compile_source(source, {{}, &used}, diagnostics);
      if (!module)
        continue;
      texts.push_back(print(*module));
      if (texts.back().size() > longest_module)
        continue;
      for (const std::vector<std::string> &passes : {std::vector<std::string>{"grad", "cse", "dce"},
                                                     {"expand", "simplify", "cse", "unwindow", "dce", "hoist", "sink", "fuse"}}) {
        PassOptions options;
        options.verify_each = false;
        options.passes = passes;
        run_passes(*module, options);
        texts.push_back(placeless(*module));
      }
    } catch (const Error &) {
    }
  }
  for (const std::string &file : files_in("tests/golden/errors", ".nnir"))
    add_cases(read_file(file), texts);
  std::erase_if(texts, [](const std::string &text) { return text.size() > longest_module || text.empty(); });
  return texts;
}

std::vector<DataFile> data_files() {
  using Kind = DataFile::Kind;
  std::vector<DataFile> files;
  for (const char *dtype : {"f32", "f64", "u8", "i32", "i64", "bool", "bf16", "f16", "i8"})
    for (const std::vector<int64_t> &shape : {std::vector<int64_t>{}, {5}, {2, 3}, {1, 2, 0, 3}})
      files.push_back({Kind::npy, read_through(".npy", [&](const std::string &file) { write_npy(file, tensor(dtype, shape)); })});
  const auto idx = [&](std::string head, size_t bytes) {
    files.push_back({Kind::idx, std::move(head) + std::string(bytes, '\x41')});
  };
  idx(std::string("\0\0\x08\x02\0\0\0\x02\0\0\0\x03", 12), 6);
  idx(std::string("\0\0\x0c\x01\0\0\0\x02", 8), 8);
  idx(std::string("\0\0\x0d\x03\0\0\0\x01\0\0\0\x02\0\0\0\x03", 16), 24);
  idx(std::string("\0\0\x0e\x00", 4), 8);
  SafeTensors few, many;
  for (const char *dtype : {"f32", "bool", "i64", "bf16"})
    few.tensors.push_back({std::string("net/") + dtype, tensor(dtype, {2, 3})});
  few.metadata = {{"format", "pt"}};
  for (int i = 0; i < 20; ++i)
    many.tensors.push_back({"w" + std::to_string(i), tensor("f32", i % 3 ? std::vector<int64_t>{2} : std::vector<int64_t>{})});
  for (const SafeTensors &content : {few, many, SafeTensors{}})
    files.push_back(
        {Kind::safetensors, read_through(".safetensors", [&](const std::string &file) { write_safetensors(file, content); })});
  return files;
}

std::string gzip(const std::string &bytes) {
  z_stream stream = {};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string packed(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(bytes.data()));
  stream.avail_in = static_cast<unsigned>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef *>(packed.data());
  stream.avail_out = static_cast<unsigned>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

} // namespace nnc
