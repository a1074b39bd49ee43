/** @file weir/operator.h  The record that defines an operator: the same for those built in and those a user writes. */
#ifndef WEIR_OPERATOR_H
#define WEIR_OPERATOR_H
#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of this record; a shared object made for another one is refused with a message. */
#define WEIR_OPERATOR_API 1u

enum { WEIR_INPUTS_MAX = 16, WEIR_OUTPUTS_MAX = 12, WEIR_LIST_MAX = 8 };

/* ---- parameters ---- */

typedef enum weir_param_kind {
  WEIR_PARAM_REAL,   /**< double */
  WEIR_PARAM_INT,    /**< int64_t */
  WEIR_PARAM_BOOL,   /**< bool; in a recipe yes/no/true/false */
  WEIR_PARAM_CHOICE, /**< int: index of the word in `choices` */
  WEIR_PARAM_AXES,   /**< weir_axes: one dimension name or a list [y, x] */
  WEIR_PARAM_TEXT,   /**< const char *: a quoted text */
  WEIR_PARAM_LIST,   /**< weir_list: one number or a list [64, 32] */
} weir_param_kind;

/** Dimension names as the user wrote them; resolved against an input by weir_axes_resolve(). */
typedef struct weir_axes {
  int         count; /**< 0: not given */
  const char *name[WEIR_RANK_MAX];
} weir_axes;

/** Numbers; each within the parameter's range. */
typedef struct weir_list {
  int    count; /**< 0: not given */
  double value[WEIR_LIST_MAX];
} weir_list;

/** One typed parameter; lists end with a record whose name is NULL. */
typedef struct weir_param {
  const char        *name;
  weir_param_kind    kind;
  size_t             offset;      /**< of the member in the operator's parameter struct */
  bool               required;    /**< otherwise the fallback is used */
  double             fallback;    /**< REAL, INT, BOOL (0/1), CHOICE (index) */
  double             least, most; /**< legal range of REAL, INT and each number of a LIST, both included; both 0: any */
  const char        *units;       /**< NULL: none */
  const char *const *choices;     /**< words, ended by NULL */
  const char        *help;        /**< one line */
} weir_param;

/** The axes of `type` named in `axes` as a bit mask (bit a: axis a); all of them when none was given.
 *  @retval WEIR_ERR_INPUT  a name that is no dimension of the field, or given twice (the message lists those there are)
 */
WEIR_API weir_status weir_axes_resolve(const weir_axes *axes, const weir_field_type *type, unsigned *mask);

/* ---- inference: types, shapes, splitting ---- */

/** Filled by the engine with what is usual; `infer` changes what differs. Strings put into types must live as long as
 * the inputs' own (borrow theirs) or be static, or come from weir_infer_string(). */
typedef struct weir_infer {
  void                         *params; /**< the operator's struct; infer may complete members of its own in it */
  int                           inputs;
  const weir_field_type *const *in; /**< in[i] is NULL for an optional input not given */
  int                           outputs;
  weir_field_type               out[WEIR_OUTPUTS_MAX]; /**< preset: copies of *in[0] */
  int from_axis[WEIR_OUTPUTS_MAX][WEIR_RANK_MAX];      /**< the axis of in[0] along which this axis of the result is
                                     split alike; -1: not split. Preset: the same axis. A reduction's
                                     result must keep the extent of each axis it names here. */
  int64_t block[WEIR_RANK_MAX];   /**< axes with from_axis -1: results are cut into pieces of so many elements, which
                                     are computed apart; 0: one piece. Preset 0 */
  unsigned wrap[WEIR_INPUTS_MAX]; /**< bit a: a region wanted outside axis a wraps around; otherwise it is cut off.
                                     Preset 0 */
  int64_t lag[WEIR_INPUTS_MAX];   /**< how many published steps back the input is wanted; 0: this step. Preset 0 */
  void   *engine;                 /**< for weir_infer_string() */
} weir_infer;

/** A copy of `text` that lives as long as the graph; NULL when memory ran out. */
WEIR_API const char *weir_infer_string(const weir_infer *infer, const char *text);

/** The floating-point type for results computed from `type`: float32 for float32 and integers of up to 16 bits, else
 * float64. */
