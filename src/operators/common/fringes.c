#include "operators/common/fringes.h"
#include "core/memory.h"
#include "operators/common/planner.h"
#include <fftw3.h>
#include <math.h>
#include <string.h>

enum { FRAME = 32 /* pixels more than the image, at least */ };

struct weir__fringes {
  int64_t    image[2], size[2]; /* size: of the transform */
  fftwf_plan forward, inverse;
};

static int64_t frame_size(int64_t n) {
  static const int64_t factor[] = {2, 3, 5, 7};
  for (n += FRAME;; n++) {
    int64_t left = n;
    for (int k = 0; k < 4; k++)
      while (left % factor[k] == 0) left /= factor[k];
    if (left == 1) return n;
  }
}

/* In elements, such that planes behind each other are aligned. */
static size_t plane_of(const int64_t image[2]) {
  return ((size_t)(frame_size(image[0]) * frame_size(image[1])) + 7) & ~(size_t)7;
}

size_t weir__fringes_scratch(const int64_t image[2]) { return 3 * plane_of(image) * sizeof(fftwf_complex); }

weir_status weir__fringes_create(const int64_t image[2], weir__fringes **fringes) {
  weir__fringes *self;
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  for (int k = 0; k < 2; k++) self->image[k] = image[k], self->size[k] = frame_size(image[k]);
  weir__planner_lock();
  fftwf_complex *z = fftwf_malloc(plane_of(image) * sizeof *z);
  if (z) {
    self->forward = fftwf_plan_dft_2d((int)self->size[0], (int)self->size[1], z, z, FFTW_FORWARD, FFTW_ESTIMATE);
    self->inverse = fftwf_plan_dft_2d((int)self->size[0], (int)self->size[1], z, z, FFTW_BACKWARD, FFTW_ESTIMATE);
  }
  fftwf_free(z);
  weir__planner_unlock();
  if (!self->forward || !self->inverse) {
    weir__fringes_destroy(&self);
    return WEIR_FAIL(WEIR_ERR_MEMORY, "no memory for a Fourier transform of %lld x %lld pixels", (long long)image[0],
                     (long long)image[1]);
  }
  *fringes = self;
  return WEIR_OK;
}

void weir__fringes_destroy(weir__fringes **fringes) {
  weir__fringes *self = *fringes;
  if (!self) return;
  weir__planner_lock();
  if (self->forward) fftwf_destroy_plan(self->forward);
  if (self->inverse) fftwf_destroy_plan(self->inverse);
  weir__planner_unlock();
  weir__free(self);
  *fringes = NULL;
}

/* ---- both images in one transform: image + i reference ---- */

static double mean_of(const float *x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += (double)x[i];
  return sum / (double)n;
}

/* False: the reference is a constant. */
static bool transform(const weir__fringes *f, const float *image, const float *reference, fftwf_complex *z) {
  int64_t n = f->image[0] * f->image[1];
  float   a = (float)mean_of(image, n), b = (float)mean_of(reference, n);
  double  squares = 0;
  memset(z, 0, (size_t)(f->size[0] * f->size[1]) * sizeof *z);
  for (int64_t y = 0; y < f->image[0]; y++)
    for (int64_t x = 0; x < f->image[1]; x++) {
      float *to = z[y * f->size[1] + x];
      to[0]     = image[y * f->image[1] + x] - a;
      to[1]     = reference[y * f->image[1] + x] - b;
      squares += (double)(to[1] * to[1]);
    }
  fftwf_execute_dft(f->forward, z, z);
  return squares > 1e-12 * (double)n * (double)b * (double)b;
}

/* The parts of the transform of frequency (y, x): F = (Z(k) + Z*(-k)) / 2, G = (Z(k) - Z*(-k)) / 2i. */
static void part_of(const weir__fringes *f, const fftwf_complex *z, int64_t y, int64_t x, float of_image[2],
                    float of_reference[2]) {
  int64_t      my = y ? f->size[0] - y : 0, mx = x ? f->size[1] - x : 0;
  const float *p = z[y * f->size[1] + x], *m = z[my * f->size[1] + mx];
  of_image[0] = 0.5f * (p[0] + m[0]), of_image[1] = 0.5f * (p[1] - m[1]);
  of_reference[0] = 0.5f * (p[1] + m[1]), of_reference[1] = 0.5f * (m[0] - p[0]);
}

static double frequency(int64_t k, int64_t size) { return (double)(2 * k > size ? k - size : k) / (double)size; }

static double strength(const weir__fringes *f, const fftwf_complex *z, int64_t y, int64_t x) {
  float image[2], reference[2];
  part_of(f, z, (y + f->size[0]) % f->size[0], (x + f->size[1]) % f->size[1], image, reference);
  return (double)(reference[0] * reference[0]) + (double)(reference[1] * reference[1]);
}

