/* A simulation and its worker, both ends: what is put arrives, wrong calls are told and do no harm. */
#include "client/watcher.h"

#include <math.h>
#include <weir/client.h>

static weir_stream *open_stream(const scene *s, const char *name) {
  weir_stream *stream;
  assert_int_equal(weir_stream_open(name, 0, 1, &(weir_stream_options){.run = s->run, .attach_timeout = 20}, &stream),
                   WEIR_OK);
  return stream;
}

#define ERROR_HAS(stream, text)                                                                                        \
  do {                                                                                                                 \
    if (!strstr(weir_stream_error(stream), text)) fail_msg("'%s' is not in: %s", text, weir_stream_error(stream));     \
  } while (0)

/* Two pieces of one field out of arrays with halos, transposed and reversed; smaller regions are wanted of them. */
static void strided_pieces_arrive(void **state) {
  (void)state;
  enum { NY = 12, NX = 20, HALO = 2 };
  scene   s = scene_open();
  watcher w = {.slots = 2, .all = true};
  w.want[0] = (weir__channel_want){1, {2, {1, 3}, {4, 5}}};
  watcher_start(&w, &s, "sim");
  weir_stream *stream = open_stream(&s, "sim");
  int          left, right;
  assert_int_equal(
      weir_field_define(
          stream, "u",
          &(weir_field_options){
              .type = {.dtype = WEIR_F32, .rank = 2, .dim = {{.name = "y", .size = NY}, {.name = "x", .size = NX}}}}),
      WEIR_OK);
  assert_int_equal(weir_piece_define(stream, "u", (int64_t[]){0, 0}, (int64_t[]){NY, 8}, &left), WEIR_OK);
  assert_int_equal(weir_piece_define(stream, "u", (int64_t[]){0, 8}, (int64_t[]){NY, NX - 8}, &right), WEIR_OK);
  assert_true(left == 0 && right == 1);
  static float a[NY + 2 * HALO][8 + 2 * HALO], b[NX - 8][NY]; /* b: transposed, and y runs backwards */
  for (int64_t step = 10; step < 40; step++) {
    for (int j = 0; j < NY; j++) {
      for (int i = 0; i < 8; i++) a[j + HALO][i + HALO] = (float)(step * 1000 + j * 50 + i);
      for (int i = 8; i < NX; i++) b[i - 8][NY - 1 - j] = (float)(step * 1000 + j * 50 + i);
    }
    assert_int_equal(weir_step_begin(stream, step, (double)step / 8), WEIR_OK);
    assert_true(weir_wanted(stream, "u"));
    assert_int_equal(
        weir_put_piece(stream, "u", right, &(weir_array){&b[0][NY - 1], WEIR_F32, 2, {NY, NX - 8}, {-1, NY}, 0}),
        WEIR_OK);
    assert_int_equal(
        weir_put_piece(stream, "u", left, &(weir_array){&a[HALO][HALO], WEIR_F32, 2, {NY, 8}, {8 + 2 * HALO, 1}, 0}),
        WEIR_OK);
    assert_int_equal(weir_step_end(stream), WEIR_OK);
  }
  weir_stream_stats stats;
  weir_stream_stats_get(stream, &stats);
  assert_true(stats.attached && stats.steps == 30 && stats.published == 30);
  assert_int_equal(stats.bytes, 30 * (4 * 5 + NY * (NX - 8)) * 4);
  assert_int_equal(weir_stream_close(&stream), WEIR_OK);
  assert_null(stream);
  watcher_join(&w);
  assert_int_equal(w.steps, 30);
  assert_int_equal(w.end, WEIR__CHANNEL_END);
  for (int i = 0; i < 30; i++) {
    const seen_step *seen = &w.step[i];
    assert_true(seen->record.step == 10 + i && seen->record.time == (10 + i) / 8. && !seen->record.tombstone);
    for (int p = 0; p < 2; p++) {
      const weir_view *v = &seen->piece[p];
      assert_non_null(v->data);
      for (int64_t j = 0; j < v->count[0]; j++)
        for (int64_t k = 0; k < v->count[1]; k++)
          assert_true(((float *)v->data)[j * v->count[1] + k] ==
                      (float)((10 + i) * 1000 + (v->start[0] + j) * 50 + v->start[1] + k));
    }
  }
  watcher_clear(&w);
  scene_close(&s, 0);
}

static weir_status define_1d(weir_stream *stream, const char *name, bool is_static) {
  return weir_field_define(
      stream, name,
      &(weir_field_options){.type      = {.dtype = WEIR_F64, .rank = 1, .dim = {{.name = "x", .size = 4}}},
                            .is_static = is_static});
}
static weir_status put_1d(weir_stream *stream, const char *name, double value) {
  double x[4] = {value, value + 1, value + 2, value + 3};
  return weir_put(stream, name, &(weir_array){.data = x, .dtype = WEIR_F64, .rank = 1, .extent = {4}});
}

