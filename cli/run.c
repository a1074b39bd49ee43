/* weir run: the supervisor. It starts the workers and the simulation as separate jobs, watches both, and leaves nothing
 * behind. It takes no part in the analysis: a run goes on though its terminal is slow. */
#include "cli.h"
#include "core/clock.h"
#include "progress.h"
#include "run/check.h"
#include "run/directory.h"
#include "run/job.h"
#include "run/launch.h"
#include "run/report.h"
#include "run/worker.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
    "usage: weir run FILE [options] [-- COMMAND ...]\n"
    "\n"
    "Run the analysis that the recipe FILE describes, beside the simulation COMMAND or over files. Workers and\n"
    "simulation are separate jobs; the simulation goes on whatever happens to the workers.\n"
    "\n"
    "  --workers N        worker processes (default: execution: workers: of the recipe, else 1)\n"
    "  --threads N        threads of each worker (default: one per core; 0: none, everything in one loop)\n"
    "  --set NAME=VALUE   change a parameter of the recipe; may be repeated\n"
    "  --ranks N          start COMMAND as an MPI program of N processes with the mpirun or srun found here;\n"
    "                     without it COMMAND is run as it stands, and may be a launch line of your own\n"
    "  --dir DIR          the run directory (default: the run's name with .run, here)\n"
    "  --report           a longer summary at the end\n"
    "  --trace FILE       write what every thread did when, for ui.perfetto.dev or chrome://tracing\n"
    "\n"
    "Paths in the recipe are relative to the folder weir is started in. The run directory keeps the recipe,\n"
    "schema.yaml (the fields that were seen) and report.json.\n"
    "\n"
    "examples:\n"
    "\n"
    "  weir run gyre.yaml --workers 2 --ranks 4 -- ./gyre gyre.nml\n"
    "  weir run gyre.yaml --set level=0.1 -- mpirun -n 4 ./gyre gyre.nml\n"
    "  weir run files.yaml\n"
    "\n"
    "exit status: 0 complete; 1 failed or incomplete; 2 bad input; that of the simulation when it failed\n";

enum { SETS_MAX = 256, TICK_MS = 200, LATE_S = 3 };

typedef struct run {
  const char         *recipe_path, *directory_path, *trace;
  const char         *set[SETS_MAX];
  int                 sets, workers, threads, ranks;
  bool                report;
  char              **command; /* NULL: none */
  weir__recipe       *recipe;
  weir__run_directory directory;
  weir__arena         arena;
  weir__job           worker_job, simulation_job;
  int                 interrupts;     /* SIGINT, SIGTERM, SIGHUP so far */
  int64_t             simulation_end; /* clock; 0: it lives or there is none */
  bool                workers_lost;   /* said so already */
  bool                unattended;     /* the simulation ended and no worker had seen it */
} run;

/* ---- options ---- */

static int read_option(run *r, int argc, char **argv, int *i) {
  const char *value;
  if (cli_option(argc, argv, i, "--workers", &value))
    return cli_number("run", "--workers", value, 1, 1 << 20, &r->workers) ? 0 : 2;
  if (cli_option(argc, argv, i, "--threads", &value))
    return cli_number("run", "--threads", value, 0, 1024, &r->threads) ? 0 : 2;
  if (cli_option(argc, argv, i, "--ranks", &value))
    return cli_number("run", "--ranks", value, 1, 1 << 24, &r->ranks) ? 0 : 2;
  if (cli_option(argc, argv, i, "--dir", &value)) {
    r->directory_path = value;
    return value && *value ? 0 : cli_misuse("run", "--dir: expected a directory");
  }
  if (cli_option(argc, argv, i, "--trace", &value)) {
    r->trace = value;
    return value && *value ? 0 : cli_misuse("run", "--trace: expected a file");
  }
  if (cli_option(argc, argv, i, "--set", &value)) {
    if (!value || r->sets == SETS_MAX) return cli_misuse("run", "--set: expected name=number");
    r->set[r->sets++] = value;
    return 0;
  }
  if (!strcmp(argv[*i], "--report")) {
    r->report = true;
    return 0;
  }
  if (argv[*i][0] == '-') return cli_misuse("run", "unknown option %s", argv[*i]);
  if (r->recipe_path)
    return cli_misuse("run", "two recipes, %s and %s; a command comes after --", r->recipe_path, argv[*i]);
  r->recipe_path = argv[*i];
  return 0;
}

