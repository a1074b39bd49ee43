/* METG(50 %) of the stencil across processes, one thread each: the engine with its distributed owners, against a
 * hand-written MPI program with a block of columns per process, which per row receives what its columns need, sends
 * what others need, waits for all, and computes (as the reference MPI driver of Task Bench does). Both leave and check
 * stamps; sweeps in turn, in one job.
 *
 * The engine, in three ways:
 *   weir            operators say what their kernel costs, and that points may be put together: the plan puts small
 *                   points of a row into one task, and into one call those that see what they need in place
 *   weir-task-each  each point is a task of its own
 *   weir-2-flight   as weir, with two replays at a time, the default of runs
 *
 * Messages have no sleeping wait: a worker polls and yields, and rests between looks when nothing has come for 50 us.
 * By hand:
 *   mpi-waitall     MPI_Waitall: burns its core
 *   mpi-resting     MPI_Testall, which waits as a worker does
 *
 *   mpirun -n 2 bench_task_bench_mpi [spin] [check | SYSTEM [COLUMNS [ROUNDS]]]
 *
 * check: all patterns. A name of a system: 6400 tasks in 64 columns, of 16 rounds each, for a profiler. With `spin` MPI
 * is told not to yield while it polls (mpi_yield_when_idle, which launchers of oversubscribed jobs, and weir, set). */
#include "core/threads.h"
#include "engine.h"
#include "metg.h"
#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SWEEPS = 9, ROUNDS = 2048, BY_HAND = 2 /* after the first system */ };

static int rank, size;

/* ---- the hand-written program ---- */

typedef struct transfer {
  int task, peer;
} transfer;

typedef struct blocks {
  const bench_graph *graph;
  bool               rests;
  int               *in_end, *out_end; /* per row: end of its transfers below */
  transfer          *in, *out;         /* in: before a row; out: of the row before, sent then */
  MPI_Request       *request;
} blocks;

static int owner(const bench_graph *g, int task) {
  int row = g->row_of[task];
  return (task - g->row[row]) * size / bench_width(g, row);
}

static bool listed(const transfer *list, int first, int end, int task, int peer) {
  for (int i = first; i < end; i++)
    if (list[i].task == task && list[i].peer == peer) return true;
  return false;
}

static void plan(blocks *b, const bench_graph *g) {
  int    in = 0, out = 0, most = 0;
  size_t edges = (size_t)g->first[g->tasks] + 1, rows = (size_t)g->rows + 1;
  *b = (blocks){.graph = g};
  bench_check(weir__alloc_array(rows, sizeof *b->in_end, &b->in_end), "plan");
  bench_check(weir__alloc_array(rows, sizeof *b->out_end, &b->out_end), "plan");
  bench_check(weir__alloc_array(edges, sizeof *b->in, &b->in), "plan");
  bench_check(weir__alloc_array(edges, sizeof *b->out, &b->out), "plan");
  for (int r = 0; r < g->rows; r++) {
    int first_in = in, first_out = out;
    for (int t = g->row[r]; t < g->row[r + 1]; t++)
      for (int i = g->first[t]; i < g->first[t + 1]; i++) {
        int p = g->pred[i], from = owner(g, p), to = owner(g, t);
        if (from == to) continue;
        if (to == rank && !listed(b->in, first_in, in, p, from)) b->in[in++] = (transfer){p, from};
        if (from == rank && !listed(b->out, first_out, out, p, to)) b->out[out++] = (transfer){p, to};
      }
    b->in_end[r]  = in;
    b->out_end[r] = out;
    if (in - first_in + out - first_out > most) most = in - first_in + out - first_out;
  }
  bench_check(weir__alloc_array((size_t)most + 1, sizeof *b->request, &b->request), "plan");
}

static void plan_clear(blocks *b) {
  weir__free(b->in_end);
  weir__free(b->out_end);
  weir__free(b->in);
  weir__free(b->out);
  weir__free(b->request);
}

