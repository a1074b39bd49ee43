/* Pairs of particle images whose displacement is known: for tests, benchmarks and `weir synth-piv`. Made from numbers
 * that depend on nothing but the scene: each particle and each pixel draws its own (splitmix64, Steele et al. 2014), so
 * the same scene gives the same images anywhere. (Only erf, exp, log and the like come from the C library; what its
 * versions differ by is far below what is rounded away.) Coordinates as in piv.h. */
#ifndef WEIR_OPERATORS_SYNTHETIC_H
#define WEIR_OPERATORS_SYNTHETIC_H
#include "core/error.h"
#include <weir/types.h>

/* ---- displacements that have a formula ---- */

typedef enum weir__piv_motion_kind { /* the order of the table in synthetic.c */
                                     WEIR__PIV_UNIFORM_SHIFT,
                                     WEIR__PIV_SHEAR,
                                     WEIR__PIV_VORTEX, /* Lamb-Oseen */
                                     WEIR__PIV_SINE,
                                     WEIR__PIV_ROTATION,
                                     WEIR__PIV_MOTIONS
} weir__piv_motion_kind;

typedef struct weir__piv_motion {
  weir__piv_motion_kind kind;
  double                shift[2];   /* dy, dx in pixels: added everywhere */
  double                gradient;   /* pixels per pixel: the largest there is; of a rotation: radians */
  double                wavelength; /* of the sine, pixels */
  double                radius;     /* of the vortex' core, pixels */
  double                centre[2];  /* y, x of the vortex, the rotation, the line at which shear and sine are 0 */
} weir__piv_motion;

/* "uniform", "shear", "vortex", "sine", "rotation"; NULL beyond the last. */
const char *weir__piv_motion_name(weir__piv_motion_kind kind);
/* The formulas of dy and dx, with the names of the members. */
const char *weir__piv_motion_formula(weir__piv_motion_kind kind, int axis);
/* The displacement of what is at y, x in the middle between the images. `motion`: a weir__piv_motion. */
void weir__piv_motion_at(const void *motion, double y, double x, double displacement[2]);

/* ---- images ---- */

typedef enum weir__piv_sheet { WEIR__PIV_SHEET_EVEN, WEIR__PIV_SHEET_GAUSSIAN } weir__piv_sheet;

typedef struct weir__piv_scene {
  int64_t         size[2];         /* pixels: height, width */
  double          density;         /* particles per pixel */
  double          diameter;        /* of their images, to e^-2 of the peak; mean, pixels */
  double          diameter_spread; /* its standard deviation; diameters stay within 3 of them, and above 0.5 */
  double          peak;            /* counts in the middle of a particle's image in the middle of the sheet */
  weir__piv_sheet sheet;           /* light across it; Gaussian: particles to where it is e^-2 */
  double          background;      /* counts */
  double          noise;           /* standard deviation, counts, Gaussian; of each pixel of each image */
  double          loss;            /* part of the particles that another one stands for in image b */
  int             bits;            /* 1 .. 16 of a pixel; up to 8: uint8, else uint16 */
  uint64_t        seed, pair;      /* another pair: other particles and noise */
  void (*displacement)(const void *parameters, double y, double x, double displacement[2]);
  const void *parameters;
} weir__piv_scene;

weir_dtype weir__piv_scene_dtype(const weir__piv_scene *scene);
/* Both images, [height][width], dense. Particles are at half the displacement before (a) and behind (b) the place that
 * it belongs to. WEIR_ERR_ARGUMENT: a scene that cannot be. */
weir_status weir__piv_synthesize(const weir__piv_scene *scene, void *a, void *b);
#endif
