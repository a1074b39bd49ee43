/* weir-test: timeout=60
 * Recipes: what is read, and what is said of those that are wrong. */
#include "recipes.h"
#include "run/joined.h"
#include "run/recipe.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static weir_status parse(const char *text, weir__recipe **recipe) {
  return weir__recipe_parse("a.yaml", text, strlen(text), recipe);
}

/* ---- good ones ---- */

static void reads_everything(void **state) {
  weir__recipe *r;
  (void)state;
  if (parse(full_recipe, &r) < 0) fail_msg("%s", weir_error_last());
  assert_string_equal(r->run, "full-1.0");
  assert_string_equal(r->stream.name, "ocean");
  assert_float_equal(r->stream.timeout_s, 600, 0);
  assert_float_equal(r->stream.attach_s, 30, 0);
  assert_int_equal(r->stream.slots, 8);
  assert_int_equal(r->stream.chunks, 2);
  assert_string_equal(r->stream.chunk[1].dimension, "x");
  assert_int_equal(r->stream.chunk[1].size, 16);
  assert_true(r->stream.holes && r->stream.has_expects);
  assert_int_equal(r->parameters, 2);
  assert_float_equal(r->parameter[1].value, -2000, 0);
  assert_int_equal(r->fields, 3);
  assert_string_equal(r->field[0].expression.text, "0.5 * (u^2 + v^2)");
  assert_int_equal(r->field[0].expression.place.line, 23);
  assert_int_equal(r->field[0].expression.place.column, 7);
  assert_string_equal(r->field[2].expression.text, "factor * u");
  assert_int_equal(r->field[2].expression.place.column, 12); /* behind the quote */
  assert_int_equal(r->workers, 3);
  assert_int_equal(r->threads, 2);
  assert_int_equal(r->steps_in_flight, 4);
  assert_true(r->pin);
  assert_int_equal(r->operator_files, 2);
  assert_string_equal(r->operator_file[1].text, "lib/other.so");
  assert_string_equal(r->launch_workers.text, "srun -n {n} {command}");
  weir__recipe_destroy(&r);
  assert_null(r);
}

static void reads_outputs(void **state) {
  weir__recipe *r;
  (void)state;
  assert_int_equal(parse(full_recipe, &r), WEIR_OK);
  assert_int_equal(r->outputs, 3);
  const weir__recipe_output *zarr = &r->output[0], *csv = &r->output[1], *plot = &r->output[2];
  assert_int_equal(zarr->kind, WEIR__OUTPUT_ZARR);
  assert_string_equal(zarr->name[1], "mean_u");
  assert_string_equal(zarr->codec, "zlib");
  assert_int_equal(zarr->level, 9);
  assert_int_equal(zarr->time_chunk, 4);
  assert_int_equal(zarr->every.steps, 10);
  assert_int_equal(csv->kind, WEIR__OUTPUT_CSV);
  assert_int_equal(csv->fields, 1);
  assert_float_equal(csv->every.seconds, 6 * 3600, 0);
  assert_int_equal(plot->kind, WEIR__OUTPUT_PLOT);
  assert_string_equal(plot->path.text, "ke_{step:06}.png");
  assert_float_equal(plot->every.seconds, 1.5 * 86400, 0);
  assert_true(plot->has_range && plot->smooth);
  assert_float_equal(plot->range[1], 1, 0);
  assert_int_equal(plot->colormap, 1);
  assert_int_equal(plot->scale, 1);
  assert_float_equal(plot->clip, 0.02, 0);
  weir__recipe_destroy(&r);
}

