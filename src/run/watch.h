/* The workers as the supervisor sees them: who is silent, who is gone. By the records RUN/live/worker.<rank>. */
#ifndef WEIR_RUN_WATCH_H
#define WEIR_RUN_WATCH_H
#include "core/error.h"
#include <stdint.h>

typedef struct weir__watch weir__watch;

/* `heartbeat_s` 0: nobody is silent. The directory must outlive it. */
weir_status weir__watch_create(const char *directory, int workers, double heartbeat_s, weir__watch **watch);
/* A job of workers was started: what earlier ones left says nothing about it. */
void weir__watch_begin(weir__watch *watch);
/* Now and then, while the job lives: the first worker whose beat has not changed for the time given, or that has not
 * begun, or has ended and not gone, in five times as long, by this process's own clock, as far as this process was
 * running itself, and how many seconds that is; -1: none.
 */
int weir__watch_silent(weir__watch *watch, int64_t now_ns, double *seconds);
/* The worker of this host whose record says that it runs and whose process has gone; -1: none or several. */
int  weir__watch_gone(const weir__watch *watch);
void weir__watch_destroy(weir__watch **watch);
#endif
