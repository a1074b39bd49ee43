/* The way back: how long it takes from the end of a step until a value that was computed from it is seen by the
 * simulation, one scalar per process; against the round trip of a bare futex between two processes. And what a step
 * costs that has nothing to receive.
 *
 * Twice: with a plain loop on the channels as worker, which is what the channels cost (when a step has come from all,
 * it decides the sum of their scalars, posts the change to all, and moves the horizon); and through the engine, with
 * `weir run` as people start it, this program being the simulation. There the value is their mean, which comes back as
 * a feedback field, or as a parameter that rules set.
 *
 *   bench_feedback [WEIR]                            without WEIR: not through the engine
 *   bench_feedback simulate BOARD PROCESSES KIND     what `weir run` starts
 */
#include "channel/channel.h"
#include "core/futex.h"
#include "core/threads.h"
#include "harness.h"
#include <signal.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

/* Between two processes on one core, which hand it to each other, or on two. */
static double round_trip(board *b, const char *what, int core, int other) {
  bench_samples s = {0};
  bench_reserve(&s, PINGS);
  b->ping = b->pong = 0;
  fflush(stdout);
  weir__thread_pin(core);
  pid_t child = fork();
  if (!child) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    weir__thread_pin(other);
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
  bench_unpin();
  double median = bench_summary(what, "futex", &s, 1e-3, "us");
  bench_clear(&s);
  return median;
}

/* Simulation and worker are on two cores where there are two. */
typedef struct bare_trip {
  double one, two;
} bare_trip;

static bare_trip round_trips(board *b) {
  int       core[2] = {weir__core(0), weir__core(1)}; /* before this process is bound to one */
  bare_trip of      = {round_trip(b, "round-trip-one-core", core[0], core[0]), 0};
  of.two            = core[1] == core[0] ? of.one : round_trip(b, "round-trip-two-cores", core[0], core[1]);
  return of;
}

