/* The loops of the register machine, and the same operations on single numbers for constants and uniform values. */
#include "core/simd.h"
#include "graph/kernel.h"
#include <math.h>

/* glibc has versions of functions of one number for two, four and eight (libmvec, at most 4 units in the last place
 * off), which are several times as fast; they are taken where the compiler is told of them. Single numbers go the same
 * way, as eight. Their last bits may differ between machines with AVX-512, AVX2 and neither. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define SIDE_BY_SIDE __attribute__((simd("notinbranch"))) extern
SIDE_BY_SIDE double sin(double);
SIDE_BY_SIDE double cos(double);
SIDE_BY_SIDE double exp(double);
SIDE_BY_SIDE double log(double);
#if __GLIBC_PREREQ(2, 35)
SIDE_BY_SIDE double tan(double);
SIDE_BY_SIDE double asin(double);
SIDE_BY_SIDE double acos(double);
SIDE_BY_SIDE double atan(double);
SIDE_BY_SIDE double sinh(double);
SIDE_BY_SIDE double cosh(double);
SIDE_BY_SIDE double tanh(double);
SIDE_BY_SIDE double log2(double);
SIDE_BY_SIDE double log10(double);
#endif
#endif

double weir__op_mod(double a, double b) {
  double rest = fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

int weir__op_operands(weir__op op) {
  static const unsigned char operands[] = {
#define OP_OPERANDS(name, operands, text, value) operands,
      WEIR__OP_LIST(OP_OPERANDS)
#undef OP_OPERANDS
  };
  return op < WEIR__OPS ? operands[op] : 0;
}

bool weir__op_is_long(weir__op op) {
  return (op >= WEIR__OP_EXP && op <= WEIR__OP_TANH) || (op >= WEIR__OP_EXP_SQRT && op <= WEIR__OP_COS_SQRT);
}

const char *weir__op_name(weir__op op) {
  static const char *const names[] = {
#define OP_NAME(name, operands, text, value) text,
      WEIR__OP_LIST(OP_NAME)
#undef OP_NAME
  };
  return op < WEIR__OPS ? names[op] : "";
}

double weir__op_value(weir__op op, double a, double b, double c) {
  if (weir__op_operands(op) == 1) {
    double x[8] = {a, a, a, a, a, a, a, a}, to[8];
    weir__kernel_loop(op, WEIR__OF_A, to, (weir__lane){.v = x}, (weir__lane){0}, (weir__lane){0}, 8, NULL);
    return to[0];
  }
  switch (op) {
#define OP_VALUE(name, operands, text, value)                                                                          \
  case WEIR__OP_##name: return value;
    WEIR__OP_LIST(OP_VALUE)
#undef OP_VALUE
  default: return NAN;
  }
}

/* `to` may be an operand's register: element i depends on elements i alone, which is what the pragma promises. Operands
 * of one form are told apart outside the loop, so that inside it every access is to neighbours or to one number. */
#ifdef __clang__
#define INDEPENDENT /* clang checks at run time that registers do not overlap */
#define ONE_VECTOR
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#define ONE_VECTOR  _Pragma("GCC ivdep") _Pragma("GCC unroll 1") /* or it is unrolled before it can become one */
#endif
#define LOOP(x, y, z, value)                                                                                           \
  INDEPENDENT for (int i = 0; i < n; i++) {                                                                            \
    double a = x, b = y, c = z;                                                                                        \
    (void)a, (void)b, (void)c;                                                                                         \
    to[i] = value;                                                                                                     \
  }                                                                                                                    \
  break;
/* Operations of one number, whose operand is never uniform (the result would be). Whether memory is asked or not: the
 * elements are computed by the same loop. */
#define LOOP_OF(x, value)                                                                                              \
  for (int g = 0; g < n; g += 8) {                                                                                     \
    if (ahead) WEIR__ASK(ahead + g);                                                                                   \
    ONE_VECTOR for (int i = 0; i < 8; i++) {                                                                           \
      double a  = x;                                                                                                   \
      to[g + i] = value;                                                                                               \
    }                                                                                                                  \
  }
#define LOOP_1(value)                                                                                                  \
  switch (of) {                                                                                                        \
  case WEIR__OF_SUM: LOOP_OF(av[g + i] + cs, value) break;                                                             \
  case WEIR__OF_SCALED: LOOP_OF(av[g + i] * bs + cs, value) break;                                                     \
  default: LOOP_OF(av[g + i], value)                                                                                   \
  }
#define LOOP_2(value)                                                                                                  \
  switch (form) {                                                                                                      \
  case 0: LOOP(av[i], bv[i], 0, value)                                                                                 \
  case 1: LOOP(as, bv[i], 0, value)                                                                                    \
  case 2: LOOP(av[i], bs, 0, value)                                                                                    \
  default: LOOP(as, bs, 0, value)                                                                                      \
  }
#define LOOP_3(value)                                                                                                  \
  switch (form) {                                                                                                      \
  case 0: LOOP(av[i], bv[i], cv[i], value)                                                                             \
  case 1: LOOP(as, bv[i], cv[i], value)                                                                                \
  case 2: LOOP(av[i], bs, cv[i], value)                                                                                \
  case 3: LOOP(as, bs, cv[i], value)                                                                                   \
  case 4: LOOP(av[i], bv[i], cs, value)                                                                                \
  case 5: LOOP(as, bv[i], cs, value)                                                                                   \
  case 6: LOOP(av[i], bs, cs, value)                                                                                   \
  default: LOOP(as, bs, cs, value)                                                                                     \
  }

/* Each element sees the same IEEE operations in both versions, so the bits are the same, but for the functions above.
 */
WEIR__WIDEST void weir__kernel_loop(weir__op op, weir__kernel_of of, double *to, weir__lane la, weir__lane lb,
                                    weir__lane lc, int n, const double *ahead) {
  const double *av = la.v, *bv = lb.v, *cv = lc.v;
  const double  as = la.s, bs = lb.s, cs = lc.s;
  const int     operands = weir__op_operands(op);
  const int     form     = (av ? 0 : 1) | (operands > 1 && !bv) << 1 | (operands > 2 && !cv) << 2;
  n &= ~7; /* whole groups of 8: no element is ever computed by another loop than its neighbours */
  switch (op) {
#define OP_LOOP(name, operands, text, value)                                                                           \
  case WEIR__OP_##name: LOOP_##operands(value) break;
    WEIR__OP_LIST(OP_LOOP)
#undef OP_LOOP
  default: break;
  }
}
