/* Running a task: views of its inputs, calls of its operator, tokens, and counting down what waits for it. */
#include "core/simd.h"
#include "exec/state.h"
#include <math.h>
#include <string.h>

/* ---- where things are in this step ---- */

/* The place in a ring of the step `lag` steps ago. */
static size_t turn(const weir__step *s, int64_t ring, int64_t lag) {
  return lag || ring >= WEIR__TURNS ? (size_t)((s->ordinal - lag) % ring) : s->turn[ring];
}

/* The same for a cell. */
static size_t place(const weir__step *s, const weir__cell *cell, int64_t lag) {
  return cell->claimed ? s->claimed_turn : turn(s, cell->ring, lag);
}

static char *at(const weir__step *s, const weir__cell *cell) { return cell->base + place(s, cell, 0) * cell->stride; }

static uint8_t *token(const weir__step *s, const weir__cell *cell) {
  return cell->token + place(s, cell, 0) * cell->token_stride;
}

/* Where a cell is, or was `lag` steps ago, and whether it has a value there. */
static char *look(const weir__step *s, const weir__cell *cell, int64_t lag, bool *has) {
  *has = false;
  if (lag > s->ordinal) return NULL;
  if (cell->slot_piece >= 0) {
    union {
      const void *read;
      char       *data;
    } slot = {.read = s->piece[cell->slot_piece]};
    *has   = slot.data != NULL;
    return slot.data;
  }
  size_t where = place(s, cell, lag);
  *has         = cell->token[where * cell->token_stride];
  return cell->base + where * cell->stride;
}

/* What a cell held `lag` steps ago; NULL: nothing. */
static char *cell_data(const weir__step *s, const weir__cell *cell, int64_t lag) {
  bool  has;
  char *data = look(s, cell, lag, &has);
  return has ? data : NULL;
}

/* All bits: in every step. */
static bool fires(const weir__step *s, uint64_t triggers) {
  return (triggers & s->fired) != 0 || triggers == ~(uint64_t)0;
}

/* Does anybody look at what a bit of the node makes? */
static bool active(const weir__worker *w, const weir__step *s, int node, const weir__bit *bit) {
  if (weir__failure_disabled(&w->failures, node, s->ordinal)) return false;
  return fires(s, bit->triggers);
}

/* Copy parts together at `to`, which holds the gathered region densely. False: a part is missing in this step. Parts at
 * which nobody looks now are left as they are. */
static bool assemble(const weir__worker *w, const weir__step *s, const weir__gather *g, const weir_view *to) {
  const weir__plan *p = w->plan;
  for (int i = 0; i < g->parts; i++) {
    const weir__part *part = &p->part[g->first + i];
    const weir__cell *cell = &p->cell[part->cell];
    if (!fires(s, part->triggers)) continue;
    char *data = cell_data(s, cell, part->lag);
    if (!data) return false;
    weir__copy_from_dense(to, part->target, data, &cell->region, &part->region);
  }
  return true;
}

/* The tokens in a step of cells of one result that are as far apart as the first two. */
typedef struct token_list {
  uint8_t  *first;
  ptrdiff_t step;
} token_list;

static token_list tokens_of(const weir__cell *cell, size_t where, int apart, int count) {
  return (token_list){cell->token + where * cell->token_stride, count > 1 ? cell[apart].token - cell->token : 0};
}

/* Has each part a value in this step, but those at which nobody looks now? */
static bool all_there(const weir__worker *w, const weir__step *s, const weir__gather *g) {
  const weir__plan *p    = w->plan;
  const weir__part *part = &p->part[g->first];
  if (g->apart) {
    const weir__cell *cell = &p->cell[g->cell];
    token_list        t    = tokens_of(cell, place(s, cell, g->lag), g->apart, g->parts);
    uint8_t           all  = 1;
    for (int i = 0; i < g->parts; i++) all &= t.first[i * t.step];
    return all;
  }
  for (int i = 0; i < g->parts; i++)
    if (fires(s, part[i].triggers) && !cell_data(s, &p->cell[part[i].cell], part[i].lag)) return false;
  return true;
}

/* A view of a region, but for its data. Beyond its rank it has what the next box begins with, at which nobody looks: so
 * there are no loops, here where each task comes by several times. */
