/* The way back: decisions and fields reach the step they are for, whatever either side does.
 * weir-test: timeout=60 */
#include "channel/ends.h"

#include "core/clock.h"
#include <pthread.h>
#include <sched.h>

enum { STEPS = 4000 };

static void changes_take_effect_at_their_step(void **state) {
  (void)state;
  scene    s = scene_open();
  ends     e;
  terms_of t;
  set_terms(&t, WEIR__LATE_HOLD, false);
  open_ends(&e, &s, &t);
  weir__writer *w = e.p.writer;
  assert_true(weir__writer_parameter(w, WIND) == 1 && weir__writer_parameter(w, GAIN) == -2.5);
  post(&e, parameter_change(0, 1, WIND, 3));
  post(&e, parameter_change(1, 3, WIND, 5)); /* decided before, for later */
  post(&e, parameter_change(2, 2, GAIN, 1));
  post(&e, parameter_change(3, 2, GAIN, 2)); /* the later one counts */
  post(&e, parameter_change(1, 0, WIND, 9)); /* posted already */
  refused(&e, parameter_change(5, 9, WIND, 1), WEIR_ERR_ARGUMENT);
  refused(&e, parameter_change(4, 9, 2, 1), WEIR_ERR_ARGUMENT);
  refused(&e, parameter_change(4, 9, GAIN, 11), WEIR_ERR_ARGUMENT);
  refused(&e, parameter_change(4, 9, GAIN, NAN), WEIR_ERR_ARGUMENT);
  refused(&e, (weir__channel_change){4, 9, WEIR__CHANGE_TRIGGER, 2, {1}}, WEIR_ERR_ARGUMENT);
  refused(&e, (weir__channel_change){4, 9, WEIR__CHANGE_TRIGGER, NEVER, {1.5}}, WEIR_ERR_ARGUMENT);
  refused(&e, (weir__channel_change){4, 9, WEIR__CHANGE_TRIGGER, NEVER, {-1}}, WEIR_ERR_ARGUMENT);
  static const double wind[] = {1, 3, 3, 5}, gain[] = {-2.5, -2.5, 2, 2};
  for (int i = 0; i < 4; i++) {
    begin(&e, i, true);
    assert_true(weir__writer_parameter(w, WIND) == wind[i] && weir__writer_parameter(w, GAIN) == gain[i]);
    post(&e, parameter_change(4 + (uint64_t)i, 5, WIND, i)); /* while the step goes on */
    assert_true(weir__writer_parameter(w, WIND) == wind[i]);
    finish(&e, (uint64_t)i, i);
  }
  begin(&e, 4, true);
  finish(&e, 4, 4);
  begin(&e, 5, true);
  assert_true(weir__writer_parameter(w, WIND) == 3);
  pair_close(&e.p);
  scene_close(&s, 0);
}

static void triggers_change_for_the_step_itself(void **state) {
  (void)state;
  scene    s = scene_open();
  ends     e;
  terms_of t;
  set_terms(&t, WEIR__LATE_HOLD, false);
  open_ends(&e, &s, &t);
  begin(&e, 0, true);
  finish(&e, 0, 0);
  post(&e, (weir__channel_change){0, 1, WEIR__CHANGE_TRIGGER, OFTEN, {4, 3, 0}});
  begin(&e, 1, false); /* this step would have been published */
  expect_field(&e, WEIR_END);
  assert_int_equal(weir__writer_end(e.p.writer, NULL), WEIR_OK);
  begin(&e, 2, false);
  begin(&e, 3, true);
  finish(&e, 1, 3);
  post(&e, (weir__channel_change){1, 2, WEIR__CHANGE_TRIGGER, NEVER, {0, 0, 0.5}});
  begin(&e, 4, false); /* nothing fires, so nothing is looked at */
  begin(&e, 7, true);
  finish(&e, 2, 7);
  begin(&e, 8, true); /* by the other trigger */
  post(&e, (weir__channel_change){2, 3, WEIR__CHANGE_TRIGGER, OFTEN, {0}});
  finish(&e, 3, 8);
  replace_worker(&e, &s, &t); /* who has the terms of the beginning, as all do */
  pair_close(&e.p);
  scene_close(&s, 0);
}

