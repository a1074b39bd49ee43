/* What the client costs a simulation: weir_put of a field in one piece against memcpy of as many bytes into memory
 * shared in the same way; steps in which nothing is asked for; calls without a run; memory written in place.
 *
 * Workers are processes of this program: each asks for what a case needs and gives every step back at once. */
#include "channel/channel.h"
#include "channel/shared.h"
#include "harness.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <weir/client.h>

enum { SLOTS = 2, ROW = 1024 /* float64 */, BATCH = 1000 };
static const int mebibytes[] = {1, 8, 64};
enum { SIZES = 3, REPEATS = 60, BATCHES = 60 };

/* ---- the worker ---- */

/* Serve the process of `stream` to its end; `period` of the only trigger: a huge one asks for nothing after step 0. */
static void serve(const char *folder, const char *stream, int64_t period) {
  weir__doorbell       *bell;
  weir__channel        *channel;
  weir__channel_record  record;
  weir__channel_event   event;
  weir__channel_trigger trigger = {.period = period};
  weir_status           status;
  uint32_t              seen = 0;
  bench_check(weir__doorbell_create(&bell), "doorbell");
  bench_check(weir__doorbell_expect(bell, 0, 1), "doorbell");
  while ((status = weir__channel_attach(folder, stream, 0, &channel)) == WEIR_ERR_GONE)
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  bench_check(status, "attach");
  weir__channel_want   want   = {1, weir__channel_definitions_of(channel)->piece[0].region};
  weir__channel_demand demand = {1, &want};
  weir__channel_terms  terms  = {.slots = SLOTS, .trigger = &trigger, .triggers = 1, .doorbell = bell};
  bench_check(weir__channel_demand_post(channel, &demand, &terms), "demand");
  while ((status = weir__channel_map(channel)) == WEIR_END) weir__doorbell_wait(bell, &seen, 1000000);
  bench_check(status, "map");
  while ((event = weir__channel_next(channel, &record)) == WEIR__CHANNEL_STEP || event == WEIR__CHANNEL_NOTHING) {
    if (event == WEIR__CHANNEL_STEP) weir__channel_acknowledge(channel, record.sequence + 1);
    else weir__doorbell_wait(bell, &seen, 100000000);
  }
  weir__channel_detach(&channel);
  weir__doorbell_destroy(&bell);
}

/* ---- the simulation ---- */

static weir_stream *open_stream(const char *folder, const char *name, int64_t rows) {
  weir_stream        *stream;
  weir_stream_options options = {.run = folder};
  weir_field_options  field   = {
         .type = {.dtype = WEIR_F64, .rank = 2, .dim = {{.name = "y", .size = rows}, {.name = "x", .size = ROW}}}};
  bench_check(weir_stream_open(name, 0, 1, &options, &stream), "open");
  bench_check(weir_field_define(stream, "u", &field), "define");
  return stream;
}

static double *field_of(int64_t rows) {
  double *u;
  bench_check(weir__alloc_array((size_t)(rows * ROW), sizeof *u, &u), "field");
  for (int64_t i = 0; i < rows * ROW; i++) u[i] = (double)i;
  return u;
}

/* Interleaved: one put, one memcpy, in turn into as many places as the channel has slots. */
static void put_and_copy(weir_stream *stream, const double *u, int64_t rows, int size) {
  size_t               bytes = (size_t)rows * ROW * sizeof(double), head = 4096;
  weir_array           array = {.data = u, .dtype = WEIR_F64, .rank = 2, .extent = {rows, ROW}};
  char                 what[32], ratio[80];
  bench_samples        put = {0}, copy = {0};
  int                  fd;
  weir__shared_header *header;
  bench_check(weir__shared_create("benchmark", 1, sizeof *header, head + SLOTS * bytes, &fd, &header), "memory");
  char *memory = (char *)header + head;
  bench_reserve(&put, REPEATS);
  bench_reserve(&copy, REPEATS);
  for (int i = -2 * SLOTS; i < REPEATS; i++) {
    bench_check(weir_step_begin(stream, i + 100, i), "step");
    int64_t a = weir__clock_ns();
    bench_check(weir_put(stream, "u", &array), "put");
    int64_t b = weir__clock_ns();
    bench_check(weir_step_end(stream), "step");
    if (i >= 0) bench_add(&put, (double)(b - a));
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL); /* the worker gives the slot back */
    a = weir__clock_ns();
    memcpy(memory + (size_t)(i & (SLOTS - 1)) * bytes, u, bytes);
    b = weir__clock_ns();
    if (i >= 0) bench_add(&copy, (double)(b - a));
  }
  snprintf(what, sizeof what, "%d-MiB", mebibytes[size]);
  double p = bench_summary(what, "weir_put", &put, 1e-3, "us"), m = bench_summary(what, "memcpy", &copy, 1e-3, "us");
  snprintf(ratio, sizeof ratio, "%s, %% of memcpy's speed", what);
  bench_at_least(ratio, 100 * m / p, 80, "%");
  bench_clear(&put);
  bench_clear(&copy);
  weir__shared_unmap(&header, head + SLOTS * bytes);
  close(fd);
}

