/* Life of a worker process. Everything before the first step is the same on all workers, but that worker 0 makes the
 * outputs; all agree after each part, so that one failure ends all with one message. */
#include "run/process.h"
#include "core/clock.h"
#include "run/figures.h"
#include "run/report.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { STATUS_NS = 200000000 };

typedef weir__process process;

int weir__exit_status(weir_status status) {
  if (status >= 0) return 0;
  return status == WEIR_ERR_INPUT || status == WEIR_ERR_ARGUMENT ? 2 : 1;
}

static bool first(const process *p) { return (p->comm ? weir__comm_rank(p->comm) : p->rank) == 0; }

/* ---- status ---- */

static void tell(process *p, weir__run_phase phase) {
  p->status.phase     = phase;
  p->status.elapsed_s = (double)(weir__clock_ns() - p->start_ns) * 1e-9;
  p->status_ns        = weir__clock_ns();
  if (first(p) && weir__run_status_write(p->directory, &p->status) < 0)
    (void)0; /* nobody sees the progress; the run itself is not harmed */
}

/* Of images that come: how many wait, and how long the last ones took from the moment they were whole. */
static void feel_pulse(process *p) {
  int64_t came, came_ns;
  if (!p->files || !weir__files_come(p->files) || !first(p)) return;
  weir__files_pulse(p->files, p->status.steps - 1, &came, &came_ns);
  p->status.watching = true;
  p->status.waiting  = came > p->status.steps ? came - p->status.steps : 0;
  if (came_ns) p->status.latency_s = (double)(weir__clock_ns() - came_ns) * 1e-9;
}

static void on_progress(void *self, const weir__progress *progress) {
  process *p      = self;
  p->status.steps = progress->steps;
  p->status.step  = progress->step;
  p->status.time  = progress->time;
  /* of the processes that this worker serves, about their share of all */
  p->status.blocked_s = (double)progress->blocked_ns * 1e-9 * weir__comm_size(p->comm) / (double)p->processes;
  feel_pulse(p);
  if (weir__clock_ns() - p->status_ns >= STATUS_NS) tell(p, WEIR__PHASE_RUNNING);
}

static void on_beat(void *self) {
  process           *p = self;
  weir__worker_pulse pulse;
  weir__worker_pulse_get(p->worker, &pulse);
  weir__live_beat(p->live, &pulse);
  if (p->status.watching) tell(p, WEIR__PHASE_RUNNING); /* the last step may have been a while ago */
  weir__outputs_flush(p->outputs); /* the last step of a slow source must not wait for the next one to be seen */
}

static void on_checkpoint(void *self) { weir__outputs_flush(((process *)self)->outputs); }

static weir_status write_schema(const process *p) {
  weir__text  text   = {0};
  weir_status status = weir__recipe_schema_text(&p->schema, &text);
  if (status >= 0) status = weir__run_write(p->directory, "schema.yaml", text.data, text.length);
  weir__text_clear(&text);
  return status;
}

/* ---- the graph and the outputs ---- */

static weir_status build(process *p) {
  weir_status status  = weir__recipe_graph(p->recipe, &p->operators, &p->schema, weir__joined_schemas(p->joined),
                                           &p->graph, &p->steering);
  const int  *trigger = NULL;
  if (status >= 0) status = weir__outputs_resolve(p->recipe, p->graph, &p->outputs);
  if (status >= 0) status = weir__outputs_triggers(p->outputs, &trigger);
  if (status >= 0) status = weir__recipe_steer(p->recipe, &p->schema, p->graph, p->steering, trigger, p->directory);
  WEIR_TRY(weir__comm_agree(p->comm, status));
  weir__outputs_mode mode = p->resumed ? WEIR__OUTPUTS_RESUME : WEIR__OUTPUTS_CREATE;
  if (first(p)) status = weir__outputs_add(p->outputs, &p->schema, p->files, mode, &p->resume);
  WEIR_TRY(weir__comm_agree(p->comm, status));
  if (!first(p)) status = weir__outputs_add(p->outputs, &p->schema, p->files, WEIR__OUTPUTS_OPEN, NULL);
  if (status >= 0) status = weir__graph_finish(p->graph);
  return weir__comm_agree(p->comm, status);
}

