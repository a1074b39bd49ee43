/* The streams of a worker process: which one the simulation opened, and the files. */
#include "core/clock.h"
#include "run/process.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { POLL_NS = 20000000 };

/* A stream without a name in the recipe is the one that the simulation opens. Collective. */
static weir_status find_stream(const weir__process *p, char name[WEIR__CHANNEL_NAME_MAX + 1]) {
  int64_t deadline = weir__clock_ns() + (int64_t)(p->recipe->stream.attach_s * 1e9);
  for (;;) {
    char      **names  = NULL;
    int         count  = 0;
    weir_status status = weir__channel_streams(p->directory, NULL, &names, &count);
    if (status >= 0 && count > 1)
      status = WEIR_FAIL(WEIR_ERR_INPUT,
                         "%s: the simulation opens several streams (%s, %s); name one in streams:", p->recipe->file,
                         names[0], names[1]);
    if (count) snprintf(name, WEIR__CHANNEL_NAME_MAX + 1, "%s", names[0]);
    weir__free(names);
    WEIR_TRY(weir__comm_agree(p->comm, status));
    int64_t say[2] = {count ? weir__comm_size(p->comm) - weir__comm_rank(p->comm) : 0, weir__clock_ns() > deadline};
    WEIR_TRY(weir__comm_max(p->comm, say, 2));
    if (say[0])
      return weir__comm_broadcast(p->comm, name, WEIR__CHANNEL_NAME_MAX + 1, weir__comm_size(p->comm) - (int)say[0]);
    if (say[1])
      return WEIR_FAIL(WEIR_ERR_TIMEOUT, "no simulation opened a stream within %g s (is WEIR_RUN set for it?)",
                       p->recipe->stream.attach_s);
    nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
  }
}

/* Collective. */
static weir_status count_processes(weir__process *p, const char *stream) {
  weir__channel_entry *list   = NULL;
  int                  count  = 0;
  weir_status          status = weir__channel_list(p->directory, stream, NULL, &list, &count);
  p->processes                = status >= 0 && count ? list[0].size : 1;
  weir__free(list);
  WEIR_TRY(weir__comm_agree(p->comm, status));
  return weir__comm_max(p->comm, &p->processes, 1);
}

/* The stream of a hosted worker is the one that was begun here. */
static weir_status check_name(const weir__process *p) {
  const char *wanted = p->recipe->stream.name;
  char      **names  = NULL;
  int         count  = 0;
  weir_status status = WEIR_OK;
  if (wanted && strcmp(wanted, p->stream))
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: its stream is %s, and the simulation begins %s", p->recipe->file, wanted,
                     p->stream);
  if (!wanted) status = weir__channel_streams(p->directory, NULL, &names, &count);
  if (status >= 0 && count > 1)
    status = WEIR_FAIL(WEIR_ERR_INPUT,
                       "%s: the simulation opens several streams (%s, %s); name one in streams:", p->recipe->file,
                       names[0], names[1]);
  weir__free(names);
  return status;
}

int weir__process_forwarders(const weir__process *p) {
  int beyond = weir__comm_size(p->comm) - p->settings.workers;
  return p->recipe->stream.placement == WEIR__PLACEMENT_TRANSIT && beyond > 0 ? beyond : 0;
}

static weir_status open_intake(weir__process *p) {
  char *name = p->stream;
  if (p->hosted) WEIR_TRY(weir__comm_agree(p->comm, check_name(p)));
  else if (p->recipe->stream.name) snprintf(name, sizeof p->stream, "%s", p->recipe->stream.name);
  else WEIR_TRY(find_stream(p, name));
  weir__intake_options options = {p->recipe->stream.attach_s, weir__process_forwarders(p), p->hosted, p->rank};
  WEIR_TRY(weir__intake_open(p->comm, p->directory, name, &options, &p->intake));
  WEIR_TRY(count_processes(p, name));
  const weir__intake_field *from;
  weir__recipe_expected    *field;
  int                       count = weir__intake_fields(p->intake, &from);
  WEIR_TRY(weir__arena_alloc(&p->arena, (size_t)count * sizeof *field, &field));
  for (int i = 0; i < count; i++)
    field[i] = (weir__recipe_expected){.name = from[i].name, .type = from[i].type, .is_static = from[i].is_static};
  for (int i = 0; i < count && p->recipe->stream.as_published; i++)
    WEIR_TRY(weir__intake_grid(p->intake, i, &p->arena, &field[i].grid));
  p->schema = (weir__recipe_schema){.time_units = weir__intake_time_units(p->intake),
                                    .calendar   = weir__intake_calendar(p->intake),
                                    .field      = field,
                                    .fields     = count};
  const weir__channel_parameter *declared;
  weir__recipe_parameter        *parameter;
  p->schema.parameters = weir__intake_parameters(p->intake, &declared);
  WEIR_TRY(weir__arena_alloc(&p->arena, (size_t)p->schema.parameters * sizeof *parameter, &parameter));
  for (int i = 0; i < p->schema.parameters; i++)
    parameter[i] = (weir__recipe_parameter){
        .name = declared[i].name, .value = declared[i].value, .least = declared[i].least, .most = declared[i].most};
  p->schema.parameter = parameter;
  return weir__recipe_expected_check(p->recipe, &p->schema);
}

/* What is wrong with files is said before anything waits for the simulation. */
weir_status weir__process_open_streams(weir__process *p) {
  weir_status status = weir__joined_open(p->recipe, &p->joined);
  WEIR_TRY(weir__comm_agree(p->comm, status));
  if (p->recipe->stream.is_files) {
    weir__files_terms terms = {p->comm, p->directory, p->recipe->durable, p->stop};
    status                  = weir__files_open(&p->recipe->stream, &terms, &p->files);
    if (status >= 0) p->schema = *weir__files_schema(p->files);
  } else status = open_intake(p);
  if (status >= 0) status = weir__joined_settle(p->joined, &p->schema);
  return weir__comm_agree(p->comm, status);
}
