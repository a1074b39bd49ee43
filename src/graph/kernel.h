/* Elementwise arithmetic as one pass: a small register machine over blocks of doubles.
 *
 * A kernel holds two lists. The *uniform* values have one value per call (constants, parameters, time, fields without
 * dimensions and what is computed from them); they are evaluated first. The *code* is then run on blocks of
 * `block` neighbouring elements of the result: each instruction is one loop over whole registers, which the
 * compiler vectorises. Blocks are evaluated in full multiples of 8 elements, so that an element is computed by the same
 * instructions wherever it stands: the bits of a result depend neither on how a field is cut into chunks nor on where
 * it lies in memory. */
#ifndef WEIR_GRAPH_KERNEL_H
#define WEIR_GRAPH_KERNEL_H
#include "graph/graph.h"

/* The one list of operations: enum name, operands, name in expressions ("": written with a sign only), value.
 *
 * A missing value is NaN. It propagates through arithmetic (also pow and hypot, where C99 lets some NaN vanish);
 * comparisons with it are false, but for != as IEEE 754 has it; it counts as false in and, or, not; and where() is
 * missing where its condition is. round() goes to the nearest, halves to even; mod() has the sign of the divisor.
 * Those that do the work of two are only in kernels, see compile.c. The long ones stay together, from EXP to TANH and
 * from EXP_SQRT to COS_SQRT: weir__op_is_long goes by that. */
#define WEIR__OP_LIST(X)                                                                                               \
  X(NEG, 1, "", -a)                                                                                                    \
  X(NOT, 1, "", weir__op_truth(a) ? 0.0 : 1.0)                                                                         \
  X(ABS, 1, "abs", fabs(a))                                                                                            \
  X(SQRT, 1, "sqrt", sqrt(a))                                                                                          \
  X(EXP, 1, "exp", exp(a))                                                                                             \
  X(LOG, 1, "log", log(a))                                                                                             \
  X(LOG10, 1, "log10", log10(a))                                                                                       \
  X(LOG2, 1, "log2", log2(a))                                                                                          \
  X(SIN, 1, "sin", sin(a))                                                                                             \
  X(COS, 1, "cos", cos(a))                                                                                             \
  X(TAN, 1, "tan", tan(a))                                                                                             \
  X(ASIN, 1, "asin", asin(a))                                                                                          \
  X(ACOS, 1, "acos", acos(a))                                                                                          \
  X(ATAN, 1, "atan", atan(a))                                                                                          \
  X(SINH, 1, "sinh", sinh(a))                                                                                          \
  X(COSH, 1, "cosh", cosh(a))                                                                                          \
  X(TANH, 1, "tanh", tanh(a))                                                                                          \
  X(FLOOR, 1, "floor", floor(a))                                                                                       \
  X(CEIL, 1, "ceil", ceil(a))                                                                                          \
  X(ROUND, 1, "round", nearbyint(a))                                                                                   \
  X(SIGN, 1, "sign", a > 0 ? 1.0 : a < 0 ? -1.0 : a)                                                                   \
  X(MISSING, 1, "missing", a != a ? 1.0 : 0.0)                                                                         \
  X(ADD, 2, "", a + b)                                                                                                 \
  X(SUB, 2, "", a - b)                                                                                                 \
  X(MUL, 2, "", a *b)                                                                                                  \
  X(DIV, 2, "", a / b)                                                                                                 \
  X(POW, 2, "", a != a || b != b ? a + b : pow(a, b))                                                                  \
  X(LT, 2, "", a < b ? 1.0 : 0.0)                                                                                      \
  X(LE, 2, "", a <= b ? 1.0 : 0.0)                                                                                     \
  X(GT, 2, "", a > b ? 1.0 : 0.0)                                                                                      \
  X(GE, 2, "", a >= b ? 1.0 : 0.0)                                                                                     \
  X(EQ, 2, "", a == b ? 1.0 : 0.0)                                                                                     \
  X(NE, 2, "", a != b ? 1.0 : 0.0)                                                                                     \
  X(AND, 2, "", (weir__op_truth(a) & weir__op_truth(b)) ? 1.0 : 0.0)                                                   \
  X(OR, 2, "", (weir__op_truth(a) | weir__op_truth(b)) ? 1.0 : 0.0)                                                    \
  X(ATAN2, 2, "atan2", atan2(a, b))                                                                                    \
  X(HYPOT, 2, "hypot", a != a || b != b ? a + b : hypot(a, b))                                                         \
  X(MOD, 2, "mod", weir__op_mod(a, b))                                                                                 \
  X(MAXIMUM, 2, "maximum", ((a > b) | (a != a)) ? a : b)                                                               \
  X(MINIMUM, 2, "minimum", ((a < b) | (a != a)) ? a : b)                                                               \
  X(WHERE, 3, "where", a != a ? a : a != 0 ? b : c)                                                                    \
  X(MUL_ADD, 3, "", a *b + c)                                                                                          \
  X(MUL_SUB, 3, "", a *b - c)                                                                                          \
  X(ADD_MUL, 3, "", (a + b) * c)                                                                                       \
  X(SUB_MUL, 3, "", (a - b) * c)                                                                                       \
  X(ADD_DIV, 3, "", (a + b) / c)                                                                                       \
  X(SUB_DIV, 3, "", (a - b) / c)                                                                                       \
  X(EXP_SQRT, 1, "", exp(sqrt(a)))                                                                                     \
  X(SIN_SQRT, 1, "", sin(sqrt(a)))                                                                                     \
  X(COS_SQRT, 1, "", cos(sqrt(a)))                                                                                     \
  X(EXP_DIV, 2, "", exp(a / b))                                                                                        \
  X(LOG_DIV, 2, "", log(a / b))                                                                                        \
  X(SIN_DIV, 2, "", sin(a / b))                                                                                        \
  X(COS_DIV, 2, "", cos(a / b))