static weir_status create_worker(process *p) {
  p->joined_source = weir__joined_source_of(p->joined);
  if (p->files)
    p->source =
        weir__files_source(p->files, weir__comm_size(p->comm) == 1 ? p->stop : NULL, p->options.steps_in_flight);
  WEIR_TRY(weir__comm_duplicate(p->comm, &p->life));
  WEIR_TRY(weir__worker_create(p->graph, p->life, p->files ? &p->source : NULL, p->intake, &p->options, &p->worker));
  if (!p->resumed) return WEIR_OK;
  weir_status status = weir__worker_restore(p->worker, &p->resume);
  weir__checkpoint_forget(&p->resume); /* it may be large */
  return status;
}

static weir_status need_directory(const process *p, const char *path) {
  weir_status status = WEIR_OK;
  if (first(p) && mkdir(path, 0700) && errno != EEXIST)
    status = WEIR_FAIL(WEIR_ERR_IO, "%s: %s", path, strerror(errno));
  return weir__comm_agree(p->comm, status);
}

static weir_status recovery_options(process *p, weir__text *path) {
  weir__worker_options *o = &p->options;
  o->checkpoint_steps     = p->recipe->checkpoint_steps;
  o->checkpoint_s         = p->recipe->checkpoint_s;
  o->durable              = p->recipe->durable;
  o->supervised           = !p->hosted && getenv("WEIR_SUPERVISED") != NULL;
  weir__text_clear(path);
  WEIR_TRY(weir__run_path(path, p->directory, "checkpoint"));
  WEIR_TRY(weir__arena_string(&p->arena, path->data, &o->checkpoint_directory));
  WEIR_TRY(need_directory(p, path->data));
  return weir__run_directory_identity(p->directory, &o->identity);
}

static weir_status spill_options(process *p, weir__text *path) {
  p->options.spill_bytes     = p->recipe->stream.spill_bytes;
  p->options.spill_directory = p->recipe->stream.spill_directory;
  if (p->options.spill_directory) return WEIR_OK;
  weir__text_clear(path);
  WEIR_TRY(weir__run_path(path, p->directory, "spill"));
  WEIR_TRY(weir__arena_string(&p->arena, path->data, &p->options.spill_directory));
  return need_directory(p, path->data);
}

static weir_status settle_options(process *p) {
  const weir__recipe_stream *s      = &p->recipe->stream;
  weir__text                 path   = {0};
  weir_status                status = WEIR_OK;
  bool                       drops  = s->policy == WEIR__POLICY_DROP_NEWEST || s->policy == WEIR__POLICY_DROP_OLDEST ||
               s->fallback == WEIR__FALLBACK_DROP;
  p->options = (weir__worker_options){
      .threads         = p->recipe->threads,
      .steps_in_flight = weir__files_in_flight(p->files, p->recipe->steps_in_flight),
      .claims =
          p->files && (p->recipe->share == WEIR__SHARE_STEPS || (p->recipe->share == WEIR__SHARE_USUAL && s->images)),
      .slots            = s->slots,
      .pin              = p->recipe->pin,
      .block_timeout_ns = (int64_t)(s->timeout_s * 1e9),
      .holes            = s->holes,
      .policy           = s->policy,
      .fallback         = s->fallback,
      .agree_steps     = drops || p->recipe->no_checkpoint, /* nobody can go back to a step that only some have begun */
      .joined          = &p->joined_source,
      .progress        = on_progress,
      .progress_self   = p,
      .beat            = on_beat,
      .beat_self       = p,
      .checkpoint      = on_checkpoint,
      .checkpoint_self = p,
      .trace_events    = p->recipe->trace ? WEIR__TRACE_EVENTS : 0,
  };
  if (p->hosted) { /* steps are done when they come, one after the other, by the process itself */
    p->options.threads     = p->recipe->threads > 0 ? p->recipe->threads : 0;
    p->options.pin         = false; /* its thread is not ours to bind */
    p->options.policy      = WEIR__POLICY_BLOCK;
    p->options.fallback    = WEIR__FALLBACK_STOP;
    p->options.agree_steps = true;
  }
  p->options.forwarders = weir__process_forwarders(p);
  if (!p->recipe->no_checkpoint) status = recovery_options(p, &path);
  if (status >= 0 && p->options.policy == WEIR__POLICY_SPILL) status = spill_options(p, &path);
  weir__text_clear(&path);
  return status;
}

/* ---- report ---- */

/* A value that a rule gave and a parameter does not take, or a log that could not be written. */
static weir_status add_decisions(const process *p, weir__report *r) {
  weir__steering_summary s;
  if (!p->steering) return WEIR_OK;
  weir__steering_summary_get(p->steering, &s);
  r->decisions = s.rules + s.people;
  if (!s.message) return WEIR_OK;
  return weir__report_add_failure(
      r, &(weir__report_failure){
             .field = "steering", .policy = "skip", .message = s.message, .steps = s.refused, .first_step = s.step});
}

