/* Which vectors can be believed, and what stands for the others.
 *
 *   1. each vector alone: the correlator's flag, correlation, ratio, displacement;
 *   2. among those that are left, the normalised median, then the mean of the neighbours. Each of the two is taken
 *      twice: a second time for all vectors near one that failed, itself among them, with those that failed no longer
 *      counted as neighbours. So an outlier neither hides the one beside it nor takes a good one with it;
 *   3. rejected vectors: the lower peak that is closest to the neighbours, if it passes the same tests. Neighbours are
 *      only vectors that were measured and passed, so the order of vectors does not matter;
 *   4. interpolation of the rest.
 * `flag` keeps the first reason; the correlation becomes that of the peak that was taken. */
#include "operators/piv/validate.h"
#include <math.h>
#include <string.h>

enum { LANES = WEIR__PIV_LANES };

/* What a lower peak is measured by where the rules have no median test: those of Westerweel & Scarano. */
static const double usual_median = 2, usual_noise = 0.1;

typedef struct validation {
  const weir__piv_rules  *rules;
  const weir__piv_vector *vector;
  const float            *before[2];
  weir__piv_field        *field;
  int64_t                 ny, nx;
  uint8_t                *ok;       /* measured and not rejected so far */
  uint8_t                *counts;   /* as a neighbour */
  uint8_t                *rejected; /* by the test at hand */
  uint8_t                *again;    /* to be tested a second time */
} validation;

static size_t vectors(const weir__piv_grid *grid) { return (size_t)grid->count[0] * (size_t)grid->count[1]; }

/* Four bytes for the tests, of which one becomes the state for filling with 12 more: see fill.c. */
size_t weir__piv_validate_scratch(const weir__piv_grid *grid) { return 16 * vectors(grid) + 64; }

static weir__piv_plane plane_of(const validation *v) {
  return (weir__piv_plane){{v->ny, v->nx}, v->field->dy, v->field->dx, v->counts};
}

/* ---- one vector alone ---- */

static bool within_limits(const weir__piv_rules *r, double dy, double dx) {
  return dy >= r->least[0] && dy <= r->most[0] && dx >= r->least[1] && dx <= r->most[1] && hypot(dy, dx) <= r->longest;
}

static void whole(const validation *v, int64_t i, int peak, float *dy, float *dx) {
  *dy = v->vector[i].dy[peak] + (v->before[0] ? v->before[0][i] : 0);
  *dx = v->vector[i].dx[peak] + (v->before[1] ? v->before[1][i] : 0);
}

static bool correlated(const weir__piv_rules *r, float value) {
  return r->correlation <= -1 || value >= r->correlation;
}

static void test_alone(validation *v) {
  const weir__piv_rules *r = v->rules;
  for (int64_t i = 0; i < v->ny * v->nx; i++) {
    const weir__piv_vector *in = &v->vector[i];
    float                   dy, dx;
    int8_t                  flag = in->flag;
    whole(v, i, 0, &dy, &dx);
    if (flag == WEIR__PIV_VALID) {
      if (!isfinite(dy) || !isfinite(dx)) flag = WEIR__PIV_NO_PEAK;
      else if (!correlated(r, in->value[0])) flag = WEIR__PIV_CORRELATION;
      else if (r->ratio > 0 && !(in->ratio >= r->ratio)) flag = WEIR__PIV_RATIO;
      else if (!within_limits(r, dy, dx)) flag = WEIR__PIV_DISPLACEMENT;
    }
    v->ok[i]                 = flag == WEIR__PIV_VALID;
    v->field->dy[i]          = v->ok[i] ? dy : NAN;
    v->field->dx[i]          = v->ok[i] ? dx : NAN;
    v->field->flag[i]        = flag;
    v->field->correlation[i] = in->value[0];
    v->field->ratio[i]       = in->ratio;
  }
}

/* ---- among neighbours ---- */

typedef struct test {
  const weir__piv_distance *distance;
  float                     noise, limit; /* of the square */
  int8_t                    flag;
} test;

static test median_test(const weir__piv_rules *r) {
  bool   set   = r->median > 0;
  double limit = set ? r->median : usual_median, noise = set ? r->noise : usual_noise;
  return (test){&weir__piv_to_median, (float)noise, (float)(limit * limit), WEIR__PIV_MEDIAN};
}

static test mean_test(const weir__piv_rules *r) {
  return (test){&weir__piv_to_mean, 0, (float)(r->neighbours * r->neighbours), WEIR__PIV_NEIGHBOURS};
}

static bool all_set(const uint8_t *flags, int64_t n) { return !memchr(flags, 0, (size_t)n); }

/* May a block of vectors from (y, x) on be taken at once? */
static bool full(const validation *v, int64_t y, int64_t x) {
  if (y < 1 || y + 1 >= v->ny || x < 1 || x + LANES >= v->nx) return false;
  const uint8_t *here = v->counts + y * v->nx + x - 1;
  return all_set(here - v->nx, LANES + 2) && all_set(here, LANES + 2) && all_set(here + v->nx, LANES + 2);
}

static bool fails(const validation *v, const test *t, const weir__piv_plane *p, int64_t y, int64_t x) {
  int64_t i = y * v->nx + x;
  return v->ok[i] && t->distance->one(p, y, x, p->dy[i], p->dx[i], t->noise, t->limit) > t->limit;
}