static int read_options(run *r, int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "--")) {
      r->command = argv + i + 1;
      if (!*r->command) return cli_misuse("run", "no command after --");
      break;
    }
    int status = read_option(r, argc, argv, &i);
    if (status) return status;
  }
  if (!r->recipe_path) return cli_misuse("run", "a recipe is missing");
  if (r->ranks && !r->command) return cli_misuse("run", "--ranks needs a command after --");
  return 0;
}

/* ---- before anything is started ---- */

static weir_status prepare(run *r) {
  if (weir__launch_nested())
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "weir run was started by an MPI launcher; start it by itself, it starts the MPI jobs");
  WEIR_TRY(weir__recipe_load(r->recipe_path, NULL, &r->recipe));
  for (int i = 0; i < r->sets; i++) WEIR_TRY(weir__recipe_set(r->recipe, r->set[i]));
  if (!r->workers) r->workers = r->recipe->workers ? r->recipe->workers : 1;
  if (r->recipe->stream.is_files && r->command)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: its stream is files, but a command to run is given", r->recipe_path);
  if (r->command) WEIR_TRY(weir__launch_executable(r->command[0]));
  return weir__check_before_run(r->recipe);
}

static weir_status make_directory(run *r) {
  char *path;
  if (!r->directory_path) {
    WEIR_TRY(weir__arena_alloc(&r->arena, strlen(r->recipe->run) + 5, &path));
    sprintf(path, "%s.run", r->recipe->run);
    r->directory_path = path;
  }
  weir__run_settings settings = {r->recipe_path, r->workers, r->threads, r->set, r->sets, r->trace ? r->trace : ""};
  return weir__run_directory_make(r->directory_path, &settings, &r->directory);
}

/* ---- starting ---- */

static weir_status start_job(run *r, const char *line, int n, char *const command[], bool direct, weir__job *job) {
  char         **argv, **environment;
  weir__launcher launcher = WEIR__LAUNCH_DIRECT;
  if (!direct && !line) WEIR_TRY(weir__launcher_find(&launcher));
  WEIR_TRY(weir__launch_line(&r->arena, launcher, line, n, command, &argv));
  WEIR_TRY(weir__launch_environment(&r->arena, r->directory.path, &environment));
  return weir__job_start(argv, environment, job);
}

static weir_status start(run *r) {
  char   *self;
  ssize_t n;
  WEIR_TRY(weir__arena_alloc(&r->arena, 4096, &self));
  n = readlink("/proc/self/exe", self, 4095);
  if (n <= 0) return WEIR_FAIL(WEIR_ERR_IO, "cannot find this program: %s", strerror(errno));
  char *const worker[]   = {self, "worker", r->directory.path, NULL};
  const char *workers    = r->recipe->launch_workers.text;
  const char *simulation = r->recipe->launch_simulation.text;
  setenv("WEIR_SUPERVISED", "1", 1);
  weir_status status = start_job(r, workers, r->workers, worker, r->workers == 1, &r->worker_job);
  unsetenv("WEIR_SUPERVISED");
  WEIR_TRY(status);
  if (!r->command) return WEIR_OK;
  return start_job(r, r->ranks ? simulation : NULL, r->ranks, r->command, !r->ranks, &r->simulation_job);
}

/* ---- watching ---- */

/* The first time, the simulation is asked to end and the workers finish what was published; then all are ended. */
static void interrupt(run *r, int signal) {
  bool simulates = r->simulation_job.pid && !r->simulation_job.ended;
  r->interrupts++;
  if (r->interrupts == 1) weir__job_signal(simulates ? &r->simulation_job : &r->worker_job, signal);
  else {
    weir__job_signal(&r->simulation_job, SIGKILL);
    weir__job_signal(&r->worker_job, SIGKILL);
  }
}

static void workers_ended(run *r) {
  if (r->workers_lost || !r->simulation_job.pid || r->simulation_job.ended) return;
  weir__run_status status;
  weir__run_status_read(r->directory.path, &status);
  r->workers_lost = true;
  if (status.phase == WEIR__PHASE_DONE) return;
  fprintf(stderr, "weir: %s; the simulation goes on without analysis\n",
          status.phase == WEIR__PHASE_FAILED ? status.message : "the workers have died");
}

static void simulation_ended(run *r) {
  weir__run_status status;
  if (!r->simulation_end) r->simulation_end = weir__clock_ns();
  if (r->worker_job.ended || weir__clock_ns() - r->simulation_end < LATE_S * INT64_C(1000000000)) return;
  weir__run_status_read(r->directory.path, &status);
  if (status.phase >= WEIR__PHASE_RUNNING || r->unattended) return;
  r->unattended = true; /* nothing will come any more */
  weir__job_signal(&r->worker_job, SIGTERM);
}