/* As a worker without a doorbell does (exec/worker.c). */
static void rest(int64_t since, int *looks, int *rests) {
  enum { POLLS_NS = 50000, LONGEST_NS = 500000, SOON_NS = 2000, YIELDS = 4 };
  int64_t ns = (int64_t)10000 << (*rests / 20 < 8 ? *rests / 20 : 8), waited = weir__clock_ns() - since;
  if (ns > LONGEST_NS) ns = LONGEST_NS;
  if (waited < POLLS_NS) {
    if (++*looks % YIELDS == 0 && waited > SOON_NS) sched_yield();
    return;
  }
  nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
  ++*rests;
}

static void wait_for(blocks *b, int count) {
  int     done = 0, looks = 0, rests = 0;
  int64_t since = b->rests ? weir__clock_ns() : 0;
  if (!b->rests) MPI_Waitall(count, b->request, MPI_STATUSES_IGNORE);
  while (b->rests && !done) {
    MPI_Testall(count, b->request, &done, MPI_STATUSES_IGNORE);
    if (!done) rest(since, &looks, &rests);
  }
}

static void run_blocks(blocks *b, bench_replay *replay) {
  const bench_graph *g = b->graph;
  for (int r = 0, i = 0, o = 0; r < g->rows; r++) {
    int n = 0, width = bench_width(g, r), before = r ? g->row[r - 1] : 0;
    for (; i < b->in_end[r]; i++)
      MPI_Irecv(&replay->stamp[b->in[i].task], sizeof(bench_stamp), MPI_BYTE, b->in[i].peer, b->in[i].task - before,
                MPI_COMM_WORLD, &b->request[n++]);
    for (; o < b->out_end[r]; o++)
      MPI_Isend(&replay->stamp[b->out[o].task], sizeof(bench_stamp), MPI_BYTE, b->out[o].peer, b->out[o].task - before,
                MPI_COMM_WORLD, &b->request[n++]);
    if (n) wait_for(b, n);
    int first = (rank * width + size - 1) / size, end = ((rank + 1) * width + size - 1) / size;
    for (int x = first; x < end; x++) bench_task_run(replay, g->row[r] + x);
  }
}

/* ---- systems ---- */

typedef struct system_of {
  const char *name;
  bool        hand, rests, declared;
  int         flight;
} system_of;
static const system_of systems[] = {{"weir", .declared = true, .flight = 1},
                                    {"mpi-waitall", .hand = true},
                                    {"mpi-resting", .hand = true, .rests = true},
                                    {"weir-task-each", .flight = 1},
                                    {"weir-2-flight", .declared = true, .flight = 2}};
enum { SYSTEMS = sizeof systems / sizeof *systems };

typedef struct sweep {
  const system_of *system;
  weir__comm      *comm;
  blocks           blocks;
  bench_replay     replay;
  bench_samples    samples;
} sweep;

static double of_first(double value) {
  MPI_Bcast(&value, 1, MPI_DOUBLE, 0, MPI_COMM_WORLD);
  return value;
}

/* Stamps that this process is responsible for are right, and it has seen no wrong one. */
static void must_be_right(sweep *s) {
  const bench_graph *g      = s->replay.graph;
  int64_t            sums[] = {0, s->replay.wrong};
  for (int t = 0; t < g->tasks; t++) {
    bench_stamp right = bench_stamp_of(g, s->replay.number, t);
    bool        ours  = !s->system->hand || owner(g, t) == rank; /* the engine notes its own tasks alone */
    sums[0] += ours && s->replay.stamp[t].row == right.row && s->replay.stamp[t].point == right.point;
  }
  bench_check(weir__comm_sum(s->comm, sums, 2), "sum");
  if (sums[0] != g->tasks || sums[1])
    bench_check(WEIR_FAIL(WEIR_ERR_INTERNAL, "%s: %lld wrong inputs, %lld of %d tasks right", g->name,
                          (long long)sums[1], (long long)sums[0], g->tasks),
                s->system->name);
}

