/* weir worker: one worker process; started by weir run, not by people. */
#include "cli.h"
#include "run/worker.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: weir worker RUNDIR\n"
    "\n"
    "One worker of the run that lives in RUNDIR. weir run starts the workers itself; this command is for launch\n"
    "lines of your own.\n"
    "\n"
    "example:\n"
    "\n"
    "  mpirun -n 2 weir worker gyre.run\n";

static volatile int stop; /* set by the handler, read by the source of files */

static void on_signal(int signal) {
  (void)signal;
  stop = 1;
}

static int run(int argc, char **argv) {
  bool speaks = false;
  if (argc != 2 || argv[1][0] == '-') return cli_misuse("worker", "expected one run directory");
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND | SA_RESTART};
  sigaction(SIGINT, &action, NULL);
  signal(SIGXFSZ, SIG_IGN); /* a file that would grow beyond a limit is a failed write of one output */
  weir_status status = weir__run_worker(argv[1], &stop, &speaks);
  /* Under an MPI launcher a failed exit status would print a page about itself; the supervisor reads the status file.
   */
  if (status < 0 && speaks && !getenv("WEIR_SUPERVISED")) cli_fail(status);
  return getenv("WEIR_SUPERVISED") ? 0 : weir__exit_status(status);
}

const cli_command cli_worker = {"worker", NULL, help, run};
