// IDX, the format of MNIST: two zero bytes, a dtype code, the number of dimensions, the sizes as big-endian 32-bit
// numbers, then the elements, big-endian. A gzip-compressed file is unpacked on the fly. Memory for the data is taken as
// data arrives, so a short file with a huge header costs little. Codes 8 (u8), C (i32), D (f32) and E (f64).

#include "runtime/tensor_file.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zlib.h>

namespace nnc {
namespace {

// The bytes of a file, unpacked if it is compressed.
class Source {
public:
  explicit Source(const std::string &name) : file_(name), packed_(file_.peek(2) == "\x1f\x8b") {
    if (packed_ && inflateInit2(&stream_, 15 + 16) != Z_OK) // 15: the largest window; 16: gzip's header, not zlib's
      file_.fail("cannot unpack: out of memory");
  }
  ~Source() {
    if (packed_)
      inflateEnd(&stream_);
  }
  Source(const Source &) = delete;
  Source &operator=(const Source &) = delete;

  const InputFile &file() const { return file_; }
  bool packed() const { return packed_; }

  // Up to `count` bytes; fewer only at the end.
  size_t take(void *to, size_t count) {
    if (packed_)
      return unpack(static_cast<unsigned char *>(to), count);
    count = std::min<uint64_t>(count, file_.remaining());
    file_.read(to, count, "the data");
    return count;
  }

  void read(void *to, size_t count, const char *what) {
    size_t got = take(to, count);
    if (got != count)
      file_.fail(fmt::format("truncated: {} needs {} bytes, {} are left", what, count, got));
  }

private:
  size_t unpack(unsigned char *to, size_t count) {
    stream_.next_out = to;
    stream_.avail_out = static_cast<unsigned>(count);
    while (stream_.avail_out != 0) {
      if (stream_.avail_in == 0) {
        uint64_t more = std::min<uint64_t>(sizeof input_, file_.remaining());
        if (more == 0 && !between_members_)
          file_.fail(fmt::format("truncated: the compressed data does not end within the file's {} bytes", file_.size()));
        if (more == 0)
          break;
        file_.read(input_, more, "the compressed data");
        stream_.next_in = input_;
        stream_.avail_in = static_cast<unsigned>(more);
      }
      if (between_members_) // gzip files may be concatenated
        inflateReset(&stream_);
      int status = inflate(&stream_, Z_NO_FLUSH);
      between_members_ = status == Z_STREAM_END;
      if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
        file_.fail(fmt::format("cannot unpack: {}", stream_.msg ? stream_.msg : zError(status)));
    }
    return count - stream_.avail_out;
  }

  InputFile file_;
  bool packed_;
  z_stream stream_ = {};
  bool between_members_ = false; // the last member is complete and the next, if any, has not begun
  unsigned char input_[1 << 14];
};

const char *dtype_of(unsigned char code) {
  switch (code) {
  case 0x08:
    return "u8";
  case 0x0C:
    return "i32";
  case 0x0D:
    return "f32";
  case 0x0E:
    return "f64";
  }
  return nullptr;
}

void swap_elements(HostTensor &tensor) {
  size_t width = dtype_bytes(tensor.dtype);
  for (size_t i = 0; width > 1 && i < tensor.bytes.size(); i += width)
    std::reverse(tensor.bytes.begin() + i, tensor.bytes.begin() + i + width);
}

} // namespace

HostTensor read_idx(const std::string &name, const Expect &expect) {
  Source source(name);
  unsigned char magic[4];
  source.read(magic, sizeof magic, "the IDX magic");
  if (magic[0] != 0 || magic[1] != 0)
    source.file().fail(fmt::format("is no IDX file: it begins with bytes {:02x}, not 00 00", fmt::join(magic, magic + 2, " ")));
  HostTensor tensor;
  const char *dtype = dtype_of(magic[2]);
  if (!dtype)
    source.file().fail(fmt::format("IDX dtype code 0x{:02x} is not supported, only 0x08 0x0c 0x0d 0x0e", magic[2]));
  tensor.dtype = dtype;
  std::vector<uint64_t> sizes(magic[3]);
  for (uint64_t &size : sizes) {
    unsigned char big_endian[4];
    source.read(big_endian, 4, "a size of the IDX header");
    for (unsigned char byte : big_endian)
      size = size << 8 | byte;
  }
  uint64_t bytes = checked_bytes(name, tensor, sizes);
  if (!source.packed() && bytes != source.file().remaining())
    source.file().fail(
        fmt::format("{} needs {} bytes of data, the file has {}", tensor_type_text(tensor), bytes, source.file().remaining()));
  // Deflate says at most 258 bytes with 2 bits.
  constexpr uint64_t most_packed = 1032;
  if (source.packed() && bytes / most_packed > source.file().size())
    source.file().fail(fmt::format("{} needs {} bytes of data, which {} bytes of compressed data cannot hold",
                                   tensor_type_text(tensor), bytes, source.file().size()));
  if (expect)
    expect(tensor);

  // Of a compressed file the size is known only at its end: take as much memory again as there is data already.
  while (tensor.bytes.size() < bytes) {
    size_t begin = tensor.bytes.size();
    uint64_t trusted = source.packed() ? std::max<size_t>(begin, 1 << 20) : bytes;
    size_t step = std::min<uint64_t>({bytes - begin, trusted, 1 << 30});
    source.file().take_memory(tensor.bytes, begin + step);
    size_t got = source.take(tensor.bytes.data() + begin, step);
    if (got != step)
      source.file().fail(fmt::format("{} needs {} bytes of data, {} are there", tensor_type_text(tensor), bytes, begin + got));
  }
  unsigned char extra;
  if (source.take(&extra, 1) != 0)
    source.file().fail(fmt::format("{} needs {} bytes of data, more are there", tensor_type_text(tensor), bytes));
  swap_elements(tensor);
  return tensor;
}

} // namespace nnc
