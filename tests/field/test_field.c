/* Proves regions, chunk grids and views: intersections and texts also at the ends of the integers; uneven grids cut,
 * searched and numbered back and forth; the default grid a function of the shape alone; every element type loaded,
 * stored, rounded and clipped; missing values; copies with strides and holes. To be run with sanitizers as well. */
#include "field/field.h"
#include "support/serial.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static int64_t below(int64_t n) { return (int64_t)(test_random() % (uint64_t)n); }

/* ---- regions ---- */

static weir_region random_region(int rank, int64_t most) {
  weir_region r = {.rank = rank};
  for (int a = 0; a < rank; a++) r.start[a] = below(most), r.count[a] = 1 + below(most);
  return r;
}

static bool holds(const weir_region *r, const int64_t *at) {
  for (int a = 0; a < r->rank; a++)
    if (at[a] < r->start[a] || at[a] >= r->start[a] + r->count[a]) return false;
  return true;
}

/* Against a look at each place. */
static void intersections(void **state) {
  (void)state;
  for (int round = 0; round < 3000; round++) {
    int         rank = (int)below(4);
    weir_region a = random_region(rank, 6), b = random_region(rank, 6), both;
    int64_t     common = 0, in_b = 0, at[3] = {0};
    for (at[0] = 0; at[0] < (rank > 0 ? 12 : 1); at[0]++)
      for (at[1] = 0; at[1] < (rank > 1 ? 12 : 1); at[1]++)
        for (at[2] = 0; at[2] < (rank > 2 ? 12 : 1); at[2]++) {
          common += holds(&a, at) && holds(&b, at);
          in_b += holds(&b, at);
        }
    assert_int_equal(weir__region_size(&b), in_b);
    assert_int_equal(weir__region_intersect(&a, &b, &both), common > 0);
    if (common) assert_int_equal(weir__region_size(&both), common);
    assert_int_equal(weir__region_contains(&a, &b), common == in_b);
    if (common) assert_true(weir__region_contains(&a, &both) && weir__region_contains(&b, &both));
    assert_int_equal(weir__region_equal(&a, &b), !memcmp(&a, &b, sizeof a));
  }
}

static void ends_of_the_integers(void **state) {
  (void)state;
  weir_region far = {2, {INT64_MAX - 1, 0}, {5, 3}}, near = {2, {INT64_MAX - 3, 1}, {3, INT64_MAX}}, both;
  char        text[200];
  assert_string_equal(weir__region_text(&far, text), "[9223372036854775806:9223372036854775807, 0:3]");
  assert_true(weir__region_intersect(&far, &near, &both));
  assert_int_equal(both.start[0], INT64_MAX - 1);
  assert_int_equal(both.count[0], 1);
  assert_int_equal(both.start[1], 1);
  assert_int_equal(both.count[1], 2);
  assert_false(weir__region_contains(&near, &far));
  weir_region low = {.rank = 6};
  for (int a = 0; a < 6; a++) low.start[a] = INT64_MIN, low.count[a] = 1;
  assert_true(strlen(weir__region_text(&low, text)) < 200);
  weir_shape shape = {6, {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX}};
  assert_true(strlen(weir__shape_text(&shape, text)) < 200);
}

static void region_texts(void **state) {
  (void)state;
  char       text[200];
  weir_shape scalar = {0}, two = {2, {96, 128}};
  assert_string_equal(weir__region_text(&(weir_region){2, {0, 4}, {10, 4}}, text), "[0:10, 4:8]");
  assert_string_equal(weir__region_text(&(weir_region){0}, text), "[]");
  assert_string_equal(weir__shape_text(&scalar, text), "scalar");
  assert_string_equal(weir__shape_text(&two, text), "[96, 128]");
}

static void regions_by_name(void **state) {
  (void)state;
  weir_field_type from = {.rank = 3,
                          .dim  = {{.name = "t", .size = 9}, {.name = "y", .size = 20}, {.name = "x", .size = 30}}};
  weir_field_type to   = {.rank = 2, .dim = {{.name = "x", .size = 30}, {.name = "m", .size = 7}}};
  weir_region     box = {3, {1, 2, 3}, {4, 5, 6}}, got = weir__region_by_name(&from, &box, &to);
  assert_true(weir__region_equal(&got, &(weir_region){2, {3, 0}, {6, 7}}));
  assert_int_equal(weir__axis_find(&from, "x"), 2);
  assert_int_equal(weir__axis_find(&from, "z"), -1);
}

