/* Times of one stream in the units of another: "hours since 2000-01-01" in "days since 1989-01-01 12:00". */
#ifndef WEIR_RUN_CALENDAR_H
#define WEIR_RUN_CALENDAR_H
#include <stdbool.h>

/* t of one stream is (t * unit + shift) / other_unit of the other. */
typedef struct weir__time_map {
  double unit, other_unit; /* seconds */
  double shift;            /* seconds between the reference dates */
} weir__time_map;

/* Units as in CF ("days since 1989-01-01 06:00:0.0 +1:00") or plain ("s"); calendars of CF, NULL: standard. NULL units
 * are numbers without a meaning, alike only to such. False: they cannot be converted. */
bool weir__time_map_make(const char *units, const char *calendar, const char *other_units, const char *other_calendar,
                         weir__time_map *map);

static inline double weir__time_map_apply(const weir__time_map *map, double time) {
  return map->unit == map->other_unit && map->shift == 0 ? time : (time * map->unit + map->shift) / map->other_unit;
}
#endif
