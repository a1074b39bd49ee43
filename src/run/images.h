/* Images as a stream: a series of files (io/series.h) whose images are fields of shape (y, x), the number i of a step
 * being the step's. An image that is missing, damaged or of another size or type than the first is a failure of the
 * fields and steps that use it.
 *
 * Each image is decoded once by a worker, although couples share it and it is read chunk by chunk: decoded images are
 * kept, as many as the steps in flight need, and the one that was not used for longest gives its place away. Who wants
 * an image that is just being decoded waits for it. */
#ifndef WEIR_RUN_IMAGES_H
#define WEIR_RUN_IMAGES_H
#include "io/series.h"
#include "run/files.h"

/* The kind of files that they are; `self` of its functions is what open gave. */
extern const weir__files_kind weir__images_kind;

/* The series that a recipe names. */
weir_status weir__images_series(const weir__recipe_images *recipe, weir__series **series);

/* How many were decoded, or tried, so far. For tests. */
int64_t weir__images_decoded(const void *images);
#endif
