/* The simulation's steps as a worker takes them: what it wants, whole steps, what it has done with. */
#include "core/clock.h"
#include "exec/intake.h"
#include <stdio.h>
#include <string.h>

enum { ALIVE_NS = 1000000000 };

/* ---- pieces and demands ---- */

weir_status weir__intake_pieces(weir__intake *in, const weir__graph *graph, const weir__local_piece **pieces,
                                int *count) {
  int total = 0;
  for (int i = 0; i < in->channels; i++) total += weir__channel_definitions_of(in->channel[i])->pieces;
  weir__free(in->piece);
  in->piece  = NULL;
  in->pieces = 0;
  WEIR_TRY(weir__alloc_array((size_t)total + 1, sizeof *in->piece, &in->piece));
  for (int i = 0; i < in->channels; i++) {
    const weir__channel_definitions *d = weir__channel_definitions_of(in->channel[i]);
    for (int k = 0; k < d->pieces; k++) {
      weir__local_piece *piece = &in->piece[in->pieces++];
      *piece          = (weir__local_piece){.node = -1, .channel = i, .piece = k, .region = d->piece[k].region};
      piece->in_place = in->hosted && !d->field[d->piece[k].field].is_static;
      for (int n = 0; n < graph->nodes; n++)
        if (!graph->node[n].op && !graph->node[n].stream && graph->node[n].field == d->piece[k].field) piece->node = n;
      if (piece->node < 0)
        return WEIR_FAIL(WEIR_ERR_INTERNAL, "field %s is not in the graph", d->field[d->piece[k].field].name);
    }
  }
  *pieces = in->piece;
  *count  = in->pieces;
  return WEIR_OK;
}

/* As many slots as fit a modest amount of memory: a checkpoint needs to be made only every half of them. */
static int choose_slots(const weir__intake *in, const weir__plan *plan, const weir__worker_options *options) {
  enum { LEAST = WEIR__CHANNEL_SLOTS_DEFAULT, MOST = 64, BYTES = 64 << 20 };
  int64_t largest = 1;
  if (options->slots) return options->slots;
  if (!options->checkpoint_directory || in->hosted) return LEAST;
  for (int i = 0, at = 0; i < in->channels; i++) {
    int64_t bytes = 0;
    for (; at < plan->pieces && plan->piece[at].channel == i; at++)
      bytes += weir__region_size(&plan->piece[at].region) *
               (int64_t)weir_dtype_size(plan->graph->node[plan->piece[at].node].type[0].dtype);
    if (bytes > largest) largest = bytes;
  }
  int64_t slots = BYTES / largest;
  return slots < LEAST ? LEAST : slots > MOST ? MOST : (int)slots;
}

/* ---- demands ---- */