static double wall_ns(void *self, int64_t rounds, int replays) {
  sweep       *s      = self;
  int          warm   = replays > 5 ? 10 : 2;
  bench_engine engine = {.comm = s->comm, .flight = s->system->flight, .stamps = true, .declared = s->system->declared};
  s->replay.work.rounds = rounds;
  memset(s->replay.stamp, 0xff, (size_t)s->replay.graph->tasks * sizeof *s->replay.stamp);
  s->blocks.rests = s->system->rests;
  if (!s->system->hand) bench_engine_replay(&engine, &s->replay, warm, replays, &s->samples);
  else bench_reserve(&s->samples, (size_t)replays);
  for (int i = 0; i < warm + replays && s->system->hand; i++) {
    int64_t begin = weir__clock_ns();
    s->replay.number++;
    run_blocks(&s->blocks, &s->replay);
    if (i >= warm) bench_add(&s->samples, (double)(weir__clock_ns() - begin));
  }
  must_be_right(s);
  return of_first(bench_quantile(&s->samples, 0.5));
}

/* The kernels of its columns in each process at the same time; the slowest. */
static double peak_ns(void *self, int64_t rounds) {
  sweep             *s    = self;
  const bench_graph *g    = s->replay.graph;
  int                some = (int)((1 << 19) / rounds), ran = 0;
  double             longest = 0;
  s->replay.work.rounds      = rounds;
  if (some < 16 * size) some = 16 * size;
  MPI_Barrier(MPI_COMM_WORLD);
  int64_t begin = weir__clock_ns();
  for (int t = rank; t < g->tasks && t < some; t += size, ran++) bench_task_work(&s->replay, t);
  double ns = (double)(weir__clock_ns() - begin) / ran * g->tasks / size;
  MPI_Allreduce(&ns, &longest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return longest;
}

/* ---- figures ---- */

static void open_sweep(sweep *s, weir__comm *comm, const bench_graph *graph) {
  *s = (sweep){.comm = comm, .replay = {.graph = graph, .work.kernel = BENCH_COMPUTE}};
  bench_check(weir__alloc_array((size_t)graph->tasks, sizeof *s->replay.stamp, &s->replay.stamp), "stamps");
  plan(&s->blocks, graph);
}

static void close_sweep(sweep *s) {
  plan_clear(&s->blocks);
  bench_clear(&s->samples);
  weir__free(s->replay.stamp);
}

static void make_graph(bench_graph *graph, bench_pattern pattern, int columns, int rows) {
  *graph = (bench_graph){.pattern = pattern, .columns = columns, .rows = rows};
  if (bench_graph_create(graph)) bench_check(WEIR_FAIL(WEIR_ERR_MEMORY, "no memory"), bench_pattern_name((int)pattern));
}

/* Figures are of systems that were swept one after the other: how far the cores of a virtual machine are apart changes
 * within seconds, and times with it by a factor of two. */
static void metg_of(weir__comm *comm, int columns, int rows, const char *suffix) {
  bench_graph   graph;
  bench_samples found[SYSTEMS] = {0}, empty[SYSTEMS] = {0}, ratio[SYSTEMS] = {0};
  char          what[64];
  double        value[SYSTEMS];
  make_graph(&graph, BENCH_STENCIL_1D, columns, rows);
  for (int i = 0; i < SYSTEMS; i++)
    bench_reserve(&found[i], SWEEPS), bench_reserve(&empty[i], SWEEPS), bench_reserve(&ratio[i], SWEEPS);
  for (int k = 0; k < SWEEPS; k++)
    for (int i = 0; i < SYSTEMS; i++) {
      sweep      s;
      bench_metg m = {
          .tasks = graph.tasks, .cores = size, .rounds = ROUNDS, .wall_ns = wall_ns, .peak_ns = peak_ns, .self = &s};
      open_sweep(&s, comm, &graph);
      s.system = &systems[i];
      value[i] = bench_metg_find(&m);
      if (value[i] >= 0) bench_add(&found[i], value[i]);
      if (value[0] >= 0 && value[i] > 0) bench_add(&ratio[i], value[0] / value[i]);
      bench_add(&empty[i], 1e-3 * wall_ns(&s, 0, 50) / graph.tasks);
      close_sweep(&s);
    }
  snprintf(what, sizeof what, "stencil_1d-%dx%d%s", columns, rows, suffix);
  for (int i = 0; i < SYSTEMS; i++) {
    if (!rank) {
      bench_value(what, systems[i].name, "METG(50%)", bench_quantile(&found[i], 0.5), "us");
      bench_value(what, systems[i].name, "METG(50%)-min", bench_quantile(&found[i], 0), "us");
      bench_value(what, systems[i].name, "METG(50%)-max", bench_quantile(&found[i], 1), "us");
      bench_value(what, systems[i].name, "empty", bench_quantile(&empty[i], 0.5), "us/task");
    }
  }
  for (int i = 1; i <= BY_HAND && !rank; i++) {
    char text[128];
    snprintf(text, sizeof text, "METG(50 %%) of %s, weir against %s", what, systems[i].name);
    bench_at_most(text, bench_quantile(&ratio[i], 0.5), 2, "times");
  }
  for (int i = 0; i < SYSTEMS; i++) {
    bench_clear(&found[i]);
    bench_clear(&empty[i]);
    bench_clear(&ratio[i]);
  }
  bench_graph_clear(&graph);
}

static void check(weir__comm *comm) {
  for (int p = 0; p <= BENCH_REDUCE; p++)
    for (int kernel = 0; kernel < BENCH_KERNELS; kernel++) {
      bench_graph graph;
      sweep       s;
      make_graph(&graph, (bench_pattern)p, kernel % 2 ? 13 : 16, 11);
      open_sweep(&s, comm, &graph);
      s.replay.work.kernel = (bench_kernel)kernel;
      for (int i = 0; i < SYSTEMS; i++) {
        s.system = &systems[i];
        (void)wall_ns(&s, 3, 1);
      }
      close_sweep(&s);
      bench_graph_clear(&graph);
    }
  if (!rank) bench_note("all patterns and kernels are right in %d systems on %d processes", (int)SYSTEMS, size);
}

/* One system for some seconds. */
static void profile(weir__comm *comm, const system_of *system, int columns, int rounds) {
  bench_graph graph;
  sweep       s;
  make_graph(&graph, BENCH_STENCIL_1D, columns, 6400 / columns);
  open_sweep(&s, comm, &graph);
  s.system     = system;
  double ns    = wall_ns(&s, rounds, 300);
  double least = bench_quantile(&s.samples, 0);
  if (!rank)
    bench_note("%s: %.4g us per row of %d tasks of %d rounds, least %.4g", system->name, 1e-3 * ns / graph.rows,
               columns, rounds, 1e-3 * least / graph.rows);
  close_sweep(&s);
  bench_graph_clear(&graph);
}

int main(int argc, char **argv) {
  bool        spin = argc > 1 && !strcmp(argv[1], "spin");
  const char *what = argc > 1 + spin ? argv[1 + spin] : "";
  int columns = argc > 2 + spin ? atoi(argv[2 + spin]) : 64, rounds = argc > 3 + spin ? atoi(argv[3 + spin]) : 16;
  weir__comm *comm;
  bool        done = false;
  if (spin) setenv("OMPI_MCA_mpi_yield_when_idle", "0", 1);
  bench_check(weir__comm_world(&comm), "communicator");
  rank = weir__comm_rank(comm);
  size = weir__comm_size(comm);
  if (columns < 1 || columns > 6400 || rounds < 0)
    bench_check(WEIR_FAIL(WEIR_ERR_ARGUMENT, "1 to 6400 columns and 0 or more rounds are expected"), "arguments");
  if (size < 2) bench_check(WEIR_FAIL(WEIR_ERR_ARGUMENT, "run it as mpirun -n 2 bench_task_bench_mpi"), "processes");
  weir__thread_pin(weir__core(rank)); /* as workers of a run are: two on one core would wait for each other */
  weir__thread_slack(1000);
  if (!rank) bench_open("task_bench_mpi");
  for (int i = 0; i < SYSTEMS; i++)
    if (!strcmp(what, systems[i].name)) profile(comm, &systems[i], columns, rounds), done = true;
  if (!strcmp(what, "check")) check(comm);
  else if (!done) {
    metg_of(comm, 64, 100, spin ? "-spin" : "");
    metg_of(comm, size, 1000, spin ? "-spin" : "");
  }
  weir__comm_destroy(&comm);
  return 0;
}
