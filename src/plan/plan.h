/* One worker's share of a compiled graph: tasks, dependencies, memory, messages. Made once; a step only re-arms
 * counters.
 *
 * Who owns what is arithmetic: of W workers the first F are *forwarders* (in transit: they sit beside the simulation,
 * own nothing, and send the pieces of their processes on); chunk c of n belongs to worker F + floor(c * (W - F) / n), a
 * grid of one chunk to one worker, so a worker compiles its own share without a table over workers.
 *
 * Where a source is read from files and steps are many, workers may share steps out instead (`claims`): a node whose
 * value at a step follows from that step alone is *claimed*, computed whole by the worker that claims the step, all its
 * chunks, without a message. What keeps something from step to step, or wants to be called in their order, is owned as
 * always, and receives what it needs of claimed nodes from whoever has claimed the step.
 *
 *   cell     memory for one thing at one step (a chunk, a region received, a partial result), several steps deep
 *   bit      one call of an operator (a chunk, or some that lie one after the other), or one copy into a chunk or a
 *            message
 *   task     some bits of one kind that run one after the other: what is scheduled
 *   message  what goes from one worker to another at one depth of the graph: several regions packed
 *   emitter  what completes: a task, the beginning of a step, or a message's arrival */
#ifndef WEIR_PLAN_PLAN_H
#define WEIR_PLAN_PLAN_H
#include "comm/comm.h"
#include "graph/graph.h"

/* Where it is at step n: base + (n % ring) * stride. Here and in the records below what a task looks at comes first:
 * there are many of them, and they come from memory. */
typedef struct weir__cell {
  char       *base;  /* set by weir__plan_allocate; NULL for a cell in the simulation's slot */
  uint8_t    *token; /* token[(n % ring) * token_stride]: 1 has a value, 0 missing at that step */
  size_t      stride, token_stride;
  int64_t     ring;
  int         slot_piece; /* >= 0: the data are the part of that piece in the channel's slot (no copy) */
  int         form;       /* of views of a result's chunk: in plan->form */
  uint32_t    box;        /* the region once more, in plan->box */
  bool        claimed;    /* of a claimed node: there in steps that this worker has claimed, and counted by those */
  bool        keep;       /* holds something from one step to the next: belongs into a checkpoint */
  weir_region region;     /* dense box held */
  size_t      bytes;
  size_t      offset;  /* in the message or in the plan's memory */
  int         message; /* >= 0: inside that incoming message, at `offset` */
  weir_dtype  dtype;   /* 0: plain bytes */
} weir__cell;

/* Part of a gathered region: copy `region` of a cell to where `target` starts. */
typedef struct weir__part {
  int         cell;
  int64_t     lag;
  uint64_t    triggers;              /* in steps in which none of them fires nobody looks at it: it may have no value */
  weir_region region;                /* in the cell's indices */
  int64_t     target[WEIR_RANK_MAX]; /* in the gathered region's indices (differs when wrapped) */
} weir__part;

/* A region wanted by a bit: seen in place when it is one part, or parts that lie beside each other as in the field,
 * else copied together into scratch or a cell of its own. */
typedef struct weir__gather {
  bool     in_place;
  uint8_t  apart;  /* in place, in several parts: these are in cells so far apart; 0: not */
  bool     holes;  /* of an assembled chunk: no piece covers some of it, so it is filled with missing values first */
  uint8_t  rank;   /* of the region */
  uint32_t box;    /* the region, in plan->box */
  int      parts;  /* 0: an input not given */
  int      first;  /* in plan->part */
  int      cell;   /* in place: that of the first part; else >= 0: assembled there (large); -1: in scratch */
  int      form;   /* of its view: in plan->form */
  int64_t  lag;    /* in place */
  size_t   offset; /* in place: bytes from the start of the cell; else in scratch */
} weir__gather;

typedef struct weir__bit {
  int64_t  chunk;
  int      chunks;   /* APPLY: so many from that one on in one call */
  uint32_t box;      /* then: of their results, in plan->box */
  int      gather;   /* first of the inputs' gathers in plan->gather */
  int      cell;     /* of result 0; results follow; -1: none */
  size_t   state;    /* offset of its state in plan->state */
  uint64_t triggers; /* those of its node's for which somebody looks at its chunk; a task but APPLY has the same in all
                        its bits */
} weir__bit;

typedef enum weir__task_kind {
  WEIR__TASK_READ,     /* a source's chunk from a reader */
  WEIR__TASK_ASSEMBLE, /* a source's chunk from pieces */
  WEIR__TASK_APPLY,    /* chunks of an operator's result */
  WEIR__TASK_REDUCE,   /* input chunks into a partial result */
  WEIR__TASK_JOIN,     /* partial results into one; at the root, the result */
  WEIR__TASK_PACK,     /* regions into an outgoing message */
  WEIR__TASK_DELIVER, /* a region of a feedback field to a process: its bit's `chunk` is the number in plan->feedback */
  WEIR__TASK_DECIDE,  /* the decisions of a step: its bit sees them; no bit when nothing is steered */
} weir__task_kind;

