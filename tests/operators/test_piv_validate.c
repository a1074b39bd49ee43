/* Validation of PIV vectors: planted outliers, the reasons given, lower peaks, masks, borders, tiny grids, filling. */
#include "operators/piv/piv.h"
#include "core/memory.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct fixture {
  weir__piv_grid    grid;
  int64_t           n;
  weir__piv_rules   rules;
  weir__piv_vector *vector;
  weir__piv_field   field;
  void             *scratch;
} fixture;

static void *room(size_t bytes) {
  void *p = NULL;
  assert_int_equal(weir__alloc_zeroed(bytes, 0, &p), WEIR_OK);
  return p;
}

static uint32_t seed;
static double   uniform(void) { /* -0.5 .. 0.5 */
  seed = seed * 1664525u + 1013904223u;
  return (seed >> 8) / 16777216.0 - 0.5;
}

/* u = base + gradient, with uniform noise; correlation 0.8, ratio 3. */
static fixture make(int64_t ny, int64_t nx, const double gradient[4], double noise) {
  fixture f = {.grid  = {{ny, nx}, {32, 32}, {0, 0}, {16, 16}},
               .n     = ny * nx,
               .rules = {.correlation = 0.2,
                         .ratio       = 1.2,
                         .least       = {-INFINITY, -INFINITY},
                         .most        = {INFINITY, INFINITY},
                         .longest     = INFINITY,
                         .median      = 2,
                         .noise       = 0.1}};
  size_t  n = (size_t)f.n;
  seed      = 12345;
  f.vector  = room(n * sizeof *f.vector);
  for (int64_t i = 0; i < f.n; i++) {
    double y = (double)(i / nx), x = (double)(i % nx);
    f.vector[i] =
        (weir__piv_vector){.dy    = {(float)(1 + gradient[0] * y + gradient[1] * x + noise * uniform()), NAN, NAN},
                           .dx    = {(float)(-2 + gradient[2] * y + gradient[3] * x + noise * uniform()), NAN, NAN},
                           .value = {0.8f, NAN, NAN},
                           .ratio = 3};
  }
  f.field   = (weir__piv_field){.grid        = f.grid,
                                .dy          = room(n * sizeof(float)),
                                .dx          = room(n * sizeof(float)),
                                .correlation = room(n * sizeof(float)),
                                .ratio       = room(n * sizeof(float)),
                                .flag        = room(n),
                                .replaced    = room(n)};
  f.scratch = room(weir__piv_validate_scratch(&f.grid));
  return f;
}

static void validate(fixture *f) { weir__piv_validate(&f->rules, f->vector, NULL, NULL, &f->field, f->scratch); }

static void end(fixture *f) {
  weir__free(f->vector);
  weir__free(f->field.dy);
  weir__free(f->field.dx);
  weir__free(f->field.correlation);
  weir__free(f->field.ratio);
  weir__free(f->field.flag);
  weir__free(f->field.replaced);
  weir__free(f->scratch);
}

static const double none[4], steep[4] = {0.7, -1.1, 0.9, 1.6};

/* Not even strong gradients are outliers, on no border and in no corner, nor beside a hole. */
static void gradients_are_untouched(void **state) {
  (void)state;
  for (int hole = 0; hole < 2; hole++) {
    fixture f = make(23, 40, steep, 0);
    if (hole)
      for (int64_t i = 0; i < f.n; i++)
        if (i / 40 >= 8 && i / 40 < 15 && i % 40 >= 10 && i % 40 < 30) f.vector[i].flag = WEIR__PIV_MASKED;
    validate(&f);
    for (int64_t i = 0; i < f.n; i++) {
      assert_int_equal(f.field.flag[i], f.vector[i].flag);
      if (f.vector[i].flag) continue;
      assert_true(f.field.dy[i] == f.vector[i].dy[0] && f.field.dx[i] == f.vector[i].dx[0]);
      assert_int_equal(f.field.replaced[i], 0);
    }
    end(&f);
  }
}

