/* Proves that neighbours are seen without a copy: where chunks follow each other as in the field, a region over several
 * of them is a view of their memory, with all of them as its parts; where they do not, or it wraps, it is copied; and a
 * reduction over such chunks is one call. */
#include "comm/comm.h"
#include "plan/plan.h"
#include "support/idle.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

enum { ROWS = 12, COLUMNS = 8 };

/* ---- an operator that looks a row up and down, and a reduction ---- */

static weir_status infer(weir_infer *x) {
  x->out[0]  = *x->in[0];
  x->wrap[0] = *(int *)x->params ? 1 : 0;
  return WEIR_OK;
}
static weir_status need(const void *p, const weir_field_type *const *in, int input, const weir_region *out,
                        weir_region *region) {
  int wraps = *(const int *)p;
  (void)input;
  *region = *out;
  region->start[0]--, region->count[0] += 2;
  if (wraps) return WEIR_OK;
  if (region->start[0] < 0) region->start[0]++, region->count[0]--;
  if (region->start[0] + region->count[0] > in[0]->dim[0].size) region->count[0]--;
  return WEIR_OK;
}
static const weir_operator neighbours = {.api         = WEIR_OPERATOR_API,
                                         .name        = "neighbours",
                                         .inputs      = 1,
                                         .params_size = sizeof(int),
                                         .infer       = infer,
                                         .need        = need,
                                         .apply       = idle_apply};

static weir_status infer_scalar(weir_infer *x) {
  x->out[0] = (weir_field_type){.dtype = WEIR_F64};
  return WEIR_OK;
}
static const weir_operator reduction = {.api          = WEIR_OPERATOR_API,
                                        .name         = "reduction",
                                        .inputs       = 1,
                                        .partial_size = idle_partial_size,
                                        .infer        = infer_scalar,
                                        .apply        = idle_apply,
                                        .combine      = idle_combine,
                                        .finish       = idle_apply};

static weir__plan *compiled(int64_t rows, int64_t columns, int wraps, weir__graph **graph) {
  weir__chunk_size cut[] = {{"y", rows}, {"x", columns}};
  weir_field_type  type  = {
        .dtype = WEIR_F64, .rank = 2, .dim = {{.name = "y", .size = ROWS}, {.name = "x", .size = COLUMNS}}};
  weir__edge   edge = {0, 0};
  weir__graph *g;
  weir__plan  *p;
  weir__comm  *comm;
  int          trigger, node[2];
  assert_int_equal(weir__graph_create(NULL, &g), WEIR_OK);
  g->chunk_size  = cut;
  g->chunk_sizes = 2;
  assert_int_equal(weir__graph_add_source(g, "u", 0, 0, &type, NULL, false, &edge.node), WEIR_OK);
  assert_int_equal(weir__graph_add_operator(g, &neighbours, &wraps, &edge, 1, NULL, (weir__place){0}, NULL, &node[0]),
                   WEIR_OK);
  assert_int_equal(weir__graph_add_operator(g, &reduction, NULL, &edge, 1, NULL, (weir__place){0}, NULL, &node[1]),
                   WEIR_OK);
  assert_int_equal(weir__graph_trigger(g, (weir__trigger){.period = 1}, &trigger), WEIR_OK);
  for (int i = 0; i < 2; i++) weir__graph_want(g, node[i], trigger);
  assert_int_equal(weir__graph_finish(g), WEIR_OK);
  g->chunk_sizes = 0;
  assert_int_equal(weir__comm_self(&comm), WEIR_OK);
  assert_int_equal(weir__plan_create(g, comm, &(weir__plan_options){.flight = 3}, &p), WEIR_OK);
  weir__comm_destroy(&comm);
  *graph = g;
  return p;
}

static const weir__task *task_of_kind(const weir__plan *p, weir__task_kind kind, int *count) {
  const weir__task *found = NULL;
  *count                  = 0;
  for (int i = 0; i < p->tasks; i++)
    if (p->task[i].kind == kind) found = found ? found : &p->task[i], ++*count;
  return found;
}

/* The chunks of the source: cells of 0 are those of the first node. */
static void check_order(const weir__plan *p, int chunks) {
  for (int i = 1; i < chunks; i++) {
    assert_ptr_equal(p->cell[i].base, p->cell[i - 1].base + p->cell[i - 1].bytes);
    assert_int_equal(p->cell[i].stride, p->cell[0].stride);
  }
  assert_true(p->cell[0].stride >= ROWS * COLUMNS * sizeof(double));
}

static void test_slabs(void **state) {
  weir__graph *g;
  weir__plan  *p = compiled(3, COLUMNS, 0, &g);
  int          count;
  (void)state;
  check_order(p, ROWS / 3);
  const weir__task *t = task_of_kind(p, WEIR__TASK_APPLY, &count);
  assert_int_equal(t->bits, ROWS / 3);
  for (int i = 0; i < t->bits; i++) {
    const weir__bit    *bit = &p->bit[t->bit + i];
    const weir__gather *s   = &p->gather[bit->gather];
    assert_true(s->in_place);
    assert_int_equal(s->parts, bit->chunk == 0 || bit->chunk == ROWS / 3 - 1 ? 2 : 3);
    const weir__cell *cell = &p->cell[s->cell];
    assert_int_equal(s->offset,
                     (weir__plan_region(p, s).start[0] - cell->region.start[0]) * COLUMNS * (int64_t)sizeof(double));
    assert_int_equal(p->form[s->form].stride[0], COLUMNS * sizeof(double));
  }
  t = task_of_kind(p, WEIR__TASK_REDUCE, &count); /* all chunks are one box */
  assert_int_equal(count, 1);
  assert_int_equal(t->bits, 1);
  assert_int_equal(p->gather[p->bit[t->bit].gather].parts, ROWS / 3);
  assert_int_equal(weir__plan_region(p, &p->gather[p->bit[t->bit].gather]).count[0], ROWS);
  weir__plan_destroy(&p);
  weir__graph_destroy(&g);
}

/* Single elements are in order, too; blocks are not. */
static void test_others(void **state) {
  weir__graph *g;
  int          count;
  (void)state;
  weir__plan *p = compiled(1, 1, 0, &g);
  check_order(p, ROWS * COLUMNS);
  weir__plan_destroy(&p);
  weir__graph_destroy(&g);
  p                   = compiled(3, 4, 0, &g);
  const weir__task *t = task_of_kind(p, WEIR__TASK_APPLY, &count);
  for (int i = 0; i < t->bits; i++) assert_false(p->gather[p->bit[t->bit + i].gather].in_place);
  weir__plan_destroy(&p);
  weir__graph_destroy(&g);
}

static void test_wrapped(void **state) {
  weir__graph *g;
  weir__plan  *p = compiled(3, COLUMNS, 1, &g);
  int          count;
  (void)state;
  const weir__task *t = task_of_kind(p, WEIR__TASK_APPLY, &count);
  for (int i = 0; i < t->bits; i++)
    assert_int_equal(p->gather[p->bit[t->bit + i].gather].in_place, i > 0 && i < t->bits - 1);
  weir__plan_destroy(&p);
  weir__graph_destroy(&g);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_slabs), cmocka_unit_test(test_others),
                                     cmocka_unit_test(test_wrapped)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
