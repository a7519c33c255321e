// Trains XOR inside a C++ program: the model is compiled at run time, its state lives in the Executable.
//
//   host examples/xor.nn
#include "tools/nnc.h"

#include <array>
#include <cstdio>
#include <exception>

int main(int argc, char **argv) {
  try {
    nnc::Executable model = nnc::compile_file(argc > 1 ? argv[1] : "examples/xor.nn");
    const std::array<float, 8> x = {0, 0, 0, 1, 1, 0, 1, 1};
    const std::array<float, 4> y = {0, 1, 1, 0};
    float loss = 0;
    for (int step = 1; step <= 2000; ++step) {
      model.call("train_step", {{"x", x}, {"y", y}, {"lr", 1.0f}}, {{"loss", loss}});
      if (step % 500 == 0)
        std::printf("step %4d  loss %.5f\n", step, loss);
    }
    std::array<float, 4> answer;
    model.call("predict", {{"x", x}}, {{"y", answer}});
    for (size_t i = 0; i < y.size(); ++i)
      std::printf("%g xor %g = %.3f\n", x[2 * i], x[2 * i + 1], answer[i]);
    return loss < 0.01f ? 0 : 1;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "host: %s\n", error.what());
    return 1;
  }
}
