#include "exec/failure.h"
#include "exec/state.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- life ---- */

weir_status weir__failures_create(const weir__graph *graph, weir__failures *f) {
  size_t nodes = (size_t)graph->nodes;
  weir__mutex_init(&f->lock);
  f->has_lock = true;
  WEIR_TRY(weir__alloc_array(nodes + 1, sizeof *f->disabled_from, &f->disabled_from));
  for (size_t i = 0; i < nodes; i++) atomic_init(&f->disabled_from[i], INT64_MAX);
  WEIR_TRY(weir__alloc_array(nodes + 1, sizeof *f->failed, &f->failed));
  return weir__alloc_array(nodes + 1, sizeof *f->notice, &f->notice);
}

void weir__failures_clear(const weir__graph *graph, weir__failures *f) {
  for (int i = 0; f->failed && i < graph->nodes; i++) {
    weir__free(f->failed[i].steps);
    weir__free(f->failed[i].message);
  }
  if (f->has_lock) weir__mutex_destroy(&f->lock);
  weir__free((void *)f->disabled_from);
  weir__free(f->failed);
  weir__free(f->notice);
  weir__free(f->list);
  *f = (weir__failures){0};
}

/* ---- groups ---- */

/* NULL: a node that belongs to nobody is a group of its own. */
static const char *group_name(const weir__node *node) {
  return node->owner ? node->owner : node->named ? node->name : NULL;
}

static bool same_group(const weir__node *a, const weir__node *b) {
  const char *x = group_name(a), *y = group_name(b);
  return a == b || (x && y && a->writes == b->writes && !strcmp(x, y));
}

/* The first node of the group of `node`. */
static int group_of(const weir__graph *graph, int node) {
  for (int i = 0; i < node; i++)
    if (same_group(&graph->node[i], &graph->node[node])) return i;
  return node;
}

/* ---- during the run ---- */

/* Under the lock. Without memory the step is not counted; that something failed is known all the same. */
static void count_step(weir__failed *g, int64_t ordinal) {
  size_t word = (size_t)ordinal / 64;
  if (word >= g->words) {
    size_t words = g->words;
    if (weir__grow(&g->steps, word + 1, &words, sizeof *g->steps) < 0) return;
    g->words = words;
  }
  g->steps[word] |= (uint64_t)1 << (ordinal % 64);
}

/* Which of two failures of a group is told of: the same one however the threads ran. */
static bool earlier(const weir__failed *a, const weir__failed *b) {
  if (a->ordinal != b->ordinal) return a->ordinal < b->ordinal;
  return a->node != b->node ? a->node < b->node : a->chunk < b->chunk;
}

/* Under the lock. */
static void keep_first(weir__failed *g, const weir__failed *new, const char *message) {
  char *copy;
  if (g->message && !earlier(new, g)) return;
  if (weir__alloc_string(message, &copy) < 0) return;
  weir__free(g->message);
  g->message = copy;
  g->node    = new->node;
  g->ordinal = new->ordinal;
  g->step    = new->step;
  g->chunk   = new->chunk;
}

/* Under the lock. */
static void add_notice(weir__failures *f, weir__notice notice) {
  f->notice[f->notices++] = notice;
  atomic_store(&f->waiting, true);
}

/* What the policy of `node` asks for, once for each group; under the lock or before there are threads. True: others
 * must hear of it. */
static bool act(weir__worker *w, weir__failed *g, int node, int64_t ordinal, int64_t step) {
  weir__failures *f    = &w->failures;
  int64_t         from = ordinal + w->plan->flight;
  switch (w->graph->node[node].on_failure) {
  case WEIR__ON_FAILURE_SKIP: return false;
  case WEIR__ON_FAILURE_DISABLE:
    weir__failure_disable(w, node, from);
    if (g->told) return false;
    g->told = true;
    add_notice(f, (weir__notice){WEIR__NOTICE_DISABLE, node, from});
    return true;
  case WEIR__ON_FAILURE_STOP:
    if (f->stopped) return false;
    f->stopped = true;
    add_notice(f, (weir__notice){WEIR__NOTICE_STOP, step, ordinal + 1});
    return true;
  }
  return false;
}

