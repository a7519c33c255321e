/* Fills the state of a model from the bytes of a .safetensors file: one header for C99 and C++, over memory that the host has
 * read, mapped or linked in. It allocates nothing and calls memcmp, memcpy and strlen.
 *
 *   const char *wrong = nnc_read_weights(xor_info(), state, bytes, size, &name);
 *   if (wrong) fprintf(stderr, "%s: %s\n", name, wrong);
 *   else code = xor_touch(&context, state);
 *
 * The whole header is looked at before anything is written. Time grows with the header's length times the number of states. */
#ifndef NNC_READ_WEIGHTS_H
#define NNC_READ_WEIGHTS_H

#include "runtime/abi.h"

#include <string.h>

/* Where a reader of the header is; `at` becomes NULL with the first thing that is not as it should be. */
typedef struct nnc_json_cursor {
  const char *at, *end;
} nnc_json_cursor;

typedef struct nnc_json_string { /* escapes stay as they are written: no name of a state has any */
  const char *text;
  uint64_t length;
} nnc_json_string;

typedef struct nnc_stored_tensor {
  nnc_json_string name, dtype;
  uint64_t rank, shape[32], begin, end;
  int parts; /* bits: dtype, shape, data_offsets were there */
} nnc_stored_tensor;

static inline void nnc_json_space(nnc_json_cursor *c) {
  while (c->at && c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
    ++c->at;
}

/* Whether `sign` is next; it is taken then. */
static inline int nnc_json_takes(nnc_json_cursor *c, char sign) {
  nnc_json_space(c);
  if (!c->at || c->at == c->end || *c->at != sign)
    return 0;
  ++c->at;
  return 1;
}

static inline void nnc_json_expect(nnc_json_cursor *c, char sign) {
  if (!nnc_json_takes(c, sign))
    c->at = NULL;
}

static inline nnc_json_string nnc_json_text(nnc_json_cursor *c) {
  nnc_json_string string = {"", 0};
  nnc_json_expect(c, '"');
  if (!c->at)
    return string;
  string.text = c->at;
  while (c->at < c->end && *c->at != '"')
    c->at += *c->at == '\\' && c->end - c->at > 1 ? 2 : 1;
  string.length = (uint64_t)(c->at - string.text);
  nnc_json_expect(c, '"');
  return string;
}

static inline uint64_t nnc_json_number(nnc_json_cursor *c) {
  uint64_t number = 0;
  const char *start;
  nnc_json_space(c);
  start = c->at;
  while (c->at && c->at < c->end && *c->at >= '0' && *c->at <= '9') {
    if (number > (UINT64_MAX - 9) / 10) {
      c->at = NULL;
      return 0;
    }
    number = number * 10 + (uint64_t)(*c->at++ - '0');
  }
  if (c->at == start)
    c->at = NULL;
  return number;
}

/* The numbers of [a, b, …], at most `most`; how many there were. */
static inline uint64_t nnc_json_numbers(nnc_json_cursor *c, uint64_t *numbers, uint64_t most) {
  uint64_t count = 0;
  nnc_json_expect(c, '[');
  if (nnc_json_takes(c, ']'))
    return 0;
  while (c->at) {
    const uint64_t number = nnc_json_number(c);
    if (count == most)
      c->at = NULL;
    else
      numbers[count++] = number;
    if (nnc_json_takes(c, ']'))
      break;
    nnc_json_expect(c, ',');
  }
  return count;
}

static inline int nnc_json_is(nnc_json_string string, const char *text) {
  return strlen(text) == string.length && memcmp(string.text, text, string.length) == 0;
}

/* The next tensor of the header; 0 at its end. Metadata is passed over. `c` is behind the header's `{` at first. */
static inline int nnc_next_tensor(nnc_json_cursor *c, int *first, nnc_stored_tensor *tensor) {
  for (;;) {
    uint64_t offsets[2] = {0, 0};
    if (nnc_json_takes(c, '}') || !c->at)
      return 0;
    if (!*first)
      nnc_json_expect(c, ',');
    *first = 0;
    tensor->parts = 0;
    tensor->name = nnc_json_text(c);
    nnc_json_expect(c, ':');
    nnc_json_expect(c, '{');
    if (!c->at)
      return 0;
    if (nnc_json_is(tensor->name, "__metadata__")) {
      if (nnc_json_takes(c, '}'))
        continue;
      do {
        nnc_json_text(c);
        nnc_json_expect(c, ':');
        nnc_json_text(c);
      } while (nnc_json_takes(c, ','));
      nnc_json_expect(c, '}');
      continue;
    }
    do {
      const nnc_json_string key = nnc_json_text(c);
      nnc_json_expect(c, ':');
      if (nnc_json_is(key, "dtype")) {
        tensor->parts |= 1;
        tensor->dtype = nnc_json_text(c);
      } else if (nnc_json_is(key, "shape")) {
        tensor->parts |= 2;
        tensor->rank = nnc_json_numbers(c, tensor->shape, 32);
      } else if (nnc_json_is(key, "data_offsets") && nnc_json_numbers(c, offsets, 2) == 2) {
        tensor->parts |= 4;
        tensor->begin = offsets[0];
        tensor->end = offsets[1];
      } else {
        c->at = NULL;
      }
    } while (nnc_json_takes(c, ','));
    nnc_json_expect(c, '}');
    if (tensor->parts != 7)
      c->at = NULL;
    return c->at != NULL;
  }
}

static inline int nnc_has_type(const nnc_stored_tensor *tensor, const nnc_tensor_info *info) {
  static const char *const names[] = {"F32", "F64", "U8", "I32", "I64", "BOOL", "BF16", "F16", "I8"};
  uint64_t i;
  if (info->dtype >= sizeof names / sizeof *names || !nnc_json_is(tensor->dtype, names[info->dtype]) ||
      tensor->rank != info->rank)
    return 0;
  for (i = 0; i < info->rank; ++i)
    if (tensor->shape[i] != (uint64_t)info->shape[i])
      return 0;
  return 1;
}

/* NULL where all went well; else what is wrong, and in *name, which may be NULL, of which tensor ("" of the file). Nothing is
 * written then. Trained tensors must be in the file; what else the model carries and the file does not have stays as it is. */
static inline const char *nnc_read_weights(const nnc_model_info *model, void *state, const void *file, uint64_t size,
                                           const char **name) {
  const char *const bytes = (const char *)file;
  const char *data;
  uint64_t length = 0, data_bytes, i;
  nnc_stored_tensor tensor;
  nnc_json_cursor start, c;
  int copy, first;
  const char *none = "";
  if (!name)
    name = &none;
  *name = "";
  if (size < 8)
    return "the file is truncated";
  for (i = 8; i-- > 0;)
    length = length << 8 | (unsigned char)bytes[i]; /* little-endian on every machine */
  if (length > size - 8)
    return "the file is truncated";
  data = bytes + 8 + length;
  data_bytes = size - 8 - length;
  start.at = bytes + 8;
  start.end = data;
  nnc_json_expect(&start, '{');
  for (c = start, first = 1; nnc_next_tensor(&c, &first, &tensor);)
    if (tensor.begin > tensor.end || tensor.end > data_bytes)
      return "a tensor of the file lies beyond its end";
  nnc_json_space(&c);
  if (c.at != c.end)
    return "the header is not that of a .safetensors file";

  for (copy = 0; copy < 2; ++copy) {
    const nnc_tensor_info *info = model->states;
    for (i = 0; i < model->state_count; ++i) {
      int found = 0;
      for (c = start, first = 1; !found && nnc_next_tensor(&c, &first, &tensor);)
        found = nnc_json_is(tensor.name, info->name);
      *name = info->name;
      if (!found && info->trained)
        return "the file has no tensor of this name, which the model needs";
      if (found && (!nnc_has_type(&tensor, info) || tensor.end - tensor.begin != info->bytes))
        return "the tensor of this name has another type or size";
      if (found && copy && info->bytes)
        memcpy((char *)state + info->offset, data + tensor.begin, info->bytes);
      info = (const nnc_tensor_info *)((const char *)info + info->struct_size); /* a later version's are longer */
    }
  }
  *name = "";
  return NULL;
}

#endif
