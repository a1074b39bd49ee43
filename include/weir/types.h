/** @file weir/types.h  Numbers, shapes, regions, field types and views: the nouns that every other header uses. */
#ifndef WEIR_TYPES_H
#define WEIR_TYPES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weir/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The one list of element types: enum name, value, name in recipes and messages, C type. */
#define WEIR_DTYPE_LIST(X)                                                                                             \
  X(WEIR_F32, 1, "float32", float)                                                                                     \
  X(WEIR_F64, 2, "float64", double)                                                                                    \
  X(WEIR_I8, 3, "int8", int8_t)                                                                                        \
  X(WEIR_I16, 4, "int16", int16_t)                                                                                     \
  X(WEIR_I32, 5, "int32", int32_t)                                                                                     \
  X(WEIR_I64, 6, "int64", int64_t)                                                                                     \
  X(WEIR_U8, 7, "uint8", uint8_t)                                                                                      \
  X(WEIR_U16, 8, "uint16", uint16_t)

typedef enum weir_dtype {
#define WEIR_DTYPE_ENUM(name, value, text, type) name = value,
  WEIR_DTYPE_LIST(WEIR_DTYPE_ENUM)
#undef WEIR_DTYPE_ENUM
} weir_dtype;

WEIR_API size_t      weir_dtype_size(weir_dtype dtype);                     /**< bytes; 0 for an unknown type */
WEIR_API const char *weir_dtype_name(weir_dtype dtype);                     /**< "float32"; "?" for an unknown type */
WEIR_API bool        weir_dtype_parse(const char *name, weir_dtype *dtype); /**< false: no such name */

/** Is it a floating-point type, which NaN and Inf belong to? */
static inline bool weir_dtype_is_floating(weir_dtype dtype) { return dtype == WEIR_F32 || dtype == WEIR_F64; }
/** Can a value of a field be missing: NaN, or its fill value? */
static inline bool weir_dtype_may_miss(weir_dtype dtype, bool has_fill) {
  return has_fill || weir_dtype_is_floating(dtype);
}

enum { WEIR_RANK_MAX = 6 };

/** Extents in elements, slowest axis first; rank 0 is a scalar. */
typedef struct weir_shape {
  int     rank;
  int64_t extent[WEIR_RANK_MAX];
} weir_shape;

/** A box: first index and number of elements on each axis, slowest axis first. */
typedef struct weir_region {
  int     rank;
  int64_t start[WEIR_RANK_MAX], count[WEIR_RANK_MAX];
} weir_region;

/** Where on an Arakawa C grid a value sits, in units of a cell: t centre, u middle of an x face, v middle of a y face,
 *  f corner. Index i on a face or corner means i + 1/2. */
typedef enum weir_location { WEIR_AT_UNKNOWN = 0, WEIR_AT_T, WEIR_AT_U, WEIR_AT_V, WEIR_AT_F } weir_location;
WEIR_API const char *weir_location_name(weir_location location); /**< "t", "u", "v", "f"; "" when unknown */

/** One axis of a field. Its coordinate is uniform (`spacing` not 0: value of index i = origin + i * spacing), or listed
 *  (`values`, `size` numbers), or absent. */
typedef struct weir_dimension {
  const char   *name;
  int64_t       size;
  const char   *units; /**< of the coordinate; NULL: none */
  double        origin, spacing;
  const double *values;
  bool          periodic; /**< index `size` is index 0 again */
} weir_dimension;

/** A named text or number that goes with a field into the outputs (CF attributes). */
typedef struct weir_attribute {
  const char *name;
  const char *text; /**< NULL: the attribute is `number` */
  double      number;
} weir_attribute;

/** What is known of a field before any value is: whoever holds a `weir_field_type` borrows its strings. */
typedef struct weir_field_type {
  weir_dtype            dtype;
  int                   rank;
  weir_dimension        dim[WEIR_RANK_MAX]; /**< slowest axis first */
  const char           *units;              /**< UDUNITS text; NULL: unknown */
  weir_location         location;
  bool                  has_fill; /**< `fill` stands for a missing value (besides NaN in floating-point fields) */
  double                fill;
  const weir_attribute *attributes;
  int                   attribute_count;
} weir_field_type;

/** A region of a field in memory. `data` points at the element with global index `start`. */
typedef struct weir_view {
  void      *data; /**< NULL: no such input */
  weir_dtype dtype;
  int        rank;
  int64_t    start[WEIR_RANK_MAX];  /**< global index of the first element; negative in a wrapped halo */
  int64_t    count[WEIR_RANK_MAX];  /**< elements */
  int64_t    stride[WEIR_RANK_MAX]; /**< bytes from one index to the next */
  bool       has_fill;
  bool       missing; /**< the field has no value at this step (before a window is full, after an error upstream) */
  double     fill;
} weir_view;

/** Elements of a view. */
static inline int64_t weir_view_size(const weir_view *view) {
  int64_t n = 1;
  for (int a = 0; a < view->rank; a++) n *= view->count[a];
  return n;
}

/** Read `n` neighbours on the last axis as double, from local index `index` (rank numbers from 0; a scalar has none);
 *  missing values become NaN. Returns `buffer` (room for n), or the view's own memory when it is float64 in one piece
 *  without a fill value.  Local; thread-safe. */
WEIR_API const double *weir_view_load(const weir_view *view, const int64_t *index, int64_t n, double *buffer);

/** Write `n` neighbours on the last axis: rounded to the view's type, integers to the nearest and clipped to their
 * range; NaN becomes the fill value where there is one (0 in an integer field without one).  Local; thread-safe. */
WEIR_API void weir_view_store(const weir_view *view, const int64_t *index, int64_t n, const double *values);

/** Step `index` (zeros at first) through the rows of a view: all indices but the last axis. False after the last row.
 *  `do { ... } while (weir_view_next_row(view, index));` */
WEIR_API bool weir_view_next_row(const weir_view *view, int64_t *index);

/** Elements on the last axis; 1 for a scalar. */
static inline int64_t weir_view_row(const weir_view *view) { return view->rank ? view->count[view->rank - 1] : 1; }

#ifdef __cplusplus
}
#endif
#endif /* WEIR_TYPES_H */
