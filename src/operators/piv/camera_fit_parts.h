/* Inner part of camera_fit.c. */
#ifndef WEIR_OPERATORS_CAMERA_FIT_PARTS_H
#define WEIR_OPERATORS_CAMERA_FIT_PARTS_H
#include "operators/piv/camera_fit.h"

/* At least 6 finite points; least and most of the camera are set. */
weir_status weir__camera_fit_pinhole(const weir__camera_fit *fit, const weir__camera_point *point, int64_t points,
                                     weir__camera *camera);
#endif
