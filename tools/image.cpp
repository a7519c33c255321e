// Reads pictures. libpng's simplified interface knows the size before a pixel is unpacked, so that a file of some bytes that
// stands for gigabytes is refused. Values are those of sRGB, as files nearly always hold them; what is transparent lies on white.
//
// Averages are sums of whole numbers over areas counted in pieces of 1 / (sizes of both grids), divided once: exact.
#include "tools/image.h"

#include "ir/storage.h"
#include "runtime/file.h"

#include <fmt/format.h>
#include <png.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>

namespace nnc {

namespace {

constexpr int64_t most_pixels = int64_t(1) << 25;

struct Picture {
  int64_t width = 0, height = 0;
  std::vector<uint8_t> rgb;
};

void check_size(const std::string &file, int64_t width, int64_t height) {
  if (width < 1 || height < 1 || width > most_pixels / height)
    throw FileError(file, fmt::format("a picture of {} x {} pixels: at most {} are read", width, height, most_pixels));
}

Picture read_png(const std::string &file, std::string_view bytes) {
  struct Image : png_image {
    Image() : png_image{} { version = PNG_IMAGE_VERSION; }
    ~Image() { png_image_free(this); }
  } image;
  if (!png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()))
    throw FileError(file, fmt::format("no PNG that can be read: {}", image.message));
  check_size(file, image.width, image.height);
  image.format = PNG_FORMAT_RGBA;
  Picture picture{image.width, image.height, {}};
  std::vector<uint8_t> rgba(PNG_IMAGE_SIZE(image));
  if (!png_image_finish_read(&image, nullptr, rgba.data(), 0, nullptr))
    throw FileError(file, fmt::format("no PNG that can be read: {}", image.message));
  picture.rgb.resize(rgba.size() / 4 * 3);
  for (size_t i = 0; i < rgba.size() / 4; ++i)
    for (size_t c = 0; c < 3; ++c) {
      const int alpha = rgba[4 * i + 3];
      picture.rgb[3 * i + c] = static_cast<uint8_t>((rgba[4 * i + c] * alpha + 255 * (255 - alpha) + 127) / 255);
    }
  return picture;
}

// "P5 28 28 255", then the bytes; `#` starts a comment (netpbm's pgm(5) and ppm(5)).
Picture read_pnm(const std::string &file, std::string_view bytes) {
  size_t at = 2;
  const auto number = [&] {
    while (at < bytes.size() && (std::isspace(static_cast<unsigned char>(bytes[at])) || bytes[at] == '#'))
      at = bytes[at] == '#' ? std::min(bytes.find('\n', at), bytes.size()) : at + 1;
    int64_t value = 0;
    const size_t begin = at;
    for (; at < bytes.size() && bytes[at] >= '0' && bytes[at] <= '9' && value <= most_pixels; ++at)
      value = value * 10 + (bytes[at] - '0');
    if (at == begin)
      throw FileError(file, "no PGM or PPM that can be read: width, height and largest value are missing");
    return value;
  };
  const int64_t width = number(), height = number(), largest = number();
  check_size(file, width, height);
  if (largest < 1 || largest > 255)
    throw FileError(file, fmt::format("its largest value is {}: one byte a value is read, 1..255", largest));
  const int64_t channels = bytes[1] == '6' ? 3 : 1, values = width * height * channels;
  ++at; // one blank
  if (at > bytes.size() || static_cast<int64_t>(bytes.size() - at) < values)
    throw FileError(file, fmt::format("{} x {} pixels are {} bytes, and the file has {}", width, height, values,
                                      bytes.size() - std::min(at, bytes.size())));
  Picture picture{width, height, {}};
  picture.rgb.reserve(static_cast<size_t>(3 * width * height));
  for (int64_t i = 0; i < width * height; ++i)
    for (int64_t c = 0; c < 3; ++c) {
      const int value = static_cast<unsigned char>(bytes[at + static_cast<size_t>(i * channels + (channels == 3 ? c : 0))]);
      picture.rgb.push_back(static_cast<uint8_t>(std::min<int64_t>(255, (value * 255 + largest / 2) / largest)));
    }
  return picture;
}

struct Grid {
  int64_t height = 0, width = 0, channels = 1;
};

Grid grid_of(const std::string &file, const nnc_tensor_info &want) {
  std::vector<int64_t> sizes(want.shape, want.shape + want.rank);
  while (sizes.size() > 1 && sizes[0] == 1)
    sizes.erase(sizes.begin());
  if (sizes.size() == 3 && (sizes[2] == 1 || sizes[2] == 3))
    return {sizes[0], sizes[1], sizes[2]};
  if (sizes.size() == 2)
    return {sizes[0], sizes[1], 1};
  if (sizes.size() == 1)
    if (const auto side = static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(sizes[0])))); side * side == sizes[0])
      return {side, side, 1};
  throw FileError(file, fmt::format("`{}` is {}, and a picture fills [H,W], [H,W,1], [H,W,3] or a square number, with sizes of 1 "
                                    "before it",
                                    want.name, tensor_text(want)));
}

