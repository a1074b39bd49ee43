/* CF conventions: packing, missing values, coordinates (CF 1.8, sections 2.5, 5 and 8.1; NetCDF Users' Guide, appendix
 * A). */
#include "io/netcdf_parts.h"
#include <float.h>
#include <math.h>
#include <strings.h>
#include <string.h>

weir_status weir__netcdf_text(weir__netcdf *reader, int id, int variable, const char *name, const char **text) {
  nc_type type;
  size_t  length;
  *text = NULL;
  if (nc_inq_att(id, variable, name, &type, &length) != NC_NOERR) return WEIR_OK;
  if (type == NC_STRING && length == 1) {
    char       *string = NULL;
    weir_status status = WEIR_OK;
    if (nc_get_att_string(id, variable, name, &string) == NC_NOERR && string)
      status = weir__arena_string(&reader->arena, string, text);
    if (string) nc_free_string(1, &string);
    return status;
  }
  if (type != NC_CHAR) return WEIR_OK;
  char *copy;
  WEIR_TRY(weir__arena_alloc(&reader->arena, length + 1, &copy));
  if (nc_get_att_text(id, variable, name, copy) == NC_NOERR) *text = copy;
  return WEIR_OK;
}

int weir__netcdf_numbers(int id, int variable, const char *name, double *numbers, int room, nc_type *type) {
  size_t  length;
  nc_type found;
  double  all[64];
  if (nc_inq_att(id, variable, name, &found, &length) != NC_NOERR || found == NC_CHAR || found == NC_STRING) return 0;
  if (length < 1 || length > sizeof all / sizeof *all || nc_get_att_double(id, variable, name, all) != NC_NOERR)
    return 0;
  int n = (int)length < room ? (int)length : room;
  memcpy(numbers, all, (size_t)n * sizeof *numbers);
  if (type) *type = found;
  return n;
}

/* ---- decoding ---- */

static weir_dtype dtype_of(nc_type type) {
  switch (type) {
  case NC_BYTE: return WEIR_I8;
  case NC_UBYTE: return WEIR_U8;
  case NC_SHORT: return WEIR_I16;
  case NC_USHORT: return WEIR_U16;
  case NC_INT: return WEIR_I32;
  case NC_UINT:
  case NC_INT64: return WEIR_I64;
  case NC_FLOAT: return WEIR_F32;
  default: return WEIR_F64;
  }
}

/* The classic formats have no unsigned types: files say so in an attribute. */
static weir_dtype follow_unsigned(int id, int variable, weir_dtype dtype, double *wrap) {
  char   text[8] = "";
  size_t length;
  if (nc_inq_attlen(id, variable, "_Unsigned", &length) != NC_NOERR || length >= sizeof text) return dtype;
  if (nc_get_att_text(id, variable, "_Unsigned", text) != NC_NOERR || strcasecmp(text, "true")) return dtype;
  if (dtype == WEIR_I8) return *wrap = 0x1p8, WEIR_U8;
  if (dtype == WEIR_I16) return *wrap = 0x1p16, WEIR_U16;
  if (dtype == WEIR_I32) return *wrap = 0x1p32, WEIR_I64;
  return dtype;
}

/* A missing value given in another type than the variable's means what it is in the variable's type; NaN among
 * integers, nothing. */
static void add_missing(weir__netcdf_decoding *d, double value) {
  if (d->stored == NC_FLOAT) value = (double)(float)value;
  if (value < 0) value += d->wrap;
  if (isnan(value) || d->missing_count == WEIR__NETCDF_MISSING_MAX) return;
  d->missing[d->missing_count++] = value;
}

static void decide_missing(int id, int variable, weir__netcdf_decoding *d, bool stored_floating) {
  double list[WEIR__NETCDF_MISSING_MAX], range[2];
  int    given = weir__netcdf_numbers(id, variable, "_FillValue", list, 1, NULL);
  if (given) add_missing(d, list[0]);
  int n = weir__netcdf_numbers(id, variable, "missing_value", list, WEIR__NETCDF_MISSING_MAX, NULL);
  for (int i = 0; i < n; i++) add_missing(d, list[i]);
  if (!given && stored_floating) add_missing(d, d->stored == NC_FLOAT ? (double)NC_FILL_FLOAT : NC_FILL_DOUBLE);
  if (weir__netcdf_numbers(id, variable, "valid_range", range, 2, NULL) == 2) {
    d->least = range[0];
    d->most  = range[1];
  } else {
    (void)weir__netcdf_numbers(id, variable, "valid_min", &d->least, 1, NULL);
    (void)weir__netcdf_numbers(id, variable, "valid_max", &d->most, 1, NULL);
  }
  if (d->wrap != 0) { /* written as the signed bits */
    if (d->least < 0) d->least = isinf(d->least) ? d->least : d->least + d->wrap;
    if (d->most < 0) d->most += d->wrap;
  }
  if (isnan(d->least)) d->least = -INFINITY;
  if (isnan(d->most)) d->most = INFINITY;
}