/* A simulation that was started again has a channel without changes, its worker has not. */
static void numbers_go_on(void **state) {
  (void)state;
  scene    s = scene_open();
  ends     e;
  terms_of t;
  set_terms(&t, WEIR__LATE_HOLD, false);
  open_ends(&e, &s, &t);
  post(&e, parameter_change(41, 0, WIND, 4));
  refused(&e, parameter_change(43, 0, WIND, 5), WEIR_ERR_ARGUMENT);
  post(&e, parameter_change(41, 0, WIND, 6));
  begin(&e, 0, true);
  assert_true(weir__writer_parameter(e.p.writer, WIND) == 4);
  finish(&e, 0, 0);
  replace_worker(&e, &s, &t);
  post(&e, parameter_change(40, 0, WIND, 7));
  post(&e, parameter_change(41, 0, WIND, 7));
  post(&e, parameter_change(42, 0, WIND, 8));
  begin(&e, 1, true);
  assert_true(weir__writer_parameter(e.p.writer, WIND) == 8);
  pair_close(&e.p);
  scene_close(&s, 0);
}

static void changes_are_bounded(void **state) {
  (void)state;
  scene    s = scene_open();
  ends     e;
  terms_of t;
  set_terms(&t, WEIR__LATE_HOLD, false);
  open_ends(&e, &s, &t);
  uint64_t n = 0;
  for (; n < WEIR__CHANGES_MAX; n++) post(&e, parameter_change(n, n ? 1 : 0, WIND, (double)n));
  refused(&e, parameter_change(n, 1, WIND, 1), WEIR_ERR_OVERFLOW);
  begin(&e, 0, true);
  assert_true(weir__writer_parameter(e.p.writer, WIND) == 0);
  post(&e, parameter_change(n, 1, WIND, (double)n));
  n++;
  refused(&e, parameter_change(n, 1, WIND, 1), WEIR_ERR_OVERFLOW);
  finish(&e, 0, 0);
  begin(&e, 1, true);
  assert_true(weir__writer_parameter(e.p.writer, WIND) == (double)(n - 1));
  for (uint64_t i = 0; i < WEIR__CHANGES_MAX; i++) post(&e, parameter_change(n + i, 2, WIND, 1));
  pair_close(&e.p);
  scene_close(&s, 0);
}

static void fields_come_for_their_step(void **state) {
  (void)state;
  scene    s = scene_open();
  ends     e;
  terms_of t;
  set_terms(&t, WEIR__LATE_ZERO, true);
  open_ends(&e, &s, &t);
  weir__channel_horizon(e.p.channel, LAG);
  weir__channel_horizon(e.p.channel, 1); /* never goes back */
  for (int i = 0; i < 40; i++) {
    uint64_t q = (uint64_t)i, next = q + LAG;
    begin(&e, i, true);
    if (i < LAG || i % 5 == 0) expect_field(&e, WEIR_END); /* holes */
    else assert_true(field_is(e.p.writer, q) && field_is(e.p.writer, q));
    finish(&e, q, i);
    if (next % 10) assert_int_equal(write_field(e.p.channel, next, next % 5 == 0), WEIR_OK); /* or not at all */
    if (i % 7 == 3) { /* another worker writes all of them again */
      replace_worker(&e, &s, &t);
      for (uint64_t old = q > 6 ? q - 6 : LAG; old <= next; old++)
        if (old % 10) assert_int_equal(write_field(e.p.channel, old, old % 5 == 0), WEIR_OK);
    }
    weir__channel_horizon(e.p.channel, next + 1);
  }
  weir_view wrong = {.data = &s, .dtype = WEIR_F32, .rank = 2, .count = {NY, NX}};
  assert_int_equal(weir__channel_feedback_write(e.p.channel, NUDGE, 99, &wrong), WEIR_ERR_ARGUMENT);
  assert_int_equal(weir__channel_feedback_write(e.p.channel, PIECES, 99, &wrong), WEIR_ERR_ARGUMENT);
  wrong.dtype    = WEIR_F64;
  wrong.count[1] = NX - 1;
  assert_int_equal(weir__channel_feedback_write(e.p.channel, NUDGE, 99, &wrong), WEIR_ERR_ARGUMENT);
  pair_close(&e.p);
  scene_close(&s, 0);
}

