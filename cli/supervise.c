#include "supervise.h"
#include "core/clock.h"
#include "core/text.h"
#include "progress.h"
#include "run/check.h"
#include "run/launch.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
  TICK_MS   = 200,
  LATE_S    = 3,
  NAMED_MAX = 64 /* workers, of which the one that died is looked for at each tick */
};

enum { SIMULATION_RETRIES = 3 };

static bool simulates(const supervision *s) { return s->simulation_job.pid && !s->simulation_job.ended; }
static bool works(const supervision *s) { return s->worker_job.pid && !s->worker_job.ended; }

static weir__run_status status_of(const supervision *s) {
  weir__run_status status;
  weir__run_status_read(s->directory->path, &status);
  return status;
}

/* ---- starting ---- */

static weir_status start_job(supervision *s, const char *line, int n, char *const command[], bool direct, int restart,
                             const int64_t *saved, weir__job *job) {
  char         **argv, **environment;
  weir__launcher launcher = WEIR__LAUNCH_DIRECT;
  if (!direct && !line) WEIR_TRY(weir__launcher_find(&launcher));
  WEIR_TRY(weir__launch_line(s->arena, launcher, line, n, command, &argv));
  weir__launch_run run = {s->directory->path, restart, saved, weir__placements[s->recipe->stream.placement], s->engine};
  WEIR_TRY(weir__launch_environment(s->arena, &run, &environment));
  return weir__job_start(argv, environment, job);
}

/* This program, where it was at the start: it may be replaced by another while the run lives. */
static weir_status find_self(supervision *s) {
  if (s->self[0]) return WEIR_OK;
  ssize_t n = readlink("/proc/self/exe", s->self, sizeof s->self - 1);
  if (n <= 0) return WEIR_FAIL(WEIR_ERR_IO, "cannot find this program: %s", strerror(errno));
  s->self[n] = 0;
  return WEIR_OK;
}

static bool is_inline(const supervision *s) { return s->recipe->stream.placement == WEIR__PLACEMENT_INLINE; }

/* Workers that only forward what the simulation publishes, one per node. */
static int forwarders(const supervision *s) {
  const char *nodes = getenv("SLURM_JOB_NUM_NODES");
  int64_t     count = 1;
  if (s->recipe->stream.placement != WEIR__PLACEMENT_TRANSIT) return 0;
  return nodes && weir__text_to_int64(nodes, &count) && count > 0 && count < 1 << 20 ? (int)count : 1;
}

/* In placement inline the processes of the simulation are the workers. */
static weir_status start_workers(supervision *s) {
  WEIR_TRY(find_self(s));
  weir__run_status_remove(s->directory->path);
  if (is_inline(s)) {
    s->workers_over = true;
    return weir__launch_engine(s->arena, s->self, &s->engine);
  }
  /* how many jobs of workers there were before, whatever ended them */
  int         restart  = s->worker_retries.total + s->simulation_retries.total;
  int         all      = s->workers + forwarders(s);
  char *const worker[] = {s->self, "worker", s->directory->path, NULL};
  weir__watch_begin(s->watch);
  s->gone   = -1;
  s->silent = false;
  return start_job(s, s->recipe->launch_workers.text, all, worker, all == 1, restart, NULL, &s->worker_job);
}

/* The command as it was given; or, when it is started again, as `restart:` has it, in which {command} is the former. */
static weir_status start_simulation(supervision *s) {
  char      **command = s->command;
  const char *given   = s->recipe->stream.restart.text;
  int         restart = s->simulation_retries.total;
  if (restart && given)
    WEIR_TRY(weir__launch_line(s->arena, WEIR__LAUNCH_DIRECT, given, s->ranks, s->command, &command));
  s->simulation_end = 0;
  int64_t saved     = 0;
  bool    has_file  = weir__run_directory_saved(s->directory->path, &saved);
  return start_job(s, s->ranks ? s->recipe->launch_simulation.text : NULL, s->ranks, command, !s->ranks, restart,
                   has_file ? &saved : NULL, &s->simulation_job);
}

/* ---- the workers end ---- */

/* How the job ended, as the beginning of a message. */
static void tell_end(const supervision *s, const weir__run_status *status, char out[1200]) {
  const weir__job *job     = &s->worker_job;
  char             who[32] = "a worker"; /* an MPI launcher does not say which */
  if (s->workers == 1 || s->gone >= 0) snprintf(who, sizeof who, "worker %d", s->gone < 0 ? 0 : s->gone);
  if (s->silent) snprintf(out, 1200, "%s did not say for %g s that it lives and was killed", who, s->silent_s);
  else if (status->message[0]) snprintf(out, 1200, "the workers failed: %s", status->message);
  else if (job->status > 128) snprintf(out, 1200, "%s was killed (signal %d)", who, job->status - 128);
  else snprintf(out, 1200, "%s ended early (exit status %d)", who, job->status);
}

static void step_text(int64_t step, char out[40]) {
  out[0] = 0;
  if (step >= 0) snprintf(out, 40, " at step %" PRId64, step);
}

