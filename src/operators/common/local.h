/* Order statistics of the pixels in a square around each one. All give values of the image itself, so how they are
 * found does not show: the same bytes for any chunks.
 *
 * A chunk is worked on as a plane: the pixels of the chunk and of its halo, as far as the image reaches, dense.
 *
 *        columns
 *      +-----------+   the window of result (i, j) is rows i + top - radius .. i + top + radius of the plane and
 * rows |  +-----+  |   columns j + left - radius .. j + left + radius, as far as there are
 *      |  | out |  |
 *      +-----------+ */
#ifndef WEIR_OPERATORS_LOCAL_H
#define WEIR_OPERATORS_LOCAL_H
#include "operators/common/network.h"

enum { WEIR__LOCAL_MOST = 255 }; /* pixels along a window: 255 * 255 of them are counted in 16 bits */

typedef struct weir__local {
  int64_t size;
  double  percent; /* a parameter, or set by infer */
} weir__local;

typedef struct weir__plane {
  weir__kind  kind;
  const void *pixel;
  bool        missing; /* some are NaN */
  int64_t     rows, columns, top, left, out_rows, out_columns, radius;
  double      percent;
  void       *result; /* out_rows * out_columns */
  char       *memory; /* what weir__extreme_memory() or weir__rank_memory() say */
} weir__plane;

weir_status weir__local_infer(weir_infer *infer, const char *operator_name);
weir_status weir__local_need(const void *params, const weir_field_type *const *in, int input, const weir_region *out,
                             weir_region *region);
weir_status weir__local_prepare(const void *params, const weir_field_type *const *in, void **context);
void        weir__local_release(void *context);
weir_status weir__local_apply(const weir_apply *a);
size_t      weir__local_scratch(const void *params, const weir_field_type *const *in, const weir_region *out);

/* local_extreme.c: percent 0 or 100. */
size_t weir__local_extreme_memory(weir__kind kind, int64_t rows, int64_t columns, int64_t radius);
void   weir__local_extreme(const weir__plane *plane);

/* local_rank.c: any percentile. `network` is for full windows without missing pixels; NULL: they are too large. */
size_t weir__local_rank_memory(weir__kind kind, int64_t rows, int64_t columns, int64_t radius);
void   weir__local_rank(const weir__plane *plane, const weir__network *network);
enum { WEIR__LOCAL_NETWORK = 2 }; /* largest radius for which a network is used */

/* local_histogram.c: the same for larger windows. */
size_t weir__local_histogram_memory(weir__kind kind, int64_t rows, int64_t columns, int64_t radius);
void   weir__local_histogram(const weir__plane *plane);

#define WEIR__PARAM_LOCAL_SIZE                                                                                         \
  {                                                                                                                    \
    "size", WEIR_PARAM_INT, offsetof(weir__local, size), .fallback = 5, .least = 1, .most = WEIR__LOCAL_MOST,          \
                                                         .units = "pixels",                                            \
                                                         .help  = "length of the window along both axes, odd"          \
  }
#define WEIR__LOCAL_DETAILS                                                                                            \
  " in the square of size by size pixels around each one, over the last two dimensions: a value of the image itself, " \
  "in its type. At the edges windows are cut off; missing pixels are skipped, and a pixel without any valid one in "   \
  "its window is missing (one that is missing itself gets the value of its neighbours)."
#define WEIR__LOCAL_FUNCTIONS                                                                                          \
  .need = weir__local_need, .prepare = weir__local_prepare, .release = weir__local_release,                            \
  .apply = weir__local_apply, .scratch_size = weir__local_scratch
#endif
