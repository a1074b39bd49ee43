/* What reading and writing TIFF share: libtiff on a descriptor, its messages kept instead of printed. */
#ifndef WEIR_IO_IMAGE_TIFF_H
#define WEIR_IO_IMAGE_TIFF_H
#include "io/image_parts.h"
#include <tiffio.h>

typedef struct weir__tiff_io {
  int     fd;
  int64_t size, position; /* of the file; of the next byte */
  bool    failed;         /* an error was reported */
  char    why[WEIR__IMAGE_TEXT];
} weir__tiff_io;

/* NULL: `io->why` says why. `largest` bounds every single allocation of libtiff. */
TIFF *weir__tiff_open(weir__tiff_io *io, const char *path, const char *mode, int64_t largest);

/* The pages of a file: the offsets of its directories, without entering them. WEIR_ERR_INPUT: damaged, or in a circle.
 */
weir_status weir__tiff_pages(const weir__image *image, uint64_t **directories, int64_t *pages);
#endif
