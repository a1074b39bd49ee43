/* Order statistics over the last steps, pixel by pixel: the window is kept in the field's own type. */
#ifndef WEIR_OPERATORS_TEMPORAL_H
#define WEIR_OPERATORS_TEMPORAL_H
#include "operators/common/common.h"

typedef struct weir__temporal {
  int64_t steps;
  bool    partial;
  double  percent; /* a parameter, or set by infer */
} weir__temporal;

weir_status weir__temporal_infer(weir_infer *infer);
weir_status weir__temporal_prepare(const void *params, const weir_field_type *const *in, void **context);
void        weir__temporal_release(void *context);
weir_status weir__temporal_apply(const weir_apply *a);
size_t      weir__temporal_state(const void *params, const weir_field_type *const *in, const weir_region *out);
size_t      weir__temporal_scratch(const void *params, const weir_field_type *const *in, const weir_region *out);

#define WEIR__TEMPORAL_PARAMS                                                                                          \
  {"steps",      WEIR_PARAM_INT,   offsetof(weir__temporal, steps), .required = true, .least = 1,                      \
   .most = 1024, .units = "steps", .help = "length of the window"},                                                    \
  {                                                                                                                    \
    "partial", WEIR_PARAM_BOOL, offsetof(weir__temporal, partial),                                                     \
        .help = "give the value of what there is before the window is full"                                            \
  }
#define WEIR__TEMPORAL_DETAILS                                                                                         \
  " over this step and those before, `steps` in all, element by element: a value of the field itself, in its type. "   \
  "Missing values are skipped; an element without any valid value in the window is missing, and a step without the "   \
  "field is not counted. There is no value before the window is full, unless partial. The window ends with this "      \
  "step; centred on an earlier one, it is compared with that: lag(f, 2) - temporal_median(f, 5). It keeps the values " \
  "of the window, and sorts them with a network (Batcher 1968, doi 10.1145/1468075.1468121)."
#define WEIR__TEMPORAL_FUNCTIONS                                                                                       \
  .prepare = weir__temporal_prepare, .release = weir__temporal_release, .apply = weir__temporal_apply,                 \
  .state_size = weir__temporal_state, .scratch_size = weir__temporal_scratch
#endif