weir_status weir__intake_demand(weir__intake *in, const weir__plan *plan, const weir__worker_options *options) {
  const weir__graph      *graph = plan->graph;
  weir__channel_trigger  *trigger;
  weir__channel_demand   *demand;
  weir__channel_want     *want;
  weir__channel_feedback *feedback;
  int                     wants = 0;
  uint64_t                all   = graph->triggers < 64 ? ((uint64_t)1 << graph->triggers) - 1 : ~(uint64_t)0;
  if (in->demanded) return WEIR_OK; /* by an earlier worker of this process: the same */
  int64_t fewest = -choose_slots(in, plan, options);
  WEIR_TRY(weir__comm_max(in->comm, &fewest, 1)); /* where steps are left out, the same ones everywhere */
  in->slots = (int)-fewest;
  WEIR_TRY(weir__arena_alloc(&in->arena, (size_t)graph->triggers * sizeof *trigger, &trigger));
  WEIR_TRY(weir__arena_alloc(&in->arena, (size_t)plan->pieces * sizeof *demand, &demand));
  WEIR_TRY(weir__arena_alloc(&in->arena, (size_t)plan->pieces * WEIR__WANTS_MAX * sizeof *want, &want));
  for (int t = 0; t < graph->triggers; t++)
    trigger[t] = (weir__channel_trigger){graph->trigger[t].period, graph->trigger[t].phase, graph->trigger[t].interval};
  WEIR_TRY(weir__intake_feedback_terms(in, graph, &feedback));
  WEIR_TRY(weir__doorbell_expect(in->doorbell, WEIR__DOOR, in->channels));
  for (int i = 0, at = 0; i < in->channels; i++) {
    weir__channel_terms terms = {.slots           = in->slots,
                                 .held            = plan->flight + 1,
                                 .timeout_ns      = options->block_timeout_ns,
                                 .policy          = options->policy,
                                 .fallback        = options->fallback,
                                 .spill_bytes     = options->spill_bytes,
                                 .spill_directory = options->spill_directory,
                                 .supervised      = options->supervised,
                                 .in_place        = in->hosted,
                                 .steering        = graph->decisions.node >= 0 || graph->feedbacks > 0,
                                 .feedback        = feedback,
                                 .trigger         = trigger,
                                 .triggers        = graph->triggers,
                                 .node            = {in->node.first_rank, in->node.processes, in->node.process + i},
                                 .doorbell        = in->doorbell,
                                 .door            = WEIR__DOOR};
    int                 first = at;
    for (; at < plan->pieces && plan->piece[at].channel == i; at++) {
      weir__wants of;
      weir__plan_wants(plan, plan->piece[at].node, &plan->piece[at].region, &of);
      demand[at] = (weir__channel_demand){.wants = of.count, .want = &want[wants]};
      for (int n = 0; n < of.count; n++)
        want[wants++] = (weir__channel_want){of.want[n].triggers & all, of.want[n].region};
    }
    WEIR_TRY(weir__channel_demand_post(in->channel[i], demand + first, &terms));
  }
  in->demanded = true;
  return WEIR_OK;
}

/* ---- steps ---- */

weir_status weir__intake_map(weir__intake *in) {
  for (int i = 0; i < in->channels; i++) {
    weir_status status = weir__channel_map(in->channel[i]);
    if (status == WEIR_END && weir__channel_alive(in->channel[i])) return WEIR_ERR_TIMEOUT;
    if (status == WEIR_END || status == WEIR_ERR_GONE) {
      in->lost = true;
      return WEIR_END;
    }
    if (status < 0) return status;
  }
  in->mapped = true;
  return WEIR_OK;
}

/* Has a process that we wait for died? Asked rarely: it reads /proc. */
static bool has_died(weir__intake *in) {
  int64_t now = weir__clock_ns();
  if (now - in->checked_ns < ALIVE_NS) return false;
  in->checked_ns = now;
  for (int i = 0; i < in->channels; i++)
    if (!in->read[i] && !weir__channel_alive(in->channel[i])) return true;
  return false;
}

static int64_t last_number(const weir__channel_record *r) { return r->more ? r->last_step : r->step; }

/* The next record of a channel that is not in a checkpoint already. */
static weir__channel_event read_next(weir__intake *in, int i) {
  for (;;) {
    weir__channel_event event = weir__channel_next(in->channel[i], &in->record[i]);
    if (event != WEIR__CHANNEL_STEP || last_number(&in->record[i]) > in->skip) return event;
    uint64_t end = in->record[i].sequence + in->record[i].more + 1;
    weir__channel_done(in->channel[i], in->record[i].sequence);
    weir__channel_acknowledge(in->channel[i], end);
    weir__channel_horizon(in->channel[i], end + (uint64_t)in->ahead);
    if (!in->hosted) continue; /* elsewhere all channels are passed over before a step has its place */
    in->next   = end;
    in->placed = true;
  }
}

static weir_status check_same(const weir__intake *in, int i, int64_t step, int k) {
  return WEIR_FAIL(WEIR_ERR_INPUT,
                   "stream %s: process %d is at step %lld, process %d at step %lld; all must publish the same steps",
                   in->stream, weir__channel_definitions_of(in->channel[k])->rank, (long long)step,
                   weir__channel_definitions_of(in->channel[i])->rank, (long long)in->record[i].step);
}

static const char *mark_text(int64_t saved, char text[40]) {
  if (saved == WEIR__CHANNEL_UNSAVED) return "not";
  snprintf(text, 40, "for step %lld", (long long)saved);
  return text;
}

/* Workers see each other's marks as they write the checkpoint; those of processes that one worker serves it sees here.
 */