static void coordinates(void **state) {
  (void)state;
  double         listed[] = {1, 2, 4};
  weir_dimension uniform = {.size = 5, .origin = 10, .spacing = 0.5}, values = {.size = 3, .values = listed},
                 none = {.size = 3}, single = {.size = 1, .values = listed};
  assert_true(weir__coordinate(&uniform, 3) == 11.5);
  assert_true(weir__coordinate(&none, 2.5) == 2.5);
  assert_true(weir__coordinate(&values, 0) == 1 && weir__coordinate(&values, 2) == 4);
  assert_true(weir__coordinate(&values, 1.5) == 3);
  assert_true(weir__coordinate(&values, -0.5) == 0.5);
  assert_true(weir__coordinate(&values, -2) == -1); /* never looks before the list */
  assert_true(weir__coordinate(&values, 7) == 4);   /* nor behind it */
  assert_true(weir__coordinate(&single, -3) == 1);
}

/* ---- grids ---- */

static void grids_back_and_forth(void **state) {
  (void)state;
  for (int round = 0; round < 300; round++) {
    int64_t    edge[4][64], seen = 0;
    weir__grid g = {.rank = (int)below(5)};
    for (int a = 0; a < g.rank; a++) {
      g.chunks[a] = test_cut(1 + below(12), 1 + below(5), edge[a]);
      g.edge[a]   = edge[a];
    }
    int64_t n = weir__grid_count(&g);
    for (int64_t c = 0; c < n; c++) {
      int64_t     index[WEIR_RANK_MAX], first[WEIR_RANK_MAX], last[WEIR_RANK_MAX];
      weir_region r = weir__grid_region(&g, c);
      weir__grid_unravel(&g, c, index);
      assert_int_equal(weir__grid_ravel(&g, index), c);
      weir__grid_touched(&g, &r, first, last);
      for (int a = 0; a < g.rank; a++) {
        assert_true(r.count[a] > 0);
        assert_int_equal(first[a], index[a]);
        assert_int_equal(last[a], index[a]);
        for (int64_t p = r.start[a]; p < r.start[a] + r.count[a]; p++)
          assert_int_equal(weir__grid_find(&g, a, p), index[a]);
      }
      seen += weir__region_size(&r);
    }
    int64_t all = 1;
    for (int a = 0; a < g.rank; a++) all *= edge[a][g.chunks[a]];
    assert_int_equal(seen, all); /* chunks do not overlap, by their starts, and cover everything */
    weir__grid same = g;
    assert_true(weir__grid_equal(&g, &same));
    if (!g.rank) continue;
    int64_t other[64];
    memcpy(other, edge[0], sizeof other);
    same.edge[0] = other;
    assert_true(weir__grid_equal(&g, &same));
    other[0]--;
    assert_false(weir__grid_equal(&g, &same));
  }
}

static void cuts(void **state) {
  (void)state;
  weir__arena    arena = {0};
  int64_t        n;
  const int64_t *e;
  assert_int_equal(weir__grid_cut_size(&arena, 10, 4, &n, &e), WEIR_OK);
  assert_int_equal(n, 3);
  assert_memory_equal(e, ((int64_t[]){0, 4, 8, 10}), 4 * sizeof *e);
  assert_int_equal(weir__grid_cut_size(&arena, 8, 4, &n, &e), WEIR_OK);
  assert_int_equal(n, 2);
  assert_int_equal(weir__grid_cut_size(&arena, 10, INT64_MAX, &n, &e), WEIR_OK);
  assert_int_equal(n, 1);
  assert_int_equal(e[1], 10);
  for (int64_t extent = 1; extent < 40; extent++)
    for (int64_t pieces = -1; pieces < 50; pieces++) {
      int64_t least = INT64_MAX, most = 0;
      assert_int_equal(weir__grid_cut_pieces(&arena, extent, pieces, &n, &e), WEIR_OK);
      assert_int_equal(n, pieces < 1 ? 1 : pieces < extent ? pieces : extent);
      assert_int_equal(e[0], 0);
      assert_int_equal(e[n], extent);
      for (int64_t i = 0; i < n; i++) {
        int64_t piece = e[i + 1] - e[i];
        least         = piece < least ? piece : least;
        most          = piece > most ? piece : most;
      }
      assert_true(most - least <= 1);
    }
  assert_int_equal(weir__grid_cut_pieces(&arena, INT64_MAX, 4, &n, &e), WEIR_OK);
  assert_true(e[2] > e[1] && e[3] > e[2] && e[4] == INT64_MAX);
  weir__arena_clear(&arena);
}

