/* The same graphs as static tasks of StarPU with explicit dependencies, submitted again in each replay (`regenerate`
 * is of no use here: a replay must end). Its threads are awake between open and close. */
#include "dag.h"
#include "harness.h"
#include <starpu.h>

static const bench_dag     *graph;
static int64_t              amount;
static struct starpu_task **task;

static void run(void *buffers[], void *argument) {
  (void)buffers, (void)argument;
  bench_use(bench_kernel(amount));
}
static struct starpu_codelet codelet = {.cpu_funcs = {run}, .cpu_funcs_name = {"run"}, .nbuffers = 0};

static int open_graph(const bench_dag *dag, int threads) {
  struct starpu_conf conf;
  starpu_conf_init(&conf);
  conf.ncpus = threads;
  conf.ncuda = conf.nopencl = 0;
  graph                     = dag;
  bench_check(weir__alloc_array((size_t)dag->tasks, sizeof *task, &task), "StarPU");
  return starpu_init(&conf);
}

static int replay(int64_t work) {
  amount = work;
  for (int t = 0; t < graph->tasks; t++) {
    struct starpu_task *before[8];
    int                 n = 0;
    task[t]               = starpu_task_create();
    task[t]->cl           = &codelet;
    task[t]->destroy      = 0;
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
}

const bench_peer bench_peer_starpu = {"starpu-submitted", open_graph, replay, close_graph};
