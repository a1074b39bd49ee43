/* The same graphs as a flow graph of oneTBB, built once and triggered again. */
extern "C" {
#include "task_graph.h"
}
#include <memory>
#include <tbb/flow_graph.h>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>
#include <vector>

namespace {
using node = tbb::flow::continue_node<tbb::flow::continue_msg>;
struct state {
  std::unique_ptr<tbb::global_control> control;
  std::unique_ptr<tbb::task_arena>     arena;
  std::unique_ptr<tbb::flow::graph>    graph;
  std::vector<std::unique_ptr<node>>   nodes;
  std::vector<node *>                  roots;
  bench_replay                        *running = nullptr;
};
state *s = nullptr;

int open_graph(const bench_graph *dag, int threads) {
  s          = new state;
  s->control = std::make_unique<tbb::global_control>(tbb::global_control::max_allowed_parallelism, threads);
  s->arena   = std::make_unique<tbb::task_arena>(threads);
  s->arena->execute([&] {
    s->graph = std::make_unique<tbb::flow::graph>();
    for (int t = 0; t < dag->tasks; t++) {
      s->nodes.push_back(
          std::make_unique<node>(*s->graph, [t](const tbb::flow::continue_msg &) { bench_task_run(s->running, t); }));
      for (int i = dag->first[t]; i < dag->first[t + 1]; i++)
        tbb::flow::make_edge(*s->nodes[dag->pred[i]], *s->nodes[t]);
      if (dag->first[t] == dag->first[t + 1]) s->roots.push_back(s->nodes[t].get());
    }
  });
  return 0;
}

int replay(bench_replay *r) {
  s->running = r;
  s->arena->execute([] {
    for (node *root : s->roots) root->try_put(tbb::flow::continue_msg());
    s->graph->wait_for_all();
  });
  return 0;
}

void close_graph() {
  s->arena->execute([] {
    s->nodes.clear();
    s->graph.reset();
  });
  delete s;
  s = nullptr;
}
} // namespace

extern "C" {
extern const bench_peer bench_peer_tbb;
const bench_peer        bench_peer_tbb = {"onetbb-flow", open_graph, replay, close_graph};
}
