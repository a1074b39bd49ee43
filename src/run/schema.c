/* Schemas: the fields of a stream as text. Every run writes what it saw as schema.yaml, and `expects:` takes the same.
 */
#include "run/recipe.h"
#include <math.h>
#include <string.h>

typedef struct reading {
  weir__arena           *arena;
  weir__recipe_schema   *schema;
  weir__recipe_expected *field; /* the one being read */
} reading;

/* ---- one field ---- */

static weir_status read_type(void *context, const weir__yaml *value) {
  weir_field_type *type = &((reading *)context)->field->type;
  if (value->kind != WEIR__YAML_TEXT || !weir_dtype_parse(value->text, &type->dtype))
    return WEIR__YAML_FAIL(value, "type: expected one of float32, float64, int8, int16, int32, int64, uint8, uint16");
  return WEIR_OK;
}

static weir_status read_units(void *context, const weir__yaml *value) {
  return weir__yaml_to_text(value, "units", &((reading *)context)->field->type.units);
}

static weir_status read_location(void *context, const weir__yaml *value) {
  static const char *const words[] = {"t", "u", "v", "f", NULL};
  int                      word;
  WEIR_TRY(weir__yaml_to_choice(value, "location", words, &word));
  ((reading *)context)->field->type.location = (weir_location)(WEIR_AT_T + word);
  return WEIR_OK;
}

static weir_status read_fill(void *context, const weir__yaml *value) {
  weir_field_type *type = &((reading *)context)->field->type;
  type->has_fill        = true;
  if (value->kind == WEIR__YAML_TEXT && weir__text_to_double(value->text, &type->fill)) return WEIR_OK; /* nan too */
  return weir__yaml_to_real(value, "fill", &type->fill);
}

static weir_status read_static(void *context, const weir__yaml *value) {
  return weir__yaml_to_bool(value, "static", &((reading *)context)->field->is_static);
}

/* ---- dimensions, slowest first ---- */

typedef struct reading_dimension {
  weir_dimension *d;
  bool            origin;
} reading_dimension;

static weir_status read_size(void *context, const weir__yaml *value) {
  return weir__yaml_to_int(value, "size", 1, INT64_MAX / 2, &((reading_dimension *)context)->d->size);
}
static weir_status read_dimension_units(void *context, const weir__yaml *value) {
  return weir__yaml_to_text(value, "units", &((reading_dimension *)context)->d->units);
}
static weir_status read_origin(void *context, const weir__yaml *value) {
  ((reading_dimension *)context)->origin = true;
  return weir__yaml_to_real(value, "origin", &((reading_dimension *)context)->d->origin);
}
static weir_status read_spacing(void *context, const weir__yaml *value) {
  WEIR_TRY(weir__yaml_to_real(value, "spacing", &((reading_dimension *)context)->d->spacing));
  if (((reading_dimension *)context)->d->spacing == 0) return WEIR__YAML_FAIL(value, "spacing is 0");
  return WEIR_OK;
}
static weir_status read_periodic(void *context, const weir__yaml *value) {
  return weir__yaml_to_bool(value, "periodic", &((reading_dimension *)context)->d->periodic);
}

static weir_status read_dimension(const weir__yaml *value, weir_dimension *d) {
  static const weir__yaml_key keys[] = {{"size", read_size},         {"units", read_dimension_units},
                                        {"origin", read_origin},     {"spacing", read_spacing},
                                        {"periodic", read_periodic}, {0}};
  reading_dimension           r      = {.d = d};
  if (value->kind == WEIR__YAML_TEXT) return read_size(&r, value); /* {y: 96} */
  WEIR_TRY(weir__yaml_read(value, d->name, keys, &r));
  if (!d->size) return WEIR__YAML_FAIL(value, "dimension %s: size is missing", d->name);
  if (r.origin && d->spacing == 0) return WEIR__YAML_FAIL(value, "dimension %s: origin without spacing", d->name);
  return WEIR_OK;
}

static weir_status read_dimensions(void *context, const weir__yaml *value) {
  weir_field_type *type = &((reading *)context)->field->type;
  if (value->kind != WEIR__YAML_MAP)
    return WEIR__YAML_FAIL(value, "dimensions: expected sizes by name, slowest first, such as {y: 96, x: 128}");
  if (value->count > WEIR_RANK_MAX)
    return WEIR__YAML_FAIL(value, "dimensions: %d given, at most %d", value->count, WEIR_RANK_MAX);
  for (int a = 0; a < value->count; a++) {
    type->dim[a].name = value->key[a]->text;
    WEIR_TRY(read_dimension(value->item[a], &type->dim[a]));
  }
  type->rank = value->count;
  return WEIR_OK;
}

/* ---- the schema ---- */

static weir_status read_field(reading *r, const weir__yaml *key, const weir__yaml *value) {
  static const weir__yaml_key keys[] = {{"type", read_type},
                                        {"dimensions", read_dimensions},
                                        {"units", read_units},
                                        {"location", read_location},
                                        {"fill", read_fill},
                                        {"static", read_static},
                                        {0}};
  r->field->name                     = key->text;
  r->field->place                    = key->place;
  r->field->type.dtype               = WEIR_F64;
  if (!weir__recipe_is_name(key->text)) return WEIR__YAML_FAIL(key, "\"%s\" is no name for a field", key->text);
  return weir__yaml_read(value, key->text, keys, r);
}

