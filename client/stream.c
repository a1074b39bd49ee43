/* The life of a stream and its definitions. */
#include "stream.h"
#include "core/text.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double ATTACH_TIMEOUT = 60, ATTACH_TIMEOUT_MOST = 1e9; /* seconds */

/* ---- failing ---- */

weir_status client_keep(weir_stream *stream, weir_status status) {
  if (status < 0) {
    snprintf(stream->error, sizeof stream->error, "%s", weir_error_last());
    if (stream->in_step && !stream->why[0]) memcpy(stream->why, stream->error, sizeof stream->why);
  }
  return status;
}

weir_status client_disable(weir_stream *stream, weir_status status) {
  client_keep(stream, status);
  if (getenv("WEIR_VERBOSE"))
    fprintf(stderr, "weir: stream '%s', rank %d: no analysis from here on: %s\n", stream->definitions.stream,
            stream->definitions.rank, stream->error);
  if (stream->writer) weir__writer_stats(stream->writer, &stream->last);
  weir__writer_destroy(&stream->writer, stream->error);
  stream->on = stream->in_step = stream->active = false;
  return status;
}

const char *weir_stream_error(const weir_stream *stream) { return stream ? stream->error : ""; }

/* ---- opening and closing ---- */

/* Names stand in expressions and file names. */
static bool is_name(const char *name) {
  size_t length = name ? strlen(name) : 0;
  if (!length || length > WEIR__CHANNEL_NAME_MAX || isdigit((unsigned char)name[0])) return false;
  for (const char *p = name; *p; p++)
    if (!(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z') && !(*p >= '0' && *p <= '9') && *p != '_') return false;
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

static void destroy(weir_stream *self) {
  if (!self) return;
  weir__writer_destroy(&self->writer, NULL);
  for (size_t f = 0; f < self->fields; f++) weir__free(self->mine[f].piece);
  for (size_t p = 0; p < self->pieces; p++) weir__free(self->state[p].scratch);
  weir__free(self->field);
  weir__free(self->mine);
  weir__free(self->piece);
  weir__free(self->state);
  weir__free(self->run);
  weir__arena_clear(&self->arena);
  weir__free(self);
}

weir_status weir_stream_open(const char *name, int rank, int size, const weir_stream_options *options,
                             weir_stream **stream) {
  static const weir_stream_options defaults = {0};
  weir_status                      status   = WEIR_OK;
  weir_stream                     *self     = NULL;

  if (!stream) return WEIR_FAIL(WEIR_ERR_ARGUMENT, "weir_stream_open: stream is NULL");
  *stream = NULL;
  if (!options) options = &defaults;
  if (!is_name(name))
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
  self->on               = self->run != NULL;
  *stream                = self;
  self                   = NULL;
out:
  destroy(self);
  return status;
}

weir_status weir_stream_close(weir_stream **stream) {
  weir_status status = WEIR_OK;
  if (!stream || !*stream) return WEIR_OK;
  if ((*stream)->in_step) status = weir_step_end(*stream);
  destroy(*stream);
  *stream = NULL;
  return status;
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

/* ---- fields ---- */

weir_status client_find(weir_stream *stream, const char *name, size_t *field) {
  if (!name)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "stream '%s': the name of a field is NULL", stream->definitions.stream);
  size_t f = stream->last_found;
  for (size_t i = 0; i < stream->fields; i++) {
    if (++f >= stream->fields) f = 0;
    if (!strcmp(stream->field[f].name, name)) {
      stream->last_found = *field = f;
      return WEIR_OK;
    }
  }
  const char *near = NULL;
  for (f = 0; f < stream->fields && !near; f++) near = weir__text_nearest(name, &stream->field[f].name, 1);
  return WEIR_FAIL(WEIR_ERR_ARGUMENT, "stream '%s' has no field '%.80s'%s%s%s", stream->definitions.stream, name,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static weir_status check_type(const char *name, const weir_field_type *type) {
  if (!weir_dtype_size(type->dtype))
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "field '%s': type %d is unknown", name, type->dtype);
  if (type->rank < 0 || type->rank > WEIR_RANK_MAX)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "field '%s': rank %d, expected 0 to %d", name, type->rank, WEIR_RANK_MAX);
  if (type->location < WEIR_AT_UNKNOWN || type->location > WEIR_AT_F)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "field '%s': location %d is unknown", name, type->location);
  if (type->attribute_count < 0 || (type->attribute_count && !type->attributes))
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "field '%s': %d attributes, but no list", name, type->attribute_count);
  int64_t bytes = (int64_t)weir_dtype_size(type->dtype);
  for (int a = 0; a < type->rank; a++) {
    if (!is_name(type->dim[a].name))
      return WEIR_FAIL(WEIR_ERR_ARGUMENT, "field '%s': '%.80s' is no name for dimension %d: letters, digits and _",
                       name, type->dim[a].name ? type->dim[a].name : "", a);
    for (int b = 0; b < a; b++)
      if (!strcmp(type->dim[a].name, type->dim[b].name))
        return WEIR_FAIL(WEIR_ERR_ARGUMENT, "field '%s': two dimensions are called '%s'", name, type->dim[a].name);
    if (type->dim[a].size < 1 || __builtin_mul_overflow(bytes, type->dim[a].size, &bytes))
      return WEIR_FAIL(WEIR_ERR_ARGUMENT, "field '%s': size %" PRId64 " of dimension '%s'", name, type->dim[a].size,
                       type->dim[a].name);
  }
  for (int i = 0; i < type->attribute_count; i++)
    if (!type->attributes[i].name || !type->attributes[i].name[0])
      return WEIR_FAIL(WEIR_ERR_ARGUMENT, "field '%s': attribute %d has no name", name, i);
  return WEIR_OK;
}

static weir_status copy_dimension(weir__arena *arena, weir_dimension *d) {
  double *values;
  WEIR_TRY(weir__arena_string(arena, d->name, &d->name));
  WEIR_TRY(weir__arena_string(arena, d->units, &d->units));
  if (!d->values) return WEIR_OK;
  WEIR_TRY(weir__arena_alloc(arena, (size_t)d->size * sizeof *values, &values));
  memcpy(values, d->values, (size_t)d->size * sizeof *values);
  d->values = values;
  return WEIR_OK;
}

/* Turn what a type borrows into copies in the arena. */
static weir_status copy_type(weir__arena *arena, weir_field_type *type) {
  weir_attribute *attributes = NULL;
  WEIR_TRY(weir__arena_string(arena, type->units, &type->units));
  for (int a = 0; a < type->rank; a++) WEIR_TRY(copy_dimension(arena, &type->dim[a]));
  if (type->attribute_count) {
    WEIR_TRY(weir__arena_alloc(arena, (size_t)type->attribute_count * sizeof *attributes, &attributes));
    for (int i = 0; i < type->attribute_count; i++) {
      attributes[i] = type->attributes[i];
      WEIR_TRY(weir__arena_string(arena, attributes[i].name, &attributes[i].name));
      WEIR_TRY(weir__arena_string(arena, attributes[i].text, &attributes[i].text));
    }
  }
  type->attributes = attributes;
  return WEIR_OK;
}

/* ---- pieces ---- */

static weir_status check_piece(const weir__channel_field *field, const int64_t *start, const int64_t *count,
                               weir_region *region) {
  const weir_field_type *type = &field->type;
  char                   box[200], from[200], shape[200];
  *region = (weir_region){.rank = type->rank};
  if (type->rank && (!start || !count))
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "field '%s': a piece needs both start and count", field->name);
  for (int a = 0; a < type->rank; a++) {
    region->start[a] = start[a];
    region->count[a] = count[a];
  }
  for (int a = 0; a < type->rank; a++) {
    if (start[a] >= 0 && count[a] >= 0 && start[a] <= type->dim[a].size && count[a] <= type->dim[a].size - start[a])
      continue;
    weir_shape whole = weir__shape_of(type), first = whole,
               extent = whole; /* not region_text: start + count may overflow */
    memcpy(first.extent, region->start, sizeof first.extent);
    memcpy(extent.extent, region->count, sizeof extent.extent);
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "field '%s': the piece %s from %s on is not inside %s", field->name,
                     weir__shape_text(&extent, box), weir__shape_text(&first, from), weir__shape_text(&whole, shape));
  }
  return WEIR_OK;
}

