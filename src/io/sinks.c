#include "io/sinks.h"

weir_status weir__sink_infer(weir_infer *infer) {
  infer->out[0] = (weir_field_type){.dtype = WEIR_F64};
  for (int a = 0; a < WEIR_RANK_MAX; a++) infer->from_axis[0][a] = -1;
  return WEIR_OK;
}

const char *weir__sink_gap(const weir_apply *a) {
  switch (a->gap) {
  case WEIR_GAP_NONE: break;
  case WEIR_GAP_NO_ROOM: return "no room";
  case WEIR_GAP_NOT_PUBLISHED: return "not published by all";
  }
  return NULL;
}

void weir__sink_result(const weir_apply *a, double value) { weir_view_store(&a->out[0], NULL, 1, &value); }
