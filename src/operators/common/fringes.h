/* Images of fringes: the phase between two of them, by Fourier transforms (Takeda & Mutoh 1983, doi
 * 10.1364/AO.22.003977; in two dimensions as by Cobelli, Maurel, Pagneux & Petitjeans 2009, doi
 * 10.1007/s00348-009-0611-z).
 *
 * An image a + m cos(2 pi k.x + phi) has a peak around the carrier k in its transform. What lies around it, alone, is
 * m/2 exp(i (2 pi k.x + phi)); times the conjugate of the same of a reference, the argument is the difference of phi.
 * The filter is 1 up to half of its radius, then cos^2 down to 0: neither slow changes of light nor the
 * second harmonic are within. Images stand in a larger frame at their mean, so that edges do not wrap around. */
#ifndef WEIR_OPERATORS_FRINGES_H
#define WEIR_OPERATORS_FRINGES_H
#include "core/error.h"
#include <weir/types.h>

typedef struct weir__fringes weir__fringes; /* plans; shared by threads, read only */
weir_status                  weir__fringes_create(const int64_t image[2], weir__fringes **fringes);
void                         weir__fringes_destroy(weir__fringes **fringes);
size_t                       weir__fringes_scratch(const int64_t image[2]); /* bytes, 64-aligned */

/* `wavelength`: of the carrier in pixels, looked for within a fifth of it; 0: the strongest wave of at least 3 pixels
 * of which a side of the image has four. `radius` of the filter, in units of the carrier's frequency. `carrier`: its
 * frequency along y and x, per pixel; the phase grows with x (with y where fringes lie along x). `phase`: of the image
 * less that of the reference, -pi to pi; `modulation`: amplitude m of the image's fringes. All are [height][width];
 * pixels are finite. False: the reference has no such wave. */
bool weir__fringes_compare(const weir__fringes *fringes, const float *image, const float *reference, double wavelength,
                           double radius, double carrier[2], float *phase, float *modulation, void *scratch);
#endif
