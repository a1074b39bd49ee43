/* Two principal components of all steps so far, by hand: Brand 2006 (doi 10.1016/j.laa.2005.07.021) with the moving
 * mean of Ross, Lim, Lin & Yang 2008 (doi 10.1007/s11263-007-0075-7). With the mean m of n samples and a new one x,
 *
 *   d = sqrt(n / (n + 1)) (x - m),   p = U' d,   r = d - U p,   K = [diag(s) p; 0 |r|] = A diag(s') B'
 *
 * the new basis is the first two columns of [U r/|r|] A, and the variances are s'^2 / n. Three passes over the data. */
#include "by_hand.h"
#include <math.h>
#include <mpi.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define WIDEST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDEST
#endif

enum { LANES = 16, KEPT = 2, SIDE = KEPT + 1 };

typedef struct pca {
  double *mean, *u[KEPT]; /* of this process's elements */
  double  s[KEPT];
  int     samples;
} pca;

extern void dgesvd_(const char *jobu, const char *jobvt, const int *m, const int *n, double *a, const int *lda,
                    double *s, double *u, const int *ldu, double *vt, const int *ldvt, double *work, const int *lwork,
                    int *info);

static void begin(hand *h) {
  pca *p;
  bench_check(weir__alloc_zeroed(sizeof *p, 0, &p), "pca");
  bench_check(weir__alloc_zeroed((size_t)h->count * sizeof *p->mean, 64, &p->mean), "pca");
  for (int k = 0; k < KEPT; k++)
    bench_check(weir__alloc_zeroed((size_t)h->count * sizeof *p->u[k], 64, &p->u[k]), "pca");
  h->self = p;
}

static void end(hand *h) {
  pca *p = h->self;
  weir__free(p->mean);
  for (int k = 0; k < KEPT; k++) weir__free(p->u[k]);
  weir__free(p);
}

static double fold(const double *lane) {
  double sum = 0;
  for (int k = 0; k < LANES; k++) sum += lane[k];
  return sum;
}

/* u0' d, u1' d and d' d; the arrays are as long as whole groups of lanes, but for a rest that comes first. */
static WIDEST void dots(const double *restrict x, const double *restrict m, const double *restrict u0,
                        const double *restrict u1, double c, int64_t n, double out[SIDE]) {
  double a[LANES] = {0}, b[LANES] = {0}, q[LANES] = {0};
  for (int64_t i = 0; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; k++) {
      double d = c * (x[i + k] - m[i + k]);
      a[k] += u0[i + k] * d;
      b[k] += u1[i + k] * d;
      q[k] += d * d;
    }
  for (int64_t i = n - n % LANES; i < n; i++) {
    double d = c * (x[i] - m[i]);
    a[0] += u0[i] * d;
    b[0] += u1[i] * d;
    q[0] += d * d;
  }
  out[0] = fold(a), out[1] = fold(b), out[2] = fold(q);
}

/* r' r. Not d'd - p'p, which would lose half of the digits. */
static WIDEST double residual(const double *restrict x, const double *restrict m, const double *restrict u0,
                              const double *restrict u1, double c, const double p[KEPT], int64_t n) {
  double q[LANES] = {0}, p0 = p[0], p1 = p[1];
  for (int64_t i = 0; i + LANES <= n; i += LANES)
    for (int k = 0; k < LANES; k++) {
      double r = c * (x[i + k] - m[i + k]) - p0 * u0[i + k] - p1 * u1[i + k];
      q[k] += r * r;
    }
  for (int64_t i = n - n % LANES; i < n; i++) {
    double r = c * (x[i] - m[i]) - p0 * u0[i] - p1 * u1[i];
    q[0] += r * r;
  }
  return fold(q);
}

/* The new basis, and the new mean. `a`: by columns; its last row is divided by |r| already. */
static WIDEST void update(const double *restrict x, double *restrict m, double *restrict u0, double *restrict u1,
                          double c, const double p[KEPT], const double *a, double share, int64_t n) {
  double a00 = a[0], a10 = a[1], a20 = a[2], a01 = a[3], a11 = a[4], a21 = a[5], p0 = p[0], p1 = p[1];
  for (int64_t i = 0; i < n; i++) {
    double d = x[i] - m[i], r = c * d - p0 * u0[i] - p1 * u1[i], v0 = u0[i], v1 = u1[i];
    u0[i] = v0 * a00 + v1 * a10 + r * a20;
    u1[i] = v0 * a01 + v1 * a11 + r * a21;
    m[i] += share * d;
  }
}

/* Left singular vectors (by columns) and singular values of [diag(s) p; 0 rho]. */
static void solve(pca *p, const double dot[KEPT], double rho, double left[SIDE * SIDE]) {
  double    k[SIDE * SIDE] = {p->s[0], 0, 0, 0, p->s[1], 0, dot[0], dot[1], rho}, s[SIDE], none, work[64];
  const int side = SIDE, one = 1, room = 64;
  int       info;
  dgesvd_("A", "N", &side, &side, k, &side, s, left, &side, &none, &one, work, &room, &info);
  if (info) bench_check(WEIR_FAIL(WEIR_ERR_INTERNAL, "dgesvd: %d", info), "pca");
  memcpy(p->s, s, sizeof p->s);
}

static double step(hand *h) {
  pca          *p = h->self;
  const double *x = h->past[0];
  double        n = p->samples, c = sqrt(n / (n + 1)), dot[SIDE], rr, left[SIDE * SIDE];
  if (p->samples++ == 0) {
    memcpy(p->mean, x, (size_t)h->count * sizeof *x);
    return NAN;
  }
  dots(x, p->mean, p->u[0], p->u[1], c, h->count, dot);
  MPI_Allreduce(MPI_IN_PLACE, dot, SIDE, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  rr = residual(x, p->mean, p->u[0], p->u[1], c, dot, h->count);
  MPI_Allreduce(MPI_IN_PLACE, &rr, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  h->sent += (int64_t)sizeof dot + (int64_t)sizeof rr;
  double rho = rr > 1e-24 * dot[2] ? sqrt(rr) : 0;
  solve(p, dot, rho, left);
  for (int k = 0; k < KEPT; k++) left[k * SIDE + KEPT] = rho > 0 ? left[k * SIDE + KEPT] / rho : 0;
  update(x, p->mean, p->u[0], p->u[1], c, dot, left, 1 / (n + 1), h->count);
  double first = p->s[0] * p->s[0] / n, second = p->s[1] * p->s[1] / n;
  return 2 * first + second;
}

const hand_program hand_pca = {.name = "limit", .begin = begin, .end = end, .step = step};
