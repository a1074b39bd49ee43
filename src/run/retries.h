/* How often, and after what time, a job that died is started again. */
#ifndef WEIR_RUN_RETRIES_H
#define WEIR_RUN_RETRIES_H
#include <stdbool.h>
#include <stdint.h>

typedef struct weir__retries {
  int     most;          /* deaths in a row that are answered by a start */
  double  backoff_s;     /* before the first of them; doubled for each further one, 60 s at most */
  int     in_row, total; /* starts so far */
  int64_t due_ns;        /* clock: when it is started; 0: nothing waits */
  int64_t furthest;      /* progress before any death */
  int64_t past_ns;       /* clock: when the progress was first well beyond that; 0: not yet */
} weir__retries;

/* The job died, having come so far (a number that grows; where the trouble comes at the same place each time, it is not
 * progress to come there again). False: it is not started any more. */
bool weir__retries_next(weir__retries *retries, int64_t now_ns, int64_t progress);
/* Is it time? True once. */
bool weir__retries_due(weir__retries *retries, int64_t now_ns);
/* It lives and has come so far: well beyond its last death, and for a while, the count of deaths in a row ends. */
void weir__retries_progress(weir__retries *retries, int64_t now_ns, int64_t progress);
#endif