static void default_grids(void **state) {
  (void)state;
  static const weir_shape shapes[] = {{0},
                                      {1, {1}},
                                      {1, {100000}},
                                      {2, {10, 10}},
                                      {2, {128, 128}},
                                      {2, {127, 129}},
                                      {2, {4096, 4096}},
                                      {3, {1, 1000, 1000}},
                                      {3, {75, 400, 300}},
                                      {4, {2, 3, 5, 7}}};
  weir__arena             arena    = {0};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    weir__grid  g, again;
    weir_region whole = {.rank = shapes[i].rank};
    int64_t     n = 1, size = 0;
    memcpy(whole.count, shapes[i].extent, sizeof whole.count);
    n = weir__region_size(&whole);
    assert_int_equal(weir__grid_default(&arena, &shapes[i], &g), WEIR_OK);
    assert_int_equal(weir__grid_default(&arena, &shapes[i], &again), WEIR_OK);
    assert_true(weir__grid_equal(&g, &again));
    for (int64_t c = 0; c < weir__grid_count(&g); c++) {
      weir_region r = weir__grid_region(&g, c);
      assert_true(weir__region_contains(&whole, &r));
      size += weir__region_size(&r);
    }
    assert_int_equal(size, n);
    if (n < 1 << 14) assert_int_equal(weir__grid_count(&g), 1);
    if (shapes[i].rank == 2 && n >= 1 << 14) assert_true(weir__grid_count(&g) >= 16);
  }
  weir__grid huge; /* more elements than an integer counts */
  assert_int_equal(weir__grid_default(&arena, &(weir_shape){6, {2048, 2048, 2048, 2048, 2048, 2048}}, &huge), WEIR_OK);
  for (int a = 0; a < 6; a++) assert_int_equal(huge.edge[a][huge.chunks[a]], 2048);
  weir__arena_clear(&arena);
}

/* ---- views ---- */

static const weir_dtype dtypes[] = {WEIR_F32, WEIR_F64, WEIR_I8, WEIR_I16, WEIR_I32, WEIR_I64, WEIR_U8, WEIR_U16};

static void names_of_types(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
    weir_dtype back = 0;
    assert_true(weir_dtype_parse(weir_dtype_name(dtypes[i]), &back));
    assert_int_equal(back, dtypes[i]);
    assert_true(weir_dtype_size(dtypes[i]) > 0);
  }
  weir_dtype unchanged = WEIR_I8;
  assert_false(weir_dtype_parse("float16", &unchanged));
  assert_int_equal(unchanged, WEIR_I8);
  assert_string_equal(weir_dtype_name((weir_dtype)77), "?");
  assert_int_equal(weir_dtype_size((weir_dtype)77), 0);
  assert_string_equal(weir_location_name(WEIR_AT_F), "f");
  assert_string_equal(weir_location_name((weir_location)9), "");
}

/* What a stored value must come back as. */
static double expected(weir_dtype dtype, bool has_fill, double fill, double x) {
  static const double least[]  = {0, 0, 0, INT8_MIN, INT16_MIN, INT32_MIN, -0x1p63, 0, 0};
  static const double most[]   = {0, 0, 0, INT8_MAX, INT16_MAX, INT32_MAX, 0x1.fffffffffffffp62, UINT8_MAX, UINT16_MAX};
  bool                floating = dtype == WEIR_F32 || dtype == WEIR_F64;
  double              y        = x;
  if (isnan(x)) return floating || has_fill ? NAN : 0;
  if (!floating) {
    y = nearbyint(x);
    y = y < least[dtype] ? least[dtype] : y > most[dtype] ? most[dtype] : y;
  } else if (dtype == WEIR_F32) y = (float)x;
  if (has_fill && y == (dtype == WEIR_F32 ? (double)(float)fill : fill)) return NAN;
  return y;
}

