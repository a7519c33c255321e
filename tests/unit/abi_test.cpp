// The layout of the C interface, in numbers: what docs/abi.md promises does not move. Lines are added here, never changed.
#include "runtime/abi.h"

#include <gtest/gtest.h>

#include <cstddef>

namespace {

static_assert(sizeof(nnc_context) == 48);
static_assert(offsetof(nnc_context, struct_size) == 0);
static_assert(offsetof(nnc_context, threads) == 4);
static_assert(offsetof(nnc_context, pool) == 8);
static_assert(offsetof(nnc_context, run) == 16);
static_assert(offsetof(nnc_context, workspace_bytes) == 24);
static_assert(offsetof(nnc_context, isa) == 32);
static_assert(offsetof(nnc_context, variant) == 40);
static_assert(sizeof(nnc_tensor_info) == 56);
static_assert(offsetof(nnc_tensor_info, dtype) == 4);
static_assert(offsetof(nnc_tensor_info, name) == 8);
static_assert(offsetof(nnc_tensor_info, rank) == 16);
static_assert(offsetof(nnc_tensor_info, shape) == 24);
static_assert(offsetof(nnc_tensor_info, bytes) == 32);
static_assert(offsetof(nnc_tensor_info, offset) == 40);
static_assert(offsetof(nnc_tensor_info, trained) == 48);
static_assert(sizeof(nnc_entry_info) == 96);
static_assert(offsetof(nnc_entry_info, input_count) == 4);
static_assert(offsetof(nnc_entry_info, name) == 8);
static_assert(offsetof(nnc_entry_info, doc) == 16);
static_assert(offsetof(nnc_entry_info, inputs) == 24);
static_assert(offsetof(nnc_entry_info, outputs) == 32);
static_assert(offsetof(nnc_entry_info, output_count) == 40);
static_assert(offsetof(nnc_entry_info, check_count) == 44);
static_assert(offsetof(nnc_entry_info, checks) == 48);
static_assert(offsetof(nnc_entry_info, workspace_bytes) == 56);
static_assert(offsetof(nnc_entry_info, slot_bytes) == 64);
static_assert(offsetof(nnc_entry_info, writes_state) == 72);
static_assert(offsetof(nnc_entry_info, call) == 80);
static_assert(offsetof(nnc_entry_info, function) == 88);
static_assert(sizeof(nnc_variant_info) == 24);
static_assert(offsetof(nnc_variant_info, cpu) == 8);
static_assert(offsetof(nnc_variant_info, isa) == 16);
static_assert(sizeof(nnc_model_info) == 144);
static_assert(offsetof(nnc_model_info, abi_version) == 4);
static_assert(offsetof(nnc_model_info, model) == 8);
static_assert(offsetof(nnc_model_info, source_hash) == 16);
static_assert(offsetof(nnc_model_info, compiler) == 24);
static_assert(offsetof(nnc_model_info, target) == 32);
static_assert(offsetof(nnc_model_info, cpu) == 40);
static_assert(offsetof(nnc_model_info, entries) == 48);
static_assert(offsetof(nnc_model_info, entry_count) == 56);
static_assert(offsetof(nnc_model_info, states) == 64);
static_assert(offsetof(nnc_model_info, state_count) == 72);
static_assert(offsetof(nnc_model_info, state_bytes) == 80);
static_assert(offsetof(nnc_model_info, alignment) == 88);
static_assert(offsetof(nnc_model_info, variants) == 96);
static_assert(offsetof(nnc_model_info, variant_count) == 104);
static_assert(offsetof(nnc_model_info, pick) == 112);
static_assert(offsetof(nnc_model_info, touch) == 120);
static_assert(offsetof(nnc_model_info, code_name) == 128);
static_assert(offsetof(nnc_model_info, options) == 136);

TEST(Abi, NumbersStay) {
  EXPECT_EQ(NNC_ABI_VERSION, 1u);
  const int codes[] = {
      NNC_OK, NNC_BAD_CONTEXT, NNC_NULL_POINTER, NNC_MISALIGNED, NNC_SHORT_WORKSPACE, NNC_UNSUPPORTED_CPU, NNC_BAD_VARIANT};
  for (int i = 0; i < 7; ++i)
    EXPECT_EQ(codes[i], i);
  EXPECT_EQ(NNC_CHECK, 100);
  const int dtypes[] = {NNC_F32, NNC_F64, NNC_U8, NNC_I32, NNC_I64, NNC_BOOL, NNC_BF16, NNC_F16, NNC_I8};
  for (int i = 0; i < 9; ++i)
    EXPECT_EQ(dtypes[i], i);
}

} // namespace