static void watch(run *r, progress *p, const sigset_t *signals) {
  weir__job *const jobs[] = {&r->worker_job, &r->simulation_job};
  for (;;) {
    bool simulates = r->simulation_job.pid && !r->simulation_job.ended;
    if (r->worker_job.ended && !simulates) return;
    struct timespec tick   = {.tv_nsec = TICK_MS * 1000000};
    int             signal = sigtimedwait(signals, NULL, &tick);
    if (signal > 0 && signal != SIGCHLD) interrupt(r, signal);
    weir__jobs_reap(jobs, 2);
    if (r->worker_job.ended) {
      progress_clear(p);
      workers_ended(r);
      weir__check_refuse_all(r->directory.path, "the workers have ended");
    } else progress_show(p, r->directory.path);
    if (r->simulation_job.ended) simulation_ended(r);
  }
}

/* ---- the end ---- */

static int summarize(run *r) {
  weir__report report;
  weir__text   text = {0};
  if (weir__report_read(r->directory.path, &report) < 0) return 1;
  if (weir__report_text(&report, r->report, &text) >= 0) fwrite(text.data, 1, text.length, stderr);
  fprintf(stderr, "  report     %s/report.json\n", r->directory_path);
  weir__text_clear(&text);
  int status = report.complete ? 0 : 1;
  weir__report_clear(&report);
  return status;
}

static int worker_result(run *r) {
  weir__run_status status;
  weir__run_status_read(r->directory.path, &status);
  if (status.phase == WEIR__PHASE_DONE && status.exit)
    fprintf(stderr, "weir: %s\n", status.message); /* something failed */
  if (status.phase == WEIR__PHASE_DONE) return summarize(r);
  if (status.phase == WEIR__PHASE_FAILED) {
    if (!r->workers_lost) fprintf(stderr, "weir: %s\n", status.message);
    return status.exit ? status.exit : 1;
  }
  if (r->unattended && r->simulation_job.status) return 1; /* that it failed is said next */
  if (r->unattended)
    fprintf(stderr,
            "weir: the simulation ended without publishing anything; is it linked with weir-client, and does it "
            "call weir_stream_open and weir_step_begin?\n");
  else if (!r->workers_lost && r->interrupts)
    fprintf(stderr, "weir: interrupted; outputs hold the steps finished before\n");
  else if (!r->workers_lost && r->worker_job.status > 128)
    fprintf(stderr, "weir: the workers were ended by a signal (%s)\n", strsignal(r->worker_job.status - 128));
  else if (!r->workers_lost) fprintf(stderr, "weir: the workers ended early (exit status %d)\n", r->worker_job.status);
  return 1;
}

static int finish(run *r) {
  int status = worker_result(r);
  if (r->simulation_job.pid && r->simulation_job.status) {
    fprintf(stderr, "weir: the simulation %s (exit status %d)\n", r->interrupts ? "was interrupted" : "failed",
            r->simulation_job.status);
    status = r->simulation_job.status;
  }
  return status;
}

static int supervise(run *r) {
  sigset_t signals, before;
  progress p = progress_begin();
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGHUP);
  sigaddset(&signals, SIGCHLD);
  sigprocmask(SIG_BLOCK, &signals, &before);
  weir__jobs_adopt_orphans();
  weir_status status = start(r);
  int         result;
  if (status < 0) {
    result = cli_fail(status);
    if (r->worker_job.pid) weir__job_signal(&r->worker_job, SIGTERM);
  } else {
    watch(r, &p, &signals);
    progress_clear(&p);
    result = finish(r);
  }
  weir__jobs_sweep(2);
  sigprocmask(SIG_SETMASK, &before, NULL);
  return result;
}

static int run_run(int argc, char **argv) {
  run r      = {.threads = -2, .directory = {.lock = -1}};
  int result = read_options(&r, argc, argv);
  if (!result) {
    weir_status status = prepare(&r);
    if (status >= 0) status = make_directory(&r);
    result = status < 0 ? cli_fail(status) : supervise(&r);
  }
  weir__run_directory_leave(&r.directory);
  weir__recipe_destroy(&r.recipe);
  weir__arena_clear(&r.arena);
  return result;
}

const cli_command cli_run = {"run", "run a recipe beside a simulation, or over files", help, run_run};