static void late_fields_are_held_or_zero(void **state) {
  (void)state;
  for (int zero = 0; zero < 2; zero++) {
    scene    s = scene_open();
    ends     e;
    terms_of t;
    double   x[N];
    set_terms(&t, zero ? WEIR__LATE_ZERO : WEIR__LATE_HOLD, false);
    t.feedback[SCALAR].given = false;
    open_ends(&e, &s, &t);
    for (int i = 0; i < LAG + 2; i++) {
      begin(&e, i, true);
      if (i < LAG || !zero) expect_field(&e, WEIR_END); /* nothing to hold yet */
      finish(&e, (uint64_t)i, i);
    }
    for (int i = LAG + 2; i < 50; i++) { /* always a few steps late, and now and then none */
      uint64_t q = (uint64_t)i, came = q - 4 + q % 3;
      begin(&e, i, true);
      if (came >= LAG) assert_int_equal(write_field(e.p.channel, came, false), WEIR_OK);
      if (zero) {
        memset(x, 1, sizeof x);
        assert_int_equal(read_field(e.p.writer, x), WEIR_OK);
        for (int k = 0; k < N; k++) assert_true(x[k] == 0);
      } else if (came >= LAG) {
        assert_true(field_is(e.p.writer, q % 3 == 0 ? q - 3 : came)); /* the newest of those before */
      }
      float     scalar;
      weir_view view = weir__view_dense(&scalar, &feedbacks[SCALAR].type, &feedback_pieces[SCALAR].region);
      assert_int_equal(weir__writer_feedback(e.p.writer, SCALAR, &view), WEIR_END);
      finish(&e, q, i);
    }
    pair_close(&e.p);
    scene_close(&s, 0);
  }
}

/* ---- waiting ---- */

typedef struct later {
  ends           *e;
  uint64_t        horizon, field;
  bool            leave;
  _Atomic int64_t at_ns;
  pthread_t       thread;
} later;

static void *act_later(void *argument) {
  later *l = argument;
  rest_ms(150); /* longer than one sleep of the other side */
  atomic_store(&l->at_ns, weir__clock_ns());
  if (l->field) write_field(l->e->p.channel, l->field, false);
  if (l->horizon) weir__channel_horizon(l->e->p.channel, l->horizon);
  if (l->leave) weir__channel_detach(&l->e->p.channel);
  return NULL;
}

static void a_step_waits_for_the_horizon(void **state) {
  (void)state;
  scene    s = scene_open();
  ends     e;
  terms_of t;
  set_terms(&t, WEIR__LATE_HOLD, true);
  open_ends(&e, &s, &t);
  later l = {.e = &e, .horizon = 1};
  assert_int_equal(pthread_create(&l.thread, NULL, act_later, &l), 0);
  begin(&e, 0, true);
  assert_true(atomic_load(&l.at_ns) > 0);
  pthread_join(l.thread, NULL);
  weir__channel_stats stats;
  weir__writer_stats(e.p.writer, &stats);
  assert_true(stats.blocked_ns > 140000000);
  weir_view view;
  for (int piece = 0; piece < PAIR_PIECES; piece++) {
    assert_int_equal(weir__writer_view(e.p.writer, piece, &view), WEIR_OK);
    weir__writer_present(e.p.writer, piece, 0);
  }
  assert_int_equal(weir__writer_end(e.p.writer, NULL), WEIR_OK);
  weir__channel_record record;
  assert_int_equal(weir__channel_next(e.p.channel, &record), WEIR__CHANNEL_STEP);
  assert_true(record.blocked_ns > 140000000);
  weir__channel_acknowledge(e.p.channel, 1);
  bool active; /* the worker leaves a process that waits */
  l = (later){.e = &e, .leave = true};
  assert_int_equal(pthread_create(&l.thread, NULL, act_later, &l), 0);
  assert_int_equal(weir__writer_begin(e.p.writer, 1, 1, &active), WEIR_ERR_GONE);
  pthread_join(l.thread, NULL);
  pair_close(&e.p);
  scene_close(&s, 0);
}

