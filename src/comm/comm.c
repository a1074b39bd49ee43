/* Two back ends behind one type: MPI when the build has it and the job has more than one process; otherwise one
 * process, for which every collective is the identity and no MPI function is called at all. */
#include "comm/comm_parts.h"
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct weir__agreement {
  const weir__comm *comm;
  int               count;
  bool              running;
#ifdef WEIR_HAVE_MPI
  MPI_Comm    handle;
  MPI_Request request;
#endif
  int64_t value[];
};

int weir__comm_rank(const weir__comm *comm) { return comm->rank; }
int weir__comm_size(const weir__comm *comm) { return comm->size; }
int weir__comm_node_rank(const weir__comm *comm) { return comm->node_rank; }
int weir__comm_node_size(const weir__comm *comm) { return comm->node_size; }

bool weir__comm_launched(void) {
  static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "PMI_RANK", NULL};
  for (const char *const *name = names; *name; name++)
    if (getenv(*name)) return true;
  return false;
}

weir_status weir__comm_self(weir__comm **comm) {
  weir__comm *self;
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  self->size = self->node_size = 1;
#ifdef WEIR_HAVE_MPI
  self->handle = self->node = MPI_COMM_NULL;
#endif
  *comm = self;
  return WEIR_OK;
}

void weir__comm_letters_free(weir__letter **letters, int count) {
  if (!*letters) return;
  for (int i = 0; i < count; i++) weir__free((*letters)[i].bytes);
  weir__free(*letters);
  *letters = NULL;
}

/* A letter to oneself needs no messenger. */
static weir_status keep_letter(const weir__letter *sent, int peer, weir__letter **list, size_t *capacity, int *count) {
  WEIR_TRY(weir__grow(list, (size_t)*count + 1, capacity, sizeof(weir__letter)));
  weir__letter *letter = &(*list)[*count];
  *letter              = (weir__letter){peer, sent->size, NULL};
  WEIR_TRY(weir__alloc_zeroed(sent->size ? sent->size : 1, 0, &letter->bytes));
  if (sent->size) memcpy(letter->bytes, sent->bytes, sent->size);
  ++*count;
  return WEIR_OK;
}

#ifdef WEIR_HAVE_MPI

weir_status weir__comm_failed(int code, const char *what) {
  char text[MPI_MAX_ERROR_STRING] = "?";
  int  length;
  MPI_Error_string(code, text, &length);
  return WEIR_FAIL(WEIR_ERR_COMM, "MPI: %s: %s", what, text);
}

/* `node`: its processes on this node, or MPI_COMM_NULL where they are not known yet. */
static weir_status adopt(MPI_Comm from, MPI_Comm node, bool finalize, weir__comm **comm) {
  weir__comm *self;
  WEIR_TRY(weir__comm_self(&self));
  self->finalize = finalize;
  int code       = MPI_Comm_dup(from, &self->handle);
  if (code == MPI_SUCCESS) code = MPI_Comm_set_errhandler(self->handle, MPI_ERRORS_RETURN);
  if (code == MPI_SUCCESS) code = MPI_Comm_rank(self->handle, &self->rank);
  if (code == MPI_SUCCESS) code = MPI_Comm_size(self->handle, &self->size);
  if (code == MPI_SUCCESS && self->size > 1) {
    if (node != MPI_COMM_NULL) code = MPI_Comm_dup(node, &self->node);
    else code = MPI_Comm_split_type(self->handle, MPI_COMM_TYPE_SHARED, self->rank, MPI_INFO_NULL, &self->node);
    if (code == MPI_SUCCESS) code = MPI_Comm_rank(self->node, &self->node_rank);
    if (code == MPI_SUCCESS) code = MPI_Comm_size(self->node, &self->node_size);
  }
  if (code != MPI_SUCCESS) {
    weir__free(self);
    return weir__comm_failed(code, "duplicating the communicator, or splitting it by nodes");
  }
  *comm = self;
  return WEIR_OK;
}

