/* A host as it was written for version 1 of the C interface: it trains, predicts, and is refused. */
#include "frozen.h"

#include <stdio.h>
#include <string.h>

static _Alignas(64) unsigned char state[FROZEN_STATE_BYTES], workspace[1 << 20];

int main(void) {
  float x[FROZEN_TRAIN_STEP_X_COUNT], rate = 0.25f, loss = 0, accuracy = 0, y[FROZEN_PREDICT_Y_COUNT];
  uint8_t label[FROZEN_TRAIN_STEP_LABEL_COUNT];
  int64_t seed = 3;
  int32_t best = -1;
  nnc_context context = {0};
  context.struct_size = sizeof context;
  context.workspace_bytes = sizeof workspace;
  for (int i = 0; i < FROZEN_TRAIN_STEP_X_COUNT; ++i)
    x[i] = (float)(i * 5 % 7 - 3);
  for (int i = 0; i < FROZEN_TRAIN_STEP_LABEL_COUNT; ++i)
    label[i] = (uint8_t)(i % 4);
  if (FROZEN_TRAIN_STEP_WORKSPACE_BYTES(1) > sizeof workspace || FROZEN_PREDICT_WORKSPACE_BYTES(1) > sizeof workspace)
    return 1;
  printf("%s, ABI %u, picks %s\n", frozen_info()->model, (unsigned)frozen_info()->abi_version,
         frozen_info()->variants[frozen_pick(&context)].cpu);
  printf("init %s\n", frozen_code_name(frozen_init(&context, state, workspace, &seed)));
  for (int step = 0; step < 20; ++step)
    if (frozen_train_step(&context, state, workspace, x, label, &rate, &loss, &accuracy) != NNC_OK)
      return 2;
  printf("loss %.3f, accuracy %.3f\n", loss, accuracy);
  printf("touch %s\n", frozen_code_name(frozen_touch(&context, state)));
  if (frozen_predict(&context, state, workspace, x, y, &best) != NNC_OK)
    return 3;
  printf("best %d, likely %.3f\n", (int)best, y[best]);

  printf("%s\n", frozen_code_name(frozen_predict(NULL, state, workspace, x, y, &best)));
  printf("%s\n", frozen_code_name(frozen_predict(&context, NULL, workspace, x, y, &best)));
  printf("%s\n", frozen_code_name(frozen_predict(&context, state + 1, workspace, x, y, &best)));
  context.workspace_bytes = FROZEN_TRAIN_STEP_WORKSPACE_BYTES(1) - 1;
  printf("%s\n", frozen_code_name(frozen_train_step(&context, state, workspace, x, label, &rate, &loss, &accuracy)));
  context.workspace_bytes = 0;
  context.variant = 9;
  printf("%s\n", frozen_code_name(frozen_predict(&context, state, workspace, x, y, &best)));
  context.variant = 0;
  label[0] = 4;
  printf("%s\n", frozen_code_name(frozen_train_step(&context, state, workspace, x, label, &rate, &loss, &accuracy)));
  return 0;
}
