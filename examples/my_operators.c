/* Operators of your own: a shared object that a recipe names.
 *
 *     cc -shared -fPIC -O2 -o my_operators.so my_operators.c $(pkg-config --cflags weir)
 *     weir run my_operators.yaml
 *
 * An operator is one record: what it is called, what it takes, and functions that the engine calls. The engine moves
 * the data, splits the work among threads and processes, and keeps earlier steps; the functions see one box at a time
 * and allocate nothing. From the record come the function in expressions, the checks of its arguments and its page in
 * `weir ops`. */
#include <math.h>
#include <stddef.h>
#include <weir/operator.h>
#include <weir/sum.h>

enum { RUN = 256 }; /* elements worked on at a time */

/* ---- keep_above: a plain operator. Element by element, so the chunk of the result needs the same chunk of the input:
 * no `need`. ---- */

typedef struct keep_above {
  double level, fill;
} keep_above;

static const weir_param keep_above_params[] = {{"level", WEIR_PARAM_REAL, offsetof(keep_above, level), .required = true,
                                                .help = "lowest value kept, in units of f"},
                                               {"fill", WEIR_PARAM_REAL, offsetof(keep_above, fill), .fallback = 0.0,
                                                .help = "value put in place of smaller ones"},
                                               {0}};

static weir_status keep_above_apply(const weir_apply *a) {
  const keep_above *p                    = a->params;
  int64_t           index[WEIR_RANK_MAX] = {0}, last = a->out[0].rank - 1, row = weir_view_row(&a->out[0]);
  double            buffer[RUN], y[RUN];
  do { /* rows; a view may have any type and strides, loading turns missing values into NaN */
    for (int64_t at = 0; at < row; at += RUN) {
      int64_t n = row - at < RUN ? row - at : RUN;
      if (last >= 0) index[last] = at;
      const double *x = weir_view_load(&a->in[0], index, n, buffer);
      for (int64_t i = 0; i < n; i++) y[i] = isnan(x[i]) || x[i] >= p->level ? x[i] : p->fill;
      weir_view_store(&a->out[0], index, n, y);
    }
    if (last >= 0) index[last] = 0;
  } while (weir_view_next_row(&a->out[0], index));
  return WEIR_OK;
}

static const char *const f_name[] = {"f"};

static const weir_operator keep_above_operator = {.api         = WEIR_OPERATOR_API,
                                                  .name        = "keep_above",
                                                  .summary     = "keep values at or above a level",
                                                  .inputs      = 1,
                                                  .input_names = f_name,
                                                  .params      = keep_above_params,
                                                  .params_size = sizeof(keep_above),
                                                  .apply       = keep_above_apply};

/* ---- rms: a reduction. Boxes come in any order, on any thread and process; weir_sum gives the same bits whatever the
 * order. ---- */

typedef struct rms_partial {
  weir_sum squares;
} rms_partial;

static weir_status rms_infer(weir_infer *infer) {
  infer->out[0] = (weir_field_type){.dtype = WEIR_F64, .units = infer->in[0]->units}; /* one number */
  return WEIR_OK;
}

static size_t rms_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  (void)params, (void)in, (void)out;
  return sizeof(rms_partial);
}

static weir_status rms_apply(const weir_apply *a) {
  rms_partial *partial              = a->partial;
  int64_t      index[WEIR_RANK_MAX] = {0}, last = a->in[0].rank - 1, row = weir_view_row(&a->in[0]);
  double       buffer[RUN];
  do {
    for (int64_t at = 0; at < row; at += RUN) {
      int64_t n = row - at < RUN ? row - at : RUN;
      if (last >= 0) index[last] = at;
      weir_sum_add_square(&partial->squares, weir_view_load(&a->in[0], index, n, buffer), n);
    }
    if (last >= 0) index[last] = 0;
  } while (weir_view_next_row(&a->in[0], index));
  return WEIR_OK;
}

static void rms_combine(const void *params, const weir_field_type *const *in, const weir_region *out, void *into,
                        const void *from) {
  (void)params, (void)in, (void)out;
  weir_sum_combine(&((rms_partial *)into)->squares, &((const rms_partial *)from)->squares);
}

static weir_status rms_finish(const weir_apply *a) {
  const rms_partial *partial = a->partial;
  double             value   = sqrt(weir_sum_mean(&partial->squares)); /* NaN when no value was valid */
  weir_view_store(&a->out[0], NULL, 1, &value);
  return WEIR_OK;
}

static const weir_operator rms_operator = {.api          = WEIR_OPERATOR_API,
                                           .name         = "rms",
                                           .summary      = "root of the mean square over all dimensions",
                                           .inputs       = 1,
                                           .input_names  = f_name,
                                           .infer        = rms_infer,
                                           .apply        = rms_apply,
                                           .partial_size = rms_size,
                                           .combine      = rms_combine,
                                           .finish       = rms_finish};

/* ---- what the recipe's `operators:` looks for ---- */

WEIR_API extern const weir_operator *const weir_operators[];
const weir_operator *const                 weir_operators[] = {&keep_above_operator, &rms_operator, NULL};
