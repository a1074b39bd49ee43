/** @file weir/client.h  What a simulation calls to be analysed while it runs.
 *
 *  Each process opens a stream, defines fields and the pieces of them it holds, and at each step puts those pieces:
 *
 *  @code
 *  weir_stream_open("ocean", rank, size, NULL, &s);
 *  weir_field_define(s, "t", &(weir_field_options){
 *      .type  = {.dtype = WEIR_F64, .rank = 2, .dim = {{.name = "y", .size = ny}, {.name = "x", .size = nx}}},
 *      .start = (int64_t[]){j0, 0},
 *      .count = (int64_t[]){rows, nx}});
 *  weir_parameter_define(s, "wind", 1, 0, 3);
 *  for (...) {
 *    weir_step_begin(s, step, time);
 *    weir_parameter_get(s, "wind", &wind);
 *    weir_put(s, "t", &(weir_array){.data = t, .dtype = WEIR_F64, .rank = 2, .extent = {rows, nx}});
 *    weir_step_end(s);
 *  }
 *  weir_stream_close(&s);
 *  @endcode
 *
 *  What the recipe decides comes back as parameters and fields, for an exact step.
 *
 *  Without the environment variable WEIR_RUN (set by `weir run`) the calls do nothing. With it the first
 * weir_step_begin waits for the workers; from then on only what they asked for is copied, into memory shared with them.
 * All calls are *Local*: they never communicate with other processes of the simulation. They never abort, exit or print
 * (with WEIR_VERBOSE set, one line on stderr when the analysis ends early), start no thread, and need nothing but libc.
 * A status may be ignored: whatever happens, the simulation goes on. When the workers are lost, refuse, or do not come,
 * the call that finds out returns why, and all later ones do nothing and return WEIR_OK. Where a stream is expected
 * NULL is fine, too: an open that failed needs no special care.
 *
 *  Placement inline (the recipe's choice) is the exception to most of this: the analysis then runs in the processes of
 * the simulation, inside weir_step_end. The engine library is loaded at the first step; it uses MPI, on a duplicate of
 * the communicator given to weir_stream_open (none is needed for one process), and threads if the recipe says so. The
 * first weir_step_begin, weir_step_end and weir_stream_close are *Collective*, the latter before MPI_Finalize; and an
 * array that was put, unless it is static, stays as it is until weir_step_end.
 *
 *  One thread at a time may use a stream. Not to be used in a child process after fork(). */
#ifndef WEIR_CLIENT_H
#define WEIR_CLIENT_H
#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weir_stream weir_stream; /**< one process's share of a stream; ended by weir_stream_close() */

/** Optional properties of a stream. `{0}` is complete; texts are copied. */
typedef struct weir_stream_options {
  const char *run;            /**< the run directory; NULL: the environment variable WEIR_RUN */
  const char *time_units;     /**< of physical time, as "s" or "days since 1979-01-01"; NULL: unknown */
  const char *calendar;       /**< as in CF: "noleap", ...; NULL: unknown */
  double      attach_timeout; /**< seconds the first step waits for workers; 0: WEIR_ATTACH_TIMEOUT, or else 60 */
  bool        has_comm;       /**< `comm` is given. Only a run with placement inline looks at it, see above */
  int         comm; /**< a communicator of just these processes, in the order of their ranks: MPI_Comm_c2f(...) */
} weir_stream_options;

/** Open a stream, as process `rank` of `size` that will all do so.  Local.
 *  @param[in]  name    letters, digits, underscore; at most 63
 *  @param[out] stream  owned by the caller; NULL on failure
 *  @retval WEIR_ERR_ARGUMENT  bad name, rank, size or option
 *  @retval WEIR_ERR_MEMORY    an allocation failed */
WEIR_API weir_status weir_stream_open(const char *name, int rank, int size, const weir_stream_options *options,
                                      weir_stream **stream);

