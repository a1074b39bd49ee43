/* The client's stream, shared by stream.c (life and definitions) and step.c (steps and puts). */
#ifndef WEIR_CLIENT_STREAM_H
#define WEIR_CLIENT_STREAM_H
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

struct weir_stream {
  char       *run; /* owned; NULL: no run, all calls do nothing */
  int64_t     attach_timeout_ns;
  weir__arena arena; /* definitions */

  weir__channel_definitions definitions; /* complete once closed */
  weir__channel_field      *field;       /* owned; parallel to client_field */
  client_field             *mine;        /* owned */
  size_t                    fields, field_capacity, mine_capacity;
  weir__channel_piece_of   *piece; /* owned; parallel to client_piece */
  client_piece             *state; /* owned */
  size_t                    pieces, piece_capacity, state_capacity;
  size_t                    last_found; /* field: puts come in the same order in every step */

  weir__writer *writer;          /* NULL before the first step and after the analysis has ended */
  bool          on;              /* there is a run, and the analysis has not ended early */
  bool          closed;          /* definitions */
  bool          in_step, active; /* active: the step will be published */
  int64_t       count, step;     /* steps begun; number of the last one */
  int64_t       attach_ns;

  weir__channel_stats last;                    /* figures of a writer that is gone */
  char                why[CLIENT_ERROR_MAX];   /* the first failed put of this step */
  char                error[CLIENT_ERROR_MAX]; /* the last failure */
};

/* Keep the message of a failure with the stream; returns `status`. */
weir_status client_keep(weir_stream *stream, weir_status status);
/* The analysis ends here, the simulation goes on. Keeps the message of `status`, returns it. */
weir_status client_disable(weir_stream *stream, weir_status status);
weir_status client_find(weir_stream *stream, const char *name, size_t *field);
/* Give a field without pieces the one it has by default. */
weir_status client_default_piece(weir_stream *stream, size_t field);
#endif
