/* A box of the input goes into one accumulator per element of the result. Two ways through the box, both with long runs
 * of neighbouring memory: when the last axis is reduced, rows go straight into their accumulator; when it is kept,
 * rows go into their accumulators side by side if these can do that, or else tiles of rows are transposed so that every
 * accumulator gets a run of values. */
#include "operators/common/reduce.h"
#include <string.h>

enum { SEGMENT = 4096, TILE_ROWS = 64, TILE_COLUMNS = 32, TILE = TILE_ROWS * TILE_COLUMNS, STRIP_COLUMNS = 256 };

weir_status weir__reduce_infer(weir_infer *infer, const weir__accumulator *kind, const char *units) {
  weir__reduce          *p    = infer->params;
  const weir_field_type *in   = infer->in[0];
  weir_field_type       *out  = &infer->out[0];
  int                    rank = 0;
  WEIR_TRY(weir_axes_resolve(&p->axes, in, &p->mask));
  p->kind     = kind;
  p->weighted = infer->inputs > 1 && infer->in[1];
  if (p->weighted)
    for (int a = 0; a < infer->in[1]->rank; a++) {
      const weir_dimension *d    = &infer->in[1]->dim[a];
      int                   axis = weir__axis_find(in, d->name);
      if (axis < 0)
        return WEIR_FAIL(WEIR_ERR_INPUT, "weights have a dimension \"%s\", which the field has not", d->name);
      if (in->dim[axis].size != d->size)
        return WEIR_FAIL(WEIR_ERR_INPUT, "weights have %lld elements on \"%s\", the field has %lld", (long long)d->size,
                         d->name, (long long)in->dim[axis].size);
    }
  *out                = weir__result_type(in, WEIR_F64, units);
  unsigned horizontal = in->rank >= 2 ? 3u << (in->rank - 2) : (1u << in->rank) - 1;
  if (p->mask & horizontal) WEIR_TRY(weir__fold_location(infer, out, p->mask));
  for (int a = 0; a < in->rank; a++) {
    if (p->mask >> a & 1) continue;
    out->dim[rank]              = out->dim[a];
    infer->from_axis[0][rank++] = a;
  }
  out->rank = rank;
  for (int r = rank; r < WEIR_RANK_MAX; r++) infer->from_axis[0][r] = -1;
  return WEIR_OK;
}

static int64_t results(const weir__reduce *p, const weir_region *out) {
  int64_t n = 1;
  for (int a = 0; a < out->rank - (p->bins > 0); a++) n *= out->count[a];
  return n;
}

size_t weir__reduce_partial_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  const weir__reduce *p = params;
  (void)in;
  return (size_t)results(p, out) * p->kind->size(params, p->weighted);
}

size_t weir__reduce_scratch_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  const weir__reduce *p = params;
  (void)in, (void)out;
  size_t bins = (size_t)p->bins * sizeof(double), tiles = 2 * (SEGMENT + TILE) * sizeof(double),
         strip = p->kind->add_columns ? (size_t)TILE_ROWS * STRIP_COLUMNS * sizeof(double) : 0,
         most  = bins > tiles ? bins : tiles;
  return strip > most ? strip : most;
}

void weir__reduce_combine(const void *params, const weir_field_type *const *in, const weir_region *out, void *into,
                          const void *from) {
  const weir__reduce *p    = params;
  size_t              size = p->kind->size(params, p->weighted);
  int64_t             n    = results(p, out);
  (void)in;
  for (int64_t i = 0; i < n; i++)
    p->kind->combine(params, p->weighted, (char *)into + (size_t)i * size, (const char *)from + (size_t)i * size);
}

void weir__reduce_add_values(const void *params, void *partial, const double *values, int64_t n) {
  const weir__reduce *p = params;
  p->kind->add(p, partial, values, NULL, n);
}

weir_status weir__reduce_finish(const weir_apply *a) {
  const weir__reduce *p                    = a->params;
  const weir_view    *out                  = &a->out[0];
  size_t              size                 = p->kind->size(p, p->weighted);
  const char         *from                 = a->partial;
  double             *value                = a->scratch;
  int64_t             index[WEIR_RANK_MAX] = {0}, row = weir_view_row(out);
  if (!weir_view_size(out)) return WEIR_OK;
  do {
    if (p->bins) {
      p->kind->value(p, p->weighted, from, value);
      weir_view_store(out, index, row, value);
      from += size;
      continue;
    }
    for (int64_t i = 0; i < row; i += SEGMENT) {
      int64_t at[WEIR_RANK_MAX], n = row - i < SEGMENT ? row - i : SEGMENT;
      memcpy(at, index, sizeof at);
      if (out->rank) at[out->rank - 1] = i;
      for (int64_t k = 0; k < n; k++, from += size) p->kind->value(p, p->weighted, from, value + k);
      weir_view_store(out, at, n, value);
    }
  } while (weir_view_next_row(out, index));
  return WEIR_OK;
}