WEIR__INLINE void form(const weir__plan *p, int number, uint32_t box, weir_view *view) {
  const weir_view *f     = &p->form[number];
  const int64_t   *start = p->box + box;
  view->dtype            = f->dtype;
  view->rank             = f->rank;
  view->has_fill         = f->has_fill;
  view->missing          = false;
  view->fill             = f->fill;
  memcpy(view->start, start, sizeof view->start);
  memcpy(view->count, start + f->rank, sizeof view->count);
  memcpy(view->stride, f->stride, sizeof view->stride);
}

/* Of a result's chunk, or of some from that one on, where it is in this step. */
WEIR__INLINE void see_box(const weir__worker *w, const weir__step *s, const weir__cell *cell, uint32_t box,
                          weir_view *view) {
  form(w->plan, cell->form, box, view);
  view->data = at(s, cell);
}

WEIR__INLINE void see_chunk(const weir__worker *w, const weir__step *s, const weir__cell *cell, weir_view *view) {
  see_box(w, s, cell, cell->box, view);
}

/* The view of one input. `missing` is set when it has no value in this step. */
WEIR__INLINE void see(const weir__worker *w, const weir__step *s, int thread, const weir__gather *g, weir_view *view) {
  const weir__plan *p = w->plan;
  if (!g->parts) {
    *view = (weir_view){.data = NULL};
    return;
  }
  form(p, g->form, g->box, view);
  if (g->in_place) {
    bool  has;
    char *data = look(s, &p->cell[g->cell], g->lag, &has);
    if (g->parts > 1) has = data && all_there(w, s, g);
    view->data    = has ? data + g->offset : NULL;
    view->missing = !has;
    return;
  }
  view->data    = g->cell >= 0 ? p->cell[g->cell].base : w->memory[thread].scratch + g->offset;
  view->missing = !assemble(w, s, g, view);
  if (view->missing) view->data = NULL;
}

/* ---- one call of an operator ---- */

typedef struct call {
  weir__worker          *w;
  weir__step            *s;
  int                    thread, node;
  const weir__node_call *of;
  weir_apply             a;
} call;

static const weir__node *node_of(const call *c) { return &c->w->graph->node[c->node]; }

static void open_call(call *c, weir__worker *w, weir__step *s, int thread, int node) {
  const weir__node_call *of = &w->plan->call[node];
  weir__thread_memory   *m  = &w->memory[thread];
  weir__error_clear(); /* operators of others have no way to say why they fail */
  c->w = w, c->s = s, c->thread = thread, c->node = node, c->of = of;
  /* all of it: clearing the rest takes as long as setting it */
  c->a = (weir_apply){.state    = NULL,
                      .partial  = NULL,
                      .scratch  = NULL,
                      .params   = of->params,
                      .context  = of->context,
                      .inputs   = of->inputs,
                      .outputs  = of->outputs,
                      .in_type  = of->in_type,
                      .in       = m->in,
                      .out      = m->out,
                      .step     = s->step,
                      .ordinal  = s->ordinal,
                      .index    = s->index[node],
                      .time     = s->time,
                      .dt       = s->dt,
                      .gap      = s->torn,
                      .gap_more = (int64_t)s->more,
                      .gap_last = s->last,
                      .unseen   = !fires(s, of->seen) && !of->check_finite};
}

/* Inputs of a bit; false: one is missing and the operator does not want to be called then. Scratch begins after theirs.
 */
WEIR__WIDEST static bool open_inputs(call *c, const weir__bit *bit) {
  weir__thread_memory *m    = &c->w->memory[c->thread];
  size_t               used = 0;
  bool                 all  = true;
  for (int i = 0; i < c->of->inputs; i++) {
    const weir__gather *g = &c->w->plan->gather[bit->gather + i];
    see(c->w, c->s, c->thread, g, &m->in[i]);
    if (m->in[i].missing) all = false;
    if (g->parts && !g->in_place && g->cell < 0)
      used = g->offset + (((size_t)weir_view_size(&m->in[i]) * weir_dtype_size(m->in[i].dtype) + 63) & ~(size_t)63);
  }
  c->a.scratch = m->scratch + used;
  return all || c->of->op->accepts_missing;
}

WEIR__WIDEST static void open_outputs(call *c, const weir__bit *bit) {
  weir__thread_memory *m = &c->w->memory[c->thread];
  for (int k = 0; k < c->of->outputs; k++) {
    const weir__cell *cell = &c->w->plan->cell[bit->cell + k];
    see_box(c->w, c->s, cell, bit->chunks > 1 ? bit->box : cell->box, &m->out[k]);
  }
}

