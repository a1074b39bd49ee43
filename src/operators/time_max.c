/* time_max: the largest value over all steps so far. */
#include "operators/common/record.h"

static weir_status apply(const weir_apply *a) { return weir__record_apply(a, 1); }

static const char *const input_names[] = {"f"};

const weir_operator weir_operator_time_max = {
    .api     = WEIR_OPERATOR_API,
    .name    = "time_max",
    .summary = "largest value over all steps so far",
    .details = "The largest value of f over all steps up to this one, element by element, in the type of f; missing "
               "values are skipped, an element without any valid value so far is missing.",
    .inputs  = 1,
    .input_names  = input_names,
    .work         = 6,
    .infer        = weir__record_infer,
    .apply        = apply,
    .state_size   = weir__record_state,
    .scratch_size = weir__series_scratch,
};
