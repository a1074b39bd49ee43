/* The same graphs as static tasks of StarPU with explicit dependencies, submitted again in each replay (`regenerate`
 * is of no use here: a replay must end). Its threads are awake between open and close. */
#include "harness.h"
#include "task_graph.h"
#include <starpu.h>

static const bench_graph   *graph;
static bench_replay        *running;
static struct starpu_task **task, **before;

static void run(void *buffers[], void *argument) {
  (void)buffers;
  bench_task_run(running, (int)(intptr_t)argument);
}
static struct starpu_codelet codelet = {.cpu_funcs = {run}, .cpu_funcs_name = {"run"}, .nbuffers = 0};

static int open_graph(const bench_graph *g, int threads) {
  struct starpu_conf conf;
  starpu_conf_init(&conf);
  conf.ncpus = threads;
  conf.ncuda = conf.nopencl = 0;
  graph                     = g;
  bench_check(weir__alloc_array((size_t)g->tasks, sizeof *task, &task), "StarPU");
  bench_check(weir__alloc_array((size_t)g->most + 1, sizeof *before, &before), "StarPU");
  return starpu_init(&conf);
}

static int replay(bench_replay *r) {
  running = r;
  for (int t = 0; t < graph->tasks; t++) {
    int n            = 0;
    task[t]          = starpu_task_create();
    task[t]->cl      = &codelet;
    task[t]->cl_arg  = (void *)(intptr_t)t;
    task[t]->destroy = 0;
    for (int i = graph->first[t]; i < graph->first[t + 1]; i++) before[n++] = task[graph->pred[i]];
    if (n) starpu_task_declare_deps_array(task[t], (unsigned)n, before);
  }
  for (int t = 0; t < graph->tasks; t++)
    if (starpu_task_submit(task[t])) return 1;
  starpu_task_wait_for_all();
  for (int t = 0; t < graph->tasks; t++) starpu_task_destroy(task[t]);
  return 0;
}

static void close_graph(void) {
  starpu_shutdown();
  weir__free(task);
  weir__free(before);
}

const bench_peer bench_peer_starpu = {"starpu-submitted", open_graph, replay, close_graph};