static weir_status read_fields(void *context, const weir__yaml *value) {
  reading               *r = context;
  weir__recipe_expected *fields;
  if (value->kind != WEIR__YAML_MAP) return WEIR__YAML_FAIL(value, "fields: expected fields by name");
  WEIR_TRY(weir__arena_alloc(r->arena, (size_t)value->count * sizeof *fields, &fields));
  for (int i = 0; i < value->count; i++) {
    r->field = &fields[i];
    WEIR_TRY(read_field(r, value->key[i], value->item[i]));
  }
  r->schema->field  = fields;
  r->schema->fields = value->count;
  return WEIR_OK;
}

static weir_status read_time_units(void *context, const weir__yaml *value) {
  return weir__yaml_to_text(value, "time_units", &((reading *)context)->schema->time_units);
}

static weir_status read_parameters(void *context, const weir__yaml *value) {
  reading                *r = context;
  weir__recipe_parameter *parameter;
  WEIR_TRY(weir__recipe_read_parameters(r->arena, value, &parameter, &r->schema->parameters));
  r->schema->parameter = parameter;
  return WEIR_OK;
}

static weir_status read_calendar(void *context, const weir__yaml *value) {
  return weir__yaml_to_text(value, "calendar", &((reading *)context)->schema->calendar);
}

weir_status weir__recipe_schema_read(weir__arena *arena, const weir__yaml *map, weir__recipe_schema *schema) {
  static const weir__yaml_key keys[] = {{"time_units", read_time_units},
                                        {"calendar", read_calendar},
                                        {"fields", read_fields},
                                        {"parameters", read_parameters},
                                        {0}};
  reading                     r      = {.arena = arena, .schema = schema};
  return weir__yaml_read(map, "expects", keys, &r);
}

weir_status weir__recipe_schema_load(weir__arena *arena, const char *path, weir__recipe_schema *schema) {
  const char       *bytes;
  size_t            size;
  const weir__yaml *root;
  WEIR_TRY(weir__yaml_load(arena, path, &bytes, &size));
  WEIR_TRY(weir__yaml_parse(arena, path, bytes, size, &root));
  return weir__recipe_schema_read(arena, root, schema);
}

/* ---- writing ---- */

/* A double-quoted YAML text. */
static void add_quoted(weir__text *text, const char *value) {
  weir__text_add_bytes(text, "\"", 1);
  for (const unsigned char *c = (const unsigned char *)value; *c; c++) {
    if (*c == '"' || *c == '\\') weir__text_add(text, "\\%c", *c);
    else if (*c < 0x20 || *c == 0x7f) weir__text_add(text, "\\x%02x", *c);
    else weir__text_add_bytes(text, c, 1);
  }
  weir__text_add_bytes(text, "\"", 1);
}

static void add_dimension(weir__text *text, const weir_dimension *d) {
  weir__text_add(text, "      ");
  add_quoted(text, d->name);
  weir__text_add(text, ": {size: %lld", (long long)d->size);
  if (d->units) {
    weir__text_add(text, ", units: ");
    add_quoted(text, d->units);
  }
  if (d->spacing != 0) weir__text_add(text, ", origin: %.17g, spacing: %.17g", d->origin, d->spacing);
  if (d->periodic) weir__text_add(text, ", periodic: yes");
  weir__text_add(text, "}\n");
}

static void add_field(weir__text *text, const weir__recipe_expected *f) {
  weir__text_add(text, "  %s:\n    type: %s\n", f->name, weir_dtype_name(f->type.dtype));
  if (f->type.rank) weir__text_add(text, "    dimensions:\n");
  for (int a = 0; a < f->type.rank; a++) add_dimension(text, &f->type.dim[a]);
  if (f->type.units && *f->type.units) {
    weir__text_add(text, "    units: ");
    add_quoted(text, f->type.units);
    weir__text_add(text, "\n");
  }
  if (f->type.location) weir__text_add(text, "    location: %s\n", weir_location_name(f->type.location));
  if (f->type.has_fill && isnan(f->type.fill)) weir__text_add(text, "    fill: nan\n");
  else if (f->type.has_fill) weir__text_add(text, "    fill: %.17g\n", f->type.fill);
  if (f->is_static) weir__text_add(text, "    static: yes\n");
}

static void add_parameter(weir__text *text, const weir__recipe_parameter *p) {
  weir__text_add(text, "  %s: {value: %.17g", p->name, p->value);
  if (p->least > -INFINITY) weir__text_add(text, ", least: %.17g", p->least);
  if (p->most < INFINITY) weir__text_add(text, ", most: %.17g", p->most);
  weir__text_add(text, "}\n");
}

weir_status weir__recipe_schema_text(const weir__recipe_schema *schema, weir__text *text) {
  weir__text_add(text, "# The fields of the stream as this run saw them; a recipe may name this file in expects:\n");
  if (schema->time_units) {
    weir__text_add(text, "time_units: ");
    add_quoted(text, schema->time_units);
    weir__text_add(text, "\n");
  }
  if (schema->calendar) {
    weir__text_add(text, "calendar: ");
    add_quoted(text, schema->calendar);
    weir__text_add(text, "\n");
  }
  weir__text_add(text, "fields:\n");
  for (int i = 0; i < schema->fields; i++) add_field(text, &schema->field[i]);
  if (schema->parameters) weir__text_add(text, "parameters:\n");
  for (int i = 0; i < schema->parameters; i++) add_parameter(text, &schema->parameter[i]);
  return weir__text_status(text);
}