typedef enum weir__op {
#define WEIR__OP_ENUM(name, operands, text, value) WEIR__OP_##name,
  WEIR__OP_LIST(WEIR__OP_ENUM)
#undef WEIR__OP_ENUM
      WEIR__OPS,
  /* only in kernels */
  WEIR__OP_LOAD = WEIR__OPS, /* the next elements of input `index` */
  WEIR__OP_COORDINATE        /* the coordinate along axis `index` of the result */
} weir__op;

int         weir__op_operands(weir__op op);
bool        weir__op_is_long(weir__op op); /* of one number, and takes so long that memory can be asked meanwhile */
const char *weir__op_name(weir__op op);    /* "" for one that is written with a sign */
double      weir__op_value(weir__op op, double a, double b, double c);

/* One operand: a register of a block, or a uniform value. */
typedef struct weir__operand {
  bool uniform;
  int  index;
} weir__operand;

/* What an operation of one number is of; b and c are uniform. Multiplying takes the units that long operations are
 * short of, adding takes others. */
typedef enum weir__kernel_of {
  WEIR__OF_A,
  WEIR__OF_SUM,   /* a + c */
  WEIR__OF_SCALED /* a * b + c */
} weir__kernel_of;

typedef struct weir__instruction {
  weir__op        op;
  int             index; /* of loads: the input; of coordinates: the axis */
  int             to;    /* register */
  weir__kernel_of of;
  weir__operand   a, b, c;
  int             asks;  /* 1 + the input whose next elements are asked of the memory meanwhile; 0: none's */
  bool            asked; /* of loads: another instruction asks */
} weir__instruction;

typedef enum weir__uniform_kind {
  WEIR__UNIFORM_NUMBER,
  WEIR__UNIFORM_PARAMETER, /* `index` in the graph's table, read at every call */
  WEIR__UNIFORM_STEP,
  WEIR__UNIFORM_TIME,
  WEIR__UNIFORM_DT,
  WEIR__UNIFORM_INPUT, /* input `index`, a field without dimensions */
  WEIR__UNIFORM_OP     /* `op` on earlier uniform values */
} weir__uniform_kind;

