/* Stencils along one axis: each value is a sum of a few neighbours times coefficients. */
#ifndef WEIR_OPERATORS_STENCIL_H
#define WEIR_OPERATORS_STENCIL_H
#include "operators/common/common.h"

enum { WEIR__TAPS_MAX = 4 };

/* What one value is made of: global indices along the axis, and coefficients. No tap: missing. */
typedef struct weir__taps {
  int     count;
  int64_t at[WEIR__TAPS_MAX];
  double  c[WEIR__TAPS_MAX];
} weir__taps;

typedef enum weir__edge_rule {
  WEIR__EDGE_AUTO,
  WEIR__EDGE_PERIODIC,
  WEIR__EDGE_WALL,
  WEIR__EDGE_ONESIDED,
  WEIR__EDGE_MISSING, /* from here on: of half-cell operators */
  WEIR__EDGE_NOSLIP,
  WEIR__EDGE_FREESLIP,
  WEIR__EDGE_ZERO,
} weir__edge_rule;

/* Completed by infer, kept in the operator's parameters. */
typedef struct weir__stencil {
  int             axis;
  int             derivative; /* 0: mean of two neighbours, 1, 2 */
  int             half;       /* 0: a result at the place of the input; +1: half a cell up; -1: half a cell down */
  weir__edge_rule edge;       /* never AUTO */
  double          spacing;    /* 0: listed coordinate */
  double          shift;      /* of the input's values against the coordinate, in cells */
} weir__stencil;

/* Choose the edge rule and the spacing (0: from the coordinate), check the extent, and set the wrapping of input 0. */
weir_status weir__stencil_set(weir__stencil *s, weir_infer *infer, const char *operator_name, double spacing);

/* Widen `region` by what the stencil needs beyond a box of its result. */
void weir__stencil_need(const weir__stencil *s, const weir_field_type *in, weir_region *region);

/* The sum of `count` stencils over the chunk a->out[0]. */
weir_status weir__stencil_apply(const weir_apply *a, const weir__stencil *s, int count);
size_t      weir__stencil_scratch(const weir_region *out);

/* ---- ddx and ddy ---- */

typedef struct weir__gradient {
  weir_axes     named;
  int           edge;
  double        spacing;
  weir__stencil stencil;
} weir__gradient;

extern const char *const weir__edge_choices[]; /* auto periodic wall onesided */
weir_status              weir__gradient_infer(weir_infer *infer, const char *operator_name, const char *const *names);
weir_status weir__gradient_need(const void *params, const weir_field_type *const *in, int input, const weir_region *out,
                                weir_region *region);
weir_status weir__gradient_apply(const weir_apply *a);
size_t      weir__gradient_scratch(const void *params, const weir_field_type *const *in, const weir_region *out);

#define WEIR__GRADIENT_PARAMS(AXIS)                                                                                    \
  {"axis", WEIR_PARAM_AXES, offsetof(weir__gradient, named), .help = "the dimension; default: the one named " AXIS},   \
      {"edge", WEIR_PARAM_CHOICE, offsetof(weir__gradient, edge), .choices = weir__edge_choices,                       \
       .help = "what lies beyond the edge"},                                                                           \
      {"spacing", WEIR_PARAM_REAL, offsetof(weir__gradient, spacing),                                                  \
       .help = "between neighbours, in units of the coordinate; default: from it"},                                    \
  {                                                                                                                    \
    0                                                                                                                  \
  }
#define WEIR__GRADIENT_DETAILS                                                                                         \
  "(f[i+1] - f[i-1]) / (2 h), second order; on a coordinate in degrees the result is per degree." WEIR__EDGE_DETAILS
#define WEIR__GRADIENT_FUNCTIONS                                                                                       \
  .need = weir__gradient_need, .apply = weir__gradient_apply, .scratch_size = weir__gradient_scratch

/* ---- mid and diff ---- */

typedef struct weir__half {
  weir_axes     named;
  int           edge;
  double        spacing;
  weir__stencil stencil;
} weir__half;

extern const char *const weir__half_choices[]; /* missing noslip freeslip zero */
weir_status              weir__half_infer(weir_infer *infer, const char *operator_name, int derivative);
weir_status weir__half_need(const void *params, const weir_field_type *const *in, int input, const weir_region *out,
                            weir_region *region);
weir_status weir__half_apply(const weir_apply *a);
size_t      weir__half_scratch(const void *params, const weir_field_type *const *in, const weir_region *out);

#define WEIR__EDGE_DETAILS                                                                                             \
  " Edges: auto is periodic on a periodic dimension and onesided elsewhere; wall mirrors the field (zero gradient "    \
  "half a cell "                                                                                                       \
  "beyond the last value); onesided uses second-order formulas inside. The spacing comes from the dimension's "        \
  "coordinate (1 without "                                                                                             \
  "one; uneven coordinates are taken into account). A missing neighbour makes the result missing."
#endif
