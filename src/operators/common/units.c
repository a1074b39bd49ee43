/* Products of units as text. Grammar and meaning of the text: UDUNITS-2, https://docs.unidata.ucar.edu/udunits/current/
 */
#include "core/text.h"
#include "operators/common/common.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { NAMES_MAX = 16, NAME_MAX_LENGTH = 40 };

typedef struct units {
  int  count, power[NAMES_MAX];
  char name[NAMES_MAX][NAME_MAX_LENGTH];
} units;

static bool is_name(char c) { return isalpha((unsigned char)c) || c == '_' || c == '%' || (unsigned char)c >= 128; }

static bool put(units *u, const char *name, size_t length, int power) {
  int i = 0;
  if (length >= NAME_MAX_LENGTH) return false;
  while (i < u->count && (strlen(u->name[i]) != length || memcmp(u->name[i], name, length) != 0)) i++;
  if (i == u->count) {
    if (i == NAMES_MAX) return false;
    memcpy(u->name[i], name, length);
    u->name[i][length] = 0;
    u->power[i]        = 0;
    u->count++;
  }
  u->power[i] += power;
  return true;
}

/* Multiply `u` by `text` to the power `power`; false when the text is more than names with whole exponents. */
static bool multiply(units *u, const char *text, int power) {
  const char *p = text;
  for (;;) {
    while (*p == ' ' || *p == '.' || *p == '*') p++;
    if (!*p) return true;
    if (*p == '1' && (!p[1] || p[1] == ' ')) {
      p++;
      continue;
    }
    if (!is_name(*p)) return false;
    const char *name = p;
    while (is_name(*p)) p++;
    size_t length   = (size_t)(p - name);
    int    exponent = 1, used;
    if (length == 5 && !memcmp(name, "since", 5)) return false;
    if (*p == '^') p++;
    else if (p[0] == '*' && p[1] == '*') p += 2;
    if (isdigit((unsigned char)*p) || *p == '-' || *p == '+') {
      if (sscanf(p, "%2d%n", &exponent, &used) != 1) return false;
      p += used;
    }
    if (*p && *p != ' ' && *p != '.' && *p != '*') return false;
    if (!put(u, name, length, exponent * power)) return false;
  }
}

static void write_names(const units *u, weir__text *text) {
  for (int i = 0; i < u->count; i++) {
    if (!u->power[i]) continue;
    weir__text_add(text, "%s%s", text->length ? " " : "", u->name[i]);
    if (u->power[i] != 1) weir__text_add(text, "%d", u->power[i]);
  }
  if (!text->length) weir__text_add(text, "1");
}

const char *weir__units_times(const weir_infer *infer, const char *a, const char *b, int power) {
  units       u    = {0};
  weir__text  text = {0};
  const char *kept = NULL;
  if (!a || !b) return NULL;
  if (multiply(&u, a, 1) && multiply(&u, b, power)) write_names(&u, &text);
  else weir__text_add(&text, "(%s) (%s)%d", a, b, power);
  if (weir__text_status(&text) == WEIR_OK) kept = weir_infer_string(infer, text.data);
  weir__text_clear(&text);
  return kept;
}
