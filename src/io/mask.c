#include "io/mask.h"
#include "core/memory.h"
#include "core/text.h"
#include "field/field.h"
#include "io/file.h"
#include "io/image.h"
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- polygons ---- */

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Pixels of a row from x to `end`, both included. */
static void add_span(double x, double end, int64_t width, uint8_t *row) {
  x   = ceil(x < 0 ? 0 : x);
  end = floor(end > (double)(width - 1) ? (double)(width - 1) : end);
  if (x <= end) memset(row + (int64_t)x, 1, (size_t)(end - x) + 1);
}

/* Where edges cross a row, of those that hold their upper end or, `lower`, their lower one: each counts once at a
 * corner then. Both together give a polygon with all of its border. */
static void add_row(const double (*p)[2], int64_t points, bool lower, int64_t y, int64_t width, double *crossing,
                    uint8_t *row) {
  size_t n  = 0;
  double at = (double)y;
  for (int64_t i = 0; i < points; i++) {
    const double *a = p[i], *b = p[i + 1 < points ? i + 1 : 0];
    if (a[0] > b[0]) {
      const double *swap = a;
      a = b, b = swap;
    }
    if (a[0] == b[0]) {
      if (a[0] == at) add_span(fmin(a[1], b[1]), fmax(a[1], b[1]), width, row);
    } else if (lower ? a[0] < at && at <= b[0] : a[0] <= at && at < b[0])
      crossing[n++] = at == b[0] ? b[1] : a[1] + (b[1] - a[1]) * (at - a[0]) / (b[0] - a[0]);
  }
  qsort(crossing, n, sizeof *crossing, by_value);
  for (size_t i = 0; i + 1 < n; i += 2) add_span(crossing[i], crossing[i + 1], width, row);
}

weir_status weir__mask_add_polygon(const double (*point)[2], int64_t points, int64_t height, int64_t width,
                                   uint8_t *mask) {
  double *crossing;
  if (points < 3)
    return WEIR_FAIL(WEIR_ERR_INPUT, "a polygon has %" PRId64 " point%s, expected at least 3", points,
                     points == 1 ? "" : "s");
  for (int64_t i = 0; i < points; i++)
    if (!isfinite(point[i][0]) || !isfinite(point[i][1]))
      return WEIR_FAIL(WEIR_ERR_INPUT, "point %" PRId64 " of a polygon is not finite", i + 1);
  WEIR_TRY(weir__alloc_array((size_t)points, sizeof *crossing, &crossing));
  for (int64_t y = 0; y < height; y++)
    for (int lower = 0; lower < 2; lower++) add_row(point, points, lower == 1, y, width, crossing, mask + y * width);
  weir__free(crossing);
  return WEIR_OK;
}

/* ---- as text ---- */

typedef struct polygons {
  const char *path;
  int64_t     line, height, width;
  int         column[3]; /* of y, x, polygon in a line; -1: there is none */
  double (*point)[2];
  int64_t  points, room, first_line; /* of the polygon at hand */
  double   which;
  int64_t  polygons;
  uint8_t *mask;
} polygons;

static const char separators[] = ",; \t\r";

/* The next word of a line, of at most 63 characters. */
static bool next_word(const char **at, char word[64]) {
  *at += strspn(*at, separators);
  size_t n = strcspn(*at, separators);
  if (!n) return false;
  size_t kept = n < 63 ? n : 63;
  memcpy(word, *at, kept);
  word[kept] = 0;
  *at += n;
  return true;
}

static weir_status read_names(polygons *p, const char *line) {
  static const char *const name[] = {"y", "x", "polygon"};
  char                     word[64];
  for (int k = 0; next_word(&line, word); k++)
    for (int i = 0; i < 3; i++)
      if (!strcasecmp(word, name[i])) p->column[i] = k;
  if (p->column[0] >= 0 && p->column[1] >= 0) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_INPUT,
                   "%s:%" PRId64 ": no mask: expected an image, or a line with the names of columns, y "
                   "and x, and the points of polygons below",
                   p->path, p->line);
}

static weir_status finish_polygon(polygons *p) {
  if (!p->points) return WEIR_OK;
  weir_status status = weir__mask_add_polygon((const double(*)[2])p->point, p->points, p->height, p->width, p->mask);
  p->points          = 0;
  p->polygons++;
  return status < 0 ? weir__error_prefix(status, "%s:%" PRId64, p->path, p->first_line) : WEIR_OK;
}

