/* The recipe: the YAML file that describes a run, checked and resolved. Nothing in it is looked up later by name, no
 * key is ignored, and every message says file:line:column. docs/recipe.md describes the file for people. */
#ifndef WEIR_RUN_RECIPE_H
#define WEIR_RUN_RECIPE_H
#include "channel/channel.h"
#include "core/text.h"
#include "io/image.h"
#include "io/vtk.h"
#include "core/yaml.h"
#include "steer/steer.h"

/* A text and where it stands; an expression's place is that of its first character. */
typedef struct weir__recipe_text {
  const char *text; /* NULL: not given */
  weir__place place;
} weir__recipe_text;

/* How often an output is written. Both 0: every step. */
typedef struct weir__every {
  int64_t     steps;
  double      seconds; /* converted with the stream's time units once they are known */
  const char *text;    /* as it was given; NULL: it was not */
  weir__place place;
} weir__every;

typedef enum weir__output_kind {
  WEIR__OUTPUT_ZARR,
  WEIR__OUTPUT_CSV,
  WEIR__OUTPUT_PLOT,
  WEIR__OUTPUT_VTK,
  WEIR__OUTPUT_FLUIDIMAGE,
  WEIR__OUTPUT_NETCDF
} weir__output_kind;

/* Values for one output; what does not belong to its kind was refused, what was not given is 0 or NULL. */
typedef struct weir__recipe_output {
  weir__output_kind        kind;
  weir__place              place;
  weir__recipe_text        path;
  weir__recipe_text        called;   /* `name:`, which rules know it by; text NULL: none */
  bool                     inactive; /* not written until a rule starts it */
  bool                     steered;  /* a rule starts, stops or changes it */
  const weir__recipe_text *field;    /* names or expressions; one for a plot, or three with vectors */
  const char *const       *name;     /* of each field in the output */
  int                      fields;
  weir__every              every;
  const char              *codec; /* zarr, vtk: a name of weir__recipe_codecs, netcdf: zlib or none; NULL: default */
  int                      level; /* zarr, vtk, netcdf: 0: default */
  const weir__chunk_size  *chunk; /* zarr, netcdf: its own chunks */
  int                      chunks;
  int64_t                  time_chunk; /* zarr, netcdf: 0: default */
  bool                     has_range;  /* plot */
  double                   range[2];
  int                      colormap; /* plot: index in weir__recipe_colormaps */
  int                      scale;    /* plot: index in weir__recipe_scales */
  double                   clip;     /* plot */
  bool                     smooth;   /* plot */
  weir__recipe_text        flow;     /* fluidimage: a result of piv; `field` has those of its results */
  int                      shown;    /* vtk: the first so many fields were asked for, the others are components of */
  weir__vtk_vector        *vector;   /* vtk */
  int                      vectors;
} weir__recipe_output;

/* A field that a stream is expected to have: from `expects:` or a schema written by an earlier run. */
typedef struct weir__recipe_expected {
  const char     *name;
  weir__place     place;
  weir_field_type type;
  bool            is_static;
  weir__grid      grid; /* `chunks: as-published`, of a running stream; images, whole; otherwise none (edge NULL) */
} weir__recipe_expected;

/* Of the recipe, or of the simulation. */
typedef struct weir__recipe_parameter {
  const char *name;
  double      value, least, most;
  weir__place place;
} weir__recipe_parameter;

typedef struct weir__recipe_schema {
  const char                   *time_units, *calendar; /* NULL: unknown */
  const weir__recipe_expected  *field;
  int                           fields;
  const weir__recipe_parameter *parameter; /* that the simulation declares */
  int                           parameters;
} weir__recipe_schema;

/* How the time levels of a stream's files find the steps of the leading stream. */
typedef enum weir__join_how { WEIR__JOIN_NONE, WEIR__JOIN_EXACT, WEIR__JOIN_NEAREST, WEIR__JOIN_LAST } weir__join_how;
typedef struct weir__join {
  weir__join_how how;       /* NONE: not given */
  bool           by_step;   /* by the number of the step; else by time */
  double         tolerance; /* -1: not given; steps, or time in seconds */
  bool           has_unit;  /* the tolerance was given with a unit of time */
  weir__place    place;
} weir__join;

/* Where the analysis of a simulation runs: beside it on its node; there, fed by workers that only forward; inside it.
 */
