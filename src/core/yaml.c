/* The tree is built from libyaml's events. An alias shares the subtree it names; since an anchor is known only once its
 * node is complete, a tree cannot contain itself. The weight of the whole is bounded, so a chain of aliases that would
 * unfold into billions of nodes is refused before anybody walks it. */
#include "core/yaml.h"
#include "core/text.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

enum { DEPTH_MAX = 32, WEIGHT_MAX = 100000, ANCHORS_MAX = 256, BYTES_MAX = 1 << 20 };

typedef struct anchor {
  const char *name;
  weir__yaml *node;
} anchor;

typedef struct parsing {
  weir__arena  *arena;
  const char   *file;
  yaml_parser_t parser;
  anchor        anchors[ANCHORS_MAX];
  int           anchor_count, depth;
} parsing;

static weir_status parse_node(parsing *p, const yaml_event_t *event, weir__yaml **out);

/* ---- events ---- */

static weir_status syntax_error(const parsing *p) {
  const yaml_parser_t *y      = &p->parser;
  bool                 marked = y->error == YAML_SCANNER_ERROR || y->error == YAML_PARSER_ERROR;
  if (y->error == YAML_MEMORY_ERROR) return WEIR_FAIL(WEIR_ERR_MEMORY, "%s: out of memory", p->file);
  if (y->error == YAML_READER_ERROR)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: %s at byte %zu, expected text in UTF-8", p->file,
                     y->problem ? y->problem : "unreadable", y->problem_offset);
  return WEIR_FAIL(WEIR_ERR_INPUT, "%s:%zu:%zu: not YAML: %s%s%s", p->file, marked ? y->problem_mark.line + 1 : 0,
                   marked ? y->problem_mark.column + 1 : 0, y->problem ? y->problem : "unknown error",
                   y->context ? " " : "", y->context ? y->context : "");
}

static weir_status next_event(parsing *p, yaml_event_t *event) {
  return yaml_parser_parse(&p->parser, event) ? WEIR_OK : syntax_error(p);
}

static weir__place place_of(const parsing *p, const yaml_event_t *event) {
  return (weir__place){p->file, (int)event->start_mark.line + 1, (int)event->start_mark.column + 1};
}

/* ---- building ---- */

static weir_status new_node(parsing *p, const yaml_event_t *event, weir__yaml_kind kind, weir__yaml **out) {
  weir__yaml *node;
  WEIR_TRY(weir__arena_alloc(p->arena, sizeof *node, &node));
  node->kind   = kind;
  node->place  = place_of(p, event);
  node->weight = 1;
  *out         = node;
  return WEIR_OK;
}

static weir_status add_weight(weir__yaml *node, const weir__yaml *child) {
  node->weight += child->weight;
  if (node->weight > WEIGHT_MAX)
    return WEIR__YAML_FAIL(node, "more than %d values here (aliases counted where they are used)", WEIGHT_MAX);
  return WEIR_OK;
}

static weir_status remember(parsing *p, const yaml_char_t *name, weir__yaml *node) {
  if (!name) return WEIR_OK;
  for (int i = 0; i < p->anchor_count; i++)
    if (!strcmp(p->anchors[i].name, (const char *)name))
      return WEIR__YAML_FAIL(node, "the anchor &%s is given twice", (const char *)name);
  if (p->anchor_count == ANCHORS_MAX) return WEIR__YAML_FAIL(node, "more than %d anchors", ANCHORS_MAX);
  anchor *a = &p->anchors[p->anchor_count];
  WEIR_TRY(weir__arena_string(p->arena, (const char *)name, &a->name));
  a->node = node;
  p->anchor_count++;
  return WEIR_OK;
}

static weir_status recall(const parsing *p, const yaml_event_t *event, weir__yaml **out) {
  const char *name  = (const char *)event->data.alias.anchor;
  weir__place place = place_of(p, event);
  for (int i = 0; i < p->anchor_count; i++)
    if (!strcmp(p->anchors[i].name, name)) {
      *out = p->anchors[i].node;
      return WEIR_OK;
    }
  return WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d:%d: no anchor &%s stands before this alias", place.file, place.line,
                   place.column, name);
}

