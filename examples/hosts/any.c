/* A C program that knows no model beforehand: it loads any .so that nnc made, says what is in it, and calls one of its entries
 * once, with zeros for inputs.
 *
 *   nnc examples/xor.nn -o xor.so
 *   cc $(pkg-config --cflags nnc-runtime) examples/hosts/any.c -o any -ldl
 *   ./any ./xor.so predict
 */
#include "runtime/abi.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Element i of an array in an artefact. A later version's structs are longer than ours: only struct_size tells. */
static const void *element(const void *first, uint64_t i) {
  uint32_t size = 0;
  if (i)
    memcpy(&size, first, sizeof size);
  return (const char *)first + i * size;
}

static const nnc_tensor_info *tensor(const nnc_tensor_info *first, uint64_t i) { return element(first, i); }

static void print_type(const nnc_tensor_info *t) {
  static const char *const names[] = {"f32", "f64", "u8", "i32", "i64", "bool", "bf16", "f16", "i8"};
  printf("%s: %s", t->name, t->dtype < sizeof names / sizeof *names ? names[t->dtype] : "unknown");
  for (uint64_t i = 0; i < t->rank; ++i)
    printf("%s%lld%s", i ? "," : "[", (long long)t->shape[i], i + 1 == t->rank ? "]" : "");
}

static void print_entry(const nnc_entry_info *e) {
  printf("%s(", e->name);
  for (uint32_t i = 0; i < e->input_count; ++i)
    printf("%s", i ? ", " : ""), print_type(tensor(e->inputs, i));
  printf(") -> (");
  for (uint32_t i = 0; i < e->output_count; ++i)
    printf("%s", i ? ", " : ""), print_type(tensor(e->outputs, i));
  printf(")\n");
}

/* Zeros, on the boundary that state and workspace need. */
static void *zeros(uint64_t bytes, uint64_t alignment) {
  const uint64_t whole = (bytes / alignment + 1) * alignment;
  void *memory = aligned_alloc(alignment, whole);
  if (!memory) {
    fprintf(stderr, "any: no memory\n");
    exit(1);
  }
  return memset(memory, 0, whole);
}

static int32_t call(const nnc_model_info *model, const nnc_entry_info *e, nnc_context *context, void *state, void **out) {
  const void **in = zeros(e->input_count * sizeof *in, 64);
  for (uint32_t i = 0; i < e->input_count; ++i)
    in[i] = zeros(tensor(e->inputs, i)->bytes, model->alignment);
  for (uint32_t i = 0; i < e->output_count; ++i)
    out[i] = zeros(tensor(e->outputs, i)->bytes, model->alignment);
  context->workspace_bytes = e->workspace_bytes + e->slot_bytes;
  return e->call(context, state, zeros(context->workspace_bytes, model->alignment), in, out);
}

int main(int argc, char **argv) {
  void *library = argc < 2 ? NULL : dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  const nnc_model_info *(*query)(void);
  if (!library) {
    fprintf(stderr, "any: %s\n", argc < 2 ? "usage: any ./MODEL.so [ENTRY]" : dlerror());
    return 1;
  }
  *(void **)&query = dlsym(library, "nnc_model");
  if (!query || query()->abi_version != NNC_ABI_VERSION) {
    fprintf(stderr, "any: %s: no compiled model, or one for another version of the interface\n", argv[1]);
    return 1;
  }
  const nnc_model_info *model = query();
  const nnc_entry_info *init = NULL, *chosen = NULL;
  printf("%s, compiled by %s for %s, %s\n", model->model, model->compiler, model->target, model->cpu);
  for (uint64_t i = 0; i < model->entry_count; ++i) {
    const nnc_entry_info *e = element(model->entries, i);
    print_entry(e);
    if (strcmp(e->name, "init") == 0)
      init = e;
    if (argc > 2 && strcmp(e->name, argv[2]) == 0)
      chosen = e;
  }
  if (argc < 3)
    return 0;
  if (!chosen) {
    fprintf(stderr, "any: %s has no entry %s\n", argv[1], argv[2]);
    return 1;
  }

  nnc_context context = {0};
  context.struct_size = sizeof context;
  void *state = zeros(model->state_bytes, model->alignment);
  void **out = zeros(chosen->output_count * sizeof *out, 64);
  int32_t code = init ? call(model, init, &context, state, out) : NNC_OK;
  if (code == NNC_OK)
    code = call(model, chosen, &context, state, out);
  if (code >= NNC_CHECK && (uint32_t)(code - NNC_CHECK) < chosen->check_count)
    fprintf(stderr, "any: %s\n", chosen->checks[code - NNC_CHECK]);
  else if (code != NNC_OK)
    fprintf(stderr, "any: %s returned %d\n", chosen->name, (int)code);
  for (uint32_t i = 0; code == NNC_OK && i < chosen->output_count; ++i) {
    const nnc_tensor_info *t = tensor(chosen->outputs, i);
    print_type(t);
    for (uint64_t k = 0; t->dtype == NNC_F32 && k < t->bytes / 4 && k < 8; ++k)
      printf(" %g", ((const float *)out[i])[k]);
    printf("\n");
  }
  return code != NNC_OK;
}