/* Triggers, static fields before and in the first step, scalars, and fields nobody wants. */
static void only_what_is_wanted_travels(void **state) {
  (void)state;
  scene   s = scene_open();
  watcher w = {.trigger = {{.period = 4, .phase = 2}, {.interval = 10}}, .triggers = 2};
  w.want[0] = (weir__channel_want){1, {1, {0}, {4}}}; /* early */
  w.want[1] = (weir__channel_want){1, {1, {1}, {2}}}; /* mask */
  w.want[2] = (weir__channel_want){1, {1, {0}, {4}}}; /* u */
  w.want[3] = (weir__channel_want){2, {.rank = 0}};   /* dt */
  watcher_start(&w, &s, "sim");
  weir_stream *stream = open_stream(&s, "sim");
  assert_int_equal(define_1d(stream, "early", true), WEIR_OK);
  assert_int_equal(define_1d(stream, "mask", true), WEIR_OK);
  assert_int_equal(define_1d(stream, "u", false), WEIR_OK);
  assert_int_equal(weir_field_define(stream, "dt", &(weir_field_options){.type = {.dtype = WEIR_F64}}), WEIR_OK);
  assert_int_equal(define_1d(stream, "unwanted", false), WEIR_OK);
  assert_true(weir_wanted(stream, "mask"));
  assert_int_equal(put_1d(stream, "early", 100), WEIR_OK); /* before the workers are known */
  for (int64_t step = 0; step < 12; step++) {
    double time = 3 * (double)step;
    assert_int_equal(weir_step_begin(stream, step, time), WEIR_OK);
    if (!step) assert_int_equal(put_1d(stream, "mask", 200), WEIR_OK);
    assert_int_equal(weir_wanted(stream, "u"), step % 4 == 2);
    assert_false(weir_wanted(stream, "unwanted"));
    assert_int_equal(put_1d(stream, "u", (double)step), WEIR_OK);
    assert_int_equal(put_1d(stream, "unwanted", 0), WEIR_OK);
    assert_int_equal(weir_put(stream, "dt", &(weir_array){.data = &time, .dtype = WEIR_F64}), WEIR_OK);
    assert_int_equal(weir_step_end(stream), WEIR_OK);
  }
  assert_int_equal(put_1d(stream, "mask", 1), WEIR_ERR_STATE);
  ERROR_HAS(stream, "static field 'mask' was put twice");
  assert_int_equal(weir_stream_close(&stream), WEIR_OK);
  watcher_join(&w);
  /* by step: 2, 6, 10; by time, another multiple of 10: 0 (first), 4 (12), 7 (21), 10 (30) */
  static const int64_t  steps[] = {0, 2, 4, 6, 7, 10};
  static const uint64_t fired[] = {2, 1, 2, 1, 2, 3};
  assert_int_equal(w.steps, 6);
  for (int i = 0; i < 6; i++) {
    const seen_step *seen = &w.step[i];
    assert_int_equal(seen->record.step, steps[i]);
    assert_int_equal(seen->record.fired, fired[i]);
    assert_false(seen->record.tombstone);
    assert_true(((double *)seen->piece[0].data)[3] == 103);
    assert_true(((double *)seen->piece[1].data)[0] == 201 && seen->piece[1].count[0] == 2);
    assert_int_equal(seen->piece[2].data != NULL, fired[i] & 1);
    assert_int_equal(seen->piece[2].missing, !(fired[i] & 1));
    if (seen->piece[2].data) assert_true(((double *)seen->piece[2].data)[1] == (double)(steps[i] + 1));
    assert_int_equal(seen->piece[3].data != NULL, fired[i] >> 1);
    if (seen->piece[3].data) assert_true(*(double *)seen->piece[3].data == 3 * (double)steps[i]);
    assert_null(seen->piece[4].data);
  }
  watcher_clear(&w);
  scene_close(&s, 0);
}

