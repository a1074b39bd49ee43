/* power_spectrum: how the variance of a field is spread over wavenumbers. */
#include "core/simd.h"
#include "operators/common/common.h"
#include "operators/common/planner.h"
#include <fftw3.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <weir/sum.h>

enum { WINDOW_NONE, WINDOW_HANN };

typedef struct spectrum {
  weir_axes axes;
  int       window;
  bool      detrend;
  /* completed by infer: */
  int     count;   /* axes transformed: 1 or 2 */
  int     axis[2]; /* slow, fast; with one axis the slow one has one element and is -1 */
  int64_t n[2], bins;
  double  length[2], dk; /* of the domain, in units of the coordinate; width of a bin */
} spectrum;

typedef struct context {
  fftw_plan plan;
  double   *window[2]; /* NULL: none */
  int32_t  *bin;       /* of each complex coefficient of the first n[0] / 2 + 1 rows */
  double    scale;     /* from |coefficient|^2 to variance per wavenumber */
} context;

/* ---- shapes ---- */

static weir_status find_axes(spectrum *p, const weir_field_type *in) {
  unsigned mask;
  WEIR_TRY(weir_axes_resolve(&p->axes, in, &mask));
  if (!p->axes.count && in->rank > 2) mask = 3u << (in->rank - 2);
  p->count = __builtin_popcount(mask);
  if (p->count < 1 || p->count > 2)
    return WEIR_FAIL(WEIR_ERR_INPUT, "power_spectrum: one or two axes are expected, %d are given", p->count);
  p->axis[0] = -1, p->n[0] = 1, p->length[0] = 0;
  for (int a = 0, k = 2 - p->count; a < in->rank; a++) {
    if (!(mask >> a & 1)) continue;
    double h = fabs(weir__uniform_spacing(&in->dim[a]));
    if (in->dim[a].size < 2 || in->dim[a].size > INT_MAX / 2)
      return WEIR_FAIL(WEIR_ERR_INPUT, "power_spectrum: dimension \"%s\" has %lld elements, 2 or more are needed",
                       in->dim[a].name, (long long)in->dim[a].size);
    if (h == 0)
      return WEIR_FAIL(WEIR_ERR_INPUT, "power_spectrum: the coordinate of \"%s\" is uneven, even spacing is expected",
                       in->dim[a].name);
    p->axis[k]     = a;
    p->n[k]        = in->dim[a].size;
    p->length[k++] = h * (double)in->dim[a].size;
  }
  return WEIR_OK;
}

/* Wavenumber of coefficient i of n, in cycles per length of the domain. */
static int64_t cycles(int64_t i, int64_t n) { return i <= n / 2 ? i : i - n; }

static int64_t bin_of(const spectrum *p, int64_t i, int64_t j) {
  if (p->count == 1) return j;
  return (int64_t)floor(hypot((double)cycles(i, p->n[0]) / p->length[0], (double)j / p->length[1]) / p->dk + 0.5);
}

static weir_status infer(weir_infer *infer) {
  spectrum              *p  = infer->params;
  const weir_field_type *in = infer->in[0];
  WEIR_TRY(find_axes(p, in));
  p->dk = 1 / p->length[1];
  if (p->count == 2 && 1 / p->length[0] > p->dk) p->dk = 1 / p->length[0];
  p->bins           = bin_of(p, p->n[0] / 2, p->n[1] / 2) + 1;
  const char *units = in->dim[p->axis[1]].units, *other = p->count == 2 ? in->dim[p->axis[0]].units : units;
  if (!units || !other || strcmp(units, other) != 0) units = NULL;
  const char *square     = weir__units_times(infer, "1", in->units, 2);
  infer->out[0]          = weir__result_type(in, WEIR_F64, weir__units_times(infer, square, units, 1));
  infer->out[0].rank     = 1;
  infer->out[0].location = WEIR_AT_UNKNOWN;
  infer->out[0].dim[0]   = (weir_dimension){
        .name = "k", .size = p->bins, .units = weir__units_times(infer, "1", units, -1), .spacing = p->dk};
  for (int r = 0; r < WEIR_RANK_MAX; r++) infer->from_axis[0][r] = -1;
  return WEIR_OK;
}

