/* A case as one would write it with MPI: sums up a binomial tree, each process one message; or rows and columns of the
 * edge exchanged with the four neighbours. Blocking: a process that waits for a message goes on the moment it comes. */
#include "harness.h"
#include "scale/case.h"
#include <mpi.h>
#include <string.h>
#include <time.h>

enum { ROWS = CHUNK_ROWS, COLUMNS = CHUNK_COLUMNS * CHUNKS };

typedef struct local {
  scale_case *c;
  int64_t     y, x;                             /* of its first element */
  double      u[ROWS + 2][COLUMNS + 2], before; /* with the neighbours' edges; the last step's sum */
  double      messages;
} local;

static void await(const scale_case *c, int64_t step) {
  int64_t         left = scale_published_ns(c, step) - weir__clock_ns();
  struct timespec time = {left / 1000000000, left % 1000000000};
  if (c->period_ns && left > 0) nanosleep(&time, NULL);
}

static void fill(local *l, int64_t step) {
  for (int y = 0; y < ROWS; y++)
    for (int x = 0; x < COLUMNS; x++) l->u[y + 1][x + 1] = scale_value(l->c, step, l->y + y, l->x + x);
}

static double sum_of(const local *l) {
  double sum = 0;
  for (int y = 0; y < ROWS; y++)
    for (int x = 0; x < COLUMNS; x++) sum += l->u[y + 1][x + 1];
  return sum;
}

/* The sum of all, on process 0. */
static double reduce(local *l, double sum) {
  int rank = l->c->rank, size = l->c->size;
  for (int step = 1; rank + step < size && (!rank || step < (rank & -rank)); step *= 2) {
    double other;
    MPI_Recv(&other, 1, MPI_DOUBLE, rank + step, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    sum += other;
  }
  if (rank) MPI_Send(&sum, 1, MPI_DOUBLE, rank & (rank - 1), 0, MPI_COMM_WORLD);
  l->messages += rank != 0;
  return sum;
}

static void step_of_sum(local *l, int64_t step) {
  double sum = sum_of(l), all, value;
  all        = reduce(l, l->c->kind == SCALE_LAG ? (sum - l->before) / 0.5 : sum);
  l->before  = sum;
  if (l->c->rank || (l->c->kind == SCALE_LAG && !step)) return;
  value = all / ((double)l->c->size * ROWS * COLUMNS);
  scale_result(l->c, step, value);
}

static void step_of_halo(local *l, int64_t step) {
  static const int  away[4][2] = {{-1, 0}, {1, 0}, {0, -1}, {0, 1}};
  const scale_case *c          = l->c;
  int               py = c->rank / c->across, px = c->rank % c->across, requests = 0;
  double            in[4][ROWS > COLUMNS ? ROWS : COLUMNS], out[4][ROWS > COLUMNS ? ROWS : COLUMNS];
  bool              there[4];
  MPI_Request       request[8];
  for (int n = 0; n < 4; n++) {
    int y = py + away[n][0], x = px + away[n][1], count = away[n][0] ? COLUMNS : ROWS;
    there[n] = y >= 0 && y < c->down && x >= 0 && x < c->across;
    if (!there[n]) continue;
    for (int i = 0; i < count; i++)
      out[n][i] = away[n][0] ? l->u[away[n][0] < 0 ? 1 : ROWS][i + 1] : l->u[i + 1][away[n][1] < 0 ? 1 : COLUMNS];
    MPI_Irecv(in[n], count, MPI_DOUBLE, y * c->across + x, 1, MPI_COMM_WORLD, &request[requests++]);
    MPI_Isend(out[n], count, MPI_DOUBLE, y * c->across + x, 1, MPI_COMM_WORLD, &request[requests++]);
    l->messages++;
  }
  MPI_Waitall(requests, request, MPI_STATUSES_IGNORE);
  for (int n = 0; n < 4; n++)
    for (int i = 0; there[n] && i < (away[n][0] ? COLUMNS : ROWS); i++)
      *(away[n][0] ? &l->u[away[n][0] < 0 ? 0 : ROWS + 1][i + 1] : &l->u[i + 1][away[n][1] < 0 ? 0 : COLUMNS + 1]) =
          in[n][i];
  for (int y = 1; y <= ROWS; y++)
    for (int x = 1; x <= COLUMNS; x++)
      scale_result_at(l->c, step, l->y + y - 1, l->x + x - 1,
                      l->u[y - 1][x] + l->u[y + 1][x] + l->u[y][x - 1] + l->u[y][x + 1] - 4 * l->u[y][x]);
}

void scale_by_hand(scale_case *c, scale_figures *f) {
  local   l     = {.c = c, .y = (int64_t)(c->rank / c->across) * ROWS, .x = (int64_t)(c->rank % c->across) * COLUMNS};
  int64_t first = weir__clock_ns() + 2 * c->period_ns;
  MPI_Allreduce(&first, &c->start_ns, 1, MPI_INT64_T, MPI_MAX, MPI_COMM_WORLD);
  int64_t began = weir__clock_ns();
  for (int64_t s = 0; s < c->steps; s++) {
    await(c, s);
    fill(&l, s);
    (c->kind == SCALE_HALO ? step_of_halo : step_of_sum)(&l, s);
    c->result_ns[s] = weir__clock_ns() - scale_published_ns(c, s);
  }
  f->run_ns   = (double)(weir__clock_ns() - began);
  f->messages = l.messages / c->steps;
}