/* Test all; the number that fail. */
static int64_t first_round(validation *v, const test *t) {
  weir__piv_plane p = plane_of(v);
  int64_t         n = 0;
  for (int64_t y = 0; y < v->ny; y++)
    for (int64_t x = 0; x < v->nx;) {
      uint8_t *out = v->rejected + y * v->nx + x;
      if (!full(v, y, x)) {
        n += *out = fails(v, t, &p, y, x++);
        continue;
      }
      float distance[LANES];
      t->distance->block(&p, y, x, t->noise, distance);
      for (int i = 0; i < LANES; i++) n += out[i] = distance[i] > t->limit;
      x += LANES;
    }
  return n;
}

/* Those near one that failed, without those that failed. */
static void second_round(validation *v, const test *t) {
  enum { REACH = 2 };
  weir__piv_plane p = plane_of(v);
  memset(v->again, 0, (size_t)(v->ny * v->nx));
  for (int64_t y = 0; y < v->ny; y++)
    for (int64_t x = 0; x < v->nx; x++) {
      if (!v->rejected[y * v->nx + x]) continue;
      v->counts[y * v->nx + x] = 0;
      int64_t left = x < REACH ? 0 : x - REACH, right = x + REACH < v->nx ? x + REACH : v->nx - 1;
      for (int64_t j = y < REACH ? 0 : y - REACH; j <= y + REACH && j < v->ny; j++)
        memset(v->again + j * v->nx + left, 1, (size_t)(right - left + 1));
    }
  for (int64_t y = 0; y < v->ny; y++)
    for (int64_t x = 0; x < v->nx; x++) {
      int64_t i = y * v->nx + x;
      if (v->again[i]) v->rejected[i] = fails(v, t, &p, y, x);
    }
}

static void test_near(validation *v, test t) {
  size_t n = (size_t)(v->ny * v->nx);
  memcpy(v->counts, v->ok, n);
  if (!first_round(v, &t)) return;
  second_round(v, &t);
  for (size_t i = 0; i < n; i++) {
    if (!v->rejected[i]) continue;
    v->ok[i]          = 0;
    v->field->flag[i] = t.flag;
    v->field->dy[i] = v->field->dx[i] = NAN;
  }
}

/* ---- in place of those rejected ---- */

/* Does it pass? Gives its distance from the median. */
static bool peak_passes(const validation *v, const weir__piv_plane *p, int64_t y, int64_t x, int peak,
                        float *distance) {
  const weir__piv_rules *r      = v->rules;
  test                   median = median_test(r), mean = mean_test(r);
  int64_t                i = y * v->nx + x;
  float                  dy, dx;
  whole(v, i, peak, &dy, &dx);
  if (!isfinite(dy) || !isfinite(dx) || !correlated(r, v->vector[i].value[peak]) || !within_limits(r, dy, dx))
    return false;
  *distance = median.distance->one(p, y, x, dy, dx, median.noise, median.limit);
  if (*distance < 0 || *distance > median.limit) return false;
  return r->neighbours <= 0 || mean.distance->one(p, y, x, dy, dx, 0, mean.limit) <= mean.limit;
}

static void take_lower_peak(validation *v, const weir__piv_plane *p, int64_t y, int64_t x) {
  int64_t i    = y * v->nx + x;
  float   best = INFINITY;
  int8_t  flag = v->field->flag[i];
  if (flag == WEIR__PIV_VALID || flag == WEIR__PIV_MASKED || flag == WEIR__PIV_NO_SIGNAL) return;
  for (int peak = 1; peak < WEIR__PIV_PEAKS; peak++) {
    float distance;
    if (!peak_passes(v, p, y, x, peak, &distance) || distance >= best) continue;
    best = distance;
    whole(v, i, peak, &v->field->dy[i], &v->field->dx[i]);
    v->field->correlation[i] = v->vector[i].value[peak];
    v->field->replaced[i]    = 1;
  }
}

static void take_lower_peaks(validation *v) {
  weir__piv_plane p = plane_of(v);
  memcpy(v->counts, v->ok, (size_t)(v->ny * v->nx));
  for (int64_t y = 0; y < v->ny; y++)
    for (int64_t x = 0; x < v->nx; x++) take_lower_peak(v, &p, y, x);
}

static void interpolate(validation *v, void *scratch) {
  weir__piv_field *f    = v->field;
  bool             some = false;
  for (int64_t i = 0; i < v->ny * v->nx; i++) {
    bool missing = isnan(f->dy[i]);
    if (!missing) some = true;
    else f->replaced[i] = v->rules->fill && f->flag[i] != WEIR__PIV_MASKED ? 2 : 3;
  }
  if (v->rules->fill && some) {
    weir__piv_fill(&f->grid, f->dy, f->flag, false, scratch);
    weir__piv_fill(&f->grid, f->dx, f->flag, false, scratch);
  } else { /* nothing to interpolate from */
    for (int64_t i = 0; i < v->ny * v->nx; i++)
      if (f->replaced[i] == 2) f->replaced[i] = 3;
  }
}

void weir__piv_validate(const weir__piv_rules *rules, const weir__piv_vector *vector, const float *before_dy,
                        const float *before_dx, weir__piv_field *field, void *scratch) {
  size_t     n = vectors(&field->grid);
  uint8_t   *b = scratch;
  validation v = {.rules    = rules,
                  .vector   = vector,
                  .before   = {before_dy, before_dx},
                  .field    = field,
                  .ny       = field->grid.count[0],
                  .nx       = field->grid.count[1],
                  .ok       = b,
                  .counts   = b + n,
                  .rejected = b + 2 * n,
                  .again    = b + 3 * n};
  memset(field->replaced, 0, n);
  test_alone(&v);
  if (rules->median > 0) test_near(&v, median_test(rules));
  if (rules->neighbours > 0) test_near(&v, mean_test(rules));
  if (rules->second) take_lower_peaks(&v);
  interpolate(&v, scratch);
}