typedef enum weir__placement { WEIR__PLACEMENT_NODE, WEIR__PLACEMENT_TRANSIT, WEIR__PLACEMENT_INLINE } weir__placement;
extern const char *const weir__placements[]; /* their words, then NULL */

/* What hides pixels of a stream's images: a file, or a polygon. */
typedef struct weir__recipe_mask {
  const char *file; /* NULL: a polygon */
  double (*point)[2];
  int         points;
  weir__place place;
} weir__recipe_mask;

/* `watch:` of images: they are still being written. */
typedef struct weir__recipe_watch {
  const char *end;       /* a file whose name fits this pattern ends the series; NULL: none does */
  double      timeout_s; /* so long without a new image does; 0: never */
  int64_t     count;     /* so many steps do; 0: any number */
  double      settle_s;  /* a file that nobody is heard to close is whole when it has not changed for so long */
  double      gap_s;     /* a missing image is waited for so long, once later ones have come */
  weir__place place;
} weir__recipe_watch;

/* `images:` of a recipe's stream. */
typedef struct weir__recipe_images {
  const char *const        *path; /* a folder, patterns or files */
  int                       paths;
  weir__recipe_text         subset;            /* text NULL: one image per step */
  int64_t                   start, stop, step; /* as in weir__series_terms */
  double                    dt;                /* seconds from i to i + 1; 0: times are numbers without units */
  double                    pixel;             /* metres from one to the next; 0: coordinates are in pixels */
  bool                      up;                /* y points up: row 0 is on top */
  double                    origin[2];         /* the pixel [y, x] with the coordinates 0 */
  bool                      has_origin;        /* else the first of each axis (with `up` the last row) */
  const weir__image_raw    *raw;               /* NULL: files have headers */
  const weir__recipe_text  *name;              /* of the images in a step; NULL: their usual names */
  int                       names;
  const weir__recipe_watch *watch; /* NULL: all are there */
  const weir__recipe_mask  *mask;  /* together they are the field `mask` */
  int                       masks;
} weir__recipe_images;

typedef struct weir__recipe_stream {
  const char                *name; /* NULL: whichever the simulation opens */
  weir__place                place;
  bool                       is_files;
  bool                       is_joined; /* to the leading stream */
  weir__join                 join;
  const weir__recipe_text   *file; /* names or patterns, in order */
  int                        files;
  const weir__recipe_images *images;          /* is_files, too; NULL: arrays in files */
  const char                *time;            /* files: name of the time dimension; NULL: found by itself */
  weir__placement            placement;       /* simulation */
  double                     timeout_s;       /* simulation: how long it waits for a free slot */
  int                        slots;           /* 0: default */
  weir__channel_policy       policy;          /* when there is no room for a step */
  weir__channel_fallback     fallback;        /* of block and spill, after the time-out */
  uint64_t                   spill_bytes;     /* of each process of the simulation */
  const char                *spill_directory; /* NULL: the run directory */
  bool                       restarts;        /* a simulation that died is started again, */
  weir__recipe_text          restart;         /* with this command; text NULL: the same */
  double                     attach_s;        /* how long the workers wait for the simulation's definitions */
  const weir__chunk_size    *chunk;
  int                        chunks;
  bool                       as_published; /* the simulation's pieces are the chunks */
  bool                       holes;
  bool                       has_expects;
  weir__recipe_schema        expects;
} weir__recipe_stream;

/* What a rule does; names are resolved once the stream is known. */
typedef struct weir__recipe_action {
  weir__steering_kind kind;
  weir__recipe_text   name;  /* of the parameter or output */
  weir__recipe_text   value; /* SET: an expression */
  weir__every         every; /* EXTRACT */
} weir__recipe_action;

typedef struct weir__recipe_rule {
  weir__place          place;
  weir__recipe_text    when, reset; /* reset: text NULL: not given */
  weir__every          hold, every; /* text NULL: not given */
  bool                 once;
  weir__recipe_action *action;
  size_t               actions, action_capacity; /* in the arena of the recipe once read */
} weir__recipe_rule;

typedef struct weir__recipe_feedback {
  const char       *name;
  weir__recipe_text field; /* a name or an expression */
  int64_t           lag;
  int               when_late; /* of weir__feedback */
  double            timeout_s;
  weir__every       every;
} weir__recipe_feedback;

