/* Where a piece of a file that a person wrote stands, for messages. */
#ifndef WEIR_CORE_PLACE_H
#define WEIR_CORE_PLACE_H

/* "gyre.yaml:12:9" */
typedef struct weir__place {
  const char *file;         /* NULL: not from a file */
  int         line, column; /* from 1; 0: unknown */
} weir__place;
#endif
