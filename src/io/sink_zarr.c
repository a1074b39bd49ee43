#include "io/sinks.h"

/* ---- chunks ---- */

typedef struct written {
  int64_t chunks, reserved; /* 16 bytes, as partial results are aligned */
} written;

static size_t partial_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  (void)params, (void)in, (void)out;
  return sizeof(written);
}

static size_t scratch_size(const void *params, const weir_field_type *const *in, const weir_region *out) {
  const weir__sink_zarr_params *p = params;
  (void)in, (void)out;
  return p->array ? weir__zarr_scratch_size(p->array) : 0;
}

static weir_status write_chunks(const weir_apply *a) {
  const weir__sink_zarr_params *p       = a->params;
  written                      *partial = a->partial;
  int64_t                       chunks;
  WEIR_TRY(weir__zarr_write(p->array, a->index, &a->in[0], a->scratch, &chunks));
  partial->chunks += chunks;
  return WEIR_OK;
}

static void combine(const void *params, const weir_field_type *const *in, const weir_region *out, void *into,
                    const void *from) {
  const written *other = from;
  (void)params, (void)in, (void)out;
  ((written *)into)->chunks += other->chunks;
}

static weir_status finish(const weir_apply *a) {
  const written *partial = a->partial;
  weir__sink_result(a, (double)partial->chunks);
  return WEIR_OK;
}

static const char *const field_names[] = {"field"};

const weir_operator weir__sink_zarr = {.api             = WEIR_OPERATOR_API,
                                       .name            = "write_zarr",
                                       .summary         = "write the chunks of a field to a Zarr array",
                                       .inputs          = 1,
                                       .input_names     = field_names,
                                       .params_size     = sizeof(weir__sink_zarr_params),
                                       .accepts_missing = true,
                                       .infer           = weir__sink_infer,
                                       .partial_size    = partial_size,
                                       .scratch_size    = scratch_size,
                                       .apply           = write_chunks,
                                       .combine         = combine,
                                       .finish          = finish};

/* ---- commit ---- */

/* A missing input: not all chunks of that array could be written. */
static weir_status commit(const weir_apply *a) {
  const weir__sink_zarr_commit_params *p     = a->params;
  weir__zarr_level                     level = {.index = a->index,
                                                .step  = a->step,
                                                .time  = a->time,
                                                .why   = weir__sink_gap(a),
                                                .more  = a->gap_more,
                                                .last  = a->gap_last};
  for (int i = 0; i < a->inputs; i++) level.gaps |= a->in[i].missing;
  WEIR_TRY(weir__zarr_commit(p->zarr, &level));
  weir__sink_result(a, (double)a->step);
  return WEIR_OK;
}

static const char *const array_names[WEIR_INPUTS_MAX] = {"a1", "a2",  "a3",  "a4",  "a5",  "a6",  "a7",  "a8",
                                                         "a9", "a10", "a11", "a12", "a13", "a14", "a15", "a16"};

const weir_operator weir__sink_zarr_commit = {.api             = WEIR_OPERATOR_API,
                                              .name            = "commit_zarr",
                                              .summary         = "let readers of a Zarr store see a time level",
                                              .inputs          = 1,
                                              .optional_inputs = WEIR_INPUTS_MAX - 1,
                                              .input_names     = array_names,
                                              .params_size     = sizeof(weir__sink_zarr_commit_params),
                                              .in_order        = true,
                                              .accepts_missing = true,
                                              .infer           = weir__sink_infer,
                                              .need            = weir__need_whole,
                                              .apply           = commit};
