#include "run/files.h"
#include "run/images.h"

struct weir__files {
  const weir__files_kind *kind;
  const weir__files_live *live; /* NULL: all are there */
  void                   *self; /* of the kind */
  const volatile int     *stop;
};

weir_status weir__files_open(const weir__recipe_stream *stream, const weir__files_terms *terms, weir__files **files) {
  weir__files *opened;
  WEIR_TRY(weir__alloc_zeroed(sizeof *opened, 0, &opened));
  opened->kind       = stream->images ? &weir__images_kind : &weir__netcdf_kind;
  weir_status status = opened->kind->open(stream, terms, &opened->self);
  if (status >= 0 && opened->kind->live) opened->live = opened->kind->live(opened->self);
  if (status >= 0) *files = opened;
  else weir__free(opened);
  return status;
}

void weir__files_close(weir__files **files) {
  if (!*files) return;
  (*files)->kind->close((*files)->self);
  weir__free(*files);
  *files = NULL;
}

const weir__recipe_schema *weir__files_schema(const weir__files *files) { return files->kind->schema(files->self); }
int64_t                    weir__files_steps(const weir__files *files) { return files->kind->steps(files->self); }

weir_status weir__files_level(const weir__files *files, int64_t level, int64_t *step, double *time) {
  return files->kind->level(files->self, level, step, time);
}

weir_status weir__files_read(weir__files *files, int field, int64_t level, const weir_view *out) {
  return files->kind->read(files->self, field, level, out);
}

void weir__files_describe(const weir__files *files, weir__text *text) {
  if (files->kind->describe) files->kind->describe(files->self, text);
}

void weir__files_explain(weir__files *files, int field, int64_t level, weir__text *text) {
  if (files->kind->explain) files->kind->explain(files->self, field, level, text);
}

bool weir__files_come(const weir__files *files) { return files->live != NULL; }

void weir__files_pulse(weir__files *files, int64_t ordinal, int64_t *steps, int64_t *came_ns) {
  *steps = *came_ns = 0;
  if (files->live) files->live->pulse(files->self, ordinal, steps, came_ns);
}

weir_status weir__files_verdict(weir__files *files) {
  return files->live ? files->live->verdict(files->self) : WEIR_OK;
}

void weir__files_origin(const weir__files *files, weir__text *json) {
  if (files->kind->origin) files->kind->origin(files->self, json);
}

int weir__files_in_flight(const weir__files *files, int given) {
  return given || !files || !files->kind->in_flight ? given : files->kind->in_flight(files->self);
}

int weir__files_labels(const weir__files *files, int *width) {
  return files->kind->labels ? files->kind->labels(files->self, width) : 0;
}

void weir__files_label(const void *files_, int64_t step, int k, char *out, size_t room) {
  const weir__files *files = files_;
  *out                     = 0;
  if (files->kind->label) files->kind->label(files->self, step, k, out, room);
}

static weir_status next(void *self, int64_t ordinal, int64_t *step, double *time) {
  const weir__files *files = self;
  if (files->live) {
    weir_status status = files->live->more(files->self, ordinal);
    if (status != WEIR_OK) return status;
  } else if (ordinal >= weir__files_steps(files) || (files->stop && *files->stop)) return WEIR_END;
  return weir__files_level(files, ordinal, step, time);
}

static weir_status read_field(void *self, int field, int64_t ordinal, const weir_view *out) {
  return weir__files_read(self, field, ordinal, out);
}

static void attach(void *self, void (*wake)(void *who), void *who) {
  const weir__files *files = self;
  files->live->attach(files->self, wake, who);
}

static uint64_t about(void *self, int64_t ordinal) {
  const weir__files *files = self;
  return files->live->about(files->self, ordinal);
}

static void heed(void *self, int64_t ordinal, uint64_t told) {
  const weir__files *files = self;
  files->live->heed(files->self, ordinal, told);
}

weir__source weir__files_source(weir__files *files, const volatile int *stop, int steps) {
  files->stop = stop;
  if (files->kind->expect) files->kind->expect(files->self, steps);
  weir__source source = {.self = files, .next = next, .read = read_field};
  if (files->live) source.attach = attach, source.about = about, source.heed = heed;
  return source;
}
