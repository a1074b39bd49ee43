/* A small simulation whose end shows that it computed all of its steps, for tests that kill things around it:
 *
 *   driver_faults POINTS STEPS INTERVAL MICROSECONDS FILE EVERY [restart | omit=STEP]
 *
 * POINTS x POINTS cells are shared out in rows among the processes of an MPI job (or there is one). A cell is a number
 * of 64 bits that is stirred at each step together with the largest one of all processes, so that a step left out
 * anywhere changes everything after it. A step takes at least MICROSECONDS; after every INTERVAL steps the cells are
 * offered to weir, after every EVERY (0: never) kept in FILE.<step>.<rank>; with `restart` the run begins with that
 * which weir names, else with the last that all have kept; the last process does not put its rows in the step to
 * `omit`. What comes back from weir, a parameter `stir` and a field `push`, is stirred in as well, so that one bit of it
 * at another step changes everything after it. At the end rank 0 prints steps, check sum, time, and what weir's client
 * says of rank 0. */
#include "comm/comm.h"
#include "core/clock.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <weir/client.h>

typedef struct simulation {
  weir__comm *comm;
  int         rank, size, points, rows, first; /* of this process */
  int64_t     steps, interval, every;
  long        pause_us;
  const char *file;
  int64_t     step; /* that was computed last */
  int64_t     omit; /* 0: none */
  uint64_t   *cell;
  double     *value, *push;
} simulation;

static void check(weir_status status) {
  if (status >= 0) return;
  fprintf(stderr, "driver_faults: %s\n", weir_error_last());
  exit(1);
}

/* ---- the model ---- */

static int64_t stirred(uint64_t x) { return (int64_t)(x >> 1); }

static void advance(simulation *s) {
  int64_t largest = 0, n = (int64_t)s->rows * s->points;
  for (int64_t i = 0; i < n; i++)
    if (stirred(s->cell[i]) > largest) largest = stirred(s->cell[i]);
  check(weir__comm_max(s->comm, &largest, 1));
  s->step++;
  uint64_t more = (uint64_t)largest ^ (uint64_t)s->step;
  for (int64_t i = 0; i < n; i++) /* the linear congruential generator of Knuth's MMIX */
    s->cell[i] = s->cell[i] * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407) + more;
}

static void begin(simulation *s) {
  int64_t n = (int64_t)s->rows * s->points;
  for (int64_t i = 0; i < n; i++) s->cell[i] = ((uint64_t)s->first * (uint64_t)s->points + (uint64_t)i) << 20;
}

static int64_t check_sum(simulation *s) {
  int64_t sum = 0, n = (int64_t)s->rows * s->points;
  for (int64_t i = 0; i < n; i++) sum += (int64_t)(s->cell[i] >> 32);
  check(weir__comm_sum(s->comm, &sum, 1));
  return sum;
}

/* ---- what it keeps for a restart ---- */

static FILE *file_open(const simulation *s, int64_t step, const char *mode) {
  char path[4096];
  if (step < 0) snprintf(path, sizeof path, "%s.last%s", s->file, *mode == 'w' ? ".new" : "");
  else snprintf(path, sizeof path, "%s.%" PRId64 ".%d", s->file, step, s->rank);
  FILE *file = fopen(path, mode);
  if (file) return file;
  perror(path);
  exit(1);
}

static void file_close(FILE *file, bool fine) {
  if (!fclose(file) && fine) return;
  fprintf(stderr, "driver_faults: a file for the restart is not whole\n");
  exit(1);
}

static void keep(simulation *s) {
  size_t n    = (size_t)s->rows * (size_t)s->points;
  FILE  *file = file_open(s, s->step, "wb");
  file_close(file, fwrite(s->cell, sizeof *s->cell, n, file) == n);
  check(weir__comm_barrier(s->comm));
  if (s->rank) return;
  char from[4096], to[4096];
  file = file_open(s, -1, "wb");
  file_close(file, fprintf(file, "%" PRId64 "\n", s->step) > 0);
  snprintf(from, sizeof from, "%s.last.new", s->file);
  snprintf(to, sizeof to, "%s.last", s->file);
  if (rename(from, to)) perror(to);
}

static void go_back(simulation *s) {
  size_t n    = (size_t)s->rows * (size_t)s->points;
  FILE  *file = file_open(s, -1, "rb");
  file_close(file, fscanf(file, "%" SCNd64, &s->step) == 1);
  weir_restart_step(&s->step);
  file = file_open(s, s->step, "rb");
  file_close(file, fread(s->cell, sizeof *s->cell, n, file) == n);
}

/* ---- weir ---- */

static weir_stream *describe(const simulation *s) {
  const int64_t      start[] = {s->first, 0}, count[] = {s->rows, s->points};
  weir_field_options options = {.type  = {.dtype = WEIR_F64,
                                          .rank  = 2,
                                          .dim   = {{.name = "y", .size = s->points}, {.name = "x", .size = s->points}}},
                                .start = start,
                                .count = count};
  weir_stream       *stream  = NULL;
  weir_stream_open("faults", s->rank, s->size, &(weir_stream_options){.time_units = "s"}, &stream);
  weir_field_define(stream, "u", &options);
  weir_parameter_define(stream, "stir", 0, 0, 1);
  weir_feedback_define(stream, "push", &options);
  return stream;
}