/* What a run writes as schema.yaml is what `expects:` reads. */
static void schema_round_trip(void **state) {
  weir__recipe       *r;
  weir__text          first = {0}, second = {0};
  weir__arena         arena = {0};
  weir__recipe_schema again = {0};
  const weir__yaml   *root;
  (void)state;
  assert_int_equal(parse(full_recipe, &r), WEIR_OK);
  const weir__recipe_schema *s = &r->stream.expects;
  assert_int_equal(s->fields, 3);
  assert_string_equal(s->time_units, "s");
  assert_string_equal(s->field[1].name, "v");
  assert_int_equal(s->field[1].type.dtype, WEIR_F32);
  assert_int_equal(s->field[0].type.dim[0].size, 96);
  assert_float_equal(s->field[0].type.dim[0].spacing, 40, 0);
  assert_int_equal(s->field[0].type.location, WEIR_AT_U);
  assert_true(s->field[0].type.has_fill && s->field[0].type.fill == -999);
  assert_true(s->field[2].is_static && s->field[2].type.dtype == WEIR_F64);
  assert_int_equal(weir__recipe_schema_text(s, &first), WEIR_OK);
  assert_int_equal(weir__yaml_parse(&arena, "schema.yaml", first.data, first.length, &root), WEIR_OK);
  if (weir__recipe_schema_read(&arena, root, &again) < 0) fail_msg("%s in\n%s", weir_error_last(), first.data);
  assert_int_equal(weir__recipe_schema_text(&again, &second), WEIR_OK);
  assert_string_equal(first.data, second.data);
  weir__text_clear(&first);
  weir__text_clear(&second);
  weir__arena_clear(&arena);
  weir__recipe_destroy(&r);
}

static void defaults(void **state) {
  weir__recipe *r;
  (void)state;
  if (parse(files_recipe, &r) < 0) fail_msg("%s", weir_error_last());
  assert_string_equal(r->run, "a"); /* the file's name */
  assert_true(r->stream.is_files);
  assert_int_equal(r->stream.files, 2);
  assert_string_equal(r->stream.time, "t");
  assert_int_equal(r->threads, -1);
  assert_int_equal(r->workers, 0);
  assert_true(r->output[0].every.steps == 0 && r->output[0].every.seconds == 0);
  weir__recipe_destroy(&r);
}

/* The simulation leads wherever it stands; of files alone, the first. */
static void reads_joins(void **state) {
  static const char text[] = "streams:\n"
                             "  obs: {files: [a.nc, b.nc], chunks: {n: 4}, join: {time: nearest, tolerance: 3 h}}\n"
                             "  model: {simulation: {}}\n"
                             "  mask: {files: mask.nc}\n"
                             "  old: {files: c.nc, time: t, join: {tolerance: 2, step: last}}\n";
  weir__recipe     *r;
  char              whole[512], text_of[64];
  (void)state;
  snprintf(whole, sizeof whole, "%s%s", text, "outputs:\n  - csv: {path: a.csv, fields: [u]}\n");
  if (parse(whole, &r) < 0) fail_msg("%s", weir_error_last());
  assert_string_equal(r->stream.name, "model");
  assert_false(r->stream.is_files || r->stream.is_joined);
  assert_int_equal(r->joins, 3);
  assert_string_equal(r->joined[0].name, "obs");
  assert_true(r->joined[0].is_joined && r->joined[0].is_files);
  assert_int_equal(r->joined[0].files, 2);
  assert_int_equal(r->joined[0].chunks, 1);
  assert_int_equal(r->joined[0].join.how, WEIR__JOIN_NEAREST);
  assert_false(r->joined[0].join.by_step);
  assert_float_equal(r->joined[0].join.tolerance, 3 * 3600, 0);
  assert_string_equal(weir__join_text(&r->joined[0].join, text_of), "joined by time, nearest within 3.0 h");
  assert_int_equal(r->joined[1].join.how, WEIR__JOIN_NONE);
  assert_string_equal(weir__join_text(&r->joined[1].join, text_of), "static");
  assert_int_equal(r->joined[2].join.how, WEIR__JOIN_LAST);
  assert_true(r->joined[2].join.by_step);
  assert_string_equal(weir__join_text(&r->joined[2].join, text_of), "joined by step, last within 2 steps");
  weir__recipe_destroy(&r);
  snprintf(whole, sizeof whole, "%s%s", "streams: {a: {files: a.nc}, b: {files: b.nc, join: {time: exact}}}\n",
           "outputs:\n  - csv: {path: a.csv, fields: [u]}\n");
  if (parse(whole, &r) < 0) fail_msg("%s", weir_error_last());
  assert_string_equal(r->stream.name, "a");
  assert_int_equal(r->joins, 1);
  assert_float_equal(r->joined[0].join.tolerance, -1, 0);
  weir__recipe_destroy(&r);
}

