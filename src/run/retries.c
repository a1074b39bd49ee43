#include "run/retries.h"

static const double BACKOFF_MOST_S = 60;
/* The progress known here is a fraction of a second old, so a few steps more than at the last death may mean nothing:
 * it must also have lasted. */
enum { STEPS_BEYOND = 10, BACKOFFS_BEYOND = 10 };

bool weir__retries_next(weir__retries *r, int64_t now_ns, int64_t progress) {
  if (progress > r->furthest) r->furthest = progress;
  r->past_ns = 0;
  if (r->in_row >= r->most) return false;
  double wait = r->backoff_s;
  for (int i = 0; i < r->in_row && wait < BACKOFF_MOST_S; i++) wait *= 2;
  if (wait > BACKOFF_MOST_S && r->backoff_s < BACKOFF_MOST_S) wait = BACKOFF_MOST_S;
  r->in_row++;
  r->total++;
  r->due_ns = now_ns + (int64_t)(wait * 1e9);
  return true;
}

bool weir__retries_due(weir__retries *r, int64_t now_ns) {
  if (!r->due_ns || now_ns < r->due_ns) return false;
  r->due_ns = 0;
  return true;
}

void weir__retries_progress(weir__retries *r, int64_t now_ns, int64_t progress) {
  if (!r->in_row || progress < r->furthest + STEPS_BEYOND) return;
  if (!r->past_ns) r->past_ns = now_ns;
  if ((double)(now_ns - r->past_ns) >= BACKOFFS_BEYOND * r->backoff_s * 1e9) r->in_row = 0;
}