static void mark(const call *c, const weir__bit *bit, bool has) {
  const weir__cell *cell = &c->w->plan->cell[bit->cell];
  for (int k = 0; k < c->of->outputs; k++) {
    token_list t = tokens_of(&cell[k], place(c->s, &cell[k], 0), c->of->outputs, bit->chunks);
    for (int i = 0; i < bit->chunks; i++) t.first[i * t.step] = has;
  }
}

/* WEIR_END: there is no value at this step. */
static bool succeeded(weir__worker *w, const weir__step *s, int node, const weir__bit *bit, weir_status status) {
  if (status == WEIR_END) return false;
  if (status >= 0) return true;
  weir__failure_record(w, s, node, bit->chunk, status);
  return false;
}

/* The same for a call that has filled its results. */
static bool gave_results(const call *c, const weir__bit *bit, weir_status status) {
  for (int k = 0; c->of->check_finite && status >= 0 && status != WEIR_END && k < c->of->outputs; k++)
    status = weir__failure_check_finite(node_of(c), k, &c->a.out[k]);
  return succeeded(c->w, c->s, c->node, bit, status);
}

/* The part of an input of several chunks that one of them needs, if it has a value there. */
static bool narrow(const call *c, const weir__gather *g, const weir_region *need, weir_view *view) {
  const weir__plan *p     = c->w->plan;
  weir_region       whole = weir__plan_region(p, g), here;
  bool              has;
  if (weir__region_equal(&whole, need)) return !view->missing;
  char *data = look(c->s, &p->cell[g->cell], g->lag, &has);
  view->data = data ? data + g->offset : NULL;
  *view      = weir__view_narrow(view, need);
  for (int i = 0; i < g->parts && view->data; i++) {
    const weir__part *part = &p->part[g->first + i];
    if (weir__region_intersect(&part->region, need, &here) && fires(c->s, part->triggers) &&
        !cell_data(c->s, &p->cell[part->cell], part->lag))
      return false;
  }
  view->missing = !view->data;
  return !view->missing;
}

/* Several chunks of which some have no inputs, or cannot be computed: each is called for by itself, so that it does not
 * matter to the others whether they share a call with it. */
static void run_apart(call *c, const weir__bit *bit) {
  weir__thread_memory *m = &c->w->memory[c->thread];
  for (int n = 0; n < bit->chunks; n++) {
    weir__bit   one    = *bit;
    weir_region region = weir__grid_region(&node_of(c)->grid, bit->chunk + n), need;
    one.chunk          = bit->chunk + n;
    one.chunks         = 1;
    one.cell           = bit->cell + n;
    (void)open_inputs(c, bit);
    open_outputs(c, &one);
    bool has = true;
    for (int i = 0; i < c->of->inputs && has; i++) {
      if (node_of(c)->input[i].node < 0) continue;
      has = weir__node_need(node_of(c), i, &region, &need) >= 0 &&
            narrow(c, &c->w->plan->gather[bit->gather + i], &need, &m->in[i]);
    }
    if (has) has = gave_results(c, &one, c->of->op->apply(&c->a));
    mark(c, &one, has);
  }
}

static void run_apply(weir__worker *w, weir__step *s, int thread, const weir__task *task) {
  call c;
  open_call(&c, w, s, thread, task->node);
  for (int i = task->bit; i < task->bit + task->bits; i++) {
    const weir__bit *bit    = &w->plan->bit[i];
    bool             called = active(w, s, c.node, bit), has = called && open_inputs(&c, bit);
    if (has) {
      open_outputs(&c, bit);
      c.a.state          = w->plan->state + bit->state;
      weir_status status = c.of->op->apply(&c.a);
      has                = bit->chunks > 1 ? status == WEIR_OK : gave_results(&c, bit, status);
    }
    if (bit->chunks > 1 && called && !has) run_apart(&c, bit);
    else mark(&c, bit, has);
  }
}

