/* Meeting the processes of a simulation: who serves whom, whether they agree, and their steps as whole steps.
 *
 * A step is whole for this worker once all its processes have published it. Sequences are the same in all channels of a
 * stream, so a sequence number names a step everywhere. */
#include "channel/segment.h"
#include "core/clock.h"
#include "core/text.h"
#include "exec/intake.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { POLL_NS = 10000000 };

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

/* Which of the processes on this node: those of a node's workers, or of its forwarders, in equal shares. */
static void share_out(const weir__intake *in, int forwarders, int count, int *first, int *end) {
  int rank = weir__comm_rank(in->comm), sharers = in->node_size;
  if (forwarders && forwarders - (rank - in->node_rank) < sharers) sharers = forwarders - (rank - in->node_rank);
  bool shares = in->node_rank < sharers;
  *first      = shares ? (int)((int64_t)count * in->node_rank / sharers) : 0;
  *end        = shares ? (int)((int64_t)count * (in->node_rank + 1) / sharers) : 0;
}

static weir_status attach_mine(weir__intake *in, int forwarders, const weir__channel_entry *list, int count) {
  int first, end;
  share_out(in, forwarders, count, &first, &end);
  in->node = (weir__channel_node){count ? list[0].rank : 0, count, first};
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

/* Decisions go by the number of a parameter, so all processes number them alike. */
static weir_status compare_parameters(const weir__channel_definitions *a, const weir__channel_definitions *b) {
  if (a->parameters != b->parameters)
    return WEIR_FAIL(WEIR_ERR_INPUT, "stream %s: process %d defines %d parameters, process %d defines %d", a->stream,
                     a->rank, a->parameters, b->rank, b->parameters);
  for (int i = 0; i < a->parameters; i++) {
    const weir__channel_parameter *p = &a->parameter[i], *q = &b->parameter[i];
    if (strcmp(p->name, q->name) || p->value != q->value || p->least != q->least || p->most != q->most)
      return WEIR_FAIL(WEIR_ERR_INPUT,
                       "stream %s: processes disagree on parameters: process %d defines %s = %g (%g to %g), process %d "
                       "defines %s = %g (%g to %g)",
                       a->stream, a->rank, p->name, p->value, p->least, p->most, b->rank, q->name, q->value, q->least,
                       q->most);
  }
  return WEIR_OK;
}

static weir_status compare_definitions(const weir__channel_definitions *a, const weir__channel_definitions *b) {
  WEIR_TRY(compare_fields(a, b));
  return compare_parameters(a, b);
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
  if (status >= 0 && mine) status = compare_definitions(&in->definitions, mine);
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
    status = compare_definitions(mine, weir__channel_definitions_of(in->channel[i]));
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

/* Nobody has to wait for a process that one is in. */
static weir_status meet(weir__intake *in, const weir__intake_options *options, weir__channel_entry **list, int *count) {
  if (!options->hosted) return wait_for_all(in, options->seconds, list, count);
  weir_status status = weir__alloc_zeroed(sizeof **list, 0, list);
  WEIR_TRY(weir__comm_agree(in->comm, status));
  (*list)->rank = options->rank;
  *count        = 1;
  return WEIR_OK;
}

weir_status weir__intake_open(weir__comm *comm, const char *run_directory, const char *stream,
                              const weir__intake_options *options, weir__intake **intake) {
  weir_status          status = WEIR_OK;
  weir__intake        *in     = NULL;
  weir__channel_entry *list   = NULL;
  int                  count  = 0;
  WEIR_TRY(weir__alloc_zeroed(sizeof *in, 0, &in));
  in->comm   = comm;
  in->skip   = INT64_MIN;
  in->hosted = options->hosted;
  WEIR_TRY_GOTO(out, weir__alloc_string(run_directory, &in->run_directory));
  WEIR_TRY_GOTO(out, weir__alloc_string(stream, &in->stream));
  in->node_rank = in->hosted ? 0 : weir__comm_node_rank(comm); /* a hosted worker has its process for itself */
  in->node_size = in->hosted ? 1 : weir__comm_node_size(comm);
  WEIR_TRY_GOTO(out, weir__comm_agree(comm, weir__doorbell_create(&in->doorbell)));
  WEIR_TRY_GOTO(out, meet(in, options, &list, &count));
  WEIR_TRY_GOTO(out, weir__comm_agree(comm, attach_mine(in, options->forwarders, list, count)));
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

int weir__intake_parameters(const weir__intake *intake, const weir__channel_parameter **parameters) {
  *parameters = intake->definitions.parameter;
  return intake->definitions.parameters;
}

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

void weir__intake_forget(weir__intake *in) {
  for (int i = 0; i < in->channels; i++) weir__channel_forget(&in->channel[i]);
}

void weir__intake_complete(weir__intake *in) {
  for (int i = 0; i < in->channels; i++)
    if (in->channel[i]) weir__channel_complete(in->channel[i]);
}

void weir__intake_close(weir__intake **intake) {
  weir__intake *in = *intake;
  if (!in) return;
  for (int i = 0; i < in->channels; i++) weir__channel_detach(&in->channel[i]);
  weir__doorbell_destroy(&in->doorbell);
  weir__arena_clear(&in->arena);
  weir__free(in->piece);
  weir__free(in->channel);
  weir__free(in->record);
  weir__free(in->lost_step);
  weir__free(in->read);
  weir__free(in->back);
  weir__free(in->run_directory);
  weir__free(in->stream);
  weir__free(in);
  *intake = NULL;
}
