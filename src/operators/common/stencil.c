/* Coefficients are those of the interpolating polynomial: B. Fornberg 1988, "Generation of finite difference formulas
 * on arbitrarily spaced grids", doi 10.1090/S0025-5718-1988-0935077-0. */
#include "operators/common/stencil.h"
#include "core/simd.h"
#include <math.h>
#include <string.h>

/* Weights of the values at x[0..n-1] in the derivative of order m (at most 2) at 0. */
static void fornberg(const double *x, int n, int m, double *weight) {
  double c[WEIR__TAPS_MAX][3] = {{1}}, c1 = 1, c4 = x[0];
  for (int i = 1; i < n; i++) {
    int    most = i < m ? i : m;
    double c2 = 1, c5 = c4;
    c4 = x[i];
    for (int j = 0; j < i; j++) {
      double c3 = x[i] - x[j];
      c2 *= c3;
      if (j == i - 1) {
        for (int k = most; k > 0; k--) c[i][k] = c1 * (k * c[i - 1][k - 1] - c5 * c[i - 1][k]) / c2;
        c[i][0] = -c1 * c5 * c[i - 1][0] / c2;
      }
      for (int k = most; k > 0; k--) c[j][k] = (c4 * c[j][k] - k * c[j][k - 1]) / c3;
      c[j][0] = c4 * c[j][0] / c3;
    }
    c1 = c2;
  }
  for (int i = 0; i < n; i++) weight[i] = c[i][m];
}

/* Place of the value with index i; outside of a listed coordinate the last interval is repeated. */
static double place(const weir__stencil *s, const weir_dimension *d, int64_t i) {
  if (s->spacing != 0) return (double)i * s->spacing;
  int64_t last = d->size - 1;
  double  at   = (double)i + s->shift;
  if (last == 0) return d->values[0] + at;
  if (at < 0) return d->values[0] + at * (d->values[1] - d->values[0]);
  if (at > (double)last) return d->values[last] + (at - (double)last) * (d->values[last] - d->values[last - 1]);
  return weir__coordinate(d, at);
}

/* Results at the place of the input: three neighbours, or more on one side. */
static void whole_taps(const weir__stencil *s, const weir_dimension *d, int64_t i, weir__taps *t) {
  double  x[WEIR__TAPS_MAX];
  int64_t first = i - 1, n = d->size;
  bool    edge = s->edge != WEIR__EDGE_PERIODIC && (i == 0 || i == n - 1);
  t->count     = 3;
  if (edge && s->edge == WEIR__EDGE_ONESIDED) {
    t->count = s->derivative + 2;
    first    = i == 0 ? 0 : n - t->count;
  } else if (s->spacing != 0) { /* the usual case, with coefficients free of rounding */
    double h = s->spacing, even[2][3] = {{-0.5 / h, 0, 0.5 / h}, {1 / (h * h), -2 / (h * h), 1 / (h * h)}};
    memcpy(t->c, even[s->derivative - 1], sizeof even[0]);
    for (int k = 0; k < 3; k++) t->at[k] = first + k;
    if (s->derivative == 1) { /* the middle takes no part: not even by being missing */
      t->count = 2;
      t->at[1] = t->at[2];
      t->c[1]  = t->c[2];
    }
  }
  if (s->spacing == 0 || (edge && s->edge == WEIR__EDGE_ONESIDED)) {
    double here = place(s, d, i);
    for (int k = 0; k < t->count; k++) {
      t->at[k] = first + k;
      x[k]     = place(s, d, first + k) - here;
    }
    fornberg(x, t->count, s->derivative, t->c);
  }
  if (edge && s->edge == WEIR__EDGE_WALL)
    for (int k = 0; k < t->count; k++) t->at[k] = t->at[k] < 0 ? 0 : t->at[k] >= n ? n - 1 : t->at[k];
}