static uint64_t bits(double x) {
  uint64_t b;
  memcpy(&b, &x, sizeof b);
  return b;
}

static void offer(const simulation *s, weir_stream *stream) {
  weir_array  array  = {.data = s->value, .dtype = WEIR_F64, .rank = 2, .extent = {s->rows, s->points}};
  weir_target target = {.data = s->push, .dtype = WEIR_F64, .rank = 2, .extent = {s->rows, s->points}};
  int64_t     n      = (int64_t)s->rows * s->points;
  double      stir   = 0;
  weir_step_begin(stream, s->step, (double)s->step);
  weir_parameter_get(stream, "stir", &stir);
  bool pushed = weir_get(stream, "push", &target) == WEIR_OK;
  for (int64_t i = 0; i < n; i++) {
    s->cell[i] += bits(stir) + (pushed ? bits(s->push[i]) : 0);
    s->value[i] = (double)(s->cell[i] >> 11) * 0x1p-53;
  }
  if (s->step != s->omit || s->rank < s->size - 1) weir_put(stream, "u", &array);
  weir_step_end(stream);
}

static void tell(simulation *s, weir_stream **stream, int64_t began) {
  char              message[512];
  weir_stream_stats stats;
  snprintf(message, sizeof message, "%s", weir_stream_error(*stream));
  weir_stream_stats_get(*stream, &stats);
  bool    attached = stats.attached;
  int64_t ended    = weir__clock_ns();
  weir_stream_close(stream);
  int64_t closed = weir__clock_ns(), sum = check_sum(s);
  if (s->rank) return;
  printf(
      "{\"steps\": %" PRId64 ", \"sum\": \"%016" PRIx64 "\", \"seconds\": %.3f, \"closing\": %.3f, \"blocked\": %.3f, "
      "\"dropped\": %" PRId64 ", \"spilled\": %" PRId64 ", \"segment\": %" PRId64 ", \"attached\": %s, \"message\": \"",
      s->step, sum, (double)(ended - began) * 1e-9, (double)(closed - ended) * 1e-9, (double)stats.blocked_ns * 1e-9,
      stats.dropped, stats.spilled, stats.segment_bytes, attached ? "true" : "false");
  for (const char *c = message; *c; c++) putchar(*c == '"' || *c == '\\' || (unsigned char)*c < ' ' ? '\'' : *c);
  printf("\"}\n");
}

static void run(simulation *s, bool restart) {
  size_t n = (size_t)s->rows * (size_t)s->points;
  check(weir__alloc_zeroed(n * sizeof *s->cell, 0, &s->cell));
  check(weir__alloc_zeroed(n * sizeof *s->value, 0, &s->value));
  check(weir__alloc_zeroed(n * sizeof *s->push, 0, &s->push));
  if (restart) go_back(s);
  else begin(s);
  int64_t      began = weir__clock_ns(), due = began;
  weir_stream *stream = describe(s);
  while (s->step < s->steps) {
    advance(s);
    if (!(s->step % s->interval)) offer(s, stream);
    if (s->every && !(s->step % s->every)) {
      keep(s);
      weir_stream_checkpoint(stream, s->step);
    }
    due += s->pause_us * 1000;
    int64_t now = weir__clock_ns(), left = due - now;
    if (left > 0) nanosleep(&(struct timespec){.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000}, NULL);
    else due = now; /* time spent waiting is not made up for */
  }
  tell(s, &stream, began);
  weir__free(s->cell);
  weir__free(s->value);
  weir__free(s->push);
}

int main(int argc, char **argv) {
  simulation s       = {0};
  bool       restart = argc == 8 && !strcmp(argv[7], "restart"), omits = argc == 8 && !strncmp(argv[7], "omit=", 5);
  if (argc != 7 && !restart && !omits) {
    fprintf(stderr, "usage: driver_faults POINTS STEPS INTERVAL MICROSECONDS FILE EVERY [restart | omit=STEP]\n");
    return 2;
  }
  check(weir__comm_world(&s.comm));
  s.rank     = weir__comm_rank(s.comm);
  s.size     = weir__comm_size(s.comm);
  s.points   = atoi(argv[1]);
  s.steps    = atoll(argv[2]);
  s.interval = atoll(argv[3]);
  s.pause_us = atol(argv[4]);
  s.file     = argv[5];
  s.every    = atoll(argv[6]);
  s.omit     = omits ? atoll(argv[7] + 5) : 0;
  s.first    = s.points * s.rank / s.size;
  s.rows     = s.points * (s.rank + 1) / s.size - s.first;
  run(&s, restart);
  weir__comm_destroy(&s.comm);
  return 0;
}
