/* What the client costs: a step nobody asks for, a put against memcpy.
 * weir-test: timeout=120
 * Prints figures; the limits are wide, for busy machines. */
#include "channel/scene.h"

#include "channel/channel.h"
#include <pthread.h>
#include <weir/client.h>

enum { N = 1 << 20, STEPS = 40, ROUNDS = 5, CALLS = 200000 };

typedef struct server {
  const scene          *s;
  weir__channel_trigger trigger;
  bool                  steering; /* with a parameter and a feedback field */
  int64_t               read;
  pthread_t             thread;
} server;

static void *serve(void *argument) {
  server              *v = argument;
  weir__doorbell      *bell;
  weir__channel       *channel;
  weir__channel_record record;
  weir__channel_event  event;
  uint32_t             seen = 0;
  assert_int_equal(weir__doorbell_create(&bell), WEIR_OK);
  assert_int_equal(weir__doorbell_expect(bell, 0, 1), WEIR_OK);
  while (weir__channel_attach(v->s->run, "sim", 0, &channel)) rest_ms(1);
  weir__channel_want     want       = {1, {1, {0}, {N}}};
  weir__channel_demand   demands[3] = {{1, &want}, {1, &want}, {1, &want}};
  weir__channel_terms    terms    = {.trigger = &v->trigger, .triggers = 1, .doorbell = bell, .steering = v->steering};
  weir__channel_feedback feedback = {.given = true, .lag = 1};
  if (v->steering) terms.feedback = &feedback;
  assert_int_equal(weir__channel_demand_post(channel, demands, &terms), WEIR_OK);
  while (weir__channel_map(channel) == WEIR_END) weir__doorbell_wait(bell, &seen, 1000000000);
  while ((event = weir__channel_next(channel, &record)) == WEIR__CHANNEL_STEP || event == WEIR__CHANNEL_NOTHING) {
    if (event == WEIR__CHANNEL_NOTHING) {
      weir__doorbell_wait(bell, &seen, 1000000000);
      continue;
    }
    v->read++;
    weir__channel_acknowledge(channel, record.sequence + record.more + 1);
  }
  weir__channel_detach(&channel);
  weir__doorbell_destroy(&bell);
  return NULL;
}

static weir_stream *start(const scene *s, server *v, int fields) {
  static const char *names[] = {"u", "v", "t"};
  weir_stream       *stream;
  if (v) {
    v->s = s;
    assert_int_equal(pthread_create(&v->thread, NULL, serve, v), 0);
  }
  assert_int_equal(weir_stream_open("sim", 0, 1, &(weir_stream_options){.run = v ? s->run : NULL}, &stream), WEIR_OK);
  weir_field_options options = {.type = {.dtype = WEIR_F64, .rank = 1, .dim = {{.name = "x", .size = N}}}};
  for (int f = 0; f < fields; f++) assert_int_equal(weir_field_define(stream, names[f], &options), WEIR_OK);
  if (!v || !v->steering) return stream;
  assert_int_equal(weir_parameter_define(stream, "p", 1, 0, 2), WEIR_OK);
  assert_int_equal(weir_feedback_define(stream, "back", &options), WEIR_OK);
  return stream;
}

/* Nanoseconds of a step with three puts that nobody asks for: the least of some rounds. */
static double idle_step(weir_stream *stream, const double *u, bool puts) {
  weir_array array = {.data = u, .dtype = WEIR_F64, .rank = 1, .extent = {N}};
  double     least = 1e9;
  int64_t    step  = 1;
  assert_int_equal(weir_step_begin(stream, step, 0), WEIR_OK); /* attaches */
  for (int f = 0; f < 3; f++) assert_int_equal(weir_put(stream, f == 0 ? "u" : f == 1 ? "v" : "t", &array), WEIR_OK);
  assert_int_equal(weir_step_end(stream), WEIR_OK);
  for (int round = 0; round < ROUNDS; round++) {
    double begin = now_s();
    for (int i = 0; i < CALLS; i++) {
      step++;
      if (weir_step_begin(stream, step, (double)step)) fail();
      if (puts && (weir_put(stream, "u", &array) || weir_put(stream, "v", &array) || weir_put(stream, "t", &array)))
        fail();
      if (weir_step_end(stream)) fail();
    }
    double each = (now_s() - begin) / CALLS * 1e9;
    if (each < least) least = each;
  }
  return least;
}

