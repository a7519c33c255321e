/* Runs calls of a compiled model's entries and writes what came of each; knows of the model what its metadata says.
 *
 *   host MODEL.so CALLS THREADS RESULTS [THREADS RESULTS]...
 *
 * A model that is linked in is named by -DQUERY=…_info instead; MODEL.so is then any word.
 *
 * CALLS holds, for each call: the number of the entry (int64), the state before, the inputs. RESULTS: the code (int64), the
 * outputs, the state after. All THREADS are new ones for every step that is divided. */
#include "runtime/abi.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct work {
  void (*task)(void *arg, int64_t i);
  void *arg;
  int64_t i;
};

static void *start(void *of) {
  struct work *work = of;
  work->task(work->arg, work->i);
  return 0;
}

/* Task 0 on the caller, each other one on a thread. */
static void run(void *pool, void (*task)(void *arg, int64_t i), void *arg, int64_t n) {
  pthread_t threads[16];
  struct work works[16];
  int64_t i;
  (void)pool;
  for (i = 1; i < n; ++i) {
    works[i].task = task;
    works[i].arg = arg;
    works[i].i = i;
    if (pthread_create(&threads[i], 0, start, &works[i]))
      abort();
  }
  task(arg, 0);
  for (i = 1; i < n; ++i)
    pthread_join(threads[i], 0);
}

static void *block(uint64_t bytes) {
  void *memory = aligned_alloc(64, (bytes + 127) / 64 * 64);
  if (!memory)
    abort();
  memset(memory, 0, bytes);
  return memory;
}

static int run_calls(const nnc_model_info *info, const char *calls, uint32_t threads, const char *results) {
  FILE *in = fopen(calls, "rb"), *out = fopen(results, "wb");
  void *state = block(info->state_bytes);
  nnc_context context = {0};
  int64_t number;
  if (!in || !out)
    return 3;
  context.struct_size = sizeof context;
  context.threads = threads;
  context.run = threads > 1 ? run : 0;
  while (fread(&number, sizeof number, 1, in) == 1) {
    const nnc_entry_info *entry = &info->entries[number];
    const void *inputs[64];
    void *outputs[64], *workspace;
    int64_t code;
    uint32_t i;
    if (fread(state, 1, info->state_bytes, in) != info->state_bytes)
      return 4;
    for (i = 0; i < entry->input_count; ++i) {
      void *input = block(entry->inputs[i].bytes);
      if (fread(input, 1, entry->inputs[i].bytes, in) != entry->inputs[i].bytes)
        return 5;
      inputs[i] = input;
    }
    for (i = 0; i < entry->output_count; ++i)
      outputs[i] = block(entry->outputs[i].bytes);
    context.workspace_bytes = entry->workspace_bytes + threads * entry->slot_bytes;
    workspace = block(context.workspace_bytes);
    memset(workspace, 0xff, context.workspace_bytes); /* nothing may hang on what was there */
    code = entry->call(&context, state, workspace, inputs, outputs);
    fwrite(&code, sizeof code, 1, out);
    for (i = 0; i < entry->output_count; ++i)
      fwrite(outputs[i], 1, entry->outputs[i].bytes, out);
    fwrite(state, 1, info->state_bytes, out);
    for (i = 0; i < entry->input_count; ++i)
      free((void *)inputs[i]);
    for (i = 0; i < entry->output_count; ++i)
      free(outputs[i]);
    free(workspace);
  }
  free(state);
  fclose(in);
  return fclose(out) != 0;
}

typedef const nnc_model_info *query_function(void);

#ifdef QUERY
query_function QUERY;
static query_function *find_query(const char *file) { return file ? QUERY : 0; }
#else
static query_function *find_query(const char *file) {
  void *library = file ? dlopen(file, RTLD_NOW) : 0;
  query_function *query = library ? (query_function *)dlsym(library, "nnc_model") : 0;
  if (!query)
    fprintf(stderr, "%s\n", dlerror());
  return query;
}
#endif

int main(int argc, char **argv) {
  query_function *query = find_query(argv[1]);
  int i;
  if (!query)
    return 2;
  for (i = 3; i + 1 < argc; i += 2) {
    const int failed = run_calls(query(), argv[2], (uint32_t)atoi(argv[i]), argv[i + 1]);
    if (failed)
      return failed;
  }
  return 0;
}
