/* Limits on open files, for tests of what happens when there are no more. */
#ifndef WEIR_TESTS_FILES_H
#define WEIR_TESTS_FILES_H
#include <stdint.h>

int64_t files_leave(int count);     /* so many more can be opened from now on; what the limit was */
void    files_limit(int64_t limit); /* set back */
#endif
