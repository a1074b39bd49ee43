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
 * with its message; WEIR_ERR_MEMORY: no room for the data segment; WEIR_ERR_IO: no spill file. */
weir_status weir__writer_await(weir__writer *writer, int64_t timeout_ns);

/* Begin a step: `*active` says whether it will be published. When the terms say steering, a step that will be waits
 * until all is decided for it. WEIR_END, here and below: the analysis is complete; WEIR_ERR_GONE: the worker has left;
 * WEIR_ERR_TIMEOUT: it did not decide; WEIR_ERR_INPUT: what it decided is damaged. */
weir_status weir__writer_begin(weir__writer *writer, int64_t step, double time, bool *active);
/* Which region of the piece is wanted in this step? Static pieces: at all. NULL: none. Valid until the next begin. */
const weir_region *weir__writer_wanted(weir__writer *writer, int piece);
/* Where that region goes: a view of it (not dense where other steps want more). `data` is NULL when the step is left
 * out for want of room: then nothing is copied. The first call in a step finds a place for it, and may wait.
 * WEIR_ERR_TIMEOUT, WEIR_ERR_GONE: there is none any more. Static pieces never wait. */
weir_status weir__writer_view(weir__writer *writer, int piece, weir_view *view);
/* Do the terms say in_place? Then the address of a piece that is not static, whole and dense, is given instead. */
bool        weir__writer_in_place(const weir__writer *writer);
weir_status weir__writer_refer(weir__writer *writer, int piece, const void *data);
/* The region has been written (or would have been); `copying_ns` and its bytes go into the figures. */
void weir__writer_present(weir__writer *writer, int piece, int64_t copying_ns);
/* Publish the step. WEIR_ERR_STATE: as a tombstone, a wanted piece is missing: `why`, or if that is NULL, that.
 * WEIR_ERR_IO: as a tombstone, it could not be spilled. A step left out by policy is WEIR_OK. */
weir_status weir__writer_end(weir__writer *writer, const char *why);

/* The simulation has written a file from which it can go on after `step`: told with the next step that is published. */
void weir__writer_saved(weir__writer *writer, int64_t step);

/* The value of a parameter: that of the definitions, or what the last step that was to be published began with. */
double weir__writer_parameter(const weir__writer *writer, int index);
/* Fill `to`, which has the shape of that feedback piece, with the value meant for the step that has begun. WEIR_END:
 * there is none; WEIR_ERR_TIMEOUT: it has not come in the time that the terms give it; WEIR_ERR_GONE: no analysis any
 * more. */
weir_status weir__writer_feedback(weir__writer *writer, int feedback_piece, const weir_view *to);

void weir__writer_stats(const weir__writer *writer, weir__channel_stats *stats);

/* Say good-bye (`lost` not NULL: the analysis lacks the rest, and why), remove what was published, free. Waits at most
 * 5 s for a living worker that has not mapped published steps yet; when the workers are supervised and nothing is lost,
 * until the worker, or one that replaced it, has left or the channel is abandoned, up to the time-out. */
void weir__writer_destroy(weir__writer **writer, const char *lost);
#endif
