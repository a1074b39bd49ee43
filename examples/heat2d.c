/* heat2d: the heat equation on a square, in parallel, analysed while it runs. The tutorial of weir's client.
 *
 *     dT/dt = kappa (d2T/dx2 + d2T/dy2),    T = 0 on the walls,    T = sin(pi x) sin(pi y) at first
 *
 * Usage: heat2d NX NY STEPS INTERVAL        (mpirun -n 4 heat2d 256 256 1000 10)
 *
 * NX x NY points are shared out in boxes; every box has a halo of one point, which its neighbours fill. Every INTERVAL
 * steps the temperature is offered to weir. Run alone, this is an ordinary MPI program and all calls of weir do
 * nothing; run by `weir run RECIPE -- mpirun -n 4 heat2d ...`, workers compute what the recipe says from it.
 *
 * All that weir needs stands in the three places marked [1], [2] and [3]. */
#include <inttypes.h>
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <weir/client.h>

static const double PI = 3.14159265358979323846, KAPPA = 1.0; /* kappa in m2/s; the square is 1 m wide */

typedef struct box {
  MPI_Comm comm;
  int      rank, size;
  int      north, south, west, east; /* ranks of the neighbours; MPI_PROC_NULL at a wall */
  int      nx, ny;                   /* points of the whole square, without the walls */
  int      x0, y0, mx, my;           /* this box: first point and number of points */
} box;

/* Element (j, i) of a box whose rows are mx points and two halo points wide; -1 and my (mx) are the halo. */
static size_t at(const box *b, int j, int i) { return (size_t)(j + 1) * (size_t)(b->mx + 2) + (size_t)(i + 1); }

/* The part of n points that falls to `index` of `parts`: parts differ by at most one point. */
static void share(int n, int parts, int index, int *first, int *count) {
  int rest = n % parts;
  *count   = n / parts + (index < rest);
  *first   = index * (n / parts) + (index < rest ? index : rest);
}

/* Cut the square into boxes, one for each process. */
static box cut(int nx, int ny) {
  box b       = {.nx = nx, .ny = ny};
  int dims[2] = {0, 0}, walls[2] = {0, 0}, here[2];
  MPI_Comm_size(MPI_COMM_WORLD, &b.size);
  MPI_Dims_create(b.size, 2, dims);
  MPI_Cart_create(MPI_COMM_WORLD, 2, dims, walls, 1, &b.comm);
  MPI_Comm_rank(b.comm, &b.rank);
  MPI_Cart_coords(b.comm, b.rank, 2, here);
  MPI_Cart_shift(b.comm, 0, 1, &b.south, &b.north);
  MPI_Cart_shift(b.comm, 1, 1, &b.west, &b.east);
  share(ny, dims[0], here[0], &b.y0, &b.my);
  share(nx, dims[1], here[1], &b.x0, &b.mx);
  return b;
}

/* Fill the halo: rows go north and south, columns east and west. At a wall it keeps its zeros, which are the boundary
 * value. */
static void exchange(const box *b, double *t, MPI_Datatype column) {
  MPI_Sendrecv(&t[at(b, b->my - 1, 0)], b->mx, MPI_DOUBLE, b->north, 0, &t[at(b, -1, 0)], b->mx, MPI_DOUBLE, b->south,
               0, b->comm, MPI_STATUS_IGNORE);
  MPI_Sendrecv(&t[at(b, 0, 0)], b->mx, MPI_DOUBLE, b->south, 1, &t[at(b, b->my, 0)], b->mx, MPI_DOUBLE, b->north, 1,
               b->comm, MPI_STATUS_IGNORE);
  MPI_Sendrecv(&t[at(b, 0, b->mx - 1)], 1, column, b->east, 2, &t[at(b, 0, -1)], 1, column, b->west, 2, b->comm,
               MPI_STATUS_IGNORE);
  MPI_Sendrecv(&t[at(b, 0, 0)], 1, column, b->west, 3, &t[at(b, 0, b->mx)], 1, column, b->east, 3, b->comm,
               MPI_STATUS_IGNORE);
}

/* One explicit step: the five-point stencil, with ax = kappa dt / dx2 and ay = kappa dt / dy2. */
static void diffuse(const box *b, const double *t, double *next, double ax, double ay) {
  for (int j = 0; j < b->my; j++)
    for (int i = 0; i < b->mx; i++) {
      double here       = t[at(b, j, i)];
      double x          = t[at(b, j, i - 1)] - 2 * here + t[at(b, j, i + 1)];
      double y          = t[at(b, j - 1, i)] - 2 * here + t[at(b, j + 1, i)];
      next[at(b, j, i)] = here + ax * x + ay * y;
    }
}

/* [1] Before the first step each process says what the field is and which box of it is its own. The field is all of the
 * square; the names, units and coordinates go with it into every output. Indices count from 0, and the slowest axis
 * comes first. */