static weir__recipe *parsed(const char *text) {
  weir__recipe *r = NULL;
  if (parse(text, &r) < 0) fail_msg("%s: %s", text, weir_error_last());
  return r;
}

#define OUTPUTS "outputs:\n  - csv: {path: a.csv, fields: [u]}\n"

static void overload_and_recovery(void **state) {
  (void)state;
  weir__recipe *r = parsed("stream: {simulation: {}}\n" OUTPUTS);
  assert_int_equal(r->stream.policy, WEIR__POLICY_BLOCK);
  assert_int_equal(r->stream.fallback, WEIR__FALLBACK_STOP);
  assert_false(r->stream.restarts || r->no_checkpoint || r->durable);
  assert_true(r->checkpoint_steps == 0 && r->checkpoint_s == 0);
  assert_int_equal(r->retries, 3);
  assert_float_equal(r->backoff_s, 1, 0);
  assert_float_equal(r->heartbeat_s, 30, 0);
  weir__recipe_destroy(&r);
  r = parsed(
      "stream:\n  simulation:\n    policy: {when_full: spill, timeout: 1 min, fallback: drop, capacity: 1.5 GiB,\n"
      "             directory: /scratch}\n    restart: ./model --from 'last one'\n"
      "checkpoint: {every: 1000 steps, durable: node}\nrecovery: {retries: 0, backoff: 0.5, heartbeat: no}\n" OUTPUTS);
  assert_int_equal(r->stream.policy, WEIR__POLICY_SPILL);
  assert_int_equal(r->stream.fallback, WEIR__FALLBACK_DROP);
  assert_float_equal(r->stream.timeout_s, 60, 0);
  assert_true(r->stream.spill_bytes == UINT64_C(1610612736));
  assert_string_equal(r->stream.spill_directory, "/scratch");
  assert_true(r->stream.restarts && r->durable);
  assert_string_equal(r->stream.restart.text, "./model --from 'last one'");
  assert_int_equal(r->checkpoint_steps, 1000);
  assert_true(r->retries == 0 && r->backoff_s == 0.5 && r->heartbeat_s == 0);
  weir__recipe_destroy(&r);
  r = parsed("stream: {simulation: {policy: {when_full: drop_oldest, slots: 20}, restart: yes}}\n"
             "checkpoint: {every: 20 steps}\n" OUTPUTS);
  assert_int_equal(r->stream.policy, WEIR__POLICY_DROP_OLDEST);
  assert_true(r->stream.restarts && !r->stream.restart.text);
  weir__recipe_destroy(&r);
  r = parsed("stream: {simulation: {policy: {when_full: drop}, restart: no}}\ncheckpoint: no\n" OUTPUTS);
  assert_int_equal(r->stream.policy, WEIR__POLICY_DROP_NEWEST);
  assert_true(!r->stream.restarts && r->no_checkpoint);
  weir__recipe_destroy(&r);
  r = parsed("stream: {files: a.nc}\ncheckpoint: {every: 1000 steps}\n" OUTPUTS); /* files can be read again */
  assert_int_equal(r->checkpoint_steps, 1000);
  weir__recipe_destroy(&r);
}

static void parameters_change(void **state) {
  weir__recipe *r;
  (void)state;
  assert_int_equal(parse(full_recipe, &r), WEIR_OK);
  assert_int_equal(weir__recipe_set(r, "level=2.5"), WEIR_OK);
  assert_float_equal(r->parameter[0].value, 2.5, 0);
  assert_int_equal(weir__recipe_set(r, "levl=1"), WEIR_ERR_INPUT);
  assert_string_equal(weir_error_last(), "--set levl=1: a.yaml has no parameter levl, did you mean level?");
  assert_int_equal(weir__recipe_set(r, "level=high"), WEIR_ERR_INPUT);
  assert_int_equal(weir__recipe_set(r, "=1"), WEIR_ERR_INPUT);
  weir__recipe_destroy(&r);
}