static void without_decisions_the_fallback(void **state) {
  (void)state;
  for (int drop = 0; drop < 2; drop++) {
    scene    s = scene_open();
    ends     e;
    terms_of t;
    bool     active;
    set_terms(&t, WEIR__LATE_HOLD, true);
    t.terms.timeout_ns = 60000000;
    t.terms.fallback   = drop ? WEIR__FALLBACK_DROP : WEIR__FALLBACK_STOP;
    open_ends(&e, &s, &t);
    double from = now_s();
    if (!drop) {
      assert_int_equal(weir__writer_begin(e.p.writer, 0, 0, &active), WEIR_ERR_TIMEOUT);
      assert_true(now_s() - from >= 0.06 && now_s() - from < 5);
    }
    weir__channel_record record;
    for (int i = 0; drop && i < 20; i++) { /* waits once */
      if (i == 15) weir__channel_horizon(e.p.channel, 100);
      begin(&e, i, true);
      for (int piece = 0; piece < PAIR_PIECES; piece++) {
        weir_view view;
        assert_int_equal(weir__writer_view(e.p.writer, piece, &view), WEIR_OK);
        assert_true(!view.data == (i < 15 && piece != PAIR_MASK));
        weir__writer_present(e.p.writer, piece, 0);
      }
      assert_int_equal(weir__writer_end(e.p.writer, NULL), WEIR_OK);
      assert_int_equal(weir__channel_next(e.p.channel, &record), WEIR__CHANNEL_STEP);
      assert_true(record.dropped == (i < 15) && record.tombstone == (i < 15));
      weir__channel_acknowledge(e.p.channel, (uint64_t)i + 1);
    }
    assert_true(now_s() - from < 5);
    pair_close(&e.p);
    scene_close(&s, 0);
  }
}

static void a_field_is_waited_for(void **state) {
  (void)state;
  scene    s = scene_open();
  ends     e;
  terms_of t;
  double   x[N];
  set_terms(&t, WEIR__LATE_WAIT, false);
  t.feedback[NUDGE].timeout_ns = 400000000;
  open_ends(&e, &s, &t);
  for (int i = 0; i < LAG; i++) {
    begin(&e, i, true);
    expect_field(&e, WEIR_END); /* nothing can come so early: no wait */
    finish(&e, (uint64_t)i, i);
  }
  later l = {.e = &e, .field = LAG};
  assert_int_equal(pthread_create(&l.thread, NULL, act_later, &l), 0);
  begin(&e, LAG, true);
  assert_true(field_is(e.p.writer, LAG));
  pthread_join(l.thread, NULL);
  finish(&e, LAG, LAG);
  l = (later){.e = &e, .horizon = LAG + 2}; /* decided: there is none */
  assert_int_equal(pthread_create(&l.thread, NULL, act_later, &l), 0);
  begin(&e, LAG + 1, true);
  expect_field(&e, WEIR_END);
  pthread_join(l.thread, NULL);
  finish(&e, LAG + 1, LAG + 1);
  begin(&e, LAG + 2, true);
  double from = now_s();
  expect_field(&e, WEIR_ERR_TIMEOUT);
  assert_true(now_s() - from >= 0.4 && now_s() - from < 5);
  l = (later){.e = &e, .leave = true};
  assert_int_equal(pthread_create(&l.thread, NULL, act_later, &l), 0);
  assert_int_equal(read_field(e.p.writer, x), WEIR_ERR_GONE);
  pthread_join(l.thread, NULL);
  pair_close(&e.p);
  scene_close(&s, 0);
}

/* ---- what cannot be right ---- */