/* Results half a cell away: two neighbours. */
static void half_taps(const weir__stencil *s, const weir_dimension *d, int64_t i, weir__taps *t) {
  int64_t low = s->half > 0 ? i : i - 1, high = low + 1;
  double  down = 0.5, up = 0.5;
  if (s->derivative) {
    double h = s->spacing != 0 ? s->spacing : place(s, d, high) - place(s, d, low);
    up       = 1 / h;
    down     = -up;
  }
  t->count = 2;
  t->at[0] = low, t->c[0] = down;
  t->at[1] = high, t->c[1] = up;
  if (s->edge == WEIR__EDGE_PERIODIC || (low >= 0 && high < d->size)) return;
  double ghost = s->edge == WEIR__EDGE_NOSLIP ? -1 : s->edge == WEIR__EDGE_FREESLIP ? 1 : 0;
  t->count     = s->edge != WEIR__EDGE_MISSING;
  t->at[0]     = low < 0 ? high : low;
  t->c[0]      = low < 0 ? up + ghost * down : down + ghost * up;
}

static void taps_of(const weir__stencil *s, const weir_dimension *d, int64_t i, weir__taps *t) {
  if (s->half) half_taps(s, d, i, t);
  else whole_taps(s, d, i, t);
}

weir_status weir__stencil_set(weir__stencil *s, weir_infer *infer, const char *operator_name, double spacing) {
  const weir_field_type *in = infer->in[0];
  const weir_dimension  *d  = &in->dim[s->axis];
  if (spacing < 0 || !isfinite(spacing))
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: spacing is %g, a positive number is expected", operator_name, spacing);
  bool listed = d->spacing == 0 && d->values && d->size > 1;
  s->spacing  = spacing != 0 ? spacing : d->spacing != 0 ? d->spacing : listed ? 0 : 1;
  s->shift    = weir__location_shift(in->location, in->rank, s->axis);
  for (int64_t i = 1; s->spacing == 0 && i < d->size; i++)
    if (d->values[i] == d->values[i - 1])
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s: the coordinate of \"%s\" has %g twice", operator_name, d->name,
                       d->values[i]);
  if (s->edge == WEIR__EDGE_AUTO) s->edge = d->periodic ? WEIR__EDGE_PERIODIC : WEIR__EDGE_ONESIDED;
  if (s->half && d->periodic) s->edge = WEIR__EDGE_PERIODIC;
  if (s->edge == WEIR__EDGE_PERIODIC) {
    if (s->spacing == 0 && s->derivative) {
      s->spacing = weir__uniform_spacing(d);
      if (s->spacing == 0)
        return WEIR_FAIL(
            WEIR_ERR_INPUT,
            "%s: dimension \"%s\" is periodic and its coordinate uneven, so the distance across the edge is "
            "not known; give `spacing`",
            operator_name, d->name);
    }
    infer->wrap[0] |= 1u << s->axis;
  }
  if (s->edge == WEIR__EDGE_ONESIDED && d->size < s->derivative + 2)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: dimension \"%s\" has %lld elements, one-sided edges need at least %d",
                     operator_name, d->name, (long long)d->size, s->derivative + 2);
  return WEIR_OK;
}

void weir__stencil_need(const weir__stencil *s, const weir_field_type *in, weir_region *region) {
  int     a     = s->axis;
  int64_t first = region->start[a], end = first + region->count[a], n = in->dim[a].size, reach = s->derivative + 2;
  int64_t low = s->half > 0 ? first : first - 1, high = s->half < 0 ? end : end + 1;
  if (s->edge == WEIR__EDGE_ONESIDED) {
    if (first == 0 && high < reach) high = reach;
    if (end == n && low > n - reach) low = n - reach;
  }
  if (s->edge != WEIR__EDGE_PERIODIC) {
    if (low < 0) low = 0;
    if (high > n) high = n;
  }
  region->start[a] = low;
  region->count[a] = high - low;
}

size_t weir__stencil_scratch(const weir_region *out) {
  int64_t row = out->rank ? out->count[out->rank - 1] : 1;
  return (size_t)(row + 2 * WEIR__TAPS_MAX) * (WEIR__TAPS_MAX + 1) * sizeof(double);
}

