/* Failing work: which nodes failed in which steps, what is not computed any more, and what other workers must hear of
 * it.
 *
 * A node that fails at step k (an error of its operator, a result that is not finite) has no value there; what depends
 * on it is missing by the same tokens as any missing value. All nodes of one field, or of one output, are one *group*:
 * they are reported, and disabled, together.
 *
 * Disabled from ordinal k + flight on, not from k + 1: steps up to there may have begun, and with one worker the result
 * is then the same whichever thread was faster. Other workers hear of it by a notice and follow as soon as they do. */
#ifndef WEIR_EXEC_FAILURE_H
#define WEIR_EXEC_FAILURE_H
#include "core/text.h"
#include "core/threads.h"
#include "exec/worker.h"

struct weir__worker;
struct weir__step;

/* What a worker tells all others. */
enum { WEIR__NOTICE_END = 1, WEIR__NOTICE_DISABLE, WEIR__NOTICE_STOP, WEIR__NOTICE_LEAVE };
typedef struct weir__notice {
  int     kind;
  int64_t a,
      b; /* END: ordinal; DISABLE: node, first ordinal; STOP: number of the step that failed, ordinal to end at */
} weir__notice;

/* Failures of a group on this worker; on worker 0, once gathered, on all. */
typedef struct weir__failed {
  uint64_t *steps; /* bit n: it failed at ordinal n */
  size_t    words;
  int       node; /* the first failure: earliest step, then lowest node and chunk */
  int64_t   ordinal, step, chunk;
  char     *message; /* NULL: none yet */
  bool      told;    /* others know that it is disabled */
} weir__failed;

typedef struct weir__failures {
  _Atomic int64_t *disabled_from; /* per node: the first ordinal in which it is not computed; INT64_MAX: none */
  weir__mutex      lock;          /* all below */
  bool             has_lock;
  weir__failed    *failed; /* per node; used is that of the first node of each group */
  weir__notice    *notice; /* to be sent: each group once, and a stop */
  int              notices, notices_taken;
  _Atomic bool     waiting; /* notices are there */
  bool             stopped;
  _Atomic bool     any;  /* something failed here */
  weir__failure   *list; /* gathered, on worker 0: by step and node */
  int              count;
} weir__failures;

weir_status weir__failures_create(const weir__graph *graph, weir__failures *failures);
void        weir__failures_clear(const weir__graph *graph, weir__failures *failures);

/* Note that `node` failed with `status` at `step` in its chunk, with the message of the last error (which is cleared)
 * or, if there is none, with what the status says; and follow its policy. Any thread. */
void weir__failure_record(struct weir__worker *w, const struct weir__step *s, int node, int64_t chunk,
                          weir_status status);

/* The node and its group are not computed from ordinal `from` on. Any thread. */
void weir__failure_disable(struct weir__worker *w, int node, int64_t from);

/* The next thing that all other workers must hear; false: none. From the owner. A STOP is meant for this worker too. */
bool weir__failure_next_notice(struct weir__worker *w, weir__notice *notice);

/* WEIR_ERR_OPERATOR: a floating-point result of the node has an element that is Inf, or NaN where the field declares no
 * missing value; the message names the first by its global indices. */
weir_status weir__failure_check_finite(const weir__node *node, int output, const weir_view *view);

/* For a checkpoint, while no step is under way: what failed here so far, added to `text`; and taken back from there,
 * with its consequences, before the first step. */
weir_status weir__failures_pack(const struct weir__worker *w, weir__text *text);
weir_status weir__failures_take(struct weir__worker *w, const char *bytes, size_t size);

/* Collective, after the last step: bring together what failed where. WEIR_ERR_OPERATOR, on all workers with one
 * message: something did. */
weir_status weir__failures_gather(struct weir__worker *w);

static inline bool weir__failure_disabled(const weir__failures *f, int node, int64_t ordinal) {
  return ordinal >= atomic_load_explicit(&f->disabled_from[node], memory_order_relaxed);
}
#endif
