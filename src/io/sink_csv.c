#include "io/sinks.h"
#include <stdio.h>

static weir_status write_row(const weir_apply *a) {
  const weir__sink_csv_params *p   = a->params;
  const char                  *gap = weir__sink_gap(a);
  char                         why[100];
  if (gap && a->gap_more)
    snprintf(why, sizeof why, "%s, %lld steps up to %lld", gap, (long long)a->gap_more + 1, (long long)a->gap_last);
  else if (gap) snprintf(why, sizeof why, "%s", gap);
  WEIR_TRY(weir__csv_write(p->csv, a->step, a->time, a->in, gap ? why : NULL));
  weir__sink_result(a, (double)a->step);
  return WEIR_OK;
}

static const char *const field_names[WEIR_INPUTS_MAX] = {"f1", "f2",  "f3",  "f4",  "f5",  "f6",  "f7",  "f8",
                                                         "f9", "f10", "f11", "f12", "f13", "f14", "f15", "f16"};

const weir_operator weir__sink_csv = {.api             = WEIR_OPERATOR_API,
                                      .name            = "write_csv",
                                      .summary         = "add a row to a table",
                                      .inputs          = 1,
                                      .optional_inputs = WEIR_INPUTS_MAX - 1,
                                      .input_names     = field_names,
                                      .params_size     = sizeof(weir__sink_csv_params),
                                      .in_order        = true,
                                      .accepts_missing = true,
                                      .infer           = weir__sink_infer,
                                      .need            = weir__need_whole,
                                      .apply           = write_row};
