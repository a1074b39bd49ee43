/* What both ends and the doorbell stand on: sealed memory shared between processes, futexes, processes and notes.
 *
 * Memory is made by memfd_create and found by others as /proc/PID/fd/FD; it has no name, so nothing is left behind
 * whoever dies. It is allocated before use and sealed against changes of size, so that no access to it can raise
 * SIGBUS. */
#ifndef WEIR_CHANNEL_SHARED_H
#define WEIR_CHANNEL_SHARED_H
#include "core/futex.h"
#include "core/error.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* First in every segment: who made it, and would we read it as it was meant? */
typedef struct weir__shared_header {
  uint64_t magic;
  uint32_t version;
  uint32_t byte_order;   /* 0x01020304 as the maker writes it */
  uint32_t header_bytes; /* sizeof the whole fixed header: differs when a compiler lays it out differently */
  uint32_t unused;
  uint64_t total_bytes;
} weir__shared_header;

enum { WEIR__SHARED_VERSION = 1 };

/* Zeros, allocated, sealed, mapped; the header is filled. `what` is for messages ("control segment of stream 'ocean'").
 * WEIR_ERR_MEMORY: there is no room (asked for before, so that neither SIGBUS nor the out-of-memory killer answers). */
weir_status weir__shared_create(const char *what, uint64_t magic, size_t header_bytes, size_t total_bytes, int *fd,
                                void *memory);

/* Map the segment `fd` of process `pid` and check the header. `*bytes`: of the mapping. WEIR_ERR_GONE: no such process;
 * WEIR_ERR_IO: no access; WEIR_ERR_INPUT: not such a segment, of another version, or of another user. */
weir_status weir__shared_open(const char *what, int64_t pid, int fd, uint64_t magic, size_t header_bytes, void *memory,
                              size_t *bytes);
weir_status weir__shared_check(const char *what, const weir__shared_header *header, uint64_t magic, size_t header_bytes,
                               size_t mapped_bytes);
/* Unmap; takes the address of a pointer, which may be NULL, sets it to NULL. */
void weir__shared_unmap(void *memory, size_t bytes);
/* The descriptor, or another for the same file above 2: a host that closed its standard streams must not find us in
 * their place. */
int weir__above_standard(int fd);

/* Bytes that this process may still allocate: what the machine and the control groups leave. (room.c) */
uint64_t weir__shared_room(void);

/* ---- processes ---- */

/* When a process started, in clock ticks since boot (with the pid it names a process for ever); -1: there is none, or
 * it is dead and not waited for yet. */
int64_t            weir__process_start(int64_t pid);
static inline bool weir__process_alive(int64_t pid, int64_t start) { return weir__process_start(pid) == start; }

/* WEIR_ERR_INPUT: the process is another user's; WEIR_ERR_GONE: there is none. */
weir_status weir__process_ours(const char *what, int64_t pid);

/* ---- notes: tiny files RUN/channel/NAME that say where a segment is ---- */

typedef struct weir__note {
  int64_t pid, start;
  int     fd, size;
} weir__note;

/* Appears whole or not at all; makes the directory where it is missing. */
weir_status weir__note_write(const char *run_dir, const char *name, const weir__note *note);
/* WEIR_ERR_GONE: no such note; WEIR_ERR_INPUT: not one of ours. */
weir_status weir__note_read(const char *run_dir, const char *name, weir__note *note);
/* Remove the note, if it is still the one of `pid`. */
void weir__note_remove(const char *run_dir, const char *name, int64_t pid);
#endif
