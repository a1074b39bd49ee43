/* piv_pass: one pass over a block of rows of windows. The images are moved onto each other by what the pass before has
 * found, half of it each, then correlated. */
#include "core/memory.h"
#include "field/field.h"
#include "operators/piv/operators.h"
#include <math.h>
#include <string.h>

typedef struct span {
  int64_t first, count;
} span;

/* The first of several passes only has to come near enough for the next: where its windows are large, it looks at bins
 * of 2 x 2 pixels, which takes a quarter of the time. Windows keep their places, so the first bin is where window 0
 * begins, or a whole number of bins before. */
static bool is_binned(const weir__piv *p) {
  enum { LEAST = 48 };
  const weir__piv_grid *grid = &p->settings[p->pass].grid;
  bool                  fits = p->binning && !p->pass && p->passes > 1;
  for (int k = 0; k < 2; k++) fits &= grid->window[k] >= LEAST && !(grid->window[k] & 1) && !(grid->step[k] & 1);
  return fits;
}

/* The pass as correlated: in bins, if it is. */
typedef struct seen {
  weir__piv_settings settings;
  int64_t            image[2];   /* pixels, or bins */
  int64_t            by;         /* pixels per bin: 1 or 2 */
  int64_t            skipped[2]; /* pixels before the first bin */
} seen;

static seen seen_by(const weir__piv *p) {
  seen            v    = {.settings = p->settings[p->pass], .image = {p->image[0], p->image[1]}, .by = 1};
  weir__piv_grid *grid = &v.settings.grid;
  if (!is_binned(p)) return v;
  v.by = 2;
  for (int k = 0; k < 2; k++) {
    v.skipped[k]    = grid->first[k] & 1;
    v.image[k]      = (p->image[k] - v.skipped[k]) / 2;
    grid->first[k]  = grid->first[k] / 2;
    grid->window[k] = grid->window[k] / 2;
    grid->step[k]   = grid->step[k] / 2;
    int64_t search = (v.settings.search[k] + 1) / 2, most = grid->window[k] / 2 - 1;
    v.settings.search[k] = search < most ? search : most;
  }
  return v;
}

/* Rows of pixels that the windows of grid rows first .. first + count - 1 look at: with the lags of the direct method,
 * cut to the image. */
static span rows_of(const seen *v, span block) {
  const weir__piv_settings *s     = &v->settings;
  int64_t                   reach = (s->method == WEIR__PIV_DIRECT ? s->search[0] : 0) + 1 /* of the statistics */;
  int64_t                   first = s->grid.first[0] + block.first * s->grid.step[0] - reach;
  int64_t last = s->grid.first[0] + (block.first + block.count - 1) * s->grid.step[0] + s->grid.window[0] + reach;
  if (first < 0) first = 0;
  if (last > v->image[0]) last = v->image[0];
  return (span){first, last - first};
}

/* As many rows of the image as deforming so many can need at most. */
static int64_t rows_at_most(const weir__piv *p, int64_t rows) {
  enum { CUBIC = 32, QUINTIC = 40 };
  int64_t filter = p->interpolation == WEIR__PIV_QUINTIC ? QUINTIC : CUBIC;
  int64_t more   = rows + 2 * ((int64_t)ceil(0.5 * p->reach) + filter);
  return more < p->image[0] ? more : p->image[0];
}

/* In a gradient the first, large windows see a range of displacements, and may be several pixels wrong where the next
 * pass looks 2 pixels far: such a window has no peak within. While passes follow that make it exact, it is looked at
 * again by FFT as far as a quarter of the window, unless `search` or `refine` say otherwise. In a shear of 0.2 pixels
 * per pixel the defaults find 77 % of the vectors so, and 31 % without (160 x 384 pixels), and flows that need it
 * nowhere cost nothing. */
bool weir__piv_looks_again(const weir__piv *p, int pass, weir__piv_settings *settings) {
  const weir__piv_settings *s = &p->settings[pass];
  if (!pass || pass == p->passes - 1 || p->search.count || p->ensemble > 1 || s->method != WEIR__PIV_DIRECT)
    return false;
  for (int k = 0; k < 2; k++)
    if (s->grid.window[k] / 4 <= s->search[k]) return false;
  *settings        = *s;
  settings->method = WEIR__PIV_FFT;
  for (int k = 0; k < 2; k++) settings->search[k] = s->grid.window[k] / 4;
  return true;
}

typedef struct correlators {
  weir__piv_correlator *usual, *again; /* again: may be NULL */
} correlators;

