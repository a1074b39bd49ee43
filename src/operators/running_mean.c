/* running_mean: the mean over the last `steps` steps.
 *
 * Neither adding up the window at every step (its length times the work) nor subtracting what leaves it (errors pile
 * up, a single infinity stays for ever): time is cut into blocks as long as the window. A window is the rest of the
 * block before, whose sums from each place to its end were made when it was complete, and the beginning of this block,
 * whose sum grows.
 *
 *   ring:   v0' v1' v2' | s3 s4 s5     this block's values so far | sums to the end of the block before
 *   window: begun (v0' + v1' + v2') + s3 */
#include "operators/common/series.h"
#include <math.h>
#include <string.h>

typedef struct running_mean {
  int64_t steps;
  bool    partial;
} running_mean;

/* State: one header, then `steps` + 1 rows of sums and of counts, each as long as the chunk. The last row is `begun`.
 */
typedef struct header {
  int64_t seen; /* steps */
  int64_t unused;
} header;

static size_t state_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  const running_mean *p = params;
  (void)in;
  return sizeof(header) + (size_t)(p->steps + 1) * (size_t)weir__region_size(out) * (sizeof(double) + sizeof(int32_t));
}

/* The block before is complete: sums from each place to its end. */
static void sum_to_end(double *sum, int32_t *count, int64_t steps, int64_t n) {
  for (int64_t k = steps - 2; k >= 0; k--)
    for (int64_t i = k * n; i < (k + 1) * n; i++) {
      sum[i] += sum[i + n];
      count[i] += count[i + n];
    }
  memset(sum + steps * n, 0, (size_t)n * sizeof *sum);
  memset(count + steps * n, 0, (size_t)n * sizeof *count);
}

static void row(const weir_apply *a, const double *x, double *y, int64_t first, int64_t n) {
  const running_mean *p    = a->params;
  header             *h    = a->state;
  int64_t             size = weir_view_size(&a->out[0]), steps = p->steps, place = h->seen % steps;
  double             *sum   = (double *)(h + 1);
  int32_t            *count = (int32_t *)(sum + (steps + 1) * size);
  double             *here = sum + place * size + first, *begun = sum + steps * size + first;
  int32_t            *valid = count + place * size + first, *begun_valid = count + steps * size + first;
  bool                rest = place + 1 < steps;
  for (int64_t i = 0; i < n; i++) {
    bool is_valid = x[i] == x[i];
    here[i]       = is_valid ? x[i] : 0;
    valid[i]      = is_valid;
    begun[i] += here[i];
    begun_valid[i] += is_valid;
    double  total = begun[i] + (rest ? here[i + size] : 0);
    int32_t m     = begun_valid[i] + (rest ? valid[i + size] : 0);
    y[i]          = m ? total / m : (double)NAN;
  }
}

static weir_status apply(const weir_apply *a) {
  const running_mean *p    = a->params;
  header             *h    = a->state;
  int64_t             size = weir_view_size(&a->out[0]);
  double             *sum  = (double *)(h + 1);
  if (h->seen % p->steps == 0) sum_to_end(sum, (int32_t *)(sum + (p->steps + 1) * size), p->steps, size);
  WEIR_TRY(weir__series_apply(a, row));
  h->seen++;
  return h->seen >= p->steps || p->partial ? WEIR_OK : WEIR_END; /* the window is not full: there is no value */
}

static weir_status infer(weir_infer *infer) { return weir__series_infer(infer, 1); }

static const char *const input_names[] = {"f"};
static const weir_param  params[]      = {
          {"steps", WEIR_PARAM_INT, offsetof(running_mean, steps), .required = true, .least = 1, .most = 1 << 20,
           .help = "length of the window"},
          {"partial", WEIR_PARAM_BOOL, offsetof(running_mean, partial),
           .help = "give the mean of what there is before the window is full"},
          {0},
};

const weir_operator weir_operator_running_mean = {
    .api          = WEIR_OPERATOR_API,
    .name         = "running_mean",
    .summary      = "mean over the last steps",
    .details      = "Mean of f over this step and those before, `steps` in all, element by element. Missing values are "
                    "skipped; an element without any valid value in the window is missing. There is no value before "
                    "it is full, unless partial. It keeps 12 bytes per element and step of the window.",
    .inputs       = 1,
    .input_names  = input_names,
    .params       = params,
    .params_size  = sizeof(running_mean),
    .work         = 12,
    .infer        = infer,
    .apply        = apply,
    .state_size   = state_size,
    .scratch_size = weir__series_scratch,
};
