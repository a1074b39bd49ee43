/* Meeting the processes of a simulation: who serves whom, whether they agree, and their steps as whole steps.
 *
 * A step is whole for this worker once all its processes have published it. Sequences are the same in all channels of a
 * stream, so a sequence number names a step everywhere. */
#include "channel/segment.h"
#include "core/clock.h"
#include "core/text.h"
#include "exec/state.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct weir__intake {
  weir__comm               *comm;
  char                     *run_directory, *stream;
  weir__channel           **channel;
  int                       channels;
  weir__doorbell           *doorbell;
  weir__doorbell          **peer; /* of this node's other workers */
  int                       peers, node_rank, node_size;
  weir__channel_definitions definitions; /* what all processes agree on; no pieces */
  weir__intake_field       *field;
  weir__arena               arena;
  weir__local_piece        *piece;
  int                       pieces;
  weir__channel_record     *record; /* per channel, of the step being gathered */
  bool                     *read;   /* per channel: the next step was read */
  bool                      mapped, ended;
  uint64_t                  next;                               /* sequence */
  bool                      discarded[WEIR__CHANNEL_SLOTS_MAX]; /* per sequence in flight */
  int64_t                   dropped;                            /* steps */
  int64_t                   checked_ns;
};

enum { DOOR = 0, POLL_NS = 10000000, ALIVE_NS = 1000000000 };

/* ---- meeting ---- */

static void pause_ns(int64_t ns) { nanosleep(&(struct timespec){.tv_nsec = ns}, NULL); }

/* The processes of the stream on this node, without those that were killed and left their file behind. */
static weir_status list_living(const weir__intake *in, weir__channel_entry **list, int *count) {
  int kept = 0;
  WEIR_TRY(weir__channel_list(in->run_directory, in->stream, NULL, list, count));
  for (int i = 0; i < *count; i++)
    if ((*list)[i].alive) (*list)[kept++] = (*list)[i];
  *count = kept;
  return WEIR_OK;
}

/* Wait until all processes of the stream are seen on nodes with workers. Workers of a node look one after the other, so
 * the list that says "all" may be another worker's: each looks once more when all are there, and so all of a node see
 * the same. */
static weir_status wait_for_all(weir__intake *in, double seconds, weir__channel_entry **list, int *count) {
  int64_t deadline = weir__clock_ns() + (int64_t)(seconds * 1e9);
  for (;;) {
    weir_status status  = list_living(in, list, count);
    int64_t     seen[2] = {in->node_rank == 0 && status >= 0 ? *count : 0, 0};
    WEIR_TRY(weir__comm_agree(in->comm, status));
    seen[1] = *count ? (*list)[0].size : 0;
    WEIR_TRY(weir__comm_sum(in->comm, &seen[0], 1));
    int64_t late[2] = {seen[1], weir__clock_ns() > deadline};
    WEIR_TRY(weir__comm_max(in->comm, late, 2));
    if (late[0] > 0 && seen[0] >= late[0]) {
      weir__free(*list);
      *list = NULL;
      return weir__comm_agree(in->comm, list_living(in, list, count));
    }
    if (late[1])
      return late[0]
                 ? WEIR_FAIL(WEIR_ERR_TIMEOUT,
                             "stream %s: %lld of %lld processes of the simulation were seen on nodes with workers "
                             "within %g s",
                             in->stream, (long long)seen[0], (long long)late[0], seconds)
                 : WEIR_FAIL(WEIR_ERR_TIMEOUT,
                             "stream %s: no process of a simulation published it within %g s (is WEIR_RUN set for it?)",
                             in->stream, seconds);
    weir__free(*list);
    *list = NULL;
    pause_ns(POLL_NS);
  }
}

static weir_status attach_mine(weir__intake *in, const weir__channel_entry *list, int count) {
  int first = (int)((int64_t)count * in->node_rank / in->node_size),
      end   = (int)((int64_t)count * (in->node_rank + 1) / in->node_size);
  WEIR_TRY(weir__alloc_array((size_t)(end - first) + 1, sizeof *in->channel, &in->channel));
  WEIR_TRY(weir__alloc_array((size_t)(end - first) + 1, sizeof *in->record, &in->record));
  WEIR_TRY(weir__alloc_array((size_t)(end - first) + 1, sizeof *in->read, &in->read));
  for (int i = first; i < end; i++) {
    WEIR_TRY(weir__channel_attach(in->run_directory, in->stream, list[i].rank, &in->channel[in->channels]));
    in->channels++;
  }
  return WEIR_OK;
}

