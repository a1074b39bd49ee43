/* Definitions as bytes: numbers as they are in memory (both ends are one machine), texts and lists behind their length.
 * The reader trusts nothing: whatever it reads is checked against what is left. */
#include "channel/segment.h"
#include <math.h>
#include <string.h>

enum { TEXT_MAX = 1 << 16, NULL_TEXT = -1 };

/* ---- writing ---- */

static void put_i64(weir__text *out, int64_t value) { weir__text_add_bytes(out, &value, sizeof value); }
static void put_real(weir__text *out, double value) { weir__text_add_bytes(out, &value, sizeof value); }
static void put_text(weir__text *out, const char *text) {
  put_i64(out, text ? (int64_t)strlen(text) : NULL_TEXT);
  if (text) weir__text_add_bytes(out, text, strlen(text));
}

static void put_dimension(weir__text *out, const weir_dimension *d) {
  put_text(out, d->name);
  put_i64(out, d->size);
  put_text(out, d->units);
  put_real(out, d->origin);
  put_real(out, d->spacing);
  put_i64(out, d->periodic);
  put_i64(out, d->values != NULL);
  if (d->values) weir__text_add_bytes(out, d->values, (size_t)d->size * sizeof(double));
}

static void put_field(weir__text *out, const weir__channel_field *field) {
  const weir_field_type *type = &field->type;
  put_text(out, field->name);
  put_i64(out, field->is_static);
  put_i64(out, type->dtype);
  put_i64(out, type->rank);
  for (int a = 0; a < type->rank; a++) put_dimension(out, &type->dim[a]);
  put_text(out, type->units);
  put_i64(out, type->location);
  put_i64(out, type->has_fill);
  put_real(out, type->fill);
  put_i64(out, type->attribute_count);
  for (int i = 0; i < type->attribute_count; i++) {
    put_text(out, type->attributes[i].name);
    put_text(out, type->attributes[i].text);
    put_real(out, type->attributes[i].number);
  }
}

static void put_pieces(weir__text *out, int pieces, const weir__channel_piece_of *list) {
  put_i64(out, pieces);
  for (int p = 0; p < pieces; p++) {
    put_i64(out, list[p].field);
    for (int a = 0; a < list[p].region.rank; a++) {
      put_i64(out, list[p].region.start[a]);
      put_i64(out, list[p].region.count[a]);
    }
  }
}

weir_status weir__definitions_pack(const weir__channel_definitions *d, weir__text *out) {
  put_text(out, d->stream);
  put_i64(out, d->rank);
  put_i64(out, d->size);
  put_text(out, d->time_units);
  put_text(out, d->calendar);
  put_i64(out, d->first_step);
  put_i64(out, d->fields);
  for (int f = 0; f < d->fields; f++) put_field(out, &d->field[f]);
  put_pieces(out, d->pieces, d->piece);
  put_i64(out, d->parameters);
  for (int k = 0; k < d->parameters; k++) {
    put_text(out, d->parameter[k].name);
    put_real(out, d->parameter[k].value);
    put_real(out, d->parameter[k].least);
    put_real(out, d->parameter[k].most);
  }
  put_i64(out, d->feedbacks);
  for (int f = 0; f < d->feedbacks; f++) put_field(out, &d->feedback[f]);
  put_pieces(out, d->feedback_pieces, d->feedback_piece);
  return weir__text_status(out);
}

/* ---- reading ---- */

typedef struct reader {
  const char  *at, *end;
  weir__arena *arena;
} reader;

static weir_status damaged(const char *what) { return WEIR_FAIL(WEIR_ERR_INPUT, "damaged definitions: %s", what); }

static weir_status get_bytes(reader *in, void *to, size_t bytes) {
  if ((size_t)(in->end - in->at) < bytes) return damaged("they end too early");
  memcpy(to, in->at, bytes);
  in->at += bytes;
  return WEIR_OK;
}

/* An integer in [least, most]. */
static weir_status get_int(reader *in, const char *what, int64_t least, int64_t most, int64_t *value) {
  *value = 0;
  WEIR_TRY(get_bytes(in, value, sizeof *value));
  return *value < least || *value > most ? damaged(what) : WEIR_OK;
}