/* ---- wrong ones: the whole message ---- */

#define TAIL_OUTPUT  "outputs:\n  - csv: {path: a.csv, fields: [u]}\n"
#define TAIL         "stream: {simulation: {}}\n" TAIL_OUTPUT
#define JOINED(join) "streams: {m: {simulation: {}}, obs: {files: a, join: " join "}}\n"

static const struct {
  const char *text, *message;
} wrong[] = {
    {"", "a.yaml: empty"},
    {"- a\n", "a.yaml:1:1: a recipe holds keys with values, such as run: NAME"},
    {"run: [\n", "a.yaml:2:1: not YAML: did not find expected node content while parsing a flow node"},
    {"a: 1\n---\nb: 2\n", "a.yaml:3: a second document, expected one"},
    {"feilds: {}\n" TAIL, "a.yaml:1:1: unknown key feilds in the recipe, did you mean fields?"},
    {"models: []\n" TAIL, "a.yaml:1:1: models is not available in this version"},
    {"live: {}\n" TAIL, "a.yaml:1:1: live is not available in this version"},
    {"run: a\nrun: b\n" TAIL, "a.yaml:2:1: run is given twice (first in line 1)"},
    {"run: ../a\n" TAIL, "a.yaml:1:6: run: expected a name of letters, digits, - _ and ., got \"../a\""},
    {"stream: {simulation: {}}\n",
     "a.yaml:1:1: outputs is missing: nothing would be kept, and no feedback and no rule says every:"},
    {"stream: {simulation: {}}\nfeedback: {f: {field: u}}\n",
     "a.yaml:1:1: outputs is missing: nothing would be kept, and no feedback and no rule says every:"},
    {"outputs:\n  - csv: {path: a.csv, fields: [u]}\n",
     "a.yaml:1:1: stream is missing, expected one with simulation:, files: or images:"},
    {"streams: {a: {simulation: {}}, b: {simulation: {}}}\n",
     "a.yaml:1:32: streams: a and b are both simulations, expected at most one"},
    {"streams: {}\n", "a.yaml:1:10: streams: expected streams by name, such as {ocean: {simulation: {}}}"},
    {"streams: {a: {simulation: {}}, b: {}}\n",
     "a.yaml:1:35: a stream has either simulation: or files: or images:, none is given"},
    {"streams: {a.b: {simulation: {}}}\n",
     "a.yaml:1:11: stream \"a.b\": expected a name of letters, digits and _ that does not start with a digit"},
    {"streams: {a: {files: a.nc}, a: {files: b.nc}}\n", "a.yaml:1:29: a is given twice (first in line 1)"},
    {JOINED("{}") TAIL_OUTPUT,
     "a.yaml:1:54: join: expected step: or time: with exact, nearest or last, such as {time: nearest}"},
    {JOINED("{tolerance: 3 h}") TAIL_OUTPUT,
     "a.yaml:1:54: join: expected step: or time: with exact, nearest or last, such as {time: nearest}"},
    {JOINED("{step: exact, time: exact}") TAIL_OUTPUT,
     "a.yaml:1:74: join: step and time are both given, expected one of them"},
    {JOINED("{time: newest}") TAIL_OUTPUT, "a.yaml:1:61: time: expected one of exact, nearest, last, got \"newest\""},
    {JOINED("{tiem: last}") TAIL_OUTPUT,
     "a.yaml:1:55: unknown key tiem in join, expected one of step, time, tolerance"},
    {JOINED("{time: nearest, tolerance: 3 moons}") TAIL_OUTPUT,
     "a.yaml:1:81: tolerance: expected a positive number with us, ms, s, min, h or d, such as 6 h, got \"3 moons\""},
    {JOINED("{time: nearest, tolerance: -1}") TAIL_OUTPUT, "a.yaml:1:81: tolerance is -1, expected 0 or more"},
    {JOINED("{step: nearest, tolerance: 3 h}") TAIL_OUTPUT,
     "a.yaml:1:81: tolerance: expected a whole number of steps, as the stream is joined by step"},
    {JOINED("{step: nearest, tolerance: 0.5}") TAIL_OUTPUT,
     "a.yaml:1:81: tolerance: expected a whole number of steps, as the stream is joined by step"},
    {"stream: {files: a.nc, join: {time: last}}\n" TAIL_OUTPUT,
     "a.yaml:1:29: join belongs to files beside the leading stream; this one leads"},
    {"streams: {a: {files: a.nc, join: {time: last}}, b: {files: b.nc}}\n" TAIL_OUTPUT,
     "a.yaml:1:34: join belongs to files beside the leading stream; this one leads"},
    {JOINED("{time: last}") "fields: {obs: 2 * u}\n" TAIL_OUTPUT,
     "a.yaml:2:10: the field obs has the name of a stream"},
    {JOINED("{time: last}") "parameters: {obs: 2}\n" TAIL_OUTPUT,
     "a.yaml:2:14: the parameter obs has the name of a stream"},
    {"stream: {simulation: {policy: {when_full: wait}}}\n",
     "a.yaml:1:43: when_full: expected one of block, drop_newest, drop_oldest, spill, drop, got \"wait\""},
    {"stream: {simulation: {policy: {when_full: drop, fallback: stop}}}\n",
     "a.yaml:1:59: fallback belongs to block and spill; drop_newest never waits"},
    {"stream: {simulation: {policy: {capacity: 20 GB}}}\n",
     "a.yaml:1:42: capacity belongs to when_full: spill; this stream has block"},
    {"stream: {simulation: {policy: {when_full: spill}}}\n",
     "a.yaml:1:31: policy: spill needs a capacity for each process of the simulation, such as capacity: 20 GB"},
    {"stream: {simulation: {policy: {when_full: spill, capacity: 20 gigs}}}\n",
     "a.yaml:1:60: capacity: expected a size with B, kB, MB, GB, TB, KiB, MiB, GiB or TiB, such as 20 GB, got \"20 "
     "gigs\""},
    {"stream: {simulation: {restart: []}}\n", "a.yaml:1:32: restart: expected a text"},
    {"checkpoint: {every: 0 steps}\n" TAIL, "a.yaml:1:21: every is 0 steps, expected at least 1 step"},
    {"checkpoint: {every: often}\n" TAIL,
     "a.yaml:1:21: every: expected steps or a time, such as 100 steps or 10 s, got \"often\""},
    {"checkpoint: {every: 5}\n" TAIL,
     "a.yaml:1:21: every: expected steps or a time, such as 100 steps or 10 s, got \"5\""},
    {"checkpoint: never\n" TAIL,
     "a.yaml:1:13: checkpoint: expected yes, no or a map such as {every: 10 s}, got \"never\""},
    {"checkpoint: {durable: disk}\n" TAIL, "a.yaml:1:23: durable: expected one of process, node, got \"disk\""},
    {"checkpoint: {every: 100 steps}\n" TAIL,
     "a.yaml:1:21: a checkpoint every 100 steps needs 100 slots; with block there are 4 (policy: {slots: 100}, or "
     "when_full: spill)"},
    {"checkpoint: {every: 600 steps}\n" TAIL,
     "a.yaml:1:21: a checkpoint every 600 steps needs 600 slots, more than the 512 there can be; use when_full: spill "
     "or checkpoint more often"},
    {"recovery: {retries: -1}\n" TAIL, "a.yaml:1:21: retries is -1, expected 0 to 1000"},
    {"recovery: {backoff: 0}\n" TAIL, "a.yaml:1:21: backoff is 0, expected a positive number of seconds"},
    {"recovery: {heartbeat: 1 s}\n" TAIL,
     "a.yaml:1:23: heartbeat is 1 s, expected at least 2 s (a worker says once a second that it lives), or no"},
    {"stream: {simulation: {policy: {slots: 0}}}\n", "a.yaml:1:39: slots is 0, expected 1 to 512"},
    {"stream: {simulation: {policy: {timeout: -3}}}\n",
     "a.yaml:1:41: timeout is -3, expected a positive number of seconds"},
    {"stream: {simulation: {}, files: a.nc}\n",
     "a.yaml:1:9: a stream has either simulation: or files: or images:, two are given"},
    {"stream: {simulation: {}, ranks: 4}\n",
     "a.yaml:1:26: unknown key ranks in stream, expected one of simulation, "
     "files, time, chunks, holes, expects, join, images, "
     "subset, start, stop, step, dt, rate, raw, names, pixel, up, origin, mask, watch"},
    {"stream: {images: im, pixel: 0}\n", "a.yaml:1:29: pixel is 0, expected the metres that one shows, more than 0"},
    {"stream: {images: im, origin: 3}\n", "a.yaml:1:30: origin: expected the pixel [y, x] where the coordinates are 0"},
    {"stream: {images: im, files: a.nc}\n",
     "a.yaml:1:9: a stream has either simulation: or files: or images:, two are given"},
    {"stream: {files: a.nc, subset: pairs}\n",
     "a.yaml:1:31: subset, start, stop, step, dt, rate, raw, names, pixel, up, origin, mask and watch "
     "belong to a stream of images"},
    {"stream: {images: im, time: t}\n",
     "a.yaml:1:28: time belongs to a stream of files; the times of images follow from dt: or rate:"},
    {"stream: {images: im, expects: {}}\n", "a.yaml:1:31: expects belongs to a simulation; files are looked into"},
    {"stream: {images: im, holes: fill}\n", "a.yaml:1:29: holes belongs to a simulation; files have none"},
    {"stream: {images: {a: b}}\n", "a.yaml:1:18: images: expected a text or a list of texts"},
    {"stream: {images: im, dt: 0}\n", "a.yaml:1:26: dt is 0, expected a positive number of seconds"},
    {"stream: {images: im, rate: -2}\n", "a.yaml:1:28: rate is -2, expected images per second, more than 0"},
    {"stream: {images: im, dt: 1 s, rate: 2}\n", "a.yaml:1:37: dt and rate are both given, expected one of them"},
    {"stream: {images: im, start: 4, stop: 4}\n", "a.yaml:1:38: stop is not above start"},
    {"stream: {images: im, step: 0}\n", "a.yaml:1:28: step is 0, expected 1 to 1000000000000000000"},
    {"stream: {images: im, names: [a, a]}\n", "a.yaml:1:33: names: a is given twice"},
    {"stream: {images: im, names: [a-b]}\n",
     "a.yaml:1:30: image \"a-b\": expected a name of letters, digits and _ that does not start with a digit"},
    {"stream: {images: im, raw: {width: 4, height: 4}}\n",
     "a.yaml:1:27: raw: dtype is missing, expected height, width and dtype at least"},
    {"stream: {images: im, raw: {width: 4, height: 4, dtype: int8}}\n",
     "a.yaml:1:56: dtype: expected one of uint8, uint16, float32, got \"int8\""},
    {"stream: {images: im, raw: {width: 4, height: 4, dtype: uint16, stride: 7}}\n",
     "a.yaml:1:72: stride: a row has 8 bytes, expected at least so many"},
    {"stream: {images: im, raw: {width: 4, height: 4, dtype: uint16, frame: 31}}\n",
     "a.yaml:1:71: frame: less than the bytes of an image (4 rows of 8)"},
    {"stream: {images: im, raw: {width: 4, height: 4, dtype: uint8, bits: 12}}\n",
     "a.yaml:1:69: bits belongs to dtype: uint16"},
    {"stream: {files: a.nc, holes: fill}\n", "a.yaml:1:30: holes belongs to a simulation; files have none"},
    {"stream: {simulation: {}, chunks: {y: many}}\n", "a.yaml:1:38: chunks: expected a whole number, got \"many\""},
    {"stream: {files: a.nc, chunks: as-published}\n",
     "a.yaml:1:31: chunks: as-published belongs to a simulation, expected sizes by dimension"},
    {"parameters: {a: b}\n" TAIL, "a.yaml:1:17: a: expected a number, got \"b\""},
    {"parameters: {a: .inf}\n" TAIL, "a.yaml:1:17: a: expected a number, got \".inf\""},
    {"parameters: {2a: 1}\n" TAIL,
     "a.yaml:1:14: parameter \"2a\": expected a name of letters, digits and _ that does not start with a digit"},
    {"fields: {a: [1, 2]}\n" TAIL, "a.yaml:1:13: a: expected an expression, such as 0.5 * (u^2 + v^2)"},
    {"parameters: {a: 1}\nfields: {a: u}\n" TAIL, "a.yaml:2:10: the field a has the name of a parameter"},
    {"execution: {threads: -1}\n" TAIL, "a.yaml:1:22: threads is -1, expected 0 to 1024"},
    {"execution: {pin: maybe}\n" TAIL,
     "a.yaml:1:18: pin: expected one of no, yes, false, true, off, on, got \"maybe\""},
    {"launch: {workers: mpirun}\n" TAIL,
     "a.yaml:1:19: workers: expected {command} in the line, such as mpirun -n {n} {command}"},
    {"run: *a\n" TAIL, "a.yaml:1:6: no anchor &a stands before this alias"},
    {"run: &a [*a]\n" TAIL, "a.yaml:1:10: no anchor &a stands before this alias"},
    {"stream: {simulation: {}}\noutputs: [{live: {path: a.nc}}]\n",
     "a.yaml:2:12: live is not available in this version"},
    {"stream: {simulation: {}}\noutputs: [{netcdf: {path: a.nc}}]\n", "a.yaml:2:12: netcdf: fields is missing"},
    {"stream: {simulation: {}}\noutputs: [{netcdf: {path: a.nc, fields: [a], level: 12}}]\n",
     "a.yaml:2:53: level is 12, expected 1 to 9"},
    {"stream: {simulation: {}}\noutputs: [{netcdf: {path: a.nc, fields: [a], codec: blosc}}]\n",
     "a.yaml:2:53: codec: expected one of zlib, none, got \"blosc\""},
    {"stream: {simulation: {}}\noutputs: [{netcdf: {path: a.nc, fields: [a], codec: none, level: 2}}]\n",
     "a.yaml:2:66: level has no meaning with codec: none"},
    {"stream: {simulation: {}}\noutputs: [{csv: {path: a.csv}}]\n", "a.yaml:2:12: csv: fields is missing"},
    {"stream: {simulation: {}}\noutputs: [{csv: {fields: [a]}}]\n", "a.yaml:2:12: csv: path is missing"},
    {"stream: {simulation: {}}\noutputs: [{csv: {path: a, fields: [b, b]}}]\n",
     "a.yaml:2:39: b is given twice in this output"},
    {"stream: {simulation: {}}\noutputs: [{csv: {path: a, fields: [mean(b, c)]}}]\n", NULL},
    {"stream: {simulation: {}}\noutputs: [{csv: {path: a, fields: [b], every: 0}}]\n",
     "a.yaml:2:47: every is 0, expected at least 1 step"},
    {"stream: {simulation: {}}\noutputs: [{csv: {path: a, fields: [b], every: 3 fortnights}}]\n",
     "a.yaml:2:47: every: expected a positive number with us, ms, s, min, h or d, such as 6 h, got \"3 fortnights\""},
    {"stream: {simulation: {}}\noutputs: [{plot: {path: a.png, field: b}}]\n",
     "a.yaml:2:25: path: every picture would have this name; put {step:06} into it"},
    {"stream: {simulation: {}}\noutputs: [{plot: {path: 'a{stp}.png', field: b}}]\n",
     "a.yaml:2:25: path: expected {step}, {step:06} or {name} in braces"},
    {"stream: {simulation: {}}\noutputs: [{plot: {path: 'a{step}.png', field: b, range: [2, 1]}}]\n",
     "a.yaml:2:57: range: 2 is not below 1"},
    {"stream: {simulation: {}}\noutputs: [{zarr: {path: a, fields: [b], codec: lzma}}]\n",
     "a.yaml:2:48: codec: expected one of blosc, zstd, zlib, none, got \"lzma\""},
    {"stream: {simulation: {}}\noutputs: [{csv: {path: a, fields: [b]}}, {csv: {path: a, fields: [c]}}]\n",
     "a.yaml:2:42: path: a is written by another output (line 2) already"},
    {"stream: {simulation: {}, expects: {fields: {u: {dimensions: {y: 0}}}}}\n",
     "a.yaml:1:65: size is 0, expected 1 to 4611686018427387903"},
    {"stream: {simulation: {}, expects: missing.yaml}\n",
     "a.yaml:1:35: expects: missing.yaml: No such file or directory"},
};