typedef struct weir__task {
  weir__task_kind kind;
  int             node; /* -1: PACK, DECIDE without decisions */
  int             bit, bits;
  int             partial;     /* REDUCE: cell of the partial; JOIN: of the joined one */
  int             join, joins; /* JOIN: cells to combine, in plan->join */
  bool            root;        /* JOIN: finish here */
  bool            claimed;     /* nothing is done in steps that others have claimed */
  int             message;     /* PACK */
} weir__task;

/* What makes two packets part of the same message: same depth and purpose between the same two workers. */
typedef enum weir__purpose {
  WEIR__PIECES,
  WEIR__REGIONS,
  WEIR__PARTIALS,
  WEIR__BROADCAST,
  WEIR__CLAIMED /* regions of claimed nodes: from whoever has claimed the step (peer WEIR__ANYBODY), or to all who ask
                 */
} weir__purpose;
typedef struct weir__packet {
  uint64_t      triggers; /* in steps in which none of them fires it is empty */
  int64_t       lag;
  size_t        bytes;
  size_t        offset; /* outgoing: where in the cell it begins, if it is `plain` bytes of that */
  int           cell;   /* where it comes from (outgoing) or is found (incoming) */
  weir__purpose purpose;
  bool          plain;
  int           peer;
  int           depth;
  int64_t       tree; /* partials and broadcasts: which tree, so that no two trees wait for each other */
  int           node, output;
  int64_t       chunk;
  weir_region   region;
  double        rate; /* how often triggers fire, as far as is known before */
  int           task; /* outgoing: what makes it; -1: the beginning of the step */
} weir__packet;

typedef struct weir__message {
  int    peer, tag;
  bool   claimed;         /* sent only in steps that the sender has claimed */
  bool   together;        /* incoming: of the same depth as the one before it in plan->arrival */
  int    packet, packets; /* in plan->packet */
  size_t head;            /* bytes: header and tokens */
  size_t bytes;
  char  *buffer; /* `ring` times `stride` bytes */
  size_t stride;
  int    ring;    /* steps: those in flight, or of an outgoing claimed one those claimed */
  int    emitter; /* incoming: what fires on arrival; outgoing: its PACK task */
} weir__message;

/* First bytes of every message; the data of its packets follow. Packets that are rarely there come last, and what
 * follows the last one that is there is not sent. */
typedef struct weir__message_head {
  int64_t  step;
  uint32_t ordinal; /* its low bits */
  uint8_t  token[]; /* of each packet: 1 has a value */
} weir__message_head;

/* Where the data of a packet begin, at `at` or after it: small ones close together, since a message of a few values is
 * on its way for as long as it has lines of a cache. */
static inline size_t weir__packet_place(const weir__packet *packet, size_t at) {
  size_t place = packet->bytes >= 64 ? 64 : packet->purpose == WEIR__PARTIALS ? 16 : 8;
  return (at + place - 1) / place * place;
}

typedef struct weir__edge_list {
  uint32_t *first; /* emitters + 1 */
  uint32_t *target;
} weir__edge_list;

/* A piece of a source's field that a process of this worker's node puts into its channel. */
typedef struct weir__local_piece {
  int         node;           /* source node */
  int         channel, piece; /* whose, and its number there */
  weir_region region;
  bool        in_place; /* its data are all of it, not only what is wanted */
  /* by the plan */
  weir_region memory;   /* what lies densely where its data are */
  int         together; /* so many pieces from this one on lie there as one box; 0: it belongs to an earlier one's */
  size_t      bytes;    /* of that box */
} weir__local_piece;

/* Something of a field is wanted in steps in which one of these triggers fires (all bits: in every step). */
typedef struct weir__want {
  uint64_t    triggers;
  weir_region region;
} weir__want;
enum { WEIR__WANTS_MAX = 8 };
typedef struct weir__wants {
  int        count;
  weir__want want[WEIR__WANTS_MAX + 1]; /* one more while they are put together */
} weir__wants;

/* A region of a feedback field that a process of this worker's node asked for. */
typedef struct weir__local_feedback {
  int         feedback;       /* in graph->feedback */
  int         channel, piece; /* whose, and its number among its feedback pieces */
  weir_region region;         /* inside the field; may be empty */
} weir__local_feedback;

