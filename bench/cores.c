#include "cores.h"
#include "core/clock.h"
#include "core/threads.h"
#include "harness.h"
#include <stdatomic.h>

enum { BALLS = 1000, TIMES = 5 };

typedef struct player {
  _Atomic int *turn;
  int          number;
  int64_t      ns;
} player;

static void play(void *self) {
  player *p = self;
  weir__thread_pin(weir__core(p->number));
  int64_t begin = weir__clock_ns();
  for (int i = 0; i < BALLS; i++) {
    if (i == 1) begin = weir__clock_ns(); /* both are there */
    while (atomic_load_explicit(p->turn, memory_order_acquire) != p->number) continue;
    atomic_store_explicit(p->turn, !p->number, memory_order_release);
  }
  p->ns = weir__clock_ns() - begin;
}

double bench_round_trip_ns(void) {
  bench_samples samples = {0};
  bench_reserve(&samples, TIMES);
  for (int k = 0; k < TIMES; k++) {
    _Alignas(128) _Atomic int turn = 0;
    weir__thread              thread[2];
    player                    players[2] = {{&turn, 0, 0}, {&turn, 1, 0}};
    for (int i = 0; i < 2; i++) bench_check(weir__thread_start(&thread[i], play, &players[i]), "thread");
    for (int i = 0; i < 2; i++) weir__thread_join(&thread[i]);
    bench_add(&samples, (double)players[0].ns / (BALLS - 1));
  }
  double median = bench_quantile(&samples, 0.5);
  bench_clear(&samples);
  return median;
}