static void release(void *context) {
  correlators *c = context;
  if (!c) return;
  weir__piv_correlator_destroy(&c->usual);
  weir__piv_correlator_destroy(&c->again);
  weir__free(c);
}

static weir_status prepare(const void *params, const weir_field_type *const *in, void **context) {
  const weir__piv   *p      = params;
  weir_status        status = WEIR_OK;
  seen               v      = seen_by(p);
  weir__piv_settings again;
  correlators       *c;
  (void)in;
  WEIR_TRY(weir__alloc_zeroed(sizeof *c, 0, &c));
  WEIR_TRY_GOTO(out, weir__piv_correlator_create(&v.settings, &c->usual));
  if (weir__piv_looks_again(p, p->pass, &again)) WEIR_TRY_GOTO(out, weir__piv_correlator_create(&again, &c->again));
  *context = c;
  c        = NULL;
out:
  release(c);
  return status;
}

/* ---- memory ---- */

typedef struct memory {
  float            *a, *b, *raw; /* strips; raw: before deforming */
  uint8_t          *mask;        /* of no use in either image as moved */
  uint8_t          *placed;      /* after the first pass: as given */
  uint8_t          *raw_mask;    /* the rows of `raw` */
  float            *pair;        /* two rows, for bins */
  float            *predicted;   /* two components of the block's vectors */
  int32_t          *hidden;      /* of each window's pixels: how many are masked */
  weir__piv_vector *vector, *row;
  void             *ensemble; /* planes of several couples */
  float            *udy, *udx;
  char             *rest; /* for the parts */
  size_t            bytes;
} memory;

static size_t at_least(size_t a, size_t b) { return a > b ? a : b; }

/* Lay out the scratch of a block of `rows` rows of vectors, at `base` (NULL: only its size). */
static memory lay_out(const weir__piv *p, const seen *v, const correlators *c, span block, char *base) {
  const weir__piv_grid *grid    = &v->settings.grid;
  int64_t               columns = v->image[1], rows = rows_of(v, block).count, vectors = block.count * grid->count[1];
  size_t                plane = (size_t)(rows * columns) * sizeof(float), used = 0, rest = 0;
  memory                m = {0};
  m.a                     = weir__piv_take(base, &used, plane);
  m.b                     = weir__piv_take(base, &used, plane);
  m.vector                = weir__piv_take(base, &used, (size_t)vectors * sizeof *m.vector);
  if (p->has_mask) m.mask = weir__piv_take(base, &used, (size_t)(rows * columns));
  if (v->by > 1) m.pair = weir__piv_take(base, &used, 2 * (size_t)p->image[1] * sizeof *m.pair);
  if (p->pass) {
    int64_t most = rows_at_most(p, rows);
    m.raw        = weir__piv_take(base, &used, (size_t)(most * columns) * sizeof(float));
    m.predicted  = weir__piv_take(base, &used, 2 * (size_t)vectors * sizeof(float));
    if (p->has_mask) m.hidden = weir__piv_take(base, &used, (size_t)vectors * sizeof *m.hidden);
    if (p->has_mask) m.placed = weir__piv_take(base, &used, (size_t)(rows * columns));
    if (p->has_mask) m.raw_mask = weir__piv_take(base, &used, (size_t)(most * columns));
    const weir__piv_grid *from = &p->settings[p->pass - 1].grid;
    rest = at_least(weir__piv_deform_scratch(from, most, rows, columns), weir__piv_predict_scratch(from, rows));
  }
  if (p->uncertainty && p->pass) {
    m.udy = weir__piv_take(base, &used, (size_t)vectors * sizeof(float));
    m.udx = weir__piv_take(base, &used, (size_t)vectors * sizeof(float));
    rest  = at_least(rest, weir__piv_uncertainty_scratch(grid, columns));
  }
  if (p->ensemble > 1) m.ensemble = weir__piv_take(base, &used, weir__piv_ensemble_size(c->usual, vectors));
  rest = at_least(rest, weir__piv_correlator_scratch(c->usual, columns));
  if (c->again) {
    m.row = weir__piv_take(base, &used, (size_t)grid->count[1] * sizeof *m.row);
    rest  = at_least(rest, weir__piv_correlator_scratch(c->again, columns));
  }
  m.rest  = weir__piv_take(base, &used, rest);
  m.bytes = used;
  return m;
}

/* ---- images ---- */