/* Every planted outlier is found; of the others, no more than 1 % are rejected. */
static void outliers_are_found(void **state) {
  (void)state;
  static const double shares[] = {0.01, 0.05, 0.10}, rough[4] = {0.05, -0.1, 0.08, 0.1};
  for (size_t s = 0; s < sizeof shares / sizeof *shares; s++) {
    fixture f       = make(61, 83, rough, 0.2);
    bool   *planted = room((size_t)f.n);
    int64_t lost = 0, missed = 0, number = 0;
    for (int64_t i = 0; i < f.n; i++) {
      double angle = 6.28 * uniform();
      planted[i]   = uniform() + 0.5 < shares[s];
      if (!planted[i]) continue;
      f.vector[i].dy[0] += (float)(6 * sin(angle));
      f.vector[i].dx[0] += (float)(6 * cos(angle));
    }
    validate(&f);
    for (int64_t i = 0; i < f.n; i++) {
      number += planted[i];
      if (planted[i]) missed += f.field.flag[i] != WEIR__PIV_MEDIAN;
      else lost += f.field.flag[i] != 0;
      assert_int_equal(f.field.replaced[i], f.field.flag[i] ? 3 : 0);
      assert_int_equal(isnan(f.field.dy[i]), f.field.flag[i] != 0);
    }
    assert_true(number > 20);
    assert_int_equal(missed, 0);
    assert_true((double)lost <= 0.01 * (double)(f.n - number));
    weir__free(planted);
    end(&f);
  }
}

/* One of them, wherever it stands, corners too; and nothing around it. */
static void one_outlier_anywhere(void **state) {
  (void)state;
  for (int64_t at = 0; at < 7 * 22; at++) {
    fixture f = make(7, 22, steep, 0.02);
    f.vector[at].dx[0] += 8;
    validate(&f);
    for (int64_t i = 0; i < f.n; i++) assert_int_equal(f.field.flag[i], i == at ? WEIR__PIV_MEDIAN : 0);
    end(&f);
  }
}

/* The first reason counts, in the order of the tests. */
static void reasons(void **state) {
  (void)state;
  fixture f          = make(9, 30, none, 0.01);
  f.rules.least[0]   = -5;
  f.rules.most[1]    = 5;
  f.rules.longest    = 8;
  f.rules.neighbours = 1;
  struct {
    int64_t at;
    int8_t  flag;
  } expected[]           = {{31, WEIR__PIV_NO_PEAK},      {34, WEIR__PIV_NO_SIGNAL},     {37, WEIR__PIV_MASKED},
                            {40, WEIR__PIV_CORRELATION},  {43, WEIR__PIV_RATIO},         {46, WEIR__PIV_DISPLACEMENT},
                            {49, WEIR__PIV_DISPLACEMENT}, {121, WEIR__PIV_DISPLACEMENT}, {124, WEIR__PIV_MEDIAN},
                            {128, WEIR__PIV_CORRELATION}, {132, WEIR__PIV_RATIO},        {0, WEIR__PIV_NO_PEAK},
                            {269, WEIR__PIV_NO_PEAK}};
  f.vector[31].flag      = WEIR__PIV_NO_PEAK;
  f.vector[34].flag      = WEIR__PIV_NO_SIGNAL;
  f.vector[37].flag      = WEIR__PIV_MASKED;
  f.vector[37].value[0]  = 0;
  f.vector[40].value[0]  = 0.1f;
  f.vector[43].ratio     = 1.1f;
  f.vector[46].dy[0]     = -6;
  f.vector[49].dx[0]     = 6;
  f.vector[121].dy[0]    = 9;
  f.vector[124].dy[0]    = 4;
  f.vector[128].value[0] = 0.1f, f.vector[128].ratio = 1, f.vector[128].dx[0] = 20;
  f.vector[132].ratio = 1, f.vector[132].dx[0] = 20;
  f.vector[0].dy[0]  = NAN;
  f.vector[269].flag = WEIR__PIV_NO_PEAK;
  validate(&f);
  for (int64_t i = 0; i < f.n; i++) {
    int8_t flag = 0;
    for (size_t k = 0; k < sizeof expected / sizeof *expected; k++)
      if (expected[k].at == i) flag = expected[k].flag;
    assert_int_equal(f.field.flag[i], flag);
    assert_int_equal(f.field.replaced[i], flag ? 3 : 0);
    assert_true(f.field.correlation[i] == f.vector[i].value[0] && f.field.ratio[i] == f.vector[i].ratio);
  }
  f.rules.median = 0; /* then only the mean of the neighbours can tell */
  validate(&f);
  assert_int_equal(f.field.flag[124], WEIR__PIV_NEIGHBOURS);
  assert_int_equal(f.field.flag[125], 0);
  f.rules.neighbours = 0;
  validate(&f);
  assert_int_equal(f.field.flag[124], 0);
  end(&f);
}

