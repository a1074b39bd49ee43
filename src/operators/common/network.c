#include "operators/common/network.h"
#include "core/memory.h"
#include <string.h>

/* List the comparators, or count them when `to` is NULL. */
static int64_t list(int64_t n, weir__comparator *to) {
  int64_t count = 0, top = 1;
  while (2 * top < n) top *= 2;
  for (int64_t p = n > 1 ? top : 0; p > 0; p /= 2) {
    for (int64_t q = top, r = 0, d = p;; d = q - p, q /= 2, r = p) {
      for (int64_t i = 0; i + d < n; i++) {
        if ((i & p) != r) continue;
        if (to) to[count] = (weir__comparator){(uint16_t)i, (uint16_t)(i + d), true, true};
        count++;
      }
      if (q == p) break;
    }
  }
  return count;
}

/* Leave out what row `rank` does not depend on, going back from the end. `wanted` is all false. */
static int64_t prune(weir__comparator *c, int64_t count, int64_t rank, bool *wanted) {
  int64_t kept = 0;
  wanted[rank] = true;
  for (int64_t k = count - 1; k >= 0; k--) {
    c[k].keep_low  = wanted[c[k].low];
    c[k].keep_high = wanted[c[k].high];
    if (c[k].keep_low || c[k].keep_high) wanted[c[k].low] = wanted[c[k].high] = true;
  }
  for (int64_t k = 0; k < count; k++)
    if (c[k].keep_low || c[k].keep_high) c[kept++] = c[k];
  return kept;
}

weir_status weir__network_create(int64_t values, int64_t rank, weir__network **network) {
  int64_t        count = list(values, NULL);
  weir__network *self  = NULL;
  bool          *wanted;
  WEIR_TRY(weir__alloc_zeroed(sizeof *self + (size_t)count * sizeof self->comparator[0], 0, &self));
  self->values = values;
  self->count  = list(values, self->comparator);
  if (rank >= 0) {
    weir_status status = weir__alloc_zeroed((size_t)values * sizeof *wanted, 0, &wanted);
    if (status < 0) {
      weir__free(self);
      return status;
    }
    self->count = prune(self->comparator, self->count, rank, wanted);
    weir__free(wanted);
  }
  *network = self;
  return WEIR_OK;
}

/* Each loop is as long as a row: a few vector instructions. */
#define RUN(NAME, TYPE)                                                                                                \
  static void NAME(const weir__network *network, TYPE *lanes) {                                                        \
    enum { LANES = WEIR__LANE_BYTES / sizeof(TYPE) };                                                                  \
    for (int64_t k = 0; k < network->count; k++) {                                                                     \
      weir__comparator c = network->comparator[k];                                                                     \
      TYPE *restrict a = lanes + (int64_t)c.low * LANES, *restrict b = lanes + (int64_t)c.high * LANES;                \
      if (c.keep_low && c.keep_high) {                                                                                 \
        for (int i = 0; i < LANES; i++) {                                                                              \
          TYPE x = a[i], y = b[i];                                                                                     \
          a[i] = x < y ? x : y;                                                                                        \
          b[i] = x < y ? y : x;                                                                                        \
        }                                                                                                              \
      } else {                                                                                                         \
        TYPE kept[LANES]; /* apart: a store under a condition is no vector instruction */                              \
        if (c.keep_low)                                                                                                \
          for (int i = 0; i < LANES; i++) kept[i] = a[i] < b[i] ? a[i] : b[i];                                         \
        else                                                                                                           \
          for (int i = 0; i < LANES; i++) kept[i] = a[i] < b[i] ? b[i] : a[i];                                         \
        memcpy(c.keep_low ? a : b, kept, sizeof kept);                                                                 \
      }                                                                                                                \
    }                                                                                                                  \
  }
RUN(run_u8, uint8_t)
RUN(run_u16, uint16_t)
#undef RUN

/* The same for floating types, whose comparisons compilers turn into branches: vectors of 16 bytes, chosen from by
 * masks. Both rows are always written, which costs less than asking. */
#define RUN(NAME, TYPE, MASK)                                                                                          \
  typedef TYPE NAME##_vector __attribute__((vector_size(16)));                                                         \
  typedef MASK NAME##_mask __attribute__((vector_size(16)));                                                           \
  static void  NAME(const weir__network *network, TYPE *lanes) {                                                       \
     for (int64_t k = 0; k < network->count; k++) {                                                                    \
       weir__comparator c = network->comparator[k];                                                                    \
       char            *a = (char *)lanes + (int64_t)c.low * WEIR__LANE_BYTES,                                         \
            *b            = (char *)lanes + (int64_t)c.high * WEIR__LANE_BYTES;                                        \
       for (int i = 0; i < WEIR__LANE_BYTES; i += 16) {                                                                \
         NAME##_vector x, y;                                                                                           \
         memcpy(&x, a + i, sizeof x);                                                                                  \
         memcpy(&y, b + i, sizeof y);                                                                                  \
         NAME##_mask less = x < y, p = (NAME##_mask)x, q = (NAME##_mask)y, low = (p & less) | (q & ~less),             \
                     high = (q & less) | (p & ~less);                                                                  \
         memcpy(a + i, &low, sizeof low);                                                                              \
         memcpy(b + i, &high, sizeof high);                                                                            \
      }                                                                                                               \
    }                                                                                                                 \
  }
RUN(run_f32, float, int32_t)
RUN(run_f64, double, int64_t)
#undef RUN

void weir__network_run(const weir__network *network, weir__kind kind, void *lanes) {
  switch (kind) {
  case WEIR__KIND_U8: run_u8(network, lanes); break;
  case WEIR__KIND_U16: run_u16(network, lanes); break;
  case WEIR__KIND_F32: run_f32(network, lanes); break;
  case WEIR__KIND_F64: run_f64(network, lanes); break;
  }
}
