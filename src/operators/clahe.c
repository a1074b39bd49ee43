/* clahe: contrast-limited adaptive histogram equalization. */
#include "operators/common/equalize.h"

enum { BINS = 256 };

static weir_status infer(weir_infer *infer) { return weir__equalize_infer(infer, "clahe", BINS); }

static const char *const input_names[] = {"image"};
static const weir_param  params[]      = {
          {"tiles", WEIR_PARAM_INT, offsetof(weir__equalize, tiles), .fallback = 8, .least = 1,
           .most = WEIR__EQUALIZE_TILES_MOST, .help = "along both axes"},
          {"clip", WEIR_PARAM_REAL, offsetof(weir__equalize, clip), .fallback = 0.01, .least = 0.001, .most = 1,
           .help = "part of the pixels of a tile that a bin counts at most; 1: no limit"},
          {0},
};

const weir_operator weir_operator_clahe = {
    .api     = WEIR_OPERATOR_API,
    .name    = "clahe",
    .summary = "contrast-limited adaptive histogram equalization",
    .details =
        "low + (high - low) C(image), where C(v) is the part of the pixels with values up to v in tiles of the image, "
        "interpolated linearly between the centres of four tiles (beyond the outermost the nearest count). Counts of "
        "the 256 bins are limited to clip times the pixels of the tile (at least 1), and what is beyond is shared "
        "equally by all, once. Source: Zuiderveld 1994, Graphics Gems IV, chapter VIII.5." WEIR__EQUALIZE_DETAILS,
    .inputs       = 1,
    .input_names  = input_names,
    .params       = params,
    .params_size  = sizeof(weir__equalize),
    .work         = 40,
    .infer        = infer,
    .apply        = weir__equalize_apply,
    .scratch_size = weir__equalize_scratch,
};
