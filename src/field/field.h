/* Regions, chunk grids and copies: what every layer above computes with. All pure. */
#ifndef WEIR_FIELD_FIELD_H
#define WEIR_FIELD_FIELD_H
#include "core/memory.h"
#include <weir/sum.h>
#include <weir/types.h>

/* ---- regions ---- */

int64_t weir__region_size(const weir_region *region); /* elements; 1 for rank 0 */
bool    weir__region_intersect(const weir_region *a, const weir_region *b, weir_region *out); /* false: empty */
/* The axis along which b goes on where a ends, so that both are one box; -1: along none. */
int         weir__region_follows(const weir_region *a, const weir_region *b);
bool        weir__region_equal(const weir_region *a, const weir_region *b);
bool        weir__region_contains(const weir_region *outer, const weir_region *inner);
weir_region weir__region_whole(const weir_field_type *type);
/* `need` of an operator for which each chunk of a result depends on all of each input. */
weir_status weir__need_whole(const void *params, const weir_field_type *const *in, int input, const weir_region *out,
                             weir_region *region);
weir_shape  weir__shape_of(const weir_field_type *type);
/* Turn what a type borrows (names, units, coordinates, attributes) into copies in the arena. */
weir_status weir__type_copy(weir__arena *arena, weir_field_type *type);
/* "[0:10, 4:8]" for messages; at most 200 bytes. */
const char *weir__region_text(const weir_region *region, char out[200]);
const char *weir__shape_text(const weir_shape *shape, char out[200]); /* "[96, 128]"; "scalar" */

/* The axis of `type` named `name`; -1: none. */
int weir__axis_find(const weir_field_type *type, const char *name);
/* The region of `to` that has the extents of `region` (a box of `from`) on the axes of the same name, and all of the
 * others. */
weir_region weir__region_by_name(const weir_field_type *from, const weir_region *region, const weir_field_type *to);
/* Coordinate of index i on a dimension; the index itself when it has none. `shift` is in cells (0.5 on faces). */
double weir__coordinate(const weir_dimension *dimension, double index);
/* Shift of a location along an axis in cells: 0.5 when it is on faces there. The last axis is x, the one before is y.
 */
double weir__location_shift(weir_location location, int rank, int axis);

/* ---- chunk grids ---- */

/* A rectilinear grid: axis a is cut into chunks[a] pieces at edge[a][0] = 0 < ... < edge[a][chunks[a]] = extent. Chunks
 * are numbered with the last axis fastest. The edges belong to whoever made the grid. */
typedef struct weir__grid {
  int            rank;
  int64_t        chunks[WEIR_RANK_MAX];
  const int64_t *edge[WEIR_RANK_MAX];
} weir__grid;

int64_t     weir__grid_count(const weir__grid *grid);
weir_region weir__grid_region(const weir__grid *grid, int64_t chunk);
void        weir__grid_unravel(const weir__grid *grid, int64_t chunk, int64_t index[WEIR_RANK_MAX]);
int64_t     weir__grid_ravel(const weir__grid *grid, const int64_t index[WEIR_RANK_MAX]);
int64_t     weir__grid_find(const weir__grid *grid, int axis, int64_t position); /* the piece that holds it */
/* The box of chunk indices that a region (inside the grid) touches. */
void weir__grid_touched(const weir__grid *grid, const weir_region *region, int64_t first[WEIR_RANK_MAX],
                        int64_t last[WEIR_RANK_MAX]);
/* Step `index` (`first` at first) through that box, last axis fastest. False after the last. */
bool weir__grid_next(const weir__grid *grid, const int64_t first[WEIR_RANK_MAX], const int64_t last[WEIR_RANK_MAX],
                     int64_t index[WEIR_RANK_MAX]);
bool weir__grid_equal(const weir__grid *a, const weir__grid *b);
/* Do the chunks, one after the other, hold the field's elements in their order? As where only the slowest axis is cut.
 */
bool weir__grid_is_sequence(const weir__grid *grid);
/* Cut `extent` into pieces of `size` (the last may be smaller); or into `pieces` parts as even as can be. Into the
 * arena. */
weir_status weir__grid_cut_size(weir__arena *arena, int64_t extent, int64_t size, int64_t *chunks,
                                const int64_t **edge);
weir_status weir__grid_cut_pieces(weir__arena *arena, int64_t extent, int64_t pieces, int64_t *chunks,
                                  const int64_t **edge);
/* The grid used when nothing else is asked for: a function of the shape alone, chunks of about 2^16 elements but at
 * least 16 chunks once a field has 2^14 elements; slow axes are cut first. */
weir_status weir__grid_default(weir__arena *arena, const weir_shape *shape, weir__grid *grid);

/* ---- views ---- */

/* A dense row-major view of `region` at `data`. */
weir_view weir__view_dense(void *data, const weir_field_type *type, const weir_region *region);
/* Where results may be written directly from local `index` on, instead of by weir_view_store: neighbours on the last
 * axis are float64 side by side, without a fill value. NULL: nowhere. */
double *weir__view_direct(const weir_view *view, const int64_t *index);
/* Narrow a view to `region` (global indices, inside the view). */
weir_view weir__view_narrow(const weir_view *view, const weir_region *region);
/* Copy equal counts of elements of equal type; starts may differ (a wrapped halo). Rows are memcpy'd. */
void weir__view_copy(const weir_view *to, const weir_view *from);
/* Copy the box `part` of a dense box `held` at `data` (same type as the view) to where `target` is in the view. */
void weir__copy_from_dense(const weir_view *to, const int64_t *target, const void *data, const weir_region *held,
                           const weir_region *part);
/* Fill with the missing value of the view's type: NaN, or `fill`, or 0 in an integer field without one. */
void weir__view_fill_missing(const weir_view *view);

/* ---- sums ---- */

/* Add terms to one sum and their squares to another: as weir_sum_add and weir_sum_add_square, in one pass. */
void weir__sum_add_moments(weir_sum *sum, weir_sum *squares, const double *x, int64_t n);
/* Add the columns of rows that are `pitch` apart, or their squares, each to a sum of its own; the sums are `apart`
 * bytes from each other. As weir_sum_add and weir_sum_add_square of each column, but with neighbours side by side. */
void weir__sum_add_columns(weir_sum *sum, size_t apart, const double *x, int64_t pitch, int64_t rows, int64_t columns,
                           bool squares);
#endif
