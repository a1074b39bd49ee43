#include "operators/common/planner.h"
#include "core/threads.h"

static weir__mutex planner = {PTHREAD_MUTEX_INITIALIZER};

void weir__planner_lock(void) { weir__mutex_lock(&planner); }
void weir__planner_unlock(void) { weir__mutex_unlock(&planner); }
