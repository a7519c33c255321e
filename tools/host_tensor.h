// Tensors from files as a model wants them, and as people read them.
#pragma once

#include "runtime/model.h"
#include "runtime/tensor_file.h"

namespace nnc {

// The conveniences beyond "exactly the dtype and shape that the entry declares", for what NumPy and IDX files give:
//   floats for f32, bf16 and f16, rounded; an integer dtype for another where every value fits
//   dimensions joined or split ([28,28] for [784]), and dimensions of size 1 added or left out
// `what` names the tensor in the error: "x.npy: `x`". With `examples` the first dimension counts examples and `want`'s first
// dimension is the batch; the rest has to fit.
HostTensor fitted(HostTensor tensor, const std::string &file, const nnc_tensor_info &want, bool examples = false);

// The same of a file, whose shape is compared before memory is taken.
HostTensor read_fitted(const std::string &file, const nnc_tensor_info &want, bool examples = false);

// The value of --in NAME=VALUE: a number for a scalar, or a file (.npy, IDX, IDX compressed with gzip, or a picture, which
// `invert` turns to its negative).
HostTensor input_value(const std::string &value, const nnc_tensor_info &want, bool invert = false);

// One random tensor for every input: floats in -1..1, whole numbers below `bound`, the same for equal seeds.
std::vector<std::vector<std::byte>> random_inputs(const nnc_entry_info &entry, uint64_t seed, uint64_t bound);

std::string element_text(const HostTensor &tensor, int64_t i);
double element(const void *data, uint32_t dtype, int64_t i = 0);
bool is_float_dtype(uint32_t dtype); // of nnc_tensor_info

// "loss = 0.6931", or rows in brackets below "y: f32[4,1]".
std::string tensor_lines(const std::string &name, const HostTensor &tensor);

} // namespace nnc