/* A row of pixels or bins; the view holds the whole image. */
static void load_row(const seen *v, const weir_view *image, int64_t y, float odd, float *pair, float *out) {
  if (v->by > 1) weir__piv_load_binned(image, v->skipped, y, odd, out, pair);
  else weir__piv_load_row(image, y, odd, out);
}

static weir__piv_strip load(const seen *v, const weir_view *image, span rows, float *pair, float *out) {
  int64_t columns = v->image[1];
  for (int64_t y = 0; y < rows.count; y++) load_row(v, image, rows.first + y, 0, pair, out + y * columns);
  return (weir__piv_strip){out, rows.first, rows.count, columns};
}

/* `most` rows of the image around `rows`, as many on either side as there are. */
static span middle_of(span all, span rows, int64_t most) {
  int64_t first = rows.first - (most - rows.count) / 2, last = all.first + all.count - most;
  if (first > last) first = last;
  if (first < all.first) first = all.first;
  return (span){first, most};
}

/* A bin is masked with any of its pixels. `row`: room for one. */
static void load_mask(const seen *v, const weir_view *mask, span rows, float *pair, float *row, uint8_t *out) {
  int64_t columns = v->image[1];
  for (int64_t y = 0; y < rows.count; y++) {
    load_row(v, mask, rows.first + y, 1, pair, row);
    for (int64_t x = 0; x < columns; x++) out[y * columns + x] = row[x] != 0;
  }
}

/* `mask` may be NULL. What it hides must not come over its edge by interpolation. */
static weir__piv_strip load_deformed(const weir__piv *p, const seen *v, const weir_view *image, const weir_view *mask,
                                     const weir__piv_predictor *predictor, double share, span rows, const memory *m,
                                     float *out) {
  span    need = rows;
  int64_t most = rows_at_most(p, rows.count);
  weir__piv_deform_need(predictor, p->image[0], &need.first, &need.count);
  if (need.count > most) need = middle_of(need, rows, most); /* the bound is higher than what a pass can find */
  weir__piv_mask masked = {m->raw_mask, need.first, need.count, p->image[1]};
  if (mask) load_mask(v, mask, need, m->pair, m->raw, m->raw_mask);
  weir__piv_strip raw = load(v, image, need, m->pair, m->raw);
  if (mask) {
    weir__piv_fill_masked(&masked, m->raw);
    weir__piv_deform_mask(&masked, p->image[0], predictor, share, rows.first, rows.count, m->mask, m->rest);
  }
  weir__piv_deform(&raw, p->image[0], predictor, share, rows.first, rows.count, out, m->rest);
  return (weir__piv_strip){out, rows.first, rows.count, p->image[1]};
}

/* After the first pass. Which vectors there are is said by the mask where the window lies, so that a flow does not move
 * the border; where moving leaves too few pixels, that is a reason like others, and such a vector is interpolated. Of
 * several couples the one with fewest masked pixels counts: `first`. */
static void count_masked(const weir__piv *p, span block, span rows, const memory *m, bool first) {
  const weir__piv_grid *g      = &p->settings[p->pass].grid;
  int32_t              *fewest = m->hidden;
  for (int64_t r = 0; r < block.count; r++)
    for (int64_t c = 0; c < g->count[1]; c++, fewest++) {
      int64_t y = g->first[0] + (block.first + r) * g->step[0] - rows.first;
      int32_t n = 0;
      for (int64_t end = y + g->window[0]; y < end; y++) {
        const uint8_t *at = m->placed + y * p->image[1] + g->first[1] + c * g->step[1];
        for (int64_t x = 0; x < g->window[1]; x++) n += at[x];
      }
      if (first || n < *fewest) *fewest = n;
    }
}

static void reject_masked(const weir__piv *p, int64_t vectors, const memory *m) {
  const int64_t *window = p->settings[p->pass].grid.window;
  double         limit  = p->mask_limit * (double)(window[0] * window[1]);
  for (int64_t i = 0; i < vectors; i++) {
    if ((double)m->hidden[i] > limit) weir__piv_no_vector(&m->vector[i], WEIR__PIV_MASKED);
    else if (m->vector[i].flag == WEIR__PIV_MASKED) m->vector[i].flag = WEIR__PIV_NO_SIGNAL;
  }
}

/* ---- results ---- */

typedef struct planes {
  const weir_view *out;
  float            by; /* pixels per bin that displacements are in */
} planes;

static void put(const planes *to, int plane, int64_t row, int64_t column, float value) {
  const weir_view *v  = to->out;
  char            *at = (char *)v->data + plane * v->stride[0] + row * v->stride[1] + column * v->stride[2];
  memcpy(at, &value, sizeof value);
}

