#include "run/launch.h"
#include "comm/comm.h"
#include "core/text.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

bool weir__launch_nested(void) { return weir__comm_launched(); }

/* ---- which launcher ---- */

static bool on_path(const char *program) {
  const char *path = getenv("PATH");
  for (const char *from = path ? path : "/usr/bin:/bin"; from;
       from             = strchr(from, ':') ? strchr(from, ':') + 1 : NULL) {
    weir__text name = {0};
    weir__text_add(&name, "%.*s/%s", (int)strcspn(from, ":"), from, program);
    bool yes = weir__text_status(&name) >= 0 && !access(name.data, X_OK);
    weir__text_clear(&name);
    if (yes) return true;
  }
  return false;
}

weir_status weir__launch_executable(const char *program) {
  if (strchr(program, '/') ? !access(program, X_OK) : on_path(program)) return WEIR_OK;
  if (!strchr(program, '/')) return WEIR_FAIL(WEIR_ERR_INPUT, "cannot start %s: no such program on PATH", program);
  return WEIR_FAIL(WEIR_ERR_INPUT, "cannot start %s: %s", program, strerror(errno));
}

weir_status weir__launcher_find(weir__launcher *launcher) {
  char text[4096] = "";
  if (getenv("SLURM_JOB_ID") && on_path("srun")) {
    *launcher = WEIR__LAUNCH_SLURM;
    return WEIR_OK;
  }
  if (!on_path("mpirun"))
    return WEIR_FAIL(WEIR_ERR_UNAVAILABLE, "no mpirun on PATH, which more than one process needs: install an MPI "
                                           "(apt-get install openmpi-bin), or name the line in launch: of the recipe");
  FILE *out = popen("mpirun --version 2>&1", "re");
  if (!out) return WEIR_FAIL(WEIR_ERR_IO, "cannot run mpirun --version: %s", strerror(errno));
  size_t n = fread(text, 1, sizeof text - 1, out);
  text[n]  = 0;
  pclose(out);
  if (strstr(text, "Open MPI") || strstr(text, "OpenRTE") || strstr(text, "PRRTE")) *launcher = WEIR__LAUNCH_OPENMPI;
  else if (strstr(text, "HYDRA") || strstr(text, "Intel(R) MPI")) *launcher = WEIR__LAUNCH_MPICH;
  else
    return WEIR_FAIL(WEIR_ERR_UNAVAILABLE,
                     "mpirun is neither of Open MPI nor of MPICH: name the line in launch: of the "
                     "recipe, such as workers: mpirun -n {n} {command}");
  return WEIR_OK;
}

/* ---- lines ---- */

typedef struct words {
  weir__arena *arena;
  char       **word;
  size_t       capacity;
  int          count;
} words;

static weir_status add_bytes(words *w, const char *bytes, size_t length) {
  char *copy;
  WEIR_TRY(weir__arena_alloc(w->arena, length + 1, &copy));
  memcpy(copy, bytes, length);
  WEIR_TRY(weir__grow(&w->word, (size_t)w->count + 1, &w->capacity, sizeof *w->word));
  w->word[w->count++] = copy;
  return WEIR_OK;
}

static weir_status add_word(words *w, const char *word) { return add_bytes(w, word, strlen(word)); }

static weir_status add_all(words *w, const char *const *list) {
  for (; *list; list++) WEIR_TRY(add_word(w, *list));
  return WEIR_OK;
}

/* One word of a line given in full; {n} inside it is replaced. */
static weir_status add_given(words *w, const char *word, int n, char *const command[]) {
  if (!strcmp(word, "{command}")) return add_all(w, (const char *const *)command);
  weir__text  out   = {0};
  const char *brace = strstr(word, "{n}");
  weir__text_add(&out, "%.*s", brace ? (int)(brace - word) : (int)strlen(word), word);
  if (brace) weir__text_add(&out, "%d%s", n, brace + 3);
  weir_status status = weir__text_status(&out);
  if (status >= 0) status = add_word(w, out.data);
  weir__text_clear(&out);
  return status;
}