static weir_status check_marks(const weir__intake *in, int64_t step) {
  char a[40], b[40];
  for (int i = 1; i < in->channels; i++)
    if (in->record[i].saved != in->record[0].saved)
      return WEIR_FAIL(WEIR_ERR_INPUT,
                       "stream %s: its processes called weir_stream_checkpoint between different steps (before step "
                       "%lld: process %d %s, process %d %s)",
                       in->stream, (long long)step, weir__channel_definitions_of(in->channel[0])->rank,
                       mark_text(in->record[0].saved, a), weir__channel_definitions_of(in->channel[i])->rank,
                       mark_text(in->record[i].saved, b));
  return WEIR_OK;
}

static weir_gap gap_of(const weir__channel_record *r) {
  if (!r->tombstone) return WEIR_GAP_NONE;
  return r->dropped ? WEIR_GAP_NO_ROOM : WEIR_GAP_NOT_PUBLISHED;
}

/* All processes have said what there is of the next sequence number. A record may stand for many lost steps, of which
 * only the first and the last number are known. */
static weir_status gather(weir__intake *in, weir__arrival *arrival) {
  int knows = -1;
  if (!in->placed) in->next = in->record[0].sequence;
  in->placed = true;
  *arrival   = (weir__arrival){.sequence = in->next, .more = UINT64_MAX};
  for (int i = 0; i < in->channels; i++) {
    const weir__channel_record *r = &in->record[i];
    if (in->next < r->sequence || in->next - r->sequence > r->more) return check_same(in, i, in->record[0].step, 0);
    uint64_t rest = r->more - (in->next - r->sequence);
    if (rest < arrival->more || !i) arrival->last = last_number(r);
    if (rest < arrival->more) arrival->more = rest;
    if (gap_of(r) && (!arrival->torn || gap_of(r) < arrival->torn)) arrival->torn = gap_of(r);
    if (r->saved != WEIR__CHANNEL_UNSAVED && (!arrival->marks || r->saved > arrival->saved)) arrival->saved = r->saved;
    arrival->marks |= r->saved != WEIR__CHANNEL_UNSAVED;
    if (r->sequence == in->next && knows < 0) knows = i;
  }
  if (knows < 0) return WEIR_OK;
  arrival->known = true;
  arrival->step  = in->record[knows].step;
  arrival->time  = in->record[knows].time;
  for (int i = 0; i < in->channels; i++) {
    if (in->record[i].sequence != in->next) continue;
    if (in->record[i].step != arrival->step) return check_same(in, i, arrival->step, knows);
    arrival->fired |= in->record[i].fired;
  }
  return arrival->torn ? WEIR_OK : check_marks(in, arrival->step);
}

/* ---- what was lost ---- */

static void note_lost(weir__intake *in, const weir__arrival *arrival) {
  enum { LOSTS_MAX = 1000 };
  bool        no_room = arrival->torn == WEIR_GAP_NO_ROOM;
  const char *why     = no_room ? "no room: dropped" : "a process that another worker serves could not publish it";
  int64_t     count = (int64_t)arrival->more + 1, to = arrival->last;
  for (int i = 0; i < in->channels; i++)
    if (gap_of(&in->record[i]) == arrival->torn) why = in->record[i].why;
  in->dropped += count;
  if (no_room) in->left_out += count;
  weir__lost *last = in->losts ? &in->lost_step[in->losts - 1] : NULL;
  if (last && (in->losts == LOSTS_MAX || !strncmp(last->why, why, sizeof last->why - 1))) {
    if (arrival->known) last->to = to;
    last->count += count;
    return;
  }
  if (weir__grow(&in->lost_step, in->losts + 1, &in->lost_capacity, sizeof *last) < 0) return;
  last  = &in->lost_step[in->losts++];
  *last = (weir__lost){.from = arrival->step, .to = to, .count = count};
  snprintf(last->why, sizeof last->why, "%s", why);
}