static void acquired_memory_is_published(void **state) {
  (void)state;
  scene   s = scene_open();
  watcher w = {.all = true, .slots = 2};
  /* pieces in the order they came to be: grid, u, part */
  w.want[2] = (weir__channel_want){1, {1, {1}, {2}}}; /* not in place */
  watcher_start(&w, &s, "sim");
  weir_stream *stream = open_stream(&s, "sim");
  double      *u, *part, *before;
  assert_int_equal(define_1d(stream, "u", false), WEIR_OK);
  assert_int_equal(define_1d(stream, "part", false), WEIR_OK);
  assert_int_equal(define_1d(stream, "grid", true), WEIR_OK);
  assert_int_equal(weir_put_acquire(stream, "grid", 0, (void **)&before), WEIR_OK);
  for (int i = 0; i < 4; i++) before[i] = 7 + i;
  assert_int_equal(weir_put_commit(stream, "grid", 0), WEIR_OK);
  assert_int_equal(weir_put_acquire(stream, "u", 0, (void **)&u), WEIR_ERR_STATE); /* outside a step, but writable */
  u[3] = 1;
  for (int64_t step = 0; step < 10; step++) {
    assert_int_equal(weir_step_begin(stream, step, 0), WEIR_OK);
    assert_int_equal(weir_put_acquire(stream, "u", 0, (void **)&u), WEIR_OK);
    assert_int_equal(weir_put_acquire(stream, "part", 0, (void **)&part), WEIR_OK);
    for (int i = 0; i < 4; i++) u[i] = (double)step + i, part[i] = -(double)step - i;
    assert_int_equal(weir_put_commit(stream, "part", 0), WEIR_OK);
    assert_int_equal(weir_put_commit(stream, "part", 0), WEIR_ERR_STATE);
    if (step != 5) assert_int_equal(weir_put_commit(stream, "u", 0), WEIR_OK);
    assert_int_equal(weir_step_end(stream), step == 5 ? WEIR_ERR_STATE : WEIR_OK);
  }
  weir_stream_stats stats;
  weir_stream_stats_get(stream, &stats);
  assert_int_equal(stats.bytes, (9 * 4 + 10 * 2 + 4) * 8);
  assert_int_equal(weir_stream_close(&stream), WEIR_OK);
  watcher_join(&w);
  assert_int_equal(w.steps, 10);
  for (int i = 0; i < 10; i++) {
    assert_int_equal(w.step[i].record.tombstone, i == 5);
    if (i == 5) {
      assert_null(w.step[i].piece[1].data);
      continue;
    }
    assert_true(((double *)w.step[i].piece[1].data)[3] == i + 3);
    assert_true(((double *)w.step[i].piece[2].data)[1] == -i - 2);
    assert_true(((double *)w.step[i].piece[0].data)[3] == 10);
  }
  watcher_clear(&w);
  scene_close(&s, 0);
}

/* Without room the recipe decides. A step that is left out is no error, whichever way it is put. */
static void steps_are_left_out(void **state) {
  (void)state;
  scene   s = scene_open();
  watcher w = {.all = true, .slots = 2, .policy = WEIR__POLICY_DROP_NEWEST, .hold = true};
  watcher_start(&w, &s, "sim");
  weir_stream *stream = open_stream(&s, "sim");
  assert_int_equal(define_1d(stream, "u", false), WEIR_OK);
  assert_int_equal(define_1d(stream, "v", false), WEIR_OK);
  for (int64_t step = 0; step < 8; step++) {
    double *v;
    assert_int_equal(weir_step_begin(stream, step, 0), WEIR_OK);
    assert_int_equal(put_1d(stream, "u", (double)step), WEIR_OK);
    assert_int_equal(weir_put_acquire(stream, "v", 0, (void **)&v), WEIR_OK);
    assert_non_null(v);
    for (int i = 0; i < 4; i++) v[i] = -(double)step;
    assert_int_equal(weir_put_commit(stream, "v", 0), WEIR_OK);
    assert_int_equal(weir_step_end(stream), WEIR_OK);
  }
  assert_int_equal(weir_step_begin(stream, 8, 0), WEIR_OK);
  assert_int_equal(put_1d(stream, "u", 8), WEIR_OK);
  assert_int_equal(weir_step_end(stream), WEIR_ERR_STATE); /* what is wrong is told, room or not */
  ERROR_HAS(stream, "field 'v' was not put in step 8");
  weir_stream_stats stats;
  weir_stream_stats_get(stream, &stats);
  assert_true(stats.published == 9 && stats.dropped == 6 && !stats.spilled);
  assert_int_equal(stats.bytes, 2 * 2 * 4 * 8);
  atomic_store(&w.hold, false);
  assert_int_equal(weir_stream_close(&stream), WEIR_OK);
  watcher_join(&w);
  assert_int_equal(w.steps, 9);
  for (int i = 0; i < 9; i++) {
    const seen_step *seen = &w.step[i];
    assert_true(seen->record.tombstone == (i > 1) && seen->record.dropped == (i > 1 && i < 8));
    if (i < 2) assert_true(((double *)seen->piece[0].data)[3] == i + 3 && ((double *)seen->piece[1].data)[3] == -i);
  }
  assert_string_equal(w.step[5].why, "no room: dropped");
  watcher_clear(&w);
  scene_close(&s, 0);
}

