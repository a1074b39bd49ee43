/* The way back: how long it takes from the end of a step until a value that was computed from it is seen by the
 * simulation, one scalar per process; against the round trip of a bare futex between two processes. And what a step
 * costs that has nothing to receive.
 *
 * The processes of the simulation are forked; the worker is this program's first process, a plain loop on the channels:
 * when a step has come from all, it decides (the sum of their scalars), posts the change to all, and moves the horizon.
 */
#include "channel/channel.h"
#include "core/futex.h"
#include "harness.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <weir/client.h>

enum { STEPS = 6000, WARM = 500, MOST = 4, CASES = 3, BATCH = 1000, BATCHES = 60, PINGS = 6000 };
static const int processes[CASES] = {1, 2, 4};

typedef struct board {
  double           trip_ns[MOST][STEPS];
  _Atomic uint32_t ping, pong;
} board;

/* ---- a bare futex, there and back ---- */

static void await_change(_Atomic uint32_t *word, uint32_t from) {
  while (atomic_load_explicit(word, memory_order_acquire) == from) weir__futex_wait(word, from, -1, true);
}

static void answer_pings(board *b) {
  for (uint32_t i = 0; i < WARM + PINGS; i++) {
    await_change(&b->ping, i);
    atomic_store_explicit(&b->pong, i + 1, memory_order_release);
    weir__futex_wake(&b->pong, 1, true);
  }
}

static double round_trip(board *b) {
  bench_samples s = {0};
  bench_reserve(&s, PINGS);
  fflush(stdout);
  pid_t child = fork();
  if (!child) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    answer_pings(b);
    _exit(0);
  }
  for (uint32_t i = 0; i < WARM + PINGS; i++) {
    int64_t begin = weir__clock_ns();
    atomic_store_explicit(&b->ping, i + 1, memory_order_release);
    weir__futex_wake(&b->ping, 1, true);
    await_change(&b->pong, i);
    if (i >= WARM) bench_add(&s, (double)(weir__clock_ns() - begin));
  }
  waitpid(child, NULL, 0);
  double median = bench_summary("round-trip", "futex", &s, 1e-3, "us");
  bench_clear(&s);
  return median;
}

/* ---- the simulation ---- */

/* Step n publishes n; the parameter is what was made of step n - 1 by then: the next step begins when it is there. */
static void simulate(const char *folder, const char *name, board *b, int rank, int size) {
  weir_stream        *stream;
  weir_stream_options options = {.run = folder};
  weir_field_options  field   = {.type  = {.dtype = WEIR_F64, .rank = 1, .dim = {{.name = "x", .size = size}}},
                                 .start = (int64_t[]){rank},
                                 .count = (int64_t[]){1}};
  bench_check(weir_stream_open(name, rank, size, &options, &stream), "open");
  bench_check(weir_field_define(stream, "x", &field), "define");
  bench_check(weir_parameter_define(stream, "p", 0, 0, 1e12), "define");
  int64_t ended = weir__clock_ns();
  for (int n = 0; n < STEPS; n++) {
    double     x     = n, p;
    weir_array array = {.data = &x, .dtype = WEIR_F64, .rank = 1, .extent = {1}};
    bench_check(weir_step_begin(stream, n, n), "step");
    bench_check(weir_parameter_get(stream, "p", &p), "get");
    b->trip_ns[rank][n] = (double)(weir__clock_ns() - ended);
    if (n && p != (double)(n - 1) * size) bench_check(WEIR_ERR_INTERNAL, "the parameter is another one");
    bench_check(weir_put(stream, "x", &array), "put");
    ended = weir__clock_ns();
    bench_check(weir_step_end(stream), "step");
  }
  bench_check(weir_stream_close(&stream), "close");
}

/* ---- the worker ---- */

typedef struct worker {
  weir__doorbell *bell;
  weir__channel  *channel[MOST];
  int             size;
  uint32_t        seen;
} worker;

static void attach(worker *w, const char *folder, const char *name) {
  weir__channel_trigger trigger = {.period = 1};
  weir_status           status;
  bench_check(weir__doorbell_create(folder, 0, &w->bell), "doorbell");
  bench_check(weir__doorbell_expect(w->bell, 0, w->size), "doorbell");
  for (int r = 0; r < w->size; r++) {
    while ((status = weir__channel_attach(folder, name, r, &w->channel[r])) == WEIR_ERR_GONE)
      nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    bench_check(status, "attach");
    weir__channel_want   want   = {1, weir__channel_definitions_of(w->channel[r])->piece[0].region};
    weir__channel_demand demand = {1, &want};
    weir__channel_terms  terms  = {.trigger = &trigger, .triggers = 1, .steering = true, .doorbell = w->bell};
    bench_check(weir__channel_demand_post(w->channel[r], &demand, &terms), "demand");
    weir__channel_horizon(w->channel[r], 1);
  }
  for (int r = 0; r < w->size; r++) {
    while ((status = weir__channel_map(w->channel[r])) == WEIR_END) weir__doorbell_wait(w->bell, &w->seen, 1000000000);
    bench_check(status, "map");
  }
}

static double take(worker *w, int rank) {
  weir__channel_record record;
  weir__channel_event  event;
  weir_view            view;
  while ((event = weir__channel_next(w->channel[rank], &record)) == WEIR__CHANNEL_NOTHING)
    weir__doorbell_wait(w->bell, &w->seen, 1000000000);
  if (event != WEIR__CHANNEL_STEP) bench_check(WEIR_ERR_GONE, "a step is missing");
  bench_check(weir__channel_piece(w->channel[rank], record.sequence, 0, &view), "piece");
  double x = *(const double *)view.data;
  weir__channel_acknowledge(w->channel[rank], record.sequence + 1);
  return x;
}

