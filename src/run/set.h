/* What people ask a run for while it goes on: to show its parameters, to change them. */
#ifndef WEIR_RUN_SET_H
#define WEIR_RUN_SET_H
#include "core/text.h"

/* The parameters of a run as a table. WEIR_ERR_INPUT: it is no run, or has none. */
weir_status weir__set_list(const char *directory, weir__text *text);

/* Ask the run in `directory` for these values ("name=number"), all or none, and wait for its answer, which is appended
 * to `text`.
 * WEIR_ERR_INPUT: no such parameter, or a value out of its limits; WEIR_ERR_TIMEOUT: no answer within `seconds` (what
 * was asked is withdrawn); WEIR_ERR_GONE: no run lives there, or it ended meanwhile. */
weir_status weir__set_send(const char *directory, const char *const *assignment, int assignments, double seconds,
                           weir__text *text);
#endif
