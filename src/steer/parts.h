/* Shared by the files of this module. */
#ifndef WEIR_STEER_PARTS_H
#define WEIR_STEER_PARTS_H
#include "core/text.h"
#include "steer/steer.h"

/* ---- a decision ---- */

enum { WEIR__STEER_ID_MAX = 63 };

typedef struct weir__decision {
  int64_t             step, ordinal, effect;
  int                 rule;                       /* from 1; 0: a person */
  char                id[WEIR__STEER_ID_MAX + 1]; /* of the person's request */
  weir__steering_kind kind;
  int                 target;
  double              value, was; /* SET, REFUSED */
  weir__trigger       every;      /* EXTRACT */
} weir__decision;

/* ---- the state: what the checkpoint keeps ---- */

typedef struct weir__steering_head {
  int64_t started, step, ordinal, stopped; /* zeros before the first step */
  int64_t by_rules, by_people, refused;    /* decisions so far */
  double  time;
} weir__steering_head;

typedef struct weir__rule_state {
  int64_t disarmed, fired, step; /* `step` and `time` of the last firing */
  double  time;
} weir__rule_state;

/* Views of one block of memory. */
typedef struct weir__steering_state {
  weir__steering_head *head;
  double              *ring;             /* what was decided in the last delay + 1 steps, by ordinal */
  double              *decided;          /* [parameters] */
  weir__trigger       *trigger, *before; /* [outputs] now; and before a snapshot */
  int64_t             *snapshot;         /* [outputs] it ends with the next step */
  weir__rule_state    *rule;
} weir__steering_state;

size_t               weir__steering_state_size(const weir__steering *steer);
weir__steering_state weir__steering_state_of(const weir__steering *steer, void *memory);
/* The value of a parameter that holds in the step of this ordinal. */
double weir__steering_effective(const weir__steering *steer, const weir__steering_state *state, int parameter,
                                int64_t ordinal);

/* ---- the whole ---- */

/* Where the values of a rule are in the packed vector; -1: none, or `constant`. */
typedef struct weir__rule_slots {
  int     when, reset;
  int    *value;    /* [actions] */
  double *constant; /* [actions] */
} weir__rule_slots;

struct weir__steering {
  weir__graph                    *graph;
  int64_t                         delay;
  const weir__steering_parameter *parameter;
  const weir__steering_rule      *rule;
  const weir__steering_output    *output;
  int                             parameters, rules, outputs;
  weir__rule_slots               *slots;
  const char                     *directory; /* NULL: none */
  bool                            replays;
  weir__decision                 *given; /* owned: to be taken at their steps, from a replayed log or by people before a
                                            restart */
  size_t givens, given_capacity, next;
  /* on the owner of the node, from its first step on */
  bool                   opened;
  size_t                 log_size; /* bytes of the log that belong to steps so far; those of `given` follow */
  weir__decision        *people;   /* owned: requests taken before a restart */
  size_t                 peoples, people_capacity;
  bool                   stale;           /* RUN/parameters is */
  int64_t                shown_ns;        /* clock when it was written; 0: not yet */
  int64_t                looked_ns;       /* when people's requests were last looked for */
  int64_t                seen_s, seen_ns; /* change of the directory then; 0, 0: look again */
  char                   message[512];
  int64_t                message_step; /* the step it was noted in */
  int64_t                step;         /* being decided */
  weir__steering_summary summary;
};

/* Note what went wrong, the first time. Not a failure: the run goes on. */
void weir__steering_note(weir__steering *steer, const char *format, ...) WEIR_PRINTF(2, 3);

/* ---- rules.c: from values to decisions ---- */

/* Take a decision: change the state. SET outside the limits is not applied. */
void weir__steering_take(const weir__steering *steer, weir__steering_state *state, const weir__decision *decision);
/* Does a rule fire at this step? `value`: the packed vector. `previous`: time of the published step before; NaN. */
bool weir__rule_fires(const weir__steering *steer, weir__steering_state *state, int rule, const double *value,
                      int64_t step, double time, double previous);
bool weir__steering_legal(const weir__steering_parameter *parameter, double value);

/* ---- log.c ---- */

weir_status weir__decision_text(const weir__steering *steer, const weir__decision *decision, weir__text *text);
/* `line` is overwritten. WEIR_ERR_INPUT: it is no such line, or of another recipe (the message lacks the place). */
weir_status weir__decision_parse(const weir__steering *steer, char *line, weir__decision *decision);
/* The decisions of a log that is replayed go to `given`. */
weir_status weir__steering_log_replay(weir__steering *steer, const char *path);
/* Before the first step: cut the log back to `last` (the last step of the checkpoint; INT64_MIN: none). What people
 * decided later goes to `given`, and stays in the file. */
weir_status weir__steering_log_open(weir__steering *steer, int64_t last);
/* Append lines, all or none; `given`: it was in `steer->given`, so it is in the file already unless that is replayed.
 */
weir_status weir__steering_log_add(weir__steering *steer, const weir__decision *decision, int count, bool given);

/* ---- requests.c ---- */

typedef struct weir__request {
  char id[WEIR__STEER_ID_MAX + 1];
  char text[1024]; /* "wind=0.8 more=1" */
} weir__request;

/* Make the directory; take up again what a dead worker left. */
weir_status weir__requests_open(weir__steering *steer);
/* The next request, in order of names; false: none now. It is claimed: nobody withdraws it any more. */
bool weir__requests_next(weir__steering *steer, weir__request *request);
void weir__requests_answer(weir__steering *steer, const char *id, const char *format, ...) WEIR_PRINTF(3, 4);
/* Parse a request into decisions of this moment. WEIR_ERR_INPUT: the message is for the person. */
enum { WEIR__REQUEST_VALUES_MAX = 16 };
weir_status weir__requests_parse(const weir__steering *steer, const weir__request *request, weir__decision *list,
                                 int *count);
/* RUN/parameters. */
weir_status weir__steering_shown_write(const weir__steering *steer, const weir__steering_state *state, int64_t ordinal);

/* ---- operators ---- */

typedef struct weir__steering_scalar { /* parameter.c */
  double  value;                       /* at the start */
  int64_t index;                       /* in the decisions */
} weir__steering_scalar;
extern const weir_operator weir__operator_parameter, weir__operator_pack;

typedef struct weir__steering_decide { /* decide.c */
  weir__steering *steer;
} weir__steering_decide;
extern const weir_operator weir__operator_decide;

int weir__steering_length(const weir__steering *steer); /* of the decisions */
#endif