/* Every misuse: a status, a message, and the simulation goes on. */
static void misuse_of_puts_is_told(void **state) {
  (void)state;
  scene      s     = scene_open();
  watcher    w     = {.all = true};
  double     x[16] = {0};
  weir_array good  = {.data = x, .dtype = WEIR_F64, .rank = 1, .extent = {4}}, bad;
  watcher_start(&w, &s, "sim");
  weir_stream *stream = open_stream(&s, "sim");
  assert_int_equal(define_1d(stream, "temperature", false), WEIR_OK);
  assert_int_equal(weir_put(stream, "temperature", &good), WEIR_ERR_STATE);
  ERROR_HAS(stream, "field 'temperature' was put outside a step");
  assert_int_equal(weir_step_end(stream), WEIR_ERR_STATE);
  ERROR_HAS(stream, "ended that had not begun");

#define STEP_WITH(number, status, text, ...)                                                                           \
  assert_int_equal(weir_step_begin(stream, number, number), WEIR_OK);                                                  \
  assert_int_equal(__VA_ARGS__, status);                                                                               \
  ERROR_HAS(stream, text);                                                                                             \
  assert_int_equal(weir_step_end(stream), WEIR_ERR_STATE);                                                             \
  ERROR_HAS(stream, text);

  STEP_WITH(1, WEIR_ERR_ARGUMENT, "no field 'temprature'; did you mean 'temperature'?",
            weir_put(stream, "temprature", &good));
  bad = good, bad.dtype = WEIR_F32;
  STEP_WITH(2, WEIR_ERR_ARGUMENT, "the array is float32, but the field was defined as float64",
            weir_put(stream, "temperature", &bad));
  bad = good, bad.extent[0] = 5;
  STEP_WITH(3, WEIR_ERR_ARGUMENT, "the array is [5], but the piece is [4]", weir_put(stream, "temperature", &bad));
  bad = good, bad.rank = 77;
  STEP_WITH(4, WEIR_ERR_ARGUMENT, "but the piece is [4]", weir_put(stream, "temperature", &bad));
  bad = good, bad.data = NULL;
  STEP_WITH(5, WEIR_ERR_ARGUMENT, "its data are NULL", weir_put(stream, "temperature", &bad));
  bad = good, bad.space = (weir_memory)3;
  STEP_WITH(6, WEIR_ERR_ARGUMENT, "memory space 3", weir_put(stream, "temperature", &bad));
  STEP_WITH(7, WEIR_ERR_ARGUMENT, "the array is NULL", weir_put(stream, "temperature", NULL));
  STEP_WITH(8, WEIR_ERR_ARGUMENT, "has no piece 1 on rank 0, which defined 1",
            weir_put_piece(stream, "temperature", 1, &good));
  STEP_WITH(9, WEIR_ERR_ARGUMENT, "the name of a field is NULL", weir_put(stream, NULL, &good));
  STEP_WITH(10, WEIR_ERR_STATE, "'late' was defined after the first step", define_1d(stream, "late", false));
  STEP_WITH(11, WEIR_ERR_STATE, "a piece was defined after the first step",
            weir_piece_define(stream, "temperature", (int64_t[]){0}, (int64_t[]){1}, NULL));
  STEP_WITH(12, WEIR_ERR_STATE, "committed, but not acquired", weir_put_commit(stream, "temperature", 0));
  assert_int_equal(weir_step_begin(stream, 13, 13), WEIR_OK);
  assert_int_equal(weir_step_end(stream), WEIR_ERR_STATE);
  ERROR_HAS(stream, "field 'temperature' was not put in step 13");

  assert_int_equal(weir_step_begin(stream, 14, 14), WEIR_OK);
  assert_int_equal(weir_put(stream, "temperature", &good), WEIR_OK);
  assert_int_equal(weir_put(stream, "temperature", &good), WEIR_ERR_STATE);
  ERROR_HAS(stream, "was put twice in step 14");
  assert_int_equal(weir_step_begin(stream, 15, 15), WEIR_ERR_STATE); /* 14 is ended, and whole; 15 has begun */
  ERROR_HAS(stream, "step 15 begins, but step 14 was not ended");
  assert_int_equal(weir_put(stream, "temperature", &good), WEIR_OK);
  assert_int_equal(weir_step_end(stream), WEIR_OK);
  assert_int_equal(weir_step_begin(stream, 15, 16), WEIR_ERR_ARGUMENT);
  ERROR_HAS(stream, "numbers must grow");
  assert_int_equal(weir_step_begin(stream, 16, NAN), WEIR_ERR_ARGUMENT);
  ERROR_HAS(stream, "its time is not finite");
  assert_int_equal(weir_stream_close(&stream), WEIR_OK);
  watcher_join(&w);
  assert_int_equal(w.steps, 15);
  for (int i = 0; i < 15; i++) assert_int_equal(w.step[i].record.tombstone, i < 13);
  assert_non_null(strstr(w.step[1].why, "float32"));
  assert_string_equal(w.step[12].why, "field 'temperature' was not put in step 13");
  watcher_clear(&w);
  scene_close(&s, 0);
}