/* Why another job of workers would be of no use; NULL: it would. */
static const char *no_use(const supervision *s, const weir__run_status *status) {
  if (s->recipe->stream.is_files) return NULL;
  if (s->simulation_job.pid && s->simulation_job.ended)
    return "; the simulation has ended, and the steps not done are lost";
  if (s->recipe->no_checkpoint && status->steps) return "; without checkpoints they cannot go on";
  return NULL;
}

/* The workers are not started any more. A story that was not told yet is told with it. */
static void lose(supervision *s, const char *how, const char *why) {
  char step[40] = "";
  if (s->story[0]) {
    step_text(s->story_step, step);
    how = s->story;
  }
  s->workers_over = s->workers_lost = true;
  fprintf(stderr, "weir: %s%s%s%s\n", how, step, why, simulates(s) ? "; the simulation goes on without analysis" : "");
  s->story[0] = 0;
}

/* Tell of the last restart, with where the job went on if it came to say so: a checkpoint may be newer than what was
 * known of the steps. */
static void tell_story(supervision *s, const weir__run_status *status) {
  char    where[48] = "", step[40];
  int64_t last      = s->story_step;
  if (!s->story[0]) return;
  if (status->phase >= WEIR__PHASE_RUNNING && status->restored) {
    snprintf(where, sizeof where, " from step %" PRId64, status->from);
    if (status->from > last) last = status->from;
  } else if (status->phase >= WEIR__PHASE_RUNNING) snprintf(where, sizeof where, " from the beginning");
  step_text(last, step);
  fprintf(stderr, "weir: %s%s; restarted%s (%d of %d)\n", s->story, step, where, s->worker_retries.in_row,
          s->worker_retries.most);
  s->story[0] = 0;
}

static void workers_died(supervision *s, const weir__run_status *status) {
  char        why[80];
  const char *useless = no_use(s, status);
  tell_end(s, status, s->story);
  s->story_step = status->steps ? status->step : -1;
  weir__job_kill(&s->worker_job); /* what an MPI launcher left when it died itself */
  if (useless) lose(s, "", useless);
  else if (weir__retries_next(&s->worker_retries, weir__clock_ns(), status->step)) return;
  else if (!s->worker_retries.most) lose(s, "", "; recovery: {retries: 0}");
  else {
    snprintf(why, sizeof why, "; not restarted any more (%d of %d)", s->worker_retries.in_row, s->worker_retries.most);
    lose(s, "", why);
  }
}

/* Once for each job of workers. */
static void workers_ended(supervision *s) {
  weir__run_status status = status_of(s);
  tell_story(s, &status);
  if (status.phase == WEIR__PHASE_DONE || s->interrupts || s->unattended) s->workers_over = true;
  else if (status.phase == WEIR__PHASE_FAILED) {
    s->workers_over = true;
    if (simulates(s) || s->again) lose(s, status.message, "");
  } else if (!s->again) workers_died(s, &status);
}

/* ---- the simulation ends ---- */

static void simulation_ended(supervision *s) {
  weir__run_status status = status_of(s);
  int              code   = s->simulation_job.status;
  char             step[40];
  s->simulation_end        = weir__clock_ns();
  s->worker_retries.due_ns = 0; /* nobody holds the steps any more that they were to go on with */
  if (!code || s->interrupts || !s->recipe->stream.restarts) return;
  if (!weir__retries_next(&s->simulation_retries, s->simulation_end, status.step)) return;
  s->again = true;
  step_text(status.steps ? status.step : -1, step);
  fprintf(stderr, "weir: the simulation %s%d)%s; started again (%d of %d)\n",
          code > 128 ? "was killed (signal " : "failed (exit status ", code > 128 ? code - 128 : code, step,
          s->simulation_retries.in_row, s->simulation_retries.most);
}

/* Workers that have not met the simulation when it ends have nothing to do. */
static void after_simulation(supervision *s) {
  if (!works(s) || weir__clock_ns() - s->simulation_end < LATE_S * INT64_C(1000000000)) return;
  if (status_of(s).phase >= WEIR__PHASE_RUNNING || s->unattended) return;
  bool met = s->worker_retries.total || s->simulation_retries.total; /* earlier ones had */
  if (s->again || met) weir__job_kill(&s->worker_job);
  if (s->again) return;
  if (met) {
    lose(s, "the workers died", "; the simulation ended before others had taken over");
    return;
  }
  s->unattended = true;
  weir__job_signal(&s->worker_job, SIGTERM);
}

/* Both jobs from new, the workers from the last checkpoint, the simulation from its own. */
static weir_status start_both(supervision *s) {
  weir__job_kill(&s->simulation_job); /* what is left of the former must not write beside the new one */
  WEIR_TRY(weir__run_directory_again(s->directory));
  s->again = false;
  if (!s->workers_lost) {
    s->workers_over = false;
    WEIR_TRY(start_workers(s));
  }
  return start_simulation(s);
}

/* ---- watching ---- */

/* Images that are watched for: the watch ends, and the steps that have come are done. A signal would not do where an
 * MPI launcher ends its processes by it. False: it is to be sent all the same. */