static void put_vector(const planes *to, int64_t row, int64_t column, const weir__piv_vector *vector) {
  for (int k = 0; k < WEIR__PIV_PEAKS; k++) {
    put(to, WEIR__PIV_DY + k, row, column, to->by * vector->dy[k]);
    put(to, WEIR__PIV_DX + k, row, column, to->by * vector->dx[k]);
    put(to, WEIR__PIV_VALUE + k, row, column, vector->value[k]);
  }
  put(to, WEIR__PIV_RATIO_PLANE, row, column, vector->ratio);
  put(to, WEIR__PIV_FLAG_PLANE, row, column, (float)vector->flag);
}

/* What the images were deformed by, at the centres of the windows. */
static void put_before(const planes *to, const weir__piv_grid *grid, const weir__piv_predictor *predictor, span block,
                       const memory *m) {
  int64_t across = grid->count[1];
  float  *dy = m->predicted, *dx = m->predicted + block.count * across;
  weir__piv_predict_centres(predictor, grid, block.first, block.count, dy, dx, m->rest);
  for (int64_t r = 0; r < block.count; r++)
    for (int64_t c = 0; c < across; c++) {
      put(to, WEIR__PIV_BEFORE_DY, r, c, dy[r * across + c]);
      put(to, WEIR__PIV_BEFORE_DX, r, c, dx[r * across + c]);
    }
}

/* ---- the operator ---- */

static weir__piv_predictor predictor_of(const weir__piv *p, const weir_apply *a) {
  return (weir__piv_predictor){.grid          = p->settings[p->pass - 1].grid,
                               .dy            = a->in[WEIR__PIV_IN_DY].data,
                               .dx            = a->in[WEIR__PIV_IN_DX].data,
                               .interpolation = (weir__piv_interpolation)p->interpolation};
}

/* A couple of a group; the inputs themselves where there is one only. */
static weir_view couple_of(const weir__piv *p, const weir_view *group, int64_t number) {
  weir_view view = *group;
  if (p->ensemble <= 1) return view;
  view.data = (char *)group->data + number * group->stride[0];
  view.rank = 2;
  for (int k = 0; k < 2; k++) {
    view.start[k]  = group->start[k + 1];
    view.count[k]  = group->count[k + 1];
    view.stride[k] = group->stride[k + 1];
  }
  return view;
}

/* Both images, and the mask if there is one, into the memory; after the first pass as moved. */
static void load_couple(const weir_apply *a, const seen *v, int64_t number, const weir__piv_predictor *predictor,
                        span rows, const memory *m, weir__piv_strip strip[2]) {
  const weir__piv *p = a->params;
  weir_view        mask;
  if (p->has_mask) {
    mask = couple_of(p, &a->in[WEIR__PIV_IN_MASK], number);
    load_mask(v, &mask, rows, m->pair, m->a, p->pass ? m->placed : m->mask);
    if (p->pass) memset(m->mask, 0, (size_t)(rows.count * p->image[1]));
  }
  for (int k = 0; k < 2; k++) {
    weir_view image = couple_of(p, &a->in[k ? WEIR__PIV_IN_B : WEIR__PIV_IN_A], number);
    float    *into  = k ? m->b : m->a;
    strip[k]        = p->pass
                          ? load_deformed(p, v, &image, p->has_mask ? &mask : NULL, predictor, k ? 0.5 : -0.5, rows, m, into)
                          : load(v, &image, rows, m->pair, into);
  }
}

/* Rows that have a window without a peak; of what is found there, only that window's counts, where it is clear: in
 * windows that have nothing in common, the highest of so many values must not pass for a displacement. */
static void look_again(const weir__piv_correlator *again, const weir__piv_strip strip[2], span block, int64_t across,
                       const memory *m) {
  const float clear = 0.3F; /* correlation */
  for (int64_t r = 0; r < block.count; r++) {
    weir__piv_vector *vector = m->vector + r * across;
    bool              needed = false;
    for (int64_t i = 0; i < across; i++) needed |= vector[i].flag == WEIR__PIV_NO_PEAK;
    if (!needed) continue;
    weir__piv_correlate(again, &strip[0], &strip[1], m->mask, block.first + r, 1, m->row, m->rest);
    for (int64_t i = 0; i < across; i++)
      if (vector[i].flag == WEIR__PIV_NO_PEAK && m->row[i].value[0] >= clear) vector[i] = m->row[i];
  }
}