static void hostile_words_are_refused(void **state) {
  (void)state;
  for (int which = 0; which < 7; which++) {
    scene    s = scene_open();
    ends     e;
    terms_of t;
    bool     active;
    set_terms(&t, WEIR__LATE_HOLD, false);
    open_ends(&e, &s, &t);
    weir__control *c = ((weir__channel *)e.p.channel)->control;
    begin(&e, 0, true);
    finish(&e, 0, 0);
    post(&e, parameter_change(0, 0, WIND, 2));
    switch (which) {
    case 0: c->changes_posted = UINT64_MAX; break;
    case 1: c->changes_posted = WEIR__CHANGES_MAX + 1; break;
    case 2:
      post(&e, parameter_change(1, 0, WIND, 3));
      c->change[1].number = 7;
      break;
    case 3: c->change[0].index = 2; break;
    case 4: c->change[0].index = -1; break;
    case 5: c->change[0].value[0] = INFINITY; break;
    default: c->change[0].kind = 9; break;
    }
    assert_int_equal(weir__writer_begin(e.p.writer, 1, 1, &active), WEIR_ERR_INPUT);
    assert_true(weir__writer_parameter(e.p.writer, WIND) == (which == 2 ? 2 : 1));
    c->changes_posted = 1;
    c->changes_taken  = 5;
    refused(&e, parameter_change(1, 1, WIND, 1), WEIR_ERR_INPUT);
    pair_close(&e.p);
    scene_close(&s, 0);
  }
}

/* Tags with any bits: reads and writes come back, and stay inside. */
static void hostile_tags_do_not_hang(void **state) {
  (void)state;
  scene    s = scene_open();
  ends     e;
  terms_of t;
  double   x[N];
  uint64_t seed = 1;
  set_terms(&t, WEIR__LATE_HOLD, false);
  open_ends(&e, &s, &t);
  weir__channel *channel = e.p.channel;
  for (int i = 0; i < 2000; i++) {
    begin(&e, i, true);
    const weir__layout_feedback *back = &channel->layout.feedback[NUDGE];
    for (int b = 0; b < back->depth; b++) {
      weir__feedback_buffer *buffer = weir__at(channel->data, back->at + back->stride * (size_t)b);
      seed                          = seed * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
      atomic_store(&buffer->tag, i % 3 ? seed >> 40 : (uint64_t)(i + b - 1) << 3 | (seed >> 60 & 7));
    }
    weir_status status = read_field(e.p.writer, x);
    assert_true(status == WEIR_OK || status == WEIR_END);
    assert_int_equal(write_field(channel, (uint64_t)i, i % 2), WEIR_OK);
    finish(&e, (uint64_t)i, i);
  }
  assert_int_equal(write_field(channel, UINT64_MAX, false), WEIR_ERR_ARGUMENT);
  pair_close(&e.p);
  scene_close(&s, 0);
}

/* ---- both at full speed ---- */

static double wind_of(uint64_t sequence) { return (double)(sequence * 2654435761u % 1000003); }
static bool   has_field(uint64_t sequence) { return sequence % 7 != 3; }

/* What the worker decides once step `source` has come, for the one `delay` later. `number` counts its changes. */
static int decide(weir__channel *channel, uint64_t source, uint64_t *number) {
  uint64_t             next   = source + LAG;
  weir__channel_change change = parameter_change(*number, next, WIND, wind_of(next));
  CHILD_CHECK(!weir__channel_change_post(channel, &change));
  ++*number;
  if (next % 11 != 5) CHILD_CHECK(!write_field(channel, next, !has_field(next))); /* or nothing: a hole */
  weir__channel_horizon(channel, next + 1);
  return 0;
}

typedef struct race {
  const scene     *s;
  terms_of         t;
  _Atomic uint64_t acknowledged;
  int              failed;
} race;

