/* An operator in the real engine: steps from an array go in, all results of all steps come out. For operators that are
 * made of others, which the serial engine cannot run. */
#ifndef WEIR_TESTS_REPLAY_H
#define WEIR_TESTS_REPLAY_H
#include "comm/comm.h"
#include "graph/graph.h"

typedef struct replay {
  weir_field_type         type; /* of the field; values are stored as its dtype */
  int64_t                 steps;
  const double           *values; /* steps times the field */
  uint64_t                hidden; /* bit s: the field is missing at step s, below 64 */
  const weir_operator    *op;
  const void             *params;
  const weir__chunk_size *chunks;
  int                     chunk_count, threads, flight;
} replay;

typedef struct replayed {
  int             results;
  weir_field_type type[WEIR_OUTPUTS_MAX];
  int64_t         size[WEIR_OUTPUTS_MAX];   /* elements of a step */
  double         *values[WEIR_OUTPUTS_MAX]; /* steps times size */
  int            *calls[WEIR_OUTPUTS_MAX];  /* of each step: results that ended on this process */
} replayed;

/* Collective. Fails the test when the engine does. */
void replay_run(weir__comm *comm, const replay *r, replayed *out);
void replayed_free(replayed *out);
/* A result at a step; fails the test when it is missing. */
const double *replayed_at(const replayed *r, int result, int64_t step);
#endif
