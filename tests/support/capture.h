/* A sink for tests: the whole of a field, each step, to where the test wants it. */
#ifndef WEIR_TESTS_CAPTURE_H
#define WEIR_TESTS_CAPTURE_H
#include "graph/graph.h"

typedef struct capture {
  double *values; /* of all steps, by ordinal */
  int64_t size;   /* from one step to the next */
  int    *calls;  /* by ordinal: how often it came to this process; NULL: not counted */
} capture;

/* Want the field whenever `when` fires; returns the number of that trigger. Fails the test when the graph does. */
int capture_add(weir__graph *graph, weir__edge edge, weir__trigger when, const capture *to);
/* The same of a field by its name, in each step. */
void capture_named(weir__graph *graph, const char *name, const capture *to);
#endif
