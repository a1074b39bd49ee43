/* Three components from the displacements that two cameras see (Soloff, Adrian & Liu 1997, doi
 * 10.1088/0957-0233/8/12/008; Prasad 2000, doi 10.1007/s003480000143). */
#ifndef WEIR_OPERATORS_STEREO_H
#define WEIR_OPERATORS_STEREO_H
#include "operators/piv/camera.h"

/* The displacement of what is at `at` in the middle between two images: least squares of the four equations
 *   seen(at + move / 2) - seen(at - move / 2) = displacement
 * of both cameras, by Gauss and Newton's method. `residual`: length of what is left of the four, pixels; as one
 * equation is left over, its root mean square over many vectors is the noise of a component of displacements. False:
 * there is no solution, the cameras look from one direction, or do not see the place. */
bool weir__stereo_solve(const weir__camera *const camera[2], const double at[3], const double displacement[2][2],
                        double move[3], double *residual);

/* How well the component along Z is determined there: the smallest singular value of the equations relative to the
 * largest; about the tangent of half the angle between the cameras. 0: not at all. */
double weir__stereo_condition(const weir__camera *const camera[2], const double at[3]);
#endif