static weir_status need(const void *params, const weir_field_type *const *in, int input, const weir_region *out,
                        weir_region *region) {
  (void)params, (void)input, (void)out;
  *region = weir__region_whole(in[0]);
  return WEIR_OK;
}

/* Numbers in the real and the complex array, each a multiple of 64 bytes so that both are aligned as the plan was made
 * for. */
static size_t reals(const spectrum *p) { return ((size_t)p->n[0] * (size_t)p->n[1] + 7) & ~(size_t)7; }
static size_t complexes(const spectrum *p) {
  return ((size_t)p->n[0] * (size_t)(p->n[1] / 2 + 1) * 2 + 7) & ~(size_t)7;
}

static size_t scratch_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  const spectrum *p = params;
  (void)in, (void)out;
  return (reals(p) + complexes(p) + 2 * (size_t)p->bins) * sizeof(double);
}

/* ---- what all calls share ---- */

static void release(void *shared) {
  context *c = shared;
  if (!c) return;
  if (c->plan) {
    weir__planner_lock();
    fftw_destroy_plan(c->plan);
    weir__planner_unlock();
  }
  for (int k = 0; k < 2; k++) weir__free(c->window[k]);
  weir__free(c->bin);
  weir__free(c);
}

static weir_status make_plan(const spectrum *p, context *c) {
  weir_status status = WEIR_OK;
  double     *memory = NULL;
  WEIR_TRY(weir__alloc_zeroed((reals(p) + complexes(p)) * sizeof *memory, 64, &memory));
  fftw_complex *to = (fftw_complex *)(memory + reals(p));
  weir__planner_lock(); /* ESTIMATE: the same plan, and the same bits, every time */
  if (p->count == 2) c->plan = fftw_plan_dft_r2c_2d((int)p->n[0], (int)p->n[1], memory, to, FFTW_ESTIMATE);
  else c->plan = fftw_plan_dft_r2c_1d((int)p->n[1], memory, to, FFTW_ESTIMATE);
  weir__planner_unlock();
  if (!c->plan) status = WEIR_FAIL(WEIR_ERR_OPERATOR, "power_spectrum: FFTW made no plan for this size");
  weir__free(memory);
  return status;
}

/* The periodic Hann window; `*square` is multiplied by the mean of its square. */
static weir_status make_window(int64_t n, double **window, double *square) {
  const double pi  = 3.14159265358979323846;
  double       sum = 0;
  WEIR_TRY(weir__alloc_array((size_t)n, sizeof **window, window));
  for (int64_t i = 0; i < n; i++) {
    (*window)[i] = 0.5 - 0.5 * cos(2 * pi * (double)i / (double)n);
    sum += (*window)[i] * (*window)[i];
  }
  *square *= sum / (double)n;
  return WEIR_OK;
}

static weir_status prepare(const void *params, const weir_field_type *const *in, void **shared) {
  const spectrum *p      = params;
  weir_status     status = WEIR_OK;
  context        *c      = NULL;
  double          square = 1, total = (double)p->n[0] * (double)p->n[1];
  int64_t         half = p->n[1] / 2 + 1, rows = p->n[0] / 2 + 1;
  (void)in;
  WEIR_TRY(weir__alloc_zeroed(sizeof *c, 0, &c));
  if (p->window == WINDOW_HANN)
    for (int k = 2 - p->count; k < 2; k++) WEIR_TRY_GOTO(out, make_window(p->n[k], &c->window[k], &square));
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)(rows * half), sizeof *c->bin, &c->bin));
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < half; j++) c->bin[i * half + j] = (int32_t)bin_of(p, i, j);
  c->scale = 1 / (total * total * square * p->dk);
  WEIR_TRY_GOTO(out, make_plan(p, c));
  *shared = c;
  c       = NULL;
out:
  release(c);
  return status;
}

