/* A folder that is being written to: which files come, and when one was closed or renamed into place. What the kernel
 * tells (inotify) is at once; files of other hosts (NFS and the like) are not told of, and the folder has to be listed
 * again and again. */
#ifndef WEIR_IO_FOLDER_H
#define WEIR_IO_FOLDER_H
#include "core/error.h"
#include <stdbool.h>
#include <stdint.h>

typedef enum weir__folder_change {
  WEIR__FOLDER_CREATED, /* and being written, if it is opened at once */
  WEIR__FOLDER_OPENED,
  WEIR__FOLDER_CLOSED, /* after writing, or renamed to this name */
  WEIR__FOLDER_GONE,   /* deleted, or renamed to another name */
  WEIR__FOLDER_MISSED  /* there were more changes than could be kept: list it */
} weir__folder_change;

typedef struct weir__folder_event {
  weir__folder_change change;
  char                name[256]; /* within the folder */
} weir__folder_event;

typedef struct weir__folder weir__folder;
/* WEIR_ERR_INPUT: there is no such folder. */
weir_status weir__folder_open(const char *path, weir__folder **folder);
void        weir__folder_close(weir__folder **folder);
/* Are all changes told of? */
bool weir__folder_sees(const weir__folder *folder);
/* Sleep until something changes, at most so long; or until weir__folder_rouse, which any thread may call. */
void weir__folder_wait(weir__folder *folder, int64_t timeout_ns);
void weir__folder_rouse(weir__folder *folder);
/* The next change; false: none yet. */
bool weir__folder_next(weir__folder *folder, weir__folder_event *event);
/* Has its list of files changed since it was listed last? */
bool weir__folder_altered(weir__folder *folder);
/* Every file in it, but for hidden ones and folders. */
weir_status weir__folder_list(weir__folder *folder, weir_status (*each)(void *context, const char *name),
                              void         *context);
/* -1: it is not there. Times in nanoseconds since 1970. */
typedef struct weir__folder_file {
  int64_t bytes, changed_ns;
} weir__folder_file;
void weir__folder_look(const weir__folder *folder, const char *name, weir__folder_file *file);
#endif