static weir_status parse_text(parsing *p, const yaml_event_t *event, weir__yaml **out) {
  weir__yaml *node;
  const char *text = (const char *)event->data.scalar.value;
  WEIR_TRY(new_node(p, event, WEIR__YAML_TEXT, &node));
  if (strlen(text) != event->data.scalar.length) return WEIR__YAML_FAIL(node, "a text with a zero byte");
  WEIR_TRY(weir__arena_string(p->arena, text, &node->text));
  node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
  WEIR_TRY(remember(p, event->data.scalar.anchor, node));
  *out = node;
  return WEIR_OK;
}

/* Children are collected in growing arrays and then moved into the arena. */
typedef struct children {
  const weir__yaml **key, **item;
  size_t             key_capacity, item_capacity;
  int                count;
} children;

static weir_status keep_children(parsing *p, const children *c, weir__yaml *node) {
  node->count = c->count;
  WEIR_TRY(weir__arena_alloc(p->arena, (size_t)c->count * sizeof *c->item, &node->item));
  if (c->count) memcpy(node->item, c->item, (size_t)c->count * sizeof *c->item);
  if (node->kind != WEIR__YAML_MAP) return WEIR_OK;
  WEIR_TRY(weir__arena_alloc(p->arena, (size_t)c->count * sizeof *c->key, &node->key));
  if (c->count) memcpy(node->key, c->key, (size_t)c->count * sizeof *c->key);
  return WEIR_OK;
}

static weir_status check_key(const children *c, const weir__yaml *key) {
  if (key->kind != WEIR__YAML_TEXT) return WEIR__YAML_FAIL(key, "a key must be a word");
  if (!strcmp(key->text, "<<") && !key->quoted) return WEIR__YAML_FAIL(key, "merge keys (<<) are not supported");
  for (int i = 0; i < c->count; i++)
    if (!strcmp(c->key[i]->text, key->text))
      return WEIR__YAML_FAIL(key, "%s is given twice (first in line %d)", key->text, c->key[i]->place.line);
  return WEIR_OK;
}

static weir_status add_child(parsing *p, const yaml_event_t *event, children *c, weir__yaml *node) {
  weir__yaml  *child, *value;
  yaml_event_t value_event;
  WEIR_TRY(parse_node(p, event, &child));
  WEIR_TRY(add_weight(node, child));
  WEIR_TRY(weir__grow(&c->item, (size_t)c->count + 1, &c->item_capacity, sizeof *c->item));
  if (node->kind == WEIR__YAML_LIST) {
    c->item[c->count++] = child;
    return WEIR_OK;
  }
  WEIR_TRY(check_key(c, child));
  WEIR_TRY(next_event(p, &value_event));
  weir_status status = parse_node(p, &value_event, &value);
  yaml_event_delete(&value_event);
  WEIR_TRY(status);
  WEIR_TRY(add_weight(node, value));
  WEIR_TRY(weir__grow(&c->key, (size_t)c->count + 1, &c->key_capacity, sizeof *c->key));
  c->key[c->count]    = child;
  c->item[c->count++] = value;
  return WEIR_OK;
}

static weir_status parse_children(parsing *p, weir__yaml *node, yaml_event_type_t end) {
  children    c      = {0};
  weir_status status = WEIR_OK;
  for (bool done = false; !done;) {
    yaml_event_t event;
    WEIR_TRY_GOTO(out, next_event(p, &event));
    done = event.type == end;
    if (!done) status = add_child(p, &event, &c, node);
    yaml_event_delete(&event);
    if (status < 0) goto out;
  }
  status = keep_children(p, &c, node);
out:
  weir__free(c.key);
  weir__free(c.item);
  return status;
}

static weir_status parse_node(parsing *p, const yaml_event_t *event, weir__yaml **out) {
  weir__yaml *node;
  if (event->type == YAML_ALIAS_EVENT) return recall(p, event, out);
  if (event->type == YAML_SCALAR_EVENT) return parse_text(p, event, out);
  bool map = event->type == YAML_MAPPING_START_EVENT;
  if (!map && event->type != YAML_SEQUENCE_START_EVENT)
    return WEIR_FAIL(WEIR_ERR_INTERNAL, "%s: unexpected YAML event %d", p->file, (int)event->type);
  WEIR_TRY(new_node(p, event, map ? WEIR__YAML_MAP : WEIR__YAML_LIST, &node));
  if (p->depth == DEPTH_MAX) return WEIR__YAML_FAIL(node, "nested more than %d deep", DEPTH_MAX);
  p->depth++;
  weir_status status = parse_children(p, node, map ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT);
  p->depth--;
  WEIR_TRY(status);
  WEIR_TRY(remember(p, map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor, node));
  *out = node;
  return WEIR_OK;
}