void weir__netcdf_decide(int id, int variable, nc_type stored, weir__netcdf_decoding *decoding, weir_field_type *type) {
  weir__netcdf_decoding d          = {.stored = stored, .scale = 1, .least = -INFINITY, .most = INFINITY};
  weir_dtype            dtype      = follow_unsigned(id, variable, dtype_of(stored), &d.wrap);
  nc_type               scale_type = NC_FLOAT, offset_type = NC_FLOAT;
  bool                  floating = stored == NC_FLOAT || stored == NC_DOUBLE;
  decide_missing(id, variable, &d, floating);
  bool scaled = weir__netcdf_numbers(id, variable, "scale_factor", &d.scale, 1, &scale_type) > 0;
  bool moved  = weir__netcdf_numbers(id, variable, "add_offset", &d.offset, 1, &offset_type) > 0;
  d.packed    = scaled || moved;
  if (d.packed) {
    bool wide = weir_dtype_size(dtype) >= 4 && dtype != WEIR_F32;
    dtype     = !wide && scale_type == NC_FLOAT && offset_type == NC_FLOAT ? WEIR_F32 : WEIR_F64;
  }
  type->dtype = dtype;
  if (!weir_dtype_is_floating(dtype) && d.missing_count) {
    type->has_fill = true;
    type->fill     = d.missing[0];
  } else if (!weir_dtype_is_floating(dtype) &&
             (isfinite(d.least) || isfinite(d.most))) { /* a fill is needed: one outside the range */
    type->has_fill = true;
    type->fill     = isfinite(d.least) ? d.least - 1 : d.most + 1;
  }
  *decoding = d;
}

void weir__netcdf_decode(const weir__netcdf_decoding *d, double *x, int64_t n) {
  if (d->wrap != 0)
    for (int64_t i = 0; i < n; i++) x[i] = x[i] < 0 ? x[i] + d->wrap : x[i];
  bool ranged = isfinite(d->least) || isfinite(d->most);
  for (int64_t i = 0; i < n; i++) {
    double value   = x[i];
    bool   missing = ranged && (value < d->least || value > d->most);
    for (int m = 0; m < d->missing_count; m++) missing |= value == d->missing[m];
    if (missing) x[i] = NAN;
    else if (d->packed) x[i] = value * d->scale + d->offset;
  }
}

/* ---- attributes ---- */

static bool is_decoded(const char *name) {
  static const char *const decoded[] = {"units",     "_FillValue", "missing_value", "scale_factor", "add_offset",
                                        "_Unsigned", "valid_min",  "valid_max",     "valid_range"};
  for (size_t i = 0; i < sizeof decoded / sizeof *decoded; i++)
    if (!strcmp(name, decoded[i])) return true;
  return false;
}

weir_status weir__netcdf_attributes(weir__netcdf *reader, int id, int variable, weir_field_type *type) {
  int             count = 0;
  weir_attribute *list;
  WEIR_TRY(weir__netcdf_text(reader, id, variable, "units", &type->units));
  if (nc_inq_varnatts(id, variable, &count) != NC_NOERR || !count) return WEIR_OK;
  WEIR_TRY(weir__arena_alloc(&reader->arena, (size_t)count * sizeof *list, &list));
  for (int i = 0; i < count; i++) {
    char            name[NC_MAX_NAME + 1];
    weir_attribute *next = &list[type->attribute_count];
    if (nc_inq_attname(id, variable, i, name) != NC_NOERR || is_decoded(name)) continue;
    WEIR_TRY(weir__netcdf_text(reader, id, variable, name, &next->text));
    if (!next->text && !weir__netcdf_numbers(id, variable, name, &next->number, 1, NULL)) continue;
    WEIR_TRY(weir__arena_string(&reader->arena, name, &next->name));
    type->attribute_count++;
  }
  type->attributes = list;
  return WEIR_OK;
}

/* ---- coordinates ---- */

/* Uniform to 1e-6 of the spacing, or to the rounding of the type the numbers are stored in. */
static bool is_uniform(const double *x, int64_t n, bool single) {
  if (n < 2) return false;
  double spacing = (x[n - 1] - x[0]) / (double)(n - 1), largest = fmax(fabs(x[0]), fabs(x[n - 1]));
  double tolerance = fmax(1e-6 * fabs(spacing), (single ? (double)FLT_EPSILON : DBL_EPSILON) * largest);
  if (!(fabs(spacing) > 0) || !isfinite(spacing) || tolerance > 0.01 * fabs(spacing)) return false;
  for (int64_t i = 0; i < n; i++)
    if (!(fabs(x[i] - (x[0] + (double)i * spacing)) <= tolerance)) return false;
  return true;
}

static bool goes_round(const weir_dimension *d) {
  return d->units && !strncmp(d->units, "degree", 6) && strstr(d->units, "_east") && d->spacing != 0 &&
         fabs(fabs(d->spacing) * (double)d->size - 360) < 1e-6 * 360;
}

weir_status weir__netcdf_coordinate(weir__netcdf *reader, int id, weir_dimension *dimension) {
  int     variable, rank;
  nc_type type;
  double *x;
  if (!dimension->size || nc_inq_varid(id, dimension->name, &variable) != NC_NOERR) return WEIR_OK;
  if (nc_inq_varndims(id, variable, &rank) != NC_NOERR || rank != 1) return WEIR_OK;
  if (nc_inq_vartype(id, variable, &type) != NC_NOERR || type == NC_CHAR || type > NC_UINT64) return WEIR_OK;
  WEIR_TRY(weir__netcdf_text(reader, id, variable, "units", &dimension->units));
  WEIR_TRY(weir__arena_alloc(&reader->arena, (size_t)dimension->size * sizeof *x, &x));
  int error = nc_get_var_double(id, variable, x);
  if (error != NC_NOERR) return WEIR_FAIL(WEIR_ERR_INPUT, "coordinate %s: %s", dimension->name, nc_strerror(error));
  if (is_uniform(x, dimension->size, type == NC_FLOAT)) {
    dimension->origin  = x[0];
    dimension->spacing = (x[dimension->size - 1] - x[0]) / (double)(dimension->size - 1);
  } else dimension->values = x;
  dimension->periodic = goes_round(dimension);
  return WEIR_OK;
}