static void misuse_of_definitions_is_told(void **state) {
  (void)state;
  weir_stream       *stream = NULL;
  weir_field_options f;
#define FIELD(...)                                                                                                     \
  &(weir_field_options) {                                                                                              \
    .type = { __VA_ARGS__ }                                                                                            \
  }
#define DIM1 .rank = 1, .dim = {{.name = "x", .size = 4}}
  assert_int_equal(weir_stream_open("a b", 0, 1, NULL, &stream), WEIR_ERR_ARGUMENT);
  assert_null(stream);
  assert_int_equal(weir_stream_open("a", 1, 1, NULL, &stream), WEIR_ERR_ARGUMENT);
  assert_int_equal(weir_stream_open("a", 0, 1, &(weir_stream_options){.attach_timeout = -1}, &stream),
                   WEIR_ERR_ARGUMENT);
  setenv("WEIR_ATTACH_TIMEOUT", "soon", 1);
  assert_int_equal(weir_stream_open("a", 0, 1, NULL, &stream), WEIR_ERR_ARGUMENT);
  assert_non_null(strstr(weir_error_last(), "WEIR_ATTACH_TIMEOUT is 'soon'"));
  unsetenv("WEIR_ATTACH_TIMEOUT");
  assert_int_equal(weir_stream_open("a", 0, 1, NULL, &stream), WEIR_OK);
#define WRONG(name, options, text)                                                                                     \
  assert_int_equal(weir_field_define(stream, name, options), WEIR_ERR_ARGUMENT);                                       \
  ERROR_HAS(stream, text)
  WRONG("T-2m", FIELD(.dtype = WEIR_F64), "'T-2m' is no name for a field");
  WRONG("t", NULL, "the options say its type and shape");
  WRONG("t", FIELD(.dtype = (weir_dtype)99), "type 99");
  WRONG("t", FIELD(.dtype = WEIR_F64, .rank = 7), "rank 7");
  WRONG("t", FIELD(.dtype = WEIR_F64, .rank = 1), "no name for dimension 0");
  WRONG("t", FIELD(.dtype = WEIR_F64, .rank = 2, .dim = {{.name = "x", .size = 2}, {.name = "x", .size = 2}}),
        "two dimensions are called 'x'");
  WRONG("t", FIELD(.dtype = WEIR_F64, .rank = 1, .dim = {{.name = "x", .size = 0}}), "size 0 of dimension 'x'");
  WRONG("t",
        FIELD(.dtype = WEIR_F64, .rank = 2, .dim = {{.name = "y", .size = INT64_MAX / 4}, {.name = "x", .size = 9}}),
        "of dimension");
  WRONG("t", FIELD(.dtype = WEIR_F64, DIM1, .attribute_count = 2), "2 attributes");
  f = (weir_field_options){.type = {.dtype = WEIR_F64, DIM1}, .start = (int64_t[]){2}, .count = (int64_t[]){3}};
  WRONG("t", &f, "the piece [3] from [2] on is not inside [4]");
  f.count = NULL;
  WRONG("t", &f, "needs both start and count");
  assert_int_equal(weir_field_define(stream, "t", FIELD(.dtype = WEIR_F64, DIM1)), WEIR_OK);
  assert_int_equal(weir_field_define(stream, "t", FIELD(.dtype = WEIR_F64, DIM1)), WEIR_ERR_STATE);
  assert_int_equal(weir_piece_define(stream, "t", (int64_t[]){INT64_MAX}, (int64_t[]){1}, NULL), WEIR_ERR_ARGUMENT);
  assert_int_equal(weir_piece_define(stream, "q", (int64_t[]){0}, (int64_t[]){1}, NULL), WEIR_ERR_ARGUMENT);
  assert_int_equal(weir_stream_close(&stream), WEIR_OK);
}

