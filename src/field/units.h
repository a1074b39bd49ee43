/* Units of results: products, quotients and integer powers of UDUNITS texts such as "m s-1". Anything else (scale
 * factors, "days since
 * ...") is left alone: such a unit equals itself and cannot be combined. */
#ifndef WEIR_FIELD_UNITS_H
#define WEIR_FIELD_UNITS_H
#include "core/memory.h"
#include <stdbool.h>

/* Are the texts the same unit? Blanks around them and the order and spelling of factors ("m/s", "m s-1") do not matter.
 */
bool weir__units_equal(const char *a, const char *b);
bool weir__units_dimensionless(const char *units); /* "1", "", "m m-1", "radian" */
bool weir__units_angle(const char *units);         /* "degrees_north" and the like; radians are dimensionless */

/* a^p * b^q into the arena: p = q = 1 is a product, q = -1 a quotient. `b` NULL: a^p. `*out` is NULL when it cannot be
 * said. */
weir_status weir__units_combine(weir__arena *arena, const char *a, int p, const char *b, int q, const char **out);
/* Square root: NULL unless every power is even. */
weir_status weir__units_root(weir__arena *arena, const char *units, const char **out);
#endif
