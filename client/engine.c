/* Placement inline: the engine in this process, loaded at run time when the environment asks for it. */
#include "stream.h"
#include <dlfcn.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The library stays loaded to the end of the process: others may stand on it by then. */
static weir_status load(const weir__engine **engine) {
  const char *path = getenv("WEIR_ENGINE");
  if (!path || !path[0]) path = WEIR_ENGINE_FILE;
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *why = dlerror();
    return WEIR_FAIL(WEIR_ERR_UNAVAILABLE, "placement inline: the engine cannot be loaded: %s", why ? why : path);
  }
  const weir__engine *found = dlsym(library, WEIR__ENGINE_NAME);
  if (!found || found->version != WEIR__ENGINE_VERSION) {
    dlclose(library);
    return WEIR_FAIL(WEIR_ERR_UNAVAILABLE, "placement inline: %s is no engine of this version of weir", path);
  }
  *engine = found;
  return WEIR_OK;
}

weir_status client_engine_load(weir_stream *self) {
  const char *placement = getenv("WEIR_PLACEMENT");
  if (!placement || strcmp(placement, "inline")) return WEIR_OK;
  return load(&self->engine);
}

/* Its message is kept in its own copy of what we share. */
static weir_status pass_on(const weir_stream *self, weir_status status) {
  return status < 0 ? WEIR_FAIL(status, "%s", self->engine->message()) : status;
}

weir_status client_engine_open(weir_stream *self, weir_status status) {
  weir__engine_terms terms = {.run_directory = self->run,
                              .stream        = self->definitions.stream,
                              .rank          = self->definitions.rank,
                              .size          = self->definitions.size,
                              .has_comm      = self->has_comm,
                              .comm          = self->comm};
  return pass_on(self, self->engine->open(&terms, status < 0 ? weir_error_last() : NULL, &self->hosted));
}

weir_status client_engine_begin(weir_stream *self, weir_status status) {
  if (!status && !weir__writer_in_place(self->writer))
    status = WEIR_FAIL(WEIR_ERR_INTERNAL, "the engine has not asked for what is in place");
  return pass_on(self, self->engine->begin(self->hosted, status < 0 ? weir_error_last() : NULL));
}

weir_status client_engine_step(weir_stream *self) { return pass_on(self, self->engine->step(self->hosted)); }

weir_status client_engine_close(weir_stream *self) {
  return self->hosted ? pass_on(self, self->engine->close(&self->hosted)) : WEIR_OK;
}

static bool is_dense(const weir_view *view, const weir_region *region, size_t size) {
  int64_t stride = (int64_t)size;
  for (int a = region->rank - 1; a >= 0; a--) {
    if (region->count[a] > 1 && view->stride[a] != stride) return false;
    stride *= region->count[a];
  }
  return (uintptr_t)view->data % size == 0;
}

/* The array is looked at where it is until the end of the step, unless it lies otherwise than the engine expects. */
weir_status client_refer(weir_stream *self, int piece, const weir_view *whole) {
  const weir__channel_piece_of *of   = &self->out.piece[piece];
  size_t                        size = weir_dtype_size(self->out.field[of->field].type.dtype);
  if (is_dense(whole, &of->region, size)) return weir__writer_refer(self->writer, piece, whole->data);
  WEIR_TRY(client_need_scratch(self, piece));
  weir_view to = client_scratch_view(self, piece);
  weir__view_copy(&to, whole);
  return weir__writer_refer(self->writer, piece, to.data);
}