typedef struct weir__recipe_field {
  const char       *name;
  weir__place       place;
  weir__recipe_text expression;
} weir__recipe_field;

/* What follows when a field or an output fails. */
typedef struct weir__recipe_policy {
  weir__recipe_text name; /* of a field, or the path of an output */
  weir__on_failure  policy;
} weir__recipe_policy;

/* What workers that read files share out: steps, each to whoever has time, or the chunks of each step. */
typedef enum weir__share {
  WEIR__SHARE_USUAL, /* steps where they are images: these are read whole */
  WEIR__SHARE_STEPS,
  WEIR__SHARE_CHUNKS
} weir__share;

typedef struct weir__recipe {
  weir__arena               arena;
  const char               *file;   /* as it is named in messages */
  const char               *run;    /* name of the run: letters, digits, - _ . */
  weir__recipe_stream       stream; /* the leading one: its steps are those of the run; number 0 in the graph */
  weir__recipe_stream      *joined; /* files joined to it; numbers from 1 in the graph */
  int                       joins;
  weir__recipe_parameter   *parameter;
  int                       parameters;
  const weir__recipe_field *field;
  int                       fields;
  weir__recipe_output      *output;
  int                       outputs;
  const weir__recipe_text  *operator_file; /* shared objects with operators */
  int                       operator_files;
  weir__recipe_rule        *rule;
  int                       rules;
  weir__recipe_feedback    *feedback;
  int                       feedbacks;
  bool                      has_steering; /* asked for by itself: parameters may change */
  int64_t                   delay;        /* published steps from a decision to its effect; 0: default */
  weir__place               steering_place;
  const char               *replay;     /* a log whose decisions are taken instead; NULL: none */
  weir__on_failure          on_failure; /* of what has no policy of its own */
  weir__recipe_policy      *policy;
  int                       policies;
  bool                      check_all_finite;
  const weir__recipe_text  *check_finite; /* fields whose values must be finite */
  int                       check_finites;
  int                       workers;         /* 0: not given */
  int                       threads;         /* -1: one per core */
  int                       steps_in_flight; /* 0: default */
  weir__share               share;           /* of files among several workers */
  bool                      pin;
  const char               *trace;                             /* file for the trace; NULL: none */
  weir__recipe_text         launch_workers, launch_simulation; /* launch lines given in full */
  bool                      no_checkpoint;    /* then a worker beside a simulation is not replaced either */
  int64_t                   checkpoint_steps; /* between two; 0: by time */
  double                    checkpoint_s;     /* 0: default */
  bool                      durable;          /* checkpoints outlive the node */
  weir__place               checkpoint_place; /* of the interval */
  int                       retries;          /* of the workers, in a row */
  double                    backoff_s;        /* before the first; doubled for each further one */
  double                    heartbeat_s;      /* a worker silent for so long is killed; 0: never */
} weir__recipe;

extern const char *const weir__recipe_policies[];     /* in the order of weir__on_failure; ended by NULL */
extern const char *const weir__recipe_when_full[];    /* in the order of weir__channel_policy */
extern const char *const weir__recipe_output_kinds[]; /* in the order of weir__output_kind */
extern const char *const weir__recipe_codecs[];       /* ended by NULL */
extern const char *const weir__recipe_colormaps[];    /* in the order of weir__plot_colours */
extern const char *const weir__recipe_scales[];       /* in the order of weir__plot_scale */

/* Parse `size` bytes; `file` names them in messages. A schema file named in `expects:` is read too.
 * Ended by weir__recipe_destroy. WEIR_ERR_INPUT: anything wrong with it. */
weir_status weir__recipe_parse(const char *file, const char *bytes, size_t size, weir__recipe **recipe);
/* The same from a file; `shown` is its name in messages (NULL: path). */
weir_status weir__recipe_load(const char *path, const char *shown, weir__recipe **recipe);
void        weir__recipe_destroy(weir__recipe **recipe);

/* Change a parameter, as `--set name=value` does. WEIR_ERR_INPUT: no such parameter, or not a number. */
weir_status weir__recipe_set(weir__recipe *recipe, const char *assignment);

/* ---- failures, in the graph (recipe_failures.c) ---- */

