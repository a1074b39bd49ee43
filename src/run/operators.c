/* Loading and checking operators. A record from a shared object is read only after its version was compared: the
 * members behind it may mean something else in another one. */
#include "run/operators.h"
#include <dlfcn.h>
#include <string.h>

extern const weir_operator *const weir__operators_built_in[]; /* generated from the files in src/operators */

static const char symbol[] = "weir_operators";

/* ---- checking one record ---- */

static weir_status check_param(const weir_operator *op, const weir_param *p, const char *where) {
  static const size_t sizes[] = {[WEIR_PARAM_REAL] = sizeof(double),    [WEIR_PARAM_INT] = sizeof(int64_t),
                                 [WEIR_PARAM_BOOL] = sizeof(bool),      [WEIR_PARAM_CHOICE] = sizeof(int),
                                 [WEIR_PARAM_AXES] = sizeof(weir_axes), [WEIR_PARAM_TEXT] = sizeof(const char *),
                                 [WEIR_PARAM_LIST] = sizeof(weir_list)};
  if (!weir__recipe_is_name(p->name))
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: operator %s: \"%s\" is no name for a parameter", where, op->name, p->name);
  if ((unsigned)p->kind >= sizeof sizes / sizeof *sizes)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: operator %s: parameter %s has an unknown kind", where, op->name, p->name);
  if (p->offset > op->params_size || op->params_size - p->offset < sizes[p->kind])
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: operator %s: parameter %s lies outside the %zu bytes of its parameters",
                     where, op->name, p->name, op->params_size);
  if (p->least > p->most)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: operator %s: the range of parameter %s is empty", where, op->name, p->name);
  if (p->kind != WEIR_PARAM_CHOICE) return WEIR_OK;
  int words = 0;
  while (p->choices && p->choices[words]) words++;
  if (!words || !(p->fallback >= 0 && p->fallback < words))
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: operator %s: parameter %s has no word number %g", where, op->name, p->name,
                     p->fallback);
  return WEIR_OK;
}

static weir_status check_functions(const weir_operator *op, const char *where) {
  const char *missing = NULL;
  if (op->expression || op->expand) return WEIR_OK;
  if (!op->apply) missing = "apply";
  else if (op->partial_size && !op->combine) missing = "combine, which a reduction needs";
  else if (op->partial_size && !op->finish) missing = "finish, which a reduction needs";
  else if (!op->inputs && !op->infer) missing = "infer, which an operator without inputs needs";
  else if (op->prepare && !op->release) missing = "release, which goes with prepare";
  if (missing) return WEIR_FAIL(WEIR_ERR_INPUT, "%s: operator %s has no %s", where, op->name, missing);
  return WEIR_OK;
}

weir_status weir__operator_check(const weir_operator *op, const char *where) {
  if (op->api != WEIR_OPERATOR_API)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: made for version %u of the operator record, this weir has version %u", where,
                     op->api, WEIR_OPERATOR_API);
  if (!op->name || !weir__recipe_is_name(op->name))
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: \"%s\" is no name for an operator", where, op->name ? op->name : "");
  if (!op->summary) return WEIR_FAIL(WEIR_ERR_INPUT, "%s: operator %s has no summary", where, op->name);
  int most = op->inputs + op->optional_inputs;
  if (op->inputs < 0 || op->optional_inputs < 0 || most > WEIR_INPUTS_MAX || op->outputs < 0 ||
      op->outputs > WEIR_OUTPUTS_MAX)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: operator %s: %d and %d inputs and %d results, at most %d and %d", where,
                     op->name, op->inputs, op->optional_inputs, op->outputs, WEIR_INPUTS_MAX, WEIR_OUTPUTS_MAX);
  for (int i = 0; i < most; i++)
    if (!op->input_names || !op->input_names[i] || !weir__recipe_is_name(op->input_names[i]))
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s: operator %s: input %d has no name", where, op->name, i + 1);
  for (int i = 0; op->outputs > 1 && i < op->outputs; i++)
    if (!op->output_names || !op->output_names[i] || !weir__recipe_is_name(op->output_names[i]))
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s: operator %s: result %d has no name", where, op->name, i + 1);
  for (const weir_param *p = op->params; p && p->name; p++) WEIR_TRY(check_param(op, p, where));
  return check_functions(op, where);
}

/* ---- loading ---- */

static weir_status add_operator(weir__operator_set *set, const weir_operator *op, const char *where) {
  for (int i = 0; i < set->count; i++)
    if (!strcmp(set->table[i]->name, op->name))
      return WEIR_FAIL(WEIR_ERR_INPUT, "%s: there is an operator %s already", where, op->name);
  WEIR_TRY(weir__grow(&set->table, (size_t)set->count + 2, &set->capacity, sizeof *set->table));
  set->table[set->count++] = op;
  set->table[set->count]   = NULL;
  return WEIR_OK;
}

/* Operators take weir's functions from whoever loads them. The command offers its own to all; a library that a
 * simulation has loaded for itself (placement inline) must be asked to. */
static void offer_functions(void) {
  Dl_info us;
  if (dladdr(symbol, &us) && us.dli_fname) dlopen(us.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL);
}

static weir_status load_library(weir__operator_set *set, const char *path, const char *where) {
  WEIR_TRY(weir__grow(&set->library, (size_t)set->libraries + 1, &set->library_capacity, sizeof *set->library));
  offer_functions();
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *why = dlerror();
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: cannot be loaded: %s", where, why ? why : "unknown error");
  }
  set->library[set->libraries++]    = library;
  const weir_operator *const *table = dlsym(library, symbol);
  if (!table)
    return WEIR_FAIL(WEIR_ERR_INPUT, "%s: has no table %s, expected const weir_operator *const %s[]", where, symbol,
                     symbol);
  for (; *table; table++) {
    WEIR_TRY(weir__operator_check(*table, where));
    WEIR_TRY(add_operator(set, *table, where));
  }
  return WEIR_OK;
}

static weir_status load_file(weir__operator_set *set, const weir__recipe_text *file) {
  weir__text path = {0}, where = {0};
  weir__text_add(&path, "%s%s", strchr(file->text, '/') ? "" : "./", file->text);
  if (file->place.line) weir__text_add(&where, "%s:%d:%d: ", file->place.file, file->place.line, file->place.column);
  weir__text_add(&where, "%s", file->text);
  weir_status status = weir__text_status(&path) < 0 ? WEIR_ERR_MEMORY : weir__text_status(&where);
  if (status >= 0) status = load_library(set, path.data, where.data);
  weir__text_clear(&path);
  weir__text_clear(&where);
  return status;
}

weir_status weir__operator_set_load(const weir__recipe_text *file, int files, weir__operator_set *set) {
  weir__operator_set self   = {0};
  weir_status        status = weir__grow(&self.table, 1, &self.capacity, sizeof *self.table);
  for (const weir_operator *const *op = weir__operators_built_in; status >= 0 && *op; op++)
    status = add_operator(&self, *op, "built in");
  for (int i = 0; status >= 0 && i < files; i++) status = load_file(&self, &file[i]);
  if (status < 0) {
    weir__operator_set_clear(&self);
    return status;
  }
  *set = self;
  return WEIR_OK;
}

void weir__operator_set_clear(weir__operator_set *set) {
  weir__free(set->table);
  for (int i = set->libraries - 1; i >= 0; i--) dlclose(set->library[i]);
  weir__free(set->library);
  *set = (weir__operator_set){0};
}