/* ---- do all processes say the same? ---- */

static void describe(const weir__channel_field *f, weir__text *text) {
  weir_shape shape = weir__shape_of(&f->type);
  char       line[200];
  weir__text_add(text, "%s %s %s", f->name, weir_dtype_name(f->type.dtype), weir__shape_text(&shape, line));
  for (int a = 0; a < f->type.rank; a++) weir__text_add(text, "%s%s", a ? ", " : " (", f->type.dim[a].name);
  weir__text_add(text, "%s%s%s%s", f->type.rank ? ")" : "", f->type.units ? " in " : "",
                 f->type.units ? f->type.units : "", f->is_static ? " static" : "");
}

static weir_status compare_fields(const weir__channel_definitions *a, const weir__channel_definitions *b) {
  weir__text  x = {0}, y = {0};
  weir_status status = WEIR_OK;
  if (a->fields != b->fields)
    return WEIR_FAIL(WEIR_ERR_INPUT, "stream %s: process %d defines %d fields, process %d defines %d", a->stream,
                     a->rank, a->fields, b->rank, b->fields);
  for (int i = 0; i < a->fields && status >= 0; i++) {
    weir__text_clear(&x);
    weir__text_clear(&y);
    describe(&a->field[i], &x);
    describe(&b->field[i], &y);
    if (x.failed || y.failed) status = WEIR_ERR_MEMORY;
    else if (strcmp(x.data, y.data))
      status = WEIR_FAIL(WEIR_ERR_INPUT,
                         "stream %s: processes disagree on field %s: process %d defines %s, process %d defines %s",
                         a->stream, b->field[i].name, a->rank, x.data, b->rank, y.data);
  }
  weir__text_clear(&x);
  weir__text_clear(&y);
  return status;
}

/* The first worker with a process speaks for all: what that process said travels to every worker, so that those without
 * a process know the fields too; those with some hold it against their own. */
static weir_status share(weir__intake *in, const weir__channel_definitions *mine, int root) {
  bool                      speaker = weir__comm_rank(in->comm) == root;
  weir__text                bytes   = {0};
  weir_status               status  = WEIR_OK;
  int64_t                   length  = 0;
  char                     *copy;
  weir__channel_definitions said = speaker ? *mine : (weir__channel_definitions){0};
  said.pieces = said.feedback_pieces = 0; /* each worker knows those of its own processes */
  if (speaker) status = weir__definitions_pack(&said, &bytes);
  if (status >= 0) status = weir__text_status(&bytes);
  WEIR_TRY_GOTO(out, weir__comm_agree(in->comm, status));
  length = (int64_t)bytes.length;
  WEIR_TRY_GOTO(out, weir__comm_max(in->comm, &length, 1));
  WEIR_TRY_GOTO(out, weir__comm_agree(in->comm, weir__arena_alloc(&in->arena, (size_t)length, &copy)));
  if (speaker) memcpy(copy, bytes.data, bytes.length);
  WEIR_TRY_GOTO(out, weir__comm_broadcast(in->comm, copy, (size_t)length, root));
  status = weir__definitions_unpack(copy, (size_t)length, &in->arena, &in->definitions);
  if (status >= 0 && mine) status = compare_fields(&in->definitions, mine);
  status = weir__comm_agree(in->comm, status);
out:
  weir__text_clear(&bytes);
  return status;
}

static weir_status agree_on_fields(weir__intake *in) {
  const weir__channel_definitions *mine   = in->channels ? weir__channel_definitions_of(in->channel[0]) : NULL;
  weir_status                      status = WEIR_OK;
  int64_t                          place =
      in->channels ? weir__comm_size(in->comm) - weir__comm_rank(in->comm) : 0; /* largest: the first worker */
  WEIR_TRY(weir__comm_max(in->comm, &place, 1));
  for (int i = 1; i < in->channels && status >= 0; i++)
    status = compare_fields(mine, weir__channel_definitions_of(in->channel[i]));
  WEIR_TRY(weir__comm_agree(in->comm, status));
  WEIR_TRY(share(in, mine, weir__comm_size(in->comm) - (int)place));
  WEIR_TRY(weir__arena_alloc(&in->arena, (size_t)in->definitions.fields * sizeof *in->field, &in->field));
  for (int i = 0; i < in->definitions.fields; i++) {
    const weir__channel_field *f = &in->definitions.field[i];
    in->field[i]                 = (weir__intake_field){f->name, f->type, f->is_static};
  }
  return WEIR_OK;
}