void weir__failure_record(weir__worker *w, const weir__step *s, int node, int64_t chunk, weir_status status) {
  weir__failures *f    = &w->failures;
  const char     *said = weir_error_last();
  weir__failed new     = {.node = node, .ordinal = s->ordinal, .step = s->step, .chunk = chunk};
  int group            = group_of(w->graph, node);
  weir__mutex_lock(&f->lock);
  weir__failed *g = &f->failed[group];
  count_step(g, s->ordinal);
  keep_first(g, &new, said[0] ? said : weir_status_text(status));
  weir__error_clear();
  bool tells = act(w, g, node, s->ordinal, s->step);
  weir__mutex_unlock(&f->lock);
  atomic_store(&f->any, true);
  if (tells) weir__worker_wake(w);
}

void weir__failure_disable(weir__worker *w, int node, int64_t from) {
  for (int i = 0; i < w->graph->nodes; i++) {
    if (!same_group(&w->graph->node[i], &w->graph->node[node])) continue;
    _Atomic int64_t *at  = &w->failures.disabled_from[i];
    int64_t          was = atomic_load(at);
    while (from < was && !atomic_compare_exchange_weak(at, &was, from)) {}
  }
}

bool weir__failure_next_notice(weir__worker *w, weir__notice *notice) {
  weir__failures *f = &w->failures;
  if (!atomic_load_explicit(&f->waiting, memory_order_relaxed)) return false;
  weir__mutex_lock(&f->lock);
  bool some = f->notices_taken < f->notices;
  if (some) *notice = f->notice[f->notices_taken++];
  atomic_store(&f->waiting, f->notices_taken < f->notices);
  weir__mutex_unlock(&f->lock);
  return some;
}

/* ---- results that are not finite ---- */

enum { LANES = 8 };

/* x * 0 is 0, or NaN for Inf and NaN; the largest size is Inf if one is, as NaN is larger than nothing. Lanes, because
 * only a sum of several strands can be vectorised without changing the order of additions. */
#define ANY_BAD(NAME, TYPE, FABS)                                                                                      \
  static bool NAME(const TYPE *x, int64_t n, bool nan_too) {                                                           \
    enum { BLOCK = 4096 };                                                                                             \
    for (int64_t from = 0; from < n; from += BLOCK) {                                                                  \
      int64_t end = n - from < BLOCK ? n : from + BLOCK, i = from;                                                     \
      TYPE    lane[LANES] = {0}, all = 0;                                                                              \
      if (nan_too)                                                                                                     \
        for (; i + LANES <= end; i += LANES)                                                                           \
          for (int k = 0; k < LANES; k++) lane[k] += x[i + k] * 0;                                                     \
      else                                                                                                             \
        for (; i + LANES <= end; i += LANES)                                                                           \
          for (int k = 0; k < LANES; k++) lane[k] = FABS(x[i + k]) > lane[k] ? FABS(x[i + k]) : lane[k];               \
      for (int k = 0; k < LANES; k++) all += lane[k] * 0;                                                              \
      for (; i < end; i++) all += nan_too || isinf(x[i]) ? x[i] * 0 : 0;                                               \
      if (isnan(all)) return true;                                                                                     \
    }                                                                                                                  \
    return false;                                                                                                      \
  }
ANY_BAD(any_bad_f64, double, fabs)
ANY_BAD(any_bad_f32, float, fabsf)

static double element(const weir_view *view, int64_t i) {
  return view->dtype == WEIR_F64 ? ((const double *)view->data)[i] : (double)((const float *)view->data)[i];
}

