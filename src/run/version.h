/* Versions: of weir and of what it was built with. */
#ifndef WEIR_RUN_VERSION_H
#define WEIR_RUN_VERSION_H
#include "core/text.h"

extern const char weir__version[]; /* "0.1.0" */
weir_status       weir__version_text(weir__text *text);
#endif