// Calls use(t, pieces) for each of `to` cells that the i-th of `from` cells overlaps; the pieces of a cell add up to `from`.
template <typename F> void overlaps(int64_t i, int64_t from, int64_t to, F use) {
  for (int64_t t = i * to / from; t < to && t * from < (i + 1) * to; ++t)
    use(t, std::min((t + 1) * from, (i + 1) * to) - std::max(t * from, i * to));
}

// Sums of value * pieces; divided by width * height of the picture, and by 1000 where it is made grey, they are the averages.
std::vector<int64_t> area_sums(const Picture &picture, const Grid &grid) {
  std::vector<int64_t> sums(static_cast<size_t>(grid.height * grid.width * grid.channels));
  std::vector<int64_t> line(static_cast<size_t>(grid.width * grid.channels));
  for (int64_t y = 0; y < picture.height; ++y) {
    std::ranges::fill(line, 0);
    for (int64_t x = 0; x < picture.width; ++x) {
      const uint8_t *pixel = &picture.rgb[static_cast<size_t>(3 * (y * picture.width + x))];
      const int64_t grey = 299 * pixel[0] + 587 * pixel[1] + 114 * pixel[2]; // ITU-R BT.601
      overlaps(x, picture.width, grid.width, [&](int64_t t, int64_t pieces) {
        for (int64_t c = 0; c < grid.channels; ++c)
          line[static_cast<size_t>(t * grid.channels + c)] += pieces * (grid.channels == 1 ? grey : pixel[c]);
      });
    }
    overlaps(y, picture.height, grid.height, [&](int64_t t, int64_t pieces) {
      for (size_t i = 0; i < line.size(); ++i)
        sums[static_cast<size_t>(t) * line.size() + i] += pieces * line[i];
    });
  }
  return sums;
}

} // namespace

bool is_image_file(const std::string &file) {
  const std::string begin = InputFile(file).peek(8);
  return begin == "\x89PNG\r\n\x1a\n" || (begin.size() > 2 && begin[0] == 'P' && begin[1] >= '1' && begin[1] <= '6' &&
                                          std::isspace(static_cast<unsigned char>(begin[2])));
}

HostTensor image_value(const std::string &file, const nnc_tensor_info &want, bool invert) {
  const bool is_float = want.dtype == NNC_F32 || want.dtype == NNC_F64 || want.dtype == NNC_BF16 || want.dtype == NNC_F16;
  if (!is_float && want.dtype != NNC_U8)
    throw FileError(file,
                    fmt::format("`{}` is {}, and a picture fills u8 (0..255) or floats (0..1)", want.name, tensor_text(want)));
  const Grid grid = grid_of(file, want);
  const std::string bytes = read_file(file);
  if (bytes[0] == 'P' && bytes[1] != '5' && bytes[1] != '6')
    throw FileError(file, fmt::format("P{} is not read: write PNG, or PGM (P5) or PPM (P6) in binary form", bytes[1]));
  const Picture picture = bytes[0] == 'P' ? read_pnm(file, bytes) : read_png(file, bytes);
  const int64_t whole = picture.width * picture.height * (grid.channels == 1 ? 1000 : 1);
  HostTensor tensor{std::string(dtype_text(want.dtype)), {want.shape, want.shape + want.rank}, {}};
  const auto put = [&](const auto &value) {
    const auto *begin = reinterpret_cast<const std::byte *>(&value);
    tensor.bytes.insert(tensor.bytes.end(), begin, begin + sizeof value);
  };
  tensor.bytes.reserve(want.bytes);
  for (int64_t sum : area_sums(picture, grid)) {
    sum = invert ? 255 * whole - sum : sum;
    const double unit = static_cast<double>(sum) / (255.0 * static_cast<double>(whole));
    if (want.dtype == NNC_U8)
      put(static_cast<uint8_t>((sum + whole / 2) / whole));
    else if (want.dtype == NNC_F64)
      put(unit);
    else if (want.dtype == NNC_F32)
      put(static_cast<float>(unit));
    else if (want.dtype == NNC_BF16)
      put(bf16_bits(static_cast<float>(unit)));
    else
      put(f16_bits(static_cast<float>(unit)));
  }
  return tensor;
}

} // namespace nnc