static void refuses_with_one_message(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    weir__recipe *r      = NULL;
    weir_status   status = parse(wrong[i].text, &r);
    if (!wrong[i].message) {
      /* a comma inside [] splits an expression: the pieces are two fields, and no expressions */
      assert_int_equal(status, WEIR_OK);
      assert_int_equal(r->output[0].fields, 2);
      weir__recipe_destroy(&r);
      continue;
    }
    if (status != WEIR_ERR_INPUT || strcmp(weir_error_last(), wrong[i].message))
      fail_msg("%s\ngives    %d: %s\nexpected %s", wrong[i].text, status, weir_error_last(), wrong[i].message);
    assert_null(r);
    assert_null(strchr(weir_error_last(), '\n'));
  }
}

/* Ten levels of ten aliases would be 10^10 values. */
static void refuses_alias_bombs(void **state) {
  char          text[4096] = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  size_t        length     = strlen(text);
  weir__recipe *r          = NULL;
  (void)state;
  for (int i = 1; i < 10; i++) {
    length += (size_t)snprintf(text + length, sizeof text - length, "a%d: &a%d [", i, i);
    for (int k = 0; k < 10; k++)
      length += (size_t)snprintf(text + length, sizeof text - length, "%s*a%d", k ? ", " : "", i - 1);
    length += (size_t)snprintf(text + length, sizeof text - length, "]\n");
  }
  assert_int_equal(parse(text, &r), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "more than 100000 values"));
}