static weir_status split_line(words *w, const char *line, int n, char *const command[]) {
  char *word;
  WEIR_TRY(weir__arena_alloc(w->arena, strlen(line) + 1, &word));
  for (const char *c = line; *c;) {
    size_t length = 0;
    bool   any    = false;
    char   quote  = 0;
    for (; *c && (quote || !isspace((unsigned char)*c)); c++, any = true) {
      if (quote && *c == quote) quote = 0;
      else if (!quote && (*c == '"' || *c == '\'')) quote = *c;
      else word[length++] = *c;
    }
    word[length] = 0;
    if (quote) return WEIR_FAIL(WEIR_ERR_INPUT, "launch: a quote %c is not closed in: %s", quote, line);
    if (any) WEIR_TRY(add_given(w, word, n, command));
    while (isspace((unsigned char)*c)) c++;
  }
  return WEIR_OK;
}

/* Open MPI refuses root, and more processes than cores, and two jobs would both bind the first cores; idle processes
 * of one job must let those of the other work. */
static weir_status openmpi_line(words *w, const char *n) {
  static const char *const flags[] = {"--oversubscribe",
                                      "--bind-to",
                                      "none",
                                      "--mca",
                                      "mpi_yield_when_idle",
                                      "1",
                                      "-x",
                                      "WEIR_RUN",
                                      "-x",
                                      "WEIR_RESTART",
                                      "-x",
                                      "WEIR_RESTART_STEP",
                                      "-x",
                                      "WEIR_SUPERVISED",
                                      "-x",
                                      "WEIR_PLACEMENT",
                                      "-x",
                                      "WEIR_ENGINE",
                                      "-n",
                                      NULL};
  WEIR_TRY(add_word(w, "mpirun"));
  if (!geteuid()) WEIR_TRY(add_word(w, "--allow-run-as-root"));
  WEIR_TRY(add_all(w, flags));
  return add_word(w, n);
}

static weir_status slurm_line(words *w, int n) {
  char        text[64];
  const char *nodes = getenv("SLURM_JOB_NUM_NODES");
  int64_t     count = 1;
  if (nodes && !weir__text_to_int64(nodes, &count)) count = 1;
  static const char *const flags[] = {"srun", "--overlap", "--cpu-bind=none", NULL};
  WEIR_TRY(add_all(w, flags));
  snprintf(text, sizeof text, "--nodes=%lld", (long long)(count < n ? count : n));
  WEIR_TRY(add_word(w, text));
  snprintf(text, sizeof text, "--ntasks=%d", n);
  return add_word(w, text);
}

weir_status weir__launch_line(weir__arena *arena, weir__launcher launcher, const char *line, int n,
                              char *const command[], char ***argv) {
  words       w      = {.arena = arena};
  weir_status status = WEIR_OK;
  char        number[16];
  snprintf(number, sizeof number, "%d", n);
  if (line) status = split_line(&w, line, n, command);
  else if (launcher == WEIR__LAUNCH_OPENMPI) status = openmpi_line(&w, number);
  else if (launcher == WEIR__LAUNCH_MPICH) status = add_all(&w, (const char *const[]){"mpirun", "-n", number, NULL});
  else if (launcher == WEIR__LAUNCH_SLURM) status = slurm_line(&w, n);
  if (status >= 0 && !line) status = add_all(&w, (const char *const *)command);
  char **out;
  if (status >= 0) status = weir__arena_alloc(arena, ((size_t)w.count + 1) * sizeof *out, &out);
  if (status >= 0) {
    if (w.count) memcpy(out, w.word, (size_t)w.count * sizeof *out);
    *argv = out;
  }
  weir__free(w.word);
  return status;
}

/* ---- environment ---- */

