/* What the files of the watch over images share (online.c, online_files.c, online_log.c). */
#ifndef WEIR_RUN_ONLINE_PARTS_H
#define WEIR_RUN_ONLINE_PARTS_H
#include "core/threads.h"
#include "io/folder.h"
#include "run/online.h"

enum { WEIR__ONLINE_CAME = 256 };

/* A file of which it is not known yet that it is whole. */
typedef struct weir__online_file {
  char    name[256];
  int64_t bytes, changed_ns; /* when it was looked at last */
  int64_t since_ns;          /* clock: it has not changed since */
  int64_t next_ns;           /* clock: to be looked at again */
  int64_t noted_ns;          /* clock: it was found */
  int64_t judged_ns;         /* clock: it was looked at; 0: not yet */
  bool    written, opened;   /* heard to be created, to be opened: it will be heard to be closed */
  bool    closed, looked;
} weir__online_file;

/* Why an image counts as missing. */
typedef struct weir__online_missed {
  char name[256], why[256];
} weir__online_missed;

typedef enum weir__online_end { WEIR__ONLINE_GOES_ON, WEIR__ONLINE_MARKER, WEIR__ONLINE_NOW } weir__online_end;

struct weir__online {
  const weir__recipe_images *recipe;
  const weir__recipe_watch  *watch;
  weir__files_terms          terms;
  bool                       leads;  /* worker 0 */
  char                      *folder; /* owned; with its last "/" */
  const char                *wanted; /* a pattern of names; NULL: all in the folder */
  char                      *sample; /* owned */
  weir__text                 head;   /* the form and the sample */
  weir__text                 finish; /* path of the file that asks for the end */
  int                        log;    /* -1: not open */
  /* of the thread that watches, and of nobody else */
  weir__folder      *watched;
  weir__online_file *file;
  size_t             files, files_room;
  weir__text         seed; /* names of whole images before the series is settled, each ended by 0 */
  int64_t            seeds, tried;
  weir__online_end   end;
  int64_t            end_ns, image_ns, blocked_ns, listed_ns, late_ns, asked_ns, could_ns; /* clock; 0: not yet */
  weir__thread       thread;
  bool               runs;
  _Atomic int        quits;
  char               verdict[512];
  /* under the lock */
  weir__mutex          lock;
  weir__series        *series;
  int64_t              steps; /* decided */
  int64_t              last;  /* no step from this one on; -1: not known yet */
  bool                 ended;
  int64_t              came_ns[WEIR__ONLINE_CAME]; /* of the last steps */
  weir__online_missed *missed;
  size_t               misses, misses_room;
  void (*wake)(void *who);
  void *who;
};

/* Listen, list, look at files: `taken` is called for each whole image, in no order. */
weir_status weir__online_look(weir__online *online, weir_status (*taken)(weir__online *online, const char *name));
/* Is anything there that may still become an image? */
bool weir__online_pending(const weir__online *online);
/* May an image that was there at this time still become whole? */
bool weir__online_unsure(const weir__online *online, int64_t at_ns);
/* How long may the watch sleep? */
int64_t weir__online_patience(const weir__online *online);
/* Why is there no such image? Within the thread that watches. */
void weir__online_reason(const weir__online *online, const char *name, char why[256]);

/* WEIR_END: there is no log; else the series is made and every step of the log is decided. */
weir_status weir__online_log_read(weir__online *online);
weir_status weir__online_log_begin(weir__online *online);
weir_status weir__online_log_add(weir__online *online, const weir__text *lines);
weir_status weir__online_note_missed(weir__online *online, const char *name, const char *why);
#endif
