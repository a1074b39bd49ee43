#include "operators/common/temporal.h"
#include "core/memory.h"
#include "operators/common/network.h"
#include <math.h>
#include <string.h>

/* State: a header, then `steps` rows with the chunk's elements in one piece, filled up to whole rows of lanes. The
 * oldest row is written over. */
typedef struct header {
  int64_t seen; /* steps */
  int64_t unused[7];
} header;

typedef struct context {
  weir__network *one, *all; /* that give the value wanted of a full window, and all of them */
} context;

static int64_t padded(int64_t n, weir__kind kind) {
  int64_t lanes = weir__lanes(kind);
  return (n + lanes - 1) / lanes * lanes;
}

static weir__kind kind_of(const weir_field_type *type) { return weir__kind_of(type->dtype, type->has_fill); }

size_t weir__temporal_state(const void *params, const weir_field_type *const *in, const weir_region *out) {
  const weir__temporal *p    = params;
  weir__kind            kind = kind_of(in[0]);
  return sizeof(header) + (size_t)p->steps * (size_t)padded(weir__region_size(out), kind) * weir__kind_size(kind);
}

/* Lanes, results, a row of doubles. */
size_t weir__temporal_scratch(const void *params, const weir_field_type *const *in, const weir_region *out) {
  const weir__temporal *p    = params;
  weir__kind            kind = kind_of(in[0]);
  return (size_t)p->steps * WEIR__LANE_BYTES + (size_t)padded(weir__region_size(out), kind) * weir__kind_size(kind) +
         (size_t)(out->rank ? out->count[out->rank - 1] : 1) * sizeof(double);
}

weir_status weir__temporal_infer(weir_infer *infer) {
  const weir_field_type *in = infer->in[0];
  infer->out[0]             = weir__result_type(in, in->dtype, in->units);
  infer->out[0].has_fill    = in->has_fill;
  infer->out[0].fill        = in->fill;
  return WEIR_OK;
}

void weir__temporal_release(void *shared) {
  context *c = shared;
  if (!c) return;
  weir__free(c->one);
  weir__free(c->all);
  weir__free(c);
}

weir_status weir__temporal_prepare(const void *params, const weir_field_type *const *in, void **shared) {
  const weir__temporal *p      = params;
  weir_status           status = WEIR_OK;
  context              *c      = NULL;
  (void)in;
  WEIR_TRY(weir__alloc_zeroed(sizeof *c, 0, &c));
  WEIR_TRY_GOTO(out, weir__network_create(p->steps, weir__percentile_rank(p->steps, p->percent), &c->one));
  WEIR_TRY_GOTO(out, weir__network_create(p->steps, -1, &c->all));
  *shared = c;
  c       = NULL;
out:
  weir__temporal_release(c);
  return status;
}

/* ---- one row of lanes ---- */

typedef struct window {
  const context *context;
  int64_t        steps, filled; /* rows of the window, and those that have been written */
  int64_t        stride;        /* elements from row to row */
  double         percent;
} window;

/* What is missing is taken for the largest value: the valid ones come first, and are counted. */
#define SELECT(NAME, TYPE, KIND, LARGEST, IS_VALID)                                                                    \
  static void NAME(const window *w, const TYPE *ring, TYPE *lanes, TYPE *result) {                                     \
    enum { LANES = WEIR__LANE_BYTES / sizeof(TYPE) };                                                                  \
    int32_t valid[LANES] = {0};                                                                                        \
    int64_t total        = 0;                                                                                          \
    for (int64_t k = 0; k < w->filled; k++)                                                                            \
      for (int i = 0; i < LANES; i++) {                                                                                \
        TYPE x = ring[k * w->stride + i];                                                                              \
        valid[i] += IS_VALID(x);                                                                                       \
        lanes[k * LANES + i] = IS_VALID(x) ? x : (LARGEST);                                                            \
      }                                                                                                                \
    for (int64_t i = w->filled * LANES; i < w->steps * LANES; i++) lanes[i] = (LARGEST);                               \
    for (int i = 0; i < LANES; i++) total += valid[i];                                                                 \
    if (total == w->steps * LANES) {                                                                                   \
      weir__network_run(w->context->one, KIND, lanes);                                                                 \
      memcpy(result, lanes + weir__percentile_rank(w->steps, w->percent) * LANES, WEIR__LANE_BYTES);                   \
      return;                                                                                                          \
    }                                                                                                                  \
    weir__network_run(w->context->all, KIND, lanes);                                                                   \
    for (int i = 0; i < LANES; i++)                                                                                    \
      result[i] = valid[i] ? lanes[weir__percentile_rank(valid[i], w->percent) * LANES + i] : (TYPE)NOTHING;           \
  }
#define ALWAYS(x) 1
#define NUMBER(x) ((x) == (x))
#define NOTHING   0 /* does not happen: integers are always valid */
SELECT(select_u8, uint8_t, WEIR__KIND_U8, UINT8_MAX, ALWAYS)
SELECT(select_u16, uint16_t, WEIR__KIND_U16, UINT16_MAX, ALWAYS)
#undef NOTHING
#define NOTHING NAN
SELECT(select_f32, float, WEIR__KIND_F32, (float)INFINITY, NUMBER)
SELECT(select_f64, double, WEIR__KIND_F64, (double)INFINITY, NUMBER)

static void select_all(const window *w, weir__kind kind, const char *ring, void *lanes, char *result, int64_t n) {
  for (int64_t i = 0; i < n * (int64_t)weir__kind_size(kind); i += WEIR__LANE_BYTES) {
    const void *from = ring + i;
    void       *to   = result + i;
    switch (kind) {
    case WEIR__KIND_U8: select_u8(w, from, lanes, to); break;
    case WEIR__KIND_U16: select_u16(w, from, lanes, to); break;
    case WEIR__KIND_F32: select_f32(w, from, lanes, to); break;
    case WEIR__KIND_F64: select_f64(w, from, lanes, to); break;
    }
  }
}

weir_status weir__temporal_apply(const weir_apply *a) {
  const weir__temporal *p    = a->params;
  const weir_view      *out  = &a->out[0];
  header               *h    = a->state;
  weir__kind            kind = kind_of(a->in_type[0]);
  int64_t n = weir_view_size(out), stride = padded(n, kind), size = (int64_t)weir__kind_size(kind), at = 0;
  int64_t index[WEIR_RANK_MAX] = {0}, row = weir_view_row(out) * size;
  char   *ring = (char *)(h + 1), *here = ring + h->seen % p->steps * stride * size;
  char   *lanes = a->scratch, *result = lanes + p->steps * WEIR__LANE_BYTES;
  double *buffer = (double *)(void *)(result + stride * size);
  if (n) do {
      weir__pixels_load(&a->in[0], index, row / size, kind, here + at, buffer);
      at += row;
    } while (weir_view_next_row(out, index));
  h->seen++;
  if (h->seen < p->steps && !p->partial) return WEIR_END; /* the window is not full: there is no value */
  window w = {a->context, p->steps, h->seen < p->steps ? h->seen : p->steps, stride, p->percent};
  select_all(&w, kind, ring, lanes, result, n);
  memset(index, 0, sizeof index);
  at = 0;
  if (n) do {
      weir__pixels_store(out, index, row / size, kind, result + at, buffer);
      at += row;
    } while (weir_view_next_row(out, index));
  return WEIR_OK;
}
