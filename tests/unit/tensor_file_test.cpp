// Tensor files: round trips, files as other programs write them, and every malformed file refused with a sentence.

#include "runtime/tensor_file.h"

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <random>
#include <sys/file.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <zlib.h>

namespace nnc {
namespace {

namespace fs = std::filesystem;

// The text of the FileError that `call` throws; "" if it throws none.
template <typename Call> std::string error_of(Call call) {
  try {
    call();
  } catch (const FileError &error) {
    return error.what();
  }
  return "";
}

class TensorFile : public testing::Test {
protected:
  fs::path folder_ = fs::path(testing::TempDir()) / ("nnc_tensor_file_" + std::to_string(getpid()));
  std::string path_ = (folder_ / "t").string();

  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }

  std::string put(const std::string &bytes) {
    write_file(path_, bytes);
    return path_;
  }
  // The error of reading `bytes` as a file, without the file's name; "" if there is none.
  template <typename Read> std::string error(Read read, const std::string &bytes) {
    put(bytes);
    std::string text = error_of([&] {
      if constexpr (std::is_invocable_v<Read, std::string, Expect>)
        read(path_, nullptr);
      else
        read(path_);
    });
    EXPECT_TRUE(text.empty() || text.starts_with(path_ + ": ")) << text;
    return text.empty() ? "" : text.substr(path_.size() + 2);
  }
  // Every shorter file is an error; any damaged byte is an error or another valid file, never a crash.
  template <typename Read> void damage(Read read, const std::string &valid) {
    EXPECT_EQ(error(read, valid), "");
    for (size_t length = 0; length < valid.size(); ++length)
      EXPECT_NE(error(read, valid.substr(0, length)), "") << "accepts only the first " << length << " bytes";
    EXPECT_NE(error(read, valid + "x"), "");
    std::mt19937 random(1);
    for (int trial = 0; trial < 1500; ++trial) {
      std::string bytes = valid;
      for (int flips = 1 + trial % 3; flips > 0; --flips)
        bytes[random() % bytes.size()] = static_cast<char>(random());
      error(read, bytes);
    }
  }
};

HostTensor tensor(const std::string &dtype, std::vector<int64_t> shape) {
  HostTensor result{dtype, shape, {}};
  size_t count = dtype_bytes(dtype);
  for (int64_t size : shape)
    count *= static_cast<size_t>(size);
  for (size_t i = 0; i < count; ++i)
    result.bytes.push_back(static_cast<std::byte>(dtype == "bool" ? i % 2 : i * 37));
  return result;
}

std::string text_of(const HostTensor &tensor) {
  return std::string(reinterpret_cast<const char *>(tensor.bytes.data()), tensor.bytes.size());
}

void expect_equal(const HostTensor &a, const HostTensor &b) {
  EXPECT_EQ(tensor_type_text(a), tensor_type_text(b));
  EXPECT_EQ(a.bytes, b.bytes);
}

std::string gzip(const std::string &bytes) {
  z_stream stream = {};
  deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string packed(bytes.size() + 100, '\0');
  stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(bytes.data()));
  stream.avail_in = static_cast<unsigned>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef *>(packed.data());
  stream.avail_out = static_cast<unsigned>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

std::string npy(const std::string &header, const std::string &data, char version = 1) {
  std::string file = std::string("\x93NUMPY") + version + '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i)
    file += static_cast<char>(header.size() >> (8 * i));
  return file + header + data;
}

std::string safetensors(const std::string &header, const std::string &data) {
  uint64_t length = header.size();
  return std::string(reinterpret_cast<char *>(&length), 8) + header + data;
}

const std::string idx_u8 = std::string("\0\0\x08\x02\0\0\0\x02\0\0\0\x03", 12) + "abcdef";

const char *const all_dtypes[] = {"f32", "f64", "u8", "i32", "i64", "bool", "bf16", "f16", "i8"};

TEST_F(TensorFile, NpyRoundTrip) {
  for (const char *dtype : all_dtypes)
    for (const std::vector<int64_t> &shape : {std::vector<int64_t>{}, {5}, {2, 3}, {2, 0, 3}, {1, 2, 1, 3}}) {
      HostTensor written = tensor(dtype, shape);
      write_npy(path_, written);
      EXPECT_EQ((fs::file_size(path_) - written.bytes.size()) % 64, 0u);
      expect_equal(read_npy(path_), written);
      expect_equal(read_tensor(path_), written);
    }
}

// NumPy's own names; bf16 has none, so it is what ml_dtypes makes of it.
TEST_F(TensorFile, NpyOfSmallNumbers) {
  for (const auto &[descr, dtype] : {std::pair{"<f2", "f16"}, {"|i1", "i8"}, {"<V2", "bf16"}}) {
    write_npy(path_, tensor(dtype, {4}));
    EXPECT_NE(read_file(path_).find(std::string("'descr': '") + descr + "'"), std::string::npos);
  }
  const std::string header = "{'descr': '|V2', 'fortran_order': False, 'shape': (2,), }\n";
  EXPECT_EQ(tensor_type_text(read_npy(put(npy(header, "abcd")))), "bf16[2]");
}

TEST_F(TensorFile, NpyHeadersOfOtherWriters) {
  for (const char *header :
       {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }   \n", "{'shape':(2,),'fortran_order':False,'descr':'<f4'}",
        "{\"shape\" : ( 2 ) , \"descr\" : \"<f4\", \"fortran_order\" : True}\n"})
    for (char version : {1, 2}) {
      HostTensor read = read_npy(put(npy(header, "abcdefgh", version)));
      EXPECT_EQ(tensor_type_text(read), "f32[2]");
      EXPECT_EQ(text_of(read), "abcdefgh");
    }
}

