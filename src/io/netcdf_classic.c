/* The header of the classic formats, as far as needed to know how long the file must be. Grammar: NetCDF Users' Guide,
 * appendix "File Format Specifications" (CDF-1, CDF-2, CDF-5). Numbers are big endian. */
#include "io/netcdf_read.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

typedef struct cursor {
  FILE *file;
  int   version; /* 1, 2 or 5 */
  bool  ended;   /* the file ended inside the header */
  bool  damaged; /* the header makes no sense */
  off_t size;    /* of the file */
} cursor;

static uint64_t get(cursor *c, int bytes) {
  uint64_t x = 0;
  for (int i = 0; i < bytes; i++) {
    int byte = fgetc(c->file);
    if (byte == EOF) c->ended = true;
    x = x << 8 | (uint64_t)(byte & 0xff);
  }
  return x;
}

/* A count or length: 8 bytes in CDF-5, else 4. */
static uint64_t get_count(cursor *c) { return get(c, c->version == 5 ? 8 : 4); }

/* The length of a list: with more entries than the file has room for, the library would ask for any amount of memory.
 */
static uint64_t get_list(cursor *c) {
  enum { ENTRY_LEAST = 8 };
  (void)get(c, 4); /* a tag, or 0 for none */
  uint64_t n = get_count(c);
  if (n <= (uint64_t)c->size / ENTRY_LEAST) return n;
  c->damaged = true;
  return 0;
}

static void skip(cursor *c, uint64_t bytes) {
  if (bytes > INT64_MAX / 2 || fseeko(c->file, (off_t)bytes, SEEK_CUR)) c->ended = true;
}

static uint64_t padded(uint64_t bytes) { return (bytes + 3) & ~(uint64_t)3; }

static void skip_name(cursor *c) { skip(c, padded(get_count(c))); }

static uint64_t type_size(uint64_t type) {
  static const uint8_t size[] = {0, 1, 1, 2, 4, 4, 8, 1, 2, 4, 8, 8}; /* by number of nc_type */
  return type < sizeof size ? size[type] : 0;
}

static void skip_attributes(cursor *c) {
  for (uint64_t n = get_list(c); n && !c->ended; n--) {
    skip_name(c);
    uint64_t type = get(c, 4), count = get_count(c);
    if (count > INT64_MAX / 16) c->ended = true;
    else skip(c, padded(count * type_size(type)));
  }
}

enum { DIMENSIONS_MAX = 1024 }; /* NC_MAX_DIMS */

/* The end of the last byte of data. A variable ends at begin + its own size; of a record variable the last record does.
 */
static uint64_t data_end(cursor *c, uint64_t records) {
  uint64_t length[DIMENSIONS_MAX], end = 0, record_size = 0, record_end = 0, record_variables = 0, only = 0;
  uint64_t dimensions = get_list(c);
  if (dimensions > DIMENSIONS_MAX) return c->damaged = true, 0;
  for (uint64_t i = 0; i < dimensions && !c->ended; i++) {
    skip_name(c);
    length[i] = get_count(c);
  }
  skip_attributes(c);
  for (uint64_t n = get_list(c); n && !c->ended; n--) {
    skip_name(c);
    uint64_t rank = get_count(c), size = 1;
    bool     record = false;
    for (uint64_t a = 0; a < rank && !c->ended; a++) {
      uint64_t dimension = get_count(c);
      if (dimension >= dimensions) return c->damaged = true, 0;
      if (a == 0 && length[dimension] == 0) record = true;
      else if (__builtin_mul_overflow(size, length[dimension], &size)) return 0;
    }
    skip_attributes(c);
    size *= type_size(get(c, 4));
    (void)get_count(c); /* vsize: of no use, it overflows for large variables */
    uint64_t begin = get(c, c->version == 1 ? 4 : 8);
    if (record) {
      record_variables++;
      record_size += padded(size);
      only = size; /* a single record variable is not padded */
      if (begin + size > record_end) record_end = begin + size;
    } else if (size && begin + size > end) end = begin + size;
  }
  if (record_variables == 1) record_size = only;
  if (records && record_variables && record_end + (records - 1) * record_size > end)
    end = record_end + (records - 1) * record_size;
  return end;
}

weir_status weir__netcdf_classic_check(const char *path) {
  cursor      c = {.file = fopen(path, "rbe")};
  struct stat info;
  char        magic[4];
  if (!c.file) return WEIR_FAIL(WEIR_ERR_INPUT, "cannot read %s: %s", path, strerror(errno));
  if (fread(magic, 1, 4, c.file) != 4 || memcmp(magic, "CDF", 3) || fstat(fileno(c.file), &info)) {
    fclose(c.file);
    return WEIR_OK; /* no classic file */
  }
  c.version             = magic[3];
  c.size                = info.st_size;
  uint64_t    records   = get_count(&c);
  bool        streaming = records == (c.version == 5 ? UINT64_MAX : UINT32_MAX); /* written by a pipe: length unknown */
  uint64_t    end       = data_end(&c, streaming ? 0 : records);
  weir_status status    = WEIR_OK;
  if (c.damaged) status = WEIR_FAIL(WEIR_ERR_INPUT, "%s is damaged: its NetCDF header makes no sense", path);
  else if (c.ended || end > (uint64_t)info.st_size)
    status = WEIR_FAIL(WEIR_ERR_INPUT, "%s is cut short: %lld bytes, its header promises %s%llu", path,
                       (long long)info.st_size, c.ended ? "more than " : "",
                       (unsigned long long)(c.ended ? (uint64_t)info.st_size : end));
  fclose(c.file);
  return status;
}