static weir_status add_failures(const process *p, weir__report *r) {
  const weir__failure *list;
  int                  count = weir__worker_failures(p->worker, &list);
  for (int i = 0; i < count; i++)
    WEIR_TRY(weir__report_add_failure(r, &(weir__report_failure){list[i].name,
                                                                 weir__recipe_policies[list[i].node->on_failure],
                                                                 list[i].steps, list[i].first_step, list[i].message}));
  return WEIR_OK;
}

/* `finished`: the streams came to their end, though something failed on the way and was left out. Collective; the list
 * is on worker 0. */
static weir_status see_finished(process *p, weir_status ran) {
  const weir__failure *list;
  int                  count = weir__worker_failures(p->worker, &list);
  int64_t              done  = ran == WEIR_ERR_OPERATOR && count;
  for (int i = 0; i < count; i++)
    if (list[i].node->on_failure == WEIR__ON_FAILURE_STOP) done = false;
  if (ran == WEIR_ERR_OPERATOR) WEIR_TRY(weir__comm_max(p->comm, &done, 1));
  p->finished = done;
  return WEIR_OK;
}

static weir_status add_missing(const process *p, weir__report *r) {
  const weir__lost *list;
  int               count = weir__worker_lost(p->worker, &list);
  for (int i = 0; i < count; i++) {
    weir__report_missing missing = {p->stream, list[i].from, list[i].to, list[i].count, list[i].why};
    WEIR_TRY(weir__report_add_missing(r, &missing));
  }
  return WEIR_OK;
}

/* A field of the files that could not be read at a step, with the cause. */
static weir_status add_unread(const process *p, const weir__failure *f, int64_t ordinal, weir__report *r) {
  int64_t    step;
  double     time;
  weir__text why = {0};
  if (r->missings < WEIR__REPORT_LIST_MAX) weir__files_explain(p->files, f->node->field, ordinal, &why);
  weir_status status = weir__text_status(&why);
  if (status >= 0) status = weir__files_level(p->files, ordinal, &step, &time);
  if (status >= 0 && (why.data || r->missings == WEIR__REPORT_LIST_MAX)) /* those beyond the list are counted */
    status = weir__report_add_missing(r, &(weir__report_missing){f->node->name, step, step, 1, why.data});
  weir__text_clear(&why);
  return status;
}

/* One by one in their order, as far as the kind of files tells steps apart. */
static weir_status add_all_unread(const process *p, weir__report *r) {
  const weir__failure *list;
  int                  count = p->files ? weir__worker_failures(p->worker, &list) : 0;
  bool                 more  = count > 0;
  for (size_t word = 0; more; word++) {
    more = false;
    for (int bit = 0; bit < 64; bit++)
      for (int i = 0; i < count; i++) {
        if (list[i].node->op || list[i].node->stream || word >= list[i].words) continue;
        more = true;
        if (list[i].ordinals[word] >> bit & 1) WEIR_TRY(add_unread(p, &list[i], 64 * (int64_t)word + bit, r));
      }
  }
  return WEIR_OK;
}

static weir_status report(process *p, weir_status ran, const char *message) {
  weir__report r     = {.run       = p->recipe->run,
                        .complete  = ran >= 0,
                        .simulated = !p->recipe->stream.is_files,
                        .message   = ran >= 0      ? NULL
                                     : p->finished ? "some fields or outputs failed"
                                                   : message,
                        .trace     = p->recipe->trace,
                        .threads   = p->hosted ? p->options.threads : p->recipe->threads};
  weir_status status = weir__run_figures(p->comm, p->worker, p->stream, p->processes, weir__live_restarts(p->live), &r);
  if (status >= 0 && first(p)) status = weir__report_outputs(p->recipe, p->file_time_ns, &r);
  if (status >= 0 && first(p)) status = add_failures(p, &r);
  if (status >= 0 && first(p)) status = add_missing(p, &r);
  if (status >= 0 && first(p)) status = add_all_unread(p, &r);
  if (status >= 0 && first(p)) status = add_decisions(p, &r);
  if (status >= 0 && first(p)) status = weir__report_write(p->directory, &r);
  weir__report_clear(&r);
  return status;
}

/* ---- the whole ---- */