static weir_status parse_document(parsing *p, weir__yaml **root) {
  yaml_event_t event;
  *root = NULL;
  for (;;) {
    WEIR_TRY(next_event(p, &event));
    yaml_event_type_t type   = event.type;
    weir_status       status = WEIR_OK;
    bool node = type == YAML_SCALAR_EVENT || type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT ||
                type == YAML_ALIAS_EVENT;
    if (node && *root)
      status = WEIR_FAIL(WEIR_ERR_INPUT, "%s:%zu: a second document, expected one", p->file, event.start_mark.line + 1);
    else if (node) status = parse_node(p, &event, root);
    yaml_event_delete(&event);
    WEIR_TRY(status);
    if (type == YAML_STREAM_END_EVENT) break;
  }
  if (!*root) return WEIR_FAIL(WEIR_ERR_INPUT, "%s: empty", p->file);
  return WEIR_OK;
}

weir_status weir__yaml_parse(weir__arena *arena, const char *file, const char *bytes, size_t size,
                             const weir__yaml **root) {
  parsing    *p;
  weir__yaml *tree;
  WEIR_TRY(weir__alloc_zeroed(sizeof *p, 0, &p));
  p->arena           = arena;
  weir_status status = weir__arena_string(arena, file, &p->file);
  if (status >= 0 && !yaml_parser_initialize(&p->parser)) status = WEIR_FAIL(WEIR_ERR_MEMORY, "out of memory");
  if (status >= 0) {
    yaml_parser_set_encoding(&p->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p->parser, (const unsigned char *)bytes, size);
    status = parse_document(p, &tree);
    yaml_parser_delete(&p->parser);
    if (status >= 0) *root = tree;
  }
  weir__free(p);
  return status;
}

weir_status weir__yaml_load(weir__arena *arena, const char *path, const char **bytes, size_t *size) {
  char *data;
  FILE *file = fopen(path, "rbe");
  if (!file) return WEIR_FAIL(WEIR_ERR_INPUT, "%s: %s", path, strerror(errno));
  weir_status status = weir__arena_alloc(arena, BYTES_MAX + 2, &data);
  if (status >= 0) {
    errno    = 0;
    size_t n = fread(data, 1, BYTES_MAX + 1, file);
    if (ferror(file)) status = WEIR_FAIL(WEIR_ERR_INPUT, "%s: %s", path, strerror(errno));
    else if (n > BYTES_MAX) status = WEIR_FAIL(WEIR_ERR_INPUT, "%s: larger than 1 MiB", path);
    *bytes = data;
    *size  = n;
  }
  fclose(file);
  return status;
}

/* ---- reading maps ---- */

enum { KEYS_MAX = 64 };

static weir_status unknown_key(const weir__yaml *key, const char *what, const weir__yaml_key *keys) {
  const char *names[KEYS_MAX];
  size_t      count = 0;
  weir__text  list  = {0};
  for (const weir__yaml_key *k = keys; k->name; k++) {
    if (!k->read || count == KEYS_MAX) continue;
    names[count++] = k->name;
    weir__text_add(&list, "%s%s", count > 1 ? ", " : "", k->name);
  }
  const char *near   = weir__text_nearest(key->text, names, count);
  weir_status status = weir__text_status(&list);
  if (status < 0) return status;
  if (near) status = WEIR__YAML_FAIL(key, "unknown key %s in %s, did you mean %s?", key->text, what, near);
  else status = WEIR__YAML_FAIL(key, "unknown key %s in %s, expected one of %s", key->text, what, list.data);
  weir__text_clear(&list);
  return status;
}

weir_status weir__yaml_read(const weir__yaml *map, const char *what, const weir__yaml_key *keys, void *context) {
  if (map->kind == WEIR__YAML_TEXT && !*map->text && !map->quoted) return WEIR_OK; /* "simulation:" and nothing more */
  if (map->kind != WEIR__YAML_MAP) return WEIR__YAML_FAIL(map, "%s: expected keys with values", what);
  for (int i = 0; i < map->count; i++) {
    const weir__yaml_key *k = keys;
    while (k->name && strcmp(k->name, map->key[i]->text)) k++;
    if (!k->name) return unknown_key(map->key[i], what, keys);
    if (!k->read) return WEIR__YAML_FAIL(map->key[i], "%s is not available in this version", k->name);
    WEIR_TRY(k->read(context, map->item[i]));
  }
  return WEIR_OK;
}

