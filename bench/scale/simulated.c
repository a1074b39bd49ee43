/* A process among thousands that SimGrid runs in turn, in one thread: its clock, its memory, its sleep, and the
 * nonblocking collectives that SMPI lacks. Compiled for SimGrid alone. */
#include "scale/simulated.h"
#include "core/futex.h"
#include "scale/simulated_memory.h"
#undef calloc
#undef aligned_alloc
#undef realloc
#undef free
#include <malloc.h>
#include <mpi.h>
#include <simgrid/actor.h>
#include <stdio.h>
#include <string.h>

/* ---- processes ---- */

static struct process {
  int64_t      cpu_ns, since_ns; /* until it gave the thread away last; since it has it again */
  bool         polled;           /* what it did last */
  int64_t      bytes, most;
  struct sent *sent; /* by scale_Isend, the last first */
} * processes;
static int     count;
static int64_t ring_start, ring_period;
static int     rings;

static struct process *self(void) {
  static struct process nobody; /* before all, and SimGrid itself */
  aid_t                 id = processes ? sg_actor_self_get_pid() : 0;
  return id < 1 || id > count ? &nobody : &processes[id - 1];
}

void scale_open(int many) {
  if (processes) return;
  count     = many;
  processes = calloc((size_t)many, sizeof *processes);
  if (!processes) {
    fprintf(stderr, "scale: no memory\n");
    exit(1);
  }
}

