#include "operators/piv/target.h"
#include "core/memory.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct dot {
  double  at[2], area; /* x, y; pixels */
  bool    cut;         /* by the edge of the image */
  bool    known;       /* has a place on the grid */
  int64_t index[2];    /* its place: columns to the right, rows up */
  double  along[2][2]; /* from it to the next on the right, and to the next above; pixels */
} dot;

typedef struct image {
  const float *pixel;
  int64_t      height, width;
  float        level, sign; /* dots are where sign * (pixel - level) > 0 */
  float        background;  /* median of what is no dot, about: its mean */
} image;

typedef struct dots {
  dot    *dot;
  int64_t count;
  size_t  capacity;
} dots;

/* ---- light and dark ---- */

enum { BINS = 1024 };

/* Otsu 1979, doi 10.1109/TSMC.1979.4310076: the level between whose sides the variance is largest. */
static weir_status find_level(image *im) {
  double  bin[BINS] = {0}, mass = 0, moment = 0, below = 0, below_moment = 0, best = -1, mean[2] = {0};
  int64_t n = im->height * im->width, at = 0;
  float   least = INFINITY, most = -INFINITY;
  for (int64_t i = 0; i < n; i++) least = fminf(least, im->pixel[i]), most = fmaxf(most, im->pixel[i]);
  if (!(most > least) || !isfinite(most - least))
    return WEIR_FAIL(WEIR_ERR_INPUT, "target: the image has no dots: all pixels are alike");
  double scale = (BINS - 1) / ((double)most - least);
  for (int64_t i = 0; i < n; i++) bin[(int64_t)(((double)im->pixel[i] - least) * scale)]++;
  for (int64_t k = 0; k < BINS; k++) mass += bin[k], moment += (double)k * bin[k];
  for (int64_t k = 0; k + 1 < BINS; k++) {
    below += bin[k], below_moment += (double)k * bin[k];
    if (below == 0 || below == mass) continue;
    double low = below_moment / below, high = (moment - below_moment) / (mass - below);
    double between = below * (mass - below) * (high - low) * (high - low);
    if (between > best) best = between, at = k, mean[0] = low, mean[1] = high, im->sign = below < mass / 2 ? -1 : 1;
  }
  im->level      = (float)(least + ((double)at + 1) / scale);
  im->background = (float)(least + (mean[im->sign < 0] + 0.5) / scale);
  return WEIR_OK;
}

/* ---- spots ---- */

static bool inside(const image *im, int64_t i) { return im->sign * (im->pixel[i] - im->level) > 0; }

/* The spot that holds pixel `first`, by a stack of pixels. Its edge counts, too (one pixel around), as a dot is
 * blurred. */
static void fill(const image *im, int64_t first, unsigned char *done, int64_t *stack, dot *d) {
  double  sum = 0, x = 0, y = 0;
  int64_t top  = 0;
  *d           = (dot){.area = 0};
  stack[top++] = first, done[first] = 2;
  while (top) {
    int64_t i = stack[--top], px = i % im->width, py = i / im->width;
    double  weight = fmax(0, (double)im->sign * ((double)im->pixel[i] - im->background));
    sum += weight, x += weight * (double)px, y += weight * (double)py;
    if (done[i] == 1) continue; /* on the edge */
    d->area++;
    for (int dy = -1; dy <= 1; dy++)
      for (int dx = -1; dx <= 1; dx++) {
        int64_t qx = px + dx, qy = py + dy, q = qy * im->width + qx;
        if (qx < 0 || qy < 0 || qx >= im->width || qy >= im->height) d->cut = true;
        else if (!done[q]) done[q] = inside(im, q) ? 2 : 1, stack[top++] = q;
      }
  }
  if (sum > 0) d->at[0] = x / sum, d->at[1] = y / sum;
  else d->cut = true;
}

static int by_size(const void *a, const void *b) {
  double x = ((const dot *)a)->area, y = ((const dot *)b)->area;
  return (x > y) - (x < y);
}

/* Keep what is about as large as most: from a third to three times the median. */
static weir_status find_dots(const image *im, dots *all) {
  enum { LEAST = 3 };
  int64_t        n = im->height * im->width, kept = 0, *stack = NULL;
  unsigned char *done   = NULL;
  weir_status    status = WEIR_OK;
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)n, sizeof *done, &done));
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)n, sizeof *stack, &stack));
  for (int64_t i = 0; i < n; i++) {
    dot d;
    if (done[i] == 2 || !inside(im, i)) continue;
    fill(im, i, done, stack, &d);
    if (d.area < LEAST) continue;
    WEIR_TRY_GOTO(out, weir__grow(&all->dot, (size_t)all->count + 1, &all->capacity, sizeof *all->dot));
    all->dot[all->count++] = d;
  }
  if (all->count) qsort(all->dot, (size_t)all->count, sizeof *all->dot, by_size);
  double median = all->count ? all->dot[all->count / 2].area : 0;
  for (int64_t i = 0; i < all->count; i++) {
    const dot *d = &all->dot[i];
    if (!d->cut && d->area > median / 3 && d->area < 3 * median) all->dot[kept++] = *d;
  }
  all->count = kept;
out:
  weir__free(stack);
  weir__free(done);
  return status;
}

/* ---- the grid ---- */

static double apart(const double a[2], const double b[2]) { return hypot(a[0] - b[0], a[1] - b[1]); }

static int64_t nearest(const dots *all, const double at[2], int64_t but) {
  int64_t best = -1;
  for (int64_t i = 0; i < all->count; i++)
    if (i != but && (best < 0 || apart(all->dot[i].at, at) < apart(all->dot[best].at, at))) best = i;
  return best;
}