/* The rules see the whole displacement. */
static void before_is_added(void **state) {
  (void)state;
  fixture f  = make(5, 20, none, 0);
  float  *dy = room((size_t)f.n * sizeof *dy), *dx = room((size_t)f.n * sizeof *dx);
  for (int64_t i = 0; i < f.n; i++) dy[i] = 2, dx[i] = -3;
  f.rules.least[1] = -4.5;
  weir__piv_validate(&f.rules, f.vector, dy, dx, &f.field, f.scratch);
  for (int64_t i = 0; i < f.n; i++) assert_int_equal(f.field.flag[i], WEIR__PIV_DISPLACEMENT);
  f.rules.least[1] = -6;
  weir__piv_validate(&f.rules, f.vector, dy, dx, &f.field, f.scratch);
  for (int64_t i = 0; i < f.n; i++) assert_true(f.field.dy[i] == 3 && f.field.dx[i] == -5 && !f.field.flag[i]);
  weir__free(dy);
  weir__free(dx);
  end(&f);
}

/* The right one of the lower peaks, if it is right enough; never that of a masked vector. */
static void lower_peaks(void **state) {
  (void)state;
  static const int64_t at[] = {45, 49, 53, 125, 129, 133, 137, 0};
  fixture              f    = make(9, 40, none, 0.02);
  f.rules.second            = true;
  for (size_t k = 0; k < sizeof at / sizeof *at; k++) {
    weir__piv_vector *v = &f.vector[at[k]];
    v->dy[1] = v->dy[0], v->dx[1] = v->dx[0], v->value[1] = 0.5f;
    v->dy[0] = 7;
  }
  weir__piv_vector *v = f.vector;
  v[49].dy[2] = v[49].dy[1], v[49].dx[2] = v[49].dx[1], v[49].value[2] = 0.4f,
  v[49].dx[1] += 0.12f;  /* third is closer */
  v[53].value[1] = 0.1f; /* too low */
  v[125].dy[1]   = -7;   /* wrong as well */
  v[129].flag    = WEIR__PIV_MASKED;
  v[133].flag    = WEIR__PIV_NO_PEAK;
  v[137].ratio   = 1;
  validate(&f);
  assert_int_equal(f.field.flag[45], WEIR__PIV_MEDIAN);
  assert_int_equal(f.field.replaced[45], 1);
  assert_true(f.field.dy[45] == v[45].dy[1] && f.field.dx[45] == v[45].dx[1] && f.field.correlation[45] == 0.5f);
  assert_int_equal(f.field.replaced[49], 1);
  assert_true(f.field.dx[49] == v[49].dx[2] && f.field.correlation[49] == 0.4f);
  assert_int_equal(f.field.replaced[53], 3);
  assert_true(isnan(f.field.dy[53]));
  assert_int_equal(f.field.replaced[125], 3);
  assert_int_equal(f.field.replaced[129], 3);
  assert_true(isnan(f.field.dy[129]));
  assert_int_equal(f.field.replaced[133], 1);
  assert_int_equal(f.field.flag[133], WEIR__PIV_NO_PEAK);
  assert_int_equal(f.field.replaced[137], 1);
  assert_int_equal(f.field.flag[137], WEIR__PIV_RATIO);
  assert_int_equal(f.field.replaced[0], 1);
  f.rules.second = false;
  validate(&f);
  assert_int_equal(f.field.replaced[45], 3);
  end(&f);
}