void weir__intake_gap(weir__intake *in, int64_t from, int64_t to, int64_t count) {
  for (size_t i = 0; i < in->losts; i++) /* it was noted before that checkpoint */
    if (in->lost_step[i].from == from && in->lost_step[i].to == to) return;
  if (weir__grow(&in->lost_step, in->losts + 1, &in->lost_capacity, sizeof *in->lost_step) < 0) return;
  in->lost_step[in->losts++] = (weir__lost){.from  = from,
                                            .to    = to,
                                            .count = count,
                                            .why   = "the simulation went on from a later state than the workers had a "
                                                     "checkpoint of"};
  in->dropped += count;
}

size_t weir__intake_lost_bytes(const weir__intake *in) {
  return in ? 3 * sizeof(int64_t) + in->losts * sizeof *in->lost_step : 0;
}

void weir__intake_lost_save(const weir__intake *in, char *bytes) {
  if (!in) return;
  memcpy(bytes, (int64_t[]){in->dropped, in->left_out, in->spilled}, 3 * sizeof(int64_t));
  if (in->losts) memcpy(bytes + 3 * sizeof(int64_t), in->lost_step, in->losts * sizeof *in->lost_step);
}

weir_status weir__intake_lost_load(weir__intake *in, const char *bytes, size_t size) {
  int64_t number[3];
  if (!in || size < sizeof number || (size - sizeof number) % sizeof *in->lost_step)
    return size ? WEIR_FAIL(WEIR_ERR_INPUT, "the checkpoint belongs to another graph") : WEIR_OK;
  memcpy(number, bytes, sizeof number);
  in->dropped  = number[0];
  in->left_out = number[1];
  in->spilled  = number[2];
  in->losts    = (size - sizeof number) / sizeof *in->lost_step;
  WEIR_TRY(weir__grow(&in->lost_step, in->losts + 1, &in->lost_capacity, sizeof *in->lost_step));
  memcpy(in->lost_step, bytes + sizeof number, size - sizeof number);
  return WEIR_OK;
}

int weir__worker_lost(const weir__worker *w, const weir__lost **list) {
  *list = w->intake ? w->intake->lost_step : NULL;
  return w->intake ? (int)w->intake->losts : 0;
}

/* ---- the next step ---- */

void weir__intake_settle(weir__intake *in, const weir__arrival *arrival) {
  bool spilled = false;
  if (arrival->torn) note_lost(in, arrival);
  in->next = arrival->sequence + arrival->more + 1;
  for (int i = 0; i < in->channels; i++) {
    spilled |= in->record[i].spilled && !arrival->torn;
    in->read[i] = in->record[i].sequence + in->record[i].more >= in->next;
  }
  in->spilled += spilled;
}

/* Read one record of each channel that has none; how many are missing, or WEIR_END. */
static weir_status read_all(weir__intake *in, int *missing) {
  *missing = 0;
  for (int i = 0; i < in->channels; i++) {
    if (in->read[i]) continue;
    switch (read_next(in, i)) {
    case WEIR__CHANNEL_STEP: in->read[i] = true; break;
    case WEIR__CHANNEL_NOTHING: ++*missing; break;
    case WEIR__CHANNEL_LOST: in->lost = true; /* fall through */
    case WEIR__CHANNEL_END: in->ended = true; return WEIR_END;
    }
  }
  return WEIR_OK;
}

weir_status weir__intake_next(weir__intake *in, weir__arrival *arrival) {
  int missing = 0;
  if (in->ended) return WEIR_END;
  if (!in->mapped) {
    weir_status mapped = weir__intake_map(in);
    if (mapped != WEIR_OK) {
      in->ended = mapped == WEIR_END;
      return mapped;
    }
  }
  weir_status status = read_all(in, &missing);
  /* a process may have published its last steps between the look at its channel and that at itself */
  if (status == WEIR_OK && missing && has_died(in)) {
    status = read_all(in, &missing);
    if (status == WEIR_OK && missing) {
      in->ended = in->lost = true;
      return WEIR_END;
    }
  }
  if (status != WEIR_OK) return status;
  return missing ? WEIR_ERR_TIMEOUT : gather(in, arrival);
}

bool weir__intake_lost(const weir__intake *in) { return in->lost; }

