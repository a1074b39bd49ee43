/* The JSON texts of a store. They are written by hand, so that every byte is decided here; what is read back goes
 * through jansson. */
#include "io/zarr_parts.h"
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char MISSING_STEPS[] = "missing_steps";

/* ---- writing ---- */

static void add_number(weir__text *text, double x) {
  char number[32];
  if (isnan(x)) weir__text_add(text, "\"NaN\"");
  else if (isinf(x)) weir__text_add(text, x > 0 ? "\"Infinity\"" : "\"-Infinity\"");
  else weir__text_add(text, "%s", weir__number_text(x, number));
}

/* CF 1.8, section 3.5: flags are numbers, of which there are several. */
static bool is_list(const weir_attribute *attribute) {
  const char *text = attribute->text;
  bool        flag = !strcmp(attribute->name, "flag_values") || !strcmp(attribute->name, "flag_masks");
  return flag && text && *text && text[strspn(text, "0123456789-, ")] == 0;
}

static void add_attribute(weir__text *text, const weir_attribute *attribute) {
  weir__text_add(text, ",\n    ");
  weir__json_string(text, attribute->name);
  weir__text_add(text, ": ");
  if (is_list(attribute)) weir__text_add(text, "[%s]", attribute->text);
  else if (attribute->text) weir__json_string(text, attribute->text);
  else add_number(text, attribute->number);
}

static void add_text(weir__text *text, const char *name, const char *value) {
  if (value && *value) add_attribute(text, &(weir_attribute){.name = name, .text = value});
}

void weir__zarr_text_group(weir__text *text, const weir__zarr_options *options) {
  weir__text_add(text, "{\n    \"Conventions\": \"CF-1.8\"");
  for (int i = 0; i < options->attribute_count; i++)
    if (strcmp(options->attributes[i].name, "Conventions")) add_attribute(text, &options->attributes[i]);
  weir__text_add(text, "\n}\n");
}

/* The attributes of the group as they are now: those it was made with, and which steps are missing. That list is a
 * text: NetCDF, to which such stores are copied, knows no lists of objects. */
void weir__zarr_text_group_now(weir__text *text, weir__zarr *zarr) {
  enum { CLOSING = sizeof "\n}\n" - 1 };
  weir__text_add_bytes(text, zarr->attributes, strlen(zarr->attributes) - (zarr->gaps ? CLOSING : 0));
  if (!zarr->gaps) return;
  weir__text_add(text, ",\n    \"%s\": ", MISSING_STEPS);
  weir__zarr_gaps_text(zarr, text);
  weir__text_add(text, "\n}\n");
}

/* Attributes that say how numbers are stored belong to the store, not to the field. */
static bool is_ours(const char *name) {
  static const char *const ours[] = {"_ARRAY_DIMENSIONS", "_FillValue", "missing_value", "scale_factor",
                                     "add_offset",        "units",      "location",      "_Unsigned"};
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
    if (!strcmp(name, ours[i])) return true;
  return false;
}

void weir__zarr_text_field(weir__text *text, const weir__zarr_array *array, const weir_field_type *type) {
  weir__text_add(text, "{\n    \"_ARRAY_DIMENSIONS\": [");
  if (array->time_chunk) weir__text_add(text, array->rank ? "\"time\", " : "\"time\"");
  for (int a = 0; a < array->rank; a++) {
    if (a) weir__text_add(text, ", ");
    weir__json_string(text, array->dimension[a]);
  }
  weir__text_add(text, "]");
  add_text(text, "units", type->units);
  add_text(text, "location", weir_location_name(type->location));
  for (int i = 0; i < type->attribute_count; i++)
    if (!is_ours(type->attributes[i].name)) add_attribute(text, &type->attributes[i]);
  weir__text_add(text, "\n}\n");
}

static const char *dtype_code(weir_dtype dtype) {
  switch (dtype) {
  case WEIR_F32: return "<f4";
  case WEIR_F64: return "<f8";
  case WEIR_I8: return "|i1";
  case WEIR_I16: return "<i2";
  case WEIR_I32: return "<i4";
  case WEIR_I64: return "<i8";
  case WEIR_U8: return "|u1";
  case WEIR_U16: return "<u2";
  }
  return "?";
}

