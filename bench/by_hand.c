#include "by_hand.h"
#include "channel/channel.h"
#include <time.h>

typedef struct line { /* the channel of one process of the simulation */
  weir__doorbell *bell;
  weir__channel  *channel;
} line;

static void attach(const feed *f, int rank, weir__channel **channel) {
  weir_status status;
  while ((status = weir__channel_attach(f->folder, f->stream, rank, channel)) == WEIR_ERR_GONE)
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  bench_check(status, "attach");
}

/* Ask for all of every piece in every step, and wait for the memory. */
static void demand_all(const line *l, int slots) {
  const weir__channel_definitions *d       = weir__channel_definitions_of(l->channel);
  weir__channel_trigger            trigger = {.period = 1};
  weir__channel_terms              terms   = {.trigger = &trigger, .triggers = 1, .doorbell = l->bell, .slots = slots};
  weir__channel_demand            *demand;
  weir__channel_want              *want;
  weir_status                      status;
  uint32_t                         seen = 0;
  bench_check(weir__alloc_array((size_t)d->pieces, sizeof *demand, &demand), "demand");
  bench_check(weir__alloc_array((size_t)d->pieces, sizeof *want, &want), "demand");
  for (int p = 0; p < d->pieces; p++) {
    want[p]   = (weir__channel_want){1, d->piece[p].region};
    demand[p] = (weir__channel_demand){1, &want[p]};
  }
  bench_check(weir__channel_demand_post(l->channel, demand, &terms), "demand");
  weir__free(want);
  weir__free(demand);
  while ((status = weir__channel_map(l->channel)) == WEIR_END) weir__doorbell_wait(l->bell, &seen, 1000000);
  bench_check(status, "map");
}

static line line_open(const feed *f, int rank, int slots) {
  line l;
  bench_check(weir__doorbell_create(&l.bell), "doorbell");
  bench_check(weir__doorbell_expect(l.bell, 0, 1), "doorbell");
  attach(f, rank, &l.channel);
  demand_all(&l, slots);
  return l;
}

/* Pieces of one field that a process defined one after another are seen as one, as weir's worker does. */
static void see(hand *h, const line *l, const weir__channel_record *record) {
  for (int k = HAND_PAST_MAX; k > 0; k--) h->past[k] = h->past[k - 1];
  h->past[0] = weir__channel_pieces(l->channel, record->sequence, 0, weir__channel_definitions_of(l->channel)->pieces,
                                    (size_t)h->count * sizeof(double));
  h->step    = (int)record->step;
  if (!h->past[0]) bench_check(WEIR_FAIL(WEIR_ERR_INTERNAL, "a step without data"), "piece");
}

void by_hand(const feed *f, feed_board *board, int rank, const hand_program *program, feed_cost *cost) {
  enum { SLOTS = 4 };
  hand                 h      = {.feed = f, .rank = rank};
  resident             before = resident_now();
  double               cpu    = bench_cpu_seconds();
  uint32_t             seen   = 0;
  weir__channel_record record;
  weir__channel_event  event;
  line                 l = line_open(f, rank, program->past + 2 > SLOTS ? program->past + 2 : SLOTS);
  h.count                = f->rows / f->size * f->columns;
  if (program->begin) program->begin(&h);
  while ((event = weir__channel_next(l.channel, &record)) == WEIR__CHANNEL_STEP || event == WEIR__CHANNEL_NOTHING) {
    if (event == WEIR__CHANNEL_NOTHING) {
      if (!program->awake) weir__doorbell_wait(l.bell, &seen, 100000000);
      continue;
    }
    see(&h, &l, &record);
    double value = program->step(&h);
    if (rank == 0) feed_result(board, h.step, value);
    if (h.step >= program->past) weir__channel_acknowledge(l.channel, record.sequence + 1 - (uint64_t)program->past);
  }
  if (event == WEIR__CHANNEL_LOST) bench_check(WEIR_FAIL(WEIR_ERR_GONE, "the simulation gave up"), f->stream);
  if (cost) *cost = (feed_cost){{bench_cpu_seconds() - cpu, resident_all(), h.sent}, resident_since(before)};
  if (program->end) program->end(&h);
  weir__channel_detach(&l.channel);
  weir__doorbell_destroy(&l.bell);
}