/* A linear field is filled as it was, borders and corners too; masked vectors have no value and no say. */
static void filling(void **state) {
  (void)state;
  fixture f    = make(31, 37, steep, 0);
  f.rules.fill = true;
  float *truth = room(2 * (size_t)f.n * sizeof *truth);
  for (int64_t i = 0; i < f.n; i++) {
    int64_t y = i / 37, x = i % 37;
    truth[i] = f.vector[i].dy[0], truth[f.n + i] = f.vector[i].dx[0];
    if (y >= 20 && y < 27 && x >= 5 && x < 15) {
      f.vector[i].flag  = WEIR__PIV_MASKED;
      f.vector[i].dy[0] = 1000;
    } else if (uniform() < -0.3 || i == 0 || i == f.n - 1) f.vector[i].flag = WEIR__PIV_NO_PEAK;
  }
  validate(&f);
  for (int64_t i = 0; i < f.n; i++) {
    if (f.vector[i].flag == WEIR__PIV_MASKED) {
      assert_true(isnan(f.field.dy[i]) && isnan(f.field.dx[i]) && f.field.replaced[i] == 3);
      continue;
    }
    assert_int_equal(f.field.replaced[i], f.vector[i].flag ? 2 : 0);
    assert_true(fabsf(f.field.dy[i] - truth[i]) < 1e-3f && fabsf(f.field.dx[i] - truth[f.n + i]) < 1e-3f);
  }
  weir__piv_fill(&f.grid, f.field.dy, f.field.flag, true, f.scratch);
  for (int64_t i = 0; i < f.n; i++) assert_true(fabsf(f.field.dy[i] - truth[i]) < 10);
  weir__free(truth);
  end(&f);
}

/* Whatever the holes, nothing unmasked stays without a value, and nothing grows: random fields, halves, islands. */
static void filling_leaves_nothing(void **state) {
  (void)state;
  static const int64_t sizes[][2] = {{1, 1}, {1, 2}, {1, 9}, {9, 1}, {2, 2}, {3, 3}, {4, 17}, {25, 30}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int kind = 0; kind < 4; kind++) {
      fixture f     = make(sizes[s][0], sizes[s][1], none, 1);
      float  *value = f.field.dy;
      int64_t known = 0;
      for (int64_t i = 0; i < f.n; i++) {
        int64_t y    = i / f.grid.count[1];
        bool    keep = kind == 0 ? uniform() > 0.3 : kind == 1 ? y == 0 : kind == 2 ? i == f.n / 2 : false;
        value[i]     = keep ? f.vector[i].dy[0] : NAN;
        known += keep;
        f.field.flag[i] = kind == 1 && y == 2 ? WEIR__PIV_MASKED : 0; /* cuts off what is below */
      }
      weir__piv_fill(&f.grid, value, f.field.flag, false, f.scratch);
      for (int64_t i = 0; i < f.n; i++) {
        if (f.field.flag[i]) assert_true(isnan(value[i]));
        else assert_true(known ? value[i] > -1.5f && value[i] < 3.5f : value[i] == 0);
      }
      end(&f);
    }
}

