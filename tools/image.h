// Pictures as inputs: PNG, and PGM and PPM in their binary form.
#pragma once

#include "runtime/model.h"
#include "runtime/tensor_file.h"

namespace nnc {

// Told by the first bytes, not by the name.
bool is_image_file(const std::string &file);

// The picture as the input `want` takes it: scaled to its height and width, each pixel the average of the area it covers, grey
// where it has no three colours; 0..255 for u8, 0..1 for floats. A shape is read from behind, leading sizes of 1 aside:
// [H, W, 3], [H, W, 1], [H, W], or one size that is a square. `invert` makes black white. Throws FileError.
HostTensor image_value(const std::string &file, const nnc_tensor_info &want, bool invert);

} // namespace nnc