/* What calls of a node's operator begin with. Nodes are large, and far apart. */
typedef struct weir__node_call {
  const weir_operator          *op; /* NULL: a source */
  const void                   *params;
  void                         *context; /* from `prepare` */
  const weir_field_type *const *in_type;
  uint64_t                      seen;
  int                           inputs, outputs;
  bool                          check_finite;
} weir__node_call;

enum { WEIR__BOX_MAX = 2 * WEIR_RANK_MAX };
typedef struct weir__plan {
  weir__arena        arena;
  const weir__graph *graph;
  int                rank, size, flight; /* worker, workers, steps in flight */
  int                forwarders;         /* workers below own nothing */
  bool               claims;             /* some nodes are claimed */
  int                claimed_flight;     /* then: steps in flight that this worker has claimed */
  int                claimed_tasks;
  weir_view         *form; /* what many views have in common: all but `data`, `start` and `count` */
  int64_t           *box;  /* regions without what is beyond their rank: start[rank], count[rank] */
  weir__cell        *cell;
  weir__part        *part;
  weir__gather      *gather;
  weir__bit         *bit;
  weir__task        *task;
  int               *join;
  weir__packet      *packet_in, *packet_out;
  weir__message     *in, *out;
  int               *arrival;             /* incoming messages in the order in which they are expected: by depth */
  size_t             boxes, box_capacity; /* numbers in `box`; WEIR__BOX_MAX more may be read */
  int    forms, cells, parts, gathers, bits, tasks, joins, packets_in, packets_out, messages_in, messages_out;
  size_t form_capacity, cell_capacity, part_capacity, gather_capacity, bit_capacity, task_capacity, join_capacity,
      packet_in_capacity, packet_out_capacity;
  /* dependencies: emitter t < tasks is task t; `tasks` the beginning of a step; tasks + 1 + m arrival of message m */
  int             emitters;
  weir__edge_list now, next; /* same step; following step */
  uint32_t       *degree;    /* of each task, both kinds */
  uint32_t        sinks;     /* tasks nobody waits for, plus messages in and out: what retires a step */
  /* memory */
  char            *memory, *state, *tokens;
  size_t           memory_bytes, state_bytes, scratch_bytes; /* scratch: per thread */
  weir__node_call *call;                                     /* per node */
  /* what the sources must deliver */
  weir__wants       *wants;  /* per node: what anybody uses of it, and when */
  weir_region       *wanted; /* per node: the box around that; rank -1: none */
  weir__local_piece *piece;
  int                pieces;
  /* what goes back */
  weir__local_feedback *feedback;
  int                   feedbacks;
  /* compile time only */
  struct weir__compiler *compiler;
} weir__plan;

typedef struct weir__plan_options {
  int                      flight;         /* steps in flight, at least 1 */
  int                      forwarders;     /* fewer than the workers; the same on all of them */
  int                      claimed_flight; /* > 0: steps are shared out among several workers, so many each at a time */
  const weir__local_piece *piece;          /* NULL: sources are read by the workers (READ tasks); else those of stream 0
                                              are assembled from pieces, and those joined to it are read */
  int                         pieces;
  const weir__local_feedback *feedback; /* what goes back to the processes of this worker's node */
  int                         feedbacks;
  bool                        holes; /* places that no process publishes are filled with the missing value */
} weir__plan_options;

/* Compile. Collective when `comm` has several workers.
 * WEIR_ERR_INPUT: pieces overlap or leave a hole that was not declared (names the field and the place). */
weir_status weir__plan_create(const weir__graph *graph, weir__comm *comm, const weir__plan_options *options,
                              weir__plan **plan);
void        weir__plan_destroy(weir__plan **plan);

/* One worker's share without its partners: counts of weir__plan_create for `weir check`. */
weir_status weir__plan_create_alone(const weir__graph *graph, int rank, int size, const weir__plan_options *options,
                                    weir__plan **plan);

/* The region that a gather makes one view of. */
weir_region weir__plan_region(const weir__plan *plan, const weir__gather *gather);

/* ---- what is wanted, and when ---- */
/* The triggers for which anybody looks at any of `region` of a node; 0: nobody does. */
uint64_t weir__plan_triggers(const weir__plan *plan, int node, const weir_region *region);
/* How often any of some triggers fires, roughly; the same on every worker. */
double weir__plan_rate(const weir__plan *plan, uint64_t triggers);
/* What is wanted inside `region`. Of plan->piece[i], whose region is the box around it: what its process must put. */
void weir__plan_wants(const weir__plan *plan, int node, const weir_region *region, weir__wants *wants);
bool weir__wants_hull(const weir__wants *wants, weir_region *hull); /* false: nothing is wanted */

/* ---- ownership ---- */
int64_t weir__owned_first(const weir__plan *plan, int64_t chunks, int rank); /* that of rank + 1 ends it */
int     weir__owner(const weir__plan *plan, int node, int64_t chunk);

#endif
