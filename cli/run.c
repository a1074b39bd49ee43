/* weir run: what is said on the command line, the run directory, and what is said at the end. It takes no part in the
 * analysis: a run goes on though its terminal is slow. */
#include "cli.h"
#include "run/check.h"
#include "run/launch.h"
#include "run/outputs.h"
#include "run/report.h"
#include "supervise.h"
#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: weir run FILE [options] [-- COMMAND ...]\n"
    "\n"
    "Run the analysis that the recipe FILE describes, beside the simulation COMMAND or over files. Workers and\n"
    "simulation are separate jobs; the simulation goes on whatever happens to the workers, which are started again\n"
    "when they die.\n"
    "\n"
    "  --workers N        worker processes (default: execution: workers: of the recipe, else 1)\n"
    "  --threads N        threads of each worker (default: one per core; 0: none, everything in one loop)\n"
    "  --set NAME=VALUE   change a parameter of the recipe; may be repeated\n"
    "  --ranks N          start COMMAND as an MPI program of N processes with the mpirun or srun found here;\n"
    "                     without it COMMAND is run as it stands, and may be a launch line of your own\n"
    "  --dir DIR          the run directory (default: the run's name with .run, here)\n"
    "  --resume           go on with a run that ended early, from its last checkpoint; FILE and parameters must be\n"
    "                     those of that run, and --workers is as it was\n"
    "  --replay-decisions FILE\n"
    "                     take the decisions of an earlier run, from its decisions.log, instead of new ones\n"
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
    "  weir run --resume gyre.yaml --ranks 4 -- ./gyre --restart gyre.nml\n"
    "\n"
    "exit status: 0 complete; 1 failed or incomplete; 2 bad input; that of the simulation when it failed\n";

enum { SETS_MAX = 256 };

typedef struct run {
  const char         *recipe_path, *directory_path, *trace, *replay;
  const char         *set[SETS_MAX];
  int                 sets, workers, threads, ranks;
  bool                report, resume;
  char              **command; /* NULL: none */
  weir__recipe       *recipe;
  weir__run_directory directory;
  weir__arena         arena;
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
  if (cli_option(argc, argv, i, "--replay-decisions", &value)) {
    r->replay = value;
    return value && *value ? 0 : cli_misuse("run", "--replay-decisions: expected a file");
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
  if (!strcmp(argv[*i], "--resume")) {
    r->resume = true;
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
  r->recipe->replay = r->replay;
  if (r->recipe->stream.is_files && r->command)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: its stream is files, but a command to run is given", r->recipe_path);
  if (r->recipe->stream.placement == WEIR__PLACEMENT_INLINE && !r->command)
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "%s: placement inline needs the command of the simulation after --, which does "
                     "the analysis itself",
                     r->recipe_path);
  if (r->command) WEIR_TRY(weir__launch_executable(r->command[0]));
  const weir__place *restart = &r->recipe->stream.restart.place;
  if (r->recipe->stream.restarts && !r->command)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d:%d: restart: needs the command of the simulation after --", r->recipe_path,
                     restart->line, restart->column);
  return weir__check_before_run(r->recipe);
}

