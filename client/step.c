/* Steps and puts. */
#include "core/clock.h"
#include "stream.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- scratch and copies ---- */

weir_status client_need_scratch(weir_stream *self, int piece) {
  const weir__channel_piece_of *of    = &self->out.piece[piece];
  client_piece                 *state = &self->state[piece];
  if (state->scratch) return WEIR_OK;
  size_t bytes = (size_t)weir__region_size(&of->region) * weir_dtype_size(self->out.field[of->field].type.dtype);
  return weir__alloc_zeroed(bytes, 64, &state->scratch);
}

/* Copy what is wanted of a piece from `whole`, a view of all of it, to its place in the channel. A step that is left
 * out for want of room has none. */
static weir_status copy_wanted(weir_stream *self, int piece, const weir_view *whole, const weir_region *region) {
  weir_view to;
  if (self->engine && !self->out.field[self->out.piece[piece].field].is_static) return client_refer(self, piece, whole);
  weir_status status = weir__writer_view(self->writer, piece, &to);
  if (status) return status;
  int64_t spent = 0;
  if (to.data) {
    weir_view from  = weir__view_narrow(whole, region);
    int64_t   begin = weir__clock_ns();
    weir__view_copy(&to, &from);
    spent = weir__clock_ns() - begin;
  }
  weir__writer_present(self->writer, piece, spent);
  return WEIR_OK;
}

weir_view client_scratch_view(const weir_stream *self, int piece) {
  const weir__channel_piece_of *of = &self->out.piece[piece];
  return weir__view_dense(self->state[piece].scratch, &self->out.field[of->field].type, &of->region);
}

/* ---- beginning ---- */

/* Static pieces put before the workers were there. */
static weir_status send_statics(weir_stream *self) {
  for (size_t p = 0; p < self->out.pieces; p++) {
    const weir_region *region = self->state[p].put_in ? weir__writer_wanted(self->writer, (int)p) : NULL;
    if (!self->state[p].put_in) continue;
    weir_view view = client_scratch_view(self, (int)p);
    if (region) WEIR_TRY(copy_wanted(self, (int)p, &view, region));
    weir__free(self->state[p].scratch);
    self->state[p].scratch = NULL;
  }
  return WEIR_OK;
}

static weir_status close_definitions(weir_stream *self, int64_t step) {
  int64_t begin = weir__clock_ns();
  for (size_t f = 0; f < self->out.fields; f++) WEIR_TRY(client_default_piece(self, &self->out, f));
  for (size_t f = 0; f < self->in.fields; f++) WEIR_TRY(client_default_piece(self, &self->in, f));
  self->closed                 = true;
  weir__channel_definitions *d = &self->definitions;
  d->first_step                = step;
  d->field                     = self->out.field;
  d->fields                    = (int)self->out.fields;
  d->piece                     = self->out.piece;
  d->pieces                    = (int)self->out.pieces;
  d->parameter                 = self->parameter;
  d->parameters                = (int)self->parameters;
  d->feedback                  = self->in.field;
  d->feedbacks                 = (int)self->in.fields;
  d->feedback_piece            = self->in.piece;
  d->feedback_pieces           = (int)self->in.pieces;
  WEIR_TRY(client_engine_load(self));
  weir_status status = weir__writer_create(self->run, &self->definitions, &self->writer);
  if (self->engine) status = client_engine_open(self, status);
  WEIR_TRY(status);
  status          = weir__writer_await(self->writer, self->attach_timeout_ns);
  self->attach_ns = weir__clock_ns() - begin;
  if (self->engine) status = client_engine_begin(self, status);
  return status ? status : send_statics(self);
}

weir_status weir_step_begin(weir_stream *stream, int64_t step, double time) {
  weir_status late = WEIR_OK;
  if (!stream || !stream->on) return WEIR_OK;
  if (stream->in_step) {
    int64_t open = stream->step;
    weir_step_end(stream); /* so that all processes go on counting alike */
    if (!stream->on) return WEIR_OK;
    late = client_keep(
        stream, WEIR_FAIL(WEIR_ERR_STATE, "step %" PRId64 " begins, but step %" PRId64 " was not ended", step, open));
  }
  if (!isfinite(time))
    return client_keep(stream, WEIR_FAIL(WEIR_ERR_ARGUMENT, "step %" PRId64 ": its time is not finite", step));
  if (stream->count && step <= stream->step)
    return client_keep(stream,
                       WEIR_FAIL(WEIR_ERR_ARGUMENT, "step %" PRId64 " follows step %" PRId64 ", but numbers must grow",
                                 step, stream->step));
  if (!stream->closed) {
    weir_status status = close_definitions(stream, step);
    if (status) return client_disable(stream, status);
  }
  weir_status status = weir__writer_begin(stream->writer, step, time, &stream->active);
  if (status) return client_disable(stream, status);
  stream->in_step = true;
  stream->why[0]  = 0;
  stream->step    = step;
  stream->count++;
  return late;
}

