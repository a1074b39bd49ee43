/* The client's stream, shared by stream.c (its life), fields.c (definitions), step.c (steps and puts) and steer.c (what
 * comes back). */
#ifndef WEIR_CLIENT_STREAM_H
#define WEIR_CLIENT_STREAM_H
#include "channel/engine.h"
#include "channel/writer.h"
#include <weir/client.h>

enum { CLIENT_ERROR_MAX = 512 };

typedef struct client_field {
  int   *piece; /* owned: stream-wide numbers of its pieces */
  size_t pieces, capacity;
  bool   touched; /* put before the first step: no further pieces */
} client_field;

typedef struct client_piece {
  int64_t put_in;      /* the step count (not number) in which it was put; 0: never */
  int64_t acquired_in; /* likewise */
  void   *acquired;    /* borrowed: slot or scratch */
  void   *scratch;     /* owned: dense, of the whole piece; NULL before it is needed */
} client_piece;

/* The fields of one direction. */
typedef struct client_table {
  weir__channel_field    *field; /* owned; parallel to client_field */
  client_field           *mine;  /* owned */
  size_t                  fields, field_capacity, mine_capacity;
  weir__channel_piece_of *piece; /* owned */
  size_t                  pieces, piece_capacity;
  size_t                  last_found; /* field: they are asked for in the same order in every step */
} client_table;

struct weir_stream {
  char       *run; /* owned; NULL: no run, all calls do nothing */
  int64_t     attach_timeout_ns;
  weir__arena arena; /* definitions */

  weir__channel_definitions definitions; /* complete once closed */
  client_table              out, in;     /* fields that are put; fields that come back */
  client_piece             *state;       /* owned; parallel to the pieces of `out` */
  size_t                    state_capacity;

  weir__channel_parameter *parameter; /* owned */
  double                  *value;     /* owned; of each while there is no writer: the last one */
  size_t                   parameters, parameter_capacity, value_capacity;

  weir__writer *writer;          /* NULL before the first step and after the analysis has ended */
  bool          on;              /* there is a run, and the analysis has not ended early */
  bool          closed;          /* definitions */
  bool          in_step, active; /* active: the step will be published */
  int64_t       count, step;     /* steps begun; number of the last one */
  int64_t       attach_ns;

  const weir__engine *engine; /* placement inline: loaded into this process; NULL: workers elsewhere */
  weir__hosted       *hosted; /* what it holds for this stream */
  bool                has_comm;
  int                 comm;

  weir__channel_stats last;                    /* figures of a writer that is gone */
  char                why[CLIENT_ERROR_MAX];   /* the first failed put of this step */
  char                error[CLIENT_ERROR_MAX]; /* the last failure */
};

/* Keep the message of a failure with the stream; returns `status`. */
weir_status client_note(weir_stream *stream, weir_status status);
/* The same for one that spoils the step: workers discard it. */
weir_status client_keep(weir_stream *stream, weir_status status);
/* The analysis ends here, the simulation goes on. Keeps the message of `status`, returns it (WEIR_END: client_end). */
weir_status client_disable(weir_stream *stream, weir_status status);
/* The same where the analysis is complete: WEIR_OK, or how an engine in this process failed to close. */
weir_status client_end(weir_stream *stream);
/* The parameters keep the values they have, though the writer goes. */
void client_take_parameters(weir_stream *stream);

bool        client_is_name(const char *name);
weir_status client_define_field(weir_stream *stream, client_table *table, const char *name,
                                const weir_field_options *options);
weir_status client_define_piece(weir_stream *stream, client_table *table, const char *name, const int64_t *start,
                                const int64_t *count, int *piece);
weir_status client_find(const weir_stream *stream, client_table *table, const char *name, size_t *field);
/* Give a field without pieces the one it has by default. */
weir_status client_default_piece(weir_stream *stream, client_table *table, size_t field);
/* Find a piece by its number in its field. `*piece` is -1 where a put is legal and does nothing. */
weir_status client_find_piece(weir_stream *stream, client_table *table, const char *name, int number, bool only,
                              int *piece);
/* Is this array of the type and shape of a piece? */
weir_status client_check_array(const client_table *table, int piece, const weir_array *array);
/* A view of an array that was checked. */
weir_view client_array_view(const client_table *table, int piece, const weir_array *array);
/* Dense memory of our own for a piece. */
weir_status client_need_scratch(weir_stream *stream, int piece);
weir_view   client_scratch_view(const weir_stream *stream, int piece);

/* ---- engine.c: placement inline. `status` is what has failed here, which all hear of ---- */
/* Nothing unless the environment asks for it. WEIR_ERR_UNAVAILABLE: there is no such library. */
weir_status client_engine_load(weir_stream *stream);
weir_status client_engine_open(weir_stream *stream, weir_status status);
weir_status client_engine_begin(weir_stream *stream, weir_status status);
weir_status client_engine_step(weir_stream *stream); /* WEIR_END: the analysis has ended early */
weir_status client_engine_close(weir_stream *stream);
weir_status client_refer(weir_stream *stream, int piece, const weir_view *whole);
#endif