TEST_F(TensorFile, NpyErrors) {
  auto dict = [&](const std::string &descr, const std::string &shape, const std::string &order = "False") {
    std::string header = "{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': " + shape + ", }";
    return error(read_npy, npy(header, "12345678"));
  };
  EXPECT_EQ(dict("'<f4'", "(2,)"), "");
  EXPECT_EQ(dict("'<f4'", "(3,)"), "f32[3] needs 12 bytes of data, the file has 8");
  EXPECT_EQ(dict("'<f4'", "(1,)"), "f32[1] needs 4 bytes of data, the file has 8");
  EXPECT_EQ(dict("'>f4'", "(2,)"), "dtype '>f4' is not supported, only <f4 <f8 |u1 <i4 <i8 |b1 <f2 |i1 <V2");
  EXPECT_EQ(dict("'<f4'", "(1, 2)", "True"),
            "the array is in Fortran order, only C order is supported: save numpy.ascontiguousarray of it");
  EXPECT_EQ(dict("[('a', '<f4')]", "(2,)"), "malformed header: expected a string at character 10, found byte 0x5b");
  EXPECT_EQ(dict("'<f4'", "(2,)", "1"), "malformed header: expected True or False at character 34, found byte 0x31");
  EXPECT_EQ(dict("'<f4'", "(-2,)"), "malformed header: expected a size at character 51, found byte 0x2d");
  EXPECT_EQ(dict("'<f4'", "(4294967296, 4294967296)"), "the shape [4294967296,4294967296] of f32 overflows 64 bits");
  EXPECT_EQ(dict("'<f4'", "(0, 9223372036854775807)"), "the shape [0,9223372036854775807] of f32 overflows 64 bits");
  EXPECT_EQ(dict("'|u1'", "(9223372036854775808)"), "the shape [9223372036854775808] of u8 overflows 64 bits");
  EXPECT_EQ(dict("'<f4'", "(99999999999999999999,)"), "a size in the header overflows 64 bits");
  std::string ones;
  for (int i = 0; i < 33; ++i)
    ones += "1,";
  EXPECT_EQ(dict("'<f4'", "(" + ones + ")"), "the shape has 33 dimensions, at most 32 are supported");
  EXPECT_EQ(dict("'|b1'", "(8,)"), "element 0 of a bool tensor is 49, must be 0 or 1");

  auto header = [&](const std::string &text) { return error(read_npy, npy(text, "12345678")); };
  EXPECT_EQ(header("{'descr': '<f4', 'shape': (2,), }"), "the header has no 'fortran_order'");
  EXPECT_EQ(header("{'descr': '<f4', 'descr': '<f4', 'shape': (2,), }"), "the header names 'descr' twice");
  EXPECT_EQ(header("{'descr': '<f4', 'x': 'y'}"), "the header has the unknown key 'x'");
  EXPECT_EQ(header("{'descr"), "malformed header: expected a closed string at character 1, found byte 0x27");
  EXPECT_EQ(header("{} x"), "malformed header: expected the end of the header at character 3, found byte 0x78");

  EXPECT_EQ(error(read_npy, std::string("\x93NUMPY\x02\0\xff\xff\xff\xff{}", 14)),
            "the header length is 4294967295, at most 65536 is supported");
  EXPECT_EQ(error(read_npy, std::string("\x93NUMPY\x03\0\0\0\0\0", 12)), ".npy version 3.0 is not supported, only 1.0 and 2.0");
  EXPECT_EQ(error(read_npy, "a text file"), "is no .npy file: it does not begin with \\x93NUMPY");
  EXPECT_EQ(error(read_npy, ""), "truncated: the .npy magic and version needs 8 bytes at offset 0, the file has 0 bytes");
}