static weir_status add_point(polygons *p, double y, double x) {
  if (p->points == p->room) {
    double(*more)[2];
    int64_t room = p->room ? 2 * p->room : 64;
    WEIR_TRY(weir__alloc_array((size_t)room, sizeof *more, &more));
    if (p->points) memcpy(more, p->point, (size_t)p->points * sizeof *more);
    weir__free(p->point);
    p->point = more;
    p->room  = room;
  }
  if (!p->points) p->first_line = p->line;
  p->point[p->points][0] = y;
  p->point[p->points][1] = x;
  p->points++;
  return WEIR_OK;
}

static weir_status read_point(polygons *p, const char *line) {
  double value[3] = {NAN, NAN, 0};
  char   word[64];
  for (int k = 0; next_word(&line, word); k++)
    for (int i = 0; i < 3; i++)
      if (p->column[i] == k && !weir__text_to_double(word, &value[i]))
        return WEIR_FAIL(WEIR_ERR_INPUT, "%s:%" PRId64 ": '%s' is no number", p->path, p->line, word);
  if (isnan(value[0]) || isnan(value[1]))
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s:%" PRId64 ": a point lacks its y or x", p->path, p->line);
  if (p->points && value[2] != p->which) WEIR_TRY(finish_polygon(p));
  p->which = value[2];
  return add_point(p, value[0], value[1]);
}

static weir_status read_line(polygons *p, char *line) {
  bool comment             = strchr(line, '#') != NULL;
  line[strcspn(line, "#")] = 0;
  if (line[strspn(line, separators)]) return p->column[0] < 0 ? read_names(p, line) : read_point(p, line);
  return comment ? WEIR_OK : finish_polygon(p);
}

static weir_status read_text(const char *path, char *bytes, int64_t height, int64_t width, uint8_t *mask) {
  polygons    p      = {.path = path, .height = height, .width = width, .column = {-1, -1, -1}, .mask = mask};
  weir_status status = WEIR_OK;
  for (char *line = bytes; line && status >= 0;) {
    char *end = strchr(line, '\n');
    if (end) *end++ = 0;
    p.line++;
    status = read_line(&p, line);
    line   = end;
  }
  if (status >= 0) status = finish_polygon(&p);
  if (status >= 0 && !p.polygons) status = WEIR_FAIL(WEIR_ERR_INPUT, "%s: there is no polygon in it", path);
  weir__free(p.point);
  return status;
}

/* ---- as an image ---- */

static weir_status add_image(weir__image *image, const char *path, int64_t height, int64_t width, uint8_t *mask) {
  weir_status      status = WEIR_OK;
  weir__image_info info;
  void            *pixels = NULL;
  WEIR_TRY(weir__image_info_get(image, 0, &info));
  if (info.height != height || info.width != width)
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "%s: the mask has %" PRId64 " x %" PRId64 " pixels, expected %" PRId64 " x %" PRId64
                     " (height x width) as the images have",
                     path, info.height, info.width, height, width);
  size_t size = weir_dtype_size(info.dtype);
  WEIR_TRY(weir__alloc_array((size_t)(height * width), size, &pixels));
  WEIR_TRY_GOTO(out, weir__image_read(image, 0, pixels));
  for (int64_t i = 0; i < height * width; i++) {
    bool is = info.dtype == WEIR_U8    ? ((const uint8_t *)pixels)[i] != 0
              : info.dtype == WEIR_U16 ? ((const uint16_t *)pixels)[i] != 0
                                       : ((const float *)pixels)[i] != 0;
    if (is) mask[i] = 1;
  }
out:
  weir__free(pixels);
  return status;
}

/* Text holds neither a 0 nor anything but tabs and ends of lines below a space. */
static bool is_text(const char *bytes, size_t n) {
  for (size_t i = 0; i < n; i++)
    if ((unsigned char)bytes[i] < ' ' && !strchr("\t\r\n", bytes[i] ? bytes[i] : 1)) return false;
  return n > 0;
}

weir_status weir__mask_read(const char *path, int64_t height, int64_t width, uint8_t *mask) {
  weir__image *image = NULL;
  char        *bytes = NULL;
  size_t       nbytes;
  WEIR_TRY(weir__file_read(AT_FDCWD, path, path, &bytes, &nbytes));
  if (!bytes) return WEIR_FAIL(WEIR_ERR_INPUT, "%s: there is no such file, expected a mask", path);
  weir_status status;
  if (strncmp(bytes, "P2", 2) != 0 && is_text(bytes, nbytes)) status = read_text(path, bytes, height, width, mask);
  else {
    status = weir__image_open(path, NULL, &image);
    if (status >= 0) status = add_image(image, path, height, width, mask);
    weir__image_close(&image);
  }
  weir__free(bytes);
  return status;
}