/* y (+)= sum of taps times neighbours, in the order of the taps. */
WEIR__WIDEST static void combine(const weir__taps *t, const double *const x[], double *y, int64_t n, bool add) {
  const double *a = x[0], *b = x[1], *c = x[2], *d = x[3];
  double        p = t->c[0], q = t->c[1], r = t->c[2], s = t->c[3];
#define COMBINE(expression)                                                                                            \
  if (add)                                                                                                             \
    for (int64_t i = 0; i < n; i++) y[i] += (expression);                                                              \
  else                                                                                                                 \
    for (int64_t i = 0; i < n; i++) y[i] = (expression);                                                               \
  break
  switch (t->count) {
  case 0: COMBINE(NAN);
  case 1: COMBINE(p * a[i]);
  case 2: COMBINE(p * a[i] + q * b[i]);
  case 3: COMBINE(p * a[i] + q * b[i] + r * c[i]);
  default: COMBINE(p * a[i] + q * b[i] + r * c[i] + s * d[i]);
  }
#undef COMBINE
}

/* Along the last axis: edges one by one, the inside in one go when the spacing is uniform. */
static void along_row(const weir__stencil *s, const weir_dimension *d, int64_t start, int64_t n, const double *row,
                      int64_t row_start, double *y, bool add) {
  bool even = s->spacing != 0 || (s->half && !s->derivative);
  for (int64_t j = 0; j < n;) {
    weir__taps    t;
    const double *x[WEIR__TAPS_MAX] = {0};
    int64_t       i = start + j, run = 1;
    taps_of(s, d, i, &t);
    if (even && s->edge == WEIR__EDGE_PERIODIC) run = n - j;
    else if (even && i > 0 && i < d->size - 1) run = (n - j < d->size - 1 - i ? n - j : d->size - 1 - i);
    for (int k = 0; k < t.count; k++) x[k] = row + (t.at[k] - row_start);
    combine(&t, x, y + j, run, add);
    j += run;
  }
}

static void one_row(const weir_apply *a, const weir__stencil *s, const int64_t *index, double *y, double *buffer,
                    bool add) {
  const weir_view      *in = &a->in[0], *out = &a->out[0];
  const weir_dimension *d    = &a->in_type[0]->dim[s->axis];
  int                   last = out->rank - 1;
  int64_t               n    = out->count[last], at[WEIR_RANK_MAX];
  for (int k = 0; k < out->rank; k++) at[k] = out->start[k] + index[k] - in->start[k];
  if (s->axis == last) {
    at[last]          = 0;
    const double *row = weir_view_load(in, at, in->count[last], buffer);
    along_row(s, d, out->start[last], n, row, in->start[last], y, add);
    return;
  }
  weir__taps    t;
  const double *x[WEIR__TAPS_MAX] = {0};
  taps_of(s, d, out->start[s->axis] + index[s->axis], &t);
  at[last] = out->start[last] - in->start[last];
  for (int k = 0; k < t.count; k++) {
    at[s->axis] = t.at[k] - in->start[s->axis];
    x[k]        = weir_view_load(in, at, n, buffer + k * n);
  }
  combine(&t, x, y, n, add);
}

weir_status weir__stencil_apply(const weir_apply *a, const weir__stencil *s, int count) {
  const weir_view *out                  = &a->out[0];
  int64_t          index[WEIR_RANK_MAX] = {0}, n = weir_view_row(out);
  double          *scratch = a->scratch, *buffer = scratch + n;
  if (!weir_view_size(out)) return WEIR_OK;
  do {
    double *direct = weir__view_direct(out, index), *y = direct ? direct : scratch;
    for (int k = 0; k < count; k++) one_row(a, &s[k], index, y, buffer, k > 0);
    if (!direct) weir_view_store(out, index, n, y);
  } while (weir_view_next_row(out, index));
  return WEIR_OK;
}