/* What the command line leaves open is said by the recipe; in a run that goes on, by what it was before. */
static weir_status make_directory(run *r) {
  char *path;
  if (!r->directory_path) {
    WEIR_TRY(weir__arena_alloc(&r->arena, strlen(r->recipe->run) + 5, &path));
    sprintf(path, "%s.run", r->recipe->run);
    r->directory_path = path;
  }
  weir__run_settings settings = {
      r->recipe_path, r->workers, r->threads, r->set, r->sets, r->trace ? r->trace : "", r->replay ? r->replay : ""};
  if (!r->resume && !settings.workers) settings.workers = r->recipe->workers ? r->recipe->workers : 1;
  weir_status status = r->resume ? weir__run_directory_resume(r->directory_path, &r->arena, &settings, &r->directory)
                                 : weir__run_directory_make(r->directory_path, &settings, &r->directory);
  r->workers         = settings.workers;
  return status;
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

/* The analysis was a part of the simulation, and ended without a word. */
static int inline_result(const supervision *s, const weir__run_status *status) {
  if (s->interrupts) fprintf(stderr, "weir: interrupted; outputs hold the steps finished before\n");
  else if (s->simulation_job.status) return 1; /* said next */
  else if (status->phase == WEIR__PHASE_NONE)
    fprintf(stderr, "weir: the simulation ended without an analysis: it never came to weir_step_begin, or it could not "
                    "load the engine (with WEIR_VERBOSE=1 set it says why)\n");
  else fprintf(stderr, "weir: the simulation ended without closing its stream (weir_stream_close)\n");
  return 1;
}

static int worker_result(run *r, const supervision *s) {
  weir__run_status status;
  int              ended = s->worker_job.status;
  weir__run_status_read(r->directory.path, &status);
  if (s->workers_lost) return status.phase == WEIR__PHASE_FAILED && status.exit ? status.exit : 1;
  if (status.phase == WEIR__PHASE_DONE && status.exit) /* to the end, but something failed on the way */
    fprintf(stderr, "weir: %s\n", status.message);
  if (status.phase == WEIR__PHASE_DONE) return summarize(r);
  if (status.phase == WEIR__PHASE_FAILED) {
    fprintf(stderr, "weir: %s\n", status.message);
    return status.exit ? status.exit : 1;
  }
  if (r->recipe->stream.placement == WEIR__PLACEMENT_INLINE) return inline_result(s, &status);
  if (s->unattended && s->simulation_job.status) return 1; /* that it failed is said next */
  if (s->unattended)
    fprintf(stderr,
            "weir: the simulation ended without publishing anything; is it linked with weir-client, and does it "
            "call weir_stream_open and weir_step_begin?\n");
  else if (s->interrupts) fprintf(stderr, "weir: interrupted; outputs hold the steps finished before\n");
  else if (ended > 128) fprintf(stderr, "weir: the workers were ended by a signal (%s)\n", strsignal(ended - 128));
  else fprintf(stderr, "weir: the workers ended early (exit status %d)\n", ended);
  return 1;
}

static int finish(run *r, const supervision *s) {
  int status = worker_result(r, s);
  if (s->simulation_job.pid && s->simulation_job.status) {
    fprintf(stderr, "weir: the simulation %s (exit status %d)\n", s->interrupts ? "was interrupted" : "failed",
            s->simulation_job.status);
    status = s->simulation_job.status;
  }
  return status;
}

static int run_jobs(run *r) {
  supervision s      = {.recipe    = r->recipe,
                        .directory = &r->directory,
                        .command   = r->command,
                        .workers   = r->workers,
                        .ranks     = r->ranks,
                        .arena     = &r->arena};
  weir_status status = supervise(&s);
  int         result = status < 0 ? cli_fail(status) : finish(r, &s);
  weir__jobs_sweep(2);
  return result;
}

static int run_run(int argc, char **argv) {
  run r      = {.threads = -2, .directory = {.lock = -1}};
  int result = read_options(&r, argc, argv);
  if (!result) {
    weir_status status = prepare(&r);
    if (status >= 0) status = make_directory(&r);
    if (status == WEIR_END)
      fprintf(stderr, "weir: the run in %s is complete; there is nothing to resume\n", r.directory_path);
    else result = status < 0 ? cli_fail(status) : run_jobs(&r);
  }
  weir__run_directory_leave(&r.directory, !result);
  if (!result && r.recipe) weir__outputs_clear(r.recipe);
  weir__recipe_destroy(&r.recipe);
  weir__arena_clear(&r.arena);
  return result;
}

const cli_command cli_run = {"run", "run a recipe beside a simulation, or over files", help, run_run};