static void tiny_grids(void **state) {
  (void)state;
  static const int64_t sizes[][2] = {{1, 1}, {1, 2}, {2, 1}, {2, 2}, {1, 40}, {40, 1}, {3, 3}, {2, 40}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    fixture f          = make(sizes[s][0], sizes[s][1], steep, 0);
    f.rules.neighbours = 10;
    f.rules.second = f.rules.fill = true;
    validate(&f);
    for (int64_t i = 0; i < f.n; i++) assert_int_equal(f.field.flag[i], 0);
    for (int64_t i = 0; i < f.n; i++) f.vector[i].flag = WEIR__PIV_NO_SIGNAL; /* nothing to go by */
    validate(&f);
    for (int64_t i = 0; i < f.n; i++) assert_true(f.field.replaced[i] == 3 && isnan(f.field.dy[i]));
    end(&f);
  }
}

/* Blocks of vectors give the numbers of single ones: a mask far from everything, but in every block, changes nothing.
 */
static void blocks_and_single_ones_agree(void **state) {
  (void)state;
  fixture f = make(40, 100, none, 1.4), g = make(40, 100, none, 1.4);
  for (int64_t i = 0; i < f.n; i++) f.vector[i].dx[0] += i % 100 >= 50; /* a step: many near the limit */
  memcpy(g.vector, f.vector, (size_t)f.n * sizeof *f.vector);
  for (int64_t i = 0; i < g.n; i++)
    if (i % 100 % 12 == 0) g.vector[i].flag = WEIR__PIV_MASKED;
  f.rules.median = g.rules.median = 1.5;
  validate(&f);
  validate(&g);
  int64_t compared = 0, rejected = 0;
  for (int64_t i = 0; i < f.n; i++) {
    int64_t from = i % 100 % 12;
    if (i / 100 == 0 || i / 100 == 39 || i % 100 > 95 || from < 5 || from > 7) continue;
    compared++;
    rejected += f.field.flag[i] != 0;
    assert_int_equal(f.field.flag[i], g.field.flag[i]);
  }
  assert_true(compared > 800 && rejected > 20);
  end(&f);
  end(&g);
}

static void regridding(void **state) {
  (void)state;
  weir__piv_grid from = {{5, 6}, {32, 32}, {0, 0}, {16, 16}}, to = {{13, 17}, {16, 15}, {4, 3}, {6, 6}};
  float          value[30], out[13 * 17];
  for (int64_t i = 0; i < 30; i++)
    value[i] = (float)(0.1 * weir__piv_centre(&from, 0, i / 6) - 0.2 * weir__piv_centre(&from, 1, i % 6));
  weir__piv_regrid(&from, value, &to, out);
  for (int64_t i = 0; i < 13 * 17; i++) {
    double y = weir__piv_centre(&to, 0, i / 17), x = weir__piv_centre(&to, 1, i % 17);
    y = fmin(fmax(y, weir__piv_centre(&from, 0, 0)), weir__piv_centre(&from, 0, 4));
    x = fmin(fmax(x, weir__piv_centre(&from, 1, 0)), weir__piv_centre(&from, 1, 5));
    assert_true(fabs(out[i] - (0.1 * y - 0.2 * x)) < 1e-5);
  }
  float same[30], one = 7;
  weir__piv_regrid(&from, value, &from, same);
  assert_memory_equal(same, value, sizeof value);
  weir__piv_grid single = {{1, 1}, {32, 32}, {0, 0}, {16, 16}};
  weir__piv_regrid(&single, &one, &to, out);
  for (int64_t i = 0; i < 13 * 17; i++) assert_true(out[i] == 7);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(gradients_are_untouched),
                                     cmocka_unit_test(outliers_are_found),
                                     cmocka_unit_test(one_outlier_anywhere),
                                     cmocka_unit_test(reasons),
                                     cmocka_unit_test(before_is_added),
                                     cmocka_unit_test(lower_peaks),
                                     cmocka_unit_test(filling),
                                     cmocka_unit_test(filling_leaves_nothing),
                                     cmocka_unit_test(tiny_grids),
                                     cmocka_unit_test(blocks_and_single_ones_agree),
                                     cmocka_unit_test(regridding)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