static void run_reduce(weir__worker *w, weir__step *s, int thread, const weir__task *task) {
  const weir__cell *cell = &w->plan->cell[task->partial];
  weir_view         out  = {.rank = cell->region.rank};
  bool              has;
  call              c;
  open_call(&c, w, s, thread, task->node);
  memcpy(out.start, cell->region.start, sizeof out.start);
  memcpy(out.count, cell->region.count, sizeof out.count);
  has         = active(w, s, c.node, &w->plan->bit[task->bit]);
  c.a.partial = at(s, cell);
  if (has) {
    memset(c.a.partial, 0, cell->bytes);
    if (c.of->op->begin) c.of->op->begin(c.of->params, c.of->in_type, &cell->region, c.a.partial);
  }
  for (int i = task->bit; has && i < task->bit + task->bits; i++) {
    has                      = open_inputs(&c, &w->plan->bit[i]);
    w->memory[thread].out[0] = out;
    if (has) has = succeeded(w, s, c.node, &w->plan->bit[i], c.of->op->apply(&c.a));
  }
  *token(s, cell) = has;
}

static void run_join(weir__worker *w, weir__step *s, int thread, const weir__task *task) {
  const weir__plan *p    = w->plan;
  const weir__cell *cell = &p->cell[task->partial];
  const weir__bit  *bit  = &p->bit[task->bit];
  bool              has;
  call              c;
  open_call(&c, w, s, thread, task->node);
  has         = active(w, s, c.node, bit);
  c.a.partial = at(s, cell);
  for (int i = 0; i < task->joins && has; i++) has = *token(s, &p->cell[p->join[task->join + i]]) != 0;
  if (has) {
    memset(c.a.partial, 0, cell->bytes);
    if (c.of->op->begin) c.of->op->begin(c.of->params, c.of->in_type, &cell->region, c.a.partial);
    for (int i = 0; i < task->joins; i++)
      c.of->op->combine(c.of->params, c.of->in_type, &cell->region, c.a.partial,
                        at(s, &p->cell[p->join[task->join + i]]));
  }
  *token(s, cell) = has;
  if (!task->root) return;
  if (has) {
    for (int i = 0; i < c.of->inputs; i++) w->memory[thread].in[i] = (weir_view){.data = NULL};
    c.a.scratch = w->memory[thread].scratch;
    open_outputs(&c, bit);
    has = gave_results(&c, bit, c.of->op->finish(&c.a));
  }
  mark(&c, bit, has);
}

/* ---- sources ---- */

static weir_status read_joined(const weir__worker *w, const weir__step *s, const weir__node *node,
                               const weir_view *out) {
  const weir__joined_source *joined = w->options.joined;
  return joined->read(joined->self, node->stream, node->field, s->step, s->time, out);
}

static void read_chunk(weir__worker *w, const weir__step *s, int number, const weir__bit *bit) {
  const weir__node *node = &w->graph->node[number];
  const weir__cell *cell = &w->plan->cell[bit->cell];
  bool              has  = active(w, s, number, bit);
  if (has) {
    weir_view out;
    see_chunk(w, s, cell, &out);
    weir_status status =
        node->stream ? read_joined(w, s, node, &out) : w->source->read(w->source->self, node->field, s->ordinal, &out);
    has = succeeded(w, s, number, bit, status);
  }
  *token(s, cell) = has;
}

static void run_read(weir__worker *w, weir__step *s, const weir__task *task) {
  const weir__node *node = &w->graph->node[task->node];
  if (node->is_static && s->ordinal) return; /* it has its value for the whole run */
  for (int i = task->bit; i < task->bit + task->bits; i++) read_chunk(w, s, task->node, &w->plan->bit[i]);
}

static void run_assemble(weir__worker *w, weir__step *s, const weir__task *task) {
  const weir__node   *node = &w->graph->node[task->node];
  const weir__bit    *bit  = &w->plan->bit[task->bit];
  const weir__gather *g    = &w->plan->gather[bit->gather];
  const weir__cell   *cell = &w->plan->cell[bit->cell];
  if (node->is_static && s->ordinal) return;
  bool has = active(w, s, task->node, bit);
  if (has) {
    weir_view out;
    see_chunk(w, s, cell, &out);
    if (g->holes) weir__view_fill_missing(&out);
    has = assemble(w, s, g, &out);
  }
  *token(s, cell) = has;
}

/* ---- the way back ---- */

static void run_deliver(weir__worker *w, weir__step *s, int thread, const weir__task *task) {
  const weir__bit *bit = &w->plan->bit[task->bit];
  weir_view        view;
  see(w, s, thread, &w->plan->gather[bit->gather], &view);
  weir__worker_deliver(w, s, (int)bit->chunk, &view);
}

