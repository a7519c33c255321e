// Elementary functions as inline vector code, for f32 and f64. Limits and errors are stated in vector_math.cpp and measured by
// tests/unit/emit_test.cpp. None calls anything.
#pragma once

#include "codegen/lanes.h"

namespace nnc {

llvm::Value *emit_pow(const Lanes &lanes, llvm::Value *x, llvm::Value *y);
llvm::Value *emit_exp(const Lanes &lanes, llvm::Value *x);
llvm::Value *emit_expm1(const Lanes &lanes, llvm::Value *x);
llvm::Value *emit_log(const Lanes &lanes, llvm::Value *x);
llvm::Value *emit_log1p(const Lanes &lanes, llvm::Value *x);
llvm::Value *emit_sin(const Lanes &lanes, llvm::Value *x);
llvm::Value *emit_cos(const Lanes &lanes, llvm::Value *x);
llvm::Value *emit_atan(const Lanes &lanes, llvm::Value *x);
llvm::Value *emit_tanh(const Lanes &lanes, llvm::Value *x);
llvm::Value *emit_erf(const Lanes &lanes, llvm::Value *x);
llvm::Value *emit_sigmoid(const Lanes &lanes, llvm::Value *x);
llvm::Value *emit_normal_cdf(const Lanes &lanes, llvm::Value *x);

} // namespace nnc
