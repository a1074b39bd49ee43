/* weir check: what a recipe compiles to, without running it. */
#include "cli.h"
#include "run/check.h"
#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: weir check FILE [--workers N] [--set NAME=VALUE]... [--dir DIR]\n"
    "\n"
    "Compile the recipe FILE without running it, and show its fields with shapes, chunks, types and units, its\n"
    "outputs, and what each worker has to do, hold and send in a step.\n"
    "\n"
    "The fields of a simulation are known from expects: in the recipe, or from schema.yaml in the run directory\n"
    "of an earlier run; files are looked into. Otherwise only what can be known is checked.\n"
    "\n"
    "  --workers N        as if for N workers (default: as the recipe says, else 1)\n"
    "  --set NAME=VALUE   change a parameter of the recipe; may be repeated\n"
    "  --dir DIR          the run directory (default: the run's name with .run, here)\n"
    "\n"
    "example:\n"
    "\n"
    "  weir check gyre.yaml --workers 8\n";

enum { SETS_MAX = 256 };

typedef struct options {
  const char *recipe, *directory, *set[SETS_MAX];
  int         sets, workers;
} options;

static int read_options(int argc, char **argv, options *o) {
  const char *value;
  for (int i = 1; i < argc; i++) {
    if (cli_option(argc, argv, &i, "--workers", &value)) {
      if (!cli_number("check", "--workers", value, 1, 1 << 20, &o->workers)) return 2;
    } else if (cli_option(argc, argv, &i, "--dir", &value)) {
      if (!value) return cli_misuse("check", "--dir: expected a directory");
      o->directory = value;
    } else if (cli_option(argc, argv, &i, "--set", &value)) {
      if (!value || o->sets == SETS_MAX) return cli_misuse("check", "--set: expected name=number");
      o->set[o->sets++] = value;
    } else if (argv[i][0] == '-') return cli_misuse("check", "unknown option %s", argv[i]);
    else if (o->recipe) return cli_misuse("check", "two recipes, %s and %s", o->recipe, argv[i]);
    else o->recipe = argv[i];
  }
  return o->recipe ? 0 : cli_misuse("check", "a recipe is missing");
}

static weir_status check(const options *o, weir__recipe **recipe, weir__text *text) {
  char name[80];
  WEIR_TRY(weir__recipe_load(o->recipe, NULL, recipe));
  for (int i = 0; i < o->sets; i++) WEIR_TRY(weir__recipe_set(*recipe, o->set[i]));
  snprintf(name, sizeof name, "%s.run", (*recipe)->run);
  int workers = o->workers ? o->workers : (*recipe)->workers ? (*recipe)->workers : 1;
  return weir__check_text(*recipe, o->directory ? o->directory : name, workers, text);
}

static int run(int argc, char **argv) {
  options       o      = {0};
  weir__recipe *recipe = NULL;
  weir__text    text   = {0};
  int           result = read_options(argc, argv, &o);
  if (result) return result;
  weir_status status = check(&o, &recipe, &text);
  if (status < 0) {
    weir__text_clear(&text);
    result = cli_fail(status);
  } else result = cli_print(&text);
  weir__recipe_destroy(&recipe);
  return result;
}

const cli_command cli_check = {"check", "show what a recipe compiles to, without running it", help, run};