/* ---- a box of the input ---- */

/* A walk through one box: views of the field and the weights with the same axes, and the step of the accumulators along
 * each. */
typedef struct walk {
  const weir__reduce *p;
  weir_view           x, w;                /* w.data NULL: none; stride 0 on axes that weights have not */
  bool                row_of_weights;      /* the weights change along the last axis */
  int64_t             step[WEIR_RANK_MAX]; /* bytes between accumulators; 0 on reduced axes */
  char               *at;                  /* accumulator of the box's first element */
  double             *x_row, *w_row, *x_tile, *w_tile;
} walk;

/* Weights as a view with the axes of the field. */
static weir_view align_weights(const weir_apply *a) {
  weir_view        w  = a->in[0];
  const weir_view *in = &a->in[1];
  w.data = in->data, w.dtype = in->dtype, w.has_fill = in->has_fill, w.fill = in->fill;
  for (int i = 0; i < w.rank; i++) {
    int b       = weir__axis_find(a->in_type[1], a->in_type[0]->dim[i].name);
    w.stride[i] = b < 0 ? 0 : in->stride[b];
  }
  return w;
}

/* Make one long last axis of the reduced axes at the end that are dense in memory. */
static void collapse(walk *k) {
  weir_view *v = &k->x;
  while (v->rank >= 2 && k->step[v->rank - 1] == 0 && k->step[v->rank - 2] == 0 &&
         v->stride[v->rank - 2] == v->stride[v->rank - 1] * v->count[v->rank - 1]) {
    v->count[v->rank - 2] *= v->count[v->rank - 1];
    v->stride[v->rank - 2] = v->stride[v->rank - 1];
    v->rank--;
  }
}

static char *accumulator(const walk *k, const int64_t *index) {
  char *at = k->at;
  for (int a = 0; a < k->x.rank; a++) at += index[a] * k->step[a];
  return at;
}

/* n weights from `index` on; the same one n times when they do not change along the row. */
static const double *load_weights(const walk *k, const int64_t *index, int64_t n, double *buffer) {
  if (k->row_of_weights) return weir_view_load(&k->w, index, n, buffer);
  double one = *weir_view_load(&k->w, index, 1, buffer);
  for (int64_t i = 0; i < n; i++) buffer[i] = one;
  return buffer;
}

static void add_rows(const walk *k) {
  int64_t index[WEIR_RANK_MAX] = {0}, row = weir_view_row(&k->x);
  int     last    = k->x.rank - 1;
  bool    whole   = !k->w.data && weir__view_direct(&k->x, index); /* nothing is loaded into a buffer */
  int64_t segment = whole ? row : SEGMENT;
  do {
    int64_t at[WEIR_RANK_MAX];
    memcpy(at, index, sizeof at);
    for (int64_t i = 0; i < row; i += segment) {
      int64_t n = row - i < segment ? row - i : segment;
      if (last >= 0) at[last] = i;
      const double *x = weir_view_load(&k->x, at, n, k->x_row);
      const double *w = k->w.data ? load_weights(k, at, n, k->w_row) : NULL;
      k->p->kind->add(k->p, accumulator(k, index), x, w, n);
    }
  } while (weir_view_next_row(&k->x, index));
}

static void transpose(const double *row, double *tile, int64_t r, int64_t columns) {
  for (int64_t c = 0; c < columns; c++) tile[c * TILE_ROWS + r] = row[c];
}

/* Step through the axes of a mask; false after the last. */
static bool next(const weir_view *v, unsigned mask, int64_t *index) {
  for (int a = v->rank - 1; a >= 0; a--) {
    if (!(mask >> a & 1)) continue;
    if (++index[a] < v->count[a]) return true;
    index[a] = 0;
  }
  return false;
}

/* The values of `columns` neighbours in the next TILE_ROWS rows along the reduced axes, `at` the first of them and then
 * the one after the last. False: there are no more. */
static bool add_tile(const walk *k, int64_t *at, int64_t columns, unsigned reduced) {
  int64_t rows = 0;
  size_t  size = k->p->kind->size(k->p, k->p->weighted);
  bool    more = true;
  char   *to   = accumulator(k, at); /* reduced axes have no part in it */
  for (; more && rows < TILE_ROWS; rows++) {
    transpose(weir_view_load(&k->x, at, columns, k->x_row), k->x_tile, rows, columns);
    if (k->w.data) transpose(load_weights(k, at, columns, k->w_row), k->w_tile, rows, columns);
    more = next(&k->x, reduced, at);
  }
  for (int64_t c = 0; c < columns; c++)
    k->p->kind->add(k->p, to + (size_t)c * size, k->x_tile + c * TILE_ROWS,
                    k->w.data ? k->w_tile + c * TILE_ROWS : NULL, rows);
  return more;
}

