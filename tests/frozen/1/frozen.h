/* The C interface of frozen.nn, made by nnc 0.1.0. For C99 and C++.
 *
 * 1. Zero an nnc_context and set its struct_size. One thread at a time may use it.
 * 2. Allocate FROZEN_STATE_BYTES for the state, and a workspace of the largest ..._WORKSPACE_BYTES(threads) among
 *    the functions you call, both aligned to FROZEN_ALIGNMENT.
 * 3. Fill the state: call the function that initialises it, or copy tensors to the offsets that frozen_info() lists.
 * 4. Call the others. Arrays are row-major and without gaps; what is written overlaps nothing else. bf16 and f16 are
 *    handed over as their 16 bits.
 *
 * A function returns NNC_OK, or a code that says what is wrong; then it has written nothing. */
#ifndef NNC_MODEL_FROZEN_H
#define NNC_MODEL_FROZEN_H

/* The C ABI of an artefact: what a compiled model and its host agree on. Every generated header includes the same
 * declarations, so that a host needs only that header. Structs begin with struct_size; fields are only ever appended: a host
 * that must read artefacts of other versions steps through arrays by their elements' struct_size, not by sizeof.
 * docs/artefact.md says the rest. */
#ifndef NNC_ABI_H
#define NNC_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NNC_ABI_VERSION 1u

/* What an entry returns. A code of NNC_CHECK or above is a failed check of the model: NNC_CHECK + its index in the entry. On
 * every code but NNC_OK nothing has been written. */
enum {
  NNC_OK = 0,
  NNC_BAD_CONTEXT = 1,  /* the context is null, or its struct_size too small for this artefact or beyond all sense */
  NNC_NULL_POINTER = 2, /* an input, output, state or workspace that is not empty is null */
  NNC_MISALIGNED = 3,   /* state or workspace is not 64-byte aligned, or an input or output not to its element */
  NNC_SHORT_WORKSPACE = 4,
  NNC_UNSUPPORTED_CPU = 5, /* the processor lacks instructions that every variant, or the one asked for, may use */
  NNC_BAD_VARIANT = 6,     /* context->variant is beyond the artefact's variants */
  NNC_CHECK = 100
};

/* Handed to every call; belongs to one thread at a time. Zero it, set struct_size; the rest may stay zero. One context serves
 * several artefacts.
 * With `run` set, steps with enough work call it: run(pool, task, arg, n) must call task(arg, i) for every i in 0..n, in any
 * order, on any threads, and return when all are done. n is at most `threads`. The results do not depend on threads. */
typedef struct nnc_context {
  uint32_t struct_size;
  uint32_t threads; /* 0 and 1: the calling thread alone */
  void *pool;
  void (*run)(void *pool, void (*task)(void *arg, int64_t i), void *arg, int64_t n);
  uint64_t workspace_bytes; /* size of the workspace handed in; 0: trust the caller */
  uint64_t isa;             /* filled by the artefact: the detected instruction set, the same word for all artefacts */
  uint32_t variant; /* 0: the best of the artefact's variants that this processor can run; n: the variant n - 1, or none */
  uint32_t reserved;
} nnc_context;

typedef struct nnc_tensor_info {
  uint32_t struct_size;
  uint32_t dtype; /* NNC_F32 and so on */
  const char *name;
  uint64_t rank;
  const int64_t *shape;
  uint64_t bytes;
  uint64_t offset;  /* states: bytes from the start of the state block */
  uint32_t trained; /* states: a parameter; else carried from call to call */
  uint32_t reserved;
} nnc_tensor_info;

/* Elements: a bool is a byte, 0 or 1; bf16 and f16 are handed over as their 16 bits. */
enum {
  NNC_F32 = 0,
  NNC_F64 = 1,
  NNC_U8 = 2,
  NNC_I32 = 3,
  NNC_I64 = 4,
  NNC_BOOL = 5,
  NNC_BF16 = 6, /* the upper half of a float */
  NNC_F16 = 7,  /* IEEE 754 binary16, _Float16 */
  NNC_I8 = 8
};

typedef struct nnc_entry_info {
  uint32_t struct_size;
  uint32_t input_count;
  const char *name;
  const char *doc;
  const nnc_tensor_info *inputs;
  const nnc_tensor_info *outputs;
  uint32_t output_count;
  uint32_t check_count;
  const char *const *checks; /* messages, by index */
  uint64_t workspace_bytes;  /* without the threads' slots */
  uint64_t slot_bytes;       /* workspace of each thread: pass workspace_bytes + max(threads, 1) * slot_bytes */
  uint32_t writes_state;
  uint32_t reserved;
  /* The entry with its pointers in arrays, in the order of inputs and outputs. */
  int32_t (*call)(nnc_context *context, void *state, void *workspace, const void *const *inputs, void *const *outputs);
  const char *function; /* the C function: "mnist_train_step" */
} nnc_entry_info;

/* The kernels, compiled for one instruction set. */
typedef struct nnc_variant_info {
  uint32_t struct_size;
  uint32_t reserved;
  const char *cpu; /* "x86-64-v3" */
  uint64_t isa;    /* what it may use, in the bits of nnc_context.isa */
} nnc_variant_info;

