/* Subsets: integer arithmetic in i, in slices. Each expression becomes a program for a stack, which is run with
 * numbers, or with ranges of numbers to learn for which i it could be of use at all. */
#include "io/series_parts.h"
#include <string.h>

enum { TEXT = 250, LENGTH = 2 * TEXT, DEPTH = 32 };

typedef enum opcode { PUSH, PUSH_I, ADD, SUBTRACT, MULTIPLY, DIVIDE, NEGATE } opcode;
typedef struct operation {
  opcode  code;
  int64_t number;
} operation;

/* Where an expression stands in the program; none: left out. */
typedef struct expression {
  int  from, count;
  bool has_i;
} expression;

typedef struct slice {
  expression start, stop, step;
  bool       one; /* a number: start alone */
} slice;

struct weir__subset {
  operation operation[LENGTH];
  int       operations;
  slice     slice[WEIR__SERIES_INDICES];
  int       slices;
};

/* ---- arithmetic: false: not defined, or beyond the numbers ---- */

static int64_t floor_divide(int64_t a, int64_t b) {
  int64_t q = a / b;
  return a % b && (a < 0) != (b < 0) ? q - 1 : q;
}

static bool apply(opcode code, int64_t a, int64_t b, int64_t *out) {
  switch (code) {
  case ADD: return !__builtin_add_overflow(a, b, out);
  case SUBTRACT: return !__builtin_sub_overflow(a, b, out);
  case MULTIPLY: return !__builtin_mul_overflow(a, b, out);
  case DIVIDE:
    if (!b || (a == INT64_MIN && b == -1)) return false;
    *out = floor_divide(a, b);
    return true;
  default: return false;
  }
}

static bool evaluate(const weir__subset *self, const expression *e, int64_t i, int64_t *out) {
  int64_t stack[DEPTH + 1];
  int     n = 0;
  for (const operation *o = self->operation + e->from, *end = o + e->count; o < end; o++) {
    if (o->code == PUSH || o->code == PUSH_I) stack[n++] = o->code == PUSH ? o->number : i;
    else if (o->code == NEGATE) {
      if (!apply(SUBTRACT, 0, stack[n - 1], &stack[n - 1])) return false;
    } else {
      n--;
      if (!apply(o->code, stack[n - 1], stack[n], &stack[n - 1])) return false;
    }
  }
  *out = stack[0];
  return true;
}

/* ---- ranges: saturated, so that a result is never too narrow ---- */

static const weir__range everything = {INT64_MIN, INT64_MAX};

static int64_t saturated(opcode code, int64_t a, int64_t b) {
  int64_t out;
  if (apply(code, a, b, &out)) return out;
  bool negative = code == ADD ? a < 0 : code == SUBTRACT ? a < 0 : (a < 0) != (b < 0);
  return negative ? INT64_MIN : INT64_MAX;
}

/* Products and quotients have their extremes at the ends of their factors. */
static weir__range corners(opcode code, weir__range a, weir__range b) {
  const int64_t x[4] = {saturated(code, a.least, b.least), saturated(code, a.least, b.most),
                        saturated(code, a.most, b.least), saturated(code, a.most, b.most)};
  weir__range   out  = {x[0], x[0]};
  for (int k = 1; k < 4; k++) {
    if (x[k] < out.least) out.least = x[k];
    if (x[k] > out.most) out.most = x[k];
  }
  return out;
}

static weir__range apply_range(opcode code, weir__range a, weir__range b) {
  switch (code) {
  case ADD: return (weir__range){saturated(ADD, a.least, b.least), saturated(ADD, a.most, b.most)};
  case SUBTRACT: return (weir__range){saturated(SUBTRACT, a.least, b.most), saturated(SUBTRACT, a.most, b.least)};
  case DIVIDE:
    if (b.least <= 0 && b.most >= 0) return everything;
    return corners(code, a, b);
  default: return corners(code, a, b);
  }
}

static weir__range evaluate_range(const weir__subset *self, const expression *e, weir__range i) {
  weir__range stack[DEPTH + 1];
  int         n = 0;
  for (const operation *o = self->operation + e->from, *end = o + e->count; o < end; o++) {
    if (o->code == PUSH || o->code == PUSH_I) stack[n++] = o->code == PUSH ? (weir__range){o->number, o->number} : i;
    else if (o->code == NEGATE) stack[n - 1] = apply_range(SUBTRACT, (weir__range){0, 0}, stack[n - 1]);
    else {
      n--;
      stack[n - 1] = apply_range(o->code, stack[n - 1], stack[n]);
    }
  }
  return stack[0];
}

