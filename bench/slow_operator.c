/* An operator that takes its time, for bench_overload: it sleeps, so that the time of the simulation beside it is its
 * own. */
#include <stddef.h>
#include <time.h>
#include <weir/operator.h>

typedef struct settings {
  double ms;
} settings;

static const weir_param params[] = {
    {"ms", WEIR_PARAM_REAL, offsetof(settings, ms), .required = true, .help = "time for each chunk"}, {0}};
static const char *const names[] = {"f"};

static weir_status slow(const weir_apply *a) {
  enum { RUN = 256 };
  long    ns                   = (long)(((const settings *)a->params)->ms * 1e6);
  int64_t index[WEIR_RANK_MAX] = {0}, last = a->out[0].rank - 1, row = weir_view_row(&a->out[0]);
  double  buffer[RUN];
  nanosleep(&(struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000}, NULL);
  do {
    for (int64_t at = 0; at < row; at += RUN) {
      int64_t n = row - at < RUN ? row - at : RUN;
      if (last >= 0) index[last] = at;
      weir_view_store(&a->out[0], index, n, weir_view_load(&a->in[0], index, n, buffer));
    }
    if (last >= 0) index[last] = 0;
  } while (weir_view_next_row(&a->out[0], index));
  return WEIR_OK;
}

static const weir_operator slow_operator = {.api         = WEIR_OPERATOR_API,
                                            .name        = "slow",
                                            .summary     = "the same values, later",
                                            .inputs      = 1,
                                            .input_names = names,
                                            .params      = params,
                                            .params_size = sizeof(settings),
                                            .apply       = slow};

WEIR_API extern const weir_operator *const weir_operators[];
const weir_operator *const                 weir_operators[] = {&slow_operator, NULL};
