/* Running a kernel: inputs are walked in the order of the result's elements, block by block. */
#include "core/simd.h"
#include "graph/kernel.h"
#include <math.h>
#include <string.h>

enum { ALIGN = 64 };

/* ---- walks ---- */

/* The elements of a view in the order of the result's. Axes along which the memory goes on evenly are one: a dense
 * field is one run, and so is a field that is the same everywhere (stride 0). */
typedef struct walk {
  weir_view run; /* a view of rank 1: the run of elements being walked */
  int       axes;
  int64_t   count[WEIR_RANK_MAX], stride[WEIR_RANK_MAX], index[WEIR_RANK_MAX]; /* all but the run */
  int64_t   at;                                                                /* elements of the run already walked */
  ptrdiff_t soon;  /* bytes from here to what is to be asked for already; 0: nothing */
  double   *ahead; /* that, as seen from what was loaded last; NULL: nothing */
  char     *base;
} walk;

static void walk_start(walk *w, const weir_view *view, const int *axis, const weir_region *tile, ptrdiff_t soon) {
  char   *base                     = view->data;
  int64_t count[WEIR_RANK_MAX + 1] = {1}, stride[WEIR_RANK_MAX + 1] = {0};
  int     n = 0; /* axes kept in count[1..n] */
  for (int r = 0; r < tile->rank; r++) {
    int     a = axis ? axis[r] : r;
    int64_t s = a < 0 ? 0 : view->stride[a];
    if (a >= 0) base += (tile->start[r] - view->start[a]) * s;
    if (tile->count[r] == 1) continue;
    if (n && stride[n] == s * tile->count[r]) {
      count[n] *= tile->count[r];
      stride[n] = s;
    } else {
      n++;
      count[n]  = tile->count[r];
      stride[n] = s;
    }
  }
  *w = (walk){.run  = {.data     = base,
                       .dtype    = view->dtype,
                       .rank     = 1,
                       .count    = {n ? count[n] : 1},
                       .stride   = {n ? stride[n] : 0},
                       .has_fill = view->has_fill,
                       .fill     = view->fill},
              .axes = n ? n - 1 : 0,
              .soon = soon,
              .base = base};
  for (int a = 0; a < w->axes; a++) {
    w->count[a]  = count[a + 1];
    w->stride[a] = stride[a + 1];
  }
}

/* The run is done: go to the next one. */
static void walk_next(walk *w) {
  w->at = 0;
  for (int a = w->axes - 1; a >= 0; a--) {
    w->base += w->stride[a];
    if (++w->index[a] < w->count[a]) break;
    w->base -= w->count[a] * w->stride[a];
    w->index[a] = 0;
  }
  w->run.data = w->base;
}

/* Elements to take from the run in one go, when `n` are wanted. */
static int walk_some(const walk *w, int n) {
  int64_t left = w->run.count[0] - w->at;
  return left < n ? (int)left : n;
}

/* Ask for `n` elements. Mostly these are two blocks on: a block's arithmetic takes as long as the memory takes to
 * answer, and the processor's own prefetching begins anew at each page, and where one field is read after another. (The
 * empty assembly keeps gcc from taking the function for one without effect.) */
static void prefetch(const double *ahead, int64_t n, bool write) {
  __asm__ volatile("");
  if (write)
    for (int64_t i = 0; i < n; i += 8) WEIR__ASK_TO_WRITE(ahead + i);
  else weir__ask_for(ahead, 0, n);
}

static double *after(const double *x, ptrdiff_t soon) {
  return soon ? (double *)((uintptr_t)x + (uintptr_t)soon) : NULL;
}

/* Load the next `n` elements; `buffer` has room for a block. Gives where they are: the field's own memory when they can
 * be used there in whole groups of 8. */
