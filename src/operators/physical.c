/* physical: displacements in the image as velocities in the world. */
#include "operators/common/common.h"
#include "operators/piv/world.h"
#include <math.h>

typedef struct physical {
  const char         *calibration;
  double              dt;
  weir__world         world;
  const weir__camera *camera;
} physical;

static weir_status infer(weir_infer *infer) {
  physical              *p  = infer->params;
  const weir_field_type *in = infer->in[0];
  weir__world_view       view;
  for (int k = 0; k < 2; k++) WEIR_TRY(weir__world_check_displacement("physical", infer->in[k]));
  for (int a = 0; a < 2; a++)
    if (in->dim[a].size != infer->in[1]->dim[a].size)
      return WEIR_FAIL(WEIR_ERR_INPUT,
                       "physical: u and v have different shapes, expected those of one field of vectors");
  WEIR_TRY(weir__world_camera(infer, "physical", p->calibration, &p->camera));
  view = (weir__world_view){p->camera, in};
  WEIR_TRY(weir__world_settle("physical", &p->world, &view, 1));
  for (int k = 0; k < 2; k++)
    weir__world_result(infer, &p->world, k, weir_dtype_floating(in->dtype), p->dt > 0 ? "m s-1" : "m");
  infer->block[0] = 16;
  return WEIR_OK;
}

/* The vector belongs to the middle between where it begins and where it ends. */
static void one(const physical *p, const weir_apply *a, const double at[3], double out[2]) {
  const weir_view *view[2] = {&a->in[0], &a->in[1]};
  double           image[2], d[2], end[2][3];
  out[0] = out[1] = NAN;
  if (!weir__camera_project(p->camera, at, image, NULL)) return;
  if (!weir__world_sample(a->in_type[0], view, 2, image, d)) return;
  for (int k = 0; k < 2; k++) {
    double half = k ? 0.5 : -0.5, from[2] = {image[0] + half * d[0], image[1] + half * d[1]};
    end[k][2] = at[2];
    if (!weir__camera_unproject(p->camera, from, at, end[k])) return;
  }
  for (int k = 0; k < 2; k++) out[k] = (end[1][k] - end[0][k]) / (p->dt > 0 ? p->dt : 1);
}

static weir_status apply(const weir_apply *a) {
  const physical  *p   = a->params;
  const weir_view *out = a->out;
  for (int64_t r = 0; r < out->count[0]; r++)
    for (int64_t c = 0; c < out->count[1]; c++) {
      double  at[3], vector[2];
      int64_t index[2] = {r, c};
      weir__world_at(&p->world, out->start[0] + r, out->start[1] + c, at);
      one(p, a, at, vector);
      for (int k = 0; k < 2; k++) weir_view_store(&a->out[k], index, 1, &vector[k]);
    }
  return WEIR_OK;
}

static const char *const input_names[]  = {"u", "v"};
static const char *const output_names[] = {"u", "v"};
static const weir_param  params[] = {{"calibration", WEIR_PARAM_TEXT, offsetof(physical, calibration), .required = true,
                                      .help = "file that weir calibrate wrote, from the working directory"},
                                     {"dt", WEIR_PARAM_REAL, offsetof(physical, dt), .least = 0, .most = 1e12,
                                      .units = "s", .help = "time between the images; 0: displacements in m"},
                                     WEIR__PARAMS_WORLD(physical),
                                     {0}};

const weir_operator weir_operator_physical = {
    .api     = WEIR_OPERATOR_API,
    .name    = "physical",
    .summary = "vectors of pixels as velocities in m s-1, by a camera's calibration",
    .details =
        "u and v are displacements in pixels on pixel positions, as piv gives them without dt for images without "
        "pixel and up. The result stands on a regular grid in the plane Z = z, x and y in m, the lowest y first. For "
        "each point of it the displacement is interpolated where the camera sees the point (cubic through 4 x 4 "
        "neighbours, linear where one of them is missing); both its ends are taken back to the plane, and the vector "
        "is "
        "their difference, divided by dt. Missing outside of the field, and where a neighbour that counts is missing. "
        "Motion out of the plane is not seen: see stereo.",
    .inputs       = 2,
    .input_names  = input_names,
    .outputs      = 2,
    .output_names = output_names,
    .params       = params,
    .params_size  = sizeof(physical),
    .work         = 1000,
    .infer        = infer,
    .need         = weir__need_whole,
    .apply        = apply,
};
