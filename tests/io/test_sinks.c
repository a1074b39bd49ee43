/* Writers as operators, called as the engine calls them. */
#include "field/field.h"
#include "font_leaks.h"
#include "io/file.h"
#include "io/sinks.h"
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[256];

static int make_folder(void **state) {
  const char *parent = getenv("TMPDIR");
  (void)state;
  snprintf(folder, sizeof folder, "%s/weir-sinks-XXXXXX", parent ? parent : "/tmp");
  return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
  (void)state;
  return weir__file_remove_tree(folder) < 0 ? -1 : 0;
}

static const char *path_of(const char *name) {
  static char path[400];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static const weir_field_type map = {
    .dtype = WEIR_F32, .rank = 2, .dim = {{.name = "y", .size = 8}, {.name = "x", .size = 6}}};
static const weir_field_type        scalar   = {.dtype = WEIR_F64};
static const weir_field_type *const map_in[] = {&map};
static const weir_field_type *const one_in[] = {&scalar};

/* What a sink makes of its inputs: always one float64 number that is not split. */
static void described(void **state) {
  const weir_operator *const sinks[] = {&weir__sink_zarr, &weir__sink_zarr_commit, &weir__sink_csv, &weir__sink_plot,
                                        &weir__sink_plot_series};
  (void)state;
  for (int i = 0; i < 5; i++) {
    weir_infer  infer = {.inputs = 1, .in = i < 4 ? map_in : one_in, .outputs = 1, .out = {map}};
    weir_region whole, none = {.rank = 0};
    assert_int_equal(sinks[i]->api, WEIR_OPERATOR_API);
    assert_int_equal(sinks[i]->infer(&infer), WEIR_OK);
    assert_true(infer.out[0].rank == 0 && infer.out[0].dtype == WEIR_F64 && infer.from_axis[0][0] == -1 &&
                infer.from_axis[0][1] == -1);
    if (!sinks[i]->need) continue;
    assert_int_equal(sinks[i]->need(NULL, map_in, 0, &none, &whole), WEIR_OK);
    assert_true(whole.rank == 2 && whole.count[0] == 8 && whole.count[1] == 6 && whole.start[0] == 0);
  }
  weir_field_type        deep  = {.dtype = WEIR_F32,
                                  .rank  = 3,
                                  .dim = {{.name = "z", .size = 2}, {.name = "y", .size = 2}, {.name = "x", .size = 2}}};
  const weir_field_type *in[]  = {&deep};
  weir_infer             infer = {.inputs = 1, .in = in, .outputs = 1};
  assert_int_equal(weir__sink_plot.infer(&infer), WEIR_ERR_INPUT);
  assert_int_equal(weir__sink_plot_series.infer(&infer), WEIR_ERR_INPUT);
}

static void writes_zarr(void **state) {
  weir__zarr                   *zarr = NULL;
  weir__sink_zarr_params        params;
  weir__sink_zarr_commit_params commit;
  int64_t                       chunk[] = {2, 3};
  float                         data[48];
  double                        result = 0;
  weir_view                     out    = {.data = &result, .dtype = WEIR_F64};
  weir_region                   none   = {.rank = 0};
  (void)state;
  assert_int_equal(weir__zarr_create(path_of("s.zarr"), NULL, WEIR__ZARR_NEW, &zarr), WEIR_OK);
  assert_int_equal(weir__zarr_add(zarr, "u", &map, chunk, 1, &params.array), WEIR_OK);
  commit.zarr = zarr;
  assert_int_equal(weir__sink_zarr.partial_size(&params, map_in, &none), 16);
  void *scratch;
  assert_int_equal(weir__alloc_zeroed(weir__sink_zarr.scratch_size(&params, map_in, &none), 64, &scratch), WEIR_OK);
  for (int i = 0; i < 48; i++) data[i] = (float)i;
  for (int64_t t = 0; t < 2; t++) { /* the second is missing */
    int64_t partial[2][2] = {{0, 0}, {0, 0}};
    for (int half = 0; half < 2; half++) { /* two boxes of four chunks */
      weir_region box  = {.rank = 2, .start = {4 * half, 0}, .count = {4, 6}};
      weir_view   view = weir__view_dense(data + 24 * half, &map, &box);
      view.missing     = t == 1;
      weir_apply a     = {.params  = &params,
                          .inputs  = 1,
                          .outputs = 1,
                          .in_type = map_in,
                          .in      = &view,
                          .out     = &out,
                          .partial = partial[half],
                          .scratch = scratch,
                          .step    = 100 * t,
                          .index   = t};
      assert_int_equal(weir__sink_zarr.apply(&a), WEIR_OK);
    }
    weir__sink_zarr.combine(&params, map_in, &none, partial[0], partial[1]);
    weir_apply a = {.params = &params, .outputs = 1, .out = &out, .partial = partial[0]};
    assert_int_equal(weir__sink_zarr.finish(&a), WEIR_OK);
    assert_true(result == (t ? 0 : 8));
    assert_int_equal(weir__zarr_committed(zarr), t);
    a = (weir_apply){.params   = &commit,
                     .outputs  = 1,
                     .out      = &out,
                     .step     = 100 * t,
                     .index    = t,
                     .time     = 5,
                     .gap      = t ? WEIR_GAP_NOT_PUBLISHED : WEIR_GAP_NONE,
                     .gap_more = 2 * t,
                     .gap_last = 120 * t};
    assert_int_equal(weir__sink_zarr_commit.apply(&a), WEIR_OK);
    assert_true(result == 100.0 * (double)t);
    assert_int_equal(weir__zarr_flush(zarr), WEIR_OK);
    assert_int_equal(weir__zarr_committed(zarr), t + 1);
  }
  assert_int_equal(access(path_of("s.zarr/u/0.3.1"), F_OK), 0);
  assert_int_equal(access(path_of("s.zarr/u/1.3.1"), F_OK), -1);
  weir__free(scratch);
  weir__zarr_destroy(&zarr);
  char  *bytes;
  size_t nbytes;
  assert_int_equal(weir__file_read(AT_FDCWD, path_of("s.zarr/.zattrs"), "s.zarr", &bytes, &nbytes), WEIR_OK);
  assert_non_null(strstr(bytes, "{\\\"from\\\": 100, \\\"to\\\": 120, \\\"count\\\": 3, "
                                "\\\"why\\\": \\\"not published by all\\\", \\\"index\\\": 1, \\\"levels\\\": 1}]"));
  weir__free(bytes);
}

static void writes_rows_and_pictures(void **state) {
  const char                  *names[] = {"u", "mean"};
  static const weir_field_type line    = {.dtype = WEIR_F32, .rank = 1, .dim = {{.name = "x", .size = 3}}};
  const weir_field_type       *types[] = {&line, &scalar};
  weir__sink_csv_params        table;
  float                        data[] = {1, 2, 3};
  double                       mean = 2, result = 0;
  weir_region                  whole = weir__region_whole(&line);
  weir_view                    in[]  = {weir__view_dense(data, &line, &whole), {.data = &mean, .dtype = WEIR_F64}};
  weir_view                    out   = {.data = &result, .dtype = WEIR_F64};
  char                         pattern[400], *bytes;
  size_t                       nbytes;
  (void)state;
  assert_int_equal(weir__csv_open(path_of("t.csv"), names, types, 2, &(weir__csv_options){.gaps = true}, &table.csv),
                   WEIR_OK);
  weir_apply a = {
      .params = &table, .inputs = 2, .outputs = 1, .in_type = types, .in = in, .out = &out, .step = 7, .time = 0.5};
  assert_int_equal(weir__sink_csv.apply(&a), WEIR_OK);
  assert_true(result == 7);
  in[0].missing = in[1].missing = true;
  a.gap                         = WEIR_GAP_NO_ROOM;
  assert_int_equal(weir__sink_csv.apply(&a), WEIR_OK);
  a.gap      = WEIR_GAP_NOT_PUBLISHED;
  a.gap_more = 3;
  a.gap_last = 12;
  assert_int_equal(weir__sink_csv.apply(&a), WEIR_OK);
  in[0].missing = in[1].missing = false;
  assert_int_equal(weir__csv_close(&table.csv), WEIR_OK);
  assert_int_equal(weir__file_read(AT_FDCWD, path_of("t.csv"), "t.csv", &bytes, &nbytes), WEIR_OK);
  assert_string_equal(bytes, "step,time,u[0],u[1],u[2],mean,missing\n7,0.5,1,2,3,2,\n7,0.5,,,,,no room\n"
                             "7,0.5,,,,,\"not published by all, 4 steps up to 12\"\n");
  weir__free(bytes);

  snprintf(pattern, sizeof pattern, "%s/u_{step:04}.png", folder);
  weir__sink_plot_params picture = {.path = pattern};
  a.params                       = &picture;
  assert_int_equal(weir__sink_plot.apply(&a), WEIR_OK);
  assert_int_equal(access(path_of("u_0007.png"), F_OK), 0);
  a.step        = 8;
  in[0].missing = true;
  assert_int_equal(weir__sink_plot.apply(&a), WEIR_OK);
  assert_int_equal(access(path_of("u_0008.png"), F_OK), -1);

  /* a series sees each step and draws in some */
  snprintf(pattern, sizeof pattern, "%s/mean_{step}.png", folder);
  weir__sink_plot_series_params params = {.path = pattern, .when = {.period = 4}};
  weir_region                   none   = {.rank = 0};
  weir__plot_history           *series;
  size_t                        size = weir__sink_plot_series.state_size(&params, one_in, &none);
  assert_int_equal(weir__alloc_zeroed(size, 64, &series), WEIR_OK);
  for (int64_t step = 0; step < 6; step++) {
    weir_apply s  = {.params  = &params,
                     .inputs  = 1,
                     .outputs = 1,
                     .in_type = one_in,
                     .in      = &in[1],
                     .out     = &out,
                     .state   = series,
                     .step    = step,
                     .time    = 3.0 * (double)step,
                     .dt      = step ? 3 : (double)NAN};
    in[1].missing = step == 3;
    assert_int_equal(weir__sink_plot_series.apply(&s), WEIR_OK);
  }
  assert_int_equal(series->count, 6);
  assert_true(isnan(series->least[3]) && series->least[5] == 2 && series->time[5] == 15);
  weir__free(series);
  assert_int_equal(access(path_of("mean_4.png"), F_OK), 0);
  assert_int_equal(access(path_of("mean_3.png"), F_OK), -1);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(described), cmocka_unit_test(writes_zarr),
                                     cmocka_unit_test(writes_rows_and_pictures)};
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