static weir_status apply(const weir_apply *a) {
  const weir__piv            *p          = a->params;
  seen                        v          = seen_by(p);
  const weir__piv_settings   *s          = &v.settings;
  const correlators          *c          = a->context;
  const weir__piv_correlator *correlator = c->usual;
  const weir_view            *out        = &a->out[0];
  span                        block = {out->start[1], out->count[1]}, rows = rows_of(&v, block);
  memory                      m      = lay_out(p, &v, c, block, a->scratch);
  planes                      to     = {out, (float)v.by};
  int64_t                     across = s->grid.count[1];
  weir__piv_strip             strip[2];
  weir__piv_predictor         predictor = {0};
  weir__piv_ensemble          ensemble;
  if (p->pass) predictor = predictor_of(p, a);
  if (p->ensemble > 1) weir__piv_ensemble_begin(correlator, block.count * across, m.ensemble, &ensemble);
  for (int64_t n = 0; n < p->ensemble || !n; n++) {
    load_couple(a, &v, n, &predictor, rows, &m, strip);
    if (p->has_mask && p->pass) count_masked(p, block, rows, &m, !n);
    if (p->ensemble > 1)
      weir__piv_ensemble_add(correlator, &strip[0], &strip[1], m.mask, block.first, block.count, &ensemble, m.rest);
    else weir__piv_correlate(correlator, &strip[0], &strip[1], m.mask, block.first, block.count, m.vector, m.rest);
  }
  if (p->ensemble > 1)
    weir__piv_ensemble_peaks(correlator, &strip[0], m.mask, block.first, block.count, &ensemble, m.vector);
  if (c->again) look_again(c->again, strip, block, across, &m);
  if (p->has_mask && p->pass) reject_masked(p, block.count * across, &m);
  bool uncertain = p->uncertainty && p->pass;
  if (uncertain)
    weir__piv_uncertainty(&s->grid, s->weighting, &strip[0], &strip[1], m.mask, block.first, block.count, m.udy, m.udx,
                          m.rest);
  for (int64_t r = 0; r < block.count; r++)
    for (int64_t i = 0; i < across; i++) {
      put_vector(&to, r, i, &m.vector[r * across + i]);
      put(&to, WEIR__PIV_UNCERTAINTY_DY, r, i, uncertain ? m.udy[r * across + i] : NAN);
      put(&to, WEIR__PIV_UNCERTAINTY_DX, r, i, uncertain ? m.udx[r * across + i] : NAN);
      put(&to, WEIR__PIV_BEFORE_DY, r, i, 0);
      put(&to, WEIR__PIV_BEFORE_DX, r, i, 0);
    }
  if (p->pass) put_before(&to, &s->grid, &predictor, block, &m);
  return WEIR_OK;
}

static weir_status infer(weir_infer *infer) {
  const weir__piv      *p    = infer->params;
  const weir__piv_grid *grid = &p->settings[p->pass].grid;
  weir_field_type       out  = {.dtype = WEIR_F32, .rank = 3};
  out.dim[0]                 = (weir_dimension){.name = "plane", .size = WEIR__PIV_PLANES};
  for (int k = 0; k < 2; k++) out.dim[k + 1] = (weir_dimension){.name = p->type->dim[k].name, .size = grid->count[k]};
  infer->out[0] = out;
  for (int k = 0; k < 3; k++) infer->from_axis[0][k] = -1;
  infer->block[1] = WEIR__PIV_BLOCK_ROWS;
  return WEIR_OK;
}

static size_t scratch_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  void *c = NULL;
  seen  v = seen_by(params);
  if (prepare(params, in, &c)) return 0;
  size_t bytes = lay_out(params, &v, c, (span){out->start[1], out->count[1]}, NULL).bytes;
  release(c);
  return bytes;
}

static const char *const input_names[] = {"a", "b", "mask", "dy", "dx"};

const weir_operator weir__piv_operator_pass = {.api             = WEIR_OPERATOR_API,
                                               .name            = "piv_pass",
                                               .summary         = "displacements of the windows of one pass",
                                               .inputs          = 2,
                                               .optional_inputs = 3,
                                               .input_names     = input_names,
                                               .params_size     = sizeof(weir__piv),
                                               .work            = 1000,
                                               .infer           = infer,
                                               .need            = weir__need_whole,
                                               .apply           = apply,
                                               .scratch_size    = scratch_size,
                                               .prepare         = prepare,
                                               .release         = release};
