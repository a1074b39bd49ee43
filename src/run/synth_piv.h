/* What `weir synth-piv` does: pairs of particle images as files, and the displacement that is true beside them. */
#ifndef WEIR_RUN_SYNTH_PIV_H
#define WEIR_RUN_SYNTH_PIV_H
#include "core/text.h"
#include "operators/piv/synthetic.h"

typedef struct weir__synth_piv {
  const char      *directory; /* made if it is not there */
  const char      *format;    /* "tif", "png" or "pgm" */
  int              pairs;     /* 1 .. 9999 */
  weir__piv_motion motion;    /* its centre is that of the images, whatever stands here */
  weir__piv_scene  scene;     /* its displacement is `motion`, whatever stands here */
} weir__synth_piv;

/* A scene to start from: 512 x 512 pixels of 8 bits, 0.05 particles per pixel of 2.5 pixels, nothing moves. */
void weir__synth_piv_defaults(weir__synth_piv *job);
/* By name; false: there is none, and `names` says which there are. */
bool weir__synth_piv_motion(const char *name, weir__piv_motion_kind *kind, weir__text *names);

/* Write pair_0001a.tif, pair_0001b.tif, ... and truth.csv (name,value); `text`: one line that says so.
 * WEIR_ERR_INPUT, WEIR_ERR_IO: a file cannot be written; WEIR_ERR_ARGUMENT: a scene that cannot be. */
weir_status weir__synth_piv_write(const weir__synth_piv *job, weir__text *text);
#endif