static bool same(double a, double b) { return a == b || (isnan(a) && isnan(b)); }

/* Stored and loaded again through gaps: the right numbers, and nothing between them touched. */
static void store_and_load(void **state) {
  static const double values[] = {
      0,       1,     -1,     0.5,    1.5,   2.5,        -0.5,         127,           128,    -128,
      -129,    255,   256,    65535,  65536, 2147483647, 2147483648.0, -2147483649.0, 0x1p62, 0x1p63,
      -0x1p63, 1e300, -1e300, 1e-300, 0.1,   NAN,        INFINITY,     -INFINITY,     -99,    77.7};
  enum { N = sizeof values / sizeof *values };
  (void)state;
  for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++)
    for (int gap = 0; gap < 3; gap++)
      for (int filled = 0; filled < 2; filled++) {
        int64_t                   size = (int64_t)weir_dtype_size(dtypes[d]), stride = size * (1 + gap);
        _Alignas(8) unsigned char memory[N * 24 + 16];
        double                    buffer[N];
        weir_view                 v = {.data     = memory + 8,
                                       .dtype    = dtypes[d],
                                       .rank     = 1,
                                       .count    = {N},
                                       .stride   = {stride},
                                       .has_fill = filled,
                                       .fill     = dtypes[d] == WEIR_U8 || dtypes[d] == WEIR_U16 ? 99 : -99};
        memset(memory, 0xab, sizeof memory);
        weir_view_store(&v, (int64_t[]){0}, N, values);
        const double *got = weir_view_load(&v, (int64_t[]){0}, N, buffer);
        for (int i = 0; i < N; i++) {
          double want = expected(dtypes[d], filled, v.fill, values[i]);
          if (!same(got[i], want))
            fail_msg("%s, fill %d, gap %d: %g comes back as %g, expected %g", weir_dtype_name(dtypes[d]), filled, gap,
                     values[i], got[i], want);
          for (int64_t k = size; k < stride; k++) assert_int_equal(memory[8 + i * stride + k], 0xab);
        }
        for (int k = 0; k < 8; k++) assert_int_equal(memory[k], 0xab);
        assert_int_equal(memory[8 + N * stride], 0xab);
      }
}

static void odd_fill_values(void **state) {
  (void)state;
  unsigned char small[2] = {7, 7};
  int16_t       middle   = 7;
  weir_view     v        = {.data = small, .dtype = WEIR_U8, .has_fill = true, .fill = -9999};
  weir_view_store(&v, NULL, 1, &(double){NAN}); /* no such number in the type: the nearest */
  assert_int_equal(small[0], 0);
  assert_int_equal(small[1], 7);
  v = (weir_view){.data = &middle, .dtype = WEIR_I16, .has_fill = true, .fill = NAN};
  weir_view_store(&v, NULL, 1, &(double){NAN});
  assert_int_equal(middle, 0);
  v.fill = 1e300;
  weir_view_store(&v, NULL, 1, &(double){NAN});
  assert_int_equal(middle, INT16_MAX);
  double    own[3] = {1, 2, 3}, buffer[3];
  weir_view plain  = {.data = own, .dtype = WEIR_F64, .rank = 1, .count = {3}, .stride = {8}};
  assert_ptr_equal(weir_view_load(&plain, (int64_t[]){1}, 2, buffer), own + 1); /* not copied */
  plain.has_fill = true, plain.fill = 2;
  assert_ptr_equal(weir_view_load(&plain, (int64_t[]){0}, 3, buffer), buffer);
  assert_true(buffer[0] == 1 && isnan(buffer[1]) && buffer[2] == 3);
}