/* The simulation hears why there will be no analysis; the failure stays the last one. */
static weir_status refuse_all(weir__intake *in, weir_status status) {
  char message[1024];
  snprintf(message, sizeof message, "%s", weir_error_last());
  weir__intake_refuse(in, message);
  return WEIR_FAIL(status, "%s", message);
}

weir_status weir__intake_open(weir__comm *comm, const char *run_directory, const char *stream, double seconds,
                              weir__intake **intake) {
  weir_status          status = WEIR_OK;
  weir__intake        *in     = NULL;
  weir__channel_entry *list   = NULL;
  int                  count  = 0;
  WEIR_TRY(weir__alloc_zeroed(sizeof *in, 0, &in));
  in->comm = comm;
  WEIR_TRY_GOTO(out, weir__alloc_string(run_directory, &in->run_directory));
  WEIR_TRY_GOTO(out, weir__alloc_string(stream, &in->stream));
  WEIR_TRY_GOTO(out, weir__comm_node(comm, &in->node_rank, &in->node_size));
  WEIR_TRY_GOTO(out,
                weir__comm_agree(comm, weir__doorbell_create(run_directory, weir__comm_rank(comm), &in->doorbell)));
  WEIR_TRY_GOTO(out, wait_for_all(in, seconds, &list, &count));
  WEIR_TRY_GOTO(out, weir__comm_agree(comm, attach_mine(in, list, count)));
  WEIR_TRY_GOTO(out, agree_on_fields(in));
  *intake = in;
  in      = NULL;
out:
  weir__free(list);
  if (in) status = refuse_all(in, status);
  weir__intake_close(&in);
  return status;
}

int weir__intake_fields(const weir__intake *intake, const weir__intake_field **fields) {
  *fields = intake->field;
  return intake->definitions.fields;
}

const char *weir__intake_time_units(const weir__intake *intake) { return intake->definitions.time_units; }
const char *weir__intake_calendar(const weir__intake *intake) { return intake->definitions.calendar; }

/* Marks where pieces of a field begin or end on an axis. */
static void mark_edges(const weir__intake *in, int field, int axis, int64_t *mark) {
  for (int i = 0; i < in->channels; i++) {
    const weir__channel_definitions *d = weir__channel_definitions_of(in->channel[i]);
    for (int k = 0; k < d->pieces; k++) {
      const weir_region *r = &d->piece[k].region;
      if (d->piece[k].field == field && weir__region_size(r) > 0)
        mark[r->start[axis]] = mark[r->start[axis] + r->count[axis]] = 1;
    }
  }
}

static weir_status edges_of(weir__intake *in, int field, int axis, weir__arena *arena, weir__grid *grid) {
  int64_t     size = in->field[field].type.dim[axis].size, *mark = NULL, *edge = NULL, chunks = 0;
  weir_status status = weir__alloc_array((size_t)size + 1, sizeof *mark, &mark);
  if (status >= 0) status = weir__arena_alloc(arena, (size_t)(size + 1) * sizeof *edge, &edge);
  WEIR_TRY_GOTO(out, weir__comm_agree(in->comm, status));
  mark_edges(in, field, axis, mark);
  mark[0] = mark[size] = 1;
  WEIR_TRY_GOTO(out, weir__comm_max(in->comm, mark, (int)size + 1));
  for (int64_t i = 0; i <= size; i++)
    if (mark[i]) edge[chunks++] = i;
  grid->edge[axis]   = edge;
  grid->chunks[axis] = chunks - 1;
out:
  weir__free(mark);
  return status;
}

/* Every piece is one chunk of the grid that all of them cut. */
static weir_status check_pieces(const weir__intake *in, int field, const weir__grid *grid) {
  for (int i = 0; i < in->channels; i++) {
    const weir__channel_definitions *d = weir__channel_definitions_of(in->channel[i]);
    for (int k = 0; k < d->pieces; k++) {
      const weir_region *r = &d->piece[k].region;
      int64_t            first[WEIR_RANK_MAX], last[WEIR_RANK_MAX];
      char               text[200];
      if (d->piece[k].field != field || weir__region_size(r) == 0) continue;
      weir__grid_touched(grid, r, first, last);
      for (int a = 0; a < r->rank; a++)
        if (first[a] != last[a])
          return WEIR_FAIL(
              WEIR_ERR_INPUT,
              "field %s: the piece %s of process %d is cut by pieces of others, so they are no rectilinear grid; "
              "give sizes in `chunks:` instead of as-published",
              in->field[field].name, weir__region_text(r, text), d->rank);
    }
  }
  return WEIR_OK;
}

