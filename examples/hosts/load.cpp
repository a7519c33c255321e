// A C++ program that loads a compiled model, without the compiler: state from a file of weights, threads from the pool.
//
//   nnc examples/mnist.nn -o mnist.so
//   nnc train mnist.so train_step --weights-out mnist.safetensors --data x=… --data label=…
//   c++ -std=c++20 examples/hosts/load.cpp $(pkg-config --cflags --libs nnc-runtime) -o load
//   ./load mnist.so mnist.safetensors IMAGES LABELS        # .gz or not
#include "runtime/model.h"
#include "runtime/tensor_file.h"
#include "runtime/weights.h"

#include <array>
#include <cstdio>
#include <exception>

namespace {

void recognise(const std::string &library, const std::string &weights, const std::string &images, const std::string &labels) {
  nnc::ThreadPool pool(2);
  nnc::Session session(nnc::Model::load(library), &pool);
  nnc::load_weights(session, weights);
  const nnc_entry_info *evaluate = session.model().find_entry("evaluate");
  if (!evaluate)
    throw std::runtime_error(library + ": has no entry `evaluate`");
  const nnc::HostTensor x = nnc::read_idx(images), label = nnc::read_idx(labels);
  const uint64_t image_bytes = nnc::inputs(*evaluate)[0].bytes, batch = nnc::inputs(*evaluate)[1].bytes;
  if (x.bytes.size() * batch != label.bytes.size() * image_bytes)
    throw std::runtime_error(images + ": is no set of images for the labels in " + labels);
  uint64_t correct = 0, seen = 0;
  for (; seen + batch <= label.bytes.size(); seen += batch) {
    int32_t count = 0;
    const std::array<const void *, 2> in = {x.bytes.data() + seen / batch * image_bytes, label.bytes.data() + seen};
    const std::array<void *, 1> out = {&count};
    session.call(*evaluate, in, out);
    correct += count;
  }
  std::printf("%llu of %llu digits recognised\n", static_cast<unsigned long long>(correct),
              static_cast<unsigned long long>(seen));
}

} // namespace

int main(int argc, char **argv) {
  try {
    if (argc != 5)
      throw std::runtime_error("usage: load MODEL.so WEIGHTS IMAGES LABELS");
    recognise(argv[1], argv[2], argv[3], argv[4]);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "load: %s\n", error.what());
    return 1;
  }
}
