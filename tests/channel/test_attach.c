/* Finding and attaching: wrong versions, damaged definitions, dead processes, limits, lists, layouts. */
#include "channel/scene.h"

#include "channel/channel.h"
#include "channel/segment.h"
#include "channel/writer.h"
#include "core/text.h"
#include <fcntl.h>
#include <math.h>
#include <sys/mman.h>
#include <sys/resource.h>

static const double         levels[] = {0, 10, 30, 70};
static const weir_attribute notes[] = {{.name = "long_name", .text = "temperature"}, {.name = "offset", .number = 2.5}};
static const weir__channel_field fields[] = {
    {.name = "t",
     .type = {.dtype           = WEIR_F32,
              .rank            = 3,
              .units           = "K",
              .location        = WEIR_AT_T,
              .has_fill        = true,
              .fill            = -999,
              .attributes      = notes,
              .attribute_count = 2,
              .dim             = {{.name = "z", .size = 4, .units = "m", .values = levels},
                                  {.name = "y", .size = 8, .spacing = 0.5, .origin = 1},
                                  {.name = "x", .size = 16, .periodic = true}}}},
    {.name = "mask", .is_static = true, .type = {.dtype = WEIR_U8, .rank = 1, .dim = {{.name = "x", .size = 16}}}},
    {.name = "dt", .type = {.dtype = WEIR_F64}}};
static const weir__channel_piece_of pieces[] = {
    {0, {3, {0, 0, 0}, {4, 4, 16}}}, {0, {3, {0, 4, 0}, {4, 0, 16}}}, {1, {1, {2}, {5}}}, {2, {0, {0}, {0}}}};
static const weir__channel_definitions definitions = {.stream   = "ocean",
                                                      .rank     = 2,
                                                      .size     = 3,
                                                      .calendar = "noleap",
                                                      .fields   = 3,
                                                      .pieces   = 4,
                                                      .field    = fields,
                                                      .piece    = pieces};

static void check_same(const weir__channel_definitions *d) {
  assert_string_equal(d->stream, "ocean");
  assert_int_equal(d->rank, 2);
  assert_int_equal(d->size, 3);
  assert_null(d->time_units);
  assert_string_equal(d->calendar, "noleap");
  assert_int_equal(d->fields, 3);
  assert_int_equal(d->pieces, 4);
  const weir_field_type *t = &d->field[0].type;
  assert_string_equal(d->field[0].name, "t");
  assert_int_equal(t->dtype, WEIR_F32);
  assert_int_equal(t->rank, 3);
  assert_string_equal(t->units, "K");
  assert_int_equal(t->location, WEIR_AT_T);
  assert_true(t->has_fill && t->fill == -999);
  assert_int_equal(t->attribute_count, 2);
  assert_string_equal(t->attributes[0].text, "temperature");
  assert_true(!t->attributes[1].text && t->attributes[1].number == 2.5);
  assert_memory_equal(t->dim[0].values, levels, sizeof levels);
  assert_string_equal(t->dim[0].units, "m");
  assert_true(t->dim[1].spacing == 0.5 && t->dim[1].origin == 1 && !t->dim[1].values);
  assert_true(t->dim[2].periodic && !t->dim[1].periodic);
  assert_true(d->field[1].is_static && !d->field[0].is_static);
  for (int p = 0; p < 4; p++) {
    assert_int_equal(d->piece[p].field, pieces[p].field);
    assert_true(weir__region_equal(&d->piece[p].region, &pieces[p].region));
  }
}

static void definitions_survive(void **state) {
  (void)state;
  weir__text                packed = {0};
  weir__arena               arena  = {0};
  weir__channel_definitions d;
  assert_int_equal(weir__definitions_pack(&definitions, &packed), WEIR_OK);
  assert_int_equal(weir__definitions_unpack(packed.data, packed.length, &arena, &d), WEIR_OK);
  check_same(&d);
  weir__arena_clear(&arena);
  weir__text_clear(&packed);
}

/* Whatever is cut off or changed is refused or read as something legal; it never goes beyond the bytes (address
 * sanitizer). */