weir_status weir__comm_world(weir__comm **comm) {
  int  initialized, provided;
  bool ours = false;
  MPI_TRY(MPI_Initialized(&initialized));
  if (!initialized) {
    if (!weir__comm_launched()) return weir__comm_self(comm);
    MPI_TRY(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided));
    ours = true;
  }
  return adopt(MPI_COMM_WORLD, MPI_COMM_NULL, ours, comm);
}

/* The library that is loaded, by its own words, against the headers this was built with. Its answer is text, so that it
 * can be asked whichever library it is; no other function may be called before. */
static weir_status check_library(void) {
  char text[MPI_MAX_LIBRARY_VERSION_STRING + 1] = "", built[64];
  int  length                                   = 0;
#if defined(OPEN_MPI)
  snprintf(built, sizeof built, "Open MPI v%d.", OMPI_MAJOR_VERSION);
#elif defined(MPICH_VERSION)
  snprintf(built, sizeof built, "MPICH Version:");
#else
  built[0] = 0;
#endif
  MPI_Get_library_version(text, &length);
  text[strcspn(text, ",\n")] = 0;
  if (!built[0] || !strncmp(text, built, strlen(built))) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_UNAVAILABLE, "the simulation runs with \"%.80s\", but weir was built for \"%s\"", text,
                   built);
}

bool weir__comm_usable(void) {
  int initialized = 0, finalized = 0;
  return MPI_Initialized(&initialized) == MPI_SUCCESS && initialized && MPI_Finalized(&finalized) == MPI_SUCCESS &&
         !finalized;
}

weir_status weir__comm_from_fortran(int handle, weir__comm **comm) {
  MPI_Errhandler theirs;
  WEIR_TRY(check_library());
  if (!weir__comm_usable())
    return WEIR_FAIL(WEIR_ERR_STATE, "a communicator is given, but MPI is not initialised, or finalised already");
  MPI_Comm from = MPI_Comm_f2c((MPI_Fint)handle);
  bool     none = from == MPI_COMM_NULL;
#ifdef OPEN_MPI
  none = none || !from; /* what it makes of a handle that it never gave */
#endif
  if (none) return WEIR_FAIL(WEIR_ERR_ARGUMENT, "%d is no communicator", handle);
  MPI_TRY(MPI_Comm_get_errhandler(from, &theirs));
  MPI_TRY(MPI_Comm_set_errhandler(from, MPI_ERRORS_RETURN)); /* a failure in here must not end the host */
  weir_status status = adopt(from, MPI_COMM_NULL, false, comm);
  MPI_Comm_set_errhandler(from, theirs);
  MPI_Errhandler_free(&theirs);
  return status;
}

weir_status weir__comm_duplicate(weir__comm *comm, weir__comm **duplicate) {
  if (comm->size > 1) return adopt(comm->handle, comm->node, false, duplicate);
  return weir__comm_self(duplicate);
}

static void forget_notices(weir__comm *comm);

void weir__comm_destroy(weir__comm **comm) {
  weir__comm *self = *comm;
  if (!self) return;
  bool finalize = self->finalize;
  forget_notices(self); /* others are done: only a process that ended early may have left some */
  for (size_t i = 0; i < self->notices; i++) {
    MPI_Request_free(&self->notice[i].request);
    weir__free(self->notice[i].words);
  }
  weir__free(self->notice);
  if (self->node != MPI_COMM_NULL) MPI_Comm_free(&self->node);
  if (self->handle != MPI_COMM_NULL) MPI_Comm_free(&self->handle);
  weir__free(self);
  if (finalize) MPI_Finalize();
  *comm = NULL;
}

weir_status weir__comm_barrier(weir__comm *comm) {
  if (comm->size > 1) MPI_TRY(MPI_Barrier(comm->handle));
  return WEIR_OK;
}

