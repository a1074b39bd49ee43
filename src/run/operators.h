/* The operators of a run: those built in, and those of shared objects named in the recipe. */
#ifndef WEIR_RUN_OPERATORS_H
#define WEIR_RUN_OPERATORS_H
#include "core/text.h"
#include "run/recipe.h"

typedef struct weir__operator_set {
  const weir_operator **table; /* ended by NULL */
  int                   count;
  size_t                capacity;
  void                **library; /* of dlopen */
  int                   libraries;
  size_t                library_capacity;
} weir__operator_set;

/* All built-in operators and those in the files. WEIR_ERR_INPUT: a file cannot be loaded, or a record in it is wrong.
 */
weir_status weir__operator_set_load(const weir__recipe_text *file, int files, weir__operator_set *set);
void        weir__operator_set_clear(weir__operator_set *set);

/* Check a record that was not made by this build: what the engine relies on is there and in range. `where` names its
 * origin. */
weir_status weir__operator_check(const weir_operator *op, const char *where);

/* `weir ops`: one line each; and the full documentation of one, from its record alone. */
void        weir__operator_list(const weir__operator_set *set, weir__text *text);
weir_status weir__operator_describe(const weir__operator_set *set, const char *name, weir__text *text);
#endif