/* A random box of a random field in memory with holes, element by element against weir__view_copy. */
static void copies(void **state) {
  (void)state;
  for (int round = 0; round < 2000; round++) {
    weir_dtype      dtype = dtypes[below(8)];
    weir_field_type type  = {.dtype = dtype, .rank = (int)below(5)};
    weir_region     box = {.rank = type.rank}, inner = box;
    int64_t         size = (int64_t)weir_dtype_size(dtype), stride[2] = {size, size}, n = 1;
    weir_view       v[2];
    for (int a = 0; a < type.rank; a++) {
      box.start[a]   = below(100) - 50;
      box.count[a]   = 1 + below(5);
      inner.start[a] = box.start[a] + below(box.count[a]);
      inner.count[a] = below(box.count[a] - (inner.start[a] - box.start[a]) + 1);
      n *= inner.count[a];
    }
    for (int k = 0; k < 2; k++) {
      v[k] = (weir_view){.dtype = dtype, .rank = type.rank};
      for (int a = type.rank - 1; a >= 0; a--) {
        if (below(3) == 0) stride[k] += size * below(3); /* holes */
        v[k].start[a]  = box.start[a];
        v[k].count[a]  = box.count[a];
        v[k].stride[a] = stride[k];
        stride[k] *= box.count[a];
      }
      v[k].data = malloc((size_t)stride[k]);
      for (int64_t i = 0; i < stride[k]; i++) ((unsigned char *)v[k].data)[i] = (unsigned char)test_random();
    }
    unsigned char *before = malloc((size_t)stride[1]);
    memcpy(before, v[1].data, (size_t)stride[1]);
    weir_view from = weir__view_narrow(&v[0], &inner), to = weir__view_narrow(&v[1], &inner);
    for (int a = 0; a < type.rank; a++) to.start[a] += 1000; /* starts may differ */
    weir__view_copy(&to, &from);
    int64_t at[WEIR_RANK_MAX] = {0};
    for (int64_t i = 0; i < n; i++) { /* the same by hand */
      int64_t rest = i, f = (char *)from.data - (char *)v[0].data, t = (char *)to.data - (char *)v[1].data;
      for (int a = type.rank - 1; a >= 0; a--) {
        at[a] = rest % inner.count[a];
        rest /= inner.count[a];
        f += at[a] * from.stride[a];
        t += at[a] * to.stride[a];
      }
      memcpy(before + t, (char *)v[0].data + f, (size_t)size);
    }
    assert_memory_equal(before, v[1].data, stride[1]);
    free(before), free(v[0].data), free(v[1].data);
  }
}

static void backward_copies(void **state) {
  (void)state;
  double    a[4] = {1, 2, 3, 4}, b[4] = {0};
  weir_view from = {.data = a + 3, .dtype = WEIR_F64, .rank = 1, .count = {4}, .stride = {-8}},
            to   = {.data = b, .dtype = WEIR_F64, .rank = 1, .count = {4}, .stride = {8}};
  weir__view_copy(&to, &from);
  assert_memory_equal(b, ((double[]){4, 3, 2, 1}), sizeof b);
}

static void filling(void **state) {
  (void)state;
  for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++)
    for (int filled = 0; filled < 2; filled++)
      for (int rank = 0; rank < 3; rank++) {
        weir_field_type  type  = {.dtype = dtypes[d], .rank = rank, .has_fill = filled, .fill = 3};
        weir_region      whole = {.rank = rank, .count = {3, 300}};
        _Alignas(8) char memory[900 * 8];
        int64_t          index[WEIR_RANK_MAX] = {0};
        bool             floating             = dtypes[d] == WEIR_F32 || dtypes[d] == WEIR_F64;
        weir_view        v                    = weir__view_dense(memory, &type, &whole);
        memset(memory, 1, sizeof memory);
        weir__view_fill_missing(&v);
        do {
          double        row[300];
          const double *x = weir_view_load(&v, index, weir_view_row(&v), row);
          for (int64_t i = 0; i < weir_view_row(&v); i++)
            if (floating || filled) assert_true(isnan(x[i]));
            else assert_true(x[i] == 0);
        } while (weir_view_next_row(&v, index));
        if (rank < 2) assert_int_equal(memory[300 * 8], 1); /* not one more */
      }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(intersections),
                                     cmocka_unit_test(ends_of_the_integers),
                                     cmocka_unit_test(region_texts),
                                     cmocka_unit_test(regions_by_name),
                                     cmocka_unit_test(coordinates),
                                     cmocka_unit_test(grids_back_and_forth),
                                     cmocka_unit_test(cuts),
                                     cmocka_unit_test(default_grids),
                                     cmocka_unit_test(names_of_types),
                                     cmocka_unit_test(store_and_load),
                                     cmocka_unit_test(odd_fill_values),
                                     cmocka_unit_test(copies),
                                     cmocka_unit_test(backward_copies),
                                     cmocka_unit_test(filling)};
  test_seed                       = 7;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