weir_status weir__comm_max(weir__comm *comm, int64_t *values, int count) {
  if (comm->size > 1) MPI_TRY(MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_INT64_T, MPI_MAX, comm->handle));
  return WEIR_OK;
}

weir_status weir__comm_sum(weir__comm *comm, int64_t *values, int count) {
  if (comm->size > 1) MPI_TRY(MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_INT64_T, MPI_SUM, comm->handle));
  return WEIR_OK;
}

weir_status weir__comm_broadcast(weir__comm *comm, void *bytes, size_t size, int root) {
  enum { PIECE = 1 << 30 };
  if (comm->size == 1) return WEIR_OK;
  for (size_t at = 0; at < size; at += PIECE) {
    size_t n = size - at < PIECE ? size - at : PIECE;
    MPI_TRY(MPI_Bcast((char *)bytes + at, (int)n, MPI_BYTE, root, comm->handle));
  }
  return WEIR_OK;
}

weir_status weir__comm_agree(weir__comm *comm, weir_status status) {
  if (comm->size == 1) return status;
  struct {
    int  status;
    char message[1024];
  } failure = {0};
  int mine  = status < 0 ? comm->rank : comm->size, lowest;
  MPI_TRY(MPI_Allreduce(&mine, &lowest, 1, MPI_INT, MPI_MIN, comm->handle));
  if (lowest == comm->size) return status;
  if (comm->rank == lowest) {
    failure.status = (int)status;
    strncpy(failure.message, weir_error_last(), sizeof failure.message - 1);
  }
  WEIR_TRY(weir__comm_broadcast(comm, &failure, sizeof failure, lowest));
  return WEIR_FAIL((weir_status)failure.status, "%s", failure.message);
}

weir_status weir__comm_mates(weir__comm *comm, const int64_t word[2], weir__comm_mate **mates) {
  weir__comm_mate mine = {comm->rank, {word[0], word[1]}}, *list = NULL;
  weir_status     status = weir__comm_agree(comm, weir__alloc_array((size_t)comm->node_size, sizeof *list, &list));
  if (status >= 0 && comm->size == 1) *list = mine;
  else if (status >= 0 && MPI_Allgather(&mine, 3, MPI_INT64_T, list, 3, MPI_INT64_T, comm->node) != MPI_SUCCESS)
    status = WEIR_FAIL(WEIR_ERR_COMM, "MPI: gathering from the processes of this node failed");
  if (status < 0) weir__free(list);
  else *mates = list;
  return status;
}

weir_status weir__agreement_create(weir__comm *comm, int count, weir__agreement **agreement) {
  weir__agreement *self;
  weir_status      status = weir__alloc_zeroed(sizeof *self + (size_t)count * sizeof *self->value, 0, &self);
  WEIR_TRY(weir__comm_agree(comm, status));
  self->comm   = comm;
  self->count  = count;
  self->handle = MPI_COMM_NULL;
  *agreement   = self;
  if (comm->size == 1) return WEIR_OK;
  MPI_TRY(MPI_Comm_dup(comm->handle, &self->handle));
  MPI_TRY(MPI_Comm_set_errhandler(self->handle, MPI_ERRORS_RETURN));
  return WEIR_OK;
}

weir_status weir__agreement_start(weir__agreement *self, const int64_t *values) {
  memcpy(self->value, values, (size_t)self->count * sizeof *values);
  self->running = true;
  if (self->comm->size > 1)
    MPI_TRY(MPI_Iallreduce(MPI_IN_PLACE, self->value, self->count, MPI_INT64_T, MPI_MIN, self->handle, &self->request));
  return WEIR_OK;
}

bool weir__agreement_running(const weir__agreement *agreement) { return agreement->running; }

weir_status weir__agreement_test(weir__agreement *self, bool *done, const int64_t **result) {
  int completed = self->running;
  if (self->running && self->comm->size > 1) MPI_TRY(MPI_Test(&self->request, &completed, MPI_STATUS_IGNORE));
  if (completed) self->running = false;
  *done   = completed;
  *result = self->value;
  return WEIR_OK;
}

