/* weir ops: the operators, documented from their records. */
#include "cli.h"
#include "run/operators.h"
#include <string.h>

static const char help[] =
    "usage: weir ops [--load FILE.so]... [NAME]\n"
    "\n"
    "List the operators a recipe may use, one line each; or explain one: its inputs, results and parameters\n"
    "with their units, ranges and defaults.\n"
    "\n"
    "  --load FILE.so   also the operators of a shared object, as `operators:` in a recipe does\n"
    "\n"
    "example:\n"
    "\n"
    "  weir ops power_spectrum\n";

static int run(int argc, char **argv) {
  weir__recipe_text  files[64] = {0};
  int                count     = 0;
  const char        *name      = NULL, *value;
  weir__operator_set set;
  weir__text         text = {0};
  for (int i = 1; i < argc; i++) {
    if (cli_option(argc, argv, &i, "--load", &value)) {
      if (!value || count == 64) return cli_misuse("ops", "--load: expected a file");
      files[count++] = (weir__recipe_text){.text = value};
    } else if (argv[i][0] == '-') return cli_misuse("ops", "unknown option %s", argv[i]);
    else if (name) return cli_misuse("ops", "one operator at a time, two given: %s and %s", name, argv[i]);
    else name = argv[i];
  }
  weir_status status = weir__operator_set_load(files, count, &set);
  if (status < 0) return cli_fail(status);
  if (name) status = weir__operator_describe(&set, name, &text);
  else weir__operator_list(&set, &text);
  weir__operator_set_clear(&set);
  if (status < 0) {
    weir__text_clear(&text);
    return cli_fail(status);
  }
  return cli_print(&text);
}

const cli_command cli_ops = {"ops", "list the operators, or explain one", help, run};
