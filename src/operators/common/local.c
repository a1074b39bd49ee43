#include "operators/common/local.h"
#include "core/memory.h"
#include <string.h>

weir_status weir__local_infer(weir_infer *infer, const char *operator_name) {
  const weir__local *p = infer->params;
  if (p->size % 2 == 0)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: size is %lld, expected an odd number", operator_name, (long long)p->size);
  return weir__image_infer_same(infer, operator_name);
}

weir_status weir__local_need(const void *params, const weir_field_type *const *in, int input, const weir_region *out,
                             weir_region *region) {
  const weir__local *p = params;
  (void)in, (void)input;
  weir__image_widen(out, p->size / 2, region);
  return WEIR_OK;
}

static bool is_extreme(const weir__local *p) { return p->percent == 0 || p->percent == 100; }

weir_status weir__local_prepare(const void *params, const weir_field_type *const *in, void **context) {
  const weir__local *p     = params;
  int64_t            count = p->size * p->size;
  weir__network     *network;
  (void)in;
  if (is_extreme(p) || p->size / 2 > WEIR__LOCAL_NETWORK) return WEIR_OK;
  WEIR_TRY(weir__network_create(count, weir__percentile_rank(count, p->percent), &network));
  *context = network;
  return WEIR_OK;
}

void weir__local_release(void *context) { weir__free(context); }

static size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

static size_t plane_bytes(weir__kind kind, int64_t rows, int64_t columns) {
  return aligned((size_t)rows * (size_t)columns * weir__kind_size(kind));
}

static size_t work_bytes(const weir__local *p, weir__kind kind, int64_t rows, int64_t columns) {
  return is_extreme(p) ? weir__local_extreme_memory(kind, rows, columns, p->size / 2)
                       : weir__local_rank_memory(kind, rows, columns, p->size / 2);
}

/* The plane with its halo, results, a row of doubles, what the method needs. */
size_t weir__local_scratch(const void *params, const weir_field_type *const *in, const weir_region *out) {
  const weir__local *p    = params;
  weir__kind         kind = weir__kind_of(in[0]->dtype, in[0]->has_fill);
  int64_t            rows = out->count[out->rank - 2], columns = out->count[out->rank - 1], halo = p->size - 1;
  return plane_bytes(kind, rows + halo, columns + halo) + plane_bytes(kind, rows, columns) +
         aligned((size_t)(columns + halo) * sizeof(double)) + work_bytes(p, kind, rows, columns);
}

/* Load the plane at `index`. */
static bool load(const weir_view *in, int64_t *index, const weir__plane *plane, char *to, double *buffer) {
  bool    missing = false;
  int64_t size    = (int64_t)weir__kind_size(plane->kind);
  for (int64_t i = 0; i < plane->rows; i++) {
    index[in->rank - 2] = i;
    missing |= weir__pixels_load(in, index, plane->columns, plane->kind, to + i * plane->columns * size, buffer);
  }
  index[in->rank - 2] = 0;
  return missing;
}

static void store(const weir_view *out, int64_t *index, const weir__plane *plane, double *buffer) {
  int64_t     size = (int64_t)weir__kind_size(plane->kind), n = plane->out_columns;
  const char *from = plane->result;
  for (int64_t i = 0; i < plane->out_rows; i++) {
    index[out->rank - 2] = i;
    weir__pixels_store(out, index, n, plane->kind, from + i * n * size, buffer);
  }
  index[out->rank - 2] = 0;
}

weir_status weir__local_apply(const weir_apply *a) {
  const weir__local *p  = a->params;
  const weir_view   *in = &a->in[0], *out = &a->out[0];
  int                y = out->rank - 2, x = out->rank - 1;
  int64_t            index[WEIR_RANK_MAX] = {0};
  char              *memory               = a->scratch;
  weir__plane        plane                = {.kind        = weir__kind_of(a->in_type[0]->dtype, a->in_type[0]->has_fill),
                                             .rows        = in->count[y],
                                             .columns     = in->count[x],
                                             .top         = out->start[y] - in->start[y],
                                             .left        = out->start[x] - in->start[x],
                                             .out_rows    = out->count[y],
                                             .out_columns = out->count[x],
                                             .radius      = p->size / 2,
                                             .percent     = p->percent,
                                             .pixel       = memory};
  if (!weir_view_size(out)) return WEIR_OK;
  plane.result = memory + plane_bytes(plane.kind, plane.rows, plane.columns);
  double *buffer =
      (double *)(void *)((char *)plane.result + plane_bytes(plane.kind, plane.out_rows, plane.out_columns));
  plane.memory = (char *)buffer + aligned((size_t)plane.columns * sizeof(double));
  do {
    plane.missing = load(in, index, &plane, memory, buffer);
    if (is_extreme(p)) weir__local_extreme(&plane);
    else weir__local_rank(&plane, a->context);
    store(out, index, &plane, buffer);
  } while (weir__image_next(out, index));
  return WEIR_OK;
}