TEST_F(TensorFile, DamagedNpy) {
  write_npy(path_, tensor("f32", {2, 3}));
  damage(read_npy, read_file(path_));
  damage(read_tensor, npy("{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }", std::string("\1\0", 2), 2));
}

TEST_F(TensorFile, Idx) {
  for (const std::string &bytes : {idx_u8, gzip(idx_u8), gzip(idx_u8.substr(0, 7)) + gzip(idx_u8.substr(7))}) {
    HostTensor read = read_idx(put(bytes));
    EXPECT_EQ(tensor_type_text(read), "u8[2,3]");
    EXPECT_EQ(text_of(read), "abcdef");
    expect_equal(read_tensor(path_), read);
  }
  HostTensor ints = read_idx(put(std::string("\0\0\x0c\x01\0\0\0\x02\0\0\x01\x02\xff\xff\xff\xfe", 16)));
  EXPECT_EQ(tensor_type_text(ints), "i32[2]");
  EXPECT_EQ(reinterpret_cast<const int32_t *>(ints.bytes.data())[0], 258);
  EXPECT_EQ(reinterpret_cast<const int32_t *>(ints.bytes.data())[1], -2);
  HostTensor floats = read_idx(put(std::string("\0\0\x0e\x00\x3f\xf8\0\0\0\0\0\0", 12)));
  EXPECT_EQ(tensor_type_text(floats), "f64");
  EXPECT_EQ(reinterpret_cast<const double *>(floats.bytes.data())[0], 1.5);
}

TEST_F(TensorFile, IdxErrors) {
  EXPECT_EQ(error(read_idx, idx_u8.substr(0, 17)), "u8[2,3] needs 6 bytes of data, the file has 5");
  EXPECT_EQ(error(read_idx, idx_u8 + "x"), "u8[2,3] needs 6 bytes of data, the file has 7");
  EXPECT_EQ(error(read_idx, gzip(idx_u8.substr(0, 17))), "u8[2,3] needs 6 bytes of data, 5 are there");
  EXPECT_EQ(error(read_idx, gzip(idx_u8 + "x")), "u8[2,3] needs 6 bytes of data, more are there");
  EXPECT_EQ(error(read_idx, idx_u8.substr(0, 6)), "truncated: a size of the IDX header needs 4 bytes, 2 are left");
  EXPECT_EQ(error(read_idx, std::string("\0\0\x09\x00x", 5)), "IDX dtype code 0x09 is not supported, only 0x08 0x0c 0x0d 0x0e");
  EXPECT_EQ(error(read_idx, "<html>"), "is no IDX file: it begins with bytes 3c 68, not 00 00");
  EXPECT_EQ(error(read_idx, std::string("\0\0\x0d\x03", 4) + std::string(12, '\xff')),
            "the shape [4294967295,4294967295,4294967295] of f32 overflows 64 bits");
  std::string almost_2_to_63("\0\0\x0d\x02\x7f\xff\xff\xff\x3f\xff\xff\xff", 12);
  EXPECT_EQ(error(read_idx, gzip(almost_2_to_63)), "f32[2147483647,1073741823] needs 9223372023969873924 bytes of data, which " +
                                                       std::to_string(gzip(almost_2_to_63).size()) +
                                                       " bytes of compressed data cannot hold");
  std::string damaged = gzip(idx_u8);
  EXPECT_EQ(error(read_idx, damaged.substr(0, damaged.size() - 1)),
            "truncated: the compressed data does not end within the file's " + std::to_string(damaged.size() - 1) + " bytes");
  EXPECT_EQ(error(read_idx, damaged + "xx"), "cannot unpack: incorrect header check");
  damaged[damaged.size() - 8] ^= 1;
  EXPECT_EQ(error(read_idx, damaged), "cannot unpack: incorrect data check");
}