/* ---- putting ---- */

/* May this piece be put now? */
static weir_status check_time(weir_stream *self, int piece) {
  const weir__channel_field *field = &self->out.field[self->out.piece[piece].field];
  const client_piece        *state = &self->state[piece];
  if (field->is_static) {
    if (state->put_in) return WEIR_FAIL(WEIR_ERR_STATE, "static field '%s' was put twice", field->name);
    if (self->closed && !(self->in_step && self->count == 1))
      return WEIR_FAIL(WEIR_ERR_STATE, "static field '%s' was put after the first step", field->name);
    return WEIR_OK;
  }
  if (!self->in_step) return WEIR_FAIL(WEIR_ERR_STATE, "field '%s' was put outside a step", field->name);
  if (state->put_in == self->count)
    return WEIR_FAIL(WEIR_ERR_STATE, "field '%s' was put twice in step %" PRId64, field->name, self->step);
  return WEIR_OK;
}

/* A failure that `*fatal` tells apart: the channel is lost, rather than one put wrong. */
static weir_status put(weir_stream *self, const char *name, int number, bool only, const weir_array *array,
                       bool *fatal) {
  int piece;
  WEIR_TRY(client_find_piece(self, &self->out, name, number, only, &piece));
  if (piece < 0) return WEIR_OK;
  WEIR_TRY(check_time(self, piece));
  WEIR_TRY(client_check_array(&self->out, piece, array));
  if (!self->closed) { /* static, and the workers are not there yet */
    WEIR_TRY(client_need_scratch(self, piece));
    weir_view to = client_scratch_view(self, piece), from = client_array_view(&self->out, piece, array);
    weir__view_copy(&to, &from);
    self->out.mine[self->out.piece[piece].field].touched = true;
    self->state[piece].put_in                            = 1;
    return WEIR_OK;
  }
  const weir_region *region = weir__writer_wanted(self->writer, piece);
  if (region) {
    weir_view   view   = client_array_view(&self->out, piece, array);
    weir_status status = copy_wanted(self, piece, &view, region);
    *fatal             = true;
    if (status) return status;
  }
  self->state[piece].put_in = self->count;
  return WEIR_OK;
}

/* With an engine in here nobody leaves alone: the step is discarded everywhere. */
static weir_status lost_put(weir_stream *stream, weir_status status, bool fatal) {
  return fatal && !stream->engine ? client_disable(stream, status) : client_keep(stream, status);
}

static weir_status put_and_keep(weir_stream *stream, const char *field, int piece, bool only, const weir_array *array) {
  bool        fatal  = false;
  weir_status status = put(stream, field, piece, only, array, &fatal);
  if (!status) return WEIR_OK;
  return lost_put(stream, status, fatal);
}

weir_status weir_put(weir_stream *stream, const char *field, const weir_array *array) {
  if (!stream || !stream->on) return WEIR_OK;
  return put_and_keep(stream, field, 0, true, array);
}

weir_status weir_put_piece(weir_stream *stream, const char *field, int piece, const weir_array *array) {
  if (!stream || !stream->on) return WEIR_OK;
  return put_and_keep(stream, field, piece, false, array);
}

/* ---- writing in place ---- */

weir_status weir_put_acquire(weir_stream *stream, const char *field, int number, void **data) {
  weir_status status;
  int         piece;
  if (!data) return WEIR_FAIL(WEIR_ERR_ARGUMENT, "weir_put_acquire: data is NULL");
  *data = NULL;
  if (!stream) return WEIR_FAIL(WEIR_ERR_ARGUMENT, "weir_put_acquire: without a stream there is no shape");
  status = client_find_piece(stream, &stream->out, field, number, false, &piece);
  if (!status && piece < 0) status = WEIR_FAIL(WEIR_ERR_ARGUMENT, "field '%s' is a scalar: rank 0 holds it", field);
  if (status) return client_keep(stream, status);
  client_piece *state = &stream->state[piece];
  if (stream->on) status = check_time(stream, piece);
  const weir_region *region = NULL;
  if (stream->on && !status && stream->closed) region = weir__writer_wanted(stream->writer, piece);
  if (region && !stream->engine && weir__region_equal(region, &stream->out.piece[piece].region)) {
    weir_view view;
    status = weir__writer_view(stream->writer, piece, &view);
    if (!status && view.data) {
      *data = state->acquired = view.data;
      state->acquired_in      = stream->count;
      return WEIR_OK;
    }
    if (status) status = client_disable(stream, status);
  }
  weir_status room = client_need_scratch(stream, piece);
  if (room) return client_keep(stream, room);
  *data = state->acquired = state->scratch;
  state->acquired_in      = stream->closed ? stream->count : -1;
  if (status) state->acquired_in = 0; /* writable, but not to be committed */
  return client_keep(stream, status);
}

