// Peer: ONNX Runtime's CPU provider through its C API, one thread. Arguments: the library, the folder of NAME.onnx with
// NAME.in.f32 and NAME.out.f32 (what PyTorch answers) beside it. Cases are the NAMEs.
//
// The package that ships the library ships no header. The API is a table of function pointers whose order never changes
// ("new functions are added at the end"), so the few that are used here are named by their places.

#include "tests/bench/peers/timing.h"

#include <cmath>
#include <cstdint>
#include <dlfcn.h>
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <stdexcept>

namespace {

enum Place {
  GetErrorMessage = 2,
  CreateEnv = 3,
  CreateSession = 7,
  Run = 9,
  CreateSessionOptions = 10,
  SetSessionGraphOptimizationLevel = 23,
  SetIntraOpNumThreads = 24,
  SetInterOpNumThreads = 25,
  CreateTensorWithDataAsOrtValue = 49,
  CreateCpuMemoryInfo = 69,
};
struct ApiBase {
  void *const *(*get_api)(uint32_t version);
  const char *(*get_version)();
};
using Handle = void *;

void *const *api;

template <typename... Arguments> void call(Place place, Arguments... arguments) {
  if (Handle status = reinterpret_cast<Handle (*)(Arguments...)>(api[place])(arguments...))
    throw std::runtime_error(reinterpret_cast<const char *(*)(Handle)>(api[GetErrorMessage])(status));
}

std::vector<float> read_floats(const std::string &file) {
  std::ifstream stream(file, std::ios::binary | std::ios::ate);
  if (!stream)
    throw std::runtime_error("cannot read " + file);
  std::vector<float> values(static_cast<size_t>(stream.tellg()) / 4);
  stream.seekg(0);
  stream.read(reinterpret_cast<char *>(values.data()), static_cast<std::streamsize>(values.size() * 4));
  return values;
}

// NAME.shapes holds two lines, the sizes of input and output.
std::vector<int64_t> read_shape(std::istream &stream) {
  std::string line;
  std::getline(stream, line);
  std::istringstream words(line);
  std::vector<int64_t> shape;
  for (int64_t size; words >> size;)
    shape.push_back(size);
  return shape;
}

struct Model {
  Handle session = nullptr, input = nullptr, output = nullptr;
  std::vector<float> x, y, expected;

  Model(Handle environment, const std::string &stem) {
    Handle options = nullptr, memory = nullptr;
    call(CreateSessionOptions, &options);
    call(SetIntraOpNumThreads, options, 1);
    call(SetInterOpNumThreads, options, 1);
    call(SetSessionGraphOptimizationLevel, options, 99); // all
    std::string file = stem + ".onnx";
    call(CreateSession, environment, file.c_str(), options, &session);
    x = read_floats(stem + ".in.f32");
    expected = read_floats(stem + ".out.f32");
    y.resize(expected.size());
    call(CreateCpuMemoryInfo, 1, 0, &memory); // arena allocator, default memory
    std::ifstream shapes(stem + ".shapes");
    for (auto [values, tensor] : {std::pair(&x, &input), std::pair(&y, &output)}) {
      std::vector<int64_t> shape = read_shape(shapes);
      call(CreateTensorWithDataAsOrtValue, memory, values->data(), values->size() * 4, shape.data(), shape.size(), 1, tensor);
    }
  }
  void run() {
    const char *input_name = "x", *output_name = "y";
    call(Run, session, Handle(nullptr), &input_name, &input, size_t(1), &output_name, size_t(1), &output);
  }
};

} // namespace

int main(int argc, char **argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: ort_peer LIBRARY FOLDER\n");
    return 1;
  }
  void *library = dlopen(argv[1], RTLD_NOW);
  if (!library) {
    fmt::print(stderr, "{}\n", dlerror());
    return 1;
  }
  auto *base = reinterpret_cast<const ApiBase *(*)()>(dlsym(library, "OrtGetApiBase"))();
  fmt::print(stderr, "ONNX Runtime {}\n", base->get_version());
  api = base->get_api(16);
  Handle environment = nullptr;
  call(CreateEnv, 3, "bench", &environment); // errors only
  std::map<std::string, Model> models;
  serve([&](const std::string &name, double budget) {
    try {
      Model &model = models.try_emplace(name, environment, std::string(argv[2]) + "/" + name).first->second;
      double us = median_us([&] { model.run(); }, budget), worst = 0;
      for (size_t i = 0; i < model.y.size(); ++i)
        worst = std::max(worst, std::fabs(double(model.y[i]) - model.expected[i]) / (1 + std::fabs(model.expected[i])));
      if (!(worst < 1e-3))
        throw std::runtime_error(fmt::format("{} differs from PyTorch by {}", name, worst));
      return fmt::format(R"({{"ort": {:.4f}}})", us);
    } catch (const std::exception &error) {
      return fmt::format(R"({{"error": "{}"}})", error.what());
    }
  });
}