/* What Open MPI, MPICH and PMIx tell the processes of a job about itself. Other OMPI_MCA_ variables are the user's. */
static bool belongs_to_job(const char *variable) {
  static const char *const prefixes[] = {"PMI_",
                                         "PMIX_",
                                         "HYDI_",
                                         "OMPI_COMM_WORLD_",
                                         "OMPI_UNIVERSE_SIZE",
                                         "OMPI_APP_CTX_NUM_PROCS",
                                         "OMPI_FIRST_RANKS",
                                         "OMPI_NUM_APP_CTX",
                                         "OMPI_FILE_LOCATION",
                                         "OMPI_COMMAND",
                                         "OMPI_ARGV",
                                         "OMPI_MCA_ess",
                                         "OMPI_MCA_orte_",
                                         "OMPI_MCA_prte_",
                                         "OMPI_MCA_pmix",
                                         "WEIR_RUN=",
                                         "WEIR_JOB=",
                                         "WEIR_RESTART=",
                                         "WEIR_RESTART_STEP=",
                                         "WEIR_SUPERVISED=",
                                         "WEIR_PLACEMENT=",
                                         "WEIR_ENGINE=",
                                         NULL};
  for (const char *const *p = prefixes; *p; p++)
    if (!strncmp(variable, *p, strlen(*p))) return true;
  return false;
}

static weir_status add_variable(words *w, const char *format, ...) {
  char    text[4200];
  va_list arguments;
  va_start(arguments, format);
  int n = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (n < 0 || n >= (int)sizeof text) return WEIR_FAIL(WEIR_ERR_INPUT, "the path of the run directory is too long");
  return add_bytes(w, text, (size_t)n);
}

static weir_status add_own(words *w, const weir__launch_run *run) {
  WEIR_TRY(add_variable(w, "WEIR_RUN=%s", run->directory));
  WEIR_TRY(add_variable(w, "WEIR_RESTART=%d", run->restart));
  if (run->saved) WEIR_TRY(add_variable(w, "WEIR_RESTART_STEP=%" PRId64, *run->saved));
  else WEIR_TRY(add_word(w, "WEIR_RESTART_STEP=")); /* launchers complain of a variable that is not there */
  WEIR_TRY(add_variable(w, "WEIR_PLACEMENT=%s", run->placement ? run->placement : "node"));
  WEIR_TRY(add_variable(w, "WEIR_ENGINE=%s", run->engine ? run->engine : ""));
  return add_word(w, "WEIR_SUPERVISED=1");
}

weir_status weir__launch_engine(weir__arena *arena, const char *program, const char **path) {
  static const char *const places[] = {"../" WEIR_ENGINE_FILE, "../" WEIR_LIBDIR "/" WEIR_ENGINE_FILE,
                                       "../lib/" WEIR_ENGINE_FILE, NULL};
  const char              *given    = getenv("WEIR_ENGINE");
  const char              *slash    = strrchr(program, '/');
  weir_status              status   = WEIR_OK;
  *path                             = NULL;
  if (given && *given) return weir__arena_string(arena, given, path);
  for (const char *const *p = places; slash && *p && !*path && status >= 0; p++) {
    weir__text name = {0};
    weir__text_add(&name, "%.*s%s", (int)(slash - program) + 1, program, *p);
    status = weir__text_status(&name);
    if (status >= 0 && !access(name.data, R_OK)) status = weir__arena_string(arena, name.data, path);
    weir__text_clear(&name);
  }
  return status;
}

weir_status weir__launch_environment(weir__arena *arena, const weir__launch_run *run, char ***environment) {
  words       w      = {.arena = arena};
  weir_status status = WEIR_OK;
  char      **out;
  for (char **e = environ; status >= 0 && e && *e; e++)
    if (!belongs_to_job(*e)) status = add_word(&w, *e);
  if (status >= 0 && run) status = add_own(&w, run);
  if (status >= 0) status = weir__arena_alloc(arena, ((size_t)w.count + 1) * sizeof *out, &out);
  if (status >= 0) {
    if (w.count) memcpy(out, w.word, (size_t)w.count * sizeof *out);
    *environment = out;
  }
  weir__free(w.word);
  return status;
}