static weir_status name_bad(const weir__node *node, int output, const weir_view *view, int64_t i) {
  const weir_field_type *type  = &node->type[output];
  weir__text             where = {0};
  double                 x     = element(view, i);
  int64_t                index[WEIR_RANK_MAX], rest = i;
  for (int a = type->rank - 1; a >= 0; a--) {
    index[a] = view->start[a] + rest % view->count[a];
    rest /= view->count[a];
  }
  if (node->outputs > 1 && node->op && node->op->output_names)
    weir__text_add(&where, " of %s", node->op->output_names[output]);
  for (int a = 0; a < type->rank; a++)
    weir__text_add(&where, "%s%s %lld", a ? ", " : " at ", type->dim[a].name, (long long)index[a]);
  weir_status status =
      WEIR_FAIL(WEIR_ERR_OPERATOR, "the value%s is %s, expected finite numbers", where.data ? where.data : "",
                isnan(x) ? "nan"
                : x > 0  ? "inf"
                         : "-inf");
  weir__text_clear(&where);
  return status;
}

weir_status weir__failure_check_finite(const weir__node *node, int output, const weir_view *view) {
  bool    nan_too = !node->type[output].has_fill;
  int64_t n       = weir_view_size(view);
  if (view->dtype == WEIR_F64 ? !any_bad_f64(view->data, n, nan_too)
                              : view->dtype != WEIR_F32 || !any_bad_f32(view->data, n, nan_too))
    return WEIR_OK;
  for (int64_t i = 0; i < n; i++) {
    double x = element(view, i);
    if (isfinite(x) || (isnan(x) && !nan_too) || (!nan_too && x == node->type[output].fill)) continue;
    return name_bad(node, output, view, i);
  }
  return WEIR_OK; /* Inf is the missing value */
}

/* ---- for checkpoints, and at the end ---- */

/* How a group travels: this, the message with its 0, the words of the steps. */
typedef struct record {
  int64_t group, node, ordinal, step, chunk, words, length;
} record;

weir_status weir__failures_pack(const weir__worker *w, weir__text *text) {
  for (int i = 0; i < w->graph->nodes; i++) {
    const weir__failed *g = &w->failures.failed[i];
    if (!g->message) continue;
    record r = {i, g->node, g->ordinal, g->step, g->chunk, (int64_t)g->words, (int64_t)strlen(g->message) + 1};
    weir__text_add_bytes(text, (const char *)&r, sizeof r);
    weir__text_add_bytes(text, g->message, (size_t)r.length);
    weir__text_add_bytes(text, (const char *)g->steps, g->words * sizeof *g->steps);
  }
  return weir__text_status(text);
}

static weir_status merge(weir__worker *w, const char *bytes, size_t size) {
  for (const char *at = bytes; at < bytes + size;) {
    record   r;
    uint64_t word;
    memcpy(&r, at, sizeof r);
    weir__failed *g  = &w->failures.failed[r.group];
    weir__failed new = {.node = (int)r.node, .ordinal = r.ordinal, .step = r.step, .chunk = r.chunk};
    keep_first(g, &new, at + sizeof r);
    at += sizeof r + (size_t)r.length;
    if (g->words < (size_t)r.words) WEIR_TRY(weir__grow(&g->steps, (size_t)r.words, &g->words, sizeof *g->steps));
    for (int64_t i = 0; i < r.words; i++, at += sizeof word) {
      memcpy(&word, at, sizeof word);
      g->steps[i] |= word;
    }
  }
  return WEIR_OK;
}

weir_status weir__failures_take(weir__worker *w, const char *bytes, size_t size) {
  weir__failures *f = &w->failures;
  WEIR_TRY(merge(w, bytes, size));
  for (int i = 0; i < w->graph->nodes; i++) {
    weir__failed *g = &f->failed[i];
    if (!g->message) continue;
    atomic_store(&f->any, true);
    act(w, g, g->node, g->ordinal, g->step);
  }
  return WEIR_OK;
}

