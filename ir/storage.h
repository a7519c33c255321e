// The dtypes that are for storage only (is_storage_only): their bits, and the way between them and what is computed with. The one
// place outside codegen that knows what bf16 and f16 look like.
#pragma once

#include "ir/tensor.h"

namespace nnc {

// bf16 is the upper half of an f32; f16 is IEEE 754's binary16: 5 bits of exponent, 10 of fraction. Rounds to nearest even; what
// is too large becomes infinite; a NaN stays one, made quiet, with the upper bits of its payload.
uint16_t bf16_bits(float number);
uint16_t f16_bits(float number);
float bf16_number(uint16_t bits);
float f16_number(uint16_t bits);

// The same numbers in the dtype that is computed with, exactly; a tensor of any other dtype as it is.
Tensor to_wide(const Tensor &tensor);

// Of wide_dtype(dtype), brought into `dtype`: bf16 and f16 round, i8 saturates.
Tensor to_storage(const Tensor &tensor, DType dtype);

} // namespace nnc
