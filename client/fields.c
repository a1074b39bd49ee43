/* Definitions of fields and their pieces, of those put and of those that come back. */
#include "core/text.h"
#include "stream.h"
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* ---- names and types ---- */

/* Names stand in expressions and file names. */
bool client_is_name(const char *name) {
  size_t length = name ? strlen(name) : 0;
  if (!length || length > WEIR__CHANNEL_NAME_MAX || isdigit((unsigned char)name[0])) return false;
  for (const char *p = name; *p; p++)
    if (!(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z') && !(*p >= '0' && *p <= '9') && *p != '_') return false;
  return true;
}

weir_status client_find(const weir_stream *stream, client_table *table, const char *name, size_t *field) {
  if (!name)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "stream '%s': the name of a field is NULL", stream->definitions.stream);
  size_t f = table->last_found;
  for (size_t i = 0; i < table->fields; i++) {
    if (++f >= table->fields) f = 0;
    if (!strcmp(table->field[f].name, name)) {
      table->last_found = *field = f;
      return WEIR_OK;
    }
  }
  const char *near = NULL;
  for (f = 0; f < table->fields && !near; f++) near = weir__text_nearest(name, &table->field[f].name, 1);
  return WEIR_FAIL(WEIR_ERR_ARGUMENT, "stream '%s' has no %sfield '%.80s'%s%s%s", stream->definitions.stream,
                   table == &stream->in ? "feedback " : "", name, near ? "; did you mean '" : "", near ? near : "",
                   near ? "'?" : "");
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
    if (!client_is_name(type->dim[a].name))
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

static weir_status add_piece(weir_stream *self, client_table *table, size_t field, const weir_region *region) {
  client_field *mine = &table->mine[field];
  if (table == &self->out)
    WEIR_TRY(weir__grow(&self->state, table->pieces + 1, &self->state_capacity, sizeof *self->state));
  WEIR_TRY(weir__grow(&table->piece, table->pieces + 1, &table->piece_capacity, sizeof *table->piece));
  WEIR_TRY(weir__grow(&mine->piece, mine->pieces + 1, &mine->capacity, sizeof *mine->piece));
  table->piece[table->pieces] = (weir__channel_piece_of){.field = (int)field, .region = *region};
  mine->piece[mine->pieces++] = (int)table->pieces++;
  return WEIR_OK;
}

weir_status client_default_piece(weir_stream *self, client_table *table, size_t field) {
  const weir_field_type *type = &table->field[field].type;
  bool                   here = !self->definitions.rank || table == &self->in; /* that holds a scalar */
  if (table->mine[field].pieces || self->closed) return WEIR_OK;
  if (self->definitions.size > 1 && (type->rank || !here)) return WEIR_OK;
  weir_region whole = weir__region_whole(type);
  return add_piece(self, table, field, &whole);
}

weir_status client_define_piece(weir_stream *self, client_table *table, const char *name, const int64_t *start,
                                const int64_t *count, int *piece) {
  size_t      field;
  weir_region region;
  WEIR_TRY(client_find(self, table, name, &field));
  if (self->closed || table->mine[field].touched)
    return WEIR_FAIL(WEIR_ERR_STATE, "field '%s': a piece was defined %s", name,
                     self->closed ? "after the first step" : "after the field was put");
  WEIR_TRY(check_piece(&table->field[field], start, count, &region));
  WEIR_TRY(add_piece(self, table, field, &region));
  if (piece) *piece = (int)table->mine[field].pieces - 1;
  return WEIR_OK;
}

weir_status client_define_field(weir_stream *self, client_table *table, const char *name,
                                const weir_field_options *options) {
  if (!client_is_name(name))
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "'%.80s' is no name for a field: letters, digits and _, at most %d",
                     name ? name : "", WEIR__CHANNEL_NAME_MAX);
  if (!options)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "field '%s': the options say its type and shape, but are NULL", name);
  if (self->closed)
    return WEIR_FAIL(WEIR_ERR_STATE, "field '%s' was defined after the first step; all fields are defined before it",
                     name);
  for (size_t f = 0; f < table->fields; f++)
    if (!strcmp(table->field[f].name, name)) return WEIR_FAIL(WEIR_ERR_STATE, "field '%s' is defined already", name);
  WEIR_TRY(check_type(name, &options->type));
  weir__channel_field field = {.name = name, .type = options->type, .is_static = options->is_static};
  weir_region         region;
  bool                piece = options->start || options->count;
  if (piece) WEIR_TRY(check_piece(&field, options->start, options->count, &region));
  WEIR_TRY(weir__arena_string(&self->arena, name, &field.name));
  WEIR_TRY(weir__type_copy(&self->arena, &field.type));
  WEIR_TRY(weir__grow(&table->field, table->fields + 1, &table->field_capacity, sizeof *table->field));
  WEIR_TRY(weir__grow(&table->mine, table->fields + 1, &table->mine_capacity, sizeof *table->mine));
  table->field[table->fields] = field;
  table->mine[table->fields]  = (client_field){0};
  if (piece) { /* the new field counts only once its piece exists */
    weir_status status = add_piece(self, table, table->fields, &region);
    if (status) {
      weir__free(table->mine[table->fields].piece);
      return status;
    }
  }
  table->fields++;
  return WEIR_OK;
}