static void idle_steps_cost_little(void **state) {
  (void)state;
  scene        s      = scene_open();
  double      *u      = calloc(N, sizeof *u);
  weir_stream *stream = start(&s, NULL, 3);
  double       off    = idle_step(stream, u, true);
  assert_int_equal(weir_stream_close(&stream), WEIR_OK);
  double on[2];
  for (int puts = 0; puts < 2; puts++) {
    server v = {.trigger = {.period = INT64_C(1) << 60, .phase = -1}}; /* never */
    stream   = start(&s, &v, 3);
    on[puts] = idle_step(stream, u, puts);
    assert_int_equal(weir_stream_close(&stream), WEIR_OK);
    pthread_join(v.thread, NULL);
    assert_int_equal(v.read, 0);
  }
  printf("step_begin .. step_end with three puts: %.1f ns without a run; nothing demanded, with workers: %.1f ns, and "
         "%.1f ns "
         "without the puts\n",
         off, on[1], on[0]);
  assert_true(on[1] < 5000 && off < 5000);
  free(u);
  scene_close(&s, 0);
}

/* A stream that is steered, in steps that nobody looks at: begin, ask for the parameter and the field, end. */
static void nothing_to_receive_costs_little(void **state) {
  (void)state;
  scene        s = scene_open();
  double      *u = calloc(N, sizeof *u), p, least = 1e9;
  server       v      = {.trigger = {.period = INT64_C(1) << 60, .phase = -1}, .steering = true}; /* never */
  weir_stream *stream = start(&s, &v, 3);
  weir_target  target = {.data = u, .dtype = WEIR_F64, .rank = 1, .extent = {N}};
  int64_t      step   = 0;
  for (int round = 0; round < ROUNDS; round++) {
    double begin = now_s();
    for (int i = 0; i < CALLS; i++) {
      step++;
      if (weir_step_begin(stream, step, 0) || weir_parameter_get(stream, "p", &p) || p != 1 ||
          weir_get(stream, "back", &target) != WEIR_END || weir_step_end(stream))
        fail();
    }
    double each = (now_s() - begin) / CALLS * 1e9;
    if (round && each < least) least = each; /* the first one attaches */
  }
  assert_int_equal(weir_stream_close(&stream), WEIR_OK);
  pthread_join(v.thread, NULL);
  printf("a step with nothing to receive: %.1f ns\n", least);
  assert_true(least < 5000);
  free(u);
  scene_close(&s, 0);
}

static void puts_are_as_fast_as_memcpy(void **state) {
  (void)state;
  scene        s = scene_open();
  double      *u = calloc(N, sizeof *u), *copy = malloc(8 * N * sizeof *copy);
  server       v      = {.trigger = {.period = 1}};
  weir_stream *stream = start(&s, &v, 1);
  weir_array   array  = {.data = u, .dtype = WEIR_F64, .rank = 1, .extent = {N}};
  double       put = 1e9, plain = 1e9, bytes = N * (double)sizeof *u;
  memset(copy, 1, 8 * N * sizeof *copy); /* its pages are there, as those of the channel */
  for (int64_t step = 0; step < STEPS; step++) {
    assert_int_equal(weir_step_begin(stream, step, 0), WEIR_OK);
    rest_ms(2); /* the worker has taken the last one */
    double begin = now_s();
    assert_int_equal(weir_put(stream, "u", &array), WEIR_OK);
    double took = now_s() - begin;
    assert_int_equal(weir_step_end(stream), WEIR_OK);
    if (took < put) put = took;
    rest_ms(2);
    begin = now_s();
    memcpy(copy + step % 8 * N, u, N * sizeof *u);
    took = now_s() - begin;
    if (took < plain) plain = took;
    u[step] = copy[step % 8 * N + step] + 1;
  }
  assert_int_equal(weir_stream_close(&stream), WEIR_OK);
  pthread_join(v.thread, NULL);
  assert_int_equal(v.read, STEPS);
  printf("put of 8 MiB: %.2f GB/s, memcpy: %.2f GB/s, ratio %.2f\n", bytes / put * 1e-9, bytes / plain * 1e-9,
         plain / put);
  assert_true(plain / put > 0.3);
  free(copy);
  free(u);
  scene_close(&s, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(idle_steps_cost_little),
                                     cmocka_unit_test(nothing_to_receive_costs_little),
                                     cmocka_unit_test(puts_are_as_fast_as_memcpy)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