/* Tiles beside each other first: the rows' pages are then read from end to end. */
static void add_tiles(const walk *k, unsigned reduced) {
  int      last                 = k->x.rank - 1;
  unsigned outer                = ((1u << last) - 1) & ~reduced;
  int64_t  index[WEIR_RANK_MAX] = {0}, row = k->x.count[last];
  do {
    int64_t first[WEIR_RANK_MAX], at[WEIR_RANK_MAX];
    memcpy(first, index, sizeof first);
    for (bool more = true; more; memcpy(first, at, sizeof first))
      for (int64_t i = 0; i < row; i += TILE_COLUMNS) {
        memcpy(at, first, sizeof at);
        at[last] = i;
        more     = add_tile(k, at, row - i < TILE_COLUMNS ? row - i : TILE_COLUMNS, reduced);
      }
  } while (next(&k->x, outer, index));
}

/* Rows along the last reduced axis, in place where that can be. */
static void add_columns(const walk *k, unsigned reduced) {
  int     last = k->x.rank - 1, axis = last - 1;
  int64_t index[WEIR_RANK_MAX] = {0};
  double *strip                = k->x_row;
  while (axis > 0 && !(reduced >> axis & 1)) axis--;
  unsigned outer = ((1u << last) - 1) & ~(1u << axis);
  bool     even  = k->x.stride[axis] % (int64_t)sizeof(double) == 0;
  size_t   size  = k->p->kind->size(k->p, false);
  do {
    char         *to    = accumulator(k, index);
    const double *place = even ? weir__view_direct(&k->x, index) : NULL;
    if (place) {
      k->p->kind->add_columns(k->p, to, place, k->x.stride[axis] / (int64_t)sizeof(double), k->x.count[axis],
                              k->x.count[last]);
      continue;
    }
    int64_t at[WEIR_RANK_MAX];
    memcpy(at, index, sizeof at);
    for (int64_t c = 0, columns; c < k->x.count[last]; c += columns) {
      columns  = k->x.count[last] - c < STRIP_COLUMNS ? k->x.count[last] - c : STRIP_COLUMNS;
      at[last] = c;
      for (int64_t r = 0, rows; r < k->x.count[axis]; r += rows) {
        for (rows = 0; rows < TILE_ROWS && r + rows < k->x.count[axis]; rows++) {
          double *row     = strip + rows * columns;
          at[axis]        = r + rows;
          const double *x = weir_view_load(&k->x, at, columns, row);
          if (x != row) memcpy(row, x, (size_t)columns * sizeof *row);
        }
        k->p->kind->add_columns(k->p, to + (size_t)c * size, strip, columns, rows, columns);
      }
    }
  } while (next(&k->x, outer, index));
}

weir_status weir__reduce_apply(const weir_apply *a) {
  const weir__reduce *p    = a->params;
  const weir_view    *out  = &a->out[0];
  int64_t             size = (int64_t)p->kind->size(p, p->weighted), step = size;
  double             *buffer = a->scratch;
  walk                k; /* a view is large, and boxes may be small: weights are not even set to nothing without need */
  int                 last = a->in[0].rank - 1, r = out->rank - 1 - (p->bins > 0);
  k.p = p, k.x = a->in[0], k.at = a->partial, k.w.data = NULL, k.row_of_weights = false;
  memset(k.step, 0, sizeof k.step);
  if (!weir_view_size(&k.x)) return WEIR_OK;
  for (int axis = last; axis >= 0; axis--) {
    if (p->mask >> axis & 1) continue;
    k.step[axis] = step;
    k.at += (k.x.start[axis] - out->start[r]) * step;
    step *= out->count[r--];
  }
  k.x_row = buffer, k.w_row = buffer + SEGMENT, k.x_tile = buffer + 2 * SEGMENT, k.w_tile = k.x_tile + TILE;
  if (p->weighted) {
    k.w              = align_weights(a);
    k.row_of_weights = last >= 0 && k.w.stride[last] != 0;
  } else {
    collapse(&k);
  }
  if (last < 0 || p->mask >> last & 1) add_rows(&k);
  else if (p->kind->add_columns && !p->weighted && p->mask) add_columns(&k, p->mask);
  else add_tiles(&k, p->mask);
  return WEIR_OK;
}