const weir__yaml *weir__yaml_get(const weir__yaml *map, const char *key) {
  for (int i = 0; map->kind == WEIR__YAML_MAP && i < map->count; i++)
    if (!strcmp(map->key[i]->text, key)) return map->item[i];
  return NULL;
}

/* ---- values ---- */

weir_status weir__yaml_to_text(const weir__yaml *value, const char *what, const char **out) {
  if (value->kind != WEIR__YAML_TEXT || !*value->text) return WEIR__YAML_FAIL(value, "%s: expected a text", what);
  *out = value->text;
  return WEIR_OK;
}

weir_status weir__yaml_to_int(const weir__yaml *value, const char *what, int64_t least, int64_t most, int64_t *out) {
  int64_t n;
  if (value->kind != WEIR__YAML_TEXT || value->quoted || !weir__text_to_int64(value->text, &n))
    return WEIR__YAML_FAIL(
        value, "%s: expected a whole number%s%s%s", what, value->kind == WEIR__YAML_TEXT ? ", got \"" : "",
        value->kind == WEIR__YAML_TEXT ? value->text : "", value->kind == WEIR__YAML_TEXT ? "\"" : "");
  if (n < least || n > most)
    return WEIR__YAML_FAIL(value, "%s is %lld, expected %lld to %lld", what, (long long)n, (long long)least,
                           (long long)most);
  *out = n;
  return WEIR_OK;
}

weir_status weir__yaml_to_real(const weir__yaml *value, const char *what, double *out) {
  double x;
  if (value->kind != WEIR__YAML_TEXT || value->quoted || !weir__text_to_double(value->text, &x) || !isfinite(x))
    return WEIR__YAML_FAIL(value, "%s: expected a number%s%s%s", what, value->kind == WEIR__YAML_TEXT ? ", got \"" : "",
                           value->kind == WEIR__YAML_TEXT ? value->text : "",
                           value->kind == WEIR__YAML_TEXT ? "\"" : "");
  *out = x;
  return WEIR_OK;
}

weir_status weir__yaml_to_choice(const weir__yaml *value, const char *what, const char *const *words, int *out) {
  char   list[512];
  size_t length = 0;
  for (int i = 0; words[i]; i++) {
    if (value->kind == WEIR__YAML_TEXT && !strcmp(value->text, words[i])) {
      *out = i;
      return WEIR_OK;
    }
    if (length < sizeof list)
      length += (size_t)snprintf(list + length, sizeof list - length, "%s%s", i ? ", " : "", words[i]);
  }
  if (value->kind != WEIR__YAML_TEXT) return WEIR__YAML_FAIL(value, "%s: expected one of %s", what, list);
  return WEIR__YAML_FAIL(value, "%s: expected one of %s, got \"%s\"", what, list, value->text);
}

weir_status weir__yaml_to_bool(const weir__yaml *value, const char *what, bool *out) {
  static const char *const words[] = {"no", "yes", "false", "true", "off", "on", NULL};
  int                      word;
  WEIR_TRY(weir__yaml_to_choice(value, what, words, &word));
  *out = word % 2;
  return WEIR_OK;
}

weir_status weir__yaml_to_texts(weir__arena *arena, const weir__yaml *value, const char *what,
                                const weir__yaml *const **item, int *count) {
  const weir__yaml **one;
  if (value->kind == WEIR__YAML_TEXT && *value->text) {
    WEIR_TRY(weir__arena_alloc(arena, sizeof *one, &one));
    one[0] = value;
    *item  = one;
    *count = 1;
    return WEIR_OK;
  }
  if (value->kind != WEIR__YAML_LIST || !value->count)
    return WEIR__YAML_FAIL(value, "%s: expected a text or a list of texts", what);
  for (int i = 0; i < value->count; i++)
    if (value->item[i]->kind != WEIR__YAML_TEXT || !*value->item[i]->text)
      return WEIR__YAML_FAIL(value->item[i], "%s: expected a text; an expression inside [] or {} must be quoted", what);
  *item  = value->item;
  *count = value->count;
  return WEIR_OK;
}
