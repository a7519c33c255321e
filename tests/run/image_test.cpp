// Pictures as inputs of `nnc run`: what arrives is what an average by hand gives, and what is no picture is refused.
#include "tests/process.h"

#include <gmock/gmock.h>
#include <png.h>

#include <string>
#include <vector>

namespace nnc {
namespace {

using testing::HasSubstr;

const std::string model = "entry grey(x: u8[1, 4]) { return y = i32(x) }\n"
                          "entry flat(x: f32[2, 2]) { return y = x * 255 }\n"
                          "entry color(x: u8[1, 2, 2, 3]) { return y = i32(x) }\n"
                          "entry large(x: f32[1, 3, 3, 1]) { return y = x * 255 }\n"
                          "entry half(x: bf16[4]) { return y = f32(x) }\n"
                          "entry whole(x: i32[2, 2]) { return y = x }\n"
                          "entry odd(x: f32[3, 2, 2, 2]) { return y = x }\n"
                          "entry three(x: f32[3]) { return y = x }\n";

void write_png(const std::string &file, unsigned width, unsigned height, unsigned format, const std::vector<uint8_t> &pixels) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = width;
  image.height = height;
  image.format = format;
  ASSERT_NE(png_image_write_to_file(&image, file.c_str(), 0, pixels.data(), 0, nullptr), 0) << image.message;
}

TEST(image, is_scaled_to_the_input) {
  const Folder folder;
  folder.write("m.nn", model);
  // 4 x 4, in blocks of 2 x 2 of which one pixel differs: averages 0, 63.75, 127.5 and 255.
  write_png(folder.file("grey.png"), 4, 4, PNG_FORMAT_GRAY, {0, 0, 255, 0, 0, 0, 0, 0, 255, 0, 255, 255, 255, 0, 255, 255});
  EXPECT_EQ(folder.run("$NNC run m.nn grey --in x=grey.png").out, "y: i32[1,4]\n  [0, 64, 128, 255]\n");
  EXPECT_EQ(folder.run("$NNC run m.nn grey --in x=grey.png --invert").out, "y: i32[1,4]\n  [255, 191, 128, 0]\n");
  EXPECT_EQ(folder.run("$NNC run m.nn flat --in x=grey.png").out, "y: f32[2,2]\n  [0, 63.75]\n  [127.5, 255]\n");
  EXPECT_EQ(folder.run("$NNC run m.nn half --in x=grey.png --engine interp").out, "y: f32[4]\n  [0, 0.25, 0.5, 1]\n");
  // Up to 3 x 3 from 2 x 2: the pixels in between are means of their neighbours.
  folder.write("two.pgm", std::string("P5\n# two rows\n2 2\n255\n") + std::string("\x00\x64\xc8\x64", 4));
  EXPECT_EQ(folder.run("$NNC run m.nn flat --in x=two.pgm").out, "y: f32[2,2]\n  [0, 100]\n  [200, 100]\n");
  EXPECT_THAT(folder.run("$NNC run m.nn large --in x=two.pgm").out,
              HasSubstr("[0]\n  [50]\n  [100]\n  [100]\n  [100]\n  [100]\n"));
  folder.write("low.pgm", std::string("P5 2 2 1 ") + std::string("\x00\x01\x01\x00", 4));
  EXPECT_EQ(folder.run("$NNC run m.nn grey --in x=low.pgm").out, "y: i32[1,4]\n  [0, 255, 255, 0]\n");
}

TEST(image, has_colors_or_becomes_grey) {
  const Folder folder;
  folder.write("m.nn", model);
  const std::vector<uint8_t> rgb = {255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30};
  write_png(folder.file("rgb.png"), 2, 2, PNG_FORMAT_RGB, rgb);
  folder.write("rgb.ppm", "P6 2 2 255 " + std::string(rgb.begin(), rgb.end()));
  for (const std::string file : {"rgb.png", "rgb.ppm"}) {
    EXPECT_EQ(folder.run("$NNC run m.nn color --in x=" + file).out,
              "y: i32[1,2,2,3]\n  [255, 0, 0]\n  [0, 255, 0]\n  [0, 0, 255]\n  [10, 20, 30]\n");
    EXPECT_EQ(folder.run("$NNC run m.nn grey --in x=" + file).out, "y: i32[1,4]\n  [76, 150, 29, 18]\n"); // BT.601
  }
  // Transparent ink lies on white.
  write_png(folder.file("alpha.png"), 2, 2, PNG_FORMAT_GA, {0, 255, 0, 0, 0, 51, 200, 255});
  EXPECT_EQ(folder.run("$NNC run m.nn grey --in x=alpha.png").out, "y: i32[1,4]\n  [0, 255, 204, 200]\n");
  EXPECT_EQ(folder.run("$NNC run m.nn color --in x=alpha.png").out,
            "y: i32[1,2,2,3]\n  [0, 0, 0]\n  [255, 255, 255]\n  [204, 204, 204]\n  [200, 200, 200]\n");
}

TEST(image, that_cannot_be_read_is_refused) {
  const Folder folder;
  folder.write("m.nn", model);
  write_png(folder.file("ok.png"), 2, 2, PNG_FORMAT_GRAY, {0, 1, 2, 3});
  const std::string png = folder.read("ok.png");
  folder.write("short.png", png.substr(0, png.size() - 20));
  folder.write("head.png", png.substr(0, 8));
  // A header that says 60,000 x 60,000, with the checksum that belongs to it.
  std::string bomb = png;
  bomb.replace(16, 8, std::string("\0\0\xea\x60\0\0\xea\x60", 8));
  uint32_t crc = 0xffffffff;
  for (size_t i = 12; i < 29; ++i) {
    crc ^= static_cast<unsigned char>(bomb[i]);
    for (int bit = 0; bit < 8; ++bit)
      crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
  }
  for (int i = 0; i < 4; ++i)
    bomb[29 + i] = static_cast<char>(~crc >> (24 - 8 * i));
  folder.write("bomb.png", bomb);
  folder.write("bomb.pgm", "P5 999999999 999999999 255 x");
  folder.write("short.pgm", "P5 2 2 255 ab");
  folder.write("head.pgm", "P5 2");
  folder.write("wide.pgm", "P5 2 2 65535 abcdefgh");
  folder.write("text.pgm", "P2 2 2 255 1 2 3 4");
  folder.write("none.pgm", "P5 0 2 255 ");
  const std::pair<const char *, const char *> cases[] = {
      {"grey --in x=short.png", "short.png: no PNG that can be read: "},
      {"grey --in x=head.png", "head.png: no PNG that can be read: "},
      {"grey --in x=bomb.png", "bomb.png: a picture of 60000 x 60000 pixels: at most 33554432 are read"},
      {"grey --in x=bomb.pgm", "bomb.pgm: a picture of "},
      {"grey --in x=short.pgm", "short.pgm: 2 x 2 pixels are 4 bytes, and the file has 2"},
      {"grey --in x=head.pgm", "head.pgm: no PGM or PPM that can be read"},
      {"grey --in x=wide.pgm", "wide.pgm: its largest value is 65535"},
      {"grey --in x=text.pgm", "text.pgm: P2 is not read"},
      {"grey --in x=none.pgm", "none.pgm: a picture of 0 x 2 pixels"},
      {"whole --in x=ok.png", "ok.png: `x` is i32[2,2], and a picture fills u8 (0..255) or floats (0..1)"},
      {"odd --in x=ok.png", "ok.png: `x` is f32[3,2,2,2], and a picture fills "},
      {"three --in x=ok.png", "ok.png: `x` is f32[3], and a picture fills "},
  };
  for (const auto &[command, message] : cases) {
    const Ran ran = folder.run("ulimit -v 2000000; $NNC run m.nn " + std::string(command));
    EXPECT_EQ(ran.code, 1) << command;
    EXPECT_THAT(ran.err, HasSubstr(message)) << command;
  }
}

} // namespace
} // namespace nnc