static const double *walk_load(walk *w, int n, double *buffer) {
  w->ahead = NULL;
  for (int done = 0; done < n;) {
    int     some  = walk_some(w, n - done);
    int64_t start = w->run.stride[0] ? w->at : 0;
    if (w->run.stride[0]) {
      const double *x      = weir_view_load(&w->run, &start, some, buffer + done);
      bool          direct = x != buffer + done;
      if (direct && some == n && n % 8 == 0 && w->run.stride[0] == (int64_t)sizeof(double)) {
        w->ahead = after(x, w->soon); /* after the end of the run most often comes the next one */
        if ((w->at += some) == w->run.count[0]) walk_next(w);
        return x;
      }
      if (direct) memcpy(buffer + done, x, (size_t)some * sizeof *x);
    } else {
      double        one;
      const double *x     = weir_view_load(&w->run, &start, 1, &one);
      double        value = *x;
      for (int i = 0; i < some; i++) buffer[done + i] = value;
    }
    done += some;
    if ((w->at += some) == w->run.count[0]) walk_next(w);
  }
  for (int i = n; i % 8; i++) buffer[i] = 0; /* what fills up the last group is computed and thrown away */
  return buffer;
}

static void walk_store(walk *w, int n, const double *values) {
  for (int done = 0; done < n;) {
    int some = walk_some(w, n - done);
    weir_view_store(&w->run, &w->at, some, values + done);
    done += some;
    if ((w->at += some) == w->run.count[0]) walk_next(w);
  }
}

/* Where the next `n` results may be written directly; NULL: nowhere. */
static double *walk_direct(const walk *w, int n) {
  return n % 8 == 0 && w->run.count[0] - w->at >= n ? weir__view_direct(&w->run, &w->at) : NULL;
}

/* ---- coordinates ---- */

/* Coordinates along an axis of the result, in the order of its elements: each is repeated `repeat` times. */
typedef struct ramp {
  const weir_dimension *dimension;
  double                shift; /* of the location on a C grid, in cells */
  int64_t               start, count, repeat, index, at;
} ramp;

static void ramp_start(ramp *r, const weir_field_type *type, int axis, const weir_region *tile) {
  *r = (ramp){.dimension = &type->dim[axis],
              .shift     = weir__location_shift(type->location, type->rank, axis),
              .start     = tile->start[axis],
              .count     = tile->count[axis],
              .repeat    = 1};
  for (int a = axis + 1; a < tile->rank; a++) r->repeat *= tile->count[a];
}

static void ramp_load(ramp *r, int n, double *buffer) {
  double value = weir__coordinate(r->dimension, (double)(r->start + r->index) + r->shift);
  for (int i = 0; i < n; i++) {
    buffer[i] = value;
    if (++r->at < r->repeat) continue;
    r->at = 0;
    if (++r->index == r->count) r->index = 0;
    value = weir__coordinate(r->dimension, (double)(r->start + r->index) + r->shift);
  }
  for (int i = n; i % 8; i++) buffer[i] = 0;
}

/* ---- the machine ---- */

/* Scratch, cut into its parts. Uniform values have an end of their own so that an expression of any size fits. */
typedef struct machine {
  double        *block; /* of each register, one after the other */
  const double **reg;   /* where each register's values are: its block, or a field's memory */
  double        *uniform;
  walk          *input;
  ramp          *ramp; /* one per axis */
} machine;

static size_t rounded(size_t nbytes) { return (nbytes + ALIGN - 1) & ~(size_t)(ALIGN - 1); }

static size_t machine_layout(const weir__kernel_params *k, machine *m, char *memory) {
  size_t at[6]   = {0};
  size_t size[5] = {(size_t)(k->registers * k->block) * sizeof *m->block, (size_t)k->registers * sizeof *m->reg,
                    (size_t)k->uniforms * sizeof *m->uniform, (size_t)k->inputs * sizeof *m->input,
                    WEIR_RANK_MAX * sizeof *m->ramp};
  for (int i = 0; i < 5; i++) at[i + 1] = at[i] + rounded(size[i]);
  if (m) {
    m->block   = (void *)(memory + at[0]);
    m->reg     = (void *)(memory + at[1]);
    m->uniform = (void *)(memory + at[2]);
    m->input   = (void *)(memory + at[3]);
    m->ramp    = (void *)(memory + at[4]);
  }
  return at[5];
}

size_t weir__kernel_scratch(const weir__kernel_params *kernel) { return machine_layout(kernel, NULL, NULL); }