typedef struct nnc_model_info {
  uint32_t struct_size;
  uint32_t abi_version;
  const char *model;             /* file name of the source */
  const char *source_hash;       /* SHA-256 of the source, hexadecimal */
  const char *compiler;          /* "nnc 0.1.0" */
  const char *target;            /* triple */
  const char *cpu;               /* as asked for: "x86-64-v3,x86-64-v4" */
  const nnc_entry_info *entries; /* in source order, then init(seed) */
  uint64_t entry_count;
  const nnc_tensor_info *states;
  uint64_t state_count;
  uint64_t state_bytes;
  uint64_t alignment;               /* of state and workspace */
  const nnc_variant_info *variants; /* from the least to the most that is asked of a processor */
  uint64_t variant_count;
  /* Which variant a call with this context runs, an index; or a negated code: -NNC_UNSUPPORTED_CPU where there is none. */
  int32_t (*pick)(nnc_context *context);
  /* To be called when the host has written the state itself (loaded weights) and before the next entry: what an artefact keeps
   * in the state beside the tensors, such as packed copies, follows them. */
  int32_t (*touch)(nnc_context *context, void *state);
  /* The name of a code: "NNC_SHORT_WORKSPACE"; "NNC_CHECK" for all codes from there on; "unknown". */
  const char *(*code_name)(int32_t code);
  const char *options; /* of the compiler, that change what the entries do: "--set batch=32 --freeze" */
} nnc_model_info;

#ifdef __cplusplus
}
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define FROZEN_ALIGNMENT 64
#define FROZEN_STATE_BYTES UINT64_C(576)

/* What the model says of itself: its entries, their tensors, the tensors of the state, the target. */
const nnc_model_info *frozen_info(void);

/* Which of nnc_model_info.variants calls with this context run, an index; or a negated code. */
int32_t frozen_pick(nnc_context *context);

/* To be called when the host has written the state itself, before the next call that reads it. */
int32_t frozen_touch(nnc_context *context, void *state);

/* "NNC_SHORT_WORKSPACE", of what a function returned. */
const char *frozen_code_name(int32_t code);

/* One step on a batch; `label` counts the classes from 0.
 * Writes the state.
 * NNC_CHECK + 0: label outside 0..4 */
#define FROZEN_TRAIN_STEP_WORKSPACE_BYTES(threads) (UINT64_C(384) + UINT64_C(18432) * ((threads) > 1 ? (threads) : 1))
#define FROZEN_TRAIN_STEP_X_COUNT 48
#define FROZEN_TRAIN_STEP_LABEL_COUNT 8
#define FROZEN_TRAIN_STEP_RATE_COUNT 1
#define FROZEN_TRAIN_STEP_LOSS_COUNT 1
#define FROZEN_TRAIN_STEP_ACCURACY_COUNT 1
int32_t frozen_train_step(nnc_context *context, void *state, void *workspace,
                          const float *x /* f32[8,6] */,
                          const uint8_t *label /* u8[8] */,
                          const float *rate /* f32 */,
                          float *loss /* f32 */,
                          float *accuracy /* f32 */);

/* `predict`
 * Only reads the state. */
#define FROZEN_PREDICT_WORKSPACE_BYTES(threads) (UINT64_C(64) + UINT64_C(64) * ((threads) > 1 ? (threads) : 1))
#define FROZEN_PREDICT_X_COUNT 6
#define FROZEN_PREDICT_Y_COUNT 4
#define FROZEN_PREDICT_BEST_COUNT 1
int32_t frozen_predict(nnc_context *context, void *state, void *workspace,
                       const float *x /* f32[1,6] */,
                       float *y /* f32[1,4] */,
                       int32_t *best /* i32[1] */);

/* `noisy`
 * Writes the state. */
#define FROZEN_NOISY_WORKSPACE_BYTES(threads) (UINT64_C(0) + UINT64_C(0) * ((threads) > 1 ? (threads) : 1))
#define FROZEN_NOISY_X_COUNT 5
#define FROZEN_NOISY_Y_COUNT 5
int32_t frozen_noisy(nnc_context *context, void *state, void *workspace,
                     const double *x /* f64[5] */,
                     double *y /* f64[5] */);

/* `store`
 * Writes the state. */
#define FROZEN_STORE_WORKSPACE_BYTES(threads) (UINT64_C(0) + UINT64_C(0) * ((threads) > 1 ? (threads) : 1))
#define FROZEN_STORE_A_COUNT 6
#define FROZEN_STORE_B_COUNT 3
#define FROZEN_STORE_C_COUNT 4
#define FROZEN_STORE_D_COUNT 1
#define FROZEN_STORE_E_COUNT 2
#define FROZEN_STORE_P_COUNT 6
#define FROZEN_STORE_Q_COUNT 4
#define FROZEN_STORE_R_COUNT 1
#define FROZEN_STORE_S_COUNT 2
int32_t frozen_store(nnc_context *context, void *state, void *workspace,
                     const uint16_t *a /* bf16[2,3] */,
                     const uint16_t *b /* f16[3] */,
                     const int8_t *c /* i8[4] */,
                     const int64_t *d /* i64 */,
                     const uint8_t *e /* bool[2] */,
                     float *p /* f32[2,3] */,
                     int32_t *q /* i32[4] */,
                     int64_t *r /* i64 */,
                     uint8_t *s /* bool[2] */);

/* Gives every parameter and state its first value.
 * Writes the state. */
#define FROZEN_INIT_WORKSPACE_BYTES(threads) (UINT64_C(0) + UINT64_C(0) * ((threads) > 1 ? (threads) : 1))
#define FROZEN_INIT_SEED_COUNT 1
int32_t frozen_init(nnc_context *context, void *state, void *workspace,
                    const int64_t *seed /* i64 */);

#ifdef __cplusplus
}
#endif
#endif