TEST_F(TensorFile, WhatDoesNotFitIsRefusedBeforeItsDataAreRead) {
  const auto refused = [&](const std::string &bytes) {
    put(bytes);
    return error_of([&] {
      read_tensor(path_, [](const HostTensor &header) {
        EXPECT_TRUE(header.bytes.empty());
        throw FileError("wanted", tensor_type_text(header));
      });
    });
  };
  EXPECT_EQ(refused(gzip(idx_u8).substr(0, 30)), "wanted: u8[2,3]"); // behind the header nothing can be unpacked
  EXPECT_EQ(refused(idx_u8), "wanted: u8[2,3]");
  EXPECT_EQ(refused(npy("{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }", "ab")), "wanted: u8[2]");
}

TEST_F(TensorFile, DamagedIdx) {
  damage(read_idx, idx_u8);
  damage(read_tensor, gzip(idx_u8));
}

TEST_F(TensorFile, SafeTensorsRoundTrip) {
  SafeTensors content;
  for (const char *dtype : all_dtypes)
    content.tensors.push_back({std::string("mlp/") + dtype + "/\"w\"", tensor(dtype, {3, 5})});
  content.tensors.push_back({"scalar", tensor("f32", {})});
  content.tensors.push_back({"empty", tensor("i64", {0, 2})});
  content.metadata = {{"format", "pt"}, {"épochs", "5"}};
  write_safetensors(path_, content);
  SafeTensors read = read_safetensors(path_);
  EXPECT_EQ(read.metadata, content.metadata);
  ASSERT_EQ(read.tensors.size(), content.tensors.size());
  for (const NamedTensor &named : content.tensors) {
    auto found = std::find_if(read.tensors.begin(), read.tensors.end(),
                              [&](const NamedTensor &other) { return other.name == named.name; });
    ASSERT_NE(found, read.tensors.end()) << named.name;
    expect_equal(found->tensor, named.tensor);
  }
  write_safetensors(path_, {});
  EXPECT_TRUE(read_safetensors(path_).tensors.empty());
}