static void add_compressor(weir__text *text, const weir__zarr_array *array) {
  const weir__zarr *zarr = array->zarr;
  switch (zarr->codec) {
  case WEIR__ZARR_NONE: weir__text_add(text, "null"); return;
  case WEIR__ZARR_ZLIB: weir__text_add(text, "{\"id\": \"zlib\", \"level\": %d}", zarr->level); return;
  case WEIR__ZARR_ZSTD: weir__text_add(text, "{\"id\": \"zstd\", \"level\": %d}", zarr->level); return;
  case WEIR__ZARR_BLOSC:
    weir__text_add(text, "{\"blocksize\": 0, \"clevel\": %d, \"cname\": \"zstd\", \"id\": \"blosc\", \"shuffle\": %d}",
                   zarr->level, weir_dtype_size(array->dtype) > 1);
    return;
  }
}

/* null for an integer field without a missing value: with any number there, xarray would take that number for missing.
 */
static void add_fill(weir__text *text, const weir__zarr_array *array) {
  bool floating = weir_dtype_is_floating(array->dtype);
  if (!floating && !array->has_fill) {
    weir__text_add(text, "null");
    return;
  }
  double    bytes = 0, loaded = NAN; /* the value as the element type holds it */
  weir_view one = {.data = &bytes, .dtype = array->dtype, .has_fill = array->has_fill, .fill = array->fill};
  weir_view_store(&one, NULL, 1, &loaded);
  one.has_fill = false;
  add_number(text, *weir_view_load(&one, NULL, 1, &loaded));
}

static void add_extents(weir__text *text, const char *name, bool timed, int64_t time, int rank, const int64_t *extent) {
  weir__text_add(text, "    \"%s\": [", name);
  if (timed) weir__text_add(text, rank ? "%lld, " : "%lld", (long long)time);
  for (int a = 0; a < rank; a++) weir__text_add(text, a ? ", %lld" : "%lld", (long long)extent[a]);
  weir__text_add(text, "],\n");
}

void weir__zarr_text_array(weir__text *text, const weir__zarr_array *array) {
  weir__text_add(text, "{\n");
  add_extents(text, "chunks", array->time_chunk, array->time_chunk, array->rank, array->chunk);
  weir__text_add(text, "    \"compressor\": ");
  add_compressor(text, array);
  if (array->width) weir__text_add(text, ",\n    \"dtype\": \"<U%d\",\n    \"fill_value\": ", array->width);
  else weir__text_add(text, ",\n    \"dtype\": \"%s\",\n    \"fill_value\": ", dtype_code(array->dtype));
  add_fill(text, array);
  weir__text_add(text, ",\n    \"filters\": null,\n    \"order\": \"C\",\n");
  add_extents(text, "shape", array->time_chunk, array->zarr->committed, array->rank, array->extent);
  weir__text_add(text, "    \"zarr_format\": 2\n}\n");
}

