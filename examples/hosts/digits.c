/* A C program with a network inside: mnist.a is linked into it, and nothing else is needed. It trains on digits, counts how
 * many of those put aside are recognised, and looks at one of them.
 *
 *   nnc examples/mnist.nn -o mnist.a                           # and mnist.h
 *   cc -O2 -I. examples/hosts/digits.c mnist.a -o digits
 *   gzip -dc data/mnist-subset/train-images-idx3-ubyte.gz > images
 *   gzip -dc data/mnist-subset/train-labels-idx1-ubyte.gz > labels
 *   ./digits images labels
 */
#include "mnist.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = MNIST_TRAIN_STEP_LABEL_COUNT, PIXELS = MNIST_PREDICT_X_COUNT, CLASSES = MNIST_PREDICT_Y_COUNT };

/* The whole file but its first `skip` bytes. */
static unsigned char *read_file(const char *name, size_t skip, size_t *size) {
  FILE *file = fopen(name, "rb");
  unsigned char *bytes = NULL;
  long end;
  if (file && fseek(file, 0, SEEK_END) == 0 && (end = ftell(file)) > (long)skip && (bytes = malloc((size_t)end - skip))) {
    *size = (size_t)end - skip;
    if (fseek(file, (long)skip, SEEK_SET) != 0 || fread(bytes, 1, *size, file) != *size)
      bytes = NULL;
  }
  if (!bytes) {
    fprintf(stderr, "digits: cannot read %s\n", name);
    exit(1);
  }
  fclose(file);
  return bytes;
}

/* Memory as entries want it; aligned_alloc takes multiples of the alignment. */
static void *block(uint64_t bytes) {
  void *memory = aligned_alloc(MNIST_ALIGNMENT, (bytes + MNIST_ALIGNMENT) / MNIST_ALIGNMENT * MNIST_ALIGNMENT);
  if (!memory) {
    fprintf(stderr, "digits: no memory\n");
    exit(1);
  }
  return memory;
}

static void check(int32_t code, const char *what) {
  if (code != NNC_OK) {
    fprintf(stderr, "digits: %s returned %d\n", what, (int)code);
    exit(1);
  }
}

static uint64_t larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

int main(int argc, char **argv) {
  size_t image_bytes, count;
  if (argc != 3) {
    fprintf(stderr, "usage: digits IMAGES LABELS\n");
    return 1;
  }
  const unsigned char *images = read_file(argv[1], 16, &image_bytes), *labels = read_file(argv[2], 8, &count);
  const size_t kept = 8 * BATCH, trained = (count - kept) / BATCH;
  if (image_bytes != count * PIXELS || count < 9 * BATCH) {
    fprintf(stderr, "digits: %zu labels for %zu images, and at least %d are needed\n", count, image_bytes / PIXELS, 9 * BATCH);
    return 1;
  }

  nnc_context context = {0};
  context.struct_size = sizeof context;
  void *state = block(MNIST_STATE_BYTES);
  void *workspace = block(
      larger(MNIST_TRAIN_STEP_WORKSPACE_BYTES(1), larger(MNIST_EVALUATE_WORKSPACE_BYTES(1), MNIST_PREDICT_WORKSPACE_BYTES(1))));
  const int64_t seed = 1;
  check(mnist_init(&context, state, workspace, &seed), "init");

  for (int epoch = 1; epoch <= 3; ++epoch) {
    float loss, accuracy, total = 0;
    for (size_t i = 0; i < trained; ++i, total += loss)
      check(mnist_train_step(&context, state, workspace, images + i * BATCH * PIXELS, labels + i * BATCH, &loss, &accuracy),
            "train_step");
    printf("epoch %d  loss %.4f\n", epoch, total / (float)trained);
  }

  int64_t correct = 0;
  for (size_t i = count - kept; i < count; i += BATCH) {
    int32_t right;
    check(mnist_evaluate(&context, state, workspace, images + i * PIXELS, labels + i, &right), "evaluate");
    correct += right;
  }
  printf("%lld of %zu digits recognised\n", (long long)correct, kept);

  float x[PIXELS], y[CLASSES];
  int best = 0;
  for (int i = 0; i < PIXELS; ++i)
    x[i] = images[(count - 1) * PIXELS + i] / 255.0f;
  check(mnist_predict(&context, state, workspace, x, y), "predict");
  for (int i = 1; i < CLASSES; ++i)
    best = y[i] > y[best] ? i : best;
  printf("the last one is a %d, with a probability of %.2f; its label says %d\n", best, y[best], labels[count - 1]);
  return 0;
}
