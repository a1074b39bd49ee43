/* What the files netcdf_*.c share. Only they include netcdf.h. */
#ifndef WEIR_IO_NETCDF_PARTS_H
#define WEIR_IO_NETCDF_PARTS_H
#include "core/text.h"
#include "core/threads.h"
#include "field/field.h"
#include "io/netcdf_read.h"
#include <netcdf.h>

enum { WEIR__NETCDF_MISSING_MAX = 8 };

/* How stored numbers become values. */
typedef struct weir__netcdf_decoding {
  nc_type stored;
  double  wrap; /* added to negative stored numbers (_Unsigned); 0: none */
  bool    packed;
  double  scale, offset;
  int     missing_count; /* stored values that mean missing */
  double  missing[WEIR__NETCDF_MISSING_MAX];
  double  least, most; /* valid range of stored numbers; infinite: any */
} weir__netcdf_decoding;

typedef struct weir__netcdf_entry {
  weir__netcdf_variable known;
  weir__netcdf_decoding decoding;
  int                   record_axis; /* in the file; -1: static */
} weir__netcdf_entry;

typedef struct weir__netcdf_file {
  const char *path;
  int64_t     first, steps;
} weir__netcdf_file;

struct weir__netcdf {
  weir__arena         arena;
  weir__netcdf_file  *file;
  int                 files;
  weir__netcdf_entry *entry;
  size_t              entries, entry_capacity;
  const char         *record; /* NULL: every file is one step */
  double             *time;
  int64_t             steps;
  const char         *time_units, *calendar;
  int                 open_file, id; /* the one file kept open; -1: none */
  double             *buffer;
  size_t              buffer_capacity;
};

/* The NetCDF library is one for the whole process and not thread-safe: neither is its lock one per reader. */
void weir__netcdf_lock(void);
void weir__netcdf_unlock(void);

/* ---- netcdf_attributes.c; the lock is held ---- */
weir_status weir__netcdf_text(weir__netcdf *reader, int id, int variable, const char *name,
                              const char **text); /* NULL: none */
/* Read up to `room` numbers of an attribute; returns how many, 0 when there is none or it is text. */
int weir__netcdf_numbers(int id, int variable, const char *name, double *numbers, int room, nc_type *type);
/* Decide how a variable is decoded and the dtype and fill of its field. */
void weir__netcdf_decide(int id, int variable, nc_type stored, weir__netcdf_decoding *decoding, weir_field_type *type);
weir_status weir__netcdf_attributes(weir__netcdf *reader, int id, int variable, weir_field_type *type);
/* Coordinate of a dimension from the variable of its name, if there is one. */
weir_status weir__netcdf_coordinate(weir__netcdf *reader, int id, weir_dimension *dimension);
/* Stored numbers to values, missing ones to NaN. */
void weir__netcdf_decode(const weir__netcdf_decoding *decoding, double *x, int64_t n);
#endif
