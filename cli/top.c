/* weir top: a run as it is just now, once a second. It only reads the run directory; the run does not notice. */
#include "cli.h"
#include "run/top.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static const char help[] =
    "usage: weir top RUNDIR [--once]\n"
    "\n"
    "Show how a run is doing, once a second, until it ends; q or Ctrl-C leaves, the run goes on. With --once, or when\n"
    "the output is not a terminal, it is shown once. It only reads the run directory.\n"
    "\n"
    "  stream    steps/s          steps analysed per second, over the last five seconds, as all figures per second\n"
    "            median, 99 %     from a step's arrival to its results, of the last 512 steps\n"
    "            blocked          share of its time that the simulation waits for the analysis\n"
    "            queue            steps published and not yet begun\n"
    "            spill, drop      steps that went over the disk, and that are not in the outputs\n"
    "  worker    load             busy share of its threads\n"
    "            restart          how often it was restarted\n"
    "            beat             since its last sign of life, one a second while it runs\n"
    "\n"
    "example:\n"
    "\n"
    "  weir top gyre.run\n"
    "\n"
    "exit status: 0; 2 when there is no such run\n";

enum { SECOND_MS = 1000, PLAIN_COLUMNS = 80 };

static volatile sig_atomic_t stop; /* set by the handler */

static void on_signal(int signal) {
  if (signal != SIGWINCH) stop = 1;
}

static int show_once(const char *directory) {
  weir__top   top;
  weir__text  text   = {0};
  weir_status status = weir__top_read(directory, &top);
  if (status < 0) return cli_fail(status);
  status = weir__top_text(&top, PLAIN_COLUMNS, 0, false, &text);
  weir__top_clear(&top);
  if (status >= 0) return cli_print(&text);
  weir__text_clear(&text);
  return cli_fail(status);
}

/* ---- the terminal ---- */

static struct termios terminal_begin(void) {
  struct termios before, mode;
  tcgetattr(STDIN_FILENO, &before);
  mode = before;
  mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
  mode.c_cc[VSUSP] = _POSIX_VDISABLE; /* a stopped top would leave the terminal like this */
  tcsetattr(STDIN_FILENO, TCSANOW, &mode);
  fputs("\033[?1049h\033[?25l", stdout); /* another page, no cursor */
  return before;
}

static void terminal_end(const struct termios *before) {
  fputs("\033[?25h\033[?1049l", stdout);
  fflush(stdout);
  tcsetattr(STDIN_FILENO, TCSANOW, before);
}

static void draw(const char *text) {
  fputs("\033[H", stdout);
  for (const char *line = text; *line;) {
    size_t length = strcspn(line, "\n");
    printf("\033[K%.*s", (int)length, line); /* cleared first: afterwards it would take a full line's last character */
    line += length;
    if (*line) line++;
    if (*line) fputs("\n", stdout);
  }
  fputs("\033[J", stdout);
  fflush(stdout);
}

/* Draws what there is; WEIR_END: the run has ended. */
static weir_status refresh(const char *directory, bool colour) {
  struct winsize size = {0};
  weir__top      top;
  weir__text     text = {0};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_col)
    size = (struct winsize){.ws_row = 24, .ws_col = PLAIN_COLUMNS};
  WEIR_TRY(weir__top_read(directory, &top));
  bool        ended  = top.ended;
  weir_status status = weir__top_text(&top, size.ws_col, size.ws_row, colour, &text);
  weir__top_clear(&top);
  if (status >= 0 && !ended) draw(text.data);
  weir__text_clear(&text);
  return status < 0 ? status : ended ? WEIR_END : WEIR_OK;
}

static int watch(const char *directory) {
  static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};
  const char      *no_colour = getenv("NO_COLOR");
  struct sigaction action    = {.sa_handler = on_signal};
  weir_status      status    = WEIR_OK;
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, NULL);
  struct termios before = terminal_begin();
  while (!stop && (status = refresh(directory, !no_colour || !*no_colour)) == WEIR_OK) {
    struct pollfd keys = {.fd = STDIN_FILENO, .events = POLLIN};
    char          key  = 0;
    if (poll(&keys, 1, SECOND_MS) <= 0) continue; /* a second has passed, or the window has another size */
    if (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q') break;
  }
  terminal_end(&before);
  if (status < 0) return cli_fail(status);
  return status == WEIR_END ? show_once(directory) : 0;
}

static int run(int argc, char **argv) {
  const char *directory = NULL, *term = getenv("TERM");
  bool        once = false;
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "--once")) once = true;
    else if (argv[i][0] == '-') return cli_misuse("top", "unknown option %s", argv[i]);
    else if (directory) return cli_misuse("top", "two run directories, %s and %s", directory, argv[i]);
    else directory = argv[i];
  }
  if (!directory) return cli_misuse("top", "a run directory is missing");
  bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && term && strcmp(term, "dumb");
  return once || !terminal ? show_once(directory) : watch(directory);
}

const cli_command cli_top = {"top", "show how a run is doing, once a second", help, run};