static weir_status add_piece(weir_stream *self, size_t field, const weir_region *region) {
  client_field *mine = &self->mine[field];
  WEIR_TRY(weir__grow(&self->piece, self->pieces + 1, &self->piece_capacity, sizeof *self->piece));
  WEIR_TRY(weir__grow(&self->state, self->pieces + 1, &self->state_capacity, sizeof *self->state));
  WEIR_TRY(weir__grow(&mine->piece, mine->pieces + 1, &mine->capacity, sizeof *mine->piece));
  self->piece[self->pieces]   = (weir__channel_piece_of){.field = (int)field, .region = *region};
  mine->piece[mine->pieces++] = (int)self->pieces++;
  return WEIR_OK;
}

weir_status client_default_piece(weir_stream *self, size_t field) {
  const weir_field_type *type = &self->field[field].type;
  if (self->mine[field].pieces || self->closed) return WEIR_OK;
  if (self->definitions.size > 1 && (type->rank || self->definitions.rank)) return WEIR_OK;
  weir_region whole = weir__region_whole(type);
  return add_piece(self, field, &whole);
}

static weir_status define_piece(weir_stream *self, const char *name, const int64_t *start, const int64_t *count,
                                int *piece) {
  size_t      field;
  weir_region region;
  WEIR_TRY(client_find(self, name, &field));
  if (self->closed || self->mine[field].touched)
    return WEIR_FAIL(WEIR_ERR_STATE, "field '%s': a piece was defined %s", name,
                     self->closed ? "after the first step" : "after the field was put");
  WEIR_TRY(check_piece(&self->field[field], start, count, &region));
  WEIR_TRY(add_piece(self, field, &region));
  if (piece) *piece = (int)self->mine[field].pieces - 1;
  return WEIR_OK;
}

