/* A worker for the gyre that only decides: driver_steer RUN PROCESSES AT WIND ADD_AT
 * From the published step number AT (from 0) on the wind has the factor WIND; in step number ADD_AT increments are
 * added that depend on the place alone. Nothing is asked for. */
#include "channel/channel.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 16 };

#define TRY(call)                                                                                                      \
  do {                                                                                                                 \
    weir_status tried = (call);                                                                                        \
    if (tried < 0) {                                                                                                   \
      fprintf(stderr, "driver_steer, line %d: %s\n", __LINE__, weir_error_last());                                     \
      exit(1);                                                                                                         \
    }                                                                                                                  \
  } while (0)

typedef struct driver {
  int             processes;
  uint64_t        at, add_at;
  double          wind;
  weir__doorbell *bell;
  weir__channel  *channel[MOST];
  uint64_t        number[MOST];
} driver;

static void add(weir__channel *channel, uint64_t sequence, bool missing) {
  const weir__channel_definitions *d = weir__channel_definitions_of(channel);
  for (int p = 0; p < d->feedback_pieces; p++) {
    const weir_region     *region = &d->feedback_piece[p].region;
    const weir_field_type *type   = &d->feedback[d->feedback_piece[p].field].type;
    double                *x = malloc(sizeof *x * (size_t)weir__region_size(region)), *at = x;
    weir_view              view = weir__view_dense(x, type, region);
    view.missing                = missing;
    for (int64_t j = 0; j < region->count[0]; j++)
      for (int64_t i = 0; i < region->count[1]; i++) /* as in test_steer.py */
        *at++ = (double)(d->feedback_piece[p].field + 1) * (double)(1 + (region->start[0] + j) * 7 % 5) *
                (double)(1 + (region->start[1] + i) * 3 % 4) / 1024;
    TRY(weir__channel_feedback_write(channel, p, sequence, &view));
    free(x);
  }
}

/* All that is to be known before step `sequence`. */
static void decide(driver *self, int rank, uint64_t sequence) {
  weir__channel *channel = self->channel[rank];
  if (sequence == self->at) {
    weir__channel_change change = {self->number[rank]++, sequence, WEIR__CHANGE_PARAMETER, 0, {self->wind}};
    TRY(weir__channel_change_post(channel, &change));
  }
  if (sequence) add(channel, sequence, sequence != self->add_at);
  weir__channel_horizon(channel, sequence + 1);
}

static void attach(driver *self, const char *run, int rank) {
  weir__channel_trigger  trigger     = {.period = 1};
  weir__channel_feedback feedback[3] = {
      {true, 1, WEIR__LATE_WAIT, 0}, {true, 1, WEIR__LATE_WAIT, 0}, {true, 1, WEIR__LATE_WAIT, 0}};
  weir__channel_demand demand[3] = {{0}};
  weir__channel_terms  terms     = {
           .trigger = &trigger, .triggers = 1, .steering = true, .feedback = feedback, .doorbell = self->bell};
  weir_status status;
  while ((status = weir__channel_attach(run, "ocean", rank, &self->channel[rank])) == WEIR_ERR_GONE)
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
  TRY(status);
  TRY(weir__channel_demand_post(self->channel[rank], demand, &terms));
  decide(self, rank, 0);
}

int main(int argc, char **argv) {
  driver   self = {0};
  uint32_t seen = 0;
  if (argc != 6) return 2;
  self.processes = atoi(argv[2]);
  self.at        = strtoull(argv[3], NULL, 10);
  self.wind      = strtod(argv[4], NULL);
  self.add_at    = strtoull(argv[5], NULL, 10);
  if (self.processes < 1 || self.processes > MOST) return 2;
  TRY(weir__doorbell_create(&self.bell));
  TRY(weir__doorbell_expect(self.bell, 0, self.processes));
  for (int r = 0; r < self.processes; r++) attach(&self, argv[1], r);
  for (int open = self.processes, r = 0; open; r = (r + 1) % self.processes) {
    weir__channel_record record;
    if (!self.channel[r]) continue;
    if (weir__channel_map(self.channel[r]) == WEIR_OK) {
      switch (weir__channel_next(self.channel[r], &record)) {
      case WEIR__CHANNEL_STEP:
        weir__channel_acknowledge(self.channel[r], record.sequence + 1);
        decide(&self, r, record.sequence + 1);
        continue;
      case WEIR__CHANNEL_NOTHING: break;
      default:
        weir__channel_detach(&self.channel[r]);
        open--;
        continue;
      }
    }
    weir__doorbell_wait(self.bell, &seen, 1000000);
  }
  weir__doorbell_destroy(&self.bell);
  return 0;
}
