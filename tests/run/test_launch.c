/* weir-test: timeout=60
 * Launch lines, the environment of jobs, jobs and what is left of them. */
#include "run/job.h"
#include "run/launch.h"
#include "run/retries.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char *const command[] = {"prog", "a b", NULL};

/* The words of a line with bars between them. */
static const char *joined(char *const *argv) {
  static char text[1024];
  text[0] = 0;
  for (int i = 0; argv[i]; i++) {
    if (i) strcat(text, "|");
    strcat(text, argv[i]);
  }
  return text;
}

static void lines(void **state) {
  weir__arena arena = {0};
  char      **argv;
  (void)state;
  assert_int_equal(weir__launch_line(&arena, WEIR__LAUNCH_DIRECT, NULL, 1, command, &argv), WEIR_OK);
  assert_string_equal(joined(argv), "prog|a b");
  assert_int_equal(weir__launch_line(&arena, WEIR__LAUNCH_MPICH, NULL, 3, command, &argv), WEIR_OK);
  assert_string_equal(joined(argv), "mpirun|-n|3|prog|a b");
  assert_int_equal(weir__launch_line(&arena, WEIR__LAUNCH_OPENMPI, NULL, 2, command, &argv), WEIR_OK);
  const char *root =
      geteuid() ? "mpirun|--oversubscribe|--bind-to|none|--mca|mpi_yield_when_idle|1|-x|WEIR_RUN|-x|WEIR_RESTART|-x|WEIR_RESTART_STEP|-x|"
                  "WEIR_SUPERVISED|-x|WEIR_PLACEMENT|-x|WEIR_ENGINE|-n|2|prog|a b"
                : "mpirun|--allow-run-as-root|--oversubscribe|--bind-to|none|--mca|mpi_yield_when_idle|1|-x|"
                  "WEIR_RUN|-x|WEIR_RESTART|-x|WEIR_RESTART_STEP|-x|WEIR_SUPERVISED|-x|WEIR_PLACEMENT|-x|WEIR_ENGINE|-n|2|prog|a b";
  assert_string_equal(joined(argv), root);
  setenv("SLURM_JOB_NUM_NODES", "4", 1);
  assert_int_equal(weir__launch_line(&arena, WEIR__LAUNCH_SLURM, NULL, 8, command, &argv), WEIR_OK);
  assert_string_equal(joined(argv), "srun|--overlap|--cpu-bind=none|--nodes=4|--ntasks=8|prog|a b");
  unsetenv("SLURM_JOB_NUM_NODES");
  const char *line = "srun -n{n}  'a  word' \"\" {command} end";
  assert_int_equal(weir__launch_line(&arena, WEIR__LAUNCH_OPENMPI, line, 12, command, &argv), WEIR_OK);
  assert_string_equal(joined(argv), "srun|-n12|a  word||prog|a b|end");
  assert_int_equal(weir__launch_line(&arena, WEIR__LAUNCH_DIRECT, "a 'b", 1, command, &argv), WEIR_ERR_INPUT);
  assert_string_equal(weir_error_last(), "launch: a quote ' is not closed in: a 'b");
  weir__arena_clear(&arena);
}

static bool has(char *const *environment, const char *variable) {
  for (; *environment; environment++)
    if (!strncmp(*environment, variable, strlen(variable))) return true;
  return false;
}

static void environment(void **state) {
  static const char *const of_jobs[] = {
      "OMPI_COMM_WORLD_RANK", "PMIX_RANK",         "PMI_SIZE",       "OMPI_MCA_ess_base_jobid", "WEIR_RUN", "WEIR_JOB",
      "WEIR_RESTART",         "WEIR_RESTART_STEP", "WEIR_SUPERVISED"};
  const int64_t saved = 480;
  weir__arena   arena = {0};
  char        **env;
  (void)state;
  for (size_t i = 0; i < sizeof of_jobs / sizeof *of_jobs; i++) setenv(of_jobs[i], "7", 1);
  setenv("OMPI_MCA_btl", "self,vader", 1); /* the user's own */
  assert_true(weir__launch_nested());
  assert_int_equal(weir__launch_environment(&arena, NULL, &env), WEIR_OK);
  for (size_t i = 0; i < sizeof of_jobs / sizeof *of_jobs; i++) {
    assert_false(has(env, of_jobs[i]));
    unsetenv(of_jobs[i]);
  }
  assert_true(has(env, "OMPI_MCA_btl=self,vader"));
  assert_true(has(env, "PATH="));
  unsetenv("OMPI_MCA_btl");
  assert_int_equal(
      weir__launch_environment(&arena, &(weir__launch_run){"/some/a.run", 12, &saved, "inline", "/lib/e.so"}, &env),
      WEIR_OK);
  assert_true(has(env, "WEIR_RESTART_STEP=480"));
  assert_true(has(env, "WEIR_RUN=/some/a.run"));
  assert_true(has(env, "WEIR_RESTART=12"));
  assert_true(has(env, "WEIR_SUPERVISED=1"));
  assert_true(has(env, "WEIR_PLACEMENT=inline"));
  assert_true(has(env, "WEIR_ENGINE=/lib/e.so"));
  weir__arena_clear(&arena);
}

