/* Decisions and fields on their way back, as the worker's own files use it. */
#ifndef WEIR_EXEC_STEER_H
#define WEIR_EXEC_STEER_H
#include "exec/state.h"

weir_status weir__worker_steer_create(weir__worker *w);
void        weir__worker_steer_destroy(weir__worker *w);
/* Before the first step, or after a restore: how far the simulation may go. */
void weir__worker_steer_begin(weir__worker *w);
/* What a checkpoint holds of it. */
size_t weir__worker_steer_bytes(const weir__worker *w);
void   weir__worker_steer_save(const weir__worker *w, char *bytes);
void   weir__worker_steer_load(weir__worker *w, const char *bytes);
/* How many changes were posted so far; how many steps ahead of a step the simulation may go. 0 without steering. */
uint64_t weir__worker_steer_changes(const weir__worker *w);
int64_t  weir__worker_steer_ahead(const weir__worker *w);
/* After the restoration, for a simulation that was started again: what is decided for its first steps. */
weir_status weir__worker_steer_repeat(weir__worker *w);
/* In the owner's turn: a decision to stop becomes the limit of this worker; what could not be posted is told. */
weir_status weir__worker_steer_settle(weir__worker *w);
/* Steps of a source: may the next one begin (all that is decided about it is known)? Its triggers then. */
bool          weir__worker_steer_open(const weir__worker *w);
weir__trigger weir__worker_steer_trigger(const weir__worker *w, int trigger);
#endif
