/* The life of a stream. */
#include "stream.h"
#include "core/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double ATTACH_TIMEOUT = 60, ATTACH_TIMEOUT_MOST = 1e9; /* seconds */

/* ---- failing ---- */

weir_status client_note(weir_stream *stream, weir_status status) {
  if (status < 0) snprintf(stream->error, sizeof stream->error, "%s", weir_error_last());
  return status;
}

weir_status client_keep(weir_stream *stream, weir_status status) {
  client_note(stream, status);
  if (status < 0 && stream->in_step && !stream->why[0]) memcpy(stream->why, stream->error, sizeof stream->why);
  return status;
}

weir_status client_end(weir_stream *self) {
  if (self->writer) weir__writer_stats(self->writer, &self->last);
  if (self->writer) client_take_parameters(self);
  weir__writer_destroy(&self->writer, NULL);
  self->on = self->in_step = self->active = false;
  return client_note(self, client_engine_close(self));
}

weir_status client_disable(weir_stream *stream, weir_status status) {
  if (status == WEIR_END) return client_end(stream);
  client_keep(stream, status);
  if (getenv("WEIR_VERBOSE"))
    fprintf(stderr, "weir: stream '%s', rank %d: no analysis from here on: %s\n", stream->definitions.stream,
            stream->definitions.rank, stream->error);
  if (stream->writer) weir__writer_stats(stream->writer, &stream->last);
  if (stream->writer) client_take_parameters(stream);
  weir__writer_destroy(&stream->writer, stream->error);
  stream->on = stream->in_step = stream->active = false;
  if (client_engine_close(stream) < 0) (void)0; /* that it would fail is known */
  return status;
}

const char *weir_stream_error(const weir_stream *stream) { return stream ? stream->error : ""; }

/* ---- opening and closing ---- */

bool weir_restart_step(int64_t *step) {
  const char *text = getenv("WEIR_RESTART_STEP");
  int64_t     number;
  if (!text || !step || !weir__text_to_int64(text, &number)) return false;
  *step = number;
  return true;
}

static weir_status find_timeout(double option, int64_t *timeout_ns) {
  const char *text    = getenv("WEIR_ATTACH_TIMEOUT");
  double      seconds = option;
  if (!(option >= 0 && option <= ATTACH_TIMEOUT_MOST))
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "attach_timeout is %g s, expected 0 to %g", option, ATTACH_TIMEOUT_MOST);
  if (!option) seconds = ATTACH_TIMEOUT;
  if (!option && text && (!weir__text_to_double(text, &seconds) || !(seconds >= 0 && seconds <= ATTACH_TIMEOUT_MOST)))
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "WEIR_ATTACH_TIMEOUT is '%.40s', expected seconds, 0 to %g", text,
                     ATTACH_TIMEOUT_MOST);
  *timeout_ns = (int64_t)(seconds * 1e9);
  return WEIR_OK;
}

static void clear_table(client_table *table) {
  for (size_t f = 0; f < table->fields; f++) weir__free(table->mine[f].piece);
  weir__free(table->field);
  weir__free(table->mine);
  weir__free(table->piece);
}

static weir_status destroy(weir_stream *self) {
  if (!self) return WEIR_OK;
  weir__writer_destroy(&self->writer, NULL);
  weir_status status = client_engine_close(self);
  for (size_t p = 0; p < self->out.pieces; p++) weir__free(self->state[p].scratch);
  clear_table(&self->out);
  clear_table(&self->in);
  weir__free(self->state);
  weir__free(self->parameter);
  weir__free(self->value);
  weir__free(self->run);
  weir__arena_clear(&self->arena);
  weir__free(self);
  return status;
}

weir_status weir_stream_open(const char *name, int rank, int size, const weir_stream_options *options,
                             weir_stream **stream) {
  static const weir_stream_options defaults = {0};
  weir_status                      status   = WEIR_OK;
  weir_stream                     *self     = NULL;

  if (!stream) return WEIR_FAIL(WEIR_ERR_ARGUMENT, "weir_stream_open: stream is NULL");
  *stream = NULL;
  if (!options) options = &defaults;
  if (!client_is_name(name))
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "'%.80s' is no name for a stream: letters, digits and _, at most %d",
                     name ? name : "", WEIR__CHANNEL_NAME_MAX);
  if (size < 1 || rank < 0 || rank >= size)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "stream '%s': rank %d of %d processes", name, rank, size);
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  WEIR_TRY_GOTO(out, find_timeout(options->attach_timeout, &self->attach_timeout_ns));
  WEIR_TRY_GOTO(out, weir__arena_string(&self->arena, name, &self->definitions.stream));
  WEIR_TRY_GOTO(out, weir__arena_string(&self->arena, options->time_units, &self->definitions.time_units));
  WEIR_TRY_GOTO(out, weir__arena_string(&self->arena, options->calendar, &self->definitions.calendar));
  const char *run = options->run ? options->run : getenv("WEIR_RUN");
  WEIR_TRY_GOTO(out, weir__alloc_string(run && run[0] ? run : NULL, &self->run));
  self->definitions.rank = rank;
  self->definitions.size = size;
  self->has_comm         = options->has_comm;
  self->comm             = options->comm;
  self->on               = self->run != NULL;
  *stream                = self;
  self                   = NULL;
out:
  if (self) destroy(self);
  return status;
}

weir_status weir_stream_close(weir_stream **stream) {
  weir_status status = WEIR_OK;
  if (!stream || !*stream) return WEIR_OK;
  if ((*stream)->in_step) status = weir_step_end(*stream);
  weir_status ended = destroy(*stream);
  *stream           = NULL;
  return status ? status : ended;
}

void weir_stream_stats_get(const weir_stream *stream, weir_stream_stats *stats) {
  weir__channel_stats channel = {0};
  *stats                      = (weir_stream_stats){0};
  if (!stream) return;
  channel = stream->last;
  if (stream->writer) weir__writer_stats(stream->writer, &channel);
  *stats = (weir_stream_stats){.attached      = stream->writer != NULL,
                               .steps         = stream->count,
                               .published     = (int64_t)channel.published,
                               .dropped       = (int64_t)channel.dropped,
                               .spilled       = (int64_t)channel.spilled,
                               .bytes         = (int64_t)channel.bytes,
                               .attach_ns     = stream->attach_ns,
                               .blocked_ns    = channel.blocked_ns,
                               .copying_ns    = channel.copying_ns,
                               .segment_bytes = (int64_t)channel.segment_bytes};
}
