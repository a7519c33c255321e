/* The largest error of every entry of models/accuracy.nn, in ULP of the right result.
 *
 *   accuracy MODEL.so STRIDE SAMPLES THREADS [ENTRY]...
 *
 * f32 runs through every STRIDE-th of all numbers and is held against double; f64 through SAMPLES random ones, a third of them of
 * random bits, against long double. pow takes SAMPLES random pairs of either. What is denormal, as an operand or a result, counts
 * as 0; so does what silu and gelu make of a denormal probability. A line an entry: its name, the error in ULP and where, or the word `wrong` for a NaN, an infinity or a 0 out of place. */
#include "runtime/abi.h"

#include <dlfcn.h>
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { chunk = 16384, most_threads = 64 };
typedef long double wide;

/* Both sides are computed, so a loop around it has no branch. */
static inline double pick(int condition, double yes, double no) { return condition ? yes : no; }

/* -x / sqrt(2) as a sum of two, for an error of it counts x^2 times; the products with the first part are exact. */
static wide normal_cdf(wide x) {
  const wide first = 0x1.6ap-1L, rest = 0.70710678118654752440084436210484903928L - first;
  const wide high = -x * first - x * rest, low = fabsl(x) < 100 ? (-x * first - high) - x * rest : 0;
  return 0.5L * erfcl(high) - low * expl(-high * high) * 0.56418958354775628694807945156077258584L;
}

/* R(name, in double, in wide) */
#define REFERENCES(R)                                                                                                            \
  R(exp, exp(x), expl(x))                                                                                                        \
  R(expm1, expm1(x), expm1l(x))                                                                                                  \
  R(log, log(x), logl(x))                                                                                                        \
  R(log1p, log1p(x), log1pl(x))                                                                                                  \
  R(sqrt, sqrt(x), sqrtl(x))                                                                                                     \
  R(rsqrt, 1 / sqrt(x), 1 / sqrtl(x))                                                                                            \
  R(sin, sin(x), sinl(x))                                                                                                        \
  R(cos, cos(x), cosl(x))                                                                                                        \
  R(tan, tan(x), tanl(x))                                                                                                        \
  R(asin, asin(x), asinl(x))                                                                                                     \
  R(acos, acos(x), acosl(x))                                                                                                     \
  R(atan, atan(x), atanl(x))                                                                                                     \
  R(sinh, sinh(x), sinhl(x))                                                                                                     \
  R(cosh, cosh(x), coshl(x))                                                                                                     \
  R(tanh, tanh(x), tanhl(x))                                                                                                     \
  R(asinh, asinh(x), asinhl(x))                                                                                                  \
  R(acosh, acosh(x), acoshl(x))                                                                                                  \
  R(atanh, atanh(x), atanhl(x))                                                                                                  \
  R(erf, erf(x), erfl(x))                                                                                                        \
  R(normal_cdf, 0.5 * erfc(-x * M_SQRT1_2), normal_cdf(x))                                                                       \
  R(sigmoid, 1 / (1 + exp(-x)), 1 / (1 + expl(-x)))                                                                              \
  R(hard_sigmoid, pick(x < -3, 0, pick(x > 3, 1, (x + 3) / 6)), x < -3 ? 0 : x > 3 ? 1 : (x + 3) / 6)                            \
  R(softplus, pick(x > 700, x, log1p(exp(x))), x > 700 ? x : log1pl(expl(x)))                                                    \
  R(elu, pick(x > 0, x, expm1(x)), x > 0 ? x : expm1l(x))                                                                        \
  R(silu, pick(x < -700, 0 * x, x / (1 + exp(-x))), x < -11000 ? 0 * x : x / (1 + expl(-x)))                                     \
  R(gelu, pick(x < -30, 0 * x, x * 0.5 * erfc(-x * M_SQRT1_2)), x < -60 ? 0 * x : x * normal_cdf(x))                             \
  R(log_softmax, pick(x < -700, x, x - x - log1p(exp(-x))), x < -700 ? x : x - x - log1pl(expl(-x)))                             \
  R(cube, x * x * x, x * x * x)                                                                                                  \
  R(fourth, x * x * x * x, x * x * x * x)                                                                                        \
  R(inverse_square, 1 / (x * x), 1 / (x * x))                                                                                    \
  R(seventh, pow(x, 7), powl(x, 7))                                                                                              \
  R(three_halves, pow(x, 1.5), powl(x, 1.5L))                                                                                    \
  R(two_to, pow(2, x), exp2l(x))

#define IN_DOUBLE(name, narrow, other)                                                                                           \
  static void name##_in_double(const float *in, double *out) {                                                                   \
    _Pragma("omp simd") for (int i = 0; i < chunk; ++i) {                                                                        \
      const double x = in[i];                                                                                                    \
      out[i] = narrow;                                                                                                           \
    }                                                                                                                            \
  }