static void serve(const char *folder, const char *name, int size) {
  worker w = {.size = size};
  attach(&w, folder, name);
  for (uint64_t n = 0; n < STEPS; n++) {
    double sum = 0;
    for (int r = 0; r < size; r++) sum += take(&w, r);
    for (int r = 0; r < size; r++) {
      weir__channel_change change = {n, n + 1, WEIR__CHANGE_PARAMETER, 0, {sum}};
      bench_check(weir__channel_change_post(w.channel[r], &change), "change");
      weir__channel_horizon(w.channel[r], n + 2);
    }
  }
  for (int r = 0; r < size; r++) weir__channel_detach(&w.channel[r]);
  weir__doorbell_destroy(&w.bell);
}

static void trips(const char *folder, board *b, int size, double bare) {
  char          name[32], what[64];
  bench_samples s = {0};
  pid_t         child[MOST];
  snprintf(name, sizeof name, "trips_%d", size);
  fflush(stdout);
  for (int r = 0; r < size; r++) {
    child[r] = fork();
    if (child[r]) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    simulate(folder, name, b, r, size);
    _exit(0);
  }
  serve(folder, name, size);
  for (int r = 0; r < size; r++) waitpid(child[r], NULL, 0);
  bench_reserve(&s, (size_t)size * STEPS);
  for (int r = 0; r < size; r++)
    for (int n = WARM; n < STEPS; n++) bench_add(&s, b->trip_ns[r][n]);
  snprintf(what, sizeof what, "step-to-decision-%d", size);
  double median = bench_summary(what, "weir", &s, 1e-3, "us");
  bench_value(what, "weir", "times-futex", median / bare, "");
  if (size == 1) bench_at_most("from a step to its decision, times a futex round trip", median / bare, 2.5, "");
  bench_clear(&s);
}

/* ---- nothing to receive ---- */

/* Steps that nobody looks at, of a stream that is steered, with a parameter and a field that are asked for. */
static void ask_for_nothing(const char *folder) {
  weir_stream        *stream;
  weir_stream_options options = {.run = folder};
  weir_field_options  field   = {.type = {.dtype = WEIR_F64}};
  bench_samples       s       = {0};
  double              p, x;
  weir_target         target = {.data = &x, .dtype = WEIR_F64};
  bench_check(weir_stream_open("nothing", 0, 1, &options, &stream), "open");
  bench_check(weir_field_define(stream, "x", &field), "define");
  bench_check(weir_parameter_define(stream, "p", 0, 0, 1), "define");
  bench_check(weir_feedback_define(stream, "back", &field), "define");
  bench_reserve(&s, BATCHES);
  int64_t step = 1;
  for (int batch = -5; batch < BATCHES; batch++) {
    int64_t begin = weir__clock_ns();
    for (int i = 0; i < BATCH; i++, step++) {
      weir_status status = weir_step_begin(stream, step, 0);
      if (!status) status = weir_parameter_get(stream, "p", &p);
      if (!status && weir_get(stream, "back", &target) != WEIR_END) status = WEIR_ERR_INTERNAL;
      if (!status) status = weir_step_end(stream);
      bench_check(status, "step");
    }
    if (batch >= 0) bench_add(&s, (double)(weir__clock_ns() - begin) / BATCH);
  }
  double median = bench_summary("nothing-to-receive", "begin+get+get..end", &s, 1, "ns");
  bench_at_most("a step with nothing to receive", median, 500, "ns");
  bench_check(weir_stream_close(&stream), "close");
  bench_clear(&s);
}

static void serve_nothing(const char *folder) {
  weir__doorbell        *bell;
  weir__channel         *channel;
  weir__channel_trigger  trigger  = {.period = INT64_C(1) << 60};
  weir__channel_demand   demand   = {0};
  weir__channel_feedback feedback = {.given = true, .lag = 1};
  weir__channel_record   record;
  weir_status            status;
  uint32_t               seen = 0;
  bench_check(weir__doorbell_create(folder, 0, &bell), "doorbell");
  bench_check(weir__doorbell_expect(bell, 0, 1), "doorbell");
  while ((status = weir__channel_attach(folder, "nothing", 0, &channel)) == WEIR_ERR_GONE)
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  bench_check(status, "attach");
  weir__channel_terms terms = {
      .trigger = &trigger, .triggers = 1, .steering = true, .feedback = &feedback, .doorbell = bell};
  bench_check(weir__channel_demand_post(channel, &demand, &terms), "demand");
  while ((status = weir__channel_map(channel)) == WEIR_END) weir__doorbell_wait(bell, &seen, 100000000);
  bench_check(status, "map");
  while (weir__channel_next(channel, &record) == WEIR__CHANNEL_NOTHING) weir__doorbell_wait(bell, &seen, 100000000);
  weir__channel_detach(&channel);
  weir__doorbell_destroy(&bell);
}

int main(void) {
  const char *folder = bench_folder();
  board      *b      = bench_shared(sizeof *b);
  bench_open("feedback");
  double bare = round_trip(b);
  for (int i = 0; i < CASES; i++) trips(folder, b, processes[i], bare);
  fflush(stdout);
  pid_t child = fork();
  if (!child) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    ask_for_nothing(folder);
    fflush(stdout);
    _exit(0);
  }
  serve_nothing(folder);
  int result;
  waitpid(child, &result, 0);
  bench_folder_remove();
  return result != 0;
}