/* Without a run the calls do nothing, but acquire still gives memory. NULL is a stream, too. */
static void without_a_run_nothing_happens(void **state) {
  (void)state;
  weir_stream *stream;
  double      *u;
  unsetenv("WEIR_RUN");
  assert_int_equal(weir_stream_open("sim", 0, 1, NULL, &stream), WEIR_OK);
  assert_int_equal(define_1d(stream, "u", false), WEIR_OK);
  assert_int_equal(weir_step_begin(stream, 1, 0), WEIR_OK);
  assert_int_equal(put_1d(stream, "whatever", 0), WEIR_OK);
  assert_false(weir_wanted(stream, "u"));
  assert_int_equal(weir_put_acquire(stream, "u", 0, (void **)&u), WEIR_OK);
  u[0] = u[3] = 1;
  assert_int_equal(weir_put_commit(stream, "u", 0), WEIR_OK);
  assert_int_equal(weir_put_acquire(stream, "v", 0, (void **)&u), WEIR_ERR_ARGUMENT);
  assert_null(u);
  assert_int_equal(weir_step_end(stream), WEIR_OK);
  assert_int_equal(weir_stream_close(&stream), WEIR_OK);
  assert_int_equal(weir_step_begin(NULL, 1, 0), WEIR_OK);
  assert_int_equal(put_1d(NULL, "u", 0), WEIR_OK);
  assert_int_equal(weir_step_end(NULL), WEIR_OK);
  assert_string_equal(weir_stream_error(NULL), "");
  assert_int_equal(weir_stream_close(&stream), WEIR_OK);
}

static void check_goes_on(weir_stream *stream) {
  double *u;
  for (int64_t step = 100; step < 110; step++) {
    assert_int_equal(weir_step_begin(stream, step, 0), WEIR_OK);
    assert_int_equal(put_1d(stream, "u", 0), WEIR_OK);
    assert_int_equal(weir_put_acquire(stream, "u", 0, (void **)&u), WEIR_OK);
    u[3] = 1;
    assert_int_equal(weir_put_commit(stream, "u", 0), WEIR_OK);
    assert_int_equal(weir_step_end(stream), WEIR_OK);
  }
}

static void no_worker_comes(void **state) {
  (void)state;
  scene        s = scene_open();
  weir_stream *stream;
  setenv("WEIR_RUN", s.run, 1);
  setenv("WEIR_ATTACH_TIMEOUT", "0.2", 1);
  assert_int_equal(weir_stream_open("sim", 0, 1, NULL, &stream), WEIR_OK);
  unsetenv("WEIR_RUN");
  unsetenv("WEIR_ATTACH_TIMEOUT");
  assert_int_equal(define_1d(stream, "u", false), WEIR_OK);
  double begin = now_s();
  assert_int_equal(weir_step_begin(stream, 1, 0), WEIR_ERR_TIMEOUT);
  assert_true(now_s() - begin >= 0.2 && now_s() - begin < 3);
  ERROR_HAS(stream, "no worker came within 0.2 s");
  check_goes_on(stream);
  ERROR_HAS(stream, "no worker came within 0.2 s");
  assert_int_equal(weir_stream_close(&stream), WEIR_OK);
  scene_close(&s, 0);
}

static void no_run_directory(void **state) {
  (void)state;
  scene        s = scene_open();
  weir_stream *stream;
  assert_int_equal(weir_stream_open("sim", 0, 1, &(weir_stream_options){.run = "/nonexistent/run"}, &stream), WEIR_OK);
  assert_int_equal(define_1d(stream, "u", false), WEIR_OK);
  assert_int_equal(weir_step_begin(stream, 1, 0), WEIR_ERR_IO);
  ERROR_HAS(stream, "/nonexistent/run/channel");
  check_goes_on(stream);
  assert_int_equal(weir_stream_close(&stream), WEIR_OK);
  scene_close(&s, 0);
}

static void workers_refuse(void **state) {
  (void)state;
  scene   s = scene_open();
  watcher w = {.refusal = "gyre.yaml:4:9: no field 'uu'"};
  watcher_start(&w, &s, "sim");
  weir_stream *stream = open_stream(&s, "sim");
  assert_int_equal(define_1d(stream, "u", false), WEIR_OK);
  assert_int_equal(weir_step_begin(stream, 1, 0), WEIR_ERR_INPUT);
  ERROR_HAS(stream, "gyre.yaml:4:9: no field 'uu'");
  check_goes_on(stream);
  assert_int_equal(weir_stream_close(&stream), WEIR_OK);
  watcher_join(&w);
  scene_close(&s, 0);
}