/* Every name in on_failure and check_finite is one of the graph or of an output. */
weir_status weir__recipe_failures_check(const weir__recipe *recipe, weir__graph *graph);
/* Policies and owners of the recipe's fields; of an output's i-th field when that is an expression; of the nodes from
 * `first` on, which write the output. */
weir_status weir__recipe_failures_fields(const weir__recipe *recipe, weir__graph *graph);
void        weir__recipe_failures_expression(const weir__recipe *recipe, const weir__recipe_output *output, int i,
                                             weir__graph *graph, int node);
void weir__recipe_failures_output(const weir__recipe *recipe, const weir__recipe_output *output, weir__graph *graph,
                                  int first);

/* ---- steering (recipe_steer.c) ---- */

/* May parameters change while this run goes on? */
bool    weir__recipe_steered(const weir__recipe *recipe, const weir__recipe_schema *schema);
int64_t weir__recipe_delay(const weir__recipe *recipe);

/* A schema: what `expects:` holds, and the file schema.yaml that every run writes. */
weir_status weir__recipe_schema_read(weir__arena *arena, const weir__yaml *map, weir__recipe_schema *schema);
weir_status weir__recipe_schema_load(weir__arena *arena, const char *path, weir__recipe_schema *schema);
weir_status weir__recipe_schema_text(const weir__recipe_schema *schema, weir__text *text);

/* ---- shared by the files that read the parts of a recipe ---- */

weir_status weir__recipe_read_stream(weir__recipe *recipe, const weir__yaml *value, weir__recipe_stream *stream);
/* What a stream's map says of its images, all of it but the keys that other streams have, too. */
weir_status weir__recipe_read_images(weir__recipe *recipe, const weir__yaml *map, weir__recipe_stream *stream);
weir_status weir__recipe_read_streams(weir__recipe *recipe, const weir__yaml *value);
weir_status weir__recipe_read_join(weir__recipe_stream *stream, const weir__yaml *value);
weir_status weir__recipe_read_outputs(weir__recipe *recipe, const weir__yaml *value);
weir_status weir__recipe_read_rules(weir__recipe *recipe, const weir__yaml *value);
weir_status weir__recipe_read_feedback(weir__recipe *recipe, const weir__yaml *value);
weir_status weir__recipe_read_steering(weir__recipe *recipe, const weir__yaml *value);
weir_status weir__recipe_read_parameters(weir__arena *arena, const weir__yaml *value,
                                         weir__recipe_parameter **parameter, int *parameters);
/* Rules fit outputs and the policy of the stream. */
weir_status weir__recipe_check_steering(weir__recipe *recipe);
/* "10" (steps) or "6 h". */
weir_status weir__recipe_read_every(const weir__yaml *value, weir__every *every);
weir_status weir__recipe_read_on_failure(weir__recipe *recipe, const weir__yaml *value);
weir_status weir__recipe_read_check_finite(weir__recipe *recipe, const weir__yaml *value);
weir_status weir__recipe_read_chunks(weir__arena *arena, const weir__yaml *value, const weir__chunk_size **chunk,
                                     int *chunks);
weir_status weir__recipe_read_policy(weir__recipe_stream *stream, const weir__yaml *value);
weir_status weir__recipe_read_restart(weir__recipe_stream *stream, const weir__yaml *value);
weir_status weir__recipe_read_checkpoint(weir__recipe *recipe, const weir__yaml *value);
weir_status weir__recipe_read_recovery(weir__recipe *recipe, const weir__yaml *value);
void        weir__recipe_recovery_defaults(weir__recipe *recipe);
weir_status weir__recipe_recovery_check(const weir__recipe *recipe);
/* "20 GB", "512 MiB", "4096". */
weir_status weir__recipe_read_size(const weir__yaml *value, const char *what, uint64_t *bytes);
/* "600" or "600 s", "10 min"; less than 1e9 s. */
weir_status weir__recipe_read_seconds(const weir__yaml *value, const char *what, double *seconds);
/* "10 min", "6 h". */
weir_status       weir__recipe_read_duration(const weir__yaml *value, const char *what, double *seconds);
weir__recipe_text weir__recipe_text_of(const weir__yaml *value);
/* A name for fields, parameters and dimensions: a letter or _, then letters, digits, _. */
bool        weir__recipe_is_name(const char *text);
weir_status weir__recipe_check_name(const weir__yaml *key, const char *what);
#endif