TEST_F(TensorFile, SafeTensorsErrors) {
  auto header = [&](const std::string &text) { return error(read_safetensors, safetensors(text, "12345678")); };
  auto entry = [&](const std::string &dtype, const std::string &shape, const std::string &offsets) {
    return header(R"({"a":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}");
  };
  const std::string a = R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  EXPECT_EQ(header("{" + a + "}"), "");
  EXPECT_EQ(entry("F32", "[3]", "[0,8]"), "tensor `a`: f32[3] needs 12 bytes, its range 0..8 has 8");
  EXPECT_EQ(entry("F32", "[2]", "[4,12]"), "tensor `a`: data_offsets [4,12] is no range within the file's 8 bytes of data");
  EXPECT_EQ(entry("F32", "[2]", "[8,0]"), "tensor `a`: data_offsets [8,0] is no range within the file's 8 bytes of data");
  EXPECT_EQ(entry("F32", "[2]", "[8]"), "tensor `a`: data_offsets [8] is no range within the file's 8 bytes of data");
  EXPECT_EQ(entry("F32", "[1]", "[4,8]"), "tensor `a` begins at byte 4, but the bytes before it end at 0");
  EXPECT_EQ(entry("F32", "[1]", "[0,4]"), "the tensors end at byte 4, the file has 8 bytes of data");
  EXPECT_EQ(entry("F8_E4M3", "[8]", "[0,8]"),
            "tensor `a`: dtype F8_E4M3 is not supported, only F32 F64 U8 I32 I64 BOOL BF16 F16 I8");
  EXPECT_EQ(entry("F32", "[4294967296,4294967296]", "[0,8]"), "the shape [4294967296,4294967296] of f32 overflows 64 bits");
  EXPECT_EQ(entry("F32", "[-2]", "[0,8]"), "tensor `a`: shape is no list of whole numbers");
  EXPECT_EQ(entry("F32", "[2.0]", "[0,8]"), "tensor `a`: shape is no list of whole numbers");
  EXPECT_EQ(entry("BOOL", "[8]", "[0,8]"), "element 0 of a bool tensor is 49, must be 0 or 1");
  EXPECT_EQ(header("{" + a + R"(,"b":{"dtype":"U8","shape":[1],"data_offsets":[7,8]}})"),
            "tensor `b` begins at byte 7, but the bytes before it end at 8");
  EXPECT_EQ(header("{" + a + "," + a + "}"), "the header names `a` twice");
  EXPECT_EQ(header(R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})"), "the header names `dtype` twice");
  EXPECT_EQ(header(R"({"a":{"dtype":"F32","shape":[2]}})"), "tensor `a`: data_offsets is no list of whole numbers");
  EXPECT_EQ(header(R"({"a":{"shape":[2],"data_offsets":[0,8]}})"), "tensor `a`: it has no dtype");
  EXPECT_EQ(header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}})"), "tensor `a`: unknown key `x`");
  EXPECT_EQ(header(R"({"a":3})"), "tensor `a`: its entry is no JSON object");
  EXPECT_EQ(header("[]"), "the header is no JSON object");
  EXPECT_EQ(header(R"({"__metadata__":{"x":1}})"), "the metadata `x` is no string");
  EXPECT_TRUE(header("{").starts_with("the header is not valid JSON: ")) << header("{");
  EXPECT_EQ(header(std::string(100000, '[')), "the header's JSON is nested 4 levels deep, a valid one at most 3");
  EXPECT_EQ(error(read_safetensors, std::string("\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10)),
            "the header length is 9223372036854775807, but only 2 bytes follow and at most 100000000 are supported");
}

TEST_F(TensorFile, DamagedSafeTensors) {
  damage(read_safetensors, safetensors(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                                       R"("b":{"dtype":"BOOL","shape":[],"data_offsets":[8,9]}})",
                                       "12345678\1"));
}

TEST_F(TensorFile, OtherFilesAreRefused) {
  EXPECT_EQ(error(read_tensor, ""), "is empty");
  EXPECT_EQ(error(read_tensor, "hello"), "is neither .npy nor IDX, nor gzip-compressed IDX");
  fs::remove(path_);
  std::string folder = folder_.string(), missing = folder + "/missing";
  EXPECT_EQ(error_of([&] { read_tensor(missing); }), missing + ": cannot open: No such file or directory");
  EXPECT_EQ(error_of([&] { read_tensor(folder); }), folder + ": is a directory, not a file");
  EXPECT_EQ(error_of([&] { read_tensor("/dev/zero"); }), "/dev/zero: is not a regular file");
  HostTensor byte = tensor("u8", {});
  EXPECT_EQ(error_of([&] { write_npy(missing + "/t", byte); }), missing + "/t: cannot write: No such file or directory");
  EXPECT_EQ(error_of([&] { write_npy(folder, byte); }), folder + ": cannot write: Is a directory");
  EXPECT_EQ(error_of([&] { write_npy(path_, tensor("f8", {})); }), path_ + ": .npy cannot hold dtype f8");
  EXPECT_EQ(error_of([&] { write_safetensors(path_, {{{"a", byte}, {"a", byte}}, {}}); }),
            path_ + ": two things in it would be named `a`");
  std::string no_utf8 = error_of([&] { write_safetensors(path_, {{{"\xff", byte}}, {}}); });
  EXPECT_TRUE(no_utf8.starts_with(path_ + ": a tensor name or metadata is not UTF-8")) << no_utf8;
  EXPECT_TRUE(fs::is_empty(folder_)) << "a failed write left something behind";
}

TEST_F(TensorFile, WritingReplacesTheFileAsAWhole) {
  write_file(path_, "old");
  chmod(path_.c_str(), 06640);
  {
    OutputFile file(path_);
    file.write("new", 3);
    EXPECT_EQ(read_file(path_), "old");
  }
  EXPECT_EQ(read_file(path_), "old"); // it was never committed
  std::string link = (folder_ / std::string(255, 'n')).string();
  fs::create_symlink("t", link);
  write_file(link, "new");
  EXPECT_EQ(read_file(path_), "new");
  EXPECT_TRUE(fs::is_symlink(link));
  struct stat status;
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0640u) << "setuid and setgid are for what was there";
  write_file("/dev/null", "gone");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 2);
}