/* Memory written in place, in ns; what the channel keeps may have left the caches. */
static double acquire_and_commit(weir_stream *stream, int64_t step) {
  void *place;
  bench_check(weir_step_begin(stream, step, (double)step), "step");
  int64_t a = weir__clock_ns();
  bench_check(weir_put_acquire(stream, "u", 0, &place), "acquire");
  int64_t b = weir__clock_ns();
  memset(place, 0, 64);
  int64_t c = weir__clock_ns();
  bench_check(weir_put_commit(stream, "u", 0), "commit");
  int64_t d = weir__clock_ns();
  bench_check(weir_step_end(stream), "step");
  nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  return (double)(b - a + d - c);
}

/* The sizes in turn, as the machine is faster now, slower then. Between two steps a solver goes through its own memory
 * (`spoil`), as much for every size; without, what else is in the loop decides. The largest, times the smallest. */
static double acquire_in_turn(weir_stream *const stream[SIZES], bool spoil) {
  enum { SPOIL = 64 << 20 };
  static char   solver[SPOIL];
  bench_samples s[SIZES] = {0};
  double        ns[SIZES];
  for (int k = 0; k < SIZES; k++) bench_reserve(&s[k], REPEATS);
  for (int i = -2 * SLOTS; i < REPEATS; i++)
    for (int k = 0; k < SIZES; k++) {
      if (spoil) memset(solver, i, SPOIL);
      double took = acquire_and_commit(stream[k], i + 1000 + 1000 * spoil);
      if (i >= 0) bench_add(&s[k], took);
    }
  for (int k = 0; k < SIZES; k++) {
    char what[32];
    snprintf(what, sizeof what, "%d-MiB", mebibytes[k]);
    ns[k] = bench_summary(what, spoil ? "acquire+commit-cold" : "acquire+commit", &s[k], 1e-3, "us");
    bench_clear(&s[k]);
  }
  return ns[SIZES - 1] / ns[0];
}

static void put_sizes(const char *folder) {
  weir_stream *stream[SIZES];
  for (int k = 0; k < SIZES; k++) {
    int64_t rows = (int64_t)mebibytes[k] * 1048576 / (ROW * 8);
    char    name[32];
    double *u = field_of(rows);
    snprintf(name, sizeof name, "put_%d", mebibytes[k]);
    stream[k] = open_stream(folder, name, rows);
    put_and_copy(stream[k], u, rows, k);
    weir__free(u);
  }
  (void)acquire_in_turn(stream, false);
  bench_at_most("acquire and commit of 64 MiB, times those of 1 MiB", acquire_in_turn(stream, true), 1.5, "");
  for (int k = 0; k < SIZES; k++) bench_check(weir_stream_close(&stream[k]), "close");
}

/* Steps in which the only trigger does not fire. */
static void steps_of_nothing(const char *folder, const char *what, bool run) {
  int64_t       number = 0;
  double       *u      = field_of(16);
  bench_samples s      = {0};
  weir_stream  *stream;
  weir_array    array = {.data = u, .dtype = WEIR_F64, .rank = 2, .extent = {16, ROW}};
  bench_reserve(&s, BATCHES);
  unsetenv("WEIR_RUN");
  stream = open_stream(run ? folder : NULL, "nothing", 16);
  bench_check(weir_step_begin(stream, number++, 0), "step"); /* the one that is asked for */
  bench_check(weir_put(stream, "u", &array), "put");
  bench_check(weir_step_end(stream), "step");
  for (int with_put = 0; with_put < 2; with_put++) {
    char system[32];
    bench_reserve(&s, BATCHES);
    for (int batch = 0; batch < BATCHES; batch++) {
      int64_t begin = weir__clock_ns();
      for (int i = 0; i < BATCH; i++, number++) {
        weir_status status = weir_step_begin(stream, number, (double)number);
        if (with_put) status |= weir_put(stream, "u", &array);
        status |= weir_step_end(stream);
        bench_check(status, "step");
      }
      bench_add(&s, (double)(weir__clock_ns() - begin) / BATCH);
    }
    snprintf(system, sizeof system, "begin%s..end", with_put ? "+put" : "");
    double median = bench_summary(what, system, &s, 1, "ns");
    if (!with_put) bench_at_most(run ? "a step nobody asked for" : "a step without WEIR_RUN", median, 200, "ns");
  }
  bench_check(weir_stream_close(&stream), "close");
  bench_clear(&s);
  weir__free(u);
}

static pid_t fork_server(const char *folder, const char *stream, int64_t period) {
  pid_t child = fork();
  if (child) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  serve(folder, stream, period);
  _exit(0);
}

int main(void) {
  const char *folder = bench_folder();
  pid_t       server[SIZES + 1];
  bench_open("put");
  fflush(stdout);
  for (int k = 0; k < SIZES; k++) {
    char name[32];
    snprintf(name, sizeof name, "put_%d", mebibytes[k]);
    server[k] = fork_server(folder, name, 1);
  }
  server[SIZES] = fork_server(folder, "nothing", (int64_t)1 << 40);
  put_sizes(folder);
  steps_of_nothing(folder, "nothing-wanted", true);
  steps_of_nothing(folder, "no-run", false);
  int failed = 0;
  for (int k = 0; k <= SIZES; k++) {
    int result = 1;
    waitpid(server[k], &result, 0);
    failed |= result;
  }
  bench_folder_remove();
  return failed != 0;
}