#define IN_WIDE(name, narrow, other)                                                                                             \
  static wide name##_in_wide(wide x) { return other; }
REFERENCES(IN_DOUBLE)
REFERENCES(IN_WIDE)

#define ROW(name, narrow, other) {#name, name##_in_double, name##_in_wide},
static const struct reference {
  const char *name;
  void (*in_double)(const float *in, double *out);
  wide (*in_wide)(wide x);
} references[] = {REFERENCES(ROW)};

typedef struct worst {
  double ulp; /* infinite: wrong */
  double x, y, got;
} worst;

/* The distance in units of the last place of `right`, for a format of so many digits. */
static double error_of(double got, wide right, int digits, double least, double largest) {
  const wide magnitude = fabsl(right);
  int exponent;
  if (isnan(right) || isnan(got))
    return isnan(right) && isnan(got) ? 0 : INFINITY;
  if (magnitude < least)
    return fabs(got) <= least ? 0 : INFINITY;
  if (magnitude > largest || isinf(got)) { /* as good as the largest number, or infinity in its place */
    const int near = magnitude > largest * (1 - 4 * ldexp(1, -digits)) && fabs(got) > largest * (1 - 4 * ldexp(1, -digits));
    return near && (got > 0) == (right > 0) ? 0 : INFINITY;
  }
  frexpl(magnitude, &exponent);
  return (double)(fabsl(got - right) / ldexpl(1, exponent - digits));
}

/* The same for f32, of bits. */
static inline double error_of_f32(float got, double right, double least) {
  uint64_t bits;
  double unit;
  const double magnitude = fabs(right);
  if (!(magnitude >= least && magnitude <= FLT_MAX && fabsf(got) <= FLT_MAX))
    return error_of(got, right, FLT_MANT_DIG, least, FLT_MAX);
  memcpy(&bits, &right, sizeof bits);
  bits = (bits & 0x7FF0000000000000) - ((uint64_t)(FLT_MANT_DIG - 1) << 52);
  memcpy(&unit, &bits, sizeof unit);
  return fabs(got - right) / unit;
}

static uint64_t next_random(uint64_t *state) { /* splitmix64 (Vigna) */
  uint64_t z = *state += 0x9E3779B97F4A7C15;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
  z = (z ^ z >> 27) * 0x94D049BB133111EB;
  return z ^ z >> 31;
}

/* Random bits, or evenly spread over 1, 40 or 750 either way (of f32: 100). */
static double random_f64(uint64_t *state, int64_t i) {
  static const double reach[] = {0, 1, 0, 40, 0, 750};
  uint64_t bits = next_random(state);
  double x = (double)(int64_t)bits * 0x1p-63 * reach[i % 6];
  if (i % 6 == 0)
    memcpy(&x, &bits, sizeof x);
  else if (reach[i % 6] == 0)
    x = (double)(int64_t)bits * 0x1p-63 * 8;
  return fabs(x) < DBL_MIN ? 0 : x;
}

/* Pairs whose power is a number more often than not. */
static void random_pair(uint64_t *state, int64_t i, double size, double *x, double *y) {
  const double u = (double)(next_random(state) >> 11) * 0x1p-53, v = (double)(int64_t)next_random(state) * 0x1p-63;
  switch (i % 4) {
  case 0:
    *x = random_f64(state, 0), *y = random_f64(state, 0);
    break;
  case 1:
    *x = exp(size * v), *y = 2 * u - 1;
    break;
  case 2:
    *x = 1 + v * 0.01, *y = 100 * size * (2 * u - 1);
    break;
  default:
    *x = 30 * v, *y = floor(80 * u) - 40;
    break;
  }
}

struct work {
  const nnc_entry_info *entry;
  uint64_t state_bytes;
  int64_t stride, samples;
  int thread, threads;
  worst found;
};

static void *block(uint64_t bytes) {
  void *memory = aligned_alloc(64, (bytes + 127) / 64 * 64);
  if (!memory)
    abort();
  return memset(memory, 0, bytes);
}

static void keep(worst *found, double ulp, double x, double y, double got) {
  if (ulp > found->ulp)
    *found = (worst){ulp, x, y, got};
}

