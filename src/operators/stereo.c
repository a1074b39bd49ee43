/* stereo: three components of velocity from two views. */
#include "operators/piv/stereo.h"
#include "operators/common/common.h"
#include "operators/piv/world.h"
#include <math.h>

enum { U, V, W, RESIDUAL, RESULTS };

typedef struct stereo {
  const char         *left, *right;
  double              dt;
  weir__world         world;
  const weir__camera *camera[2];
} stereo;

static weir_status infer_camera(const weir_infer *infer, stereo *p, int k) {
  const char *name = k ? "right" : "left", *path = k ? p->right : p->left;
  WEIR_TRY(weir__world_camera(infer, "stereo", path, &p->camera[k]));
  if (!p->camera[k]->deep)
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "stereo: %s: %s knows nothing of Z, expected a calibration with points at several Z", name, path);
  for (int i = 2 * k; i < 2 * k + 2; i++) WEIR_TRY(weir__world_check_displacement("stereo", infer->in[i]));
  for (int a = 0; a < 2; a++)
    if (infer->in[2 * k]->dim[a].size != infer->in[2 * k + 1]->dim[a].size)
      return WEIR_FAIL(WEIR_ERR_INPUT, "stereo: %s_u and %s_v have different shapes", name, name);
  return WEIR_OK;
}

static weir_status infer(weir_infer *infer) {
  stereo          *p = infer->params;
  weir__world_view view[2];
  double           at[3];
  for (int k = 0; k < 2; k++) {
    WEIR_TRY(infer_camera(infer, p, k));
    view[k] = (weir__world_view){p->camera[k], infer->in[2 * k]};
  }
  WEIR_TRY(weir__world_settle("stereo", &p->world, view, 2));
  weir__world_at(&p->world, p->world.size[0] / 2, p->world.size[1] / 2, at);
  if (weir__stereo_condition(p->camera, at) < 1e-3)
    return WEIR_FAIL(WEIR_ERR_INPUT,
                     "stereo: %s and %s look from the same direction, or do not both see the middle of the grid",
                     p->left, p->right);
  for (int k = 0; k < RESULTS; k++)
    weir__world_result(infer, &p->world, k, weir_dtype_floating(infer->in[0]->dtype),
                       k == RESIDUAL ? "pixel"
                       : p->dt > 0   ? "m s-1"
                                     : "m");
  infer->block[0] = 16;
  return WEIR_OK;
}

static void one(const stereo *p, const weir_apply *a, const double at[3], double out[RESULTS]) {
  double d[2][2];
  for (int k = 0; k < RESULTS; k++) out[k] = NAN;
  for (int k = 0; k < 2; k++) {
    const weir_view *view[2] = {&a->in[2 * k], &a->in[2 * k + 1]};
    double           image[2];
    if (!weir__camera_project(p->camera[k], at, image, NULL)) return;
    if (!weir__world_sample(a->in_type[2 * k], view, 2, image, d[k])) return;
  }
  double move[3], residual;
  if (!weir__stereo_solve(p->camera, at, (const double(*)[2])d, move, &residual)) return;
  for (int k = 0; k < 3; k++) out[k] = move[k] / (p->dt > 0 ? p->dt : 1);
  out[RESIDUAL] = residual;
}

static weir_status apply(const weir_apply *a) {
  const stereo    *p   = a->params;
  const weir_view *out = a->out;
  for (int64_t r = 0; r < out->count[0]; r++)
    for (int64_t c = 0; c < out->count[1]; c++) {
      double  at[3], vector[RESULTS];
      int64_t index[2] = {r, c};
      weir__world_at(&p->world, out->start[0] + r, out->start[1] + c, at);
      one(p, a, at, vector);
      for (int k = 0; k < RESULTS; k++) weir_view_store(&a->out[k], index, 1, &vector[k]);
    }
  return WEIR_OK;
}

static const char *const input_names[]  = {"left_u", "left_v", "right_u", "right_v"};
static const char *const output_names[] = {"u", "v", "w", "residual"};
static const weir_param  params[]       = {
           {"left", WEIR_PARAM_TEXT, offsetof(stereo, left), .required = true,
            .help = "calibration of the left view, from the working directory"},
           {"right", WEIR_PARAM_TEXT, offsetof(stereo, right), .required = true, .help = "that of the right view"},
           {"dt", WEIR_PARAM_REAL, offsetof(stereo, dt), .least = 0, .most = 1e12, .units = "s",
            .help = "time between the images; 0: displacements in m"},
           WEIR__PARAMS_WORLD(stereo),
           {0}};

const weir_operator weir_operator_stereo = {
    .api     = WEIR_OPERATOR_API,
    .name    = "stereo",
    .summary = "three components of velocity in m s-1 from the vectors of two views",
    .details =
        "The inputs are displacements in pixels on pixel positions of each view, as piv gives them without dt; the "
        "calibrations must know of Z. The result stands on a regular grid in the plane Z = z, x and y in m, the lowest "
        "y first, as far as both views reach. For each point the displacements are interpolated where the cameras see "
        "it (cubic through 4 x 4 neighbours, linear where one is missing), and u, v, w are the least squares solution "
        "of the four equations (Soloff, Adrian & Liu 1997, doi 10.1088/0957-0233/8/12/008; Prasad 2000, doi "
        "10.1007/s003480000143), solved for finite displacements and not for their derivatives alone. residual is "
        "what is left of the four equations, in pixels: its root mean square is the noise of a displacement where "
        "views and calibrations agree, and large where they do not. Missing where either view has no vector.",
    .inputs       = 4,
    .input_names  = input_names,
    .outputs      = RESULTS,
    .output_names = output_names,
    .params       = params,
    .params_size  = sizeof(stereo),
    .work         = 2000,
    .infer        = infer,
    .need         = weir__need_whole,
    .apply        = apply,
};
