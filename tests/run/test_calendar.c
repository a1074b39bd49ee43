/* weir-test: timeout=20
 * Times between units, reference dates and calendars; the numbers are those of cftime and of the standard's examples.
 */
#include "run/calendar.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct {
  const char *from, *from_calendar, *to, *to_calendar;
  double      time, expected; /* NaN: cannot be converted */
} cases[] = {
    {"h", NULL, "s", NULL, 2, 7200},
    {"s", NULL, "days", NULL, 43200, 0.5},
    {NULL, NULL, NULL, NULL, 7, 7},
    {NULL, NULL, "s", NULL, 7, NAN},
    {"s", NULL, NULL, NULL, 7, NAN},
    {"furlongs", NULL, "furlongs", NULL, 7, 7},
    {"furlongs", NULL, "s", NULL, 7, NAN},
    {"s", NULL, "seconds since 2000-01-01", NULL, 7, NAN},
    {"days since 2000-01-01", NULL, "s", NULL, 7, NAN},
    {"days since 2000-01-01", NULL, "hours since 2000-01-01", NULL, 1.5, 36},
    {"days since 2000-01-01", "gregorian", "hours since 1999-12-31 12:00", "standard", 0, 12},
    {"hours since 1900-01-01 00:00:0.0", NULL, "seconds since 1970-01-01T00:00:00Z", NULL, 613608, 0},
    {"days since 1990-3-1", NULL, "days since 1988-2-28", NULL, 0, 732},
    {"days since 1990-03-01", "noleap", "days since 1988-02-28", "365_day", 0, 731},
    {"days since 1990-03-01", "all_leap", "days since 1988-02-28", "366_day", 0, 734},
    {"days since 1990-03-01", "360_day", "days since 1988-02-28", "360_DAY", 0, 723},
    {"days since 1900-03-01", "julian", "days since 1900-02-28", "julian", 0, 2},
    {"days since 1900-03-01", NULL, "days since 1900-02-28", "proleptic_gregorian", 0, 1},
    {"days since 1582-10-15", NULL, "days since 1582-10-04", "standard", 0, 1},
    {"days since 1582-10-15", "proleptic_gregorian", "days since 1582-10-04", "proleptic_gregorian", 0, 11},
    {"days since 1582-10-15", "proleptic_gregorian", "days since 1582-10-04", NULL, 0, NAN},
    {"days since 1970-01-01", NULL, "days since 0001-01-01", "standard", 0, 719164},
    {"days since 1970-01-01", "proleptic_gregorian", "days since 0001-01-01", "proleptic_gregorian", 0, 719162},
    {"days since -0001-12-31", "proleptic_gregorian", "days since 0000-01-01", "proleptic_gregorian", 0, -1},
    {"hours since 2000-01-01 01:00 +1:00", NULL, "hours since 2000-01-01 UTC", NULL, 0, 0},
    {"hours since 2000-01-01 00:00:00 -0530", NULL, "hours since 2000-01-01", NULL, 0, 5.5},
    {"minutes since 2000-01-01 00:00:30.5", NULL, "seconds since 2000-01-01", NULL, 1, 90.5},
    {"days since 2000-01-01", "noleap", "days since 2000-01-01", "standard", 0, NAN},
    {"days since 2000-01-01", "lunar", "hours since 2000-01-01", "lunar", 0, NAN},
    {"days since 2000-01-01", "lunar", "days since 2000-01-01", "lunar", 3, 3},
    {"days since 2000-13-01", NULL, "hours since 2000-01-01", NULL, 0, NAN},
    {"days since yesterday", NULL, "hours since 2000-01-01", NULL, 0, NAN},
    {"days since 2000-01-01 25:00", NULL, "hours since 2000-01-01", NULL, 0, NAN},
    {"days since 2000-01-01 0:00 somewhere", NULL, "hours since 2000-01-01", NULL, 0, NAN},
    {"months since 2000-01-01", NULL, "days since 2000-01-01", NULL, 0, NAN},
};

static void converts(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    weir__time_map map;
    bool ok = weir__time_map_make(cases[i].from, cases[i].from_calendar, cases[i].to, cases[i].to_calendar, &map);
    if (ok == isnan(cases[i].expected)) fail_msg("case %zu: %s", i, ok ? "converted" : "refused");
    if (ok && weir__time_map_apply(&map, cases[i].time) != cases[i].expected)
      fail_msg("case %zu: %.17g, expected %.17g", i, weir__time_map_apply(&map, cases[i].time), cases[i].expected);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(converts)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
