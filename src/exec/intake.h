/* What the files of the intake share. */
#ifndef WEIR_EXEC_INTAKE_H
#define WEIR_EXEC_INTAKE_H
#include "exec/state.h"

struct weir__intake {
  weir__comm               *comm;
  char                     *run_directory, *stream;
  weir__channel           **channel;
  int                       channels;
  weir__doorbell           *doorbell;
  int                       node_rank, node_size;
  weir__channel_definitions definitions; /* what all processes agree on; no pieces */
  weir__intake_field       *field;
  weir__arena               arena;
  weir__local_piece        *piece;
  int                       pieces;
  bool                      hosted;   /* in the simulation's process: its pieces are seen where they are */
  bool                      demanded; /* this worker has posted its demands */
  int                       slots;    /* of each channel */
  weir__channel_record     *record;   /* per channel: read last, and not used up while `read` */
  bool                     *read;
  bool                      mapped, ended, lost; /* lost: it ended because a process died or gave up */
  bool                      placed;              /* `next` is known */
  uint64_t                  next;                /* sequence number */
  bool                      rewound;             /* an earlier worker of this process read them */
  int64_t                   skip, ahead;         /* steps up to this number are passed over: see weir__intake_skip */
  int64_t                   dropped;             /* steps that not all processes could publish */
  int64_t                   left_out, spilled;   /* of these, by policy; steps that went through the spill file */
  weir__lost               *lost_step;           /* owned: which were dropped */
  size_t                    losts, lost_capacity;
  char                     *back; /* owned: fields still to be given to a simulation that was started again */
  int64_t                   checked_ns;
  weir__channel_node        node; /* where the process of channel 0 stands on this node */
};

enum { WEIR__DOOR = 0 };

/* The data of all processes can be seen. WEIR_ERR_TIMEOUT (no message): not yet; WEIR_END: one has gone. */
weir_status weir__intake_map(weir__intake *intake);
/* The terms of each field that the simulation may ask for. WEIR_ERR_INPUT: the recipe has one that it never asks for.
 */
weir_status weir__intake_feedback_terms(weir__intake *intake, const weir__graph *graph, weir__channel_feedback **terms);
#endif