void weir__intake_pieces_of(weir__intake *in, const weir__plan *plan, const weir__arrival *arrival, const void **data) {
  for (int k = 0; k < plan->pieces; k += plan->piece[k].together) {
    const weir__local_piece *p = &plan->piece[k];
    if (arrival->torn && !plan->graph->node[p->node].is_static) data[k] = NULL;
    else data[k] = weir__channel_pieces(in->channel[p->channel], arrival->sequence, p->piece, p->together, p->bytes);
  }
}

void weir__intake_done(weir__intake *in, uint64_t sequence) {
  for (int i = 0; i < in->channels; i++) weir__channel_done(in->channel[i], sequence);
}

void weir__intake_acknowledge(weir__intake *in, uint64_t before) {
  for (int i = 0; i < in->channels; i++) weir__channel_acknowledge(in->channel[i], before);
}

int weir__intake_slots(const weir__intake *in) { return in->channels ? in->slots : 0; }

weir_status weir__intake_begins(weir__intake *in, weir__beginning *begins) {
  int64_t say[2] = {0, INT64_MIN}; /* is any fresh; the smallest first step, in the opposite order */
  for (int i = 0; i < in->channels; i++) {
    int64_t first = weir__channel_definitions_of(in->channel[i])->first_step;
    say[0] |= !in->rewound && (in->hosted || weir__channel_fresh(in->channel[i]));
    if (~first > say[1]) say[1] = ~first;
  }
  WEIR_TRY(weir__comm_max(in->comm, say, 2));
  begins->fresh = say[0];
  begins->step  = ~say[1];
  return WEIR_OK;
}

int64_t weir__intake_saved(const weir__intake *in) {
  int64_t saved = INT64_MAX;
  for (int i = 0; i < in->channels; i++) {
    int64_t             one  = weir__channel_saved(in->channel[i]); /* before what was published */
    uint64_t            seen = in->placed ? in->next : weir__channel_first(in->channel[i]);
    weir__channel_stats stats;
    weir__channel_stats_get(in->channel[i], &stats);
    if (!in->mapped || stats.published > seen) return INT64_MIN; /* steps before it were lost with the process */
    if (one < saved) saved = one;
  }
  return saved;
}

void weir__intake_skip(weir__intake *in, int64_t step, int64_t ahead) {
  in->skip  = step;
  in->ahead = ahead;
}

void weir__intake_rewind(weir__intake *in) {
  for (int i = 0; i < in->channels; i++) {
    weir__channel_rewind(in->channel[i]);
    in->read[i] = false;
  }
  in->dropped = in->left_out = in->spilled = 0; /* a checkpoint brings them back */
  in->losts                                = 0;
  in->rewound                              = true;
  in->skip                                 = INT64_MIN;
  in->placed                               = false;
  in->ended                                = false; /* they end again, or the agreed end comes before */
}

/* ---- the doorbell, figures ---- */

weir__doorbell *weir__intake_doorbell(weir__intake *in) { return in->doorbell; }

int64_t weir__intake_blocked_ns(const weir__intake *in) {
  int64_t total = 0;
  for (int i = 0; i < in->channels; i++) {
    weir__channel_stats stats;
    weir__channel_stats_get(in->channel[i], &stats);
    total += stats.blocked_ns;
  }
  return total;
}

int64_t weir__intake_bytes(const weir__intake *in) {
  int64_t total = 0;
  for (int i = 0; i < in->channels; i++) {
    weir__channel_stats stats;
    weir__channel_stats_get(in->channel[i], &stats);
    total += (int64_t)stats.bytes;
  }
  return total;
}

void weir__intake_counts(const weir__intake *in, weir__worker_stats *stats) {
  stats->dropped_steps = in->dropped - in->left_out;
  stats->dropped       = in->left_out;
  stats->spilled       = in->spilled;
}

bool weir__intake_hosted(const weir__intake *in) { return in->hosted; }

const char *weir__intake_stream(const weir__intake *in) { return in->stream; }

int64_t weir__intake_queued(const weir__intake *in) {
  uint64_t most = in->next;
  for (int i = 0; i < in->channels && in->mapped; i++) {
    weir__channel_stats stats;
    weir__channel_stats_get(in->channel[i], &stats);
    if (stats.published > most) most = stats.published;
  }
  return (int64_t)(most - in->next);
}

int weir__intake_channels(const weir__intake *in) { return in->channels; }