/** What a field is. All is copied. */
typedef struct weir_field_options {
  weir_field_type type; /**< `dtype`, `rank`, and of each dimension (slowest first) name and global size are needed */
  bool            is_static; /**< put once, before the end of the first step: masks, metrics, coordinates */
  const int64_t  *start;     /**< first global index, slowest axis first, and ... */
  const int64_t
      *count; /**< ... number of elements of the one piece this process holds (0: an empty one). NULL: the
                   pieces follow in weir_piece_define(). If there are none at the first step: the whole field when
                   size is 1, no piece otherwise. A scalar is held by rank 0; the others may put it as well. */
} weir_field_options;

/** Define a field; before the first weir_step_begin, alike on all processes (but for start and count).  Local.
 *  @retval WEIR_ERR_ARGUMENT  bad name, type, dimension or piece (start and count)
 *  @retval WEIR_ERR_STATE     the name exists, or steps have begun
 *  @retval WEIR_ERR_MEMORY    an allocation failed; the field does not exist */
WEIR_API weir_status weir_field_define(weir_stream *stream, const char *name, const weir_field_options *options);

/** Define a(nother) piece of a field: the box [start, start + count) of global indices.  Local.
 *  @param[out] piece  its number in this field on this process: 0, 1, ...; may be NULL
 *  @retval WEIR_ERR_ARGUMENT  no such field, or the box is not inside it
 *  @retval WEIR_ERR_STATE     steps have begun, or the field was put already
 *  @retval WEIR_ERR_MEMORY    an allocation failed */
WEIR_API weir_status weir_piece_define(weir_stream *stream, const char *field, const int64_t *start,
                                       const int64_t *count, int *piece);

/** Define a parameter that the recipe may change while the simulation runs; before the first weir_step_begin, alike on
 *  all processes.  Local.
 *  @param[in] value        at the start
 *  @param[in] least, most  its limits; may be infinite. It never leaves them.
 *  @retval WEIR_ERR_ARGUMENT  bad name; value not finite or not within the limits
 *  @retval WEIR_ERR_STATE     the name exists, or steps have begun
 *  @retval WEIR_ERR_MEMORY    an allocation failed; the parameter does not exist */
WEIR_API weir_status weir_parameter_define(weir_stream *stream, const char *name, double value, double least,
                                           double most);

/** The value of a parameter, the same on all processes in the same step, and constant between two calls of
 *  weir_step_begin. Changes come with steps that workers look at. Without a run it is the defined one; when the
 * analysis ends it stays as it is.  Local; may be called at any time.
 *  @param[out] value  untouched unless WEIR_OK is returned
 *  @retval WEIR_END           `stream` is NULL
 *  @retval WEIR_ERR_ARGUMENT  no such parameter */
WEIR_API weir_status weir_parameter_get(weir_stream *stream, const char *name, double *value);

/** Define a field that the analysis computes for the simulation (as the increments of a data assimilation), and the
 *  piece of it that this process wants; before the first weir_step_begin, alike on all processes (but for start and
 *  count). It has a name of its own among such fields, and may not be static. Whether it comes is up to the recipe.
 *  Local.
 *  @param[in] options  as in weir_field_define(); a scalar comes to all processes
 *  @retval as weir_field_define() */
WEIR_API weir_status weir_feedback_define(weir_stream *stream, const char *name, const weir_field_options *options);
/** Define a(nother) piece of it, as weir_piece_define() does.  Local. */
WEIR_API weir_status weir_feedback_piece_define(weir_stream *stream, const char *field, const int64_t *start,
                                                const int64_t *count, int *piece);