static void damaged_definitions_are_refused(void **state) {
  (void)state;
  weir__text                packed = {0};
  weir__arena               arena  = {0};
  weir__channel_definitions d;
  assert_int_equal(weir__definitions_pack(&definitions, &packed), WEIR_OK);
  for (size_t length = 0; length < packed.length; length++) {
    char *exact = malloc(length + 1); /* its own block, so that reading beyond is seen */
    memcpy(exact, packed.data, length);
    assert_int_equal(weir__definitions_unpack(exact, length, &arena, &d), WEIR_ERR_INPUT);
    free(exact);
    weir__arena_clear(&arena);
  }
  uint32_t seed = 1;
  for (int i = 0; i < 20000; i++) {
    seed               = seed * 1664525 + 1013904223; /* Numerical Recipes' generator: any sequence will do */
    size_t at          = (seed >> 8) % packed.length;
    char   saved       = packed.data[at];
    packed.data[at]    = (char)(seed >> 24);
    weir_status status = weir__definitions_unpack(packed.data, packed.length, &arena, &d);
    assert_true(status == WEIR_OK || status == WEIR_ERR_INPUT);
    packed.data[at] = saved;
    weir__arena_clear(&arena);
  }
  weir__text_clear(&packed);
}

static void attach_reads_them(void **state) {
  (void)state;
  scene                s = scene_open();
  weir__writer        *writer;
  weir__channel       *channel, *second;
  weir__channel_entry *list;
  char               **names;
  int                  count;
  assert_int_equal(weir__channel_list(s.run, "ocean", NULL, &list, &count), WEIR_OK);
  assert_true(count == 0 && !list);
  assert_int_equal(weir__channel_attach(s.run, "ocean", 2, &channel), WEIR_ERR_GONE);
  assert_int_equal(weir__writer_create(s.run, &definitions, &writer), WEIR_OK);
  weir__writer *twin;
  assert_int_equal(weir__writer_create(s.run, &definitions, &twin), WEIR_ERR_STATE);
  assert_non_null(strstr(weir_error_last(), "rank 2 is open already"));
  assert_int_equal(weir__channel_list(s.run, "ocean", NULL, &list, &count), WEIR_OK);
  assert_true(count == 1 && list[0].rank == 2 && list[0].size == 3 && list[0].alive && list[0].pid == getpid());
  weir__free(list);
  assert_int_equal(weir__channel_list(s.run, "ocean", "elsewhere", &list, &count), WEIR_OK);
  assert_int_equal(count, 0);
  assert_int_equal(weir__channel_streams(s.run, NULL, &names, &count), WEIR_OK);
  assert_true(count == 1 && !strcmp(names[0], "ocean"));
  weir__free(names);
  assert_int_equal(weir__channel_attach(s.run, "ocean", 2, &channel), WEIR_OK);
  check_same(weir__channel_definitions_of(channel));
  assert_int_equal(weir__channel_attach(s.run, "ocean", 2, &second), WEIR_OK);

  /* the first answer counts */
  assert_int_equal(weir__channel_refuse(channel, "line 3: no field 'tt'"), WEIR_OK);
  assert_int_equal(weir__channel_refuse(second, "me too"), WEIR_ERR_STATE);
  assert_int_equal(weir__writer_await(writer, 1000000000), WEIR_ERR_INPUT);
  assert_string_equal(weir_error_last(), "the analysis was refused: line 3: no field 'tt'");
  weir__channel_detach(&channel);
  weir__channel_detach(&second);
  weir__writer_destroy(&writer, NULL);
  scene_close(&s, 0);
}