static weir_status get_text(reader *in, const char *what, bool required, const char **text) {
  int64_t length = 0;
  char   *copy;
  WEIR_TRY(get_int(in, what, required ? 1 : NULL_TEXT, TEXT_MAX, &length));
  *text = NULL;
  if (length == NULL_TEXT) return WEIR_OK;
  WEIR_TRY(weir__arena_alloc(in->arena, (size_t)length + 1, &copy));
  WEIR_TRY(get_bytes(in, copy, (size_t)length));
  if (memchr(copy, 0, (size_t)length)) return damaged(what);
  *text = copy;
  return WEIR_OK;
}

/* Memory for `count` elements of at least `packed` bytes each in what is left to read. */
static weir_status get_list(reader *in, const char *what, int64_t count, size_t packed, size_t size, void *list) {
  if ((uint64_t)count > (uint64_t)(in->end - in->at) / packed) return damaged(what);
  return weir__arena_alloc(in->arena, (size_t)count * size, list);
}

static weir_status get_dimension(reader *in, weir_dimension *d) {
  int64_t flag = 0;
  double *values;
  WEIR_TRY(get_text(in, "name of a dimension", true, &d->name));
  WEIR_TRY(get_int(in, "size of a dimension", 0, INT64_MAX / 16, &d->size));
  WEIR_TRY(get_text(in, "units of a dimension", false, &d->units));
  WEIR_TRY(get_bytes(in, &d->origin, sizeof d->origin));
  WEIR_TRY(get_bytes(in, &d->spacing, sizeof d->spacing));
  WEIR_TRY(get_int(in, "periodic", 0, 1, &flag));
  d->periodic = flag;
  WEIR_TRY(get_int(in, "coordinate values", 0, 1, &flag));
  if (!flag) return WEIR_OK;
  WEIR_TRY(get_list(in, "coordinate values", d->size, sizeof *values, sizeof *values, &values));
  WEIR_TRY(get_bytes(in, values, (size_t)d->size * sizeof *values));
  d->values = values;
  return WEIR_OK;
}

static weir_status get_attributes(reader *in, weir_field_type *type) {
  weir_attribute *list;
  int64_t         count = 0;
  WEIR_TRY(get_int(in, "number of attributes", 0, INT32_MAX, &count));
  if (!count) return WEIR_OK;
  WEIR_TRY(get_list(in, "number of attributes", count, 3 * sizeof(int64_t), sizeof *list, &list));
  for (int64_t i = 0; i < count; i++) {
    WEIR_TRY(get_text(in, "name of an attribute", true, &list[i].name));
    WEIR_TRY(get_text(in, "text of an attribute", false, &list[i].text));
    WEIR_TRY(get_bytes(in, &list[i].number, sizeof list[i].number));
  }
  type->attributes      = list;
  type->attribute_count = (int)count;
  return WEIR_OK;
}

static weir_status get_field(reader *in, weir__channel_field *field) {
  weir_field_type *type  = &field->type;
  int64_t          value = 0;
  WEIR_TRY(get_text(in, "name of a field", true, &field->name));
  WEIR_TRY(get_int(in, "static", 0, 1, &value));
  field->is_static = value;
  WEIR_TRY(get_int(in, "type of a field", 0, UINT8_MAX, &value));
  type->dtype = (weir_dtype)value;
  if (!weir_dtype_size(type->dtype)) return damaged("type of a field");
  WEIR_TRY(get_int(in, "rank of a field", 0, WEIR_RANK_MAX, &value));
  type->rank = (int)value;
  for (int a = 0; a < type->rank; a++) WEIR_TRY(get_dimension(in, &type->dim[a]));
  WEIR_TRY(get_text(in, "units of a field", false, &type->units));
  WEIR_TRY(get_int(in, "location of a field", WEIR_AT_UNKNOWN, WEIR_AT_F, &value));
  type->location = (weir_location)value;
  WEIR_TRY(get_int(in, "fill value", 0, 1, &value));
  type->has_fill = value;
  WEIR_TRY(get_bytes(in, &type->fill, sizeof type->fill));
  return get_attributes(in, type);
}

static weir_status get_fields(reader *in, int *fields, const weir__channel_field **list) {
  weir__channel_field *field;
  int64_t              count = 0;
  WEIR_TRY(get_int(in, "number of fields", 0, INT32_MAX, &count));
  WEIR_TRY(get_list(in, "number of fields", count, 8 * sizeof(int64_t), sizeof *field, &field));
  for (int64_t f = 0; f < count; f++) WEIR_TRY(get_field(in, &field[f]));
  *fields = (int)count;
  *list   = field;
  return WEIR_OK;
}

