/* The line that shows how far a run is; only on a terminal. */
#ifndef WEIR_CLI_PROGRESS_H
#define WEIR_CLI_PROGRESS_H
#include <stdbool.h>
#include <stdint.h>

typedef struct progress {
  bool    terminal, colour, shown;
  int64_t last_ns; /* clock when it was drawn last */
  int64_t steps;   /* then */
  double  rate;    /* steps per second, smoothed */
} progress;

progress progress_begin(void);
void     progress_show(progress *p, const char *run_directory);
void     progress_clear(progress *p); /* so that a message starts on an empty line */
#endif