/* ---- reading ----
 *
 * subset = slice {"," slice};  slice = sum | [sum] ":" [sum] [":" [sum]]
 * sum = product {("+" | "-") product};  product = factor {("*" | "//") factor}
 * factor = ("-" | "+") factor | number | "i" | "(" sum ")" */

typedef struct reading {
  weir__subset *self;
  const char   *text, *at;
  int           depth, stack; /* of parentheses and signs; of the stack at this point of the program */
  bool          has_i;
} reading;

static void skip(reading *r) {
  while (*r->at == ' ' || *r->at == '\t') r->at++;
}

static weir_status expected(reading *r, const char *what) {
  int column = (int)(r->at - r->text) + 1;
  if (!*r->at) return WEIR_FAIL(WEIR_ERR_INPUT, "subset \"%s\" ends too early, expected %s", r->text, what);
  return WEIR_FAIL(WEIR_ERR_INPUT, "subset \"%s\": '%c' at character %d, expected %s", r->text, *r->at, column, what);
}

static weir_status emit(reading *r, opcode code, int64_t number) {
  weir__subset *s = r->self;
  r->stack += code == PUSH || code == PUSH_I ? 1 : code == NEGATE ? 0 : -1;
  if (s->operations == LENGTH || r->stack > DEPTH)
    return WEIR_FAIL(WEIR_ERR_INPUT, "subset \"%s\" has too much within parentheses", r->text);
  s->operation[s->operations++] = (operation){code, number};
  return WEIR_OK;
}

static weir_status read_sum(reading *r);

static weir_status read_number(reading *r) {
  int64_t     number = 0;
  const char *from   = r->at;
  for (; *r->at >= '0' && *r->at <= '9'; r->at++)
    if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, *r->at - '0', &number)) {
      r->at = from;
      return expected(r, "a smaller number");
    }
  return emit(r, PUSH, number);
}

static weir_status read_factor(reading *r) {
  weir_status status = WEIR_OK;
  skip(r);
  if (*r->at >= '0' && *r->at <= '9') return read_number(r);
  if (*r->at == 'i') {
    r->at++;
    r->has_i = true;
    return emit(r, PUSH_I, 0);
  }
  if (!*r->at || !strchr("+-(", *r->at)) return expected(r, "a number, i, a sign or (");
  if (++r->depth > DEPTH) return expected(r, "fewer signs and parentheses within each other");
  char what = *r->at++;
  if (what != '(') {
    status = read_factor(r);
    if (status >= 0 && what == '-') status = emit(r, NEGATE, 0);
  } else {
    status = read_sum(r);
    if (status >= 0 && *r->at != ')') status = expected(r, "+, -, *, // or )");
    if (status >= 0) r->at++;
  }
  r->depth--;
  return status;
}

static weir_status read_product(reading *r) {
  WEIR_TRY(read_factor(r));
  for (skip(r); *r->at == '*' || *r->at == '/'; skip(r)) {
    opcode code = *r->at == '*' ? MULTIPLY : DIVIDE;
    if (code == DIVIDE && r->at[1] != '/') return expected(r, "//, which divides whole numbers");
    r->at += code == DIVIDE ? 2 : 1;
    if (code == MULTIPLY && *r->at == '*') return expected(r, "a number, i, a sign or (");
    int from = r->self->operations;
    WEIR_TRY(read_factor(r));
    const operation *o = &r->self->operation[from];
    if (code == DIVIDE && r->self->operations == from + 1 && o->code == PUSH && !o->number)
      return WEIR_FAIL(WEIR_ERR_INPUT, "subset \"%s\" divides by 0", r->text);
    WEIR_TRY(emit(r, code, 0));
  }
  return WEIR_OK;
}

static weir_status read_sum(reading *r) {
  WEIR_TRY(read_product(r));
  for (skip(r); *r->at == '+' || *r->at == '-'; skip(r)) {
    opcode code = *r->at++ == '+' ? ADD : SUBTRACT;
    WEIR_TRY(read_product(r));
    WEIR_TRY(emit(r, code, 0));
  }
  return WEIR_OK;
}

static weir_status read_expression(reading *r, expression *e) {
  skip(r);
  *e = (expression){.from = r->self->operations};
  if (!*r->at || *r->at == ':' || *r->at == ',') return WEIR_OK; /* left out */
  r->has_i = false;
  r->stack = 0;
  WEIR_TRY(read_sum(r));
  e->count = r->self->operations - e->from;
  e->has_i = r->has_i;
  return WEIR_OK;
}