static void bad_demands_are_refused(void **state) {
  (void)state;
  scene           s = scene_open();
  weir__writer   *writer;
  weir__channel  *channel;
  weir__doorbell *bell;
  assert_int_equal(weir__doorbell_create(&bell), WEIR_OK);
  assert_int_equal(weir__writer_create(s.run, &definitions, &writer), WEIR_OK);
  assert_int_equal(weir__channel_attach(s.run, "ocean", 2, &channel), WEIR_OK);
  weir__channel_want   want       = {1, {3, {0, 2, 0}, {4, 4, 16}}};
  weir__channel_demand demands[4] = {{0}};
  weir__channel_terms  terms      = {.doorbell = bell, .slots = WEIR__CHANNEL_SLOTS_MAX + 1};
  assert_int_equal(weir__channel_demand_post(channel, demands, &terms), WEIR_ERR_ARGUMENT);
  terms.slots = 2;
  demands[0]  = (weir__channel_demand){1, &want};
  assert_int_equal(weir__channel_demand_post(channel, demands, &terms), WEIR_ERR_ARGUMENT);
  assert_non_null(strstr(weir_error_last(), "field 't': region"));
  want.region.rank = 2;
  assert_int_equal(weir__channel_demand_post(channel, demands, &terms), WEIR_ERR_ARGUMENT);
  demands[0]     = (weir__channel_demand){0};
  terms.doorbell = NULL;
  assert_int_equal(weir__channel_demand_post(channel, demands, &terms), WEIR_ERR_ARGUMENT);
  terms.doorbell = bell;
  assert_int_equal(weir__channel_map(channel), WEIR_ERR_STATE);
  assert_int_equal(weir__channel_demand_post(channel, demands, &terms), WEIR_OK); /* nothing at all is legal */
  assert_int_equal(weir__channel_map(channel), WEIR_END);
  assert_int_equal(weir__writer_await(writer, 1000000000), WEIR_OK);
  assert_int_equal(weir__channel_map(channel), WEIR_OK);
  weir__writer_destroy(&writer, "no memory for the mesh");
  weir__channel_record record;
  assert_int_equal(weir__channel_next(channel, &record), WEIR__CHANNEL_LOST);
  assert_string_equal(weir__channel_message(channel), "no memory for the mesh");
  weir__channel_detach(&channel);
  weir__doorbell_destroy(&bell);
  scene_close(&s, 0);
}

/* A segment like a channel's, but with something wrong in its header. */
static void wrong_headers_are_told(void **state) {
  (void)state;
  scene          s = scene_open();
  weir__control *control;
  int            fd;
  assert_int_equal(
      weir__shared_create("a segment", WEIR__CONTROL_MAGIC, sizeof *control, sizeof *control + 100, &fd, &control),
      WEIR_OK);
  weir__shared_header  good = control->header, bad;
  weir__shared_header *open;
  size_t               bytes;
#define EXPECT(member, value, text)                                                                                    \
  bad             = good;                                                                                              \
  bad.member      = value;                                                                                             \
  control->header = bad;                                                                                               \
  assert_int_equal(weir__shared_open("rank 3", getpid(), fd, WEIR__CONTROL_MAGIC, sizeof *control, &open, &bytes),     \
                   WEIR_ERR_INPUT);                                                                                    \
  assert_non_null(strstr(weir_error_last(), text));
  EXPECT(magic, 1, "no such segment of weir");
  EXPECT(version, 99, "version 99 of the channel, this is version 1");
  EXPECT(byte_order, 0x04030201, "another byte order");
  EXPECT(header_bytes, 8, "a header of 8 bytes, expected");
  EXPECT(total_bytes, 8, "says it has 8 bytes");
#undef EXPECT
  control->header = good;
  assert_int_equal(weir__shared_open("rank 3", getpid(), fd, WEIR__CONTROL_MAGIC, sizeof *control, &open, &bytes),
                   WEIR_OK);
  weir__shared_unmap(&open, bytes);
  assert_int_equal(ftruncate(fd, 10), -1); /* sealed: nobody can take it away under us */
  weir__shared_unmap(&control, bytes);
  close(fd);
  assert_int_equal(weir__shared_open("rank 3", getpid(), fd, WEIR__CONTROL_MAGIC, sizeof *control, &open, &bytes),
                   WEIR_ERR_GONE);
  fd = memfd_create("unsealed", MFD_CLOEXEC);
  assert_int_equal(ftruncate(fd, 1 << 16), 0);
  assert_int_equal(weir__shared_open("rank 3", getpid(), fd, WEIR__CONTROL_MAGIC, sizeof *control, &open, &bytes),
                   WEIR_ERR_INPUT);
  close(fd);
  scene_close(&s, 0);
}

