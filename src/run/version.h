/* Versions: of weir and of what it was built with. */
#ifndef WEIR_RUN_VERSION_H
#define WEIR_RUN_VERSION_H
#include "core/text.h"

weir_status weir__version_text(weir__text *text);
#endif
