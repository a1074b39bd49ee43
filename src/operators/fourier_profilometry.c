/* fourier_profilometry: the height of a surface from fringes projected onto it. */
#include "operators/common/common.h"
#include "operators/common/fringes.h"
#include "operators/common/unwrap.h"
#include "operators/piv/operators.h"
#include <math.h>
#include <string.h>

typedef struct profilometry {
  double    wavelength, filter, distance, separation, period, min_modulation;
  weir_list anchor;
  int64_t   size[2]; /* what follows is set by infer */
  double    pixel;   /* metres, or 0 */
} profilometry;

enum { HEIGHT, PHASE, MODULATION, RESULTS };

static weir_status infer(weir_infer *infer) {
  profilometry          *p  = infer->params;
  const weir_field_type *in = infer->in[0];
  WEIR_TRY(weir__piv_check_images("fourier_profilometry", in, infer->in[1], NULL));
  for (int k = 0; k < 2; k++) p->size[k] = in->dim[k].size;
  if (p->size[0] < 16 || p->size[1] < 16 || p->size[0] > WEIR__UNWRAP_MOST / p->size[1])
    return WEIR_FAIL(WEIR_ERR_INPUT, "fourier_profilometry: an image of %lld x %lld, expected 16 x 16 to 2^30 pixels",
                     (long long)p->size[0], (long long)p->size[1]);
  if (p->anchor.count && (p->anchor.count != 2 || !(p->anchor.value[0] < (double)p->size[0]) ||
                          !(p->anchor.value[1] < (double)p->size[1])))
    return WEIR_FAIL(WEIR_ERR_INPUT, "fourier_profilometry: anchor: expected a pixel [y, x] below [%lld, %lld]",
                     (long long)p->size[0], (long long)p->size[1]);
  double spacing[2] = {fabs(weir__uniform_spacing(&in->dim[0])), fabs(weir__uniform_spacing(&in->dim[1]))};
  bool   metres     = in->dim[1].units && !strcmp(in->dim[1].units, "m") && spacing[0] == spacing[1];
  p->pixel          = metres ? spacing[1] : 0;
  if (!(p->period > 0) && !metres)
    return WEIR_FAIL(WEIR_ERR_INPUT, "fourier_profilometry: period is missing: the metres of the surface that a fringe "
                                     "takes, unless the images have coordinates in m (pixel: of the stream)");
  for (int k = 0; k < RESULTS; k++) {
    infer->out[k].dtype    = WEIR_F32;
    infer->out[k].has_fill = false;
    if (k != MODULATION) infer->out[k].units = k == HEIGHT ? "m" : "rad";
    for (int a = 0; a < 2; a++) infer->from_axis[k][a] = -1;
  }
  return WEIR_OK;
}

/* ---- memory ---- */

typedef struct memory {
  float   *image, *reference, *phase, *modulation;
  double  *row;
  uint8_t *weak, *missing;
  void    *rest; /* of the transforms, then of the unwrapping */
  size_t   bytes;
} memory;

static memory lay_out(const int64_t size[2], char *base) {
  size_t n = (size_t)(size[0] * size[1]), used = 0, rest = weir__fringes_scratch(size);
  memory m     = {0};
  m.image      = weir__piv_take(base, &used, n * sizeof(float));
  m.reference  = weir__piv_take(base, &used, n * sizeof(float));
  m.phase      = weir__piv_take(base, &used, n * sizeof(float));
  m.modulation = weir__piv_take(base, &used, n * sizeof(float));
  m.row        = weir__piv_take(base, &used, RESULTS * (size_t)size[1] * sizeof(double));
  m.weak       = weir__piv_take(base, &used, n);
  m.missing    = weir__piv_take(base, &used, n);
  if (weir__unwrap_scratch(size[0], size[1]) > rest) rest = weir__unwrap_scratch(size[0], size[1]);
  m.rest  = weir__piv_take(base, &used, rest);
  m.bytes = used;
  return m;
}

static size_t scratch_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  (void)in, (void)out;
  return lay_out(((const profilometry *)params)->size, NULL).bytes;
}

static weir_status prepare(const void *params, const weir_field_type *const *in, void **context) {
  weir__fringes *fringes;
  (void)in;
  WEIR_TRY(weir__fringes_create(((const profilometry *)params)->size, &fringes));
  *context = fringes;
  return WEIR_OK;
}

static void release(void *context) {
  weir__fringes *fringes = context;
  weir__fringes_destroy(&fringes);
}

/* What is no number stands at the mean of the others. */
static void load(const weir_view *view, const int64_t size[2], float *out, uint8_t *missing) {
  double  buffer[256], sum = 0;
  int64_t count = 0, n = size[0] * size[1];
  for (int64_t y = 0; y < size[0]; y++)
    for (int64_t x = 0; x < size[1]; x += 256) {
      int64_t       index[2] = {y, x}, some = size[1] - x < 256 ? size[1] - x : 256;
      const double *value = weir_view_load(view, index, some, buffer);
      for (int64_t i = 0; i < some; i++) {
        int64_t at = y * size[1] + x + i;
        out[at]    = (float)value[i];
        if (!isfinite(out[at])) missing[at] = 1;
        else sum += value[i], count++;
      }
    }
  float mean = count ? (float)(sum / (double)count) : 0;
  for (int64_t i = 0; i < n; i++)
    if (!isfinite(out[i])) out[i] = mean;
}

/* ---- the height ---- */

