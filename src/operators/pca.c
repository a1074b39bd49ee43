/* pca: principal components over all steps so far, updated with each. The work is that of the records in
 * operators/common/pca_*.c, which this puts together. */
#include "operators/common/pca.h"
#include "core/error.h"

static weir_status check(const weir_field_type *f, const weir__pca *p) {
  weir_region whole    = weir__region_whole(f);
  int64_t     elements = weir__region_size(&whole);
  if (f->rank == WEIR_RANK_MAX)
    return WEIR_FAIL(WEIR_ERR_INPUT, "pca: the field has %d dimensions, expected at most %d", f->rank,
                     WEIR_RANK_MAX - 1);
  if (weir__axis_find(f, WEIR__PCA_DIMENSION) >= 0)
    return WEIR_FAIL(WEIR_ERR_INPUT, "pca: the field has a dimension \"%s\", which is the name of that of the results",
                     WEIR__PCA_DIMENSION);
  if (p->components < 1 || p->components > WEIR__PCA_MOST)
    return WEIR_FAIL(WEIR_ERR_INPUT, "pca: %lld components, expected 1 to %d", (long long)p->components,
                     WEIR__PCA_MOST);
  if (p->components > elements)
    return WEIR_FAIL(WEIR_ERR_INPUT, "pca: %lld components of a field of %lld elements, expected at most as many",
                     (long long)p->components, (long long)elements);
  return WEIR_OK;
}

static weir_status expand(weir_expand *x) {
  weir__pca p = *(const weir__pca *)x->params;
  int       f = x->input[0], project, residual, solve, basis, dots, result;
  WEIR_TRY(check(x->in[0], &p));
  p.dtype = weir_dtype_floating(x->in[0]->dtype);
  p.units = x->in[0]->units;
  WEIR_TRY(weir_expand_add(x, &weir__pca_project, &p, (int[]){f, -1}, 2, &project));
  WEIR_TRY(weir_expand_add(x, &weir__pca_residual, &p, (int[]){f, project, -1}, 3, &residual));
  WEIR_TRY(weir_expand_add(x, &weir__pca_solve, &p, (int[]){project, residual}, 2, &solve));
  WEIR_TRY(weir_expand_add(x, &weir__pca_update, &p, (int[]){f, solve, -1}, 3, &basis));
  WEIR_TRY(weir_expand_loop(x, project, 1, basis, 1));
  WEIR_TRY(weir_expand_loop(x, residual, 2, basis, 1));
  WEIR_TRY(weir_expand_loop(x, basis, 2, basis, 1));
  WEIR_TRY(weir_expand_add(x, &weir__pca_components, &p, (int[]){basis, solve}, 2, &result));
  WEIR_TRY(weir_expand_result(x, 0, result, 0));
  WEIR_TRY(weir_expand_add(x, &weir__pca_variance, &p, (int[]){solve}, 1, &result));
  WEIR_TRY(weir_expand_result(x, 1, result, 0));
  WEIR_TRY(weir_expand_add(x, &weir__pca_dots, &p, (int[]){f, basis}, 2, &dots));
  WEIR_TRY(weir_expand_add(x, &weir__pca_coefficients, &p, (int[]){dots, solve}, 2, &result));
  WEIR_TRY(weir_expand_result(x, 2, result, 0));
  WEIR_TRY(weir_expand_add(x, &weir__pca_mean, &p, (int[]){basis, solve}, 2, &result));
  return weir_expand_result(x, 3, result, 0);
}

static const char *const input_names[]  = {"f"};
static const char *const output_names[] = {"components", "variance", "coefficients", "mean"};
static const weir_param  params[] = {{"components", WEIR_PARAM_INT, offsetof(weir__pca, components), .required = true,
                                      .least = 1, .most = WEIR__PCA_MOST, .help = "how many are kept"},
                                     {0}};

const weir_operator weir_operator_pca = {
    .api     = WEIR_OPERATOR_API,
    .name    = "pca",
    .summary = "principal components over all steps so far",
    .details =
        "Each step's whole field is one sample. Results: `components` [component, dimensions of f], orthonormal, the "
        "one with the largest variance first; their `variance` (divided by the number of samples less 1; missing at "
        "the first); `coefficients`, the projection of this step's distance from the mean; and the `mean` over all "
        "steps so far. Updated step by step by a singular value decomposition with a moving mean: Brand 2006, doi "
        "10.1016/j.laa.2005.07.021; Ross, Lim, Lin & Yang 2008, doi 10.1007/s11263-007-0075-7. Exact while the samples "
        "less their mean have no more independent directions than there are components; otherwise what is cut off is "
        "lost, and each variance is too small by at most the sum of what the components do not explain. Components "
        "without data yet are 0, as are directions below 1e-12 of the largest. A component keeps its sign from step to "
        "step: the old direction that it is most made of counts positive. A missing (or infinite) value takes no part: "
        "it is at no distance from the mean, and the mean of an element is that of its valid values; an element that "
        "was never valid is missing in the results. A step without any valid value is no sample: the results are "
        "missing.",
    .inputs       = 1,
    .input_names  = input_names,
    .outputs      = 4,
    .output_names = output_names,
    .params       = params,
    .params_size  = sizeof(weir__pca),
    .expand       = expand};