static void refuses_depth(void **state) {
  char          text[256] = "run: ";
  weir__recipe *r         = NULL;
  (void)state;
  memset(text + 5, '[', 200);
  assert_int_equal(parse(text, &r), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "nested more than 32 deep"));
}

/* Every allocation fails in turn; nothing leaks (the sanitizer looks) and the status is the right one. */
static void survives_lack_of_memory(void **state) {
  (void)state;
  for (uint64_t n = 1;; n++) {
    weir__recipe *r = NULL;
    weir__alloc_fail_at(n);
    weir_status status = parse(full_recipe, &r);
    weir__alloc_fail_at(0);
    if (status >= 0) {
      weir__recipe_destroy(&r);
      assert_true(n > 3);
      return;
    }
    assert_int_equal(status, WEIR_ERR_MEMORY);
    assert_null(r);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_everything),
      cmocka_unit_test(reads_outputs),
      cmocka_unit_test(schema_round_trip),
      cmocka_unit_test(defaults),
      cmocka_unit_test(overload_and_recovery),
      cmocka_unit_test(parameters_change),
      cmocka_unit_test(refuses_with_one_message),
      cmocka_unit_test(refuses_alias_bombs),
      cmocka_unit_test(refuses_depth),
      cmocka_unit_test(survives_lack_of_memory),
      cmocka_unit_test(reads_joins),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
