/* How the fields of an output came about, for whoever reads it later: an attribute of stores and files. Nothing in it
 * depends on the date, the machine, or the number of threads or workers. */
#ifndef WEIR_RUN_PROVENANCE_H
#define WEIR_RUN_PROVENANCE_H
#include "graph/graph.h"
#include "run/files.h"

/* A JSON object:
 *   stream      what was read: names of files, or of images with the subset (`files` NULL: the recipe alone is known)
 *   joined      the same of the streams joined to it, by name
 *   fields      definitions of the recipe that the output depends on, by name
 *   operators   those of them that have parameters, with all values as they were settled: field, operator, parameters
 *   parameters  of the recipe, with the values they begin with
 * Members that are empty are left out. `edge`: the `count` fields of the output. */
weir_status weir__provenance_text(const weir__recipe *recipe, const weir__graph *graph, const weir__files *files,
                                  const weir__edge *edge, int count, weir__text *json);
#endif