weir_status weir__zarr_publish(weir__zarr *zarr) {
  weir_status status = WEIR_OK;
  weir__text  all = {0}, one = {0};
  char        shown[512];
  weir__zarr_text_group_now(&one, zarr);
  WEIR_TRY_GOTO(out, weir__text_status(&one));
  if (zarr->stale) {
    snprintf(shown, sizeof shown, "%s/.zattrs", zarr->path);
    WEIR_TRY_GOTO(out, weir__file_replace(zarr->directory, ".zattrs", shown, one.data, one.length, zarr->durable));
  }
  zarr->stale = false;
  weir__text_add(&all, "{\n\"metadata\": {\n\".zattrs\": %s,\n\".zgroup\": {\"zarr_format\": 2}", one.data);
  for (size_t i = 0; i < zarr->arrays; i++) {
    const weir__zarr_array *array = zarr->array[i];
    weir__text_clear(&one);
    weir__zarr_text_array(&one, array);
    WEIR_TRY_GOTO(out, weir__text_status(&one));
    if (array->time_chunk) {
      snprintf(shown, sizeof shown, "%s/%s/.zarray", zarr->path, array->name);
      WEIR_TRY_GOTO(out, weir__file_replace(array->directory, ".zarray", shown, one.data, one.length, zarr->durable));
    }
    weir__text_add(&all, ",\n\"%s/.zarray\": %s,\n\"%s/.zattrs\": %s", array->name, one.data, array->name,
                   array->attributes);
  }
  weir__text_add(&all, "},\n\"zarr_consolidated_format\": 1\n}\n");
  WEIR_TRY_GOTO(out, weir__text_status(&all));
  snprintf(shown, sizeof shown, "%s/.zmetadata", zarr->path);
  WEIR_TRY_GOTO(out, weir__file_replace(zarr->directory, ".zmetadata", shown, all.data, all.length, zarr->durable));
out:
  weir__text_clear(&all);
  weir__text_clear(&one);
  return status;
}

/* ---- reading back ---- */

static weir_status load(int directory, const char *name, const char *shown, json_t **json) {
  char        *bytes;
  size_t       nbytes;
  json_error_t error;
  WEIR_TRY(weir__file_read(directory, name, shown, &bytes, &nbytes));
  *json = NULL;
  if (!bytes) return WEIR_OK;
  *json = json_loadb(bytes, nbytes, 0, &error);
  weir__free(bytes);
  if (!*json) return WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d: not valid JSON: %s", shown, error.line, error.text);
  return WEIR_OK;
}

weir_status weir__zarr_read_committed(weir__zarr *zarr) {
  json_t *json;
  char    shown[512];
  snprintf(shown, sizeof shown, "%s/.zmetadata", zarr->path);
  WEIR_TRY(load(zarr->directory, ".zmetadata", shown, &json));
  json_t     *shape  = json_object_get(json_object_get(json_object_get(json, "metadata"), "time/.zarray"), "shape");
  json_t     *extent = json_array_get(shape, 0);
  json_t     *group  = json_object_get(json_object_get(json, "metadata"), ".zattrs");
  json_t     *list   = json_object_get(group, MISSING_STEPS);
  bool        known = json && json_is_integer(extent) && json_integer_value(extent) >= 0, absent = !json;
  int64_t     committed = known ? json_integer_value(extent) : 0;
  weir_status status    = WEIR_OK;
  if (!known && !absent) status = WEIR_FAIL(WEIR_ERR_INPUT, "%s: no array `time`: not a store that weir wrote", shown);
  else if (list) status = weir__zarr_gaps_read(zarr, json_string_value(list), shown);
  json_decref(json);
  WEIR_TRY(status);
  zarr->committed = committed;
  return WEIR_OK;
}

weir_status weir__zarr_check_array(const weir__zarr_array *array) {
  weir_status status = WEIR_OK;
  weir__text  text   = {0};
  json_t     *found = NULL, *wanted = NULL;
  char        shown[512];
  snprintf(shown, sizeof shown, "%s/%s/.zarray", array->zarr->path, array->name);
  WEIR_TRY_GOTO(out, load(array->directory, ".zarray", shown, &found));
  if (!found) goto out; /* made by a run that died before it, or new in the recipe */
  weir__zarr_text_array(&text, array);
  WEIR_TRY_GOTO(out, weir__text_status(&text));
  wanted = json_loadb(text.data, text.length, 0, NULL);
  if (array->time_chunk) {
    json_array_set_new(json_object_get(found, "shape"), 0, json_integer(0));
    json_array_set_new(json_object_get(wanted, "shape"), 0, json_integer(0));
  }
  if (!json_equal(found, wanted))
    status = WEIR_FAIL(
        WEIR_ERR_INPUT,
        "%s: the store to go on with has an array `%s` of another type, shape, chunks or compression; write to "
        "another path or remove it",
        shown, array->name);
out:
  weir__text_clear(&text);
  json_decref(found);
  json_decref(wanted);
  return status;
}