weir_status weir_piece_define(weir_stream *stream, const char *field, const int64_t *start, const int64_t *count,
                              int *piece) {
  if (!stream) return WEIR_OK;
  return client_keep(stream, define_piece(stream, field, start, count, piece));
}

static weir_status define_field(weir_stream *self, const char *name, const weir_field_options *options) {
  if (!is_name(name))
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "'%.80s' is no name for a field: letters, digits and _, at most %d",
                     name ? name : "", WEIR__CHANNEL_NAME_MAX);
  if (!options)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "field '%s': the options say its type and shape, but are NULL", name);
  if (self->closed)
    return WEIR_FAIL(WEIR_ERR_STATE, "field '%s' was defined after the first step; all fields are defined before it",
                     name);
  for (size_t f = 0; f < self->fields; f++)
    if (!strcmp(self->field[f].name, name)) return WEIR_FAIL(WEIR_ERR_STATE, "field '%s' is defined already", name);
  WEIR_TRY(check_type(name, &options->type));
  weir__channel_field field = {.name = name, .type = options->type, .is_static = options->is_static};
  weir_region         region;
  bool                piece = options->start || options->count;
  if (piece) WEIR_TRY(check_piece(&field, options->start, options->count, &region));
  WEIR_TRY(weir__arena_string(&self->arena, name, &field.name));
  WEIR_TRY(copy_type(&self->arena, &field.type));
  WEIR_TRY(weir__grow(&self->field, self->fields + 1, &self->field_capacity, sizeof *self->field));
  WEIR_TRY(weir__grow(&self->mine, self->fields + 1, &self->mine_capacity, sizeof *self->mine));
  self->field[self->fields] = field;
  self->mine[self->fields]  = (client_field){0};
  if (piece) { /* the new field counts only once its piece exists */
    weir_status status = add_piece(self, self->fields, &region);
    if (status) {
      weir__free(self->mine[self->fields].piece);
      return status;
    }
  }
  self->fields++;
  return WEIR_OK;
}

weir_status weir_field_define(weir_stream *stream, const char *name, const weir_field_options *options) {
  if (!stream) return WEIR_OK;
  return client_keep(stream, define_field(stream, name, options));
}