static int simulate(const race *r) {
  weir__channel_definitions d = definitions();
  weir__writer             *writer;
  CHILD_CHECK(!weir__writer_create(r->s->run, &d, &writer));
  CHILD_CHECK(!weir__writer_await(writer, 20000000000));
  for (uint64_t q = 0; q < STEPS; q++) {
    bool      active;
    weir_view view;
    double    x[N];
    CHILD_CHECK(!weir__writer_begin(writer, (int64_t)q, (double)q, &active) && active);
    if (q % 4 == 0) nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL); /* so that there is time to kill workers */
    CHILD_CHECK(weir__writer_parameter(writer, WIND) == (q < LAG ? 1 : wind_of(q)));
    if (q < LAG || q % 11 == 5 || !has_field(q)) CHILD_CHECK(read_field(writer, x) == WEIR_END);
    else CHILD_CHECK(field_is(writer, q));
    for (int piece = 0; piece < PAIR_PIECES; piece++) {
      if ((piece == PAIR_MASK && q) || !weir__writer_wanted(writer, piece)) continue;
      CHILD_CHECK(!weir__writer_view(writer, piece, &view));
      weir__writer_present(writer, piece, 0);
    }
    CHILD_CHECK(!weir__writer_end(writer, NULL));
  }
  weir__writer_destroy(&writer, NULL);
  return 0;
}

enum { NOBODY = 20 }; /* exit status: there is no simulation (any more) */

static int analyse(race *r) {
  weir__doorbell      *bell;
  weir__channel       *channel;
  weir__channel_record record;
  weir__channel_event  event;
  weir_status          status;
  uint32_t             seen  = 0;
  weir__channel_terms  terms = r->t.terms;
  CHILD_CHECK(!weir__doorbell_create(&bell) && !weir__doorbell_expect(bell, 0, 1));
  double until = now_s() + 5;
  while ((status = weir__channel_attach(r->s->run, "pair", 0, &channel)) == WEIR_ERR_GONE && now_s() < until)
    rest_ms(1);
  if (status == WEIR_ERR_GONE) {
    weir__doorbell_destroy(&bell);
    return NOBODY;
  }
  CHILD_CHECK(!status);
  terms.feedback = r->t.feedback;
  terms.doorbell = bell;
  CHILD_CHECK(!weir__channel_demand_post(channel, pair_demands, &terms));
  while ((status = weir__channel_map(channel)) == WEIR_END) weir__doorbell_wait(bell, &seen, 100000000);
  CHILD_CHECK(!status);
  uint64_t number = weir__channel_first(channel);
  weir__channel_horizon(channel, number + LAG);
  while ((event = weir__channel_next(channel, &record)) != WEIR__CHANNEL_END) {
    CHILD_CHECK(event != WEIR__CHANNEL_LOST);
    if (event == WEIR__CHANNEL_NOTHING) {
      weir__doorbell_wait(bell, &seen, 100000000);
      continue;
    }
    CHILD_CHECK(record.sequence == number && !decide(channel, record.sequence, &number));
    if (record.sequence % 3 == 0) weir__channel_acknowledge(channel, record.sequence + 1);
  }
  weir__channel_acknowledge(channel, STEPS);
  weir__channel_detach(&channel);
  weir__doorbell_destroy(&bell);
  return 0;
}

static void *simulate_thread(void *argument) {
  race *r   = argument;
  r->failed = simulate(r);
  return NULL;
}

static void threads_agree(void **state) {
  (void)state;
  scene     s = scene_open();
  race      r = {.s = &s};
  pthread_t thread;
  set_terms(&r.t, WEIR__LATE_HOLD, true);
  assert_int_equal(pthread_create(&thread, NULL, simulate_thread, &r), 0);
  assert_int_equal(analyse(&r), 0);
  pthread_join(thread, NULL);
  assert_int_equal(r.failed, 0);
  scene_close(&s, 0);
}

static int simulate_child(const scene *s, const void *argument) {
  (void)s;
  return simulate(argument);
}

static int analyse_child(const scene *s, const void *argument) {
  race r = *(const race *)argument;
  (void)s;
  return analyse(&r);
}

