#include "graph/fused.h"
#include <string.h>

enum { TILE = 16384 }; /* elements: 128 KiB of doubles stay in the second-level cache, next to their inputs */

static size_t align(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

/* ---- tiles ---- */

/* Runs of the last axis of a box, or rows of it together; leading axes one index at a time. */
typedef struct tiles {
  weir_region whole, tile;
  int64_t     step[WEIR_RANK_MAX], at[WEIR_RANK_MAX];
} tiles;

static void place_tile(tiles *t) {
  for (int d = 0; d < t->whole.rank; d++) {
    int64_t left     = t->whole.count[d] - t->at[d];
    t->tile.start[d] = t->whole.start[d] + t->at[d];
    t->tile.count[d] = t->step[d] < left ? t->step[d] : left;
  }
}

static void first_tile(tiles *t, const weir_view *whole) {
  int     rank = whole->rank, last = rank - 1;
  int64_t row = rank ? whole->count[last] : 1, run = row < TILE ? row : TILE,
          rows  = rank > 1 && run == row ? TILE / row : 1;
  t->whole.rank = t->tile.rank = rank;
  for (int d = 0; d < rank; d++) {
    t->whole.start[d] = whole->start[d];
    t->whole.count[d] = whole->count[d];
    t->step[d]        = d == last ? run : d == last - 1 ? rows : 1;
    t->at[d]          = 0;
  }
  place_tile(t);
}

static bool next_tile(tiles *t) {
  int d = t->whole.rank - 1;
  for (; d >= 0; d--) {
    t->at[d] += t->step[d];
    if (t->at[d] < t->whole.count[d]) break;
    t->at[d] = 0;
  }
  if (d >= 0) place_tile(t);
  return d >= 0;
}

/* ---- reductions of arithmetic ---- */

static size_t partial_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  const weir__fused *f = params;
  (void)in;
  return f->op->partial_size(f->params, f->in_type, out);
}

static void begin(const void *params, const weir_field_type *const *in, const weir_region *out, void *partial) {
  const weir__fused *f = params;
  (void)in;
  if (f->op->begin) f->op->begin(f->params, f->in_type, out, partial);
}

static void combine(const void *params, const weir_field_type *const *in, const weir_region *out, void *into,
                    const void *from) {
  const weir__fused *f = params;
  (void)in;
  f->op->combine(f->params, f->in_type, out, into, from);
}

static size_t reduction_scratch(const void *params, const weir_field_type *const *in, const weir_region *out) {
  const weir__fused *f = params;
  (void)in;
  return TILE * sizeof(double) + align(weir__kernel_scratch(f->kernel)) +
         (f->op->scratch_size ? f->op->scratch_size(f->params, f->in_type, out) : 0);
}

static weir_apply inner(const weir_apply *a, const weir__fused *f) {
  weir_apply b = *a;
  b.params     = f->params;
  b.inputs     = 1 + f->others;
  b.in_type    = f->in_type;
  b.scratch    = (char *)a->scratch + TILE * sizeof(double) + align(weir__kernel_scratch(f->kernel));
  return b;
}

static weir_status finish(const weir_apply *a) {
  const weir__fused *f = a->params;
  weir_view          in[WEIR_INPUTS_MAX];
  weir_apply         b = inner(a, f);
  memset(in, 0, sizeof in);
  b.in = in;
  return f->op->finish(&b);
}

static void round_to_float(double *values, int64_t n) {
  for (int64_t i = 0; i < n; i++) values[i] = (float)values[i];
}

