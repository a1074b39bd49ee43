/* Fields for ParaView: one file of VTK's XML formats per step, and a collection of them with their times.
 *
 *   piv.pvd                  the collection, which ParaView opens: times and files; rewritten whole, valid at all times
 *   piv/piv_000012.vti       the fields at step 12 on an evenly spaced grid (ImageData), or
 *   piv/piv_000012.vtr       on one with listed coordinates (RectilinearGrid)
 *
 * Each file appears whole, by a rename. The folder is what there is: a collection is made from the names of its files
 * and the times that stand in them. Numbers are in the type that the field has, in the byte order of this machine;
 * vectors are arrays of three components. What is missing is NaN; in a field of integers, its fill value. Points go
 * along increasing coordinates, so an axis whose coordinate falls is turned around. Fields without dimensions are field
 * data. Nothing in a file depends on the date, the machine, or the number of threads or workers.
 *
 * Formats: "VTK File Formats", https://docs.vtk.org/en/latest/design_documents/VTKFileFormats.html (XML, appended raw
 * data; with zlib: number of blocks, size of a block, of the last one if it is shorter, of each when compressed). */
#ifndef WEIR_IO_VTK_H
#define WEIR_IO_VTK_H
#include "core/error.h"
#include <weir/types.h>

typedef struct weir__vtk weir__vtk;

/* Several fields as components of one array, along x, y and z. */
typedef struct weir__vtk_vector {
  const char *name;
  int         component[3]; /* numbers of fields */
  int         components;   /* 2 or 3; a third that is not given is 0 */
} weir__vtk_vector;

/* What is written. Everything in it lives as long as what is made with it. */
typedef struct weir__vtk_content {
  const char *const            *name;
  const weir_field_type *const *type;
  int                           fields;
  int                           shown; /* the first so many are arrays themselves; the others only components */
  const weir__vtk_vector       *vector;
  int                           vectors;
} weir__vtk_content;

/* Can it be written? All fields with dimensions lie on one grid, and there is such a field.
 * WEIR_ERR_INPUT: no; `*field` is the number of that which does not fit. */
weir_status weir__vtk_check(const weir__vtk_content *content, int *field);

/* {0} is complete. */
typedef struct weir__vtk_options {
  bool           zlib;
  int            level;   /* of zlib; 0: 6 */
  bool           opened;  /* another worker has made it: only look at what there is */
  const int64_t *keep_to; /* go on after this step: what is later is removed. NULL: all that is there is removed */
} weir__vtk_options;

/* `path` ends in ".pvd". WEIR_ERR_IO. */
weir_status weir__vtk_open(const char *path, const weir__vtk_content *content, const weir__vtk_options *options,
                           weir__vtk **vtk);

/* Memory that a call of weir__vtk_write works in. */
size_t weir__vtk_scratch_size(const weir__vtk *vtk);
/* Write the file of a step: one whole view per field, in any order of steps. Thread-safe. */
weir_status weir__vtk_write(const weir__vtk *vtk, int64_t step, double time, const weir_view *views, void *scratch);

/* The file of a step is there: the collection will name it when it is written next. Steps grow; one that is in it
 * already is left. Thread-safe. */
weir_status weir__vtk_commit(weir__vtk *vtk, int64_t step, double time);
/* Write the collection if there is anything new. Thread-safe. */
weir_status weir__vtk_flush(weir__vtk *vtk);
/* Flush and free; NULL is fine. */
weir_status weir__vtk_close(weir__vtk **vtk);
#endif