static void write_note(const scene *s, const char *text) {
  char path[1024], host[256];
  weir__channel_host(host);
  snprintf(path, sizeof path, "%s/channel/%s.ocean.2", s->run, host);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static void wrong_notes_are_told(void **state) {
  (void)state;
  scene          s = scene_open();
  weir__channel *channel;
  weir__writer  *writer;
  assert_int_equal(weir__writer_create(s.run, &definitions, &writer), WEIR_OK); /* makes the folder */
  weir__writer_destroy(&writer, NULL);
  write_note(&s, "");
  assert_int_equal(weir__channel_attach(s.run, "ocean", 2, &channel), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "damaged"));
  write_note(&s, "weir-channel 7\npid 1\nfd x\n");
  assert_int_equal(weir__channel_attach(s.run, "ocean", 2, &channel), WEIR_ERR_INPUT);
  assert_non_null(strstr(weir_error_last(), "version 7"));
  char text[200];
  snprintf(text, sizeof text, "weir-channel 1\npid %d\nstart 1\nfd 0\nsize 3\n", (int)getpid());
  write_note(&s, text); /* this pid, but not this process: pids come back */
  weir__channel_entry *list;
  int                  count;
  assert_int_equal(weir__channel_list(s.run, "ocean", NULL, &list, &count), WEIR_OK);
  assert_true(count == 1 && !list[0].alive);
  weir__free(list);
  assert_int_equal(weir__channel_attach(s.run, "ocean", 2, &channel), WEIR_ERR_GONE);
  assert_int_equal(weir__channel_list(s.run, "ocean", NULL, &list, &count), WEIR_OK);
  assert_int_equal(count, 0); /* whoever finds such a note removes it */
  write_note(&s, text);
  assert_int_equal(weir__writer_create(s.run, &definitions, &writer), WEIR_OK); /* takes the place of the dead */
  weir__writer_destroy(&writer, NULL);
  scene_close(&s, 0);
}

static int create_limited(const scene *s, const void *argument) {
  (void)s, (void)argument;
  struct rlimit limit = {1 << 20, 1 << 20};
  void         *memory;
  int           fd;
  CHILD_CHECK(!setrlimit(RLIMIT_FSIZE, &limit)); /* beyond it the kernel sends SIGXFSZ, which kills */
  CHILD_CHECK(weir__shared_create("big", 1, 64, 2 << 20, &fd, &memory) == WEIR_ERR_MEMORY);
  CHILD_CHECK(strstr(weir_error_last(), "ulimit -f"));
  CHILD_CHECK(!weir__shared_create("small", 1, 64, 1 << 19, &fd, &memory));
  return 0;
}

static void limits_are_no_signals(void **state) {
  (void)state;
  scene s = scene_open();
  void *memory;
  int   fd;
  assert_child_fine(scene_fork(create_limited, &s, NULL));
  assert_int_equal(weir__shared_create("huge", 1, 64, (size_t)1 << 46, &fd, &memory), WEIR_ERR_MEMORY);
  assert_non_null(strstr(weir_error_last(), "are available"));
  scene_close(&s, 0);
}

static void triggers_fire(void **state) {
  (void)state;
  weir__channel_trigger every = {.period = 5, .phase = 2};
  for (int64_t step = -20; step < 20; step++)
    assert_int_equal(weir__channel_trigger_fires(&every, step, 0, NAN), ((step - 2) % 5) == 0);
  weir__channel_trigger hours = {.interval = 6};
  assert_true(weir__channel_trigger_fires(&hours, 0, 3, NAN));
  assert_false(weir__channel_trigger_fires(&hours, 1, 5.9, 3));
  assert_true(weir__channel_trigger_fires(&hours, 2, 6, 5.9));
  assert_false(weir__channel_trigger_fires(&hours, 3, 11, 6));
  assert_true(weir__channel_trigger_fires(&hours, 4, 30, 11));
  assert_false(weir__channel_trigger_fires(&(weir__channel_trigger){0}, 0, 0, NAN));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(definitions_survive),    cmocka_unit_test(damaged_definitions_are_refused),
      cmocka_unit_test(attach_reads_them),      cmocka_unit_test(bad_demands_are_refused),
      cmocka_unit_test(wrong_headers_are_told), cmocka_unit_test(wrong_notes_are_told),
      cmocka_unit_test(limits_are_no_signals),  cmocka_unit_test(triggers_fire),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
