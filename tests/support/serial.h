/* A small serial engine for testing operators: it runs a record on a grid of chunks, in one process and thread, in an
 * order made as unpleasant as the contract allows: boxes shuffled over several partial results, chunks in random order,
 * memory of exactly the size asked for (so that a sanitizer sees an overrun), strides with gaps, scratch and results
 * full of rubbish. */
#ifndef WEIR_TESTS_SERIAL_H
#define WEIR_TESTS_SERIAL_H
#include "field/field.h"
#include <weir/operator.h>

/* A field with all its values in one piece. */
typedef struct test_field {
  weir_field_type type;
  void           *data; /* row-major; owned */
} test_field;

void    test_field_create(test_field *field, const weir_field_type *type);
void    test_field_free(test_field *field);
int64_t test_field_size(const weir_field_type *type);
/* Element by its place in row-major order; NaN: missing. */
double test_field_get(const test_field *field, int64_t i);
void   test_field_set(test_field *field, int64_t i, double value);

/* splitmix64 from a seed that a test sets. */
extern uint64_t test_seed;
uint64_t        test_random(void);
double          test_uniform(void); /* in [0, 1) */

/* Cut an extent into random pieces of at most `most` elements (0: one piece). Gives the number of pieces and their
 * edges. */
int64_t test_cut(int64_t extent, int64_t most, int64_t *edge);

typedef struct test_engine test_engine;

/* Infer, cut the result into random chunks of at most `piece` elements along each axis (0: whole), prepare. `params`
 * must outlive the engine and is completed by infer. A failure of infer is returned. */
weir_status       test_engine_open(const weir_operator *op, void *params, const weir_field_type *const *in, int inputs,
                                   int64_t piece, test_engine **engine);
const weir_infer *test_engine_infer(const test_engine *engine);
/* One step: results into `out` (outputs of them), created by this. */
weir_status test_engine_step(test_engine *engine, const test_field *const *in, test_field *out);
void        test_engine_close(test_engine *engine);

/* Parameters set to their fallbacks. */
void test_params(const weir_operator *op, void *params);

/* Set one parameter by its name; the name must exist. */
void test_set(const weir_operator *op, void *params, const char *name, double value);
void test_set_axes(const weir_operator *op, void *params, const char *name, int count, const char *const *axes);
enum { TEST_PARAMS_SIZE = 1024 }; /* room for any operator's parameters */

/* A type whose dimensions are the last `rank` of w, z, y, x, in metres, spaced by `spacing` (0: no coordinate). */
weir_field_type test_type(weir_dtype dtype, int rank, const int64_t *extent, double spacing);
/* Random values of order 1 (of order 1000 in integers), a part of which are missing. */
void test_field_random(test_field *field, double missing);
/* Compare with values worked out otherwise (NaN: missing): the largest difference is below `tolerance` times the
 * largest value. */
void test_close(const char *what, const test_field *field, const double *expected, double tolerance, double least);

/* All of the above for one step of one result. */
weir_status test_run(const weir_operator *op, void *params, const test_field *const *in, int inputs, int64_t piece,
                     test_field *out);
#endif
