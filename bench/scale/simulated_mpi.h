/* Included before the files of src/comm where they are compiled for SimGrid: MPI as the engine expects it. Every call
 * that may let other processes run stops the clock of this one; and the nonblocking collectives are those of
 * simulated.c, because in SMPI 3.32 MPI_Ibarrier completes before all have come, and MPI_Iallreduce sends P^2 messages.
 * So are sends: SMPI's own that are over before they are received stand in one list of all processes, which is searched
 * from end to end for every message (97 % of the time where 16 384 processes send to their neighbours). */
#ifndef WEIR_BENCH_SCALE_SIMULATED_MPI_H
#define WEIR_BENCH_SCALE_SIMULATED_MPI_H
#include "scale/simulated.h"
#include <mpi.h>

int scale_Ibarrier(MPI_Comm comm, MPI_Request *request);
int scale_Iallreduce(const void *from, void *to, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm,
                     MPI_Request *request);
int scale_Isend(const void *from, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request *request);
int scale_Test(MPI_Request *request, int *done, MPI_Status *status);

/* `poll`: what lies between two of these is waiting, and no work of this process. */
#define SCALE_CALL(call, poll)                                                                                         \
  ({                                                                                                                   \
    scale_away(poll);                                                                                                  \
    int scale_code_ = (call);                                                                                          \
    scale_back();                                                                                                      \
    scale_code_;                                                                                                       \
  })
#define SCALE_AWAY(call)         SCALE_CALL(call, false)
#define SCALE_POLL(call)         SCALE_CALL(call, true)
#define MPI_Allgather(...)       SCALE_AWAY(MPI_Allgather(__VA_ARGS__))
#define MPI_Allreduce(...)       SCALE_AWAY(MPI_Allreduce(__VA_ARGS__))
#define MPI_Barrier(...)         SCALE_AWAY(MPI_Barrier(__VA_ARGS__))
#define MPI_Bcast(...)           SCALE_AWAY(MPI_Bcast(__VA_ARGS__))
#define MPI_Comm_dup(...)        SCALE_AWAY(MPI_Comm_dup(__VA_ARGS__))
#define MPI_Comm_free(...)       SCALE_AWAY(MPI_Comm_free(__VA_ARGS__))
#define MPI_Comm_split_type(...) SCALE_AWAY(MPI_Comm_split_type(__VA_ARGS__))
#define MPI_Iallreduce(...)      SCALE_AWAY(scale_Iallreduce(__VA_ARGS__))
#define MPI_Ibarrier(...)        SCALE_AWAY(scale_Ibarrier(__VA_ARGS__))
#define MPI_Iprobe(...)          SCALE_POLL(MPI_Iprobe(__VA_ARGS__))
#define MPI_Irecv(...)           SCALE_AWAY(MPI_Irecv(__VA_ARGS__))
#define MPI_Isend(...)           SCALE_AWAY(scale_Isend(__VA_ARGS__))
#define MPI_Issend(...)          SCALE_AWAY(MPI_Issend(__VA_ARGS__))
#define MPI_Recv(...)            SCALE_AWAY(MPI_Recv(__VA_ARGS__))
#define MPI_Test(...)            SCALE_POLL(scale_Test(__VA_ARGS__))
#define MPI_Testall(...)         SCALE_POLL(MPI_Testall(__VA_ARGS__))
#define MPI_Testsome(...)        SCALE_POLL(MPI_Testsome(__VA_ARGS__))
#endif
