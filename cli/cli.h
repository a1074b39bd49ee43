/* What the commands share. A command prints its result on standard output, messages on standard error, and returns the
 * exit status: 0 complete, 1 failed or incomplete, 2 bad input; `weir run` also the simulation's own. */
#ifndef WEIR_CLI_CLI_H
#define WEIR_CLI_CLI_H
#include <stdbool.h>
#include <weir/status.h>

typedef struct cli_command {
  const char *name;
  const char *summary;               /* one line; NULL: not listed */
  const char *help;                  /* all that `weir help NAME` says */
  int (*run)(int argc, char **argv); /* argv[0] is the command's name */
} cli_command;

extern const cli_command cli_set, cli_run, cli_piv, cli_check, cli_top, cli_ops, cli_synth_piv, cli_calibrate,
    cli_worker, cli_version;

/* Print the message of the failure in flight; returns the exit status for it. */
int cli_fail(weir_status status);
/* Wrong use: one message that ends with the way to the help; returns 2. */
int cli_misuse(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Print text that a command made, and free it; returns 0, or 1 when it cannot be written. */
struct weir__text;
int cli_print(void *text);

/* Is argv[*at] the option `name`? Then `*value` is set ("--name value", `*at` moves on; or "--name=value"; NULL when it
 * is missing). */
bool cli_option(int argc, char **argv, int *at, const char *name, const char **value);
/* A whole number in a range; false after a message. */
bool cli_number(const char *command, const char *name, const char *value, long least, long most, int *out);
#endif