/* Did a run under way fail in a way that another job of workers, from the last checkpoint, may not? */
static bool may_heal(const process *p, weir_status status) {
  return (status == WEIR_ERR_COMM || status == WEIR_ERR_IO || status == WEIR_ERR_MEMORY ||
          status == WEIR_ERR_INTERNAL) &&
         p->intake && p->worker && !p->finished && p->options.supervised && p->options.checkpoint_directory;
}

/* Files that are made of all steps, also of those of a run that failed, unless it goes on. */
static weir_status convert(process *p, weir_status ran) {
  if (ran < 0 && (ran == WEIR_ERR_COMM || may_heal(p, ran))) return ran;
  weir_status converted = weir__comm_agree(p->comm, first(p) ? weir__outputs_convert(p->outputs) : WEIR_OK);
  return ran < 0 ? ran : converted;
}

static weir_status open_run(process *p) {
  weir__text  path = {0};
  struct stat s;
  weir_status status = weir__run_directory_recipe(p->directory, &p->recipe, &p->settings);
  if (status >= 0) status = weir__run_path(&path, p->directory, "run.json");
  if (status >= 0 && stat(path.data, &s)) status = WEIR_FAIL(WEIR_ERR_INPUT, "%s: %s", path.data, strerror(errno));
  if (status >= 0) p->file_time_ns = (int64_t)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec;
  weir__text_clear(&path);
  return weir__comm_agree(p->comm, status);
}

static weir_status write_trace(const process *p) {
  weir__text parts = {0};
  if (!p->recipe->trace) return WEIR_OK;
  weir_status status = weir__run_path(&parts, p->directory, "live");
  if (status >= 0) status = weir__worker_trace_write(p->worker, parts.data, p->recipe->trace);
  weir__text_clear(&parts);
  return status;
}

static weir_status run_steps(process *p) {
  char message[sizeof p->status.message] = "";
  tell(p, WEIR__PHASE_RUNNING);
  weir__live_phase(p->live, WEIR__PHASE_RUNNING);
  weir_status ran = weir__worker_run(p->worker);
  if (ran >= 0 && !p->hosted && weir__live_vouch(p->live) < 0)
    (void)0; /* what follows must be done within the time of the heartbeat */
  bool own = ran < 0 && !weir__worker_left(p->worker);
  ran      = weir__comm_agree(p->comm, own ? ran : WEIR_OK);
  if (ran < 0) snprintf(message, sizeof message, "%s", weir_error_last()); /* what closing may fail with comes after */
  if (ran >= 0 || ran == WEIR_ERR_OPERATOR) {
    weir_status came = weir__comm_agree(p->comm, p->files && first(p) ? weir__files_verdict(p->files) : WEIR_OK);
    if (came < 0) snprintf(message, sizeof message, "%s", weir_error_last());
    if (came < 0) ran = came;
  }
  weir_status closed = weir__outputs_settle(p->outputs);
  if (ran >= 0) ran = weir__comm_agree(p->comm, closed);
  p->again = ran >= 0 && weir__worker_again(p->worker, &p->options.end_at, &p->options.agree_steps);
  if (p->again) return WEIR_OK;
  if (ran >= 0) ran = weir__comm_agree(p->comm, write_trace(p));
  if (ran < 0 && !message[0]) snprintf(message, sizeof message, "%s", weir_error_last());
  WEIR_TRY(see_finished(p, ran));
  ran = convert(p, ran);
  if (ran < 0 && !message[0]) snprintf(message, sizeof message, "%s", weir_error_last());
  weir_status reported = weir__comm_agree(p->comm, report(p, ran, message));
  if (ran < 0) return WEIR_FAIL(ran, "%s", message);
  return reported;
}

static void end_life(process *p) {
  weir__worker_destroy(&p->worker);
  if (weir__outputs_close(&p->outputs) < 0) (void)0; /* only after an earlier failure, whose message stands */
  weir__steering_destroy(&p->steering);
  weir__graph_destroy(&p->graph);
  weir__checkpoint_forget(&p->resume);
  weir__comm_destroy(&p->life);
}

/* From the newest checkpoint, or the beginning, to the end; or to where a step turned out not to be whole. */
static weir_status live(process *p) {
  bool            steered = weir__recipe_steered(p->recipe, &p->schema) || p->recipe->feedbacks;
  weir__beginning begins  = {.steered = steered, .step = INT64_MIN};
  if (p->intake) WEIR_TRY(weir__intake_begins(p->intake, &begins));
  weir_status status = weir__checkpoint_find(p->comm, &p->options, &begins, &p->resume);
  if (status < 0) return status;
  p->resumed         = status == WEIR_OK;
  p->status.restored = p->resumed;
  p->status.from     = p->resume.step;
  WEIR_TRY(build(p));
  return weir__comm_agree(p->comm, create_worker(p));
}

