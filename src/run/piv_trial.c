#include "run/piv_trial.h"
#include "core/error.h"
#include "io/file.h"
#include "run/piv.h"
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
  DISPLACEMENTS = 2 * WEIR__TRIAL_FAR * WEIR__TRIAL_PARTS,
  NUMBERS       = 2 + WEIR__TRIAL_FLAGS + WEIR__TRIAL_CORRELATIONS + 2 * DISPLACEMENTS + 1,
  ROWS          = 16 /* of a histogram */
};
static const char bar[] = "########################################"; /* the longest */

typedef struct trial {
  double        number[NUMBERS]; /* step, time, then the columns in the order of the recipe */
  const double *flag, *correlation, *displacement[2], *uncertainty;
} trial;

static weir_status read_trial(const char *directory, trial *t) {
  weir__text  path  = {0};
  char       *bytes = NULL;
  size_t      nbytes;
  int         count  = 0;
  weir_status status = WEIR_OK;
  weir__text_add(&path, "%s/trial.csv", directory);
  WEIR_TRY_GOTO(out, weir__text_status(&path));
  WEIR_TRY_GOTO(out, weir__file_read(AT_FDCWD, path.data, path.data, &bytes, &nbytes));
  char *line = bytes ? strchr(bytes, '\n') : NULL;
  for (char *at = line ? line + 1 : NULL; at && count < NUMBERS;) {
    char *end          = at;
    bool  empty        = *at == ',' || *at == '\n' || !*at;
    t->number[count++] = empty ? (double)NAN : strtod(at, &end);
    at                 = *end == ',' ? end + 1 : NULL;
  }
  t->flag            = t->number + 2;
  t->correlation     = t->flag + WEIR__TRIAL_FLAGS;
  t->displacement[0] = t->correlation + WEIR__TRIAL_CORRELATIONS;
  t->displacement[1] = t->displacement[0] + DISPLACEMENTS;
  t->uncertainty     = t->displacement[1] + DISPLACEMENTS;
  if (count != NUMBERS || isnan(*t->flag)) status = WEIR_FAIL(WEIR_ERR_IO, "%s: the couple has no result", path.data);
out:
  weir__free(bytes);
  weir__text_clear(&path);
  return status;
}

static double sum_of(const double *x, int n) {
  double sum = 0;
  for (int i = 0; i < n; i++) sum += x[i];
  return sum;
}

/* Within the interval that half of the counts are up to, as if they were spread evenly. */
static double median_of(const double *count, int n, double from, double width) {
  double half = 0.5 * sum_of(count, n), below = 0;
  for (int i = 0; i < n; i++) {
    if (count[i] > 0 && below + count[i] >= half) return from + width * (i + (half - below) / count[i]);
    below += count[i];
  }
  return (double)NAN;
}

/* 0 when displacements lie as often near half pixels as near whole ones, 1 when all lie near whole ones. */
static double locking_of(const double *count) {
  double near = 0, all = sum_of(count, DISPLACEMENTS);
  for (int i = 0; i < DISPLACEMENTS; i++) {
    int part = i % WEIR__TRIAL_PARTS;
    if (part < WEIR__TRIAL_PARTS / 4 || part >= WEIR__TRIAL_PARTS - WEIR__TRIAL_PARTS / 4) near += count[i];
  }
  return all > 0 ? 2 * near / all - 1 : (double)NAN;
}

static void add_histogram(weir__text *text, const char *name, const double *count) {
  int    first = DISPLACEMENTS, last = -1, width = 1;
  double most = 0;
  for (int i = 0; i < DISPLACEMENTS; i++)
    if (count[i] > 0) first = i < first ? i : first, last = i;
  if (last < 0) return;
  while ((last - first) / width >= ROWS) width *= 2;
  first -= first % width;
  for (int i = first; i <= last; i += width) most = fmax(most, sum_of(count + i, width));
  weir__text_add(text, "\n  %s, pixels\n", name);
  for (int i = first; i <= last; i += width) {
    double n = sum_of(count + i, width), from = (double)i / WEIR__TRIAL_PARTS - WEIR__TRIAL_FAR;
    int    length = (int)ceil((double)(sizeof bar - 1) * n / most);
    weir__text_add(text, "  %8.3f to %7.3f %7.0f %.*s\n", from, from + (double)width / WEIR__TRIAL_PARTS, n, length,
                   bar);
  }
}

weir_status weir__piv_trial(const char *directory, weir__text *text) {
  static const char *const reasons[WEIR__TRIAL_FLAGS] = {
      "", "no peak", "no signal", "masked", "low correlation", "low peak ratio", "limits", "median test", "neighbours"};
  trial t;
  WEIR_TRY(read_trial(directory, &t));
  double all = sum_of(t.flag, WEIR__TRIAL_FLAGS);
  weir__text_add(text, "vectors       %.0f, valid %.1f %%", all, all > 0 ? 100 * t.flag[0] / all : 0);
  for (int k = 1; k < WEIR__TRIAL_FLAGS; k++)
    if (t.flag[k] > 0) weir__text_add(text, "; rejected: %s %.0f", reasons[k], t.flag[k]);
  weir__text_add(text, "\ncorrelation   median %.2f\n",
                 median_of(t.correlation, WEIR__TRIAL_CORRELATIONS, 0, 1.0 / WEIR__TRIAL_CORRELATIONS));
  if (isfinite(*t.uncertainty)) weir__text_add(text, "uncertainty   of u, mean %.3f pixels\n", *t.uncertainty);
  weir__text_add(text, "peak locking  u %.2f, v %.2f (0: none; 1: only near whole pixels, as where little moves)\n",
                 locking_of(t.displacement[0]), locking_of(t.displacement[1]));
  add_histogram(text, "u", t.displacement[0]);
  add_histogram(text, "v", t.displacement[1]);
  return weir__text_status(text);
}