static weir_status get_piece(reader *in, int fields, const weir__channel_field *list, weir__channel_piece_of *piece) {
  int64_t field = 0;
  WEIR_TRY(get_int(in, "field of a piece", 0, (int64_t)fields - 1, &field));
  const weir_field_type *type = &list[field].type;
  piece->field                = (int)field;
  piece->region.rank          = type->rank;
  for (int a = 0; a < type->rank; a++) {
    WEIR_TRY(get_int(in, "start of a piece", 0, type->dim[a].size, &piece->region.start[a]));
    WEIR_TRY(get_int(in, "count of a piece", 0, type->dim[a].size - piece->region.start[a], &piece->region.count[a]));
  }
  return WEIR_OK;
}

static weir_status get_pieces(reader *in, int fields, const weir__channel_field *of, int *pieces,
                              const weir__channel_piece_of **list) {
  weir__channel_piece_of *piece;
  int64_t                 count = 0;
  WEIR_TRY(get_int(in, "number of pieces", 0, INT32_MAX, &count));
  WEIR_TRY(get_list(in, "number of pieces", count, sizeof(int64_t), sizeof *piece, &piece));
  for (int64_t p = 0; p < count; p++) WEIR_TRY(get_piece(in, fields, of, &piece[p]));
  *pieces = (int)count;
  *list   = piece;
  return WEIR_OK;
}

static weir_status get_parameters(reader *in, weir__channel_definitions *d) {
  weir__channel_parameter *list;
  int64_t                  count = 0;
  WEIR_TRY(get_int(in, "number of parameters", 0, INT32_MAX, &count));
  WEIR_TRY(get_list(in, "number of parameters", count, 4 * sizeof(int64_t), sizeof *list, &list));
  for (int64_t k = 0; k < count; k++) {
    WEIR_TRY(get_text(in, "name of a parameter", true, &list[k].name));
    WEIR_TRY(get_bytes(in, &list[k].value, sizeof list[k].value));
    WEIR_TRY(get_bytes(in, &list[k].least, sizeof list[k].least));
    WEIR_TRY(get_bytes(in, &list[k].most, sizeof list[k].most));
    if (!isfinite(list[k].value) || !(list[k].least <= list[k].value && list[k].value <= list[k].most))
      return damaged("value of a parameter");
  }
  d->parameters = (int)count;
  d->parameter  = list;
  return WEIR_OK;
}

static weir_status no_static(const weir__channel_definitions *d) {
  for (int f = 0; f < d->feedbacks; f++)
    if (d->feedback[f].is_static) return damaged("a feedback field is static");
  return WEIR_OK;
}

weir_status weir__definitions_unpack(const char *bytes, size_t length, weir__arena *arena,
                                     weir__channel_definitions *d) {
  reader                    in    = {.at = bytes, .end = bytes + length, .arena = arena};
  weir__channel_definitions self  = {0};
  int64_t                   value = 0;

  WEIR_TRY(get_text(&in, "name of the stream", true, &self.stream));
  WEIR_TRY(get_int(&in, "rank of the process", 0, INT32_MAX, &value));
  self.rank = (int)value;
  WEIR_TRY(get_int(&in, "number of processes", (int64_t)self.rank + 1, INT32_MAX, &value));
  self.size = (int)value;
  WEIR_TRY(get_text(&in, "units of time", false, &self.time_units));
  WEIR_TRY(get_text(&in, "calendar", false, &self.calendar));
  WEIR_TRY(get_int(&in, "first step", INT64_MIN, INT64_MAX, &self.first_step));
  WEIR_TRY(get_fields(&in, &self.fields, &self.field));
  WEIR_TRY(get_pieces(&in, self.fields, self.field, &self.pieces, &self.piece));
  WEIR_TRY(get_parameters(&in, &self));
  WEIR_TRY(get_fields(&in, &self.feedbacks, &self.feedback));
  WEIR_TRY(no_static(&self));
  WEIR_TRY(get_pieces(&in, self.feedbacks, self.feedback, &self.feedback_pieces, &self.feedback_piece));
  if (in.at != in.end) return damaged("something follows them");
  *d = self;
  return WEIR_OK;
}