static int wait_for(weir__job *job) {
  weir__job *const jobs[] = {job};
  for (int i = 0; i < 500 && !job->ended; i++) {
    weir__jobs_reap(jobs, 1);
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
  }
  return job->ended ? job->status : -1;
}

static void jobs_end(void **state) {
  extern char **environ;
  weir__job     job = {0};
  (void)state;
  assert_int_equal(weir__job_start((char *const[]){"sh", "-c", "exit 5", NULL}, environ, &job), WEIR_OK);
  assert_int_equal(wait_for(&job), 5);
  weir__job_signal(&job, SIGKILL); /* has ended: nothing happens */
  assert_int_equal(weir__job_start((char *const[]){"sleep", "100", NULL}, environ, &job), WEIR_OK);
  assert_int_equal(getpgid(job.pid), job.pid);
  weir__job_signal(&job, SIGTERM);
  assert_int_equal(wait_for(&job), 128 + SIGTERM);
  assert_int_equal(weir__job_start((char *const[]){"./no-such-program", NULL}, environ, &job), WEIR_ERR_INPUT);
  assert_string_equal(weir_error_last(), "cannot start ./no-such-program: No such file or directory");
}

/* A job that leaves a deaf grandchild in a session of its own. */
static void nothing_is_left(void **state) {
  extern char **environ;
  weir__job     job      = {0};
  char          text[32] = "";
  int           out[2];
  (void)state;
  assert_int_equal(pipe(out), 0);
  int  before   = dup(STDOUT_FILENO);
  char script[] = "setsid sh -c 'trap \"\" TERM; echo $$; exec >/dev/null; while :; do sleep 0.05; done' & wait";
  weir__jobs_adopt_orphans();
  fflush(stdout);
  dup2(out[1], STDOUT_FILENO);
  weir_status status = weir__job_start((char *const[]){"sh", "-c", script, NULL}, environ, &job);
  dup2(before, STDOUT_FILENO);
  close(before);
  close(out[1]);
  assert_int_equal(status, WEIR_OK);
  assert_true(read(out[0], text, sizeof text - 1) > 0);
  close(out[0]);
  pid_t orphan = (pid_t)atol(text);
  assert_int_equal(kill(orphan, 0), 0);
  weir__job_signal(&job, SIGKILL);
  wait_for(&job);
  weir__jobs_sweep(0.2);
  assert_int_equal(kill(orphan, 0), -1);
}

/* Start a job that leaves a deaf grandchild in a session of its own; the number of that. */
static pid_t start_deaf(const char *directory, weir__job *job) {
  char text[32] = "", script[] = "setsid sh -c 'trap \"\" TERM; echo $$; exec >/dev/null; while :; do sleep 0.05; "
                                 "done' & wait";
  int  out[2];
  weir__arena arena = {0};
  char      **env;
  assert_int_equal(pipe2(out, O_CLOEXEC), 0);
  int before = dup(STDOUT_FILENO);
  fflush(stdout);
  dup2(out[1], STDOUT_FILENO);
  weir_status status = weir__launch_environment(&arena, &(weir__launch_run){.directory = directory}, &env);
  if (status >= 0) status = weir__job_start((char *const[]){"sh", "-c", script, NULL}, env, job);
  dup2(before, STDOUT_FILENO);
  close(before);
  close(out[1]);
  weir__arena_clear(&arena);
  assert_int_equal(status, WEIR_OK);
  assert_true(read(out[0], text, sizeof text - 1) > 0);
  close(out[0]);
  return (pid_t)atol(text);
}

