/* Calendars and reference dates as in CF 1.8, section 4.4 (http://cfconventions.org). */
#include "run/calendar.h"
#include "run/report.h"
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

typedef enum calendar {
  STANDARD,  /* Gregorian from 1582-10-15, Julian until 1582-10-04 */
  PROLEPTIC, /* Gregorian at all times */
  JULIAN,
  DAYS_360, /* months of 30 days */
  DAYS_365, /* no leap years */
  DAYS_366, /* nothing but leap years */
} calendar;

typedef struct date {
  int64_t year;
  int     month, day;
  double  second; /* of the day; of UTC */
} date;

static bool find_calendar(const char *name, calendar *out) {
  static const struct {
    const char *name;
    calendar    calendar;
  } known[] = {{"standard", STANDARD}, {"gregorian", STANDARD}, {"proleptic_gregorian", PROLEPTIC},
               {"julian", JULIAN},     {"360_day", DAYS_360},   {"noleap", DAYS_365},
               {"365_day", DAYS_365},  {"all_leap", DAYS_366},  {"366_day", DAYS_366}};
  *out      = STANDARD;
  if (!name) return true;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    *out = known[i].calendar;
    if (!strcasecmp(known[i].name, name)) return true;
  }
  return false;
}

/* ---- dates ---- */

/* At most `most` digits. */
static bool read_digits(const char **text, int most, int64_t *out) {
  const char *c = *text;
  for (*out = 0; isdigit((unsigned char)*c) && c - *text < most; c++) *out = *out * 10 + (*c - '0');
  bool some = c > *text;
  *text     = c;
  return some;
}

static bool skip(const char **text, char c) {
  if (**text != c) return false;
  ++*text;
  return true;
}

static const char *skip_blanks(const char *text) { return text + strspn(text, " \t"); }

/* "06", "06:30", "06:30:15.5" */
static bool read_clock(const char **text, double *second) {
  int64_t hour, minute = 0, whole = 0;
  double  part = 0, place = 0.1;
  if (!read_digits(text, 2, &hour) || hour > 24) return false;
  if (skip(text, ':') && (!read_digits(text, 2, &minute) || minute > 59)) return false;
  if (skip(text, ':') && (!read_digits(text, 2, &whole) || whole > 60)) return false;
  if (skip(text, '.'))
    for (; isdigit((unsigned char)**text); ++*text, place /= 10) part += (**text - '0') * place;
  *second = (double)(hour * 3600 + minute * 60 + whole) + part;
  return true;
}

/* "+1:00", "-0530", "Z", "UTC" or nothing. */
static bool read_zone(const char *text, double *second) {
  int64_t hour, minute = 0;
  *second = 0;
  if (!*text || !strcasecmp(text, "z") || !strcasecmp(text, "utc") || !strcasecmp(text, "gmt")) return true;
  double sign = *text == '-' ? -1 : 1;
  if (*text == '+' || *text == '-') text++;
  if (!read_digits(&text, 2, &hour)) return false;
  skip(&text, ':');
  read_digits(&text, 2, &minute);
  *second = sign * (double)(hour * 3600 + minute * 60);
  return !*text && hour <= 14 && minute <= 59;
}

static bool read_date(const char *text, date *out) {
  int64_t month, day;
  double  zone, sign = *text == '-' ? -1 : 1;
  *out = (date){0};
  if (sign < 0) text++;
  if (!read_digits(&text, 6, &out->year) || !skip(&text, '-') || !read_digits(&text, 2, &month) || !skip(&text, '-') ||
      !read_digits(&text, 2, &day) || month < 1 || month > 12 || day < 1 || day > 31)
    return false;
  if (sign < 0) out->year = -out->year;
  out->month = (int)month;
  out->day   = (int)day;
  if (*text == 'T' || *text == 't') text++;
  text = skip_blanks(text);
  if (isdigit((unsigned char)*text) && !read_clock(&text, &out->second)) return false;
  if (!read_zone(skip_blanks(text), &zone)) return false;
  out->second -= zone;
  return true;
}

/* ---- days ---- */

static int64_t floor_divide(int64_t a, int64_t b) { return a / b - (a % b < 0); }

/* Number of the day, from the day that a calendar of whole periods begins with. The year begins in March, so that the
 * leap day is its last; from the usual formula for Julian day numbers (E. G. Richards, in: Explanatory Supplement to
 * the Astronomical Almanac, 3rd ed., 15.11). */
static int64_t julian_day(const date *d, bool gregorian) {
  int64_t before = d->month < 3, year = d->year + 4800 - before, month = d->month + 12 * before - 3;
  int64_t day = d->day + (153 * month + 2) / 5 + 365 * year + floor_divide(year, 4);
  return gregorian ? day - floor_divide(year, 100) + floor_divide(year, 400) - 32045 : day - 32083;
}

static bool is_gregorian(const date *d) {
  return d->year > 1582 || (d->year == 1582 && (d->month > 10 || (d->month == 10 && d->day >= 15)));
}

static int64_t day_number(const date *d, calendar c) {
  static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334}; /* days of earlier months */
  switch (c) {
  case STANDARD: return julian_day(d, is_gregorian(d));
  case PROLEPTIC: return julian_day(d, true);
  case JULIAN: return julian_day(d, false);
  case DAYS_360: return d->year * 360 + (d->month - 1) * 30 + d->day - 1;
  case DAYS_365: return d->year * 365 + before[d->month - 1] + d->day - 1;
  case DAYS_366: return d->year * 366 + before[d->month - 1] + (d->month > 2) + d->day - 1;
  }
  return 0;
}

/* ---- units ---- */

/* The date behind "since"; false: there is none. */
static bool reference(const char *units, const char **text) {
  const char *since = strcasestr(units, " since ");
  if (since) *text = skip_blanks(since + strlen(" since "));
  return since != NULL;
}

static bool same_text(const char *a, const char *b) { return a == b || (a && b && !strcmp(a, b)); }

bool weir__time_map_make(const char *units, const char *calendar_name, const char *other_units,
                         const char *other_calendar, weir__time_map *map) {
  const char *text, *other_text;
  date        from, to;
  calendar    c, other_c;
  *map = (weir__time_map){1, 1, 0};
  if (!units || !other_units) return units == other_units;
  if (same_text(units, other_units) && same_text(calendar_name, other_calendar)) return true;
  *map = (weir__time_map){weir__time_unit(units), weir__time_unit(other_units), 0};
  if (map->unit <= 0 || map->other_unit <= 0) return false;
  bool dated = reference(units, &text);
  if (dated != reference(other_units, &other_text)) return false;
  if (!dated) return true;
  if (!find_calendar(calendar_name, &c) || !find_calendar(other_calendar, &other_c)) return false;
  if (!read_date(text, &from) || !read_date(other_text, &to)) return false;
  bool modern = is_gregorian(&from) && is_gregorian(&to); /* two calendars are one since 1582 */
  if (c != other_c && !(modern && c <= PROLEPTIC && other_c <= PROLEPTIC)) return false;
  map->shift = (double)(day_number(&from, c) - day_number(&to, other_c)) * 86400 + (from.second - to.second);
  return true;
}
