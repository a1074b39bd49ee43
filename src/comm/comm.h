/* The communicator: MPI, or one process without it. The only place with mpi.h. */
#ifndef WEIR_COMM_COMM_H
#define WEIR_COMM_COMM_H
#include "core/memory.h"
#include <stdbool.h>

typedef struct weir__comm weir__comm;

/* One process: no MPI call is ever made. Local. */
weir_status weir__comm_self(weir__comm **comm);
/* Join the MPI job this process was started in (MPI_Init with MPI_THREAD_FUNNELED when nobody has yet); a job of one
 * process, or no job at all, gives weir__comm_self. Collective. */
weir_status weir__comm_world(weir__comm **comm);
/* A duplicate of the communicator whose Fortran handle is given; the caller's stays its own. Collective.
 * WEIR_ERR_UNAVAILABLE: another MPI library than this was built for is loaded; WEIR_ERR_STATE: it is not initialised;
 * WEIR_ERR_ARGUMENT: there is no such communicator. */
weir_status weir__comm_from_fortran(int handle, weir__comm **comm);
bool        weir__comm_usable(void); /* MPI is initialised and not finalised; true without MPI */
/* The same processes with messages of their own. Collective. */
weir_status weir__comm_duplicate(weir__comm *comm, weir__comm **duplicate);
void        weir__comm_destroy(weir__comm **comm); /* finalises MPI if weir__comm_world initialised it. Collective */
int         weir__comm_rank(const weir__comm *comm);
int         weir__comm_size(const weir__comm *comm);
int         weir__comm_node_rank(const weir__comm *comm); /* among the processes of its node, which can share memory */
int         weir__comm_node_size(const weir__comm *comm);
bool        weir__comm_launched(void); /* started by an MPI launcher (from the environment) */

/* ---- at start-up: collective, blocking ---- */
weir_status weir__comm_barrier(weir__comm *comm);
weir_status weir__comm_max(weir__comm *comm, int64_t *values, int count); /* element-wise over all, result on all */
weir_status weir__comm_sum(weir__comm *comm, int64_t *values, int count);
weir_status weir__comm_broadcast(weir__comm *comm, void *bytes, size_t size, int root);
/* All agree on one status: everyone's own when none failed; otherwise status and message of the lowest rank that did.
 */
weir_status weir__comm_agree(weir__comm *comm, weir_status status);
/* Each process sends a message to some others and learns who sent to it (nonblocking consensus: cost grows with the
 * number of partners, not of processes). `received` and its bytes are one allocation each, freed by
 * weir__comm_letters_free. */
typedef struct weir__letter {
  int    peer;
  size_t size;
  void  *bytes;
} weir__letter;
weir_status weir__comm_exchange(weir__comm *comm, const weir__letter *sent, int count, weir__letter **received,
                                int *received_count);
void        weir__comm_letters_free(weir__letter **letters, int count);
/* The processes on this node, this one among them, in the order of ranks, with a few words of each: as many as
 * weir__comm_node_size. Collective; the caller frees `*mates`. */
typedef struct weir__comm_mate {
  int64_t rank, word[2];
} weir__comm_mate;
weir_status weir__comm_mates(weir__comm *comm, const int64_t word[2], weir__comm_mate **mates);

/* ---- in steps: nonblocking; from one thread ---- */

/* The element-wise minimum of everyone's values, again and again. An agreement has a communicator of its own, so that
 * several may be under way; all processes start the rounds of one in the same order, one at a time. */
typedef struct weir__agreement weir__agreement;
weir_status weir__agreement_create(weir__comm *comm, int count, weir__agreement **agreement); /* collective */
weir_status weir__agreement_start(weir__agreement *agreement, const int64_t *values);
bool        weir__agreement_running(const weir__agreement *agreement); /* started, and not seen done */
/* `*done` once all have started this round; `*result` (count values) is valid until the next one. */
weir_status weir__agreement_test(weir__agreement *agreement, bool *done, const int64_t **result);
void        weir__agreement_destroy(weir__agreement **agreement); /* collective, no round running */

/* A notice: a few words from one process to all others, at any time, outside of every order; down a tree, so everyone
 * must look now and then. */
enum { WEIR__NOTICE_WORDS = 4 };
weir_status weir__comm_notice_send(weir__comm *comm, const int64_t words[WEIR__NOTICE_WORDS]);
weir_status weir__comm_notice_receive(weir__comm *comm, int64_t words[WEIR__NOTICE_WORDS], bool *some);
/* All have sent their last one: what is still on its way arrives, and is dropped, so that nobody takes it for a notice
 * of what comes next. Collective. */
weir_status weir__comm_notices_end(weir__comm *comm);

/* A fixed set of requests, made once, and started again and again without allocation: at most `receives` at a time in
 * each of some queues, and `sends`. Slots are the caller's numbers of them. */
typedef struct weir__requests weir__requests;
weir_status weir__requests_create(weir__comm *comm, int queues, int receives, int sends, weir__requests **requests);
void        weir__requests_destroy(weir__requests **requests);
/* Start a send. `*over` (may be NULL): it is complete already, as a small one is, and will not be told of again. */
enum { WEIR__SMALL_MESSAGE = 1024 }; /* bytes that MPI copies: neither side has to wait for the other */
typedef struct weir__send {
  int         slot;
  const void *bytes;
  size_t      size;
  int         peer, tag;
  bool        matched; /* complete only when its receive was there */
} weir__send;
weir_status weir__request_send(weir__requests *requests, const weir__send *send, bool *over);
/* MPI is given the receives of a queue in their order, and the later ones when earlier ones are complete: a message
 * must not wait for what comes of later ones of its queue, but of those that are told to be expected `together`. */
enum { WEIR__ANYBODY = -1 }; /* a message of that tag from whoever sends it */
typedef struct weir__receive {
  int    queue, slot;
  void  *bytes;
  size_t size; /* at most */
  int    peer, tag;
  bool   together; /* with the one before it in the queue */
} weir__receive;
weir_status weir__request_receive(weir__requests *requests, const weir__receive *receive);
/* Which started slots have completed since the last call: at most `most` numbers into `done`. Of many, a call looks at
 * some, none is forgotten; at all of them if it says so, as one should that is rarely made. */
weir_status weir__requests_test(weir__requests *requests, bool all, int *done, int most, int *count);
int         weir__requests_pending(const weir__requests *requests);
#endif
