/* Operators that are slow or fail, for tests: compiled by them into a shared object that their recipes name. */
#include <stddef.h>
#include <time.h>
#include <weir/operator.h>

typedef struct settings {
  double ms;
  double step;
} settings;

static const weir_param slow_params[] = {
    {"ms", WEIR_PARAM_REAL, offsetof(settings, ms), .required = true, .help = "time for each chunk"}, {0}};
static const weir_param failing_params[] = {
    {"step", WEIR_PARAM_REAL, offsetof(settings, step), .required = true, .help = "step at which it fails"}, {0}};
static const char *const names[] = {"f"};

static void copy(const weir_apply *a) {
  enum { RUN = 256 };
  int64_t index[WEIR_RANK_MAX] = {0}, last = a->out[0].rank - 1, row = weir_view_row(&a->out[0]);
  double  buffer[RUN];
  do {
    for (int64_t at = 0; at < row; at += RUN) {
      int64_t n = row - at < RUN ? row - at : RUN;
      if (last >= 0) index[last] = at;
      weir_view_store(&a->out[0], index, n, weir_view_load(&a->in[0], index, n, buffer));
    }
    if (last >= 0) index[last] = 0;
  } while (weir_view_next_row(&a->out[0], index));
}

static weir_status slow(const weir_apply *a) {
  long ns = (long)(((const settings *)a->params)->ms * 1e6);
  nanosleep(&(struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000}, NULL);
  copy(a);
  return WEIR_OK;
}

static weir_status failing(const weir_apply *a) {
  if (a->step == (int64_t)((const settings *)a->params)->step) return WEIR_ERR_OPERATOR;
  copy(a);
  return WEIR_OK;
}

static const weir_operator slow_operator = {.api         = WEIR_OPERATOR_API,
                                            .name        = "slow",
                                            .summary     = "the field itself, after a while",
                                            .inputs      = 1,
                                            .input_names = names,
                                            .params      = slow_params,
                                            .params_size = sizeof(settings),
                                            .apply       = slow};

static const weir_operator failing_operator = {.api         = WEIR_OPERATOR_API,
                                               .name        = "failing",
                                               .summary     = "the field itself, but for one step",
                                               .inputs      = 1,
                                               .input_names = names,
                                               .params      = failing_params,
                                               .params_size = sizeof(settings),
                                               .apply       = failing};

WEIR_API extern const weir_operator *const weir_operators[];
const weir_operator *const                 weir_operators[] = {&slow_operator, &failing_operator, NULL};