/* The demands need more memory than there is: that stream ends, both sides know why, the simulation goes on. */
static void no_memory_for_the_slots(void **state) {
  (void)state;
  scene   s = scene_open();
  watcher w = {.all = true, .slots = 512};
  watcher_start(&w, &s, "sim");
  weir_stream *stream = open_stream(&s, "sim");
  assert_int_equal(
      weir_field_define(stream, "u",
                        &(weir_field_options){
                            .type = {.dtype = WEIR_F64, .rank = 1, .dim = {{.name = "x", .size = (int64_t)1 << 36}}}}),
      WEIR_OK);
  assert_int_equal(weir_step_begin(stream, 1, 0), WEIR_ERR_MEMORY);
  ERROR_HAS(stream, "data segment of stream 'sim', rank 0");
  assert_int_equal(weir_step_end(stream), WEIR_OK);
  assert_int_equal(weir_stream_close(&stream), WEIR_OK);
  watcher_join(&w);
  assert_int_equal(w.end, WEIR__CHANNEL_LOST);
  assert_non_null(strstr(w.message, "are available"));
  scene_close(&s, 0);
}

/* The n-th allocation fails, for every n: a status, nothing leaked (address sanitizer), the stream still closes. */
static void every_allocation_may_fail(void **state) {
  (void)state;
  for (uint64_t n = 1;; n++) {
    weir_stream *stream = NULL;
    double      *u;
    uint64_t     before = weir__alloc_calls();
    weir__alloc_fail_at(n);
    weir_status status = weir_stream_open("sim", 0, 1, NULL, &stream);
    if (!status) status = define_1d(stream, "u", false);
    if (!status) status = weir_piece_define(stream, "u", (int64_t[]){0}, (int64_t[]){4}, NULL);
    if (!status) status = weir_put_acquire(stream, "u", 0, (void **)&u);
    weir__alloc_fail_at(0);
    uint64_t calls = weir__alloc_calls() - before;
    assert_true(status == WEIR_OK || status == WEIR_ERR_MEMORY);
    if (!status) assert_true(u != NULL);
    assert_int_equal(weir_stream_close(&stream), WEIR_OK);
    if (!status) {
      assert_true(n > 5 && calls < n);
      break;
    }
  }
}

/* The same for what the first step does: nothing stays behind, neither descriptors nor files. */
static void every_allocation_of_the_first_step_may_fail(void **state) {
  (void)state;
  scene s = scene_open();
  setenv("WEIR_ATTACH_TIMEOUT", "0", 1);
  for (uint64_t n = 1;; n++) {
    weir_stream *stream;
    assert_int_equal(weir_stream_open("sim", 0, 1, &(weir_stream_options){.run = s.run}, &stream), WEIR_OK);
    assert_int_equal(define_1d(stream, "u", false), WEIR_OK);
    assert_int_equal(define_1d(stream, "mask", true), WEIR_OK);
    weir__alloc_fail_at(n);
    weir_status put   = put_1d(stream, "mask", 1);
    weir_status begin = weir_step_begin(stream, 1, 0);
    weir__alloc_fail_at(0);
    assert_true(put == WEIR_OK || put == WEIR_ERR_MEMORY);
    assert_true(begin == WEIR_ERR_TIMEOUT || begin == WEIR_ERR_MEMORY);
    check_goes_on(stream);
    assert_int_equal(weir_stream_close(&stream), WEIR_OK);
    if (put || begin == WEIR_ERR_MEMORY) continue;
    assert_true(n > 5);
    break;
  }
  unsetenv("WEIR_ATTACH_TIMEOUT");
  scene_close(&s, 0);
}

/* With WEIR_VERBOSE one line on stderr says that the analysis ended; without it nothing is printed. */
static void only_verbose_prints(void **state) {
  (void)state;
  scene s = scene_open();
  setenv("WEIR_ATTACH_TIMEOUT", "0", 1);
  for (int verbose = 0; verbose < 2; verbose++) {
    weir_stream *stream;
    char         text[1024] = "", path[600];
    snprintf(path, sizeof path, "%s/stderr", s.run);
    if (verbose) setenv("WEIR_VERBOSE", "1", 1);
    int   saved = dup(STDERR_FILENO);
    FILE *file  = fopen(path, "w+");
    assert_non_null(file);
    dup2(fileno(file), STDERR_FILENO);
    assert_int_equal(weir_stream_open("sim", 0, 1, &(weir_stream_options){.run = s.run}, &stream), WEIR_OK);
    assert_int_equal(weir_step_begin(stream, 1, 0), WEIR_ERR_TIMEOUT);
    assert_int_equal(weir_stream_close(&stream), WEIR_OK);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    if (!verbose) assert_int_equal(length, 0);
    if (verbose) assert_non_null(strstr(text, "weir: stream 'sim', rank 0: no analysis from here on: "));
    if (verbose) assert_ptr_equal(strchr(text, '\n'), text + length - 1);
  }
  unsetenv("WEIR_VERBOSE");
  unsetenv("WEIR_ATTACH_TIMEOUT");
  scene_close(&s, 0);
}

