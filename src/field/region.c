#include "field/field.h"
#include <stdio.h>
#include <string.h>

size_t weir_dtype_size(weir_dtype dtype) {
  switch (dtype) {
#define WEIR_DTYPE_SIZE(name, value, text, type)                                                                       \
  case name: return sizeof(type);
    WEIR_DTYPE_LIST(WEIR_DTYPE_SIZE)
#undef WEIR_DTYPE_SIZE
  }
  return 0;
}

const char *weir_dtype_name(weir_dtype dtype) {
  switch (dtype) {
#define WEIR_DTYPE_NAME(name, value, text, type)                                                                       \
  case name: return text;
    WEIR_DTYPE_LIST(WEIR_DTYPE_NAME)
#undef WEIR_DTYPE_NAME
  }
  return "?";
}

bool weir_dtype_parse(const char *name, weir_dtype *dtype) {
#define WEIR_DTYPE_PARSE(enumerator, value, text, type)                                                                \
  if (!strcmp(name, text)) {                                                                                           \
    *dtype = enumerator;                                                                                               \
    return true;                                                                                                       \
  }
  WEIR_DTYPE_LIST(WEIR_DTYPE_PARSE)
#undef WEIR_DTYPE_PARSE
  return false;
}

const char *weir_location_name(weir_location location) {
  static const char *const names[] = {"", "t", "u", "v", "f"};
  return (unsigned)location < sizeof names / sizeof *names ? names[location] : "";
}

int64_t weir__region_size(const weir_region *region) {
  int64_t n = 1;
  for (int a = 0; a < region->rank; a++) n *= region->count[a];
  return n;
}

/* One past the last index; regions that reach over the largest index end there. */
static int64_t end_of(const weir_region *region, int axis) {
  int64_t end;
  return __builtin_add_overflow(region->start[axis], region->count[axis], &end) ? INT64_MAX : end;
}

bool weir__region_intersect(const weir_region *a, const weir_region *b, weir_region *out) {
  weir_region r = {.rank = a->rank};
  for (int i = 0; i < a->rank; i++) {
    int64_t start = a->start[i] > b->start[i] ? a->start[i] : b->start[i];
    int64_t end_a = end_of(a, i), end_b = end_of(b, i);
    int64_t end = end_a < end_b ? end_a : end_b;
    if (end <= start) return false;
    r.start[i] = start;
    r.count[i] = end - start;
  }
  *out = r;
  return true;
}

bool weir__region_equal(const weir_region *a, const weir_region *b) {
  if (a->rank != b->rank) return false;
  for (int i = 0; i < a->rank; i++)
    if (a->start[i] != b->start[i] || a->count[i] != b->count[i]) return false;
  return true;
}

int weir__region_follows(const weir_region *a, const weir_region *b) {
  int axis = -1;
  if (a->rank != b->rank) return -1;
  for (int k = 0; k < a->rank; k++) {
    if (a->start[k] == b->start[k] && a->count[k] == b->count[k]) continue;
    if (axis >= 0 || b->start[k] != end_of(a, k)) return -1;
    axis = k;
  }
  return axis;
}

bool weir__region_contains(const weir_region *outer, const weir_region *inner) {
  if (outer->rank != inner->rank) return false;
  for (int i = 0; i < outer->rank; i++)
    if (inner->start[i] < outer->start[i] || end_of(inner, i) > end_of(outer, i)) return false;
  return true;
}

weir_region weir__region_whole(const weir_field_type *type) {
  weir_region r = {.rank = type->rank};
  for (int a = 0; a < type->rank; a++) r.count[a] = type->dim[a].size;
  return r;
}

weir_shape weir__shape_of(const weir_field_type *type) {
  weir_shape s = {.rank = type->rank};
  for (int a = 0; a < type->rank; a++) s.extent[a] = type->dim[a].size;
  return s;
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

weir_status weir__type_copy(weir__arena *arena, weir_field_type *type) {
  weir_attribute *attributes = NULL;
  WEIR_TRY(weir__arena_string(arena, type->units, &type->units));
  for (int a = 0; a < type->rank; a++) WEIR_TRY(copy_dimension(arena, &type->dim[a]));
  if (type->attribute_count)
    WEIR_TRY(weir__arena_alloc(arena, (size_t)type->attribute_count * sizeof *attributes, &attributes));
  for (int i = 0; i < type->attribute_count; i++) {
    attributes[i] = type->attributes[i];
    WEIR_TRY(weir__arena_string(arena, attributes[i].name, &attributes[i].name));
    WEIR_TRY(weir__arena_string(arena, attributes[i].text, &attributes[i].text));
  }
  type->attributes = attributes;
  return WEIR_OK;
}

const char *weir__region_text(const weir_region *region, char out[200]) {
  int n = snprintf(out, 200, "[");
  for (int a = 0; a < region->rank && n < 200; a++)
    n += snprintf(out + n, 200 - (size_t)n, "%s%lld:%lld", a ? ", " : "", (long long)region->start[a],
                  (long long)end_of(region, a));
  if (n < 199) snprintf(out + n, 200 - (size_t)n, "]");
  return out;
}

const char *weir__shape_text(const weir_shape *shape, char out[200]) {
  int n = snprintf(out, 200, shape->rank ? "[" : "scalar");
  for (int a = 0; a < shape->rank && n < 200; a++)
    n += snprintf(out + n, 200 - (size_t)n, "%s%lld", a ? ", " : "", (long long)shape->extent[a]);
  if (shape->rank && n < 199) snprintf(out + n, 200 - (size_t)n, "]");
  return out;
}

int weir__axis_find(const weir_field_type *type, const char *name) {
  for (int a = 0; a < type->rank; a++)
    if (!strcmp(type->dim[a].name, name)) return a;
  return -1;
}

weir_region weir__region_by_name(const weir_field_type *from, const weir_region *region, const weir_field_type *to) {
  weir_region r = weir__region_whole(to);
  for (int a = 0; a < to->rank; a++) {
    int b = weir__axis_find(from, to->dim[a].name);
    if (b < 0) continue;
    r.start[a] = region->start[b];
    r.count[a] = region->count[b];
  }
  return r;
}

double weir__coordinate(const weir_dimension *dimension, double index) {
  if (dimension->spacing != 0) return dimension->origin + index * dimension->spacing;
  if (!dimension->values) return index;
  int64_t low  = index > 0 ? (int64_t)index : 0; /* before the first: extrapolated like after it */
  double  part = index - (double)low;
  if (low >= dimension->size - 1) low = dimension->size - 1, part = 0;
  return part == 0 ? dimension->values[low]
                   : dimension->values[low] + part * (dimension->values[low + 1] - dimension->values[low]);
}

double weir__location_shift(weir_location location, int rank, int axis) {
  bool x = axis == rank - 1, y = axis == rank - 2;
  if (x && (location == WEIR_AT_U || location == WEIR_AT_F)) return 0.5;
  if (y && (location == WEIR_AT_V || location == WEIR_AT_F)) return 0.5;
  return 0;
}

weir_status weir__need_whole(const void *params, const weir_field_type *const *in, int input, const weir_region *out,
                             weir_region *region) {
  (void)params, (void)out;
  *region = weir__region_whole(in[input]);
  return WEIR_OK;
}