static void evaluate_uniforms(const weir__kernel_params *k, const weir_apply *a, const weir_view *inputs,
                              double *value) {
  for (int i = 0; i < k->uniforms; i++) {
    const weir__uniform *u = &k->uniform[i];
    switch (u->kind) {
    case WEIR__UNIFORM_NUMBER: value[i] = u->number; break;
    case WEIR__UNIFORM_PARAMETER: value[i] = k->graph->parameter[u->index].value; break;
    case WEIR__UNIFORM_STEP: value[i] = (double)a->step; break;
    case WEIR__UNIFORM_TIME: value[i] = a->time; break;
    case WEIR__UNIFORM_DT: value[i] = a->dt; break;
    case WEIR__UNIFORM_INPUT: value[i] = *weir_view_load(&inputs[u->index], NULL, 1, &(double){0}); break;
    case WEIR__UNIFORM_OP: value[i] = weir__op_value(u->op, value[u->a], value[u->b], value[u->c]); break;
    }
  }
}

static weir__lane lane(const machine *m, weir__operand operand) {
  return operand.uniform ? (weir__lane){.s = m->uniform[operand.index]} : (weir__lane){.v = m->reg[operand.index]};
}

/* Compute the next `n` elements; the last instruction may write to `direct`. Gives where the results are. */
static const double *run_block(const weir__kernel_params *k, machine *m, int n, double *direct) {
  for (int i = 0; i < k->instructions; i++) {
    const weir__instruction *in = &k->code[i];
    double                  *to = i == k->instructions - 1 && direct ? direct : m->block + in->to * k->block;
    switch (in->op) {
    case WEIR__OP_LOAD:
      m->reg[in->to] = walk_load(&m->input[in->index], n, to);
      if (!in->asked && m->input[in->index].ahead) prefetch(m->input[in->index].ahead, n, false);
      break;
    case WEIR__OP_COORDINATE:
      ramp_load(&m->ramp[in->index], n, to);
      m->reg[in->to] = to;
      break;
    default:
      weir__kernel_loop(in->op, in->of, to, lane(m, in->a), lane(m, in->b), lane(m, in->c), (n + 7) & ~7,
                        in->asks ? m->input[in->asks - 1].ahead : NULL);
      m->reg[in->to] = to;
    }
  }
  return m->reg[k->result.index];
}

/* Where results go: into a view, or in runs to who takes them. */
typedef struct target {
  walk      view;
  bool      cached; /* the view's memory is in the cache */
  ptrdiff_t ahead;
  double   *run; /* NULL: into the view */
  int64_t   filled;
  void (*take)(void *self, double *values, int64_t n);
  void *self;
} target;

/* Where the next `n` results may be written directly; NULL: nowhere. */
static double *target_direct(target *t, int n) {
  if (t->run) return t->run + t->filled;
  double *direct = walk_direct(&t->view, n);
  if (direct && !t->cached) { /* what comes after the end may be another thread's */
    int64_t left = t->view.run.count[0] - t->view.at - t->ahead / (ptrdiff_t)sizeof *direct;
    prefetch(after(direct, t->ahead), left < n ? left : n, true);
  }
  return direct;
}

static void target_take(target *t, int n, const double *values, const double *direct, bool last) {
  if (t->run) {
    if (values != direct) memcpy(t->run + t->filled, values, (size_t)n * sizeof *values);
    t->filled += n;
    if (!last && t->filled + WEIR__KERNEL_LONG_BLOCK <= WEIR__KERNEL_RUN) return;
    t->take(t->self, t->run, t->filled);
    t->filled = 0;
  } else if (values != direct) {
    walk_store(&t->view, n, values);
  } else if ((t->view.at += n) == t->view.run.count[0]) {
    walk_next(&t->view);
  }
}