/* The multiple of 2 pi that all of the phase is moved by. */
static float whole_turns(const profilometry *p, const memory *m) {
  const double turn  = 6.283185307179586;
  double       sum   = 0, here;
  int64_t      count = 0, n = p->size[0] * p->size[1];
  for (int64_t i = 0; i < n; i++)
    if (!m->weak[i]) sum += (double)m->phase[i], count++;
  here = count ? sum / (double)count : 0;
  if (p->anchor.count) here = (double)m->phase[(int64_t)p->anchor.value[0] * p->size[1] + (int64_t)p->anchor.value[1]];
  return (float)(turn * rint(here / turn));
}

static weir_status apply(const weir_apply *a) {
  const profilometry *p       = a->params;
  weir__fringes      *fringes = a->context;
  int64_t             n       = p->size[0] * p->size[1];
  memory              m       = lay_out(p->size, a->scratch);

  double carrier[2];
  memset(m.missing, 0, (size_t)n);
  load(&a->in[0], p->size, m.image, m.missing);
  load(&a->in[1], p->size, m.reference, m.missing);
  if (!weir__fringes_compare(fringes, m.image, m.reference, p->wavelength, p->filter, carrier, m.phase, m.modulation,
                             m.rest))
    return WEIR_FAIL(WEIR_ERR_INPUT, "fourier_profilometry: the reference has no fringes");
  for (int64_t i = 0; i < n; i++) m.weak[i] = m.missing[i] || !((double)m.modulation[i] >= p->min_modulation);
  weir__unwrap(m.phase, m.weak, p->size[0], p->size[1], m.rest);
  float  turns  = whole_turns(p, &m);
  double period = p->period > 0 ? p->period : p->pixel / hypot(carrier[0], carrier[1]);
  double far    = 6.283185307179586 * p->separation / period;
  for (int64_t y = 0, i = 0; y < p->size[0]; y++) {
    const int64_t index[2] = {y, 0}, columns = p->size[1];
    for (int64_t x = 0; x < columns; x++, i++) {
      double phase                    = m.weak[i] ? NAN : (double)(m.phase[i] - turns);
      m.row[HEIGHT * columns + x]     = p->distance * phase / (phase - far);
      m.row[PHASE * columns + x]      = phase;
      m.row[MODULATION * columns + x] = m.missing[i] ? NAN : (double)m.modulation[i];
    }
    for (int k = 0; k < RESULTS; k++) weir_view_store(&a->out[k], index, columns, m.row + k * columns);
  }
  return WEIR_OK;
}

/* ---- the record ---- */

static const char *const input_names[]  = {"image", "reference"};
static const char *const output_names[] = {"height", "phase", "modulation"};
#define AT(member) offsetof(profilometry, member)
static const weir_param params[] = {
    {"distance", WEIR_PARAM_REAL, AT(distance), .required = true, .least = 1e-9, .most = 1e9, .units = "m",
     .help = "from camera and projector to the reference surface"},
    {"separation", WEIR_PARAM_REAL, AT(separation), .required = true, .least = -1e9, .most = 1e9, .units = "m",
     .help = "of camera and projector; negative: the projector is on the other side"},
    {"period", WEIR_PARAM_REAL, AT(period), .least = 0, .most = 1e9, .units = "m",
     .help = "of the fringes on the reference surface; default: the carrier's, where the images' coordinates are in m"},
    {"wavelength", WEIR_PARAM_REAL, AT(wavelength), .least = 0, .most = 1e6, .units = "pixel",
     .help = "of the carrier, roughly (a fifth off at most); 0: it is found in the reference"},
    {"filter", WEIR_PARAM_REAL, AT(filter), .fallback = 0.7, .least = 0.05, .most = 0.95,
     .help = "radius of the filter around the carrier, relative to the carrier's frequency"},
    {"min_modulation", WEIR_PARAM_REAL, AT(min_modulation), .least = 0, .most = 1e9,
     .help = "missing where the fringes' amplitude is less"},
    {"anchor", WEIR_PARAM_LIST, AT(anchor), .least = 0, .most = 1e9, .units = "pixel",
     .help = "a pixel [y, x] whose phase is between -pi and pi; default: the mean of the image is"},
    {0}};

const weir_operator weir_operator_fourier_profilometry = {
    .api     = WEIR_OPERATOR_API,
    .name    = "fourier_profilometry",
    .summary = "height of a surface from projected fringes",
    .details =
        "What lies around the carrier in the Fourier transforms of image and reference gives their difference of phase "
        "(Takeda & Mutoh 1983, doi 10.1364/AO.22.003977; Cobelli et al. 2009, doi 10.1007/s00348-009-0611-z), which is "
        "unwrapped by sorted reliability (Herraez et al. 2002, doi 10.1364/AO.41.007437). height = distance phase / "
        "(phase - 2 pi separation / period): towards the camera where the fringes move in the direction in which the "
        "carrier's phase grows (x; y for fringes along x) for a positive separation. Results: height in m; phase "
        "in rad, image less reference; modulation, the amplitude of the fringes in the image. Both images are taken "
        "as a whole. Missing pixels stand at the mean and are missing in the results. A step of the surface between "
        "neighbouring pixels of more than pi, or slopes at which fringes leave the filter, cannot be told.",
    .inputs       = 2,
    .input_names  = input_names,
    .outputs      = RESULTS,
    .output_names = output_names,
    .params       = params,
    .params_size  = sizeof(profilometry),
    .work         = 500,
    .infer        = infer,
    .need         = weir__need_whole,
    .apply        = apply,
    .scratch_size = scratch_size,
    .prepare      = prepare,
    .release      = release};
