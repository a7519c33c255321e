// .safetensors: an 8-byte length, a JSON header that maps names to dtype, shape and byte range, then the bytes without
// gaps. Read strictly: every byte of the data belongs to exactly one tensor, names are unique. Written with the widest
// elements first, so that each tensor is aligned to its element. Assumes a little-endian host.

#include "runtime/tensor_file.h"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <set>

namespace nnc {
namespace {

using nlohmann::json;

constexpr std::pair<std::string_view, std::string_view> dtypes[] = {{"F32", "f32"},   {"F64", "f64"}, {"U8", "u8"},
                                                                    {"I32", "i32"},   {"I64", "i64"}, {"BOOL", "bool"},
                                                                    {"BF16", "bf16"}, {"F16", "f16"}, {"I8", "i8"}};
constexpr uint64_t longest_header = 100'000'000; // the limit of the reference implementation

// Refuses what the JSON library would take: it keeps the last of equal keys, and nests without end. (Its own callback while it
// parses would do, but looks at all earlier members of an object after each.)
class HeaderRules : public nlohmann::json_sax<json> {
public:
  explicit HeaderRules(const InputFile &file) : file_(file) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t &) override { return true; }
  bool string(string_t &) override { return true; }
  bool binary(binary_t &) override { return true; }
  bool start_object(size_t) override { return enter(); }
  bool key(string_t &name) override {
    if (!levels_.back().insert(name).second)
      file_.fail(fmt::format("the header names `{}` twice", name));
    return true;
  }
  bool end_object() override { return leave(); }
  bool start_array(size_t) override { return enter(); }
  bool end_array() override { return leave(); }
  bool parse_error(size_t, const std::string &, const json::exception &error) override {
    file_.fail(fmt::format("the header is not valid JSON: {}", error.what()));
  }

private:
  bool enter() {
    levels_.emplace_back();
    if (levels_.size() > 4)
      file_.fail(fmt::format("the header's JSON is nested {} levels deep, a valid one at most 3", levels_.size() - 1));
    return true;
  }
  bool leave() {
    levels_.pop_back();
    return true;
  }

  const InputFile &file_;
  std::vector<std::set<std::string>> levels_; // the keys of each object around, none of an array
};

json parse_header(const InputFile &file, const std::string &text) {
  HeaderRules rules(file);
  json::sax_parse(text, &rules);
  return json::parse(text);
}

struct Entry {
  NamedTensor named;
  uint64_t begin, end; // byte range, from the first byte after the header
};

std::vector<uint64_t> numbers(const InputFile &file, const std::string &name, const json &entry, const char *key) {
  auto list = entry.find(key);
  bool fits = list != entry.end() && list->is_array();
  for (size_t i = 0; fits && i < list->size(); ++i)
    fits = (*list)[i].is_number_unsigned();
  if (!fits)
    file.fail(fmt::format("tensor `{}`: {} is no list of whole numbers", name, key));
  return list->get<std::vector<uint64_t>>();
}

Entry read_entry(const InputFile &file, const std::string &name, const json &json_entry, uint64_t data_bytes) {
  auto fail = [&](const std::string &what) { file.fail(fmt::format("tensor `{}`: {}", name, what)); };
  if (!json_entry.is_object())
    fail("its entry is no JSON object");
  for (auto &[key, value] : json_entry.items())
    if (key != "dtype" && key != "shape" && key != "data_offsets")
      fail(fmt::format("unknown key `{}`", key));
  Entry entry;
  entry.named.name = name;
  HostTensor &tensor = entry.named.tensor;
  std::string dtype = json_entry.value("dtype", json()).is_string() ? json_entry["dtype"].get<std::string>() : "";
  for (auto [theirs, ours] : dtypes)
    if (dtype == theirs)
      tensor.dtype = ours;
  if (tensor.dtype.empty())
    fail(dtype.empty() ? "it has no dtype"
                       : fmt::format("dtype {} is not supported, only F32 F64 U8 I32 I64 BOOL BF16 F16 I8", dtype));
  uint64_t bytes = checked_bytes(file.name(), tensor, numbers(file, name, json_entry, "shape"));
  std::vector<uint64_t> range = numbers(file, name, json_entry, "data_offsets");
  if (range.size() != 2 || range[0] > range[1] || range[1] > data_bytes)
    fail(fmt::format("data_offsets {} is no range within the file's {} bytes of data", json_entry["data_offsets"].dump(),
                     data_bytes));
  entry.begin = range[0];
  entry.end = range[1];
  if (entry.end - entry.begin != bytes)
    fail(fmt::format("{} needs {} bytes, its range {}..{} has {}", tensor_type_text(tensor), bytes, range[0], range[1],
                     range[1] - range[0]));
  return entry;
}

} // namespace

