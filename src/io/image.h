/* Images as files: read as planes of numbers, written as TIFF, PNG or PGM. The format is told from the first bytes, not
 * from the name. A header never makes the reader allocate more than the file could hold: sizes are checked against the
 * file's own size before anything is allocated, as far as the format allows. */
#ifndef WEIR_IO_IMAGE_H
#define WEIR_IO_IMAGE_H
#include "core/error.h"
#include <weir/types.h>

/* How the elements of a file without a header lie. */
typedef struct weir__image_raw {
  int64_t    offset, height, width; /* bytes before the first element; pixels */
  int64_t    stride;                /* bytes from one row to the next; 0: no gap */
  int64_t    frame;                 /* bytes from one page to the next; 0: no gap, and nothing behind the last */
  weir_dtype dtype;                 /* uint8, uint16, float32 */
  bool       big_endian;
  int        bits; /* of uint16 that are used: 10, 12, 14, 16; 0: all */
} weir__image_raw;

typedef struct weir__image_info {
  const char *format;        /* "TIFF", "PNG", "BMP", "JPEG", "PGM", "cine", "raw" */
  int64_t     height, width; /* of the page */
  int64_t     pages;
  weir_dtype  dtype;  /* WEIR_U8, WEIR_U16 or WEIR_F32 */
  int         bits;   /* of an element that carry information: 8, 10, 12, 14, 16; 32 for float32 */
  bool        colour; /* read as luminance (Rec. 601: 0.299 R + 0.587 G + 0.114 B); palettes likewise */
  bool        has_time;
  double      time; /* of the page, seconds; cine: since its trigger */
} weir__image_info;

/* An open file. Pages of it can be read by one thread at a time. */
typedef struct weir__image weir__image;
/* WEIR_ERR_INPUT: no image, of a kind that is not known, cut short, or damaged; the message names the file, what was
 * found and what was expected. WEIR_ERR_GONE: there is no such file. `raw`: NULL, or how a file lies that has no
 * header. */
weir_status weir__image_open(const char *path, const weir__image_raw *raw, weir__image **image);
weir_status weir__image_info_get(weir__image *image, int64_t page, weir__image_info *info);
/* All of a page into `out` [height][width], dense, of the type that info says. */
weir_status weir__image_read(weir__image *image, int64_t page, void *out);
void        weir__image_close(weir__image **image);

typedef enum weir__image_format { WEIR__IMAGE_TIFF, WEIR__IMAGE_PNG, WEIR__IMAGE_PGM } weir__image_format;
/* By the end of the name (.tif, .tiff, .png, .pgm); false: another one. */
bool weir__image_format_of(const char *path, weir__image_format *format);
/* Write a plane of uint8 or uint16 (TIFF: float32, too), uncompressed TIFF; complete under its name, or not at all. */
weir_status weir__image_write(const char *path, weir__image_format format, weir_dtype dtype, int64_t height,
                              int64_t width, const void *pixels);
#endif