weir_status weir__intake_grid(weir__intake *in, int field, weir__arena *arena, weir__grid *grid) {
  weir__grid g = {.rank = in->field[field].type.rank};
  for (int a = 0; a < g.rank; a++) WEIR_TRY(edges_of(in, field, a, arena, &g));
  WEIR_TRY(weir__comm_agree(in->comm, check_pieces(in, field, &g)));
  *grid = g;
  return WEIR_OK;
}

void weir__intake_refuse(weir__intake *in, const char *message) {
  for (int i = 0; i < in->channels; i++) (void)!weir__channel_refuse(in->channel[i], message);
}

void weir__intake_close(weir__intake **intake) {
  weir__intake *in = *intake;
  if (!in) return;
  for (int i = 0; i < in->channels; i++) weir__channel_detach(&in->channel[i]);
  for (int i = 0; i < in->peers; i++) weir__doorbell_destroy(&in->peer[i]);
  weir__doorbell_destroy(&in->doorbell);
  weir__arena_clear(&in->arena);
  weir__free(in->peer);
  weir__free(in->piece);
  weir__free(in->channel);
  weir__free(in->record);
  weir__free(in->read);
  weir__free(in->run_directory);
  weir__free(in->stream);
  weir__free(in);
  *intake = NULL;
}

/* ---- pieces and demands ---- */