static bool end_watch(const supervision *s) {
  const weir__recipe_images *images = s->recipe->stream.images;
  if (!images || !images->watch || !works(s)) return false;
  return weir__run_write(s->directory->path, WEIR__RUN_FINISH, "", 0) >= 0;
}

/* The first time, the simulation is asked to end and the workers finish what was published; then all are ended. */
static void interrupt(supervision *s, int signal) {
  s->interrupts++;
  s->again                 = false;
  s->worker_retries.due_ns = s->simulation_retries.due_ns = 0;
  if (!works(s)) {
    if (s->story[0]) lose(s, "", "; interrupted");
    s->workers_over = true;
  }
  if (s->interrupts == 1 && end_watch(s)) return;
  if (s->interrupts == 1) weir__job_signal(simulates(s) ? &s->simulation_job : &s->worker_job, signal);
  else {
    weir__job_signal(&s->simulation_job, SIGKILL);
    weir__job_kill(&s->worker_job);
  }
}

/* How far it is, and where workers that were restarted went on. */
static void follow(supervision *s) {
  int64_t now = weir__clock_ns();
  if (now - s->steps_ns < TICK_MS * INT64_C(1000000)) return;
  s->steps_ns             = now;
  weir__run_status status = status_of(s);
  if (status.phase != WEIR__PHASE_RUNNING) return;
  weir__retries_progress(&s->worker_retries, now, status.step);
  weir__retries_progress(&s->simulation_retries, now, status.step);
  tell_story(s, &status);
}

static void watch_workers(supervision *s) {
  int gone = s->gone < 0 && s->workers > 1 && s->workers <= NAMED_MAX ? weir__watch_gone(s->watch) : -1;
  if (gone >= 0) s->gone = gone;
  int silent = weir__watch_silent(s->watch, weir__clock_ns(), &s->silent_s);
  if (silent < 0) return;
  s->gone   = silent;
  s->silent = true;
  weir__job_kill(&s->worker_job);
}

static weir_status start_due(supervision *s) {
  int64_t now = weir__clock_ns();
  if (s->again && !works(s) && weir__retries_due(&s->simulation_retries, now)) return start_both(s);
  if (!s->again && weir__retries_due(&s->worker_retries, now)) return start_workers(s);
  return WEIR_OK;
}

/* One look at everything. */
static weir_status look(supervision *s, progress *p) {
  weir__job *const jobs[] = {&s->worker_job, &s->simulation_job};
  bool             worked = works(s), simulated = simulates(s);
  weir__jobs_reap(jobs, 2);
  if (worked && works(s)) watch_workers(s);
  if ((worked && !works(s)) || (simulated && !simulates(s)) || s->story[0]) progress_clear(p);
  if (works(s) || (is_inline(s) && simulates(s))) follow(s);
  if (simulated && !simulates(s)) simulation_ended(s);
  if (worked && !works(s)) workers_ended(s);
  if (s->simulation_end) after_simulation(s);
  if (s->simulation_end && !works(s) && !s->again && !s->workers_over)
    lose(s, "the workers have ended", "; the simulation has ended as well");
  if (s->workers_over && !s->again && !is_inline(s))
    weir__check_abandon_all(s->directory->path, "the workers have ended");
  if (works(s) || (is_inline(s) && simulates(s))) progress_show(p, s->directory->path);
  return start_due(s);
}

static weir_status watch(supervision *s, progress *p, const sigset_t *signals) {
  for (;;) {
    if (s->workers_over && !s->again && !works(s) && !simulates(s)) return WEIR_OK;
    struct timespec tick   = {.tv_nsec = TICK_MS * 1000000};
    int             signal = sigtimedwait(signals, NULL, &tick);
    if (signal > 0 && signal != SIGCHLD) interrupt(s, signal);
    weir_status status = look(s, p);
    if (status >= 0) continue;
    if (!simulates(s)) return status;
    lose(s, weir_error_last(), ""); /* the workers could not be started again */
  }
}

static weir_status start(supervision *s) {
  s->gone               = -1;
  s->worker_retries     = (weir__retries){.most = s->recipe->retries, .backoff_s = s->recipe->backoff_s};
  s->simulation_retries = (weir__retries){.most = SIMULATION_RETRIES, .backoff_s = s->recipe->backoff_s};
  WEIR_TRY(weir__watch_create(s->directory->path, s->workers + forwarders(s), s->recipe->heartbeat_s, &s->watch));
  WEIR_TRY(start_workers(s));
  return s->command ? start_simulation(s) : WEIR_OK;
}

weir_status supervise(supervision *s) {
  sigset_t signals, before;
  progress p = progress_begin();
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGHUP);
  sigaddset(&signals, SIGCHLD);
  sigprocmask(SIG_BLOCK, &signals, &before);
  weir__jobs_adopt_orphans();
  weir_status status = start(s);
  if (status >= 0) status = watch(s, &p, &signals);
  progress_clear(&p);
  if (status < 0) weir__job_kill(&s->worker_job);
  weir__watch_destroy(&s->watch);
  return status;
}