static weir_status commit(weir_stream *self, const char *field, int number, bool *fatal) {
  int piece;
  WEIR_TRY(client_find_piece(self, &self->out, field, number, false, &piece));
  if (piece < 0) return WEIR_OK;
  client_piece *state = &self->state[piece];
  if (!state->acquired_in || state->acquired_in != (self->closed ? self->count : -1))
    return WEIR_FAIL(WEIR_ERR_STATE, "field '%s', piece %d: committed, but not acquired in this step", field, number);
  WEIR_TRY(check_time(self, piece));
  state->acquired_in = 0;
  if (!self->closed) { /* static: sent from the scratch at the first step */
    self->out.mine[self->out.piece[piece].field].touched = true;
    state->put_in                                        = 1;
    return WEIR_OK;
  }
  const weir_region *region = weir__writer_wanted(self->writer, piece);
  if (region && state->acquired != state->scratch) {
    weir__writer_present(self->writer, piece, 0);
  } else if (region) {
    weir_view   view   = client_scratch_view(self, piece);
    weir_status status = copy_wanted(self, piece, &view, region);
    *fatal             = true;
    if (status) return status;
  }
  state->put_in = self->count;
  return WEIR_OK;
}

weir_status weir_put_commit(weir_stream *stream, const char *field, int piece) {
  bool fatal = false;
  if (!stream || !stream->on) return WEIR_OK;
  weir_status status = commit(stream, field, piece, &fatal);
  if (!status) return WEIR_OK;
  return lost_put(stream, status, fatal);
}

bool weir_wanted(const weir_stream *stream, const char *field) {
  if (!stream || !stream->on || !field) return false;
  for (size_t f = 0; f < stream->out.fields; f++) {
    if (strcmp(stream->out.field[f].name, field)) continue;
    bool is_static = stream->out.field[f].is_static;
    if (!stream->closed) return is_static; /* nobody knows yet: a static field may be wanted */
    if (!stream->in_step || (is_static && stream->count > 1)) return false;
    for (size_t i = 0; i < stream->out.mine[f].pieces; i++)
      if (weir__writer_wanted(stream->writer, stream->out.mine[f].piece[i])) return true;
    return false;
  }
  return false;
}

/* ---- ending ---- */

/* The whole step, in here. */
static weir_status run_step(weir_stream *self, weir_status status) {
  if (status < 0) client_keep(self, status);
  weir_status ran = client_engine_step(self);
  if (ran < 0) return client_disable(self, ran);
  return ran == WEIR_END ? client_end(self) : status;
}

weir_status weir_step_end(weir_stream *stream) {
  if (!stream || !stream->on) return WEIR_OK;
  if (!stream->in_step) return client_keep(stream, WEIR_FAIL(WEIR_ERR_STATE, "a step was ended that had not begun"));
  stream->in_step = false;
  if (!stream->active) return WEIR_OK;
  weir_status status  = weir__writer_end(stream->writer, stream->why[0] ? stream->why : NULL);
  bool        goes_on = !status || status == WEIR_ERR_STATE || status == WEIR_ERR_IO; /* only this step is lost */
  if (goes_on && stream->engine) return run_step(stream, status);
  if (!status) return WEIR_OK;
  return goes_on ? client_keep(stream, status) : client_disable(stream, status);
}

/* ---- between steps ---- */

weir_status weir_stream_checkpoint(weir_stream *stream, int64_t step) {
  if (!stream || !stream->on || !stream->count) return WEIR_OK;
  if (step < stream->step)
    return client_note(stream, WEIR_FAIL(WEIR_ERR_ARGUMENT,
                                         "a file to go on with after step %" PRId64 " was marked after step %" PRId64,
                                         step, stream->step));
  weir__writer_saved(stream->writer, step);
  return WEIR_OK;
}