/* No process, or one that is dead and was not waited for. */
static bool is_dead(pid_t pid) {
  char path[64], state = 'Z';
  snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
  FILE *file = fopen(path, "r");
  if (!file) return true;
  if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = 'Z';
  fclose(file);
  return state == 'Z';
}

/* A job is killed with all that it left, wherever that went; the other job is not touched. */
static void kills_one_job_whole(void **state) {
  weir__job workers = {0}, simulation = {0};
  (void)state;
  weir__jobs_adopt_orphans();
  pid_t deaf = start_deaf("/some/a.run", &workers), other = start_deaf("/some/a.run", &simulation);
  assert_string_not_equal(workers.mark, simulation.mark);
  assert_true(kill(workers.pid, SIGSTOP) == 0 && kill(deaf, SIGSTOP) == 0); /* as dead as can be */
  assert_true(weir__job_kill(&workers));
  assert_true(workers.ended);
  assert_int_equal(workers.status, 128 + SIGKILL);
  assert_true(is_dead(deaf));
  assert_false(is_dead(other) || is_dead(simulation.pid));
  pid_t found = weir__job_find("/some/a.run");
  assert_true(found > 0);
  assert_int_equal(weir__job_find("/some/b.run"), 0);
  kill(simulation.pid, SIGKILL); /* its grandchild is ours then */
  assert_int_equal(wait_for(&simulation), 128 + SIGKILL);
  assert_false(is_dead(other));
  assert_true(weir__job_kill(&simulation)); /* what an ended job left */
  assert_true(is_dead(other));
  assert_int_equal(weir__job_find("/some/a.run"), 0);
  weir__jobs_reap(NULL, 0);
}

enum { S = 1000000000 };

static void retries_back_off(void **state) {
  weir__retries r     = {.most = 3, .backoff_s = 2};
  int64_t       now   = 100 * (int64_t)S;
  int           waits = 2;
  (void)state;
  for (int i = 0; i < 3; i++, waits *= 2) {
    assert_true(weir__retries_next(&r, now, 50));
    assert_false(weir__retries_due(&r, now + waits * (int64_t)S - 1));
    now += waits * (int64_t)S;
    assert_true(weir__retries_due(&r, now));
    assert_false(weir__retries_due(&r, now)); /* once */
  }
  assert_false(weir__retries_next(&r, now, 50));
  assert_true(r.in_row == 3 && r.total == 3 && !r.due_ns);
  r = (weir__retries){.most = 100, .backoff_s = 2};
  for (int i = 0; i < 99; i++) assert_true(weir__retries_next(&r, 0, 0));
  assert_true(r.due_ns == 60 * (int64_t)S); /* not for ever longer */
  r = (weir__retries){.most = 0, .backoff_s = 2};
  assert_false(weir__retries_next(&r, 0, 0));
}

/* Steps done once more are no progress, and neither are a few beyond. */
static void retries_count_from_progress(void **state) {
  weir__retries r = {.most = 2, .backoff_s = 1};
  (void)state;
  assert_true(weir__retries_next(&r, 0, 120));
  for (int i = 0; i < 100; i++) weir__retries_progress(&r, i * (int64_t)S, 100 + i / 4);
  assert_int_equal(r.in_row, 1);
  weir__retries_progress(&r, 100 * (int64_t)S, 130); /* beyond now, */
  weir__retries_progress(&r, 105 * (int64_t)S, 160);
  assert_int_equal(r.in_row, 1);
  assert_true(weir__retries_next(&r, 106 * (int64_t)S, 160)); /* but not for long */
  weir__retries_progress(&r, 107 * (int64_t)S, 165);
  weir__retries_progress(&r, 108 * (int64_t)S, 170);
  weir__retries_progress(&r, 119 * (int64_t)S, 171);
  assert_true(r.in_row == 0 && r.total == 2);
  assert_true(weir__retries_next(&r, 120 * (int64_t)S, 180));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(lines),
                                     cmocka_unit_test(environment),
                                     cmocka_unit_test(jobs_end),
                                     cmocka_unit_test(nothing_is_left),
                                     cmocka_unit_test(kills_one_job_whole),
                                     cmocka_unit_test(retries_back_off),
                                     cmocka_unit_test(retries_count_from_progress)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