weir_status weir_field_define(weir_stream *stream, const char *name, const weir_field_options *options) {
  if (!stream) return WEIR_OK;
  return client_keep(stream, client_define_field(stream, &stream->out, name, options));
}

weir_status weir_piece_define(weir_stream *stream, const char *field, const int64_t *start, const int64_t *count,
                              int *piece) {
  if (!stream) return WEIR_OK;
  return client_keep(stream, client_define_piece(stream, &stream->out, field, start, count, piece));
}

/* ---- as they are put and got ---- */

weir_status client_find_piece(weir_stream *self, client_table *table, const char *name, int number, bool only,
                              int *piece) {
  size_t f;
  WEIR_TRY(client_find(self, table, name, &f));
  WEIR_TRY(client_default_piece(self, table, f));
  const client_field *mine = &table->mine[f];
  *piece                   = -1;
  if (!mine->pieces && !table->field[f].type.rank) return WEIR_OK; /* a scalar, which rank 0 puts for all */
  if (only && mine->pieces > 1)
    return WEIR_FAIL(WEIR_ERR_STATE, "field '%s' has %zu pieces here: %s says which one", name, mine->pieces,
                     table == &self->in ? "weir_get_piece" : "weir_put_piece");
  if (number < 0 || (size_t)number >= mine->pieces)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "field '%s' has no piece %d on rank %d, which defined %zu", name, number,
                     self->definitions.rank, mine->pieces);
  *piece = mine->piece[number];
  return WEIR_OK;
}

static weir_status wrong_shape(const char *name, const weir_array *array, const weir_region *piece) {
  char       is[200], expected[200];
  weir_shape have = {.rank = array->rank < 0 || array->rank > WEIR_RANK_MAX ? 0 : array->rank},
             want = {.rank = piece->rank};
  memcpy(have.extent, array->extent, sizeof have.extent);
  memcpy(want.extent, piece->count, sizeof want.extent);
  return WEIR_FAIL(WEIR_ERR_ARGUMENT, "field '%s': the array is %s, but the piece is %s", name,
                   weir__shape_text(&have, is), weir__shape_text(&want, expected));
}

weir_status client_check_array(const client_table *table, int piece, const weir_array *array) {
  const weir_region         *region = &table->piece[piece].region;
  const weir__channel_field *field  = &table->field[table->piece[piece].field];
  bool                       empty  = false;

  if (!array) return WEIR_FAIL(WEIR_ERR_ARGUMENT, "field '%s': the array is NULL", field->name);
  if (array->dtype != field->type.dtype)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "field '%s': the array is %s, but the field was defined as %s", field->name,
                     weir_dtype_name(array->dtype), weir_dtype_name(field->type.dtype));
  if (array->space != WEIR_MEMORY_HOST)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT, "field '%s': memory space %d is unknown", field->name, array->space);
  if (array->rank != region->rank) return wrong_shape(field->name, array, region);
  for (int a = 0; a < array->rank; a++) {
    if (array->extent[a] != region->count[a]) return wrong_shape(field->name, array, region);
    empty = empty || !array->extent[a];
  }
  if (!array->data && !empty) return WEIR_FAIL(WEIR_ERR_ARGUMENT, "field '%s': its data are NULL", field->name);
  return WEIR_OK;
}

weir_view client_array_view(const client_table *table, int piece, const weir_array *array) {
  const weir__channel_piece_of *of = &table->piece[piece];
  weir_view view  = weir__view_dense((void *)(uintptr_t)array->data, &table->field[of->field].type, &of->region);
  bool      dense = true;
  for (int a = 0; a < array->rank; a++) dense = dense && !array->stride[a];
  for (int a = 0; !dense && a < array->rank; a++)
    view.stride[a] = array->stride[a] * (int64_t)weir_dtype_size(array->dtype);
  return view;
}