/** Begin a step. The first one ends the definitions and waits for the workers. In a run that steers (its recipe changes
 *  parameters, or gives fields back) a step that workers look at begins when all is decided for it; the wait ends as
 * that of weir_put() does.  Local.
 *  @param[in] step  number, above that of the step before
 *  @param[in] time  physical time, finite, in the units of the stream
 *  @retval WEIR_ERR_ARGUMENT  `step` not above the last one, `time` not finite: the step does not begin
 *  @retval WEIR_ERR_STATE     the step before was not ended (it is now); or this rank is open in another process
 *  When the analysis is complete (a rule ended the run, or another process has closed its stream, so that no step can
 * be whole any more) this and all other calls do nothing and return WEIR_OK: weir_stream_stats.attached tells.
 *  @retval WEIR_ERR_TIMEOUT   no worker came, or none decided; WEIR_ERR_INPUT: the workers refused (weir_stream_error()
 * tells why); WEIR_ERR_GONE: the worker broke off; WEIR_ERR_MEMORY, WEIR_ERR_IO: no shared memory: no analysis from now
 * on
 */
WEIR_API weir_status weir_step_begin(weir_stream *stream, int64_t step, double time);

typedef enum weir_memory { WEIR_MEMORY_HOST = 0 } weir_memory; /**< where an array lives */

/** An array of the simulation: `data` points at its first element. */
typedef struct weir_array {
  const void *data; /**< may be NULL when it is empty */
  weir_dtype  dtype;
  int         rank;
  int64_t     extent[WEIR_RANK_MAX]; /**< elements, slowest axis first: those of the piece */
  int64_t stride[WEIR_RANK_MAX]; /**< elements from one index to the next, may be negative; all 0: dense, row-major */
  weir_memory space;
} weir_array;

/** Put the piece of a field (the only one this process has) for this step: what workers want of it is copied.  Local.
 *  When the channel is full because the workers are behind, the recipe says what happens: the call waits up to a
 * time-out, the step goes to a local disk, or it is left out (which is WEIR_OK, and counted in weir_stream_stats).
 *  @retval WEIR_ERR_ARGUMENT  no such field or piece, other type or shape than defined
 *  @retval WEIR_ERR_STATE     outside a step, twice in a step, several pieces (use weir_put_piece), or static and too
 * late
 *  @retval WEIR_ERR_TIMEOUT   the channel stayed full; WEIR_ERR_GONE: the worker died and is not replaced, or the
 *          analysis was given up: no analysis from now on */
WEIR_API weir_status weir_put(weir_stream *stream, const char *field, const weir_array *array);
/** The same for piece number `piece` of several.  Local. */
WEIR_API weir_status weir_put_piece(weir_stream *stream, const char *field, int piece, const weir_array *array);

/** Instead of a put: memory to write the piece into, dense and row-major, contents undefined; inside the channel where
 * that is possible, so that nothing is copied. To be followed by weir_put_commit in the same step, after which it must
 * not be used.  Local.
 *  @param[out] data  writable whenever field and piece exist, whatever the status (also without workers); otherwise,
 * and when memory ran out, NULL. An empty piece gives NULL as well.
 *  @retval as weir_put(), and WEIR_ERR_MEMORY */
WEIR_API weir_status weir_put_acquire(weir_stream *stream, const char *field, int piece, void **data);
/** The acquired memory has been written: publish it with this step.  Local.
 *  @retval WEIR_ERR_ARGUMENT  no such field or piece; WEIR_ERR_STATE: not acquired in this step */
WEIR_API weir_status weir_put_commit(weir_stream *stream, const char *field, int piece);

/** Room for an array of the simulation: `data` points at where its first element goes. */
typedef struct weir_target {
  void       *data; /**< may be NULL when it is empty */
  weir_dtype  dtype;
  int         rank;
  int64_t     extent[WEIR_RANK_MAX]; /**< as in weir_array */
  int64_t     stride[WEIR_RANK_MAX]; /**< as in weir_array */
  weir_memory space;
} weir_target;