/* Jobs of workers in this run before this one, as the supervisor counts them. */
static int64_t restarts(void) {
  const char *text  = getenv("WEIR_RESTART");
  int64_t     count = 0;
  return text && weir__text_to_int64(text, &count) && count > 0 ? count : 0;
}

static weir_status open_live(process *p) {
  WEIR_TRY(weir__live_open(p->directory, weir__comm_rank(p->comm), restarts(), &p->live));
  return p->hosted ? WEIR_OK : weir__live_vouch(p->live); /* nobody watches a process of the simulation */
}

/* All up to the first worker. */
static weir_status prepare(process *p) {
  WEIR_TRY(open_run(p));
  WEIR_TRY(weir__comm_agree(p->comm, open_live(p)));
  p->status.watching = p->recipe->stream.images && p->recipe->stream.images->watch;
  tell(p, WEIR__PHASE_WAITING);
  WEIR_TRY(weir__process_open_streams(p));
  if (p->schema.time_units) snprintf(p->status.time_units, sizeof p->status.time_units, "%s", p->schema.time_units);
  WEIR_TRY(weir__comm_agree(p->comm, first(p) ? write_schema(p) : WEIR_OK));
  weir_status status = weir__operator_set_load(p->recipe->operator_file, p->recipe->operator_files, &p->operators);
  if (status >= 0) status = settle_options(p);
  return weir__comm_agree(p->comm, status);
}

static weir_status run(process *p) {
  WEIR_TRY(weir__comm_world(&p->comm));
  WEIR_TRY(prepare(p));
  for (;;) {
    WEIR_TRY(live(p));
    WEIR_TRY(run_steps(p));
    if (!p->again) return WEIR_OK;
    end_life(p);
    if (p->intake) weir__intake_rewind(p->intake);
  }
}

static void close_all(process *p) {
  end_life(p);
  weir__intake_close(&p->intake);
  weir__files_close(&p->files);
  weir__joined_close(&p->joined);
  weir__operator_set_clear(&p->operators);
  weir__recipe_destroy(&p->recipe);
  weir__arena_clear(&p->arena);
}

/* What remains when nothing more will be done: say how it ended, give everything back. */
static weir_status finish(process *p, weir_status status) {
  p->status.exit = weir__exit_status(status);
  if (status < 0) {
    snprintf(p->status.message, sizeof p->status.message, "%s", weir_error_last());
    if (p->intake && !p->worker) weir__intake_refuse(p->intake, p->status.message);
  }
  bool            ends  = !may_heal(p, status);
  weir__run_phase phase = status < 0 && !p->finished ? WEIR__PHASE_FAILED : WEIR__PHASE_DONE;
  if (!ends) { /* as if this job had been killed: the supervisor starts another */
    phase = WEIR__PHASE_RUNNING;
    weir__intake_forget(p->intake);
  }
  tell(p, phase);
  if (p->live) weir__live_phase(p->live, phase);
  /* No process of the simulation is let go before it is known that all is done: should a worker die until then,
   * others take over from it. */
  if (phase == WEIR__PHASE_DONE && weir__comm_barrier(p->comm) < 0) (void)0; /* MPI itself fails, and the job with it */
  close_all(p);
  weir__live_close(&p->live);
  weir__comm_destroy(&p->comm);
  return status < 0 ? WEIR_FAIL(status, "%s", p->status.message) : WEIR_OK;
}

weir_status weir__run_worker(const char *directory, const volatile int *stop, bool *speaks) {
  process     p      = {.directory = directory, .stop = stop, .processes = 1, .start_ns = weir__clock_ns()};
  weir_status status = run(&p);
  *speaks            = first(&p);
  return finish(&p, status);
}

/* ---- inside a simulation ---- */

/* The communicator of the simulation, as far as one is needed. */
static weir_status join(process *p, const weir__engine_terms *terms) {
  if (terms->size == 1) return weir__comm_self(&p->comm);
  if (!terms->has_comm)
    return WEIR_FAIL(WEIR_ERR_ARGUMENT,
                     "placement inline: stream '%s' has %d processes, whose communicator is needed: give it to "
                     "weir_stream_open, has_comm and comm of weir_stream_options (Fortran: comm of weir_open)",
                     terms->stream, terms->size);
  WEIR_TRY(weir__comm_from_fortran(terms->comm, &p->comm));
  int         rank = weir__comm_rank(p->comm), size = weir__comm_size(p->comm);
  weir_status status = WEIR_OK;
  if (rank != terms->rank || size != terms->size)
    status = WEIR_FAIL(WEIR_ERR_ARGUMENT,
                       "placement inline: process %d of %d of stream '%s' gave a communicator, in which it is %d of %d",
                       terms->rank, terms->size, terms->stream, rank, size);
  return weir__comm_agree(p->comm, status);
}