/* Compute a box of at least one element; `soon`: see weir__kernel_run. */
static void run(const weir__kernel_params *k, const weir_apply *a, const weir_view *inputs, const ptrdiff_t *soon,
                const weir_region *tile, target *t, void *scratch) {
  machine   m;
  double    uniform[WEIR__KERNEL_BLOCK]; /* without instructions no block is a long one */
  ptrdiff_t ahead = weir__kernel_soon(k);
  int64_t   size  = weir__region_size(tile);
  machine_layout(k, &m, scratch);
  evaluate_uniforms(k, a, inputs, m.uniform);
  for (int i = 0; i < k->instructions; i++) {
    const weir__instruction *in = &k->code[i];
    if (in->op == WEIR__OP_LOAD)
      walk_start(&m.input[in->index], &inputs[in->index], k->axis[in->index], tile, soon ? soon[in->index] : ahead);
    if (in->op == WEIR__OP_COORDINATE) ramp_start(&m.ramp[in->index], &k->type, in->index, tile);
  }
  if (k->result.uniform)
    for (int i = 0; i < k->block; i++) uniform[i] = m.uniform[k->result.index];
  for (int64_t done = 0; done < size; done += k->block) {
    int           n      = size - done < k->block ? (int)(size - done) : k->block;
    double       *direct = target_direct(t, n);
    const double *values = k->result.uniform ? uniform : run_block(k, &m, n, direct);
    target_take(t, n, values, direct, done + n == size);
  }
}

void weir__kernel_run(const weir__kernel_params *kernel, const weir_apply *a, const weir_view *inputs,
                      const ptrdiff_t *soon, const weir_view *out, bool cached, void *scratch) {
  target      t    = {.cached = cached, .ahead = weir__kernel_soon(kernel)};
  weir_region tile = {.rank = out->rank};
  memcpy(tile.start, out->start, sizeof tile.start);
  memcpy(tile.count, out->count, sizeof tile.count);
  if (weir__region_size(&tile) < 1) return;
  walk_start(&t.view, out, NULL, &tile, t.ahead);
  run(kernel, a, inputs, soon, &tile, &t, scratch);
}

void weir__kernel_eval(const weir__kernel_params *kernel, const weir_apply *a, const weir_view *inputs,
                       weir_region tile, double *dense_out, void *scratch) {
  weir_field_type type = kernel->type;
  type.dtype           = WEIR_F64;
  type.has_fill        = false;
  weir_view out        = weir__view_dense(dense_out, &type, &tile);
  weir__kernel_run(kernel, a, inputs, NULL, &out, true, scratch);
}

void weir__kernel_give(const weir__kernel_params *kernel, const weir_apply *a, const weir_view *inputs,
                       weir_region tile, double *run_memory, void (*take)(void *self, double *values, int64_t n),
                       void *self, void *scratch) {
  target t = {.run = run_memory, .take = take, .self = self};
  if (weir__region_size(&tile) > 0) run(kernel, a, inputs, NULL, &tile, &t, scratch);
}

/* ---- the operator ---- */

static weir_status infer(weir_infer *i) {
  const weir__kernel_params *k = i->params;
  i->out[0]                    = k->type;
  for (int r = 0; r < WEIR_RANK_MAX; r++) i->from_axis[0][r] = k->inputs && r < k->type.rank ? k->axis[0][r] : -1;
  return WEIR_OK;
}

static weir_status apply(const weir_apply *a) {
  weir__kernel_run(a->params, a, a->in, NULL, a->out, false, a->scratch);
  return WEIR_OK;
}

static size_t scratch_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  (void)in, (void)out;
  return weir__kernel_scratch(params);
}

static const char *const input_names[WEIR_INPUTS_MAX] = {"a", "b", "c", "d", "e", "f", "g", "h",
                                                         "i", "j", "k", "l", "m", "n", "o", "p"};

const weir_operator weir__operator_arithmetic = {
    .api             = WEIR_OPERATOR_API,
    .name            = "arithmetic",
    .summary         = "elementwise arithmetic of an expression, in one pass",
    .optional_inputs = WEIR_INPUTS_MAX, /* an expression may have no field at all: 2 * time */
    .input_names     = input_names,
    .params_size     = sizeof(weir__kernel_params),
    .in_boxes        = true,
    .infer           = infer,
    .apply           = apply,
    .scratch_size    = scratch_size};
