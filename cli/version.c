/* weir version: of weir and of what it was built with. */
#include "run/version.h"
#include "cli.h"

static const char help[] =
    "usage: weir version\n"
    "\n"
    "Show the version of weir and of the libraries it was built with; please give it in reports of faults.\n"
    "\n"
    "example:\n"
    "\n"
    "  weir version\n";

static int run(int argc, char **argv) {
  weir__text text = {0};
  if (argc > 1) return cli_misuse("version", "unexpected %s", argv[1]);
  if (weir__version_text(&text) < 0) {
    weir__text_clear(&text);
    return cli_fail(WEIR_FAIL(WEIR_ERR_MEMORY, "out of memory"));
  }
  return cli_print(&text);
}

const cli_command cli_version = {"version", "show the versions of weir and its libraries", help, run};