static void against_bare(const char *what, const char *text, double median, const bare_trip *bare) {
  bench_value(what, "weir", "times-futex", median / bare->two, "");
  bench_value(what, "weir", "times-futex-one-core", median / bare->one, "");
  if (text) bench_at_most(text, median / bare->two, 2.5, "");
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
  bench_check(weir__doorbell_create(&w->bell), "doorbell");
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

static void trips(const char *folder, board *b, int size, const bare_trip *bare) {
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
  against_bare(what, size > 1 ? NULL : "from a step to its decision: times a futex round trip", median, bare);
  bench_clear(&s);
}

/* ---- through the engine ---- */

typedef enum kind { FIELD, RULE, KINDS } kind;
static const char *const kinds[KINDS] = {"field", "rule"};
static const char *const texts[KINDS] = {"a field through the engine: times a futex round trip",
                                         "a rule's parameter through the engine: times a futex round trip"};

#define OUTPUT "outputs: [{csv: {path: level.csv, fields: [level], every: 1000000}}]\n" /* a run has one */

/* Rules fire when their condition becomes true: so two of them take turns. Step n publishes n. */
static const char *const recipes[KINDS] = {"run: feedback\n"
                                           "stream: {simulation: {}}\n"
                                           "fields: {level: mean(x)}\n"
                                           "feedback: {back: {field: level, lag: 1, every: 1}}\n"
                                           "checkpoint: no\n" OUTPUT,
                                           "run: feedback\n"
                                           "stream: {simulation: {}}\n"
                                           "fields: {level: mean(x)}\n"
                                           "steering: {delay: 1}\n"
                                           "rules:\n"
                                           "  - when: level - 2 * floor(level / 2) > 0.5\n"
                                           "    set: {p: level}\n"
                                           "    every: 1\n"
                                           "  - when: level - 2 * floor(level / 2) < 0.5\n"
                                           "    set: {p: level}\n"
                                           "    every: 1\n"
                                           "checkpoint: no\n" OUTPUT};

static weir_status receive(weir_stream *stream, kind of, double *value) {
  weir_target target = {.data = value, .dtype = WEIR_F64};
  return of == RULE ? weir_parameter_get(stream, "p", value) : weir_get(stream, "back", &target);
}

/* As simulate(), but what comes is the mean of what all put. */
static void simulate_engine(board *b, int rank, int size, kind of) {
  weir_stream       *stream;
  weir_field_options field = {.type  = {.dtype = WEIR_F64, .rank = 1, .dim = {{.name = "x", .size = size}}},
                              .start = (int64_t[]){rank},
                              .count = (int64_t[]){1}};
  bench_check(weir_stream_open("feedback", rank, size, NULL, &stream), "open");
  bench_check(weir_field_define(stream, "x", &field), "define");
  if (of == RULE) bench_check(weir_parameter_define(stream, "p", 0, 0, 1e12), "define");
  else bench_check(weir_feedback_define(stream, "back", &(weir_field_options){.type = {.dtype = WEIR_F64}}), "define");
  int64_t ended = weir__clock_ns();
  for (int n = 0; n < STEPS; n++) {
    double     x = n, value = -1;
    weir_array array = {.data = &x, .dtype = WEIR_F64, .rank = 1, .extent = {1}};
    bench_check(weir_step_begin(stream, n, n), "step");
    weir_status status  = receive(stream, of, &value);
    b->trip_ns[rank][n] = (double)(weir__clock_ns() - ended);
    if (n && (status || value != n - 1)) {
      fprintf(stderr, "bench feedback: step %d received %g (%d): %s\n", n, value, status, weir_stream_error(stream));
      exit(1);
    }
    bench_check(weir_put(stream, "x", &array), "put");
    ended = weir__clock_ns();
    bench_check(weir_step_end(stream), "step");
  }
  bench_check(weir_stream_close(&stream), "close");
}

static int simulation(const char *path, int size, kind of) {
  board *b      = bench_board(path, sizeof(board));
  int    failed = 0, result;
  pid_t  child[MOST];
  for (int r = 0; r < size; r++) {
    child[r] = fork();
    if (child[r]) continue;
    simulate_engine(b, r, size, of);
    exit(0);
  }
  for (int r = 0; r < size; r++) {
    waitpid(child[r], &result, 0);
    failed |= result != 0;
  }
  return failed;
}

static void engine_trips(const char *folder, const char *weir, int size, kind of, const bare_trip *bare) {
  char          command[3 * PATH_MAX], path[PATH_MAX], self[PATH_MAX] = "", what[64];
  bench_samples s = {0};
  snprintf(path, sizeof path, "%s/%s.yaml", folder, kinds[of]);
  FILE *recipe = fopen(path, "w");
  if (!recipe || fputs(recipes[of], recipe) < 0 || fclose(recipe))
    bench_check(WEIR_FAIL(WEIR_ERR_IO, "cannot write %s", path), "recipe");
  snprintf(path, sizeof path, "%s/board-%s-%d", folder, kinds[of], size);
  board *b = bench_board(path, sizeof(board));
  if (readlink("/proc/self/exe", self, sizeof self - 1) < 0) snprintf(self, sizeof self, "bench_feedback");
  snprintf(command, sizeof command,
           "cd '%s' && '%s' run %s.yaml --threads 0 -- '%s' simulate '%s' %d %d >out.txt 2>&1 || { cat out.txt >&2; "
           "false; }",
           folder, weir, kinds[of], self, path, size, of);
  if (system(command)) bench_check(WEIR_FAIL(WEIR_ERR_INTERNAL, "failed: %s", command), "run");
  bench_reserve(&s, (size_t)size * STEPS);
  for (int r = 0; r < size; r++)
    for (int n = WARM; n < STEPS; n++) bench_add(&s, b->trip_ns[r][n]);
  munmap(b, sizeof *b);
  snprintf(what, sizeof what, "engine-%s-%d", kinds[of], size);
  double median = bench_summary(what, "weir", &s, 1e-3, "us");
  against_bare(what, size > 1 ? NULL : texts[of], median, bare);
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
  bench_check(weir__doorbell_create(&bell), "doorbell");
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

int main(int argc, char **argv) {
  if (argc == 5 && !strcmp(argv[1], "simulate")) return simulation(argv[2], atoi(argv[3]), (kind)atoi(argv[4]));
  if (argc > 2) {
    fprintf(stderr, "use: bench_feedback [WEIR]\n");
    return 2;
  }
  const char *folder = bench_folder();
  board      *b      = bench_shared(sizeof *b);
  bench_open("feedback");
  bare_trip bare = round_trips(b);
  for (int i = 0; i < CASES; i++) trips(folder, b, processes[i], &bare);
  for (int of = 0; argc > 1 && of < KINDS; of++)
    for (int i = 0; i < CASES; i++) engine_trips(folder, argv[1], processes[i], (kind)of, &bare);
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