TEST_F(TensorFile, ALinkToAFileThatIsNotThereMakesIt) {
  fs::create_directory(folder_ / "below");
  fs::create_symlink("below/second", folder_ / "first");
  fs::create_symlink("../t", folder_ / "below/second");
  write_file((folder_ / "first").string(), "new");
  EXPECT_EQ(read_file(path_), "new");
  EXPECT_TRUE(fs::is_symlink(folder_ / "first") && fs::is_symlink(folder_ / "below/second"));
  fs::create_symlink("round", folder_ / "round");
  const std::string round = (folder_ / "round").string();
  EXPECT_EQ(error_of([&] { write_file(round, "new"); }), round + ": cannot write: Too many levels of symbolic links");
}

TEST_F(TensorFile, WhatAKilledRunLeftIsRemoved) {
  const auto named = [&](int number) { return folder_ / fmt::format(".nnc-{}.tmp", number); };
  for (int number = 0; number < 3; ++number)
    std::ofstream(named(number)) << "theirs";
  const int held = open(named(0).c_str(), O_RDONLY); // another run still writes this one
  ASSERT_EQ(flock(held, LOCK_EX), 0);
  write_file(path_, "old");
  write_file(path_, "ours"); // which takes the place of a file, and so needs a name
  EXPECT_EQ(read_file(path_), "ours");
  EXPECT_EQ(read_file(named(0)), "theirs");
  EXPECT_FALSE(fs::exists(named(1)));
  EXPECT_TRUE(fs::exists(named(2))) << "whose turn has not come";
  close(held);
}

TEST_F(TensorFile, RunsThatWriteOneFileAtATimeDoNotMeet) {
  std::vector<std::thread> runs;
  for (int run = 0; run < 4; ++run)
    runs.emplace_back([&, run] {
      for (int i = 0; i < 200; ++i)
        write_file(path_, std::string(1000, static_cast<char>('a' + run)));
    });
  for (std::thread &run : runs)
    run.join();
  const std::string text = read_file(path_);
  EXPECT_EQ(text, std::string(1000, text[0]));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(TensorFile, ARunThatIsKilledLeavesNothing) {
  if (const int descriptor = open(folder_.c_str(), O_WRONLY | O_TMPFILE, 0600); descriptor >= 0)
    close(descriptor);
  else
    GTEST_SKIP() << "this file system has no files without names";
  write_file(path_, "old");
  const auto write_half = [&] {
    OutputFile file(path_);
    file.write("new", 3);
    raise(SIGKILL);
  };
  EXPECT_EXIT(write_half(), testing::KilledBySignal(SIGKILL), "");
  EXPECT_EQ(read_file(path_), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(TensorFile, AFileAboveTheMachinesMemoryIsNamed) {
  write_file(path_, "");
  if (truncate(path_.c_str(), int64_t{1} << 42) != 0)
    GTEST_SKIP() << "this file system has no files of 4 TB";
  const std::string error = error_of([&] { read_file(path_); });
  EXPECT_TRUE(error.starts_with(path_ + ": has 4398046511104 bytes, this machine's memory ")) << error;
}

// The steps of a reader that looks at all earlier names after each would be 10^10 here, and take minutes.
TEST_F(TensorFile, ManyTensorsAreReadInTheTimeOfOnePass) {
  SafeTensors content;
  for (int i = 0; i < 100'000; ++i)
    content.tensors.push_back({fmt::format("t{}", i), tensor("u8", {1})});
  write_safetensors(path_, content);
  EXPECT_EQ(read_safetensors(path_).tensors.size(), 100'000u);
}

TEST_F(TensorFile, AFullDiskIsAnError) {
  if (!fs::is_character_file("/dev/full"))
    GTEST_SKIP() << "no /dev/full here";
  EXPECT_EQ(error_of([] { write_npy("/dev/full", tensor("f32", {100000})); }),
            "/dev/full: cannot write: No space left on device");
}

} // namespace
} // namespace nnc