static weir_status enter(process *p, const weir__engine_terms *terms, const char *wrong) {
  WEIR_TRY(join(p, terms));
  WEIR_TRY(weir__comm_agree(p->comm, wrong ? WEIR_FAIL(WEIR_ERR_GONE, "%s", wrong) : WEIR_OK));
  WEIR_TRY(prepare(p));
  WEIR_TRY(live(p));
  weir__worker_enter(p->worker);
  tell(p, WEIR__PHASE_RUNNING);
  return WEIR_OK;
}

weir_status weir__run_enter(const weir__engine_terms *terms, const char *wrong, weir__process **entered) {
  process *p;
  WEIR_TRY(weir__alloc_zeroed(sizeof *p, 0, &p));
  *entered     = p;
  p->hosted    = true;
  p->rank      = terms->rank;
  p->processes = 1;
  p->start_ns  = weir__clock_ns();
  p->last      = weir__arena_string(&p->own, terms->run_directory, &p->directory);
  snprintf(p->stream, sizeof p->stream, "%s", terms->stream);
  if (p->last >= 0) p->last = enter(p, terms, wrong);
  if (p->last < 0) snprintf(p->status.message, sizeof p->status.message, "%s", weir_error_last());
  return p->last;
}

/* MPI is the simulation's, and may be gone. */
static weir_status usable(const process *p) {
  if (weir__comm_size(p->comm) == 1 || weir__comm_usable()) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_STATE, "placement inline: MPI was finalised before the stream was closed");
}

static weir_status keep(process *p, weir_status status) {
  p->last = status;
  if (status < 0) snprintf(p->status.message, sizeof p->status.message, "%s", weir_error_last());
  return status;
}

weir_status weir__run_go_on(process *p, const char *wrong) {
  weir_status status = usable(p);
  if (status < 0) return keep(p, status);
  status = wrong ? WEIR_FAIL(WEIR_ERR_GONE, "%s", wrong) : weir__worker_give_back(p->worker);
  return keep(p, weir__comm_agree(p->comm, status));
}

/* One that knows of the end, or of a failure, knows for all: they learn of it at different moments, but must leave in
 * the same step. */
weir_status weir__run_advance(process *p) {
  enum { GOES_ON, ENDED, FAILED };
  weir_status status = usable(p);
  if (status < 0) return keep(p, status);
  status      = weir__worker_advance(p->worker);
  int64_t say = status < 0 ? FAILED : status == WEIR_END ? ENDED : GOES_ON;
  bool    own = status < 0 && !weir__worker_left(p->worker);
  if (weir__comm_max(p->comm, &say, 1) < 0) return keep(p, status < 0 ? status : WEIR_ERR_COMM);
  if (say == FAILED) return keep(p, weir__comm_agree(p->comm, own ? status : WEIR_OK));
  return keep(p, say == ENDED ? WEIR_END : WEIR_OK);
}

weir_status weir__run_leave(weir__process **entered) {
  process    *p      = *entered;
  weir_status status = p->last;
  *entered           = NULL;
  if (p->comm && usable(p) < 0) { /* nothing can be given back any more that belongs to it */
    p->status.exit = 1;
    snprintf(p->status.message, sizeof p->status.message, "%s", weir_error_last());
    tell(p, WEIR__PHASE_FAILED);
    return WEIR_ERR_STATE;
  }
  /* The others may be about to make a step: they hear here that this process makes none. */
  while (status == WEIR_OK && weir__comm_size(p->comm) > 1) status = weir__run_advance(p);
  if (status >= 0) {
    status = run_steps(p);
    if (status < 0) keep(p, status);
  } else status = WEIR_FAIL(status, "%s", p->status.message);
  bool open = status < 0 && !p->finished && p->worker;
  if (open && weir__worker_leave(p->worker) < 0) (void)0; /* MPI itself fails */
  if (open) status = WEIR_FAIL(status, "%s", p->status.message);
  status = finish(p, status);
  weir__arena_clear(&p->own);
  weir__free(p);
  return status;
}