/* The nearest dot within 45 degrees of a direction. */
static int64_t towards(const dots *all, int64_t from, double dx, double dy) {
  int64_t       best = -1;
  const double *at   = all->dot[from].at;
  for (int64_t i = 0; i < all->count; i++) {
    double x = all->dot[i].at[0] - at[0], y = all->dot[i].at[1] - at[1], along = x * dx + y * dy, off = x * dy - y * dx;
    if (i == from || !(along > fabs(off))) continue;
    if (best < 0 || apart(all->dot[i].at, at) < apart(all->dot[best].at, at)) best = i;
  }
  return best;
}

static weir_status begin(const weir__target *t, const image *im, dots *all, int64_t *first) {
  double  middle[2] = {(double)(im->width - 1) / 2, (double)(im->height - 1) / 2};
  bool    given     = isfinite(t->start[0] + t->start[1]);
  int64_t at        = nearest(all, given ? t->start : middle, -1);
  int64_t next[2]   = {-1, -1};
  if (at >= 0) next[0] = towards(all, at, 1, 0), next[1] = towards(all, at, 0, -1);
  if (next[0] < 0 || next[1] < 0)
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "target: %lld dots were found, and none to the right of and above the first: expected a regular "
                     "grid of dots (--start names the pixel of another first one)",
                     (long long)all->count);
  dot *d   = &all->dot[at];
  d->known = true;
  for (int k = 0; k < 2; k++)
    for (int a = 0; a < 2; a++) d->along[k][a] = all->dot[next[k]].at[a] - d->at[a];
  *first = at;
  return WEIR_OK;
}

/* The dot that stands beside `d` one step along axis `k`, if there is one near enough to where it should be. */
static int64_t step(dots *all, int64_t from, int k, int way) {
  const dot *d        = &all->dot[from];
  double     place[2] = {d->at[0] + way * d->along[k][0], d->at[1] + way * d->along[k][1]};
  int64_t    to       = nearest(all, place, from);
  double     length   = fmin(hypot(d->along[0][0], d->along[0][1]), hypot(d->along[1][0], d->along[1][1]));
  if (to < 0 || apart(all->dot[to].at, place) > 0.3 * length) return -1;
  dot *n = &all->dot[to];
  if (n->known) return -1;
  n->known = true;
  memcpy(n->index, d->index, sizeof n->index);
  memcpy(n->along, d->along, sizeof n->along);
  n->index[k] += way;
  for (int a = 0; a < 2; a++) n->along[k][a] = way * (n->at[a] - d->at[a]); /* the grid bends with the lens */
  return to;
}

static void order(dots *all, int64_t *queue, int64_t first) {
  int64_t head = 0, tail = 0;
  queue[tail++] = first;
  while (head < tail) {
    int64_t from = queue[head++];
    for (int k = 0; k < 2; k++)
      for (int way = -1; way <= 1; way += 2) {
        int64_t to = step(all, from, k, way);
        if (to >= 0) queue[tail++] = to;
      }
  }
}

static int by_place(const void *a, const void *b) {
  const int64_t *p = ((const dot *)a)->index, *q = ((const dot *)b)->index;
  return p[1] != q[1] ? (p[1] > q[1]) - (p[1] < q[1]) : (p[0] > q[0]) - (p[0] < q[0]);
}

/* In order of the grid; two dots at one place are a grid that was followed wrongly. */
static weir_status give(const weir__target *t, dots *all, weir__camera_point **point, int64_t *count) {
  int64_t known = 0;
  for (int64_t i = 0; i < all->count; i++)
    if (all->dot[i].known) all->dot[known++] = all->dot[i];
  qsort(all->dot, (size_t)known, sizeof *all->dot, by_place);
  for (int64_t i = 1; i < known; i++)
    if (!by_place(&all->dot[i - 1], &all->dot[i]))
      return WEIR_FAIL(WEIR_ERR_INPUT,
                       "target: two dots at one place of the grid, near x %.0f, y %.0f: expected a "
                       "regular grid of dots",
                       all->dot[i].at[0], all->dot[i].at[1]);
  WEIR_TRY(weir__alloc_array((size_t)known, sizeof **point, point));
  for (int64_t i = 0; i < known; i++) {
    const dot *d = &all->dot[i];
    (*point)[i]  = (weir__camera_point){{d->at[0], d->at[1]},
                                        {t->spacing * (double)d->index[0], t->spacing * (double)d->index[1], t->z}};
  }
  *count = known;
  return WEIR_OK;
}

weir_status weir__target_find(const weir__target *target, const float *pixel, int64_t height, int64_t width,
                              weir__camera_point **point, int64_t *count) {
  enum { MOST = 20000 };
  image       im    = {.pixel = pixel, .height = height, .width = width};
  dots        all   = {0};
  int64_t    *queue = NULL, first = 0;
  weir_status status = WEIR_OK;
  WEIR_TRY_GOTO(out, find_level(&im));
  WEIR_TRY_GOTO(out, find_dots(&im, &all));
  if (all.count > MOST) {
    status = WEIR_FAIL(WEIR_ERR_INPUT, "target: %lld spots, expected up to %d dots: is this an image of a target?",
                       (long long)all.count, MOST);
    goto out;
  }
  WEIR_TRY_GOTO(out, begin(target, &im, &all, &first));
  WEIR_TRY_GOTO(out, weir__alloc_array((size_t)all.count, sizeof *queue, &queue));
  order(&all, queue, first);
  WEIR_TRY_GOTO(out, give(target, &all, point, count));
out:
  weir__free(queue);
  weir__free(all.dot);
  return status;
}