static weir_stream *describe(const box *b, double dx, double dy) {
  static const weir_attribute attributes[] = {{.name = "long_name", .text = "temperature"}};
  const int64_t               start[] = {b->y0, b->x0}, count[] = {b->my, b->mx};
  weir_field_options          options = {
               .type  = {.dtype           = WEIR_F64,
                         .rank            = 2,
                         .dim             = {{.name = "y", .size = b->ny, .units = "m", .origin = dy, .spacing = dy},
                                             {.name = "x", .size = b->nx, .units = "m", .origin = dx, .spacing = dx}},
                         .units           = "K",
                         .attributes      = attributes,
                         .attribute_count = 1},
               .start = start,
               .count = count,
  };
  weir_stream_options opened = {.time_units = "s", .has_comm = true, .comm = MPI_Comm_c2f(b->comm)};
  weir_stream        *stream;
  weir_stream_open("heat", b->rank, b->size, &opened, &stream);
  weir_field_define(stream, "temperature", &options);
  return stream;
}

/* [2] A step: its number, its time, and the array as it lies in memory. The strides leave out the halo: nothing is
 * packed by us, and only what the recipe asks for is copied. No status needs to be looked at. */
static void offer(weir_stream *stream, const box *b, const double *t, int64_t step, double time) {
  weir_array array = {
      .data = &t[at(b, 0, 0)], .dtype = WEIR_F64, .rank = 2, .extent = {b->my, b->mx}, .stride = {b->mx + 2, 1}};
  weir_step_begin(stream, step, time);
  weir_put(stream, "temperature", &array);
  weir_step_end(stream);
}

/* Largest difference from the exact solution of the equations in time and space as they are discretised: each step
 * multiplies the first sine by 1 - 4 ax sin2(pi dx / 2) - 4 ay sin2(pi dy / 2). Only rounding remains. */
static double error_after(const box *b, const double *t, int64_t steps, double dx, double dy, double ax, double ay) {
  double sx = sin(PI * dx / 2), sy = sin(PI * dy / 2), worst = 0;
  double factor = pow(1 - 4 * ax * sx * sx - 4 * ay * sy * sy, (double)steps);
  for (int j = 0; j < b->my; j++)
    for (int i = 0; i < b->mx; i++) {
      double exact = factor * sin(PI * (b->x0 + i + 1) * dx) * sin(PI * (b->y0 + j + 1) * dy);
      worst        = fmax(worst, fabs(t[at(b, j, i)] - exact));
    }
  MPI_Allreduce(MPI_IN_PLACE, &worst, 1, MPI_DOUBLE, MPI_MAX, b->comm);
  return worst;
}

static int usage(void) {
  fprintf(stderr, "usage: heat2d NX NY STEPS INTERVAL   (points, at least as many as processes; steps in all, and "
                  "between outputs)\n");
  return 2;
}

/* A whole number from 1 to 2^30; 0 for anything else. */
static int parse_count(const char *text) {
  char *end;
  long  value = strtol(text, &end, 10);
  return *text && !*end && value > 0 && value <= 1 << 30 ? (int)value : 0;
}

static int run(int nx, int ny, int steps, int interval) {
  box          b  = cut(nx, ny);
  double       dx = 1.0 / (nx + 1), dy = 1.0 / (ny + 1);
  double       dt = 0.2 / KAPPA / (1 / (dx * dx) + 1 / (dy * dy)); /* stable below 0.5 */
  double       ax = KAPPA * dt / (dx * dx), ay = KAPPA * dt / (dy * dy);
  size_t       points = (size_t)(b.mx + 2) * (size_t)(b.my + 2);
  double      *t = calloc(points, sizeof *t), *next = calloc(points, sizeof *next);
  MPI_Datatype column;
  if (!t || !next) {
    fprintf(stderr, "heat2d: out of memory\n");
    MPI_Abort(b.comm, 1);
    return 1;
  }
  MPI_Type_vector(b.my, 1, b.mx + 2, MPI_DOUBLE, &column);
  MPI_Type_commit(&column);
  for (int j = 0; j < b.my; j++)
    for (int i = 0; i < b.mx; i++) t[at(&b, j, i)] = sin(PI * (b.x0 + i + 1) * dx) * sin(PI * (b.y0 + j + 1) * dy);

  weir_stream *stream = describe(&b, dx, dy);
  for (int64_t step = 0; step <= steps; step++) {
    if (step % interval == 0) offer(stream, &b, t, step, (double)step * dt);
    if (step == steps) break;
    exchange(&b, t, column);
    diffuse(&b, t, next, ax, ay);
    double *last = t;
    t            = next;
    next         = last;
  }
  /* [3] At the end the stream is closed, so that the workers know that nothing follows. */
  weir_stream_close(&stream);

  double error = error_after(&b, t, steps, dx, dy, ax, ay);
  if (b.rank == 0) printf("heat2d: %d steps on %d processes, largest error %.3g\n", steps, b.size, error);
  MPI_Type_free(&column);
  MPI_Comm_free(&b.comm);
  free(t);
  free(next);
  return error < 1e-10 ? 0 : 1;
}

int main(int argc, char **argv) {
  int number[4] = {0}, size;
  MPI_Init(&argc, &argv);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  for (int i = 0; i < 4 && argc == 5; i++) number[i] = parse_count(argv[i + 1]);
  /* so many points that no process is left without one, however they are shared out */
  int fine   = number[0] >= size && number[1] >= size && number[2] && number[3];
  int status = fine ? run(number[0], number[1], number[2], number[3]) : usage();
  MPI_Finalize();
  return status;
}
