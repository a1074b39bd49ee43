/* weir: the command. One file per command; this one finds it. */
#include "cli.h"
#include "core/text.h"
#include "run/worker.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const cli_command *const commands[] = {&cli_run, &cli_piv,       &cli_check,     &cli_set,     &cli_top,
                                              &cli_ops, &cli_synth_piv, &cli_calibrate, &cli_version, &cli_worker,
                                              NULL};

static const char usage[] =
    "weir analyses, reduces and draws the fields of a simulation while it runs, or of NetCDF files.\n"
    "\n"
    "usage: weir COMMAND ...\n"
    "\n";

static const char usage_end[] =
    "  help      explain a command: weir help run\n"
    "\n"
    "example: describe the analysis in a recipe, look at what it will do, run it beside the simulation\n"
    "\n"
    "  weir check gyre.yaml\n"
    "  weir run gyre.yaml --workers 2 --ranks 4 -- ./gyre gyre.nml\n"
    "\n"
    "exit status: 0 complete, 1 failed or incomplete, 2 bad input, or that of the simulation when it failed\n";

/* ---- shared with the commands ---- */

int cli_fail(weir_status status) {
  fprintf(stderr, "weir: %s\n", weir_error_last());
  return weir__exit_status(status);
}

int cli_misuse(const char *command, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "weir: ");
  vfprintf(stderr, format, arguments);
  fprintf(stderr, " (weir help%s%s)\n", command ? " " : "", command ? command : "");
  va_end(arguments);
  return 2;
}

int cli_print(void *text) {
  weir__text *t      = text;
  weir_status status = weir__text_status(t);
  if (status >= 0 && t->length && fwrite(t->data, 1, t->length, stdout) != t->length)
    status = WEIR_FAIL(WEIR_ERR_IO, "cannot write to standard output");
  if (status >= 0 && fflush(stdout)) status = WEIR_FAIL(WEIR_ERR_IO, "cannot write to standard output");
  weir__text_clear(t);
  return status < 0 ? cli_fail(status) : 0;
}

bool cli_option(int argc, char **argv, int *at, const char *name, const char **value) {
  size_t length = strlen(name);
  if (strncmp(argv[*at], name, length)) return false;
  if (argv[*at][length] == '=') {
    *value = argv[*at] + length + 1;
    return true;
  }
  if (argv[*at][length]) return false;
  *value = *at + 1 < argc && strcmp(argv[*at + 1], "--") ? argv[++*at] : NULL;
  return true;
}

bool cli_number(const char *command, const char *name, const char *value, long least, long most, int *out) {
  int64_t n;
  if (!value || !weir__text_to_int64(value, &n) || n < least || n > most) {
    cli_misuse(command, "%s %s: expected a whole number from %ld to %ld", name, value ? value : "", least, most);
    return false;
  }
  *out = (int)n;
  return true;
}

/* ---- finding the command ---- */

static const cli_command *find(const char *name) {
  for (const cli_command *const *c = commands; *c; c++)
    if (!strcmp((*c)->name, name)) return *c;
  return NULL;
}

static int unknown(const char *name) {
  const char *names[16];
  size_t      count = 0;
  for (const cli_command *const *c = commands; *c; c++)
    if ((*c)->summary) names[count++] = (*c)->name;
  names[count++]   = "help";
  const char *near = weir__text_nearest(name, names, count);
  return cli_misuse(NULL, "unknown command %s%s%s%s", name, near ? ", did you mean " : "", near ? near : "",
                    near ? "?" : "");
}

static int help(const char *name) {
  if (name) {
    const cli_command *command = find(name);
    if (!command) return unknown(name);
    fputs(command->help, stdout);
  } else {
    fputs(usage, stdout);
    for (const cli_command *const *c = commands; *c; c++)
      if ((*c)->summary) printf("  %-9s %s\n", (*c)->name, (*c)->summary);
    fputs(usage_end, stdout);
  }
  return fflush(stdout) ? 1 : 0;
}

int main(int argc, char **argv) {
  if (argc < 2) return cli_misuse(NULL, "a command is missing, such as run or check");
  const char *name = argv[1];
  if (!strcmp(name, "--help") || !strcmp(name, "-h")) return help(NULL);
  if (!strcmp(name, "help")) return argc > 3 ? cli_misuse(NULL, "help takes one command") : help(argv[2]);
  if (!strcmp(name, "--version")) name = "version";
  const cli_command *command = find(name);
  if (!command) return unknown(name);
  for (int i = 2; i < argc && strcmp(argv[i], "--"); i++)
    if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return help(name);
  return command->run(argc - 1, argv + 1);
}