/* The machine's clock: that of the simulation stands still while a process computes. */
static int64_t real_ns(void) {
  struct timespec now;
  (clock_gettime)(CLOCK_THREAD_CPUTIME_ID, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool timing(const struct process *p) { return p->since_ns != 0; }

int64_t scale_cpu_start(void) {
  struct process *p = self();
  p->cpu_ns         = 0;
  p->since_ns       = real_ns();
  return 0;
}

int64_t scale_cpu_stop(int64_t start) {
  struct process *p  = self();
  int64_t         ns = p->cpu_ns + real_ns() - p->since_ns;
  p->since_ns        = 0;
  return ns - start;
}

void scale_away(bool poll) {
  struct process *p = self();
  if (timing(p) && !(poll && p->polled)) p->cpu_ns += real_ns() - p->since_ns;
  p->polled = poll;
}

void scale_back(void) {
  struct process *p = self();
  if (timing(p)) p->since_ns = real_ns();
}

/* ---- memory ---- */

static void *counted(void *memory) {
  struct process *p = self();
  p->bytes += (int64_t)malloc_usable_size(memory);
  if (p->bytes > p->most) p->most = p->bytes;
  return memory;
}

void *scale_calloc(size_t many, size_t size) { return counted(calloc(many, size)); }
void *scale_aligned_alloc(size_t alignment, size_t size) { return counted(aligned_alloc(alignment, size)); }
void  scale_free(void *memory) {
   self()->bytes -= (int64_t)malloc_usable_size(memory);
   free(memory);
}
void *scale_realloc(void *old, size_t size) {
  int64_t before = (int64_t)malloc_usable_size(old);
  void   *memory = realloc(old, size);
  if (!memory) return NULL;
  self()->bytes -= before;
  return counted(memory);
}

int64_t scale_bytes(void) { return self()->bytes; }
int64_t scale_bytes_most(void) { return self()->most; }
void    scale_bytes_restart(void) { self()->most = self()->bytes; }

/* ---- sleep: src/core/futex.c of this machine ---- */

void scale_rings(int64_t start_ns, int64_t period_ns, int steps) {
  ring_start  = start_ns; /* the same from all */
  ring_period = period_ns;
  rings       = steps + 1;
}

/* Nobody shares a word here but a step that is published, which rings: sleep until then, or the time that was given.
 * The machine's sleep takes as long as was asked for, to the nanosecond. */
void weir__futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns, bool shared) {
  struct timespec now;
  (void)shared;
  if (atomic_load(word) != expected) return;
  if (timeout_ns < 0) {
    fprintf(stderr, "scale: a simulated process would sleep for ever\n");
    exit(1);
  }
  clock_gettime(CLOCK_MONOTONIC, &now);
  int64_t at   = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - ring_start;
  int64_t next = at < 0 ? 0 : ring_period > 0 ? at / ring_period + 1 : rings;
  if (next < rings && next * ring_period - at < timeout_ns) timeout_ns = next * ring_period - at;
  now = (struct timespec){timeout_ns / 1000000000, timeout_ns % 1000000000};
  nanosleep(&now, NULL);
}

void weir__futex_wake(_Atomic uint32_t *word, int many, bool shared) { (void)word, (void)many, (void)shared; }

/* ---- messages that are over when they are sent ---- */

struct sent {
  MPI_Request  request;
  struct sent *next;
  char         bytes[];
};

/* As MPI does with small ones, and the engine sends no others here: the bytes are copied, and nobody has to wait. */
int scale_Isend(const void *from, int many, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request *request) {
  struct process *p = self();
  int             width;
  MPI_Type_size(type, &width);
  struct sent *s = malloc(sizeof *s + (size_t)(many * width));
  if (!s) return MPI_ERR_NO_MEM;
  memcpy(s->bytes, from, (size_t)(many * width));
  s->next  = p->sent;
  p->sent  = s;
  *request = MPI_REQUEST_NULL;
  return MPI_Isend(s->bytes, many, type, to, tag, comm, &s->request);
}

void scale_close(void) {
  struct process *p = self();
  while (p->sent) {
    struct sent *s = p->sent;
    p->sent        = s->next;
    MPI_Wait(&s->request, MPI_STATUS_IGNORE);
    free(s);
  }
}

/* ---- nonblocking collectives: the least of all, up a binomial tree and down again ---- */

enum { CHILDREN = 20, VALUES = 16, TAG_UP = 1 << 20, TAG_DOWN };

/* Stands where the engine keeps an MPI_Request; told from those by where it lies. */
typedef struct round {
  MPI_Comm     comm;
  MPI_Datatype type;
  MPI_Op       op;
  int          many, parent, children, child[CHILDREN];
  char         value[CHILDREN + 2][VALUES * sizeof(int64_t)]; /* of each child; mine; the result */
  void        *to;
  MPI_Request  request[CHILDREN];
  enum { GATHERING, WAITING, TELLING } phase;
  struct round *next; /* free */
} round;

static round *rounds, *unused;
static size_t round_count;

static round *new_round(void) {
  if (!rounds) {
    round_count = 4 * (size_t)count; /* each is in at most three at a time */
    rounds      = calloc(round_count, sizeof *rounds);
    for (size_t i = 0; rounds && i < round_count; i++) {
      rounds[i].next = unused;
      unused         = &rounds[i];
    }
  }
  if (!unused) {
    fprintf(stderr, "scale: no memory for a collective\n");
    exit(1);
  }
  round *r = unused;
  unused   = r->next;
  return r;
}

enum { MINE = CHILDREN, RESULT };

int scale_Iallreduce(const void *from, void *to, int many, MPI_Datatype type, MPI_Op op, MPI_Comm comm,
                     MPI_Request *request) {
  round *r = new_round();
  int    rank, size, width;
  MPI_Comm_rank(comm, &rank);
  MPI_Comm_size(comm, &size);
  MPI_Type_size(type, &width);
  if (many * width > (int)sizeof r->value[0] || (many && from != MPI_IN_PLACE)) return MPI_ERR_ARG;
  *r = (round){.comm = comm, .type = type, .op = op, .many = many, .to = to, .parent = rank & (rank - 1)};
  if (many) memcpy(r->value[MINE], to, (size_t)(many * width));
  for (int step = 1; rank + step < size && (!rank || step < (rank & -rank)); step *= 2)
    r->child[r->children++] = rank + step;
  if (!rank) r->parent = -1;
  for (int i = 0; i < r->children; i++) MPI_Irecv(r->value[i], many, type, r->child[i], TAG_UP, comm, &r->request[i]);
  *request = (MPI_Request)r;
  return MPI_SUCCESS;
}

int scale_Ibarrier(MPI_Comm comm, MPI_Request *request) {
  return scale_Iallreduce(MPI_IN_PLACE, NULL, 0, MPI_INT64_T, MPI_MIN, comm, request);
}

static void tell(round *r) {
  for (int i = 0; i < r->children; i++)
    MPI_Isend(r->value[RESULT], r->many, r->type, r->child[i], TAG_DOWN, r->comm, &r->request[i]);
  r->phase = TELLING;
}

static int advance(round *r, int *done) {
  int ready = 0, code = MPI_SUCCESS;
  *done = 0;
  if (r->phase == GATHERING) {
    code = MPI_Testall(r->children, r->request, &ready, MPI_STATUSES_IGNORE);
    if (code != MPI_SUCCESS || !ready) return code;
    for (int i = 0; i < r->children && r->many; i++)
      MPI_Reduce_local(r->value[i], r->value[MINE], r->many, r->type, r->op);
    if (r->parent >= 0) {
      MPI_Isend(r->value[MINE], r->many, r->type, r->parent, TAG_UP, r->comm, &r->request[0]);
      MPI_Irecv(r->value[RESULT], r->many, r->type, r->parent, TAG_DOWN, r->comm, &r->request[1]);
      r->phase = WAITING;
    } else {
      memcpy(r->value[RESULT], r->value[MINE], sizeof r->value[0]);
      tell(r);
    }
  }
  if (r->phase == WAITING) {
    code = MPI_Testall(2, r->request, &ready, MPI_STATUSES_IGNORE);
    if (code != MPI_SUCCESS || !ready) return code;
    tell(r);
  }
  return MPI_Testall(r->children, r->request, done, MPI_STATUSES_IGNORE);
}

int scale_Test(MPI_Request *request, int *done, MPI_Status *status) {
  round *r = (round *)*request;
  *done    = *request == MPI_REQUEST_NULL; /* SMPI leaves `done` alone then, where no status is asked for */
  if (*done) return MPI_SUCCESS;
  if (!rounds || r < rounds || r >= rounds + round_count) return MPI_Test(request, done, status);
  int code = advance(r, done);
  if (code != MPI_SUCCESS || !*done) return code;
  if (r->many) {
    int width;
    MPI_Type_size(r->type, &width);
    memcpy(r->to, r->value[RESULT], (size_t)(r->many * width));
  }
  r->next  = unused;
  unused   = r;
  *request = MPI_REQUEST_NULL;
  return MPI_SUCCESS;
}