static int by_step(const void *a, const void *b) {
  const weir__failure *x = a, *y = b;
  if (x->first_step != y->first_step) return x->first_step < y->first_step ? -1 : 1;
  return x->node < y->node ? -1 : x->node > y->node;
}

static weir_status make_list(weir__worker *w) {
  weir__failures *f = &w->failures;
  WEIR_TRY(weir__alloc_array((size_t)w->graph->nodes + 1, sizeof *f->list, &f->list));
  for (int i = 0; i < w->graph->nodes; i++) {
    const weir__failed *g = &f->failed[i];
    if (!g->message) continue;
    const weir__node *node  = &w->graph->node[g->node];
    const char       *name  = group_name(node);
    int64_t           steps = 0;
    for (size_t k = 0; k < g->words; k++) steps += __builtin_popcountll(g->steps[k]);
    f->list[f->count++] =
        (weir__failure){node, name ? name : node->name, steps, g->step, g->message, g->steps, g->words};
  }
  qsort(f->list, (size_t)f->count, sizeof *f->list, by_step);
  return WEIR_OK;
}

/* One message for the run: the first failure in full, and how many others there are. */
static weir_status summarise(const weir__failures *f) {
  weir__text           text  = {0};
  const weir__failure *first = f->list;
  if (!f->count) return WEIR_FAIL(WEIR_ERR_MEMORY, "something failed, and there was no memory to say what");
  if (first->node->place.line)
    weir__text_add(&text, "%s:%d: ", first->node->place.file ? first->node->place.file : "?", first->node->place.line);
  weir__text_add(&text, "%s %s at step %lld: %s; ", first->node->writes ? "output" : "field", first->name,
                 (long long)first->first_step, first->message);
  switch (first->node->on_failure) {
  case WEIR__ON_FAILURE_SKIP:
    weir__text_add(&text, "skipped at %lld step%s", (long long)first->steps, first->steps == 1 ? "" : "s");
    break;
  case WEIR__ON_FAILURE_DISABLE: weir__text_add(&text, "disabled after it"); break;
  case WEIR__ON_FAILURE_STOP: weir__text_add(&text, "the run was stopped"); break;
  }
  if (f->count > 1) weir__text_add(&text, "; %d more failed, see report.json", f->count - 1);
  weir_status status = weir__text_status(&text);
  if (status >= 0) status = WEIR_FAIL(WEIR_ERR_OPERATOR, "%s", text.data);
  weir__text_clear(&text);
  return status;
}

weir_status weir__failures_gather(weir__worker *w) {
  int64_t any = atomic_load(&w->failures.any);
  WEIR_TRY(weir__comm_max(w->comm, &any, 1));
  if (!any) return WEIR_OK;
  weir_status   status  = WEIR_OK;
  weir__text    text    = {0};
  weir__letter *letters = NULL;
  int           count   = 0;
  bool          sends   = weir__comm_rank(w->comm) > 0 && atomic_load(&w->failures.any);
  WEIR_TRY_GOTO(out, weir__comm_agree(w->comm, sends ? weir__failures_pack(w, &text) : WEIR_OK));
  weir__letter mine = {.peer = 0, .size = text.length, .bytes = text.data};
  WEIR_TRY_GOTO(out, weir__comm_exchange(w->comm, &mine, sends && text.length, &letters, &count));
  for (int i = 0; i < count && status >= 0; i++) status = merge(w, letters[i].bytes, letters[i].size);
  if (status >= 0 && weir__comm_rank(w->comm) == 0) status = make_list(w);
  if (status >= 0 && weir__comm_rank(w->comm) == 0) status = summarise(&w->failures);
  status = weir__comm_agree(w->comm, status);
out:
  weir__text_clear(&text);
  weir__comm_letters_free(&letters, count);
  return status;
}

int weir__worker_failures(const weir__worker *w, const weir__failure **list) {
  *list = w->failures.list;
  return w->failures.count;
}
