/* What comes back: parameters and fields. */
#include "stream.h"
#include <math.h>
#include <string.h>

/* ---- parameters ---- */

static weir_status find_parameter(const weir_stream *self, const char *name, size_t *parameter) {
  for (size_t k = 0; name && k < self->parameters; k++)
    if (!strcmp(self->parameter[k].name, name)) {
      *parameter = k;
      return WEIR_OK;
    }
  return WEIR_FAIL(WEIR_ERR_ARGUMENT, "stream '%s' has no parameter '%.80s'", self->definitions.stream,
                   name ? name : "");
}

static weir_status define_parameter(weir_stream *self, const char *name, double value, double least, double most) {
  weir__channel_parameter parameter = {.value = value, .least = least, .most = most};
  if (!client_is_name(name))
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "'%.80s' is no name for a parameter: letters, digits and _, at most %d",
                     name ? name : "", WEIR__CHANNEL_NAME_MAX);
  if (self->closed) return WEIR_FAIL(WEIR_ERR_STATE, "parameter '%s' was defined after the first step", name);
  for (size_t k = 0; k < self->parameters; k++)
    if (!strcmp(self->parameter[k].name, name))
      return WEIR_FAIL(WEIR_ERR_STATE, "parameter '%s' is defined already", name);
  if (!isfinite(value) || !(value >= least && value <= most))
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "parameter '%s' is %g, expected a number from %g to %g", name, value, least,
                     most);
  WEIR_TRY(weir__arena_string(&self->arena, name, &parameter.name));
  WEIR_TRY(weir__grow(&self->parameter, self->parameters + 1, &self->parameter_capacity, sizeof *self->parameter));
  WEIR_TRY(weir__grow(&self->value, self->parameters + 1, &self->value_capacity, sizeof *self->value));
  self->parameter[self->parameters] = parameter;
  self->value[self->parameters++]   = value;
  return WEIR_OK;
}

weir_status weir_parameter_define(weir_stream *stream, const char *name, double value, double least, double most) {
  if (!stream) return WEIR_OK;
  return client_keep(stream, define_parameter(stream, name, value, least, most));
}

weir_status weir_parameter_get(weir_stream *stream, const char *name, double *value) {
  size_t k = 0;
  if (!stream) return WEIR_END;
  weir_status status = find_parameter(stream, name, &k);
  if (!status && !value) status = WEIR_FAIL(WEIR_ERR_ARGUMENT, "parameter '%s': value is NULL", name);
  if (status) return client_note(stream, status);
  *value = stream->writer ? weir__writer_parameter(stream->writer, (int)k) : stream->value[k];
  return WEIR_OK;
}

void client_take_parameters(weir_stream *self) {
  for (size_t k = 0; k < self->parameters; k++) self->value[k] = weir__writer_parameter(self->writer, (int)k);
}

/* ---- fields ---- */

weir_status weir_feedback_define(weir_stream *stream, const char *name, const weir_field_options *options) {
  if (!stream) return WEIR_OK;
  if (options && options->is_static)
    return client_keep(stream, WEIR_FAIL(WEIR_ERR_ARGUMENT, "feedback field '%.80s' is static, but it comes in steps",
                                         name ? name : ""));
  return client_keep(stream, client_define_field(stream, &stream->in, name, options));
}

weir_status weir_feedback_piece_define(weir_stream *stream, const char *field, const int64_t *start,
                                       const int64_t *count, int *piece) {
  if (!stream) return WEIR_OK;
  return client_keep(stream, client_define_piece(stream, &stream->in, field, start, count, piece));
}

static weir_status get(weir_stream *self, const char *name, int number, bool only, const weir_target *target) {
  int piece;
  WEIR_TRY(client_find_piece(self, &self->in, name, number, only, &piece));
  if (!target) return WEIR_FAIL(WEIR_ERR_ARGUMENT, "field '%s': the target is NULL", name);
  weir_array like = {.data = target->data, .dtype = target->dtype, .rank = target->rank, .space = target->space};
  memcpy(like.extent, target->extent, sizeof like.extent);
  memcpy(like.stride, target->stride, sizeof like.stride);
  WEIR_TRY(client_check_array(&self->in, piece, &like));
  if (!self->in_step) return WEIR_FAIL(WEIR_ERR_STATE, "field '%s' was asked for outside a step", name);
  if (!self->active) return WEIR_END;
  weir_view to = client_array_view(&self->in, piece, &like);
  return weir__writer_feedback(self->writer, piece, &to);
}

static weir_status get_and_note(weir_stream *stream, const char *field, int piece, bool only,
                                const weir_target *target) {
  if (!stream || !stream->on) return WEIR_END;
  weir_status status = get(stream, field, piece, only, target);
  return status == WEIR_ERR_GONE ? client_disable(stream, status) : client_note(stream, status);
}

weir_status weir_get(weir_stream *stream, const char *field, const weir_target *target) {
  return get_and_note(stream, field, 0, true, target);
}

weir_status weir_get_piece(weir_stream *stream, const char *field, int piece, const weir_target *target) {
  return get_and_note(stream, field, piece, false, target);
}
