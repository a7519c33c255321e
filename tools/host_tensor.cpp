// Conversions happen here and nowhere else, so this file is the rule for what data a command accepts.
#include "tools/host_tensor.h"

#include "ir/error.h"
#include "ir/storage.h"
#include "tools/image.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

namespace nnc {

namespace {

using Shape = std::vector<int64_t>;

template <typename T> T at(const void *data, int64_t i) {
  T value;
  std::memcpy(&value, static_cast<const std::byte *>(data) + i * sizeof(T), sizeof(T));
  return value;
}

int64_t integer(const HostTensor &tensor, int64_t i) {
  if (tensor.dtype == "i64")
    return at<int64_t>(tensor.bytes.data(), i);
  if (tensor.dtype == "i32")
    return at<int32_t>(tensor.bytes.data(), i);
  if (tensor.dtype == "i8")
    return at<int8_t>(tensor.bytes.data(), i);
  return at<uint8_t>(tensor.bytes.data(), i);
}

bool is_integer(std::string_view dtype) { return dtype == "u8" || dtype == "i8" || dtype == "i32" || dtype == "i64"; }
bool is_float(std::string_view dtype) { return dtype == "f32" || dtype == "f64" || dtype == "bf16" || dtype == "f16"; }

double float_at(const HostTensor &tensor, int64_t i) {
  if (tensor.dtype == "f64")
    return at<double>(tensor.bytes.data(), i);
  if (tensor.dtype == "f32")
    return at<float>(tensor.bytes.data(), i);
  const auto bits = at<uint16_t>(tensor.bytes.data(), i);
  return tensor.dtype == "bf16" ? bf16_number(bits) : f16_number(bits);
}

int64_t count(const Shape &shape) {
  int64_t product = 1;
  for (int64_t size : shape)
    product *= size;
  return product;
}

template <typename T> void convert_integers(const HostTensor &from, HostTensor &to, const std::string &file, const char *name) {
  const int64_t elements = count(from.shape);
  to.bytes.resize(elements * sizeof(T));
  for (int64_t i = 0; i < elements; ++i) {
    const int64_t value = integer(from, i);
    if (value < std::numeric_limits<T>::min() || value > std::numeric_limits<T>::max())
      throw FileError(file, fmt::format("element {} of `{}` is {}, which does not fit {}", i, name, value, to.dtype));
    const T narrow = static_cast<T>(value);
    std::memcpy(to.bytes.data() + i * sizeof(T), &narrow, sizeof(T));
  }
}

// To f32, or by way of it to bf16 and f16.
template <typename T, typename F> void convert_floats(const HostTensor &from, HostTensor &to, F convert) {
  const int64_t elements = count(from.shape);
  to.bytes.resize(elements * sizeof(T));
  for (int64_t i = 0; i < elements; ++i) {
    const T value = convert(static_cast<float>(float_at(from, i)));
    std::memcpy(to.bytes.data() + i * sizeof(T), &value, sizeof(T));
  }
}

bool converts(std::string_view from, std::string_view to) {
  return from == to || (is_float(from) && is_float(to) && to != "f64") || (is_integer(from) && is_integer(to));
}

HostTensor converted(HostTensor tensor, const std::string &file, const char *name, std::string_view dtype) {
  if (tensor.dtype == dtype)
    return tensor;
  HostTensor result{std::string(dtype), tensor.shape, {}};
  if (dtype == "f32")
    convert_floats<float>(tensor, result, [](float x) { return x; });
  else if (is_float(dtype))
    convert_floats<uint16_t>(tensor, result, dtype == "bf16" ? bf16_bits : f16_bits);
  else if (dtype == "u8")
    convert_integers<uint8_t>(tensor, result, file, name);
  else if (dtype == "i8")
    convert_integers<int8_t>(tensor, result, file, name);
  else if (dtype == "i32")
    convert_integers<int32_t>(tensor, result, file, name);
  else
    convert_integers<int64_t>(tensor, result, file, name);
  return result;
}

template <typename T> void fill(std::vector<std::byte> &bytes, const auto &draw) {
  for (size_t at = 0; at < bytes.size(); at += sizeof(T)) {
    const T value = static_cast<T>(draw());
    std::memcpy(bytes.data() + at, &value, sizeof(T));
  }
}

// One shape comes from the other by joining neighbours: where two runs of sizes meet, one of them is a single size.
bool regroups(const Shape &a, const Shape &b) {
  size_t i = 0, j = 0;
  while (true) {
    while (i < a.size() && a[i] == 1)
      ++i;
    while (j < b.size() && b[j] == 1)
      ++j;
    if (i == a.size() || j == b.size())
      return i == a.size() && j == b.size();
    int64_t left = a[i++], right = b[j++];
    const bool split_left = left < right;
    while (left != right) {
      const Shape &from = split_left ? a : b;
      size_t &next = split_left ? i : j;
      int64_t &product = split_left ? left : right;
      if (next == from.size() || product > (split_left ? right : left))
        return false;
      product *= from[next++];
    }
  }
}

} // namespace

void check_fit(const HostTensor &tensor, const std::string &file, const nnc_tensor_info &want, bool examples) {
  const Shape wanted(want.shape, want.shape + want.rank);
  const bool fits = examples ? !tensor.shape.empty() && !wanted.empty() &&
                                   regroups({tensor.shape.begin() + 1, tensor.shape.end()}, {wanted.begin() + 1, wanted.end()})
                             : regroups(tensor.shape, wanted);
  if (!fits)
    throw FileError(file, fmt::format("`{}` is {}, but the file holds {}{}", want.name, tensor_text(want),
                                      tensor_type_text(tensor), examples ? " (the first dimension counts examples)" : ""));
  if (const std::string_view dtype = dtype_text(want.dtype); !converts(tensor.dtype, dtype))
    throw FileError(file, fmt::format("`{}` is {}, but the file holds {}", want.name, dtype, tensor.dtype));
}

HostTensor fitted(HostTensor tensor, const std::string &file, const nnc_tensor_info &want, bool examples) {
  check_fit(tensor, file, want, examples);
  Shape shape(tensor.shape.begin(), tensor.shape.begin() + (examples ? 1 : 0));
  shape.insert(shape.end(), want.shape + shape.size(), want.shape + want.rank);
  HostTensor result = converted(std::move(tensor), file, want.name, dtype_text(want.dtype));
  result.shape = std::move(shape);
  return result;
}

HostTensor read_fitted(const std::string &file, const nnc_tensor_info &want, bool examples) {
  const auto expect = [&](const HostTensor &header) { check_fit(header, file, want, examples); };
  return fitted(read_tensor(file, expect), file, want, examples);
}

HostTensor input_value(const std::string &value, const nnc_tensor_info &want, bool invert) {
  double number = 0;
  const auto [end, failure] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (failure != std::errc{} || end != value.data() + value.size())
    return is_image_file(value) ? image_value(value, want, invert) : read_fitted(value, want);
  if (want.rank != 0)
    throw Error(fmt::format("--in {}={}: `{}` is {}, so it takes a file", want.name, value, want.name, tensor_text(want)));
  HostTensor tensor{"f64", {}, std::vector<std::byte>(sizeof number)};
  std::memcpy(tensor.bytes.data(), &number, sizeof number);
  if (is_float_dtype(want.dtype))
    return fitted(std::move(tensor), value, want);
  if (number != std::floor(number) || std::fabs(number) > 0x1p53 || (want.dtype == NNC_BOOL && number != 0 && number != 1))
    throw Error(fmt::format("--in {}={}: `{}` is {}", want.name, value, want.name, tensor_text(want)));
  const int64_t whole = static_cast<int64_t>(number);
  if (want.dtype == NNC_BOOL)
    return {"bool", {}, {static_cast<std::byte>(whole)}};
  tensor.dtype = "i64";
  std::memcpy(tensor.bytes.data(), &whole, sizeof whole);
  return fitted(std::move(tensor), "--in", want);
}

std::vector<std::vector<std::byte>> random_inputs(const nnc_entry_info &entry, uint64_t seed, uint64_t bound) {
  std::mt19937_64 random(seed);
  const auto unit = [&] { return static_cast<double>(random() >> 11) * 0x1p-52 - 1; };
  std::vector<std::vector<std::byte>> result;
  for (const nnc_tensor_info &input : inputs(entry)) {
    std::vector<std::byte> &bytes = result.emplace_back(input.bytes);
    switch (input.dtype) {
    case NNC_F32:
      fill<float>(bytes, unit);
      break;
    case NNC_F64:
      fill<double>(bytes, unit);
      break;
    case NNC_BF16:
      fill<uint16_t>(bytes, [&] { return bf16_bits(static_cast<float>(unit())); });
      break;
    case NNC_F16:
      fill<uint16_t>(bytes, [&] { return f16_bits(static_cast<float>(unit())); });
      break;
    case NNC_I32:
      fill<int32_t>(bytes, [&] { return random() % bound; });
      break;
    case NNC_I64:
      fill<int64_t>(bytes, [&] { return random() % bound; });
      break;
    case NNC_BOOL:
      fill<uint8_t>(bytes, [&] { return random() % 2; });
      break;
    default:
      fill<uint8_t>(bytes, [&] { return random() % bound; });
    }
  }
  return result;
}

bool is_float_dtype(uint32_t dtype) { return is_float(dtype_text(dtype)); }

double element(const void *data, uint32_t dtype, int64_t i) {
  switch (dtype) {
  case NNC_BF16:
    return bf16_number(at<uint16_t>(data, i));
  case NNC_F16:
    return f16_number(at<uint16_t>(data, i));
  case NNC_I8:
    return at<int8_t>(data, i);
  case NNC_F32:
    return at<float>(data, i);
  case NNC_F64:
    return at<double>(data, i);
  case NNC_I32:
    return at<int32_t>(data, i);
  case NNC_I64:
    return static_cast<double>(at<int64_t>(data, i));
  default:
    return at<uint8_t>(data, i);
  }
}

std::string element_text(const HostTensor &tensor, int64_t i) {
  if (tensor.dtype == "f64")
    return fmt::format("{}", float_at(tensor, i));
  if (is_float(tensor.dtype))
    return fmt::format("{}", static_cast<float>(float_at(tensor, i)));
  if (tensor.dtype == "bool")
    return at<uint8_t>(tensor.bytes.data(), i) ? "true" : "false";
  return fmt::format("{}", integer(tensor, i));
}

std::string tensor_lines(const std::string &name, const HostTensor &tensor) {
  if (tensor.shape.empty())
    return fmt::format("{} = {}\n", name, element_text(tensor, 0));
  std::string text = fmt::format("{}: {}\n", name, tensor_type_text(tensor));
  const int64_t row = tensor.shape.back(), rows = row == 0 ? 0 : count(tensor.shape) / row;
  for (int64_t r = 0; r < rows; ++r) {
    text += "  [";
    for (int64_t i = 0; i < row; ++i)
      text += (i == 0 ? "" : ", ") + element_text(tensor, r * row + i);
    text += "]\n";
  }
  return text;
}

} // namespace nnc