/* ---- one transform ---- */

/* A view whose last axes are those transformed. */
static weir_view turn(const weir_view *in, const spectrum *p) {
  weir_view v = *in;
  int       k = 0;
  for (int a = 0; a < in->rank; a++)
    if (a != p->axis[0] && a != p->axis[1]) v.count[k] = in->count[a], v.stride[k++] = in->stride[a];
  for (int m = 2 - p->count; m < 2; m++) v.count[k] = in->count[p->axis[m]], v.stride[k++] = in->stride[p->axis[m]];
  return v;
}

/* x less the mean, times the window; false when one is missing or not finite. */
WEIR__WIDEST static bool condition(const double *from, int64_t n, double mean, const double *window, double slow,
                                   double *to) {
  uint64_t largest = 0; /* bits of numbers without sign are in order, infinity and NaN above the others */
  for (int64_t j = 0; j < n; j++) {
    uint64_t bits;
    double   v = from[j] - mean;
    memcpy(&bits, &from[j], sizeof bits);
    bits &= INT64_MAX;
    largest = bits > largest ? bits : largest;
    to[j]   = window ? v * (slow * window[j]) : v;
  }
  return largest < UINT64_C(0x7ff) << 52;
}

/* Without a window the mean is in the first coefficient alone. What is subtracted from a plane before its transform is
 * the mean of the first row then, so that rounding is relative to the variations and not to the mean, and the rest is
 * taken from the coefficient: the plane is read once less. */
static bool mean_in_first(const spectrum *p) { return p->detrend && p->count == 2 && p->window == WINDOW_NONE; }

/* Load the next n[0] rows; `index` is left on the last of them. False when a value is missing or not finite. */
static bool load(const spectrum *p, const context *c, const weir_view *v, int64_t *index, double *x) {
  int64_t  begin[WEIR_RANK_MAX];
  weir_sum sum  = {0};
  double   mean = 0;
  bool     fine = true;
  int64_t  rows = !p->detrend ? 0 : mean_in_first(p) ? 1 : p->n[0];
  memcpy(begin, index, sizeof begin);
  for (int64_t i = 0; i < rows; i++) {
    if (i) weir_view_next_row(v, index);
    weir_sum_add(&sum, weir_view_load(v, index, p->n[1], x + i * p->n[1]), p->n[1]);
  }
  if (p->detrend) {
    if (sum.count == rows * p->n[1] && !sum.special) mean = weir_sum_mean(&sum);
    else fine = false; /* and all rows are passed over */
    memcpy(index, begin, sizeof begin);
  }
  for (int64_t i = 0; i < p->n[0]; i++) {
    double *row = x + i * p->n[1];
    if (i) weir_view_next_row(v, index);
    fine &= condition(weir_view_load(v, index, p->n[1], row), p->n[1], mean, c->window[1],
                      c->window[0] ? c->window[0][i] : 1, row);
  }
  return fine;
}

/* Coefficients of a real field come in conjugate pairs, of which FFTW gives one: it counts twice, but for those that
 * are their own. */
WEIR__WIDEST static void squares(const double *z, int64_t n, double *to) {
  for (int64_t j = 0; j < n; j++) to[j] = 2 * (z[2 * j] * z[2 * j] + z[2 * j + 1] * z[2 * j + 1]);
}

/* The same of two rows. */
WEIR__WIDEST static void squares_of_two(const double *y, const double *z, int64_t n, double *to) {
  for (int64_t j = 0; j < n; j++)
    to[j] =
        2 * ((y[2 * j] * y[2 * j] + y[2 * j + 1] * y[2 * j + 1]) + (z[2 * j] * z[2 * j] + z[2 * j + 1] * z[2 * j + 1]));
}

/* Two sums for each bin: coefficients beside each other fall into the same bin or the next, and need not wait for each
 * other. */
