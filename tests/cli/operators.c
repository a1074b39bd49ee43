/* Operators of a user, as a shared object: one good, and with -DWRONG=n wrong ones. */
#include <weir/operator.h>

static weir_status twice(const weir_apply *a) {
  int64_t index[WEIR_RANK_MAX] = {0}, n = weir_view_row(&a->out[0]);
  double  row[4096];
  do {
    const double *x = weir_view_load(&a->in[0], index, n, row);
    for (int64_t i = 0; i < n; i++) row[i] = 2 * x[i];
    weir_view_store(&a->out[0], index, n, row);
  } while (weir_view_next_row(&a->out[0], index));
  return WEIR_OK;
}

static const char *const   names[]  = {"f"};
static const weir_param    params[] = {{.name = "level", .kind = WEIR_PARAM_REAL, .offset = 64}, {0}};
static const weir_operator good     = {.api         = WEIR_OPERATOR_API,
                                       .name        = "twice",
                                       .summary     = "two times a field",
                                       .inputs      = 1,
                                       .input_names = names,
                                       .apply       = twice};
static const weir_operator wrong[]  = {
     {.api = WEIR_OPERATOR_API + 1},
     {.api         = WEIR_OPERATOR_API,
      .name        = "mean",
      .summary     = "a name that is taken",
      .inputs      = 1,
      .input_names = names,
      .apply       = twice},
     {.api = WEIR_OPERATOR_API, .name = "nothing", .summary = "no apply", .inputs = 1, .input_names = names},
     {.api         = WEIR_OPERATOR_API,
      .name        = "outside",
      .summary     = "a parameter outside",
      .inputs      = 1,
      .input_names = names,
      .apply       = twice,
      .params      = params,
      .params_size = 8},
};

#ifndef NO_TABLE
__attribute__((visibility("default"))) const weir_operator *const weir_operators[] = {
#ifdef WRONG
    &wrong[WRONG],
#else
    &good,
#endif
    0};
#endif
