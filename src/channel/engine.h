/* The engine as a client sees it that has loaded it into its own process (placement inline): a table of functions,
 * found by the one name `weir_engine`. Client and engine each have their own copy of what they share, their
 * thread-local messages too; so messages go through the table.
 *
 *   open     everybody: build the analysis, post the demands of this process's channel
 *   begin    everybody: the data segment is there (or not)
 *   step     everybody, after a step was published: run it to its end
 *   close    everybody, after the channel was closed: the end, and the report
 *
 * All are collective over the communicator, and take what went wrong in this process meanwhile, so that all give up
 * together; WEIR_END: the analysis ended early, as the recipe wants. After anything but WEIR_OK only close follows,
 * which also frees. They never end the process and print nothing. */
#ifndef WEIR_CHANNEL_ENGINE_H
#define WEIR_CHANNEL_ENGINE_H
#include "channel/channel.h"

enum { WEIR__ENGINE_VERSION = 1 }; /* of this table, of the terms and of the channel behind them */
#define WEIR__ENGINE_NAME "weir_engine"

typedef struct weir__engine_terms {
  const char *run_directory, *stream;
  int         rank, size;
  bool        has_comm;
  int         comm; /* Fortran handle */
} weir__engine_terms;

typedef struct weir__hosted weir__hosted;

typedef struct weir__engine {
  int version; /* WEIR__ENGINE_VERSION; the rest only if it is */
  /* `wrong`, here and below: why this process cannot; NULL: it can. `*hosted` is set whenever it is not too early for
   * close. */
  weir_status (*open)(const weir__engine_terms *terms, const char *wrong, weir__hosted **hosted);
  weir_status (*begin)(weir__hosted *hosted, const char *wrong);
  weir_status (*step)(weir__hosted *hosted);
  weir_status (*close)(weir__hosted **hosted);
  const char *(*message)(void); /* of the last failure in this thread */
} weir__engine;
#endif
