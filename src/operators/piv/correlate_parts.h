/* What the parts of the correlator share. A correlation plane holds the shifts -search .. search of both axes, rows
 * `stride` apart, as normalised values; how it was made is the method's business, what is read off it is peaks.c's. */
#ifndef WEIR_OPERATORS_PIV_CORRELATE_PARTS_H
#define WEIR_OPERATORS_PIV_CORRELATE_PARTS_H
#include "operators/piv/piv.h"
#include <fftw3.h>
#include <string.h>

/* Four floats, which every machine that matters computes with at once. Sums are taken lane by lane in a fixed order, so
 * that they are the same whatever the compiler makes of them. */
typedef float   weir__float4 __attribute__((vector_size(16)));
typedef int32_t weir__int4 __attribute__((vector_size(16)));

static inline weir__float4 weir__load4(const float *x) {
  weir__float4 v;
  memcpy(&v, x, sizeof v);
  return v;
}
static inline void  weir__store4(float *x, weir__float4 v) { memcpy(x, &v, sizeof v); }
static inline float weir__sum4(weir__float4 v) { return (v[0] + v[2]) + (v[1] + v[3]); }

enum { WEIR__PIV_WINDOW_MOST = 4096 }; /* pixels along an axis */

struct weir__piv_correlator {
  weir__piv_settings            settings;
  float                        *weight;    /* [window]; NULL: uniform */
  float                        *unbias[2]; /* [2 search + 1]: what values are multiplied by before the peak is fitted */
  int64_t                       stride;    /* floats from one row of a plane to the next */
  int64_t                       size[2];   /* FFT: of the transform */
  fftwf_plan                    forward, inverse, lines, columns;
  int64_t                       pitch;    /* FFT: complex values from one line's transform to the next */
  int64_t                       group;    /* FFT: rows of the grid whose windows share lines; 0: none do */
  const struct weir__piv_lanes *lanes;    /* FFT: its inner loops */
  int64_t                       block[2]; /* direct: pixels of the blocks that windows share; 0: they share none */
};

/* The windows of one vector at their place. */
typedef struct weir__piv_place {
  const weir__piv_strip *a, *b;
  const uint8_t         *mask;
  int64_t                y, x; /* first pixel of the window */
} weir__piv_place;

static inline const float *weir__piv_row(const weir__piv_strip *strip, int64_t y, int64_t x) {
  return strip->pixel + (y - strip->y0) * strip->columns + x;
}
/* Floats, a multiple of 16: eight lanes may be taken from the last value on. */
static inline int64_t weir__piv_plane_size(const weir__piv_correlator *c) {
  return ((2 * c->settings.search[0] + 1) * c->stride + 27) / 16 * 16;
}
static inline int64_t weir__piv_round16(int64_t n) { return (n + 15) / 16 * 16; }

/* Contrast above what rounding makes of a flat window: `energy` is the sum of count squares of what differs from the
 * mean, `level` that mean. */
static inline bool weir__piv_has_signal(double energy, double count, double level) {
  double noise = 1e-6 * level;
  return energy > noise * noise * count && energy > 1e-30 && energy < 1e30;
}
enum { WEIR__PIV_LEAST_SHARE = 10000 }; /* sums of squares may be this much larger than what the mean leaves of them */

/* VALID, or MASKED when more of the window is than may be. */
weir__piv_flag weir__piv_masked(const weir__piv_correlator *c, const weir__piv_place *place, bool *any);
/* The peaks of a plane. `masked`: FFT, a window with masked pixels; NULL: all of them count. */
void weir__piv_peaks(const weir__piv_correlator *c, const float *plane, const weir__piv_place *masked,
                     weir__piv_vector *vector);

/* What was found of one window. */
typedef struct weir__piv_found {
  const weir__piv_place *place;
  weir__piv_flag         flag;
  bool                   masked; /* FFT: some of its pixels are */
  const float           *plane;
} weir__piv_found;
/* Where it goes: peaks into vectors, or planes into an ensemble. */
typedef struct weir__piv_target {
  weir__piv_vector   *vector;
  weir__piv_ensemble *ensemble; /* NULL: into vectors */
} weir__piv_target;
/* ensemble.c */
void weir__piv_put(const weir__piv_correlator *c, const weir__piv_found *found, const weir__piv_target *to,
                   int64_t number);

weir_status weir__piv_fft_create(weir__piv_correlator *c);
size_t      weir__piv_fft_scratch(const weir__piv_correlator *c);
void        weir__piv_fft_correlate(const weir__piv_correlator *c, const weir__piv_strip *a, const weir__piv_strip *b,
                                    const uint8_t *mask, int64_t row, int64_t rows, const weir__piv_target *to,
                                    float *scratch);

void   weir__piv_direct_create(weir__piv_correlator *c);
size_t weir__piv_direct_scratch(const weir__piv_correlator *c, int64_t columns);
void   weir__piv_direct_correlate(const weir__piv_correlator *c, const weir__piv_strip *a, const weir__piv_strip *b,
                                  const uint8_t *mask, int64_t row, int64_t rows, const weir__piv_target *to,
                                  float *scratch);
#endif
