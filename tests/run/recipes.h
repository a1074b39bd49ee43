/* Recipes for the tests of this module. */
#ifndef WEIR_TESTS_RUN_RECIPES_H
#define WEIR_TESTS_RUN_RECIPES_H

/* Everything a recipe can hold. */
static const char full_recipe[] =
    "run: full-1.0\n"
    "streams:\n"
    "  ocean:\n"
    "    simulation:\n"
    "      policy: {when_full: block, timeout: 10 min, slots: 8}\n"
    "      attach: 30\n"
    "    chunks: {y: 32, x: 16}\n"
    "    holes: fill\n"
    "    expects:\n"
    "      time_units: s\n"
    "      calendar: noleap\n"
    "      fields:\n"
    "        u: &velocity\n"
    "          type: float32\n"
    "          dimensions: {y: {size: 96, units: m, origin: 20, spacing: 40}, x: 128}\n"
    "          units: m s-1\n"
    "          location: u\n"
    "          fill: -999\n"
    "        v: *velocity\n"
    "        depth: {dimensions: {y: 96, x: 128}, static: yes}\n"
    "parameters: {level: 0.5, factor: -2e3}\n"
    "fields:\n"
    "  ke: 0.5 * (u^2 + v^2)   # energy\n"
    "  ke_mean: mean(ke, axes=[y, x])\n"
    "  quoted: \"factor * u\"\n"
    "outputs:\n"
    "  - zarr: {path: out.zarr, fields: [ke, 'mean(u)'], every: 10, codec: zlib, level: 9,\n"
    "           chunks: {y: 48}, time_chunk: 4}\n"
    "  - csv: {path: ke.csv, fields: ke_mean, every: 6 h}\n"
    "  - plot: {field: ke, path: '{name}_{step:06}.png', every: 1.5 d, range: [0, 1],\n"
    "           colormap: sequential, scale: linear, clip: 0.02, smooth: yes}\n"
    "execution: {workers: 3, threads: 2, steps_in_flight: 4, pin: yes}\n"
    "operators: [mine.so, lib/other.so]\n"
    "launch:\n"
    "  workers: srun -n {n} {command}\n"
    "  simulation: mpirun -n {n} {command}\n";

static const char files_recipe[] = "stream:\n"
                                   "  files: ['a*.nc', b.nc]\n"
                                   "  time: t\n"
                                   "outputs:\n"
                                   "  - csv: {path: a.csv, fields: [a, b.c]}\n";
#endif
