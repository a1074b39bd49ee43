/* The process's end of a channel: what the client library is built on. One thread at a time. */
#ifndef WEIR_CHANNEL_WRITER_H
#define WEIR_CHANNEL_WRITER_H
#include "channel/channel.h"

typedef struct weir__writer weir__writer;

/* Publish the definitions (kept by reference until destroy) in the run directory.
 * WEIR_ERR_STATE: another living process is this rank of this stream already. */
weir_status weir__writer_create(const char *run_dir, const weir__channel_definitions *definitions,
                                weir__writer **writer);

/* Wait for the demands of a worker, then make the data segment. WEIR_ERR_TIMEOUT; WEIR_ERR_INPUT: the worker refused,
 * with its message; WEIR_ERR_MEMORY: no room for the data segment. */
weir_status weir__writer_await(weir__writer *writer, int64_t timeout_ns);

/* Begin a step: `*active` says whether it will be published. WEIR_ERR_GONE: the worker has left. */
weir_status weir__writer_begin(weir__writer *writer, int64_t step, double time, bool *active);
/* Is (a region of) the piece wanted in this step? Static pieces: at all. NULL: no. */
const weir_region *weir__writer_wanted(const weir__writer *writer, int piece);
/* Where that region goes, dense. Waits for a free slot if this step has none yet.
 * WEIR_ERR_TIMEOUT, WEIR_ERR_GONE: the ring stayed full. Static pieces never wait. */
weir_status weir__writer_region(weir__writer *writer, int piece, void **memory);
/* The region has been written; `copying_ns` and its bytes go into the figures. */
void weir__writer_present(weir__writer *writer, int piece, int64_t copying_ns);
/* Publish the step; `why` not NULL: as a tombstone. */
weir_status weir__writer_end(weir__writer *writer, const char *why);

void weir__writer_stats(const weir__writer *writer, weir__channel_stats *stats);

/* Say good-bye (`lost` not NULL: the analysis lacks the rest, and why), remove what was published, free. Waits at most
 * 5 s for a living worker that has not mapped published steps yet. */
void weir__writer_destroy(weir__writer **writer, const char *lost);
#endif
