/* Trains mnist.so for 100 steps on made-up digits, with nothing but its header, and writes the losses and the state. */
#include "mnist.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t seed = 1;
static uint32_t draw(void) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(seed >> 33);
}

int main(void) {
  static uint8_t x[MNIST_TRAIN_STEP_X_COUNT], label[MNIST_TRAIN_STEP_LABEL_COUNT];
  nnc_context context = {0};
  void *state = aligned_alloc(MNIST_ALIGNMENT, (MNIST_STATE_BYTES + 63) / 64 * 64);
  void *workspace = aligned_alloc(MNIST_ALIGNMENT, (MNIST_TRAIN_STEP_WORKSPACE_BYTES(1) + 63) / 64 * 64 + 64);
  int64_t first_seed = 7;
  float loss, accuracy;
  FILE *out = fopen("host.bin", "wb");
  context.struct_size = sizeof context;
  if (!state || !workspace || !out || mnist_init(&context, state, workspace, &first_seed) != NNC_OK)
    return 1;
  for (int step = 0; step < 100; ++step) {
    for (int i = 0; i < MNIST_TRAIN_STEP_LABEL_COUNT; ++i)
      label[i] = (uint8_t)(draw() % 10);
    for (int i = 0; i < MNIST_TRAIN_STEP_X_COUNT; ++i)
      x[i] = (uint8_t)(draw() % 256);
    if (mnist_train_step(&context, state, workspace, x, label, &loss, &accuracy) != NNC_OK)
      return 2;
    fwrite(&loss, sizeof loss, 1, out);
  }
  fwrite(state, 1, MNIST_STATE_BYTES, out);
  return fclose(out) != 0;
}