typedef struct weir__uniform {
  weir__uniform_kind kind;
  int                index;
  double             number;
  weir__op           op;
  int                a, b, c;
} weir__uniform;

/* Doubles in a block. Registers of 2 KiB stay in the first-level cache, and loads of one block overlap with arithmetic
 * of another. Long operations overlap with nothing: what a block costs itself is spread over more elements, where a few
 * registers will do. */
enum { WEIR__KERNEL_BLOCK = 256, WEIR__KERNEL_LONG_BLOCK = 1024, WEIR__KERNEL_LONG_REGISTERS = 2 };

/* The parameters of weir__operator_arithmetic; everything they point to is in the graph's arena. */
typedef struct weir__kernel_params {
  weir_field_type    type;  /* of the result */
  const weir__graph *graph; /* whose parameters are read */
  int                inputs;
  int                axis[WEIR_INPUTS_MAX][WEIR_RANK_MAX]; /* the input's axis for each axis of the result; -1: none */
  int                uniforms, instructions, registers, block;
  const weir__uniform     *uniform;
  const weir__instruction *code;
  weir__operand            result;
} weir__kernel_params;

/* How many bytes ahead of the elements that are read memory is asked for others: two blocks, or a long one. */
static inline ptrdiff_t weir__kernel_soon(const weir__kernel_params *kernel) {
  int elements = kernel->block > 2 * WEIR__KERNEL_BLOCK ? kernel->block : 2 * WEIR__KERNEL_BLOCK;
  return (ptrdiff_t)sizeof(double) * elements;
}

/* Bytes of scratch that evaluation needs; the memory must be 64-byte aligned. */
size_t weir__kernel_scratch(const weir__kernel_params *kernel);

/* Compute any box of the result into dense doubles. Of `a`, only step, time and dt are used; `inputs` must cover the
 * tile. */
void weir__kernel_eval(const weir__kernel_params *kernel, const weir_apply *a, const weir_view *inputs,
                       weir_region tile, double *dense_out, void *scratch);

/* The same, in runs of at most WEIR__KERNEL_RUN values, which `take` may change; `run` has room for 8 more. */
enum { WEIR__KERNEL_RUN = 2048 };
void weir__kernel_give(const weir__kernel_params *kernel, const weir_apply *a, const weir_view *inputs,
                       weir_region tile, double *run, void (*take)(void *self, double *values, int64_t n), void *self,
                       void *scratch);

/* The same as weir__kernel_eval into any view, whose box is computed; values are rounded to its type. `soon` (NULL:
 * what comes next) says for each input how many bytes from an element that is read there is another that will be wanted
 * of the memory after this call; 0: none. `cached`: the memory of `out` is in the cache. It may be that of an input,
 * element for element.
 */
void weir__kernel_run(const weir__kernel_params *kernel, const weir_apply *a, const weir_view *inputs,
                      const ptrdiff_t *soon, const weir_view *out, bool cached, void *scratch);

/* ---- one instruction over `n` elements, a multiple of 8 (kernel_loops.c) ---- */

typedef struct weir__lane {
  const double *v; /* NULL: `s` for every element */
  double        s;
} weir__lane;
/* `ahead` (of long operations; NULL: nothing): `n` elements that are asked of the memory, a line with each 8. All at
 * once would be more than a processor can have on its way, and it would stop there. */
void weir__kernel_loop(weir__op op, weir__kernel_of of, double *to, weir__lane a, weir__lane b, weir__lane c, int n,
                       const double *ahead);

/* ---- helpers of the list ---- */

static inline int weir__op_truth(double a) { return (int)(a < 0) | (int)(a > 0); } /* NaN counts as false */
double            weir__op_mod(double a, double b);
#endif