static void add_to_bins(const int32_t *bin, int64_t n, const double *square, double *even, double *odd) {
  for (int64_t j = 0; j + 1 < n; j += 2) {
    even[bin[j]] += square[j];
    odd[bin[j + 1]] += square[j + 1];
  }
  if (n % 2) even[bin[n - 1]] += square[n - 1];
}

/* Rows of opposite wavenumbers fall into the same bins. */
static void collect(const spectrum *p, const context *c, const fftw_complex *z, double *square, double *power) {
  int64_t half = p->n[1] / 2 + 1;
  for (int64_t i = 0; i <= p->n[0] / 2; i++) {
    const int32_t *bin      = c->bin + i * half;
    int64_t        opposite = (p->n[0] - i) % p->n[0];
    if (opposite == i) squares(z[i * half], half, square);
    else squares_of_two(z[i * half], z[opposite * half], half, square);
    square[0] /= 2;
    if (p->n[1] % 2 == 0) square[half - 1] /= 2;
    for (int64_t j = 0; p->count == 1 && j < half; j++) power[j] += square[j];
    if (p->count == 2) add_to_bins(bin, half, square, power, power + p->bins);
  }
}

static weir_status apply(const weir_apply *a) {
  const spectrum *p = a->params;
  const context  *c = a->context;
  weir_view       v = turn(&a->in[0], p);
  double         *x = a->scratch, *power = x + reals(p) + complexes(p);
  fftw_complex   *z                    = (fftw_complex *)(x + reals(p));
  int64_t         index[WEIR_RANK_MAX] = {0}, planes = 0, zero = 0;
  memset(power, 0, 2 * (size_t)p->bins * sizeof *power);
  if (weir_view_size(&v)) do {
      if (!load(p, c, &v, index, x)) continue;
      fftw_execute_dft_r2c(c->plan, x, z);
      if (mean_in_first(p)) z[0][0] = z[0][1] = 0;
      collect(p, c, (const fftw_complex *)z, x, power); /* the field is not needed any more */
      planes++;
    } while (weir_view_next_row(&v, index));
  for (int64_t k = 0; k < p->bins; k++) {
    double sum = power[k] + power[p->bins + k];
    power[k]   = planes ? sum * c->scale / (double)planes : (double)NAN;
  }
  weir_view_store(&a->out[0], &zero, p->bins, power);
  return WEIR_OK;
}

static const char *const windows[]     = {"none", "hann", NULL};
static const char *const input_names[] = {"f"};
static const weir_param  params[]      = {
          {"axes", WEIR_PARAM_AXES, offsetof(spectrum, axes),
           .help = "one dimension, or two for an isotropic spectrum; default: the last two (or the only one)"},
          {"window", WEIR_PARAM_CHOICE, offsetof(spectrum, window), .choices = windows,
           .help = "what the field is multiplied by before"},
          {"detrend", WEIR_PARAM_BOOL, offsetof(spectrum, detrend), .fallback = 1, .help = "remove the mean first"},
          {0},
};

const weir_operator weir_operator_power_spectrum = {
    .api     = WEIR_OPERATOR_API,
    .name    = "power_spectrum",
    .summary = "variance per wavenumber, along one dimension or isotropic over two",
    .details =
        "Spectral density E(k) from a Fourier transform, averaged over the dimensions that are not transformed; k is "
        "in cycles per unit of length of the coordinate (which must be even). Along one dimension of n elements spaced "
        "h, k = 0, dk, ... with dk = 1/(n h). Over two, all coefficients with |k| within dk/2 of a multiple of dk are "
        "added, up to the corners; dk is 1 by the shorter length of the domain. Parseval: the sum of E dk over all k "
        "is the variance (with detrend: no, the mean square; with window: hann, that of the windowed field divided by "
        "the mean square of the window). A row (or plane) with a missing value is left out; missing when none is left.",
    .inputs       = 1,
    .input_names  = input_names,
    .params       = params,
    .params_size  = sizeof(spectrum),
    .work         = 40,
    .infer        = infer,
    .need         = need,
    .apply        = apply,
    .scratch_size = scratch_size,
    .prepare      = prepare,
    .release      = release,
};