/** Fill the array with what was computed for this step of the only piece of a feedback field that this process has. To
 * be called between begin and end of a step, also several times. The array is untouched unless WEIR_OK is returned.
 *  When the value has not come yet, the recipe says what happens: the last one that came is taken again, zeros are, or
 *  the call waits up to a time-out. (With steering all that is meant for a step is there when it begins.)  Local.
 *  @retval WEIR_OK            the array holds the value
 *  @retval WEIR_END           there is none for this step: nothing was computed for it, nobody looks at this step, or
 *                             there is no analysis
 *  @retval WEIR_ERR_ARGUMENT  no such field or piece, other type or shape than defined
 *  @retval WEIR_ERR_STATE     outside a step, or several pieces (use weir_get_piece)
 *  @retval WEIR_ERR_TIMEOUT   it did not come in time; the step goes on
 *  @retval WEIR_ERR_GONE      while waiting for it the worker was lost: no analysis from now on */
WEIR_API weir_status weir_get(weir_stream *stream, const char *field, const weir_target *target);
/** The same for piece number `piece` of several.  Local. */
WEIR_API weir_status weir_get_piece(weir_stream *stream, const char *field, int piece, const weir_target *target);

/** Is any piece of this field on this process asked for in the step that has begun? To save computing what nobody
 * wants.  Local. */
WEIR_API bool weir_wanted(const weir_stream *stream, const char *field);

/** End the step and hand it to the worker.  Local.
 *  @retval WEIR_ERR_STATE    no step has begun; or a piece that was asked for was not put (rightly): workers discard
 * the step
 *  @retval WEIR_ERR_IO       the step could not be written to the local disk: workers discard it
 *  @retval WEIR_ERR_TIMEOUT, WEIR_ERR_GONE  as weir_put() */
WEIR_API weir_status weir_step_end(weir_stream *stream);

/** Say that the simulation has written a file from which it can go on after `step`: then the workers keep what they
 * need to go on from there as well. Without it a run that steers cannot be resumed with a simulation that was started
 * again. To be called by all processes alike, between the same two steps, once the file is safe. Two such files are
 * kept in mind, so keep the last two; weir_restart_step() tells a simulation that is started again which. Does nothing
 * before the first step, and without a run.  Local.
 *  @param[in] step  not below that of the last weir_step_begin()
 *  @retval WEIR_ERR_ARGUMENT  `step` is below the last one */
WEIR_API weir_status weir_stream_checkpoint(weir_stream *stream, int64_t step);
/** Is this simulation to go on from the file that it wrote after a certain step, as the workers do? To be asked before
 *  the first step. False: as it likes; `*step` is untouched then.  Local. */
WEIR_API bool weir_restart_step(int64_t *step);

/** End the stream and set `*stream` to NULL; a step that has begun is ended. Waits at most 5 s for its worker; in a
 *  run whose workers are replaced when they die (`weir run`), until all steps are safe with them, up to the time-out in
 * the recipe.  Local.
 *  @retval as weir_step_end() for that step */
WEIR_API weir_status weir_stream_close(weir_stream **stream);

/** The message of the last failure on this stream; "" if there was none. Valid until the next call on it.  Local. */
WEIR_API const char *weir_stream_error(const weir_stream *stream);

typedef struct weir_stream_stats {
  bool    attached;      /**< workers are analysing this stream */
  int64_t steps;         /**< begun */
  int64_t published;     /**< of these, handed to the worker (others nobody asked for) ... */
  int64_t dropped;       /**< ... of these, left out because there was no room, as the recipe wants */
  int64_t spilled;       /**< ... or written to a local disk until the worker reads them */
  int64_t bytes;         /**< copied or written in place */
  int64_t attach_ns;     /**< the first step waited for workers */
  int64_t blocked_ns;    /**< steps waited because the channel was full */
  int64_t copying_ns;    /**< spent in copies */
  int64_t segment_bytes; /**< of shared memory */
} weir_stream_stats;

/** Figures up to now.  Local. */
WEIR_API void weir_stream_stats_get(const weir_stream *stream, weir_stream_stats *stats);

#ifdef __cplusplus
}
#endif
#endif /* WEIR_CLIENT_H */