/* Workers are killed at random moments; those that follow decide again what the dead ones may have decided. */
static void replacements_decide_alike(void **state) {
  (void)state;
  scene    s      = scene_open();
  race     r      = {.s = &s};
  uint32_t seed   = 5;
  int      killed = 0, status;
  set_terms(&r.t, WEIR__LATE_HOLD, true);
  r.t.terms.supervised = true;
  pid_t simulation     = scene_fork(simulate_child, &s, &r);
  for (;; killed++) {
    pid_t worker = scene_fork(analyse_child, &s, &r);
    if (killed < 40) {
      seed = seed * 1664525 + 1013904223; /* Numerical Recipes' generator: any sequence will do */
      nanosleep(&(struct timespec){.tv_nsec = 1000000 + (seed >> 8) % 9000000}, NULL);
      kill(worker, SIGKILL);
    }
    assert_int_equal(waitpid(worker, &status, 0), worker);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) continue;
    /* the simulation may have ended with the steps that the one killed last had acknowledged */
    if (killed && WIFEXITED(status) && WEXITSTATUS(status) == NOBODY) break;
    if (!WIFEXITED(status) || WEXITSTATUS(status)) fail_msg("worker %d: status %#x", killed, (unsigned)status);
    break;
  }
  assert_child_fine(simulation);
  assert_true(killed >= 3);
  weir__channel_entry *list;
  int                  count; /* looking removes notes that were half written */
  assert_int_equal(weir__channel_list(s.run, "pair", NULL, &list, &count), WEIR_OK);
  scene_close(&s, 0);
}

/* Fields that come a few steps late, to a process that holds the last one: whole, and never older than one seen before.
 */
typedef struct lateness {
  ends            *e;
  _Atomic uint64_t step;    /* that the process has begun */
  _Atomic uint64_t written; /* that a field was written for */
} lateness;

static void *write_late(void *argument) {
  lateness *l    = argument;
  uint32_t  seed = 9;
  for (uint64_t q = LAG; q < STEPS; q++) {
    seed = seed * 1664525 + 1013904223;
    while (atomic_load(&l->step) + LAG < q + 1 + (seed >> 8) % 5) sched_yield();
    write_field(l->e->p.channel, q, false);
    atomic_store(&l->written, q);
  }
  return NULL;
}

static void late_fields_are_whole(void **state) {
  (void)state;
  scene     s = scene_open();
  ends      e;
  terms_of  t;
  lateness  l = {.e = &e};
  pthread_t thread;
  double    last = 0;
  int       got = 0, held = 0;
  set_terms(&t, WEIR__LATE_HOLD, false);
  open_ends(&e, &s, &t);
  assert_int_equal(pthread_create(&thread, NULL, write_late, &l), 0);
  for (int q = 0; q < STEPS; q++) {
    double x[N];
    begin(&e, q, true);
    atomic_store(&l.step, (uint64_t)q);
    while (atomic_load(&l.written) + 20 < (uint64_t)q) sched_yield(); /* on a busy machine the other may sleep long */
    weir_status status = read_field(e.p.writer, x);
    assert_true(status == WEIR_OK || status == WEIR_END);
    if (!status) {
      for (int i = 0; i < N; i++) assert_true(x[i] == x[0] + i);
      assert_true(x[0] <= field_value((uint64_t)q, 0) && x[0] >= last);
      last = x[0];
      held += x[0] < field_value((uint64_t)q, 0);
      got++;
    }
    finish(&e, (uint64_t)q, q);
  }
  atomic_store(&l.step, 2 * STEPS);
  pthread_join(thread, NULL);
  printf("%d of %d steps had a field, %d of them an older one\n", got, STEPS, held);
  assert_true(held > 0);
  pair_close(&e.p);
  scene_close(&s, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(changes_take_effect_at_their_step),
                                     cmocka_unit_test(triggers_change_for_the_step_itself),
                                     cmocka_unit_test(numbers_go_on),
                                     cmocka_unit_test(changes_are_bounded),
                                     cmocka_unit_test(fields_come_for_their_step),
                                     cmocka_unit_test(late_fields_are_held_or_zero),
                                     cmocka_unit_test(a_step_waits_for_the_horizon),
                                     cmocka_unit_test(without_decisions_the_fallback),
                                     cmocka_unit_test(a_field_is_waited_for),
                                     cmocka_unit_test(hostile_words_are_refused),
                                     cmocka_unit_test(hostile_tags_do_not_hang),
                                     cmocka_unit_test(threads_agree),
                                     cmocka_unit_test(replacements_decide_alike),
                                     cmocka_unit_test(late_fields_are_whole)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
