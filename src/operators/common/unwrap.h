/* Unwrapping of a plane of phases: multiples of 2 pi so that neighbours differ by less than pi, as far as that can be.
 *
 * By reliability, sorted (Herraez, Burton, Lalor & Gdeisat 2002, doi 10.1364/AO.41.007437): a pixel is the more
 * reliable the smaller the second differences around it are; pairs of neighbours are joined from the most reliable on,
 * and where two groups meet one is moved by a multiple of 2 pi. What is doubtful is joined last and cannot spoil the
 * rest, as it does line by line (Itoh 1982). Least squares (Ghiglia & Romero 1994) would spread an inconsistency over
 * the whole plane, and its result is not congruent with the phases that were measured. */
#ifndef WEIR_OPERATORS_UNWRAP_H
#define WEIR_OPERATORS_UNWRAP_H
#include <stddef.h>
#include <stdint.h>

enum { WEIR__UNWRAP_MOST = 1 << 30 /* pixels */ };

size_t weir__unwrap_scratch(int64_t rows, int64_t columns); /* bytes, 64-aligned */
/* In place; up to one multiple of 2 pi for all. `weak` (may be NULL): pixels that are joined last, whatever is around
 * them. The result depends on the phases alone. */
void weir__unwrap(float *phase, const uint8_t *weak, int64_t rows, int64_t columns, void *scratch);
#endif