/* What one tile is worth: computed, rounded, reduced. */
static weir_status reduce_tile(const weir_apply *a, const weir__fused *f, const weir_view *inputs,
                               const weir_region *tile) {
  weir_view       in[WEIR_INPUTS_MAX];
  weir_apply      b    = inner(a, f);
  double         *data = a->scratch;
  weir_field_type type = *f->in_type[0];
  weir__kernel_eval(f->kernel, a, inputs, *tile, data, (char *)a->scratch + TILE * sizeof(double));
  if (type.dtype == WEIR_F32) round_to_float(data, weir__region_size(tile));
  type.dtype    = WEIR_F64;
  type.has_fill = false;
  in[0]         = weir__view_dense(data, &type, tile);
  for (int i = 0; i < f->others; i++) {
    in[1 + i] = a->in[f->kernel->inputs + i];
    if (!in[1 + i].data) continue;
    weir_region box = weir__region_by_name(f->in_type[0], tile, f->in_type[1 + i]);
    in[1 + i]       = weir__view_narrow(&in[1 + i], &box);
  }
  b.in = in;
  return f->op->apply(&b);
}

/* Where the result is one element, and takes values: they stay in the first-level cache, tiles would not. */
static void add_values(void *self, double *values, int64_t n) {
  const weir_apply  *a = self;
  const weir__fused *f = a->params;
  if (f->in_type[0]->dtype == WEIR_F32) round_to_float(values, n);
  f->op->add_values(f->params, a->partial, values, n);
}

static weir_status reduce(const weir_apply *a) {
  const weir__fused *f = a->params;
  weir_view          inputs[WEIR_INPUTS_MAX];
  tiles              t;
  for (int i = 0; i < f->kernel->inputs; i++) inputs[i] = a->in[f->place[i]];
  first_tile(&t, &a->in[0]);
  if (f->op->add_values && !f->others && weir_view_size(&a->out[0]) == 1) {
    char *scratch = (char *)a->scratch + TILE * sizeof(double);
    weir__kernel_give(f->kernel, a, inputs, t.whole, a->scratch, add_values, (void *)(uintptr_t)a, scratch);
    return WEIR_OK;
  }
  do WEIR_TRY(reduce_tile(a, f, inputs, &t.tile));
  while (next_tile(&t));
  return WEIR_OK;
}

const weir_operator weir__operator_fused_reduction = {.api          = WEIR_OPERATOR_API,
                                                      .name         = "fused reduction",
                                                      .summary      = "a reduction of arithmetic that is not stored",
                                                      .inputs       = 1,
                                                      .params_size  = sizeof(weir__fused),
                                                      .apply        = reduce,
                                                      .scratch_size = reduction_scratch,
                                                      .partial_size = partial_size,
                                                      .begin        = begin,
                                                      .combine      = combine,
                                                      .finish       = finish};

/* ---- arithmetic of neighbours ---- */

static weir_status fed_need(const void *params, const weir_field_type *const *in, int input, const weir_region *out,
                            weir_region *region) {
  const weir__fed  *f    = params;
  const weir__feed *feed = &f->feed[input];
  if (feed->op) return feed->op->need(feed->params, &feed->in_type, 0, out, region);
  *region = weir__region_by_name(&f->kernel->type, out, in[input]);
  return WEIR_OK;
}

/* Scratch: a tile of each input that is made, then what making it needs, or what arithmetic does. */
static size_t fed_tiles(const weir__fed *f) {
  size_t bytes = 0;
  for (int i = 0; i < f->kernel->inputs; i++) bytes += f->feed[i].op ? TILE * sizeof(double) : 0;
  return bytes;
}

static size_t fed_scratch(const void *params, const weir_field_type *const *in, const weir_region *out) {
  const weir__fed *f    = params;
  size_t           most = weir__kernel_scratch(f->kernel);
  (void)in;
  for (int i = 0; i < f->kernel->inputs; i++) {
    const weir__feed *feed = &f->feed[i];
    size_t bytes = feed->op && feed->op->scratch_size ? feed->op->scratch_size(feed->params, &feed->in_type, out) : 0;
    most         = bytes > most ? bytes : most;
  }
  return fed_tiles(f) + most;
}