static void run_decide(weir__worker *w, weir__step *s, int thread, const weir__task *task) {
  weir_view view = {.data = NULL};
  if (task->bits) see(w, s, thread, &w->plan->gather[w->plan->bit[task->bit].gather], &view);
  weir__worker_decided(w, s, view.data, view.data ? (int)view.count[0] : 0);
}

/* ---- messages ---- */

static void run_pack(weir__worker *w, weir__step *s, const weir__task *task) {
  const weir__plan    *p      = w->plan;
  const weir__message *m      = &p->out[task->message];
  char                *buffer = weir__worker_outgoing(s, m);
  weir__message_head  *head   = (weir__message_head *)buffer;
  size_t               at = m->head, sent = m->head;
  head->step    = s->step;
  head->ordinal = (uint32_t)s->ordinal;
  for (int i = 0; i < m->packets; i++) {
    const weir__packet *packet = &p->packet_out[m->packet + i];
    const weir__cell   *cell   = &p->cell[packet->cell];
    char               *data   = fires(s, packet->triggers) ? cell_data(s, cell, packet->lag) : NULL;
    at                         = weir__packet_place(packet, at);
    head->token[i]             = data != NULL;
    if (data && packet->plain) {
      memcpy(buffer + at, data + packet->offset, packet->bytes);
    } else if (data) {
      weir_field_type shape = {.dtype = cell->dtype, .rank = cell->region.rank};
      weir_view       to    = weir__view_dense(buffer + at, &shape, &packet->region);
      weir__copy_from_dense(&to, packet->region.start, data, &cell->region, &packet->region);
    }
    at += packet->bytes;
    if (data) sent = at;
  }
  w->outbox_bytes[weir__worker_request_out(w, s, task->message)] = sent;
}

/* A stack that anyone pushes to and the owner empties whole, so that nothing is ever popped twice. */
static void post(weir__worker *w, const weir__step *s, int message) {
  uint32_t request = (uint32_t)weir__worker_request_out(w, s, message), head = atomic_load(&w->outbox);
  if (!w->options.threads) {
    atomic_store_explicit(&w->outbox_next[request], head, memory_order_relaxed);
    atomic_store_explicit(&w->outbox, request + 1, memory_order_relaxed);
    return;
  }
  do atomic_store_explicit(&w->outbox_next[request], head, memory_order_relaxed);
  while (!atomic_compare_exchange_weak(&w->outbox, &head, request + 1));
}

/* ---- completion ---- */

enum { NONE = UINT32_MAX, PACKS = 8, LINE = 64 };

/* What a task has made ready and is to be run at once: messages, for which another worker waits, and one task. */
typedef struct follow {
  uint32_t task;
  int      packs;
  uint32_t pack[PACKS];
} follow;

static void ready(weir__worker *w, uint32_t entry, int thread) {
  if (weir__pool_push(w->pool, thread, entry)) weir__worker_wake(w);
}

/* Ask the memory for what a task that is ready will look at first: a plan of thousands of tasks is larger than the
 * second-level cache. */
WEIR__INLINE void ask_ahead(const weir__plan *p, const weir__task *task) {
  if (task->kind != WEIR__TASK_APPLY) return;
  const weir__bit *bit    = &p->bit[task->bit];
  const char      *gather = (const char *)&p->gather[bit->gather];
  WEIR__ASK_AT_ONCE(gather);
  WEIR__ASK_AT_ONCE(gather + LINE);
  if (bit->cell >= 0) WEIR__ASK_AT_ONCE(&p->cell[bit->cell]);
}

/* The first task that becomes ready, and messages, are kept in `next`, where that is not NULL; the others are pushed.
 */
static void count_down(weir__worker *w, weir__step *s, const weir__edge_list *list, int emitter, int thread,
                       follow *next) {
  uint32_t base = (uint32_t)(s - w->step) << w->task_bits;
  for (uint32_t i = list->first[emitter]; i < list->first[emitter + 1]; i++) {
    uint32_t task = list->target[i], degree = w->plan->degree[task];
    if (degree > 1) { /* else it waits for nothing but this */
      if (!weir__worker_last(w, &s->counter[task])) continue;
      atomic_store_explicit(&s->counter[task], degree, memory_order_relaxed); /* armed for its next step */
    }
    ask_ahead(w->plan, &w->plan->task[task]);
    if (next && w->plan->task[task].kind == WEIR__TASK_PACK && next->packs < PACKS)
      next->pack[next->packs++] = base + task;
    else if (next && next->task == NONE) next->task = base + task;
    else ready(w, base + task, thread);
  }
}