/* ---- files of the simulation's own ---- */

static void step_1d(weir_stream *stream, int64_t step) {
  assert_int_equal(weir_step_begin(stream, step, 0.5 * (double)step), WEIR_OK);
  assert_int_equal(put_1d(stream, "u", (double)step), WEIR_OK);
  assert_int_equal(weir_step_end(stream), WEIR_OK);
}

static void files_are_told_with_the_next_step(void **state) {
  (void)state;
  static const int64_t saved[] = {WEIR__CHANNEL_UNSAVED, 3, WEIR__CHANNEL_UNSAVED, 9};
  scene                s       = scene_open();
  watcher              w       = {.all = true};
  watcher_start(&w, &s, "sim");
  weir_stream *stream = open_stream(&s, "sim");
  assert_int_equal(define_1d(stream, "u", false), WEIR_OK);
  assert_int_equal(weir_stream_checkpoint(stream, 2), WEIR_OK); /* before the first step: nobody needs it */
  step_1d(stream, 3);
  assert_int_equal(weir_stream_checkpoint(stream, 2), WEIR_ERR_ARGUMENT);
  ERROR_HAS(stream, "a file to go on with after step 2 was marked after step 3");
  assert_int_equal(weir_stream_checkpoint(stream, 3), WEIR_OK);
  step_1d(stream, 4);
  step_1d(stream, 8);
  assert_int_equal(weir_stream_checkpoint(stream, 9), WEIR_OK); /* a later one, that was not published */
  step_1d(stream, 10);
  assert_int_equal(weir_stream_checkpoint(stream, 9), WEIR_ERR_ARGUMENT);
  assert_int_equal(weir_stream_close(&stream), WEIR_OK);
  watcher_join(&w);
  assert_int_equal(w.steps, 4);
  for (int i = 0; i < 4; i++) assert_true(w.step[i].record.saved == saved[i] && !w.step[i].record.tombstone);
  watcher_clear(&w);
  scene_close(&s, 0);
}

static void without_a_run_files_are_nobodys_business(void **state) {
  (void)state;
  weir_stream *stream;
  unsetenv("WEIR_RUN");
  assert_int_equal(weir_stream_open("sim", 0, 1, NULL, &stream), WEIR_OK);
  assert_int_equal(define_1d(stream, "u", false), WEIR_OK);
  step_1d(stream, 3);
  assert_int_equal(weir_stream_checkpoint(stream, 3), WEIR_OK);
  assert_int_equal(weir_stream_checkpoint(stream, 2), WEIR_OK);
  assert_string_equal(weir_stream_error(stream), "");
  assert_int_equal(weir_stream_close(&stream), WEIR_OK);
  assert_int_equal(weir_stream_checkpoint(NULL, 3), WEIR_OK);
}

static void it_learns_where_to_go_on(void **state) {
  (void)state;
  static const char *const garbage[] = {"", "x", "12x", "1.5", " 12", "99999999999999999999"};
  int64_t                  step      = 7;
  unsetenv("WEIR_RESTART_STEP");
  assert_false(weir_restart_step(&step));
  for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
    setenv("WEIR_RESTART_STEP", garbage[i], 1);
    if (weir_restart_step(&step) || step != 7) fail_msg("'%s' was taken for %lld", garbage[i], (long long)step);
  }
  setenv("WEIR_RESTART_STEP", "5000000000", 1);
  assert_false(weir_restart_step(NULL));
  assert_true(weir_restart_step(&step));
  assert_int_equal(step, 5000000000);
  unsetenv("WEIR_RESTART_STEP");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(strided_pieces_arrive),
      cmocka_unit_test(only_what_is_wanted_travels),
      cmocka_unit_test(acquired_memory_is_published),
      cmocka_unit_test(steps_are_left_out),
      cmocka_unit_test(misuse_of_puts_is_told),
      cmocka_unit_test(misuse_of_definitions_is_told),
      cmocka_unit_test(without_a_run_nothing_happens),
      cmocka_unit_test(no_worker_comes),
      cmocka_unit_test(no_run_directory),
      cmocka_unit_test(workers_refuse),
      cmocka_unit_test(no_memory_for_the_slots),
      cmocka_unit_test(every_allocation_may_fail),
      cmocka_unit_test(every_allocation_of_the_first_step_may_fail),
      cmocka_unit_test(only_verbose_prints),
      cmocka_unit_test(files_are_told_with_the_next_step),
      cmocka_unit_test(without_a_run_files_are_nobodys_business),
      cmocka_unit_test(it_learns_where_to_go_on),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
