#include "feed.h"
#include "flip.h"
#include "core/futex.h"
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <weir/client.h>

extern const weir_operator *const weir__operators_built_in[];

enum { PIECE_ROWS = 10 };

/* ---- the mean, where no other work is named ---- */

static void plain_row(double *u, int64_t columns, int step) {
  for (int64_t x = 0; x < columns; x++) u[x] = step + 1.0 + (double)(x & 1);
}
static double plain_mean(const feed *f, int step) {
  (void)f;
  return step + 1.5;
}
static const feed_work mean = {.result = "mean(u)", .row = plain_row, .expected = plain_mean, .tolerance = 1e-12};

static const feed_work *work_of(const feed *f) { return f->work ? f->work : &mean; }

/* ---- the board ---- */

feed_board *feed_board_open(const char *folder) {
  char path[512];
  snprintf(path, sizeof path, "%s/board", folder);
  int fd = open(path, O_RDWR | O_CREAT, 0600);
  if (fd < 0 || ftruncate(fd, sizeof(feed_board))) bench_check(WEIR_FAIL(WEIR_ERR_IO, "cannot make %s", path), "board");
  void *memory = mmap(NULL, sizeof(feed_board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) bench_check(WEIR_FAIL(WEIR_ERR_IO, "cannot map %s", path), "board");
  close(fd);
  return memory;
}

void feed_board_clear(feed_board *board) {
  atomic_store(&board->left, 0);
  atomic_store(&board->done, 0);
}

void feed_result(feed_board *board, int step, double value) {
  board->result[step]    = value;
  board->result_ns[step] = weir__clock_ns();
  atomic_store(&board->done, (uint32_t)step + 1);
  weir__futex_wake(&board->done, INT_MAX, true);
}

int feed_warm(const feed *f) { return f->warm ? f->warm : FEED_WARM; }

static bool right(double value, double expected, double tolerance) {
  if (isnan(expected)) return isnan(value);
  return fabs(value - expected) <= tolerance * fabs(expected);
}

void feed_latencies(const feed_board *board, const feed *f, bench_samples *from_end, bench_samples *from_put) {
  const feed_work *work = work_of(f);
  for (int s = 0; s < f->steps; s++) {
    int64_t end = 0, put = INT64_MAX;
    for (int r = 0; r < f->size; r++) {
      if (board->end_ns[r][s] > end) end = board->end_ns[r][s];
      if (board->put_ns[r][s] < put) put = board->put_ns[r][s];
    }
    double expected = work->expected(f, s);
    if (!right(board->result[s], expected, work->tolerance))
      bench_check(WEIR_FAIL(WEIR_ERR_INTERNAL, "step %d: %.17g instead of %.17g", s, board->result[s], expected),
                  f->stream);
    if (s < feed_warm(f)) continue;
    if (from_end) bench_add(from_end, (double)(board->result_ns[s] - end));
    if (from_put) bench_add(from_put, (double)(board->result_ns[s] - put));
  }
}

/* ---- the simulation ---- */

/* A row is a part of row 0 written twice, so that turning it is beginning elsewhere. */
void feed_fill(const feed *f, double *u, double *twice, int step) {
  const feed_work *work = work_of(f);
  int64_t          n = f->columns, mine = f->rows / f->size, first = mine * f->rank;
  work->row(twice, n, step);
  memcpy(twice + n, twice, (size_t)n * sizeof *twice);
  for (int64_t y = 0; y < mine; y++) memcpy(u + y * n, twice + (work->turn * (first + y)) % n, (size_t)n * sizeof *u);
}

static void wait_result(feed_board *board, int step) {
  for (uint32_t done; (done = atomic_load(&board->done)) <= (uint32_t)step;)
    weir__futex_wait(&board->done, done, 100000000, true);
}

static int64_t chunk_rows(const feed *f) { return f->chunk_rows ? f->chunk_rows : PIECE_ROWS; }

static weir_status define(const feed *f, weir_stream *stream) {
  int64_t            start[] = {f->rows / f->size * f->rank, 0}, count[] = {f->rows / f->size, f->columns};
  int64_t            step    = chunk_rows(f);
  weir_field_options options = {.type  = {.dtype = WEIR_F64,
                                          .rank  = 2,
                                          .dim   = {{.name = "y", .size = f->rows}, {.name = "x", .size = f->columns}}},
                                .start = f->in_pieces ? NULL : start,
                                .count = f->in_pieces ? NULL : count};
  WEIR_TRY(weir_field_define(stream, "u", &options));
  for (int64_t y = 0; f->in_pieces && y < f->rows / f->size; y += step)
    WEIR_TRY(weir_piece_define(stream, "u", (int64_t[]){start[0] + y, 0}, (int64_t[]){step, f->columns}, NULL));
  return WEIR_OK;
}

static weir_status put(const feed *f, weir_stream *stream, const double *u) {
  weir_array array = {.data = u, .dtype = WEIR_F64, .rank = 2, .extent = {f->rows / f->size, f->columns}};
  if (!f->in_pieces) return weir_put(stream, "u", &array);
  array.extent[0] = chunk_rows(f);
  for (int piece = 0; piece < f->rows / f->size / chunk_rows(f); piece++) {
    array.data = u + piece * chunk_rows(f) * f->columns;
    WEIR_TRY(weir_put_piece(stream, "u", piece, &array));
  }
  return WEIR_OK;
}

void feed_run(const feed *f, feed_board *board) {
  weir_stream_options options = {.run = f->folder};
  weir_stream        *stream;
  int64_t             mine = f->rows / f->size;
  double             *u, *row, spent = 0, began = 0;
  bench_check(weir__alloc_array((size_t)(mine * f->columns), sizeof *u, &u), "simulation");
  bench_check(weir__alloc_array((size_t)(2 * f->columns), sizeof *row, &row), "simulation");
  bench_check(weir_stream_open(f->stream, f->rank, f->size, &options, &stream), "stream");
  bench_check(define(f, stream), "field");
  for (int s = 0; s < f->steps; s++) {
    feed_fill(f, u, row, s);
    if (!f->uncounted) began = bench_cpu_seconds();
    weir_status status = weir_step_begin(stream, s, s);

    board->put_ns[f->rank][s] = weir__clock_ns();
    if (!status) status = put(f, stream, u);
    board->end_ns[f->rank][s] = weir__clock_ns();
    if (!status) status = weir_step_end(stream);
    if (status) bench_check(WEIR_FAIL(status, "%s", weir_stream_error(stream)), "step");
    if (!f->uncounted) spent += bench_cpu_seconds() - began;
    wait_result(board, s);
    if (f->pause_ns) nanosleep(&(struct timespec){f->pause_ns / 1000000000, f->pause_ns % 1000000000}, NULL);
  }
  board->usage[f->rank] = (bench_usage){spent, resident_all(), mine * f->columns * (int64_t)sizeof *u * f->steps};
  bench_check(weir_stream_close(&stream), "close");
  weir__free(u);
  weir__free(row);
  atomic_fetch_add(&board->left, 1);
}

/* ---- the worker ---- */

typedef struct to_board {
  feed_board *board;
} to_board;

static weir_status scalar_infer(weir_infer *infer) {
  infer->out[0] = (weir_field_type){.dtype = WEIR_F64};
  return WEIR_OK;
}
static weir_status whole_need(const void *p, const weir_field_type *const *in, int input, const weir_region *out,
                              weir_region *region) {
  (void)p, (void)out;
  *region = weir__region_whole(in[input]);
  return WEIR_OK;
}
static weir_status board_apply(const weir_apply *a) {
  const to_board *p     = a->params;
  double          value = NAN;
  if (!a->in[0].missing) value = *weir_view_load(&a->in[0], NULL, 1, &value);
  *(double *)a->out[0].data = value;
  feed_result(p->board, (int)a->step, value);
  return WEIR_OK;
}
static const weir_operator board_operator = {.api             = WEIR_OPERATOR_API,
                                             .name            = "board",
                                             .inputs          = 1,
                                             .params_size     = sizeof(to_board),
                                             .in_order        = true,
                                             .accepts_missing = true,
                                             .infer           = scalar_infer,
                                             .need            = whole_need,
                                             .apply           = board_apply};

/* When the first task of a step is run. */
static weir_status stamp_apply(const weir_apply *a) {
  int64_t         now = weir__clock_ns(); /* before anything else has to be fetched from memory */
  const to_board *p   = a->params;
  if (!p->board->start_ns[a->step]) p->board->start_ns[a->step] = now;
  *(double *)a->out[0].data = 0;
  return WEIR_OK;
}
static weir_status corner_need(const void *p, const weir_field_type *const *in, int input, const weir_region *out,
                               weir_region *region) {
  (void)p, (void)out, (void)in, (void)input;
  *region = (weir_region){.rank = 2, .count = {1, 1}};
  return WEIR_OK;
}
static const weir_operator stamp_operator = {.api         = WEIR_OPERATOR_API,
                                             .name        = "stamp",
                                             .inputs      = 1,
                                             .params_size = sizeof(to_board),
                                             .infer       = scalar_infer,
                                             .need        = corner_need,
                                             .apply       = stamp_apply};

/* As a user's recipe says it: the expressions are texts. All operators of weir, and `flip`. */
static void build(const feed *f, const weir__intake_field *field, feed_board *board, const weir__grid *grid,
                  bool stamped, weir__graph **graph) {
  static const weir_operator *known[512];
  const feed_work            *work   = work_of(f);
  weir__chunk_size            chunks = {"y", chunk_rows(f)};
  weir__graph                *g;
  int                         u, sink, trigger, n = 0;
  to_board                    p = {board};
  weir__edge                  result;
  for (; weir__operators_built_in[n] && n < 510; n++) known[n] = weir__operators_built_in[n];
  known[n] = &flip_operator;
  bench_check(weir__graph_create(known, &g), "graph");
  g->chunk_size  = &chunks;
  g->chunk_sizes = 1;
  bench_check(weir__graph_add_source(g, field->name, 0, 0, &field->type, grid, false, &u), "graph");
  bench_check(weir__graph_trigger(g, (weir__trigger){.period = 1}, &trigger), "graph");
  if (stamped) { /* before the others, so that it is the first task of a step */
    bench_check(
        weir__graph_add_operator(g, &stamp_operator, &p, &(weir__edge){u, 0}, 1, NULL, (weir__place){0}, NULL, &sink),
        "graph");
    weir__graph_want(g, sink, trigger);
  }
  for (int i = 0; i < FEED_FIELDS_MAX && work->define[i][0]; i++)
    bench_check(weir__graph_define(g, work->define[i][0], work->define[i][1], (weir__place){0}), "expression");
  bench_check(weir__graph_expression(g, work->result, (weir__place){0}, &result), "expression");
  bench_check(weir__graph_add_operator(g, &board_operator, &p, &result, 1, NULL, (weir__place){0}, NULL, &sink),
              "graph");
  weir__graph_want(g, sink, trigger);
  bench_check(weir__graph_finish(g), "graph");
  g->chunk_sizes = 0; /* they were ours */
  *graph         = g;
}

void feed_worker(const feed *f, feed_board *board, weir__comm *comm, const weir__worker_options *options,
                 feed_cost *cost) {
  weir__arena               arena = {0};
  weir__grid                grid;
  weir__intake             *intake;
  weir__worker             *worker;
  weir__graph              *graph;
  weir__worker_stats        stats;
  const weir__intake_field *field;
  bool                      alone  = weir__comm_size(comm) == 1;
  resident                  before = resident_now();
  double                    cpu    = bench_cpu_seconds();
  bench_check(weir__intake_open(comm, f->folder, f->stream, &(weir__intake_options){.seconds = 60}, &intake), "intake");
  if (weir__intake_fields(intake, &field) != 1) bench_check(WEIR_FAIL(WEIR_ERR_INPUT, "not one field"), "intake");
  if (alone) memset(board->start_ns, 0, sizeof board->start_ns);
  if (f->in_pieces) bench_check(weir__intake_grid(intake, 0, &arena, &grid), "chunks");
  build(f, field, board, f->in_pieces ? &grid : NULL, alone, &graph);
  weir__arena_clear(&arena);
  bench_check(weir__worker_create(graph, comm, NULL, intake, options, &worker), "worker");
  bench_check(weir__worker_run(worker), "run");
  weir__worker_stats_get(worker, &stats);
  if (cost)
    *cost = (feed_cost){{bench_cpu_seconds() - cpu, resident_all(), stats.message_bytes}, resident_since(before)};
  weir__worker_destroy(&worker);
  weir__graph_destroy(&graph);
  weir__intake_close(&intake);
}
