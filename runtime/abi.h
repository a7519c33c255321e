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