static inline weir_dtype weir_dtype_floating(weir_dtype dtype) {
  return dtype == WEIR_F64 || dtype == WEIR_I32 || dtype == WEIR_I64 ? WEIR_F64 : WEIR_F32;
}

/* ---- computing ---- */

/** Why a step has no values: it was published, but is analysed nowhere. */
typedef enum weir_gap {
  WEIR_GAP_NONE = 0,     /**< it has them */
  WEIR_GAP_NO_ROOM,      /**< left out for want of room, as the policy of the stream says */
  WEIR_GAP_NOT_PUBLISHED /**< not all processes could publish it */
} weir_gap;

/** Everything one call sees. Memory belongs to the engine. */
typedef struct weir_apply {
  const void                   *params;
  void                         *context; /**< what `prepare` made; NULL without one. Shared by threads: read only */
  int                           inputs, outputs;
  const weir_field_type *const *in_type;
  const weir_view              *in; /**< the regions asked for by `need` (cut or wrapped); in[i].data NULL: not given */
  const weir_view *out; /**< the chunk to compute; its data are not initialised. In a reduction's `apply`: data NULL */
  void            *state;    /**< of this chunk, `state_size` bytes, kept from step to step; zeros before the first */
  void            *partial;  /**< reductions: the partial result, `partial_size` bytes */
  void            *scratch;  /**< `scratch_size` bytes, 64-byte aligned, contents undefined */
  int64_t          step;     /**< the source's number of this step */
  int64_t          ordinal;  /**< how many steps were published before this one */
  int64_t          index;    /**< how many steps before this one this operator was active in */
  double           time;     /**< physical time of the step */
  double           dt;       /**< time since the previous published step; NaN at the first */
  weir_gap         gap;      /**< why all fields of the simulation are missing at this step; the same on all workers */
  int64_t          gap_more; /**< with a gap: the step stands for so many further ones that are missing too ... */
  int64_t          gap_last; /**< ... the last of which has this number */
  bool unseen; /**< nobody looks at the results of this step: what is called for its state's sake may leave them */
} weir_apply;

/* ---- operators made of operators ---- */

/** Given to `expand`: adds operators to the graph in place of this one. Handles are numbers of what was added. */
typedef struct weir_expand {
  void                         *params; /**< the operator's own; what was left open may be completed: it is told so */
  int                           inputs;
  const weir_field_type *const *in;                     /**< NULL where an optional input was not given */
  int                           input[WEIR_INPUTS_MAX]; /**< handles of the inputs; -1: not given */
  void                         *engine;
} weir_expand;

struct weir_operator;
enum { WEIR_EXPAND_HANDLES = 1 << 24 };
/** Result number `output` of what was added, as an input of what is added next: a handle itself is its first result. */
static inline int weir_expand_output(int handle, int output) { return handle + output * WEIR_EXPAND_HANDLES; }
/** Add `op` with `params` (complete, copied) on the results that `inputs` are handles of (-1: an optional one not
 * given). */
WEIR_API weir_status weir_expand_add(weir_expand *expand, const struct weir_operator *op, const void *params,
                                     const int *inputs, int count, int *handle);
/** Optional input `input` of `handle`, not given so far, is result 0 of `from` `lag` steps earlier (at least 1): a
 * recurrence. It is missing in the first steps, so the operator must accept that. */
WEIR_API weir_status weir_expand_loop(weir_expand *expand, int handle, int input, int from, int64_t lag);
/** Result number `result` of the operator is result `output` of `handle`. */
WEIR_API weir_status weir_expand_result(weir_expand *expand, int result, int handle, int output);

/** An operator. All functions are pure but for the memory they are given; none allocates (but `infer` and `prepare`).
 *
 *  A plain operator computes one chunk of its result per call of `apply`.
 *
 *  A *reduction* (`partial_size` not NULL) combines all input chunks that project onto a chunk of the result: the
 * engine calls `begin` on each partial result, `apply` for boxes that tile the input (each element of in[0] exactly
 * once, in any order and in any grouping), `combine` for pairs of partials in any order, and `finish` once. **The
 * result must not depend on that order, to the bit**: use weir_sum for sums; counts, minima and maxima are exact
 * anyway. Partials are plain bytes that travel between processes of the same build; 16-byte aligned. Further inputs of
 * a reduction have the dimensions of in[0] or some of them (by name), and are given for the same box.
 *
 *  An operator with `outputs` > 1 gives results of one shape. */
