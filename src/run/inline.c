/* The engine's table for a simulation that has loaded it (channel/engine.h). Around every call what the analysis
 * depends on is as in a worker of its own, and afterwards as the host had it: traps, rounding and flushing of denormal
 * numbers of floating-point arithmetic, and the locale of the thread. */
#include "run/worker.h"
#include <fenv.h>
#include <locale.h>

struct weir__hosted {
  weir__process *process; /* NULL: it could not even begin */
  locale_t       plain;   /* (locale_t)0: the host's is used */
};

typedef struct surroundings {
  fenv_t   floating;
  locale_t locale;
} surroundings;

static surroundings enter(const weir__hosted *self) {
  surroundings host = {.locale = uselocale(self->plain)};
  feholdexcept(&host.floating);
  fesetenv(FE_DFL_ENV);
  return host;
}

static weir_status leave(const surroundings *host, weir_status status) {
  fesetenv(&host->floating);
  uselocale(host->locale);
  return status;
}

static weir_status engine_open(const weir__engine_terms *terms, const char *wrong, weir__hosted **hosted) {
  weir__hosted *self;
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  self->plain       = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  *hosted           = self;
  surroundings host = enter(self);
  return leave(&host, weir__run_enter(terms, wrong, &self->process));
}

static weir_status engine_begin(weir__hosted *self, const char *wrong) {
  surroundings host = enter(self);
  return leave(&host, weir__run_go_on(self->process, wrong));
}

static weir_status engine_step(weir__hosted *self) {
  surroundings host = enter(self);
  return leave(&host, weir__run_advance(self->process));
}

static weir_status engine_close(weir__hosted **hosted) {
  weir__hosted *self   = *hosted;
  weir_status   status = WEIR_OK;
  if (!self) return WEIR_OK;
  surroundings host = enter(self);
  if (self->process) status = weir__run_leave(&self->process);
  leave(&host, status);
  if (self->plain) freelocale(self->plain);
  weir__free(self);
  *hosted = NULL;
  return status;
}

WEIR_API extern const weir__engine weir_engine;
const weir__engine                 weir_engine = {.version = WEIR__ENGINE_VERSION,
                                                  .open    = engine_open,
                                                  .begin   = engine_begin,
                                                  .step    = engine_step,
                                                  .close   = engine_close,
                                                  .message = weir_error_last};
