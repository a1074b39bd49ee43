/* fontconfig, below cairo, frees some of its tables never: not our leaks. */
#ifndef WEIR_TESTS_IO_FONT_LEAKS_H
#define WEIR_TESTS_IO_FONT_LEAKS_H
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libfontconfig\n"; }
#endif