SafeTensors read_safetensors(const std::string &name) {
  InputFile file(name);
  uint64_t length = 0;
  file.read(&length, sizeof length, "the header length");
  if (length > longest_header || length > file.remaining())
    file.fail(fmt::format("the header length is {}, but only {} bytes follow and at most {} are supported", length,
                          file.remaining(), longest_header));
  std::string text(length, ' ');
  file.read(text.data(), length, "the header");
  json header = parse_header(file, text);
  if (!header.is_object())
    file.fail("the header is no JSON object");

  SafeTensors content;
  std::vector<Entry> entries;
  for (auto &[key, value] : header.items()) {
    if (key != "__metadata__") {
      entries.push_back(read_entry(file, key, value, file.remaining()));
      continue;
    }
    if (!value.is_object())
      file.fail("`__metadata__` is no JSON object");
    for (auto &[field, text_value] : value.items()) {
      if (!text_value.is_string())
        file.fail(fmt::format("the metadata `{}` is no string", field));
      content.metadata[field] = text_value.get<std::string>();
    }
  }

  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry &a, const Entry &b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  uint64_t covered = 0;
  for (const Entry &entry : entries) {
    if (entry.begin != covered)
      file.fail(fmt::format("tensor `{}` begins at byte {}, but the bytes before it end at {}", entry.named.name, entry.begin,
                            covered));
    covered = entry.end;
  }
  if (covered != file.remaining())
    file.fail(fmt::format("the tensors end at byte {}, the file has {} bytes of data", covered, file.remaining()));
  for (Entry &entry : entries) {
    HostTensor &tensor = entry.named.tensor;
    file.take_memory(tensor.bytes, entry.end - entry.begin);
    file.read(tensor.bytes.data(), tensor.bytes.size(), "the data");
    check_bools(name, tensor);
    content.tensors.push_back(std::move(entry.named));
  }
  return content;
}

void write_safetensors(const std::string &name, const SafeTensors &content) {
  std::vector<const NamedTensor *> order;
  for (const NamedTensor &named : content.tensors)
    order.push_back(&named);
  std::stable_sort(order.begin(), order.end(), [](const NamedTensor *a, const NamedTensor *b) {
    return dtype_bytes(a->tensor.dtype) > dtype_bytes(b->tensor.dtype);
  });
  json header = json::object();
  if (!content.metadata.empty())
    header["__metadata__"] = content.metadata;
  uint64_t offset = 0;
  for (const NamedTensor *named : order) {
    const HostTensor &tensor = named->tensor;
    std::string_view dtype;
    for (auto [theirs, ours] : dtypes)
      if (tensor.dtype == ours)
        dtype = theirs;
    if (dtype.empty())
      throw FileError(name, fmt::format("tensor `{}`: .safetensors cannot hold dtype {}", named->name, tensor.dtype));
    if (named->name == "__metadata__" || header.contains(named->name))
      throw FileError(name, fmt::format("two things in it would be named `{}`", named->name));
    header[named->name] = {{"dtype", dtype}, {"shape", tensor.shape}, {"data_offsets", {offset, offset + tensor.bytes.size()}}};
    offset += tensor.bytes.size();
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const json::exception &error) {
    throw FileError(name, fmt::format("a tensor name or metadata is not UTF-8: {}", error.what()));
  }
  text.append((8 - text.size() % 8) % 8, ' '); // the data begins at a multiple of 8
  uint64_t length = text.size();
  OutputFile file(name);
  file.write(&length, sizeof length);
  file.write(text.data(), text.size());
  for (const NamedTensor *named : order)
    file.write(named->tensor.bytes.data(), named->tensor.bytes.size());
  file.commit();
}

} // namespace nnc
