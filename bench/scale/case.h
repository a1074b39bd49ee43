/* A case of bench_scale, for both programs that do it: the engine, and one written by hand. */
#ifndef WEIR_BENCH_SCALE_CASE_H
#define WEIR_BENCH_SCALE_CASE_H
#include "comm/comm.h"
#include "core/clock.h"
#include <stdbool.h>

enum { CHUNK_ROWS = 16, CHUNK_COLUMNS = 8, CHUNKS = 2 /* of a process, along x */, WARM = 2 };

typedef enum scale_kind { SCALE_MEAN, SCALE_HALO, SCALE_LAG, SCALE_KINDS } scale_kind;

typedef struct scale_case {
  scale_kind kind;
  int        steps;
  int        rank, size, across, down; /* processes; across * down of them */
  int64_t    start_ns, period_ns; /* step n is published at start + n * period; period 0: as soon as there is room */
  int64_t   *result_ns;           /* per step: from its publication until this process had its result; 0: none */
  int64_t    results, wrong;      /* values checked, and not as they should be */
} scale_case;

static inline int64_t scale_published_ns(const scale_case *c, int64_t step) {
  return c->start_ns + step * c->period_ns;
}

/* The value of the field, and what comes out of it. Times of steps are 0.5 apart. */
double scale_value(const scale_case *c, int64_t step, int64_t y, int64_t x);
double scale_expected(const scale_case *c, int64_t step);
/* A result has come: of the whole field, or at (y, x). */
void scale_result(scale_case *c, int64_t step, double value);
void scale_result_at(scale_case *c, int64_t step, int64_t y, int64_t x, double value);

/* What a process has to say. */
typedef struct scale_figures {
  double compile_us, kept_kib, most_kib, messages, message_bytes, tasks, run_ns;
} scale_figures;

void scale_by_engine(scale_case *c, weir__comm *comm, scale_figures *figures);
void scale_by_hand(scale_case *c, scale_figures *figures);
#endif
