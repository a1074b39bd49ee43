/* Tables of points. */
#include "core/memory.h"
#include "io/file.h"
#include "run/calibrate.h"
#include <ctype.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>

enum { COLUMNS = 5, CELLS = 64 };
static const char *const names[COLUMNS] = {"x", "y", "X", "Y", "Z"};

typedef struct table {
  const char               *path;
  long                      line;
  int                       at[COLUMNS]; /* which cell; -1: there is none */
  bool                      known;       /* what the columns are */
  double                    z;
  weir__calibration_points *points;
} table;

#define TABLE_FAIL(t, ...) fail_at(t, WEIR_FAIL(WEIR_ERR_INPUT, __VA_ARGS__))
static weir_status fail_at(const table *t, weir_status status) {
  return weir__error_prefix(status, "%s:%ld", t->path, t->line);
}

/* ---- cells ---- */

static char *trim(char *text) {
  while (isspace((unsigned char)*text)) text++;
  size_t n = strlen(text);
  while (n && isspace((unsigned char)text[n - 1])) text[--n] = 0;
  if (n > 1 && text[0] == '"' && text[n - 1] == '"') text[n - 1] = 0, text++;
  return text;
}

/* The line is cut in place; -1: too many cells. */
static int split(char *line, char *cell[CELLS]) {
  const char *between = strchr(line, ';') ? ";" : strchr(line, ',') ? "," : NULL;
  int         n       = 0;
  for (char *at = line; at;) {
    size_t length = between ? strcspn(at, between) : strcspn(at, " \t");
    bool   more   = at[length] != 0;
    if (n == CELLS) return -1;
    at[length] = 0;
    cell[n]    = trim(at);
    if (between || *cell[n]) n++;
    at = more ? at + length + 1 : NULL;
  }
  return n;
}

/* ---- lines ---- */

/* "X", "X (m)", "X [m]" */
static int column_of(char *cell) {
  cell[strcspn(cell, "([")] = 0;
  cell                      = trim(cell);
  for (int k = 0; k < COLUMNS; k++)
    if (!strcmp(cell, names[k])) return k;
  return -1;
}

static weir_status read_header(table *t, char *cell[], int n) {
  double number;
  t->known = true;
  if (weir__text_to_double(cell[0], &number)) {
    if (n < 4) return TABLE_FAIL(t, "%d numbers, expected x, y, X, Y and perhaps Z", n);
    if (n > COLUMNS)
      return TABLE_FAIL(t, "%d numbers without names, expected a first line that names x, y, X, Y, Z", n);
    for (int k = 0; k < COLUMNS; k++) t->at[k] = k < n ? k : -1;
    return WEIR_OK;
  }
  for (int k = 0; k < COLUMNS; k++) t->at[k] = -1;
  for (int i = 0; i < n; i++) {
    int k = column_of(cell[i]);
    if (k >= 0 && t->at[k] >= 0) return TABLE_FAIL(t, "column %s is there twice", names[k]);
    if (k >= 0) t->at[k] = i;
  }
  for (int k = 0; k < 4; k++)
    if (t->at[k] < 0) return TABLE_FAIL(t, "no column %s, expected x, y (pixels), X, Y and perhaps Z (m)", names[k]);
  return WEIR_OK;
}

static weir_status read_row(table *t, char *cell[], int n) {
  double                    value[COLUMNS] = {[4] = t->z};
  weir__calibration_points *p              = t->points;
  for (int k = 0; k < COLUMNS; k++) {
    if (t->at[k] < 0) continue;
    if (t->at[k] >= n) return TABLE_FAIL(t, "%s is missing", names[k]);
    if (!weir__text_to_double(cell[t->at[k]], &value[k]) || !isfinite(value[k]))
      return TABLE_FAIL(t, "%s is '%s', expected a number", names[k], cell[t->at[k]]);
  }
  WEIR_TRY(weir__grow(&p->point, (size_t)p->count + 1, &p->capacity, sizeof *p->point));
  p->point[p->count++] = (weir__camera_point){{value[0], value[1]}, {value[2], value[3], value[4]}};
  return WEIR_OK;
}

static weir_status read_line(table *t, char *line) {
  char *cell[CELLS];
  line[strcspn(line, "#")] = 0;
  line                     = trim(line);
  if (!*line) return WEIR_OK;
  int    n = split(line, cell);
  double number;
  if (n < 0) return TABLE_FAIL(t, "more than %d columns", CELLS);
  if (!t->known) {
    bool header = !weir__text_to_double(cell[0], &number);
    WEIR_TRY(read_header(t, cell, n));
    if (header) return WEIR_OK;
  }
  return read_row(t, cell, n);
}

weir_status weir__calibration_read_table(const char *path, double z, weir__calibration_points *points) {
  table       t      = {.path = path, .z = z, .points = points};
  char       *bytes  = NULL;
  size_t      size   = 0;
  weir_status status = weir__file_read(AT_FDCWD, path, path, &bytes, &size);
  if (status >= 0 && !bytes) status = WEIR_FAIL(WEIR_ERR_INPUT, "%s: no such file", path);
  for (char *line = bytes; status >= 0 && line;) {
    char *end  = line + strcspn(line, "\r\n");
    bool  more = end < bytes + size;
    if (more && end[0] == '\r' && end[1] == '\n') *end++ = 0;
    *end = 0;
    t.line++;
    status = read_line(&t, line);
    line   = more ? end + 1 : NULL;
  }
  weir__free(bytes);
  return status;
}
