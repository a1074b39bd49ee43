/* YAML as a tree with the place of every piece, in an arena. For what people write (recipes, calibrations): bounded in
 * size, depth and aliases, duplicate keys refused; and a table of keys that makes an ignored key impossible. */
#ifndef WEIR_CORE_YAML_H
#define WEIR_CORE_YAML_H
#include "core/memory.h"
#include "core/place.h"
#include <stdbool.h>

typedef enum weir__yaml_kind { WEIR__YAML_TEXT, WEIR__YAML_LIST, WEIR__YAML_MAP } weir__yaml_kind;

typedef struct weir__yaml weir__yaml;
struct weir__yaml {
  weir__yaml_kind    kind;
  weir__place        place;
  const char        *text;   /* of a TEXT; "" for an empty value */
  bool               quoted; /* the text stood in quotes */
  int                count;  /* items of a list, pairs of a map */
  const weir__yaml **key;    /* of a map; all are TEXT */
  const weir__yaml **item;
  size_t             weight; /* nodes below and including this one, aliases counted where they are used */
};

/* Parse `size` bytes as one YAML document. `file` names it in messages. Everything is in the arena. */
weir_status weir__yaml_parse(weir__arena *arena, const char *file, const char *bytes, size_t size,
                             const weir__yaml **root);

/* Read a whole file of at most 1 MiB into the arena (ended by 0). WEIR_ERR_INPUT: it cannot be read. */
weir_status weir__yaml_load(weir__arena *arena, const char *path, const char **bytes, size_t *size);

/* A failure at a piece: "file:line:column: message". */
#define WEIR__YAML_FAIL(node, format, ...)                                                                             \
  WEIR_FAIL(WEIR_ERR_INPUT, "%s:%d:%d: " format, (node)->place.file, (node)->place.line, (node)->place.column,         \
            ##__VA_ARGS__)

/* One key a map may have; a table of them ends with a NULL name. */
typedef struct weir__yaml_key {
  const char *name;
  weir_status (*read)(void *context, const weir__yaml *value); /* NULL: of a later version, refused as such */
} weir__yaml_key;

/* Read a map by its table: unknown keys fail with the nearest known one. `what` names the map in messages. */
weir_status weir__yaml_read(const weir__yaml *map, const char *what, const weir__yaml_key *keys, void *context);

/* The value of `key`; NULL: the map has none. */
const weir__yaml *weir__yaml_get(const weir__yaml *map, const char *key);

/* Checked values; `what` names the value in the message. */
weir_status weir__yaml_to_text(const weir__yaml *value, const char *what, const char **out); /* not empty */
weir_status weir__yaml_to_int(const weir__yaml *value, const char *what, int64_t least, int64_t most, int64_t *out);
weir_status weir__yaml_to_real(const weir__yaml *value, const char *what, double *out);
weir_status weir__yaml_to_bool(const weir__yaml *value, const char *what, bool *out);
/* A word of a list ended by NULL: its index. */
weir_status weir__yaml_to_choice(const weir__yaml *value, const char *what, const char *const *words, int *out);
/* One text or a list of texts: the texts as nodes (in the arena when it was one). */
weir_status weir__yaml_to_texts(weir__arena *arena, const weir__yaml *value, const char *what,
                                const weir__yaml *const **item, int *count);
#endif
