/* The columns of trial.csv, between the recipe that writes it (piv.c) and who reads it (piv_trial.c). */
#ifndef WEIR_RUN_PIV_TRIAL_H
#define WEIR_RUN_PIV_TRIAL_H
enum {
  WEIR__TRIAL_FLAGS        = 9,
  WEIR__TRIAL_CORRELATIONS = 100,
  WEIR__TRIAL_FAR          = 32, /* pixels, either way */
  WEIR__TRIAL_PARTS        = 8,  /* of a pixel */
};
#endif