void weir__agreement_destroy(weir__agreement **agreement) {
  weir__agreement *self = *agreement;
  if (!self) return;
  if (self->handle != MPI_COMM_NULL) MPI_Comm_free(&self->handle);
  weir__free(self);
  *agreement = NULL;
}

/* ---- notices ---- */

static void forget_notices(weir__comm *comm) {
  size_t kept = 0;
  for (size_t i = 0; i < comm->notices; i++) {
    int done = 0;
    if (MPI_Test(&comm->notice[i].request, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done)
      weir__free(comm->notice[i].words);
    else comm->notice[kept++] = comm->notice[i];
  }
  comm->notices = kept;
}

/* To our children in the binomial tree whose root is process `root`. */
static weir_status pass_notice(weir__comm *comm, const int64_t words[WEIR__NOTICE_WORDS], int root) {
  int place = (comm->rank - root + comm->size) % comm->size;
  forget_notices(comm);
  for (int step = 1; step < comm->size; step *= 2) {
    weir__notice_sent sent;
    if (place >= step) continue; /* a child joins at the first power of two above its place */
    if (place + step >= comm->size) break;
    WEIR_TRY(weir__grow(&comm->notice, comm->notices + 1, &comm->notice_capacity, sizeof *comm->notice));
    WEIR_TRY(weir__alloc_array(WEIR__NOTICE_WORDS + 1, sizeof *sent.words, &sent.words));
    memcpy(sent.words, words, WEIR__NOTICE_WORDS * sizeof *words);
    sent.words[WEIR__NOTICE_WORDS] = root;
    int code = MPI_Isend(sent.words, WEIR__NOTICE_WORDS + 1, MPI_INT64_T, (place + step + root) % comm->size,
                         TAG_NOTICE, comm->handle, &sent.request);
    if (code != MPI_SUCCESS) {
      weir__free(sent.words);
      return weir__comm_failed(code, "sending a notice");
    }
    comm->notice[comm->notices++] = sent;
  }
  return WEIR_OK;
}

weir_status weir__comm_notice_send(weir__comm *comm, const int64_t words[WEIR__NOTICE_WORDS]) {
  if (comm->size == 1) return WEIR_OK;
  comm->told++;
  return pass_notice(comm, words, comm->rank);
}

weir_status weir__comm_notice_receive(weir__comm *comm, int64_t words[WEIR__NOTICE_WORDS], bool *some) {
  int64_t    said[WEIR__NOTICE_WORDS + 1];
  int        waiting = 0;
  MPI_Status about;
  *some = false;
  if (comm->size == 1) return WEIR_OK;
  MPI_TRY(MPI_Iprobe(MPI_ANY_SOURCE, TAG_NOTICE, comm->handle, &waiting, &about));
  if (!waiting) return WEIR_OK;
  MPI_TRY(MPI_Recv(said, WEIR__NOTICE_WORDS + 1, MPI_INT64_T, about.MPI_SOURCE, TAG_NOTICE, comm->handle,
                   MPI_STATUS_IGNORE));
  memcpy(words, said, WEIR__NOTICE_WORDS * sizeof *words);
  *some = true;
  comm->heard++;
  return pass_notice(comm, said, (int)said[WEIR__NOTICE_WORDS]);
}

weir_status weir__comm_notices_end(weir__comm *comm) {
  int64_t words[WEIR__NOTICE_WORDS], all = comm->told;
  bool    some;
  WEIR_TRY(weir__comm_sum(comm, &all, 1));
  while (comm->told + comm->heard < all) {
    WEIR_TRY(weir__comm_notice_receive(comm, words, &some));
    if (!some) sched_yield();
  }
  comm->told = comm->heard = 0;
  return weir__comm_barrier(comm); /* who still waits must not take what is sent next */
}

/* Take one letter if one is waiting. */
static weir_status take_letter(weir__comm *comm, weir__letter **list, size_t *capacity, int *count) {
  int        waiting, size, tag = TAG_LETTER + comm->exchanges % 2;
  MPI_Status about;
  MPI_TRY(
      MPI_Iprobe(MPI_ANY_SOURCE, tag, comm->handle, &waiting, &about)); /* one thread receives: none takes it first */
  if (!waiting) return WEIR_OK;
  MPI_TRY(MPI_Get_count(&about, MPI_BYTE, &size));
  WEIR_TRY(weir__grow(list, (size_t)*count + 1, capacity, sizeof(weir__letter)));
  weir__letter *letter = &(*list)[*count];
  *letter              = (weir__letter){about.MPI_SOURCE, (size_t)size, NULL};
  WEIR_TRY(weir__alloc_zeroed((size_t)size + 1, 0, &letter->bytes));
  ++*count;
  MPI_TRY(MPI_Recv(letter->bytes, size, MPI_BYTE, about.MPI_SOURCE, tag, comm->handle, MPI_STATUS_IGNORE));
  return WEIR_OK;
}

/* Nonblocking consensus: synchronous sends, then a nonblocking barrier once all of one's own are matched (Hoefler,
 * Siebert & Lumsdaine 2010, "Scalable communication protocols for dynamic sparse data exchange",
 * doi 10.1145/1693453.1693476). */
static weir_status consensus(weir__comm *comm, MPI_Request *request, int sent, weir__letter **list, size_t *capacity,
                             int *count) {
  MPI_Request barrier = MPI_REQUEST_NULL;
  for (int done = 0; !done;) {
    WEIR_TRY(take_letter(comm, list, capacity, count));
    if (barrier == MPI_REQUEST_NULL) {
      int matched;
      MPI_TRY(MPI_Testall(sent, request, &matched, MPI_STATUSES_IGNORE));
      if (matched) MPI_TRY(MPI_Ibarrier(comm->handle, &barrier));
    } else {
      MPI_TRY(MPI_Test(&barrier, &done, MPI_STATUS_IGNORE));
    }
    if (!done) sched_yield();
  }
  return WEIR_OK;
}

weir_status weir__comm_exchange(weir__comm *comm, const weir__letter *sent, int sent_count, weir__letter **received,
                                int *received_count) {
  weir_status   status   = WEIR_OK;
  weir__letter *list     = NULL;
  MPI_Request  *request  = NULL;
  size_t        capacity = 0;
  int           count = 0, posted = 0;
  WEIR_TRY(weir__alloc_array((size_t)sent_count + 1, sizeof *request, &request));
  for (int i = 0; i < sent_count; i++) {
    if (sent[i].peer == comm->rank) {
      WEIR_TRY_GOTO(out, keep_letter(&sent[i], comm->rank, &list, &capacity, &count));
      continue;
    }
    if (sent[i].size > INT32_MAX) {
      status = WEIR_FAIL(WEIR_ERR_OVERFLOW, "a letter of %zu bytes is too long", sent[i].size);
      goto out;
    }
    int code = MPI_Issend(sent[i].bytes, (int)sent[i].size, MPI_BYTE, sent[i].peer, TAG_LETTER + comm->exchanges % 2,
                          comm->handle, &request[posted++]);
    if (code != MPI_SUCCESS) {
      status = weir__comm_failed(code, "MPI_Issend");
      goto out;
    }
  }
  if (comm->size > 1) WEIR_TRY_GOTO(out, consensus(comm, request, posted, &list, &capacity, &count));
  *received       = list;
  *received_count = count;
  list            = NULL;
out:
  comm->exchanges++;
  weir__comm_letters_free(&list, count);
  weir__free(request);
  return status;
}

#else /* one process only */

weir_status weir__comm_alone(void) {
  return WEIR_FAIL(WEIR_ERR_UNAVAILABLE,
                   "this build of weir has no MPI: configure with -DWEIR_MPI=ON for several workers");
}

weir_status weir__comm_world(weir__comm **comm) {
  return weir__comm_launched() ? weir__comm_alone() : weir__comm_self(comm);
}
bool        weir__comm_usable(void) { return true; }
weir_status weir__comm_from_fortran(int handle, weir__comm **comm) {
  (void)handle, (void)comm;
  return weir__comm_alone();
}
weir_status weir__comm_duplicate(weir__comm *comm, weir__comm **duplicate) {
  (void)comm;
  return weir__comm_self(duplicate);
}
void weir__comm_destroy(weir__comm **comm) {
  weir__free(*comm);
  *comm = NULL;
}
weir_status weir__comm_barrier(weir__comm *comm) {
  (void)comm;
  return WEIR_OK;
}
weir_status weir__comm_max(weir__comm *comm, int64_t *values, int count) {
  (void)comm, (void)values, (void)count;
  return WEIR_OK;
}
weir_status weir__comm_sum(weir__comm *comm, int64_t *values, int count) {
  (void)comm, (void)values, (void)count;
  return WEIR_OK;
}
weir_status weir__comm_broadcast(weir__comm *comm, void *bytes, size_t size, int root) {
  (void)comm, (void)bytes, (void)size, (void)root;
  return WEIR_OK;
}
weir_status weir__comm_agree(weir__comm *comm, weir_status status) {
  (void)comm;
  return status;
}
weir_status weir__comm_exchange(weir__comm *comm, const weir__letter *sent, int sent_count, weir__letter **received,
                                int *received_count) {
  weir_status   status   = WEIR_OK;
  weir__letter *list     = NULL;
  size_t        capacity = 0;
  int           count    = 0;
  for (int i = 0; i < sent_count && status >= 0; i++)
    status = keep_letter(&sent[i], comm->rank, &list, &capacity, &count);
  if (status < 0) {
    weir__comm_letters_free(&list, count);
    return status;
  }
  *received       = list;
  *received_count = count;
  return WEIR_OK;
}
weir_status weir__comm_mates(weir__comm *comm, const int64_t word[2], weir__comm_mate **mates) {
  WEIR_TRY(weir__alloc_array((size_t)comm->node_size, sizeof **mates, mates));
  **mates = (weir__comm_mate){comm->rank, {word[0], word[1]}};
  return WEIR_OK;
}
weir_status weir__agreement_create(weir__comm *comm, int count, weir__agreement **agreement) {
  weir__agreement *self;
  WEIR_TRY(weir__alloc_zeroed(sizeof *self + (size_t)count * sizeof *self->value, 0, &self));
  self->comm  = comm;
  self->count = count;
  *agreement  = self;
  return WEIR_OK;
}
weir_status weir__agreement_start(weir__agreement *self, const int64_t *values) {
  memcpy(self->value, values, (size_t)self->count * sizeof *values);
  self->running = true;
  return WEIR_OK;
}
bool        weir__agreement_running(const weir__agreement *agreement) { return agreement->running; }
weir_status weir__agreement_test(weir__agreement *self, bool *done, const int64_t **result) {
  *done         = self->running;
  self->running = false;
  *result       = self->value;
  return WEIR_OK;
}
void weir__agreement_destroy(weir__agreement **agreement) {
  weir__free(*agreement);
  *agreement = NULL;
}
weir_status weir__comm_notice_send(weir__comm *comm, const int64_t words[WEIR__NOTICE_WORDS]) {
  (void)comm, (void)words;
  return WEIR_OK;
}
weir_status weir__comm_notice_receive(weir__comm *comm, int64_t words[WEIR__NOTICE_WORDS], bool *some) {
  (void)comm, (void)words;
  *some = false;
  return WEIR_OK;
}
weir_status weir__comm_notices_end(weir__comm *comm) {
  (void)comm;
  return WEIR_OK;
}
#endif
