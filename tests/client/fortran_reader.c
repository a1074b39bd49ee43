/* The worker's end for test_fortran.sh: fortran_reader RUN checks what fortran_writer.f90 sends. */
#include "client/watcher.h"

enum { NX = 7, NY = 5, NZ = 3, STEPS = 20 };

static void check_field(const scene *s) {
  weir__channel *channel;
  while (weir__channel_attach(s->run, "sim", 0, &channel) == WEIR_ERR_GONE) rest_ms(2);
  const weir__channel_definitions *d = weir__channel_definitions_of(channel);
  assert_int_equal(d->fields, 6);
  assert_string_equal(d->time_units, "s");
  const weir_field_type *t = &d->field[0].type;
  assert_string_equal(d->field[0].name, "t");
  assert_true(t->dtype == WEIR_F64 && t->rank == 2 && t->location == WEIR_AT_U && t->has_fill && t->fill == -1);
  assert_string_equal(t->units, "K");
  assert_string_equal(t->dim[0].name, "y");
  assert_string_equal(t->dim[1].name, "x");
  assert_true(t->dim[0].size == NY && t->dim[1].size == NX);
  assert_true(t->dim[1].origin == 1 && t->dim[0].origin == 2 && t->dim[1].spacing == 0.5 && t->dim[0].spacing == 0.25);
  assert_true(t->dim[1].periodic && !t->dim[0].periodic && !t->dim[0].units);
  assert_string_equal(t->dim[1].units, "m");
  assert_string_equal(d->field[1].type.dim[0].name, "z");
  assert_true(d->field[2].is_static);
  assert_string_equal(d->field[3].type.dim[0].name, "t");
  assert_string_equal(d->field[3].type.dim[4].name, "p");
  assert_true(d->parameters == 1 && d->feedbacks == 4 && d->feedback_pieces == 5);
  assert_true(d->parameter[0].value == 1.25 && d->parameter[0].least == 0 && d->parameter[0].most == 1e6);
  assert_string_equal(d->parameter[0].name, "wind");
  assert_string_equal(d->feedback[0].name, "dt");
  assert_string_equal(d->feedback[0].type.units, "K");
  assert_string_equal(d->feedback[0].type.dim[0].name, "y");
  weir__channel_detach(&channel);
}

static void check_steps(const watcher *w) {
  assert_int_equal(w->steps, STEPS);
  assert_int_equal(w->end, WEIR__CHANNEL_END);
  for (int n = 0; n < STEPS; n++) {
    const seen_step *seen = &w->step[n];
    int              step = n + 1;
    assert_true(seen->record.step == step && seen->record.time == 0.5 * step && !seen->record.tombstone);
    assert_true(seen->record.saved == (step == 6 ? 5 : step == 13 ? 12 : WEIR__CHANNEL_UNSAVED));
    /* pieces in the order they came to be: t, a 1, a 2, k, b, e (empty), dt */
    const double *t = seen->piece[0].data;
    for (int j = 0; j < NY; j++)
      for (int i = 0; i < NX; i++) assert_true(t[j * NX + i] == 1000 * step + 10 * (j + 1) + i + 1);
    for (int p = 1; p < 3; p++) {
      const weir_view *a = &seen->piece[p];
      const float     *x = a->data;
      assert_true(a->count[0] == NZ && a->count[1] == p + 1 && a->count[2] == NX && a->start[1] == (p == 1 ? 0 : 2));
      for (int64_t l = 0; l < NZ; l++)
        for (int64_t j = 0; j < a->count[1]; j++)
          for (int64_t i = 0; i < NX; i++)
            assert_true(*x++ == (float)(1000 * step + 100 * (l + 1) + 10 * (a->start[1] + j + 1) + i + 1));
    }
    for (int i = 0; i < NX; i++) assert_int_equal(((int32_t *)seen->piece[3].data)[i], (NX - i) * (NX - i));
    for (int i = 0; i < 48; i++) assert_int_equal(((int32_t *)seen->piece[4].data)[i], step + i + 1);
    assert_null(seen->piece[5].data);
    assert_true(*(double *)seen->piece[6].data == 0.125);
  }
}

/* ---- the way back ---- */

enum { DELAY = 2 };

/* The value of an element: of fields with up to three dimensions from its indices, else from its place. */
static weir_status write_piece(weir__channel *channel, int piece, uint64_t sequence) {
  const weir__channel_definitions *d      = weir__channel_definitions_of(channel);
  const weir_region               *region = &d->feedback_piece[piece].region;
  const weir_field_type           *type   = &d->feedback[d->feedback_piece[piece].field].type;
  double                           memory[NX * NY * NZ];
  weir_view                        view = weir__view_dense(memory, type, region);
  int64_t                          n = 0, index[WEIR_RANK_MAX] = {0}, row = weir_view_row(&view);
  view.missing = sequence % 4 == 0;
  do {
    for (int64_t i = 0; i < row; i++, n++) {
      double base = 0, value;
      for (int a = 0; a < type->rank - 1; a++) base = base * 10 + (double)(region->start[a] + index[a]);
      value                     = 1000 * (double)sequence + (type->rank > 3 ? (double)n : base * 10 + (double)i);
      int64_t at[WEIR_RANK_MAX] = {0};
      memcpy(at, index, sizeof at);
      if (type->rank) at[type->rank - 1] = i;
      weir_view_store(&view, at, 1, &value);
    }
  } while (weir_view_next_row(&view, index));
  return weir__channel_feedback_write(channel, piece, sequence, &view);
}

static weir_status decide(weir__channel *channel, uint64_t sequence) {
  uint64_t             next   = sequence + DELAY;
  weir__channel_change change = {sequence, next, WEIR__CHANGE_PARAMETER, 0, {10 * (double)next}};
  WEIR_TRY(weir__channel_change_post(channel, &change));
  for (int p = 0; p < weir__channel_definitions_of(channel)->feedback_pieces; p++)
    WEIR_TRY(write_piece(channel, p, next));
  weir__channel_horizon(channel, next + 1);
  return WEIR_OK;
}

static void fortran_arrives(void **state) {
  const scene *s = *state;
  watcher      w = {.all = true, .slots = 3, .decide = decide, .horizon = DELAY};
  for (int f = 0; f < 4; f++) w.feedback[f] = (weir__channel_feedback){.given = true, .lag = DELAY};
  check_field(s);
  watcher_start(&w, s, "sim");
  watcher_join(&w);
  check_steps(&w);
  watcher_clear(&w);
}

int main(int argc, char **argv) {
  scene                   s       = {0};
  const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(fortran_arrives, &s)};
  if (argc != 2) return 2;
  snprintf(s.run, sizeof s.run, "%s", argv[1]);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
