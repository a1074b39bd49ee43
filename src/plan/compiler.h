/* What the files of this module share while they compile; gone afterwards. */
#ifndef WEIR_PLAN_COMPILER_H
#define WEIR_PLAN_COMPILER_H
#include "plan/plan.h"

/* Who completes: one of the plan's emitters before messages have numbers. */
typedef struct weir__emitter {
  enum { WEIR__EMIT_BEGIN, WEIR__EMIT_TASK, WEIR__EMIT_PACKET } kind;
  int number; /* of the task, or of the incoming packet */
} weir__emitter;

typedef struct weir__dependency {
  weir__emitter from;
  int           task;
  bool          next; /* of the step after */
} weir__dependency;

/* A task that looks back at a chunk of this worker whose task has no number yet. */
typedef struct weir__later {
  int     task, node;
  int64_t chunk, lag;
} weir__later;

/* Who computes a node. */
typedef enum weir__where {
  WEIR__OWNED,           /* each chunk its owner */
  WEIR__CLAIMED_BY_STEP, /* all of it whoever claims the step */
  WEIR__EVERYWHERE       /* all of it every worker: static fields that claimed nodes need */
} weir__where;

typedef struct weir__compiler {
  weir__plan *plan;
  weir__comm *comm; /* NULL: compiling alone, nobody to ask */
  /* per node */
  weir__where        *where;
  int64_t            *first, *end;      /* its own chunks: those computed here */
  int                *cell;             /* of its first own chunk (results of a chunk are neighbours); -1: none */
  bool               *sequence;         /* own chunks not seen in slots lie one after the other, as in the field */
  int                *task_at;          /* index in task_of of its first own chunk */
  int                *single;           /* owner of a one-chunk node */
  bool               *broadcast;        /* its one chunk goes to every worker */
  int                *broadcast_packet; /* incoming packet of result 0; the other results follow */
  weir__emitter      *task_of;          /* per own chunk: who completes it */
  weir__dependency   *dependency;
  size_t              dependencies, dependency_capacity;
  struct weir__later *later; /* looks back at nodes that are compiled afterwards: a recurrence */
  size_t              laters, later_capacity;
  int                 current;     /* node being compiled; those before it are done */
  int                *packet_slot; /* hash of incoming packets: number + 1 */
  size_t              packet_slots;
} weir__compiler;

weir_status weir__compiler_agree(weir__compiler *c, weir_status status); /* the worst of all workers */
int         weir__compiler_new_cell(weir__compiler *c, weir__cell cell); /* its number; -1: no memory */
weir_status weir__compiler_depend(weir__compiler *c, weir__emitter from, int task, bool next);
int64_t     weir__compiler_ring(const weir__plan *plan, const weir__node *node);
weir_status weir__compiler_look_back(weir__compiler *c, weir__emitter from, int task, int64_t lag);
weir_status weir__compiler_new_task(weir__compiler *c, weir__task task, int *number);
weir_status weir__compiler_new_bit(weir__compiler *c, weir__bit bit);
weir_status weir__compiler_new_part(weir__compiler *c, weir__part part);
weir_status weir__compiler_new_gather(weir__compiler *c, weir__gather gather, const weir_region *region); /* or NULL */
weir_status weir__compiler_new_box(weir__compiler *c, const weir_region *region, uint32_t *box);
/* Views of a dense box: its number in plan->form, new or not. */
weir_status weir__compiler_form(weir__compiler *c, const weir_field_type *type, const weir_region *dense, int *form);
/* Threads need scratch for a call on `out`: `inputs` bytes gathered before, and the operator's own. */
void        weir__compiler_scratch(weir__compiler *c, const weir__node *node, const weir_region *out, size_t inputs);
weir_status weir__compiler_new_packet(weir__compiler *c, bool incoming, const weir__packet *packet, int *number);

/* The binomial tree that the one chunk of a broadcast node goes down: over the owners, rotated so that its own is the
 * root; that of decisions over all workers, because forwarders, too, have processes to tell. */
typedef struct weir__broadcast_tree {
  int first, size; /* workers first .. first + size - 1 */
  int root;        /* worker */
  int place;       /* of this worker in the tree, 0 at the root; -1: it is not in it */
} weir__broadcast_tree;
weir__broadcast_tree weir__compiler_tree(const weir__compiler *c, int node);
static inline int    weir__tree_worker(const weir__broadcast_tree *t, int place) {
     return t->first + (t->root - t->first + place) % t->size;
}

/* Trees of the same shape share messages. */
static inline int64_t weir__tree_name(const weir__broadcast_tree *t) { return (int64_t)t->first << 32 | t->root; }

/* Do own cells a and b, of chunks in this order of the same result, lie in one sequence, or in one piece in its slot?
 */
bool weir__compiler_side_by_side(const weir__compiler *c, int node, int a, int b);

/* Where result `output` of a node's chunk is for this worker, and who makes it; asks its owner for `region` when that
 * is another, or, for a node `user` that is not claimed, whoever claims the step. -1: what lies here. */
weir_status weir__compiler_source(weir__compiler *c, int user, int node, int output, int64_t chunk, int64_t lag,
                                  const weir_region *region, int *cell, weir__emitter *from);

/* Add the gather of `region` of result edge.output of edge.node for a bit of `task`. */
weir_status weir__compiler_gather(weir__compiler *c, int task, weir__edge edge, int64_t lag, unsigned wrap,
                                  const weir_region *region, size_t *scratch);

weir_status weir__compile_wanted(weir__compiler *c);
weir_status weir__compile_sources(weir__compiler *c, const weir__local_piece *pieces, int piece_count, bool holes);
weir_status weir__compile_apply(weir__compiler *c, int node);
weir_status weir__compile_reduction(weir__compiler *c, int node);
weir_status weir__compile_steering(weir__compiler *c, const weir__local_feedback *feedback, int count);
weir_status weir__compile_broadcasts(weir__compiler *c);
weir_status weir__compile_messages(weir__compiler *c);
weir_status weir__compile_dependencies(weir__compiler *c);
weir_status weir__compile_memory(weir__compiler *c);

/* Messages go out when all their packets are there. What earlier steps left is there when a step begins; it must not
 * wait for this step's results of the same node, which a recurrence may make out of it. */
static inline int weir__region_depth(const weir__node *node, int64_t lag) { return lag ? -1 : node->depth; }

/* The chunks of an input that go into a reduction on this worker. */
void weir__compiler_share(const weir__compiler *c, int number, int source, int64_t *first, int64_t *end);

/* Elements one task should have at least, so that scheduling it costs little. */
enum { WEIR__TASK_ELEMENTS = 16384 };
size_t weir__type_bytes(const weir_field_type *type, const weir_region *region);
#endif
