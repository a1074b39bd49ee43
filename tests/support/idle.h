/* Functions of operators that are only planned, never asked for a value. */
#ifndef WEIR_TESTS_IDLE_H
#define WEIR_TESTS_IDLE_H
#include <weir/operator.h>

static weir_status idle_apply(const weir_apply *a) {
  (void)a;
  return WEIR_OK;
}
static size_t idle_partial_size(const void *p, const weir_field_type *const *in, const weir_region *out) {
  (void)p, (void)in, (void)out;
  return 8;
}
static void idle_combine(const void *p, const weir_field_type *const *in, const weir_region *out, void *into,
                         const void *from) {
  (void)p, (void)in, (void)out, (void)into, (void)from;
}
#endif
