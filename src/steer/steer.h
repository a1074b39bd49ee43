/* Steering: what people and rules decide while a run goes on.
 *
 * It is part of the graph, so it is as deterministic, distributed and restartable as everything else:
 *
 *   conditions, values --> pack --> decide --(delay steps)--> parameter --> fields, rules, outputs
 *                                     ^  \---(1 step)-------> parameter --> values that rules set
 *                  people's requests _|   \--> graph->decisions: the simulation, the workers
 *
 * `decide` is one node with one chunk; it sees every published step in order and keeps what was decided, and which
 * rules are armed, in its state. Each decision is a line of RUN/decisions.log before anyone can feel it.
 *
 * Texts and lists given here are borrowed: they outlive the graph. */
#ifndef WEIR_STEER_STEER_H
#define WEIR_STEER_STEER_H
#include "graph/graph.h"

typedef struct weir__steering weir__steering; /* ended by weir__steering_destroy, after the workers of the graph */

typedef struct weir__steering_parameter {
  const char *name;
  double      value;       /* at the start */
  double      least, most; /* legal values, both included */
  int         number;      /* in the definitions of the stream; -1: a parameter of the recipe */
} weir__steering_parameter;

typedef enum weir__steering_kind {
  WEIR__STEER_SET,     /* a parameter to a value */
  WEIR__STEER_START,   /* an output: as it is declared */
  WEIR__STEER_PAUSE,   /* an output: not written until it is started */
  WEIR__STEER_ONCE,    /* an output: at one step, that in which the decision takes effect; then as before */
  WEIR__STEER_EXTRACT, /* an output: at other steps than declared */
  WEIR__STEER_STOP,    /* the run ends */
  WEIR__STEER_REFUSED  /* in the log: a value that a rule gave and the parameter does not take */
} weir__steering_kind;

typedef struct weir__steering_action {
  weir__steering_kind kind;
  int                 target; /* SET: index of the parameter; START to EXTRACT: of the output */
  const char         *value;  /* SET: an expression */
  weir__place         place;  /* of it */
  weir__trigger       every;  /* EXTRACT */
} weir__steering_action;

/* It fires when `when` becomes true: it must be armed, which it is at the start, and again once `when` is false and
 * `reset` (if there is one) true. A condition without value does nothing. */
typedef struct weir__steering_rule {
  weir__place                  place;
  const char                  *when, *reset;
  weir__place                  when_place, reset_place;
  int64_t                      hold_steps; /* it does not fire in so many steps after it fired */
  double                       hold_time;  /* nor in so much time */
  bool                         once;
  weir__trigger                every; /* when it is looked at; all 0: at each published step */
  const weir__steering_action *action;
  int                          actions;
} weir__steering_rule;

/* An output that rules start, stop or change. */
typedef struct weir__steering_output {
  const char   *name;
  weir__trigger declared; /* when it is written once started */
  int           trigger;  /* its own in the graph: weir__graph_trigger_steered, as it is at the start */
} weir__steering_output;

typedef struct weir__steering_feedback {
  const char   *name, *text; /* as the simulation asks for it; an expression */
  weir__place   place;       /* of the text */
  int64_t       lag;
  int           when_late; /* of weir__feedback */
  double        timeout_s;
  weir__trigger every; /* all 0: at each published step */
} weir__steering_feedback;

enum { WEIR__STEER_DELAY_MAX = 512 };

/* Make the parameters of a graph steered, before any expression uses them. `delay`: published steps from a decision to
 * its effect. WEIR_ERR_INPUT: a name twice, or of a field. */
weir_status weir__steering_create(weir__graph *graph, const weir__steering_parameter *parameter, int parameters,
                                  int64_t delay, weir__steering **steer);

/* Add rules and the node that decides, and close the loops; after the fields, before weir__graph_finish. `directory`:
 * the run's, for the log and people's requests (NULL: neither; the graph is only looked at). `replay` (NULL: none): a
 * log whose decisions are taken instead of any new ones.
 * WEIR_ERR_INPUT: a condition that is no single number, or a log that does not fit. */
weir_status weir__steering_rules(weir__steering *steer, const weir__steering_rule *rule, int rules,
                                 const weir__steering_output *output, int outputs, const char *directory,
                                 const char *replay);

/* Fields that go back to the simulation, before weir__graph_finish. */
weir_status weir__steering_feedbacks(weir__graph *graph, const weir__steering_feedback *feedback, int count);

void weir__steering_destroy(weir__steering **steer);

/* How much was decided so far, on the worker that owns the deciding node (worker 0). */
typedef struct weir__steering_summary {
  int64_t     rules, people, refused;
  int64_t     step;    /* of the message */
  const char *message; /* the first thing that went wrong; NULL: nothing */
} weir__steering_summary;
void weir__steering_summary_get(const weir__steering *steer, weir__steering_summary *summary);

/* ---- files of the run directory; docs/run-directory.md ---- */

#define WEIR__STEER_LOG        "decisions.log"
#define WEIR__STEER_PARAMETERS "parameters" /* rewritten at each change, but not too often */
#define WEIR__STEER_REQUESTS   "requests"   /* a directory: ID.request is taken (ID.taken), then answered (ID.answer) */

/* A line of RUN/parameters. */
typedef struct weir__steering_shown {
  const char *name;
  double      value, decided, least, most;
  bool        of_simulation;
} weir__steering_shown;
/* Read it; the list is in the arena. WEIR_END: there is none (yet). */
weir_status weir__steering_shown_read(weir__arena *arena, const char *directory, weir__steering_shown **list,
                                      int *count, int64_t *step);
#endif