static weir_status read_slice(reading *r, slice *s) {
  WEIR_TRY(read_expression(r, &s->start));
  s->one = *r->at != ':';
  if (s->one && !s->start.count) return expected(r, "a slice or a number for each index");
  if (*r->at == ':') {
    r->at++;
    WEIR_TRY(read_expression(r, &s->stop));
  }
  if (*r->at == ':') {
    r->at++;
    WEIR_TRY(read_expression(r, &s->step));
    if (s->step.has_i)
      return WEIR_FAIL(WEIR_ERR_INPUT, "subset \"%s\": the step of a slice must be a number, without i", r->text);
    int64_t step;
    if (s->step.count && (!evaluate(r->self, &s->step, 0, &step) || !step))
      return WEIR_FAIL(WEIR_ERR_INPUT, "subset \"%s\": the step of a slice cannot be 0", r->text);
  }
  if (*r->at && *r->at != ',') return expected(r, s->one ? "+, -, *, //, : or ," : "+, -, *, // or ,");
  return WEIR_OK;
}

static weir_status read_subset(reading *r) {
  weir__subset *s = r->self;
  for (;;) {
    if (s->slices == WEIR__SERIES_INDICES)
      return WEIR_FAIL(WEIR_ERR_INPUT, "subset \"%s\" has more than %d slices", r->text, WEIR__SERIES_INDICES);
    WEIR_TRY(read_slice(r, &s->slice[s->slices++]));
    if (!*r->at) return WEIR_OK;
    r->at++;
  }
}

weir_status weir__subset_parse(const char *text, weir__subset **subset) {
  weir__subset *self;
  if (strlen(text) > TEXT)
    return WEIR_FAIL(WEIR_ERR_INPUT, "subset \"%.40s...\" is longer than %d characters", text, TEXT);
  WEIR_TRY(weir__alloc_zeroed(sizeof *self, 0, &self));
  reading     r      = {.self = self, .text = text, .at = text};
  weir_status status = read_subset(&r);
  if (status >= 0) *subset = self;
  else weir__free(self);
  return status;
}

void weir__subset_destroy(weir__subset **subset) {
  weir__free(*subset);
  *subset = NULL;
}

int weir__subset_slices(const weir__subset *subset) { return subset->slices; }

bool weir__subset_bounded(const weir__subset *subset) {
  for (int k = 0; k < subset->slices; k++)
    if (!subset->slice[k].start.count || (!subset->slice[k].one && !subset->slice[k].stop.count)) return false;
  return true;
}

bool weir__subset_has_i(const weir__subset *subset) {
  for (int k = 0; k < subset->slices; k++)
    if (subset->slice[k].start.has_i || subset->slice[k].stop.has_i) return true;
  return false;
}

/* ---- using ---- */

bool weir__subset_values(const weir__subset *subset, int k, int64_t i, weir__range index, int64_t *first, int64_t *step,
                         int64_t *count) {
  const slice *s    = &subset->slice[k];
  int64_t      stop = 0, span;
  *step             = 1;
  if (s->step.count && !evaluate(subset, &s->step, i, step)) return false;
  *first = *step > 0 ? index.least : index.most;
  if (s->start.count && !evaluate(subset, &s->start, i, first)) return false;
  *count = 1;
  if (!s->one) {
    stop = *step > 0 ? index.most + 1 : index.least - 1;
    if (s->stop.count && !evaluate(subset, &s->stop, i, &stop)) return false;
    if (*step > 0 ? stop <= *first : stop >= *first) return false;
    if (__builtin_sub_overflow(stop, *first, &span)) return false;
    *count = *step > 0 ? (span - 1) / *step + 1 : (span + 1) / *step + 1;
  }
  if (*first < index.least || *first > index.most) return false;
  int64_t way, last; /* no product that overflows is within the index */
  if (__builtin_mul_overflow(*count - 1, *step, &way) || __builtin_add_overflow(*first, way, &last)) return false;
  return last >= index.least && last <= index.most;
}

bool weir__subset_possible(const weir__subset *subset, int k, weir__range i, weir__range index) {
  const slice *s = &subset->slice[k];
  if (s->start.count) {
    weir__range start = evaluate_range(subset, &s->start, i);
    if (start.most < index.least || start.least > index.most) return false;
  }
  if (!s->stop.count) return true;
  weir__range stop = evaluate_range(subset, &s->stop, i);
  int64_t     step = 1;
  if (s->step.count && !evaluate(subset, &s->step, 0, &step)) return true;
  if (step > 0) return stop.most > index.least && saturated(SUBTRACT, stop.least, step) <= index.most;
  return stop.least < index.most && saturated(SUBTRACT, stop.most, step) >= index.least;
}