static void *measure(void *of) {
  struct work *work = of;
  const nnc_entry_info *entry = work->entry;
  /* A product of x and a probability is as good as that while it is normal. */
  const double reach = strncmp(entry->name, "silu", 4) == 0 ? 1000 : strncmp(entry->name, "gelu", 4) == 0 ? 50 : 1;
  const int f32 = entry->inputs[0].dtype == NNC_F32, pairs = entry->input_count == 2;
  const struct reference *reference = references;
  const size_t length = strlen(entry->name) - 4;
  const int64_t count = f32 && !pairs ? ((INT64_C(1) << 32) + work->stride - 1) / work->stride : work->samples;
  void *state = block(work->state_bytes), *workspace = block(entry->workspace_bytes + entry->slot_bytes), *in[2], *out = block(8 * chunk);
  double *right = block(8 * chunk), *xs = block(8 * chunk), *ys = block(8 * chunk);
  uint64_t seed = (uint64_t)work->thread + 1;
  nnc_context context = {.struct_size = sizeof context, .threads = 1};
  in[0] = block(8 * chunk), in[1] = block(8 * chunk);
  while (!pairs && (strlen(reference->name) != length || memcmp(reference->name, entry->name, length) != 0))
    ++reference;
  for (int64_t first = (int64_t)work->thread * chunk; first < count; first += (int64_t)work->threads * chunk) {
    for (int i = 0; i < chunk; ++i) {
      if (pairs) {
        random_pair(&seed, i, f32 ? 87 : 700, &xs[i], &ys[i]);
      } else if (!f32) {
        xs[i] = random_f64(&seed, i);
      } else {
        const uint32_t bits = (uint32_t)((first + i) * work->stride);
        float x;
        memcpy(&x, &bits, sizeof x);
        ((float *)in[0])[i] = fabsf(x) < FLT_MIN ? 0 : x;
        continue;
      }
      if (f32) {
        ((float *)in[0])[i] = fabs(xs[i]) < FLT_MIN ? 0 : (float)xs[i];
        ((float *)in[1])[i] = fabs(ys[i]) < FLT_MIN ? 0 : (float)ys[i];
      } else {
        ((double *)in[0])[i] = fabs(xs[i]) < DBL_MIN ? 0 : xs[i];
        ((double *)in[1])[i] = fabs(ys[i]) < DBL_MIN ? 0 : ys[i];
      }
    }
    if (entry->call(&context, state, workspace, (const void *const *)in, &out))
      abort();
    if (f32 && !pairs)
      reference->in_double(in[0], right);
    for (int i = 0; i < chunk; ++i)
      if (f32) {
        const float *x = in[0], *y = in[1], *got = out;
        if (pairs)
          right[i] = pow(x[i], y[i]);
        keep(&work->found, error_of_f32(got[i], right[i], reach * FLT_MIN), x[i], y[i], got[i]);
      } else {
        const double *x = in[0], *y = in[1], *got = out;
        const wide truth = pairs ? powl(x[i], y[i]) : reference->in_wide(x[i]);
        keep(&work->found, error_of(got[i], truth, DBL_MANT_DIG, reach * DBL_MIN, DBL_MAX), x[i], y[i], got[i]);
      }
  }
  return 0;
}

static int is_wanted(const char *name, char **names, int count) {
  for (int i = 0; i < count; ++i)
    if (strcmp(name, names[i]) == 0)
      return 1;
  return count == 0;
}

int main(int argc, char **argv) {
  void *library = argc < 5 ? 0 : dlopen(argv[1], RTLD_NOW);
  const nnc_model_info *(*query)(void) = library ? (const nnc_model_info *(*)(void))dlsym(library, "nnc_model") : 0;
  if (!query) {
    fprintf(stderr, "%s\n", argc < 5 ? "accuracy MODEL.so STRIDE SAMPLES THREADS [ENTRY]..." : dlerror());
    return 2;
  }
  const nnc_model_info *info = query();
  const int threads = atoi(argv[4]) < most_threads ? atoi(argv[4]) : most_threads;
  for (uint32_t e = 0; e < info->entry_count; ++e) {
    const nnc_entry_info *entry = &info->entries[e];
    pthread_t handles[most_threads];
    struct work works[most_threads];
    worst found = {-1, 0, 0, 0};
    if (strcmp(entry->name, "init") == 0 || !is_wanted(entry->name, argv + 5, argc - 5))
      continue;
    for (int i = 0; i < threads; ++i) {
      works[i] = (struct work){entry, info->state_bytes, atoll(argv[2]), atoll(argv[3]), i, threads, {-1, 0, 0, 0}};
      if (pthread_create(&handles[i], 0, measure, &works[i]))
        abort();
    }
    for (int i = 0; i < threads; ++i) {
      pthread_join(handles[i], 0);
      keep(&found, works[i].found.ulp, works[i].found.x, works[i].found.y, works[i].found.got);
    }
    printf(isinf(found.ulp) ? "%s wrong" : "%s %.2f", entry->name, found.ulp);
    printf(entry->input_count == 2 ? " at %a, %a" : " at %a", found.x, found.y);
    printf(": %a\n", found.got);
    fflush(stdout);
  }
  return 0;
}
