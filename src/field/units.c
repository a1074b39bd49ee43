#include "field/units.h"
#include "core/text.h"
#include <string.h>

enum { FACTORS_MAX = 16, SYMBOL_MAX = 32, POWER_MAX = 99 };

typedef struct factor {
  char symbol[SYMBOL_MAX];
  int  power;
} factor;

typedef struct factors {
  int    count;
  factor factor[FACTORS_MAX];
} factors;

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '%'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Multiply by symbol^power; false: too many factors or too large a power. */
static bool multiply(factors *f, const char *symbol, size_t length, int power) {
  int i = 0;
  while (i < f->count && (strlen(f->factor[i].symbol) != length || strncmp(f->factor[i].symbol, symbol, length))) i++;
  if (i == f->count) {
    if (f->count == FACTORS_MAX || length >= SYMBOL_MAX) return false;
    f->factor[f->count++] = (factor){0};
    memcpy(f->factor[i].symbol, symbol, length);
  }
  f->factor[i].power += power;
  return f->factor[i].power <= POWER_MAX && f->factor[i].power >= -POWER_MAX;
}

/* The power after a symbol: "2", "-1", "^2", "**-2"; 1 when there is none. */
static bool read_power(const char **text, int *power) {
  const char *c        = *text;
  bool        negative = false, marked = false;
  if (c[0] == '^') c++, marked = true;
  else if (c[0] == '*' && c[1] == '*') c += 2, marked = true;
  if (*c == '-' || *c == '+') negative = *c++ == '-', marked = true;
  *power = 1;
  if (!is_digit(*c)) return !marked;
  int value = 0;
  while (is_digit(*c) && value <= POWER_MAX) value = value * 10 + (*c++ - '0');
  *power = negative ? -value : value;
  *text  = c;
  return value <= POWER_MAX;
}

/* Radians are dimensionless in the SI: "radian s-1" may be added to "s-1". */
static bool is_radian(const char *symbol, size_t length) {
  static const char *const names[] = {"rad", "radian", "radians"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strlen(names[i]) == length && !strncmp(names[i], symbol, length)) return true;
  return false;
}

/* Split into factors; false: not a plain product of powers. */
static bool parse(const char *text, factors *f) {
  int sign = 1;
  *f       = (factors){0};
  while (*text) {
    if (*text == ' ' || *text == '.' || (*text == '*' && text[1] != '*')) {
      text++;
    } else if (*text == '/') {
      if (sign < 0) return false; /* a/b/c is read in two ways: do not guess */
      sign = -1;
      text++;
    } else if (*text == '1' && !is_digit(text[1]) && !is_letter(text[1]) && text[1] != '.' && text[1] != '-') {
      text++;
    } else {
      const char *start = text;
      int         power;
      while (is_letter(*text)) text++;
      size_t length = (size_t)(text - start);
      if (!length || (length == 5 && !strncmp(start, "since", 5)) || !read_power(&text, &power)) return false;
      if (!is_radian(start, length) && !multiply(f, start, length, sign * power)) return false;
    }
  }
  return true;
}

static bool same_trimmed(const char *a, const char *b) {
  a += strspn(a, " ");
  b += strspn(b, " ");
  size_t n = strlen(a), m = strlen(b);
  while (n && a[n - 1] == ' ') n--;
  while (m && b[m - 1] == ' ') m--;
  return n == m && !strncmp(a, b, n);
}

static bool no_power_left(const factors *f) {
  for (int i = 0; i < f->count; i++)
    if (f->factor[i].power) return false;
  return true;
}

bool weir__units_equal(const char *a, const char *b) {
  factors f, g;
  if (same_trimmed(a, b)) return true;
  if (!parse(a, &f) || !parse(b, &g)) return false;
  for (int i = 0; i < g.count; i++)
    if (!multiply(&f, g.factor[i].symbol, strlen(g.factor[i].symbol), -g.factor[i].power)) return false;
  return no_power_left(&f);
}

bool weir__units_dimensionless(const char *units) {
  factors f;
  return parse(units, &f) && no_power_left(&f);
}

bool weir__units_angle(const char *units) {
  factors f;
  return parse(units, &f) && f.count == 1 && f.factor[0].power == 1 && !strncmp(f.factor[0].symbol, "degree", 6);
}

/* The text of a product, in the order of its factors. */
static weir_status print(weir__arena *arena, const factors *f, const char **out) {
  weir__text  text = {0};
  weir_status status;
  for (int i = 0; i < f->count; i++) {
    if (!f->factor[i].power) continue;
    weir__text_add(&text, "%s%s", text.length ? " " : "", f->factor[i].symbol);
    if (f->factor[i].power != 1) weir__text_add(&text, "%d", f->factor[i].power);
  }
  if (!text.length) weir__text_add(&text, "1");
  WEIR_TRY_GOTO(end, weir__text_status(&text));
  status = weir__arena_string(arena, text.data, out);
end:
  weir__text_clear(&text);
  return status;
}

weir_status weir__units_combine(weir__arena *arena, const char *a, int p, const char *b, int q, const char **out) {
  factors f, g = {0};
  *out = NULL;
  if (p > POWER_MAX || p < -POWER_MAX || !parse(a, &f) || (b && !parse(b, &g))) return WEIR_OK;
  for (int i = 0; i < f.count; i++) {
    f.factor[i].power *= p;
    if (f.factor[i].power > POWER_MAX || f.factor[i].power < -POWER_MAX) return WEIR_OK;
  }
  for (int i = 0; i < g.count; i++)
    if (!multiply(&f, g.factor[i].symbol, strlen(g.factor[i].symbol), q * g.factor[i].power)) return WEIR_OK;
  return print(arena, &f, out);
}

weir_status weir__units_root(weir__arena *arena, const char *units, const char **out) {
  factors f;
  *out = NULL;
  if (!parse(units, &f)) return WEIR_OK;
  for (int i = 0; i < f.count; i++) {
    if (f.factor[i].power % 2) return WEIR_OK;
    f.factor[i].power /= 2;
  }
  return print(arena, &f, out);
}
