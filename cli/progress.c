#include "progress.h"
#include "core/clock.h"
#include "run/directory.h"
#include "run/report.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

progress progress_begin(void) {
  const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
  progress    p = {.terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb")};
  p.colour      = p.terminal && (!no_colour || !*no_colour);
  return p;
}

void progress_show(progress *p, const char *run_directory) {
  int64_t          now = weir__clock_ns();
  weir__run_status s;
  char             time[40], blocked[24];
  if (!p->terminal || now - p->last_ns < 400000000) return;
  weir__run_status_read(run_directory, &s);
  if (s.phase != WEIR__PHASE_WAITING && s.phase != WEIR__PHASE_RUNNING) return;
  double seconds = (double)(now - p->last_ns) * 1e-9;
  if (p->last_ns && s.steps > p->steps) {
    double rate = (double)(s.steps - p->steps) / seconds;
    p->rate     = p->rate > 0 ? 0.7 * p->rate + 0.3 * rate : rate;
  }
  p->last_ns = now;
  p->steps   = s.steps;
  fprintf(stderr, "\r\033[K%s", p->colour ? "\033[36m" : "");
  if (s.phase == WEIR__PHASE_WAITING)
    fprintf(stderr, "waiting for %s", s.watching ? "the first images" : "the simulation");
  else if (s.watching)
    fprintf(stderr, "%lld steps   step %lld   %.3g steps/s   %lld waiting   latency %s", (long long)s.steps,
            (long long)s.step, p->rate, (long long)s.waiting, weir__duration_text(s.latency_s, blocked));
  else
    fprintf(stderr, "step %lld   time %s   %.3g steps/s   simulation waited %s", (long long)s.step,
            weir__time_text(s.time, s.time_units, time), p->rate, weir__duration_text(s.blocked_s, blocked));
  /* back to the first column: a line that the simulation prints meanwhile goes over this one */
  fprintf(stderr, "%s\r", p->colour ? "\033[0m" : "");
  fflush(stderr);
  p->shown = true;
}

void progress_clear(progress *p) {
  if (!p->shown) return;
  fprintf(stderr, "\r\033[K");
  fflush(stderr);
  p->shown = false;
}