void weir__worker_fire(weir__worker *w, weir__step *s, int emitter, int thread) {
  count_down(w, s, &w->plan->now, emitter, thread, NULL);
}

static void complete(weir__worker *w, weir__step *s, int task, int thread, follow *next) {
  const weir__plan *p    = w->plan;
  bool              sink = p->now.first[task] == p->now.first[task + 1];
  count_down(w, s, &p->now, task, thread, next);
  if (p->next.first[task] != p->next.first[task + 1])
    count_down(w, weir__step_of(w, s->ordinal + 1), &p->next, task, thread, next);
  bool packs = p->task[task].kind == WEIR__TASK_PACK, sends = packs && (s->mine || !p->task[task].claimed);
  if (sends) post(w, s, p->task[task].message);
  if (sends || (packs && weir__worker_last(w, &s->remaining))) weir__worker_wake(w);
  if (sink && weir__worker_last(w, &s->remaining)) weir__worker_wake(w);
}

/* Run one task; `next` is what it makes ready. */
static void run_task(weir__worker *w, int thread, uint32_t entry, follow *next) {
  uint32_t          t    = entry & ((UINT32_C(1) << w->task_bits) - 1);
  weir__step       *s    = &w->step[entry >> w->task_bits];
  const weir__task *task = &w->plan->task[t];
  bool              ours = !task->claimed || s->mine; /* else another worker does it */
  if (ours) switch (task->kind) {
    case WEIR__TASK_READ: run_read(w, s, task); break;
    case WEIR__TASK_ASSEMBLE: run_assemble(w, s, task); break;
    case WEIR__TASK_APPLY: run_apply(w, s, thread, task); break;
    case WEIR__TASK_REDUCE: run_reduce(w, s, thread, task); break;
    case WEIR__TASK_JOIN: run_join(w, s, thread, task); break;
    case WEIR__TASK_PACK: run_pack(w, s, task); break;
    case WEIR__TASK_DELIVER: run_deliver(w, s, thread, task); break;
    case WEIR__TASK_DECIDE: run_decide(w, s, thread, task); break;
    }
  complete(w, s, (int)t, thread, next);
}

/* One reading of the clock ends a task and begins the next. */
static void run_one(weir__worker *w, int thread, uint32_t entry, int64_t *now, follow *next) {
  if (!w->trace) {
    run_task(w, thread, entry, next);
    return;
  }
  uint32_t task  = entry & ((UINT32_C(1) << w->task_bits) - 1);
  int64_t  step  = w->step[entry >> w->task_bits].step; /* the instance may serve another step once the task is done */
  int64_t  began = *now;
  run_task(w, thread, entry, next);
  *now = weir__clock_ns();
  weir__trace_add(w->trace, thread, WEIR__TRACE_TASK, task, began, *now, step);
}

/* Pack messages: should anything follow from that, it has time. */
static void send_off(weir__worker *w, int thread, int64_t *now, const follow *packed) {
  follow next = {.task = NONE, .packs = 0};
  for (int i = 0; i < packed->packs; i++) run_one(w, thread, packed->pack[i], now, &next);
  if (next.task != NONE) ready(w, next.task, thread);
  for (int i = 0; i < next.packs; i++) ready(w, next.pack[i], thread);
}

/* A task and, without detour through the queues, the messages and the task that it made ready, and so on. The owner has
 * steps and messages to look after: it goes on only while there are no messages and nobody waits for work. True:
 * messages wait to be sent; were the next task run before, the worker that waits for them would have its turn after it,
 * and the two would go on taking turns. */
bool weir__worker_run_entry(void *worker, int thread, uint32_t entry) {
  enum { OWNER_TASKS = 16 };
  weir__worker *w    = worker;
  bool          owns = thread == w->options.threads;
  int64_t       now  = weir__worker_watch(w);
  for (int n = 1; entry != NONE; n++) {
    follow next; /* not all of it is set */
    next.task = NONE, next.packs = 0;
    run_one(w, thread, entry, &now, &next);
    if (next.packs) send_off(w, thread, &now, &next);
    entry = next.task;
    if (owns && entry != NONE && (w->requests || n >= OWNER_TASKS || !weir__pool_busy(w->pool))) {
      ready(w, entry, thread);
      break;
    }
  }
  return atomic_load_explicit(&w->outbox, memory_order_relaxed) != 0;
}
