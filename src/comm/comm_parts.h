/* What the files of this module share: the communicator, and calls of MPI that fail as ours do. */
#ifndef WEIR_COMM_PARTS_H
#define WEIR_COMM_PARTS_H
#include "comm/comm.h"
#ifdef WEIR_HAVE_MPI
#include <mpi.h>

typedef struct weir__notice_sent {
  MPI_Request request;
  int64_t    *words; /* owned */
} weir__notice_sent;
#endif

struct weir__comm {
  int  rank, size;
  int  node_rank, node_size; /* among the processes of this node */
  bool finalize;             /* this library initialised MPI */
  int  exchanges;            /* so far */
#ifdef WEIR_HAVE_MPI
  MPI_Comm           handle; /* a duplicate of our own; MPI_COMM_NULL for one process */
  MPI_Comm           node;   /* the processes of this node; MPI_COMM_NULL for one process */
  weir__notice_sent *notice; /* sends of notices not known to be complete */
  size_t             notices, notice_capacity;
  int64_t            told, heard; /* notices of this process, and of others, since weir__comm_notices_end */
#endif
};

#ifdef WEIR_HAVE_MPI
/* MPICH's MPI_STATUSES_IGNORE is the address 1, which gcc takes for an array of no size. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#endif

/* Letters of one exchange must not be taken for those of the next, which a faster process may have begun: two tags in
 * turn. Step messages use TAG_STEP + their own tag. */
enum { TAG_LETTER = 1, TAG_NOTICE = 3, TAG_STEP = 4 };

weir_status weir__comm_failed(int code, const char *what);
#define MPI_TRY(call)                                                                                                  \
  do {                                                                                                                 \
    int mpi_code_ = (call);                                                                                            \
    if (mpi_code_ != MPI_SUCCESS) return weir__comm_failed(mpi_code_, #call);                                          \
  } while (0)
#else
/* The failure of what needs MPI. */
weir_status weir__comm_alone(void);
#endif
#endif