typedef struct weir_operator {
  uint32_t           api; /**< WEIR_OPERATOR_API */
  const char        *name;
  const char        *summary; /**< one line */
  const char        *details; /**< formula, source, edge treatment, missing values; several sentences; NULL: none */
  int                inputs;  /**< positional fields that must be given */
  int                optional_inputs; /**< fields that may be given by name after them */
  const char *const *input_names;     /**< inputs + optional_inputs names */
  int                outputs;         /**< 0 means 1 */
  const char *const *output_names;    /**< NULL for a single result */
  const weir_param  *params;          /**< NULL: none */
  size_t             params_size;
  const char *expression; /**< not NULL: the operator is this expression of its input names, and the functions below
                               are not used: "(f - lag(f, 1)) / dt" */
  weir_status (*expand)(weir_expand *expand); /**< not NULL: the operator is made of others, which this adds; the
                                                 functions below are not used */
  double work;   /**< cost of an element relative to an addition; 0 means 1. Chunks are put together into one task until
                      it is worth about 16000 additions */
  bool in_order; /**< steps must be seen in order even without state (writers) */
  bool identity; /**< the result is in[0] itself, of as many steps ago as `infer` says: who looks at it may be given
                    that instead */
  bool in_tiles; /**< an element costs the same in a box of any size, as with a few neighbours: where one expression
                    alone looks at the result it is computed there, a few rows at a time, and never stored. Of one
                    input, with `need`, without state, `prepare` or results beside each other */
  bool in_boxes; /**< an element of the result does not depend on the box that is asked for: chunks that lie one after
                    the other are computed in one call where the regions that they need do, too. Of one result, without
                    state; `in_tiles` implies it */
  bool accepts_missing; /**< call apply though an input is missing at this step (`missing` in its view); otherwise
                             the result is missing too and apply is not called */

  /** Check parameters against the inputs and describe the results. NULL: one result, same type as in[0]. */
  weir_status (*infer)(weir_infer *infer);
  /** The region of input `input` needed for `out`, a box of the result. NULL: the same box, axes matched by name. */
  weir_status (*need)(const void *params, const weir_field_type *const *in, int input, const weir_region *out,
                      weir_region *region);
  /** Compute one chunk, or add one box to the partial. WEIR_END, also from `finish`: no value at this step (what
   * depends on it is missing, nothing failed); an error: the same, and what `on_failure`
   * in the recipe says for the field; the message is the text of the status, and the run ends with status 1. */
  weir_status (*apply)(const weir_apply *a);

  size_t (*state_size)(const void *params, const weir_field_type *const *in,
                       const weir_region *out); /**< NULL: no state */
  size_t (*scratch_size)(const void *params, const weir_field_type *const *in,
                         const weir_region *out); /**< NULL: none */
  size_t (*partial_size)(const void *params, const weir_field_type *const *in,
                         const weir_region *out); /**< NULL: no reduction */
  void (*begin)(const void *params, const weir_field_type *const *in, const weir_region *out,
                void *partial); /**< NULL: zeros */
  void (*combine)(const void *params, const weir_field_type *const *in, const weir_region *out, void *into,
                  const void *from);
  /** Not NULL: where the result has one element, of one field, add `n` values of that to the partial, wherever they lie
   * in it; NaN: missing. What an expression computes for the reduction alone is then given to it in short runs, which
   * never leave the first-level cache, and not by `apply`. */
  void (*add_values)(const void *params, void *partial, const double *values, int64_t n);
  weir_status (*finish)(const weir_apply *a); /**< partial -> out; `in` has no data */

  /** Make what all calls share (an FFT plan, a table), once per worker before the first step; `release` ends it. */
  weir_status (*prepare)(const void *params, const weir_field_type *const *in, void **context);
  void (*release)(void *context);
} weir_operator;

#ifdef __cplusplus
}
#endif
#endif /* WEIR_OPERATOR_H */
