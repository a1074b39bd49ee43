/* ddt: the change since the step before, divided by the time between. */
#include <weir/operator.h>

static const char *const input_names[] = {"f"};

const weir_operator weir_operator_ddt = {
    .api     = WEIR_OPERATOR_API,
    .name    = "ddt",
    .summary = "rate of change since the previous step",
    .details =
        "(f - f one published step ago) / (time between the two steps); missing at the first step and after a gap.",
    .inputs      = 1,
    .input_names = input_names,
    .expression  = "(f - lag(f, 1)) / dt",
};
