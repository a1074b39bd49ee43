/* What goes back through the channels of a worker: decisions, and fields for the regions that processes ask for. */
#include "exec/intake.h"
#include <string.h>

static int find_feedback(const weir__graph *graph, const char *name) {
  for (int i = 0; i < graph->feedbacks; i++)
    if (!strcmp(graph->feedback[i].name, name)) return i;
  return -1;
}

static weir_status check_feedback(const weir__graph *graph, const weir__feedback *f, const weir_field_type *asked) {
  const weir_field_type *type = weir__edge_type(graph, f->edge);
  weir_shape             have = weir__shape_of(type), want = weir__shape_of(asked);
  bool                   same = type->dtype == asked->dtype && type->rank == asked->rank;
  char                   x[200], y[200];
  for (int a = 0; same && a < type->rank; a++) same = type->dim[a].size == asked->dim[a].size;
  if (same) return WEIR_OK;
  return WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d:%d: feedback %s is %s %s, but the simulation asks for %s %s",
                   f->place.file ? f->place.file : "?", f->place.line, f->place.column, f->name,
                   weir_dtype_name(type->dtype), weir__shape_text(&have, x), weir_dtype_name(asked->dtype),
                   weir__shape_text(&want, y));
}

/* The terms of each field that the simulation may ask for; a field of the recipe that it never asks for is a mistake.
 */
weir_status weir__intake_feedback_terms(weir__intake *in, const weir__graph *graph, weir__channel_feedback **terms) {
  const weir__channel_definitions *d = &in->definitions;
  WEIR_TRY(weir__arena_alloc(&in->arena, (size_t)d->feedbacks * sizeof **terms, terms));
  for (int k = 0; k < d->feedbacks; k++) {
    int f       = find_feedback(graph, d->feedback[k].name);
    (*terms)[k] = (weir__channel_feedback){0};
    if (f < 0) continue;
    const weir__feedback *from = &graph->feedback[f];
    WEIR_TRY(check_feedback(graph, from, &d->feedback[k].type));
    (*terms)[k] = (weir__channel_feedback){true, from->lag, (weir__channel_late)from->when_late,
                                           (int64_t)(from->timeout_s * 1e9)};
  }
  for (int f = 0; f < graph->feedbacks; f++) {
    bool asked = false;
    for (int k = 0; k < d->feedbacks; k++) asked |= !strcmp(d->feedback[k].name, graph->feedback[f].name);
    if (!asked)
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d:%d: the simulation does not ask for a feedback field %s",
                       graph->feedback[f].place.file ? graph->feedback[f].place.file : "?",
                       graph->feedback[f].place.line, graph->feedback[f].place.column, graph->feedback[f].name);
  }
  return WEIR_OK;
}

weir_status weir__intake_feedbacks(weir__intake *in, const weir__graph *graph, const weir__local_feedback **list,
                                   int *count) {
  weir__local_feedback *local;
  int                   total = 0, n = 0;
  for (int i = 0; i < in->channels; i++) total += weir__channel_definitions_of(in->channel[i])->feedback_pieces;
  WEIR_TRY(weir__arena_alloc(&in->arena, (size_t)total * sizeof *local, &local));
  for (int i = 0; i < in->channels; i++) {
    const weir__channel_definitions *d = weir__channel_definitions_of(in->channel[i]);
    for (int k = 0; k < d->feedback_pieces; k++) {
      int f = find_feedback(graph, d->feedback[d->feedback_piece[k].field].name);
      if (f < 0) continue;
      WEIR_TRY(check_feedback(graph, &graph->feedback[f], &d->feedback[d->feedback_piece[k].field].type));
      local[n++] =
          (weir__local_feedback){.feedback = f, .channel = i, .piece = k, .region = d->feedback_piece[k].region};
    }
  }
  *list  = local;
  *count = n;
  return WEIR_OK;
}

weir_status weir__intake_feedback(weir__intake *in, const weir__local_feedback *local, uint64_t sequence,
                                  const weir_view *view) {
  return weir__channel_feedback_write(in->channel[local->channel], local->piece, sequence, view);
}

weir_status weir__intake_change(weir__intake *in, const weir__channel_change *change) {
  for (int i = 0; i < in->channels; i++) WEIR_TRY(weir__channel_change_post(in->channel[i], change));
  return WEIR_OK;
}

void weir__intake_horizon(weir__intake *in, uint64_t before) {
  for (int i = 0; i < in->channels; i++) weir__channel_horizon(in->channel[i], before);
}

/* ---- what goes back, again ---- */

size_t weir__intake_back_bytes(const weir__intake *in) {
  size_t bytes = 0;
  for (int i = 0; in && i < in->channels; i++) bytes += weir__channel_feedback_bytes(in->channel[i]);
  return bytes;
}

void weir__intake_back_save(const weir__intake *in, uint64_t sequence, char *bytes) {
  for (int i = 0; in && i < in->channels; i++) {
    weir__channel_feedback_keep(in->channel[i], sequence, bytes);
    bytes += weir__channel_feedback_bytes(in->channel[i]);
  }
}

weir_status weir__intake_back_load(weir__intake *in, const char *bytes, size_t size) {
  const char *next = bytes;
  if (size != weir__intake_back_bytes(in))
    return WEIR_FAIL(WEIR_ERR_INPUT, "the simulation asks for other fields than before, or lies otherwise over its "
                                     "processes: it cannot get again what was computed for it");
  if (!size) return WEIR_OK;
  for (int i = 0; i < in->channels; i++) {
    WEIR_TRY(weir__channel_feedback_check(in->channel[i], next));
    next += weir__channel_feedback_bytes(in->channel[i]);
  }
  WEIR_TRY(weir__alloc_zeroed(size, 0, &in->back));
  memcpy(in->back, bytes, size);
  return WEIR_OK;
}

weir_status weir__intake_back_give(weir__intake *in) {
  const char *bytes = in->back;
  if (in->back && !in->mapped && !in->ended) {
    weir_status status = weir__intake_map(in);
    if (status < 0) return status;
    in->ended = status == WEIR_END;
  }
  for (int i = 0; i < in->channels && in->mapped && in->back; i++) {
    WEIR_TRY(weir__channel_feedback_repeat(in->channel[i], bytes));
    bytes += weir__channel_feedback_bytes(in->channel[i]);
  }
  weir__free(in->back);
  in->back = NULL;
  return WEIR_OK;
}
