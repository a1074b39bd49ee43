/* equalize: intensities so that all are equally frequent. */
#include "operators/common/equalize.h"

enum { BINS = 65536 };

static weir_status infer(weir_infer *infer) {
  weir__equalize *p = infer->params;
  p->tiles          = 1;
  p->clip           = 1;
  return weir__equalize_infer(infer, "equalize", BINS);
}

static const char *const input_names[] = {"image"};

const weir_operator weir_operator_equalize = {
    .api     = WEIR_OPERATOR_API,
    .name    = "equalize",
    .summary = "intensities made equally frequent in an image",
    .details =
        "low + (high - low) C(image), where C(v) is the part of the pixels with values up to v, from a histogram "
        "of 65536 bins; Gonzalez & Woods, Digital Image Processing, section 3.3." WEIR__EQUALIZE_DETAILS,
    .inputs       = 1,
    .input_names  = input_names,
    .params_size  = sizeof(weir__equalize),
    .work         = 30,
    .infer        = infer,
    .apply        = weir__equalize_apply,
    .scratch_size = weir__equalize_scratch,
};
