/* Which pixels of an image are of no use, from a file: an image of the same size, or polygons as text. */
#ifndef WEIR_IO_MASK_H
#define WEIR_IO_MASK_H
#include "core/error.h"
#include <stdint.h>

/* Adds (sets to 1) the pixels whose centres lie within the polygon or on its border; what crosses itself is inside
 * where it is wound around an odd number of times. point: [points][2], y and x in pixels, anywhere; 3 at least. */
weir_status weir__mask_add_polygon(const double (*point)[2], int64_t points, int64_t height, int64_t width,
                                   uint8_t *mask);

/* Adds what the file hides. An image (its first page): all pixels that are not 0. Else text: a line with the columns'
 * names, `y` and `x` in any order and, if one likes, `polygon`; then a point in each line, numbers with commas,
 * semicolons, tabs or spaces between. An empty line, or another value of `polygon`, begins the next polygon; what
 * follows a # is a comment. WEIR_ERR_INPUT: neither, another size, or a line that is not understood (named). */
weir_status weir__mask_read(const char *path, int64_t height, int64_t width, uint8_t *mask);
#endif
