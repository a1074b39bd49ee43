/* weir set: the parameters of a run that goes on. */
#include "cli.h"
#include "core/text.h"
#include "run/set.h"
#include <math.h>
#include <string.h>

static const char help[] =
    "usage: weir set RUNDIR [NAME=VALUE]... [--timeout S]\n"
    "\n"
    "Change parameters of a run while it goes on: those in parameters: of its recipe, and those that the simulation\n"
    "declares. All values of one command are decided at the same step, or none is. The run answers with that step\n"
    "and with the published step from which the new values hold, in the simulation and in the analysis alike; both\n"
    "are in decisions.log of the run directory, from which weir run --replay-decisions repeats the run.\n"
    "\n"
    "Without values the parameters are listed: the value that holds now, the one decided last, and the limits.\n"
    "\n"
    "  --timeout S   how long to wait for an answer, in seconds (default: 30)\n"
    "\n"
    "examples:\n"
    "\n"
    "  weir set gyre.run\n"
    "  weir set gyre.run wind=0.8\n"
    "\n"
    "exit status: 0 accepted; 1 no answer in time, or the run has ended; 2 no such parameter, or out of its limits\n";

enum { VALUES_MAX = 16 };

static int run(int argc, char **argv) {
  const char *directory = NULL, *value, *list[VALUES_MAX];
  int         count     = 0;
  double      seconds   = 30;
  weir__text  text      = {0};
  for (int i = 1; i < argc; i++) {
    if (cli_option(argc, argv, &i, "--timeout", &value)) {
      if (!value || !weir__text_to_double(value, &seconds) || !(seconds > 0) || !isfinite(seconds))
        return cli_misuse("set", "--timeout %s: expected a number of seconds", value ? value : "");
    } else if (argv[i][0] == '-') return cli_misuse("set", "unknown option %s", argv[i]);
    else if (!directory) directory = argv[i];
    else if (count == VALUES_MAX) return cli_misuse("set", "more than %d values", VALUES_MAX);
    else list[count++] = argv[i];
  }
  if (!directory) return cli_misuse("set", "a run directory is missing, such as gyre.run");
  weir_status status =
      count ? weir__set_send(directory, list, count, seconds, &text) : weir__set_list(directory, &text);
  if (status >= 0) return cli_print(&text);
  weir__text_clear(&text);
  return cli_fail(status);
}

const cli_command cli_set = {"set", "list or change the parameters of a run that goes on", help, run};
