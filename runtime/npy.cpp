// NumPy's .npy, versions 1 and 2: the magic, a header length, a Python dict literal with exactly the keys descr,
// fortran_order and shape, then the elements. Written as version 1, padded so that the data starts at a multiple of 64.
// NumPy has no bf16: packages that add one (ml_dtypes) write `<V2`, 2 bytes without a meaning, and that is what it is here.
// Assumes a little-endian host. Refuses big-endian, column-major and structured arrays: NumPy can rewrite those.

#include "runtime/tensor_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <optional>
#include <set>
#include <string_view>

namespace nnc {
namespace {

// The first of those that are ours is written.
constexpr std::pair<std::string_view, std::string_view> dtypes[] = {
    {"<f4", "f32"},  {"<f8", "f64"}, {"|u1", "u8"}, {"<i4", "i32"},  {"<i8", "i64"},
    {"|b1", "bool"}, {"<f2", "f16"}, {"|i1", "i8"}, {"<V2", "bf16"}, {"|V2", "bf16"}};

struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<uint64_t> shape;
};

// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, keys in any order, spaces anywhere.
class HeaderParser {
public:
  HeaderParser(const InputFile &file, std::string_view text) : file_(file), text_(text) {}

  Header parse() {
    Header header;
    std::set<std::string> seen;
    expect('{');
    while (!accept('}')) {
      std::string key = string();
      if (!seen.insert(key).second)
        file_.fail(fmt::format("the header names '{}' twice", key));
      expect(':');
      if (key == "descr")
        header.descr = string();
      else if (key == "fortran_order")
        header.fortran_order = boolean();
      else if (key == "shape")
        header.shape = tuple();
      else
        file_.fail(fmt::format("the header has the unknown key '{}'", key));
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_spaces();
    if (at_ != text_.size())
      wrong("the end of the header");
    for (const char *key : {"descr", "fortran_order", "shape"})
      if (!seen.count(key))
        file_.fail(fmt::format("the header has no '{}'", key));
    return header;
  }

private:
  [[noreturn]] void wrong(std::string_view wanted) {
    std::string found = at_ < text_.size() ? fmt::format("byte 0x{:02x}", static_cast<unsigned char>(text_[at_])) : "its end";
    file_.fail(fmt::format("malformed header: expected {} at character {}, found {}", wanted, at_, found));
  }
  void skip_spaces() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n'))
      ++at_;
  }
  bool accept(char c) {
    skip_spaces();
    if (at_ == text_.size() || text_[at_] != c)
      return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c))
      wrong(fmt::format("`{}`", c));
  }
  std::string string() {
    skip_spaces();
    char quote = at_ < text_.size() ? text_[at_] : ' ';
    if (quote != '\'' && quote != '"')
      wrong("a string");
    size_t end = text_.find(quote, at_ + 1);
    if (end == text_.npos)
      wrong("a closed string");
    std::string value(text_.substr(at_ + 1, end - at_ - 1));
    for (char c : value)
      if (c < ' ' || c > '~')
        wrong("a string of printable characters");
    at_ = end + 1;
    return value;
  }
  bool boolean() {
    skip_spaces();
    for (std::string_view word : {"True", "False"})
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return word == "True";
      }
    wrong("True or False");
  }
  std::vector<uint64_t> tuple() {
    std::vector<uint64_t> sizes;
    expect('(');
    while (!accept(')')) {
      sizes.push_back(number());
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return sizes;
  }
  uint64_t number() {
    skip_spaces();
    size_t begin = at_;
    uint64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_)
      if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, text_[at_] - '0', &value))
        file_.fail("a size in the header overflows 64 bits");
    if (at_ == begin)
      wrong("a size");
    return value;
  }

  const InputFile &file_;
  std::string_view text_;
  size_t at_ = 0;
};

} // namespace

HostTensor read_npy(const std::string &name, const Expect &expect) {
  InputFile file(name);
  unsigned char start[8];
  file.read(start, sizeof start, "the .npy magic and version");
  if (std::string_view(reinterpret_cast<char *>(start), 6) != "\x93NUMPY")
    file.fail("is no .npy file: it does not begin with \\x93NUMPY");
  if (start[6] != 1 && start[6] != 2)
    file.fail(fmt::format(".npy version {}.{} is not supported, only 1.0 and 2.0", start[6], start[7]));
  uint32_t length = 0;
  file.read(&length, start[6] == 1 ? 2 : 4, "the header length");
  constexpr uint32_t longest = 1 << 16; // six keys and 32 sizes take less than 1 kB
  if (length > longest)
    file.fail(fmt::format("the header length is {}, at most {} is supported", length, longest));
  std::string text(length, ' ');
  file.read(text.data(), length, "the header");
  Header header = HeaderParser(file, text).parse();

  HostTensor tensor;
  for (auto [descr, dtype] : dtypes)
    if (header.descr == descr)
      tensor.dtype = dtype;
  if (tensor.dtype.empty())
    file.fail(fmt::format("dtype '{}' is not supported, only <f4 <f8 |u1 <i4 <i8 |b1 <f2 |i1 <V2", header.descr));
  if (header.fortran_order && header.shape.size() > 1)
    file.fail("the array is in Fortran order, only C order is supported: save numpy.ascontiguousarray of it");
  uint64_t bytes = checked_bytes(name, tensor, header.shape);
  if (bytes != file.remaining())
    file.fail(fmt::format("{} needs {} bytes of data, the file has {}", tensor_type_text(tensor), bytes, file.remaining()));
  if (expect)
    expect(tensor);
  file.take_memory(tensor.bytes, bytes);
  file.read(tensor.bytes.data(), bytes, "the data");
  check_bools(name, tensor);
  return tensor;
}

void write_npy(const std::string &name, const HostTensor &tensor) {
  std::string_view descr;
  for (auto [npy, dtype] : dtypes)
    if (tensor.dtype == dtype && descr.empty())
      descr = npy;
  if (descr.empty())
    throw FileError(name, fmt::format(".npy cannot hold dtype {}", tensor.dtype));
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", descr,
                                   fmt::join(tensor.shape, ", "), tensor.shape.size() == 1 ? "," : "");
  // 10 bytes stand before the header, a newline ends it.
  header.append(63 - (10 + header.size()) % 64, ' ').push_back('\n');
  std::string start("\x93NUMPY\x01\x00", 8);
  start += static_cast<char>(header.size() & 255);
  start += static_cast<char>(header.size() >> 8);
  OutputFile file(name);
  file.write(start.data(), start.size());
  file.write(header.data(), header.size());
  file.write(tensor.bytes.data(), tensor.bytes.size());
  file.commit();
}

} // namespace nnc