weir_status weir__intake_pieces(weir__intake *in, const weir__graph *graph, const weir__local_piece **pieces,
                                int *count) {
  int total = 0;
  for (int i = 0; i < in->channels; i++) total += weir__channel_definitions_of(in->channel[i])->pieces;
  WEIR_TRY(weir__alloc_array((size_t)total + 1, sizeof *in->piece, &in->piece));
  for (int i = 0; i < in->channels; i++) {
    const weir__channel_definitions *d = weir__channel_definitions_of(in->channel[i]);
    for (int k = 0; k < d->pieces; k++) {
      weir__local_piece *piece = &in->piece[in->pieces++];
      *piece = (weir__local_piece){.node = -1, .channel = i, .piece = k, .region = d->piece[k].region};
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

static weir_status open_peers(weir__intake *in) {
  int rank = weir__comm_rank(in->comm), first = rank - in->node_rank;
  WEIR_TRY(weir__alloc_array((size_t)in->node_size, sizeof *in->peer, &in->peer));
  WEIR_TRY(weir__comm_barrier(in->comm)); /* every doorbell is there */
  for (int i = 0; i < in->node_size; i++)
    if (first + i != rank && weir__doorbell_open_peer(in->run_directory, first + i, &in->peer[in->peers]) >= 0)
      in->peers++;
  return WEIR_OK;
}

weir_status weir__intake_demand(weir__intake *in, const weir__plan *plan, const weir__worker_options *options) {
  const weir__graph     *graph = plan->graph;
  weir__channel_trigger *trigger;
  weir__channel_demand  *demand;
  weir__channel_want    *want;
  int                    wants = 0;
  uint64_t               all = graph->triggers < 64 ? ((uint64_t)1 << graph->triggers) - 1 : ~(uint64_t)0;
  WEIR_TRY(open_peers(in));
  WEIR_TRY(weir__arena_alloc(&in->arena, (size_t)graph->triggers * sizeof *trigger, &trigger));
  WEIR_TRY(weir__arena_alloc(&in->arena, (size_t)plan->pieces * sizeof *demand, &demand));
  WEIR_TRY(weir__arena_alloc(&in->arena, (size_t)plan->pieces * WEIR__WANTS_MAX * sizeof *want, &want));
  for (int t = 0; t < graph->triggers; t++)
    trigger[t] = (weir__channel_trigger){graph->trigger[t].period, graph->trigger[t].phase, graph->trigger[t].interval};
  WEIR_TRY(weir__doorbell_expect(in->doorbell, DOOR, in->channels));
  for (int i = 0, at = 0; i < in->channels; i++) {
    weir__channel_terms terms = {.slots      = options->slots,
                                 .timeout_ns = options->block_timeout_ns,
                                 .trigger    = trigger,
                                 .triggers   = graph->triggers,
                                 .doorbell   = in->doorbell,
                                 .door       = DOOR};
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
  return WEIR_OK;
}

/* ---- steps ---- */

static weir_status map_all(weir__intake *in) {
  for (int i = 0; i < in->channels; i++) {
    weir_status status = weir__channel_map(in->channel[i]);
    if (status == WEIR_END) return weir__channel_alive(in->channel[i]) ? WEIR_ERR_TIMEOUT : WEIR_END;
    if (status == WEIR_ERR_GONE) return WEIR_END;
    if (status < 0) return status;
  }
  in->mapped = true;
  return WEIR_OK;
}

/* Has a process that we wait for died? Asked rarely: it reads /proc. */
static bool lost(weir__intake *in) {
  int64_t now = weir__clock_ns();
  if (now - in->checked_ns < ALIVE_NS) return false;
  in->checked_ns = now;
  for (int i = 0; i < in->channels; i++)
    if (!in->read[i] && !weir__channel_alive(in->channel[i])) return true;
  return false;
}

/* A tombstone may stand for many steps, of which only the first and the last number are known. */
static bool is_exact(const weir__intake *in, int channel) {
  const weir__channel_record *r = &in->record[channel];
  return r->more == 0;
}

/* All processes have said what there is of the next sequence number: one whole step, or one that is discarded because
 * not all could publish it. */
static weir_status gather(weir__intake *in, weir__arrival *arrival) {
  uint64_t sequence  = in->next;
  bool    *discarded = &in->discarded[sequence % WEIR__CHANNEL_SLOTS_MAX];
  int      exact     = -1;
  *discarded         = false;
  for (int i = 0; i < in->channels; i++) {
    *discarded |= in->record[i].tombstone;
    if (exact < 0 && is_exact(in, i)) exact = i;
  }
  in->dropped += *discarded;
  const weir__channel_record *r = &in->record[exact < 0 ? 0 : exact];
  int64_t step = r->step; /* between the first and the last that it stands for, where nobody knows better */
  if (r->more) step += (int64_t)((double)(r->last_step - r->step) * (double)(sequence - r->sequence) / (double)r->more);
  *arrival = (weir__arrival){step, r->time, r->fired, in->next++};
  for (int i = 0; i < in->channels; i++) {
    in->read[i] = in->record[i].sequence + in->record[i].more > sequence;
    if (is_exact(in, i) && in->record[i].step != arrival->step)
      return WEIR_FAIL(
          WEIR_ERR_INPUT,
          "stream %s: process %d is at step %lld, process %d at step %lld; all must publish the same steps", in->stream,
          weir__channel_definitions_of(in->channel[exact])->rank, (long long)arrival->step,
          weir__channel_definitions_of(in->channel[i])->rank, (long long)in->record[i].step);
  }
  return WEIR_OK;
}

weir_status weir__intake_next(weir__intake *in, weir__arrival *arrival) {
  int missing = 0;
  if (in->ended) return WEIR_END;
  if (!in->mapped) {
    weir_status status = map_all(in);
    if (status != WEIR_OK) {
      in->ended = status == WEIR_END;
      return status;
    }
  }
  for (int i = 0; i < in->channels; i++) {
    if (in->read[i]) continue;
    switch (weir__channel_next(in->channel[i], &in->record[i])) {
    case WEIR__CHANNEL_STEP: in->read[i] = true; break;
    case WEIR__CHANNEL_NOTHING: missing++; break;
    case WEIR__CHANNEL_END:
    case WEIR__CHANNEL_LOST: in->ended = true; return WEIR_END;
    }
  }
  if (missing) {
    if (!lost(in)) return WEIR_ERR_TIMEOUT;
    in->ended = true;
    return WEIR_END;
  }
  return gather(in, arrival);
}

void weir__intake_pieces_of(weir__intake *in, uint64_t sequence, const void **data) {
  for (int k = 0; k < in->pieces; k++) {
    const weir__channel_definitions *d = weir__channel_definitions_of(in->channel[in->piece[k].channel]);
    weir_view                        view;
    data[k] = NULL;
    if (in->discarded[sequence % WEIR__CHANNEL_SLOTS_MAX] && !d->field[d->piece[in->piece[k].piece].field].is_static)
      continue;
    if (weir__channel_piece(in->channel[in->piece[k].channel], sequence, in->piece[k].piece, &view) >= 0)
      data[k] = view.data;
  }
}

void weir__intake_release(weir__intake *in, uint64_t sequence) {
  for (int i = 0; i < in->channels; i++) {
    weir__channel_done(in->channel[i], sequence);
    weir__channel_acknowledge(in->channel[i], sequence + 1);
  }
}

weir__doorbell *weir__intake_doorbell(weir__intake *in) { return in->doorbell; }

void weir__intake_ring_peers(weir__intake *in) {
  for (int i = 0; i < in->peers; i++) weir__doorbell_ring(in->peer[i]);
}

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

int64_t weir__intake_dropped(const weir__intake *in) { return in->dropped; }

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