/* Where between neighbours a peak is: a parabola through the logarithms. */
static double between(double before, double here, double after) {
  if (!(before > 0) || !(after > 0)) return 0;
  double curve = log(before) - 2 * log(here) + log(after);
  return curve < 0 ? 0.5 * (log(before) - log(after)) / curve : 0;
}

static bool find_carrier(const weir__fringes *f, const fftwf_complex *z, double wavelength, double carrier[2]) {
  double shorter = (double)(f->image[0] < f->image[1] ? f->image[0] : f->image[1]), most = 0;
  double least   = wavelength > 0 ? 1 / (1.2 * wavelength) : 4 / shorter,
         highest = wavelength > 0 ? 1.2 / wavelength : 1 / 3.0;
  int64_t at[2]  = {0, 0};
  for (int64_t y = 0; y < f->size[0]; y++)
    for (int64_t x = 0; 2 * x <= f->size[1]; x++) { /* the other half is the conjugate */
      double ky = frequency(y, f->size[0]), kx = frequency(x, f->size[1]), k = hypot(ky, kx);
      if (k < least || k > highest || (x == 0 && ky < 0)) continue;
      double s = strength(f, z, y, x);
      if (s > most) most = s, at[0] = y, at[1] = x;
    }
  if (!(most > 0)) return false;
  for (int k = 0; k < 2; k++) {
    int64_t dy = !k, dx = k;
    carrier[k] = frequency(at[k], f->size[k]) +
                 between(strength(f, z, at[0] - dy, at[1] - dx), most, strength(f, z, at[0] + dy, at[1] + dx)) /
                     (double)f->size[k];
  }
  return true;
}

/* ---- the filter ---- */

static float passed(double distance) {
  if (distance <= 0.5) return 1;
  if (distance >= 1) return 0;
  double c = cos(3.14159265358979323846 * (distance - 0.5));
  return (float)(c * c);
}

static void filter(const weir__fringes *f, const fftwf_complex *z, const double carrier[2], double radius,
                   fftwf_complex *a, fftwf_complex *b) {
  double reach = radius * hypot(carrier[0], carrier[1]);
  for (int64_t y = 0; y < f->size[0]; y++)
    for (int64_t x = 0; x < f->size[1]; x++) {
      float *to = a[y * f->size[1] + x], *ref = b[y * f->size[1] + x];
      double dy = frequency(y, f->size[0]) - carrier[0], dx = frequency(x, f->size[1]) - carrier[1];
      float  w = passed(hypot(dy - rint(dy), dx - rint(dx)) / reach); /* frequencies are periodic */
      to[0] = to[1] = ref[0] = ref[1] = 0;
      if (w == 0) continue;
      part_of(f, z, y, x, to, ref);
      for (int k = 0; k < 2; k++) to[k] *= w, ref[k] *= w;
    }
}

/* The carrier's frequency by how much the phase of the reference grows from one pixel to the next. */
static void refine(const weir__fringes *f, const fftwf_complex *b, double carrier[2]) {
  for (int k = 0; k < 2; k++) {
    int64_t next = k ? 1 : f->size[1];
    double  re = 0, im = 0;
    for (int64_t y = 0; y < f->image[0] - !k; y++)
      for (int64_t x = 0; x < f->image[1] - k; x++) {
        const float *p = b[y * f->size[1] + x], *q = p + 2 * next;
        re += (double)(p[0] * q[0] + p[1] * q[1]), im += (double)(p[0] * q[1] - p[1] * q[0]);
      }
    if (re != 0 || im != 0) carrier[k] = atan2(im, re) / (2 * 3.14159265358979323846);
  }
}

bool weir__fringes_compare(const weir__fringes *f, const float *image, const float *reference, double wavelength,
                           double radius, double carrier[2], float *phase, float *modulation, void *scratch) {
  fftwf_complex *z = scratch, *a = z + plane_of(f->image), *b = a + plane_of(f->image);
  float          scale = 2 / (float)(f->size[0] * f->size[1]);
  if (!transform(f, image, reference, z) || !find_carrier(f, z, wavelength, carrier)) return false;
  filter(f, z, carrier, radius, a, b);
  fftwf_execute_dft(f->inverse, a, a);
  fftwf_execute_dft(f->inverse, b, b);
  refine(f, b, carrier);
  for (int64_t y = 0; y < f->image[0]; y++)
    for (int64_t x = 0; x < f->image[1]; x++) {
      const float *p = a[y * f->size[1] + x], *q = b[y * f->size[1] + x];
      int64_t      i = y * f->image[1] + x;
      phase[i]       = atan2f(p[1] * q[0] - p[0] * q[1], p[0] * q[0] + p[1] * q[1]);
      modulation[i]  = scale * hypotf(p[0], p[1]);
    }
  return true;
}