/* A tile of what `feed` makes, into `made`. */
static weir_status make_tile(const weir_apply *a, const weir__feed *feed, const weir_view *from,
                             const weir_region *tile, void *scratch, weir_view *made) {
  weir_region need;
  WEIR_TRY(weir__operator_need(feed->op, feed->params, &feed->in_type, 0, feed->wrap, feed->type, tile, &need));
  weir_view  in = weir__view_narrow(from, &need);
  weir_apply b  = *a;
  b.params      = feed->params;
  b.inputs      = 1;
  b.in_type     = &feed->in_type;
  b.in          = &in;
  b.out         = made;
  b.scratch     = scratch;
  return feed->op->apply(&b);
}

/* From the tile that is read to the elements of the field of which the next one will be made: while this one's results
 * are written, the memory may answer already. 0: they do not lie as the tile's do. */
static ptrdiff_t next_of(const weir_view *from, const weir_view *made, const weir_region *next) {
  int64_t index[WEIR_RANK_MAX], row = (int64_t)sizeof(double);
  for (int d = next->rank - 1; d >= 0; d--) {
    if (next->count[d] > 1 && from->stride[d] != row) return 0;
    row *= next->count[d];
    index[d] = next->start[d] - from->start[d];
    if (index[d] < 0 || index[d] >= from->count[d]) return 0;
  }
  const double *x = weir__view_direct(from, index);
  return x ? (const char *)x - (const char *)made->data : 0;
}

/* The first input that is made may lie where the result will: an element of it is read before that one of the result is
 * written, and memory is busy with the result already while the derivative is computed. -1: none may. */
static int made_in_place(const weir__fed *f, const weir_view *out) {
  const weir__kernel_params *k = f->kernel;
  int                        i = 0;
  while (i < k->inputs && !f->feed[i].op) i++;
  if (i == k->inputs) return -1;
  const weir_field_type *made = f->feed[i].type; /* values are rounded as they are stored */
  if (made->dtype != WEIR_F64 || out->dtype != WEIR_F64 || made->has_fill || out->has_fill) return -1;
  if (made->rank != out->rank) return -1;
  for (int r = 0; r < out->rank; r++)
    if (k->axis[i][r] != r) return -1;
  return i;
}

static weir_status compute(const weir_apply *a) {
  const weir__fed *f = a->params;
  weir_view        inputs[WEIR_INPUTS_MAX];
  ptrdiff_t        soon[WEIR_INPUTS_MAX] = {0};
  char            *scratch               = (char *)a->scratch + fed_tiles(f);
  tiles            t;
  if (!weir_view_size(&a->out[0])) return WEIR_OK;
  int in_place = made_in_place(f, &a->out[0]);
  for (int i = 0; i < f->kernel->inputs; i++) inputs[i] = a->in[i];
  first_tile(&t, &a->out[0]);
  for (bool more = true; more;) {
    weir_view out    = weir__view_narrow(&a->out[0], &t.tile);
    char     *memory = a->scratch;
    for (int i = 0; i < f->kernel->inputs; i++) {
      if (!f->feed[i].op) continue;
      inputs[i] = i == in_place ? out : weir__view_dense(memory, f->feed[i].type, &t.tile);
      WEIR_TRY(make_tile(a, &f->feed[i], &a->in[i], &t.tile, scratch, &inputs[i]));
      memory += TILE * sizeof(double);
    }
    more = next_tile(&t);
    for (int i = 0; i < f->kernel->inputs; i++)
      soon[i] = !f->feed[i].op ? weir__kernel_soon(f->kernel) : more ? next_of(&a->in[i], &inputs[i], &t.tile) : 0;
    weir__kernel_run(f->kernel, a, inputs, soon, &out, in_place >= 0, scratch);
  }
  return WEIR_OK;
}

const weir_operator weir__operator_fed_arithmetic = {.api          = WEIR_OPERATOR_API,
                                                     .name         = "arithmetic of neighbours",
                                                     .summary      = "arithmetic of derivatives that are not stored",
                                                     .inputs       = 1,
                                                     .params_size  = sizeof(weir__fed),
                                                     .work         = 3,
                                                     .in_boxes     = true,
                                                     .need         = fed_need,
                                                     .apply        = compute,
                                                     .scratch_size = fed_scratch};
